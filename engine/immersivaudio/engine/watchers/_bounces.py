# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bounces: where the way of a mover has a kink that no steady force explains.

A way is cut into the fewest parabolas that fit it (optimal partitioning: Jackson et al. 2005, "An algorithm for optimal
partitioning of data on an interval"). A throw, a swing or a gesture is smooth: its parts meet at one speed. A contact is
an impulse: they meet at two, and where they meet in space is when it was, to a fraction of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers._jerks import jerk
from immersivaudio.engine.watchers._movers import Mover
from immersivaudio.engine.watchers._trains import Landing, in_trains

Values = NDArray[np.float64]

_LONGEST = 24
_AT_ONCE = 4000
_LEAST_WAY = 0.015
_MATTERS = 0.4
_PENALTY = 30.0
_GRAIN = 0.0012  # the place of a silhouette is known to a quarter of a pixel
_BENDS_FROM = 5
_NEAR_S = 1 / 3
_SHAKEN, _SHAKEN_MOST, _RARE, _SWELLS = 8.0, 3.0, 0.35, 1.5
_LEAST_LOST, _LEAST_GONE = 0.35, 0.15
# A logistic regression over drawn films with even seeds (bench/fit_contacts.py makes one and prints it beside this),
# with less belief in "down" than they teach.
_WEIGHTS = (0.36, 0.55, 0.60, 0.11, -0.63, 4.42, 0.60, -0.33, -0.20, -1.37, 0.82, -3.45)
_COMPACT, _ALONG, _BESIDE, _LEEWAY, _ASLANT = 0.06, 0.4, 0.3, 0.06, 0.3
_DOUBTFUL, _CLEAR_S, _INSIDE_S = -1.0, 0.12, 0.08
_THINKABLE, _TRAINED, _HALTED = -3.0, 1.5, 0.3


@dataclass(frozen=True, slots=True)
class Kink:
    """A sudden change of velocity: (x, y) in the frame (0 to 1 each), velocities in widths a second before and after;
    ``points`` the lesser number of pictures that tell of one side, ``off`` how far the parts pass each other by,
    ``bend`` the greater acceleration of the two parts (widths/s^2), ``rest`` how far pictures lie off them on average,
    ``unrest`` how much its other kinks within a third of a second change its speed, as a share of this one, ``shaken``
    how fast the camera goes around there, widths a second, ``swell`` by how much its silhouette grows or shrinks there
    (log of its area), ``jerk`` how much better a blow tells of it than a smooth turn."""

    time_s: float
    x: float
    y: float
    before: tuple[float, float]
    after: tuple[float, float]
    points: int
    off: float
    area: float
    step_s: float
    bend: float
    rest: float
    shaken: float
    unrest: float = 0.0
    swell: float = 0.0
    jerk: float = 0.0

    @property
    def jump(self) -> float:
        return float(np.hypot(self.after[0] - self.before[0], self.after[1] - self.before[1]))

    @property
    def speed(self) -> float:
        return float(np.hypot(*self.before))

    @property
    def lost(self) -> float:
        """The share of the speed that went, along the way it had: 1 stopped, 2 thrown back as fast."""
        along = self.before[0] * self.after[0] + self.before[1] * self.after[1]
        return float(1.0 - along / max(1e-9, self.speed**2))


@dataclass(frozen=True, slots=True)
class Part:
    """A parabola over the points ``first`` to ``last``: rows of ``way`` are x and y over (1, t, t^2), t from ``origin_s``."""

    first: int
    last: int
    origin_s: float
    way: Values

    def place(self, time_s: float | Values) -> Values:
        t = np.asarray(time_s) - self.origin_s
        return np.asarray(np.stack([np.ones_like(t), t, t * t], -1) @ self.way)

    def velocity(self, time_s: float) -> tuple[float, float]:
        t = time_s - self.origin_s
        vx, vy = self.way[1] + 2 * t * self.way[2]
        return float(vx), float(vy)


def _parts(mover: Mover, misfits: Values) -> list[Part]:
    """The fewest parabolas (straight lines where there are under five points) that fit the way."""
    count = len(mover.times_s)
    grain = max(_GRAIN, _roughness(mover.centres))
    misfits = misfits / grain**2 + _PENALTY
    best, came = np.full(count + 1, np.inf), np.zeros(count + 1, int)
    best[0] = 0.0
    for end in range(2, count + 1):
        starts = np.arange(max(0, end - _LONGEST), end - 1)
        costs = best[starts] + misfits[starts, end - starts]
        came[end] = starts[int(costs.argmin())]
        best[end] = costs.min()
    found: list[Part] = []
    end = count
    while end > 0:
        found.append(_part(mover, int(came[end]), end - 1))
        end = int(came[end])
    return found[::-1]


def _misfits(times: Values, places: Values) -> Values:
    """What a parabola leaves over of each stretch: ``[first, length]``, squares summed, float64 ``[n, 25]``.

    Sums of powers grow with the stretch, point by point, each counted from the stretch's own first point.
    """
    told = np.full((len(times), _LONGEST + 1), np.inf)
    sums = np.zeros((4, len(times)))
    along = np.zeros((4, 2, len(times)))
    for length in range(2, min(_LONGEST, len(times)) + 1):
        count = len(times) - length + 1
        t = times[length - 1 :] - times[:count]
        x = (places[length - 1 :] - places[:count]).T
        powers = np.stack([t, t * t, t**3, t**4])
        sums = sums[:, :count] + powers
        along = along[:, :, :count] + np.stack([x, t * x, powers[1] * x, x * x])
        told[:count, length] = np.maximum(_left_over(length, sums, along), 0.0)
    return told


def _left_over(count: int, sums: Values, along: Values) -> Values:
    """Squares that the line (the parabola, of five points and more) through ``count`` points leaves over, from the sums
    of t, t^2, t^3, t^4 and of x, t x, t^2 x, x^2 over them (the first point is at 0)."""
    s1, s2, s3, s4 = sums
    x0, x1, x2, xx = along
    spread = s2 - s1 * s1 / count
    slope = x1 - s1 * x0 / count
    left = xx - x0 * x0 / count - slope * slope / np.maximum(spread, 1e-12)
    if count >= _BENDS_FROM:
        lean = (s3 - s1 * s2 / count) / np.maximum(spread, 1e-12)
        bend = x2 - s2 * x0 / count - lean * slope
        left = left - bend * bend / np.maximum(s4 - s2 * s2 / count - lean * lean * spread, 1e-12)
    return np.asarray(left.sum(0))


def _roughness(places: Values) -> float:
    """How much places jitter, from third differences, which smooth ways and throws do not have."""
    if len(places) < 8:
        return 0.0
    return float(np.median(np.abs(np.diff(places, 3, axis=0))) / (0.6745 * np.sqrt(20.0)))


def _basis(t: Values) -> Values:
    return np.stack([np.ones_like(t), t, t * t], 1)[:, : 3 if len(t) >= _BENDS_FROM else 2]


def _part(mover: Mover, first: int, last: int) -> Part:
    t, places = mover.times_s[first : last + 1], mover.centres[first : last + 1]
    basis = _basis(t - t[0])
    way = np.zeros((3, 2))
    way[: basis.shape[1]] = np.linalg.lstsq(basis, places, rcond=None)[0]
    return Part(first, last, float(t[0]), way)


def kinks(movers: Sequence[Mover]) -> Iterator[list[Kink]]:
    """Of each mover, every place where two parts of its way meet; most are no contacts, their speeds say which."""
    for some in _batches(movers):
        goes = [float(np.ptp(mover.centres, axis=0).max()) >= _LEAST_WAY for mover in some]
        misfits = iter(_all_misfits([mover for mover, far in zip(some, goes, strict=True) if far]))
        for mover, far in zip(some, goes, strict=True):
            yield _kinks(mover, next(misfits)) if far else []


def _batches(movers: Sequence[Mover]) -> Iterator[list[Mover]]:
    """Some thousand points at a time: many short ways cost no more than one long one, and memory stays small."""
    batch: list[Mover] = []
    for mover in movers:
        batch.append(mover)
        if sum(len(one.times_s) for one in batch) > _AT_ONCE:
            yield batch
            batch = []
    yield batch


def _all_misfits(movers: Sequence[Mover]) -> list[Values]:
    if not movers:
        return []
    misfits = _misfits(np.concatenate([m.times_s for m in movers]), np.concatenate([m.centres for m in movers]))
    ends = np.cumsum([len(mover.times_s) for mover in movers])
    told = np.split(misfits, ends[:-1])
    for part in told:  # what reaches into the next mover is no stretch of this one
        part[np.add.outer(np.arange(len(part)), np.arange(part.shape[1])) > len(part)] = np.inf
    return told


def _kinks(mover: Mover, misfits: Values) -> list[Kink]:
    told = _parts(mover, misfits)
    found = [_kink(mover, one, other) for one, other in pairwise(told)]
    return [
        replace(kink, unrest=_unrest(kink, found), points=_points(told, found, i), jerk=_jerk(mover, kink))
        for i, kink in enumerate(found)
    ]


def _jerk(mover: Mover, kink: Kink) -> float:
    return jerk(mover.times_s, mover.centres, kink.time_s, kink.step_s, _GRAIN) if is_sudden(kink) else 0.0


def _points(told: Sequence[Part], found: Sequence[Kink], at: int) -> int:
    """How many pictures tell of each side of a kink, up to the next one that matters beside it; the lesser number."""
    enough = _MATTERS * found[at].jump
    first, last = at, at
    while first > 0 and found[first - 1].jump < enough:
        first -= 1
    while last + 1 < len(found) and found[last + 1].jump < enough:
        last += 1
    return min(told[at].last - told[first].first, told[last + 1].last - told[at + 1].first) + 1


def _unrest(kink: Kink, found: Sequence[Kink]) -> float:
    others = (other.jump for other in found if other is not kink and abs(other.time_s - kink.time_s) < _NEAR_S)
    return float(sum(others)) / max(1e-6, kink.jump)


def _kink(mover: Mover, one: Part, other: Part) -> Kink:
    t0, t1 = float(mover.times_s[one.last]), float(mover.times_s[other.first])
    times = np.linspace(t0 - 0.5 * (t1 - t0), t1 + 0.5 * (t1 - t0), 41)
    apart = np.hypot(*(one.place(times) - other.place(times)).T)
    nearest = int(apart.argmin())
    time = float(times[nearest])
    x, y = (mover.seen[one.last] + mover.seen[other.first]) / 2
    return Kink(
        time,
        float(x),
        float(y) * mover.ratio,
        one.velocity(time),
        other.velocity(time),
        0,
        float(apart[nearest]),
        float(np.median(mover.area[one.first : other.last + 1])),
        t1 - t0,
        2.0 * max(float(np.hypot(*part.way[2])) for part in (one, other)),
        _rest(mover, one, other),
        _shaken(mover, one.last),
        swell=_swell(mover.area, one.last),
    )


def _swell(area: Values, at: int) -> float:
    """How much larger or smaller a silhouette is after a point than up to it: what merges with another, or is half
    hidden, jumps without being struck."""
    before, after = area[max(0, at - 2) : at + 1], area[at + 1 : at + 4]
    return float(abs(np.log(np.median(after) / np.median(before))))


def _shaken(mover: Mover, at: int) -> float:
    around = slice(max(0, at - 4), at + 6)
    way = mover.seen[around] - mover.centres[around]
    steps = np.diff(way, axis=0) / np.diff(mover.times_s[around])[:, None]
    return float(np.hypot(*steps.T).max(initial=0.0))


def _rest(mover: Mover, *told: Part) -> float:
    off = [mover.centres[p.first : p.last + 1] - p.place(mover.times_s[p.first : p.last + 1]) for p in told]
    return float(np.sqrt((np.concatenate(off) ** 2).sum(1).mean()))


def features(kink: Kink) -> tuple[float, ...]:
    """What the weights of the verdict weigh."""
    gone = kink.speed * min(kink.lost, 2.0)
    return (
        float(np.log(gone + 0.02)),
        min(kink.lost, 1.5),
        kink.before[1] / max(1e-6, kink.speed),
        float(min(kink.points, 8)),
        min(1.0, kink.off / (0.01 + kink.speed * kink.step_s)),
        kink.jump / (kink.jump + 2.0 * kink.bend * kink.step_s + 0.05),
        float(np.log(kink.area)),
        min(1.0, kink.rest / (0.004 + 0.25 * kink.speed * kink.step_s)),
        min(3.0, kink.unrest),
        min(_SWELLS, kink.swell),
        kink.jerk,
    )


def odds(kink: Kink) -> float:
    """Log odds that a kink is a contact; a shaken camera makes kinks out of nothing."""
    *weights, bias = _WEIGHTS
    doubt = min(_SHAKEN_MOST, _SHAKEN * kink.shaken)
    return float(np.dot(weights, features(kink))) + bias - doubt - _RARE


def is_sudden(kink: Kink) -> bool:
    """Whether enough of its speed went at a kink for a contact."""
    return kink.lost >= _LEAST_LOST and kink.speed * min(kink.lost, 2.0) >= _LEAST_GONE


@dataclass(frozen=True, slots=True)
class Ways:
    """All movers of a clip, ``lives`` their first and last moments, float64 ``[n, 2]``, and the kinks of their ways, those
    that might be contacts in order of time."""

    kinks: tuple[tuple[Kink, float], ...]
    movers: tuple[tuple[Mover, tuple[float, ...]], ...]
    lives: Values

    @classmethod
    def of(cls, movers: Sequence[Mover]) -> Ways:
        found: list[tuple[Kink, float]] = []
        told: list[tuple[Mover, tuple[float, ...]]] = []
        for mover, turns in zip(movers, kinks(movers), strict=True):
            judged = [(kink, odds(kink)) for kink in turns if is_sudden(kink)]
            found += judged
            told.append((mover, tuple(kink.time_s for kink, sure in judged if sure > _DOUBTFUL)))
        lives = np.array([(mover.times_s[0], mover.times_s[-1]) for mover in movers]).reshape(-1, 2)
        return cls(_in_turn(sorted(found, key=lambda pair: pair[0].time_s)), tuple(told), lives)

    def near(self, time_s: float, x: float, y: float, within_s: float) -> tuple[Kink, float] | None:
        """The likeliest kink near a moment and a place."""
        close = [
            (kink, sure)
            for kink, sure in self.kinks
            if abs(kink.time_s - time_s) <= within_s and abs(kink.x - x) + abs(kink.y - y) < _BESIDE
        ]
        return max(close, key=lambda pair: pair[1], default=None)

    def glides(self, time_s: float, place: tuple[float, float], speed: float, down: float) -> bool:
        """Whether what goes at ``speed`` there, ``down`` so far, is a thing that is followed and goes on smoothly."""
        at = (time_s, *place, speed, down)
        there = np.flatnonzero((self.lives[:, 0] + _INSIDE_S < time_s) & (time_s < self.lives[:, 1] - _INSIDE_S))
        return any(
            _follows(mover, at)
            for mover, sudden in (self.movers[i] for i in there)
            if all(abs(time_s - t) > _CLEAR_S for t in sudden)
        )


def _in_turn(found: Sequence[tuple[Kink, float]]) -> tuple[tuple[Kink, float], ...]:
    """Believe bounces more that come in a train; its last may lie still after it."""
    down = [
        i
        for i, (k, sure) in enumerate(found)
        if sure > _THINKABLE and k.before[1] > 0.0 and k.after[1] < _HALTED * k.before[1]
    ]
    trained = in_trains([Landing(k.time_s, k.x, k.y, k.step_s, sure > 0.0) for k, sure in (found[i] for i in down)])
    members = {down[i] for i in trained}
    return tuple((kink, sure + _TRAINED * (i in members)) for i, (kink, sure) in enumerate(found))


def _follows(mover: Mover, at: tuple[float, float, float, float, float]) -> bool:
    """Whether a compact mover is what goes at this speed and slope at this time and place."""
    time_s, x, y, speed, down = at
    t = mover.times_s
    i = int(np.searchsorted(t, time_s))
    if float(np.abs(mover.seen[i] - (x, y / mover.ratio)).max()) > mover.reach[i] + _LEEWAY or mover.area[i] > _COMPACT:
        return False
    around = slice(max(0, i - 3), i + 3)
    steps = np.diff(mover.seen[around], axis=0) / np.diff(t[around])[:, None]
    speeds = np.hypot(*steps.T)
    fastest = int(speeds.argmax())
    if float(speeds[fastest]) < _ALONG * speed:
        return False
    return abs(float(steps[fastest, 1] / speeds[fastest]) - down) <= _ASLANT
