# SPDX-License-Identifier: AGPL-3.0-or-later
"""Written gain curves: points in seconds and decibels, linear in decibels between them, held outside.

Ducking is such a curve too, so that it stays editable in the editor; nothing here listens to the sound.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import audio
from immersivaudio.engine.audio import Block, amplitude
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, GainPoint, SpeechSpan, Stem

Curve = tuple[GainPoint, ...]
Levels = NDArray[np.float64]

_STEP_S = 0.001

DUCK_DB: dict[Stem, float] = {
    Stem.MUSIC: -12.0,
    Stem.AMBIENCE: -5.0,
    Stem.EFFECTS: -4.0,
    Stem.FOLEY: -3.0,
}


@dataclass(frozen=True, slots=True)
class DuckShape:
    """How a lane makes room: it begins to fall ``look_ahead_s`` before a word and is down ``attack_s`` before it, stays
    down across pauses shorter than ``hold_s``, and rises over ``release_s`` after the last word."""

    look_ahead_s: float = 0.300
    attack_s: float = 0.040
    hold_s: float = 0.7
    release_s: float = 0.5


DUCK_SHAPE = DuckShape()


def duck(speech: Sequence[SpeechSpan], depth_db: float, shape: DuckShape = DUCK_SHAPE) -> Curve:
    """The gain curve on the record clock that falls to ``depth_db`` under ``speech``; empty when nobody speaks."""
    return dips([(float(said.span.start_s), float(said.span.end_s), depth_db) for said in speech], shape)


def dips(spans: Sequence[tuple[float, float, float]], shape: DuckShape) -> Curve:
    """The gain curve that falls under each of ``spans`` (start, end, depth in decibels); those that the shape holds
    together fall to the deepest of them."""
    phrases = _phrases(spans, shape.hold_s)
    points: list[GainPoint] = []
    for index, (start, end, depth_db) in enumerate(phrases):
        if not points or points[-1].at_s < start - shape.look_ahead_s:
            points.append(GainPoint(start - shape.look_ahead_s, 0.0))
        points += [GainPoint(start - shape.attack_s, depth_db), GainPoint(end, depth_db)]
        following = phrases[index + 1][0] if index + 1 < len(phrases) else float("inf")
        free = min(end + shape.release_s, following - shape.look_ahead_s)
        left = 0.0 if free == end + shape.release_s else 1 - (free - end) / shape.release_s
        points.append(GainPoint(free, depth_db * left))
    return tuple(points)


def _phrases(spans: Sequence[tuple[float, float, float]], hold_s: float) -> list[tuple[float, float, float]]:
    phrases: list[tuple[float, float, float]] = []
    for start, end, depth_db in sorted(spans):
        if phrases and start - phrases[-1][1] < hold_s:
            began, ended, deepest = phrases[-1]
            phrases[-1] = (began, max(ended, end), min(deepest, depth_db))
        else:
            phrases.append((start, end, depth_db))
    return phrases


def levels(curve: Curve, moments: Levels) -> Levels:
    """The gain in decibels at each of ``moments`` (seconds); 0 for an empty curve."""
    if not curve:
        return np.zeros(len(moments))
    known, gains = np.array([(point.at_s, point.gain_db) for point in curve]).T
    found: Levels = np.interp(moments, known, gains)
    return found


def at(curve: Curve, at_s: float) -> float:
    """The gain in decibels at one moment."""
    return float(levels(curve, np.array([at_s]))[0])


def window(curve: Curve, start_s: float, duration_s: float) -> Curve:
    """The part of ``curve`` within a span, on a clock that starts with the span."""
    if not curve:
        return ()
    inside = [point.at_s for point in curve if start_s < point.at_s < start_s + duration_s]
    moments = np.array([start_s, *inside, start_s + duration_s])
    return _curve(moments - start_s, levels(curve, moments))


def add(first: Curve, second: Curve, gain_db: float = 0.0) -> Curve:
    """Both gains and ``gain_db`` in a row: exact, since a sum of lines is a line between the joint points."""
    first, second = _in_order(first), _in_order(second)
    moments = np.array(sorted({point.at_s for point in (*first, *second)}) or [0.0])
    return _curve(moments, levels(first, moments) + levels(second, moments) + gain_db)


def _in_order(curve: Curve) -> Curve:
    """``curve`` in order of time, which a person need not keep. Two points at one moment are a step, over a millisecond."""
    found: list[GainPoint] = []
    for point in sorted(curve, key=lambda point: point.at_s):
        free = not found or point.at_s > found[-1].at_s
        found.append(point if free else GainPoint(found[-1].at_s + _STEP_S, point.gain_db))
    return tuple(found)


def _curve(moments: Levels, gains: Levels) -> Curve:
    """Points without those that change nothing: the inner ones of a level stretch."""
    if np.all(gains == gains[0]):
        return (GainPoint(float(moments[0]), float(gains[0])),)
    moves = np.diff(gains) != 0
    keep = np.r_[True, moves] | np.r_[moves, True]
    keep[[0, -1]] = True
    return tuple(GainPoint(float(at_s), float(gain)) for at_s, gain in zip(moments[keep], gains[keep], strict=True))


def around(curve: Curve, first: int, end: int) -> Curve:
    """The points that have a say in the samples from ``first`` to ``end``: those inside, and the neighbours of both."""
    if len(curve) < 2:
        return curve
    known = [point.at_s * SAMPLE_RATE_HZ for point in curve]
    return curve[max(0, bisect.bisect_left(known, first) - 1) : bisect.bisect_right(known, end) + 1]


def amplitudes(curve: Curve, first: int, count: int) -> Block | float:
    """The linear gain of ``count`` samples from sample ``first`` on; one number where it does not change."""
    if len(curve) < 2:
        return amplitude(curve[0].gain_db) if curve else 1.0
    known, gains = np.array([(point.at_s * SAMPLE_RATE_HZ, point.gain_db) for point in curve]).T
    begin, end = np.searchsorted(known, [first, first + count - 1])
    around = gains[max(0, begin - 1) : end + 1]
    if np.all(around == around[0]):
        return amplitude(float(around[0]))
    return audio.amplitudes(np.interp(np.arange(first, first + count), known, gains))
