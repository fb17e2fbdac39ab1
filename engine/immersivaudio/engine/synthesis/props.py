# SPDX-License-Identifier: AGPL-3.0-or-later
"""Things in hand: an axe, a ball, a door, a bunch of keys, a keyboard. Each is a course of contacts within one event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp, seconds
from immersivaudio.engine.synthesis.impacts import (
    MATERIALS,
    Blow,
    chorus,
    clicked,
    placed,
    pushed,
    ringing,
)
from immersivaudio.engine.synthesis.noise import band, burst, hump, slope
from immersivaudio.engine.synthesis.water import bubble

Part = tuple[float, float, Array]


def laid(parts: Sequence[Part]) -> Array:
    """``(start in seconds, peak, wave)`` added up, mono."""
    out = np.zeros(max(int(start * RATE_HZ) + len(wave) for start, _, wave in parts))
    for start, loud, wave in parts:
        first = int(start * RATE_HZ)
        out[first : first + len(wave)] += loud * wave / (np.max(np.abs(wave)) + 1e-9)
    return out


def knocked(
    rng: Rng, hz: tuple[float, float], decay_s: tuple[float, float], contact_s: float, count: int = 20
) -> Array:
    """A contact through modes between two pitches, mono, peak 1."""
    ring = chorus(rng, hz, decay_s, count, 6 * max(decay_s))
    out = scipy.signal.oaconvolve(ring, pushed(rng, contact_s, 0.7))
    return np.asarray(out / (np.max(np.abs(out)) + 1e-9))


def hissed(rng: Rng, low_hz: float, high_hz: float, fall_s: float) -> Array:
    """A short broad noise that is loud at once, mono."""
    t = seconds(8 * fall_s)
    return np.asarray(burst(rng, 8 * fall_s + 1e-6, band(low_hz, high_hz, 1))[: len(t)] * np.exp(-t / fall_s))


class Chop:
    """An axe or knife into wood: the edge's crack, fibres that part within some hundredths of a second, the block's thud.
    ``size`` from a knife on a board to an axe in a log."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        steel = {"size": 0.3 + 0.6 * ask["size"], "striker": 0.85}
        self._block = Blow(Ask({**ask.knobs, **steel}, ask.seed), "wood")

    def strike(self, rng: Rng) -> Array:
        strength, size = self._ask["strength"], self._ask["size"]
        crack = hissed(rng, 700.0, lerp(4_000.0, 9_000.0, strength), glide(0.002, 0.006, size))
        parts = [
            (0.0, 1.0, self._block.mono(rng)),
            (0.0, lerp(0.15, 0.4, strength), crack),
            (0.0, 0.1 + 0.35 * size, knocked(rng, (90.0, 330.0), (0.010, 0.03), 0.003)),
        ]
        return placed(laid([*parts, *self._split(rng)]), self._ask["distance"], rng)

    def _split(self, rng: Rng) -> list[Part]:
        """Fibres that part one after another, at once and then ever fewer, and chips that fall on the block."""
        strength, size = self._ask["strength"], self._ask["size"]
        fibres: list[Part] = [
            (
                0.0005 + rng.gamma(1.2, lerp(0.008, 0.03, size)),
                0.5 * rng.random() ** 2,
                hissed(rng, glide(900.0, 2_500.0, rng.random()), 9_000.0, glide(0.0006, 0.003, rng.random())),
            )
            for _ in range(int(lerp(6, 30, strength)))
        ]
        chips: list[Part] = [
            (rng.uniform(0.12, 0.45), 0.06 * rng.random(), knocked(rng, (900.0, 4_000.0), (0.002, 0.006), 0.0004))
            for _ in range(int(rng.poisson(3.0 * strength * size)))
        ]
        return fibres + chips


