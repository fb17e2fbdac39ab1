# SPDX-License-Identifier: AGPL-3.0-or-later
"""Wind: gusts with a 1/f course that move the pitch and strength of broad resonances; leaves that answer the gusts."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import HOPS, RATE_HZ, Array, Ask, Ramp, Rng, Wander, glide, lerp, panned
from immersivaudio.engine.synthesis.grains import Shower
from immersivaudio.engine.synthesis.noise import BIN_HZ, Noise, band, hump, slope, unit


class Gusts:
    """The wind's speed relative to its mean: log-normal, 1/f between a second and some ten, squally at force."""

    def __init__(self, rng: Rng, turbulence: float) -> None:
        self._slow = Wander(rng, (1.0, 2.5, 6.0))
        self._fast = Wander(rng, (0.15, 0.5))
        self._turbulence = turbulence

    def frame(self) -> Array:
        """``[HOPS]``, about 1."""
        course = self._turbulence * (0.7 * self._slow.frame() + 0.4 * self._fast.frame())
        return np.exp(np.clip(course, -1.5, 1.2))


class Wind:
    """Wind in the open: aeolian resonances whose pitch follows the speed (Strouhal), their power its fifth power or so."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("wind")
        force = ask["intensity"]
        self._gusts = Gusts(rng, lerp(0.22, 0.42, force))
        self._own = [Wander(rng, (0.25, 1.2, 5.0)) for _ in range(5)]
        self._pitch_hz = np.sort(
            glide(130.0, 210.0, force) * rng.uniform(0.85, 1.15, 5) * np.array([1, 1.7, 2.5, 3.7, 6])
        )
        self._broad = rng.uniform(0.25, 0.42, 5)
        self._weight = np.array([1.0, 0.8, 0.6, 0.4, 0.22]) * np.array([1, 1, 1, 1, lerp(0.4, 1.6, force)])
        self._body = unit(slope(-7.0, 60.0) * band(25.0, 4_000.0, 1))
        self._air = unit(band(700.0, 7_000.0, 1) * slope(-4.0, 900.0)) * lerp(0.03, 0.12, force)
        self._noise = Noise(rng, 0.85)

    def frame(self) -> Array:
        speed = self._gusts.frame()
        magnitude = (0.5 * speed**1.5)[:, None] * self._body + (speed**2.5)[:, None] * self._air
        for pitch, wide, weight, own in zip(self._pitch_hz, self._broad, self._weight, self._own, strict=True):
            local = speed * np.exp(0.25 * own.frame())
            magnitude = magnitude + (weight * 3 * local**2)[:, None] * hump(pitch * local**0.7, wide)
        return self._noise.frame(magnitude)


class WindTrees:
    """Wind in trees: leaf clusters that flutter (broad 1-8 kHz, coming in waves) over a softer body."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("trees")
        force = ask["intensity"]
        self._force = force
        self._gusts = Gusts(rng, lerp(0.25, 0.4, force))
        self._crowns = [Gusts(rng, 0.45) for _ in range(4)]
        self._shiver = [Wander(rng, (0.045, 0.15)) for _ in range(4)]
        centres = np.sort(
            glide(1_500.0, 2_300.0, force) * 2 ** (np.linspace(-0.7, 0.7, 4) + rng.uniform(-0.15, 0.15, 4))
        )
        self._leaves = hump(centres, 0.85) * slope(-1.5, 800.0)
        self._sides = rng.uniform(-0.8, 0.8, 4)
        self._body = unit(slope(-6.0, 90.0) * band(40.0, 3_000.0, 1)) * lerp(0.10, 0.22, force)
        self._noise = Noise(rng, 0.95)
        self._flutter = Shower(rng, 1_500.0, 9_000.0)
        self._ramp = Ramp()

    def frame(self) -> Array:
        speed = self._gusts.frame()
        sides = np.zeros((2, HOPS, len(BIN_HZ)))
        total = np.zeros(HOPS)
        parts = zip(self._crowns, self._shiver, self._leaves, self._sides, strict=True)
        for crown, shiver, shape, side in parts:
            level = (speed * crown.frame()) ** 1.8 * np.exp(0.4 * shiver.frame())
            total += level
            tilt = np.array([1 - 0.4 * side, 1 + 0.4 * side])
            sides += tilt[:, None, None] * (level[:, None] * shape)[None]
        sides += ((speed**1.3)[:, None] * self._body)[None]
        rustle = self._flutter.frame(np.minimum(900.0 * total / 4, 3_000.0))
        return self._noise.frame(sides) + lerp(0.03, 0.05, self._force) * rustle


class WindWhistle:
    """Wind that whistles through wires, gaps and edges: aeolian tones at ``f = 0.2 v / d`` (Strouhal 1878), each a tone
    for as long as its vortices hold together along the wire, over the wind itself."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("whistle")
        force = ask["intensity"]
        self._wind = Wind(Ask({"intensity": 0.6 * force, "distance": ask["distance"]}, ask.seed))
        self._gusts, self._swing = Wander(rng, (1.2, 3.0, 8.0)), lerp(0.16, 0.3, force)
        mean_mps = glide(4.0, 14.0, force)
        self._pitch_hz = np.sort(0.2 * mean_mps / (glide(0.0042, 0.0018, force) * rng.uniform(0.75, 1.6, 4)))
        self._own = [Wander(rng, (1.0, 3.0, 9.0)) for _ in range(4)]
        self._hold = [(Wander(rng, (0.5, 2.0)), Wander(rng, (0.5, 2.0))) for _ in range(4)]
        self._ramps, self._levels = [Ramp() for _ in range(4)], [Ramp() for _ in range(4)]
        self._phases, self._sides = rng.uniform(0, 6.28, 4), panned(rng.uniform(-0.6, 0.6, 4)).T
        self._noise, self._loud = Noise(rng, 0.6), rng.uniform(0.5, 1.0, 4)

    def frame(self) -> Array:
        speed = np.exp(np.clip(self._swing * self._gusts.frame(), -1.0, 0.8))
        out, breath = 0.65 * self._wind.frame(), np.zeros((HOPS, len(BIN_HZ)))
        for k, (pitch, own, hold) in enumerate(zip(self._pitch_hz, self._own, self._hold, strict=True)):
            local = speed * np.exp(0.16 * own.frame())
            # A complex Gaussian course: the tone's level and phase wander as a narrow band of noise does.
            course = np.hypot(hold[0].frame(), hold[1].frame()) * local**2
            phase = self._phases[k] + 2 * np.pi * np.cumsum(self._ramps[k].frame(pitch * local)) / RATE_HZ
            self._phases[k] = float(phase[-1] % (2 * np.pi))
            tone = self._levels[k].frame(0.03 * self._loud[k] * course) * np.sin(phase)
            out += self._sides[k][:, None] * tone
            breath += (2.2 * self._loud[k] * course)[:, None] * hump(pitch * local, 0.13)
        return np.asarray(out + self._noise.frame(breath))
