# SPDX-License-Identifier: AGPL-3.0-or-later
"""Places that people built: the city far off, the road close by, rooms and the air that is blown into them."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import (
    FRAME,
    FRAME_S,
    HOP_S,
    HOPS,
    Array,
    Ask,
    Ramp,
    Rng,
    Wander,
    glide,
    lerp,
    panned,
    seconds,
)
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.noise import BIN_HZ, Noise, band, burst, hump, slope, unit
from immersivaudio.engine.synthesis.space import in_room
from immersivaudio.engine.synthesis.tones import Hum, Motor


class _Vehicle:
    """One that drives by: closest moment, distance, speed, side it comes from, its weight (a lorry is lower, louder)."""

    def __init__(self, rng: Rng, at_s: float, distance_m: float, speed_mps: float) -> None:
        self.at_s, self._distance_m, self._speed_mps = at_s, distance_m * rng.uniform(0.8, 1.5), speed_mps
        self._way = float(rng.choice([-1.0, 1.0]))
        heavy = rng.random() < 0.15
        self._loud = (1.9 if heavy else 1.0) * np.exp(0.2 * rng.standard_normal())
        tyre, thump = hump(glide(750.0, 1_150.0, rng.random()), 0.75), hump(75.0 if heavy else 110.0, 0.5)
        self._near = tyre + (1.2 if heavy else 0.5) * thump + 0.22 * band(1_500.0, 7_000.0, 1)
        self._far = tyre * slope(-3.0, 500.0) + 0.5 * thump
        self._motor = Motor(rng, 0.5)
        self._cycle_hz = rng.uniform(6.0, 10.0) if heavy else rng.uniform(13.0, 26.0)
        self._growl = 0.45 if heavy else 0.24
        self._ramps = [Ramp(), Ramp(), Ramp()]

    def _course(self, now_s: Array, hear_s: float) -> tuple[Array, Array, Array]:
        """Level, place along the way (-1 to 1) and clearness at these moments; unheard ``hear_s`` before and after."""
        along = self._way * (now_s - self.at_s) * self._speed_mps
        reach = np.hypot(along, self._distance_m)
        heard = np.clip(1 - ((now_s - self.at_s) / hear_s) ** 2, 0.0, 1.0)
        return self._loud * heard * 8.0 / reach, along / reach, np.clip(1.2 * self._distance_m / reach, 0.0, 1.0)

    def drive(self, now_s: Array, hear_s: float) -> tuple[Array, Array]:
        """Magnitude ``[2, HOPS, bins]`` of the tyres at these moments, level as 1/r, panned along the way, highs lost
        with distance; and the motor with its Doppler shift, ``[2, FRAME]``."""
        level, along, clear = self._course(now_s, hear_s)
        angle = (along + 1) * np.pi / 4
        sides = np.stack([np.cos(angle), np.sin(angle)])
        spectrum = level[:, None] * (clear[:, None] * self._near + (1 - clear[:, None]) * self._far)
        shift = 1 / (1 + self._speed_mps / 343.0 * along * self._way)
        motor = self._motor.frame(self._cycle_hz * self._ramps[0].frame(shift))
        loud = self._growl * level * (0.35 + 0.65 * clear) * sides
        gains = np.stack([self._ramps[1].frame(loud[0]), self._ramps[2].frame(loud[1])])
        return sides[:, :, None] * spectrum[None], gains * motor


class _Road:
    """Vehicles at random intervals."""

    def __init__(self, rng: Rng, every_s: float, distance_m: float, speed_mps: float) -> None:
        self._rng, self._every_s, self._distance_m, self._speed_mps = rng, every_s, distance_m, speed_mps
        self._hear_s = 4.5 * distance_m / speed_mps + 4.0
        self._cars: list[_Vehicle] = []
        self._next_s = -self._hear_s

    def drive(self, now_s: Array) -> tuple[Array, Array]:
        """Magnitude ``[2, HOPS, bins]`` of all of them (powers add), and their motors ``[2, FRAME]``."""
        self._cars = [car for car in self._cars if car.at_s > now_s[0] - self._hear_s]
        while self._next_s < now_s[-1] + self._hear_s:
            speed = self._speed_mps * self._rng.uniform(0.75, 1.25)
            self._cars.append(_Vehicle(self._rng, self._next_s, self._distance_m, speed))
            self._next_s += 0.35 * self._every_s + self._rng.exponential(0.65 * self._every_s)
        power, motors = np.zeros((2, HOPS, len(BIN_HZ))), np.zeros((2, FRAME))
        for car in self._cars:
            tyres, motor = car.drive(now_s, self._hear_s)
            power += tyres**2
            motors += motor
        return np.sqrt(power), motors


class Traffic:
    """A road close by: one car after another, tyres round 1 kHz, over the road's own roar."""

    settle_s = 20.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("traffic")
        dense, far = ask["intensity"], ask["distance"]
        self._road = _Road(rng, glide(7.0, 1.8, dense), glide(6.0, 60.0, far), lerp(13.0, 17.0, dense))
        self._noise, self._drift = Noise(rng, 0.7), Wander(rng, (0.3, 2.0, 8.0))
        self._roar = (unit(slope(-5.0, 80.0) * band(35.0, 1_500.0, 1)) + 0.5 * unit(hump(900.0, 1.0))) * lerp(
            0.06, 0.22, dense
        )
        self._rough = Wander(rng, (0.04, 0.12))
        self._clock_s = 0.0

    def frame(self) -> Array:
        now = self._clock_s + np.arange(HOPS) * HOP_S
        self._clock_s += FRAME_S
        bed = np.exp(0.15 * self._drift.frame())[:, None] * self._roar
        cars, motors = self._road.drive(now)
        return self._noise.frame(cars * np.exp(0.06 * self._rough.frame())[:, None] + bed) + motors


