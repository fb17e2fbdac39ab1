# SPDX-License-Identifier: AGPL-3.0-or-later
"""Places that live: the forest by day with a few birds, the night with insects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from immersivaudio.engine.synthesis.frame import (
    FRAME_S,
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
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.noise import Noise, band, slope, unit
from immersivaudio.engine.synthesis.space import in_room
from immersivaudio.engine.synthesis.wind import WindTrees

Song = Callable[[Rng], Array]


def _tone(pitch_hz: Array, loud: Array, second: float = 0.08) -> Array:
    """A whistle on a course of pitch with a faint second harmonic, as a syrinx makes it."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    wave: Array = loud * (np.sin(phase) + second * np.sin(2 * phase))
    return wave


def _syllable(duration_s: float, from_hz: float, to_hz: float, bend: float = 0.0) -> Array:
    t = seconds(duration_s)
    x = t / t[-1]
    pitch = from_hz * (to_hz / from_hz) ** x * (1 + bend * np.sin(np.pi * x))
    return _tone(pitch, np.sin(np.pi * x) ** 0.6 * (1 - 0.4 * x))


def _phrase(syllables: list[Array], gap_s: float, rng: Rng) -> Array:
    parts: list[Array] = []
    for syllable in syllables:
        parts += [syllable, np.zeros(int(gap_s * rng.uniform(0.85, 1.15) * RATE_HZ))]
    return np.concatenate(parts)


def _tit(rng: Rng) -> Song:
    """Two notes over and over, the second lower: a great tit's kind of song."""
    high, step = rng.uniform(4_200, 5_400), rng.uniform(0.72, 0.82)

    def sing(rng: Rng) -> Array:
        pair = [_syllable(0.09, high, high * 0.97), _syllable(0.13, high * step, high * step * 0.98)]
        return _phrase(pair * int(rng.integers(3, 7)), 0.05, rng)

    return sing


def _warbler(rng: Rng) -> Song:
    """A run of short falling syllables that slow and sink: a willow warbler's kind."""
    top = rng.uniform(4_800, 6_200)

    def sing(rng: Rng) -> Array:
        count = int(rng.integers(9, 16))
        notes = [
            _syllable(
                lerp(0.06, 0.13, i / count),
                top * (1 - 0.4 * i / count) * rng.uniform(0.95, 1.08),
                top * 0.62 * (1 - 0.3 * i / count),
            )
            for i in range(count)
        ]
        return _phrase(notes, 0.05, rng)

    return sing


def _robin(rng: Rng) -> Song:
    """Varied silvery phrases with trills and glides: a robin's or blackbird's kind."""
    middle = rng.uniform(2_300, 4_200)

    def sing(rng: Rng) -> Array:
        notes = []
        for _ in range(int(rng.integers(4, 9))):
            start = middle * 2 ** rng.uniform(-0.45, 0.7)
            if rng.random() < 0.35:
                notes += [_syllable(0.035, start, start * 1.18)] * int(rng.integers(3, 7))
            else:
                notes.append(
                    _syllable(
                        rng.uniform(0.07, 0.22), start, start * 2 ** rng.uniform(-0.4, 0.4), rng.uniform(-0.12, 0.12)
                    )
                )
        return _phrase(notes, 0.035, rng)

    return sing


def _dove(rng: Rng) -> Song:
    """Soft low coos far away."""
    pitch = rng.uniform(430, 520)

    def sing(rng: Rng) -> Array:
        notes = [_syllable(d, pitch * p, pitch * p * 0.97, 0.04) for d, p in ((0.25, 1.0), (0.55, 1.08), (0.35, 0.98))]
        return 0.7 * _phrase(notes * 2, 0.12, rng)

    return sing


def _chip(rng: Rng) -> Song:
    """Single sharp calls."""
    pitch = rng.uniform(4_500, 7_500)

    def sing(rng: Rng) -> Array:
        return _phrase(
            [_syllable(0.045, pitch * 1.25, pitch * 0.8)] * int(rng.integers(1, 5)), rng.uniform(0.12, 0.3), rng
        )

    return sing


class _Bird:
    """An individual: its song, its place, how far it is, and how long it pauses."""

    def __init__(self, rng: Rng, kind: Callable[[Rng], Song], pause_s: float, distance: float) -> None:
        self._rng, self._song, self._pause_s = rng, kind(rng), pause_s
        self._far = float(np.clip(rng.uniform(0.15, 0.9) + 0.5 * (distance - 0.3), 0.05, 1.0))
        self._sides = panned(rng.uniform(-0.9, 0.9))
        self.next_s = rng.uniform(0, pause_s)

    def call(self) -> Array:
        """One song in its woods, ``[2, n]``, and when the next will be."""
        song = self._song(self._rng) * glide(0.5, 0.12, self._far) * np.exp(0.25 * self._rng.standard_normal())
        self.next_s += len(song) / RATE_HZ + self._pause_s * self._rng.gamma(2.5, 0.4)
        return in_room(song * self._sides[:, None], lerp(0.05, 0.8, self._far), 1.1, 0.05)


