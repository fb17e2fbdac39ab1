# SPDX-License-Identifier: AGPL-3.0-or-later
"""Loudness and true peak by ITU-R BS.1770-4, block by block, for 48 kHz stereo."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.audio import Block, decibels
from immersivaudio.engine.cue import SAMPLE_RATE_HZ

ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
STEP = SAMPLE_RATE_HZ // 10
_OVERSAMPLE = 4
TAPS = 16
LATENCY = TAPS // 2 - 1
_CHUNK = 1 << 16

# Tables 1 and 2 of BS.1770-4: the shelf for the head, then the high-pass, at 48 kHz.
_K_WEIGHTING = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)


class LoudnessMeter:
    """Integrated loudness: 400 ms blocks that overlap by three quarters, gated at -70 LUFS and at -10 LU.

    Keeps ten numbers a second, so the gain of a mix can be asked about without hearing it again.
    """

    def __init__(self, channels: int = 2) -> None:
        self._state = np.zeros((len(_K_WEIGHTING), channels, 2))
        self._steps: list[NDArray[np.float64]] = []
        self._rest = np.zeros(0)
        self._samples = 0

    def push(self, block: Block) -> None:
        """Hear float32 ``[channels, n]``."""
        self._samples += block.shape[1]
        power = np.concatenate([self._rest, self._power(block)])
        whole = len(power) // STEP * STEP
        self._steps.append(power[:whole].reshape(-1, STEP).sum(axis=1))
        self._rest = power[whole:]

    @classmethod
    def powers(cls, block: Block) -> NDArray[np.float64]:
        """K-weighted power of each sample of a block ``[channels, n]`` that begins in silence."""
        return cls(block.shape[0])._power(block)

    def _power(self, block: Block) -> NDArray[np.float64]:
        """K-weighted power of each sample, channels added (BS.1770-4, weights 1 for left and right)."""
        from scipy import signal  # takes a second to import, and what is kept is read without it

        # In silence only the filter's own tail is left; a tenth of a second holds all of it.
        heard = block if block.any() else block[:, :STEP]
        weighted, self._state = signal.sosfilt(_K_WEIGHTING, heard.astype(np.float64), axis=-1, zi=self._state)
        power: NDArray[np.float64] = np.einsum("cn,cn->n", weighted, weighted)
        if heard is block:
            return power
        self._state = np.zeros_like(self._state)
        return np.concatenate([power, np.zeros(block.shape[1] - len(power))])

    @property
    def steps(self) -> NDArray[np.float64]:
        """The K-weighted power of every whole tenth of a second so far, summed over its samples."""
        return np.concatenate(self._steps) if self._steps else np.zeros(0)

    @property
    def rest(self) -> float:
        """The summed power of what fills no whole step yet."""
        return float(self._rest.sum())

    def integrated(self, gain_db: float = 0.0) -> float | None:
        """LUFS as if ``gain_db`` louder; None where nothing is above -70 LUFS.

        Sound shorter than 400 ms is taken as one block of its own length.
        """
        return gated(self.steps, self.rest, self._samples, gain_db)

    def mean_power(self) -> float:
        """Ungated K-weighted power of all that was heard."""
        total = sum(float(steps.sum()) for steps in self._steps) + self.rest
        return total / max(1, self._samples)


def gated(steps: NDArray[np.float64], rest: float, samples: int, gain_db: float = 0.0) -> float | None:
    """Integrated loudness in LUFS of ``steps`` (see :attr:`LoudnessMeter.steps`) and a ``rest`` that fills no step."""
    if len(steps) >= 4:
        blocks = np.maximum(np.convolve(steps, np.ones(4), "valid"), 0.0) / (4 * STEP)
    else:
        blocks = np.array([(steps.sum() + rest) / max(1, samples)])
    blocks = blocks * 10 ** (gain_db / 10)
    blocks = blocks[blocks > _power_of(ABSOLUTE_GATE_LUFS)]
    if not len(blocks):
        return None
    gate = _power_of(_lufs(float(blocks.mean())) + _RELATIVE_GATE_LU)
    return _lufs(float(blocks[blocks > gate].mean()))


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power_of(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def lufs_of(power: float) -> float | None:
    """LUFS of a K-weighted power; None below -70."""
    return _lufs(power) if power > _power_of(ABSOLUTE_GATE_LUFS) else None


@cache
def _interpolator() -> NDArray[np.float32]:
    """``[3, taps]``: the three phases between the samples of a windowed sinc, four times oversampled.

    Longer than the example of BS.1770-4 Annex 2 (12 taps a phase), so it under-reads less near 20 kHz.
    """
    half = TAPS // 2 * _OVERSAMPLE
    offsets = np.arange(-half + 1, half)
    kernel = np.sinc(offsets / _OVERSAMPLE) * np.kaiser(len(offsets), 5.0)
    padded = np.concatenate([[0.0], kernel])
    phases = [padded[phase::_OVERSAMPLE] for phase in range(1, _OVERSAMPLE)]
    return np.array([phase / phase.sum() for phase in phases], np.float32)


def largest(block: NDArray[np.floating]) -> float:
    """The largest magnitude in ``block``; 0 when it is empty."""
    return max(float(block.max(initial=0.0)), -float(block.min(initial=0.0)))


# No value between samples exceeds the largest of its taps by more than this factor.
_REACH = float(np.abs(_interpolator()).sum(axis=1).max())


def peaks_above(block: NDArray[np.floating], floor: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """``(samples, true peaks)`` of ``[channels, n]`` where the true peak may exceed ``floor``, four times oversampled.

    A true peak belongs to the stretch between a sample and the next; the first sample looked at is LATENCY, the last
    ``n - TAPS + LATENCY``. Everywhere else the taps together cannot reach ``floor``.
    """
    if largest(block) * _REACH <= floor:
        return np.zeros(0, np.intp), np.zeros(0, np.float32)
    loud = np.zeros(block.shape[1], bool)
    for channel in block:
        loud |= np.abs(channel) > floor / _REACH
    heard = np.concatenate([[0], np.cumsum(loud)])
    starts = np.flatnonzero(heard[TAPS:] > heard[:-TAPS])
    windows = np.lib.stride_tricks.sliding_window_view(block, TAPS, axis=1)[:, starts]
    between = np.abs(windows @ _interpolator().T).max(axis=2)
    peaks = np.maximum(between, np.abs(windows[:, :, LATENCY])).max(axis=0)
    return starts + LATENCY, peaks.astype(np.float32)


class TruePeakMeter:
    """True peak, four times oversampled. What cannot exceed the peak so far is not looked at.

    ``before`` (float32 ``[channels, n]``, ``n`` at least ``TAPS``) goes ahead of what is heard and is not measured.
    """

    def __init__(self, channels: int = 2, before: Block | None = None) -> None:
        self.peak = 0.0
        self._tail = np.zeros((channels, TAPS - 1), np.float32) if before is None else before[:, -(TAPS - 1) :]

    def push(self, block: Block) -> None:
        """Hear float32 ``[channels, n]``."""
        self.peak = max(self.peak, largest(block))
        joined = np.concatenate([self._tail, block], axis=1)
        self._tail = joined[:, -(TAPS - 1) :]
        for first in range(0, block.shape[1], _CHUNK):
            chunk = joined[:, first : first + _CHUNK + TAPS - 1]
            self.peak = max(self.peak, float(peaks_above(chunk, self.peak)[1].max(initial=0.0)))

    def finish(self) -> float:
        """The true peak in dBTP, the filter's tail included."""
        self.push(np.zeros((self._tail.shape[0], TAPS), np.float32))
        return decibels(self.peak)
