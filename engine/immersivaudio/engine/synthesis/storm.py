# SPDX-License-Identifier: AGPL-3.0-or-later
"""Thunder: the shock of every piece of a crooked channel, each heard when and as loud as its distance lets it be.

A lightning channel is some kilometres of short straight pieces that turn at random by some 16 degrees (Hill 1968); the
heated gas of each sends an N-shaped wave, strongest broadside on (Few 1969; Ribner and Roy 1982). Near pieces come
first and sharp, the far ones as rumble; the air and the turbulence between take the highs.
"""

from __future__ import annotations

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import FRAME_S, RATE_HZ, Array, Ask, Rng, Wander, glide, lerp
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.noise import Noise, band, slope, unit

_PIECE_M = 6.0
_SPEED_MPS = 340.0


def _channel(rng: Rng, away_m: float) -> tuple[Array, Array]:
    """Pieces of a channel from cloud to ground, branches among them: middles ``[n, 3]`` in metres, directions ``[n, 3]``."""
    middles, ways = [], []
    starts = [(np.array([away_m, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]), int(rng.integers(500, 800)))]
    for _ in range(int(rng.integers(5, 9))):
        height = rng.uniform(1_500.0, 4_500.0)
        way = np.array([*(rng.standard_normal(2)), 0.2 * rng.standard_normal()])
        starts.append((np.array([away_m, 0.0, height]), way / np.linalg.norm(way), int(rng.integers(250, 900))))
    for start, way, count in starts:
        turns = scipy.signal.lfilter([0.25], [1.0, -0.965], rng.standard_normal((count, 3)), axis=0)
        ahead = way + turns
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        middles.append(start + np.cumsum(_PIECE_M * ahead, axis=0))
        ways.append(ahead)
    return np.concatenate(middles), np.concatenate(ways)


def clap(rng: Rng, away_m: float) -> Array:
    """One stroke's thunder ``[2, n]`` at peak 1, from its first sound on; ``away_m`` from the foot of the channel."""
    middles, ways = _channel(rng, away_m)
    reach = np.linalg.norm(middles, axis=1)
    late = (reach - reach.min()) / _SPEED_MPS
    broad = 1.02 - np.abs(np.sum(middles * ways, axis=1)) / reach
    peals = scipy.signal.lfilter([0.22], [1.0, -0.975], rng.standard_normal(len(reach)))
    loud = broad * (reach.min() / reach) ** 0.5 * np.exp(0.8 * peals) * rng.choice([-1.0, 1.0], len(reach))
    samples = int((min(14.0, float(late.max())) + 1.5) * RATE_HZ)
    sides = np.clip(middles[:, 1] / reach * 3.0, -0.8, 0.8)
    rows = np.stack([np.cos((sides + 1) * np.pi / 4), np.sin((sides + 1) * np.pi / 4)])
    places = np.minimum((late * RATE_HZ).astype(np.int64), samples - 1)
    hits: Array = np.stack([np.bincount(places, row * loud, samples) for row in rows]).astype(np.float64)
    wave = _aged(hits, float(reach.min()))
    fade = RATE_HZ
    wave[:, -fade:] *= np.linspace(1.0, 0.0, fade) ** 2
    return np.asarray(wave / (np.max(np.abs(wave)) + 1e-9))


def _aged(hits: Array, away_m: float) -> Array:
    """Every impulse as its way has lengthened and dulled it: nonlinear steepening makes an N wave some 15 to 60 ms long,
    so that the energy lies below 100 Hz; the near ones keep a crack of kilohertz."""
    far = min(1.0, away_m / 6_000.0)
    peak_hz = glide(150.0, 60.0, far)
    body = [scipy.signal.butter(1, peak_hz, kind, fs=RATE_HZ, output="sos") for kind in ("highpass", "lowpass")]
    body.append(scipy.signal.butter(1, glide(2_600.0, 350.0, far), fs=RATE_HZ, output="sos"))
    floor = scipy.signal.butter(2, 22.0, "highpass", fs=RATE_HZ, output="sos")
    # The two channels as one of complex numbers: half the recursions.
    both = hits[0] + 1j * hits[1]
    out = scipy.signal.sosfilt(np.concatenate([*body, floor]), both)
    return np.stack([out.real, out.imag])


class Thunder:
    """A thunderstorm: stroke after stroke at distances of their own, their rumble rolling over into one another.
    ``intensity`` is how often and how near, ``distance`` pushes all of it away."""

    settle_s = 30.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("thunder")
        self._every_s = glide(22.0, 7.0, ask["intensity"])
        self._near_m = glide(2_500.0, 700.0, ask["intensity"]) * glide(0.6, 4.0, ask["distance"])
        self._tape, self._next_s, self._clock_s = Tape(), 0.0, 0.0
        self._noise, self._heave = Noise(rng, 0.7), Wander(rng, (0.3, 1.2, 5.0))
        self._far = unit(slope(-6.0, 45.0) * band(22.0, 300.0, 1)) * lerp(0.06, 0.12, ask["intensity"])

    def frame(self) -> Array:
        while self._next_s < self._clock_s + FRAME_S:
            away_m = self._near_m * (1 + self._rng.exponential(0.8))
            start = int((self._next_s - self._clock_s) * RATE_HZ)
            loud = 0.4 * (self._near_m / away_m) * self._rng.uniform(0.6, 1.0)
            self._tape.lay_stereo(max(0, start), loud * clap(self._rng, away_m))
            self._next_s += self._every_s * self._rng.gamma(3.0, 1 / 3.0)
        self._clock_s += FRAME_S
        rumble = np.exp(0.5 * self._heave.frame())[:, None] * self._far
        return np.asarray(self._tape.frame() + self._noise.frame(rumble))


class Clap:
    """One stroke of thunder, its crack on the sync point. ``strength`` is how near it falls: 6 km to 100 m."""

    def __init__(self, ask: Ask) -> None:
        self._away_m = glide(6_000.0, 100.0, ask["strength"])

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``; the crack, which is its loudest, is at its start: the nearest piece hits first and hardest."""
        wave = clap(rng, self._away_m)
        loudest = int(np.argmax(np.abs(wave).max(axis=0)))
        wave = wave[:, max(0, loudest - RATE_HZ // 500) :].copy()
        wave[:, :48] *= np.linspace(0.0, 1.0, 48)
        return wave
