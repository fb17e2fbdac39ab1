# SPDX-License-Identifier: AGPL-3.0-or-later
"""Braking: where what moved in one step has lost its speed in the next."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from immersivaudio.engine.watchers._flow import FLOOR, Floats, Step, places_of


@dataclass(frozen=True, slots=True)
class Brake:
    """Where motion was lost between two steps, at ``time_s``, the picture they share.

    ``loss`` is float32 ``[h/2, w/2]``: speed lost along its own direction, averaged over a box of a tenth of the width.
    """

    time_s: float
    loss: Floats
    before: Step
    after: Step


def brake(before: Step, after: Step) -> Brake:
    """Follow each point of ``before`` into ``after`` and see how much of its speed, along its way, is gone."""
    height, width = before.speed.shape
    if before.fastest <= 2 * FLOOR:
        return Brake(before.end_s, np.zeros(((height + 1) // 2, (width + 1) // 2), np.float32), before, after)
    lasted = max(1e-3, before.end_s - before.start_s) * width
    places = cv2.scaleAdd(before.velocity, lasted, places_of(height, width))
    later = cv2.remap(after.velocity, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    both = later * before.velocity
    lost = np.maximum(before.speed - (both[..., 0] + both[..., 1]) / (before.speed + np.float32(1e-6)), np.float32(0))
    inside = cv2.inRange(places, (1.001, 1.001), (width - 2.001, height - 2.001))
    moving = cv2.bitwise_and(inside, cv2.compare(before.speed, 2 * FLOOR, cv2.CMP_GT))
    return Brake(before.end_s, np.ascontiguousarray(boxed(cv2.copyTo(lost, moving))[::2, ::2]), before, after)


def boxed(values: Floats) -> Floats:
    """``values`` averaged over a box a tenth of the frame wide."""
    side = _side(values)
    return cv2.blur(values, (side, side), borderType=cv2.BORDER_CONSTANT)  # type: ignore[no-any-return]


def boxed_at(values: Floats, row: int, column: int) -> float:
    """``boxed(values)[row, column]`` alone."""
    reach = _side(values) // 2
    part = values[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    return float(cv2.sumElems(part)[0]) / (2 * reach + 1) ** 2


def _side(values: Floats) -> int:
    return max(3, values.shape[1] // 10 | 1)
