# SPDX-License-Identifier: Apache-2.0
"""Small analysis proxies for an engine on another machine: megabytes travel, not the camera original.

A proxy has every frame of the first picture at its own timestamp and every sound stream with its channels. As wide as the
usual watchers look, it is scaled as they scale and kept without loss, so that they see, and decide, the same; for an engine
that wants more (one with object models) the picture stands in it once more, as wide as that, and encoded. ffmpeg makes it,
as a child process: the bridge's own environment has it (imageio-ffmpeg) or the machine does; where there is none, or it
cannot, the original travels.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from immersivaudio.bridge.errors import TransferError
from immersivaudio.bridge.stdio import no_window

WIDTH = 192
TWO_SIZES = "immersivaudio: one picture, two sizes"
"""The comment of a proxy that has its picture twice. The engine looks for the same words."""
_VERSION = "2"
_ENDING = ".proxy"
_FFMPEG = "IMMERSIVAUDIO_FFMPEG"
_KEPT_BYTES = 20 << 30
_ABANDONED_S = 24 * 3600
_LOOK_S = 0.1
_FORMAT = ("-pix_fmt", "yuv420p", "-bf", "0", "-g", "600")
# The first is smaller by a twelfth; not every ffmpeg has it.
_WHOLE = (
    ("libx265", "-preset", "veryfast", "-x265-params", "lossless=1:bframes=0:log-level=none"),
    ("libx264", "-preset", "medium", "-qp", "0"),
)
_ENCODED = ("libx264", "-preset", "veryfast", "-crf", "20")
# As the engine's reader does it: every other line is left out of a picture with this many for each that is wished.
_LINES_EACH = 8
_SIZE = re.compile(r"Stream #\S+.*?: Video: .*?(?<![\dx])(\d{2,5})x(\d{2,5})")
_TURNED = re.compile(r"rotation of -?(90|270)")
_LENGTH = re.compile(r"Duration: (\d+):(\d+):(\d+\.\d+)")
_REACHED = re.compile(r"out_time_us=(\d+)")
_TELLING = ("-v", "error", "-nostats", "-progress", "pipe:1")
_FULL = "No space left on device"
# Their timestamps are rounded to milliseconds, so that only their own kind of file can say the rate that was meant.
_MILLISECONDS = frozenset((".mkv", ".webm"))
# The source's own time base, in the words of ffmpeg from 6.1 on and of those before.
_TIME_BASES = ("demux", "-1")
Told = Callable[[float], None]


def ffmpeg() -> str | None:
    """An ffmpeg to run: the one that ``IMMERSIVAUDIO_FFMPEG`` names, this environment's, or the machine's."""
    named = os.environ.get(_FFMPEG)
    if named:
        return shutil.which(named)
    with contextlib.suppress(ImportError, RuntimeError, AttributeError):
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    return shutil.which("ffmpeg")


def cache_folder() -> Path:
    """Where proxies are kept between jobs: beside the engine's own things, or where temporary files go."""
    home = os.environ.get("IMMERSIVAUDIO_HOME")
    return Path(home) / "proxies" if home else Path(tempfile.gettempdir()) / f"immersivaudio-proxies-{_user()}"


def proxy_of(
    original: Path, folder: Path | None = None, width: int = WIDTH, told: Told = lambda fraction: None
) -> Path:
    """A proxy of ``original``, made once and kept in ``folder``; the original itself where a proxy would be no smaller or
    cannot be made. ``told`` hears how far it is, ten times a second; what it raises ends the making, and nothing is left.

    Raises:
        TransferError: the original cannot be read, or the folder not be written.
    """
    folder = folder or cache_folder()
    program = ffmpeg()
    try:
        made = folder / f"{_key(original, width)}{_ENDING}"
        if made.exists():
            os.utime(made)
            return made if made.stat().st_size else original
        if program is None:
            return original
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(program, original, made, width, told)
        _forget_old(folder, made)
        return made if made.stat().st_size else original
    except OSError as error:
        if isinstance(error, TransferError):
            raise
        raise TransferError(
            f"No proxy of {original.name} can be kept: {error.strerror}.", "Free some space."
        ) from error


def _make(program: str, original: Path, made: Path, width: int, told: Told) -> None:
    """Write the proxy, or an empty file that says that the original is to be sent."""
    partial = made.with_name(f".{made.stem}.{os.getpid()}.partial")
    try:
        about = _asked(program, original)
        length_s = _length_s(about)
        for form in _forms(about, width):
            command = [
                program,
                *_TELLING,
                "-y",
                *_reading(original),
                *_writing(original, form),
                str(partial.absolute()),
            ]
            code, said = _run(command, lambda done_s: told(min(1.0, done_s / length_s)))
            if code == 0:
                break
            if _FULL in said:
                raise TransferError(f"There is no room for a proxy of {original.name}.", f"Free some of {made.parent}.")
        if not (code == 0 and partial.is_file() and 0 < partial.stat().st_size < original.stat().st_size):
            partial.write_bytes(b"")
        partial.replace(made)
    finally:
        partial.unlink(missing_ok=True)


