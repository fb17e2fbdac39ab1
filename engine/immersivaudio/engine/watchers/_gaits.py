# SPDX-License-Identifier: AGPL-3.0-or-later
"""Gaits: the steps of somebody who walks or runs through the picture.

No foot of a small figure can be followed, but its silhouette tells: it is widest, and its middle lowest, when one foot
comes down while the other is still behind, once a step (Murray 1967, "Gait as a total pattern of movement"; Ben Abdelkader
et al. 2002, "Stride and cadence as a biometric"). So where an upright thing gets evenly ahead while its width, and mostly its
height over the ground, go up and down evenly and together, it steps; a sine through both says when.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers._movers import Mover

Values = NDArray[np.float64]

_PACES_S = np.arange(0.28, 0.72, 0.01)  # from a sprint, 3.6 steps a second, to a stroll, 1.4
_LEAST_STEPS, _LEAST_POINTS = 3.5, 24
_STRETCH_S = 3.2  # a pace is even for so long
_UPRIGHT, _LEAST_TALL = 1.1, 0.08
_GETS_AHEAD, _SWINGS = 0.25, 0.03
_STEADY = 0.5  # what stops and goes, a car in a queue, swells and shrinks as it does
_WAY = 0.85  # of what it goes leads to where it gets: who dances or is swung goes to and fro
_LEAST_EVEN, _SURE_BY, _IN_STEP, _TOLD = 0.36, 10.0, 0.15, 0.1


@dataclass(frozen=True, slots=True)
class Footfall:
    """A foot that comes down: when, where in the frame (widths from the left, heights from the top), how surely (log odds),
    the ``pace_s`` from step to step, the walker's speed and height in widths, and its area share."""

    time_s: float
    x: float
    y: float
    odds: float
    pace_s: float
    speed: float
    tall: float
    area: float


@dataclass(frozen=True, slots=True)
class _Sway:
    """A sine through something that goes up and down: how much of it is told by it, when it is at its greatest, how far it
    goes."""

    told: float
    peak_s: float
    reach: float


def footfalls(mover: Mover) -> list[Footfall]:
    """The steps of a mover, none where it is no walker."""
    steps: list[Footfall] = []
    for part in _stretches(mover):
        steps += _steps(mover, part)
    return steps


def _stretches(mover: Mover) -> Iterator[slice]:
    times = mover.times_s
    count = max(1, int((times[-1] - times[0]) / _STRETCH_S))
    edges = np.linspace(0, len(times), count + 1).astype(int)
    for first, end in itertools.pairwise(edges):
        if end - first >= _LEAST_POINTS:
            yield slice(int(first), int(end))


def _steps(mover: Mover, part: slice) -> list[Footfall]:
    times, boxes, centres = mover.times_s[part], mover.boxes[part], mover.centres[part]
    wide, tall = np.median(boxes, axis=0)
    if tall < max(_LEAST_TALL, _UPRIGHT * wide) or not _gets_ahead(times, centres, float(tall)):
        return []
    paces = _PACES_S[times[-1] - times[0] >= _PACES_S * _LEAST_STEPS]
    found = [
        (_evenness(*sways, float(pace)), float(pace), sways[0])
        for pace in paces
        for sways in [_sways(times, boxes, centres, pace)]
    ]
    even, pace, sway = max(found, key=lambda one: one[0], default=(0.0, 0.0, _Sway(0.0, 0.0, 0.0)))
    if even < _LEAST_EVEN or sway.reach < _SWINGS * tall:
        return []
    return list(_laid(mover, part, (even, pace, sway.peak_s)))


def _gets_ahead(times: Values, centres: Values, tall: float) -> bool:
    """Whether it goes somewhere, a quarter of its height a second at least, straight on and at a steady speed."""
    way = np.abs(np.diff(centres[:, 0])).sum()
    ahead = abs(centres[-1, 0] - centres[0, 0])
    smooth = np.abs(np.diff(centres[:: max(1, len(centres) // 8), 0])).sum()
    middle = len(times) // 2
    halves = [(centres[b, 0] - centres[a, 0]) / (times[b] - times[a]) for a, b in ((0, middle), (middle, -1))]
    steady = min(map(abs, halves)) >= _STEADY * max(map(abs, halves))
    far = ahead >= _GETS_AHEAD * tall * (times[-1] - times[0])
    return bool(far and steady and ahead >= _WAY * smooth and way > 0)


def _sways(times: Values, boxes: Values, centres: Values, pace: float) -> tuple[_Sway, _Sway]:
    """Of the width and of the height of the middle, at ``pace``."""
    return _sway(times, boxes[:, 0], pace), _sway(times, centres[:, 1], pace)


def _sway(times: Values, values: Values, pace: float) -> _Sway:
    middle = times.mean()
    t, turn = times - middle, 2.0 * np.pi * times / pace
    trend = np.stack([np.ones_like(t), t, t * t], 1)
    axes, _ = np.linalg.qr(trend)
    rest = values - axes @ (axes.T @ values)
    waves = np.stack([np.cos(turn), np.sin(turn)], 1)
    waves = waves - axes @ (axes.T @ waves)
    parts = np.linalg.lstsq(waves, rest, rcond=None)[0]
    left = float(np.square(rest - waves @ parts).sum())
    peak = float(np.arctan2(parts[1], parts[0])) * pace / (2.0 * np.pi)
    return _Sway(1.0 - left / max(float(np.square(rest).sum()), 1e-12), peak, float(np.hypot(*parts)))


def _evenness(width: _Sway, height: _Sway, pace: float) -> float:
    """How much of both a sine tells, the lesser counted where it tells enough; nothing where they are out of step, for a
    body sinks as its legs part."""
    off = abs((width.peak_s - height.peak_s + pace / 2) % pace - pace / 2)
    if height.told > _TOLD and off > _IN_STEP * pace:
        return 0.0
    return max(width.told, (width.told + height.told) / 2) if width.told > height.told / 3 else width.told


def _laid(mover: Mover, part: slice, gait: tuple[float, float, float]) -> Iterator[Footfall]:
    even, pace, peak = gait
    times = mover.times_s[part]
    first = peak + np.ceil((times[0] - 0.2 * pace - peak) / pace) * pace
    speed = float(abs(mover.centres[part][-1, 0] - mover.centres[part][0, 0]) / (times[-1] - times[0]))
    tall, area = float(np.median(mover.boxes[part][:, 1])), float(np.median(mover.area[part]))
    ratio = mover.ratio
    for moment in np.arange(first, times[-1] + 0.2 * pace, pace):
        at = part.start + int(np.argmin(np.abs(times - moment)))
        x, y = mover.seen[at]
        foot = min(1.0, (float(y) + tall / 2) * ratio)
        yield Footfall(float(moment), float(x), foot, _SURE_BY * (even - _LEAST_EVEN), pace, speed, tall, area)
