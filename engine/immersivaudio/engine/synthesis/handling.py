# SPDX-License-Identifier: AGPL-3.0-or-later
"""Small things close by: paper, a camera's shutter, a device's beep, a heart."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import HOP_S, HOPS, RATE_HZ, Array, Ask, Rng, Wander, glide, lerp, seconds
from immersivaudio.engine.synthesis.grains import Cloud
from immersivaudio.engine.synthesis.impacts import placed
from immersivaudio.engine.synthesis.noise import Noise, band, burst, hump, unit
from immersivaudio.engine.synthesis.props import Part, hissed, knocked, laid


def _crease(rng: Rng) -> Array:
    """A crease that snaps over: a click of a millisecond that the sheet answers for some more."""
    centre, fall_s = glide(900.0, 6_500.0, rng.random()), glide(0.0008, 0.006, rng.random() ** 1.5)
    wave = burst(rng, 0.025, hump(centre, 0.5) + 0.3 * band(2_000.0, 9_000.0, 1))
    return np.asarray(2.5 * wave * np.exp(-np.arange(len(wave)) / (fall_s * RATE_HZ)))


class Paper:
    """Paper that is handled and crumpled: creases that snap over, their energies by a power law as of avalanches
    (Kramer and Lobkovsky 1996), in movements of the hand. ``intensity`` from a page turned to a sheet crushed."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng, hard = ask.rng("paper"), ask["intensity"]
        self._hard, self._rng = hard, rng
        self._snaps, self._noise = Cloud(rng, _crease, 160, 0.4, 2), Noise(rng, 0.4)
        self._slide = unit(band(1_500.0, 9_000.0, 1)) * lerp(0.12, 0.2, hard)
        self._quick, self._next_s, self._clock_s = Wander(rng, (0.01, 0.04)), 0.0, 0.0
        self._moves: list[tuple[float, float, float]] = []

    def frame(self) -> Array:
        level = self._moving(self._clock_s + np.arange(HOPS) * HOP_S) * np.exp(0.6 * self._quick.frame())
        self._clock_s += HOPS * HOP_S
        snaps = self._snaps.frame(glide(120.0, 700.0, self._hard) * level, 0.0, 2.6)
        return np.asarray(0.16 * snaps + self._noise.frame(level[:, None] * self._slide))

    def _moving(self, now: Array) -> Array:
        """How much the hand moves at these moments: short moves, some at once, some after a pause."""
        while self._next_s < now[-1] + 0.1:
            length = glide(0.15, 0.9, self._rng.random())
            self._moves.append((self._next_s, length, float(np.exp(0.3 * self._rng.standard_normal()))))
            self._next_s += length * self._rng.uniform(0.4, 1.3) + (0.3 if self._rng.random() < 0.25 else 0.0)
        self._moves = [move for move in self._moves if move[0] + move[1] > now[0] - HOP_S]
        level = np.full(len(now), 0.02)
        for start, length, loud in self._moves:
            level += loud * np.sin(np.pi * np.clip((now - start) / length, 0, 1))
        return level


class Camera:
    """A camera's shutter: mirror up, first curtain, second curtain, mirror down; ``size`` from a pocket camera's click to
    a reflex's clack with its motor."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        own = ask.rng("camera")
        self._body_hz, self._open_s = own.uniform(1_100.0, 1_900.0), own.uniform(0.055, 0.09)

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``, the mirror's stop at its start."""
        strength, size = self._ask["strength"], self._ask["size"]
        low, shut = glide(1.6, 0.5, size) * self._body_hz, self._open_s * rng.uniform(0.96, 1.04)
        parts: list[Part] = []
        for start, loud, hz in (
            (0.0, 1.0, low),
            (0.018, 0.5, 2.2 * low),
            (shut, 0.7, 2.0 * low),
            (shut + 0.02, 0.8, 0.9 * low),
        ):
            clack = laid([
                (0.0, 1.0, knocked(rng, (hz, 5.0 * hz), (0.002, 0.007), 0.0003, 30)),
                (0.0, lerp(0.3, 0.7, strength), hissed(rng, 2_000.0, lerp(6_000.0, 12_000.0, strength), 0.002)),
            ])  # fmt: skip
            parts.append((start * rng.uniform(0.97, 1.03), loud * rng.uniform(0.85, 1.1), clack))
        t = seconds(glide(0.03, 0.22, size))
        whirr = burst(rng, t[-1] + 1e-4, hump(2.6 * low, 0.25) + 0.4 * band(2_000.0, 8_000.0, 1))[: len(t)]
        whirr = (
            whirr[: len(t)]
            * np.sin(np.pi * np.arange(len(whirr)) / len(whirr))
            * (1 + 0.5 * np.sin(2 * np.pi * 190 * t[: len(whirr)]))
        )
        return placed(laid([*parts, (shut + 0.03, 0.08 * size, whirr)]), self._ask["distance"], rng)


class Beep:
    """A device that answers: one or two short notes, nearly pure, that die away at once. ``size`` lowers them."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        own = ask.rng("device")
        self._hz = glide(2_400.0, 700.0, ask["size"]) * own.uniform(0.9, 1.1)
        self._steps = ((1.0,), (1.0, 1.335), (1.0, 1.498), (1.335, 1.0))[int(own.integers(0, 4))]
        self._note_s = own.uniform(0.05, 0.09)

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``."""
        t = seconds(4 * self._note_s)
        parts: list[Part] = []
        for k, step in enumerate(self._steps):
            phase = 2 * np.pi * self._hz * step * rng.uniform(0.999, 1.001) * t
            wave = (
                np.sin(phase)
                + lerp(0.02, 0.3, self._ask["strength"]) * np.sin(2 * phase + 0.5)
                + 0.05 * np.sin(3 * phase)
            )
            parts.append(
                (
                    k * 1.2 * self._note_s,
                    1.0,
                    wave * np.minimum(1.0, t / 0.002) * np.clip((self._note_s - t) / 0.006, 0, 1),
                )
            )
        return placed(laid(parts), self._ask["distance"], rng)


class Heart:
    """A heart as one hears one's own: the first sound as the large valves shut, the second, shorter and higher, some 0.3 s
    later; all below 200 Hz through the chest."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        own, pace = ask.rng("chest"), ask["pace"]
        self._hz, self._systole_s = own.uniform(38.0, 52.0), min(0.33, 0.22 + 0.11 / pace) * own.uniform(0.95, 1.05)

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``, the first sound at its start."""
        strength = self._ask["strength"]
        parts = [
            (0.0, 1.0, self._valve(rng, self._hz, 0.035)),
            (self._systole_s, 0.7, self._valve(rng, 1.35 * self._hz, 0.022)),
        ]
        parts.append((0.0, lerp(0.01, 0.06, strength), hissed(rng, 150.0, lerp(400.0, 2_500.0, strength), 0.015)))
        return placed(laid(parts), self._ask["distance"], rng)

    @staticmethod
    def _valve(rng: Rng, hz: float, fall_s: float) -> Array:
        t = seconds(8 * fall_s)
        thump = np.sin(2 * np.pi * hz * rng.uniform(0.95, 1.05) * t * (1 + 0.15 * np.exp(-t / 0.03)))
        flesh = burst(rng, 8 * fall_s + 1e-6, hump(2.2 * hz, 0.6))[: len(t)]
        wave = thump + 0.5 * flesh / (np.std(flesh) + 1e-9)
        return np.asarray(wave * np.minimum(1.0, t / 0.003) * np.exp(-t / fall_s))
