# SPDX-License-Identifier: AGPL-3.0-or-later
"""Possible contacts: moments at which something that moved fast is suddenly stopped or thrown back.

Two witnesses. *Braking*: a piece of picture is followed by the flow and loses its speed along its own way. *Arrival*:
the picture changes more and more at a place, or at once, and then no more: what is too fast for any flow (a stick at
15 Hz, a hammer that comes from outside the frame).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import cv2
import numpy as np

from immersivaudio.engine.watchers._brakes import Brake, boxed_at, brake
from immersivaudio.engine.watchers._flow import Floats, Step

_LEAST_LOSS = 0.02
_LEAST_DROP = 0.018
_REACH_S = 0.3
_LATELY_S, _SMOOTH_STEPS = 0.25, 5  # in fewer steps the smoothest turn looks like a blow
_LONG_STEPS = 15
_PATIENCE_S = 1e-6  # steps join but at cuts
_NEAR = np.ones((5, 5), np.uint8)


@dataclass(frozen=True, slots=True)
class Contact:
    """One possible impact and what speaks for it.

    ``speed`` is in frame widths a second before it, ``lost`` the share of it that went (2: thrown back as fast),
    ``down`` from 1 (down) to -1 (up), ``size`` an area share. ``sharpness`` compares with the frames beside it,
    ``alone`` is this moment's share of all the braking there within a third of a second, ``before`` how much moved
    there a step earlier, ``after`` how much still changes there a step later, both as shares; ``spread`` is the share
    of the whole picture that moves, ``edge`` the distance to the nearest edge of the frame. ``peak`` is the size of the
    loss itself; ``ramp`` what changed there two steps earlier, ``drift`` how far down the change went, ``trail`` the
    speed a step earlier as a share; ``going`` and ``jolt`` are the camera's speed and its sudden change. ``broke`` is the
    share of the momentum of all that moves within a sixth of the frame that went, along its way, ``full`` that momentum
    against the greatest of the quarter second before: a swing that turns has hardly any left, a blow has all. ``mirror`` is
    the momentum of the two steps after its greatest against that of the two before: 1 for a gesture, which slows down as
    it has sped up, nothing or less for a blow.
    """

    kind: str
    time_s: float
    x: float
    y: float
    speed: float
    lost: float
    down: float
    size: float
    sharpness: float
    alone: float
    before: float
    after: float
    spread: float
    edge: float
    peak: float
    ramp: float
    drift: float
    trail: float
    going: float
    jolt: float
    step_s: float
    broke: float = 1.0
    full: float = 1.0
    mirror: float = 0.0


@dataclass(frozen=True, slots=True)
class _Moment:
    """A picture between two steps: ``loss`` and ``drop`` say, place by place, how much speed and change ended there."""

    time_s: float
    brake: Brake
    change: Floats
    later: Floats
    drop: Floats
    most_lost: float
    most_dropped: float
    spread: float


@dataclass(slots=True)
class Contacts:
    """Watches steps go by and keeps the moments of braking and of arrival, a third of a second late."""

    found: list[Contact] = field(default_factory=list)
    _step: Step | None = None
    _change: Floats | None = None
    _moments: list[_Moment] = field(default_factory=list)
    _done: int = 0

    def see(self, step: Step) -> None:
        change = _areal(step.change)
        if self._step is None or step.start_s - self._step.end_s > _PATIENCE_S or self._change is None:
            self.flush()
        else:
            self._moments.append(_between(self._step, step, self._change, change))
        self._step, self._change = step, change
        self._judge(step.end_s - _REACH_S)
        while len(self._moments) > 2 and self._moments[0].time_s < step.end_s - 2.5 * _REACH_S and self._done > 1:
            self._moments.pop(0)
            self._done -= 1

    def flush(self) -> None:
        """Judge what is still waiting, as nothing more will come after it."""
        self._judge(float("inf"))
        self._moments, self._done = [], 0

    def _judge(self, until_s: float) -> None:
        while self._done < len(self._moments) and self._moments[self._done].time_s <= until_s:
            self.found += _braked(self._moments, self._done) + _arrived(self._moments, self._done)
            self._done += 1


def _between(before: Step, after: Step, change: Floats, later: Floats) -> _Moment:
    braked = brake(before, after)
    drop = np.maximum(change - cv2.dilate(later, _NEAR), np.float32(0.0))
    spread = float(np.count_nonzero(before.change > np.float32(0.04))) / before.change.size
    return _Moment(before.end_s, braked, change, later, drop, _most(braked.loss), _most(drop), spread)


def _areal(change: Floats) -> Floats:
    """``change`` averaged over a box a seventh of the frame wide, at half the resolution."""
    side = max(3, change.shape[1] // 7 | 1)
    return np.ascontiguousarray(cv2.blur(change, (side, side), borderType=cv2.BORDER_CONSTANT)[::2, ::2])


def _sides(maps: Sequence[Floats], index: int) -> tuple[Floats, Floats]:
    nothing = np.zeros_like(maps[index])
    before = cv2.dilate(maps[index - 1], _NEAR) if index > 0 else nothing
    after = cv2.dilate(maps[index + 1], _NEAR) if index + 1 < len(maps) else nothing
    return before, after


def _places(local: Floats, least: float) -> list[tuple[int, int]]:
    """Rows and columns of the three strongest places, a sixth of the frame apart."""
    found: list[tuple[int, int]] = []
    near = max(2, local.shape[1] // 6)
    for _ in range(3):
        _, value, _, (column, row) = cv2.minMaxLoc(local)
        if value <= least:
            break
        found.append((row, column))
        local[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1] = 0.0
    return found


def _braked(moments: Sequence[_Moment], index: int) -> list[Contact]:
    here = moments[index]
    if here.most_lost < _LEAST_LOSS:
        return []
    maps = [moment.brake.loss for moment in moments]
    before, after = _sides(maps, index)
    local = here.brake.loss * (here.brake.loss >= before) * (here.brake.loss > after)
    return [
        _contact(moments, index, place, ("brake", (float(before[place]), float(after[place]))))
        for place in _places(local, _LEAST_LOSS)
    ]


def _arrived(moments: Sequence[_Moment], index: int) -> list[Contact]:
    here = moments[index]
    if here.most_dropped < _LEAST_DROP:
        return []
    before, after = _sides([moment.drop for moment in moments], index)
    local = here.drop * (here.drop >= before) * (here.drop > after)
    return [
        _contact(moments, index, place, ("arrival", (float(before[place]), float(after[place]))))
        for place in _places(local, _LEAST_DROP)
    ]


def _contact(
    moments: Sequence[_Moment], index: int, place: tuple[int, int], how: tuple[str, tuple[float, float]]
) -> Contact:
    here, (kind, sides) = moments[index], how
    height, width = here.drop.shape
    braked = kind == "brake"
    maps = [m.brake.loss if braked else m.drop for m in moments]
    peak = float(maps[index][place])
    area = np.s_[max(0, place[0] - 3) : place[0] + 4, max(0, place[1] - 3) : place[1] + 4]
    around = [
        _most(m[area])
        for m, moment in zip(maps, moments, strict=True)
        if abs(moment.time_s - here.time_s) <= _REACH_S and (moment.most_lost if braked else moment.most_dropped) > 0.0
    ]
    speed, down, lost, size = _mover(here.brake.before, place, float(here.brake.loss[place]))
    earlier = _most(moments[index - 1].change[area]) if index > 0 else 0.0
    now, later = _most(here.change[area]), float(here.later[place])
    x, y = (place[1] + 0.5) / width, (place[0] + 0.5) / height
    broke, full, mirror = _momenta(moments, index, place) if braked else (1.0, 1.0, 0.0)
    return Contact(
        kind=kind,
        time_s=_moment(moments, index, (sides[0], peak, sides[1])) if braked else here.time_s,
        x=x,
        y=y,
        speed=speed,
        lost=lost,
        down=down,
        size=size,
        sharpness=peak / (peak + 2.0 * min(sides) + 1e-6),
        alone=peak / (sum(around) + 1e-6),
        before=earlier / (now + 1e-6),
        after=later / (now + 1e-6),
        spread=here.spread,
        edge=min(x, y, 1 - x, 1 - y),
        peak=peak,
        ramp=_most(moments[index - 2].change[area]) / (now + 1e-6) if index > 1 else 0.5,
        drift=_drift(moments, index, place),
        trail=_trail(moments, index, place, speed),
        going=_going(moments),
        jolt=max(abs(a - b) for a, b in zip(here.brake.after.camera[:3], here.brake.before.camera[:3], strict=True)),
        step_s=here.brake.before.end_s - here.brake.before.start_s,
        broke=broke,
        full=full,
        mirror=mirror,
    )


def _momenta(moments: Sequence[_Moment], index: int, place: tuple[int, int]) -> tuple[float, float, float]:
    """``broke``, ``full`` and ``mirror`` of a contact."""
    here = moments[index]
    row, column = place[0] * 2, place[1] * 2
    reach = here.brake.before.speed.shape[1] // 6
    area = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    first, last = max(0, index - _LONG_STEPS), min(len(moments), index + 3)
    told = [_momentum(moment.brake.before, area) for moment in moments[first:last]]
    at = index - first
    x, y = told[at]
    later_x, later_y = told[at + 1] if at + 1 < len(told) else _momentum(here.brake.after, area)
    lately = [
        m for m, moment in zip(told[:at], moments[first:], strict=False) if here.time_s - moment.time_s <= _LATELY_S
    ]
    most = max([0.0, *(math.hypot(*m) for m in lately)]) if len(lately) >= _SMOOTH_STEPS else 0.0
    broke = 1.0 - (x * later_x + y * later_y) / (x * x + y * y + 1e-9)
    full = (math.hypot(x, y) + 1e-9) / (most + 1e-9)
    return min(1.5, max(0.0, broke)), min(1.0, full), _mirror(told, at)


def _mirror(told: Sequence[tuple[float, float]], at: int) -> float:
    """How much momentum two steps after the greatest of ``told`` hold against the two before, along its way."""
    peak = max((i for i in (at - 1, at) if i >= 0), key=lambda i: math.hypot(*told[i]))
    x, y = told[peak]
    along = [(x * a + y * b) / (math.hypot(x, y) + 1e-9) for a, b in told]
    before, after = sum(along[max(0, peak - 2) : peak]), sum(along[peak + 1 : peak + 3])
    return min(2.0, max(-1.0, after / (max(before, 0.0) + 0.25 * along[peak] + 1e-9)))


def _momentum(step: Step, area: tuple[slice, slice]) -> tuple[float, float]:
    return float(cv2.sumElems(step.across[area])[0]), float(cv2.sumElems(step.down[area])[0])


def _most(positive: Floats) -> float:
    """The greatest of numbers none of which is negative; several times faster than numpy's on small arrays."""
    return float(cv2.norm(positive, cv2.NORM_INF))


