# SPDX-License-Identifier: AGPL-3.0-or-later
"""A look-ahead true-peak limiter whose work is a written gain curve, so that every stem can follow the same one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """True peaks of a sound, one number for each 2 ms; it may come in any order. What stays below ``floor`` counts as
    nothing. Several sounds may note into the same one: it then holds the highest of them.
    """

    def __init__(self, samples: int, floor: float) -> None:
        self.peaks = np.zeros(-(-samples // HOP) + 1, np.float32)
        self._floor = floor

    def hear(self, first: int, block: Block) -> None:
        """float32 ``[channels, n]`` from record sample ``first`` on. Peaks are found between its TAPS - 1st sample and
        its last: what comes before must overlap by that much."""
        self.note(first, *peaks_in(block, self._floor))

    def note(self, first: int, samples: NDArray[np.intp], peaks: NDArray[np.float32]) -> None:
        """What :func:`peaks_in` found in a block that begins at record sample ``first``."""
        hops = np.clip((samples + first) // HOP, 0, len(self.peaks) - 1)
        edges = np.flatnonzero(np.diff(hops, prepend=-1))
        if len(edges):
            tops = np.maximum.reduceat(peaks, edges)
            self.peaks[hops[edges]] = np.maximum(self.peaks[hops[edges]], tops)


def peaks_in(block: Block, floor: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """``(samples, true peaks)`` of ``[channels, n]`` that may exceed ``floor``: see :func:`loudness.peaks_above`."""
    found = [(np.zeros(0, np.intp), np.zeros(0, np.float32))]
    for first in range(0, block.shape[1] - TAPS + 1, _CHUNK):
        places, peaks = peaks_above(block[:, first : first + _CHUNK + TAPS - 1], floor)
        found.append((places + first, peaks))
    samples, tops = zip(*found, strict=True)
    return np.concatenate(samples), np.concatenate(tops)


@dataclass(frozen=True)
class GainRide:
    """A limiter's gain in decibels (never above 0) at every hop's start; linear between them."""

    gains_db: NDArray[np.float32]

    @property
    def deepest_db(self) -> float:
        return float(self.gains_db.min(initial=0.0))

    def still(self, first: int, count: int) -> bool:
        """Whether it leaves ``count`` samples from record sample ``first`` on as they are."""
        return not self.gains_db[max(0, first) // HOP : -(-(first + count) // HOP) + 1].any()

    def amplitudes(self, first: int, count: int) -> Block | float:
        """The linear gain of ``count`` samples from record sample ``first`` on; 1.0 where it is 1 all along."""
        begin, end = max(0, first) // HOP, -(-(first + count) // HOP) + 1
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
    reach = _LOOK_HOPS + 1
    held = np.lib.stride_tricks.sliding_window_view(np.pad(needed, reach), 2 * reach + 1).max(axis=1)
    slope = np.arange(len(held)) * (_RELEASE_DB_PER_S * HOP / SAMPLE_RATE_HZ)
    released = np.maximum(np.maximum.accumulate(held + slope) - slope, 0.0)
    shape = np.hanning(2 * _LOOK_HOPS + 3)[1:-1]
    smooth = np.convolve(np.pad(released, _LOOK_HOPS, mode="edge"), shape / shape.sum(), "valid")
    return GainRide(-smooth.astype(np.float32))
