# SPDX-License-Identifier: AGPL-3.0-or-later
"""What picture watchers on checkpoints of transformers have in common: availability, version, loading, device."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from immersivaudio.engine.cue import Clip
from immersivaudio.engine.models import store
from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.watchers import FrameWish, Picture, PictureSession
from immersivaudio.engine.watchers._naming import NamingSession, Scores

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
            self.prepare(loaded)
            self._loaded = loaded

    @abc.abstractmethod
    def prepare(self, loaded: Loaded) -> None:
        """Make what is the same whatever is seen."""


class Looking(Resting):
    """A picture watcher that puts names to pictures."""

    wish = FrameWish(WIDTH, RATE_HZ)

    @abc.abstractmethod
    def scores(self, pictures: Sequence[Picture]) -> Scores:
        """How surely each sign is seen in each picture, float32 ``[pictures, signs]``, 0 to 1."""

    def open(self, clip: Clip) -> PictureSession:
        self.setup()
        return NamingSession(self.name, clip, self.scores, width=WIDTH)
