# SPDX-License-Identifier: AGPL-3.0-or-later
"""Decode picture and sound, once, in order, in a child process, with the true time of every frame."""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import ffmpeg
import numpy as np

from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Span, samples_at
from immersivaudio.engine.errors import MediaError
from immersivaudio.engine.media.probing import probe
from immersivaudio.engine.media.process import Child, argv, input_options, local, threads
from immersivaudio.engine.media.types import AudioStream, Probe, Samples, VideoStream
from immersivaudio.engine.watchers import Frame, FrameWish, Picture

Cancelled = Callable[[], bool]
Size = tuple[int, int]

# Some files' tables of key frames lie, and seeking into them decodes to garbage: what is near the start is reached by
# decoding, and what is far is reached by seeking only while the decoder has nothing to complain of.
_DECODE_RATHER_THAN_SEEK_S = 60
_SEEK_TRIAL_FRAMES = 12
_LINES_EACH = 8
_BLOCK = SAMPLE_RATE_HZ
_PTS = re.compile(r"pts:\s*(-?\d+)")
_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
_LOST = re.compile(r"Error submitting packet to decoder|Error while decoding stream")


def frames(
    path: Path,
    span: Span | None,
    wish: FrameWish,
    cancelled: Cancelled | None = None,
    damaged: Callable[[Fraction], None] | None = None,
) -> Iterator[Frame]:
    """Decode the main video stream once, in order, scaled to the widths of ``wish``, rotation applied.

    ``span`` is on the source clock (0 is the first frame); None is all of it. ``Frame.time_s`` are the true
    timestamps, also at a variable frame rate. ``damaged`` is told at the end how many seconds of pictures the decoder
    gave up, where there are any.

    Raises:
        MediaError: nothing in it can be decoded. CancelledError: ``cancelled()`` became true.
    """
    source = probe(path)
    if not source.video:
        raise MediaError(f"{path.name} has no picture.", "Give a video file.")
    wanted = span or Span(Fraction(0), source.duration_s + 1)
    far = wanted.start_s > _DECODE_RATHER_THAN_SEEK_S
    if far and not _seek_is_clean(source, wanted, cancelled):
        far = False
    seen = 0
    complaints: list[str] = []
    for frame in _decode(source, wanted, wish, far, cancelled, complaints):
        seen += 1
        yield frame
    lost = sum(1 for line in complaints if _LOST.search(line))
    if lost and damaged is not None:
        damaged(lost / source.video[0].rate)
    if seen == 0:
        raise MediaError(
            f"Nothing in the picture of {path.name} can be decoded between {_range(wanted)}.",
            "Play it in a video player; if it stops there too, export it again.",
        )


def _range(span: Span) -> str:
    return f"{float(span.start_s):.2f} s and {float(span.end_s):.2f} s"


def _seek_is_clean(source: Probe, span: Span, cancelled: Cancelled | None) -> bool:
    sizes = _sizes(source, FrameWish(64))
    with Child(_picture_command(source, span, FrameWish(64), sizes, far=True)) as child:
        for count, _piece in enumerate(child.chunks(_bytes(sizes), cancelled)):
            if count >= _SEEK_TRIAL_FRAMES:
                break
        return not child.errors


