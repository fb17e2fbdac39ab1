# SPDX-License-Identifier: AGPL-3.0-or-later
"""Courses: things that are followed while they cross the picture, one course a thing."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.tracks import as_path
from immersivaudio.engine.watchers._flow import Floats, Step

_MOVING = 0.045
_LEAST_AREA = 0.006
_FORGET_S = 0.5
_LEAST_S = 0.3
_CROSSED = 0.45
_MOST = 4000
_MELTS = 11
_TALL = 16 / 9
_CLOSE = np.ones((5, 5), np.uint8)


@dataclass(frozen=True, slots=True)
class Blob:
    """A connected piece of motion: edges of its box and centre in 0..1 of the frame, area share, velocity (widths/s)."""

    left: float
    top: float
    right: float
    bottom: float
    x: float
    y: float
    area: float
    velocity: tuple[float, float]


@dataclass(slots=True)
class Course:
    """The way of one thing: a point a step."""

    times_s: list[float]
    blobs: list[Blob]

    @property
    def last(self) -> Blob:
        return self.blobs[-1]


@dataclass(frozen=True, slots=True)
class Pass:
    """Something that came in, crossed and left. Places are 0..1 of the frame; ``size`` is its largest area share,
    ``path`` its way (see ``tracks.path_of``)."""

    start_s: float
    end_s: float
    closest_s: float
    start: tuple[float, float]
    end: tuple[float, float]
    size: float
    speed: float
    confidence: float
    count: int = 1
    path: str = ""


@dataclass(slots=True)
class Courses:
    """Follows blobs from step to step; keeps what crossed, forgets the rest."""

    passes: list[Pass] = field(default_factory=list)
    _open: list[Course] = field(default_factory=list)
    _end_s: float = 0.0

    def see(self, step: Step) -> None:
        if step.start_s > self._end_s + 1e-6:  # steps join but at cuts
            self._close(float("inf"))
        self._end_s = step.end_s
        free = _blobs(step)
        for course in sorted(self._open, key=lambda c: -c.last.area):
            found = _next(course, free, step.end_s)
            if found is not None:
                free.remove(found)
                course.times_s.append(step.end_s)
                course.blobs.append(found)
        self._close(step.end_s - _FORGET_S)
        self._open += [Course([step.end_s], [blob]) for blob in free][: 40 - len(self._open)]

    def finish(self) -> list[Pass]:
        self._close(float("inf"))
        return _grouped(self.passes)

    def _close(self, before_s: float) -> None:
        for course in [c for c in self._open if c.times_s[-1] < before_s or len(c.blobs) > _MOST]:
            self._open.remove(course)
            crossed = _crossed(course)
            if crossed is not None:
                self.passes.append(crossed)


def _blobs(step: Step) -> list[Blob]:
    """Pieces of motion, those that go one way apart from those that come towards them."""
    if step.fastest <= _MOVING:
        return []
    height, width = step.speed.shape
    size = (width // 2, height // 2)
    across, down = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (step.across, step.down))
    moving = cv2.compare(cv2.magnitude(across, down), _MOVING, cv2.CMP_GT)
    if cv2.countNonZero(moving) < 0.5 * _LEAST_AREA * moving.size:
        return []
    main = max((across, down), key=lambda plane: cv2.norm(plane, cv2.NORM_L1))
    found: list[Blob] = []
    for way in (cv2.CMP_GT, cv2.CMP_LT):
        mask = cv2.morphologyEx(cv2.bitwise_and(moving, cv2.compare(main, 0.0, way)), cv2.MORPH_CLOSE, _CLOSE)
        count, labels, stats, centres = cv2.connectedComponentsWithStats(mask, ltype=cv2.CV_16U)
        order = [int(i) + 1 for i in np.argsort(-stats[1:count, cv2.CC_STAT_AREA])[:6]]
        large = [i for i in order if stats[i, cv2.CC_STAT_AREA] >= _LEAST_AREA * mask.size]
        found += [_blob((across, down), labels, i, stats[i].tolist(), centres[i].tolist()) for i in large]
    return found


def _blob(
    velocity: tuple[Floats, Floats], labels: NDArray[np.uint16], index: int, stats: list[int], centre: list[float]
) -> Blob:
    height, width = labels.shape
    x, y, across, down, area = stats
    box = np.s_[y : y + down, x : x + across]
    inside = labels[box] == index
    parts = [plane[box][inside] for plane in velocity]
    weights = np.abs(parts[0]) + np.abs(parts[1]) + np.float32(1e-6)
    total = float(weights.sum())
    return Blob(
        x / width,
        y / height,
        (x + across) / width,
        (y + down) / height,
        (centre[0] + 0.5) / width,
        (centre[1] + 0.5) / height,
        area / (width * height),
        (float(parts[0] @ weights) / total, float(parts[1] @ weights) / total),
    )


def _next(course: Course, free: list[Blob], now: float) -> Blob | None:
    """The blob of now that overlaps best with where the course's last one should be by now."""
    gap = now - course.times_s[-1]
    last = course.last
    dx, dy = last.velocity[0] * gap, last.velocity[1] * gap * _TALL
    best, found = 0.15, None
    for blob in free:
        across = min(last.right + dx, blob.right) - max(last.left + dx, blob.left)
        down = min(last.bottom + dy, blob.bottom) - max(last.top + dy, blob.top)
        if across <= 0 or down <= 0:
            continue
        least = min(
            (last.right - last.left) * (last.bottom - last.top), (blob.right - blob.left) * (blob.bottom - blob.top)
        )
        alike = min(last.area, blob.area) / max(last.area, blob.area)
        score = across * down / max(least, 1e-6) * (0.4 + 0.6 * alike)
        if score > best:
            best, found = score, blob
    return found


