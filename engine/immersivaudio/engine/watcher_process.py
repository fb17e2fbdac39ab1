# SPDX-License-Identifier: AGPL-3.0-or-later
"""One watcher in a process of its own; :mod:`immersivaudio.engine.guarding` is the other end of its pipes.

What is behind a message are raw pictures or samples; see :mod:`.guarded_desk`.

In:  ``create``, ``setup``, ``open`` (session, clip, sessions that were left), ``see`` (session, time, shape), ``finish``
     (session), ``listen`` (edit), then ``block`` until ``end``
Out: ``ready``, ``done``, ``found`` (rows), ``failed`` (message), ``next`` (a sound watcher wants more) in the field ``is``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Any, BinaryIO

import cv2
import numpy as np

from immersivaudio.engine import plugins, records
from immersivaudio.engine.guarded_desk import Desk, Message, serve
from immersivaudio.engine.watchers import Frame, PictureSession, PictureWatcher, Samples


class WatcherDesk(Desk):
    """The watcher and its open sessions."""

    def __init__(self, name: str, given: BinaryIO, told: BinaryIO) -> None:
        super().__init__(name, given, told)
        self._sessions: dict[int, PictureSession] = {}
        self._watcher: Any = None

    def do(self, message: Message, data: bytes) -> Message:
        match message["do"]:
            case "create":
                self._watcher = plugins.create("watchers", self.name)
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
            self.say({"is": "next"})
            message = json.loads(self.given.readline() or b'{"do": "end"}')
            if message["do"] == "end":
                return
            yield np.frombuffer(bytearray(self.given.read(message["bytes"])), np.float32).reshape(2, -1)


def _found(sightings: Any) -> Message:
    return {"is": "found", "rows": records.of_sightings(sightings)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    cv2.setNumThreads(1)
    serve(partial(WatcherDesk, parser.parse_args().name))


if __name__ == "__main__":
    main()
