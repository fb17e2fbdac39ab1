# SPDX-License-Identifier: AGPL-3.0-or-later
"""Contacts: moments at which something that moved fast is suddenly stopped or thrown back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from immersivaudio.engine.watchers._flow import Brake, Step, boxed, brake

_LEAST = 0.02
_APART = 0.2
_REFRACTORY_S = 0.18


@dataclass(frozen=True, slots=True)
class Contact:
    """One possible impact. ``speed`` in frame widths a second before it, ``lost`` the share of that speed that went."""

    time_s: float
    x: float
    y: float
    speed: float
    lost: float
    down: float
    size: float
    sharpness: float
    score: float
    confidence: float = 0.0
    period_s: float = 0.0


@dataclass(slots=True)
class Contacts:
    """Watches steps go by and keeps the moments of braking."""

    found: list[Contact] = field(default_factory=list)
    _step: Step | None = None
    _brakes: list[Brake] = field(default_factory=list)

    def see(self, step: Step) -> None:
        if self._step is not None and abs(step.start_s - self._step.end_s) < 0.15:
            self._brakes.append(brake(self._step, step))
            if len(self._brakes) >= 3:
                self.found += _peaks(self._brakes[-3:])
            self._brakes = self._brakes[-6:]
        self._step = step


def _peaks(three: Sequence[Brake]) -> list[Contact]:
    """The places at which the middle one of ``three`` brakes more than its neighbours in time and space."""
    earlier, here, later = three
    reach = np.ones((5, 5), np.uint8)
    before, after = cv2.dilate(earlier.loss, reach), cv2.dilate(later.loss, reach)
    local = here.loss * (here.loss >= before) * (here.loss > after) * (here.loss > _LEAST)
    found: list[Contact] = []
    for _ in range(3):
        _, value, _, (column, row) = cv2.minMaxLoc(local)
        if value <= _LEAST:
            break
        found.append(_contact(three, row, column, (float(before[row, column]), float(after[row, column]))))
        near = max(2, local.shape[1] // 6)
        local[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1] = 0.0
    return found


def _contact(three: Sequence[Brake], row: int, column: int, sides: tuple[float, float]) -> Contact:
    here = three[1]
    height, width = here.loss.shape
    peak = float(here.loss[row, column])
    times, weights = [b.time_s for b in three], [sides[0], peak, sides[1]]
    pair = (0, 1) if sides[0] >= sides[1] else (1, 2)
    time = sum(times[i] * weights[i] for i in pair) / (sum(weights[i] for i in pair) + 1e-9)
    speed, down, lost, size = _mover(here.before, row * 2, column * 2, peak)
    sharpness = peak / (peak + 2.0 * max(0.0, sum(sides) - max(sides)) + 1e-6)
    score = speed * lost
    return Contact(time, (column + 0.5) / width, (row + 0.5) / height, speed, lost, down, size, sharpness, score)


def _mover(step: Step, row: int, column: int, loss: float) -> tuple[float, float, float, float]:
    """Speed, how far down (1) or up (-1), share of speed lost, and area share of what moves around a place."""
    reach = max(3, step.speed.shape[1] // 12)
    area = np.s_[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    speeds, velocity = step.speed[area], step.velocity[area]
    weights = speeds**2
    total = float(weights.sum()) + 1e-9
    mean = (velocity * weights[..., None]).sum((0, 1)) / total
    speed = float((speeds * weights).sum() / total)
    lost = loss / max(1e-6, float(boxed(step.speed)[row, column]))
    size = float((step.speed > 0.5 * speed).mean())
    return speed, float(mean[1]) / max(1e-6, speed), min(2.0, lost), size


def judge(found: Sequence[Contact]) -> list[Contact]:
    """Give each contact its confidence and drop those that follow a stronger one at once."""
    judged = [replace(contact, confidence=_confidence(contact)) for contact in found]
    kept: list[Contact] = []
    for contact in sorted(judged, key=lambda c: -c.confidence):
        if contact.confidence > 0.15 and all(abs(contact.time_s - other.time_s) > _REFRACTORY_S for other in kept):
            kept.append(contact)
    return sorted(kept, key=lambda c: c.time_s)


def _confidence(contact: Contact) -> float:
    fast = _rise(contact.speed, 0.3, 0.9)
    stopped = _rise(contact.lost, 0.5, 1.0)
    way = 0.55 + 0.45 * contact.down
    return float(np.clip(fast * stopped * way * (0.5 + 0.5 * contact.sharpness), 0.0, 1.0))


def _rise(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))
