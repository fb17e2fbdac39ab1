# SPDX-License-Identifier: AGPL-3.0-or-later
"""The foreman: takes jobs from the store, gives them to the executor, writes down what happens, wakes who watches."""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from immersivaudio.engine import jobs
from immersivaudio.engine.errors import CancelledError, EngineError, UnavailableError
from immersivaudio.engine.executor import Executor, Heard, Order
from immersivaudio.engine.housekeeping import Limits
from immersivaudio.engine.jobs import JobRow, JobStore
from immersivaudio.v1 import job_pb2

P = ParamSpec("P")
T = TypeVar("T")
_DISK_RETRY_S = 2.0

log = logging.getLogger("immersivaudio.dispatch")


class StoppingError(UnavailableError):
    """The engine is about to stop; its jobs wait on disk for its next start."""

    reason = "ENGINE_STOPPING"


class Dispatcher:
    """Runs the jobs of a store on an executor, ``lanes`` at a time, oldest first."""

    def __init__(self, store: JobStore, executor: Executor, lanes: int, max_queue: int) -> None:
        self._store, self._executor, self._lanes, self._max_queue = store, executor, lanes, max_queue
        # SQLite blocks on the disk, and its connection belongs to one thread at a time: who holds the lock.
        self._disk = ThreadPoolExecutor(1, "jobs")
        self._quiet = threading.Lock()
        self._work = asyncio.Event()
        self._pulses: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = self._closed = False

    async def start(self) -> None:
        """Take up what an earlier run left, and begin."""
        left = await self._on_disk(self._store.requeue)
        if left:
            log.info("%d jobs of an earlier run wait again", left)
        self._work.set()
        self._tasks = {asyncio.create_task(self._lane()) for _ in range(self._lanes)}

    async def close(self) -> None:
        """Stop: running jobs go back into the queue, watchers are told to come back."""
        self._closing = True
        for pulse in list(self._pulses.values()):
            pulse.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._executor.close()
        await self._on_disk(self._store.requeue)
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._disk, self._alone, self._store.close)
        self._disk.shutdown()

    async def create(self, request_id: str, spec: bytes) -> JobRow:
        """Accept a job; it is on disk when this returns.

        Raises:
            RequestIdError, QueueFullError: see ``JobStore.create``.
        """
        row = await self._on_disk(self._store.create, request_id, spec, self._max_queue)
        self._work.set()
        return row

    async def get(self, job_id: str) -> JobRow:
        """One job as it is now.

        Raises:
            NotFoundError: there is none of that id.
        """
        # A look-up takes microseconds, a change of threads a hundred of them: worth it only behind a write.
        if not self._closed and self._quiet.acquire(blocking=False):
            try:
                return self._store.get(job_id)
            finally:
                self._quiet.release()
        return await self._on_disk(self._store.get, job_id)

    async def page(self, before: int, size: int) -> Sequence[JobRow]:
        return await self._on_disk(self._store.page, before, size)

    async def cancel(self, job_id: str) -> JobRow:
        """Stop a job; a running one ends within a second."""
        row = await self._on_disk(self._store.request_cancel, job_id)
        self._pulse(job_id)
        if row.state == jobs.RUNNING:
            await self._executor.cancel(job_id)
        return await self._on_disk(self._store.get, job_id)

    async def expire(self, limits: Limits) -> int:
        """Forget ended jobs that are old or too many; says how many."""
        before_ns = time.time_ns() - round(limits.days * 86_400 * 1e9)
        return await self._on_disk(self._store.expire, limits.jobs, before_ns)

    async def unfinished(self) -> Sequence[bytes]:
        """The specs of the jobs that wait or run."""
        return await self._on_disk(self._store.unfinished)

    async def watch(self, job_id: str, after: int) -> AsyncIterator[job_pb2.JobEvent]:
        """Events after a sequence number, then new ones as they come, until the job has ended.

        Raises:
            NotFoundError: there is no such job. StoppingError: the engine stops; resume when it is back.
        """
        while not self._closing:
            # Taken before reading: what happens in between is not slept through.
            pulse = self._pulses[job_id]
            try:
                events, ended = await self._on_disk(self._store.events_after, job_id, after)
            except EngineError:
                self._pulses.pop(job_id, None)
                raise
            for event in events:
                after = event.sequence
                yield event
            if ended:
                self._pulses.pop(job_id, None)
                return
            if not events:
                await pulse.wait()
        raise _stopping()

    async def _lane(self) -> None:
        while True:
            # Cleared before looking: a job that comes in between sets it again.
            self._work.clear()
            row = await self._patiently(self._store.take)
            if row is None:
                await self._work.wait()
            else:
                await self._run(row)

    async def _run(self, row: JobRow) -> None:
        self._pulse(row.job_id)
        state, result, error = jobs.SUCCEEDED, b"", b""
        try:
            result = await self._executor.run(Order(row.job_id, row.spec), self._listener(row))
        except CancelledError:
            state = jobs.CANCELLED
        except EngineError as failure:
            state, error = jobs.FAILED, _job_error(failure)
        except Exception:
            log.exception("job %s broke the dispatcher", row.job_id)
            broken = EngineError("Something in the engine broke.", "Look into the engine's log.")
            state, error = jobs.FAILED, _job_error(broken)
        await self._patiently(self._store.finish, row.job_id, state, result, error)
        self._pulse(row.job_id)
        self._pulses.pop(row.job_id, None)

    def _listener(self, row: JobRow) -> Heard:
        furthest = 0.0

        async def heard(event: job_pb2.JobEvent) -> bool:
            nonlocal furthest
            new = await self._patiently(self._store.add_event, row.job_id, event)
            self._pulse(row.job_id)
            if event.WhichOneof("event") != "progress":
                return new
            further = event.progress.job_fraction > furthest
            furthest = max(furthest, event.progress.job_fraction)
            return further

        return heard

    def _pulse(self, job_id: str) -> None:
        pulse = self._pulses.pop(job_id, None)
        if pulse is not None:
            pulse.set()

    async def _patiently(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write to the disk, and again when it is full: nothing that was accepted may be lost for want of space."""
        while True:
            try:
                return await self._on_disk(call, *args, **kwargs)
            except sqlite3.OperationalError:
                log.exception("the job list cannot be written; trying again")
                await asyncio.sleep(_DISK_RETRY_S)

    async def _on_disk(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise _stopping()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._disk, functools.partial(self._alone, call, *args, **kwargs))

    def _alone(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._quiet:
            return call(*args, **kwargs)


def _stopping() -> StoppingError:
    return StoppingError("The engine is stopping.", "Reconnect when it is back; its jobs wait on its disk.")


def _job_error(error: EngineError) -> bytes:
    told = job_pb2.JobError(reason=error.reason, message=error.message, hint=error.hint)
    return told.SerializeToString()
