# SPDX-License-Identifier: AGPL-3.0-or-later
"""How much is kept on disk: what was not used for longest goes first, and never what a job at work uses.

A file counts as used when :func:`use` was last called for it (its date of change). A job at work holds a lock in the
cache (:func:`at_work`); what was used since the oldest of them began is spared, also by other engines on that cache.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KEPT = ("takes", "watch", "mix", "aac")
"""The folders of a cache that are held to a size; whatever else lies there is somebody else's business."""

_WORK, _MARK = "at-work", ".tidied"
_EVERY_S = 3600.0
# Where locks cannot tell whether a job is at work, what was used within a day is spared.
_SPARED_S = 24 * 3600.0
# Tidying goes a little below the limit, so that it is not due again at once.
_DOWN_TO = 0.9


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes; ended jobs go when there are more than ``jobs`` of them or they ended over ``days`` ago."""

    cache_bytes: int = 20 << 30
    blob_bytes: int = 20 << 30
    jobs: int = 1000
    days: float = 30.0


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    used_s: float
    size: int


def kept(cache: Path, folder: str, name: str) -> Path:
    """Where ``cache`` keeps the file ``name`` (a key and an ending) of one of the ``KEPT`` folders."""
    return cache / folder / name[:2] / name


def use(path: Path) -> None:
    """Note that a kept file is used now."""
    with contextlib.suppress(OSError):
        os.utime(path)


@contextlib.contextmanager
def at_work(cache: Path) -> Iterator[None]:
    """While the block runs, and this process lives, what is used from now on is spared."""
    folder = cache / _WORK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / uuid.uuid4().hex
        held = mark.open("w")
    except OSError:
        # A cache that cannot be written is not tidied either.
        yield
        return
    with held:
        _lock(held.fileno())
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)


def tidy_cache(cache: Path, most_bytes: int) -> int:
    """Bring the kept folders of ``cache`` under ``most_bytes``, at most once an hour; how many bytes went."""
    mark = cache / _MARK
    with contextlib.suppress(OSError):
        if time.time() - mark.stat().st_mtime < _EVERY_S:
            return 0
    with contextlib.suppress(OSError):
        mark.touch()
    return tidy([cache / name for name in KEPT], most_bytes, _spared_since(cache / _WORK))


def tidy(
    folders: Sequence[Path], most_bytes: int, since_s: float, spared: Callable[[Path], bool] = lambda path: False
) -> int:
    """Remove what was not used for longest until ``folders`` hold ``most_bytes``; how many bytes went.

    What was used after ``since_s`` (seconds of the epoch) stays, and so does what is ``spared``.
    """
    files = sorted((file for folder in folders for file in _files(folder)), key=lambda file: file.used_s)
    held = sum(file.size for file in files)
    goal, gone = (held if held <= most_bytes else int(most_bytes * _DOWN_TO)), 0
    for file in files:
        if held - gone <= goal:
            break
        if file.used_s < since_s and not spared(file.path) and _remove(file, since_s):
            gone += file.size
    return gone


def size(folder: Path) -> int:
    """Bytes of all files in ``folder``."""
    return sum(file.size for file in _files(folder))


def _files(folder: Path) -> Iterator[_File]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not path.is_dir():
                yield _File(path, status.st_mtime, status.st_size)


def _remove(file: _File, since_s: float) -> bool:
    """Remove it, unless somebody used it meanwhile."""
    try:
        if file.path.lstat().st_mtime >= since_s:
            return False
        file.path.unlink()
    except OSError:
        return False
    return True


def _spared_since(folder: Path) -> float:
    """When the oldest job at work began; what a killed one left is removed."""
    now = time.time()
    if sys.platform == "win32" or not folder.is_dir():
        return now - _SPARED_S if sys.platform == "win32" else now
    began = [now]
    for mark in folder.iterdir():
        with contextlib.suppress(OSError):
            if _is_held(mark):
                began.append(mark.stat().st_mtime)
            else:
                mark.unlink()
    return min(began)


def _is_held(mark: Path) -> bool:
    with mark.open() as held:
        try:
            _lock(held.fileno())
        except BlockingIOError:
            return True
    return False


def _lock(descriptor: int) -> None:
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
