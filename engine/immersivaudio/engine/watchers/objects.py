# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is on screen, by YOLOX through onnxruntime: needs its weights, and no torch. See :mod:`._following` for what it
tells."""

from __future__ import annotations

from immersivaudio.engine.cue import Clip
from immersivaudio.engine.watchers import FrameWish
from immersivaudio.engine.watchers._boxes import Detector
from immersivaudio.engine.watchers._following import Following
from immersivaudio.engine.watchers._weights import Wanted

_NAME, _WIDTH, _FULL_HZ = "objects", 416, 30.0
_WANTED = Wanted("IMMERSIVAUDIO_YOLOX", "*yolox*.onnx", "onnxruntime", "onnxruntime")


class _Objects:
    name = _NAME
    wish = FrameWish(_WIDTH, _FULL_HZ)

    def __init__(self) -> None:
        self._detector: Detector | None = None
        self._digest = ""

    @property
    def version(self) -> str:
        """Names the weights, because other weights see other things; known without loading them."""
        return f"1-{(self._digest or _WANTED.digest())[:12]}"

    def available(self) -> str:
        return _WANTED.lacks()

    def setup(self) -> None:
        """Load the network."""
        file, self._digest = _WANTED.checked()
        self._detector = Detector(file)

    def open(self, clip: Clip) -> Following:
        if self._detector is None:
            self.setup()
        assert self._detector is not None
        return Following(_NAME, clip, self._detector.boxes, _WIDTH)


def create() -> _Objects:
    return _Objects()