def _going(moments: Sequence[_Moment]) -> float:
    """How steadily the camera moves or travels around here, frame widths a second."""
    pans = [math.hypot(*moment.brake.before.camera[:2]) for moment in moments]
    return median(pans) + 2.0 * abs(median(moment.brake.before.zoom for moment in moments))


def _drift(moments: Sequence[_Moment], index: int, place: tuple[int, int]) -> float:
    """How far down (in tenths of the frame's width) the changing region went from one step to the next."""
    if index == 0 or float(moments[index - 1].change[place]) < 0.2 * float(moments[index].change[place]):
        return 0.0
    reach = max(3, moments[index].change.shape[1] // 6)
    rows = slice(max(0, place[0] - reach), place[0] + reach + 1)
    columns = slice(max(0, place[1] - reach), place[1] + reach + 1)
    centres = []
    for moment in moments[index - 1 : index + 1]:
        weights = (moment.change[rows, columns] ** 2).sum(1)
        centres.append(float((weights * np.arange(weights.size)).sum() / (weights.sum() + 1e-9)))
    return 10.0 * (centres[1] - centres[0]) / float(moments[index].change.shape[1])


def _trail(moments: Sequence[_Moment], index: int, place: tuple[int, int], speed: float) -> float:
    """How fast something near was already going a step earlier, as a share of the speed now."""
    if index == 0:
        return 0.5
    row, column = place[0] * 2, place[1] * 2
    reach = max(4, moments[index].brake.before.speed.shape[1] // 8)
    earlier = moments[index - 1].brake.before.speed
    part = earlier[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    return min(1.5, float(np.partition(part.ravel(), -8)[-8]) / max(speed, 0.05))


def _moment(moments: Sequence[_Moment], index: int, losses: tuple[float, float, float]) -> float:
    """The contact between pictures: its own losses and the greater neighbour's, as a centre of gravity.

    Exact for a mover that goes at v until the contact and at u after it: the step that holds the contact shows
    (v tau + u (1 - tau)), so the two losses beside it are (1 - tau) and tau of the whole.
    """
    side = -1 if losses[0] >= losses[2] else 1
    if not 0 <= index + side < len(moments):
        return moments[index].time_s
    weight = losses[1 + side]
    return (moments[index].time_s * losses[1] + moments[index + side].time_s * weight) / (losses[1] + weight + 1e-9)


def _mover(step: Step, place: tuple[int, int], loss: float) -> tuple[float, float, float, float]:
    """Speed, how far down (1) or up (-1), share of speed lost, and area share of what moves around a place."""
    row, column = place[0] * 2, place[1] * 2
    reach = max(3, step.speed.shape[1] // 12)
    area = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    speeds, down = step.speed[area].ravel(), step.down[area].ravel()
    weights = speeds * speeds
    total = float(weights.sum()) + 1e-9
    speed, falling = float(speeds @ weights) / total, float(down @ weights) / total
    lost = loss / max(1e-6, boxed_at(step.speed, row, column))
    moving = float(np.count_nonzero(step.speed > np.float32(max(0.1, 0.5 * speed)))) / step.speed.size
    return speed, falling / max(1e-6, speed), min(2.0, lost), moving
