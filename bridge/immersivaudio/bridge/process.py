# SPDX-License-Identifier: Apache-2.0
"""An engine process of one's own: started, waited for, stopped. Standard library only."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from immersivaudio.bridge.errors import EngineGoneError


class Engine:
    """An engine process of one's own; use it as a context manager."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, patience_s: float = 10.0) -> None:
        """Stop it: politely, then for good."""
        self.process.terminate()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def spawn_engine(
    command: Sequence[str],
    patience_s: float = 30.0,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Engine:
    """Start an engine by ``command`` and wait for its ready line ``{"address": "..."}`` on stdout.

    Its stdin stays open as long as this process lives: with ``--until-eof`` it never outlives its owner. Its stderr
    goes to ``log``, or nowhere.

    Raises:
        EngineGoneError: it did not start.
    """
    with (log or Path(os.devnull)).open("ab") as written:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
        )
    address = _ready_address(process, patience_s)
    if not address:
        Engine(process, "").close()
        said = f"Look into {log}." if log else "Run it by hand to see what it says: immersivaudio serve."
        raise EngineGoneError("The engine did not start.", said, reason="ENGINE_DID_NOT_START")
    return Engine(process, address)


def _ready_address(process: subprocess.Popen[str], patience_s: float) -> str:
    """The address of the ready line, or nothing; later lines are read and dropped, so that the pipe never fills."""
    found: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_lines, args=(process, found), daemon=True).start()
    try:
        return found.get(timeout=patience_s)
    except queue.Empty:
        return ""


def _read_lines(process: subprocess.Popen[str], found: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        try:
            found.put(str(json.loads(line)["address"]))
        except (ValueError, KeyError, TypeError):
            continue
    found.put("")