def _horn(rng: Rng) -> Array:
    """A car horn streets away: two reeds a third apart."""
    t = seconds(rng.uniform(0.2, 0.7))
    low = rng.uniform(340, 420)
    wave = sum(np.sin(2 * np.pi * p * low * k * t) / k for p in (1.0, 1.26) for k in (1, 2, 3, 4, 5))
    return np.asarray(0.05 * np.asarray(wave) * np.clip(np.minimum(t, t[-1] - t) / 0.02, 0, 1))


def _clank(rng: Rng) -> Array:
    """Something that falls, shuts or is driven over, far away."""
    t = seconds(0.3)
    return np.asarray(
        burst(rng, 0.3, hump(glide(120.0, 900.0, rng.random()), 0.8)) * np.exp(-t / rng.uniform(0.02, 0.07)) * 0.35
    )


class City:
    """A city from a roof or a side street: a hum that falls as 1/f^2, swells of far traffic, now and then an event."""

    settle_s = 30.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("city")
        busy, far = ask["intensity"], ask["distance"]
        self._busy, self._near = busy, 1 - 0.7 * far
        hum = unit(slope(-7.0, 75.0) * band(32.0, 3_000.0, 1)) + 0.10 * unit(hump(450.0, 1.0))
        # Each quarter of the town idles, rolls and brakes at its own time, so that the hum never stands as a room's does.
        near = hump(np.array([70.0, 160.0, 380.0, 900.0]), 0.6)
        self._quarters = 0.16 * hum * near / near.sum(axis=0)
        self._lives = [Wander(rng, (0.4, 1.5, 6.0)) for _ in self._quarters]
        self._road = _Road(rng, glide(3.0, 0.9, busy), glide(28.0, 90.0, far), 13.0)
        self._noise = Noise(rng, 0.9)
        self._tape, self._clock_s = Tape(), 0.0

    def frame(self) -> Array:
        now = self._clock_s + np.arange(HOPS) * HOP_S
        for _ in range(self._rng.poisson(FRAME_S * glide(0.06, 0.4, self._busy))):
            make = _horn if self._rng.random() < 0.3 else _clank
            event = make(self._rng) * panned(self._rng.uniform(-0.9, 0.9))[:, None]
            start = int(self._rng.integers(0, FRAME))
            self._tape.lay_stereo(start, 0.5 * self._near * in_room(event, 4.0, 1.8, 0.08))
        self._clock_s += FRAME_S
        hum = np.exp(0.25 * np.stack([life.frame() for life in self._lives], axis=1)) @ self._quarters
        cars, motors = self._road.drive(now)
        busy = lerp(0.5, 1.0, self._busy)
        return self._noise.frame(hum + 1.1 * busy * cars) + 2.4 * busy * motors + self._tape.frame()


