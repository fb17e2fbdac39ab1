# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which engine a command talks to: the running one that was named, or one of its own for the length of the call."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from immersivaudio.bridge.client import Client, Engine, spawn_engine
from immersivaudio.bridge.own_folder import OwnFolder
from immersivaudio.engine.errors import OutputError
from immersivaudio.engine.models.store import home as home

GIB = 1 << 30
_LOG_BYTES = 1 << 20
_LOCK, _DAY_S = ".in-use", 24 * 3600


def cache_bytes() -> int:
    """How large the cache may grow: IMMERSIVAUDIO_CACHE_GB, 20 when it says nothing sensible."""
    with contextlib.suppress(ValueError):
        wanted = float(os.environ.get("IMMERSIVAUDIO_CACHE_GB", ""))
        if 0 <= wanted < 1e9:
            return round(wanted * GIB)
    return 20 * GIB


@contextlib.contextmanager
def connect(address: str, token: str = "", ca: Path | None = None) -> Iterator[Client]:
    """A client of the engine at ``address``; empty starts one that ends with the block."""
    if address:
        with Client(address, token=token, ca=ca) as client:
            yield client
        return
    with own_engine(home()) as engine, Client(engine.address) as client:
        yield client


@contextlib.contextmanager
def own_engine(state: Path) -> Iterator[Engine]:
    """An engine for the length of the block, which may read what this user may read and listens where only this user
    can reach it. Its jobs are its own, so that calls may run beside each other; its cache is the one in ``state``."""
    calls = state / "calls"
    try:
        calls.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{state} cannot be written: {error.strerror}.", "Set IMMERSIVAUDIO_HOME to a folder of yours."
        ) from error
    with (
        OwnFolder() as folder,
        tempfile.TemporaryDirectory(dir=calls, ignore_cleanup_errors=True) as jobs,
        _lived_in(Path(jobs)),
    ):
        _clear_abandoned(calls)
        address = f"unix:{folder / 'engine.sock'}" if sys.platform != "win32" else "127.0.0.1:0"
        command = [sys.executable, "-m", "immersivaudio.engine.server", "--address", address, "--until-eof"]
        command += ["--cache-bytes", str(cache_bytes())]
        places = ["--home", jobs, "--cache", str(state / "cache"), "--root", Path.cwd().anchor]
        try:
            with spawn_engine([*command, *places]) as engine:
                yield engine
        finally:
            _keep_log(Path(jobs) / "log" / "worker.log", state / "log" / "worker.log")


def _keep_log(log: Path, kept: Path) -> None:
    """What broke in an engine of this call is still to be read when the call is over: the newest such log stays."""
    with contextlib.suppress(OSError):
        said = log.read_bytes()
        if b"Traceback" in said or b"Fatal Python error" in said:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(said[-_LOG_BYTES:])


@contextlib.contextmanager
def _lived_in(folder: Path) -> Iterator[None]:
    """While the block runs (and this process lives), ``folder`` is somebody's."""
    with (folder / _LOCK).open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _clear_abandoned(calls: Path) -> None:
    """Remove what calls left behind that were killed: gigabytes, for a long film."""
    if sys.platform == "win32":
        return
    import fcntl

    for folder in calls.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _DAY_S:  # of an engine that wrote on as its call was killed
                (folder / _LOCK).touch()
            with (folder / _LOCK).open() as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
