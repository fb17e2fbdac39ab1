# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where jobs are done: supervised worker processes on this machine. Another executor (Ray, a cluster) keeps the protocol.

A worker that dies, by ``kill -9`` or for want of memory, is started again and its job goes on: what was made lies in
the content-keyed caches. A job that kills its workers without ever getting further is given up.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from immersivaudio.engine.errors import CancelledError, EngineError, UnavailableError, WorkerError
from immersivaudio.engine.supervise import LocalConfig, WorkerGoneError, WorkerProcess
from immersivaudio.v1 import job_pb2

# Tells an event; the answer is whether the job is further than ever before (a checkpoint).
Heard = Callable[[job_pb2.JobEvent], Awaitable[bool]]

_MAX_CRASHES = 10
_POLITE_S = 0.6

log = logging.getLogger("immersivaudio.executor")


class RemoteError(EngineError):
    """An error that a worker told; it keeps the worker's reason."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Order:
    """A job to be done: ``spec`` is a serialized, checked JobSpec."""

    job_id: str
    spec: bytes


class Executor(Protocol):
    """Does jobs. Only bytes and digests pass; media never does."""

    async def start(self) -> None:
        """Make ready; returns before the workers are warm."""
        ...

    async def run(self, order: Order, heard: Heard) -> bytes:
        """Do a job, telling its events; returns the serialized JobResult.

        Raises:
            CancelledError: :meth:`cancel` was called. EngineError: it failed.
        """
        ...

    async def cancel(self, job_id: str) -> None:
        """Stop a running job within a second; another one's id changes nothing."""
        ...

    async def models(self, do: str, model_id: str = "") -> list[dict[str, Any]]:
        """``models``, ``load`` or ``unload``: see ``model_list.answer``."""
        ...

    async def close(self) -> None:
        """Stop every worker and what it started."""
        ...


class Seat:
    """Place for one worker: keeps a process on it, and knows the job that it does."""

    def __init__(self, config: LocalConfig) -> None:
        self._config = config
        self._process: WorkerProcess | None = None
        self._spawning = asyncio.Lock()
        self.job_id = ""
        self.cancelled = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def worker(self) -> WorkerProcess:
        """The process on this seat, started when there is none.

        Raises:
            WorkerGoneError: the seat was closed.
        """
        async with self._spawning:
            if self._closed:
                raise WorkerGoneError
            if self._process is None or self._process.gone:
                self._process = await WorkerProcess.spawn(self._config)
            return self._process

    async def attempt(self, order: Order, heard: Heard) -> bytes | None:
        """Do the job once: its result, or None when the worker died of it.

        Raises:
            EngineError: it failed or was cancelled.
        """
        self.job_id = order.job_id
        self._idle.clear()
        try:
            worker = await self.worker()
            if self.cancelled:
                raise CancelledError("The job was stopped.")
            spec = b64encode(order.spec).decode()
            await worker.send({"do": "job", "job_id": order.job_id, "spec": spec})
            return await self._follow(worker, heard)
        except WorkerGoneError:
            return None
        finally:
            self._idle.set()

    async def _follow(self, worker: WorkerProcess, heard: Heard) -> bytes | None:
        while (message := await worker.job_lines.get()) is not None:
            if message["is"] == "event":
                await heard(job_pb2.JobEvent.FromString(b64decode(message["event"])))
            elif message["is"] == "done":
                return b64decode(message["result"])
            else:
                raise _error(message["error"])
        return None

    async def cancel(self) -> None:
        """Ask the worker to stop; kill it when it has not within 0.6 s."""
        self.cancelled = True
        worker = self._process
        if worker is None or worker.gone or self._idle.is_set():
            return
        try:
            await worker.send({"do": "cancel", "job_id": self.job_id})
            await asyncio.wait_for(self._idle.wait(), _POLITE_S)
        except (TimeoutError, WorkerGoneError):
            worker.kill()

    async def close(self) -> None:
        async with self._spawning:
            self._closed = True
        if self._process is not None:
            self._process.kill()
            await asyncio.wait({self._process.reading})


class LocalExecutor:
    """Worker processes on this machine, one job each at a time."""

    def __init__(self, config: LocalConfig) -> None:
        self._home = config.home
        self._seats = [Seat(config) for _ in range(config.workers)]
        self._free: asyncio.Queue[Seat] = asyncio.Queue()
        self._running: dict[str, Seat] = {}
        self._closing = False
        self._warming: set[asyncio.Task[WorkerProcess]] = set()

    async def start(self) -> None:
        for seat in self._seats:
            self._free.put_nowait(seat)
            self._warm(seat)

    def _warm(self, seat: Seat) -> None:
        if not self._closing:
            task = asyncio.create_task(seat.worker())
            # Whoever needs the worker next meets the same failure and tells it.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def run(self, order: Order, heard: Heard) -> bytes:
        seat = await self._free.get()
        self._running[order.job_id] = seat
        seat.cancelled = False
        try:
            return await self._persist(seat, order, heard)
        finally:
            del self._running[order.job_id]
            self._free.put_nowait(seat)
            self._warm(seat)
            # A worker that was killed could not tidy up; this may block on the disk, so not here.
            asyncio.get_running_loop().run_in_executor(None, _clear, self._home / "jobs" / order.job_id)

    async def _persist(self, seat: Seat, order: Order, heard: Heard) -> bytes:
        crashes = 0

        async def listen(event: job_pb2.JobEvent) -> bool:
            nonlocal crashes
            further = await heard(event)
            crashes = 0 if further else crashes
            return further

        while True:
            result = await seat.attempt(order, listen)
            if result is not None:
                return result
            if seat.cancelled:
                raise CancelledError("The job was stopped.")
            crashes += 1
            log.warning("a worker died on job %s (%d in a row)", order.job_id, crashes)
            if crashes >= _MAX_CRASHES or self._closing:
                hint = "It may need more memory than there is: score a shorter edit, or look into log/worker.log."
                raise WorkerError("The worker process died again and again on this job.", hint)
            await asyncio.sleep(min(1.0, 0.02 * 2**crashes))

    async def cancel(self, job_id: str) -> None:
        seat = self._running.get(job_id)
        if seat is not None:
            await seat.cancel()

    async def models(self, do: str, model_id: str = "") -> list[dict[str, Any]]:
        try:
            worker = await self._seats[0].worker()
            answer = await worker.ask({"do": do, "id": model_id})
        except WorkerGoneError as error:
            raise UnavailableError("The worker process is starting again.", "Try again in a moment.") from error
        if answer["is"] == "refused":
            raise _error(answer["error"])
        return list(answer["models"])

    async def close(self) -> None:
        self._closing = True
        await asyncio.gather(*(seat.close() for seat in self._seats))


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _error(told: dict[str, str]) -> EngineError:
    if told["reason"] == CancelledError.reason:
        return CancelledError(told["message"], told["hint"])
    return RemoteError(told["reason"], told["message"], told["hint"])
