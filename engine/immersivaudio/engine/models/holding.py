# SPDX-License-Identifier: AGPL-3.0-or-later
"""The holding: which models' weights lie on the device. One a process; a budget in measured bytes, the least recently used
leave first, pinned ones and those at work stay, and nobody works with one that has not been warmed up.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from immersivaudio.engine.errors import CancelledError, EngineError, RequestError, UnavailableError
from immersivaudio.engine.models import devices

_BUDGET = "IMMERSIVAUDIO_MODEL_MEMORY"
_PINNED = "IMMERSIVAUDIO_PINNED"
_WAIT_S = 0.1
_SHARE = {"cuda": 0.85, "mps": 0.6, "cpu": 0.6}


@dataclass(slots=True)
class _Held:
    model: Any
    size_bytes: int
    users: int = 0
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model: its ``name``, how to ``load`` it (loaded and warmed up), and about how many bytes that will take."""

    name: str
    load: Callable[[], Any]
    size_bytes: int
    cancelled: Callable[[], bool] = lambda: False


class Holding:
    """Models by name, least recently used first. ``budget_bytes`` None: a share of the device's memory, asked when needed."""

    def __init__(self, budget_bytes: int | None = None) -> None:
        self._budget = budget_bytes
        self._held: dict[str, _Held] = {}
        self._changed = threading.Condition(threading.RLock())

    @contextlib.contextmanager
    def lend(self, wanted: Wanted) -> Iterator[Any]:
        """The model, loaded when it is not there; it stays while it is lent.

        Raises:
            UnavailableError: it cannot be loaded, or does not fit. CancelledError: while waiting for room.
        """
        with self._changed:
            held = self._held.pop(wanted.name, None) or self._brought(wanted)
            self._held[wanted.name] = held
            held.users += 1
        try:
            yield held.model
        finally:
            with self._changed:
                held.users -= 1
                self._changed.notify_all()

    def pin(self, name: str, pinned: bool = True) -> None:
        """A pinned model is never asked to leave; ``IMMERSIVAUDIO_PINNED`` pins by name, too."""
        with self._changed:
            if name in self._held:
                self._held[name].pinned = pinned

    def drop(self, name: str) -> None:
        """Give a model's memory back once nobody works with it."""
        with self._changed:
            self._changed.wait_for(lambda: name not in self._held or not self._held[name].users)
            self._held.pop(name, None)
            _give_back()

    def drop_others(self, name: str) -> int:
        """Let every idle model but ``name`` leave, pinned or not: memory ran out. How many left."""
        with self._changed:
            idle = [other for other, held in self._held.items() if other != name and not held.users]
            for other in idle:
                del self._held[other]
            _give_back()
            return len(idle)

    def model(self, name: str) -> Any:
        """The model that is held, or None."""
        held = self._held.get(name)
        return held.model if held else None

    def names(self) -> tuple[str, ...]:
        """Who is held, least recently used first."""
        return tuple(self._held)

    @property
    def used_bytes(self) -> int:
        return sum(held.size_bytes for held in self._held.values())

    def _brought(self, wanted: Wanted) -> _Held:
        budget = self._budget if self._budget is not None else budget_bytes(devices.choose())
        if wanted.size_bytes > budget:
            raise _too_large(wanted, budget)
        self._make_room(wanted, budget)
        model = self._load(wanted)
        held = _Held(model, max(weigh(model), 0), pinned=wanted.name in os.environ.get(_PINNED, "").split(","))
        if held.size_bytes > budget:
            raise _too_large(wanted, budget)
        self._make_room(Wanted(wanted.name, wanted.load, held.size_bytes, wanted.cancelled), budget)
        return held

    def _make_room(self, wanted: Wanted, budget: int) -> None:
        while self.used_bytes + wanted.size_bytes > budget:
            oldest = next((name for name, held in self._held.items() if not held.users and not held.pinned), None)
            if oldest is not None:
                del self._held[oldest]
                _give_back()
            elif any(held.users for held in self._held.values()):
                if wanted.cancelled():
                    raise CancelledError("Cancelled.")
                self._changed.wait(_WAIT_S)
            else:
                raise UnavailableError(
                    f"{wanted.name} does not fit beside the pinned models ({', '.join(self._held)}).",
                    f"Unload one of them, or raise {_BUDGET}.",
                )

    def _load(self, wanted: Wanted) -> Any:
        try:
            return wanted.load()
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            self.drop_others(wanted.name)
        try:
            return wanted.load()
        except Exception as error:
            raise (no_memory(wanted.name) if devices.is_out_of_memory(error) else error) from error


def weigh(model: Any) -> int:
    """Bytes of a model's parameters and buffers: of every torch module it holds, each counted once."""
    import torch

    modules = [part for part in _parts(model) if isinstance(part, torch.nn.Module)]
    tensors = {id(one): one for part in modules for one in (*part.parameters(), *part.buffers())}
    return sum(one.numel() * one.element_size() for one in tensors.values())


def _parts(model: Any) -> list[Any]:
    found = list(getattr(model, "parts", ()))
    return found or list(vars(model).values()) if hasattr(model, "__dict__") else found


def budget_bytes(device: devices.Device) -> int:
    """What models may take: ``IMMERSIVAUDIO_MODEL_MEMORY`` (bytes, or such as 8GB), else a share of the device's memory.

    Raises:
        RequestError: the variable is no size.
    """
    if said := os.environ.get(_BUDGET, "").strip():
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", said, re.IGNORECASE)
        if not found:
            raise RequestError(f"{_BUDGET} cannot be {said!r}.", "Give bytes, or a size such as 8GB.")
        return int(float(found.group(1)) * 1024 ** " KMGT".index(found.group(2).upper() or " "))
    kind = device.name.partition(":")[0]
    return int(_SHARE.get(kind, 0.6) * devices.memory_bytes(device))


def no_memory(name: str) -> EngineError:
    return UnavailableError(
        f"{name} needs more memory than is free here.",
        "Close other programs that use the device, or set IMMERSIVAUDIO_DEVICE=cpu.",
    )


def _too_large(wanted: Wanted, budget: int) -> EngineError:
    return UnavailableError(
        f"{wanted.name} needs {wanted.size_bytes / 2**30:.1f} GiB and models may take {budget / 2**30:.1f} GiB here.",
        f"Raise {_BUDGET}, or use a smaller model.",
    )


def _give_back() -> None:
    devices.release(devices.choose())


@functools.cache
def shared() -> Holding:
    """The process's own."""
    return Holding()
