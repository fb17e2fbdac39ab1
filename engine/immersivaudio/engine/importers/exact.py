# SPDX-License-Identifier: AGPL-3.0-or-later
"""Exact time: rates snapped to their true rational, OTIO's doubles to Fraction seconds and back."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError

_INTEGER_TOLERANCE = Fraction(1, 50_000)
_NTSC_TOLERANCE = Fraction(26, 100_000)
_NTSC_FASTEST = 1000
_RATE_LIMIT = 10**13
_GRAIN = 10_000_000
SPEED_GRAIN = 1_000_000
"""The largest denominator of a speed that an editor wrote as a decimal: many digits must not make times endless."""


@functools.lru_cache(maxsize=4096)
def snap(rate: Fraction | float) -> Fraction:
    """The exact rational that ``rate`` (per second) stands for: 23.976 and 23.98 are 24000/1001, 2997/100 is
    30000/1001, 59.94 is 60000/1001; whole rates stay whole. The one place where rates are snapped.

    Raises:
        TimelineError: zero, negative, not a number or absurdly large.
    """
    if not math.isfinite(rate) or not 0 < rate < _RATE_LIMIT:
        raise TimelineError(f"{rate} is no frame rate.", "Export the timeline again with a valid frame rate.")
    value = Fraction(rate)
    whole = round(value)
    if whole and abs(value - whole) <= _INTEGER_TOLERANCE * value:
        return Fraction(whole)
    nominal = round(value * 1001 / 1000)
    ntsc = Fraction(nominal * 1000, 1001)
    if 0 < nominal <= _NTSC_FASTEST and abs(value - ntsc) <= _NTSC_TOLERANCE * value:
        return ntsc
    return value.limit_denominator(100_000)


def seconds(time: otio.opentime.RationalTime) -> Fraction:
    """``time`` in exact seconds.

    Raises:
        TimelineError: a value or rate that is no number.
    """
    if not math.isfinite(time.value):
        raise TimelineError(f"{time.value} is no time.", "Export the timeline again from the editor.")
    return rational(time.value) / snap(time.rate)


def rational(value: float) -> Fraction:
    """The short rational that a double stands for: 0.1 is 1/10, 33.333333333333336 is 100/3."""
    exact = Fraction(value)
    if exact.denominator == 1:
        return exact
    short = exact.limit_denominator(_GRAIN)
    return short if abs(short - exact) <= abs(exact) * Fraction(1, 10**12) + Fraction(1, 10**15) else exact


def time_at(moment_s: Fraction, rate: Fraction) -> otio.opentime.RationalTime:
    """``moment_s`` as an OTIO time that holds it exactly: at ``rate`` on a frame, else at a finer rate."""
    frames = moment_s * rate
    if frames.denominator == 1:
        return otio.opentime.RationalTime(float(frames), float(rate))
    return otio.opentime.RationalTime(float(moment_s.numerator), float(moment_s.denominator))


def range_of(start_s: Fraction, duration_s: Fraction, rate: Fraction) -> otio.opentime.TimeRange:
    """An OTIO range, exact."""
    return otio.opentime.TimeRange(time_at(start_s, rate), time_at(duration_s, rate))
