# SPDX-License-Identifier: AGPL-3.0-or-later
"""Things that fly, as long as they are heard: drones, propeller planes, jets, rockets."""

from __future__ import annotations

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import FRAME, RATE_HZ, Array, Ask, Ramp, Rng, Wander, glide, lerp, panned
from immersivaudio.engine.synthesis.noise import Noise, band, hump, slope, unit
from immersivaudio.engine.synthesis.tones import Wheel


class _Propeller:
    """One small propeller and its motor: harmonics of the blade rate, a rate that its controller keeps correcting."""

    def __init__(self, rng: Rng, pass_hz: float) -> None:
        orders = np.arange(1, 49)
        # Two blades that differ a little leave the shaft's own orders between the blade's; the motor whines at its 14 poles.
        blade = np.where(orders % 2 == 0, (orders / 2.0) ** -0.85, 0.16 * orders**-0.5)
        blade[13] += 0.22
        blade[27] += 0.16
        self._wheel = Wheel(rng, blade * rng.uniform(0.6, 1.3, 48))
        self._shaft_hz, self._ramp = pass_hz / 2, Ramp()
        self._hunt, self._steer = Wander(rng, (0.03, 0.12, 0.5)), Wander(rng, (0.4, 1.5))
        self.sides = panned(rng.uniform(-0.35, 0.35))

    def frame(self, throttle: Array) -> Array:
        rate = self._shaft_hz * throttle * (1 + 0.008 * self._hunt.frame() + 0.02 * self._steer.frame())
        return self._wheel.frame(self._ramp.frame(rate))


class Drone:
    """A multicopter: four propellers that are never quite in tune, and the hiss of their tips."""

    settle_s = 8.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("drone")
        fast = ask["speed"]
        pass_hz = glide(150.0, 280.0, fast)
        self._props = [_Propeller(rng, pass_hz * rng.uniform(0.95, 1.05)) for _ in range(4)]
        self._throttle, self._gust = Wander(rng, (0.5, 2.0, 6.0)), Wander(rng, (0.1, 0.4))
        self._noise = Noise(rng, 0.5)
        self._hiss = unit(band(900.0, 11_000.0, 1) * slope(-2.0, 3_000.0)) * lerp(0.2, 0.34, fast)
        self._wash = unit(band(80.0, 1_200.0, 1) * slope(-3.0, 200.0)) * 0.12

    def frame(self) -> Array:
        throttle = 1 + 0.025 * self._throttle.frame()
        gust = np.exp(0.15 * self._gust.frame())[:, None]
        tones = np.sum([prop.sides[:, None] * prop.frame(throttle) for prop in self._props], axis=0)
        return np.asarray(0.3 * tones + self._noise.frame(gust * (self._hiss + self._wash)))