class Forest:
    """A wood by day: leaves that stir, and at some intensity birds, each with a song, a place and pauses of its own."""

    settle_s = 24.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("forest")
        lively = ask["intensity"]
        self._leaves = WindTrees(Ask({"intensity": 0.12 + 0.2 * lively, "distance": ask["distance"]}, ask.seed))
        kinds = [_robin, _tit, _warbler, _chip, _robin, _dove, _chip, _tit]
        count = 0 if lively < 0.1 else round(lerp(2, 8, lively))
        self._birds = [
            _Bird(rng, kinds[i], glide(9.0, 3.0, lively) * rng.uniform(0.7, 1.6), ask["distance"]) for i in range(count)
        ]
        self._air, self._noise = unit(slope(-5.0, 120.0) * band(50.0, 5_000.0, 1)) * 0.07, Noise(rng, 0.9)
        self._tape, self._clock_s = Tape(), 0.0

    def frame(self) -> Array:
        for bird in self._birds:
            while bird.next_s < self._clock_s + FRAME_S:
                start = int((bird.next_s - self._clock_s) * RATE_HZ)
                self._tape.lay_stereo(max(0, start), 3.4 * bird.call())
        self._clock_s += FRAME_S
        return 0.13 * self._leaves.frame() + self._noise.frame(self._air) + self._tape.frame()


class _Cricket:
    """One insect: a carrier (field crickets near 4.7 kHz, bush-crickets above 6), wing strokes as pulses, pulses in
    chirps."""

    def __init__(self, rng: Rng, bush: bool, near: float) -> None:
        self._rng = rng
        self._pitch_hz = rng.uniform(6_000, 7_500) if bush else rng.uniform(4_300, 5_050)
        self._stroke_s = 1 / rng.uniform(50, 80) if bush else 1 / rng.uniform(27, 35)
        self._pulses = int(rng.integers(8, 20)) if bush else int(rng.integers(3, 5))
        self._chirp_s = 1 / rng.uniform(1.3, 2.4) if bush else 1 / rng.uniform(1.9, 3.3)
        self._loud = near * rng.uniform(0.4, 1.0)
        self._sides = panned(rng.uniform(-0.95, 0.95))
        self._next_s = rng.uniform(0.0, 0.5)

    def sing(self, tape: Tape, now_s: float) -> None:
        """Lay every chirp that starts within the frame that begins at ``now_s``."""
        while self._next_s < now_s + FRAME_S:
            start = int((self._next_s - now_s) * RATE_HZ)
            tape.lay(max(0, start), self._chirp(), self._sides)
            self._next_s += self._chirp_s * self._rng.uniform(0.95, 1.05)

    def _chirp(self) -> Array:
        t = seconds(self._pulses * self._stroke_s)
        phase = (t / self._stroke_s) % 1.0
        stroke = np.where(phase < 0.36, np.sin(np.pi * np.minimum(phase, 0.36) / 0.36), 0.0)
        swell = 0.5 + 0.5 * np.minimum(1.0, 2 * t / t[-1])
        pitch = self._pitch_hz * (1 - 0.02 * phase) * (1 + 0.002 * self._rng.standard_normal())
        return np.asarray(self._loud * swell * stroke * np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ))


class Night:
    """Outdoors by night: crickets near and far, each in its own rhythm, over almost still air."""

    settle_s = 12.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("night")
        lively = ask["intensity"]
        near = lerp(1.0, 0.3, ask["distance"])
        count = round(lerp(2, 12, lively))
        self._insects = [_Cricket(rng, i % 6 == 5, near if i < 2 else 0.3 * near) for i in range(count)]
        self._noise, self._breeze = Noise(rng, 0.9), Wander(rng, (2.0, 8.0))
        self._air = unit(slope(-6.0, 90.0) * band(40.0, 4_000.0, 1)) * 0.1
        self._choir = unit(band(3_200.0, 5_600.0, 4)) * lerp(0.01, 0.05, lively)
        self._swarm = Wander(rng, (0.02, 0.08))
        self._tape, self._clock_s, self._ramp = Tape(), 0.0, Ramp()

    def frame(self) -> Array:
        for insect in self._insects:
            insect.sing(self._tape, self._clock_s)
        self._clock_s += FRAME_S
        breeze = np.exp(0.3 * self._breeze.frame())[:, None] * self._air
        choir = np.exp(0.35 * self._swarm.frame())[:, None] * self._choir
        return self._noise.frame(breeze + choir) + self._tape.frame()
