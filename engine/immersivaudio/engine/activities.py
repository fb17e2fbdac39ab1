# SPDX-License-Identifier: AGPL-3.0-or-later
"""What goes on for as long as it is seen: a machine that runs, a helicopter, a tap; told by whoever names the scene."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from immersivaudio.engine.cue import Sighting, Span
from immersivaudio.engine.drafting import Draft
from immersivaudio.engine.looks import View
from immersivaudio.engine.scenery import BY_ID as SIGNS

_GAP_S, _FADE_S = Fraction(1), 0.4
_ALREADY = Fraction(1, 2)


def activities(view: View, others: Iterable[Draft]) -> Iterator[Draft]:
    """Drafts of sounds that go on while their sign is seen, but where ``others`` have them already."""
    made = list(others)
    by_sound: dict[str, list[Sighting]] = defaultdict(list)
    for row in view.all("scene"):
        sign = SIGNS.get(str(row.values.get("kind", "")))
        if sign is not None and sign.sound and row.span.duration_s > 0:
            by_sound[sign.sound].append(row)
    for sound, rows in by_sound.items():
        for run in _runs(rows):
            draft = _draft(sound, run)
            if not any(other.sound == sound and _covers(other.span, draft.span) for other in made):
                yield draft


def _runs(rows: Sequence[Sighting]) -> Iterator[list[Sighting]]:
    """Rows that follow each other, or are seen by two watchers at once."""
    run: list[Sighting] = []
    for row in rows:
        if run and row.span.start_s - max(one.span.end_s for one in run) > _GAP_S:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _covers(one: Span, other: Span) -> bool:
    common = one.overlap(other)
    return common is not None and common.duration_s >= _ALREADY * other.duration_s


def _draft(sound: str, run: Sequence[Sighting]) -> Draft:
    best: dict[str, Sighting] = {}
    for row in run:
        if row.watcher not in best or row.confidence > best[row.watcher].confidence:
            best[row.watcher] = row
    doubt = 1.0
    for row in best.values():
        doubt *= 1.0 - row.confidence
    seen = "; ".join(
        f"{name} sees {SIGNS[str(row.values['kind'])].phrase} ({row.confidence:.2f})" for name, row in best.items()
    )
    start, end = min(row.span.start_s for row in run), max(row.span.end_s for row in run)
    return Draft(
        sound,
        Span.between(start, end),
        f"{seen}, {float(start):.2f} to {float(end):.2f} s.",
        min(0.9, 1.0 - doubt),
        tuple(row.id for row in run if row.id),
        fade_in_s=_FADE_S,
        fade_out_s=_FADE_S,
    )
