# SPDX-License-Identifier: AGPL-3.0-or-later
"""Many small sounds: Poisson clouds of grains from a table that is slowly renewed, and dense showers of clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine.synthesis.frame import FRAME, HOP, HOP_S, HOPS, RATE_HZ, Array, Rng, panned
from immersivaudio.engine.synthesis.noise import burst, hump

Make = Callable[[Rng], Array]


def rub(rng: Rng, centre_hz: float) -> Array:
    """A grain of friction or fracture, mono: noise round a pitch that dies within a few of its periods."""
    fall = rng.uniform(2.0, 8.0) / centre_hz
    t = np.arange(int(min(0.045, 6 * fall) * RATE_HZ)) / RATE_HZ
    wave = burst(rng, (len(t) + 0.5) / RATE_HZ, hump(centre_hz, 0.5))[: len(t)] * (1_500.0 / centre_hz) ** 0.5
    return np.asarray(wave * np.minimum(1.0, t / 0.0003) * np.exp(-t / fall))


class Tape:
    """Waveforms laid at any sample from now on, read ``frame`` samples at a time: tails run over the joins."""

    def __init__(self, kind: type[np.floating[Any]] = np.float64, frame: int = FRAME) -> None:
        self._buffer, self._frame = np.zeros((2, 2 * frame), kind), frame

    def lay(self, start: int, wave: Array, sides: Array) -> None:
        """Add mono ``wave`` at ``start`` samples from the frame's first, with ``sides`` ``[2]`` gains."""
        end = start + wave.shape[-1]
        self._reach(end)
        self._buffer[0, start:end] += wave * sides[0]
        self._buffer[1, start:end] += wave * sides[1]

    def lay_stereo(self, start: int, wave: Array) -> None:
        """Add ``wave`` ``[2, n]`` at ``start`` samples from the frame's first."""
        self._reach(start + wave.shape[1])
        self._buffer[:, start : start + wave.shape[1]] += wave

    def frame(self) -> Array:
        """The next frame, and forget it."""
        out = self._buffer[:, : self._frame].copy()
        self._buffer[:, : -self._frame] = self._buffer[:, self._frame :]
        self._buffer[:, -self._frame :] = 0.0
        return out

    def _reach(self, end: int) -> None:
        missing = end - self._buffer.shape[1]
        if missing > 0:
            self._buffer = np.pad(self._buffer, ((0, 0), (0, missing + self._frame)))


class Cloud:
    """Grains at Poisson moments, each from a table of ``size`` whose oldest members are replaced as it goes on."""

    def __init__(self, rng: Rng, make: Make, size: int = 48, width: float = 0.9, renew: int = 1) -> None:
        self._rng, self._make, self._width, self._renew = rng, make, width, renew
        self._table = [make(rng) for _ in range(size)]
        self._oldest = 0
        self._tape = Tape()

    def frame(self, rate_hz: Array | float, spread: float = 0.6, heavy: float = 0.0) -> Array:
        """``[2, FRAME]``: ``rate_hz`` grains a second (one value, or one a hop).

        ``spread`` is the sigma of log-normal gains; ``heavy`` above 0 makes them Pareto with that exponent instead.
        """
        self._refresh()
        starts = self._moments(rate_hz)
        gains = self._gains(len(starts), spread, heavy)
        which = self._rng.integers(0, len(self._table), len(starts))
        sides = gains[:, None] * panned(self._rng.uniform(-self._width, self._width, len(starts))).T
        for start, row, side in zip(starts.tolist(), which.tolist(), sides, strict=True):
            self._tape.lay(start, self._table[row], side)
        return self._tape.frame()

    def _refresh(self) -> None:
        for _ in range(self._renew):
            self._table[self._oldest] = self._make(self._rng)
            self._oldest = (self._oldest + 1) % len(self._table)

    def _moments(self, rate_hz: Array | float) -> NDArray[np.int64]:
        counts = self._rng.poisson(np.broadcast_to(np.asarray(rate_hz) * HOP_S, (HOPS,)))
        hops = np.repeat(np.arange(HOPS), counts)
        return hops * HOP + self._rng.integers(0, HOP, len(hops))

    def _gains(self, count: int, spread: float, heavy: float) -> Array:
        if heavy > 0:
            return np.minimum(self._rng.pareto(heavy, count) + 1.0, 40.0)
        return np.exp(spread * np.minimum(self._rng.standard_normal(count), 2.3))


class Shower:
    """So many clicks that each is no more than an impulse through a filter: drops, sand, leaves."""

    def __init__(self, rng: Rng, low_hz: float, high_hz: float, width: float = 0.9, order: int = 1) -> None:
        self._rng, self._width = rng, width
        self._sos = scipy.signal.butter(order, [low_hz, high_hz], "bandpass", fs=RATE_HZ, output="sos")
        self._state = np.zeros((self._sos.shape[0], 2, 2))

    def frame(self, rate_hz: Array | float, spread: float = 0.8) -> Array:
        """``[2, FRAME]`` with ``rate_hz`` clicks a second of log-normal gain, at unit variance a thousand a second."""
        counts = self._rng.poisson(np.broadcast_to(np.asarray(rate_hz) * HOP_S, (HOPS,)))
        hops = np.repeat(np.arange(HOPS), counts)
        starts = hops * HOP + self._rng.integers(0, HOP, len(hops))
        loud = np.exp(spread * self._rng.standard_normal(len(starts))) * self._rng.choice([-7.0, 7.0], len(starts))
        sides = loud * panned(self._rng.uniform(-self._width, self._width, len(starts)))
        impulses = np.stack([np.bincount(starts, side, FRAME) for side in sides])
        out, self._state = scipy.signal.sosfilt(self._sos, impulses, axis=-1, zi=self._state)
        return np.asarray(out, np.float64)
