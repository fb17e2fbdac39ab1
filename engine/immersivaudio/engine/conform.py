# SPDX-License-Identifier: AGPL-3.0-or-later
"""A timeline in, flat clips on exact time out."""

from __future__ import annotations

from fractions import Fraction

from immersivaudio.engine import media
from immersivaudio.engine.cue import Clip, Edit, Span
from immersivaudio.engine.errors import EngineError, TimelineError
from immersivaudio.engine.importers.exact import snap as snap
from immersivaudio.engine.importers.timecode import Timecode

LONGEST_S = 24 * 3600
_RATE_WITHOUT_PICTURE = Fraction(25)


def single(probe: media.Probe, name: str) -> Edit:
    """One media file as an edit: its picture and its first sound; without a picture only the sound, at 25 fps.

    Raises:
        TimelineError: it lasts no time at all, or more than a day.
    """
    if not 0 < probe.duration_s <= LONGEST_S:
        raise TimelineError(f"{name} lasts {float(probe.duration_s):.0f} s.", "Choose media of up to 24 hours.")
    rate = snap(probe.video[0].rate) if probe.video else _RATE_WITHOUT_PICTURE
    kinds = (*(("video",) if probe.video else ()), *(("audio",) if probe.audio else ()))
    clips = tuple(_whole(probe, name, kind, rate) for kind in kinds)
    start, drop = _media_start(probe, rate)
    picture = tuple(clip for clip in clips if clip.kind == "video")
    return Edit(name, rate, probe.duration_s, start, drop, clips, picture, probe.warnings)


def _whole(probe: media.Probe, name: str, kind: str, rate: Fraction) -> Clip:
    span = Span(Fraction(0), probe.duration_s)
    return Clip(f"{kind[0]}1.1", name, kind, 0, str(probe.path), span, span, rate=rate)


def _media_start(probe: media.Probe, rate: Fraction) -> tuple[Fraction, bool]:
    if not probe.start_timecode:
        return Fraction(0), False
    try:
        start = Timecode.parse(probe.start_timecode)
    except EngineError:
        return Fraction(0), False
    return start.at(rate), start.drop
