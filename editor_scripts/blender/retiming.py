# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which moment of its media a strip shows: playback rate, retiming keys, speed effects, reverse."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import bpy

from . import compat
from .bridge.host import exact_rate


@dataclass(frozen=True)
class Media:
    """The length of a file and, for a movie, its frame rate."""

    length_s: Fraction
    rate: Fraction | None = None


@dataclass(frozen=True)
class Played:
    """``speed`` in media seconds per second; ``offset_s`` is the media's moment at ``begins``, a timeline frame.

    ``ends`` is the frame after the content; ``followed`` is false where the speed is only right on average.
    """

    speed: Fraction
    begins: Fraction
    ends: Fraction
    offset_s: Fraction = Fraction(0)
    followed: bool = True


def movie_media(path: str) -> Media | None:
    """Length and exact rate of a movie by Blender's own reader; None when it cannot be read."""
    try:
        clip = bpy.data.movieclips.load(path)
    except RuntimeError:
        return None
    try:
        if clip.frame_duration < 1 or clip.fps <= 0:
            return None
        rate = exact_rate(clip.fps)
        return Media(clip.frame_duration / rate, rate)
    finally:
        bpy.data.movieclips.remove(clip)


def sound_media(path: str) -> Media | None:
    """Length of a sound by Blender's own reader; None when it cannot be read."""
    try:
        import aud

        sound = aud.Sound(path)
        return Media(Fraction(sound.length) / Fraction(sound.specs[0]))
    except Exception:  # aud raises its own error type, and is missing from some builds
        return None


def played(strip, media: Media | None, rate: Fraction) -> Played:
    """How ``strip`` plays ``media`` in an edit of ``rate`` frames a second."""
    begins, ends = compat.content_start_of(strip), compat.content_end_of(strip)
    keys = len(strip.retiming_keys)
    natural_s = media.length_s - _left_out_s(strip, media, rate) if media else (ends - begins) / rate
    speed = _speed(natural_s, ends - begins, rate, (media and media.rate) or rate, keys > 1)
    offset_s = compat.trimmed_frames_of(strip) / ((media and media.rate) or rate)
    if getattr(strip, "use_reverse_frames", False):
        speed = -speed
    return Played(speed, begins, ends, offset_s, followed=keys <= 2)


def _left_out_s(strip, media: Media, rate: Fraction) -> Fraction:
    frames = compat.trimmed_frames_of(strip) + compat.trimmed_frames_at_end_of(strip)
    return frames / (media.rate or rate)


def _speed(natural_s: Fraction, frames: Fraction, rate: Fraction, media_rate: Fraction, retimed: bool) -> Fraction:
    """The speed that lets ``natural_s`` of media fill ``frames``, as exact as it can be known.

    Blender plays a movie either frame for frame or at its own rate; lengths are whole frames, so the measured speed
    is off by a frame over the strip. A speed is entered in per cent, so the nearest whole per cent is what is meant.
    """
    if frames <= 0:
        return Fraction(1)
    measured = natural_s * rate / frames
    own = {Fraction(1), rate / media_rate}
    if not retimed:
        return min(own, key=lambda speed: abs(speed - measured))
    meant = [round(measured / speed * 100) * speed / 100 for speed in own]
    nearest = min(meant, key=lambda speed: abs(speed - measured))
    return nearest if nearest and abs(nearest / measured - 1) <= 2 / frames else measured


def speed_effects(scene) -> dict[str, Fraction | None]:
    """Speed effects by the name of the strip they change: the factor, or None for one that cannot be followed."""
    found: dict[str, Fraction | None] = {}
    for strip in compat.all_strips(scene):
        if strip.type == "SPEED" and not strip.mute and strip.input_1 is not None:
            found[strip.input_1.name] = _factor(strip)
    return found


def _factor(effect) -> Fraction | None:
    if effect.speed_control == "MULTIPLY":
        return Fraction(effect.speed_factor).limit_denominator(10_000)
    same = compat.end_of(effect) - compat.start_of(effect) == compat.end_of(effect.input_1) - compat.start_of(
        effect.input_1
    )
    return Fraction(1) if effect.speed_control == "STRETCH" and same else None
