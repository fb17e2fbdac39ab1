# SPDX-License-Identifier: Apache-2.0
"""An engine of an editor's own: started by the bridge, reached only from this machine, gone with the editor."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import IO

import platformdirs

from immersivaudio.bridge.errors import EngineGoneError
from immersivaudio.bridge.process import spawn_engine

# Each engine locks its folder, so every editor that is open needs one; the first free one is taken.
_EDITORS_AT_ONCE = 8


class OwnEngine:
    """Behind a socket that only this user can open; may read what this user may read.

    Raises:
        EngineGoneError: it does not start.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="immersivaudio-")
        self.token = "" if sys.platform != "win32" else secrets.token_urlsafe(24)
        home = home or _usual_home()
        place, self._claim = _claimed(home / "editors")
        try:
            self._engine = spawn_engine(self._command(place, home / "cache"), log=place / "engine.log")
        except EngineGoneError:
            self._release()
            raise
        self.address = self._engine.address

    def close(self) -> None:
        self._engine.close()
        self._release()

    def _release(self) -> None:
        self._claim.close()
        self._folder.cleanup()

    def _command(self, place: Path, cache: Path) -> list[str]:
        address = "127.0.0.1:0" if sys.platform == "win32" else f"unix:{self._folder.name}/engine.sock"
        command = [sys.executable, "-m", "immersivaudio.engine.server", "--address", address, "--until-eof"]
        command += ["--home", str(place), "--cache", str(cache), "--root", Path.cwd().anchor]
        return [*command, "--token", self.token] if self.token else command


def _claimed(folder: Path) -> tuple[Path, IO[bytes]]:
    """A folder that no other editor's engine uses, and the lock that says so until it is closed or we are gone."""
    for number in range(1, _EDITORS_AT_ONCE + 1):
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        claim = (place / "editor.lock").open("ab")
        if _is_locked_by_us(claim):
            return place, claim
        claim.close()
    raise EngineGoneError(f"{_EDITORS_AT_ONCE} editors have an engine already.", "Close one, or run a shared engine.")


def _is_locked_by_us(file: IO[bytes]) -> bool:
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


def _usual_home() -> Path:
    named = os.environ.get("IMMERSIVAUDIO_HOME")
    return Path(named) if named else Path(platformdirs.user_data_dir("immersivaudio", appauthor=False))
