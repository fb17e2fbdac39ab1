# SPDX-License-Identifier: AGPL-3.0-or-later
"""What picture watchers on checkpoints of transformers have in common: availability, version, loading, device, and that
memory which runs out ends no job."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from immersivaudio.engine.cue import Clip
from immersivaudio.engine.models import devices, holding, store
from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.watchers import FrameWish, Picture, PictureSession
from immersivaudio.engine.watchers._naming import BATCH, NamingSession, Scores

T = TypeVar("T")
WIDTH, RATE_HZ = 256, 2.0


class Resting(abc.ABC):
    """A watcher that rests on one ``checkpoint``; ``revision`` is that of its own code."""

    checkpoint: Checkpoint
    revision = "1"

    def __init__(self) -> None:
        self._loaded: Loaded | None = None

    @property
    def name(self) -> str:
        return self.checkpoint.name

    @property
    def version(self) -> str:
        """Changes with the weights; known without loading them."""
        weights = store.fingerprint(self._loaded.place) if self._loaded is not None else self.checkpoint.version()
        return f"{self.revision}-{weights}"

    @property
    def device(self) -> str:
        """Where the weights are now; empty when they are on disk only."""
        return self._loaded.device.name if self._loaded is not None else ""

    @property
    def size_bytes(self) -> int:
        return self.checkpoint.size_bytes()

    def available(self) -> str:
        return self.checkpoint.lacks()

    def setup(self) -> None:
        """Load the model.

        Raises:
            UnavailableError: it is missing, refused or cannot be loaded.
        """
        if self._loaded is None:
            loaded = self.checkpoint.load()
            try:
                self.prepare(loaded)
                self._loaded = loaded
            except Exception as error:
                if not devices.is_out_of_memory(error):
                    raise
            if self._loaded is None:
                self._move_to_the_cpu(loaded)

    @abc.abstractmethod
    def prepare(self, loaded: Loaded) -> None:
        """Make what is the same whatever is seen; asked again when the model moves to another device."""

    def surviving(self, work: Callable[[], T]) -> T:
        """What ``work`` gives with the model; on the CPU, from then on, where the device has no room for it.

        Raises:
            UnavailableError: the CPU has no room either.
        """
        try:
            return work()
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
        # Outside of the except: what failed holds its memory as long as its error is known.
        assert self._loaded is not None
        self._move_to_the_cpu(self._loaded)
        try:
            return work()
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
            raise holding.no_memory(self.name) from error

    def _move_to_the_cpu(self, loaded: Loaded) -> None:
        if loaded.device == devices.CPU:
            raise holding.no_memory(self.name)
        moved = loaded.on_the_cpu()
        self.prepare(moved)
        self._loaded = moved


class Looking(Resting):
    """A picture watcher that puts names to pictures."""

    wish = FrameWish(WIDTH, RATE_HZ)

    def __init__(self) -> None:
        super().__init__()
        self._at_once = BATCH

    @abc.abstractmethod
    def scores(self, pictures: Sequence[Picture]) -> Scores:
        """How surely each sign is seen in each picture, float32 ``[pictures, signs]``, 0 to 1."""

    def look(self, pictures: Sequence[Picture]) -> Scores:
        """:meth:`scores`, of fewer pictures at once where memory runs out, then on the CPU.

        Raises:
            UnavailableError: the CPU has no room for one picture.
        """
        return self.surviving(lambda: self._in_parts(pictures))

    def _in_parts(self, pictures: Sequence[Picture]) -> Scores:
        while True:
            starts = range(0, len(pictures), self._at_once)
            try:
                return np.concatenate([self.scores(pictures[start : start + self._at_once]) for start in starts])
            except Exception as error:
                tried = min(self._at_once, len(pictures))
                if not devices.is_out_of_memory(error) or tried <= 1:
                    raise
            self._at_once = tried // 2

    def open(self, clip: Clip) -> PictureSession:
        self.setup()
        return NamingSession(self.name, clip, self.look, width=WIDTH)
