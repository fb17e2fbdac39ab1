# SPDX-License-Identifier: AGPL-3.0-or-later
"""Footsteps: heel, roll and toe of a shoe against a ground; firm ground answers with its modes, loose ground grinds.

The force of a step has two humps, heel strike and push-off, with the roll between them (Farnell, "Designing Sound");
the faster the gait the shorter the roll, and a runner lands on the fore foot. A floor turns the force into sound
through its modes, loose ground through grains that give way, whose energies follow a power law as those of avalanches
do. A hard heel touches for a shorter time than a bare foot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp, seconds
from immersivaudio.engine.synthesis.grains import rub
from immersivaudio.engine.synthesis.impacts import placed, pushed, ringing
from immersivaudio.engine.synthesis.noise import band, burst, slope

_RUN_PACE = 2.4
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ground:
    """What is walked on; pairs are at strength 0 and 1. ``thud`` is the level of its own modes, which lie ``low`` and
    (at the toe) ``low_toe`` times the foot's pitch and fall by ``loss[0] + loss[1] f`` nepers a second after a contact of
    ``contact_ms``; ``slap`` the sole's. ``grains`` give way within ``spread_s`` round heel and toe, between ``grit_hz``,
    amplitudes by a power law of exponent ``heavy``, at the level ``grit``."""

    roll_s: Pair
    contact_ms: Pair
    thud: Pair
    toe: float
    low: float
    low_toe: float
    loss: Pair
    slap: Pair
    grit: Pair
    grains: Pair
    grit_hz: Pair
    spread_s: float
    heavy: float


_LOOSE = (55.0, 0.18)
GROUNDS: Mapping[str, Ground] = MappingProxyType(
    {
        "hard": Ground((0.15, 0.11), (6.5, 4.0), (0.9, 0.9), 0.5, 3.0, 4.2, (28.0, 0.4), (0.03, 0.09), (0.3, 0.55),
                       (110, 110), (700.0, 7_000.0), 0.14, 2.2),
        "wood": Ground((0.15, 0.11), (6.5, 4.0), (1.0, 1.0), 0.6, 1.9, 2.7, (24.0, 0.3), (0.06, 0.14), (0.3, 0.5),
                       (60, 90), (500.0, 5_000.0), 0.12, 2.0),
        "carpet": Ground((0.17, 0.13), (14.0, 9.0), (1.0, 1.0), 0.6, 1.2, 1.6, (40.0, 0.5), (0.0, 0.01), (0.10, 0.2),
                         (90, 130), (500.0, 3_500.0), 0.12, 3.0),
        "gravel": Ground((0.18, 0.13), (8.0, 8.0), (0.2, 0.36), 0.7, 2.0, 2.6, _LOOSE, (0.0, 0.0), (1.0, 1.0),
                         (260, 480), (850.0, 8_500.0), 0.16, 2.6),
        "grass": Ground((0.2, 0.15), (12.0, 8.0), (0.5, 0.5), 0.4, 1.7, 2.0, _LOOSE, (0.0, 0.0), (0.6, 0.9),
                        (220, 360), (950.0, 9_000.0), 0.22, 2.6),
        "leaves": Ground((0.2, 0.15), (11.0, 8.0), (0.2, 0.18), 0.4, 1.7, 2.0, _LOOSE, (0.0, 0.0), (0.9, 1.0),
                         (180, 320), (1_200.0, 11_000.0), 0.2, 2.0),
        "snow": Ground((0.22, 0.17), (12.0, 9.0), (0.4, 0.5), 0.5, 1.3, 1.6, (70.0, 0.4), (0.0, 0.0), (0.9, 1.0),
                       (350, 600), (700.0, 6_500.0), 0.12, 3.0),
        "sand": Ground((0.22, 0.17), (13.0, 9.0), (0.3, 0.35), 0.5, 1.2, 1.5, (80.0, 0.4), (0.0, 0.0), (0.9, 1.0),
                       (400, 700), (900.0, 7_000.0), 0.12, 3.2),
    }
)  # fmt: skip


def _floor(rng: Rng, contact_s: float, body_hz: float, loss: Pair) -> Array:
    """A push of some milliseconds into a floor: its first broad modes."""
    hz = body_hz * (1 + 0.55 * (np.arange(18) + 0.5 * rng.random(18)) ** 1.1)
    ring = ringing(hz, 1 / (loss[0] + loss[1] * hz), rng.uniform(0.3, 1.0, 18), int(0.2 * RATE_HZ))
    out = scipy.signal.oaconvolve(ring, pushed(rng, contact_s, 0.8))
    return np.asarray(out / (np.max(np.abs(out)) + 1e-9))


def _slap(rng: Rng, low_hz: float, high_hz: float, fall_s: float) -> Array:
    """Sole against surface: a short broad noise, loud at once."""
    t = seconds(min(0.12, 9 * fall_s))
    wave = burst(rng, len(t) / RATE_HZ + 1e-6, band(low_hz, high_hz, 1) * slope(-3.0, low_hz))[: len(t)]
    wave = wave * np.exp(-t / fall_s)
    return np.asarray(wave / (np.max(np.abs(wave)) + 1e-9))


class Grit:
    """Stones or stalks that give way under a sole: a few loud grains among many faint, each a rub round a pitch of its
    size."""

    def __init__(self, rng: Rng, low_hz: float, high_hz: float) -> None:
        self._grains = [rub(rng, glide(low_hz, high_hz, rng.random())) for _ in range(160)]

    def crunch(self, rng: Rng, places_s: Array, heavy: float = 1.9) -> Array:
        """Grains at these moments, mono, peak 1; ``heavy`` is the exponent of the power law of their amplitudes."""
        starts = (np.maximum(places_s, 0.0) * RATE_HZ).astype(int)
        out = np.zeros(int(starts.max()) + 2_400)
        loud = np.minimum(1.0 + rng.pareto(heavy, len(starts)), 9.0) * rng.choice([-1.0, 1.0], len(starts))
        loud *= np.minimum(1.0, 0.4 + places_s / 0.04)
        rows = rng.integers(0, len(self._grains), len(starts))
        for start, factor, row in zip(starts.tolist(), loud.tolist(), rows.tolist(), strict=True):
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


class Steps:
    """A pair of feet in one kind of shoe on one ground: left and right differ a little."""

    def __init__(self, ask: Ask, ground: str) -> None:
        self._ask, self._ground, self._foot = ask, GROUNDS[ground], 0
        own = ask.rng("shoes")
        low_hz, high_hz = self._ground.grit_hz
        self._grit = Grit(own, low_hz, glide(0.5 * high_hz, high_hz, ask["strength"]))
        self._feet_hz = own.uniform(62.0, 88.0) * np.array([1.0, own.uniform(1.02, 1.08)])
        self._soft = glide(2.0, 0.63, ask.knobs.get("shoe", 0.6))
        pace = ask.knobs.get("pace", 1.8)
        self._hurry, self._runs = min(1.25, max(0.45, 1.8 / pace)), pace > _RUN_PACE

    def strike(self, rng: Rng) -> Array:
        """One step, ``[2, n]``, heel at sample 0."""
        self._foot = 1 - self._foot
        return placed(self._step(rng, float(self._feet_hz[self._foot])), self._ask["distance"], rng)

    def _step(self, rng: Rng, body_hz: float) -> Array:
        ground, strength = self._ground, self._ask["strength"]
        roll_s = lerp(*ground.roll_s, strength) * rng.uniform(0.88, 1.12) * self._hurry
        contact_s = self._soft * lerp(*ground.contact_ms, strength) / 1_000 * rng.uniform(0.9, 1.1)
        thud, toe = lerp(*ground.thud, strength), ground.toe * (0.5 if self._runs else 1.0)
        many = int(lerp(*ground.grains, strength))
        settling = 0 if any(ground.slap) else many // 4
        dust = self._grit.crunch(rng, _trodden(rng, (many, settling), roll_s, ground.spread_s), ground.heavy)
        parts = [
            (0.0, thud, _floor(rng, contact_s, ground.low * body_hz, ground.loss)),
            (0.0, lerp(*ground.grit, strength), dust),
        ]
        if toe:
            parts.append((roll_s, toe * thud, _floor(rng, 1.3 * contact_s, ground.low_toe * body_hz, ground.loss)))
        return _mixed(*parts, *self._slaps(rng, roll_s))

    def _slaps(self, rng: Rng, roll_s: float) -> list[tuple[float, float, Array]]:
        """The sole that meets the floor at heel and toe, and scuffs between them."""
        strength = self._ask["strength"]
        slap, high_hz = lerp(*self._ground.slap, strength) / self._soft, lerp(2_500.0, 6_000.0, strength) / self._soft
        if not slap:
            return []
        scuffs = [(rng.uniform(0.002, 0.045), slap * rng.uniform(0.2, 0.6), 0.003) for _ in range(3)]
        meets = [(0.0, slap, 0.005), (roll_s, 0.6 * slap, 0.007), *scuffs]
        return [(at_s, loud, _slap(rng, 800.0, high_hz, fall_s)) for at_s, loud, fall_s in meets]


def _trodden(rng: Rng, counts: tuple[int, int], roll_s: float, spread_s: float) -> Array:
    """When the grains of one step give way: under the heel, once more round the push-off; on loose ground some of them
    settle after that."""
    many, later = counts
    heel = rng.gamma(2.0, 0.33 * spread_s, many)
    toe = np.abs(roll_s + 0.45 * spread_s * rng.standard_normal(many // 2))
    settling = rng.exponential(0.16, later) + 0.5 * roll_s
    places = np.concatenate([[0.0, 0.001, 0.003], heel, toe, settling])
    return np.asarray(places[places < 0.6])
