# SPDX-License-Identifier: Apache-2.0
"""JSON-RPC 2.0, one object a line, between an editor and the bridge. Standard library only.

The editor starts ``<python> -m immersivaudio.bridge.stdio --engine auto`` in the environment that has immersivaudio
and speaks to its stdin and stdout through a :class:`Link`; a token travels in the variable ``IMMERSIVAUDIO_TOKEN``.

calls           ``handshake effects describe instance_changed spot render attach cancel result shutdown``
notifications   ``accepted progress warning cue_sheet done failed``, each with its ``job``

The params and answers of each are in ``docs/writing-an-editor-script.md``.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from immersivaudio.bridge.host import Json, LinkError

BRIDGE_FAILED = -32000
UNKNOWN_METHOD = -32601
NOT_JSON_RPC = -32600
PATIENCE_S = 60.0
_READER_PATIENCE_S = 1.0
# Quoted: editors run Pythons that lack this union at run time.
Answered = Callable[[Any, "LinkError | None"], None]


class Link:
    """The editor's end. Two threads read; everything else happens in the thread that calls, so no editor API is
    ever touched from elsewhere. Not to be shared between threads."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the bridge.

        Raises:
            LinkError: ``command`` cannot be started.
        """
        self._numbers = itertools.count(1)
        self._inbox: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._waiting: dict[int, Answered] = {}
        self._events: collections.deque[Json] = collections.deque()
        self._said: collections.deque[str] = collections.deque(maxlen=40)
        self._gone = False
        try:
            self._process = subprocess.Popen(list(command), **_pipes(environment))
        except OSError as error:
            raise LinkError(
                f"The bridge could not be started: {error}.",
                f"Give the Python of the environment that has immersivaudio; {command[0]} was tried.",
                "BRIDGE_NOT_STARTED",
            ) from None
        self._log = threading.Thread(target=self._read_log, daemon=True)
        self._log.start()
        self._answers = threading.Thread(target=self._read_answers, daemon=True)
        self._answers.start()

    @property
    def alive(self) -> bool:
        """False once the bridge has ended and everything that it said was taken."""
        return not self._gone

    def call(self, method: str, params: Json, answered: Answered) -> None:
        """Ask without waiting; ``answered(result, error)`` is called from a later :meth:`poll`."""
        number = next(self._numbers)
        self._waiting[number] = answered
        if self._gone:
            self._inbox.put(None)
            return
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # the bridge is gone: its reader says so, with its last words
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def poll(self) -> list[Json]:
        """Deliver the answers that have come and return the notifications, in order. Never waits."""
        while True:
            try:
                self._take(self._inbox.get_nowait())
            except queue.Empty:
                break
        events = list(self._events)
        self._events.clear()
        return events

    def ask(self, method: str, params: Json, timeout_s: float = PATIENCE_S) -> Any:
        """Call and wait for the answer.

        Raises:
            LinkError: the bridge or the engine refused, is gone, or did not answer in time.
        """
        box: list[tuple[Any, LinkError | None]] = []
        self.call(method, params, lambda result, error: box.append((result, error)))
        deadline = time.monotonic() + timeout_s
        while not box:
            if not self._wait(deadline):
                raise LinkError(f"The bridge did not answer {method} within {timeout_s:.0f} s.", "Try again.", "SLOW")
        result, error = box[0]
        if error is not None:
            raise error
        return result

    def next_event(self, timeout_s: float) -> Json | None:
        """The next notification, or None when none came in time.

        Raises:
            LinkError: the bridge is gone.
        """
        deadline = time.monotonic() + timeout_s
        while not self._events:
            if self._gone:
                raise self._end()
            if not self._wait(deadline):
                return None
        return self._events.popleft()

    def close(self, timeout_s: float = 10.0) -> None:
        """End the bridge, and with it an engine that it started; killed when it does not go."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._gone = True
        for reader, stream in ((self._answers, self._process.stdout), (self._log, self._process.stderr)):
            reader.join(_READER_PATIENCE_S)
            if stream is not None and not reader.is_alive():
                stream.close()

    def _wait(self, deadline: float) -> bool:
        try:
            self._take(self._inbox.get(timeout=min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)))
        except queue.Empty:
            return False
        return True

    def _take(self, message: Json | None) -> None:
        if message is None:
            self._gone = True
            for answered in self._forget_all():
                answered(None, self._end())
        elif "method" in message:
            self._events.append(message)
        else:
            answered_by = self._waiting.pop(message.get("id", 0), None)
            if answered_by is not None:
                error = message.get("error")
                answered_by(message.get("result"), _error_of(error) if error else None)

    def _forget_all(self) -> list[Answered]:
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting

    def _end(self) -> LinkError:
        said = [line for line in self._said if line.strip()]
        why = f" Its last words: {said[-1].strip()}" if said else ""
        return LinkError(f"The bridge has ended.{why}", "Connect again.", "BRIDGE_GONE")

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._inbox.put(json.loads(line))
            except ValueError:
                self._said.append(line.decode(errors="replace"))
        self._process.wait()
        self._log.join(_READER_PATIENCE_S)
        self._inbox.put(None)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.decode(errors="replace"))


