# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every family shares: the frame, the ask, and the small arithmetic of levels and controls."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.ways import Knot

RATE_HZ = 48_000
HOP = 1_000
HOPS = 24
FRAME = HOP * HOPS
HOP_S = HOP / RATE_HZ
FRAME_S = FRAME / RATE_HZ

Array = NDArray[np.floating[Any]]
Rng = np.random.Generator


class Texture(Protocol):
    """A sound that goes on for ever. ``settle_s`` is how much of it must be heard to know its level."""

    settle_s: float

    def frame(self) -> Array:
        """The next ``FRAME`` samples, ``[2, FRAME]``."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted of a sound: its knobs by name, the seed, how long it will be heard (0: not known), in which space
    (empty: it brings its own), and the way of a source that moves (empty: straight, by its knobs)."""

    knobs: Mapping[str, float]
    seed: int
    duration_s: float = 0.0
    space: str = ""
    way: tuple[Knot, ...] = ()

    def __getitem__(self, knob: str) -> float:
        return self.knobs[knob]

    def rng(self, purpose: str) -> Rng:
        """A stream of random numbers of its own for each purpose, so that parts do not disturb one another."""
        return stream(self.seed, zlib.crc32(purpose.encode()))


def stream(*seeds: int) -> Rng:
    """A fast generator; the same seeds give the same numbers."""
    return np.random.Generator(np.random.SFC64([seed & 0xFFFF_FFFF_FFFF_FFFF for seed in seeds]))


def gain(decibels: float) -> float:
    """The factor of a level in dB."""
    return float(10.0 ** (decibels / 20.0))


def lerp(low: float, high: float, share: float) -> float:
    """From ``low`` at 0 to ``high`` at 1, straight."""
    return low + (high - low) * share


def glide(low: float, high: float, share: float) -> float:
    """From ``low`` at 0 to ``high`` at 1, in equal ratios: for frequencies, rates and times."""
    return float(low * (high / low) ** share)


def seconds(duration_s: float) -> Array:
    """The sample times of ``duration_s`` seconds, from 0."""
    return np.arange(max(1, int(duration_s * RATE_HZ))) / RATE_HZ


def panned(position: Array | float) -> Array:
    """Left and right gain ``[2]`` (``[2, n]`` of many) at equal power; ``position`` from -1 to 1."""
    angle = (np.asarray(position) + 1.0) * np.pi / 4
    return np.array([np.cos(angle), np.sin(angle)])


def drawn(points: Array) -> Array:
    """``[n + 1]`` evenly spaced points as ``[FRAME]`` samples, straight from point to point; the first one is left out."""
    rows = len(points) - 1
    rise = np.arange(1, FRAME // rows + 1, dtype=points.dtype) / points.dtype.type(FRAME // rows)
    return np.asarray((points[:-1, None] + np.diff(points)[:, None] * rise).ravel())


class Ramp:
    """Makes a control of one value a hop into one a sample, straight from the last frame's end."""

    def __init__(self) -> None:
        self._last: float | None = None

    def frame(self, controls: Array) -> Array:
        """``[HOPS]`` -> ``[FRAME]``."""
        first = controls[0] if self._last is None else self._last
        self._last = float(controls[-1])
        return drawn(np.concatenate([[first], controls]))


class Wander:
    """A slow control of zero mean and unit variance, about 1/f over its time constants (first-order processes summed)."""

    def __init__(self, rng: Rng, times_s: tuple[float, ...] = (0.4, 1.8, 8.0)) -> None:
        self._rng = rng
        keep = np.exp(-HOP_S / np.array(times_s))[:, None]
        steps = np.arange(HOPS)
        self._fade = keep ** (steps + 1)
        lag = steps[:, None] - steps[None, :]
        self._reach = np.where(lag >= 0, keep[:, :, None] ** np.maximum(lag, 0), 0.0) * np.sqrt(1 - keep**2)[:, :, None]
        self._state = rng.standard_normal((len(times_s), 1))

    def frame(self) -> Array:
        """``[HOPS]``, one value a hop."""
        pushes = self._rng.standard_normal((len(self._state), HOPS, 1))
        courses = (self._reach @ pushes)[:, :, 0] + self._fade * self._state
        self._state = courses[:, -1:]
        return np.asarray(courses.sum(axis=0) / np.sqrt(len(courses)))
