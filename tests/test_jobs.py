# SPDX-License-Identifier: AGPL-3.0-or-later
"""The job store: accepted means on disk, one request is one job, sequences have no gap."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from immersivaudio.engine import jobs
from immersivaudio.engine.blobs import NoSpaceError
from immersivaudio.engine.errors import NotFoundError, OutputError
from immersivaudio.engine.jobs import JobStore
from immersivaudio.v1 import job_pb2


@pytest.fixture
def store(tmp_path: Path):
    opened = JobStore(tmp_path / "jobs.sqlite3")
    yield opened
    opened.close()


def sequences(store: JobStore, job_id: str, after: int = 0) -> list[int]:
    return [event.sequence for event in store.events_after(job_id, after)[0]]


def progress(fraction: float) -> job_pb2.JobEvent:
    return job_pb2.JobEvent(progress=job_pb2.Progress(stage="perform", job_fraction=fraction))


def test_the_same_request_is_one_job(store: JobStore) -> None:
    first = store.create("r1", b"spec", 10)
    assert store.create("r1", b"spec", 10) == first
    with pytest.raises(jobs.RequestIdError):
        store.create("r1", b"other", 10)
    assert store.create("r2", b"spec", 10).job_id != first.job_id
    assert len(store.page(0, 10)) == 2


def test_the_queue_is_bounded_and_known_requests_still_answered(store: JobStore) -> None:
    first = store.create("r1", b"", 2)
    store.create("r2", b"", 2)
    with pytest.raises(jobs.QueueFullError):
        store.create("r3", b"", 2)
    assert store.create("r1", b"", 2) == first
    store.take()
    store.create("r3", b"", 2)


def test_jobs_run_in_the_order_they_came(store: JobStore) -> None:
    made = [store.create(f"r{number}", b"", 10).job_id for number in range(3)]
    taken = [row.job_id for _ in range(3) if (row := store.take())]
    assert taken == made
    assert store.take() is None


def test_a_store_outlives_its_process(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    program = f"""
import os, signal
from immersivaudio.engine.jobs import JobStore
from pathlib import Path
store = JobStore(Path({str(file)!r}))
print(store.create("r1", b"spec", 10).job_id, flush=True)
store.take()
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    store = JobStore(file)
    job_id = ended.stdout.strip()
    assert store.get(job_id).state == jobs.RUNNING
    assert store.requeue() == 1
    row = store.take()
    assert row is not None and row.job_id == job_id and row.spec == b"spec"
    assert sequences(store, job_id) == [1, 2, 3, 4]
    store.close()


def test_sequences_have_no_gap_and_resume(store: JobStore) -> None:
    row = store.create("r1", b"", 10)
    store.create("r2", b"", 10)
    store.take()
    for number in range(5):
        store.add_event(row.job_id, progress(number / 5))
    store.finish(row.job_id, jobs.SUCCEEDED, b"result")
    events, ended = store.events_after(row.job_id, 0)
    assert [event.sequence for event in events] == [*range(1, 9)]
    assert ended
    assert sequences(store, row.job_id, 6) == [7, 8]
    assert store.events_after(row.job_id, 0, limit=3)[1] is False
    assert store.get(row.job_id).result == b"result"
    assert store.get(row.job_id).progress == 1.0


def test_a_redo_says_nothing_twice_but_its_progress(store: JobStore) -> None:
    row = store.create("r1", b"", 10)
    warning = job_pb2.JobEvent(warning="A transition was taken as a cut.")
    assert store.add_event(row.job_id, warning)
    assert not store.add_event(row.job_id, warning)
    assert store.add_event(row.job_id, progress(0.5))
    assert store.add_event(row.job_id, progress(0.5))
    assert sequences(store, row.job_id) == [1, 2, 3, 4]


