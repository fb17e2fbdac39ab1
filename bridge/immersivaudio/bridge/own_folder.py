# SPDX-License-Identifier: Apache-2.0
"""Where an engine of one's own listens: a folder of this process, which the next such process removes if this is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from immersivaudio.bridge.errors import EngineGoneError

_PREFIX, _LOCK = "immersivaudio-", ".in-use"
# A folder this young may not have its lock yet.
_YOUNG_S = 60.0


class OwnFolder:
    """A folder that only this user may open, locked while this process lives.

    Raises:
        EngineGoneError: no folder for temporary files can be written.
    """

    def __init__(self) -> None:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
            self.path = Path(self._folder.name)
            self._lock = (self.path / _LOCK).open("ab")
        except OSError as error:
            raise EngineGoneError(
                f"No folder for temporary files can be written ({error.strerror}).", "Set TMPDIR to one that can."
            ) from error
        is_locked_by_us(self._lock)
        clear_dead(self.path.parent)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._lock.close()
        self._folder.cleanup()


def clear_dead(place: Path) -> None:
    """Remove from ``place`` what killed processes of this user left: their locks are there, and nobody holds them."""
    if sys.platform == "win32":
        return
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > _YOUNG_S:
                with (folder / _LOCK).open("rb") as lock:
                    if is_locked_by_us(lock):
                        shutil.rmtree(folder, ignore_errors=True)


def is_locked_by_us(file: IO[bytes]) -> bool:
    """Whether ``file`` is locked now, by us, until it is closed or we are gone; False where another holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
