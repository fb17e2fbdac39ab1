# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which moment of its media a strip shows: playback rate, retiming keys, speed effects, reverse."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction

import bpy

from . import compat
from .bridge.host import exact_rate

# A person enters a speed in per cent, and likes round ones.
_ROUND = tuple(Fraction(number, 100) for number in (100, 50, 25, 10, 5, 1))
_OFF_BY_FRAMES = Fraction(3, 2)


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
    media_rate = (media and media.rate) or rate
    offset_s = compat.trimmed_frames_of(strip) / media_rate
    backwards = getattr(strip, "use_reverse_frames", False)
    if keys > 2 and not backwards and (shown := _shown_segment(strip, natural_s, rate, media_rate)):
        return replace(shown, offset_s=shown.offset_s + offset_s)
    speed = _speed(natural_s, ends - begins, rate, media_rate, keys > 1)
    return Played(-speed if backwards else speed, begins, ends, offset_s, followed=keys <= 2)


def _shown_segment(strip, natural_s: Fraction, rate: Fraction, media_rate: Fraction) -> Played | None:
    """How the segment plays in which all lies that is shown: Blender makes several when the speed of a trimmed strip is
    set. The others are taken to keep their own speed; None where no round speed of this one makes the whole come out.
    """
    keys = sorted(Fraction(key.timeline_frame) for key in strip.retiming_keys)
    # The last key lies on the last frame or after it, by version.
    keys[-1] = max(keys[-1], compat.content_end_of(strip))
    start, end = compat.start_of(strip), compat.end_of(strip)
    within = [(a, b) for a, b in itertools.pairwise(keys) if a == start and b <= end <= b + 1]
    if len(within) != 1:
        return None
    first, last = within[0]
    others = keys[-1] - keys[0] - (last - first)
    meant = [
        (*_roundest(natural_s * rate / own - others, last - first), own) for own in (Fraction(1), rate / media_rate)
    ]
    step, factor, own = max(meant)
    if not step:
        return None
    return Played(factor * own, first, end, (first - keys[0]) / rate * own)


def _roundest(natural: Fraction, frames: Fraction) -> tuple[Fraction, Fraction]:
    """The roundest factor by which ``natural`` frames fill ``frames`` whole ones, and how round it is (0: none)."""
    for step in _ROUND:
        factor = round(natural / frames / step) * step
        if factor > 0 and abs(factor * frames - natural) <= factor:
            return step, factor
    return Fraction(0), Fraction(0)


def _left_out_s(strip, media: Media, rate: Fraction) -> Fraction:
    frames = compat.trimmed_frames_of(strip) + compat.trimmed_frames_at_end_of(strip)
    return frames / (media.rate or rate)


def _speed(natural_s: Fraction, frames: Fraction, rate: Fraction, media_rate: Fraction, retimed: bool) -> Fraction:
    """The speed that lets ``natural_s`` of media fill ``frames``, as exact as it can be known.

    Blender plays a movie either frame for frame or at its own rate, and a retiming key does not tell its speed.
    Lengths are whole frames, so the speed that is measured is off by a frame or so over the strip.
    """
    if frames <= 1:
        return Fraction(1)
    own = (Fraction(1), rate / media_rate)
    if not retimed:
        return min(own, key=lambda speed: abs(natural_s * rate / speed - frames))
    meant = [(_meant(natural_s * rate / speed, frames), speed) for speed in own]
    step, factor, speed = max((found[0], found[1], speed) for found, speed in meant)
    return factor * speed if step else natural_s * rate / frames


def _meant(natural: Fraction, frames: Fraction) -> tuple[Fraction, Fraction]:
    """The roundest factor by which ``natural`` frames become ``frames``, and how round it is (0: none is round)."""
    for step in _ROUND:
        factor = round(natural / frames / step) * step
        # From first to last frame; Blender 4.2 counts one frame more than 4.5 does.
        if factor and abs(factor * (frames - 1) - (natural - 1)) <= _OFF_BY_FRAMES:
            return step, factor
    return Fraction(0), natural / frames


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
