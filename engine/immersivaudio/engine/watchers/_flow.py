# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dense motion of the picture, freed of the camera's own.

Speeds are in frame widths a second, x to the right, y down. The flow is DIS (Kroeger et al. 2016, "Fast Optical Flow
using Dense Inverse Search"); the camera a similarity (shift, zoom, roll) fitted by reweighted least squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers import Frame

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]

WIDTH = 192
FLOOR = 0.06
_SHORT, _LONG = 16, 24  # smaller pictures hold nothing that could be followed
_SAME = 0.15
_MOST_REPEATS = 3
_CHANGED = 12.0
_LEAST_CHANGE = 2.0  # grey levels around a place: less is noise, and no flow there is believed
_STEADY = 1e-4


@dataclass(frozen=True, slots=True)
class Step:
    """What moved between two pictures, ``start_s`` to ``end_s``.

    ``velocity`` is float32 ``[h, w, 2]`` at half the analysis width, without the camera's part, ``across`` and ``down``
    its two planes, ``fastest`` the greatest ``speed``; ``camera`` is (dx, dy, zoom, roll) a second; ``change`` float32
    ``[h, w]`` the absolute change of luma (0..1) after compensation; ``luma`` and ``spread`` are mean and standard
    deviation of the later picture; ``fit`` is the share of the picture that goes with the camera, ``zoom`` its growth a
    second even where the camera is not believed.
    """

    start_s: float
    end_s: float
    velocity: Floats
    across: Floats
    down: Floats
    speed: Floats
    fastest: float
    camera: tuple[float, float, float, float]
    change: Floats
    total_change: float
    luma: float
    spread: float
    fit: float
    zoom: float


@dataclass(frozen=True, slots=True)
class _Seen:
    """One picture at half the analysis width: what flow is computed on, and the same as float32."""

    grey: Grey
    light: Floats
    time_s: float


