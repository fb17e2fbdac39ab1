# SPDX-License-Identifier: AGPL-3.0-or-later
"""Drafting cues: ids that stay, seeds out of content, times inside the edit, knobs that the vocabulary knows."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import PurePath

from immersivaudio.engine.cue import Cue, Edit, GainPoint, ParamValue, Span, tidy
from immersivaudio.engine.prompts import template
from immersivaudio.engine.sounds import BY_ID, SPACE, Motion, stable_seed
from immersivaudio.engine.ways import PATH, Knot, written

_UNSURE_DB = -5.0
_STEP_S, _BLOW_S = Fraction(2, 5), Fraction(4, 5)
_RINGING_S: Mapping[str, Fraction] = {
    "impact.metal": Fraction(5, 2), "impact.glass": Fraction(3, 2), "glass.break": Fraction(2), "splash": Fraction(2),
    "gunshot": Fraction(5, 2), "explosion": Fraction(6), "thunder.clap": Fraction(8),
}  # fmt: skip
_ABBREVIATION = {"ambience": "amb", "foley": "fol", "effects": "fx", "music": "mus"}


@dataclass(frozen=True, slots=True)
class Draft:
    """What a rule wants heard; ``gain_db`` is on top of the sound's usual level, ``space`` where it is heard, ``way`` that of what
    moves."""

    sound: str
    span: Span
    why: str
    confidence: float
    sightings: tuple[str, ...] = ()
    sync_s: tuple[Fraction, ...] = ()
    params: Mapping[str, float] = field(default_factory=dict)
    gain_db: float = 0.0
    gain_curve: tuple[GainPoint, ...] = ()
    pan: float = 0.0
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0
    space: str = ""
    way: tuple[Knot, ...] = ()


def cue_of(draft: Draft, edit: Edit, seed: int) -> Cue | None:
    """The cue of a draft, cut to the edit; None where nothing of it lies in the edit."""
    sound = BY_ID[draft.sound]
    inside = draft.span.overlap(edit.record)
    if inside is None:
        return None
    start, end = tidy(inside.start_s), tidy_within(inside.end_s, edit.duration_s)
    sync_s = tuple(sorted({tidy(moment) for moment in draft.sync_s if start <= tidy(moment) < end}))
    if end <= start or (draft.sync_s and not sync_s):
        return None
    anchor = sync_s[0] if sync_s else start
    fade_in_s, fade_out_s = _fades(draft, float(end - start))
    cue = Cue(
        id=f"{_ABBREVIATION[sound.stem]}-{float(anchor):08.3f}-{sound.id}",
        stem=sound.stem,
        span=Span(start, end - start),
        sound=sound.id,
        why=draft.why,
        sightings=tuple(dict.fromkeys(draft.sightings)),
        sync_s=sync_s,
        params=_knobs(draft),
        gain_db=round(sound.level_db + draft.gain_db + _UNSURE_DB * (1.0 - draft.confidence), 1),
        gain_curve=draft.gain_curve,
        pan=round(max(-1.0, min(1.0, draft.pan)), 3),
        fade_in_s=fade_in_s,
        fade_out_s=fade_out_s,
        seed=stable_seed(str(seed), sound.id, content_at(edit, anchor)),
        confidence=round(max(0.0, min(1.0, draft.confidence)), 3),
    )
    return replace(cue, prompt=template(cue))


def ringing_s(sound: str) -> Fraction:
    """How long a struck sound is heard after its blow, in seconds."""
    return _STEP_S if sound.startswith("footstep") else _RINGING_S.get(sound, _BLOW_S)


def tidy_within(seconds: Fraction, limit_s: Fraction) -> Fraction:
    """``seconds`` to the nanosecond, never later than ``limit_s``."""
    near = tidy(seconds)
    return near if near <= limit_s else near - Fraction(1, 1_000_000_000)


def _knobs(draft: Draft) -> dict[str, ParamValue]:
    sound = BY_ID[draft.sound]
    knobs = sound.knobs
    inside = {
        key: max(knobs[key].low, min(knobs[key].high, value)) for key, value in draft.params.items() if key in knobs
    }
    space = {SPACE: draft.space} if sound.space and draft.space else {}
    way = {PATH: written(draft.way)} if sound.motion is Motion.MOVING and len(draft.way) > 1 else {}
    return {key: round(value, 3) for key, value in inside.items()} | space | way


def _fades(draft: Draft, length_s: float) -> tuple[float, float]:
    wanted = draft.fade_in_s + draft.fade_out_s
    scale = min(1.0, length_s / wanted) if wanted > 0 else 0.0
    return round(draft.fade_in_s * scale, 3), round(draft.fade_out_s * scale, 3)


def content_at(edit: Edit, record_s: Fraction) -> str:
    """Which moment of which medium is seen: stays the same when the rest of the edit moves."""
    index = bisect.bisect_right(edit.picture, record_s, key=lambda clip: clip.record.start_s) - 1
    if index < 0 or not edit.picture[index].record.contains(record_s):
        return f"{float(record_s):.2f}"
    clip = edit.picture[index]
    return f"{PurePath(clip.media or clip.name).name}@{round(float(clip.source_at(record_s)), 2):.2f}"
