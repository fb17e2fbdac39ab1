# SPDX-License-Identifier: AGPL-3.0-or-later
"""The only file that touches ffmpeg and PyAV: probe, frames, sound, mux; every decode in a child process with limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from immersivaudio.engine.cue import Span
from immersivaudio.engine.watchers import Frame, FrameWish
from numpy.typing import NDArray

Samples = NDArray[np.float32]


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


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file holds. ``duration_s`` is the picture's where there is one; still images and cover art are no video.

    ``start_timecode`` is the media's own ("01:00:00:00"), empty when it has none.
    """

    path: Path
    container: str
    duration_s: Fraction
    size_bytes: int
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    start_timecode: str = ""
    warnings: tuple[str, ...] = ()


def probe(path: Path) -> Probe:
    """Look into a file without decoding it.

    Raises:
        MediaError: missing, empty, corrupt, a playlist, a still image, or no media at all.
    """
    raise NotImplementedError


def frames(
    path: Path, span: Span | None, wish: FrameWish, cancelled: Callable[[], bool] | None = None
) -> Iterator[Frame]:
    """Decode the main video stream once, in order, scaled to ``wish.width``, rotation applied.

    ``span`` is on the source clock (0 is the first frame); None is all of it. ``Frame.time_s`` are the true
    timestamps, also at a variable frame rate.

    Raises:
        MediaError: nothing in it can be decoded. CancelledError: ``cancelled()`` became true.
    """
    raise NotImplementedError


def sound(
    path: Path,
    span: Span | None,
    *,
    stream: int | None = None,
    rate_hz: int = 48_000,
    channels: int = 2,
    pick: tuple[int, ...] = (),
) -> Iterator[Samples]:
    """Decode an audio stream to float32 ``[channels, n]`` blocks on the source clock (0 is the first *video* frame
    where there is one): exactly ``span`` long, padded with zeros where the stream starts later or ends earlier.

    ``pick`` chooses source channels (0-based) instead of a down-mix.
    """
    raise NotImplementedError
