# SPDX-License-Identifier: Apache-2.0
"""An engine of an editor's own: started by the bridge, reached only from this machine, gone with the editor."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path

import platformdirs

from immersivaudio.bridge.errors import EngineGoneError
from immersivaudio.bridge.process import Engine, spawn_engine

# Each engine locks its folder, so every editor that is open needs one; the first free one is taken.
_EDITORS_AT_ONCE = 8
_LOCKED = b"Another engine serves from"


class OwnEngine:
    """Behind a socket that only this user can open; may read what this user may read.

    Raises:
        EngineGoneError: it does not start.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="immersivaudio-")
        self.token = "" if sys.platform != "win32" else secrets.token_urlsafe(24)
        self._engine = self._started(home or _usual_home())
        self.address = self._engine.address

    def close(self) -> None:
        self._engine.close()
        self._folder.cleanup()

    def _started(self, home: Path) -> Engine:
        for number in range(1, _EDITORS_AT_ONCE + 1):
            place = home / "editors" / str(number)
            place.mkdir(parents=True, exist_ok=True)
            log = place / "engine.log"
            before = log.stat().st_size if log.exists() else 0
            try:
                return spawn_engine(self._command(place, home / "cache"), log=log)
            except EngineGoneError:
                taken = _LOCKED in log.read_bytes()[before:]
                if number == _EDITORS_AT_ONCE or not taken:
                    self._folder.cleanup()
                    raise
        raise AssertionError("the loop returns or raises")

    def _command(self, place: Path, cache: Path) -> list[str]:
        address = "127.0.0.1:0" if sys.platform == "win32" else f"unix:{self._folder.name}/engine.sock"
        command = [sys.executable, "-m", "immersivaudio.engine.server", "--address", address, "--until-eof"]
        command += ["--home", str(place), "--cache", str(cache), "--root", Path.cwd().anchor]
        return [*command, "--token", self.token] if self.token else command


def _usual_home() -> Path:
    named = os.environ.get("IMMERSIVAUDIO_HOME")
    return Path(named) if named else Path(platformdirs.user_data_dir("immersivaudio", appauthor=False))
