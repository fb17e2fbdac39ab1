# SPDX-License-Identifier: AGPL-3.0-or-later
"""Steady tones."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import FRAME, FRAME_S, RATE_HZ, Array, Rng, lerp


class Hum:
    """Mains or motor harmonics with slow breathing, mono ``[FRAME]``, phase-true over the joins."""

    def __init__(self, rng: Rng, base_hz: float, loud: tuple[float, ...]) -> None:
        self._base_hz, self._base = base_hz, 0.0
        self._weights = (
            np.array(loud) * rng.uniform(0.6, 1.3, len(loud)) * np.exp(1j * rng.uniform(0, 6.283, len(loud)))
        )
        self._time = np.arange(FRAME) / RATE_HZ

    def frame(self) -> Array:
        # Harmonics by powers of one turning pointer: a single exponential a sample, whatever their number.
        turn = np.exp(1j * (2 * np.pi * self._base_hz * self._time + self._base))
        self._base = float((self._base + 2 * np.pi * self._base_hz * FRAME_S) % (2 * np.pi))
        total = np.zeros(FRAME, np.complex128)
        for weight in self._weights[::-1]:
            total = (total + weight) * turn
        return np.asarray(total.imag)


class Wheel:
    """Harmonics of a turning thing as one wave a turn, read at any rate: as dear for a hundred orders as for one."""

    def __init__(self, rng: Rng, loud: Array, size: int = 4_096) -> None:
        spectrum = np.zeros(size // 2 + 1, np.complex128)
        spectrum[1 : len(loud) + 1] = loud * np.exp(2j * np.pi * rng.random(len(loud)))
        wave = np.fft.irfft(spectrum, size)
        self._wave, self._size = wave / np.std(wave), size
        self._turns = rng.random()

    def frame(self, turns_hz: Array) -> Array:
        """``[FRAME]`` at unit rms, ``turns_hz`` ``[FRAME]`` turns a second."""
        turns = self._turns + np.cumsum(turns_hz) / RATE_HZ
        self._turns = float(turns[-1] % 1.0)
        return np.asarray(self._wave[(turns * self._size).astype(np.int64) & (self._size - 1)], np.float64)


class Motor(Wheel):
    """A combustion engine by its working cycle (four firings, none quite like the next), a quarter of the firings a turn."""

    def __init__(self, rng: Rng, bright: float) -> None:
        orders = np.arange(1, 65)
        firing = np.where(orders % 4 == 0, 1.0, np.where(orders % 2 == 0, 0.22, 0.09))
        super().__init__(rng, firing * (1.0 + orders / 6.0) ** -lerp(2.0, 1.1, bright) * rng.uniform(0.5, 1.3, 64))
