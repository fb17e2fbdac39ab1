# SPDX-License-Identifier: AGPL-3.0-or-later
"""Child processes that touch media: fixed argv, no network, limits, killed when they stall or their reader leaves."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import imageio_ffmpeg

from immersivaudio.engine.errors import CancelledError, EngineError, MediaError, OutputError

# Containers that hold media themselves. Playlists, concat scripts and image sequences open other files: left out.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,wav,w64,aiff,mp3,flac,ogg,aac,ac3,eac3,"
    "mxf,flv,asf,gif,dv,caf,nut,ivf,h264,hevc,rm,wv,amr"
)
STALL_S = 60.0
_MEMORY_BYTES = 12 * 1024**3
_QUIET = ("-nostdin", "-hide_banner", "-y")


@functools.cache
def ffmpeg_binary() -> str:
    """The ffmpeg that is used: IMAGEIO_FFMPEG_EXE, else the one inside imageio-ffmpeg's wheel, else the system's."""
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()  # type: ignore[no-any-return]
    except RuntimeError as error:
        raise MediaError(
            "No ffmpeg was found.", "Install the package again, or set IMAGEIO_FFMPEG_EXE to an ffmpeg binary."
        ) from error


def input_options() -> dict[str, str]:
    """Options of every input: it may open nothing but the one file, and be nothing but a known container."""
    return {"protocol_whitelist": "file,pipe", "format_whitelist": CONTAINERS}


def local(path: Path) -> str:
    """``path`` as ffmpeg must be given it, so that a name with a colon is no protocol and one with a dash no option."""
    return f"file:{path.absolute()}"


def argv(stream: Any) -> list[str]:
    """The command line of an ffmpeg-python output node."""
    first, *rest = stream.compile(cmd=ffmpeg_binary())
    return [first, *_QUIET, *rest]


class Child:
    """One running ffmpeg. Its stdout is read by the caller, its stderr by ``on_line`` on a thread of its own; what it
    complains of is added to ``errors``."""

    def __init__(
        self, command: list[str], on_line: Callable[[str], None] | None = None, errors: list[str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        limit(self.process.pid)
        widen(self.process.stdout)
        self.errors: list[str] = [] if errors is None else errors
        self._on_line = on_line
        self._watchdog = threading.Timer(STALL_S, self.process.kill)
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.cancel()
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def pulse(self) -> None:
        """Say that it still makes progress: the stall watchdog starts anew."""
        self._watchdog.cancel()
        self._watchdog = threading.Timer(STALL_S, self.process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def chunks(self, size: int, cancelled: Callable[[], bool] | None) -> Iterator[bytes]:
        """stdout in pieces of ``size`` bytes, the last one possibly shorter."""
        out: IO[bytes] = self.process.stdout  # type: ignore[assignment]
        count = 0
        while True:
            if count % 64 == 0:
                self.pulse()
            count += 1
            if cancelled is not None and cancelled():
                raise CancelledError("Cancelled.")
            piece = out.read(size)
            if not piece:
                return
            yield piece

    def _read_errors(self) -> None:
        pipe: IO[bytes] = self.process.stderr  # type: ignore[assignment]
        for raw in pipe:
            line = raw.decode("utf-8", "replace")
            if self._on_line is not None and "Parsed_showinfo" in line:
                self._on_line(line)
            elif "[error]" in line or "[fatal]" in line:
                self.errors.append(line)


def run(command: list[str], cancelled: Callable[[], bool] | None = None) -> list[str]:
    """Run ffmpeg to its end; gives back what it complained of.

    Raises:
        MediaError: it failed. OutputError: no space is left. CancelledError: somebody stopped it.
    """
    with Child([*command[:1], "-loglevel", "level+error", "-progress", "pipe:1", *command[1:]]) as child:
        for _ in child.chunks(64, cancelled):
            pass
        code = child.process.wait()
        child._reader.join()
        if code != 0:
            raise _failure(child.errors)
        return child.errors


def _failure(errors: list[str]) -> EngineError:
    if "no space" in " ".join(errors).lower():
        return OutputError(
            "The file could not be written: no space is left.", "Free some space or choose another folder with --out."
        )
    return MediaError("The file could not be written: ffmpeg gave up.", _advice(errors))


def _advice(errors: list[str]) -> str:
    text = " ".join(errors).lower()
    if "codec" in text or "muxer" in text or "not currently supported" in text:
        return "Choose another container or codec, for example --container mkv."
    return "Try another container, for example --container mkv."


def limit(pid: int) -> None:
    if sys.platform != "linux":
        return
    import resource

    with contextlib.suppress(OSError, ValueError, ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def widen(pipe: IO[bytes] | None) -> None:
    """A pipe of 1 MiB instead of 64 KiB lets the decoder run ahead while a picture is being watched."""
    if sys.platform == "linux" and pipe is not None:
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1024 * 1024)


def threads() -> int:
    """Decoding threads: one a core."""
    return os.cpu_count() or 1
