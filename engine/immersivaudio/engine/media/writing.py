# SPDX-License-Identifier: AGPL-3.0-or-later
"""Write media: mux a mix under a picture that is copied bit for bit, encode sound, encode pictures that we drew."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.errors import MediaError, OutputError, RequestError
from immersivaudio.engine.media.probing import probe
from immersivaudio.engine.media.process import argv, input_options, local, run
from immersivaudio.engine.media.types import Probe

Cancelled = Callable[[], bool]

# What each container carries well: the codec that is used when nobody names one.
CODEC_OF_CONTAINER = {
    "mp4": "aac", "m4v": "aac", "mov": "aac", "mkv": "aac", "webm": "libopus", "avi": "pcm_s16le", "ts": "aac",
    "mts": "aac", "m2ts": "aac", "mxf": "pcm_s24le", "flv": "aac", "3gp": "aac",
    "wav": "pcm_s24le", "flac": "flac", "mp3": "libmp3lame", "m4a": "aac", "ogg": "libvorbis", "opus": "libopus",
    "aiff": "pcm_s24be",
}  # fmt: skip
VIDEO_CONTAINERS = frozenset(("mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mxf", "flv", "3gp"))
SOUND_CONTAINERS = frozenset(CODEC_OF_CONTAINER) - VIDEO_CONTAINERS
ENCODERS = {
    "aac": "aac",
    "ac3": "ac3",
    "alac": "alac",
    "flac": "flac",
    "mp3": "libmp3lame",
    "opus": "libopus",
    "pcm": "pcm_s24le",
    "vorbis": "libvorbis",
}
AS_IT_IS = "copy"
"""In the place of a codec: the sound is encoded already (see :func:`packets.encode_aac`)."""
_LOSSY_BITS = {"aac": "320k", "libopus": "256k", "libmp3lame": "320k", "libvorbis": "320k", "ac3": "448k"}


def mux(
    video: Path,
    audio: Path,
    out: Path,
    *,
    audio_codec: str = "",
    keep: Path | None = None,
    cancelled: Cancelled | None = None,
) -> None:
    """Lay ``audio`` (its sample 0 at the first video frame) under the picture of ``video``; the picture is copied.

    ``keep`` names a second sound file that becomes a second, non-default track. ``out``'s ending chooses the container.

    Raises:
        MediaError: the container takes neither this picture nor this codec. OutputError: it cannot be written.
        RequestError: an unknown codec or container.
    """
    source = probe(video)
    encoder = AS_IT_IS if audio_codec == AS_IT_IS else encoder_of(out, audio_codec)
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    wide = source.container.startswith("mov") and out.suffix.lower() in (".mp4", ".mov", ".m4v")
    try:
        for extras in (True, False) if wide or out.suffix.lower() == ".mkv" else (False,):
            try:
                run(mux_command(source, (audio, keep), partial, encoder, extras), cancelled)
                break
            except MediaError:
                if not extras:
                    raise
        _check(source, partial, out)
        partial.replace(out)
    except OSError as error:
        raise OutputError(f"{out.name} could not be written: {error.strerror}.", "Choose another --out.") from error
    finally:
        partial.unlink(missing_ok=True)


def mux_command(source: Probe, sounds: tuple[Path, Path | None], out: Path, encoder: str, extras: bool) -> list[str]:
    """ffmpeg's command line, the output file last."""
    # With copyts the offsets are ours alone: else ffmpeg shifts a transport stream by its first *mapped* packet.
    begins = source.video[0].start_s
    if out.suffix.lower() != ".avi":  # which has no timestamps: its picture begins at once
        begins = min(source.clock_s, begins)
    picture = ffmpeg.input(local(source.path), itsoffset=f"{-float(begins):.6f}", **input_options())
    late = float(source.video[0].start_s - begins)
    tracks = [picture[str(source.video[0].index)]]
    if extras:
        tracks.append(picture["s?"])
    for sound in filter(None, sounds):
        tracks += [ffmpeg.input(local(sound), itsoffset=f"{late:.6f}", **input_options())["a"]]
    options: dict[str, Any] = {
        "c": "copy",
        "c:a": encoder,
        "map_metadata": 0,
        "map_chapters": 0,
        "max_interleave_delta": 0,
        "copyts": None,
    }
    if encoder in _LOSSY_BITS:
        options["b:a"] = _LOSSY_BITS[encoder]
    if encoder == "libopus":
        options["ar"] = 48_000
    if out.suffix.lower() in (".mp4", ".mov", ".m4v"):
        options["movflags"] = "+faststart"
    options.update({"disposition:a:0": "default"})
    return argv(ffmpeg.output(*tracks, str(out.absolute()), **options))


