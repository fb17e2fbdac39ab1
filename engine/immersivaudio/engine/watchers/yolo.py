# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is on screen, by a detector of ultralytics (YOLO, AGPL-3.0): weights that the operator names, loaded safely.

A ``.pt`` file is a pickle: its sha256 must be vouched for, and it is loaded with ``ULTRALYTICS_SAFE_LOAD``, which makes no
object but of ultralytics' and torch's own layers. ultralytics fetches, installs and reports nothing here. See
:mod:`._following` for what it tells.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import devices, store
from immersivaudio.engine.watchers import Picture
from immersivaudio.engine.watchers._boxes import LEAST, Box, letterboxed
from immersivaudio.engine.watchers._following import Follower
from immersivaudio.engine.watchers._weights import Wanted, vouched

_WIDTH = 640
_SHA256 = "IMMERSIVAUDIO_YOLO_SHA256"
_SAME = 0.45


class _Detector:
    """The network. ``names`` are its classes. It is asked directly: ultralytics' predictor wants the torchvision that
    belongs to torch, which is easily another one beside a CPU build."""

    def __init__(self, weights: Path) -> None:
        ultralytics = _ultralytics()
        self._device = devices.choose()
        try:
            held = ultralytics.YOLO(str(weights.absolute()), verbose=False)
            task, self.names = str(held.task), {int(i): str(name) for i, name in held.names.items()}
        except Exception as error:
            raise UnavailableError(
                f"{weights.name} cannot be read as a detector of ultralytics, or is made of unknown classes "
                f"({type(error).__name__}).",
                "Name a .pt file as ultralytics publishes or trains it.",
            ) from error
        if task != "detect":
            raise UnavailableError(f"{weights.name} is made to {task}, not to detect.", "Name a detector.")
        self._net: Any = held.model.float().eval().to(self._device.name)
        self._best: Any = importlib.import_module("ultralytics.utils.nms").non_max_suppression

    def boxes(self, rgb: Picture) -> list[Box]:
        """The things in ``rgb`` (uint8 ``[h, w, 3]``), the surest first."""
        import torch

        square, scale = letterboxed(rgb, _WIDTH)
        given = torch.from_numpy(np.ascontiguousarray(square.transpose(2, 0, 1)[None])).to(self._device.name)
        with torch.inference_mode():
            (rows,) = self._best(self._net(given.float() / 255), conf_thres=LEAST, iou_thres=_SAME, agnostic=True)
        frame = np.array([rgb.shape[1], rgb.shape[0]] * 2) * scale
        found = (_box(self.names[int(row[5])], float(row[4]), row[:4] / frame) for row in rows.cpu().numpy())
        return sorted(found, key=lambda box: -box.score)


def _box(kind: str, score: float, edges: Any) -> Box:
    left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in edges)
    return Box(kind, score, left, top, max(0.0, right - left), max(0.0, bottom - top))


def _ultralytics() -> Any:
    """The library, told before it is imported to load safely and to leave the network alone.

    Raises:
        UnavailableError: it cannot load safely.
    """
    usual = {
        "ULTRALYTICS_SAFE_LOAD": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_VERBOSE": "false",
    }
    os.environ.update(usual)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(store.home() / "ultralytics"))
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    library = importlib.import_module("ultralytics")
    if not getattr(importlib.import_module("ultralytics.nn.tasks"), "SAFE_LOAD", False):
        raise UnavailableError(
            f"ultralytics {library.__version__} does not load weights safely here.",
            "Install a newer one: pip install --upgrade 'immersivaudio[yolo]'.",
        )
    return library


class _Yolo(Follower):
    name = "yolo"
    width = _WIDTH
    wanted = Wanted("IMMERSIVAUDIO_YOLO", "*yolo*.pt", "ultralytics", "ultralytics", "yolo")

    def load(self) -> tuple[_Detector, str]:
        """Refuses weights that nobody vouches for, or that are not made of known classes only."""
        file = self.wanted.found()
        digest = vouched(file, _SHA256)
        return _Detector(file), digest


def create() -> _Yolo:
    return _Yolo()
