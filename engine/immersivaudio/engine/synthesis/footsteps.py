# SPDX-License-Identifier: AGPL-3.0-or-later
"""Footsteps: heel, roll and toe against a ground; a hard floor answers with its modes, gravel grinds, grass rustles.

The force of a step has two humps, heel strike and push-off, with the roll between them (Farnell, "Designing Sound");
the ground turns it into sound: a floor through its modes, loose ground through grains that give way.
"""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp, seconds
from immersivaudio.engine.synthesis.grains import rub
from immersivaudio.engine.synthesis.impacts import INDOORS, Room, placed, pushed, resonator
from immersivaudio.engine.synthesis.noise import band, burst, slope


def _floor(rng: Rng, contact_s: float, body_hz: float, loss: tuple[float, float] = (55.0, 0.18)) -> Array:
    """A push of some milliseconds into a floor: its first broad modes, which fall by ``loss[0] + loss[1] f`` nepers a
    second."""
    force = np.zeros(int(0.2 * RATE_HZ))
    push = pushed(rng, contact_s, 0.8)
    force[: len(push)] = push
    hz = body_hz * (1 + 0.55 * (np.arange(18) + 0.5 * rng.random(18)) ** 1.1)
    ring = np.zeros_like(force)
    for mode in hz:
        ring += rng.uniform(0.3, 1.0) * resonator(force, float(mode), 1 / (loss[0] + loss[1] * float(mode)))
    return np.asarray(ring / (np.max(np.abs(ring)) + 1e-9))


def _slap(rng: Rng, low_hz: float, high_hz: float, fall_s: float) -> Array:
    """Sole against surface: a short broad noise, loud at once."""
    t = seconds(min(0.12, 9 * fall_s))
    wave = burst(rng, len(t) / RATE_HZ + 1e-6, band(low_hz, high_hz, 1) * slope(-3.0, low_hz))[: len(t)]
    wave = wave * np.exp(-t / fall_s)
    return np.asarray(wave / (np.max(np.abs(wave)) + 1e-9))


class Grit:
    """Stones or stalks that give way under a sole: grains whose energies follow a power law, as those of avalanches do,
    a few loud among many faint; each a rub round a pitch of its size."""

    def __init__(self, rng: Rng, low_hz: float, high_hz: float) -> None:
        self._grains = [rub(rng, glide(low_hz, high_hz, rng.random())) for _ in range(160)]

    def crunch(self, rng: Rng, places_s: Array, heavy: float = 1.9) -> Array:
        """Grains at these moments, mono, peak 1; ``heavy`` is the exponent of the power law of their amplitudes."""
        starts = (np.maximum(places_s, 0.0) * RATE_HZ).astype(int)
        out = np.zeros(int(starts.max()) + 2_400)
        loud = np.minimum(1.0 + rng.pareto(heavy, len(starts)), 9.0) * rng.choice([-1.0, 1.0], len(starts))
        for start, factor, row in zip(starts, loud, rng.integers(0, len(self._grains), len(starts)), strict=True):
            grain = self._grains[row]
            out[start : start + len(grain)] += factor * grain
        return np.asarray(out / (np.max(np.abs(out)) + 1e-9))


def _mixed(*parts: tuple[float, float, Array]) -> Array:
    """``(start in seconds, gain, wave)`` added up."""
    out = np.zeros(max(int(start * RATE_HZ) + len(wave) for start, _, wave in parts))
    for start, loud, wave in parts:
        first = int(start * RATE_HZ)
        out[first : first + len(wave)] += loud * wave
    return out


