# SPDX-License-Identifier: AGPL-3.0-or-later
"""One watcher in a process of its own; :mod:`immersivaudio.engine.guarding` is the other end of its pipes.

A message is one line of JSON; one with ``bytes`` is followed by so many of raw pictures or samples. Every message is
answered by one line.

In:  ``create``, ``setup``, ``open`` (session, clip, sessions that were left), ``see`` (session, time, shape), ``finish``
     (session), ``listen`` (edit), then ``block`` until ``end``
Out: ``ready``, ``done``, ``found`` (rows), ``failed`` (message), ``next`` (a sound watcher wants more) in the field ``is``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from immersivaudio.engine import plugins, records
from immersivaudio.engine.errors import EngineError
from immersivaudio.engine.watchers import Frame, PictureSession, PictureWatcher, Samples

Message = dict[str, Any]
_PARENT_EVERY_S = 1.0

log = logging.getLogger("immersivaudio.watcher")


class Desk:
    """The watcher, its open sessions, and the two pipes."""

    def __init__(self, name: str, given: BinaryIO, told: BinaryIO) -> None:
        self._given, self._told = given, told
        self._sessions: dict[int, PictureSession] = {}
        self._watcher: Any = None
        self._name = name

    def serve(self) -> None:
        """Answer until the other end is gone."""
        while line := self._given.readline():
            self._answer(json.loads(line))

    def _answer(self, message: Message) -> None:
        # What came with a message is read in any case, else it would be taken for the next one.
        data = self._given.read(message.get("bytes", 0))
        try:
            self._say(self._do(message, data))
        except Exception as error:
            log.exception("watcher %s: %s", self._name, message["do"])
            said = error.message if isinstance(error, EngineError) else f"{type(error).__name__}."
            self._say({"is": "failed", "message": said})

    def _say(self, message: Message) -> None:
        self._told.write(json.dumps(message, allow_nan=False).encode() + b"\n")
        self._told.flush()

    def _do(self, message: Message, data: bytes) -> Message:
        match message["do"]:
            case "create":
                self._watcher = plugins.create("watchers", self._name)
                return {"is": "ready", "lack": str(self._watcher.available()), **self._face()}
            case "setup":
                self._watcher.setup()
                return {"is": "ready", "lack": "", **self._face()}
            case "open":
                for left in message["left"]:
                    self._sessions.pop(left, None)
                self._sessions[message["session"]] = self._watcher.open(records.clip(message["clip"]))
            case "see":
                rgb = np.frombuffer(bytearray(data), np.uint8).reshape(*message["shape"], 3)
                self._sessions[message["session"]].see(Frame(Fraction(message["time"]), rgb))
            case "finish":
                return _found(self._sessions.pop(message["session"]).finish())
            case "listen":
                return _found(self._watcher.listen(records.edit(message["edit"]), self._blocks()))
        return {"is": "done"}

    def _face(self) -> Message:
        watcher = self._watcher
        told: Message = {"version": str(watcher.version), "device": str(getattr(watcher, "device", "") or "")}
        if isinstance(watcher, PictureWatcher):
            return told | {"wish": [int(watcher.wish.width), float(watcher.wish.rate_hz)]}
        return told | {"sample_rate_hz": int(watcher.sample_rate_hz)}

    def _blocks(self) -> Iterator[Samples]:
        while True:
            self._say({"is": "next"})
            message = json.loads(self._given.readline() or b'{"do": "end"}')
            if message["do"] == "end":
                return
            yield np.frombuffer(bytearray(self._given.read(message["bytes"])), np.float32).reshape(2, -1)


def _found(sightings: Any) -> Message:
    return {"is": "found", "rows": records.of_sightings(sightings)}


def _die_with(parent: int) -> None:
    """End this process once its parent is no more, also where a watcher never returns."""
    while os.getppid() == parent:
        time.sleep(_PARENT_EVERY_S)
    os._exit(1)


def _own_stdout() -> BinaryIO:
    """The pipe to the engine, kept from whatever a watcher or its libraries print."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    told = _own_stdout()
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    if sys.platform == "linux":
        # Where memory ends, the kernel shall end this process and not the engine.
        Path("/proc/self/oom_score_adj").write_text("1000")
    cv2.setNumThreads(1)
    Desk(parser.parse_args().name, sys.stdin.buffer, told).serve()


if __name__ == "__main__":
    main()