def _sizes(source: Probe, wish: FrameWish) -> list[Size]:
    """Width and height of every picture that is wished, the largest first; none is larger than the source."""
    most = (source.larger or source.video[0]).width
    widths = {max(2, min(width, most) // 2 * 2) for width in (wish.width, *wish.also)}
    return [(width, _height(_stream_for(source, width), width)) for width in sorted(widths, reverse=True)]


def _height(stream: VideoStream, width: int) -> int:
    return max(2, round(stream.height * width / stream.width / 2) * 2)


def _stream_for(source: Probe, width: int) -> VideoStream:
    """An analysis proxy has its true picture small: only what wants more is shown the larger one."""
    return source.larger if source.larger and width > source.video[0].width else source.video[0]


def _bytes(sizes: Sequence[Size]) -> int:
    """Of the pictures of one frame in I420, one below the other."""
    return sizes[0][0] * sum(height for _, height in sizes) * 3 // 2


def _picture_command(source: Probe, span: Span, wish: FrameWish, sizes: Sequence[Size], far: bool) -> list[str]:
    stream = source.video[0]
    start = stream.start_s + span.start_s - Fraction(1, 4) / stream.rate
    options: dict[str, object] = {**input_options(), "copyts": None, "threads": threads(), "skip_loop_filter": "noref"}
    if far:
        options["ss"] = _seconds(max(Fraction(0), start - source.clock_s - 1))
    opened = ffmpeg.input(local(source.path), **options)

    def shown(stream: VideoStream) -> Any:
        node = opened[str(stream.index)]
        if span.start_s > 0:
            node = node.filter("trim", start=_seconds(start))
        if wish.thins(stream.rate):
            node = node.filter("select", f"isnan(prev_selected_t)+gte(t-prev_selected_t,{wish.gap_s:.6f})")
        return node

    node = _stacked(source, sizes, shown).filter("showinfo", checksum=0)
    out = ffmpeg.output(node, "pipe:1", f="rawvideo", fps_mode="passthrough", loglevel="level+info", copyts=None)
    return argv(out.global_args("-filter_threads", "1"))


def _stacked(source: Probe, sizes: Sequence[Size], shown: Callable[[VideoStream], Any]) -> Any:
    """Each size straight from the decoder's picture, so that none depends on which others are wished; of several, one
    picture with the smaller ones below the largest."""
    streams = [_stream_for(source, width) for width, _ in sizes]
    scaled = []
    for stream in dict.fromkeys(streams):
        own = [size for size, of in zip(sizes, streams, strict=True) if of is stream]
        node = shown(stream)
        parts = node.filter_multi_output("split", len(own)) if len(own) > 1 else [node]
        scaled += [_one_scaled(parts[i], stream, size) for i, size in enumerate(own)]
    if len(scaled) == 1:
        return scaled[0]
    padded = [node.filter("pad", sizes[0][0], high) for node, (_, high) in zip(scaled, sizes, strict=True)]
    return ffmpeg.filter(padded, "vstack", inputs=len(padded))


def _one_scaled(node: Any, stream: VideoStream, size: Size) -> Any:
    """Scaling costs up to a third of decoding: of a picture with eight lines and more for each wished one, every other
    line is left out first. In the decoder's own colours, as converting the small picture is cheaper."""
    lines = stream.height if stream.rotation % 180 == 0 else 0
    while lines >= _LINES_EACH * size[1]:
        node, lines = node.filter("field", "top"), lines // 2
    return node.filter("scale", *size, flags="area", out_color_matrix="bt601", out_range="tv").filter(
        "format", "yuv420p"
    )


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f}"


class _Clock:
    """Collects the timestamps that showinfo prints, in the order of the frames."""

    def __init__(self, origin_s: Fraction) -> None:
        self._origin_s = origin_s
        self._base = Fraction(0)
        self.times: queue.Queue[Fraction] = queue.Queue()

    def note(self, line: str) -> None:
        if base := _BASE.search(line):
            self._base = Fraction(int(base[1]), int(base[2]))
        elif (found := _PTS.search(line)) and " n:" in line:
            self.times.put(int(found[1]) * self._base - self._origin_s)


def _decode(
    source: Probe, span: Span, wish: FrameWish, far: bool, cancelled: Cancelled | None, complaints: list[str]
) -> Iterator[Frame]:
    stream = source.video[0]
    sizes = _sizes(source, wish)
    size = _bytes(sizes)
    command = _picture_command(source, span, wish, sizes, far)
    clock = _Clock(stream.start_s)
    early, late = span.start_s - Fraction(1, 4) / stream.rate, span.end_s - Fraction(1, 1000)
    with Child(command, clock.note, complaints) as child:
        for piece in child.chunks(size, cancelled):
            if len(piece) < size:
                return
            time_s = clock.times.get(timeout=30)
            if time_s >= late:
                return
            if time_s >= early:
                largest, *others = _pictures(np.frombuffer(piece, np.uint8), sizes)
                # A width is wished odd and given even.
                told = {(other.shape[1] + odd, False): other for other in others for odd in (0, 1)}
                yield Frame(time_s, largest, told)


def _pictures(planes: Picture, sizes: Sequence[Size]) -> list[Picture]:
    """The pictures of one frame, RGB, out of the planes in which they lie one below the other."""
    wide, high = sizes[0][0], sum(height for _, height in sizes)
    if len(sizes) == 1:
        return [cv2.cvtColor(planes.reshape(high * 3 // 2, wide), cv2.COLOR_YUV2RGB_I420)]
    light, blue, red = np.split(planes, (wide * high, wide * high * 5 // 4))
    found, top = [], 0
    for width, height in sizes:
        parts = [light.reshape(high, wide)[top : top + height, :width]]
        for plane in (blue, red):
            half = plane.reshape(high // 2, wide // 2)
            parts.append(half[top // 2 : (top + height) // 2, : width // 2])
        whole = np.concatenate([part.ravel() for part in parts]).reshape(height * 3 // 2, width)
        found.append(cv2.cvtColor(whole, cv2.COLOR_YUV2RGB_I420))
        top += height
    return found


def sound(
    path: Path,
    span: Span | None,
    *,
    stream: int | None = None,
    rate_hz: int = SAMPLE_RATE_HZ,
    channels: int = 2,
    pick: tuple[int, ...] = (),
    cancelled: Cancelled | None = None,
) -> Iterator[Samples]:
    """Decode an audio stream to float32 ``[channels, n]`` blocks on the source clock (0 is the first *video* frame
    where there is one): exactly ``span`` long, padded with zeros where the stream starts later or ends earlier.

    ``stream`` is the index of an :class:`AudioStream` (None: the main one). ``pick`` chooses source channels (0-based)
    instead of a down-mix: the first for the left, the last for the right.

    Raises:
        MediaError: the file has no sound. CancelledError: ``cancelled()`` became true.
    """
    source = probe(path)
    chosen = _audio_stream(source, stream)
    wanted = span or Span(Fraction(0), source.duration_s)
    total = samples_at(wanted.duration_s, rate_hz)
    sent = 0
    with Child(_sound_command(source, chosen, wanted, rate_hz, channels, pick)) as child:
        for piece in child.chunks(4 * channels * min(_BLOCK, rate_hz), cancelled):
            whole = piece[: len(piece) - len(piece) % (4 * channels)]
            block = np.frombuffer(whole, np.float32).reshape(-1, channels).T[:, : total - sent]
            sent += block.shape[1]
            yield np.nan_to_num(block)
            if sent >= total:
                return
    while sent < total:
        count = min(rate_hz, total - sent)
        sent += count
        yield np.zeros((channels, count), np.float32)


def _audio_stream(source: Probe, index: int | None) -> AudioStream:
    for stream in source.audio:
        if index is None or stream.index == index:
            return stream
    raise MediaError(f"{source.path.name} has no such sound stream.", "Give a file with sound.")


def _sound_command(
    source: Probe, stream: AudioStream, span: Span, rate_hz: int, channels: int, pick: tuple[int, ...]
) -> list[str]:
    first = source.origin_s + span.start_s
    seek = first - source.clock_s - 2
    options: dict[str, object] = {**input_options(), "copyts": None}
    if seek > 0:
        options["ss"] = _seconds(seek)
    node = ffmpeg.input(local(source.path), **options)[str(stream.index)]
    if pick and max(pick) < stream.channels:
        sides = [pick[0]] if channels == 1 else [pick[0], pick[-1]]
        mapping = "|".join(f"{side}-{out}" for out, side in enumerate(sides))
        node = node.filter("channelmap", map=mapping, channel_layout="mono" if channels == 1 else "stereo")
    node = node.filter(
        "aresample", rate_hz, **{"async": 1, "min_comp": 0.00002, "first_pts": samples_at(first, rate_hz)}
    )
    out = ffmpeg.output(node, "pipe:1", f="f32le", ac=channels, ar=rate_hz, loglevel="level+error", copyts=None)
    return argv(out)
