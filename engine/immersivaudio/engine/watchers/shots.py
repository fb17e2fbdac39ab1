# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the picture is cut: one sighting per shot, split at hard cuts and at dissolves.

A hard cut changes the colours (histogram) and the layout (thumbnail) at once, far more than the frames around it, and
what was there before does not come back within a third of a second (a flash does). A dissolve is found by its algebra:
the middle of it is the mean of its two ends, pixel by pixel, which no pan, walk or exposure change is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.watchers import Frame, FrameWish

Floats = NDArray[np.float32]

_WIDTH = 192
_THUMB = (32, 18)
_HUES, _LUMAS = 12, 16
_FLASH_S = 0.35
_AHEAD_S = Fraction(1)
_DISSOLVE_APART_S = Fraction(1)
_AROUND = 8
_HARD, _CALM, _KEPT = 0.30, 0.08, 0.25
_DISSOLVE_DEPTH = 0.07
_LEAST_BLEND = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """One frame in few numbers: ``thumb`` is float32 ``[18 * 32 * 3]`` (0..1), ``histogram`` float32 summing to 2;
    ``detail`` what is left of the luma ``[36 * 64]`` without its large areas: edges and textures, at their places."""

    time_s: Fraction
    thumb: Floats
    layout: Floats
    detail: Floats
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
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    centred = luma - luma.mean()
    spread = float(luma.std())
    return Look(
        frame.time_s,
        small.astype(np.float32).ravel() / 255.0,
        (centred / (spread + 0.02)).ravel(),
        _detail(picture),
        _histogram(hsv),
        float(luma.mean()),
        spread,
    )


def _detail(picture: NDArray[np.uint8]) -> Floats:
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255.0)
    return np.asarray(light - cv2.blur(light, (7, 7)), dtype=np.float32).ravel()


