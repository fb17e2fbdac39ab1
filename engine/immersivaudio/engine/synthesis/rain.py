# SPDX-License-Identifier: AGPL-3.0-or-later
"""Rain as drops: on the open ground, on a roof, on leaves; and single drips.

The rate of drops follows the rain (Marshall and Palmer 1948: many small ones, ever fewer large ones); what each says is
what it falls on: noise on ground, a panel's modes on a roof, a soft tap on a leaf, and on water a click and then the
note of the bubble that it takes under (Pumphrey and Elmore 1990).
"""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import FRAME, FRAME_S, RATE_HZ, Array, Ask, Rng, Wander, glide, lerp, panned
from immersivaudio.engine.synthesis.grains import Cloud, Make, Shower, Tape
from immersivaudio.engine.synthesis.impacts import ringing
from immersivaudio.engine.synthesis.noise import Noise, band, burst, hump, slope, unit
from immersivaudio.engine.synthesis.water import bubble, bubbles


def patter(low_hz: float, high_hz: float, fall_s: tuple[float, float] = (0.0008, 0.003)) -> Make:
    """The slap of a drop on something: a few ms of noise round a resonance of what it falls on."""

    def make(rng: Rng) -> Array:
        centre = glide(low_hz, high_hz, rng.random())
        wave = burst(rng, 0.012, hump(centre, 0.6))
        return wave * np.exp(-np.arange(len(wave)) / (RATE_HZ * rng.uniform(*fall_s))) * 2.5

    return make


class Rain:
    """Rain: a hiss of drops too many to tell apart, drops near by, bubble tones of puddles, all by density."""

    settle_s = 20.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("rain")
        dense = ask["intensity"]
        self._near = 1 - 0.8 * ask["distance"]
        self._dense = dense
        self._hiss = Noise(rng, 0.95)
        self._spectrum = unit(band(500.0, 14_000.0, 1) * slope(-2.0, 2_500.0) + 0.25 * dense * band(150.0, 900.0, 1))
        self._mist = Shower(rng, 2_500.0, 12_000.0)
        self._drops = Cloud(rng, patter(900.0, 6_500.0), 96)
        self._heavy = Cloud(rng, patter(350.0, 1_500.0), 48)
        self._plinks = Cloud(rng, bubbles(0.0004, 0.0016, 0.2), 64)
        self._drift = Wander(rng, (0.8, 3.0, 12.0))

    def frame(self) -> Array:
        drift = np.exp(0.12 * self._drift.frame())
        dense, near = self._dense, self._near
        out = self._hiss.frame((lerp(0.10, 0.62, dense) * drift)[:, None] * self._spectrum)
        out += 0.22 * self._mist.frame(glide(180.0, 3_000.0, dense) * drift)
        out += near * 0.5 * self._drops.frame(glide(25.0, 420.0, dense) * drift, 0.8)
        out += near * 0.45 * self._heavy.frame(glide(4.0, 90.0, dense) * drift, 0.7)
        out += near * 0.28 * self._plinks.frame(glide(8.0, 70.0, dense) * drift, 0.7)
        return out


class _Roof:
    """A panel of sheet metal or tile: its modes, which every drop that falls on it excites."""

    def __init__(self, rng: Rng) -> None:
        base = glide(260.0, 900.0, rng.random())
        self._hz = base * (1 + 0.7 * (np.arange(16) + 0.8 * rng.random(16)))
        self._decay_s = 1 / (130.0 + 0.03 * self._hz)

    def drop(self, rng: Rng) -> Array:
        """Mono ``[n]``: a large drop is slower, so duller, and louder as its momentum, r^3."""
        large = rng.random() ** 2
        corner_hz = glide(4_500.0, 1_100.0, large)
        loud = np.abs(np.sin(rng.uniform(0.2, 2.9) * (1 + np.arange(16)))) / (1 + (self._hz / corner_hz) ** 2)
        wave = ringing(self._hz, self._decay_s, loud * rng.choice([-1.0, 1.0], 16), int(0.055 * RATE_HZ))
        tap = patter(1_200.0, 7_000.0, (0.0005, 0.0014))(rng)
        wave *= np.linspace(1, 0, len(wave)) ** 0.5
        wave[: len(tap)] += 1.2 * tap
        return np.asarray(glide(0.25, 1.0, large) * wave)


class RainRoof:
    """Rain on a roof, heard below it: drops on panels that each ring at their own pitch, over the muffled hiss outside."""

    settle_s = 16.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("roof")
        self._dense, self._near = ask["intensity"], 1 - 0.8 * ask["distance"]
        roofs = [_Roof(rng) for _ in range(40)]
        self._drops = Cloud(rng, lambda own: roofs[int(own.integers(0, 40))].drop(own), 160, 0.8, 2)
        self._hiss, self._drift = Noise(rng, 0.8), Wander(rng, (0.8, 3.0, 12.0))
        self._outside = unit(band(300.0, 6_000.0, 1) * slope(-2.5, 900.0)) * lerp(0.06, 0.4, self._dense)
        self._run = Cloud(rng, bubbles(0.0012, 0.0045, 0.15), 48, 0.3)

    def frame(self) -> Array:
        drift = np.exp(0.13 * self._drift.frame())
        out = self._hiss.frame(drift[:, None] * self._outside)
        out += (0.1 + 0.32 * self._near) * self._drops.frame(glide(40.0, 520.0, self._dense) * drift, 0.6)
        return out + 0.1 * self._near * self._run.frame(glide(4.0, 26.0, self._dense) * drift, 0.5)