def _run(command: Sequence[str], told: Told) -> tuple[int, str]:
    """Its exit status and last words; ``told`` hears the seconds that are done, and ends it by raising."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **no_window(sys.platform)
    )
    assert process.stdout is not None
    said = _Said(process.stdout)
    try:
        while process.poll() is None:
            told(said.done_s)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
    finally:
        process.kill()
        process.wait()
        said.reader.join()
    return process.returncode, said.words


class _Said:
    """What ffmpeg says while it works, read so that its pipe never fills."""

    def __init__(self, lines: IO[bytes]) -> None:
        self.done_s, self.words = 0.0, ""
        self.reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self.reader.start()

    def _read(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                text = line.decode(errors="replace")
                if found := _REACHED.match(text):
                    self.done_s = int(found[1]) / 1e6
                elif " " in text:
                    self.words = (self.words + text)[-4096:]


def _asked(program: str, original: Path) -> str:
    """What ffmpeg says that the file is."""
    command = [program, "-hide_banner", *_reading(original)]
    asked = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, **no_window(sys.platform))
    return asked.stderr.decode(errors="replace")


def _length_s(about: str) -> float:
    found = _LENGTH.search(about)
    return max(1e-3, int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])) if found else float("inf")


def _forms(about: str, width: int) -> Iterator[tuple[str, ...]]:
    """The picture's filters and codecs, the best first."""
    sizes = (min(width, WIDTH),) if width <= WIDTH else (WIDTH, width)
    scaled = [word for number, size in enumerate(sizes) for word in (f"-filter:v:{number}", _filters(about, size))]
    for base in _TIME_BASES:
        for whole in _WHOLE:
            coded = [_codec(number, words) for number, words in enumerate((whole, _ENCODED)[: len(sizes)])]
            shown = ("-map", "0:V:0?") * len(sizes)
            twice = ("-metadata", f"comment={TWO_SIZES}", "-disposition:v:1", "0") if len(sizes) == 2 else ()
            words = [word for codec in coded for word in codec]
            yield (*shown, *scaled, *words, *_FORMAT, *twice, "-enc_time_base", base)


def _codec(number: int, words: Sequence[str]) -> list[str]:
    """A codec's words, for the picture of that number only."""
    codec, *rest = words
    options = [f"{word}:v:{number}" if word in ("-preset", "-qp", "-crf", "-x265-params") else word for word in rest]
    return [f"-c:v:{number}", codec, *options]


def _filters(about: str, width: int) -> str:
    size = _SIZE.search(about)
    columns, lines = (int(size[1]), int(size[2])) if size else (width, 0)
    wished = max(2, round(lines * width / columns / 2) * 2)
    turned = _TURNED.search(about)
    halvings = 0
    while lines and not turned and lines >> halvings >= _LINES_EACH * wished:
        halvings += 1
    scale = f"scale='trunc(min({width},iw)/2)*2':-2:flags=area:out_color_matrix=bt601:out_range=tv"
    return ",".join([*["field=top"] * halvings, scale, "format=yuv420p"])


def _reading(original: Path) -> list[str]:
    """As the engine reads; no network, nothing that the file itself could name."""
    return [
        "-nostdin",
        "-skip_loop_filter",
        "noref",
        "-protocol_whitelist",
        "file",
        "-i",
        f"file:{original.absolute()}",
    ]


def _writing(original: Path, form: Sequence[str]) -> list[str]:
    """Timestamps pass as they are."""
    streams = ["-map", "0:a?", "-sn", "-dn", "-map_metadata", "0", "-map_chapters", "-1"]
    kind = "matroska" if original.suffix.lower() in _MILLISECONDS else "mp4"
    return [*streams, *form, "-fps_mode", "passthrough", "-c:a", "libopus", "-f", kind]


def _key(original: Path, width: int) -> str:
    """A file's name for as long as it is not written to, with what is made of it."""
    about = original.stat()
    told = (_VERSION, str(original.resolve()), str(about.st_size), str(about.st_mtime_ns), str(width))
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _forget_old(folder: Path, newest: Path) -> None:
    """Keep the folder under its limit: what was not used for longest goes first; and what a killed bridge left."""
    kept = sorted(folder.glob(f"*{_ENDING}"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in kept:
        total += path.stat().st_size
        if total > _KEPT_BYTES and path != newest:
            path.unlink(missing_ok=True)
    for path in folder.glob(".*.partial"):
        if time.time() - path.stat().st_mtime > _ABANDONED_S:
            path.unlink(missing_ok=True)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
