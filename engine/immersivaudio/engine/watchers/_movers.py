# SPDX-License-Identifier: AGPL-3.0-or-later
"""Movers: things that stand out from what is behind them, followed from picture to picture as silhouettes.

What flow cannot do, because it goes too far in a frame or differs in colour only, a silhouette can: it is where a
picture differs from the median of the pictures around it, by more than that place usually does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers import Picture
from immersivaudio.engine.watchers._flow import Step

Plane = TypeVar("Plane", Picture, NDArray[np.float32])

# Mostly what was before, so that what comes to rest is still told from its ground for a while.
_PAST_S, _FUTURE_S = 1.2, 0.4
_EVERY_S = 0.12
_SAMPLES = 9
_LEAST_CONTRAST, _USUAL_TIMES = 14, 4
_LEAST_PIXELS, _MOST_SHARE, _MOST_THINGS = 8, 0.2, 8
_FORGET_S = 0.13
_REACH, _REACH_TIMES, _ALIKE, _FAR = 6.0, 2.2, 3.0, 1 / 0.7
_LEAST_POINTS, _MOST_POINTS = 5, 900
_ZOOMED = 0.15
_CREEPS, _HELD_S, _MOST_HELD_S = 0.04, 1.0, 4.0

# Sorts the middle of nine into place (Paeth 1990, "Median finding on a 3x3 grid", Graphics Gems).
_NETWORK = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
    (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mover:
    """The way of one silhouette: float64 ``[n]`` seconds, ``[n, 2]`` centres in frame widths, freed of the camera;
    ``seen`` the same in the frame, ``area`` shares of the frame, ``boxes`` how wide and tall it is, ``[n, 2]`` in widths;
    ``ratio`` is how many times as wide as tall the frame is."""

    times_s: NDArray[np.float64]
    centres: NDArray[np.float64]
    seen: NDArray[np.float64]
    area: NDArray[np.float64]
    boxes: NDArray[np.float64]
    ratio: float

    @property
    def reach(self) -> NDArray[np.float64]:
        """Half the diagonals of its boxes, in widths."""
        return np.asarray(np.hypot(*self.boxes.T) / 2)


@dataclass(frozen=True, slots=True)
class _View:
    """A kept picture and how far the camera had gone by then, in pixels."""

    time_s: float
    rgb: Picture
    camera: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Point:
    time_s: float
    x: float
    y: float
    pixels: int
    across: int
    down: int


@dataclass(frozen=True, slots=True)
class _Ground:
    """What is behind things, ``at`` a picture: uint8 ``[h, w, 3]``, by how much a place must differ to stand out, when
    something last moved there, and since when it is known, float32 ``[h, w]`` in seconds."""

    picture: Picture
    least: Picture
    at: _View
    moved_s: NDArray[np.float32]
    known_s: NDArray[np.float32]


@dataclass(slots=True)
class _Way:
    points: list[tuple[_Point, tuple[float, float]]]
    velocity: tuple[float, float] = (0.0, 0.0)

    @property
    def last(self) -> _Point:
        return self.points[-1][0]


@dataclass(slots=True)
class Movers:
    """Takes pictures in order; ``found`` holds the ways of what has gone. Works ``_FUTURE_S`` behind."""

    found: list[Mover] = field(default_factory=list)
    _views: list[_View] = field(default_factory=list)
    _ways: list[_Way] = field(default_factory=list)
    _done: int = 0
    _ground: _Ground | None = None
    _camera: tuple[float, float] = (0.0, 0.0)

    def see(self, rgb: Picture, step: Step) -> None:
        """Take the later picture of ``step``."""
        if self._views and step.start_s - self._views[-1].time_s > 1e-6:  # steps join but at cuts
            self.flush()
        if abs(step.zoom) > _ZOOMED:
            self.flush()
            return
        lasted, width = step.end_s - step.start_s, rgb.shape[1]
        x, y = self._camera
        self._camera = (x + lasted * width * step.camera[0], y + lasted * width * step.camera[1])
        self._views.append(_View(step.end_s, cv2.blur(rgb, (3, 3)), self._camera))
        self._work(step.end_s - _FUTURE_S)
        while self._done > 1 and self._views[0].time_s < step.end_s - _PAST_S - _FUTURE_S:
            self._views.pop(0)
            self._done -= 1

    def flush(self) -> None:
        """Finish what was seen, as nothing more joins it."""
        self._work(float("inf"))
        self._close(float("inf"))
        self._views, self._done, self._ground = [], 0, None

    def _work(self, until_s: float) -> None:
        while self._done < len(self._views) and self._views[self._done].time_s <= until_s:
            view = self._views[self._done]
            self._done += 1
            if len(self._views) < _SAMPLES:
                continue
            if self._ground is None or view.time_s - self._ground.at.time_s >= _EVERY_S:
                self._ground = _kept(_ground(self._views, view), self._ground)
            self._follow(view, list(_silhouettes(view, self._ground)))
            self._hold(view.time_s, self._ground)

    def _follow(self, view: _View, free: list[_Point]) -> None:
        self._close(view.time_s - _FORGET_S)
        pairs = sorted(
            (cost, i, j)
            for i, way in enumerate(self._ways)
            for j, cost in enumerate(_costs(way, free, view.time_s))
            if cost < 1.0
        )
        ways, points = set[int](), set[int]()
        for _, i, j in pairs:
            if i not in ways and j not in points:
                ways.add(i)
                points.add(j)
                self._ways[i].velocity = _velocity(self._ways[i].last, free[j])
                self._ways[i].points.append((free[j], view.camera))
        self._ways += [_Way([(point, view.camera)]) for j, point in enumerate(free) if j not in points]

    def _hold(self, now_s: float, ground: _Ground) -> None:
        """Mark where things move now: what is behind them there stays as it was known."""
        for way in self._ways:
            point = way.last
            if (
                point.time_s == now_s
                and abs(way.velocity[0]) + abs(way.velocity[1]) > _CREEPS * ground.picture.shape[1]
            ):
                x, y = round(point.x - point.across / 2), round(point.y - point.down / 2)
                ground.moved_s[max(0, y - 1) : y + point.down + 2, max(0, x - 1) : x + point.across + 2] = now_s

    def _close(self, before_s: float) -> None:
        for way in [w for w in self._ways if w.last.time_s < before_s or len(w.points) > _MOST_POINTS]:
            self._ways.remove(way)
            if len(way.points) >= _LEAST_POINTS:
                self.found.append(_mover(way, self._views[-1].rgb.shape))


def _ground(views: Sequence[_View], at: _View) -> _Ground:
    """The median picture around ``at`` as its camera sees it."""
    first, last = at.time_s - _PAST_S, at.time_s + _FUTURE_S
    if views[0].time_s > first:
        last += min(views[0].time_s - first, _PAST_S - _FUTURE_S)
    window = [view for view in views if first <= view.time_s <= last] or list(views)
    chosen = [window[round(i * (len(window) - 1) / (_SAMPLES - 1))] for i in range(_SAMPLES)]
    seen = [_moved(view, at) for view in chosen]
    ground = _median(seen)
    usual = cv2.blur(_median([np.asarray(cv2.absdiff(one, ground), np.uint8) for one in seen]), (5, 5))
    least = cv2.convertScaleAbs(usual, alpha=_USUAL_TIMES, beta=_LEAST_CONTRAST)
    shape = ground.shape[:2]
    return _Ground(ground, least, at, np.full(shape, -9.0, np.float32), np.full(shape, at.time_s, np.float32))


def _kept(new: _Ground, old: _Ground | None) -> _Ground:
    """``new``, but as ``old`` knew it where something has just moved: what bounces out or lies down is not ground yet."""
    if old is None or old.picture.shape != new.picture.shape:
        return new
    dx, dy = (a - b for a, b in zip(new.at.camera, old.at.camera, strict=True))
    picture, least = _shifted(old.picture, dx, dy), _shifted(old.least, dx, dy)
    moved_s, known_s = _shifted(old.moved_s, dx, dy), _shifted(old.known_s, dx, dy)
    now_s = new.at.time_s
    stays = ((now_s - moved_s < _HELD_S) & (now_s - known_s < _MOST_HELD_S)).astype(np.uint8)
    kept = (cv2.copyTo(a, stays, b) for a, b in ((picture, new.picture), (least, new.least), (known_s, new.known_s)))
    ground, usual, known = (np.asarray(part) for part in kept)
    return _Ground(ground, usual, new.at, moved_s, known)


def _moved(view: _View, at: _View) -> Picture:
    """``view`` as seen from where the camera was at ``at``."""
    return _shifted(view.rgb, at.camera[0] - view.camera[0], at.camera[1] - view.camera[1])


def _shifted(plane: Plane, dx: float, dy: float) -> Plane:
    if abs(dx) < 0.1 and abs(dy) < 0.1:
        return plane
    height, width = plane.shape[:2]
    column, across = _split(-dx, width)
    row, down = _split(-dy, height)
    left, top = max(0, -column), max(0, -row)
    edges = (top, max(0, row + 1), left, max(0, column + 1))
    wide = cv2.copyMakeBorder(plane, *edges, cv2.BORDER_REPLICATE)
    wide = wide[row + top : row + top + height + 1, column + left : column + left + width + 1]
    wide = cv2.addWeighted(wide[:, :-1], 1.0 - across, wide[:, 1:], across, 0.0)
    return cast(Plane, cv2.addWeighted(wide[:-1], 1.0 - down, wide[1:], down, 0.0))


def _split(shift: float, most: int) -> tuple[int, float]:
    """A shift in whole pixels, never more than the picture is wide, and the rest of it."""
    whole = math.floor(min(max(shift, -most), most - 1))
    return whole, min(1.0, max(0.0, shift - whole))


def _median(nine: Sequence[Picture]) -> Picture:
    rows = list(nine)
    for low, high in _NETWORK:
        rows[low], rows[high] = cv2.min(rows[low], rows[high]), cv2.max(rows[low], rows[high])
    return rows[4]


def _silhouettes(view: _View, ground: _Ground) -> Iterator[_Point]:
    """Where ``view`` stands out, the largest things first."""
    over = cv2.subtract(cv2.absdiff(_moved(view, ground.at), ground.picture), ground.least)
    red, green, blue = cv2.split(over)
    mask = cv2.max(cv2.max(red, green), blue)
    if cv2.countNonZero(mask) < _LEAST_PIXELS:
        return
    # 16-bit labels: OpenCV is several times slower with its usual 32-bit ones.
    count, _, stats, centres = cv2.connectedComponentsWithStats(mask, ltype=cv2.CV_16U)
    for i in np.argsort(-stats[1:count, cv2.CC_STAT_AREA])[:_MOST_THINGS] + 1:
        x, y, across, down, pixels = stats[i].tolist()
        if pixels < _LEAST_PIXELS:
            return
        edge = x <= 0 or y <= 0 or x + across >= mask.shape[1] or y + down >= mask.shape[0]
        if pixels <= _MOST_SHARE * mask.size and not edge:
            yield _Point(view.time_s, float(centres[i][0]), float(centres[i][1]), pixels, across, down)


def _velocity(one: _Point, other: _Point) -> tuple[float, float]:
    lasted = max(1e-3, other.time_s - one.time_s)
    return (other.x - one.x) / lasted, (other.y - one.y) / lasted


def _costs(way: _Way, points: Sequence[_Point], now_s: float) -> Iterator[float]:
    """How ill each point of now goes with a way, 1 and more where it cannot: what is struck may be anywhere within
    reach."""
    last = way.last
    lasted, pixels = now_s - last.time_s, last.pixels
    across, down = way.velocity[0] * lasted, way.velocity[1] * lasted
    reach = _REACH + _REACH_TIMES * math.hypot(across, down) + 0.5 * math.sqrt(pixels)
    x, y = last.x + across, last.y + down
    for point in points:
        ratio = max(point.pixels, pixels) / min(point.pixels, pixels)
        off = math.hypot(point.x - x, point.y - y) / reach
        yield 1.0 if ratio > _ALIKE or off >= _FAR else 0.7 * off + 0.3 * math.log(ratio) / math.log(_ALIKE)


def _mover(way: _Way, shape: tuple[int, ...]) -> Mover:
    height, width = shape[:2]
    seen = np.array([(p.x + 0.5, p.y + 0.5) for p, _ in way.points]) / width
    gone = np.array([camera for _, camera in way.points]) / width
    return Mover(
        np.array([p.time_s for p, _ in way.points]),
        seen - gone,
        seen,
        np.array([p.pixels for p, _ in way.points]) / (width * height),
        np.array([(p.across, p.down) for p, _ in way.points]) / width,
        width / height,
    )
