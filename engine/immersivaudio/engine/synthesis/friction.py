# SPDX-License-Identifier: AGPL-3.0-or-later
"""Things that slide and roll: the roughness between two surfaces as a force through the modes of what they belong to.

After van den Doel, Kry and Pai 2001 ("FoleyAutomatic"): the force of sliding is noise whose band moves with the speed,
as a rough surface is read faster; rolling reads the same surface through the wide contact of a ball, so far duller, and
a ball that is not quite round presses harder once a turn.
"""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import (
    FRAME,
    FRAME_S,
    HOP_S,
    HOPS,
    RATE_HZ,
    Array,
    Ask,
    Ramp,
    Rng,
    Wander,
    glide,
)
from immersivaudio.engine.synthesis.grains import Cloud, rub
from immersivaudio.engine.synthesis.impacts import pushed, ringing
from immersivaudio.engine.synthesis.noise import Noise, band, hump, slope
from immersivaudio.engine.synthesis.space import Convolver, partitioned


def body(rng: Rng, base_hz: float, hard: float, count: int = 420) -> Array:
    """A plate's answer to a force at one place, ``[2, n]`` (two places for two ears): modes evenly spaced, falling by
    the loss of wood (``hard`` 0) to that of metal (1). Energy 1 a channel."""
    hz = base_hz * (1 + 0.22 * (np.arange(count) + 0.3 * rng.standard_normal(count)))
    hz = np.abs(hz[(hz > 40.0) & (hz < 16_000.0)])
    decay_s = 1 / (glide(160.0, 45.0, hard) + np.pi * glide(0.05, 0.008, hard) * hz)
    samples = int(min(0.45, 5 * float(decay_s.max())) * RATE_HZ)
    shared = rng.uniform(0.3, 1.0, len(hz))
    rows = [ringing(hz, decay_s, shared * rng.uniform(0.4, 1.0, len(hz)), samples) for _ in range(2)]
    out = np.stack(rows)
    out[:, 0] += 0.4 * np.max(np.abs(out))
    return np.asarray(out / np.sqrt(np.sum(out**2, axis=1, keepdims=True)))


class Scrape:
    """Something heavy dragged, or one surface drawn over another: stroke after stroke, each sticking and slipping.
    ``speed`` is that of the strokes, ``hardness`` from wood on wood to metal on stone."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("scrape")
        self._fast, hard = ask["speed"], ask["hardness"]
        self._body = Convolver(partitioned(body(rng, glide(150.0, 420.0, hard), hard)))
        self._noise, self._rough = Noise(rng, 0.0), Wander(rng, (0.01, 0.03, 0.12))
        self._slow, self._bite = Wander(rng, (0.1, 0.4)), Wander(rng, (0.25, 1.0))
        self._read_hz = glide(1_100.0, 4_200.0, hard)
        self._catches = Cloud(
            rng, lambda own: rub(own, glide(250.0, 1.2 * self._read_hz + 900.0, own.random())), 96, 0.3
        )
        # What slips lets go at once: the force's change, not the force.
        self._slips = Cloud(
            rng, lambda own: np.diff(pushed(own, own.uniform(0.0004, 0.0014), 1.2), prepend=0.0), 64, 0.3
        )
        self._strokes: list[tuple[float, float, float]] = []
        self._clock_s, self._next_s = 0.0, 0.0

    def frame(self) -> Array:
        now = self._clock_s + np.arange(HOPS) * HOP_S
        self._clock_s += FRAME_S
        speed = self._drawn(now) * np.exp(0.2 * self._slow.frame())
        # Where it bites it sticks and slips some tens of times a second; where it glides it hisses.
        bite = np.exp(0.5 * self._bite.frame())
        grip = speed * np.exp(0.5 * self._rough.frame())
        paint = hump(self._read_hz * (0.25 + 0.9 * np.sqrt(speed)), 1.1) * slope(-2.0, 500.0)
        force = 0.6 * self._noise.frame(grip[:, None] * paint)[0]
        force = force + 0.14 * self._catches.frame(420.0 * grip * bite, 0.7)[0]
        force = force + 4.0 * self._slips.frame(260.0 * speed * bite, 0.5)[0]
        return self._body.frame(force) + 0.5 * force

    def _drawn(self, now: Array) -> Array:
        """The speed of the strokes at these moments: a fast start, a hold, a stop."""
        while self._next_s < now[-1] + 0.1:
            length = glide(2.4, 0.6, self._fast) * self._rng.uniform(0.6, 1.5)
            self._strokes.append((self._next_s, length, self._rng.uniform(0.6, 1.1)))
            self._next_s += length * self._rng.uniform(0.95, 1.5)
        self._strokes = [stroke for stroke in self._strokes if stroke[0] + stroke[1] > now[0] - HOP_S]
        speed = np.full(len(now), 0.015)
        for start, length, most in self._strokes:
            share = np.clip((now - start) / length, 0.0, 1.0)
            speed += most * np.sin(0.5 * np.pi * np.minimum(np.minimum(1.0, share / 0.22), (1 - share) / 0.25)) ** 2
        return speed


class Roll:
    """A ball, barrel or wheel that rolls over a floor: a rumble that goes with its turns, ticks where the ground is
    uneven. ``speed`` in 0.3 to 4 m/s, ``size`` its radius, ``hardness`` of both."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("roll")
        fast, size, hard = glide(0.3, 4.0, ask["speed"]), ask["size"], ask["hardness"]
        radius_m = glide(0.008, 0.25, size)
        self._turns_hz, self._turn = fast / (2 * np.pi * radius_m), rng.random()
        self._body = Convolver(partitioned(body(rng, glide(420.0, 70.0, size), 0.6 * hard)))
        self._noise, self._rough, self._steady = (
            Noise(rng, 0.0),
            Wander(rng, (0.01, 0.04)),
            Wander(rng, (0.3, 1.5, 5.0)),
        )
        # The surface read at this speed, and no wave shorter than the contact itself.
        contact_m = glide(0.0012, 0.0004, hard) * (radius_m / 0.03) ** (1 / 3)
        self._paint = band(30.0, fast / contact_m, 1) * slope(-3.0, 200.0)
        width_s = glide(0.0014, 0.00018, hard) * (radius_m / 0.03) ** 0.5
        self._ticks, self._rate_hz = (
            Cloud(rng, lambda own: 0.3 / np.sqrt(width_s) * pushed(own, width_s, 0.5), 48, 0.0),
            9.0 + 24.0 * fast,
        )
        self._lobes, self._ramp = rng.uniform(0.25, 0.5), Ramp()

    def frame(self) -> Array:
        pace = 1 + 0.08 * self._steady.frame()
        turns = self._turn + np.cumsum(self._turns_hz * HOP_S * pace)
        self._turn = float(turns[-1] % 1.0)
        press = (1 + self._lobes * np.cos(2 * np.pi * turns) + 0.15 * np.cos(6 * np.pi * turns)) * pace**2
        level = np.maximum(0.05, press) * np.exp(0.25 * self._rough.frame())
        force = (
            self._noise.frame(level[:, None] * self._paint)[0] + 0.3 * self._ticks.frame(self._rate_hz * level, 0.8)[0]
        )
        return self._body.frame(force[:FRAME])
