# SPDX-License-Identifier: AGPL-3.0-or-later
"""A picture in, boxes with names out: YOLOX through onnxruntime (Ge et al. 2021, arXiv 2107.08430)."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.watchers import Picture

Floats = NDArray[np.float32]

# The 80 classes of COCO 2017, in the order of its detectors.
COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
LEAST = 0.2
_STRIDES = (8, 16, 32)
_SAME, _SAME_THING = 0.45, 0.7
_GREY = 114


@dataclass(frozen=True, slots=True)
class Box:
    """A thing in one picture: its kind, how surely (0 to 1), its left, top, width and height, each 0 to 1 of the frame."""

    kind: str
    score: float
    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


class Detector:
    """The network on one thread. ``size`` is the side of the square it looks at, in pixels."""

    def __init__(self, weights: Path) -> None:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._net = runtime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
            (taken,), given = self._net.get_inputs(), self._net.get_outputs()[0]
            self._input, self.size = taken.name, int(taken.shape[-1])
        except Exception as error:
            raise UnavailableError(f"{weights.name} cannot be read as a detector.", _HINT) from error
        self._cells, self._strides = _grid(self.size)
        if list(taken.shape) != [1, 3, self.size, self.size] or list(given.shape) != [
            1,
            len(self._cells),
            5 + len(COCO),
        ]:
            raise UnavailableError(f"{weights.name} is no YOLOX detector of the 80 COCO classes.", _HINT)

    def boxes(self, rgb: Picture) -> list[Box]:
        """The things in ``rgb`` (uint8 ``[h, w, 3]``), the surest first."""
        square, scale = letterboxed(rgb, self.size)
        bgr = np.ascontiguousarray(square[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
        (out,) = self._net.run(None, {self._input: bgr})
        found = decoded(out[0], self._cells, self._strides)
        return _named(found, (rgb.shape[1] * scale, rgb.shape[0] * scale))


_HINT = "Name a YOLOX .onnx file as its authors export it (yolox_nano.onnx, yolox_tiny.onnx, yolox_s.onnx)."


def letterboxed(rgb: Picture, size: int) -> tuple[Picture, float]:
    """``rgb`` scaled to fit into a grey square of ``size``, at its top left, and the scale."""
    height, width = rgb.shape[:2]
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.full((size, size, 3), _GREY, np.uint8)
    scaled = rgb if inner == (width, height) else cv2.resize(rgb, inner, interpolation=cv2.INTER_LINEAR)
    square[: inner[1], : inner[0]] = scaled
    return square, scale


def _grid(size: int) -> tuple[Floats, Floats]:
    """The cells of all strides, ``[n, 2]`` (column, row), and their strides ``[n, 1]``."""
    cells, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: size // stride, : size // stride]
        cells.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((cells[-1].shape[0], 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decoded(out: Floats, cells: Floats, strides: Floats) -> Floats:
    """The network's ``[n, 85]`` as rows (left, top, width, height in pixels, score, class) above ``LEAST``."""
    scores = out[:, 4:5] * out[:, 5:]
    best = scores.argmax(axis=1)
    score = scores[np.arange(len(best)), best]
    keep = score > LEAST
    extent = np.exp(out[keep, 2:4]) * strides[keep]
    corner = (out[keep, :2] + cells[keep]) * strides[keep] - extent / 2
    return np.concatenate([corner, extent, score[keep, None], best[keep, None].astype(np.float32)], axis=1)


def _named(rows: Floats, frame: tuple[float, float]) -> list[Box]:
    if not len(rows):
        return []
    # Once a class, then once over all: the same car is often a car and a truck.
    kept = cv2.dnn.NMSBoxesBatched(
        rows[:, :4].tolist(), rows[:, 4].tolist(), rows[:, 5].astype(int).tolist(), LEAST, _SAME
    )
    rows = rows[np.asarray(kept, dtype=np.intp).ravel()]
    only = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 4].tolist(), LEAST, _SAME_THING)
    found = [_box(row, frame) for row in rows[np.asarray(only, dtype=np.intp).ravel()]]
    return sorted(found, key=lambda box: -box.score)


def _box(row: Floats, frame: tuple[float, float]) -> Box:
    left, top = (min(1.0, max(0.0, float(row[i]) / frame[i])) for i in (0, 1))
    right, bottom = (min(1.0, max(0.0, float(row[i] + row[i + 2]) / frame[i])) for i in (0, 1))
    return Box(COCO[int(row[5])], float(row[4]), left, top, max(0.0, right - left), max(0.0, bottom - top))


def overlaps(ones: Sequence[Box], others: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of every pair, ``[len(ones), len(others)]``."""
    a, b = (
        np.array([(o.x, o.y, o.x + o.width, o.y + o.height) for o in boxes]).reshape(-1, 4) for boxes in (ones, others)
    )
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0.0, None).prod(axis=2)
    areas = [(c[:, 2:] - c[:, :2]).prod(axis=1) for c in (a, b)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None, :] - common, 1e-9))
