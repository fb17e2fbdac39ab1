# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watchers: what is on screen and on the original sound track. One file each, found by file name.

A watcher module defines ``create() -> PictureWatcher | SoundWatcher``. Heavy libraries are imported in ``setup()``,
never at import. One decode of the picture feeds every picture watcher: each says in ``wish`` how large and how often it
wants frames, and gets them so, whoever else looks: ``Frame.at(width)`` of a wished width is the decoder's own scaling,
of any other width it is scaled down from the largest, cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Clip, Edit, Sighting

Picture = NDArray[np.uint8]
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FrameWish:
    """What a picture watcher wants: frames ``width`` pixels wide, at most ``rate_hz`` a second (0: every frame).

    Who decodes for several asks for the largest width and names the others in ``also``.
    """

    width: int
    rate_hz: float = 0.0
    also: tuple[int, ...] = ()

    @property
    def gap_s(self) -> float:
        """The least time between two frames, a little less than a period: none is lost to a clock that trembles."""
        return 0.85 / self.rate_hz if self.rate_hz else 0.0

    def thins(self, rate_hz: Fraction) -> bool:
        """Whether some frames of a source of this rate are left out."""
        return self.rate_hz > 0 and rate_hz > 1.25 * self.rate_hz


@dataclass(slots=True)
class Frame:
    """One decoded picture: ``rgb`` is uint8 ``[height, width, 3]``; ``time_s`` is on the source clock, exact."""

    time_s: Fraction
    rgb: Picture
    _scaled: dict[tuple[int, bool], Picture] = field(default_factory=dict)

    def at(self, width: int) -> Picture:
        """The picture ``width`` pixels wide (never enlarged), uint8 ``[h, w, 3]``."""
        return self._cached(width, grey=False)

    def grey(self, width: int) -> Picture:
        """The luma ``width`` pixels wide (never enlarged), uint8 ``[h, w]``."""
        return self._cached(width, grey=True)

    def _cached(self, width: int, *, grey: bool) -> Picture:
        key = (min(width, self.rgb.shape[1]), grey)
        if key not in self._scaled:
            self._scaled[key] = self._make(*key)
        return self._scaled[key]

    def _make(self, width: int, grey: bool) -> Picture:
        if grey:
            return cv2.cvtColor(self._cached(width, grey=False), cv2.COLOR_RGB2GRAY)  # type: ignore[no-any-return]
        height, full = self.rgb.shape[:2]
        if width == full:
            return self.rgb
        size = (width, max(1, round(height * width / full)))
        return cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]


class PictureSession(Protocol):
    """One watching of one clip: frames go in in order, sightings (source clock) come out at the end."""

    def see(self, frame: Frame) -> None: ...

    def finish(self) -> Sequence[Sighting]: ...


@runtime_checkable
class PictureWatcher(Protocol):
    """Looks at the picture. ``version`` changes whenever its answers may change: it is part of the cache key."""

    name: str
    version: str
    wish: FrameWish

    def available(self) -> str:
        """Empty when it can run here, else one sentence that says what is missing. Cheap; loads nothing."""
        ...

    def setup(self) -> None:
        """Load what it needs; called once a process before the first ``open``."""
        ...

    def open(self, clip: Clip) -> PictureSession:
        """Begin watching ``clip`` (its ``source`` range, forwards, on the source clock)."""
        ...


@runtime_checkable
class SoundWatcher(Protocol):
    """Listens to the original sound of the whole edit, laid on the record clock."""

    name: str
    version: str
    sample_rate_hz: int

    def available(self) -> str: ...

    def setup(self) -> None: ...

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        """``blocks`` are float32 ``[2, n]`` at ``sample_rate_hz``, in order from record time 0. Record clock out."""
        ...