def test_cancel(store: JobStore) -> None:
    waiting, running, done = (store.create(f"r{number}", b"", 10).job_id for number in range(3))
    assert store.request_cancel(waiting).state == jobs.CANCELLED
    assert store.take().job_id == running
    assert store.request_cancel(running).state == jobs.RUNNING
    store.finish(running, jobs.SUCCEEDED, b"too late")
    assert store.get(running).state == jobs.CANCELLED
    assert store.get(running).result == b""
    store.take()
    store.finish(done, jobs.SUCCEEDED)
    assert store.request_cancel(done).state == jobs.SUCCEEDED
    with pytest.raises(NotFoundError):
        store.request_cancel("nobody")


def test_a_cancel_outlives_the_server(store: JobStore) -> None:
    row = store.create("r1", b"", 10)
    store.take()
    store.request_cancel(row.job_id)
    store.requeue()
    assert store.get(row.job_id).state == jobs.CANCELLED


def test_an_end_is_final(store: JobStore) -> None:
    row = store.create("r1", b"", 10)
    store.take()
    error = job_pb2.JobError(reason="MEDIA_UNREADABLE", message="It is corrupt.")
    store.finish(row.job_id, jobs.FAILED, error=error.SerializeToString())
    store.finish(row.job_id, jobs.SUCCEEDED, b"late")
    assert store.get(row.job_id).state == jobs.FAILED
    events, ended = store.events_after(row.job_id, 2)
    assert [event.WhichOneof("event") for event in events] == ["error", "state"]
    assert ended and events[0].error == error


def test_pages(store: JobStore) -> None:
    made = [store.create(f"r{number}", b"spec", 10).job_id for number in range(5)]
    first = store.page(0, 2)
    assert [row.job_id for row in first] == made[:2:-1]
    assert [row.job_id for row in store.page(first[-1].number, 9)] == made[2::-1]
    assert first[0].spec == b""


def test_a_second_engine_is_kept_off(tmp_path: Path, store: JobStore) -> None:
    store.create("r1", b"", 10)
    program = (
        "import sys; from pathlib import Path; from immersivaudio.engine.jobs import JobStore\n"
        f"try: JobStore(Path({str(tmp_path / 'jobs.sqlite3')!r}), patience_s=0.1)\n"
        "except Exception as error: sys.exit(str(error))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "Another engine serves" in ended.stderr


def test_what_is_no_job_list_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite3"
    file.write_bytes(b"somebody's diary" * 100)
    with pytest.raises(OutputError):
        JobStore(file)
    assert file.read_bytes().startswith(b"somebody")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError):
        JobStore(tmp_path / "home" / "jobs.sqlite3")


def test_ended_jobs_expire_by_age_and_count_and_unfinished_never(store: JobStore) -> None:
    made = [store.create(f"r{number}", b"spec %d" % number, 10).job_id for number in range(6)]
    for job_id in made[:4]:
        store.take()
        store.add_event(job_id, progress(0.5))
        store.finish(job_id, jobs.SUCCEEDED, b"result")
    running = store.take()
    assert running is not None
    assert store.expire(keep=2, ended_before_ns=0) == 2
    assert [row.job_id for row in store.page(0, 10)] == [made[5], made[4], made[3], made[2]]
    with pytest.raises(NotFoundError):
        store.events_after(made[0], 0)
    assert store.create("r0", b"spec 0", 10).job_id != made[0], "its request id is free again"
    assert store.expire(keep=9, ended_before_ns=time.time_ns()) == 2
    assert store.expire(keep=0, ended_before_ns=time.time_ns()) == 0
    assert sorted(store.unfinished()) == [b"spec 0", b"spec 4", b"spec 5"]
    assert store.get(running.job_id).state == jobs.RUNNING
    (left,) = store._database.execute("SELECT COUNT(DISTINCT job_id) FROM events").fetchone()
    assert left == 3


def test_a_full_disk_is_over_when_there_is_room_again(store: JobStore) -> None:
    job = store.create("r1", b"", 10).job_id
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(NoSpaceError):
        store.create("r2", bytes(1 << 20), 10)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.finish(job, jobs.SUCCEEDED, bytes(1 << 20), b"")
    store._database.execute("PRAGMA max_page_count=100000")
    assert store.create("r2", bytes(1 << 20), 10).job_id != job