class RainLeaves:
    """Rain in a wood: soft taps of drops on leaves, heavy drips that gather and fall late, hiss from the crowns."""

    settle_s = 16.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("leaves")
        self._dense, self._near = ask["intensity"], 1 - 0.8 * ask["distance"]
        self._hiss, self._drift = Noise(rng, 0.95), Wander(rng, (0.8, 3.0, 12.0))
        self._crowns = unit(band(900.0, 7_500.0, 1) * slope(-3.0, 2_200.0))
        self._mist = Shower(rng, 1_800.0, 8_000.0)
        self._taps = Cloud(rng, patter(700.0, 4_200.0, (0.0015, 0.005)), 128, 0.95, 2)
        self._drips = Cloud(rng, patter(250.0, 1_100.0, (0.002, 0.005)), 64, 0.9)
        self._gather = Wander(rng, (0.3, 1.0, 4.0))

    def frame(self) -> Array:
        drift, late = np.exp(0.15 * self._drift.frame()), np.exp(0.5 * self._gather.frame())
        out = self._hiss.frame((lerp(0.08, 0.42, self._dense) * drift)[:, None] * self._crowns)
        out += 0.2 * self._mist.frame(glide(150.0, 1_500.0, self._dense) * drift)
        out += 0.75 * self._near * self._taps.frame(glide(35.0, 260.0, self._dense) * drift, 0.9)
        return out + 0.7 * self._near * self._drips.frame(glide(5.0, 32.0, self._dense) * late, 0.7)


class _Drip:
    """A place that drips: nearly even in time or by turns (a drop falls when it has grown heavy enough), always from the
    same height into the same water, so that its bubbles are much alike."""

    def __init__(self, rng: Rng, every_s: float) -> None:
        self._rng, self._every_s, self._uneven = rng, every_s, glide(0.03, 0.3, rng.random())
        self._radius_m, self._sides = glide(0.0008, 0.0030, rng.random()), panned(rng.uniform(-0.8, 0.8))
        self._shut_s = rng.uniform(0.008, 0.024)
        self._loud, self.next_s = glide(0.35, 1.0, rng.random()), rng.uniform(0.0, every_s)

    def fall(self, tape: Tape, now_s: float) -> None:
        """Lay every drop that falls within the frame that begins at ``now_s``."""
        while self.next_s < now_s + FRAME_S:
            start = max(0, int((self.next_s - now_s) * RATE_HZ))
            tape.lay(start, self._loud * self._plop(), self._sides)
            self.next_s += self._every_s * max(0.25, self._rng.normal(1.0, self._uneven))

    def _plop(self) -> Array:
        """The splash of the landing; 8 to 24 ms later the bubble that the crater shuts in, which rings in millimetres
        (Pumphrey and Elmore 1990; Phillips, Agarwal and Jordan 2018) and rises as it nears the surface; then now and
        then smaller ones, and droplets that fall back."""
        rng, out = self._rng, np.zeros(int(0.32 * RATE_HZ))
        self._add(out, 0.0, 0.2 * patter(1_500.0, 8_000.0, (0.0008, 0.003))(rng))
        shut_s = self._shut_s * rng.uniform(0.85, 1.15)
        self._add(out, shut_s, bubble(rng, self._radius_m * rng.uniform(0.75, 1.2), rng.uniform(0.05, 0.3)))
        for _ in range(int(rng.poisson(2.0))):
            small = rng.uniform(0.3, 0.8)
            late_s = shut_s + rng.uniform(0.006, 0.05)
            self._add(out, late_s, small**2 * bubble(rng, self._radius_m * small, rng.uniform(0.05, 0.3)))
        for _ in range(int(rng.poisson(2.0))):
            self._add(out, rng.uniform(0.04, 0.2), 0.05 * rng.random() * patter(2_500.0, 9_000.0)(rng))
        return out

    @staticmethod
    def _add(out: Array, at_s: float, wave: Array) -> None:
        first = int(at_s * RATE_HZ)
        out[first : first + len(wave)] += wave[: len(out) - first]


class Drips:
    """Water that drips from a few places into pools: each nearly even, together never."""

    settle_s = 16.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("drips")
        many = ask["intensity"]
        self._places = [
            _Drip(rng, glide(2.4, 0.55, many) * rng.uniform(0.7, 1.7)) for _ in range(round(lerp(3, 8, many)))
        ]
        self._tape, self._clock_s = Tape(), 0.0
        self._noise, self._drift = Noise(rng, 0.9), Wander(rng, (0.5, 3.0))
        self._air = unit(slope(-5.0, 90.0) * band(40.0, 2_500.0, 1)) * lerp(0.004, 0.002, ask["distance"])
        self._trickle = Cloud(rng, bubbles(0.0005, 0.0012, 0.1), 48, 0.8)

    def frame(self) -> Array:
        for place in self._places:
            place.fall(self._tape, self._clock_s)
        self._clock_s += FRAME / RATE_HZ
        drift = np.exp(0.3 * self._drift.frame())
        return (
            self._tape.frame() + self._noise.frame(drift[:, None] * self._air) + 0.02 * self._trickle.frame(9.0 * drift)
        )
