# SPDX-License-Identifier: AGPL-3.0-or-later
"""Dense motion of the picture, freed of the camera's own, and where it is braked.

Speeds are in frame widths a second, x to the right, y down. The flow is DIS (Kroeger et al. 2016, "Fast Optical Flow
using Dense Inverse Search"); the camera a similarity (shift, zoom, roll) fitted by reweighted least squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers import Frame

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]

WIDTH = 192
FLOOR = 0.06
_SAME = 0.15
_MOST_REPEATS = 3
_STEADY = 1e-4 * np.eye(4)


@dataclass(frozen=True, slots=True)
class Step:
    """What moved between two pictures, ``start_s`` to ``end_s``.

    ``velocity`` is float32 ``[h, w, 2]`` at half the analysis width, without the camera's part; ``camera`` is
    (dx, dy, zoom, roll) a second; ``change`` float32 ``[h, w]`` the absolute change of luma (0..1) after compensation;
    ``luma`` and ``spread`` are mean and standard deviation of the later picture; ``fit`` is the share of the picture that goes
    with the camera, ``zoom`` its growth a second even where the camera is not believed.
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
    zoom: float


@dataclass(slots=True)
class Flow:
    """Turns frames into steps; skips repeated pictures (24 Hz film in a 30 Hz file), which would brake everything."""

    _dis: cv2.DISOpticalFlow = field(default_factory=lambda: _dense())
    _grey: Grey | None = None
    _half: Floats | None = None
    _time_s: float = 0.0
    _intervals: list[float] = field(default_factory=list)
    _changes: list[float] = field(default_factory=list)
    _shares: list[float] = field(default_factory=list)
    _repeats: int = 0

    def step(self, frame: Frame) -> Step | None:
        """The step to ``frame`` from the picture before it; None for the first picture and for repeats."""
        grey, now = frame.grey(WIDTH), float(frame.time_s)
        if self._grey is None or self._grey.shape != grey.shape:
            self._grey, self._half, self._time_s = grey, _halved(grey), now
            return None
        total = float(cv2.norm(grey, self._grey, cv2.NORM_L1)) / grey.size
        if self._repeated(total):
            return None
        step = self._measure(grey, now, total)
        self._grey, self._time_s, self._repeats = grey, now, 0
        return step

    def _repeated(self, total: float) -> bool:
        """Whether a picture is only the one before again, judged by the liveliest of the last dozen changes."""
        self._changes = [*self._changes[-11:], total]
        lively = sorted(self._changes)[len(self._changes) * 3 // 4]
        if total < _SAME * lively and total < 0.6 and self._repeats < _MOST_REPEATS:
            self._repeats += 1
            return True
        return False

    def _measure(self, grey: Grey, now: float, total: float) -> Step | None:
        """None where the picture is cut: nothing of what was there explains what is there now."""
        before, after = self._half, _halved(grey)
        assert self._grey is not None and before is not None
        interval = float(np.mean([*self._intervals, max(1e-3, now - self._time_s)]))
        per_second = np.float32(1.0 / (grey.shape[1] * interval))
        raw = self._dis.calc(self._grey, grey, None)
        pixels = cv2.resize(raw, (after.shape[1], after.shape[0]), interpolation=cv2.INTER_AREA)
        unmoved, moved = cv2.absdiff(before, after), _difference(before, after, pixels / 2)
        self._half = after
        changed, usual = float((unmoved > 12.0).mean()), max(self._shares, default=1.0)
        self._shares = [*self._shares[-7:], changed]
        if _is_cut(before, after, unmoved, moved) or (
            changed > 3.0 * usual + 0.08 and _is_new(before, after, unmoved, moved)
        ):
            return None
        self._intervals = [*self._intervals[-11:], max(1e-3, now - self._time_s)]
        camera, followed, fit = _camera(pixels * per_second)
        change, zoom = _difference(before, after, followed / (2 * per_second)), camera[2]
        if float(np.minimum(change, 6.0).mean()) > 0.92 * float(np.minimum(unmoved, 6.0).mean()):
            camera, followed, change = (0.0, 0.0, 0.0, 0.0), np.zeros_like(followed), unmoved
        velocity = (pixels * per_second - followed) * _trust(change, moved)[..., None]
        speed = cv2.magnitude(velocity[..., 0], velocity[..., 1])
        mean, spread = (float(part[0, 0]) / 255.0 for part in cv2.meanStdDev(after))
        return Step(
            self._time_s,
            now,
            velocity,
            speed,
            camera,
            change / np.float32(255.0),
            total / 255.0,
            mean,
            spread,
            fit,
            zoom,
        )


def _is_cut(before: Floats, after: Floats, unmoved: Floats, moved: Floats) -> bool:
    """Most of the picture changed a good deal, and no flow explains it or the layout is another one."""
    changed = unmoved > 12.0
    if float(changed.mean()) <= 0.45:
        return False
    if float(moved[changed].mean()) > 0.6 * float(unmoved[changed].mean()):
        return True
    one, other = (cv2.resize(half, (16, 9), interpolation=cv2.INTER_AREA).ravel() for half in (before, after))
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other) < 0.5 * float(np.sqrt((one @ one) * (other @ other)))


