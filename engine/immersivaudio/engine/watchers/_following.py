# SPDX-License-Identifier: AGPL-3.0-or-later
"""Following what a detector finds: people, vehicles, animals and things, each one sighting while it is in view.

Any detector that gives boxes with COCO's names can be followed. One ``object`` sighting a thing: ``kind`` (COCO's
name), ``from_x`` ... ``to_y`` (where its centre comes from and goes to), ``closest_s`` (when it is largest), ``size``
(its largest share of the frame), ``from_size``, ``to_size``, ``speed`` (frame widths a second while it moves), ``pace``
(own heights a second), ``moving`` (share of its time), ``count`` (how many of its kind are in view), ``ground`` (green,
earth or grey beside its feet), ``agreement`` (how far the detector was of one mind), ``also`` (what else it took it for)
and ``path``: "share of the span:x,y,size ...". The span is the time in view. Balls are looked at in every frame; where
one turns sharply, that is an ``impact``.
"""

from __future__ import annotations

import abc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np

from immersivaudio.engine.cue import Clip, ParamValue, Sighting, Span, tidy
from immersivaudio.engine.tracks import as_path
from immersivaudio.engine.watchers import Frame, FrameWish, Picture
from immersivaudio.engine.watchers._boxes import Box
from immersivaudio.engine.watchers._cuts import Cuts
from immersivaudio.engine.watchers._flights import Bounce, bounces
from immersivaudio.engine.watchers._tracks import BALLS, Point, Track, Tracker
from immersivaudio.engine.watchers._weights import Wanted

_EVERY_S = Fraction(4, 25)
_QUICK_S = Fraction(3, 5)
_LEAST_HITS, _LEAST_CONFIDENCE = 3, 0.25
_MOVES = 0.03
_ON_FEET = ("person", "dog", "horse", "cow", "sheep")
_PATH_POINTS = 12
_FULL_HZ = 30.0


class Eyes(Protocol):
    """A detector."""

    def boxes(self, rgb: Picture) -> list[Box]:
        """The things in ``rgb`` (uint8 ``[h, w, 3]``), the surest first."""
        ...


class Follower(abc.ABC):
    """A picture watcher that follows what the detector in the weights ``wanted`` finds in pictures ``width`` wide."""

    name: str
    width: int
    wanted: Wanted

    def __init__(self) -> None:
        self.wish = FrameWish(self.width, _FULL_HZ)
        self._detector: Eyes | None = None
        self._digest = ""

    @property
    def version(self) -> str:
        """Names the weights, because other weights see other things; known without loading them."""
        return f"1-{(self._digest or self.wanted.digest())[:12]}"

    def available(self) -> str:
        return self.wanted.lacks()

    def setup(self) -> None:
        """Load the network.

        Raises:
            UnavailableError: it is missing, refused, or no detector.
        """
        if self._detector is None:
            self._detector, self._digest = self.load()

    @abc.abstractmethod
    def load(self) -> tuple[Eyes, str]:
        """The detector, and the sha256 of its weights."""

    def open(self, clip: Clip) -> Following:
        self.setup()
        assert self._detector is not None
        return Following(self.name, clip, self._detector.boxes, self.width)


@dataclass(slots=True)
class Following:
    """One clip seen by one detector. ``name`` is the watcher's, ``boxes`` finds things in a picture ``width`` wide, the
    surest first."""

    name: str
    clip: Clip
    boxes: Callable[[Picture], list[Box]]
    width: int
    tracker: Tracker = field(default_factory=Tracker)
    looks: int = 0
    cuts: Cuts = field(default_factory=Cuts)
    _due_s: Fraction | None = None
    _quick_until_s: Fraction = Fraction(0)

    def see(self, frame: Frame) -> None:
        if self.cuts.at(frame):
            self.tracker.cut()
            self._due_s = None
        if self._due_s is not None and self._quick_until_s <= frame.time_s < self._due_s:
            return
        boxes = self.boxes(frame.at(self.width))
        self.tracker.see(float(frame.time_s), boxes)
        self._look_at_feet(frame)
        self.looks += 1
        self._due_s = frame.time_s + _EVERY_S
        if any(box.kind in BALLS and box.score >= 0.4 for box in boxes):
            self._quick_until_s = frame.time_s + _QUICK_S

    def _look_at_feet(self, frame: Frame) -> None:
        for track in self.tracker.live:
            if track.last.time_s == float(frame.time_s) and track.last.box.kind in _ON_FEET:
                ground = ground_under(frame.at(self.width), track.last.box)
                if ground:
                    track.grounds[ground] += 1

    def finish(self) -> Sequence[Sighting]:
        least = min(_LEAST_HITS, self.looks)
        tracks = [track for track in self.tracker.finish() if track.hits >= least]
        found = [_object(self.name, track, self.clip) for track in tracks]
        kept = [s for s in found if s.confidence >= _LEAST_CONFIDENCE]
        struck = [_impact(self.name, one) for track in tracks if track.kind in BALLS for one in bounces(track.points())]
        return sorted([*kept, *struck], key=lambda s: s.span.start_s)


