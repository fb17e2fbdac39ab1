# SPDX-License-Identifier: AGPL-3.0-or-later
"""AAC in pieces: side by side on the cores there are, and kept by content, so that what sounds as it did is not encoded
again. Each piece is decoded once to know its true peak behind the codec, and that is kept beside it.

Each piece is encoded with what comes before and after it, and only its own packets are taken: by then the encoder has
settled, so the seams are no worse than any other place (measured in ``tests/test_media.py``). The pieces are always the
same, whether they are known or not, so the result is too.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from immersivaudio.engine import abreast, bwf, housekeeping
from immersivaudio.engine.audio import decibels
from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.errors import CancelledError, MediaError, OutputError
from immersivaudio.engine.loudness import TruePeakMeter

if TYPE_CHECKING:
    from av import AudioCodecContext

FRAME = 1024
# A piece lasts ten seconds; the encoder hears a third of a second before it and a tenth after it.
_PIECE, _BEFORE, _AFTER = 480, 16, 4
# What sounds at a seam comes of the packets on both sides of it: so many are decoded together.
_BESIDE = 3
_BIT_RATE = 320_000
_VERSION = 2
_HEAD = struct.calcsize("<dI")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Packets, and the true peak (full scale is 1) that a listener gets of them."""

    packets: list[bytes]
    peak: float


def encode_aac(wav: Path, out: Path, cache: Path | None, cancelled: Callable[[], bool]) -> float:
    """Encode a float32 stereo WAV at 48 kHz as AAC into ``out`` (MP4), as long as it is to the sample; the true peak of
    what is decoded of it, in dBTP.

    Raises:
        MediaError: it is no such WAV. OutputError: no space is left. CancelledError: ``cancelled()`` became true.
    """
    _, held = bwf.read_part(wav, 0, 0)
    if (held.rate_hz, held.channels) != (SAMPLE_RATE_HZ, 2):
        raise MediaError(f"{wav.name} is not 48 kHz stereo.")

    peaks: list[float] = []

    def piece(first: int) -> _Piece:
        if cancelled():
            raise CancelledError("The encoding was stopped.")
        return _piece(wav, first, cache)

    frames = -(-held.frames // FRAME)

    def packets() -> Iterator[bytes]:
        last: list[bytes] = []
        for some in abreast.in_order(piece, range(0, frames + 1, _PIECE)):
            peaks.extend((some.peak, _peak([*last, *some.packets[:_BESIDE]])))
            last = some.packets[-_BESIDE:]
            yield from some.packets

    try:
        _mux(packets(), held.frames, out)
    except OSError as error:
        raise OutputError(f"{out.name} could not be written: {error.strerror}.", "Free some space.") from error
    return decibels(max(peaks))


@functools.cache
def _kind() -> str:
    """All that a packet depends on besides the sound."""
    import av

    return f"aac {_VERSION} {_BIT_RATE} {av.library_versions['libavcodec']}"


def _piece(wav: Path, first: int, cache: Path | None) -> _Piece:
    """The frames from ``first`` on; the encoder is one frame late, so the last piece has one packet more."""
    begin, end = max(0, first - _BEFORE), first + _PIECE + _AFTER
    heard, held = bwf.read_part(wav, begin * FRAME, (end - begin) * FRAME)
    key = hashlib.sha256(heard.tobytes())
    last = (first + _PIECE) * FRAME > held.frames
    key.update(f"{_kind()} {first - begin} {last}".encode())
    place = None if cache is None else cache / "aac" / key.hexdigest()[:2] / key.hexdigest()
    if place is not None and (known := _kept(place)) is not None:
        return known
    packets = _encoded(heard)[first - begin :]
    packets = packets if last else packets[:_PIECE]
    piece = _Piece(packets, _peak(packets))
    if place is not None:
        _keep(place, piece)
    return piece


def _encoder() -> AudioCodecContext:
    import av

    context = av.AudioCodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "stereo", "fltp"
    context.bit_rate = _BIT_RATE
    return context


def _encoded(samples: bwf.Samples) -> list[bytes]:
    from av.audio.frame import AudioFrame

    context, packets = _encoder(), list[bytes]()
    for first in range(0, len(samples), FRAME):
        part = np.zeros((2, FRAME), np.float32)
        own = samples[first : first + FRAME]
        part[:, : len(own)] = own.T
        frame = AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, first
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets + [bytes(packet) for packet in context.encode(None)]


@functools.cache
def _setup() -> bytes:
    """What a decoder must know of the encoder before the first packet."""
    context = _encoder()
    context.open()
    return context.extradata or b""


def _peak(packets: list[bytes]) -> float:
    """The true peak of what is decoded of ``packets``. The first of them is heard only with the one before it."""
    import av

    context = av.AudioCodecContext.create("aac", "r")
    context.extradata = _setup()
    heard = [frame.to_ndarray() for data in packets for frame in context.decode(av.Packet(data))]
    if len(heard) < 2:
        return 0.0
    meter = TruePeakMeter(before=heard[0])
    meter.push(np.concatenate(heard[1:], axis=1))
    return meter.peak


def _mux(packets: Iterator[bytes], samples: int, out: Path) -> None:
    """The first packet lies before the first sample, as the encoder's delay wants it: players skip it."""
    import av

    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        with av.open(str(partial), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=SAMPLE_RATE_HZ)
            context = stream.codec_context
            context.layout, context.format, context.bit_rate = "stereo", "fltp", _BIT_RATE
            context.open()
            for number, data in enumerate(packets):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, SAMPLE_RATE_HZ)
                packet.pts = packet.dts = (number - 1) * FRAME
                packet.duration = min(FRAME, samples - packet.pts)
                container.mux(packet)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _kept(place: Path) -> _Piece | None:
    try:
        data = place.read_bytes()
        peak, count = struct.unpack_from("<dI", data)
        lengths = struct.unpack_from(f"<{count}I", data, _HEAD)
    except (OSError, struct.error):
        return None
    starts = list(itertools.accumulate(lengths, initial=_HEAD + 4 * count))
    if starts[-1] != len(data):
        return None
    housekeeping.use(place)
    return _Piece([data[start:end] for start, end in itertools.pairwise(starts)], peak)


def _keep(place: Path, piece: _Piece) -> None:
    packets = piece.packets
    head = struct.pack(f"<dI{len(packets)}I", piece.peak, len(packets), *map(len, packets))
    partial = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}.partial")
    # What cannot be kept is encoded again next time.
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(head + b"".join(packets))
        partial.replace(place)
