# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is kept on disk: the least recently used goes, what a job at work uses stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from immersivaudio.engine import housekeeping, services
from immersivaudio.engine.blobs import BlobStore
from immersivaudio.v1 import job_pb2

OLD_S = time.time() - 10_000


def fill(folder: Path, count: int, kib: int = 10) -> list[Path]:
    """Files of ``kib``, each used a second after the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"{number:02d}.bin" for number in range(count)]
    for number, path in enumerate(made):
        path.write_bytes(bytes(kib << 10))
        os.utime(path, (OLD_S + number, OLD_S + number))
    return made


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    takes, watched = fill(tmp_path / "takes" / "ab", 10), fill(tmp_path / "watch", 2)
    housekeeping.use(takes[0])
    assert housekeeping.tidy_cache(tmp_path, 60 << 10) == 70 << 10
    assert takes[0].exists(), "it was used just now"
    assert [path.exists() for path in takes[1:]] == [False] * 5 + [True] * 4
    assert not any(path.exists() for path in watched), "they were not used for longest"
    assert sum(housekeeping.size(tmp_path / name) for name in housekeeping.KEPT) == 50 << 10


def test_below_the_limit_nothing_goes_and_nothing_else_is_touched(tmp_path: Path) -> None:
    takes, foreign = fill(tmp_path / "takes", 5), fill(tmp_path / "models", 5)
    assert housekeeping.tidy_cache(tmp_path, 50 << 10) == 0
    (tmp_path / ".tidied").unlink()
    assert housekeeping.tidy_cache(tmp_path, 0) == 50 << 10
    assert not any(path.exists() for path in takes)
    assert all(path.exists() for path in foreign)


def test_it_is_done_once_an_hour(tmp_path: Path) -> None:
    housekeeping.tidy_cache(tmp_path, 0)
    fill(tmp_path / "takes", 3)
    assert housekeeping.tidy_cache(tmp_path, 0) == 0
    os.utime(tmp_path / ".tidied", (OLD_S, OLD_S))
    assert housekeeping.tidy_cache(tmp_path, 0) == 30 << 10


_AT_WORK = """
import sys
from pathlib import Path
from immersivaudio.engine import housekeeping
with housekeeping.at_work(Path(sys.argv[1])):
    housekeeping.use(Path(sys.argv[2]))
    print("at work", flush=True)
    sys.stdin.read()
"""


def test_what_a_job_of_another_engine_uses_stays_until_it_ends_or_dies(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "takes", 2)
    command = [sys.executable, "-c", _AT_WORK, str(tmp_path), str(one)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as working:
        assert working.stdout is not None
        assert working.stdout.readline() == b"at work\n"
        housekeeping.tidy_cache(tmp_path, 0)
        assert one.exists() and not other.exists()
        working.kill()
        working.wait()
    os.utime(tmp_path / ".tidied", (OLD_S, OLD_S))
    housekeeping.tidy_cache(tmp_path, 0)
    assert not one.exists()
    assert not list((tmp_path / "at-work").iterdir()), "what the killed one left is removed"


def test_a_cache_that_cannot_be_written_does_not_stop_a_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with housekeeping.at_work(tmp_path / "file"):
        pass
    assert housekeeping.tidy_cache(tmp_path / "file", 0) == 0


def test_blobs_that_a_waiting_job_needs_stay(tmp_path: Path) -> None:
    store, digests = BlobStore(tmp_path / "blobs"), []
    for number in range(4):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes([number]) * 1000)
        digests.append(store.put(path))
    spec = job_pb2.JobSpec()
    spec.source.media_by_url["a"].blob.sha256 = digests[1].sha256
    spec.source.timeline.blob.sha256 = digests[2].sha256
    in_use = set(services.digests_in(spec.SerializeToString()))
    assert in_use == {digests[1].sha256, digests[2].sha256}
    assert store.tidy(0, in_use) == 0, "all of them came within the hour"
    for digest in digests[:3]:
        os.utime(tmp_path / "blobs" / digest.sha256[:2] / digest.sha256, (OLD_S, OLD_S))
    assert store.tidy(0, in_use) == 1000
    assert [store.holds(digest) for digest in digests] == [False, True, True, True]
