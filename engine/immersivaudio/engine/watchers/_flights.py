# SPDX-License-Identifier: AGPL-3.0-or-later
"""Balls: what flies freely is drawn down all the time, so where a ball turns upwards something struck it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers._boxes import Box
from immersivaudio.engine.watchers._tracks import Point

Values = NDArray[np.float64]
_REACH, _LEAST_POINTS = 4, 3
_LEAST_TURN, _SURE_TURN = 0.35, 1.2
_APART_S, _GAP_S = 0.2, 0.2


@dataclass(frozen=True, slots=True)
class Bounce:
    """A sharp turn of a ball: when (seconds, between frames too), how much its velocity changed (frame heights a
    second), how surely it was struck, and its box."""

    time_s: float
    turn: float
    confidence: float
    box: Box


def bounces(points: Sequence[Point]) -> list[Bounce]:
    """Where the ball of ``points`` is struck, in order of time."""
    found: list[Bounce] = []
    for stretch in _whole(points):
        for bounce in _turns(stretch):
            if found and bounce.time_s - found[-1].time_s < _APART_S:
                found[-1] = max(found[-1], bounce, key=lambda one: one.turn)
            else:
                found.append(bounce)
    return found


def _whole(points: Sequence[Point]) -> list[list[Point]]:
    """Stretches in which the ball was hardly ever lost."""
    stretches: list[list[Point]] = [[]]
    for point in points:
        if stretches[-1] and point.time_s - stretches[-1][-1].time_s > _GAP_S:
            stretches.append([])
        stretches[-1].append(point)
    return [stretch for stretch in stretches if len(stretch) >= 2 * _LEAST_POINTS]


def _turns(points: Sequence[Point]) -> list[Bounce]:
    times = np.array([point.time_s for point in points])
    heights = np.array([point.box.centre[1] for point in points])
    found = []
    for index in range(_LEAST_POINTS - 1, len(points) - _LEAST_POINTS + 1):
        low = heights[index] >= heights[max(0, index - 2) : index + 3].max() - 1e-9
        if low:
            bounce = _bounce(times, heights, index, points[index].box)
            if bounce is not None:
                found.append(bounce)
    return found


def _bounce(times: Values, heights: Values, index: int, box: Box) -> Bounce | None:
    """The turn at a lowest point: lines before and after meet at the moment it was struck."""
    before = slice(max(0, index - _REACH + 1), index + 1)
    after = slice(index, index + _REACH)
    falls, rises = (np.polyfit(times[part] - times[index], heights[part], 1) for part in (before, after))
    turn = float(falls[0] - rises[0])
    if falls[0] <= 0 or rises[0] >= 0 or turn < _LEAST_TURN:
        return None
    meets = float((rises[1] - falls[1]) / (falls[0] - rises[0]))
    step = float(np.median(np.diff(times[before.start : after.stop])))
    moment = float(times[index]) + float(np.clip(meets, -step, step))
    sure = 0.45 + 0.45 * min(1.0, (turn - _LEAST_TURN) / (_SURE_TURN - _LEAST_TURN))
    return Bounce(moment, turn, sure, box)