def _impact(name: str, bounce: Bounce) -> Sighting:
    box = bounce.box
    values: dict[str, ParamValue] = {
        "strength": round(min(1.0, 0.25 + bounce.turn / 4), 4), "speed": round(bounce.turn / 2, 4), "direction": "down",
        "size": round(box.width * box.height, 4), "track": "ball", "kind": "ball",
    }  # fmt: skip
    span = Span(tidy(Fraction(bounce.time_s)), Fraction(0))
    return Sighting(name, "impact", span, round(bounce.confidence, 3), (box.x, box.y, box.width, box.height), values)


def _object(name: str, track: Track, clip: Clip) -> Sighting:
    points = track.points()
    start, end = points[0].time_s, min(points[-1].time_s + float(_EVERY_S), float(clip.source.end_s))
    largest = max(points, key=lambda point: point.box.width * point.box.height)
    box = largest.box
    span = Span.between(tidy(Fraction(start)), tidy(Fraction(max(start, end))))
    lasting = min(1.0, track.hits / (_LEAST_HITS + 2))
    confidence = statistics.mean(track.scores) * (0.6 + 0.4 * track.agreement) * (0.7 + 0.3 * lasting)
    return Sighting(
        name, "object", span, round(min(0.97, confidence), 3), (box.x, box.y, box.width, box.height),
        {**_way(points), **_motion(points), "kind": track.kind, "closest_s": largest.time_s,
         "count": round(track.beside / track.hits, 2), "agreement": round(track.agreement, 3), "also": _also(track),
         "path": _path(points), "ground": max(track.grounds, key=lambda name: track.grounds[name], default="")},
    )  # fmt: skip


def ground_under(rgb: Picture, box: Box) -> str:
    """What is beside the feet by its colour: green, earth or grey; nothing where the feet are out of view."""
    height, width = rgb.shape[:2]
    bottom = box.y + box.height
    if bottom > 0.97:
        return ""
    rows = slice(int((bottom - 0.02) * height), max(int((bottom + 0.05) * height), int((bottom - 0.02) * height) + 2))
    columns = slice(max(0, int((box.x - box.width / 2) * width)), int((box.x + 1.5 * box.width) * width) + 2)
    hue, saturation, _ = cv2.split(cv2.cvtColor(np.ascontiguousarray(rgb[rows, columns]), cv2.COLOR_RGB2HSV))
    coloured = saturation > 60
    green, earth = ((hue >= low) & (hue < high) & coloured for low, high in ((30, 90), (5, 24)))
    return "green" if green.mean() > 0.4 else "earth" if earth.mean() > 0.5 else "grey"


def _way(points: Sequence[Point]) -> dict[str, ParamValue]:
    first, last = points[0].box, points[-1].box
    sizes = [point.box.width * point.box.height for point in points]
    (from_x, from_y), (to_x, to_y) = first.centre, last.centre
    return {
        "from_x": round(from_x, 4), "from_y": round(from_y, 4), "to_x": round(to_x, 4), "to_y": round(to_y, 4),
        "size": round(max(sizes), 5), "from_size": round(sizes[0], 5), "to_size": round(sizes[-1], 5),
    }  # fmt: skip


def _motion(points: Sequence[Point]) -> dict[str, ParamValue]:
    """How fast and how much of the time it moves, over stretches of half a second, so that a trembling box stands."""
    steps = []
    before = points[0]
    for point in points[1:]:
        gap = point.time_s - before.time_s
        if gap >= 0.45:
            (x, y), (x0, y0) = point.box.centre, before.box.centre
            way = float(((x - x0) ** 2 + ((y - y0) * 9 / 16) ** 2) ** 0.5)
            tall = max(0.02, (point.box.height + before.box.height) / 2) * 9 / 16
            steps.append((way / gap, way / gap / tall))
            before = point
    going = [(speed, pace) for speed, pace in steps if speed >= _MOVES]
    speed, pace = (
        statistics.median(column) if going else 0.0 for column in (zip(*going, strict=True) if going else ((), ()))
    )
    return {"speed": round(speed, 4), "pace": round(pace, 4), "moving": round(len(going) / max(1, len(steps)), 3)}


def _also(track: Track) -> str:
    whole = sum(track.votes.values())
    others = sorted((votes, kind) for kind, votes in track.votes.items() if kind != track.kind and votes > 0.1 * whole)
    return ", ".join(kind for _, kind in reversed(others))


def _path(points: Sequence[Point]) -> str:
    rows = [(point.time_s, *point.box.centre, point.box.width * point.box.height) for point in points]
    return as_path(rows, _PATH_POINTS)
