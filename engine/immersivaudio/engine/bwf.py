# SPDX-License-Identifier: AGPL-3.0-or-later
"""Broadcast WAV: written as it comes, read as a memory map.

The ``bext`` chunk is EBU Tech 3285 (version 1), the 64-bit form EBU Tech 3306 (RF64), the ``iXML`` chunk
ixml.info's. Written sample by sample into a temporary name and renamed at the end, so that no half file is found.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.errors import MediaError, OutputError

Samples = NDArray[np.float32]
_PCM, _FLOAT = 1, 3
_RIFF_LIMIT = 0xFFFFFFFF - 4096


@dataclass(frozen=True, slots=True)
class Tags:
    """What a Broadcast WAV says of itself. ``time_reference`` is in samples since midnight of the record start.

    ``timecode_rate`` is in frames a second, "24000/1001" for example; ``ixml`` are the USER chunk's own elements.
    """

    description: str = ""
    originator: str = "Immersivaudio"
    date: str = ""
    time: str = ""
    time_reference: int = 0
    ixml: Mapping[str, str] = field(default_factory=dict)
    timecode_rate: str = ""
    drop_frame: bool = False


class WavWriter:
    """Writes float32 blocks ``[channels, n]`` as 32-bit float or 24-bit PCM.

    Use it as a context manager: leaving it well gives the file its name, leaving it by an exception leaves nothing.
    ``durable`` False is for files that are only used on the way: they need not outlive a power cut.

    Raises:
        OutputError: the file cannot be written, for want of space for example.
    """

    def __init__(
        self,
        path: Path,
        channels: int = 2,
        rate_hz: int = 48_000,
        bits: int = 32,
        tags: Tags | None = None,
        *,
        durable: bool = True,
    ):
        self.path, self.samples, self._durable = path, 0, durable
        self._channels, self._rate_hz, self._bits, self._tags = channels, rate_hz, bits, tags
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")

    def __enter__(self) -> WavWriter:
        try:
            self._file = self._partial.open("wb")
            self._file.write(self._header(0))
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise _write_error(self.path, error) from error
        return self

    def write(self, block: Samples) -> None:
        """Append float32 ``[channels, n]``; 24-bit output clips at full scale."""
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(f"expected [{self._channels}, n], got {block.shape}")
        try:
            self._file.write(_float_bytes(block) if self._bits == 32 else _pcm24_bytes(block))
        except OSError as error:
            raise _write_error(self.path, error) from error
        self.samples += block.shape[1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            # What is still buffered is of no use by now: a good end has flushed it, a full disk refuses it again.
            with contextlib.suppress(OSError):
                self._file.close()
            self._partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        try:
            if self._data_bytes() % 2:
                self._file.write(b"\0")
            self._file.seek(0)
            self._file.write(self._header(self.samples))
            self._file.flush()
            if self._durable:
                os.fsync(self._file.fileno())
            self._partial.replace(self.path)
        except OSError as error:
            raise _write_error(self.path, error) from error

    def _data_bytes(self) -> int:
        return self.samples * self._channels * self._bits // 8

    def _header(self, samples: int) -> bytes:
        data = samples * self._channels * self._bits // 8
        chunks = self._chunks()
        body = 4 + 36 + len(chunks) + 8 + data + data % 2
        big = body > _RIFF_LIMIT
        sizes = struct.pack("<QQQI", body, data, samples, 0)
        head = struct.pack("<4sI4s", b"RF64" if big else b"RIFF", 0xFFFFFFFF if big else body, b"WAVE")
        reserve = struct.pack("<4sI", b"ds64" if big else b"JUNK", 28) + sizes
        return head + reserve + chunks + struct.pack("<4sI", b"data", 0xFFFFFFFF if big else data)

    def _chunks(self) -> bytes:
        frame = self._channels * self._bits // 8
        kind = _FLOAT if self._bits == 32 else _PCM
        fmt = struct.pack("<HHIIHH", kind, self._channels, self._rate_hz, self._rate_hz * frame, frame, self._bits)
        chunks = _chunk(b"fmt ", fmt)
        if self._tags is not None:
            chunks = (
                _chunk(b"bext", _bext(self._tags))
                + chunks
                + _chunk(b"iXML", _ixml(self._tags, self._rate_hz, self._bits))
            )
        return chunks


def read_wav(path: Path) -> tuple[NDArray[np.generic], int]:
    """``([samples, channels] memory map, sample rate)`` of a 32-bit float WAV that :class:`WavWriter` made.

    Raises:
        MediaError: it is not such a file.
    """
    with path.open("rb") as file:
        held = _layout(path, file)
    if held.frames == 0:
        return np.zeros((0, held.channels), np.dtype("<f4")), held.rate_hz
    return np.memmap(path, np.dtype("<f4"), "r", held.offset, (held.frames, held.channels)), held.rate_hz


def read_part(path: Path, first: int, count: int) -> tuple[Samples, Layout]:
    """``[n, channels]`` from sample ``first`` on, at most ``count`` of them and none beyond the end, and what it is of.

    Raises:
        MediaError: it is not such a file.
    """
    with path.open("rb", buffering=0) as file:
        held = _layout(path, file)
        begin = min(max(0, first), held.frames)
        wanted = min(max(0, first + count), held.frames) - begin
        file.seek(held.offset + begin * 4 * held.channels)
        samples = np.fromfile(file, np.dtype("<f4"), wanted * held.channels)
    return samples.reshape(-1, held.channels), held


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the samples of a float WAV lie: from byte ``offset`` on, ``frames`` times ``channels`` of them."""

    offset: int
    frames: int
    channels: int
    rate_hz: int


