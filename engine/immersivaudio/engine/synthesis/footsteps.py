# SPDX-License-Identifier: AGPL-3.0-or-later
"""Footsteps: heel and then toe against a ground; a hard floor rings, gravel grinds, grass swishes."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp, seconds
from immersivaudio.engine.synthesis.impacts import contact, placed
from immersivaudio.engine.synthesis.noise import band, burst, hump


def _knock(rng: Rng, strength: float, body_hz: float, bright: float) -> Array:
    """A heel on a hard floor: click of the contact, the sole's and the floor's few short modes."""
    t = seconds(0.12)
    ratios = np.array([1.0, 2.3, 3.9, 6.8])
    hz = body_hz * ratios * rng.uniform(0.93, 1.07, 4)
    ring = sum(
        g * np.sin(2 * np.pi * f * t) * np.exp(-t / d)
        for f, g, d in zip(hz, (1.0, 0.7, 0.45, 0.3), (0.022, 0.012, 0.007, 0.004), strict=True)
    )
    click = contact(rng, 0.02, 0.0018, band(600.0, glide(2_500.0, 9_000.0, bright), 1))
    out = np.asarray(ring, np.float64)
    out[: len(click)] += lerp(0.5, 1.1, strength) * click
    return out


def _crunch(rng: Rng, duration_s: float, grains: int, low_hz: float, high_hz: float) -> Array:
    """Stones that shift under a sole: grains of random size, dense at first, each a short resonant grind."""
    n = int(duration_s * RATE_HZ)
    out = np.zeros(n + 2_400)
    for place in np.sort(rng.beta(1.1, 2.2, grains)) * n:
        wave = burst(rng, 0.02, hump(glide(low_hz, high_hz, rng.random()), 0.45))
        wave *= np.exp(-np.arange(len(wave)) / (RATE_HZ * rng.uniform(0.001, 0.004))) * np.exp(
            0.7 * rng.standard_normal()
        )
        out[int(place) : int(place) + len(wave)] += wave
    return out / (np.max(np.abs(out)) + 1e-9)


class _Step:
    """A pair of feet: left and right differ a little; each step is heel, then toe."""

    heel_toe_s = (0.075, 0.15)

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._foot = 0
        own = ask.rng("shoes")
        self._feet_hz = own.uniform(150.0, 230.0) * np.array([1.0, own.uniform(1.02, 1.08)])

    def strike(self, rng: Rng) -> Array:
        """One step, ``[2, n]``, heel at sample 0."""
        self._foot = 1 - self._foot
        strength = self._ask["strength"]
        heel, toe = self.heel(rng, strength), self.toe(rng, strength)
        delay = int(lerp(self.heel_toe_s[1], self.heel_toe_s[0], strength) * rng.uniform(0.85, 1.15) * RATE_HZ)
        out = np.zeros(max(len(heel), delay + len(toe)))
        out[: len(heel)] += heel
        out[delay : delay + len(toe)] += toe
        return placed(out, self._ask["distance"], rng)

    def heel(self, rng: Rng, strength: float) -> Array:
        raise NotImplementedError

    def toe(self, rng: Rng, strength: float) -> Array:
        raise NotImplementedError


class Hard(_Step):
    """Leather or rubber on wood, tiles or stone."""

    def heel(self, rng: Rng, strength: float) -> Array:
        return _knock(rng, strength, float(self._feet_hz[self._foot]), strength)

    def toe(self, rng: Rng, strength: float) -> Array:
        tap = 0.35 * _knock(rng, 0.4 * strength, float(self._feet_hz[self._foot]) * 1.7, 0.6 * strength)
        slide = burst(rng, 0.09, band(1_200.0, 6_000.0, 1)) * np.hanning(4_320) * 0.05
        out = np.zeros(max(len(tap), len(slide)))
        out[: len(tap)] += tap
        out[: len(slide)] += slide
        return out


class Gravel(_Step):
    """Loose stones: a crunch under the heel, a longer grind as the foot rolls off."""

    def heel(self, rng: Rng, strength: float) -> Array:
        crunch = _crunch(rng, 0.11, int(lerp(25, 60, strength)), 900.0, glide(3_500.0, 7_000.0, strength))
        edge = contact(rng, 0.03, 0.004, band(250.0, glide(2_500.0, 7_000.0, strength), 1))
        out = 0.75 * crunch
        out[: len(edge)] += 1.2 * edge[: len(out)]
        return out

    def toe(self, rng: Rng, strength: float) -> Array:
        return 0.6 * _crunch(rng, 0.17, int(lerp(30, 75, strength)), 1_100.0, glide(3_500.0, 7_000.0, strength))


class Grass(_Step):
    """Turf: a soft thump, blades that brush past."""

    def heel(self, rng: Rng, strength: float) -> Array:
        t = seconds(0.12)
        thump = np.sin(2 * np.pi * rng.uniform(70, 95) * t) * np.exp(-t / 0.022)
        press = contact(rng, 0.12, 0.012, band(150.0, glide(900.0, 2_500.0, strength), 1))
        press = press[: len(t)] * np.clip(np.arange(len(press[: len(t)])) / 24.0, 0, 1)
        thump[: len(press)] += 0.9 * press
        swish = self._swish(rng, 0.14, strength)
        out = np.zeros(max(len(thump), len(swish)))
        out[: len(thump)] += thump
        out[: len(swish)] += 0.28 * swish
        return out

    def toe(self, rng: Rng, strength: float) -> Array:
        return 0.4 * self._swish(rng, 0.2, strength)

    def _swish(self, rng: Rng, duration_s: float, strength: float) -> Array:
        wave = burst(rng, duration_s, band(1_500.0, glide(5_000.0, 10_000.0, strength), 1))
        leaves = np.abs(
            np.interp(np.arange(len(wave)), np.arange(0, len(wave), 200), rng.gamma(0.8, 1.0, -(-len(wave) // 200)))
        )
        wave = wave * leaves * np.hanning(len(wave))
        return np.asarray(wave / (np.max(np.abs(wave)) + 1e-9), np.float64)
