# SPDX-License-Identifier: AGPL-3.0-or-later
"""Requests for one model that nobody can join once they have begun: those that wait for the same thing go together.

Models that make one token after the other are of this kind; where requests can join between steps, ``batching`` is better.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.models import devices

_WATCH_S = 0.02


@dataclass(eq=False, slots=True)
class _Waiting:
    key: Hashable
    ask: Any
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None


class Waves:
    """``work`` does several asks of one key at once and gives one result each; a thread of its own runs while there is
    work. ``largest`` asks go together; memory that runs out halves it."""

    def __init__(self, work: Callable[[Sequence[Any]], Sequence[Any]], largest: int = 8) -> None:
        self._work, self.largest = work, largest
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()
        self._running = False

    def run(self, key: Hashable, ask: Any, cancelled: Callable[[], bool]) -> Any:
        """The result of ``ask``; blocks until it is there. Only asks of the same ``key`` share a wave.

        Raises:
            CancelledError: ``cancelled()`` became true; the others of its wave go on. What ``work`` raised, else.
        """
        waiting = _Waiting(key, ask)
        with self._lock:
            self._waiting.append(waiting)
            if not self._running:
                self._running = True
                threading.Thread(target=self._serve, name="wave", daemon=True).start()
        while not waiting.done.wait(_WATCH_S):
            if cancelled():
                self._leave(waiting)
                raise CancelledError("Cancelled.")
        if waiting.error is not None:
            raise waiting.error
        return waiting.result

    def _leave(self, waiting: _Waiting) -> None:
        with self._lock:
            self._waiting = [one for one in self._waiting if one is not waiting]

    def _serve(self) -> None:
        while wave := self._next():
            try:
                for one, result in zip(wave, self._work([one.ask for one in wave]), strict=True):
                    one.result = result
            except BaseException as error:
                if self._smaller(wave, error):
                    continue
                for one in wave:
                    one.error = error
            for one in wave:
                one.done.set()

    def _next(self) -> list[_Waiting]:
        with self._lock:
            if not self._waiting:
                self._running = False
                return []
            wave = [one for one in self._waiting if one.key == self._waiting[0].key][: self.largest]
            self._waiting = [one for one in self._waiting if one not in wave]
            return wave

    def _smaller(self, wave: list[_Waiting], error: BaseException) -> bool:
        """After want of memory: the wave waits again, in front, for half of it to go."""
        if not devices.is_out_of_memory(error) or len(wave) == 1:
            return False
        with self._lock:
            self.largest = len(wave) // 2
            self._waiting = [*wave, *self._waiting]
        return True
