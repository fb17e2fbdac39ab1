# SPDX-License-Identifier: AGPL-3.0-or-later
"""The way of a moving source, as a cue carries it: a few knots in its param ``path``, out of what was followed.

Written ``0.7:-0.93,12.4 1.9:0.2,6.1``: seconds from the cue's start, side (-1 left edge of the picture, 1 right edge),
metres. Where a cue has a path, the path says what ``closest_s``, ``closest_m``, ``from_pan`` and ``to_pan`` say without it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine.cue import Cue, Sighting
from immersivaudio.engine.tracks import path_of

PATH = "path"
LATEST_S, FARTHEST_M = 604_800.0, 1_000.0
_MOST_KNOTS, _USUAL_KNOTS = 256, 24
_STEP_S, _MOST_STEPS = 0.1, 2_000
_PAN_SMOOTH_S, _REACH_SMOOTH_S = 0.12, 0.4
_PAN_OFF, _REACH_OFF = 0.03, 0.06
_FARTHER = 12.0
_TALL = 9 / 16
_AT_EDGE = 0.01
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Knot:
    """Where a source is: seconds from the cue's start, side from -1 to 1, distance in metres."""

    at_s: float
    pan: float
    metres: float


def written(knots: Sequence[Knot]) -> str:
    """The knots as the param ``path``."""
    return " ".join(f"{knot.at_s:.3f}:{knot.pan:.3f},{knot.metres:.2f}" for knot in knots)


def read(text: str) -> tuple[Knot, ...]:
    """The knots of a param ``path``.

    Raises:
        ValueError: it is not two knots or more in rising order of time, each within its range.
    """
    knots = tuple(_knot(part) for part in text.split())
    rising = all(one.at_s < other.at_s for one, other in pairwise(knots))
    inside = all(
        0 <= knot.at_s <= LATEST_S and -1 <= knot.pan <= 1 and 1 <= knot.metres <= FARTHEST_M for knot in knots
    )
    if not 2 <= len(knots) <= _MOST_KNOTS or not rising or not inside:
        raise ValueError("a path is made of knots of rising time")
    return knots


def _knot(part: str) -> Knot:
    at_s, _, place = part.partition(":")
    pan, metres = place.split(",")
    return Knot(float(at_s), float(pan), float(metres))


def of(cue: Cue) -> tuple[Knot, ...]:
    """The cue's way; nothing where it has none, or none that makes sense."""
    try:
        return read(str(cue.params[PATH])) if PATH in cue.params else ()
    except ValueError:
        return ()


def followed(row: Sighting, start_s: Fraction, closest_m: float) -> tuple[Knot, ...]:
    """The way of what was followed, for a cue that starts at ``start_s``: ``closest_m`` away where it is nearest, and
    farther as it looks smaller (half the width, twice as far). Nothing where its path was not seen.

    A lens of usual width is assumed: a picture is as wide as what it shows is far.
    """
    if "path" not in row.values or row.span.duration_s == 0:
        return ()
    share, x, y, area = np.array(sorted(path_of(row))).T
    seen_s = share * float(row.span.duration_s)
    if seen_s[-1] <= seen_s[0]:
        return ()
    at_s = np.linspace(seen_s[0], seen_s[-1], min(_MOST_STEPS, max(2, round((seen_s[-1] - seen_s[0]) / _STEP_S))) + 1)
    step_s = float(at_s[1] - at_s[0])
    aside, down = np.interp(at_s, seen_s, x) - 0.5, (np.interp(at_s, seen_s, y) - 0.5) * _TALL
    away = -0.5 * np.log(np.interp(at_s, seen_s, _whole(row, x, y, area)))
    away = _smooth(away + 0.5 * np.log1p(aside**2 + down**2), _REACH_SMOOTH_S / step_s)
    away = np.minimum(away - away.min(), np.log(_FARTHER)) + np.log(closest_m)
    pan = np.clip(_smooth(2 * aside, _PAN_SMOOTH_S / step_s), -1.0, 1.0)
    first_s = float(row.span.start_s - start_s)
    knots = (Knot(float(first_s + at_s[k]), float(pan[k]), float(np.exp(away[k]))) for k in _telling(at_s, pan, away))
    return tuple(knot for knot in knots if 0 <= knot.at_s <= LATEST_S)


def _whole(row: Sighting, x: Numbers, y: Numbers, area: Numbers) -> Numbers:
    """The thing's area at each point; where an edge of the picture cuts it, the area of the next point where none does."""
    area = np.maximum(area, 1e-5)
    shape = row.box[2] / row.box[3] if row.box is not None and row.box[2] * row.box[3] > 0 else 1.0
    wide, tall = np.sqrt(area * shape) / 2 + _AT_EDGE, np.sqrt(area / shape) / 2 + _AT_EDGE
    clear = (np.abs(x - 0.5) + wide < 0.5) & (np.abs(y - 0.5) + tall < 0.5)
    if not clear.any():
        return np.full_like(area, area.max())
    order = np.arange(len(area))
    return np.interp(order, order[clear], area[clear])


def _smooth(values: Numbers, width: float) -> Numbers:
    """``values`` without trembling of less than ``width`` steps; both ends go on as they went."""
    width = min(width, len(values) / 8)
    beside = min(len(values) - 1, int(4 * width) + 1)
    longer = np.pad(values, beside, mode="reflect", reflect_type="odd")
    return np.asarray(scipy.ndimage.gaussian_filter1d(longer, width, mode="nearest")[beside:-beside])


def _telling(at_s: Numbers, pan: Numbers, away: Numbers) -> list[int]:
    """The fewest points between which both run straight, as far as anybody hears: the worst missed one is added."""
    chosen = [0, len(at_s) - 1]
    while len(chosen) < _USUAL_KNOTS:
        off = np.maximum(
            np.abs(pan - np.interp(at_s, at_s[chosen], pan[chosen])) / _PAN_OFF,
            np.abs(away - np.interp(at_s, at_s[chosen], away[chosen])) / _REACH_OFF,
        )
        if off.max() <= 1:
            break
        bisect.insort(chosen, int(off.argmax()))
    return chosen
