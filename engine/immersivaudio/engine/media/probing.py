# SPDX-License-Identifier: AGPL-3.0-or-later
"""Look into a file without decoding it, in a child process that may die of it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from immersivaudio.engine.errors import MediaError
from immersivaudio.engine.media.process import CONTAINERS, limit
from immersivaudio.engine.media.types import TWO_SIZES, AudioStream, Probe, VideoStream

_ANSWER_S = 60.0
_MAX_RATE = 1000
_STILLS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\1\0")


def probe(path: Path) -> Probe:
    """Look into a file.

    Raises:
        MediaError: missing, empty, corrupt, a playlist, a still image, or no media at all.
    """
    status = _stat(path)
    return _probe(path, status.st_size, status.st_mtime_ns, status.st_ino)


def _stat(path: Path) -> os.stat_result:
    try:
        status = path.stat()
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise MediaError(f"{path.name} was not found.", "Check the path.") from None
    except OSError as error:
        raise MediaError(
            f"{path.name} cannot be read: {error.strerror}.", "Check that it is a file you may read."
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{path.name} is not a file.", "Name one media file or timeline.")
    _refuse_head(path, head)
    return status


def _refuse_head(path: Path, head: bytes) -> None:
    if not head:
        raise MediaError(f"{path.name} is empty.", "Export or copy it again.")
    if head.lstrip().startswith((b"#EXTM3U", b"ffconcat", b"<MPD", b"[playlist]")):
        raise MediaError(f"{path.name} is a playlist, not media.", "Give the media file itself.")
    if head.startswith(_STILLS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        raise MediaError(f"{path.name} is a still image.", "Give a video, or put the still on a timeline.")


@functools.lru_cache(maxsize=4096)
def _probe(path: Path, size: int, mtime_ns: int, inode: int) -> Probe:
    answer = _CHILD.ask(path)
    if "error" in answer:
        raise MediaError(
            f"{path.name} cannot be read as video or sound: it is damaged, cut short, or of an unknown kind.",
            "Play it in a video player; if that fails too, copy or export it again.",
        )
    videos = tuple(_video(entry) for entry in sorted(answer["video"], key=lambda e: not e["default"]))
    audios = tuple(_audio(entry) for entry in sorted(answer["audio"], key=lambda e: not e["default"]))
    if not videos and not audios:
        raise MediaError(f"{path.name} holds neither picture nor sound.", "Give a video or sound file.")
    if answer["jumps"]:
        raise MediaError(
            f"The clock of {path.name} jumps: recordings were joined end to end.",
            f'Copy it into one that runs on, for example with `ffmpeg -i "{path.name}" -c copy joined.mkv`.',
        )
    duration = (videos or audios)[0].duration_s
    if duration <= 0:
        raise MediaError(f"{path.name} lasts no time at all.", "Export it again.")
    clock = Fraction(answer["start"])
    return Probe(path, answer["container"], duration, size, videos, audios, answer["timecode"],
                 _warnings(path, answer, videos), clock, answer["tags"])  # fmt: skip


def _video(entry: Mapping[str, Any]) -> VideoStream:
    rate = Fraction(entry["rate"])
    count, duration = int(entry["count"]), Fraction(entry["duration"])
    if not 0 < rate <= _MAX_RATE:
        rate = Fraction(count) / duration if duration > 0 and 0 < count / duration <= _MAX_RATE else Fraction(25)
    start = Fraction(entry["start"])
    return VideoStream(entry["index"], entry["codec"], entry["width"], entry["height"], rate, start, duration,
                       int(entry["rotation"]), entry["uneven"])  # fmt: skip


def _audio(entry: Mapping[str, Any]) -> AudioStream:
    start, duration = Fraction(entry["start"]), Fraction(entry["duration"])
    return AudioStream(entry["index"], entry["codec"], entry["rate_hz"], entry["channels"], start, duration)


def _warnings(path: Path, answer: Mapping[str, Any], videos: tuple[VideoStream, ...]) -> tuple[str, ...]:
    found = []
    if len(videos) > 1 and answer["tags"].get("comment") != TWO_SIZES:
        found.append(f"{path.name} has {len(videos)} video streams; stream {videos[0].index} is used.")
    if videos and answer["cover"]:
        found.append(f"{path.name} holds a cover picture, which is left out of what is made.")
    if len(answer["audio"]) > 1:
        found.append(
            f"{path.name} has {len(answer['audio'])} sound streams; stream {answer['audio'][0]['index']} is used."
        )
    if videos and answer["duration"] and abs(answer["duration"] - float(videos[0].duration_s)) > 1.0:
        said, true = answer["duration"], float(videos[0].duration_s)
        found.append(f"{path.name} says it lasts {said:.2f} s, its picture lasts {true:.2f} s; the picture counts.")
    if videos and videos[0].variable_rate:
        found.append(f"{path.name} has a variable frame rate; the true time of every frame is used.")
    return tuple(found)


class _ProbeChild:
    """A child that is started when first needed, asked again and again, and replaced when it dies or hangs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self._stop)

    def ask(self, path: Path) -> dict[str, Any]:
        with self._lock:
            process = self._running()
            question = json.dumps({"path": f"file:{path.absolute()}", "containers": CONTAINERS}).encode() + b"\n"
            try:
                return self._exchange(process, question)
            except (OSError, ValueError):
                self._stop()
                return {"error": "crashed"}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-I", str(Path(__file__).with_name("_probe_child.py"))]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            limit(self._process.pid)
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], question: bytes) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(question)
        process.stdin.flush()
        if sys.platform != "win32" and not select.select([process.stdout], [], [], _ANSWER_S)[0]:
            raise ValueError("no answer")
        return json.loads(process.stdout.readline())  # type: ignore[no-any-return]

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


_CHILD = _ProbeChild()
