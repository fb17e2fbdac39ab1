# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the picture is cut: one sighting per shot, split at hard cuts and at dissolves.

A hard cut changes the colours (histogram) and the layout (thumbnail) at once, far more than the frames around it, and
what was there before does not come back within a third of a second (a flash does). A dissolve is found by its algebra:
the middle of it is the mean of its two ends, pixel by pixel, which no pan, walk or exposure change is.
"""

from __future__ import annotations

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
_DISSOLVE_S = 2.0
_AROUND = 8
_HARD = 0.30
_DISSOLVE_DEPTH = 0.09


@dataclass(frozen=True, slots=True)
class Look:
    """One frame in few numbers: ``thumb`` is float32 ``[18 * 32 * 3]`` (0..1), ``histogram`` float32 summing to 2."""

    time_s: Fraction
    thumb: Floats
    layout: Floats
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
    small = cv2.resize(frame.at(_WIDTH), _THUMB, interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(cv2.resize(frame.at(_WIDTH), (64, 36), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2HSV)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    centred = luma - luma.mean()
    spread = float(luma.std())
    return Look(
        frame.time_s,
        small.astype(np.float32).ravel() / 255.0,
        (centred / (spread + 0.02)).ravel(),
        _histogram(hsv),
        float(luma.mean()),
        spread,
    )


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
    layout = 0.5 * (1.0 - float(one.layout @ other.layout) / max(1e-6, _norm(one.layout) * _norm(other.layout)))
    pixels = min(1.0, 4.0 * float(np.abs(one.thumb - other.thumb).mean()))
    visible = min(1.0, 8.0 * max(one.spread, other.spread))
    return float(
        (np.clip(colours, 0, 1) * np.clip(pixels, 0, 1)) ** 0.5 * (0.4 + 0.6 * min(1.0, 2.0 * layout)) * visible
    )


def _norm(vector: Floats) -> float:
    return float(np.sqrt(vector @ vector))


@dataclass(slots=True)
class _Session:
    clip: Clip
    looks: list[Look] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    seen: int = 0

    def see(self, frame: Frame) -> None:
        look = look_at(frame)
        self.steps.append(change(self.looks[-1], look) if self.looks else 0.0)
        self.looks.append(look)

    def finish(self) -> Sequence[Sighting]:
        if not self.looks:
            return ()
        cuts = [Cut(self.looks[0].time_s, "start", 1.0), *_hard_cuts(self.looks, self.steps)]
        return [*_shots(cuts, self.looks, self.clip)]


def _hard_cuts(looks: Sequence[Look], steps: Sequence[float]) -> list[Cut]:
    found: list[Cut] = []
    for i in range(1, len(looks)):
        confidence = _hardness(looks, steps, i)
        if confidence > 0:
            found.append(Cut(looks[i].time_s, "hard", confidence))
    return found


def _hardness(looks: Sequence[Look], steps: Sequence[float], i: int) -> float:
    """0 where frame ``i`` opens no shot, else how surely it does."""
    around = [steps[j] for j in range(max(1, i - _AROUND), min(len(steps), i + _AROUND + 1)) if j != i]
    usual = sorted(around)[int(0.75 * len(around))] if around else 0.0
    if steps[i] < _HARD + 1.5 * usual or any(s > steps[i] for s in around[-_AROUND:][:1]):
        return 0.0
    before = looks[max(0, i - 2)]
    later = [look for look in looks[i + 1 : i + 60] if look.time_s - looks[i].time_s <= _FLASH_S]
    if later and min(change(before, look) for look in later) < 0.5 * steps[i]:
        return 0.0
    return min(1.0, 0.5 + (steps[i] - usual - _HARD))


def _shots(cuts: Sequence[Cut], looks: Sequence[Look], clip: Clip) -> list[Sighting]:
    ends = [cut.time_s for cut in cuts[1:]] + [max(clip.source.end_s, looks[-1].time_s)]
    shots = []
    for cut, end in zip(cuts, ends, strict=True):
        lumas = [look.luma for look in looks if cut.time_s <= look.time_s < end] or [0.0]
        values: dict[str, float | str] = {"cut": cut.kind, "brightness": round(float(np.mean(lumas)), 4)}
        start = clip.source.start_s if cut.kind == "start" else cut.time_s
        span = Span.between(tidy(start), tidy(end))
        shots.append(Sighting("shots", "shot", span, round(cut.confidence, 3), values=values))
    return shots


class _Shots:
    name = "shots"
    version = "1"
    wish = FrameWish(_WIDTH, 30.0)

    def available(self) -> str:
        return ""

    def setup(self) -> None:
        return None

    def open(self, clip: Clip) -> _Session:
        return _Session(clip)


def create() -> _Shots:
    return _Shots()
