# SPDX-License-Identifier: AGPL-3.0-or-later
"""Wind: gusts with a 1/f course that move the pitch and strength of broad resonances; leaves that answer the gusts."""

from __future__ import annotations

import numpy as np
from scipy import signal

from immersivaudio.engine.synthesis.frame import (
    HOP_S,
    HOPS,
    RATE_HZ,
    Array,
    Ask,
    Ramp,
    Rng,
    Wander,
    glide,
    lerp,
    panned,
)
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


class _Eddies:
    """A control as a long wire or edge takes it: eddies shorter than the span average out. Two poles of ``time_s``."""

    def __init__(self, time_s: float) -> None:
        keep = float(np.exp(-HOP_S / time_s))
        self._share, self._poles = np.array([(1 - keep) ** 2]), np.array([1.0, -2 * keep, keep * keep])
        self._state: Array | None = None

    def frame(self, controls: Array) -> Array:
        """``[HOPS]`` -> ``[HOPS]``, in progress from the start."""
        if self._state is None:
            self._state = signal.lfilter_zi(self._share, self._poles) * controls[0]
        out, self._state = signal.lfilter(self._share, self._poles, controls, zi=self._state)
        return np.asarray(out)


class _Wire:
    """One wire, gap or edge: its aeolian tone at ``f = 0.2 v / d`` (Strouhal 1878) and the breath of its turbulent wake
    about it, ``loud`` for as long as the vortices hold together along it."""

    def __init__(self, rng: Rng, pitch_hz: float) -> None:
        self._pitch_hz, self._loud = pitch_hz, rng.uniform(0.7, 1.0)
        self._own, self._hold = Wander(rng, (0.8, 2.0, 6.0)), [Wander(rng, (0.3, 1.2)) for _ in range(2)]
        self._smooth = _Eddies(0.4), _Eddies(0.15)
        self._ramps, self._phase = (Ramp(), Ramp()), rng.uniform(0, 6.28)
        self._side = panned(rng.uniform(-0.6, 0.6))

    def frame(self, speed: Array) -> tuple[Array, Array]:
        """The tone ``[2, FRAME]`` and the wake's magnitude ``[HOPS, bins]`` at these speeds about 1."""
        local = self._smooth[0].frame(speed * np.exp(0.07 * self._own.frame()))
        # A complex Gaussian course: the tone's level and phase wander as a narrow band of noise does. In a gust the
        # vortices hold together over less of the wire, so that the level grows less than the wind's own.
        course = self._smooth[1].frame(np.hypot(self._hold[0].frame(), self._hold[1].frame())) * local**1.3
        pitch = self._pitch_hz * local
        phase = self._phase + 2 * np.pi * np.cumsum(self._ramps[0].frame(pitch)) / RATE_HZ
        self._phase = float(phase[-1] % (2 * np.pi))
        tone = self._ramps[1].frame(0.07 * self._loud * course) * np.sin(phase)
        return self._side[:, None] * tone, (2.3 * self._loud * course)[:, None] * hump(pitch, 0.4)


class WindWhistle:
    """Wind that whistles through wires, gaps and edges: each its tone and its breath, over the wind itself."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("whistle")
        force = ask["intensity"]
        self._wind = Wind(Ask({"intensity": 0.6 * force, "distance": ask["distance"]}, ask.seed))
        self._gusts, self._swing = Wander(rng, (1.0, 2.5, 6.0)), lerp(0.13, 0.2, force)
        # From thin wire to a shutter's edge, one of each half octave: a place has thin and thick ones.
        thick_m = 0.0011 * 2 ** (0.5 * (np.arange(4) + rng.uniform(0.1, 0.9, 4)))
        self._wires = [_Wire(rng, float(hz)) for hz in 0.2 * glide(4.0, 14.0, force) / thick_m]
        self._noise = Noise(rng, 0.6)

    def frame(self) -> Array:
        speed = np.exp(np.clip(self._swing * self._gusts.frame(), -1.0, 0.8))
        tones, wakes = zip(*(wire.frame(speed) for wire in self._wires), strict=True)
        wake = self._noise.frame(np.sum(wakes, axis=0))
        return np.asarray(0.35 * self._wind.frame() + np.sum(tones, axis=0) + wake)
