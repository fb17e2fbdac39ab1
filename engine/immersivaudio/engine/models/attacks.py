# SPDX-License-Identifier: AGPL-3.0-or-later
"""Attacks: where in a sound something begins, to the sample, and how far one lies from where it should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mono = NDArray[np.float32]
Levels = NDArray[np.float64]
_FLOOR = 1e-5
_LOOK_BACK_MS, _LOOK_ON_MS = 20, 10
_LEAST_RISE_DB = 6.0
_APART_MS = 60


@dataclass(frozen=True, slots=True)
class Attack:
    """``sample`` is where it begins, ``peak`` its largest magnitude in the 30 ms after."""

    sample: int
    peak: float


def envelope(mono: Mono, rate_hz: int) -> Levels:
    """Largest magnitude of every whole millisecond: ``[n // hop]``."""
    hop = rate_hz // 1000
    whole = len(mono) // hop * hop
    return np.asarray(np.abs(mono[:whole].reshape(-1, hop)).max(axis=1), np.float64)


def rises(levels: Levels) -> Levels:
    """How many dB the sound rises at each millisecond: the loudest of the next 10 ms over the mean of the last 20."""
    floor = max(_FLOOR, float(levels.max(initial=0.0)) * 1e-3)
    held = np.maximum(levels, floor)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([np.full(_LOOK_BACK_MS, floor), held]))])
    before = (sums[_LOOK_BACK_MS:-1] - sums[: -_LOOK_BACK_MS - 1]) / _LOOK_BACK_MS
    padded = np.concatenate([held, np.full(_LOOK_ON_MS - 1, floor)])
    after = np.lib.stride_tricks.sliding_window_view(padded, _LOOK_ON_MS).max(axis=1) if len(held) else held
    return np.asarray(20 * np.log10(after / before[: len(after)]))


def find(mono: Mono, rate_hz: int) -> list[Attack]:
    """Every attack of ``mono``, strongest first; at least one where there is any sound (its loudest moment)."""
    levels = envelope(mono, rate_hz)
    rise = rises(levels)
    found: list[int] = []
    for moment in np.argsort(-rise, kind="stable"):
        if rise[moment] < _LEAST_RISE_DB:
            break
        if all(abs(moment - other) >= _APART_MS for other in found):
            found.append(int(moment))
    if not found and len(levels) and levels.max() > 0:
        found = [int(levels.argmax())]
    attacks = {refined(mono, moment, rate_hz) for moment in found}
    return sorted(attacks, key=lambda attack: (-attack.peak, attack.sample))


def refined(mono: Mono, moment_ms: int, rate_hz: int) -> Attack:
    """The first sample of the rise that reaches a tenth of its peak without falling back for 2 ms."""
    hop = rate_hz // 1000
    start = max(0, (moment_ms - _LOOK_ON_MS) * hop)
    part = np.abs(mono[start : (moment_ms + 30) * hop])
    top = int(part.argmax())
    loud = np.flatnonzero(part[: top + 1] >= 0.1 * part[top])
    gaps = np.flatnonzero(np.diff(loud) > 2 * hop)
    first = loud[gaps[-1] + 1] if len(gaps) else loud[0]
    return Attack(start + int(first), float(part[top]))


def offset_ms(rise: Levels, wanted_ms: float, reach_ms: float) -> float | None:
    """How far the strongest rise within ``reach_ms`` of ``wanted_ms`` lies from it; None where nothing rises there."""
    low, high = max(0, round(wanted_ms - reach_ms)), min(len(rise), round(wanted_ms + reach_ms) + 1)
    part = rise[low:high]
    if not len(part) or part.max() < _LEAST_RISE_DB:
        return None
    # The rise looks 10 ms ahead: it is highest from 10 ms before an attack on, and ends with it.
    near = np.flatnonzero(part >= part.max() - 1.0)
    return float(low + near[-1] - wanted_ms)
