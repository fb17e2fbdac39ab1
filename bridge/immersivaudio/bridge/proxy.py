# SPDX-License-Identifier: Apache-2.0
"""Small analysis proxies for an engine on another machine: megabytes travel, not the camera original.

A proxy has every frame of the first picture at its own timestamp and every sound stream with its channels. As wide as the
usual watchers look, it is scaled as they scale and kept without loss, so that they see, and decide, the same; for an engine
that wants more (one with object models) it is wider and encoded. ffmpeg makes it, as a child process: the bridge's own
environment has it (imageio-ffmpeg) or the machine does; where there is none, or it cannot, the original travels.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from immersivaudio.bridge.errors import TransferError

WIDTH = 192
_VERSION = "1"
_ENDING = ".proxy"
_FFMPEG = "IMMERSIVAUDIO_FFMPEG"
_KEPT_BYTES = 20 << 30
_PICTURE = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "600")
_WHOLE = ("-preset", "medium", "-qp", "0")
_ENCODED = ("-preset", "veryfast", "-crf", "20")
# As the engine's reader does it: every other line is left out of a picture with this many for each that is wished.
_LINES_EACH = 8
_SIZE = re.compile(r"Stream #\S+.*?: Video: .*?(?<![\dx])(\d{2,5})x(\d{2,5})")
_TURNED = re.compile(r"rotation of -?(90|270)")
# The source's own time base, in the words of ffmpeg from 6.1 on and of those before.
# Their timestamps are rounded to milliseconds, so that only their own kind of file can say the rate that was meant.
_MILLISECONDS = frozenset((".mkv", ".webm"))
_TIME_BASES = ("demux", "-1")


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


def proxy_of(original: Path, folder: Path | None = None, width: int = WIDTH) -> Path:
    """A proxy of ``original``, made once and kept in ``folder``; the original itself where a proxy would be no smaller or
    cannot be made.

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
        _make(program, original, made, width)
        _forget_old(folder, made)
        return made if made.stat().st_size else original
    except OSError as error:
        raise TransferError(
            f"No proxy of {original.name} can be kept: {error.strerror}.", "Free some space."
        ) from error


def _make(program: str, original: Path, made: Path, width: int) -> None:
    """Write the proxy, or an empty file that says that the original is to be sent."""
    partial = made.with_name(f".{made.stem}.{os.getpid()}.partial")
    try:
        form = _picture(program, original, width)
        done = any(_encoded(program, original, partial, (*form, "-enc_time_base", base)) for base in _TIME_BASES)
        if not (done and partial.is_file() and 0 < partial.stat().st_size < original.stat().st_size):
            partial.write_bytes(b"")
        partial.replace(made)
    finally:
        partial.unlink(missing_ok=True)


def _picture(program: str, original: Path, width: int) -> tuple[str, ...]:
    """The picture's filters and codec."""
    told = subprocess.run(
        [program, "-hide_banner", *_reading(original)], capture_output=True, stdin=subprocess.DEVNULL
    ).stderr.decode(errors="replace")
    size = _SIZE.search(told)
    columns, lines = (int(size[1]), int(size[2])) if size else (width, 0)
    wished = max(2, round(lines * width / columns / 2) * 2)
    turned = _TURNED.search(told)
    halvings = 0
    while lines and not turned and lines >> halvings >= _LINES_EACH * wished:
        halvings += 1
    scale = f"scale='trunc(min({width},iw)/2)*2':-2:flags=area:out_color_matrix=bt601:out_range=tv"
    filters = ",".join([*["field=top"] * halvings, scale, "format=yuv420p"])
    return ("-vf", filters, *_PICTURE, *(_WHOLE if width <= WIDTH else _ENCODED))


def _encoded(program: str, original: Path, partial: Path, picture: tuple[str, ...]) -> bool:
    command = [program, "-v", "error", "-y", *_reading(original), *_writing(original, picture), str(partial.absolute())]
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


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


def _writing(original: Path, picture: tuple[str, ...]) -> list[str]:
    """Timestamps pass as they are."""
    streams = ["-map", "0:V:0?", "-map", "0:a?", "-sn", "-dn", "-map_metadata", "0", "-map_chapters", "-1"]
    kind = "matroska" if original.suffix.lower() in _MILLISECONDS else "mp4"
    return [*streams, *picture, "-fps_mode", "passthrough", "-c:a", "libopus", "-f", kind]


def _key(original: Path, width: int) -> str:
    """A file's name for as long as it is not written to, with what is made of it."""
    about = original.stat()
    told = (_VERSION, str(original.resolve()), str(about.st_size), str(about.st_mtime_ns), str(width))
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _forget_old(folder: Path, newest: Path) -> None:
    """Keep the folder under its limit: what was not used for longest goes first."""
    kept = sorted(folder.glob(f"*{_ENDING}"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in kept:
        total += path.stat().st_size
        if total > _KEPT_BYTES and path != newest:
            path.unlink(missing_ok=True)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