class Propeller:
    """A propeller plane: piston engine and blades on one shaft, so that firing and blade harmonics beat slowly where
    there are two engines; the wash is chopped at the blade rate (Gutin 1936 for the blade's harmonics)."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("propeller")
        fast = ask["speed"]
        shaft_hz = glide(26.0, 44.0, fast)
        orders = np.arange(1, 65)
        # Orders of half the shaft: blades (two a turn) every 4th, firings of six cylinders every 6th.
        blade = np.where(orders % 4 == 0, 1.1 * np.exp(-orders / 26.0), 0.0)
        firing = np.where(orders % 6 == 0, (orders / 6.0) ** -1.0, 0.09 * orders**-0.4)
        self._wheels = [Wheel(rng, (blade + firing) * rng.uniform(0.6, 1.3, 64)) for _ in range(2)]
        self._half_hz = [shaft_hz / 2 * detune for detune in (1.0, 1.0 + rng.uniform(0.003, 0.009))]
        self._hunts, self._ramps = [Wander(rng, (0.2, 1.0, 5.0)) for _ in range(2)], [Ramp(), Ramp()]
        self._noise, self._drift = Noise(rng, 0.5), Wander(rng, (0.3, 1.5, 6.0))
        self._wash = unit(band(90.0, 4_500.0, 1) * slope(-3.0, 400.0)) * lerp(0.6, 0.8, fast)
        self._turns, self._beat = 0.0, Ramp()

    def frame(self) -> Array:
        tones = np.zeros(FRAME)
        for wheel, hz, hunt, ramp, loud in zip(
            self._wheels, self._half_hz, self._hunts, self._ramps, (1.0, 0.7), strict=True
        ):
            tones += loud * wheel.frame(ramp.frame(hz * (1 + 0.004 * hunt.frame())))
        turns = self._turns + 4 * self._half_hz[0] * np.arange(1, FRAME + 1) / RATE_HZ
        self._turns = float(turns[-1] % 1.0)
        wash = self._noise.frame(np.exp(0.12 * self._drift.frame())[:, None] * self._wash)
        return np.asarray(0.5 * tones + wash * (1 + 0.55 * np.cos(2 * np.pi * turns)))


class Jet:
    """A jet engine that stays: the roar of mixing behind it (peak at a Strouhal number of 0.2; Lighthill 1952, Tam 1996),
    the fan's whine and the buzz of its shaft orders (Tyler and Sofrin 1962) before it."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("jet")
        fast = ask["speed"]
        self._noise, self._drift = Noise(rng, 0.75), Wander(rng, (0.2, 1.0, 5.0))
        peak_hz = glide(140.0, 300.0, fast)
        self._roar = unit(band(40.0, 6_000.0, 1) * (hump(peak_hz, 1.5) + 0.12)) * lerp(0.25, 0.8, fast)
        blades, orders = int(rng.integers(18, 27)), np.arange(1, 105)
        buzz = 0.045 * fast * np.exp(-(((orders - 0.6 * blades) / blades) ** 2)) * rng.lognormal(0.0, 0.6, 104)
        for k, loud in ((1, 1.0), (2, 0.55), (3, 0.3), (4, 0.16)):
            buzz[k * blades - 1] += loud
        self._whine, self._ramp = Wheel(rng, buzz, 1 << 14), Ramp()
        self._shaft_hz, self._hunt = glide(58.0, 118.0, fast), Wander(rng, (0.2, 1.0, 6.0))
        self._hiss = unit(band(1_800.0, 12_000.0, 1) * slope(-3.0, 3_500.0)) * 0.13
        self._flutter = Wander(rng, (0.02, 0.08, 0.3))

    def frame(self) -> Array:
        drift, flutter = np.exp(0.18 * self._drift.frame()), np.exp(0.12 * self._flutter.frame())
        roar = self._noise.frame((drift * flutter)[:, None] * self._roar + self._hiss)
        whine = self._whine.frame(self._ramp.frame(self._shaft_hz * (1 + 0.0012 * self._hunt.frame())))
        return np.asarray(roar + 0.09 * whine)


class Rocket:
    """A rocket's plume: a roar whose peak lies at some tens of hertz, and crackle: shocks that rise at once and fall
    slowly, so that the pressure's course is lopsided (Ffowcs Williams 1975; skewness 0.4 and more)."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("rocket")
        force = self._force = ask["intensity"]
        self._noise, self._heave, self._tear = (
            Noise(rng, 0.7),
            Wander(rng, (0.4, 2.0, 6.0)),
            Wander(rng, (0.03, 0.1, 0.4)),
        )
        self._deep = unit(band(24.0, 1_500.0, 1) * slope(-6.0, 60.0)) * 0.5
        self._hiss = unit(band(500.0, 9_000.0, 1) * slope(-3.0, 1_200.0)) * lerp(0.004, 0.01, force)
        self._crackle = lerp(0.25, 0.8, force) * (1 - 0.7 * ask["distance"])
        fall = np.exp(-1 / (0.0016 * RATE_HZ))
        self._shock, self._state = ([1.0, -1.0], [1.0, -fall]), np.zeros((2, 1))
        self._sos = scipy.signal.butter(1, 9_000.0, fs=RATE_HZ, output="sos")
        self._soft = np.zeros((1, 2, 2))

    def frame(self) -> Array:
        heave, tear = np.exp(0.12 * self._heave.frame()), np.exp(0.35 * self._tear.frame())
        roar = self._noise.frame((heave * tear**0.5)[:, None] * self._deep + tear[:, None] * self._hiss)
        count = self._rng.poisson(lerp(160.0, 420.0, self._force) * FRAME / RATE_HZ)
        places = self._rng.integers(0, FRAME, count)
        loud = np.minimum(self._rng.pareto(2.4, count) + 0.4, 7.0) * panned(self._rng.uniform(-0.6, 0.6, count))
        shocks: Array = np.stack([np.bincount(places, side, FRAME) for side in loud]).astype(np.float64)
        shocks, self._state = scipy.signal.lfilter(*self._shock, shocks, axis=-1, zi=self._state)
        shocks, self._soft = scipy.signal.sosfilt(self._sos, shocks, axis=-1, zi=self._soft)
        return np.asarray(roar + self._crackle * shocks)
