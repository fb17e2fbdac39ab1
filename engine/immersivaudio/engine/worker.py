# SPDX-License-Identifier: AGPL-3.0-or-later
"""The worker process: takes jobs as JSON lines on stdin, does them one at a time, answers as JSON lines on stdout.

Messages carry protobuf as base64; nothing is ever unpickled. When stdin ends the server is gone: the worker then
kills its whole process group, so that no ffmpeg of its own outlives it.

In:  ``{"do": "job", "job_id", "spec"}``, ``{"do": "cancel", "job_id"}``, ``{"do": "models" | "load" | "unload", "call", "id"}``
Out: ``event``, ``done``, ``failed``, ``answer``, ``refused`` in the field ``is``.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import importlib
import json
import logging
import os
import queue
import shutil
import signal
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from immersivaudio.engine import housekeeping, model_list
from immersivaudio.engine.blobs import BlobStore, write_error
from immersivaudio.engine.errors import CancelledError, EngineError
from immersivaudio.engine.orders import Reporter, Shelf, request_of
from immersivaudio.engine.request import Emit, Event, Outcome, ScoreRequest, Workspace
from immersivaudio.v1 import job_pb2

Message = dict[str, Any]
JobFunction = Callable[[ScoreRequest, Workspace, Emit, Callable[[], bool]], Outcome]

_IDLE_S = 0.2
_UNWRITABLE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS))

log = logging.getLogger("immersivaudio.worker")


@dataclass(frozen=True, slots=True)
class Folders:
    """The engine's own, the shared cache, and those whose media may be read."""

    home: Path
    cache: Path
    roots: tuple[Path, ...]


class Line:
    """The way out to the server: whole JSON lines, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def send(self, message: Message) -> None:
        with self._lock:
            self._stream.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            self._stream.flush()


class Worker:
    """One job at a time on the main thread; a second thread listens, so that a cancel is heard inside a job."""

    def __init__(self, folders: Folders, job_function: JobFunction, line: Line) -> None:
        home, self._cache, self._roots = folders.home, folders.cache, folders.roots
        self._home, self._job_function, self._line = home, job_function, line
        self._blobs = BlobStore(home / "blobs")
        self._cache.mkdir(parents=True, exist_ok=True)
        self._waiting: queue.Queue[Message] = queue.Queue()
        self._cancelled: set[str] = set()

    def listen(self, stream: BinaryIO) -> None:
        """Read messages until the server is gone, then end this process and its children at once."""
        try:
            for text in stream:
                self._hear(json.loads(text))
        finally:
            _end_group()

    def _hear(self, message: Message) -> None:
        if message["do"] == "job":
            self._waiting.put(message)
        elif message["do"] == "cancel":
            self._cancelled.add(message["job_id"])
        else:
            threading.Thread(target=self._answer, args=(message,), daemon=True).start()

    def _answer(self, message: Message) -> None:
        try:
            models = model_list.answer(message["do"], message.get("id", ""))
            self._line.send({"is": "answer", "call": message["call"], "models": models})
        except Exception as error:
            self._line.send({"is": "refused", "call": message["call"], "error": _said(error)})

    def serve(self) -> None:
        """Do jobs for ever; the listening thread ends the process."""
        if not self._comes_soon():
            model_list.answer("models")
        while True:
            message = self._waiting.get()
            job_id = message["job_id"]
            try:
                result = self._do(job_id, job_pb2.JobSpec.FromString(b64decode(message["spec"])))
                self._line.send({"is": "done", "job_id": job_id, "result": _packed(result)})
            except Exception as error:
                self._line.send({"is": "failed", "job_id": job_id, "error": _said(error)})
            self._cancelled.discard(job_id)

    def _comes_soon(self) -> bool:
        """Whether a job comes at once; else there is time to load what the first one will need."""
        try:
            self._waiting.put(self._waiting.get(timeout=_IDLE_S))
        except queue.Empty:
            return False
        return True

    def _do(self, job_id: str, spec: job_pb2.JobSpec) -> job_pb2.JobResult:
        scratch = self._home / "jobs" / job_id
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            reporter = Reporter(self._blobs)
            request = request_of(spec, Shelf(self._roots, self._blobs, scratch))
            with housekeeping.at_work(self._cache):
                outcome = self._job_function(
                    request,
                    Workspace(cache=self._cache, scratch=scratch),
                    lambda said: self._emit(job_id, reporter, said),
                    lambda: job_id in self._cancelled,
                )
            return reporter.result(outcome)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _emit(self, job_id: str, reporter: Reporter, said: Event) -> None:
        event = reporter.event(said)
        if event is not None:
            self._line.send({"is": "event", "job_id": job_id, "event": _packed(event)})


def _packed(message: job_pb2.JobEvent | job_pb2.JobResult) -> str:
    return b64encode(message.SerializeToString()).decode()


def _said(error: Exception) -> Mapping[str, str]:
    """What a person is told; the details of what nobody foresaw go to the log, never to a client."""
    if isinstance(error, EngineError):
        return {"reason": error.reason, "message": error.message, "hint": error.hint}
    if isinstance(error, MemoryError):
        return {"reason": "OUT_OF_MEMORY", "message": "The engine ran out of memory.", "hint": "Score a shorter edit."}
    log.error("a job broke", exc_info=error)
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return _said(write_error(error))
    hint = "Look into log/worker.log in the engine's folder, and report what it says."
    return {"reason": "ENGINE_BROKE", "message": "Something in the engine broke.", "hint": hint}


def _end_group() -> None:
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _claim_stdout() -> BinaryIO:
    """The pipe to the server; whatever else writes to stdout (a library, a child) goes to the log instead."""
    line = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(line, "wb")


def _load(name: str) -> JobFunction:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def main() -> None:
    """Entry point of ``python -m immersivaudio.engine.worker``; started by the executor, not by people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--root", type=Path, action="append", default=[])
    parser.add_argument("--job-function", default="immersivaudio.engine.pipeline:score")
    options = parser.parse_args()
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO)
    line = Line(_claim_stdout())
    folders = Folders(options.home, options.cache, tuple(options.root))
    worker = Worker(folders, _load(options.job_function), line)
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    # Takes nearly a second, and is not needed before something is performed: scipy loads it when it is first named.
    threading.Thread(target=importlib.import_module, args=("scipy.signal",), daemon=True).start()
    try:
        worker.serve()
    except (BrokenPipeError, CancelledError):
        _end_group()


if __name__ == "__main__":
    main()
