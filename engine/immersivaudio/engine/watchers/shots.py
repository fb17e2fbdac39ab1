# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the picture is cut: one sighting per shot, split at hard cuts and at dissolves.

A hard cut changes the colours (histogram) and the layout (thumbnail) at once, far more than the frames around it, and
what was there before does not come back within a third of a second (a flash does). A dissolve is found by its algebra:
the middle of it is the mean of its two ends, pixel by pixel, which no pan, walk or exposure change is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from operator import attrgetter

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.watchers import Frame, FrameWish
from immersivaudio.engine.watchers._plain import Plain

Floats = NDArray[np.float32]

_WIDTH = 192
_THUMB = (32, 18)
_HUES, _LUMAS = 12, 16
_FLASH_S = 0.35
_AHEAD_S = 1.0
_DISSOLVE_APART_S = 1.0
_REACHES_S = (0.25, 0.5, 0.9)
_AROUND = 8
_HARD, _CALM, _KEPT = 0.30, 0.08, 0.25
_DISSOLVE_DEPTH = 0.07
_LEAST_BLEND = 0.5
_AT_S = attrgetter("at_s")


@dataclass(frozen=True, slots=True)
class Look:
    """One frame in few numbers, ``at_s`` its time as a float: ``thumb`` is float32 ``[18 * 32 * 3]`` (0..1), ``layout``
    its luma, centred, of length 1; ``grey`` the luma, uint8 ``[36, 64]``; ``histogram`` float32 summing to 2."""

    time_s: Fraction
    at_s: float
    thumb: Floats
    layout: Floats
    grey: NDArray[np.uint8]
    histogram: Floats
    luma: float
    spread: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a shot begins, how ("hard", "dissolve" or "start"), and how surely."""

    time_s: Fraction
    kind: str
    confidence: float


def look_at(frame: Frame) -> Look:
    """Reduce ``frame`` to what cuts are judged by."""
    picture = cv2.resize(frame.at(_WIDTH), (64, 36), interpolation=cv2.INTER_AREA)
    small = cv2.resize(picture, _THUMB, interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    mean, spread = (float(part[0, 0]) / 255.0 for part in cv2.meanStdDev(luma))
    centred = luma.ravel() / np.float32(255.0) - np.float32(mean)
    return Look(
        frame.time_s,
        float(frame.time_s),
        small.ravel() / np.float32(255.0),
        centred / np.float32(max(1e-3, _norm(centred))),
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY),
        _histogram(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)),
        mean,
        spread,
    )


def _detail(grey: NDArray[np.uint8]) -> Floats:
    """What is left of a luma without its large areas: edges and textures, at their places."""
    light = grey / np.float32(255.0)
    return np.asarray(light - cv2.blur(light, (7, 7)), dtype=np.float32).ravel()


def _histogram(hsv: NDArray[np.uint8]) -> Floats:
    """Soft histogram of luma and of saturation-weighted hue: moves little when exposure or noise does."""
    hue, saturation, value = cv2.split(hsv)
    lumas = cv2.calcHist([value], [0], None, [_LUMAS], [0, 256]).ravel() / np.float32(value.size)
    weights = cv2.multiply(saturation, value, scale=1 / 65025, dtype=cv2.CV_32F)
    counts = np.bincount(_HUE_OF[hue.ravel()], weights=weights.ravel(), minlength=_HUES)
    hues = counts / max(float(value.size) * 0.15, float(counts.sum()))
    return np.concatenate([_SOFT @ lumas, _RING @ hues.astype(np.float32)])


def _soften(size: int, *, ring: bool) -> Floats:
    """The matrix that moves a quarter of each bin to either neighbour; in a ring the last neighbours the first."""
    one = np.eye(size)
    above, below = (np.roll(one, shift, 0) if ring else np.eye(size, k=-shift) for shift in (1, -1))
    return np.asarray(0.5 * one + 0.25 * (above + below), dtype=np.float32)


_HUE_OF = np.minimum(np.arange(256) * _HUES // 180, _HUES - 1)
_SOFT, _RING = _soften(_LUMAS, ring=False), _soften(_HUES, ring=True)


def change(one: Look, other: Look) -> float:
    """How unlike two frames are, 0 (same) to 1: colours and layout must both have changed to count fully."""
    colours = 0.5 * cv2.norm(one.histogram, other.histogram, cv2.NORM_L1)
    alike = likeness(one, other)
    layout = 0.5 * (1.0 - alike)
    pixels = min(1.0, 4.0 * _apart(one, other))
    visible = min(1.0, 20.0 * max(one.spread, other.spread))
    both = float((min(1.0, colours) * pixels) ** 0.5 * (0.4 + 0.6 * min(1.0, 2.0 * layout)))
    elsewhere = 0.6 * min(1.0, max(0.0, (0.5 - alike) / 0.5)) * pixels
    return max(both, elsewhere if min(one.spread, other.spread) > 0.03 else 0.0) * visible


def likeness(one: Look, other: Look) -> float:
    """Correlation of the two layouts, whatever their brightness and contrast."""
    return float(one.layout @ other.layout)


def _apart(one: Look, other: Look) -> float:
    """The mean difference of the pixels of two thumbs, 0..1."""
    return float(cv2.norm(one.thumb, other.thumb, cv2.NORM_L1)) / one.thumb.size


def kept(one: Look, other: Look) -> float:
    """Correlation of edges and textures: near 0 across a cut, also where sky or light stay the same."""
    here, there = _detail(one.grey), _detail(other.grey)
    return float(here @ there) / max(1e-3, _norm(here) * _norm(there))


def _norm(vector: Floats) -> float:
    return float(np.sqrt(vector @ vector))


@dataclass(slots=True)
class _Session:
    """Holds the looks of the last seconds only; each is judged once what follows it is known. Of every frame stay its
    time and its brightness: 16 bytes."""

    clip: Clip
    looks: list[Look] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    times_s: array[float] = field(default_factory=lambda: array("d"))
    lumas: array[float] = field(default_factory=lambda: array("d"))
    first_s: Fraction | None = None
    judged: int = 0

    def see(self, frame: Frame) -> None:
        look = look_at(frame)
        self.steps.append(change(self.looks[-1], look) if self.looks else 0.0)
        self.looks.append(look)
        self.times_s.append(look.at_s)
        self.lumas.append(look.luma)
        self.first_s = look.time_s if self.first_s is None else self.first_s
        self._judge(look.at_s - _AHEAD_S)
        if len(self.looks) > 2 and look.at_s - self.looks[0].at_s > 3 * _AHEAD_S and self.judged > 1:
            del self.looks[0], self.steps[0]
            self.judged -= 1

    def finish(self) -> Sequence[Sighting]:
        if self.first_s is None:
            return ()
        self._judge(float("inf"))
        cuts = [Cut(self.first_s, "start", 1.0), *self.cuts]
        ends = [*(cut.time_s for cut in self.cuts), max(self.clip.source.end_s, self.looks[-1].time_s)]
        return [self._shot(cut, end) for cut, end in zip(cuts, ends, strict=True)]

    def _shot(self, cut: Cut, end_s: Fraction) -> Sighting:
        first, last = (bisect_left(self.times_s, float(moment)) for moment in (cut.time_s, end_s))
        brightness = float(np.mean(self.lumas[first : max(first + 1, last)]))
        values: dict[str, float | str] = {"cut": cut.kind, "brightness": round(brightness, 4)}
        start = self.clip.source.start_s if cut.kind == "start" else cut.time_s
        return Sighting(
            "shots", "shot", Span.between(tidy(start), tidy(end_s)), round(cut.confidence, 3), values=values
        )

    def _judge(self, until_s: float) -> None:
        while self.judged < len(self.looks) and self.looks[self.judged].at_s <= until_s:
            if self.judged > 0:
                self._weigh(self.judged)
            self.judged += 1

    def _weigh(self, i: int) -> None:
        time = self.looks[i].time_s
        hard = _hardness(self.looks, self.steps, i)
        if hard > 0:
            self.cuts = [c for c in self.cuts if c.kind == "hard" or time - c.time_s > _DISSOLVE_APART_S]
            self.cuts.append(Cut(time, "hard", hard))
            return
        blend = _blend(self.looks, i)
        if blend < _LEAST_BLEND or any(time - c.time_s < _DISSOLVE_APART_S and c.kind == "hard" for c in self.cuts):
            return
        near = [c for c in self.cuts if time - c.time_s < _DISSOLVE_APART_S]
        if not near or near[-1].confidence < blend:
            self.cuts = [c for c in self.cuts if c not in near]
            self.cuts.append(Cut(time, "dissolve", blend))


def _hardness(looks: Sequence[Look], steps: Sequence[float], i: int) -> float:
    """0 where frame ``i`` opens no shot, else how surely it does."""
    if steps[i] < _CALM:
        return 0.0
    around = sorted([*steps[max(1, i - _AROUND) : i], *steps[i + 1 : i + _AROUND + 1]])
    usual = around[int(0.75 * len(around))] if around else 0.0
    least, calm = _HARD + 1.5 * usual, _CALM + 4.0 * usual
    if calm < least and calm <= steps[i] and kept(looks[i - 1], looks[i]) < _KEPT:
        least = calm
    if steps[i] < min(least, 1.0):
        return 0.0
    now = looks[i].at_s
    later = [look for look in looks[i + 1 :] if look.at_s - now <= _FLASH_S]
    earlier = [look for look in looks[: max(0, i - 1)] if now - look.at_s <= _FLASH_S]
    back = [change(looks[i - 1], look) for look in later] + [change(look, looks[i]) for look in earlier]
    if back and min(back) < 0.5 * steps[i]:
        return 0.0
    return min(1.0, max(0.5, 0.5 + steps[i] - usual - least))


def _blend(looks: Sequence[Look], i: int) -> float:
    """How surely frame ``i`` is the middle of a dissolve: it and its quarters are mixtures of two unlike ends."""
    best, now = 0.0, looks[i].at_s
    for reach_s in _REACHES_S:
        start, end = _look_near(looks, now - reach_s), _look_near(looks, now + reach_s)
        if start is None or end is None or not _unlike(start, end):
            continue
        early, late = _look_near(looks, now - reach_s / 2), _look_near(looks, now + reach_s / 2)
        if early is not None and late is not None:
            mixes = ((early, 0.25), (looks[i], 0.5), (late, 0.75))
            off = max(_off_mixture(look, share, start, end) for look, share in mixes)
            best = max(best, (0.22 - off / _apart(start, end)) / 0.22)
    return best


def _unlike(start: Look, end: Look) -> bool:
    """Whether two frames may be the ends of a dissolve: not plain, of another layout, and other nearly everywhere."""
    if min(start.spread, end.spread) < 0.02 or _apart(start, end) < _DISSOLVE_DEPTH or likeness(start, end) > 0.6:
        return False
    changed = int(np.count_nonzero(cv2.absdiff(start.thumb, end.thumb) > np.float32(0.03)))
    return changed > 0.6 * start.thumb.size


def _off_mixture(look: Look, share: float, start: Look, end: Look) -> float:
    """How far the pixels of a frame are from the mixture of two others that has ``share`` of the second."""
    mixture = cv2.addWeighted(start.thumb, 1.0 - share, end.thumb, share, 0.0)
    return float(cv2.norm(look.thumb, mixture, cv2.NORM_L1)) / mixture.size


def _look_near(looks: Sequence[Look], time_s: float) -> Look | None:
    at = bisect_left(looks, time_s, key=_AT_S)
    near = [look for look in looks[max(0, at - 1) : at + 1] if abs(look.at_s - time_s) < 0.1]
    return min(near, key=lambda look: abs(look.at_s - time_s), default=None)


def create() -> Plain:
    return Plain("shots", "4", FrameWish(_WIDTH, 30.0), _Session)
