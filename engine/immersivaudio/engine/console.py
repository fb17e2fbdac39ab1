# SPDX-License-Identifier: AGPL-3.0-or-later
"""The master gain of a balanced desk, found by listening, and what everything reads under it."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import levels, limiter
from immersivaudio.engine.audio import Block, amplitude, decibels
from immersivaudio.engine.cue import Stem
from immersivaudio.engine.metering import LEAD, Group, Meters, Numbers, Peaks, Reading, integrated, true_peak_db

_CLOSE_LU = 0.15
_ROUNDS = 4
# A lane that never comes above this sample value is not counted as heard.
_HEARD = 1e-4
Levelled = dict[Stem | None, Block]


@dataclass(frozen=True)
class Master:
    """The gain that everything gets: one number, and the limiter's curve where there is one."""

    gain_db: float
    ride: limiter.GainRide | None = None

    def amplitudes(self, first: int, count: int) -> Block | np.float32:
        level = np.float32(amplitude(self.gain_db))
        ridden = 1.0 if self.ride is None else self.ride.amplitudes(first, count)
        return level if isinstance(ridden, float) else level * ridden


@dataclass(frozen=True)
class Console:
    """The meters of a desk whose lanes are balanced: finds the master gain and writes the files."""

    meters: Meters

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every stem alone, and all of them."""
        stems = self.meters.desk.stems
        return (*((stem,) for stem in stems), stems)

    @functools.cached_property
    def plain(self) -> dict[int, list[Reading]]:
        """What each of the groups reads before the master gain, by the block's first sample."""
        desk = self.meters.desk
        read = desk.told(lambda first: self.meters.read(first, self.groups), 0.0, 0.35)
        return dict(zip(desk.firsts(), read, strict=True))

    @property
    def peak_db(self) -> float:
        """The highest true peak of the whole, or sample of a stem, before the master gain."""
        *lanes, whole = zip(*self.plain.values(), strict=True)
        # A stem may peak where another takes the sum back; its own file must not clip there.
        return max((true_peak_db(whole), *(decibels(max(one.top for one in lane)) for lane in lanes)))

    @property
    def steps(self) -> dict[Stem, Numbers]:
        """The K-weighted power of every stem for each tenth of a second, before the master gain."""
        *lanes, _ = zip(*self.plain.values(), strict=True)
        joined = (np.concatenate([one.steps for one in lane]) for lane in lanes)
        return dict(zip(self.meters.desk.stems, joined, strict=True))

    def master(self, target: levels.Preset) -> tuple[Master, levels.Aim]:
        """The master gain and limiter for ``target``, and what they aim at."""
        *lanes, whole = zip(*self.plain.values(), strict=True)
        tops = {stem: max(one.top for one in lane) for stem, lane in zip(self.meters.desk.stems, lanes, strict=True)}
        peak_db = self.peak_db
        heard = {stem for stem, top in tops.items() if top > _HEARD}
        aim = levels.aim(target, integrated(whole), beds_only=heard <= {Stem.AMBIENCE})
        if peak_db + aim.gain_db <= target.peak_db:
            return Master(aim.gain_db), aim
        return self._limited(target.peak_db, peak_db, aim), aim

    def _limited(self, limit_db: float, peak_db: float, aim: levels.Aim) -> Master:
        """A gain and a limiter that keep ``limit_db``, found by trying and listening, that meet ``aim``."""
        most = limit_db + levels.LIMIT_DB - peak_db
        gain = levels.stepped(aim.gain_db, most)
        peaks = self._peaks(limit_db - max(gain, most) - limiter.MARGIN_DB)
        master = Master(gain, limiter.ride(peaks, gain, limit_db))
        for _ in range(_ROUNDS if aim.lufs is not None else 0):
            lack = (aim.lufs or 0.0) - (self._lufs(master) or aim.lufs or 0.0)
            gain = levels.stepped(master.gain_db + lack, most)
            if abs(gain - master.gain_db) < _CLOSE_LU:
                break
            master = Master(gain, limiter.ride(peaks, gain, limit_db))
        return master

    def _peaks(self, floor_db: float) -> NDArray[np.float32]:
        """The highest true peak of the bounce and of every stem for each 2 ms, where it may exceed the floor."""
        # A whole decibel, so that the peaks that are kept serve as well when the level moved a little.
        floor = amplitude(math.floor(floor_db))
        hops = limiter.HopPeaks(self.meters.desk.total, floor)

        def found(first: int) -> Peaks | None:
            loud = any(reading.true_peak > floor for reading in self.plain[first])
            return self.meters.peaks(first, self.groups, floor) if loud else None

        for peaks in self.meters.desk.told(found, 0.35, 0.45):
            if peaks is not None:
                hops.note(*peaks)
        return hops.peaks

    def _lufs(self, master: Master) -> float | None:
        bounce = self.groups[-1:]
        read = list(self.meters.desk.told(lambda first: self._reading(first, bounce, master)[-1]))
        return integrated(read)

    def _reading(self, first: int, groups: tuple[Group, ...], master: Master) -> list[Reading]:
        """What ``groups`` read after the master; measured only where the limiter moves."""
        still = master.ride is None or master.ride.still(first - LEAD, self.meters.desk.count(first) + LEAD)
        read = self.plain[first][-len(groups) :] if still else self.meters.read(first, groups, master.ride)
        return [reading.louder(master.gain_db) for reading in read]

    def done(self, master: Master) -> Iterator[tuple[Levelled, list[Reading]]]:
        """Block by block, every stem and (None) the bounce as they go into their files, and what they read."""
        return self.meters.desk.told(lambda first: self._done(first, master), 0.5, 1.0)

    def _done(self, first: int, master: Master) -> tuple[Levelled, list[Reading]]:
        desk, count = self.meters.desk, self.meters.desk.count(first)
        blocks, level = desk.block(first, count), master.amplitudes(first, count)
        silence = np.zeros((2, count), np.float32)
        levelled: Levelled = {stem: blocks.get(stem, silence) * level for stem in desk.stems}
        levelled[None] = sum(levelled.values(), silence)
        return levelled, self._reading(first, self.groups, master)
