# SPDX-License-Identifier: AGPL-3.0-or-later
"""The stove: what fries and what boils."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, Wander, glide, lerp
from immersivaudio.engine.synthesis.grains import Cloud, Shower
from immersivaudio.engine.synthesis.noise import Noise, band, burst, hump, slope, unit
from immersivaudio.engine.synthesis.water import bubble


def _spit(rng: Rng) -> Array:
    """A drop that turns to steam in hot fat: a burst of some milliseconds round its own pitch."""
    centre, fall_s = glide(1_500.0, 9_000.0, rng.random()), glide(0.0006, 0.005, rng.random() ** 2)
    wave = burst(rng, 0.02, hump(centre, 0.7))
    return np.asarray(2.5 * wave * np.exp(-np.arange(len(wave)) / (fall_s * RATE_HZ)))


class Sizzle:
    """Frying: thousands of drops a second that turn to steam, too many to count, the loud ones single; it comes in
    surges as what fries moves."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng, hot = ask.rng("sizzle"), ask["intensity"]
        self._hot = hot
        self._noise, self._mist, self._spits = (
            Noise(rng, 0.6),
            Shower(rng, 3_000.0, 13_000.0, 0.5),
            Cloud(rng, _spit, 160, 0.5, 2),
        )
        self._hiss = unit(band(2_500.0, 14_000.0, 1)) * lerp(0.2, 0.6, hot)
        self._pan = unit(band(300.0, 2_200.0, 1) * slope(-3.0, 600.0)) * lerp(0.03, 0.07, hot)
        self._surge, self._quick = Wander(rng, (0.5, 2.0, 7.0)), Wander(rng, (0.02, 0.06, 0.2))

    def frame(self) -> Array:
        surge, quick = np.exp(0.22 * self._surge.frame()), np.exp(0.22 * self._quick.frame())
        out = self._noise.frame((surge * quick)[:, None] * (self._hiss + self._pan))
        out += 0.22 * self._mist.frame(np.minimum(3_000.0, glide(300.0, 1_800.0, self._hot) * surge * quick), 0.7)
        return out + 0.13 * self._spits.frame(glide(30.0, 220.0, self._hot) * surge**2, 0.7)


def _boiling(rng: Rng) -> Array:
    radius_m = glide(0.0022, 0.010, rng.random() ** 1.3)
    return np.asarray(bubble(rng, radius_m, 0.15 * rng.random()) * (radius_m / 0.01) ** 0.6)


class Boil:
    """A pot that boils: bubbles of some millimetres that rise in bursts and break, the roll of the water against the
    pot, steam. ``intensity`` from a simmer to a rolling boil."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng, hot = ask.rng("boil"), ask["intensity"]
        self._hot = hot
        pot_hz = rng.uniform(240.0, 420.0)
        self._noise, self._bubbles = Noise(rng, 0.5), Cloud(rng, _boiling, 128, 0.4, 2)
        pot = hump(pot_hz, 0.35) + 0.5 * hump(2.3 * pot_hz, 0.3) + 0.25 * hump(4.1 * pot_hz, 0.3)
        self._roll = unit(pot * band(60.0, 3_000.0, 1)) * lerp(0.08, 0.4, hot)
        self._steam = unit(band(2_000.0, 10_000.0, 1)) * lerp(0.004, 0.02, hot)
        self._burst, self._slow = Wander(rng, (0.03, 0.1, 0.3)), Wander(rng, (0.7, 3.0))

    def frame(self) -> Array:
        burst_, slow = np.exp(0.6 * self._burst.frame()), np.exp(0.15 * self._slow.frame())
        out = self._noise.frame((burst_ * slow)[:, None] * self._roll + slow[:, None] * self._steam)
        return out + 0.5 * self._bubbles.frame(glide(18.0, 190.0, self._hot) * burst_ * slow, 0.5)
