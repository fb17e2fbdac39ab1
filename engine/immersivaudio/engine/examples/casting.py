# SPDX-License-Identifier: AGPL-3.0-or-later
"""An example is given to the cues that it fits: events to what is struck, a texture to the bed of each place."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from immersivaudio.engine import media, plugins
from immersivaudio.engine.cue import BY_EXAMPLE, Clip, Cue, CueSheet, Example, Sighting, Span, Stem
from immersivaudio.engine.errors import CancelledError, ResultError
from immersivaudio.engine.examples.matching import Wanted, matched
from immersivaudio.engine.examples.study import Cancelled, Kind, Study, forbidden, identified, licence_of, study
from immersivaudio.engine.sounds import BY_ID, Motion

_SAME_MOMENT_S, _LITTLE_S = 0.15, 3.0
_STEPS, _STEP_S, _EVEN = 4, (0.28, 0.85), 0.25


@dataclass(frozen=True, slots=True)
class Wish:
    """The example of a whole job. ``alone``: nothing else is wanted on the sheet; ``rights`` as in the request."""

    example: Example
    alone: bool = False
    rights: str = "commercial"


@dataclass(frozen=True, slots=True)
class Tried:
    """A wish whose example has been heard, so that one that is no use is refused before anything is watched."""

    wish: Wish
    study: Study

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be honoured, one sentence each."""
        heard, said = self.study, list[str]()
        if heard.cut_s:
            said.append(f"Only the first {heard.cut_s:.0f} s of the example {heard.name} are used.")
        going_on_s = sum(last - first for first, last in heard.stretches) / 48_000
        if heard.kind is Kind.TEXTURE and going_on_s < _LITTLE_S:
            said.append(
                f"The example {heard.name} goes on for {going_on_s:.1f} s only, so its detail will be heard again."
            )
        return tuple(said)


def tried(wish: Wish, cancelled: Cancelled) -> Tried:
    """Hear the example.

    Raises:
        MediaError, ResultError: it is no use. UnavailableError: its licence does not allow what is wanted.
    """
    example = identified(wish.example)
    if wish.rights != "any" and not licence_of(example).commercial_use:
        raise forbidden(example)
    return Tried(replace(wish, example=example), study(example, cancelled))


def cast(sheet: CueSheet, wanted: Tried) -> CueSheet:
    """``sheet`` with the example on every cue of the fitting kind that is not locked and has none of its own.

    Raises:
        ResultError: nothing else is wanted, and there is no such cue.
    """
    heard, example = wanted.study, wanted.wish.example
    fitting = _struck(sheet, heard) if heard.kind is Kind.EVENTS else _beds(sheet)
    given = {cue.id for cue in fitting}
    if wanted.wish.alone and not given:
        raise _nothing(heard)
    cues = tuple(_given(cue, example) if cue.id in given else cue for cue in sheet.cues)
    aside = {cue.id for cue in cues if heard.kind is Kind.TEXTURE and cue.id not in given and _under(cue, fitting)}
    moved = [replace(cue, why=f"{cue.why} Left out: {example.name} is what this place sounds like.") for cue in cues]
    suggested = (*sheet.suggestions, *(cue for cue in moved if cue.id in aside))
    kept = tuple(cue for cue in cues if cue.id not in aside and (cue.example is not None or not wanted.wish.alone))
    return replace(sheet, cues=kept, suggestions=suggested)


def _nothing(heard: Study) -> ResultError:
    if heard.kind is Kind.EVENTS:
        return ResultError(
            f"No blow or step is seen in the picture that could sound like the example {heard.name}.",
            "Raise the density, or add cues to the sheet.",
        )
    return ResultError(
        f"No place is seen in the picture that could sound like the example {heard.name}.",
        "Add an ambience to the cue sheet.",
    )


def _given(cue: Cue, example: Example) -> Cue:
    return replace(cue, example=example, performer=BY_EXAMPLE, why=f"{cue.why} It sounds like {example.name}.".strip())


def _open(cue: Cue) -> bool:
    return not cue.locked and not cue.muted and (cue.example is None or cue.performer == BY_EXAMPLE)


def _struck(sheet: CueSheet, heard: Study) -> list[Cue]:
    """The blows, or the steps where the example walks or there are no blows."""
    struck = [
        cue
        for cue in sheet.cues
        if _open(cue) and BY_ID[cue.sound].motion is Motion.STRUCK and cue.sound != "whoosh" and cue.stem is Stem.FOLEY
    ]
    steps = [cue for cue in struck if cue.sound.startswith("footstep")]
    blows = [cue for cue in struck if cue not in steps]
    return steps if steps and (not blows or _walks(heard)) else blows


def _walks(heard: Study) -> bool:
    """Whether the example's events come as evenly as steps do."""
    gaps = [after.at_s - before.at_s for before, after in itertools.pairwise(heard.events)]
    if len(gaps) + 1 < _STEPS:
        return False
    middle = statistics.median(gaps)
    even = statistics.median(abs(gap - middle) for gap in gaps) < _EVEN * middle
    return even and _STEP_S[0] <= middle <= _STEP_S[1]