def _layout(path: Path, file: BinaryIO | FileIO) -> Layout:
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        raise MediaError(f"{path.name} is not a WAV file.")
    try:
        return _find_data(path, file, len(head), file.seek(0, os.SEEK_END))
    except (struct.error, ValueError, ZeroDivisionError) as error:
        raise MediaError(f"{path.name} is cut short or damaged.", "Make it again.") from error


def _find_data(path: Path, file: BinaryIO | FileIO, offset: int, end: int) -> Layout:
    kind = channels = rate = bits = 0
    while offset + 8 <= end:
        file.seek(offset)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"fmt ":
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", file.read(16))
        if name == b"data":
            if (kind, bits) != (_FLOAT, 32):
                raise MediaError(f"{path.name} is not a 32-bit float WAV file.")
            frames = (end - offset - 8 if size == 0xFFFFFFFF else size) // (4 * channels)
            if offset + 8 + frames * 4 * channels > end:
                raise ValueError("the data ends early")
            return Layout(offset + 8, frames, channels, rate)
        offset += 8 + size + size % 2
    raise MediaError(f"{path.name} has no sound in it.")


def _float_bytes(block: Samples) -> bytes:
    return np.ascontiguousarray(block.T, np.dtype("<f4")).tobytes()


def _pcm24_bytes(block: Samples) -> bytes:
    scaled = np.rint(np.clip(block.T, -1.0, 1.0) * 8_388_607.0).astype("<i4")
    return np.ascontiguousarray(scaled).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)


def _bext(tags: Tags) -> bytes:
    def text(value: str, size: int) -> bytes:
        return value.encode("ascii", "replace")[:size].ljust(size, b"\0")

    head = text(tags.description, 256) + text(tags.originator, 32) + text("", 32)
    head += text(tags.date, 10) + text(tags.time, 8)
    reference = struct.pack("<IIH", tags.time_reference & 0xFFFFFFFF, tags.time_reference >> 32, 1)
    return head + reference + bytes(64 + 190)


def _ixml(tags: Tags, rate_hz: int, bits: int) -> bytes:
    user = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in tags.ixml.items())
    note = f"<NOTE>{_text(tags.description)}</NOTE>" if tags.description else ""
    body = f"<IXML_VERSION>2.10</IXML_VERSION>{note}{_speed(tags, rate_hz, bits)}<USER>{user}</USER>"
    return f'<?xml version="1.0" encoding="UTF-8"?><BWFXML>{body}</BWFXML>'.encode()


def _speed(tags: Tags, rate_hz: int, bits: int) -> str:
    """The SPEED part of iXML: the timecode rate, and the time reference again for those who only read this."""
    rows = {"FILE_SAMPLE_RATE": rate_hz, "AUDIO_BIT_DEPTH": bits, "TIMESTAMP_SAMPLE_RATE": rate_hz}
    rows["TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI"] = tags.time_reference >> 32
    rows["TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO"] = tags.time_reference & 0xFFFFFFFF
    numbers = "".join(f"<{name}>{number}</{name}>" for name, number in rows.items())
    if not tags.timecode_rate:
        return f"<SPEED>{numbers}</SPEED>"
    names = ("MASTER_SPEED", "CURRENT_SPEED", "TIMECODE_RATE")
    rates = "".join(f"<{name}>{_text(tags.timecode_rate)}</{name}>" for name in names)
    return f"<SPEED>{rates}<TIMECODE_FLAG>{'DF' if tags.drop_frame else 'NDF'}</TIMECODE_FLAG>{numbers}</SPEED>"


def _text(value: str) -> str:
    """``value`` as XML text; characters that XML does not allow are left out."""
    return escape("".join(letter for letter in value if letter >= " " or letter in "\t\n"))


def _write_error(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path.name} could not be written: {error.strerror or error}.",
        "Free some space, or choose another folder with --out or IMMERSIVAUDIO_HOME.",
    )
