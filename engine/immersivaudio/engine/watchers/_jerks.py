# SPDX-License-Identifier: AGPL-3.0-or-later
"""Jerks: is a short piece of way better told by a blow, or by a smooth turn with as much freedom?

Muscles, strings and springs change a force over time; what is struck changes its speed at once. So a blow is one steady
acceleration and a step of the velocity at some moment, a smooth turn a cubic. What fits better, and by how much, tells
a drumstick from the hand of somebody who signs, and a ball that bounces from a pendulum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_REACH, _LEAST_POINTS, _MOMENTS = 4, 3, 9
_MOST = 4.0


def jerk(times_s: Values, places: Values, at_s: float, step_s: float, grain: float) -> float:
    """Log of how much more a cubic leaves over than a blow within a step of ``at_s`` does, -1 to 4; 0 where too few
    pictures tell. ``places`` is ``[n, 2]`` over ``times_s``; ``grain`` is how exactly places are known."""
    last = int(np.searchsorted(times_s, at_s))
    around = slice(max(0, last - _REACH), last + _REACH)
    t = times_s[around] - at_s
    if min(np.count_nonzero(t < 0), np.count_nonzero(t > 0)) < _LEAST_POINTS:
        return 0.0
    where, far = places[around], float(np.abs(t).max())
    u = t / far
    powers = np.stack([np.ones_like(u), u, u * u], 1)
    turns = np.linspace(-step_s, step_s, _MOMENTS) / far
    struck = min(_left_over(np.c_[powers, np.maximum(0.0, u - turn)], where) for turn in turns)
    unknown = 0.5 * len(t) * grain**2
    told = np.log((_left_over(np.c_[powers, u**3], where) + unknown) / (struck + unknown))
    return float(np.clip(told, -1.0, _MOST))


def _left_over(basis: Values, where: Values) -> float:
    """Squares that the best sum of the columns of ``basis`` leaves over."""
    axes, _ = np.linalg.qr(basis)
    return float(np.square(where - axes @ (axes.T @ where)).sum())
