# SPDX-License-Identifier: AGPL-3.0-or-later
"""A folder of sounds into the index: only what is new or has changed is read, only what lies in it, and no link is
followed. What was read is kept every few hundred files, so a walk that is broken off goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.errors import CancelledError, EngineError, RequestError
from immersivaudio.engine.library import reading
from immersivaudio.engine.library.index import Index, Seen
from immersivaudio.engine.library.records import Folder, Notes

Cancelled = Callable[[], bool]
# How many files were looked at, of how many.
Report = Callable[[int, int], None]
_BATCH = 400
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Walked:
    """How many files a walk found, read anew and forgot, and what could not be read, with the reason."""

    files: int
    read: int
    gone: int
    faults: tuple[tuple[str, str], ...] = ()


def walk(index: Index, folder: Folder, cancelled: Cancelled, report: Report) -> Walked:
    """Bring the index of ``folder`` up to date.

    Raises:
        RequestError: the folder is not there (its drive may be away): nothing is forgotten then. CancelledError.
    """
    if not folder.path.is_dir():
        raise RequestError(f"The folder {folder.path} of the library {folder.name} is not there.", "Mount its drive.")
    every = sorted(_files(folder.path, 0))
    found = [one for one in every if _is_utf8(one[0])]
    known = index.known(folder)
    fresh = [one for one in found if known.get(one[0]) != one[1:]]
    faults = [(_readable(path), "Its name is not UTF-8: rename it.") for path, *_ in every if not _is_utf8(path)]
    for first in range(0, len(fresh), _BATCH):
        batch: list[Seen] = []
        for path, size, mtime_ns in fresh[first : first + _BATCH]:
            if cancelled():
                index.put_files(folder, batch)
                raise CancelledError("Stopped; what was indexed so far is kept.")
            batch.append(_seen(folder.path, path, size, mtime_ns))
        index.put_files(folder, batch)
        faults += [(seen.path, seen.fault) for seen in batch if seen.fault]
        report(min(first + _BATCH, len(fresh)), len(fresh))
    gone = sorted(known.keys() - {path for path, _, _ in found})
    index.drop_files(folder, gone)
    return Walked(len(found), len(fresh), len(gone), tuple(faults))


def _files(folder: Path, depth: int, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """``(path below the library, size, time)`` of every sound file; hidden ones and links are left out."""
    try:
        inside = list(os.scandir(folder))
    except OSError:
        return
    for entry in inside:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
            yield from _files(folder / entry.name, depth + 1, f"{prefix}{entry.name}/")
        elif Path(entry.name).suffix.lower() in reading.ENDINGS and entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            yield f"{prefix}{entry.name}", status.st_size, status.st_mtime_ns


def _is_utf8(path: str) -> bool:
    return _readable(path) == path


def _readable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


def _seen(folder: Path, path: str, size: int, mtime_ns: int) -> Seen:
    try:
        return Seen(path, size, mtime_ns, reading.read(folder / path, folder))
    except EngineError as error:
        return Seen(path, size, mtime_ns, Notes(Path(path).stem), error.message)
    except OSError as error:
        return Seen(path, size, mtime_ns, Notes(Path(path).stem), f"It cannot be read: {error.strerror}.")
