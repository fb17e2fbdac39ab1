# SPDX-License-Identifier: AGPL-3.0-or-later
"""Durable jobs: one SQLite file, written by the server process only, committed before anything is acknowledged.

Every change of state and its event are one transaction. ``locking_mode=EXCLUSIVE`` makes SQLite itself keep a second
engine off the same folder, on every operating system, and lets go when the process dies.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.blobs import no_space
from immersivaudio.engine.errors import NotFoundError, OutputError, RequestError
from immersivaudio.v1 import job_pb2

QUEUED = job_pb2.JOB_STATE_QUEUED
RUNNING = job_pb2.JOB_STATE_RUNNING
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
FAILED = job_pb2.JOB_STATE_FAILED
CANCELLED = job_pb2.JOB_STATE_CANCELLED
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL UNIQUE,
    spec BLOB NOT NULL,
    spec_sha256 TEXT NOT NULL,
    state INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0,
    result BLOB,
    error BLOB,
    created_ns INTEGER NOT NULL,
    ended_ns INTEGER
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE TABLE events (
    job_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    once TEXT,
    payload BLOB NOT NULL,
    PRIMARY KEY (job_id, sequence)
) WITHOUT ROWID;
CREATE UNIQUE INDEX events_once ON events (job_id, once) WHERE once IS NOT NULL;
"""


class QueueFullError(RequestError):
    """More jobs wait than the operator allows; trying later helps."""

    reason = "QUEUE_FULL"


