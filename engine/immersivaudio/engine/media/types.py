# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a media file holds, in plain types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""float32 ``[channels, n]``."""


@dataclass(frozen=True, slots=True)
class VideoStream:
    """``width`` and ``height`` are as shown, rotation applied. ``start_s`` is the first frame's own timestamp."""

    index: int
    codec: str
    width: int
    height: int
    rate: Fraction
    start_s: Fraction
    duration_s: Fraction
    rotation: int = 0
    variable_rate: bool = False


@dataclass(frozen=True, slots=True)
class AudioStream:
    """``start_s`` is the first packet's timestamp, on the same clock as the video's."""

    index: int
    codec: str
    rate_hz: int
    channels: int
    start_s: Fraction
    duration_s: Fraction


TWO_SIZES = "immersivaudio: one picture, two sizes"
"""The comment of an analysis proxy whose second picture is the first one, larger. The bridge writes the same words."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file holds. ``duration_s`` is the picture's where there is one; still images and cover art are no video.

    ``start_timecode`` is the media's own ("01:00:00:00"), empty when it has none. ``clock_s`` is the timestamp at which
    the container starts: what ffmpeg's seeking counts from. ``tags`` are the file's own words (title, comment, ...).
    """

    path: Path
    container: str
    duration_s: Fraction
    size_bytes: int
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    start_timecode: str = ""
    warnings: tuple[str, ...] = ()
    clock_s: Fraction = Fraction(0)
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def larger(self) -> VideoStream | None:
        """Of an analysis proxy: its picture once more, larger and not as true."""
        return self.video[1] if len(self.video) == 2 and self.tags.get("comment") == TWO_SIZES else None

    @property
    def origin_s(self) -> Fraction:
        """The timestamp that is 0 on the source clock: the first video frame's, or the first sound's."""
        streams = self.video or self.audio
        return streams[0].start_s
