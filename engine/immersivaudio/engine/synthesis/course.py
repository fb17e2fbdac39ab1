# SPDX-License-Identifier: AGPL-3.0-or-later
"""The course of a source past the listener as the picture has it: through knots, smoothly, and on beyond both ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import Array
from immersivaudio.engine.ways import FARTHEST_M, Knot

SOUND_MPS = 343.0
# Cubics between knots are at most three times as steep as the way from knot to knot: below the speed of sound.
_FASTEST_MPS = 80.0
_AROUND_S, _END_S = 20.0, 0.5
_SIDEWAYS = 1.5
_STANDS_MPS = 0.5


class Followed:
    """A course through knots. Its clock is the moment of the nearest knot; distances in metres.

    Side and distance run monotone from knot to knot (Fritsch and Carlson 1980), so that what stops stands and what
    turns back does, and the pitch never jumps. Beyond its ends the source goes straight on as fast as it was last seen.
    A picture is as wide as what it shows is far: its edges lie at ``atan(1/2)``.
    """

    def __init__(
        self, knots: Sequence[Knot], speed_mps: float, fastest_mps: float, lasts_s: float, extra_m: float = 0.0
    ) -> None:
        at_s, pan, metres = np.array([(knot.at_s, knot.pan, knot.metres) for knot in knots]).T
        nearest = int(metres.argmin())
        fastest_mps = min(fastest_mps, _FASTEST_MPS)
        reach = _bounded(at_s, metres * (1 + extra_m / metres[nearest]), nearest, fastest_mps)
        self.speed_mps, self.closest_s, self.closest_m = speed_mps, float(at_s[nearest]), float(reach[nearest])
        seen = np.stack([at_s, np.arctan(pan / 2), reach])
        before = _onward(seen[:, ::-1], -1.0, at_s[0] + _AROUND_S, fastest_mps)
        after = _onward(seen, 1.0, lasts_s - at_s[-1] + _AROUND_S, fastest_mps)
        whole = np.concatenate([before[:, ::-1], seen, after], axis=1)
        times = whole[0] - self.closest_s
        self._first, self._last = float(times[0]), float(times[-1])
        whole[2, [*range(before.shape[1]), *range(-after.shape[1], 0)]] = np.clip(
            np.concatenate([before[2, ::-1], after[2]]), self.closest_m, max(FARTHEST_M, float(reach.max()))
        )
        self._way = scipy.interpolate.PchipInterpolator(times, whole[1:].T)
        self._pace = self._way.derivative()

    def left_at(self, heard_s: Array, offset_m: float = 0.0) -> Array:
        """When what is heard at these moments left a source ``offset_m`` behind the leading one; from the closest point."""
        wanted = heard_s - self.closest_s - offset_m / self.speed_mps
        left: Array = wanted - self._at(wanted)[1] / SOUND_MPS
        for _ in range(6):
            missed = left + self._at(left)[1] / SOUND_MPS - wanted
            left = left - missed / (1 + self._moving(left)[1] / SOUND_MPS)
        return left

    def beside(self, left_s: Array) -> tuple[Array, Array]:
        """How far along the way that it goes (negative: it still comes), and how far aside of it, in metres."""
        reach, (turning, receding) = self._at(left_s)[1], self._moving(left_s)
        along = reach * receding / np.hypot(np.hypot(receding, reach * turning), _STANDS_MPS)
        return along, np.sqrt(np.maximum(reach**2 - along**2, 0.0))

    def pan(self, left_s: Array, facing: Array) -> Array:
        """The side it is on, from -1 to 1."""
        del facing
        return np.asarray(np.clip(2 * np.tan(self._at(left_s)[0]), -1.0, 1.0))

    def ground(self, beyond_m: float) -> tuple[float, float]:
        """Distance and side of a place on the ground, ``beyond_m`` along the way from the closest point."""
        at_s = np.array([beyond_m / self.speed_mps])
        return float(self._at(at_s)[1, 0]), float(self.pan(at_s, at_s)[0])

    def _at(self, left_s: Array) -> Array:
        """Bearing and distance, ``[2, n]``."""
        return np.asarray(self._way(np.clip(left_s, self._first, self._last)).T)

    def _moving(self, left_s: Array) -> Array:
        """How fast bearing and distance change, ``[2, n]``; beyond all that was reckoned it stands."""
        inside = (left_s > self._first) & (left_s < self._last)
        return np.asarray(np.where(inside, self._pace(np.clip(left_s, self._first, self._last)).T, 0.0))


def _bounded(at_s: Array, metres: Array, nearest: int, fastest_mps: float) -> Array:
    """Distances that nothing needs more than ``fastest_mps`` for; the nearest stays as it is."""
    reach = metres.copy()
    for order in (range(nearest + 1, len(reach)), range(nearest - 1, -1, -1)):
        for k in order:
            last = k - 1 if k > nearest else k + 1
            room = fastest_mps * abs(at_s[k] - at_s[last])
            reach[k] = np.clip(reach[k], max(reach[nearest], reach[last] - room), reach[last] + room)
    return reach


def _onward(seen: Array, way: float, lasting_s: float, fastest_mps: float) -> Array:
    """Knots ``[3, n]`` that go straight on from the last of ``seen`` (time, bearing, distance) for ``lasting_s``, onwards
    or backwards in time (``way`` -1)."""
    at_s, bearing, reach = seen
    place = reach * np.stack([np.sin(bearing), np.cos(bearing)])
    ago_s = way * (at_s - at_s[-1])
    before_s = max(float(ago_s[0]), -_END_S)
    earlier = np.array([np.interp(before_s, ago_s, row) for row in place])
    pace = (place[:, -1] - earlier) / -before_s
    pace *= min(1.0, fastest_mps / max(1e-9, float(np.hypot(*pace))))
    later_s = np.append(np.arange(0.25, min(10.0, lasting_s), 0.25), lasting_s)
    ahead = place[:, -1:] + pace[:, None] * later_s
    turned = np.unwrap(np.append(bearing[-1], np.arctan2(*ahead)))[1:]
    return np.stack([at_s[-1] + way * later_s, np.clip(turned, -_SIDEWAYS, _SIDEWAYS), np.hypot(*ahead)])
