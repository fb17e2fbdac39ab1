# SPDX-License-Identifier: AGPL-3.0-or-later
"""Machines: engines as trains of cylinder pulses through their exhaust, rotors, electric machines, vehicle cabins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine.synthesis.frame import (
    FRAME,
    RATE_HZ,
    Array,
    Ask,
    Ramp,
    Rng,
    Wander,
    glide,
    lerp,
    seconds,
)
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.impacts import ringing
from immersivaudio.engine.synthesis.noise import Noise, band, burst, hump, resonance, slope, unit
from immersivaudio.engine.synthesis.tones import Motor

_MIDDLE = np.array([0.7071, 0.7071])


class Turning:
    """A shaft: its turns sample by sample, from a rate that hunts a little, and the moments of each event per turn."""

    def __init__(self, rng: Rng, rate_hz: float, unsteady: float) -> None:
        self._rate_hz, self._unsteady = rate_hz, unsteady
        self._hunt, self._ramp, self._turns = Wander(rng, (0.1, 0.6, 3.0)), Ramp(), 0.0

    def frame(self) -> Array:
        """Turns so far at each sample, ``[FRAME]``."""
        rate = self._ramp.frame(self._rate_hz * (1 + self._unsteady * self._hunt.frame()))
        turns = self._turns + np.cumsum(rate) / RATE_HZ
        self._turns = float(turns[-1])
        return turns


def _passings(turns: Array, before: float) -> NDArray[np.int64]:
    """Samples at which ``turns`` passes a whole number."""
    return np.flatnonzero(np.diff(np.floor(turns), prepend=np.floor(before)))


class Pulses:
    """Events at whole numbers of a course of turns, each a waveform of the given row with some jitter in level."""

    def __init__(self, rng: Rng, waves: Sequence[Array], jitter: float) -> None:
        self._rng, self._waves, self._jitter = rng, waves, jitter
        self._tape, self._before, self._count = Tape(), 0.0, 0

    def frame(self, turns: Array) -> Array:
        """``[2, FRAME]``."""
        for start in _passings(turns, self._before):
            wave = self._waves[self._count % len(self._waves)]
            late = int(abs(self._rng.normal(0, self._jitter)) * 40)
            loud = max(0.1, 1 + self._jitter * self._rng.standard_normal())
            self._tape.lay(int(start) + late, wave, loud * _MIDDLE)
            self._count += 1
        self._before = float(turns[-1])
        return self._tape.frame()


def _exhaust_pulse(rng: Rng, rate_hz: float, pipe_hz: float) -> Array:
    """One cylinder's blow-down through the pipe: a pulse of a few ms, the pipe's odd resonances, a rasp of gas."""
    t = seconds(0.12)
    width = 0.9 / max(rate_hz, 20.0)
    blow = np.exp(-(((t - 0.15 * width) / (0.07 * width)) ** 2)) - 0.45 * np.exp(
        -(((t - 0.45 * width) / (0.12 * width)) ** 2)
    )
    ring = sum(
        np.sin(2 * np.pi * pipe_hz * k * rng.uniform(0.985, 1.015) * t) * np.exp(-t * (28 + 9 * k)) / k
        for k in (1, 3, 5, 7, 9)
    )
    rasp = burst(rng, 0.12, band(300.0, 4_500.0, 1)) * np.exp(-t / (0.35 * width))
    wave = blow + 0.5 * np.asarray(ring) + 0.7 * rasp
    return np.asarray(wave * np.minimum(1.0, (t[-1] - t) / 0.02), np.float64)


class Engine:
    """A four-stroke engine outside: firing pulses, each cylinder its own, intake hiss and valve gear on top."""

    settle_s = 8.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("engine")
        fast = ask["speed"]
        self._fire_hz = glide(25.0, 165.0, fast)
        self._shaft = Turning(rng, self._fire_hz, lerp(0.02, 0.006, fast))
        pipe_hz = rng.uniform(62.0, 88.0)
        waves = [_exhaust_pulse(rng, self._fire_hz, pipe_hz) * rng.uniform(0.8, 1.15) for _ in range(4)]
        self._exhaust = Pulses(rng, waves, lerp(0.16, 0.07, fast))
        tick = [burst(rng, 0.006, hump(rng.uniform(2_200, 4_500), 0.5)) * np.linspace(1, 0, 288) ** 3 for _ in range(8)]
        self._valves, self._clatter = Pulses(rng, tick, 0.3), lerp(0.25, 0.4, fast)
        self._noise = Noise(rng, 0.6)
        self._intake = unit(band(250.0, 3_500.0, 1) * slope(-3.0, 500.0)) * lerp(0.03, 0.2, fast)

    def frame(self) -> Array:
        turns = self._shaft.frame()
        breath = 1 + 0.6 * np.cos(2 * np.pi * turns)
        out = 0.8 * self._exhaust.frame(turns) + self._clatter * self._valves.frame(2 * turns)
        return np.asarray(out + self._noise.frame(self._intake) * breath)


def _blade_slap(rng: Rng, pass_hz: float) -> Array:
    """A blade that meets its forerunner's vortex: a pressure doublet and a burst of broad noise."""
    t = seconds(0.09)
    edge = 0.0035
    doublet = -(t - 0.008) / edge * np.exp(-(((t - 0.008) / edge) ** 2)) * 2.3
    thud = burst(rng, 0.09, hump(110.0, 0.8)) * np.exp(-t / 0.022) * np.clip(t / 0.004, 0, 1)
    whip = burst(rng, 0.09, band(250.0, 2_500.0, 1) * slope(-3.0, 400.0)) * np.exp(-t / 0.02) * np.clip(t / 0.006, 0, 1)
    return np.asarray((0.6 * doublet + 1.2 * thud + 0.35 * whip) * min(1.0, 30.0 / pass_hz), np.float64)


