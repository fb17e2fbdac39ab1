# SPDX-License-Identifier: AGPL-3.0-or-later
"""SMPTE timecode to frames (ST 12-1; drop-frame counts 30000/1001 and its multiples) and back to seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from immersivaudio.engine.errors import TimelineError

_SHAPE = re.compile(r"(\d{1,2})[:;.,](\d{1,2})[:;.,](\d{1,2})([:;.,])(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Timecode:
    """``drop`` is true where a ``;``, ``,`` or ``.`` stands before the frames."""

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool

    @classmethod
    def parse(cls, text: str) -> Timecode:
        """Read ``HH:MM:SS:FF``.

        Raises:
            TimelineError: it is no timecode.
        """
        match = _SHAPE.fullmatch(text.strip())
        if not match or int(match[2]) > 59 or int(match[3]) > 59:
            raise TimelineError(f"{text!r} is no timecode.", "Write it as HH:MM:SS:FF.")
        hours, minutes, seconds, frames = (int(match[group]) for group in (1, 2, 3, 5))
        return cls(hours, minutes, seconds, frames, match[4] != ":")

    def count(self, rate: Fraction, drop: bool | None = None) -> int:
        """Frames since 00:00:00:00 at ``rate``; ``drop`` overrules what the text says.

        Drop-frame skips 2 numbers per 30 nominal frames at every minute that is no tenth.
        """
        nominal = round(rate)
        whole = ((self.hours * 60 + self.minutes) * 60 + self.seconds) * nominal + self.frames
        if not (self.drop if drop is None else drop) or not drops(rate):
            return whole
        minutes = self.hours * 60 + self.minutes
        return whole - nominal // 15 * (minutes - minutes // 10)

    def at(self, rate: Fraction, drop: bool | None = None) -> Fraction:
        """Seconds since 00:00:00:00, by the wall clock."""
        return self.count(rate, drop) / rate


def text(frames: int, rate: Fraction, drop: bool = False) -> str:
    """The timecode of a frame counted since midnight: ``HH:MM:SS:FF``, with ``;`` before the frames where ``drop`` is
    true and the rate knows it. Past midnight it begins anew; before it, a minus stands in front."""
    nominal = -(-rate.numerator // rate.denominator)
    drop = drop and drops(rate)
    sign, frames = ("-", -frames) if frames < 0 else ("", frames)
    skipped = nominal // 15 if drop else 0
    a_minute, ten_minutes = 60 * nominal - skipped, 600 * nominal - 9 * skipped
    tens, rest = divmod(frames % (144 * ten_minutes), ten_minutes)
    # The first minute of ten drops nothing; each of the others begins with the numbers that it lacks.
    number = tens * 600 * nominal + rest + skipped * max(0, (rest - skipped) // a_minute)
    seconds, frame = divmod(number, nominal)
    mark = ";" if drop else ":"
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{frame:02}"


def drops(rate: Fraction) -> bool:
    """Whether drop-frame timecode exists at ``rate``: 29.97, 59.94, 119.88."""
    return rate.denominator == 1001 and round(rate) % 30 == 0