class RequestIdError(RequestError):
    """The same request id came with another spec."""

    reason = "REQUEST_ID_REUSED"


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it is on disk; ``spec``, ``result`` and ``error`` are serialized messages, empty when there is none."""

    number: int
    job_id: str
    request_id: str
    spec: bytes
    state: job_pb2.JobState
    cancel_requested: bool
    progress: float
    result: bytes
    error: bytes
    created_ns: int
    ended_ns: int


_COLUMNS = "number, job_id, request_id, spec, state, cancel_requested, progress, result, error, created_ns, ended_ns"
_BRIEF_COLUMNS = _COLUMNS.replace("spec,", "x'',").replace("result,", "x'',")


class JobStore:
    """Jobs and their events. Calls block on the disk and come from one thread at a time.

    Raises:
        OutputError: the folder cannot be written, holds something else, or another engine serves from it.
    """

    def __init__(self, file: Path, patience_s: float = 5.0) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, timeout=patience_s, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise _open_error(file, error) from error

    def _prepare(self) -> None:
        database = self._database
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        with self._writing():
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _SCHEMA_VERSION:
                raise sqlite3.DatabaseError("it was written by a newer engine")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            # A full disk ends it by itself, or leaves it open for ever.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._database.close()

    def create(self, request_id: str, spec: bytes, max_queued: int) -> JobRow:
        """The job of ``request_id``: a new one, or the one that the same request made before.

        Raises:
            RequestIdError: the id came with another spec before. QueueFullError: ``max_queued`` jobs wait already.
            NoSpaceError: the disk is full.
        """
        digest = hashlib.sha256(spec).hexdigest()
        with _full_disk_said(), self._writing() as database:
            known = database.execute(
                "SELECT job_id, spec_sha256 FROM jobs WHERE request_id=?", (request_id,)
            ).fetchone()
            if known is not None:
                if known[1] != digest:
                    raise RequestIdError("This request id was used for another job.", "Choose a new request id.")
                return self.get(known[0])
            self._refuse_when_full(max_queued)
            job_id = uuid.uuid4().hex
            database.execute(
                "INSERT INTO jobs (job_id, request_id, spec, spec_sha256, state, created_ns) VALUES (?,?,?,?,?,?)",
                (job_id, request_id, spec, digest, QUEUED, time.time_ns()),
            )
            self._append(job_id, job_pb2.JobEvent(state=QUEUED))
        return self.get(job_id)

    def _refuse_when_full(self, max_queued: int) -> None:
        (waiting,) = self._database.execute("SELECT COUNT(*) FROM jobs WHERE state=?", (QUEUED,)).fetchone()
        if waiting >= max_queued:
            raise QueueFullError(f"{waiting} jobs are waiting already.", "Try again when some of them are done.")

    def get(self, job_id: str) -> JobRow:
        """One job.

        Raises:
            NotFoundError: there is none of that id.
        """
        row = self._database.execute(f"SELECT {_COLUMNS} FROM jobs WHERE job_id=?", (job_id,)).fetchone()
        if row is None:
            raise NotFoundError("No job has this id.", "List the jobs to see which ids there are.")
        return _row(row)

    def page(self, before: int, size: int) -> Sequence[JobRow]:
        """Up to ``size`` jobs numbered below ``before`` (0: from the newest), newest first, without spec and result."""
        limit = before or (1 << 62)
        query = f"SELECT {_BRIEF_COLUMNS} FROM jobs WHERE number<? ORDER BY number DESC LIMIT ?"
        return [_row(row) for row in self._database.execute(query, (limit, size))]

    def take(self) -> JobRow | None:
        """The job that waits longest, now RUNNING; None when none waits."""
        with self._writing() as database:
            query = "SELECT job_id FROM jobs WHERE state=? ORDER BY number LIMIT 1"
            found = database.execute(query, (QUEUED,)).fetchone()
            if found is None:
                return None
            self._move(found[0], RUNNING)
        return self.get(found[0])

    def add_event(self, job_id: str, event: job_pb2.JobEvent) -> bool:
        """Append an event; False when a redo said again what was said before (files, warnings, the sheet)."""
        once = None
        if event.WhichOneof("event") != "progress":
            once = hashlib.sha256(event.SerializeToString(deterministic=True)).hexdigest()
        with self._writing() as database:
            if once and database.execute("SELECT 1 FROM events WHERE job_id=? AND once=?", (job_id, once)).fetchone():
                return False
            if once is None:
                fraction = event.progress.job_fraction
                database.execute("UPDATE jobs SET progress=? WHERE job_id=?", (fraction, job_id))
            self._append(job_id, event, once)
        return True

    def finish(self, job_id: str, state: job_pb2.JobState, result: bytes = b"", error: bytes = b"") -> None:
        """End a job. One that somebody asked to cancel ends CANCELLED, whatever it came to meanwhile."""
        with self._writing() as database:
            query = "SELECT state, cancel_requested FROM jobs WHERE job_id=?"
            now, cancel = database.execute(query, (job_id,)).fetchone()
            if now in ENDED:
                return
            if cancel:
                state, result, error = CANCELLED, b"", b""
            database.execute("UPDATE jobs SET result=?, error=? WHERE job_id=?", (result, error, job_id))
            if error:
                self._append(job_id, job_pb2.JobEvent(error=job_pb2.JobError.FromString(error)))
            self._move(job_id, state)

    def request_cancel(self, job_id: str) -> JobRow:
        """Note that a job shall stop; one that still waits is CANCELLED at once, an ended one stays as it is."""
        with self._writing() as database:
            if self.get(job_id).state not in ENDED:
                database.execute("UPDATE jobs SET cancel_requested=1 WHERE job_id=?", (job_id,))
            if self.get(job_id).state == QUEUED:
                self._move(job_id, CANCELLED)
        return self.get(job_id)

    def requeue(self) -> int:
        """Put every RUNNING job back into the queue, after its server stopped or died; says how many."""
        with self._writing() as database:
            query = "SELECT job_id, cancel_requested FROM jobs WHERE state=?"
            running = database.execute(query, (RUNNING,)).fetchall()
            for job_id, cancel in running:
                self._move(job_id, CANCELLED if cancel else QUEUED)
        return len(running)

    def unfinished(self) -> Sequence[bytes]:
        """The specs of the jobs that wait or run."""
        query = "SELECT spec FROM jobs WHERE state IN (?, ?)"
        return [spec for (spec,) in self._database.execute(query, (QUEUED, RUNNING))]

    def expire(self, keep: int, ended_before_ns: int) -> int:
        """Forget jobs that ended before a moment, or that more than ``keep`` jobs ended after; says how many.

        Their events go with them, and a request id of theirs is free again. Unfinished jobs are never forgotten.
        """
        ended = f"state IN ({', '.join(str(int(state)) for state in sorted(ENDED))})"
        with self._writing() as database:
            query = f"SELECT job_id FROM jobs WHERE {ended} AND (ended_ns<? OR job_id NOT IN (SELECT job_id FROM jobs "
            query += f"WHERE {ended} ORDER BY ended_ns DESC LIMIT ?))"
            gone = [(job_id,) for (job_id,) in database.execute(query, (ended_before_ns, keep)).fetchall()]
            database.executemany("DELETE FROM events WHERE job_id=?", gone)
            database.executemany("DELETE FROM jobs WHERE job_id=?", gone)
        return len(gone)

    def events_after(self, job_id: str, sequence: int, limit: int = 256) -> tuple[Sequence[job_pb2.JobEvent], bool]:
        """Up to ``limit`` events after ``sequence``, and whether the job has ended and these are the last.

        Raises:
            NotFoundError: there is no such job.
        """
        ended = self.get(job_id).state in ENDED
        query = "SELECT sequence, payload FROM events WHERE job_id=? AND sequence>? ORDER BY sequence LIMIT ?"
        rows = self._database.execute(query, (job_id, sequence, limit)).fetchall()
        return [_event(*row) for row in rows], ended and len(rows) < limit

    def _move(self, job_id: str, state: job_pb2.JobState) -> None:
        ended = time.time_ns() if state in ENDED else None
        self._database.execute("UPDATE jobs SET state=?, ended_ns=? WHERE job_id=?", (state, ended, job_id))
        if state == SUCCEEDED:
            self._database.execute("UPDATE jobs SET progress=1 WHERE job_id=?", (job_id,))
        self._append(job_id, job_pb2.JobEvent(state=state))

    def _append(self, job_id: str, event: job_pb2.JobEvent, once: str | None = None) -> None:
        stamped = job_pb2.JobEvent()
        stamped.CopyFrom(event)
        stamped.time.FromNanoseconds(time.time_ns())
        self._database.execute(
            "INSERT INTO events SELECT ?, COALESCE(MAX(sequence), 0) + 1, ?, ? FROM events WHERE job_id=?",
            (job_id, once, stamped.SerializeToString(), job_id),
        )


def _row(values: tuple[object, ...]) -> JobRow:
    row = dict(zip(JobRow.__slots__, values, strict=True))
    for name in ("result", "error"):
        row[name] = row[name] or b""
    row["ended_ns"] = row["ended_ns"] or 0
    row["cancel_requested"] = bool(row["cancel_requested"])
    return JobRow(**row)  # type: ignore[arg-type]


def _event(sequence: int, payload: bytes) -> job_pb2.JobEvent:
    event = job_pb2.JobEvent.FromString(payload)
    event.sequence = sequence
    return event


def _open_error(file: Path, error: Exception) -> OutputError:
    if "locked" in str(error):
        return OutputError(f"Another engine serves from {file.parent}.", "Stop it, or choose another --home.")
    return OutputError(
        f"The job list {file} cannot be opened: {error}.", "Choose another --home, or move the file away."
    )


@contextmanager
def _full_disk_said() -> Iterator[None]:
    """What is only asked for is refused; what was accepted waits for room (see ``dispatch.py``)."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise no_space() from error