@dataclass(slots=True)
class Flow:
    """Turns frames into steps; skips repeated pictures (24 Hz film in a 30 Hz file), which would brake everything."""

    _dis: cv2.DISOpticalFlow = field(default_factory=lambda: _dense())
    _grey: Grey | None = None
    _before: _Seen | None = None
    _intervals: list[float] = field(default_factory=list)
    _changes: list[float] = field(default_factory=list)
    _shares: list[float] = field(default_factory=list)
    _repeats: int = 0

    def step(self, frame: Frame) -> Step | None:
        """The step to ``frame`` from the picture before it; None for the first picture, for repeats, and for pictures of
        a few pixels."""
        grey, now = frame.grey(WIDTH), float(frame.time_s)
        if min(grey.shape) < _SHORT or max(grey.shape) < _LONG:
            return None
        if self._grey is None or self._before is None or self._grey.shape != grey.shape:
            self._grey, self._before = grey, _halved(grey, now)
            return None
        total = float(cv2.norm(grey, self._grey, cv2.NORM_L1)) / grey.size
        if self._repeated(total):
            return None
        after = _halved(grey, now)
        step = self._measure(self._before, after, total)
        self._grey, self._before, self._repeats = grey, after, 0
        return step

    def _repeated(self, total: float) -> bool:
        """Whether a picture is only the one before again, judged by the liveliest of the last dozen changes."""
        self._changes = [*self._changes[-11:], total]
        lively = sorted(self._changes)[len(self._changes) * 3 // 4]
        if total < _SAME * lively and total < 0.6 and self._repeats < _MOST_REPEATS:
            self._repeats += 1
            return True
        return False

    def _measure(self, before: _Seen, after: _Seen, total: float) -> Step | None:
        """None where the picture is cut: nothing of what was there explains what is there now."""
        lasted = max(1e-3, after.time_s - before.time_s)
        intervals = [*self._intervals, lasted]
        per_second = len(intervals) / (after.light.shape[1] * sum(intervals))
        unmoved = cv2.absdiff(before.light, after.light)
        changed, usual = _share_over(unmoved, _CHANGED), max(self._shares, default=1.0)
        self._shares = [*self._shares[-7:], changed]
        trusted = cv2.blur(unmoved, (5, 5))
        if float(cv2.norm(trusted, cv2.NORM_INF)) <= _LEAST_CHANGE:
            self._intervals = intervals[-12:]
            return _still(before, after, unmoved, total)
        pixels = self._dis.calc(before.grey, after.grey, None)
        moved = _difference(before.light, after.light, pixels)
        if _is_cut(before.light, after.light, unmoved, moved) or (
            changed > 3.0 * usual + 0.08 and _is_new(before.light, after.light, unmoved, moved)
        ):
            return None
        self._intervals = intervals[-12:]
        widths = pixels * np.float32(per_second)
        camera, followed, fit = _camera(widths)
        change, zoom = _difference(before.light, after.light, followed * np.float32(1.0 / per_second)), camera[2]
        if _mean_to(change, 6.0) > 0.92 * _mean_to(unmoved, 6.0):
            camera, change = (0.0, 0.0, 0.0, 0.0), unmoved
        else:
            widths = widths - followed
        trust = _trust(trusted, moved)
        velocity = cv2.multiply(widths, cv2.merge((trust, trust)))
        return _step(before, after, velocity, change, total, (camera, fit, zoom))


def _step(
    before: _Seen,
    after: _Seen,
    velocity: Floats,
    change: Floats,
    total: float,
    camera: tuple[tuple[float, float, float, float], float, float],
) -> Step:
    across, down = (np.ascontiguousarray(velocity[..., axis]) for axis in (0, 1))
    speed = cv2.magnitude(across, down)
    mean, spread = (float(part[0, 0]) / 255.0 for part in cv2.meanStdDev(after.grey))
    return Step(
        before.time_s,
        after.time_s,
        velocity,
        across,
        down,
        speed,
        float(cv2.norm(speed, cv2.NORM_INF)),
        camera[0],
        change / np.float32(255.0),
        total / 255.0,
        mean,
        spread,
        *camera[1:],
    )  # fmt: skip


def _still(before: _Seen, after: _Seen, unmoved: Floats, total: float) -> Step:
    """The step of a picture in which nothing changed enough for any flow to be believed."""
    velocity = np.zeros((*unmoved.shape, 2), np.float32)
    return _step(before, after, velocity, unmoved, total, ((0.0, 0.0, 0.0, 0.0), 1.0, 0.0))


def _share_over(values: Floats, least: float) -> float:
    return float(np.count_nonzero(values > least)) / values.size


def _mean_to(values: Floats, most: float) -> float:
    """The mean of ``values``, none of them counted as more than ``most``."""
    return float(cv2.mean(cv2.min(values, most))[0])


def _is_cut(before: Floats, after: Floats, unmoved: Floats, moved: Floats) -> bool:
    """Most of the picture changed a good deal, and no flow explains it or the layout is another one."""
    changed = cv2.compare(unmoved, _CHANGED, cv2.CMP_GT)
    if cv2.countNonZero(changed) <= 0.45 * unmoved.size:
        return False
    if cv2.mean(moved, changed)[0] > 0.6 * cv2.mean(unmoved, changed)[0]:
        return True
    one, other = (cv2.resize(half, (16, 9), interpolation=cv2.INTER_AREA).ravel() for half in (before, after))
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other) < 0.5 * float(np.sqrt((one @ one) * (other @ other)))


def _is_new(before: Floats, after: Floats, unmoved: Floats, moved: Floats) -> bool:
    """Whether edges and textures are all others than before, though part of the picture (a sky) may be the same, and
    no flow explains it."""
    one, other = (cv2.resize(half, (64, 36), interpolation=cv2.INTER_AREA) for half in (before, after))
    one, other = ((part - cv2.blur(part, (7, 7))).ravel() for part in (one, other))
    kept = float(one @ other) < 0.3 * float(np.sqrt((one @ one) * (other @ other)))
    return kept and float(moved.mean()) > 0.4 * float(unmoved.mean())


