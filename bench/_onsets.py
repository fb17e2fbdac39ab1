# SPDX-License-Identifier: AGPL-3.0-or-later
"""Onsets: where sounds begin, and how well two lists of moments agree. Shared by benches and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.signal import stft


@dataclass(frozen=True, slots=True)
class Agreement:
    """``lag_s`` is the median of found minus true over the matched pairs (positive: late), nan without pairs."""

    f1: float
    precision: float
    recall: float
    lag_s: float
    matched: int


def match(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float = 0.08) -> list[tuple[int, int]]:
    """The most pairs (index of found, index of true) within ``tolerance_s``, each moment used once, the nearest ones."""
    if not len(found_s) or not len(true_s):
        return []
    apart = np.abs(np.subtract.outer(np.asarray(found_s, float), np.asarray(true_s, float)))
    cost = np.where(apart <= tolerance_s + 1e-9, apart / max(tolerance_s, 1e-9), 1e6)
    rows, columns = linear_sum_assignment(cost)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1e6]


def agree(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float = 0.08) -> Agreement:
    """F1, precision, recall and median signed lag of one-to-one matching within ``tolerance_s``."""
    pairs = match(found_s, true_s, tolerance_s)
    precision = len(pairs) / len(found_s) if len(found_s) else 0.0
    recall = len(pairs) / len(true_s) if len(true_s) else 0.0
    f1 = 2 * precision * recall / (precision + recall) if pairs else 0.0
    lag = float(np.median([found_s[i] - true_s[j] for i, j in pairs])) if pairs else float("nan")
    return Agreement(f1, precision, recall, lag, len(pairs))


def null_f1(found_s: Sequence[float], true_s: Sequence[float], duration_s: float, tolerance_s: float = 0.08) -> float:
    """Mean F1 of ``found_s`` shifted around the clip by 400 random offsets: what chance and density alone give."""
    random = np.random.default_rng(0)
    shifts = random.uniform(2 * tolerance_s, max(3 * tolerance_s, duration_s - 2 * tolerance_s), 400)
    shifted = ((np.asarray(found_s, float) + shift) % duration_s for shift in shifts)
    return float(np.mean([agree(sorted(moments.tolist()), true_s, tolerance_s).f1 for moments in shifted]))


def onsets(samples: NDArray[np.float32], rate_hz: int, *, least: float = 0.12) -> list[float]:
    """Onset times in seconds of mono ``samples``: peaks of the half-wave rectified log spectral flux.

    Backtracked to where the rise begins (Bello et al. 2005, "A Tutorial on Onset Detection"); ``least`` is the smallest
    peak kept, as a share of the strongest.
    """
    if samples.size < rate_hz // 20 or not np.abs(samples).max() > 1e-4:
        return []
    hop, size = rate_hz // 200, rate_hz // 40
    _, _, spectrum = stft(samples, rate_hz, nperseg=size, noverlap=size - hop, boundary=None, padded=False)
    level = np.log1p(1000.0 * np.abs(spectrum) / (np.abs(spectrum).max() + 1e-12))
    flux = np.maximum(level[:, 2:] - level[:, :-2], 0.0).mean(0)
    flux = np.convolve(flux, np.hanning(5) / np.hanning(5).sum(), mode="same")
    return [_begin(flux, peak) * hop / rate_hz + (size / 2 + hop) / rate_hz for peak in _peaks(flux, least)]


def standing_out(samples: NDArray[np.float32], rate_hz: int, most: int) -> list[float]:
    """The ``most`` moments of mono ``samples``, 80 ms apart at least, that stand out most of what goes on around them.

    Bands of 1.5 ERB (Glasberg and Moore 1990) from 70 Hz up; a rise within 30 ms counts by what is usual in its own band,
    so that a dull thud counts as much as a click, and a bubbling brook for nothing.
    """
    hop, size, over = rate_hz // 200, rate_hz // 25, 6
    hertz, _, spectrum = stft(samples, rate_hz, nperseg=size, noverlap=size - hop, boundary=None, padded=False)
    places = ((21.4 * np.log10(1 + 0.00437 * hertz) - 2) // 1.5).astype(int)
    power = np.square(np.abs(spectrum))
    bands = np.array([power[places == band].sum(0) for band in range(24) if (places == band).any()])
    level = 10 * np.log10(bands + 1e-9 * bands.max() + 1e-20)
    rise = np.maximum(level[:, over:] - level[:, :-over], 0.0)
    unusual = np.sort(rise / np.maximum(np.percentile(rise, 90, axis=1, keepdims=True), 1.0), axis=0)[-6:].mean(0)
    found: list[int] = []
    for place in np.argsort(-unusual):
        if len(found) == most:
            break
        if all(abs(int(place) - other) > 16 for other in found):
            found.append(int(place))
    return sorted((place + over / 2) * hop / rate_hz + size / 2 / rate_hz for place in found)


def _peaks(flux: NDArray[np.float64], least: float) -> list[int]:
    """Local maxima above an adaptive floor, 80 ms apart at least (hop 5 ms)."""
    floor = np.array([np.median(flux[max(0, i - 40) : i + 41]) for i in range(flux.size)])
    above = flux - floor
    gate = max(least * float(above.max()), 2.0 * float(np.median(np.abs(above))))
    found: list[int] = []
    for i in np.argsort(-above):
        if above[i] < gate:
            break
        if all(abs(int(i) - j) > 16 for j in found):
            found.append(int(i))
    return sorted(found)


def _begin(flux: NDArray[np.float64], peak: int) -> int:
    start = peak
    while start > 0 and peak - start < 6 and flux[start - 1] < flux[start] and flux[start] > 0.4 * flux[peak]:
        start -= 1
    return start
