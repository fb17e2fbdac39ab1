# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fire after Farnell: lapping flames, crackles whose energies are heavy-tailed and come in runs, hiss."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, Wander, glide, lerp, seconds
from immersivaudio.engine.synthesis.grains import Cloud
from immersivaudio.engine.synthesis.noise import Noise, band, burst, slope, unit


def _crackle(rng: Rng) -> Array:
    """A fibre that bursts: a broad click of gas, a tenth of a millisecond to two long."""
    wave = burst(rng, 0.012, band(glide(900.0, 3_500.0, rng.random()), 16_000.0, 1))
    t = np.arange(len(wave)) / RATE_HZ
    return wave * np.exp(-t / glide(0.0001, 0.002, rng.random()))


def _pop(rng: Rng) -> Array:
    """A log that cracks: a sharp edge, then the wood's own dull ring."""
    t = seconds(0.08)
    ring = sum(np.sin(2 * np.pi * f * t) * np.exp(-t / d) for f, d in _wood(rng))
    snap = burst(rng, 0.08, band(800.0, 9_000.0)) * np.exp(-t / 0.004)
    return np.asarray(snap * 2.2 + 0.35 * np.asarray(ring))


def _wood(rng: Rng) -> list[tuple[float, float]]:
    return [(glide(250.0, 1_500.0, rng.random()), rng.uniform(0.004, 0.014)) for _ in range(4)]


class Fire:
    """Fire from embers to blaze: ``intensity`` brings more flame, a lower voice and faster crackling."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("fire")
        self._blaze, self._near = ask["intensity"], 1 - 0.75 * ask["distance"]
        self._noise = Noise(rng, 0.7)
        self._lap = unit(slope(-6.0, 60.0) * band(30.0, lerp(250.0, 600.0, self._blaze), 1))
        self._roar = unit(band(150.0, 2_000.0, 1) * slope(-5.0, 250.0))
        self._hiss = unit(band(2_500.0, 14_000.0, 1))
        self._flames = [Wander(rng, (0.05, 0.15, 0.5)), Wander(rng, (0.1, 0.4, 2.0)), Wander(rng, (0.3, 1.5, 6.0))]
        self._crackles, self._pops = Cloud(rng, _crackle, 128, 0.7, 2), Cloud(rng, _pop, 32, 0.6)
        self._runs = Wander(rng, (0.1, 0.4, 1.5))

    def frame(self) -> Array:
        lap, roar, hiss = (
            np.exp(depth * flame.frame()) for depth, flame in zip((0.5, 0.35, 0.4), self._flames, strict=True)
        )
        magnitude = (lerp(0.025, 0.085, self._blaze) * lap)[:, None] * self._lap
        magnitude += (lerp(0.008, 0.030, self._blaze) * roar * lap**0.4)[:, None] * self._roar
        magnitude += (lerp(0.005, 0.008, self._blaze) * hiss)[:, None] * self._hiss
        busy = np.exp(1.1 * self._runs.frame() - 0.4)
        out = self._noise.frame(magnitude)
        out += 0.30 * self._near * self._crackles.frame(glide(18.0, 130.0, self._blaze) * busy, 1.2)
        return out + 0.05 * self._near * self._pops.frame(glide(0.5, 2.2, self._blaze) * busy, heavy=2.2)