class Rotor:
    """A helicopter: slap and wash at the blade rate, a tail rotor's buzz, a turbine's whine; small and fast is a drone."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("rotor")
        fast = ask["speed"]
        pass_hz = glide(9.0, 26.0, fast)
        self._shaft, self._tail = Turning(rng, pass_hz, 0.006), Turning(rng, pass_hz * 5.3, 0.004)
        self._slap = Pulses(rng, [_blade_slap(rng, pass_hz) * rng.uniform(0.85, 1.1) for _ in range(4)], 0.12)
        self._noise = Noise(rng, 0.8)
        self._wash = unit(band(60.0, 5_000.0, 1) * slope(-3.5, 200.0)) * 0.55
        self._whine_hz = rng.uniform(2_600.0, 3_800.0) * lerp(0.9, 1.3, fast)
        self._turbine = unit(resonance(self._whine_hz, 40.0) + 0.5 * resonance(self._whine_hz * 2.37, 50.0)) * 0.035
        self._near = 1 - 0.8 * ask["distance"]
        self._drift = Wander(rng, (0.4, 2.0, 7.0))

    def frame(self) -> Array:
        turns, tail = self._shaft.frame(), self._tail.frame()
        drift = np.exp(0.12 * self._drift.frame())[:, None]
        beat = 0.7 + 0.5 * np.cos(2 * np.pi * (turns - 0.12))
        out = self._noise.frame(drift * (self._wash + self._near * self._turbine)) * beat
        buzz = sum(np.sin(2 * np.pi * k * tail) / k for k in (1, 2, 3, 4, 5, 6))
        return np.asarray(out + 0.8 * self._slap.frame(turns) + 0.05 * np.asarray(buzz) * (0.7 + 0.3 * beat))


class Machine:
    """A machine in a hall: motor hum, gear mesh, a rhythm of strokes that turns with it, air."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("machine")
        fast = ask["speed"]
        self._shaft = Turning(rng, glide(10.0, 34.0, fast), 0.003)
        self._stroke = Pulses(rng, [_stroke(rng) * g for g in (1.0, 0.45, 0.7, 0.45)], 0.1)
        self._per_turn = 0.5
        self._mesh = np.array([2, 4, 17, 34, 51], float)
        self._loud = np.array([0.3, 0.2, 0.2, 0.14, 0.09]) * rng.uniform(0.7, 1.3, 5)
        self._noise = Noise(rng, 0.7)
        self._air = unit(band(120.0, 3_500.0, 1) * slope(-4.0, 300.0)) * lerp(0.13, 0.3, fast)
        self._drift = Wander(rng, (0.2, 1.0, 5.0))

    def frame(self) -> Array:
        turns = self._shaft.frame()
        gears = self._loud @ np.sin(2 * np.pi * self._mesh[:, None] * turns)
        air = self._noise.frame(np.exp(0.08 * self._drift.frame())[:, None] * self._air)
        return np.asarray(
            air
            + gears * (1 + 0.2 * np.cos(2 * np.pi * turns * self._per_turn))
            + 0.55 * self._stroke.frame(turns * self._per_turn)
        )


def _stroke(rng: Rng) -> Array:
    t = seconds(0.18)
    body = burst(rng, 0.18, hump(rng.uniform(140, 260), 0.5)) * np.exp(-t / 0.03)
    metal = sum(
        np.sin(2 * np.pi * f * t) * np.exp(-t / d)
        for f, d in zip(rng.uniform(500, 4_000, 12), rng.uniform(0.007, 0.028, 12), strict=True)
    )
    clatter = burst(rng, 0.18, band(1_500.0, 9_000.0, 1)) * np.exp(-t / rng.uniform(0.004, 0.02))
    return np.asarray(1.1 * body + 0.2 * metal + 0.1 * clatter, np.float64)