def _histogram(hsv: NDArray[np.uint8]) -> Floats:
    """Soft histogram of luma and of saturation-weighted hue: moves little when exposure or noise does."""
    hue, saturation, value = (hsv[..., i].ravel() for i in range(3))
    lumas = np.bincount(value >> 4, minlength=_LUMAS).astype(np.float32) / value.size
    weights = saturation.astype(np.float32) * value / 65025.0
    counts = np.bincount(hue.astype(np.int32) * _HUES // 180, weights=weights, minlength=_HUES + 1)[:_HUES]
    hues = counts / max(float(value.size) * 0.15, float(counts.sum()))
    smooth = np.convolve(lumas, (0.25, 0.5, 0.25), mode="same")
    ring = 0.5 * hues + 0.25 * (np.roll(hues, 1) + np.roll(hues, -1))
    return np.concatenate([smooth, ring]).astype(np.float32)


def change(one: Look, other: Look) -> float:
    """How unlike two frames are, 0 (same) to 1: colours and layout must both have changed to count fully."""
    colours = 0.5 * float(np.abs(one.histogram - other.histogram).sum())
    alike = likeness(one, other)
    layout = 0.5 * (1.0 - alike)
    pixels = min(1.0, 4.0 * float(np.abs(one.thumb - other.thumb).mean()))
    visible = min(1.0, 20.0 * max(one.spread, other.spread))
    both = float((min(1.0, colours) * pixels) ** 0.5 * (0.4 + 0.6 * min(1.0, 2.0 * layout)))
    elsewhere = 0.6 * float(np.clip((0.5 - alike) / 0.5, 0.0, 1.0)) * pixels
    return max(both, elsewhere if min(one.spread, other.spread) > 0.03 else 0.0) * visible


def likeness(one: Look, other: Look) -> float:
    """Correlation of the two layouts, whatever their brightness and contrast."""
    return float(one.layout @ other.layout) / max(1e-6, _norm(one.layout) * _norm(other.layout))


def kept(one: Look, other: Look) -> float:
    """Correlation of edges and textures: near 0 across a cut, also where sky or light stay the same."""
    return float(one.detail @ other.detail) / max(1e-3, _norm(one.detail) * _norm(other.detail))


def _norm(vector: Floats) -> float:
    return float(np.sqrt(vector @ vector))


@dataclass(slots=True)
class _Session:
    """Holds the looks of the last seconds only; each is judged once what follows it is known."""

    clip: Clip
    looks: list[Look] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    lumas: list[tuple[Fraction, float]] = field(default_factory=list)
    judged: int = 0

    def see(self, frame: Frame) -> None:
        look = look_at(frame)
        self.steps.append(change(self.looks[-1], look) if self.looks else 0.0)
        self.looks.append(look)
        self.lumas.append((look.time_s, look.luma))
        self._judge(look.time_s - _AHEAD_S)
        if len(self.looks) > 2 and look.time_s - self.looks[0].time_s > 3 * _AHEAD_S and self.judged > 1:
            del self.looks[0], self.steps[0]
            self.judged -= 1

    def finish(self) -> Sequence[Sighting]:
        if not self.lumas:
            return ()
        self._judge(self.lumas[-1][0])
        return _shots([Cut(self.lumas[0][0], "start", 1.0), *self.cuts], self.lumas, self.clip)

    def _judge(self, until_s: Fraction) -> None:
        while self.judged < len(self.looks) and self.looks[self.judged].time_s <= until_s:
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
    around = [steps[j] for j in range(max(1, i - _AROUND), min(len(steps), i + _AROUND + 1)) if j != i]
    usual = sorted(around)[int(0.75 * len(around))] if around else 0.0
    anew = kept(looks[i - 1], looks[i]) < _KEPT
    least = min(_HARD + 1.5 * usual, _CALM + 4.0 * usual if anew else 1.0)
    if steps[i] < least:
        return 0.0
    now = looks[i].time_s
    later = [look for look in looks[i + 1 :] if look.time_s - now <= _FLASH_S]
    earlier = [look for look in looks[: max(0, i - 1)] if now - look.time_s <= _FLASH_S]
    back = [change(looks[i - 1], look) for look in later] + [change(look, looks[i]) for look in earlier]
    if back and min(back) < 0.5 * steps[i]:
        return 0.0
    return float(np.clip(0.5 + (steps[i] - usual - least), 0.5, 1.0))


def _blend(looks: Sequence[Look], i: int) -> float:
    """How surely frame ``i`` is the middle of a dissolve: it and its quarters are mixtures of two unlike ends."""
    best = 0.0
    for reach_s in (Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)):
        parts = [_look_near(looks, looks[i].time_s + reach_s * k / 2) for k in (-2, -1, 1, 2)]
        if None in parts:
            continue
        start, early, late, end = (part for part in parts if part is not None)
        apart = float(np.abs(end.thumb - start.thumb).mean())
        everywhere = float((np.abs(end.thumb - start.thumb) > 0.03).mean()) > 0.6
        if apart < _DISSOLVE_DEPTH or not everywhere or likeness(start, end) > 0.6:
            continue
        if min(start.spread, end.spread) < 0.02:
            continue
        mixes = ((early, 0.25), (looks[i], 0.5), (late, 0.75))
        off = max(float(np.abs(m.thumb - (1 - w) * start.thumb - w * end.thumb).mean()) for m, w in mixes)
        best = max(best, (0.22 - off / apart) / 0.22)
    return best


def _look_near(looks: Sequence[Look], time_s: Fraction) -> Look | None:
    at = bisect_left(looks, time_s, key=lambda look: look.time_s)
    near = [look for look in looks[max(0, at - 1) : at + 1] if abs(look.time_s - time_s) < Fraction(1, 10)]
    return min(near, key=lambda look: abs(look.time_s - time_s), default=None)


def _shots(cuts: Sequence[Cut], lumas: Sequence[tuple[Fraction, float]], clip: Clip) -> list[Sighting]:
    ends = [cut.time_s for cut in cuts[1:]] + [max(clip.source.end_s, lumas[-1][0])]
    shots: list[Sighting] = []
    times = [time for time, _ in lumas]
    for cut, end in zip(cuts, ends, strict=True):
        first = bisect_left(times, cut.time_s)
        inside = [luma for _, luma in lumas[first : max(first + 1, bisect_left(times, end))]]
        values: dict[str, float | str] = {"cut": cut.kind, "brightness": round(float(np.mean(inside)), 4)}
        start = clip.source.start_s if cut.kind == "start" else cut.time_s
        span = Span.between(tidy(start), tidy(end))
        shots.append(Sighting("shots", "shot", span, round(cut.confidence, 3), values=values))
    return shots


class _Shots:
    name = "shots"
    version = "3"
    wish = FrameWish(_WIDTH, 30.0)

    def available(self) -> str:
        return ""

    def setup(self) -> None:
        return None

    def open(self, clip: Clip) -> _Session:
        return _Session(clip)


def create() -> _Shots:
    return _Shots()
