# SPDX-License-Identifier: Apache-2.0
"""An engine process of one's own: started, waited for, stopped. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from immersivaudio.bridge.errors import EngineGoneError
from immersivaudio.bridge.stdio import no_window

_HERE = ("unix:", "127.", "localhost:", "[::1]:")


def sees_our_files(address: str) -> bool:
    """Whether an engine at ``address`` runs on this machine."""
    return address.startswith(_HERE)


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
        if self.process.stdin is not None:
            self.process.stdin.close()


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
        EngineGoneError: it did not start; in its own words where it printed ``{"error": {...}}`` instead.
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
            **no_window(sys.platform),
        )
    try:
        return Engine(process, _ready_address(process, patience_s))
    except EngineGoneError:
        Engine(process, "").close()
        raise


def _ready_address(process: subprocess.Popen[str], patience_s: float) -> str:
    """The address of the ready line; later lines are read and dropped, so that the pipe never fills."""
    found: queue.Queue[dict[str, object]] = queue.Queue()
    threading.Thread(target=_read_lines, args=(process, found), daemon=True).start()
    try:
        said = found.get(timeout=patience_s)
    except queue.Empty:
        said = {}
    error = said.get("error")
    if isinstance(error, dict):
        raise EngineGoneError(error["message"], error["hint"], reason=error["reason"])
    if "address" not in said:
        hint = "Run it by hand to see what it says: immersivaudio serve."
        raise EngineGoneError("The engine did not start.", hint, reason="ENGINE_DID_NOT_START")
    return str(said["address"])


def _read_lines(process: subprocess.Popen[str], found: queue.Queue[dict[str, object]]) -> None:
    assert process.stdout is not None
    # Closed here, where it is read: closing it under a reader is an error.
    with process.stdout as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    found.put(said)
    found.put({})
