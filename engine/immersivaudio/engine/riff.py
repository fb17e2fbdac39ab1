# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a WAV file says of itself, whoever wrote it: format, ``bext``, ``iXML`` and ``INFO``. Reads headers, no sound.

Chunks as in EBU Tech 3285 and 3306 (RF64); every length that a file claims is held against the file and a limit.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from immersivaudio.engine.errors import MediaError

_PLAIN = (1, 3)
_EXTENSIBLE = 0xFFFE
_MOST_CHUNKS, _MOST_BYTES = 4096, 1 << 20
_READ = (b"fmt ", b"bext", b"iXML", b"LIST", b"ds64")
_DEPTH, _ELEMENTS, _TEXT = 40, 4000, 20_000


@dataclass(frozen=True, slots=True)
class WaveNotes:
    """``frames`` is None where the coding does not tell. ``ixml`` is every leaf by its path below the root
    ("USER/CATID"), ``info`` the RIFF INFO by its four letters; ``has_id3`` says that there is more to be asked for."""

    rate_hz: int
    channels: int
    frames: int | None
    description: str = ""
    originator: str = ""
    time_reference: int = 0
    ixml: Mapping[str, str] = field(default_factory=dict)
    info: Mapping[str, str] = field(default_factory=dict)
    has_id3: bool = False


def read(path: Path) -> WaveNotes:
    """The notes of a WAV file.

    Raises:
        MediaError: it is no WAV file, or cut short before its sound. OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
            raise MediaError(f"{path.name} is not a WAV file.", "Export or copy it again.")
        found = dict(_chunks(file))
    try:
        return _notes(found)
    except (struct.error, KeyError, ZeroDivisionError) as error:
        raise MediaError(f"{path.name} is cut short or damaged.", "Export or copy it again.") from error


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The bodies of the chunks that are read; of ``data`` its length only, as eight bytes."""
    end, big = os.fstat(file.fileno()).st_size, b""
    offset = file.tell()
    for _ in range(_MOST_CHUNKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            if size == 0xFFFFFFFF:
                size = struct.unpack_from("<Q", big, 8)[0] if len(big) >= 16 else end
            yield name, struct.pack("<Q", min(size, end - offset - 8))
        elif name in _READ:
            body = file.read(min(size, _MOST_BYTES))
            big = body if name == b"ds64" else big
            yield (b"INFO" if name == b"LIST" and body[:4] == b"INFO" else name), body
        else:
            yield name, b""
        offset += 8 + size + size % 2
        if offset >= end:
            return


def _notes(found: Mapping[bytes, bytes]) -> WaveNotes:
    kind, channels, rate_hz, _, frame_bytes, _ = struct.unpack_from("<HHIIHH", found[b"fmt "])
    if kind == _EXTENSIBLE:
        (kind,) = struct.unpack_from("<H", found[b"fmt "], 24)
    (data_bytes,) = struct.unpack("<Q", found[b"data"])
    bext = found.get(b"bext", b"").ljust(348, b"\0")
    low, high = struct.unpack_from("<II", bext, 338)
    return WaveNotes(
        rate_hz,
        channels,
        data_bytes // frame_bytes if kind in _PLAIN else None,
        _text(bext[:256]),
        _text(bext[256:288]),
        (high << 32) + low,
        leaves(found.get(b"iXML", b"")),
        _info(found.get(b"INFO", b"")),
        any(name.lower().startswith(b"id3") for name in found),
    )


def _info(body: bytes) -> dict[str, str]:
    rows: dict[str, str] = {}
    offset = 4
    while offset + 8 <= len(body) and len(rows) < 100:
        name, size = struct.unpack_from("<4sI", body, offset)
        rows[name.decode("ascii", "replace")] = _text(body[offset + 8 : offset + 8 + size])
        offset += 8 + size + size % 2
    return rows


def _text(raw: bytes) -> str:
    raw = raw.split(b"\0", 1)[0]
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return " ".join(text.split())


def leaves(xml: bytes) -> dict[str, str]:
    """Every leaf of an XML text by its path below the root; as far as it can be read, nothing where it declares
    entities, is nested or large beyond reason."""
    reader = _Leaves()
    try:
        reader.parser.Parse(xml.rstrip(b"\0 \r\n"), True)
    except (expat.ExpatError, _TooMuchError):
        return {} if reader.refused else reader.rows
    return reader.rows


class _TooMuchError(Exception):
    """XML that nobody's sound file needs."""


class _Leaves:
    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.refused = False
        self._path: list[str] = []
        self._text: list[str] = []
        self._count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse

    def _start(self, tag: str, _: Mapping[str, str]) -> None:
        self._count += 1
        self._path.append(tag)
        self._text.clear()
        if self._count > _ELEMENTS or len(self._path) > _DEPTH:
            self._refuse()

    def _end(self, tag: str) -> None:
        text = " ".join("".join(self._text).split())[:_TEXT]
        if text:
            self.rows.setdefault("/".join(self._path[1:]), text)
        self._text.clear()
        self._path.pop()

    def _refuse(self, *_declaration: object) -> int:
        self.refused = True
        raise _TooMuchError
