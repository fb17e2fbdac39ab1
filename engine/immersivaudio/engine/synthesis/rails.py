# SPDX-License-Identifier: AGPL-3.0-or-later
"""Trains: rolling noise of every carriage, and the rail joints near by that each axle strikes in turn."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.course import SOUND_MPS, Followed
from immersivaudio.engine.synthesis.frame import (
    FRAME,
    FRAME_S,
    RATE_HZ,
    Array,
    Ask,
    Rng,
    Wander,
    glide,
    lerp,
    panned,
    seconds,
)
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.noise import Noise, band, burst, hump, resonance, slope, unit
from immersivaudio.engine.synthesis.passing import Part, Passing, Path, path_of, peak_lufs
from immersivaudio.engine.synthesis.tones import Hum

_CARRIAGES, _LENGTH_M, _FIRST_M = 5, 25.0, -40.0
_AXLES_M = np.array([-9.7, -7.3, 7.3, 9.7])
_JOINTS_M = np.array([-50.0, -32.0, -14.0, 4.0, 22.0, 40.0])


class _Rolling:
    """A carriage's wheels on the rails."""

    settle_s = 4.0

    def __init__(self, rng: Rng) -> None:
        self._noise, self._rough = Noise(rng, 0.0), Wander(rng, (0.03, 0.15, 1.0))
        self._paint = unit(hump(620.0, 0.8)) + 1.3 * unit(hump(110.0, 0.9)) + 0.12 * unit(band(1_800.0, 6_000.0, 1))

    def frame(self) -> Array:
        return 0.1 * self._noise.frame(np.exp(0.1 * self._rough.frame())[:, None] * self._paint)


class _Diesel:
    """A locomotive: a slow engine's throb and its blower."""

    settle_s = 4.0

    def __init__(self, rng: Rng) -> None:
        self._hum = Hum(rng, rng.uniform(34.0, 44.0), (0.6, 1.0, 0.5, 0.4, 0.2, 0.15, 0.1))
        self._noise, self._paint = Noise(rng, 0.0), unit(band(90.0, 3_000.0, 1) * slope(-4.0, 200.0))

    def frame(self) -> Array:
        return 0.1 * self._hum.frame() + 0.1 * self._noise.frame(self._paint)


class Train:
    """Carriages on a path, and joints of the rail that stay where they are while axle after axle passes over them."""

    settle_s = 0.0

    def __init__(self, ask: Ask) -> None:
        path = path_of(ask, 10.0, 45.0)
        offsets = _FIRST_M + _LENGTH_M * np.arange(_CARRIAGES)
        parts = [Part(_Diesel(ask.rng("diesel")), float(offsets[0]) - 22.0, half_m=7.0)]
        parts += [Part(_Rolling(ask.rng(f"carriage{k}")), float(place), half_m=5.0) for k, place in enumerate(offsets)]
        level = peak_lufs(path.closest_m)
        self._cars, self._loud = Passing(path, parts, level - 2.0), 7.0 * 10 ** (level / 20)
        self._rng, self._tape, self._clock = ask.rng("joints"), Tape(), 0
        self._strikes = _strikes(path, offsets)
        # What is recorded brings its own joints.
        self.played_by, self.played_s, self.pans = self._cars.played_by, self._cars.played_s, self._cars.pans

    def frame(self) -> Array:
        while self._strikes and self._strikes[0][0] < self._clock + FRAME:
            at, loud, side = self._strikes.pop(0)
            if at >= self._clock:
                wave = _clack(self._rng) * self._loud * loud * self._rng.uniform(0.7, 1.2)
                self._tape.lay(at - self._clock, wave, panned(side))
        self._clock += FRAME
        return self._cars.frame() + self._tape.frame()


class Ride:
    """Beside or aboard a train that runs: the coach's roar, and at every joint of the rail the four axles of a coach in
    their pairs. ``speed`` 10 to 45 m/s over joints 18 m apart."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("ride")
        fast = ask["speed"]
        self._mps = glide(10.0, 45.0, fast)
        self._noise, self._rough, self._sway = Noise(rng, 0.7), Wander(rng, (0.03, 0.12, 0.6)), Wander(rng, (0.5, 2.0))
        self._paint = unit(hump(560.0, 0.9)) + 1.4 * unit(hump(100.0, 0.9)) + 0.16 * unit(band(1_500.0, 7_000.0, 1))
        self._tape, self._next_s, self._clock_s = Tape(), rng.uniform(0.0, 18.0 / self._mps), 0.0
        self._clacks = lerp(3.2, 2.0, fast)
        self._squeal = unit(resonance(rng.uniform(2_100.0, 3_300.0), 30.0)) * 0.02

    def frame(self) -> Array:
        while self._next_s < self._clock_s + FRAME_S:
            for axle in _AXLES_M - _AXLES_M[0]:
                start = int((self._next_s - self._clock_s + axle / self._mps) * RATE_HZ)
                side = panned(self._rng.uniform(-0.3, 0.3))
                self._tape.lay(start, self._clacks * self._rng.uniform(0.6, 1.1) * _clack(self._rng), side)
            self._next_s += 18.0 / self._mps * self._rng.normal(1.0, 0.012)
        self._clock_s += FRAME_S
        rough, sway = np.exp(0.12 * self._rough.frame()), np.exp(0.15 * self._sway.frame())
        squeal = np.maximum(0.0, sway - 1.1)[:, None] * self._squeal
        return 0.22 * self._noise.frame((rough * sway)[:, None] * self._paint + squeal) + 0.5 * self._tape.frame()


def _strikes(path: Path | Followed, offsets: Array) -> list[tuple[int, float, float]]:
    """Every blow of an axle on a joint: sample, loudness against one at the closest point, side; in order of time."""
    found = []
    for joint in _JOINTS_M:
        reach, side = path.ground(float(joint))
        for axle in (offsets[:, None] + _AXLES_M).ravel():
            heard_s = path.closest_s + (float(axle) + joint) / path.speed_mps + reach / SOUND_MPS
            found.append((int(heard_s * RATE_HZ), path.closest_m / reach, side))
    return sorted(found)


def _clack(rng: Rng) -> Array:
    t = seconds(0.12)
    steel = burst(rng, 0.12, hump(rng.uniform(800, 1_500), 0.7)) * np.exp(-t / 0.008)
    thud = burst(rng, 0.12, hump(150.0, 0.6)) * np.exp(-t / 0.025)
    return np.asarray((1.4 * steel + 1.8 * thud) * np.clip(t / 0.001, 0, 1))
