# SPDX-License-Identifier: AGPL-3.0-or-later
"""A look-ahead true-peak limiter whose work is a written gain curve, so that every stem can follow the same one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from immersivaudio.engine import audio
from immersivaudio.engine.audio import Block
from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.loudness import TAPS, peaks_above

HOP = 96
_CHUNK = 1 << 16
_LOOK_HOPS = 5
_RELEASE_DB_PER_S = 40.0
# What the moving gain itself may add between the samples.
MARGIN_DB = 0.1


class HopPeaks:
    """True peaks of a sound, one number for each 2 ms. What stays below ``floor`` counts as nothing.

    Several sounds may note into the same ``peaks``: it then holds the highest of them.
    """

    def __init__(self, samples: int, floor: float, channels: int = 2, peaks: NDArray[np.float32] | None = None) -> None:
        self.peaks = np.zeros(-(-samples // HOP) + 1, np.float32) if peaks is None else peaks
        self._floor = floor
        self._tail = np.zeros((channels, TAPS - 1), np.float32)
        self._heard = 0

    def push(self, block: Block) -> None:
        """Hear the next float32 ``[channels, n]``."""
        joined = np.concatenate([self._tail, block], axis=1)
        self._tail = joined[:, -(TAPS - 1) :]
        for first in range(0, block.shape[1], _CHUNK):
            chunk = joined[:, first : first + _CHUNK + TAPS - 1]
            places, peaks = peaks_above(chunk, self._floor)
            self._note(places + (self._heard + first - (TAPS - 1)), peaks)
        self._heard += block.shape[1]

    def _note(self, samples: NDArray[np.intp], peaks: NDArray[np.float32]) -> None:
        hops = np.clip(samples // HOP, 0, len(self.peaks) - 1)
        edges = np.flatnonzero(np.diff(hops, prepend=-1))
        if len(edges):
            tops = np.maximum.reduceat(peaks, edges)
            self.peaks[hops[edges]] = np.maximum(self.peaks[hops[edges]], tops)

    def finish(self) -> NDArray[np.float32]:
        self.push(np.zeros((self._tail.shape[0], TAPS), np.float32))
        return self.peaks


@dataclass(frozen=True)
class GainRide:
    """A limiter's gain in decibels (never above 0) at every hop's start; linear between them."""

    gains_db: NDArray[np.float32]

    @property
    def deepest_db(self) -> float:
        return float(self.gains_db.min(initial=0.0))

    def amplitudes(self, first: int, count: int) -> Block | float:
        """The linear gain of ``count`` samples from record sample ``first`` on."""
        begin, end = first // HOP, -(-(first + count) // HOP) + 1
        around = self.gains_db[begin:end]
        if not around.any():
            return 1.0
        places = np.arange(first, first + count)
        level = np.interp(places, np.arange(begin, begin + len(around)) * HOP, around)
        return audio.amplitudes(level)


def ride(peaks: NDArray[np.float32], gain_db: float, limit_db: float) -> GainRide:
    """The gain that keeps ``peaks`` raised by ``gain_db`` under ``limit_db``.

    It falls within the 10 ms before a peak, along a Hann window, and rises again at 40 dB a second.
    """
    with np.errstate(divide="ignore"):
        excess = 20 * np.log10(peaks) + np.float32(gain_db - (limit_db - MARGIN_DB))
    needed = np.maximum(excess, 0.0).astype(np.float32)
    reach = 2 * (_LOOK_HOPS + 1) + 1
    held = ndimage.maximum_filter1d(needed, reach, mode="constant")
    slope = np.arange(len(held)) * (_RELEASE_DB_PER_S * HOP / SAMPLE_RATE_HZ)
    released = np.maximum(np.maximum.accumulate(held + slope) - slope, 0.0)
    shape = np.hanning(2 * _LOOK_HOPS + 3)[1:-1]
    smooth = ndimage.convolve1d(released, shape / shape.sum(), mode="nearest")
    return GainRide(-smooth.astype(np.float32))
