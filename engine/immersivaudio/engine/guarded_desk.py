# SPDX-License-Identifier: AGPL-3.0-or-later
"""The far end of :mod:`.guarded_child`: a process that answers messages over its pipes, whatever its libraries do.

A message is one line of JSON; one with ``bytes`` is followed by so many of raw data. Every message is answered by one
line, whose field ``is`` says what it is; ``failed`` (message) answers what went wrong.
"""

from __future__ import annotations

import abc
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from immersivaudio.engine.errors import EngineError

Message = dict[str, Any]
_PARENT_EVERY_S = 1.0

log = logging.getLogger("immersivaudio.guarded")


class Desk(abc.ABC):
    """Answers what comes through ``given`` into ``told``; ``name`` says in the log who it is."""

    def __init__(self, name: str, given: BinaryIO, told: BinaryIO) -> None:
        self.name, self.given, self._told = name, given, told

    @abc.abstractmethod
    def do(self, message: Message, data: bytes) -> Message:
        """The answer to ``message``, with the raw ``data`` that came behind it."""

    def serve(self) -> None:
        """Answer until the other end is gone."""
        while line := self.given.readline():
            self._answer(json.loads(line))

    def _answer(self, message: Message) -> None:
        # What came with a message is read in any case, else it would be taken for the next one.
        data = self.given.read(message.get("bytes", 0))
        try:
            self.say(self.do(message, data))
        except Exception as error:
            log.exception("%s: %s", self.name, message["do"])
            said = error.message if isinstance(error, EngineError) else f"{type(error).__name__}."
            self.say({"is": "failed", "message": said})

    def say(self, message: Message) -> None:
        self._told.write(json.dumps(message, allow_nan=False).encode() + b"\n")
        self._told.flush()


def serve(desk: Callable[[BinaryIO, BinaryIO], Desk]) -> None:
    """Be the process of a desk: its answers are kept from what libraries print, it ends with its parent, and where
    memory ends the kernel shall end it and not the engine."""
    told = _own_stdout()
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000")
    desk(sys.stdin.buffer, told).serve()


def _die_with(parent: int) -> None:
    """End this process once its parent is no more, also where its work never returns."""
    while os.getppid() == parent:
        time.sleep(_PARENT_EVERY_S)
    os._exit(1)


def _own_stdout() -> BinaryIO:
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return kept
