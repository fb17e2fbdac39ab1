# SPDX-License-Identifier: Apache-2.0
"""An engine of an editor's own: started by the bridge, reached only from this machine, gone with the editor."""

from __future__ import annotations

import os
import secrets
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import platformdirs

from immersivaudio.bridge.errors import EngineGoneError
from immersivaudio.bridge.own_folder import OwnFolder, is_locked_by_us
from immersivaudio.bridge.process import spawn_engine

# Each engine locks its folder, so every editor that is open needs one; the first free one is taken.
_EDITORS_AT_ONCE = 8


class OwnEngine:
    """Behind a socket that only this user can open; may read what this user may read.

    Raises:
        EngineGoneError: it does not start.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._folder = OwnFolder()
        self.token = secrets.token_urlsafe(24) if sys.platform == "win32" else ""
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
        self._folder.close()

    def _command(self, place: Path, cache: Path) -> list[str]:
        address = address_in(str(self._folder.path), sys.platform)
        command = [sys.executable, "-m", "immersivaudio.engine.server", "--address", address, "--until-eof"]
        command += ["--home", str(place), "--cache", str(cache)]
        command += [word for root in roots(sys.platform) for word in ("--root", root)]
        return [*command, "--token", self.token] if self.token else command


def address_in(folder: str, platform: str) -> str:
    """Where an engine of our own listens: at a socket in ``folder``, or where there are none at a free port of this
    machine (which anybody here may try: it wants a token)."""
    return "127.0.0.1:0" if platform == "win32" else f"unix:{folder}/engine.sock"


def roots(platform: str, exists: Callable[[str], bool] = os.path.exists) -> list[str]:
    """Everything that there is: one root, or one of every drive. Media on shares travel by their bytes."""
    if platform != "win32":
        return ["/"]
    return [f"{letter}:\\" for letter in string.ascii_uppercase if exists(f"{letter}:\\")]


def _claimed(folder: Path) -> tuple[Path, IO[bytes]]:
    """A folder that no other editor's engine uses, and the lock that says so until it is closed or we are gone."""
    for number in range(1, _EDITORS_AT_ONCE + 1):
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        claim = (place / "editor.lock").open("ab")
        if is_locked_by_us(claim):
            return place, claim
        claim.close()
    raise EngineGoneError(f"{_EDITORS_AT_ONCE} editors have an engine already.", "Close one, or run a shared engine.")


def _usual_home() -> Path:
    named = os.environ.get("IMMERSIVAUDIO_HOME")
    return Path(named) if named else Path(platformdirs.user_data_dir("immersivaudio", appauthor=False))