class Kick:
    """A ball that is kicked or bounced: its skin lies against what strikes it for 8 to 12 ms whatever the speed (a
    spring, not Hertz's; Daish 1972), its air and skin ring short and low, the leather slaps."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._air_hz = glide(190.0, 90.0, ask["size"]) * ask.rng("ball").uniform(0.9, 1.1)

    def strike(self, rng: Rng) -> Array:
        strength = self._ask["strength"]
        contact = glide(0.009, 0.0065, strength) * rng.uniform(0.93, 1.07)
        skin = self._air_hz * np.array([1.0, 1.7, 2.4, 3.3, 4.4, 6.1, 8.2, 11.5]) * rng.uniform(0.85, 1.15, 8)
        thump = scipy.signal.oaconvolve(
            ringing(skin, 1.0 / (55.0 + 0.2 * skin), rng.uniform(0.4, 1.0, 8), int(0.15 * RATE_HZ)),
            pushed(rng, 0.45 * contact, 0.6),
        )
        t = seconds(0.15)
        air = burst(rng, 0.15 + 1e-6, band(70.0, 420.0, 2))[: len(t)] * np.clip(t / 0.002, 0, 1) * np.exp(-t / 0.022)
        parts = [
            (0.0, 0.8, thump),
            (0.0, 0.9, air),
            (0.0, lerp(0.6, 1.3, strength), hissed(rng, 450.0, lerp(1_800.0, 4_500.0, strength), 0.006)),
            (contact, lerp(0.15, 0.4, strength), hissed(rng, 250.0, 3_000.0, 0.012)),
        ]
        return placed(laid(parts), self._ask["distance"], rng)


class Door:
    """A door that falls shut: leaf against frame (the panel's low modes), the latch that snaps a moment later, the
    frame's rattle and a puff of the air that it shuts in. ``size`` from a cupboard to a gate."""

    def __init__(self, ask: Ask) -> None:
        self._ask, own = ask, ask.rng("door")
        base = glide(240.0, 62.0, ask["size"])
        self._hz = base * np.sqrt(np.add.outer(np.arange(1, 8) ** 2, 4.0 * np.arange(1, 8) ** 2)).ravel() / np.sqrt(5.0)
        self._hz = np.sort(self._hz[self._hz < 6_000.0] * own.uniform(0.97, 1.03, np.sum(self._hz < 6_000.0)))
        self._latch_hz = own.uniform(1_700.0, 2_600.0)

    def strike(self, rng: Rng) -> Array:
        strength, size = self._ask["strength"], self._ask["size"]
        loud = rng.uniform(0.3, 1.0, len(self._hz)) * (self._hz[0] / self._hz) ** 0.35
        ring = ringing(self._hz, 1 / (20.0 + 0.07 * self._hz), loud, int(0.5 * RATE_HZ))
        slam = scipy.signal.oaconvolve(ring, pushed(rng, glide(0.005, 0.0016, strength) * glide(0.7, 1.3, size), 0.8))
        snap = rng.uniform(0.014, 0.03)
        latch = (self._latch_hz, 4.5 * self._latch_hz)
        rattles = [
            (
                rng.uniform(0.02, 0.16),
                lerp(0.04, 0.22, strength) * rng.random(),
                knocked(rng, (200.0, 2_500.0), (0.002, 0.007), 0.0008, 40),
            )
            for _ in range(int(lerp(2, 7, strength)))
        ]
        parts = [
            (0.0, 1.0, slam),
            (0.0, lerp(0.15, 0.4, strength), clicked(rng, 0.0008, MATERIALS["wood"])),
            (snap, 0.2, knocked(rng, latch, (0.002, 0.007), 0.0002, 40)),
            (snap + rng.uniform(0.008, 0.02), 0.1, knocked(rng, latch, (0.002, 0.007), 0.0002, 40)),
            (0.004, lerp(0.1, 0.3, strength) * size, hissed(rng, 60.0, 500.0, 0.04)),
            *rattles,
        ]
        return placed(laid(parts), self._ask["distance"], rng)


class Keys:
    """A bunch of keys that is shaken or put down: small bars of metal, each with its own high modes, that clash some
    tens of times in a burst."""

    def __init__(self, ask: Ask) -> None:
        self._ask, own = ask, ask.rng("keys")
        # A free bar's modes (1, 2.76, 5.40) and its twist; half as long sounds four times as high.
        self._bars = [
            own.uniform(2_300.0, 5_200.0) * np.array([1.0, 1.83, 2.76, 3.9])
            for _ in range(int(lerp(6, 14, ask["size"])))
        ]

    def strike(self, rng: Rng) -> Array:
        strength = self._ask["strength"]
        length_s = lerp(0.4, 1.1, strength)
        moments = np.concatenate([[0.0], np.sort(rng.beta(1.0, 2.2, int(lerp(24, 80, strength)))) * length_s + 0.004])
        parts = []
        for index, moment in enumerate(moments):
            hz = self._bars[int(rng.integers(0, len(self._bars)))] * rng.uniform(0.97, 1.03)
            ring = ringing(
                hz, rng.uniform(0.01, 0.03) * (hz[0] / hz) ** 0.5, rng.uniform(0.2, 1.0, len(hz)), int(0.21 * RATE_HZ)
            )
            clink = np.convolve(ring, pushed(rng, glide(0.00014, 0.00006, strength), 0.5))
            clink[:96] += 0.5 * np.max(np.abs(clink)) * rng.standard_normal(96) * np.exp(-np.arange(96) / 16)
            loud = 1.0 if not index else min(0.8, 0.25 * rng.lognormal(0.0, 0.7)) * (1 - 0.5 * moment / length_s)
            parts.append((float(moment), float(loud), clink))
        return placed(laid(parts), self._ask["distance"], rng)


class Typing:
    """A key of a keyboard: the finger's tap, the key that bottoms out against its plate, and softer, some 70 to 110 ms
    later, that it springs back; the wide keys rattle. ``hardness`` from a laptop's to a typewriter's."""

    def __init__(self, ask: Ask) -> None:
        self._ask, own = ask, ask.rng("keyboard")
        self._hard = ask["hardness"]
        self._plate_hz = own.uniform(0.9, 1.1) * glide(420.0, 780.0, self._hard)

    def strike(self, rng: Rng) -> Array:
        hard, strength = self._hard, self._ask["strength"]
        wide, key = rng.random() < 0.16, rng.uniform(0.85, 1.18)
        plate = (self._plate_hz * key * (0.7 if wide else 1.0), 9.0 * self._plate_hz * key)
        contact = glide(0.0006, 0.0002, hard) * rng.uniform(0.85, 1.15)
        late_s, back_s = rng.uniform(0.004, 0.012), rng.uniform(0.07, 0.12)
        parts = [
            (0.0, lerp(0.08, 0.25, strength), hissed(rng, 1_500.0, glide(6_000.0, 11_000.0, hard), 0.001)),
            (late_s, 1.0, self._bottom(rng, plate, contact)),
            (late_s, 0.12, burst(rng, 0.05, hump(glide(240.0, 160.0, strength), 0.6)) * np.exp(-seconds(0.05) / 0.01)),
            (back_s, lerp(0.25, 0.5, hard) * rng.uniform(0.6, 1.3), self._bottom(rng, plate, 0.7 * contact)),
            (back_s + 0.004, 0.1, hissed(rng, 2_500.0, 10_000.0, 0.002)),
        ]
        if wide:
            parts.append((rng.uniform(0.012, 0.025), 0.4, knocked(rng, (900.0, 6_000.0), (0.002, 0.01), 0.0003)))
        return placed(laid(parts), self._ask["distance"], rng)

    def _bottom(self, rng: Rng, plate: tuple[float, float], contact_s: float) -> Array:
        """The key against its plate: the cap's click above, the plate's short modes, many of them, below."""
        cap = knocked(rng, (1_800.0, 8_000.0), (0.002, glide(0.004, 0.010, self._hard)), contact_s, 14)
        modes = knocked(rng, plate, (0.002, glide(0.006, 0.012, self._hard)), contact_s, 24)
        return laid([(0.0, 0.8, cap), (0.0, 0.8, modes), (0.0, 0.12, hissed(rng, 1_200.0, 9_000.0, 0.001))])


class Splash:
    """Something that falls into water: the slap, the cavity's deep note as it closes (Minnaert), the spray and the
    bubbles that rise after it. ``size`` from a pebble to a body."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def strike(self, rng: Rng) -> Array:
        size, strength = self._ask["size"], self._ask["strength"]
        t = seconds(0.9)
        spread = glide(0.08, 0.32, size)
        crown = burst(rng, 0.9, band(350.0, lerp(4_000.0, 9_000.0, strength), 1) * slope(-2.5, 900.0))[: len(t)]
        crown *= np.clip(t / (0.25 * spread), 0, 1) * np.exp(-t / spread)
        radius_m = glide(0.004, 0.05, size)
        parts: list[Part] = [
            (0.0, 1.0, hissed(rng, glide(500.0, 120.0, size), 7_000.0, glide(0.005, 0.02, size))),
            (0.0, lerp(0.6, 1.3, strength), crown),
            (glide(0.012, 0.12, size), 0.4, bubble(rng, radius_m, 0.3)),
        ]
        for _ in range(int(lerp(25, 110, size))):
            small = bubble(rng, glide(0.0007, 0.4 * radius_m, rng.random()), 0.3)
            parts.append((0.02 + rng.gamma(1.6, 0.7 * spread), 0.4 * rng.random() ** 1.5, small))
        return placed(laid(parts), self._ask["distance"], rng)