def _is_new(before: Floats, after: Floats, unmoved: Floats, moved: Floats) -> bool:
    """Whether edges and textures are all others than before, though part of the picture (a sky) may be the same, and
    no flow explains it."""
    one, other = (cv2.resize(half, (64, 36), interpolation=cv2.INTER_AREA) for half in (before, after))
    one, other = ((part - cv2.blur(part, (7, 7))).ravel() for part in (one, other))
    kept = float(one @ other) < 0.3 * float(np.sqrt((one @ one) * (other @ other)))
    return kept and float(moved.mean()) > 0.4 * float(unmoved.mean())


def _halved(grey: Grey) -> Floats:
    size = (max(2, grey.shape[1] // 2), max(2, grey.shape[0] // 2))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _difference(before: Floats, after: Floats, pixels: Floats) -> Floats:
    """How unlike two pictures are, in grey levels, once ``after`` is brought back by a flow in pixels."""
    height, width = before.shape
    x, y = pixels_of(height, width)
    back = cv2.remap(after, x + pixels[..., 0], y + pixels[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.absdiff(before, back)  # type: ignore[no-any-return]


def _trust(unmoved: Floats, moved: Floats) -> Floats:
    """0 where the flow is a guess, 1 where it explains away a clear change of the picture."""
    before, after = cv2.blur(unmoved, (5, 5)), cv2.blur(moved, (5, 5))
    explained = np.clip(2.0 * (before - after) / (before + 1.0), 0.0, 1.0)
    return np.asarray(np.clip((before - 2.0) / 6.0, 0.0, 1.0) * explained, dtype=np.float32)


def _dense() -> cv2.DISOpticalFlow:
    flow: cv2.DISOpticalFlow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow.setFinestScale(1)
    flow.setGradientDescentIterations(12)
    flow.setVariationalRefinementIterations(0)
    return flow


def _camera(moved: Floats) -> tuple[tuple[float, float, float, float], Floats, float]:
    """The similarity that most of the picture follows, its field, and the share of the picture that follows it."""
    height, width = moved.shape[:2]
    rows = _sample_rows(height, width)
    sample = moved[2::5, 2::5]
    seen = np.concatenate([sample[..., 0].ravel(), sample[..., 1].ravel()]).astype(np.float64)
    count = seen.size // 2
    model = np.array([_median(seen[:count]), _median(seen[count:]), 0.0, 0.0])
    far = np.zeros(count)
    for _ in range(3):
        off = seen - rows @ model
        far = np.sqrt(off[:count] ** 2 + off[count:] ** 2)
        weights = 1.0 / (1.0 + (far / (2.0 * max(_median(far), 0.01))) ** 2)
        weighted = rows.T * np.concatenate([weights, weights])
        model = np.linalg.solve(weighted @ rows + _STEADY, weighted @ seen)
    x, y = _axes(height, width)
    dx, dy, zoom, roll = (np.float32(part) for part in model)
    field_of_view = np.empty((height, width, 2), np.float32)
    field_of_view[..., 0] = dx + zoom * x - roll * y
    field_of_view[..., 1] = dy + zoom * y + roll * x
    return (float(dx), float(dy), float(zoom), float(roll)), field_of_view, float((far < FLOOR).mean())


def _median(values: NDArray[np.float64]) -> float:
    return float(np.partition(values, values.size // 2)[values.size // 2])


@lru_cache(maxsize=8)
def pixels_of(height: int, width: int) -> tuple[Floats, Floats]:
    """Column and row of every pixel, float32 ``[height, width]`` each; not to be written to."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return x, y


@lru_cache(maxsize=8)
def _axes(height: int, width: int) -> tuple[Floats, Floats]:
    """x and y of every pixel in frame widths from the centre."""
    x, y = pixels_of(height, width)
    return (x - np.float32(width / 2)) / np.float32(width), (y - np.float32(height / 2)) / np.float32(width)


@lru_cache(maxsize=8)
def _sample_rows(height: int, width: int) -> NDArray[np.float64]:
    """What (dx, dy, zoom, roll) do to u, then v, of each sampled pixel: float64 ``[2n, 4]``."""
    x, y = (axis[2::5, 2::5].ravel().astype(np.float64) for axis in _axes(height, width))
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.concatenate([np.stack([one, zero, x, -y], 1), np.stack([zero, one, y, x], 1)])


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
    grid_x, grid_y = pixels_of(height, width)
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
