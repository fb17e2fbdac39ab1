# SPDX-License-Identifier: AGPL-3.0-or-later
"""Water: bubbles after Minnaert (f = 3.26/r), surf in wave groups, brooks, the muffled world below, liquid poured."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import (
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
    seconds,
)
from immersivaudio.engine.synthesis.grains import Cloud, Make, Shower
from immersivaudio.engine.synthesis.noise import Noise, band, hump, slope, unit
from immersivaudio.engine.synthesis.space import in_room


def bubble(rng: Rng, radius_m: float, rise: float = 0.1) -> Array:
    """One bubble, mono: damping and rising pitch after van den Doel 2005 (d = 0.13/r + 0.0072 r^-1.5, slope = rise d)."""
    frequency = 3.26 / radius_m
    damping = 0.13 / radius_m + 0.0072 * radius_m**-1.5
    t = seconds(min(6.0 / damping, 0.25))
    rising = 1 + rise * damping * t * float(rng.random() < 0.6)
    phase = 2 * np.pi * frequency * t * rising
    attack = np.clip(t * frequency, 0.0, 1.0)
    wave: Array = attack * np.exp(-damping * t) * np.sin(phase)
    return wave


def bubbles(small_m: float, large_m: float, rise: float = 0.1) -> Make:
    """Bubbles of radii log-uniform between two sizes; big ones are louder, as r."""

    def make(rng: Rng) -> Array:
        radius = glide(small_m, large_m, rng.random())
        return np.asarray(bubble(rng, radius, rise * rng.random()) * (radius / large_m) ** 0.8)

    return make


class _Wave:
    """One wave's course: swell, break, wash that fizzes out."""

    def __init__(self, rng: Rng, at_s: float, height: float, side: float) -> None:
        self.at_s, self.height, self.side = at_s, height, side
        self._rise_s, self._wash_s = rng.uniform(1.2, 2.2), rng.uniform(1.4, 2.4)

    def courses(self, now_s: Array) -> Array:
        """``[3, HOPS]``: swell, break and wash at these moments."""
        t = now_s - self.at_s
        swell = np.where(t < 0, np.exp(t / self._rise_s), np.exp(-t / 1.1))
        crash = np.where(t < 0, np.exp(t / 0.35), np.exp(-t / 0.9))
        after = np.maximum(t + 0.2, 0.0)
        wash = after / 0.7 * np.exp(1 - after / 0.7) * (after < 0.7) + (after >= 0.7) * np.exp(
            -(after - 0.7) / self._wash_s
        )
        return self.height * np.stack([swell, crash, wash])


class Sea:
    """Surf: waves 5 to 11 s apart in groups (every few are higher), each from rumble to crash to hissing foam."""

    settle_s = 30.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("sea")
        force = self._force = ask["intensity"]
        self._near = 1 - ask["distance"]
        self._period_s = lerp(5.5, 9.5, force)
        self._noise, self._foam = Noise(rng, 0.9), Shower(rng, 2_500.0, 11_000.0)
        self._shapes = np.stack(
            [
                unit(slope(-7.0, 90.0) * band(35.0, 900.0, 1)) * lerp(0.5, 1.1, force),
                unit(slope(-4.3, 300.0) * band(70.0, 8_000.0, 1)) * lerp(0.6, 1.4, force),
                unit(slope(-2.0, 1_500.0) * band(600.0, 12_000.0, 1)) * lerp(0.2, 0.5, self._near),
            ]
        )
        self._bed = unit(slope(-4.0, 150.0) * band(60.0, 5_000.0, 1)) * lerp(0.07, 0.13, force)
        self._churn, self._beach = Wander(rng, (0.15, 0.5, 1.6)), Wander(rng, (0.6, 2.0, 5.0))
        self._clock_s, self._next_s = 0.0, -2 * self._period_s
        self._waves: list[_Wave] = []

    def frame(self) -> Array:
        self._schedule()
        now = self._clock_s + np.arange(HOPS) * HOP_S
        rough = np.exp(0.16 * self._churn.frame())
        # All along the beach others break, far off and at their own time.
        bed = np.exp(0.2 * self._beach.frame())[:, None] * self._bed
        sides = np.broadcast_to(bed, (2, *bed.shape)).copy()
        fizz = np.zeros(HOPS)
        for wave in self._waves:
            courses = wave.courses(now) * rough
            tilt = np.array([1 - 0.35 * wave.side, 1 + 0.35 * wave.side])
            sides += tilt[:, None, None] * np.einsum("ch,cf->hf", courses, self._shapes)[None]
            fizz += courses[2]
        self._clock_s += FRAME_S
        foam = self._foam.frame(np.minimum(1_400.0 * fizz, 3_000.0))
        return self._noise.frame(sides) + 0.10 * self._near * foam

    def _schedule(self) -> None:
        self._waves = [wave for wave in self._waves if wave.at_s > self._clock_s - 14.0]
        while self._next_s < self._clock_s + 6.0:
            group = 1 + 0.3 * np.sin(2 * np.pi * self._next_s / (self._period_s * 6.3))
            height = float(np.clip(group * np.exp(0.18 * self._rng.standard_normal()), 0.5, 1.6))
            self._waves.append(_Wave(self._rng, self._next_s, height, self._rng.uniform(-1, 1)))
            self._next_s += self._period_s * self._rng.uniform(0.75, 1.3)