class _Step:
    """A pair of feet: left and right differ a little; each step is heel, roll and toe."""

    roll_s = (0.19, 0.11)
    grit_hz = (1_500.0, 8_000.0)
    room = INDOORS

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._foot = 0
        own = ask.rng("shoes")
        high = glide(0.5 * self.grit_hz[1], self.grit_hz[1], ask["strength"])
        self.grit = Grit(own, self.grit_hz[0], high)
        self._feet_hz = own.uniform(62.0, 88.0) * np.array([1.0, own.uniform(1.02, 1.08)])

    def strike(self, rng: Rng) -> Array:
        """One step, ``[2, n]``, heel at sample 0."""
        self._foot = 1 - self._foot
        strength = self._ask["strength"]
        roll_s = lerp(self.roll_s[0], self.roll_s[1], strength) * rng.uniform(0.88, 1.12)
        wave = self.step(rng, strength, roll_s, float(self._feet_hz[self._foot]))
        return placed(wave, self._ask["distance"], rng, self.room)

    def step(self, rng: Rng, strength: float, roll_s: float, body_hz: float) -> Array:
        raise NotImplementedError


class Hard(_Step):
    """Leather or rubber on wood, tiles or stone: the floor's short knock, the sole's slap, dust that grinds in the roll."""

    roll_s = (0.15, 0.11)
    grit_hz = (700.0, 7_000.0)
    room = Room(0.02, 1.0, 0.85)

    def step(self, rng: Rng, strength: float, roll_s: float, body_hz: float) -> Array:
        contact_s, floor_hz = lerp(0.0065, 0.004, strength) * rng.uniform(0.9, 1.1), 3.0 * body_hz
        slap, high_hz = lerp(0.03, 0.09, strength), lerp(2_500.0, 6_000.0, strength)
        dust = self.grit.crunch(rng, _trodden(rng, 110, roll_s, 0.14), 2.2)
        after = [
            (rng.uniform(0.002, 0.045), slap * rng.uniform(0.2, 0.6), _slap(rng, 900.0, high_hz, 0.003))
            for _ in range(3)
        ]
        return _mixed(
            (0.0, 0.9, _floor(rng, contact_s, floor_hz, (28.0, 0.4))),
            (0.0, slap, _slap(rng, 700.0, high_hz, 0.005)),
            (roll_s, 0.5, _floor(rng, 1.3 * contact_s, 1.4 * floor_hz, (28.0, 0.4))),
            (roll_s, 0.6 * slap, _slap(rng, 900.0, high_hz, 0.007)),
            (0.0, lerp(0.3, 0.55, strength), dust),
            *after,
        )


class Gravel(_Step):
    """Loose stones: hundreds of stones that knock together, densest under the heel and again at the push-off."""

    roll_s = (0.18, 0.13)
    grit_hz = (850.0, 8_500.0)
    room = Room(0.008, 0.5, 0.35)

    def step(self, rng: Rng, strength: float, roll_s: float, body_hz: float) -> Array:
        many = int(lerp(260, 480, strength))
        stones = self.grit.crunch(rng, _trodden(rng, many, roll_s, 0.12), 2.6)
        push = lerp(0.2, 0.36, strength)
        return _mixed(
            (0.0, 1.0, stones),
            (0.0, push, _floor(rng, 0.008, 2.0 * body_hz)),
            (roll_s, 0.7 * push, _floor(rng, 0.011, 2.6 * body_hz)),
        )


class Grass(_Step):
    """Turf: a soft thud, and blades and stalks that rub past the shoe while it rolls."""

    roll_s = (0.2, 0.15)
    grit_hz = (950.0, 9_000.0)
    room = Room(0.008, 0.4, 0.3)

    def step(self, rng: Rng, strength: float, roll_s: float, body_hz: float) -> Array:
        many = int(lerp(260, 420, strength))
        blades = self.grit.crunch(rng, _trodden(rng, many, roll_s, 0.16), 2.9)
        thud = _floor(rng, lerp(0.012, 0.008, strength), 1.7 * body_hz)
        return _mixed((0.0, 0.36, thud), (0.0, lerp(0.6, 0.9, strength), blades))


def _trodden(rng: Rng, many: int, roll_s: float, spread_s: float) -> Array:
    """When the grains of one step give way: at once and ever fewer under the heel, once more round the push-off."""
    heel = rng.gamma(1.4, spread_s / 1.4, many)
    toe = np.abs(roll_s + spread_s * rng.standard_normal(many // 2))
    return np.minimum(np.concatenate([[0.0, 0.001], heel, toe]), 0.6)
