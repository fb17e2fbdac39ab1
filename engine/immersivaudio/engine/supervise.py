# SPDX-License-Identifier: AGPL-3.0-or-later
"""One worker process: how it is started, spoken to, and ended together with everything that it started."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Message = dict[str, Any]
_LINE_BYTES = 256 << 20
_LOG_BYTES = 8 << 20

log = logging.getLogger("immersivaudio.executor")


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """``home`` is the engine's folder, ``cache`` what outlives jobs, ``roots`` the folders whose media may be read."""

    home: Path
    cache: Path
    roots: tuple[Path, ...] = ()
    workers: int = 1
    job_function: str = "immersivaudio.engine.pipeline:score"

    def command(self) -> list[str]:
        roots = itertools.chain.from_iterable(("--root", str(root)) for root in self.roots)
        module = [sys.executable, "-m", "immersivaudio.engine.worker"]
        folders = ["--home", str(self.home), "--cache", str(self.cache)]
        return [*module, *folders, "--job-function", self.job_function, *roots]


class WorkerGoneError(Exception):
    """The worker process ended while something was expected of it."""


class WorkerProcess:
    """One child process. ``job_lines`` gives what it says of its job, None once it is gone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._calls: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self.job_lines: asyncio.Queue[Message | None] = asyncio.Queue()
        self.gone = False
        self.reading = asyncio.create_task(self._read())

    @classmethod
    async def spawn(cls, config: LocalConfig) -> WorkerProcess:
        """Start one, in a process group of its own: a signal to it reaches its ffmpeg too, and Ctrl-C does not."""
        with _log_file(config.home).open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *config.command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                limit=_LINE_BYTES,
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                self._sort(json.loads(line))
        except ValueError:
            log.exception("worker %d said something that is no message", self.pid)
        finally:
            self.kill()
            await self._process.wait()
            self._lost()

    def _sort(self, message: Message) -> None:
        if "call" in message:
            call = self._calls.pop(message["call"], None)
            if call is not None and not call.done():
                call.set_result(message)
        else:
            self.job_lines.put_nowait(message)

    def _lost(self) -> None:
        self.gone = True
        self.job_lines.put_nowait(None)
        for call in self._calls.values():
            call.cancel()

    async def send(self, message: Message) -> None:
        """Say something to it.

        Raises:
            WorkerGoneError: it is no more.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise WorkerGoneError from error

    async def ask(self, message: Message) -> Message:
        """Say something and wait for the answer.

        Raises:
            WorkerGoneError: it died meanwhile.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        if self.gone:
            raise WorkerGoneError
        await self.send(message | {"call": number})
        try:
            return await answer
        except asyncio.CancelledError:
            if self.gone:
                raise WorkerGoneError from None
            raise
        finally:
            self._calls.pop(number, None)

    def kill(self) -> None:
        """End it and all that it started, now."""
        if self.gone:
            return
        try:
            if os.name == "posix":
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except ProcessLookupError:
            pass


def _log_file(home: Path) -> Path:
    """The workers' log; a long one is put aside, so that a disk never fills with it."""
    path = home / "log" / "worker.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path
