# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tracks: boxes of one thing, followed from picture to picture.

Sure boxes are matched first, then unsure ones keep known things alive (Zhang et al. 2021, ByteTrack, arXiv 2110.06864);
where a thing should be by now is told from its steady velocity. What a thing is called is put to the vote over its life.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from immersivaudio.engine.watchers._boxes import Box, overlaps

_SURE, _BEGINS = 0.4, 0.35
_FORGET_S = 1.0
_GAIN = 0.6
_LEAST_AFFINITY = 0.12
_STRANGER = 0.15
_POINTS, _BALL_POINTS = 96, 4096
BALLS = ("sports ball", "frisbee")
# Things that one detector takes for each other.
_ALIKE = (
    {"car", "bus", "truck", "train", "cell phone", "suitcase"},
    {"dog", "cat", "sheep", "cow", "horse", "bear", "teddy bear"},
    {"sports ball", "frisbee", "apple", "orange"},
    {"cup", "vase", "bottle", "wine glass", "bowl"},
    {"airplane", "bird", "kite"},
)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a thing was: seconds on the source clock, and its box."""

    time_s: float
    box: Box


@dataclass(slots=True)
class Track:
    """One thing over time. ``path`` holds at most some hundred points (of a ball some thousand): of a long one every
    second is dropped."""

    path: list[Point]
    votes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    scores: list[float] = field(default_factory=list)
    last: Point = field(init=False)
    hits: int = 0
    velocity: tuple[float, float] = (0.0, 0.0)
    beside: float = 0.0
    grounds: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _stride: int = 1

    def __post_init__(self) -> None:
        self.last = self.path[0]
        self._count(self.last.box)

    def _count(self, box: Box) -> None:
        self.hits += 1
        self.votes[box.kind] += box.score
        self.scores = sorted([*self.scores, box.score])[-9:]

    def add(self, point: Point) -> None:
        gap = max(1e-3, point.time_s - self.last.time_s)
        (x, y), (x0, y0) = point.box.centre, self.last.box.centre
        seen = ((x - x0) / gap, (y - y0) / gap)
        weight = 1.0 if self.hits == 1 else _GAIN
        self.velocity = tuple(old + weight * (new - old) for old, new in zip(self.velocity, seen, strict=True))  # type: ignore[assignment]
        self.last = point
        self._count(point.box)
        if self.hits % self._stride == 0:
            self.path.append(point)
        if len(self.path) > (_BALL_POINTS if self.kind in BALLS else _POINTS):
            self.path, self._stride = self.path[::2], 2 * self._stride

    def expected(self, now_s: float) -> Box:
        """Where it should be by now."""
        gap = now_s - self.last.time_s
        box = self.last.box
        return replace(box, x=box.x + gap * self.velocity[0], y=box.y + gap * self.velocity[1])

    @property
    def kind(self) -> str:
        return max(self.votes, key=lambda kind: (self.votes[kind], kind))

    @property
    def agreement(self) -> float:
        """The share of the votes that ``kind`` has."""
        return self.votes[self.kind] / sum(self.votes.values())

    def points(self) -> list[Point]:
        return self.path if self.path[-1] is self.last else [*self.path, self.last]


@dataclass(slots=True)
class Tracker:
    """Follows things; those that have gone are in ``gone``."""

    gone: list[Track] = field(default_factory=list)
    live: list[Track] = field(default_factory=list)

    def see(self, time_s: float, boxes: Sequence[Box]) -> None:
        """Take the boxes of the next picture."""
        self._forget(time_s - _FORGET_S)
        sure = [box for box in boxes if box.score >= _SURE]
        unsure = [box for box in boxes if box.score < _SURE]
        waiting, fresh = self._match(time_s, list(self.live), sure)
        _, rest = self._match(time_s, waiting, unsure)
        fresh += [box for box in rest if box.score >= _BEGINS]
        self.live += [Track([Point(time_s, box)]) for box in fresh]
        self._count_company(time_s)

    def _match(self, now_s: float, tracks: list[Track], boxes: list[Box]) -> tuple[list[Track], list[Box]]:
        """Give each track its box; those that stay without each other come back."""
        if not tracks or not boxes:
            return tracks, boxes
        affinity = _affinity([track.expected(now_s) for track in tracks], [track.kind for track in tracks], boxes)
        pairs = [
            (i, j) for i, j in zip(*linear_sum_assignment(-affinity), strict=True) if affinity[i, j] >= _LEAST_AFFINITY
        ]
        for i, j in pairs:
            tracks[i].add(Point(now_s, boxes[j]))
        matched, used = {i for i, _ in pairs}, {j for _, j in pairs}
        return [t for i, t in enumerate(tracks) if i not in matched], [b for j, b in enumerate(boxes) if j not in used]

    def _count_company(self, now_s: float) -> None:
        """How many of its kind each thing in view has around it, itself counted."""
        in_view = [track for track in self.live if track.last.time_s == now_s]
        for track in in_view:
            track.beside += sum(other.kind == track.kind for other in in_view)

    def cut(self) -> None:
        """The picture is another one from here on: nothing goes on across it."""
        self._forget(float("inf"))

    def _forget(self, before_s: float) -> None:
        self.gone += [track for track in self.live if track.last.time_s < before_s and track.hits > 1]
        self.live = [track for track in self.live if track.last.time_s >= before_s]

    def finish(self) -> list[Track]:
        self.gone += self.live
        self.live = []
        return self.gone


def _affinity(expected: Sequence[Box], kinds: Sequence[str], boxes: Sequence[Box]) -> NDArray[np.float64]:
    """How well each track (rows) goes with each box: overlap, or for small quick things nearness; less for strangers."""
    near = overlaps(expected, boxes)
    a, b = (np.array([(*one.centre, one.width, one.height) for one in group]) for group in (expected, boxes))
    reach = np.maximum((a[:, None, 2:] + b[None, :, 2:]) / 2, 1e-3)
    away = np.square((a[:, None, :2] - b[None, :, :2]) / reach).sum(axis=2)
    sizes = [np.maximum(c[:, 2] * c[:, 3], 1e-9) for c in (a, b)]
    ratio = sizes[0][:, None] / sizes[1][None, :]
    alike = np.minimum(ratio, 1 / ratio)
    strange = np.array([[0.0 if _kin(kind, box.kind) else _STRANGER for box in boxes] for kind in kinds])
    return np.asarray(np.maximum(near, 0.6 * np.exp(-away) * np.sqrt(alike)) - strange)


def _kin(one: str, other: str) -> bool:
    return one == other or any(one in group and other in group for group in _ALIKE)
