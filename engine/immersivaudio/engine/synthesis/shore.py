# SPDX-License-Identifier: AGPL-3.0-or-later
"""Water against what people built: the harbour's walls and masts, a boat under way."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import (
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
    lerp,
    panned,
    seconds,
)
from immersivaudio.engine.synthesis.grains import Cloud, Tape
from immersivaudio.engine.synthesis.impacts import ringing
from immersivaudio.engine.synthesis.noise import Noise, band, burst, hump, slope, unit
from immersivaudio.engine.synthesis.tones import Motor
from immersivaudio.engine.synthesis.water import bubble, bubbles


def _slap(rng: Rng) -> Array:
    """A small wave that meets a wall or hull: water that heaps up and runs off, and the air that it shuts in as a run of
    bubbles; a hollow thump where the hull is near."""
    t = seconds(0.8)
    run = burst(rng, 0.8, band(250.0, 4_500.0, 1) * slope(-4.0, 500.0))[: len(t)]
    run *= np.clip(t / rng.uniform(0.06, 0.14), 0, 1) ** 2 * np.exp(-t / rng.uniform(0.1, 0.2))
    out = 0.8 * run
    for _ in range(int(rng.integers(8, 26))):
        wave = bubble(rng, glide(0.0009, 0.005, rng.random()), 0.06)
        first = int(min(0.5, rng.gamma(2.0, 0.06)) * RATE_HZ)
        out[first : first + len(wave)] += 0.35 * rng.random() * wave[: len(out) - first]
    thump = burst(rng, 0.3, hump(glide(80.0, 200.0, rng.random()), 0.6))
    out[: len(thump)] += 0.25 * thump * np.hanning(len(thump)) ** 2
    return np.asarray(out)


class _Mast:
    """A mast that its halyard beats on in the wind: the tube's bending modes (1, 2.76, 5.40, 8.93 of a free bar)."""

    def __init__(self, rng: Rng) -> None:
        self._hz = rng.uniform(420.0, 900.0) * np.array([1.0, 2.76, 5.40, 8.93, 13.3])
        self._sides, self._loud = panned(rng.uniform(-0.9, 0.9)), glide(0.12, 0.5, rng.random())
        self._every_s, self._next_s, self._rng = rng.uniform(0.35, 0.9), rng.uniform(0.0, 2.0), rng

    def beat(self, tape: Tape, now_s: float, wind: float) -> None:
        """Lay every blow that falls within the frame that begins at ``now_s``."""
        while self._next_s < now_s + FRAME_S:
            if self._rng.random() < 0.55 * wind:
                loud = self._loud * self._rng.lognormal(-0.3, 0.5)
                start = max(0, int((self._next_s - now_s) * RATE_HZ))
                tape.lay(start, loud * self._ping(), self._sides)
            self._next_s += self._every_s * self._rng.uniform(0.7, 1.4)

    def _ping(self) -> Array:
        gains = self._rng.uniform(0.2, 1.0, 5) * (1.0, 0.8, 0.7, 0.5, 0.3)
        return ringing(self._hz, 0.16 * (self._hz[0] / self._hz) ** 0.7, gains, int(0.6 * RATE_HZ))


class Harbour:
    """A harbour: small waves that lap at walls and hulls, each in its own slow rhythm; masts that ring when it blows."""

    settle_s = 20.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("harbour")
        lively = self._lively = ask["intensity"]
        self._near = 1 - 0.75 * ask["distance"]
        self._laps = Cloud(rng, _slap, 40, 0.9)
        self._glug = Cloud(rng, bubbles(0.0018, 0.009, 0.25), 64, 0.8)
        self._masts = [_Mast(rng) for _ in range(round(lerp(2, 7, lively)))]
        self._tape, self._clock_s = Tape(), 0.0
        self._noise, self._breeze = Noise(rng, 0.9), Wander(rng, (1.0, 4.0, 12.0))
        self._air = unit(slope(-6.0, 70.0) * band(35.0, 2_500.0, 1)) * 0.05
        self._lap = unit(band(250.0, 3_500.0, 1) * slope(-3.0, 500.0)) * lerp(0.03, 0.08, lively)
        self._swell, self._chop = Wander(rng, (0.5, 1.4)), Wander(rng, (0.15, 0.5))

    def frame(self) -> Array:
        breeze, swell = np.exp(0.35 * self._breeze.frame()), np.exp(0.7 * self._swell.frame() - 0.25)
        for mast in self._masts:
            mast.beat(self._tape, self._clock_s, float(min(1.5, breeze.mean())) * (0.4 + 0.6 * self._lively))
        self._clock_s += FRAME_S
        lap = swell * np.exp(0.3 * self._chop.frame())
        out = self._noise.frame(breeze[:, None] * self._air + lap[:, None] * self._lap)
        out += self._near * 0.40 * self._laps.frame(glide(0.8, 3.2, self._lively) * swell, 0.6)
        out += self._near * 0.42 * self._glug.frame(glide(9.0, 40.0, self._lively) * swell**1.5, 0.6)
        return out + 0.09 * self._near * self._tape.frame()


class Boat:
    """On a boat under way: a slow diesel below deck, the bow wave that swells as she pitches, slaps under the hull."""

    settle_s = 16.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("boat")
        fast = self._fast = ask["speed"]
        self._motor, self._cycle_hz = (
            Motor(rng, lerp(0.25, 0.45, fast)),
            glide(4.5, 14.0, fast) * rng.uniform(0.93, 1.07),
        )
        self._hunt, self._ramp = Wander(rng, (0.1, 0.6, 3.0)), Ramp()
        self._noise, self._rough = Noise(rng, 0.85), Wander(rng, (0.08, 0.3, 1.2))
        self._wash = unit(band(180.0, 6_500.0, 1) * slope(-3.0, 700.0)) * lerp(0.06, 0.26, fast)
        self._hull = unit(slope(-6.0, 60.0) * band(35.0, 500.0, 1)) * lerp(0.10, 0.2, fast)
        self._slaps, self._spray = Cloud(rng, _slap, 32, 0.7), Cloud(rng, bubbles(0.0008, 0.004, 0.15), 96, 0.8)
        self._pitch_hz, self._turn, self._near = rng.uniform(0.26, 0.38), rng.random(), 1 - 0.7 * ask["distance"]

    def frame(self) -> Array:
        turns = self._turn + self._pitch_hz * HOP_S * np.arange(1, HOPS + 1)
        self._turn = float(turns[-1])
        plunge = np.exp(0.8 * np.cos(2 * np.pi * turns) + 0.3 * self._rough.frame()) / 1.25
        motor = self._motor.frame(self._cycle_hz * self._ramp.frame(1 + 0.008 * self._hunt.frame()))
        out = self._noise.frame(plunge[:, None] * self._wash + self._hull) + lerp(0.09, 0.16, self._fast) * motor
        out += self._near * 0.26 * self._slaps.frame(glide(0.5, 2.2, self._fast) * plunge**2, 0.5)
        return out + self._near * 0.07 * self._spray.frame(glide(40.0, 130.0, self._fast) * plunge, 0.6)
