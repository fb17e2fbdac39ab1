# SPDX-License-Identifier: AGPL-3.0-or-later
"""Things that move through air or against themselves: the whoosh, and clothing."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import FRAME, HOP_S, HOPS, RATE_HZ, Array, Ask, Rng, Wander, glide, lerp
from immersivaudio.engine.synthesis.grains import Cloud, rub
from immersivaudio.engine.synthesis.noise import Noise, band, hump, unit


class Whoosh:
    """Air that something tears: noise whose pitch and level rise to the closest moment and fall after it.

    The vortex pitch goes with the speed (Strouhal), the power with its sixth power (Curle 1955).
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def lead_s(self) -> float:
        """How long before its peak it begins."""
        return glide(0.55, 0.10, self._ask["speed"])

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``; the peak is ``lead_s()`` after its start."""
        fast, strong = self._ask["speed"], self._ask["strength"]
        lead = self.lead_s()
        total = lead * 2.6
        frames = -(-int(total * RATE_HZ) // FRAME)
        t = np.arange(frames * HOPS) * HOP_S + HOP_S - lead
        width = lead / 2.4
        speed = 1 / (1 + (t / np.where(t < 0, width, 1.3 * width)) ** 2)
        pitch = (
            glide(280.0, 1_100.0, fast) * lerp(0.8, 1.4, strong) * (0.35 + 0.65 * speed) * np.where(t > 0, 0.85, 1.0)
        )
        painted = hump(pitch, lerp(0.5, 0.8, strong)) + 0.3 * hump(3.1 * pitch, 0.6) + 0.12 * band(100.0, 900.0, 1)
        noise, way = Noise(rng, 0.6), float(rng.choice([-1, 1]))
        magnitude = (speed**2)[:, None] * painted
        wave = np.concatenate([noise.frame(magnitude[k : k + HOPS]) for k in range(0, len(t), HOPS)], axis=1)
        return self._shaped(wave, lead, way)

    def _shaped(self, wave: Array, lead: float, way: float) -> Array:
        """Evened out and given its exact course, so that the loudest moment is where it must be."""
        t = np.arange(wave.shape[1]) / RATE_HZ - lead
        sharp = 1 / (1 + (np.abs(t) / (0.22 * lead)) ** 1.5)
        ends = np.clip((t + lead) / 0.02, 0, 1) * np.clip((1.6 * lead - t) / (0.5 * lead), 0, 1)
        angle = (1 + way * np.clip(t / lead, -1, 1) * 0.7) * np.pi / 4
        return np.asarray(wave * sharp * ends * np.stack([np.cos(angle), np.sin(angle)]))


def _fibre(rng: Rng) -> Array:
    """A fold that sticks and slips: three short rubs within some hundredths of a second."""
    out = np.zeros(int(0.1 * RATE_HZ))
    for start in np.cumsum(rng.exponential(0.02, 3)):
        grain = rub(rng, glide(700.0, 7_500.0, rng.random())) * np.exp(0.8 * rng.standard_normal())
        first = int(min(start, 0.05) * RATE_HZ)
        out[first : first + len(grain)] += grain
    return out


class Cloth:
    """Clothing in movement: friction in strokes as the limbs swing, the fabric's fine crackle in each."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("cloth")
        busy = self._busy = ask["intensity"]
        self._noise, self._fine = Noise(rng, 0.5), Cloud(rng, _fibre, 128, 0.5)
        weave = glide(1_100.0, 1_700.0, busy)
        self._weave = unit(hump(weave, 1.1)) + 0.3 * unit(band(2_500.0, 9_000.0, 1))
        self._rub = Wander(rng, (0.02, 0.05))
        self._strokes: list[tuple[float, float, float]] = []
        self._clock_s, self._next_s = 0.0, 0.0

    def frame(self) -> Array:
        now = self._clock_s + np.arange(HOPS) * HOP_S
        level = lerp(0.2, 0.6, self._busy) + self._swing(now)
        self._clock_s += FRAME / RATE_HZ
        rub = np.exp(0.5 * self._rub.frame())
        out = self._noise.frame((0.06 * level * rub)[:, None] * self._weave)
        return 2.4 * out + 0.09 * self._fine.frame(520.0 * level * rub, 0.5)

    def _swing(self, now: Array) -> Array:
        while self._next_s < now[-1] + 0.1:
            length = self._rng.uniform(0.3, 1.4) * lerp(1.2, 0.8, self._busy)
            self._strokes.append((self._next_s, length, float(np.exp(0.45 * self._rng.standard_normal()))))
            self._next_s += length * self._rng.uniform(0.15, 1.1) * lerp(1.6, 0.8, self._busy)
        self._strokes = [stroke for stroke in self._strokes if stroke[0] + stroke[1] > now[0] - HOP_S]
        level = np.zeros(len(now))
        for start, length, loud in self._strokes:
            level += loud * np.sin(np.pi * np.clip((now - start) / length, 0, 1)) ** 1.5
        return level
