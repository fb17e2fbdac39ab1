# SPDX-License-Identifier: AGPL-3.0-or-later
"""Room for what is struck: beds sit under blows as re-recording mixers set them (docs/decisions/0003-levels.md).

All of it is gain that is written down: a bed's own level, the dips of the ambience lane, a blow's lift.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from immersivaudio.engine import curves, levels
from immersivaudio.engine.audio import Block, decibels
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, CueSheet, Stem, samples_at
from immersivaudio.engine.desk import Desk
from immersivaudio.engine.loudness import STEP, LoudnessMeter, gated, largest
from immersivaudio.engine.metering import Numbers
from immersivaudio.engine.placing import Voice, render
from immersivaudio.engine.sounds import BY_ID, Motion

WANTED_DB = 8.0
"""A blow's first 50 ms shall lie this far over the beds around it, by K-weighted power."""

BED_DB, DIP_DB, LIFT_DB = 6.0, 6.0, 6.0
"""The most that a bed is lowered throughout, that it dips under a blow, and that a blow is lifted."""

SHORT_LU = 0.8
"""How far the mix may stay under its preset for the sake of blows, whose peaks the limiter leaves most of."""

DIP_SHAPE = curves.DuckShape(look_ahead_s=0.060, attack_s=0.010, hold_s=0.25, release_s=0.3)
_STRUCK_S = 0.1
_BLOW, _AROUND, _LEAD = samples_at(0.05), samples_at(0.2), samples_at(0.1)
_STEP_DB = 0.5
# Depths of beds and dips that are tried, the most room first.
_TRIED = ((1.0, 1.0), (2 / 3, 1.0), (1 / 3, 1.0), (0.0, 1.0), (0.0, 2 / 3), (0.0, 1 / 3))
# So many blows of a cue are listened to; steps of one walk are much alike.
_HEARD = 6
_NOTHING_DB = -80.0


@dataclass(frozen=True, slots=True)
class Room:
    """``beds`` and ``lifts`` are decibels by cue id; ``dips`` what the whole ambience lane does on the record clock."""

    beds: Mapping[str, float] = field(default_factory=dict)
    lifts: Mapping[str, float] = field(default_factory=dict)
    dips: curves.Curve = ()

    def on(self, desk: Desk) -> Desk:
        """``desk`` with these gains on its voices."""
        return replace(desk, lanes={stem: tuple(map(self._voiced, lane)) for stem, lane in desk.lanes.items()})

    def _voiced(self, voice: Voice) -> Voice:
        level = self.beds.get(voice.cue_id, 0.0) + self.lifts.get(voice.cue_id, 0.0)
        dips = self.dips if voice.stem is Stem.AMBIENCE else ()
        begin_s, seconds = (voice.start - voice.skip) / SAMPLE_RATE_HZ, (voice.skip + voice.samples) / SAMPLE_RATE_HZ
        moving = curves.window(dips, begin_s, seconds)
        return replace(voice, curve=curves.add(voice.curve, moving, level)) if level or moving else voice


@dataclass(frozen=True, slots=True)
class Blows:
    """A struck cue's blows: when, in record samples; how far the beds around them are too loud, and how high they peak
    (medians, in decibels)."""

    cue: Cue
    moments: tuple[int, ...]
    lacking_db: float
    peak_db: float


@dataclass(frozen=True)
class Forecast:
    """What a mix would come to: by the power of its stems for each tenth of a second, and its highest peak, as they are
    without any room made."""

    steps: Mapping[Stem, Numbers]
    peak_db: float
    target: levels.Preset

    def short_lu(self, beds_db: Numbers | float) -> float:
        """How far under the preset it would stay with beds at ``beds_db``, one number a step; 0 where it would not."""
        gains = {Stem.AMBIENCE: 10 ** (np.asarray(beds_db) / 10)}
        power = np.sum([steps * gains.get(stem, 1.0) for stem, steps in self.steps.items()], axis=0)
        aim = levels.aim(self.target, gated(power, 0.0, len(power) * STEP), beds_only=False)
        if self.target.integrated_lufs is None or aim.lufs is None:
            return 0.0
        over_db = self.peak_db + aim.gain_db - self.target.peak_db - levels.LIMIT_DB
        return self.target.integrated_lufs - aim.lufs + max(0.0, over_db)


def heard(sheet: CueSheet, desk: Desk) -> list[Blows]:
    """The struck cues of ``sheet`` that the beds of ``desk`` are too loud for; locked cues are taken as they are.

    Raises:
        MediaError: a take cannot be read.
    """
    beds = desk.lanes.get(Stem.AMBIENCE, ())
    cues = {cue.id: cue for cue in sheet.sounding() if _is_struck(cue) and not cue.locked}
    voices = [voice for stem in (Stem.FOLEY, Stem.EFFECTS) for voice in desk.lanes.get(stem, ())]
    blows = [_blows(cues[voice.cue_id], voice, beds) for voice in voices if beds and voice.cue_id in cues]
    return blows if any(one.lacking_db > 0 for one in blows) else []