def _crossed(course: Course) -> Pass | None:
    """The pass that a course was, or None: it must enter and leave at edges, cross much of the frame, and go straight."""
    times, blobs = course.times_s, course.blobs
    if times[-1] - times[0] < _LEAST_S or len(blobs) < 4:
        return None
    way = np.array([(b.x, b.y) for b in blobs])
    moved = way[-1] - way[0]
    length = float(np.abs(np.diff(way, axis=0)).sum(0).max())
    span = float(np.abs(moved).max())
    axis = int(np.abs(moved).argmax())
    edges = [(b.left, b.right) if axis == 0 else (b.top, b.bottom) for b in blobs]
    reach = max(e[1] for e in edges) - min(e[0] for e in edges)
    at_edges = sum(_touches(edges[:4], moved[axis] < 0)) > 0, sum(_touches(edges[-4:], moved[axis] > 0)) > 0
    if span < _CROSSED or reach < 0.85 or not all(at_edges):
        return None
    if span < 0.35 * length or not _moved_itself(times, blobs, moved):
        return None
    nearest = int(np.abs(way - 0.5).max(1).argmin())
    size = float(np.percentile([b.area for b in blobs], 90))
    speed = float(np.median([np.hypot(*b.velocity) for b in blobs]))
    straight = span / max(length, 1e-6)
    confidence = float(np.clip(0.25 + 0.6 * straight + min(0.15, 2 * size), 0, 0.97))
    return Pass(
        times[0], times[-1], times[nearest], (way[0, 0], way[0, 1]), (way[-1, 0], way[-1, 1]), size, speed, confidence,
        path=as_path(_steady(times, blobs)),
    )  # fmt: skip


def _steady(times: list[float], blobs: list[Blob]) -> list[tuple[float, float, float, float]]:
    """Time, centre and area of each, without the looks at which it melts into something else for a moment."""
    rows = np.array([(blob.x, blob.y, blob.area) for blob in blobs])
    half = min(_MELTS // 2, (len(rows) - 1) // 2)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(rows, ((half, half), (0, 0)), "edge"), 2 * half + 1, axis=0
    )
    return [(at_s, *row) for at_s, row in zip(times, np.median(around, axis=2).tolist(), strict=True)]


def _moved_itself(times: list[float], blobs: list[Blob], moved: NDArray[np.float64]) -> bool:
    """Whether what the blobs did each step adds up to the way they went; patches of camera shake do not."""
    lasting = np.diff(times, prepend=times[0])[:, None]
    walked = (np.array([blob.velocity for blob in blobs]) * lasting).sum(0) * (1.0, _TALL)
    return 0.4 <= float(walked @ moved) / max(1e-6, float(moved @ moved)) <= 2.0


def _touches(edges: list[tuple[float, float]], far: bool) -> list[bool]:
    return [high > 0.93 if far else low < 0.07 for low, high in edges]


def _grouped(passes: list[Pass]) -> list[Pass]:
    """Passes that share most of their time become one, told by the largest thing, with ``count`` things in it."""
    groups: list[list[Pass]] = []
    for one in sorted(passes, key=lambda p: p.start_s):
        home = next((g for g in groups if any(_together(one, other) for other in g)), None)
        groups.append([one]) if home is None else home.append(one)
    return [_group(group) for group in groups]


def _together(one: Pass, other: Pass) -> bool:
    shared = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return shared > 0.5 * min(one.end_s - one.start_s, other.end_s - other.start_s)


def _group(group: list[Pass]) -> Pass:
    lead = max(group, key=lambda p: p.size)
    start, end = min(p.start_s for p in group), max(p.end_s for p in group)
    return Pass(
        start,
        end,
        lead.closest_s,
        lead.start,
        lead.end,
        lead.size,
        lead.speed,
        lead.confidence,
        sum(p.count for p in group),
        lead.path,
    )
