# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where clips lie in whole frames: of the timeline for the record, of the media for the source. Resolve takes no other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .bridge.host import LaneClip


@dataclass(frozen=True)
class Spot:
    """``frames`` of the record from ``record`` (absolute) play media frames ``[source, source_end)``."""

    clip: LaneClip
    record: int
    frames: int
    source: int
    source_end: int


@dataclass(frozen=True)
class Counted:
    """How Resolve counts a medium: its frames a second, and how many of them it has (0: it does not say)."""

    rate: Fraction
    frames: int = 0


def spots(clips: Sequence[LaneClip], first_frame: int, rate: Fraction, media: Counted) -> list[Spot]:
    """Clips of one lane in frames, without overlap.

    Where the media counts other frames than the timeline (a project's rate is not its timeline's), pieces of one file
    become one clip from the file's first frame: that is where both clocks meet, so nothing moves against the picture.
    """
    if media.rate != rate:
        return [_whole(group, first_frame, rate, media) for group in _by_file(clips)]
    placed = []
    for number, clip in enumerate(clips):
        start = math.floor(clip.start_s * rate)
        end = math.ceil(clip.end_s * rate)
        if number + 1 < len(clips):
            end = min(end, math.floor(clips[number + 1].start_s * rate))
        frames = max(1, end - start)
        source = max(0, round(start + (clip.source_offset_s - clip.start_s) * rate))
        placed.append(Spot(clip, first_frame + start, frames, source, source + frames))
    return placed


def _by_file(clips: Sequence[LaneClip]) -> list[list[LaneClip]]:
    groups: dict[str, list[LaneClip]] = {}
    for clip in clips:
        groups.setdefault(clip.path, []).append(clip)
    return list(groups.values())


def _whole(group: Sequence[LaneClip], first_frame: int, rate: Fraction, media: Counted) -> Spot:
    """One clip for all pieces of a file; Resolve rounds the length of such a clip down."""
    origin_s = group[0].start_s - group[0].source_offset_s
    length_s = max(clip.source_offset_s + clip.duration_s for clip in group)
    media_frames = max(1, math.ceil(length_s * media.rate))
    if media.frames:
        media_frames = min(media_frames, media.frames)
    frames = math.floor(media_frames * rate / media.rate)
    return Spot(group[0], first_frame + round(origin_s * rate), frames, 0, media_frames)
