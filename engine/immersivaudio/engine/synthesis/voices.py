# SPDX-License-Identifier: AGPL-3.0-or-later
"""A crowd without words: people who talk in phrases of syllables that belong to no language.

A voice is a source through a tract (Fant 1960): glottal pulses whose pitch declines over the phrase and rises on its
accents, or the noise of a consonant, through formants that glide from vowel to vowel. Syllables come at 3 to 7 a second
(Greenberg 1999), phrases between breaths.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, signal

from immersivaudio.engine.synthesis.frame import FRAME, RATE_HZ, Array, Ask, Rng, Wander, glide, lerp, panned
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.noise import Noise, band, slope, unit
from immersivaudio.engine.synthesis.space import reverb

# First three formants in Hz of ten vowels (Peterson and Barney 1952, men).
_VOWELS = np.array(
    [
        [270, 2290, 3010], [390, 1990, 2550], [530, 1840, 2480], [660, 1720, 2410], [730, 1090, 2440],
        [570, 840, 2410], [440, 1020, 2240], [300, 870, 2240], [640, 1190, 2390], [490, 1350, 1690],
    ]
)  # fmt: skip
_WIDTHS_HZ = (80.0, 110.0, 170.0, 260.0)
# A third of the rate holds a voice.
_PART = 3
_VOICE_HZ, _VOICE_FRAME = RATE_HZ // _PART, FRAME // _PART
_STEP, _WINDOW = 192, 384
_HZ = np.maximum(fft.rfftfreq(_WINDOW, 1 / _VOICE_HZ), 20.0).astype(np.float32)
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


class _Person:
    """A throat: its pitch and the length of its tract, its pace, how it presses its voice."""

    def __init__(self, rng: Rng) -> None:
        woman = rng.random() < 0.5
        self._pitch_hz = float(rng.uniform(165, 250) if woman else rng.uniform(90, 150))
        self._tract = float(rng.uniform(1.08, 1.22) if woman else rng.uniform(0.92, 1.06))
        self._pace_s, self._bright = float(rng.uniform(0.15, 0.24)), float(rng.uniform(700.0, 1_700.0))

    def phrase(self, rng: Rng) -> Array:
        """Some three to twelve syllables, mono at a third of the rate, at about unit rms."""
        lengths = self._pace_s * rng.uniform(0.6, 1.5, int(rng.integers(3, 13)))
        lengths[-1] *= 1.4
        starts = np.concatenate([[0.0], np.cumsum(lengths)])
        rows = np.arange(int(starts[-1] * _VOICE_HZ) // _STEP) * (_STEP / _VOICE_HZ)
        syllable = np.minimum(np.searchsorted(starts, rows, "right") - 1, len(lengths) - 1)
        within = (rows - starts[syllable]) / lengths[syllable]
        voiced, hissed = _loudness(rng, within, syllable, len(lengths))
        pitch = self._melody(rng, rows / starts[-1], within, syllable, len(lengths))
        source = _source(rng, pitch, voiced)
        spectra = fft.rfft(source * _HANN, axis=-1) * self._tube(rng, starts[:-1] + 0.5 * lengths, rows, within)
        spectra += (hissed * _consonants(rng, len(lengths))[syllable].T).T * fft.rfft(
            rng.standard_normal(source.shape, np.float32) * _HANN, axis=-1
        )
        return _overlapped(fft.irfft(spectra, _WINDOW, axis=-1))

    def _melody(self, rng: Rng, share: Array, within: Array, syllable: Array, count: int) -> Array:
        """The pitch row by row: it declines, and rises on some syllables."""
        accents = np.where(rng.random(count) < 0.35, rng.uniform(0.1, 0.45, count), rng.normal(0.0, 0.05, count))
        excited = np.exp(rng.normal(0.0, 0.15))
        course = 1.12 - 0.25 * share + accents[syllable] * np.sin(np.pi * within)
        return np.asarray(self._pitch_hz * excited * course * (1 + 0.01 * rng.standard_normal(len(share))))

    def _tube(self, rng: Rng, middles: Array, rows: Array, within: Array) -> Array:
        """The tract's answer row by row, ``[rows, bins]``: formants glide from vowel to vowel, the first one falls while
        the mouth shuts."""
        targets = _VOWELS[rng.integers(0, len(_VOWELS), len(middles))] * self._tract
        out = np.ones((len(rows), len(_HZ)), np.float32)
        shut = 1 - 0.5 * np.exp(-((within / 0.2) ** 2))
        courses = [np.interp(rows, middles, target) for target in targets.T]
        courses = [courses[0] * shut, *courses[1:], np.full(len(rows), 3_500.0 * self._tract)]
        for course, width_hz in zip(courses, _WIDTHS_HZ, strict=True):
            hz = course[:, None].astype(np.float32)
            out *= hz**2 / np.sqrt((hz**2 - _HZ**2) ** 2 + (_HZ * width_hz) ** 2)
        # The tract's higher formants, which are left out, hold up what is above; the pulse falls, the mouth rises.
        fall = 1 / (1 + (_HZ / 130.0) ** 2) ** 0.6 / (1 + (_HZ / self._bright) ** 2) ** 0.2
        return np.asarray(out * (1 + (_HZ / (3_400.0 * self._tract)) ** 2) ** 3.6 * fall)


def _loudness(rng: Rng, within: Array, syllable: Array, count: int) -> tuple[Array, Array]:
    """Of voice and of consonant, row by row: a syllable opens with one of some kind, and swells and falls."""
    stress = np.exp(0.35 * rng.standard_normal(count)) * np.linspace(1.1, 0.7, count)
    onset = rng.uniform(0.08, 0.3, count)[syllable]
    open_ = np.clip((within - onset) / 0.18, 0.0, 1.0) * np.clip((1.08 - within) / 0.3, 0.0, 1.0)
    murmur = np.where(rng.random(count) < 0.5, 0.15, 0.01)[syllable]
    hiss = np.where(rng.random(count) < 0.55, rng.lognormal(-1.0, 0.6, count), 0.0)
    closed = np.clip((onset - within) / 0.05, 0.0, 1.0) * np.clip((within + 0.02) / 0.06, 0.0, 1.0)
    return np.maximum(open_, murmur) * stress[syllable], hiss[syllable] * closed


def _source(rng: Rng, pitch_hz: Array, voiced: Array) -> Array:
    """Windows ``[rows, window]`` of glottal pulses with a little breath."""
    samples = len(pitch_hz) * _STEP + _WINDOW
    course = np.interp(np.arange(samples) / _STEP, np.arange(len(pitch_hz)), pitch_hz)
    turns = np.cumsum(course) / _VOICE_HZ
    pulses = np.diff(np.floor(turns), prepend=0.0) * np.sqrt(_VOICE_HZ / course)
    pulses *= 1 + 0.08 * rng.standard_normal(samples)
    pulses += 0.06 * rng.standard_normal(samples)
    rows = np.lib.stride_tricks.sliding_window_view(pulses, _WINDOW)[::_STEP][: len(pitch_hz)]
    return np.asarray(rows * voiced[:, None], np.float32)


def _consonants(rng: Rng, count: int) -> Array:
    """Spectra of hisses, ``[count, bins]``: from the broad breath of an f to the peak of an s."""
    centres, wide = np.exp(rng.uniform(np.log(1_500.0), np.log(6_500.0), count)), rng.uniform(700.0, 2_200.0, count)
    return 0.6 / np.sqrt(1 + ((_HZ - centres[:, None]) / wide[:, None]) ** 2)


def _overlapped(pieces: Array) -> Array:
    """Windows a step apart, added up."""
    out = np.zeros((len(pieces) + _WINDOW // _STEP - 1) * _STEP)
    for k in range(_WINDOW // _STEP):
        out[k * _STEP : (k + len(pieces)) * _STEP] += pieces[:, k * _STEP : (k + 1) * _STEP].ravel()
    return np.asarray(out / (np.std(out) + 1e-9), np.float32)


class _Speaker:
    """Somebody in the crowd: a place and a distance; talks in phrases with pauses, in a voice out of the bank."""

    def __init__(self, rng: Rng) -> None:
        self._rng, self._speed = rng, rng.uniform(0.9, 1.12)
        self._sides = panned(rng.uniform(-0.9, 0.9)) * np.exp(0.25 * rng.standard_normal())
        self._next = int(rng.uniform(-1.0, 2.0) * _VOICE_HZ)

    def talk(self, tape: Tape, bank: list[Array], now: int) -> None:
        """Lay every phrase that starts within the frame that begins at sample ``now``."""
        while self._next < now + _VOICE_FRAME:
            phrase = bank[int(self._rng.integers(0, len(bank)))]
            speed = self._speed * self._rng.uniform(0.95, 1.05)
            said = np.interp(np.arange(0.0, len(phrase) - 1, speed), np.arange(len(phrase)), phrase)
            start = max(0, self._next - now)
            tape.lay(start, said.astype(np.float32), self._sides.astype(np.float32))
            self._next += len(said) + int(self._rng.exponential(0.5) * _VOICE_HZ)


class _Thirds:
    """A stream at a third of the rate brought to the full one, phase-true over the joins."""

    _TAPS = signal.firwin(72, 7_400.0, fs=RATE_HZ).astype(np.float32) * np.float32(_PART)

    def __init__(self) -> None:
        self._tail: Array | None = None

    def frame(self, wave: Array) -> Array:
        """``[channels, FRAME / 3]`` -> ``[channels, FRAME]``."""
        out = signal.upfirdn(self._TAPS, wave, _PART, axis=-1)
        if self._tail is not None:
            out[:, : self._tail.shape[1]] += self._tail
        self._tail = out[:, FRAME:].copy()
        return np.asarray(out[:, :FRAME])


class Crowd:
    """Murmur: a dozen people near by over the many whose voices the room has mixed. So many talk at once that the beat of
    single syllables averages out and nobody can be followed."""

    settle_s = 8.0

    def __init__(self, ask: Ask) -> None:
        rng = self._rng = ask.rng("crowd")
        dense, far = ask["intensity"], ask["distance"]
        self._people = [_Person(rng) for _ in range(16)]
        self._bank = [self._people[k % 16].phrase(rng) for k in range(24)]
        self._near = [_Speaker(rng) for _ in range(round(lerp(4, 12, dense)))]
        self._far = [_Speaker(rng) for _ in range(round(lerp(16, 60, dense)))]
        self._noise, self._murmur = Noise(rng, 0.9), Wander(rng, (0.25, 1.5, 5.0))
        self._bed = unit(band(150.0, 3_500.0, 1) * slope(-5.0, 450.0)) * lerp(0.1, 0.3, dense)
        self._hall, self._close = reverb(lerp(1.2, 2.1, far), 0.03), glide(1.0, 0.1, far)
        self._tapes, self._up, self._now = (
            (Tape(np.float32, _VOICE_FRAME), Tape(np.float32, _VOICE_FRAME)),
            _Thirds(),
            0,
        )

    def frame(self) -> Array:
        rng = self._rng
        if self._now // _VOICE_FRAME % 2:
            self._bank[int(rng.integers(0, len(self._bank)))] = self._people[int(rng.integers(0, 16))].phrase(rng)
        for speakers, tape in zip((self._near, self._far), self._tapes, strict=True):
            for speaker in speakers:
                speaker.talk(tape, self._bank, self._now)
        self._now += _VOICE_FRAME
        near, far = (tape.frame() for tape in self._tapes)
        talk = self._up.frame(np.concatenate([near, (0.5 * near + far).sum(axis=0)[None]]))
        murmur = np.exp(0.2 * self._murmur.frame())
        bed = self._noise.frame(murmur[:, None] * self._bed)
        return np.asarray(self._close * talk[:2] + self._hall.frame(talk[2]) + bed)