class Cabin:
    """Inside a car: the body's boom below 120 Hz, the engine's order, tyres through the floor, wind at the pillars."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("cabin")
        fast = ask["speed"]
        boom = sum(hump(float(f), 0.1) for f in (rng.uniform(38, 48), rng.uniform(72, 90), rng.uniform(115, 140)))
        self._boom = unit(slope(-7.0, 60.0) * band(35.0, 900.0, 1) * (1 + 1.2 * np.asarray(boom)))
        self._tyres = unit(hump(lerp(260.0, 420.0, fast), 0.9) * slope(-2.0, 400.0)) * lerp(0.2, 0.5, fast)
        self._wind = unit(band(400.0, 4_500.0, 1) * slope(-4.0, 700.0)) * lerp(0.02, 0.2, fast**1.5)
        self._noise, self._road, self._gust = Noise(rng, 0.7), Wander(rng, (0.06, 0.25, 2.0)), Wander(rng, (0.5, 2.0))
        self._motor, self._cycle_hz = Motor(rng, 0.4), glide(9.0, 26.0, fast) * rng.uniform(0.92, 1.08)
        self._hunt, self._ramp = Wander(rng, (0.1, 0.6, 3.0)), Ramp()
        self._rng, self._tape, self._joints = rng, Tape(), glide(0.1, 0.6, fast)
        self._sos = scipy.signal.butter(1, 900.0, fs=RATE_HZ, output="sos")

    def frame(self) -> Array:
        road, gust = np.exp(0.07 * self._road.frame()), np.exp(0.1 * self._gust.frame())
        magnitude = road[:, None] * (self._boom + self._tyres) + gust[:, None] * self._wind
        for _ in range(self._rng.poisson(self._joints * FRAME / RATE_HZ)):
            start, loud = int(self._rng.integers(0, FRAME)), 0.12 * np.exp(0.5 * self._rng.standard_normal())
            for axle in (0, int(2.7 / lerp(8.0, 32.0, 0.5) * RATE_HZ)):
                self._tape.lay(start + axle, _joint(self._rng), loud * _MIDDLE)
        motor = self._motor.frame(self._cycle_hz * self._ramp.frame(1 + 0.006 * self._hunt.frame()))
        return self._noise.frame(magnitude) + 0.9 * motor + self._tape.frame()


def _joint(rng: Rng) -> Array:
    t = seconds(0.12)
    return np.asarray(burst(rng, 0.12, hump(85.0, 0.6)) * np.exp(-t / 0.025) * np.clip(t / 0.004, 0, 1) * 3.0)


class Clock:
    """A clock's escapement: every beat is three sounds within some milliseconds (the pallet unlocks, is pushed, drops on
    the next tooth), tick and tock at the wheel's two sides, through the modes of its case. ``speed`` is 1 to 5 beats a
    second. It repeats, as a clock does, but no beat is quite the one before."""

    settle_s = 8.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("clock")
        self._beat_s, self._count = 1 / glide(1.0, 6.0, ask["speed"]), 0
        self._case = [self._side(rng, own) for own in (1.0, rng.uniform(0.8, 0.92))]
        self._tape, self._next_s, self._clock_s = Tape(), 0.05, 0.0
        self._noise, self._air = Noise(rng, 0.9), unit(slope(-6.0, 70.0) * band(35.0, 3_000.0, 1)) * 0.003

    @staticmethod
    def _side(rng: Rng, pitch: float) -> Array:
        return np.sort(pitch * 800.0 * (9_000.0 / 800.0) ** rng.random(14))

    def frame(self) -> Array:
        while self._next_s < self._clock_s + FRAME / RATE_HZ:
            start = max(0, int((self._next_s - self._clock_s) * RATE_HZ))
            self._tape.lay(start, self._beat(), _MIDDLE)
            self._next_s += (
                self._beat_s * (1.0 + (0.012 if self._count % 2 else -0.012)) + 0.0006 * self._rng.standard_normal()
            )
            self._count += 1
        self._clock_s += FRAME / RATE_HZ
        return np.asarray(self._tape.frame() + self._noise.frame(self._air))

    def _beat(self) -> Array:
        rng, hz = self._rng, self._case[self._count % 2]
        out, tick = np.zeros(int(0.12 * RATE_HZ)), np.exp(-seconds(0.02) / 0.001)
        for late_s, loud in ((0.0, 0.4), (0.0035, 0.5), (0.0105, 1.0)):
            ring = ringing(hz, np.full(14, 0.008), rng.uniform(0.3, 1.0, 14), 4_000)
            click = burst(rng, 0.02, band(1_500.0, 12_000.0, 2))[: len(tick)] * tick
            hit = 0.14 * ring / np.max(np.abs(ring))
            hit[: len(click)] += 0.8 * click / np.max(np.abs(click))
            first = int((late_s * rng.uniform(0.9, 1.1)) * RATE_HZ)
            out[first : first + len(hit)] += loud * rng.uniform(0.8, 1.15) * hit
        return out
