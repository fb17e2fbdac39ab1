# SPDX-License-Identifier: AGPL-3.0-or-later
"""AAC in pieces: side by side on the cores there are, and kept by content, so that what sounds as it did is not encoded
again.

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
from fractions import Fraction
from pathlib import Path

import numpy as np

from immersivaudio.engine import abreast, bwf, housekeeping
from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.errors import CancelledError, MediaError, OutputError

FRAME = 1024
# A piece lasts ten seconds; the encoder hears a third of a second before it and a tenth after it.
_PIECE, _BEFORE, _AFTER = 480, 16, 4
_BIT_RATE = 320_000
_VERSION = 1


def encode_aac(wav: Path, out: Path, cache: Path | None, cancelled: Callable[[], bool]) -> None:
    """Encode a float32 stereo WAV at 48 kHz as AAC into ``out`` (MP4), as long as it is to the sample.

    Raises:
        MediaError: it is no such WAV. OutputError: no space is left. CancelledError: ``cancelled()`` became true.
    """
    _, held = bwf.read_part(wav, 0, 0)
    if (held.rate_hz, held.channels) != (SAMPLE_RATE_HZ, 2):
        raise MediaError(f"{wav.name} is not 48 kHz stereo.")

    def piece(first: int) -> list[bytes]:
        if cancelled():
            raise CancelledError("The encoding was stopped.")
        return _piece(wav, first, cache)

    frames = -(-held.frames // FRAME)
    packets = (packet for some in abreast.in_order(piece, range(0, frames + 1, _PIECE)) for packet in some)
    try:
        _mux(packets, held.frames, out)
    except OSError as error:
        raise OutputError(f"{out.name} could not be written: {error.strerror}.", "Free some space.") from error


@functools.cache
def _kind() -> str:
    """All that a packet depends on besides the sound."""
    import av

    return f"aac {_VERSION} {_BIT_RATE} {av.library_versions['libavcodec']}"


def _piece(wav: Path, first: int, cache: Path | None) -> list[bytes]:
    """The packets of the frames from ``first`` on; the encoder is one frame late, so the last piece has one more."""
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
    if place is not None:
        _keep(place, packets)
    return packets


def _encoded(samples: bwf.Samples) -> list[bytes]:
    import av
    from av.audio.frame import AudioFrame

    context, packets = av.AudioCodecContext.create("aac", "w"), list[bytes]()
    context.sample_rate, context.layout, context.format = SAMPLE_RATE_HZ, "stereo", "fltp"
    context.bit_rate = _BIT_RATE
    for first in range(0, len(samples), FRAME):
        part = np.zeros((2, FRAME), np.float32)
        own = samples[first : first + FRAME]
        part[:, : len(own)] = own.T
        frame = AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, first
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets + [bytes(packet) for packet in context.encode(None)]


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


def _kept(place: Path) -> list[bytes] | None:
    try:
        data = place.read_bytes()
        (count,) = struct.unpack_from("<I", data)
        lengths = struct.unpack_from(f"<{count}I", data, 4)
    except (OSError, struct.error):
        return None
    starts = list(itertools.accumulate(lengths, initial=4 + 4 * count))
    if starts[-1] != len(data):
        return None
    housekeeping.use(place)
    return [data[start:end] for start, end in itertools.pairwise(starts)]


def _keep(place: Path, packets: list[bytes]) -> None:
    head = struct.pack(f"<{1 + len(packets)}I", len(packets), *map(len, packets))
    partial = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}.partial")
    # What cannot be kept is encoded again next time.
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(head + b"".join(packets))
        partial.replace(place)