def _check(source: Probe, partial: Path, out: Path) -> None:
    made = probe(partial)
    if not made.video or not made.audio:
        raise MediaError(
            f"{out.name} came out without picture or sound.", "Choose another container, e.g. --container mkv."
        )
    slack = max(Fraction(1, 5), 3 / source.video[0].rate)
    longer_s = made.video[0].duration_s - source.video[0].duration_s
    if longer_s > slack:
        raise MediaError(
            f"{source.path.name} hides pictures before its first frame, and {out.name} would show them.",
            "Choose another container, e.g. --container mov.",
        )
    if longer_s < -slack:
        raise MediaError(
            f"The picture of {out.name} came out shorter.", "Choose another container, e.g. --container mkv."
        )


def encoder_of(out: Path, codec: str) -> str:
    """The encoder for a file of this ending; ``codec`` is a word of ENCODERS, or empty to let the container choose."""
    ending = out.suffix.lower().lstrip(".")
    if ending not in CODEC_OF_CONTAINER:
        known = ", ".join(sorted(CODEC_OF_CONTAINER))
        raise RequestError(f"No container is known by the ending .{ending}.", f"Choose one of: {known}.")
    if codec and codec not in ENCODERS:
        raise RequestError(f"No audio codec is called {codec}.", f"Choose one of: {', '.join(ENCODERS)}.")
    return ENCODERS[codec] if codec else CODEC_OF_CONTAINER[ending]


def is_lossy(out: Path, codec: str) -> bool:
    """Whether what is decoded of a file of this ending differs from what was encoded; ``codec`` as of :func:`encoder_of`."""
    return encoder_of(out, codec) in _LOSSY_BITS


def encode_sound(wav: Path, out: Path, *, audio_codec: str = "", cancelled: Cancelled | None = None) -> None:
    """Encode a WAV into the container that ``out``'s ending names.

    Raises:
        MediaError: the container does not take the codec. OutputError: it cannot be written.
    """
    encoder = encoder_of(out, audio_codec)
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    options = {"b:a": _LOSSY_BITS[encoder]} if encoder in _LOSSY_BITS else {}
    node = ffmpeg.input(local(wav), **input_options())["a"]
    try:
        run(argv(ffmpeg.output(node, str(partial.absolute()), **{"c:a": encoder, **options})), cancelled)
        partial.replace(out)
    except OSError as error:
        raise OutputError(f"{out.name} could not be written: {error.strerror}.", "Choose another --out.") from error
    finally:
        partial.unlink(missing_ok=True)


def encode_pictures(pictures: Iterable[NDArray[np.uint8]], out: Path, rate: Fraction) -> None:
    """Encode pictures uint8 ``[height, width, 3]`` (even sizes) as H.264 at ``rate`` frames a second, without sound."""
    process: subprocess.Popen[bytes] | None = None
    try:
        for picture in pictures:
            if process is None:
                process = _encoder(picture.shape, out, rate)
            assert process.stdin is not None
            process.stdin.write(np.ascontiguousarray(picture).tobytes())
    finally:
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait()
    if process is None or process.returncode != 0:
        raise MediaError(f"{out.name} could not be drawn.", "See that there is space left.")


def _encoder(shape: tuple[int, ...], out: Path, rate: Fraction) -> subprocess.Popen[bytes]:
    size = f"{shape[1]}x{shape[0]}"
    raw = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="rgb24", s=size, r=str(rate))
    options = {"c:v": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "crf": 20, "loglevel": "error"}
    command = [part for part in argv(ffmpeg.output(raw, str(out.absolute()), **options)) if part != "-nostdin"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
