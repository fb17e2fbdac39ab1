# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lanes whose ducking and dips an editor plays: taken out of the stem's file, to be written as levels on its clips.

All cues of a lane follow one curve (``MixResult.rides``), so a finished stem divided by that curve is the stem as it
was before: nothing is mixed again, and file and levels together are the stem to the last bits.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from immersivaudio.engine import bwf, curves
from immersivaudio.engine.audio import Block, decibels
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, GainPoint, Stem
from immersivaudio.engine.desk import BLOCK_SAMPLES
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.loudness import largest
from immersivaudio.engine.mixing import MixResult, StemFile

_HEADROOM_DB = 1.0


@dataclass(frozen=True, slots=True)
class Ride:
    """What a lane's file lacks: ``gain_db`` throughout and, on the record clock, ``curve``."""

    gain_db: float
    curve: curves.Curve

    def undo(self, first: int, count: int) -> Block | float:
        """The linear gain that takes this ride out of ``count`` samples from ``first`` on."""
        return curves.amplitudes(_negative(self.curve, self.gain_db), first, count)

    def within(self, start_s: float, duration_s: float) -> curves.Curve:
        """The curve inside a clip, on the clip's clock."""
        return curves.window(self.curve, start_s, duration_s)


def rides(mixed: MixResult, gain_db: float, cancelled: Callable[[], bool] = lambda: False) -> dict[Stem, Ride]:
    """The ride of each stem that ducks, one for all of its groups. ``gain_db`` is what its file gets on top of the mix: where the file would clip
    without its ducking it is written lower, and the difference is in the ride."""
    found: dict[Stem, Ride] = {}
    for file in mixed.lanes:
        curve = mixed.rides.get(file.stem, ()) if file.stem is not None else ()
        if file.stem is not None and curve and file.placements:
            over_db = _peak_db(file, curve, cancelled) + gain_db + _HEADROOM_DB
            known = found.get(file.stem, Ride(0.0, curve))
            found[file.stem] = Ride(max(known.gain_db, over_db), curve)
    return found


def _peak_db(file: StemFile, curve: curves.Curve, cancelled: Callable[[], bool]) -> float:
    """The largest sample of a stem without its ducking, in decibels."""
    top, ride = 0.0, Ride(0.0, curve)
    for first in range(0, file.samples, BLOCK_SAMPLES):
        if cancelled():
            raise CancelledError("The delivery was stopped.")
        block = np.asarray(bwf.read_wav(file.path)[0][first : first + BLOCK_SAMPLES].T, np.float32)
        top = max(top, largest(block * ride.undo(first, block.shape[1])))
    return decibels(top)


def without(curve: curves.Curve, ride: Ride, start: int) -> curves.Curve:
    """``curve`` of a cue that begins at record sample ``start``, less what its lane's ride does there."""
    last_s = max((point.at_s for point in curve), default=0.0)
    return curves.add(curve, _negative(ride.within(start / SAMPLE_RATE_HZ, last_s)), -ride.gain_db)


def _negative(curve: curves.Curve, gain_db: float = 0.0) -> curves.Curve:
    return curves.add(tuple(GainPoint(point.at_s, -point.gain_db) for point in curve), (), -gain_db)


def keyframes(points: Sequence[tuple[float, float]], rate_hz: float, frames: int) -> list[tuple[int, float]]:
    """``(seconds, decibels)`` as ``(frame, decibels)`` inside ``[0, frames)``, the first at 0; none for no points.

    Each frame gets the curve's own value there, so rounding to frames changes slopes but never levels.
    """
    if not points or frames < 1:
        return []
    inside = {min(max(0, round(at_s * rate_hz)), frames - 1) for at_s, _ in points}
    times = [at_s for at_s, _ in points]
    return [(frame, _at(points, times, frame / rate_hz)) for frame in sorted(inside | {0})]


def _at(points: Sequence[tuple[float, float]], times: Sequence[float], at_s: float) -> float:
    """The curve at a moment: straight in decibels, held outside."""
    after = bisect.bisect_right(times, at_s)
    if after == 0 or after == len(points):
        return points[min(after, len(points) - 1)][1]
    (start_s, start_db), (end_s, end_db) = points[after - 1], points[after]
    return start_db + (end_db - start_db) * (at_s - start_s) / (end_s - start_s)
