# SPDX-License-Identifier: AGPL-3.0-or-later
"""The process of a guarded watcher or model, seen from the engine: asked over pipes, watched, and ended when it hangs or holds
too much memory."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from immersivaudio.engine.media.process import widen

Reply = dict[str, Any]
_LOOK_EVERY_S = 0.1


class GoneError(Exception):
    """The process is no more: ``why`` it was ended by us, else ``code``, as it ended by itself."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why or str(code))
        self.why, self.code = why, code


class GuardedChild:
    """One process, ``python -m module arguments``. Two threads belong to it: one hears its answers, one sees how long and how large it is."""

    def __init__(self, module: str, arguments: Sequence[str], memory_bytes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        widen(self._process.stdin)
        self._state = _State(self._process, memory_bytes)
        for work in (self._state.hear, self._state.watch):
            threading.Thread(target=work, daemon=True).start()
        self._end = weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def unanswered(self) -> int:
        """How many messages were posted whose answer was not taken."""
        return self._state.unanswered

    def post(self, message: Reply, patience_s: float, data: bytes = b"") -> None:
        """Send ``message`` with ``data`` behind it; each answer may then take ``patience_s``.

        Raises:
            GoneError: it is no more.
        """
        self._state.expect(patience_s)
        self._write(message | {"bytes": len(data)}, data)

    def _write(self, message: Reply, data: bytes) -> None:
        pipe: IO[bytes] = self._process.stdin  # type: ignore[assignment]
        try:
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.write(data)
            pipe.flush()
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def reply(self) -> Reply:
        """The next answer.

        Raises:
            GoneError: it is no more.
        """
        reply = self._state.taken()
        if reply is None:
            raise self._gone()
        return reply

    def ask(self, message: Reply, patience_s: float, data: bytes = b"") -> Reply:
        """Send and take the answer.

        Raises:
            GoneError: it is no more.
        """
        self.post(message, patience_s, data)
        return self.reply()

    def _gone(self) -> GoneError:
        self.end()
        return GoneError(self._state.why, self._process.returncode)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._end()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


class _State:
    """What the two threads and the caller share. Holds no reference to the :class:`GuardedChild`, so that one that is
    forgotten is ended."""

    def __init__(self, process: subprocess.Popen[bytes], memory_bytes: int) -> None:
        self._process, self._memory_bytes = process, memory_bytes
        self._replies: queue.Queue[Reply | None] = queue.Queue()
        self._lock = threading.Lock()
        self._owed = 0
        self._patience_s, self._since_s = 0.0, 0.0
        self.unanswered = 0
        self.why = ""

    def expect(self, patience_s: float) -> None:
        with self._lock:
            if self._owed == 0:
                self._since_s = time.monotonic()
            self._owed += 1
            self.unanswered += 1
            self._patience_s = patience_s

    def taken(self) -> Reply | None:
        reply = self._replies.get()
        with self._lock:
            self.unanswered = 0 if reply is None else self.unanswered - 1
        return reply

    def hear(self) -> None:
        pipe: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        # What is no message is the end of the talk; so is a pipe that was closed meanwhile.
        with contextlib.suppress(OSError, ValueError):
            for line in pipe:
                reply = json.loads(line)
                with self._lock:
                    self._owed -= 1
                    self._since_s = time.monotonic()
                self._replies.put(reply)
        self._process.kill()
        self._replies.put(None)

    def watch(self) -> None:
        while self._process.poll() is None:
            held = _resident_bytes(self._process.pid)
            with self._lock:
                waited_s = time.monotonic() - self._since_s if self._owed > 0 else 0.0
                patience_s = self._patience_s
            if held > self._memory_bytes:
                self._dismiss(f"held more than {self._memory_bytes / 1024**3:.1f} GiB of memory")
            elif waited_s > patience_s:
                self._dismiss(f"gave no answer for {patience_s:.0f} s")
            time.sleep(_LOOK_EVERY_S)

    def _dismiss(self, why: str) -> None:
        self.why = why
        self._process.kill()


def _resident_bytes(pid: int) -> int:
    """The memory that a process holds, bytes; 0 where that cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
