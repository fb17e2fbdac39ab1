# SPDX-License-Identifier: AGPL-3.0-or-later
"""Measuring a sound second by second: level every 10 ms, clipping, and what its spectrum is like. Memory stays flat:
a hundred numbers a second are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Array = NDArray[np.float32]
RATE_HZ = 48_000
HOP = RATE_HZ // 100
FLOOR_DB = -120.0
_WINDOW, _STEP = 2048, 960
_FULL_SCALE = 0.985
_FLAT_TOP = 3
_HANN = np.hanning(_WINDOW).astype(np.float32)
_FREQUENCY_HZ = np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ)
_QUIET_DB = -75.0


def seconds_of(blocks: Iterable[Array]) -> Iterator[tuple[Array, int]]:
    """``blocks`` of any length cut to whole seconds ``[2, 48000]``, the last filled with zeros, and how many samples
    of each are real. Anything that is not a number counts as silence."""
    rest = np.zeros((2, 0), np.float32)
    for block in blocks:
        rest = np.concatenate([rest, np.nan_to_num(np.asarray(block, np.float32), posinf=0.0, neginf=0.0)], axis=1)
        while rest.shape[1] >= RATE_HZ:
            yield rest[:, :RATE_HZ], RATE_HZ
            rest = rest[:, RATE_HZ:]
    if rest.shape[1]:
        yield np.pad(rest, ((0, 0), (0, RATE_HZ - rest.shape[1]))), rest.shape[1]


def mono_of(second: Array) -> Array:
    """One channel that stands for both: their mean, or the left where they cancel."""
    middle = second.mean(axis=0)
    if float(np.square(middle).sum()) < 0.1 * float(np.square(second).mean(axis=0).sum()):
        return second[0]
    return middle


def decibels(power: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Ten times the logarithm of ``power``, not below the floor."""
    return 10 * np.log10(np.maximum(np.asarray(power, np.float64), 10 ** (FLOOR_DB / 10)))


@dataclass(frozen=True, slots=True)
class Texture:
    """One second of sound. ``level_db`` mean of its 20 ms frames, ``spread_db`` their deviation; ``flatness`` 0 a tone,
    1 white noise (100-8000 Hz); ``low_share`` of the power under 200 Hz; ``tonal`` how far steady partials stand out
    over 200-5000 Hz; ``comb`` 0-1 how far the spectrum is one harmonic series on ``base_hz``; ``partials`` how many."""

    level_db: float
    spread_db: float
    flatness: float
    low_share: float
    centroid_hz: float
    tonal: float
    partials: int
    comb: float
    base_hz: float


SILENT = Texture(FLOOR_DB, 0.0, 1.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)


class Meters:
    """Takes the sound second by second and keeps what the judges need."""

    def __init__(self) -> None:
        self.samples = 0
        self.textures: list[Texture] = []
        self._levels: list[NDArray[np.float32]] = []
        self._peaks: list[NDArray[np.float32]] = []
        self._clipped: list[NDArray[np.bool_]] = []

    def hear(self, second: Array, real: int) -> None:
        frames = second.reshape(2, -1, HOP)
        count = -(-real // HOP)
        self._levels.append(decibels(np.square(frames).mean(axis=(0, 2)))[:count].astype(np.float32))
        self._peaks.append(np.abs(frames).max(axis=(0, 2))[:count])
        self._clipped.append(_clipped(frames)[:count])
        self.textures.append(_texture(mono_of(second)[:real]))
        self.samples += real

    @property
    def levels_db(self) -> NDArray[np.float32]:
        """RMS of every 10 ms, both channels, dBFS."""
        return np.concatenate(self._levels) if self._levels else np.zeros(0, np.float32)

    @property
    def peaks(self) -> NDArray[np.float32]:
        """Largest magnitude of every 10 ms."""
        return np.concatenate(self._peaks) if self._peaks else np.zeros(0, np.float32)

    @property
    def clipped(self) -> NDArray[np.bool_]:
        """Whether each 10 ms has flat tops at full scale."""
        return np.concatenate(self._clipped) if self._clipped else np.zeros(0, np.bool_)


def _clipped(frames: Array) -> NDArray[np.bool_]:
    """A flat top at full scale: several samples in a row above it that hardly differ, in either channel."""
    high = np.abs(frames) >= _FULL_SCALE
    if not high.any():
        return np.zeros(frames.shape[1], np.bool_)
    still = np.abs(np.diff(frames, axis=2)) < 0.02
    flat = high[..., 1:] & high[..., :-1] & still
    runs = flat[..., : -_FLAT_TOP + 2] & flat[..., _FLAT_TOP - 2 :]
    return np.asarray(runs.any(axis=(0, 2)), np.bool_)


def _texture(mono: Array) -> Texture:
    if len(mono) < _WINDOW or float(decibels(float(np.square(mono).mean()))) < _QUIET_DB:
        return SILENT
    starts = np.arange(0, len(mono) - _WINDOW + 1, _STEP)
    frames = mono[starts[:, None] + np.arange(_WINDOW)] * _HANN
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))) + 1e-12
    mean = power.mean(axis=0)
    levels = decibels(power.sum(axis=1) * 2 / (_WINDOW * float(np.square(_HANN).sum())))
    voice = (_FREQUENCY_HZ > 100) & (_FREQUENCY_HZ < 8000)
    tonal, partials = _tonality(power)
    comb, base_hz = _comb(mean)
    return Texture(
        level_db=float(levels.mean()),
        spread_db=float(levels.std()),
        flatness=float(np.exp(np.log(mean[voice]).mean()) / mean[voice].mean()),
        low_share=float(mean[_FREQUENCY_HZ < 200].sum() / mean.sum()),
        centroid_hz=float((_FREQUENCY_HZ * mean).sum() / mean.sum()),
        tonal=tonal,
        partials=partials,
        comb=comb,
        base_hz=base_hz,
    )


def _tonality(power: NDArray[np.floating]) -> tuple[float, int]:
    """How far partials that last stand out over their neighbourhood, and how many there are."""
    steady = np.median(decibels(power), axis=0)
    above = steady - median_filter(steady, size=31)
    band = (_FREQUENCY_HZ > 200) & (_FREQUENCY_HZ < 5000)
    loud = steady > steady[band].max() - 50
    out = np.where(band & loud, np.clip(above - 6, 0, None), 0.0)
    tops = (out[1:-1] > 0) & (out[1:-1] >= out[:-2]) & (out[1:-1] > out[2:])
    return float(out[band].mean()), int(tops.sum())


def _comb(mean: NDArray[np.floating]) -> tuple[float, float]:
    """How far the spectrum under 3 kHz is one harmonic series of 30 to 400 Hz: its autocorrelation along frequency."""
    bins = int(3000 / _FREQUENCY_HZ[1])
    shape = decibels(mean[1:bins])
    shape = shape - median_filter(shape, size=25)
    power = float(np.square(shape).sum())
    if power <= 0:
        return 0.0, 0.0
    auto = np.correlate(shape, shape, "full")[len(shape) - 1 :] / power
    low, high = 3, int(400 / _FREQUENCY_HZ[1])
    best = low + int(np.argmax(auto[low:high]))
    return float(max(0.0, auto[best])), float(best * _FREQUENCY_HZ[1])
