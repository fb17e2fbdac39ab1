# SPDX-License-Identifier: AGPL-3.0-or-later
"""Picture watchers that need nothing installed: always available, nothing to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from immersivaudio.engine.cue import Clip
from immersivaudio.engine.watchers import FrameWish, PictureSession


@dataclass(slots=True)
class Plain:
    """See :class:`immersivaudio.engine.watchers.PictureWatcher`; ``session`` begins to watch a clip."""

    name: str
    version: str
    wish: FrameWish
    session: Callable[[Clip], PictureSession]

    def available(self) -> str:
        return ""

    def setup(self) -> None:
        return None

    def open(self, clip: Clip) -> PictureSession:
        return self.session(clip)