def _beds(sheet: CueSheet) -> list[Cue]:
    """One bed a place: of beds that are heard at once the longest, of equals the loudest."""
    beds = [cue for cue in sheet.cues if _open(cue) and cue.stem is Stem.AMBIENCE]
    chosen: list[Cue] = []
    for cue in sorted(beds, key=lambda cue: (-cue.span.duration_s, -cue.gain_db, cue.id)):
        if not _under(cue, chosen):
            chosen.append(cue)
    return chosen


def _under(cue: Cue, beds: Iterable[Cue]) -> bool:
    """Whether one of ``beds`` is heard for more than half of an ambience cue."""
    if cue.stem is not Stem.AMBIENCE or not _open(cue):
        return False
    common = (cue.span.overlap(bed.span) for bed in beds if bed.id != cue.id)
    return any(2 * span.duration_s > cue.span.duration_s for span in common if span is not None)


def with_events(sheet: CueSheet, cancelled: Cancelled) -> CueSheet:
    """``sheet`` with the event that every sync point takes written down, where the sheet does not say it: never one
    twice in a row, also not from cue to cue. A person may change them.

    Raises:
        MediaError, ResultError: an example is no use. CancelledError: somebody stopped it.
    """
    known = [replace(cue, example=identified(cue.example)) if cue.example else cue for cue in sheet.cues]
    struck = [cue for cue in known if cue.example and cue.sync_s and not cue.muted and _is_struck(cue)]
    said: dict[str, tuple[int, ...]] = {}
    for digest in dict.fromkeys(cue.example.sha256 for cue in struck if cue.example):
        mine = [cue for cue in struck if cue.example and cue.example.sha256 == digest]
        said |= _events(mine, cancelled)
    cues = tuple(
        replace(cue, example=replace(cue.example, events=said[cue.id])) if cue.example and cue.id in said else cue
        for cue in known
    )
    return replace(sheet, cues=cues)


def _is_struck(cue: Cue) -> bool:
    return BY_ID[cue.sound].motion is Motion.STRUCK


def _events(cues: Sequence[Cue], cancelled: Cancelled) -> dict[str, tuple[int, ...]]:
    """The events of each cue of one example, by the cue's id."""
    example = cues[0].example
    if example is None or all(_complete(cue) for cue in cues):
        return {}
    heard = study(example, cancelled)
    if not heard.events:
        return {}
    rows = sorted((moment, index, place) for index, cue in enumerate(cues) for place, moment in enumerate(cue.sync_s))
    wanted = [_wanted(cues[index], place) for _, index, place in rows]
    chosen = matched(wanted, heard.events, visible(example, heard, cancelled))
    found: dict[str, list[int]] = {cue.id: [0] * len(cue.sync_s) for cue in cues}
    for (_, index, place), event in zip(rows, chosen, strict=True):
        found[cues[index].id][place] = event
    return {cue.id: tuple(found[cue.id]) for cue in cues if not _complete(cue)}


def _complete(cue: Cue) -> bool:
    return cue.example is not None and len(cue.example.events) == len(cue.sync_s)


def _wanted(cue: Cue, place: int) -> Wanted:
    numbers = [cue.params.get(name, 0.5) for name in ("strength", "size")]
    strength, size = (value if isinstance(value, int | float) else 0.5 for value in numbers)
    return Wanted(float(strength), float(size), cue.sound, cue.seed + place)


def visible(example: Example, heard: Study, cancelled: Cancelled) -> tuple[float | None, ...]:
    """How strongly each event of an example is seen to happen, 0 to 1; None where it is not seen, () without picture."""
    path = Path(example.path)
    if len(heard.events) < 2 or not media.probe(path).video:
        return ()
    impacts = _impacts(path, heard, cancelled)
    return tuple(_seen_at(impacts, event.at_s) for event in heard.events)


def _impacts(path: Path, heard: Study, cancelled: Cancelled) -> list[Sighting]:
    watcher = plugins.create("watchers", "motion")
    if watcher.available():
        return []
    watcher.setup()
    span = Span(Fraction(0), Fraction(heard.samples.shape[1], 48_000))
    session = watcher.open(Clip("example", heard.name, "video", 0, str(path), span, span))
    for frame in media.frames(path, span, watcher.wish, cancelled):
        if cancelled():
            raise CancelledError("Cancelled.")
        session.see(frame)
    return [sighting for sighting in session.finish() if sighting.label == "impact"]


def _seen_at(impacts: Sequence[Sighting], at_s: float) -> float | None:
    near = [row for row in impacts if abs(float(row.span.start_s) - at_s) <= _SAME_MOMENT_S]
    if not near:
        return None
    found = min(near, key=lambda row: abs(float(row.span.start_s) - at_s)).values.get("strength")
    return float(found) if isinstance(found, int | float) else None
