# SPDX-License-Identifier: AGPL-3.0-or-later
"""Insects on the wing."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import (
    Array,
    Ask,
    Ramp,
    Rng,
    Wander,
    lerp,
    panned,
)
from immersivaudio.engine.synthesis.noise import Noise, band, hump, unit
from immersivaudio.engine.synthesis.tones import Wheel


class _Bee:
    """One bee: wing beats of some 200 a second with all their harmonics, on a course of its own about the listener."""

    def __init__(self, rng: Rng, beat_hz: float) -> None:
        orders = np.arange(1, 40)
        loud = orders**-0.9 * rng.uniform(0.4, 1.3, 39) / (1 + (orders * beat_hz / 3_500.0) ** 2)
        self._wheel, self._beat_hz = Wheel(rng, loud), beat_hz
        self._turn, self._shiver = Wander(rng, (0.25, 0.8)), Wander(rng, (0.012, 0.04))
        self._near, self._side = Wander(rng, (0.5, 1.6, 5.0)), Wander(rng, (0.5, 2.0))
        self._rate, self._ramps = Ramp(), (Ramp(), Ramp())

    def frame(self) -> Array:
        """``[2, FRAME]``."""
        pace = 1 + 0.08 * self._turn.frame() + 0.03 * self._shiver.frame()
        close = np.exp(np.clip(0.8 * self._near.frame(), -2.5, 1.6))
        sides = panned(np.tanh(self._side.frame())) * close
        return np.stack([ramp.frame(side) for ramp, side in zip(self._ramps, sides, strict=True)]) * self._wheel.frame(
            self._rate.frame(self._beat_hz * pace)
        )


class Bees:
    """Bees or flies on the wing: some near, each on its own course, over the hum of the many. ``intensity`` is how many."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng, many = ask.rng("bees"), ask["intensity"]
        self._bees = [_Bee(rng, rng.uniform(170.0, 255.0)) for _ in range(round(lerp(2, 9, many)))]
        self._noise, self._swarm = Noise(rng, 0.9), Wander(rng, (0.05, 0.3, 2.0))
        comb = sum(hump(215.0 * k, 0.09) / k for k in range(1, 9))
        self._hum = unit(np.asarray(comb)) * lerp(0.05, 0.9, many)
        self._air = unit(band(60.0, 5_000.0, 1) * hump(200.0, 2.0)) * 0.03

    def frame(self) -> Array:
        out = np.sum([bee.frame() for bee in self._bees], axis=0)
        return np.asarray(out + self._noise.frame(np.exp(0.15 * self._swarm.frame())[:, None] * self._hum + self._air))