def _is_struck(cue: Cue) -> bool:
    return bool(cue.sync_s) and cue.sound in BY_ID and BY_ID[cue.sound].motion is Motion.STRUCK


def _blows(cue: Cue, voice: Voice, beds: Sequence[Voice]) -> Blows:
    moments = tuple(at for at in map(samples_at, sorted(cue.sync_s)) if voice.start <= at < voice.end)
    pairs = [_compared(voice, at, beds) for at in moments[:: -(-len(moments) // _HEARD) or 1]]
    lacking, peaks = zip(*pairs, strict=True) if pairs else ((0.0,), (_NOTHING_DB,))
    return Blows(cue, moments, statistics.median(lacking), statistics.median(peaks))


def _compared(voice: Voice, at: int, beds: Sequence[Voice]) -> tuple[float, float]:
    """How far the beds around a blow are too loud for it (0 where either is not heard at all), and its peak."""
    struck = render((voice,), at - _LEAD, _LEAD + _BLOW)
    blow = _level_db(struck, _BLOW)
    around = _level_db(render(beds, at - _AROUND - _LEAD, _LEAD + 2 * _AROUND), 2 * _AROUND)
    if struck is None or min(blow, around) <= _NOTHING_DB:
        return 0.0, _NOTHING_DB
    return WANTED_DB - (blow - around), decibels(largest(struck))


def _level_db(block: Block | None, last: int) -> float:
    """K-weighted power of the ``last`` samples of a block, in decibels; what comes before settles the filter."""
    if block is None:
        return _NOTHING_DB
    return decibels(float(np.sqrt(LoudnessMeter.powers(block)[-last:].mean())))


def most_room(sheet: CueSheet, desk: Desk, blows: Sequence[Blows], forecast: Forecast) -> Room:
    """Beds that lie under blows go down, then dip; what still lacks, a blow is lifted by, but not over the highest of
    them, nor where somebody speaks. So much of it is done as leaves the mix at its loudness."""
    most = max(SHORT_LU, forecast.short_lu(0.0))
    for bed_share, dip_share in _TRIED:
        room = _room(sheet, desk, blows, BED_DB * bed_share, DIP_DB * dip_share)
        if forecast.short_lu(_beds_db(room, desk, len(forecast.steps[Stem.AMBIENCE]))) <= most:
            return room
    return _room(sheet, desk, blows, 0.0, 0.0)


def _room(sheet: CueSheet, desk: Desk, blows: Sequence[Blows], bed_db: float, dip_db: float) -> Room:
    locked = {cue.id for cue in sheet.cues if cue.locked}
    beds = [bed for bed in desk.lanes[Stem.AMBIENCE] if bed.cue_id not in locked]
    lowered = {bed.cue_id: -depth for bed in beds if (depth := _lowering_db(bed, blows, bed_db))}
    highest_db = max(one.peak_db for one in blows)
    dips: list[tuple[float, float, float]] = []
    lifts: dict[str, float] = {}
    for one in blows:
        left = one.lacking_db + max((lowered.get(bed.cue_id, 0.0) for bed in beds if _over(one, bed)), default=0.0)
        dip = _stepped(min(dip_db, left))
        lift = _stepped(min(LIFT_DB, left - dip, highest_db - one.peak_db))
        dips += [(at / SAMPLE_RATE_HZ, at / SAMPLE_RATE_HZ + _STRUCK_S, -dip) for at in one.moments if dip]
        if lift and not any(said.span.overlap(one.cue.span) for said in sheet.speech):
            lifts[one.cue.id] = lift
    return Room(lowered, lifts, curves.dips(dips, DIP_SHAPE))


def _lowering_db(bed: Voice, blows: Sequence[Blows], most_db: float) -> float:
    """How far a bed goes down throughout: so far as half of the blows over it ask for."""
    lacking = [one.lacking_db for one in blows if _over(one, bed)]
    return _stepped(min(most_db, statistics.median(lacking))) if lacking else 0.0


def _over(blow: Blows, bed: Voice) -> bool:
    return any(bed.start <= at < bed.end for at in blow.moments)


def _stepped(gain_db: float) -> float:
    """Down to a whole step, 0 at least: what changes a little elsewhere leaves a level as it was."""
    return max(0.0, gain_db // _STEP_DB * _STEP_DB)


def _beds_db(room: Room, desk: Desk, steps: int) -> Numbers:
    """What ``room`` does to the ambience lane for each tenth of a second; beds that sound together count as one."""
    at_s = (np.arange(steps) + 0.5) * STEP / SAMPLE_RATE_HZ
    level, count = np.zeros(steps), np.zeros(steps)
    for bed in desk.lanes[Stem.AMBIENCE]:
        here = (at_s >= bed.start / SAMPLE_RATE_HZ) & (at_s < bed.end / SAMPLE_RATE_HZ)
        level[here] += room.beds.get(bed.cue_id, 0.0)
        count[here] += 1
    found: Numbers = level / np.maximum(count, 1) + curves.levels(room.dips, at_s)
    return found