def _pipes(environment: Mapping[str, str] | None) -> dict[str, Any]:
    options: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return {**options, **no_window(sys.platform), "env": _clean_environment(environment)}


def no_window(platform: str) -> dict[str, Any]:
    """What to start a process with so that no console appears on Windows."""
    return {"creationflags": 0x08000000} if platform == "win32" else {}  # CREATE_NO_WINDOW


def _clean_environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """An editor points PYTHONHOME and PYTHONPATH at its own Python, which must not leak into another one."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **(extra or {})}


def _error_of(error: Mapping[str, Any]) -> LinkError:
    data = error.get("data") or {}
    return LinkError(str(error.get("message", "")), str(data.get("hint", "")), str(data.get("reason", "")))


@dataclass(frozen=True)
class Answer:
    """A result, and what to begin once it is on its way: an editor must know a job's name before it hears of it."""

    result: Any
    then: Callable[[], None] = lambda: None


class Answerer:
    """The bridge's end: reads calls, answers each in a thread of its own, and writes notifications."""

    def __init__(self, methods: Mapping[str, Callable[[Json], Any]], lines: IO[bytes], out: IO[bytes]) -> None:
        self._methods = methods
        self._lines = lines
        self._out = out
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Answer until ``shutdown`` is called or the editor's end closes."""
        for line in self._lines:
            if not line.strip():
                continue
            try:
                call = json.loads(line)
                method, number = call["method"], call.get("id")
            except (ValueError, TypeError, KeyError, AttributeError):
                self._refuse(None, NOT_JSON_RPC, "That line is no JSON-RPC call.")
                continue
            if method == "shutdown":
                self._write({"id": number, "result": {}})
                return
            threading.Thread(target=self._answer, args=(number, method, call.get("params") or {}), daemon=True).start()

    def notify(self, method: str, params: Json) -> None:
        """Tell the editor something; safe from any thread."""
        self._write({"method": method, "params": params})

    def _answer(self, number: int | None, method: str, params: Json) -> None:
        if method not in self._methods:
            self._refuse(number, UNKNOWN_METHOD, f"The bridge has no {method}.")
            return
        try:
            result = self._methods[method](params)
        except Exception as error:  # every failure must be answered: the editor waits for it
            self._refuse(number, BRIDGE_FAILED, *_words(error))
            return
        answer = result if isinstance(result, Answer) else Answer(result)
        self._write({"id": number, "result": answer.result})
        answer.then()

    def _refuse(self, number: int | None, code: int, message: str, hint: str = "", reason: str = "") -> None:
        self._write(
            {"id": number, "error": {"code": code, "message": message, "data": {"hint": hint, "reason": reason}}}
        )

    def _write(self, message: Json) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self._writing:
            try:
                self._out.write(line)
                self._out.flush()
            except (OSError, ValueError):  # the editor is gone: serve() ends by itself
                return


def _words(error: Exception) -> tuple[str, str, str]:
    message = str(getattr(error, "message", "")) or f"{type(error).__name__}: {error}"
    return message, str(getattr(error, "hint", "")), str(getattr(error, "reason", "") or "BRIDGE_FAILED")


def main() -> None:
    """Be the bridge of one editor (the command that :class:`Link` starts)."""
    from immersivaudio.bridge.companion import main as serve

    sys.exit(serve(sys.argv[1:]))


if __name__ == "__main__":
    main()