def _halved(grey: Grey, time_s: float) -> _Seen:
    size = (max(2, grey.shape[1] // 2), max(2, grey.shape[0] // 2))
    half = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return _Seen(half, half.astype(np.float32), time_s)


def _difference(before: Floats, after: Floats, pixels: Floats) -> Floats:
    """How unlike two pictures are, in grey levels, once ``after`` is brought back by a flow in pixels."""
    places = cv2.add(places_of(*before.shape), pixels)
    back = cv2.remap(after, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return cv2.absdiff(before, back)  # type: ignore[no-any-return]


def _trust(before: Floats, moved: Floats) -> Floats:
    """0 where the flow is a guess, 1 where it explains away a clear change of the picture, of which ``before`` is how
    great it is around each place."""
    after = cv2.blur(moved, (5, 5))
    explained = np.clip(2.0 * (before - after) / (before + 1.0), 0.0, 1.0)
    return np.asarray(np.clip((before - _LEAST_CHANGE) / 6.0, 0.0, 1.0) * explained, dtype=np.float32)


def _dense() -> cv2.DISOpticalFlow:
    flow: cv2.DISOpticalFlow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow.setFinestScale(0)
    flow.setGradientDescentIterations(12)
    flow.setVariationalRefinementIterations(0)
    return flow


def _camera(moved: Floats) -> tuple[tuple[float, float, float, float], Floats, float]:
    """The similarity that most of the picture follows, its field, and the share of the picture that follows it."""
    height, width = moved.shape[:2]
    basis, powers = _sample_basis(height, width)
    seen = np.ascontiguousarray(moved[2::5, 2::5].reshape(-1, 2).T)
    dx, dy, zoom, roll = _median(seen[0]), _median(seen[1]), 0.0, 0.0
    weighed = np.empty((3, seen.shape[1]), np.float32)
    for _ in range(3):
        off = seen - np.array(((dx, zoom, -roll), (dy, roll, zoom)), np.float32) @ basis
        off *= off
        far = off[0] + off[1]
        weighed[0] = 1.0 / (1.0 + far / np.float32(4.0 * max(_median(far), 1e-4)))
        np.multiply(seen, weighed[0], out=weighed[1:])
        dx, dy, zoom, roll = _similarity((weighed @ powers).astype(np.float64).tolist())
    model = np.array(((zoom, -roll, dx), (roll, zoom, dy)), np.float32)
    field_of_view = cv2.transform(_axes(height, width), model)
    return (dx, dy, zoom, roll), field_of_view, np.count_nonzero(far < FLOOR * FLOOR) / far.size


def _similarity(sums: list[list[float]]) -> tuple[float, float, float, float]:
    """(dx, dy, zoom, roll) that minimise the weighted squares, from the rows (w, w u, w v) summed over the columns
    (1, x, y, x^2 + y^2): the normal equations of a similarity, solved by hand, a little drawn to no motion at all."""
    (s, sx, sy, sr), (u, ux, uy, _), (v, vx, vy, _) = sums
    s, sr = s + _STEADY, sr + _STEADY
    rest = sr - (sx * sx + sy * sy) / s
    zoom = (ux + vy - (sx * u + sy * v) / s) / rest
    roll = (vx - uy - (sx * v - sy * u) / s) / rest
    return (u - sx * zoom + sy * roll) / s, (v - sy * zoom - sx * roll) / s, zoom, roll


def _median(values: Floats) -> float:
    return float(np.partition(values, values.size // 2)[values.size // 2])


@lru_cache(maxsize=8)
def places_of(height: int, width: int) -> Floats:
    """Column and row of every pixel, float32 ``[height, width, 2]``; not to be written to."""
    return np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))


@lru_cache(maxsize=8)
def _axes(height: int, width: int) -> Floats:
    """x and y of every pixel in frame widths from the centre, float32 ``[height, width, 2]``."""
    middle = np.array((width / 2, height / 2), np.float32)
    return np.asarray((places_of(height, width) - middle) / np.float32(width))


@lru_cache(maxsize=8)
def _sample_basis(height: int, width: int) -> tuple[Floats, Floats]:
    """(1, x, y) of each sampled pixel, float32 ``[3, n]``, and (1, x, y, x^2 + y^2), ``[n, 4]``."""
    x, y = _axes(height, width)[2::5, 2::5].reshape(-1, 2).T
    return np.stack([np.ones_like(x), x, y]), np.stack([np.ones_like(x), x, y, x * x + y * y], 1)
