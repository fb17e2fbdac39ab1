# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dense motion of the picture, freed of the camera's own, and where it is braked.

Speeds are in frame widths a second, x to the right, y down. The flow is DIS (Kroeger et al. 2016, "Fast Optical Flow
using Dense Inverse Search"); the camera a similarity (shift, zoom, roll) fitted by reweighted least squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers import Frame

Floats = NDArray[np.float32]

WIDTH = 192
FLOOR = 0.06
_SAME = 0.15
_MOST_REPEATS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """What moved between two pictures, ``start_s`` to ``end_s``.

    ``velocity`` is float32 ``[h, w, 2]`` at half the analysis width, without the camera's part; ``camera`` is
    (dx, dy, zoom, roll) a second; ``change`` float32 ``[h, w]`` the absolute change of luma (0..1) after compensation;
    ``luma`` and ``spread`` are mean and standard deviation of the later picture.
    """

    start_s: float
    end_s: float
    velocity: Floats
    speed: Floats
    camera: tuple[float, float, float, float]
    change: Floats
    total_change: float
    luma: float
    spread: float
    fit: float


@dataclass(slots=True)
class Flow:
    """Turns frames into steps; skips repeated pictures (24 Hz film in a 30 Hz file), which would brake everything."""

    _dis: cv2.DISOpticalFlow = field(default_factory=lambda: _dense())
    _grey: NDArray[np.uint8] | None = None
    _time_s: float = 0.0
    _intervals: list[float] = field(default_factory=list)
    _changes: list[float] = field(default_factory=list)
    _repeats: int = 0

    def step(self, frame: Frame) -> Step | None:
        """The step to ``frame`` from the picture before it; None for the first picture and for repeats."""
        grey, now = frame.grey(WIDTH), float(frame.time_s)
        if self._grey is None or self._grey.shape != grey.shape:
            self._grey, self._time_s = grey, now
            return None
        total = float(cv2.norm(grey, self._grey, cv2.NORM_L1)) / grey.size
        if self._repeated(total):
            return None
        step = self._measure(grey, now, total)
        self._grey, self._time_s, self._repeats = grey, now, 0
        return step

    def _repeated(self, total: float) -> bool:
        usual = sorted(self._changes)[len(self._changes) // 2] if self._changes else 0.0
        self._changes = [*self._changes[-9:], total] if total > 0.02 else self._changes
        if total < _SAME * usual and total < 0.6 and self._repeats < _MOST_REPEATS:
            self._repeats += 1
            return True
        return False

    def _measure(self, grey: NDArray[np.uint8], now: float, total: float) -> Step:
        assert self._grey is not None
        self._intervals = [*self._intervals[-11:], max(1e-3, now - self._time_s)]
        interval = float(np.mean(self._intervals))
        raw = self._dis.calc(self._grey, grey, None)
        half = (max(2, grey.shape[1] // 2), max(2, grey.shape[0] // 2))
        moved = cv2.resize(raw, half, interpolation=cv2.INTER_AREA) / np.float32(grey.shape[1] * interval)
        camera, field_of_camera, fit = _camera(moved)
        mean, deviation = cv2.meanStdDev(grey)
        difference = cv2.resize(cv2.absdiff(grey, self._grey), half, interpolation=cv2.INTER_AREA)
        velocity = (moved - field_of_camera) * _evidence(difference)[..., None]
        return Step(
            self._time_s,
            now,
            velocity,
            cv2.magnitude(velocity[..., 0], velocity[..., 1]),
            camera,
            difference.astype(np.float32) / 255.0,
            total / 255.0,
            float(mean[0, 0]) / 255.0,
            float(deviation[0, 0]) / 255.0,
            fit,
        )


def _evidence(difference: NDArray[np.uint8]) -> Floats:
    """0 where the picture did not change enough for the flow to be more than a guess, 1 where it clearly did."""
    around = cv2.blur(difference.astype(np.float32), (5, 5))
    return np.clip((around - 2.0) / 6.0, 0.0, 1.0).astype(np.float32)


def _dense() -> cv2.DISOpticalFlow:
    flow: cv2.DISOpticalFlow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow.setFinestScale(1)
    return flow


def _camera(moved: Floats) -> tuple[tuple[float, float, float, float], Floats, float]:
    """The similarity that most of the picture follows, its field, and the share of the picture that follows it."""
    height, width = moved.shape[:2]
    x, y = _axes(height, width, 4)
    sample = moved[2::4, 2::4][: x.shape[0], : x.shape[1]]
    u, v = sample[..., 0].ravel(), sample[..., 1].ravel()
    x, y = x.ravel(), y.ravel()
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([one, zero, x, -y], 1), np.stack([zero, one, y, x], 1)]).astype(np.float64)
    seen = np.concatenate([u, v]).astype(np.float64)
    model = np.array([np.median(u), np.median(v), 0.0, 0.0])
    weights = np.ones_like(u, dtype=np.float64)
    for _ in range(4):
        off = seen - rows @ model
        far = np.hypot(off[: u.size], off[u.size :])
        scale = max(float(np.median(far)), 0.01)
        weights = 1.0 / (1.0 + (far / (2.0 * scale)) ** 2)
        both = np.concatenate([weights, weights])
        weighted = rows * both[:, None]
        model = np.linalg.solve(rows.T @ weighted + 1e-4 * np.eye(4), weighted.T @ seen)
    gx, gy = _axes(height, width, 1)
    dx, dy, zoom, roll = (np.float32(part) for part in model)
    whole = np.stack([dx + zoom * gx - roll * gy, dy + zoom * gy + roll * gx], axis=-1).astype(np.float32)
    fit = float((far < FLOOR).mean())
    return (float(dx), float(dy), float(zoom), float(roll)), whole, fit


def _axes(height: int, width: int, stride: int) -> tuple[Floats, Floats]:
    """x and y of each sample in frame widths from the centre."""
    offset = 2 if stride > 1 else 0
    across = (np.arange(offset, width, stride) - width / 2) / width
    down = (np.arange(offset, height, stride) - height / 2) / width
    x, y = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
    return x, y


@dataclass(frozen=True, slots=True)
class Brake:
    """Where motion was lost between two steps, at ``time_s``, the picture they share.

    ``loss`` is float32 ``[h/2, w/2]``: speed lost along its own direction, averaged over a box of a tenth of the width.
    """

    time_s: float
    loss: Floats
    before: Step
    after: Step


def brake(before: Step, after: Step) -> Brake:
    """Follow each point of ``before`` into ``after`` and see how much of its speed, along its way, is gone."""
    height, width = before.speed.shape
    grid_x, grid_y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    lasted = np.float32(max(1e-3, before.end_s - before.start_s) * width)
    x, y = grid_x + before.velocity[..., 0] * lasted, grid_y + before.velocity[..., 1] * lasted
    later = cv2.remap(after.velocity, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    speed = before.speed
    along = (later * before.velocity).sum(-1) / (speed + 1e-6)
    moving = (speed > 2 * FLOOR) & (x > 1) & (y > 1) & (x < width - 2) & (y < height - 2)
    lost = np.where(moving, np.clip(speed - along, 0.0, None), 0.0).astype(np.float32)
    return Brake(before.end_s, boxed(lost)[::2, ::2], before, after)


def boxed(values: Floats) -> Floats:
    """``values`` averaged over a box a tenth of the frame wide."""
    side = max(3, values.shape[1] // 10 | 1)
    return cv2.blur(values, (side, side), borderType=cv2.BORDER_CONSTANT)  # type: ignore[no-any-return]
