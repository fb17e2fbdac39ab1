# SPDX-License-Identifier: AGPL-3.0-or-later
"""Spotting again without losing what a person did: locked, muted, moved, re-worded and added cues survive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from immersivaudio.engine.cue import BY_EXAMPLE, Cue, CueSheet, Span
from immersivaudio.engine.prompts import WRITTEN, template
from immersivaudio.engine.sounds import BY_ID, Motion
from immersivaudio.engine.wording import mark

_OURS = re.compile(r"(?:amb|fol|fx|mus)-(\d+\.\d{3})-([a-z.]+)(?:~\d+)?")
_SAME_MOMENT_S = Fraction(1, 10)


def keep_edits(sheet: CueSheet, earlier: CueSheet) -> CueSheet:
    """``sheet`` with the cues of ``earlier`` that a person touched, and with the ids that ``earlier`` gave."""
    kept, warnings = _inside([cue for cue in earlier.cues if touched(cue)], sheet.duration_s)
    fresh = [cue for cue in sheet.cues if not any(_same_thing(cue, other) for other in kept)]
    named = _known_ids(fresh, [cue for cue in earlier.cues if not touched(cue)], {cue.id for cue in kept})
    cues = sorted([*kept, *named], key=lambda cue: (cue.span.start_s, cue.stem, cue.id))
    used = {cue.id for cue in cues}
    suggestions = tuple(
        cue for cue in sheet.suggestions if cue.id not in used and not any(_same_thing(cue, other) for other in kept)
    )
    return replace(sheet, cues=tuple(cues), suggestions=suggestions, warnings=(*sheet.warnings, *warnings))


def touched(cue: Cue) -> bool:
    """Whether a person locked, muted, added, moved or re-worded the cue, or gave it an example: its id or words no
    longer follow from it."""
    if cue.example is not None and cue.performer != BY_EXAMPLE:
        return True
    ours = _OURS.fullmatch(cue.id)
    if cue.locked or cue.muted or ours is None or ours[2] != cue.sound or not unwritten(cue):
        return True
    anchor = cue.sync_s[0] if cue.sync_s and BY_ID[cue.sound].motion is Motion.STRUCK else cue.span.start_s
    return abs(Fraction(ours[1]) - anchor) > Fraction(1, 1000)


def spotted_sound(cue: Cue) -> str | None:
    """The sound that spotting chose for ``cue``, as its id says; None of a cue that a person added."""
    ours = _OURS.fullmatch(cue.id)
    return ours[2] if ours is not None and ours[2] in BY_ID else None


def unwritten(cue: Cue) -> bool:
    """Whether nobody wrote the cue's words: they are the template's, or a model's and unchanged."""
    return cue.prompt == template(cue) or cue.params.get(WRITTEN) == mark(cue.prompt)


def _inside(cues: Sequence[Cue], duration_s: Fraction) -> tuple[list[Cue], list[str]]:
    kept, warnings = [], []
    for cue in cues:
        inside = cue.span.overlap(Span(Fraction(0), duration_s))
        if inside is None:
            warnings.append(f"{cue.id} was dropped: it lies after the end of the edit.")
        elif inside == cue.span:
            kept.append(cue)
        else:
            warnings.append(f"{cue.id} was cut short: the edit ends before it.")
            kept.append(replace(cue, span=inside, sync_s=tuple(m for m in cue.sync_s if m < inside.end_s)))
    return kept, warnings


def _same_thing(cue: Cue, kept: Cue) -> bool:
    """Whether a new cue is what a kept one already is."""
    if cue.id == kept.id:
        return True
    if cue.sync_s and kept.sync_s and cue.stem == kept.stem:
        return any(abs(one - other) < _SAME_MOMENT_S for one in cue.sync_s for other in kept.sync_s)
    common = cue.span.overlap(kept.span)
    return cue.sound == kept.sound and common is not None and 2 * common.duration_s > cue.span.duration_s


def _known_ids(cues: Sequence[Cue], earlier: Sequence[Cue], used: set[str]) -> list[Cue]:
    """The same content keeps the id it had, also when the edit before it has moved it."""
    ids = {(cue.sound, cue.seed): cue.id for cue in earlier}
    settled = {cue.id for cue in earlier}
    named = []
    for cue in cues:
        wanted = cue.id if cue.id in settled else ids.get((cue.sound, cue.seed), cue.id)
        name = wanted if wanted not in used else cue.id
        while name in used:
            name += "~"
        used.add(name)
        named.append(replace(cue, id=name))
    return named
