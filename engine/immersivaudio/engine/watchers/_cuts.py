# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a picture is another one altogether: enough for watchers that only must not carry things over a cut."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from immersivaudio.engine.watchers import Frame, Picture

_WIDTH, _LEAST, _TIMES = 32, 18.0, 2.3


@dataclass(slots=True)
class Cuts:
    """Asked about picture after picture; remembers the last one, small, and how restless they were lately."""

    _before: Picture | None = None
    _unrest: float = 4.0

    def at(self, frame: Frame) -> bool:
        """Whether ``frame`` differs from the one before all over, and much more than lately."""
        small = frame.grey(_WIDTH)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            return False
        change = float(cv2.absdiff(before, small).mean())
        cut = change > max(_LEAST, _TIMES * self._unrest)
        if not cut:
            self._unrest += 0.2 * (change - self._unrest)
        return cut
