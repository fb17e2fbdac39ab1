# SPDX-License-Identifier: AGPL-3.0-or-later
"""A crowd without words: many speakers made of glottal pulses and wandering formants, none of them intelligible."""

from __future__ import annotations

import numpy as np
from scipy import fft

from immersivaudio.engine.synthesis.frame import FRAME_S, RATE_HZ, Array, Ask, Rng, Wander, glide, lerp, panned
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.noise import BIN_HZ, Noise, band, burst, slope, unit
from immersivaudio.engine.synthesis.space import reverb

# First three formants in Hz of ten vowels (Peterson and Barney 1952, men).
_VOWELS = np.array(
    [
        [270, 2290, 3010], [390, 1990, 2550], [530, 1840, 2480], [660, 1720, 2410], [730, 1090, 2440],
        [570, 840, 2410], [440, 1020, 2240], [300, 870, 2240], [640, 1190, 2390], [490, 1350, 1690],
    ]
)  # fmt: skip


_VOICES, _WORDS = 6, 7


def _formants(frequencies: Array, rng: Rng, tract: float) -> Array:
    """A vocal tract's magnitude for a vowel between two others."""
    share = rng.random()
    first, second = _VOWELS[rng.integers(0, 10)], _VOWELS[rng.integers(0, 10)]
    centres = tract * (share * first + (1 - share) * second)
    shape = np.full(len(frequencies), 0.01)
    for centre, width, loud in zip(centres, (80, 110, 160), (1.0, 0.65, 0.4), strict=True):
        shape += loud / np.sqrt(1 + ((frequencies - centre) / width) ** 2)
    return shape


def _syllable(rng: Rng, pitch_hz: float, tract: float) -> Array:
    """A voiced syllable of 120 to 260 ms with a breath of a consonant before it, mono."""
    # A third of the rate holds a voice; the inverse transform brings it back to the full one.
    rate_hz = RATE_HZ // 3
    n = int(rng.uniform(0.12, 0.26) * rate_hz)
    x = np.arange(n) / n
    pitch = pitch_hz * (1 + rng.uniform(-0.12, 0.12) * x + 0.06 * np.sin(np.pi * x)) * 2 ** rng.normal(0, 0.25)
    pulses = np.diff(np.floor(np.cumsum(pitch) / rate_hz), prepend=0.0)
    size = fft.next_fast_len(n + 400, real=True)
    spectrum, frequencies = fft.rfft(pulses, size), fft.rfftfreq(size, 1 / rate_hz)
    spectrum *= _formants(frequencies, rng, tract) / (1 + (frequencies / 900.0) ** 1.1)
    voiced: Array = fft.irfft(spectrum, 3 * size)[: 3 * n]
    voiced *= np.sin(np.pi * np.arange(3 * n) / (3 * n)) ** 0.5 / (np.std(voiced) + 1e-9)
    breath = burst(rng, 0.05, _consonant(rng)) * rng.uniform(0.0, 0.35)
    return np.concatenate([breath * np.hanning(len(breath)), voiced])


def _consonant(rng: Rng) -> Array:
    centre = glide(1_500.0, 6_500.0, rng.random())
    return unit(1 / np.sqrt(1 + ((BIN_HZ - centre) / 1_200.0) ** 2))


class _Voice:
    """Five people who talk across one another, a few moments of them at hand, renewed one by one."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._people = [(rng.uniform(170, 240), rng.uniform(1.1, 1.2)) for _ in range(3)]
        self._people += [(rng.uniform(90, 145), rng.uniform(0.92, 1.05)) for _ in range(2)]
        self._words = [self._utter() for _ in range(_WORDS)]

    def _utter(self) -> Array:
        out = np.zeros(int(0.42 * RATE_HZ), np.float32)
        for pitch_hz, tract in self._people:
            start, word = int(self._rng.integers(0, 4_800)), _syllable(self._rng, pitch_hz, tract)[:15_360]
            out[start : start + len(word)] += word
        return out

    def renew(self) -> None:
        """Forget one syllable and find another."""
        self._words[int(self._rng.integers(0, _WORDS))] = self._utter()

    def word(self) -> Array:
        return self._words[int(self._rng.integers(0, _WORDS))]


class _Speaker:
    """Somebody in the crowd: a voice, a place, a pace; talks in phrases with pauses."""

    def __init__(self, rng: Rng, voice: _Voice) -> None:
        self._rng, self._voice = rng, voice
        self._sides = panned(rng.uniform(-0.9, 0.9)) * glide(0.75, 0.5, rng.random())
        self._left, self._next_s, self._pace_s = 0, rng.uniform(0, 1.5), rng.uniform(0.17, 0.26)

    def talk(self, tape: Tape, now_s: float) -> None:
        """Lay every syllable that starts within the frame that begins at ``now_s``."""
        while self._next_s < now_s + FRAME_S:
            start = max(0, int((self._next_s - now_s) * RATE_HZ))
            tape.lay(
                start, self._voice.word(), (np.exp(0.15 * self._rng.standard_normal()) * self._sides).astype(np.float32)
            )
            self._next_s += self._pace_s * self._rng.uniform(0.7, 1.4)
            self._left -= 1
            if self._left <= 0:
                self._left = int(self._rng.integers(4, 14))
                self._next_s += self._rng.exponential(0.7)


class Crowd:
    """Murmur: some fifty people at low intensity, a hundred and fifty at high; the room between blurs what each of them says.

    So many talk at once that the 4 Hz beat of single syllables averages out: nobody can be followed.
    """

    settle_s = 8.0

    def __init__(self, ask: Ask) -> None:
        rng = ask.rng("crowd")
        dense, far = ask["intensity"], ask["distance"]
        self._voices = [_Voice(rng) for _ in range(_VOICES)]
        count = round(lerp(18, 76, dense))
        self._speakers = [_Speaker(rng, self._voices[k % _VOICES]) for k in range(count)]
        self._noise, self._murmur = Noise(rng, 0.9), Wander(rng, (0.08, 0.25, 1.5))
        self._bed = unit(band(220.0, 1_800.0, 2) * slope(-3.0, 500.0)) * lerp(0.5, 1.4, 0.6 * dense + 0.4 * far)
        self._hall, self._near = reverb(lerp(1.5, 2.1, far), 0.03), lerp(0.03, 0.0, far)
        self._tape, self._clock_s, self._turn = Tape(np.float32), 0.0, 0

    def frame(self) -> Array:
        if self._turn % 2 == 0:
            self._voices[self._turn // 2 % _VOICES].renew()
        self._turn += 1
        for speaker in self._speakers:
            speaker.talk(self._tape, self._clock_s)
        self._clock_s += FRAME_S
        dry = self._tape.frame()
        murmur = np.exp(0.15 * self._murmur.frame())
        return self._noise.frame(murmur[:, None] * self._bed) + self._near * dry + self._hall.frame(dry.sum(axis=0))
