# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stretches: how the camera behaves, where something moves by itself, where nothing does. Scalars only, a few a step."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers._brakes import boxed
from immersivaudio.engine.watchers._flow import FLOOR, Floats, Step, places_of

Values = NDArray[np.float64]

_NUMBERS = 14
_LEAST_S = 0.4
_SMOOTH_S = 0.5
_QUIET = 0.012
_TRAVEL_S, _OUTWARD, _TRAVEL_AREA, _TRAVEL_ZOOM = 2.0, 0.6, 0.02, 0.02


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of steps on the source clock in seconds, its kind, and the mean of some numbers over it."""

    start_s: float
    end_s: float
    kind: str
    confidence: float
    values: dict[str, float]


@dataclass(slots=True)
class Stretches:
    """Fourteen numbers a step, kept until the end (an hour at 30 Hz: 12 MB)."""

    _rows: array[float] = field(default_factory=lambda: array("d"))

    def see(self, step: Step) -> None:
        height, width = step.speed.shape
        area, x, y = _moving(step)
        self._rows.extend(
            (
                step.start_s,
                step.end_s,
                *step.camera[:3],
                step.fit,
                area,
                float(cv2.mean(cv2.min(step.speed, 2.0))[0]),
                (x + 0.5) / width,
                (y + 0.5) / height,
                float(cv2.mean(step.down)[0]),
                float(cv2.norm(boxed(step.change), cv2.NORM_INF)),
                _outward(step),
                step.zoom,
            )
        )

    def finish(self) -> tuple[list[Stretch], list[Stretch], list[Stretch]]:
        """Camera, movement and stillness, each in order of time."""
        if not self._rows:
            return [], [], []
        rows = np.array(self._rows).reshape(-1, _NUMBERS)
        return _camera(rows), _movement(rows), _stillness(rows)


def _outward(step: Step) -> float:
    """How far what moves does so away from the middle of the picture, 1 all of it, -1 all towards it: what one sees who
    travels forwards (Gibson 1950), while the far parts of the picture stand still."""
    if step.fastest <= 0.7 * FLOOR:
        return 0.0
    x, y = _outwards(*step.speed.shape)
    moving = cv2.compare(step.speed, 0.7 * FLOOR, cv2.CMP_GT)
    along = cv2.mean(step.across * x + step.down * y, moving)[0]
    return float(along / max(1e-6, cv2.mean(step.speed, moving)[0]))


@lru_cache(maxsize=8)
def _outwards(height: int, width: int) -> tuple[Floats, Floats]:
    """x and y of the direction away from the middle, float32 ``[height, width]``: near 1 long, but about the middle."""
    x, y = np.moveaxis(places_of(height, width) - np.array((width / 2, height / 2), np.float32), -1, 0)
    far = np.sqrt(x * x + y * y) + np.float32(1.0)
    return x / far, y / far


def _moving(step: Step) -> tuple[float, float, float]:
    """The share of the picture that moves by itself, and the middle of it in pixels."""
    if step.fastest <= 1.5 * FLOOR:
        return 0.0, 0.0, 0.0
    told = cv2.moments(cv2.compare(step.speed, 1.5 * FLOOR, cv2.CMP_GT), True)
    count = told["m00"]
    return count / step.speed.size, told["m10"] / count, told["m01"] / count


def _smooth(values: Values, rows: Values, over_s: float = _SMOOTH_S) -> Values:
    step = float(np.median(rows[:, 1] - rows[:, 0]))
    reach = max(1, round(over_s / max(step, 1e-3)) | 1)
    padded = np.pad(values, (reach // 2, reach // 2), mode="edge")
    return np.convolve(padded, np.ones(reach) / reach, mode="valid")[: len(values)]


def _camera(rows: Values) -> list[Stretch]:
    dx, dy, zoom = (_smooth(rows[:, i], rows) for i in (2, 3, 4))
    rough = np.sqrt(_smooth((rows[:, 2] - dx) ** 2 + (rows[:, 3] - dy) ** 2, rows))
    astray = 1.0 - _smooth(rows[:, 5], rows)
    towards = (_smooth(rows[:, 6] * rows[:, 12], rows, _TRAVEL_S) > _OUTWARD * _smooth(rows[:, 6], rows, _TRAVEL_S)) & (
        (_smooth(rows[:, 6], rows, _TRAVEL_S) > _TRAVEL_AREA) & (_smooth(rows[:, 13], rows, _TRAVEL_S) > _TRAVEL_ZOOM)
    )
    names = [
        "travel" if forwards else _kind(*each)
        for forwards, *each in zip(towards, dx, dy, zoom, rough, astray, strict=True)
    ]
    return _runs(rows, names, lambda part: _camera_values(dx[part], dy[part], zoom[part], rough[part]))


def _kind(dx: float, dy: float, zoom: float, rough: float, astray: float) -> str:
    """The words of the camera department; thresholds in frame widths a second."""
    straight = max(abs(dx), abs(dy))
    if rough > 0.06 and rough > 0.8 * straight:
        return "shake"
    if abs(zoom) > 0.05 and abs(zoom) > 0.7 * straight:
        return "travel" if astray > 0.06 else "zoom"
    if straight > 0.04:
        return "pan" if abs(dx) >= abs(dy) else "tilt"
    return "static"


def _camera_values(dx: Values, dy: Values, zoom: Values, rough: Values) -> dict[str, float]:
    return {"dx": float(dx.mean()), "dy": float(dy.mean()), "zoom": float(zoom.mean()), "shake": float(rough.mean())}


def _movement(rows: Values) -> list[Stretch]:
    area = _smooth(rows[:, 6], rows)
    names = ["moves" if share > 0.003 else "" for share in area]

    def values(part: slice) -> dict[str, float]:
        weights = rows[part, 6] + 1e-9
        x, y = ((rows[part, i] * weights).sum() / weights.sum() for i in (8, 9))
        level = float(np.clip(3.0 * np.sqrt(rows[part, 7].mean()), 0, 1))
        beat = periodic_hz(rows[part, 10], rows[part, 1])
        return {"level": level, "x": float(x), "y": float(y), "area": float(rows[part, 6].mean()), "periodic_hz": beat}

    return [stretch for stretch in _runs(rows, names, values) if stretch.kind]


def _stillness(rows: Values) -> list[Stretch]:
    names = ["still" if row[11] < _QUIET and np.abs(row[2:5]).max() < 0.02 else "" for row in rows]
    return [stretch for stretch in _runs(rows, names, lambda part: {}) if stretch.kind]


def _runs(rows: Values, names: Sequence[str], values: Callable[[slice], dict[str, float]]) -> list[Stretch]:
    """Runs of equal names; those shorter than ``_LEAST_S`` are swallowed by what came before."""
    spans: list[tuple[str, int, int]] = []
    index = 0
    for name, group in groupby(names):
        count = len(list(group))
        short = rows[index + count - 1, 1] - rows[index, 0] < _LEAST_S
        if spans and (short or spans[-1][0] == name):
            spans[-1] = (spans[-1][0], spans[-1][1], index + count)
        else:
            spans.append((name, index, index + count))
        index += count
    return [
        Stretch(
            float(rows[a, 0]), float(rows[b - 1, 1]), name, float(np.clip((b - a) / 12, 0.3, 0.9)), values(slice(a, b))
        )
        for name, a, b in spans
    ]


def periodic_hz(signal: Values, times: Values) -> float:
    """The beat of ``signal`` between 0.5 and 5 Hz by autocorrelation, 0 where it has none."""
    if len(signal) < 12:
        return 0.0
    step = float(np.median(np.diff(times)))
    centred = signal - signal.mean()
    power = float(centred @ centred)
    shortest, longest = max(2, round(0.2 / step)), min(len(signal) // 2, round(2.0 / step))
    if power < 1e-9 or longest <= shortest:
        return 0.0
    alike = np.array(
        [centred[lag:] @ centred[:-lag] / power * len(signal) / (len(signal) - lag) for lag in range(1, longest + 1)]
    )
    peaks = [
        i
        for i in range(shortest, longest - 1)
        if alike[i] >= alike[i - 1] and alike[i] >= alike[i + 1] and alike[i] > 0.35
    ]
    return round(1.0 / ((peaks[0] + 1) * step), 3) if peaks else 0.0
