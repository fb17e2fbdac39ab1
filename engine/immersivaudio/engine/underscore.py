# SPDX-License-Identifier: AGPL-3.0-or-later
"""Music under the picture: one piece for as long as the tone stays, another from the cut on where a scene turns it.

A piece begins and ends where scenes do, never within one, and lasts a quarter of a minute at least: shorter ones are no
music but stings. Form follows in the music performer, which knows the cuts from the sync points.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from immersivaudio.engine import moods
from immersivaudio.engine.cue import Span
from immersivaudio.engine.drafting import Draft
from immersivaudio.engine.looks import Scene, View, is_black, number

_LEAST_S = Fraction(15)
_OTHER_TONE = 0.2


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of one tone: ``energy`` and ``warmth`` 0 to 1, ``said`` what spoke for them besides the picture."""

    span: Span
    energy: float
    warmth: float
    said: str

    def differs(self, other: _Piece) -> bool:
        return max(abs(self.energy - other.energy), abs(self.warmth - other.warmth)) >= _OTHER_TONE


def underscore(view: View, scenes: Sequence[Scene], heard: str) -> Iterator[Draft]:
    """Drafts of music over the whole edit; only suggested where the recording (its verdict: ``heard``) is music."""
    if not scenes or all(is_black(scene.look) for scene in scenes):
        return
    pieces = _pieces(view, scenes)
    for piece in pieces:
        cuts = _cuts(scenes, piece.span)
        turns = "" if len(pieces) == 1 else ", for as long as the tone of these scenes stays"
        yield Draft(
            "music",
            piece.span,
            f"You asked for music{turns}; {len(cuts)} cuts give the form, light and movement the tone{piece.said}.",
            0.3 if heard == "music" else 0.9,
            sync_s=tuple(cuts),
            params={"energy": piece.energy, "warmth": piece.warmth},
        )


def _within(scenes: Sequence[Scene], span: Span) -> Sequence[Scene]:
    """The scenes that begin in ``span``."""
    first, last = (
        bisect.bisect_left(scenes, at, key=lambda scene: scene.span.start_s) for at in (span.start_s, span.end_s)
    )
    return scenes[first:last]


def _cuts(scenes: Sequence[Scene], span: Span) -> list[Fraction]:
    starts = [look.span.start_s for scene in _within(scenes, span) for look in scene.shots]
    return [start for start in starts if start > span.start_s]


def _pieces(view: View, scenes: Sequence[Scene]) -> list[_Piece]:
    """The edit in pieces of one tone: neighbours of the same tone are joined, and what is too short with the neighbour
    whose tone is nearer."""
    bounds = [Fraction(0), *(scene.span.start_s for scene in scenes[1:]), view.edit.duration_s]
    spans = [Span.between(start, end) for start, end in itertools.pairwise(bounds) if end > start]
    pieces = [_piece(view, scenes, span) for span in spans]
    while len(pieces) > 1:
        short = min(range(len(pieces)), key=lambda index: pieces[index].span.duration_s)
        if pieces[short].span.duration_s < _LEAST_S:
            at = _nearer(pieces, short)
        else:
            alike = [index for index in range(len(pieces) - 1) if not pieces[index].differs(pieces[index + 1])]
            if not alike:
                break
            at = alike[0]
        joined = Span.between(pieces[at].span.start_s, pieces[at + 1].span.end_s)
        pieces[at : at + 2] = [_piece(view, scenes, joined)]
    return pieces


def _nearer(pieces: Sequence[_Piece], index: int) -> int:
    """The first of the two to be joined: ``index`` and whichever neighbour is nearer in tone."""
    beside = [other for other in (index - 1, index + 1) if 0 <= other < len(pieces)]
    nearest = min(
        beside,
        key=lambda other: (
            abs(pieces[other].energy - pieces[index].energy) + abs(pieces[other].warmth - pieces[index].warmth)
        ),
    )
    return min(index, nearest)


def _piece(view: View, scenes: Sequence[Scene], span: Span) -> _Piece:
    moves = [number(row.values, "level") for row, _ in view.within("movement", span)]
    lights = [look.light.get("warmth", 0.5) for scene in _within(scenes, span) for look in scene.shots]
    energy = min(
        1.0, 0.2 + len(_cuts(scenes, span)) / max(1.0, float(span.duration_s)) + (max(moves) if moves else 0.0) / 3
    )
    warmth = sum(lights) / max(1, len(lights))
    tone = moods.told(view, span)
    if tone is None:
        return _Piece(span, energy, warmth, "")
    energy = moods.blended(energy, tone.energy, tone.weight)
    warmth = moods.blended(warmth, (tone.valence + 1) / 2, tone.weight)
    return _Piece(span, energy, warmth, f"; what is said is {moods.words(tone)}, which draws it that way")