class Stream:
    """A brook: hundreds of bubbles a second from gurgle to trickle, in bursts, over a thin rush."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("stream")
        flow = self._flow = ask["intensity"]
        self._near = 1 - 0.75 * ask["distance"]
        self._trickle = Cloud(rng, bubbles(0.0006, 0.0022, 0.12), 128, renew=2)
        self._gurgle = Cloud(rng, bubbles(0.0022, glide(0.005, 0.011, flow), 0.2), 64, 0.6)
        self._rush = Noise(rng, 0.9)
        self._spectrum = unit(band(250.0, 5_000.0, 1) * slope(-3.0, 700.0)) + 0.25 * unit(band(1_500.0, 9_000.0, 1))
        self._pulse, self._slow = Wander(rng, (0.06, 0.2, 0.8)), Wander(rng, (1.0, 4.0))

    def frame(self) -> Array:
        pulse, slow = self._pulse.frame(), self._slow.frame()
        busy = np.exp(0.55 * pulse + 0.2 * slow)
        out = self._rush.frame(
            (lerp(0.06, 0.30, self._flow) * np.exp(0.12 * slow + 0.08 * pulse))[:, None] * self._spectrum
        )
        out += 0.35 * self._near * self._trickle.frame(glide(90.0, 420.0, self._flow) * busy, 0.7)
        out += 0.5 * self._near * self._gurgle.frame(glide(12.0, 60.0, self._flow) * busy, 0.6)
        return out


class Waterfall:
    """A waterfall: water that breaks up and strikes water: no pulse and no pause, a low thunder below, spray above, clouds
    of bubbles that are more the nearer one stands. ``intensity`` from a cascade to a great fall."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng, force = ask.rng("waterfall"), ask["intensity"]
        self._noise, self._spray = Noise(rng, 0.95), Shower(rng, 1_500.0, 9_000.0)
        self._fall = unit(band(250.0, 9_000.0, 1) * slope(-1.6, 900.0)) * 0.6
        self._deep = unit(band(35.0, 220.0, 1)) * lerp(0.1, 0.8, force)
        self._churn, self._flicker = Wander(rng, (0.3, 1.5, 6.0)), Wander(rng, (0.03, 0.1))
        self._bubbles, self._near = Cloud(rng, bubbles(0.0012, 0.007, 0.05), 96, 0.8), 1 - 0.8 * ask["distance"]

    def frame(self) -> Array:
        churn, flicker = np.exp(0.1 * self._churn.frame()), np.exp(0.07 * self._flicker.frame())
        out = self._noise.frame((churn * flicker)[:, None] * self._fall + churn[:, None] * self._deep)
        out += 0.12 * self._near * self._spray.frame(1_500.0 * flicker)
        return out + 0.6 * self._near * self._bubbles.frame(260.0 * churn * flicker, 0.5)


def _deep_bubble(rng: Rng) -> Array:
    radius = glide(0.0016, 0.008, rng.random())
    return np.asarray(in_room(bubble(rng, radius, 0.3), 0.2, 0.3)[0])


class Underwater:
    """Under water: everything above some hundred Hz taken, slow surges, bubbles that rise past in clusters."""

    settle_s = 16.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("underwater")
        self._lively = ask["intensity"]
        self._noise = Noise(rng, 0.5)
        cut = glide(650.0, 260.0, ask["distance"])
        self._deep = unit(slope(-6.0, 50.0) * band(25.0, 120.0, 1))
        self._murk = unit(band(90.0, cut, 2) * slope(-3.0, 100.0))
        self._surge, self._swirl = Wander(rng, (1.5, 5.0, 11.0)), Wander(rng, (0.2, 0.7))
        self._bubbles = Cloud(rng, _deep_bubble, 48, 0.5)
        self._cluster, self._near = Wander(rng, (0.25, 0.6)), 1 - 0.8 * ask["distance"]
        self._ramp = Ramp()

    def frame(self) -> Array:
        surge, swirl = np.exp(0.2 * self._surge.frame()), np.exp(0.15 * self._swirl.frame())
        out = self._noise.frame((0.22 * surge)[:, None] * self._deep + (0.19 * swirl)[:, None] * self._murk)
        rate = glide(3.0, 36.0, self._lively) * np.exp(1.2 * self._cluster.frame() - 0.5)
        return out + 0.5 * self._near * self._bubbles.frame(rate, 0.6)


class Pour:
    """Pouring: bubbles under a thin jet, coloured by the air column above the liquid, whose pitch rises as it fills."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("pour")
        flow = self._flow = ask["intensity"]
        self._fill_s = ask.duration_s if 1.0 <= ask.duration_s <= 30.0 else 12.0
        self._clock_s = 0.0
        self._near = 1 - 0.7 * ask["distance"]
        self._splash = Cloud(rng, bubbles(0.0007, glide(0.0025, 0.006, flow), 0.15), 96, 0.25, 2)
        self._noise = Noise(rng, 0.4)
        self._jet = unit(band(900.0, 9_000.0, 1) * slope(-3.0, 2_000.0))
        self._flutter = Wander(rng, (0.04, 0.15, 0.6))

    def frame(self) -> Array:
        now = self._clock_s + np.arange(HOPS) * HOP_S
        self._clock_s += FRAME_S
        full = (now % self._fill_s) / self._fill_s
        flutter = np.exp(0.3 * self._flutter.frame())
        depth_m = 0.14 - 0.115 * full
        column_hz = 340.0 / (4 * (depth_m + 0.02))
        colour = hump(column_hz, 0.12) + 0.5 * hump(3 * column_hz, 0.09)
        out = self._noise.frame(
            (0.5 * flutter)[:, None] * colour * 3.0 + (lerp(0.1, 0.35, self._flow) * flutter)[:, None] * self._jet
        )
        return out + 0.6 * self._near * self._splash.frame(glide(60.0, 260.0, self._flow) * flutter, 0.7)
