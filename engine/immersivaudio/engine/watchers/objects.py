# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is on screen, by YOLOX through onnxruntime: needs its weights, and no torch. See :mod:`._following` for what it
tells."""

from __future__ import annotations

from immersivaudio.engine.watchers._boxes import Detector
from immersivaudio.engine.watchers._following import Follower
from immersivaudio.engine.watchers._weights import Wanted


class _Objects(Follower):
    name = "objects"
    width = 416
    wanted = Wanted("IMMERSIVAUDIO_YOLOX", "*yolox*.onnx", "onnxruntime", "onnxruntime")

    def load(self) -> tuple[Detector, str]:
        file, digest = self.wanted.checked()
        return Detector(file), digest


def create() -> _Objects:
    return _Objects()
