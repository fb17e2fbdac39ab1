# SPDX-License-Identifier: AGPL-3.0-or-later
"""Footsteps: heel and then toe against a ground; a hard floor rings, gravel grinds, grass swishes."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp
from immersivaudio.engine.synthesis.grains import rub
from immersivaudio.engine.synthesis.impacts import placed, pushed, resonator


def _knock(rng: Rng, strength: float, body_hz: float) -> Array:
    """A heel on a hard floor: the many short modes of sole and floor, driven by a rough contact."""
    force = np.zeros(int(0.16 * RATE_HZ))
    push = pushed(rng, glide(0.0024, 0.0004, strength), 0.9)
    force[: len(push)] = push
    hz = body_hz * (1 + 0.42 * (np.arange(26) + 0.4 * rng.random(26)) ** 1.15)
    ring = np.zeros_like(force)
    for mode in hz:
        ring += rng.uniform(0.2, 1.0) * resonator(force, float(mode), 1 / (42.0 + 0.17 * float(mode)))
    return np.asarray(ring / (np.max(np.abs(ring)) + 1e-9))


class Grit:
    """Stones or stalks that give way under a sole: grains whose energies are heavy-tailed, as those of avalanches are,
    a few loud among many faint; each a rub round a pitch of its size."""

    def __init__(self, rng: Rng, low_hz: float, high_hz: float) -> None:
        self._grains = [rub(rng, glide(low_hz, high_hz, rng.random())) for _ in range(160)]

    def crunch(self, rng: Rng, duration_s: float, grains: int, tail: float = 1.4) -> Array:
        """One press, mono, peak 1; ``tail`` is the sigma of the grains' log gain."""
        n = int(duration_s * RATE_HZ)
        out = np.zeros(n + 2_400)
        places = (rng.beta(1.4, 1.9, grains) * n).astype(int)
        loud = np.exp(tail * rng.standard_normal(grains))
        for place, factor, row in zip(places, loud, rng.integers(0, len(self._grains), grains), strict=True):
            grain = self._grains[row]
            out[place : place + len(grain)] += factor * grain
        return np.asarray(out / (np.max(np.abs(out)) + 1e-9))


class _Step:
    """A pair of feet: left and right differ a little; each step is heel, then toe."""

    heel_toe_s = (0.075, 0.15)
    grit_hz = (1_500.0, 8_000.0)

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._foot = 0
        own = ask.rng("shoes")
        high = glide(0.5 * self.grit_hz[1], self.grit_hz[1], ask["strength"])
        self.grit = Grit(own, self.grit_hz[0], high)
        self._feet_hz = own.uniform(85.0, 130.0) * np.array([1.0, own.uniform(1.02, 1.08)])

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
    """Leather or rubber on wood, tiles or stone: a knock, a softer one, a trace of grit."""

    def heel(self, rng: Rng, strength: float) -> Array:
        return _knock(rng, strength, float(self._feet_hz[self._foot]))

    def toe(self, rng: Rng, strength: float) -> Array:
        tap = 0.4 * _knock(rng, 0.5 * strength, float(self._feet_hz[self._foot]) * 1.5)
        grit = lerp(0.02, 0.09, strength) * self.grit.crunch(rng, 0.12, 25)
        out = np.zeros(max(len(tap), len(grit)))
        out[: len(tap)] += tap
        out[: len(grit)] += grit
        return out


class Gravel(_Step):
    """Loose stones: a crunch under the heel, a longer grind as the foot rolls off."""

    heel_toe_s = (0.15, 0.2)
    grit_hz = (450.0, 9_500.0)

    def heel(self, rng: Rng, strength: float) -> Array:
        out = 0.75 * self.grit.crunch(rng, 0.24, int(lerp(90, 190, strength)))
        press = _press(rng, strength, 160.0)
        out[: len(press)] += press[: len(out)]
        return out

    def toe(self, rng: Rng, strength: float) -> Array:
        return 0.7 * self.grit.crunch(rng, 0.3, int(lerp(120, 240, strength)))


def _press(rng: Rng, strength: float, body_hz: float) -> Array:
    """A foot that sinks into something loose: a dull push with a rough edge."""
    force = np.zeros(int(0.12 * RATE_HZ))
    push = pushed(rng, lerp(0.006, 0.003, strength), 2.0)
    force[: len(push)] = push
    out = np.zeros_like(force)
    for mode in body_hz * (1 + 0.6 * np.arange(14) ** 1.1):
        out += rng.uniform(0.3, 1.0) * resonator(force, float(mode), 1 / (90.0 + 0.5 * float(mode)))
    return np.asarray(out / (np.max(np.abs(out)) + 1e-9))


class Grass(_Step):
    """Turf: a soft thump, blades that brush past."""

    heel_toe_s = (0.15, 0.2)
    grit_hz = (900.0, 9_000.0)

    def heel(self, rng: Rng, strength: float) -> Array:
        thump, swish = _press(rng, 0.6 * strength, rng.uniform(60, 80)), self._swish(rng, 0.26, strength)
        out = np.zeros(max(len(thump), len(swish)))
        out[: len(thump)] += thump
        out[: len(swish)] += 0.6 * swish
        return out

    def toe(self, rng: Rng, strength: float) -> Array:
        return 0.6 * self._swish(rng, 0.32, strength)

    def _swish(self, rng: Rng, duration_s: float, strength: float) -> Array:
        rustle = self.grit.crunch(rng, duration_s, int(lerp(200, 450, strength)), 0.9)
        return rustle * np.minimum(1.0, np.arange(len(rustle)) / 1_200.0)