class Room:
    """Room tone: the quiet of a closed space, falling some 7 dB an octave, with its first modes and a trace of mains."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("room")
        life = ask["intensity"]
        modes = sum(hump(float(f), 0.12) for f in glide(1.6, 0.45, ask["size"]) * rng.uniform(38.0, 140.0, 5))
        shape = slope(-7.0, glide(85.0, 38.0, ask["size"])) * band(25.0, 5_000.0, 1)
        air = unit(band(350.0, 9_000.0, 1) * slope(-3.0, 500.0))
        self._tone = unit(shape * (1 + 0.8 * np.asarray(modes))) + glide(0.04, 0.25, life) * air
        self._noise, self._drift = Noise(rng, 0.9), Wander(rng, (1.0, 6.0, 15.0))
        self._hum = Hum(rng, 50.0, (0.2, 1.0, 0.3, 0.45, 0.1, 0.2))
        self._mains = lerp(0.0, 0.22, life)

    def frame(self) -> Array:
        drift = np.exp(0.07 * self._drift.frame())
        return self._noise.frame(drift[:, None] * self._tone) + self._mains * self._hum.frame()


class Ventilation:
    """Blown air: broad duct resonances, the fan's blade tone, a slow beat of two fans."""

    settle_s = 10.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("ventilation")
        strong = ask["intensity"]
        ducts = sum(hump(float(f), 0.25) for f in (rng.uniform(110, 170), rng.uniform(240, 380), rng.uniform(600, 900)))
        self._air = unit((slope(-4.5, 120.0) + 0.6 * np.asarray(ducts)) * band(40.0, lerp(4_000.0, 8_000.0, strong), 1))
        self._grille = unit(band(900.0, 6_000.0, 1) * slope(-2.0, 1_500.0)) * lerp(0.06, 0.3, strong)
        self._noise, self._drift = Noise(rng, 0.85), Wander(rng, (0.3, 2.0, 9.0))
        fan_hz = glide(16.0, 28.0, strong) * rng.uniform(0.95, 1.05)
        self._fans = [Hum(rng, fan_hz * k, (0.3, 0.6, 0.4, 0.3, 0.2, 0.12)) for k in (7.0, 7.0 * 1.004)]
        self._blade = lerp(0.25, 0.4, strong)

    def frame(self) -> Array:
        drift = np.exp(0.025 * self._drift.frame())[:, None]
        tone = self._blade * (self._fans[0].frame() + self._fans[1].frame())
        return self._noise.frame(drift * (self._air + self._grille)) + tone


class Rumble:
    """Low rumble: tremor below 100 Hz that heaves, with the growl above it that makes it heard on small speakers."""

    settle_s = 30.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("rumble")
        force = ask["intensity"]
        self._deep = unit(slope(-5.0, 40.0) * band(22.0, lerp(70.0, 140.0, force), 2))
        self._growl = unit(band(60.0, lerp(200.0, 600.0, force), 2) * slope(-4.0, 90.0)) * lerp(0.15, 0.5, force)
        self._noise = Noise(rng, 0.6)
        self._heave, self._shake = Wander(rng, (0.8, 3.0, 8.0)), Wander(rng, (0.05, 0.15, 0.4))

    def frame(self) -> Array:
        heave, shake = np.exp(0.28 * self._heave.frame()), np.exp(0.3 * self._shake.frame())
        return self._noise.frame((heave[:, None] * self._deep) + (heave * shake)[:, None] * self._growl)
