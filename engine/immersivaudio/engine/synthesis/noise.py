# SPDX-License-Identifier: AGPL-3.0-or-later
"""Painted noise: Gaussian noise whose spectrum may change from hop to hop, joined at equal power; and spectra to paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from immersivaudio.engine.synthesis.frame import FRAME, HOP, HOPS, RATE_HZ, Array, Rng

WINDOW = 2 * HOP
BIN_HZ: Array = fft.rfftfreq(WINDOW, 1 / RATE_HZ)
_SAFE_HZ = np.maximum(BIN_HZ, 10.0)
_DRAWS = np.random.Generator(np.random.SFC64(2011))
_GAUSS = (_DRAWS.standard_normal(8192) + 1j * _DRAWS.standard_normal(8192)).astype(np.complex64)
_JOIN = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW).astype(np.float32) * np.float32(np.sqrt(WINDOW / 4))


class Noise:
    """A stream of stereo noise. ``width`` 0 is mono, 1 fully decorrelated above 600 Hz; lows stay near the middle.

    The two channels are mid plus and minus side with side never above mid, so that the fold-down keeps everything.
    """

    def __init__(self, rng: Rng, width: float = 0.8) -> None:
        self._rng = rng
        side = width * np.sqrt(0.5) * np.clip(np.log2(_SAFE_HZ / 100.0) / np.log2(6.0), 0.0, 1.0)
        self._side = side.astype(np.float32)
        self._mid = np.sqrt(1 - side**2).astype(np.float32)
        self._tail = np.zeros((2, HOP), np.float32)

    def frame(self, magnitude: Array) -> Array:
        """``[2, FRAME]`` with ``magnitude`` ``[bins]``, ``[HOPS, bins]`` or ``[2, HOPS, bins]``; 1 is white at unit rms."""
        mid, side = self._draw() * self._mid, self._draw() * self._side
        spectra = np.stack([mid + side, mid - side])
        spectra *= magnitude.astype(np.float32)
        pieces = fft.irfft(spectra, WINDOW, axis=-1, overwrite_x=True) * _JOIN
        out = np.zeros((2, HOPS + 1, HOP), np.float32)
        out[:, :-1] = pieces[..., :HOP]
        out[:, 1:] += pieces[..., HOP:]
        out[:, 0] += self._tail
        self._tail = out[:, -1].copy()
        return out[:, :-1].reshape(2, FRAME).astype(np.float64)

    def _draw(self) -> NDArray[np.complex64]:
        return np.asarray(_GAUSS[self._rng.integers(0, 8192, (HOPS, len(BIN_HZ)), np.uint16)])


def slope(db_per_octave: float, corner_hz: float = 100.0) -> Array:
    """Flat to ``corner_hz``, then ``db_per_octave`` (negative falls). ``[bins]``."""
    return np.maximum(_SAFE_HZ / corner_hz, 1.0) ** (db_per_octave / 6.0206)


def band(low_hz: float, high_hz: float, order: int = 2) -> Array:
    """A Butterworth-like band's magnitude. ``[bins]``."""
    low = 1 / np.sqrt(1 + (low_hz / _SAFE_HZ) ** (2 * order))
    return low / np.sqrt(1 + (_SAFE_HZ / high_hz) ** (2 * order))


def hump(centre_hz: Array | float, octaves: float) -> Array:
    """A bell on the log-frequency axis, ``octaves`` wide (one sigma). ``[bins]`` or ``[len(centre_hz), bins]``."""
    distance = np.log2(_SAFE_HZ / np.atleast_1d(np.asarray(centre_hz, np.float64))[:, None]) / octaves
    shape: Array = np.exp(-0.5 * distance**2)
    return shape[0] if np.ndim(centre_hz) == 0 else shape


def resonance(centre_hz: float, quality: float) -> Array:
    """A two-pole resonance's magnitude, 1 at its centre. ``[bins]``."""
    ratio = _SAFE_HZ / centre_hz
    return 1 / np.sqrt(1 + (quality * (ratio - 1 / ratio)) ** 2)


def unit(magnitude: Array) -> Array:
    """The same spectrum at unit rms."""
    return np.asarray(magnitude / np.sqrt(np.mean(magnitude**2) + 1e-20))


def burst(rng: Rng, duration_s: float, magnitude: Array) -> Array:
    """A short piece of noise with a given spectrum, mono ``[n]``, for grains and strokes."""
    n = max(8, int(duration_s * RATE_HZ))
    size = fft.next_fast_len(n, real=True)
    shape = np.interp(fft.rfftfreq(size, 1 / RATE_HZ), BIN_HZ, magnitude)
    out: Array = fft.irfft(fft.rfft(rng.standard_normal(size)) * shape, size)[:n]
    return out
