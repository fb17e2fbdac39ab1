# SPDX-License-Identifier: AGPL-3.0-or-later
"""Painted noise: Gaussian noise whose spectrum may change from hop to hop, joined at equal power; and spectra to paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from immersivaudio.engine.synthesis.frame import FRAME, HOP, HOPS, RATE_HZ, Array, Rng

WINDOW = 2 * HOP
BIN_HZ: Array = fft.rfftfreq(WINDOW, 1 / RATE_HZ)
_SAFE_HZ: Array = np.maximum(BIN_HZ, 10.0)
_OCTAVES = np.log2(_SAFE_HZ).astype(np.float32)
_DRAWS = np.random.Generator(np.random.SFC64(2011))
_ROWS = 1 << 16
_GAUSS = _DRAWS.standard_normal((_ROWS + len(BIN_HZ), 2), np.float32).view(np.complex64)[:, 0]
_PHASES = np.exp(2j * np.pi * np.arange(256) / 256).astype(np.complex64)
_JOIN = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW).astype(np.float32) * np.float32(np.sqrt(WINDOW / 4))


class Noise:
    """A stream of stereo noise. ``width`` 0 is mono, 1 fully decorrelated above 600 Hz; lows stay near the middle.

    The two channels are mid plus and minus side with side never above mid, so that the fold-down keeps everything.
    """

    def __init__(self, rng: Rng, width: float = 0.8) -> None:
        self._rng, self._width = rng, width
        side = width * np.sqrt(0.5) * np.clip(np.log2(_SAFE_HZ / 100.0) / np.log2(6.0), 0.0, 1.0)
        self._side = side.astype(np.float32)
        self._mid = np.sqrt(1 - side**2).astype(np.float32)
        self._tail = np.zeros((2, HOP), np.float32)

    def frame(self, magnitude: Array) -> Array:
        """``[2, FRAME]`` with ``magnitude`` ``[bins]``, ``[HOPS, bins]`` or ``[2, HOPS, bins]``; 1 is white at unit rms.

        A noise of width 0 comes as one channel seen twice, at half the work.
        """
        spectra = self._spectra()
        spectra *= magnitude.astype(np.float32)
        pieces = fft.irfft(spectra, WINDOW, axis=-1, overwrite_x=True)
        pieces *= _JOIN
        out = np.empty((len(spectra), HOPS, HOP))
        out[:, 0] = self._tail[: len(spectra)]
        out[:, 1:] = pieces[:, :-1, HOP:]
        out += pieces[..., :HOP]
        self._tail[:] = pieces[:, -1, HOP:]
        wave = out.reshape(-1, FRAME)
        return wave if self._width else np.broadcast_to(wave, (2, FRAME))

    def _spectra(self) -> NDArray[np.complex64]:
        """White: ``[2, HOPS, bins]``, or ``[1, HOPS, bins]`` where there is no width."""
        mid = self._draw()
        if not self._width:
            return mid[None]
        side = self._draw()
        side *= self._side
        mid *= self._mid
        return np.stack([mid + side, mid - side])

    def _draw(self) -> NDArray[np.complex64]:
        """``[HOPS, bins]``: rows of a long table of Gaussian numbers from a random place, turned by a random phase."""
        starts, phases = self._rng.integers(0, _ROWS, HOPS), self._rng.integers(0, 256, HOPS)
        rows = np.lib.stride_tricks.sliding_window_view(_GAUSS, len(BIN_HZ))[starts]
        return np.asarray(rows * _PHASES[phases, None])


def slope(db_per_octave: float, corner_hz: float = 100.0) -> Array:
    """Flat to ``corner_hz``, then ``db_per_octave`` (negative falls). ``[bins]``."""
    return np.maximum(_SAFE_HZ / corner_hz, 1.0) ** (db_per_octave / 6.0206)


def band(low_hz: float, high_hz: float, order: int = 2) -> Array:
    """A Butterworth-like band's magnitude. ``[bins]``."""
    low = 1 / np.sqrt(1 + (low_hz / _SAFE_HZ) ** (2 * order))
    return low / np.sqrt(1 + (_SAFE_HZ / high_hz) ** (2 * order))


def hump(centre_hz: Array | float, octaves: float) -> Array:
    """A bell on the log-frequency axis, ``octaves`` wide (one sigma). ``[bins]`` or ``[len(centre_hz), bins]``."""
    centres = np.log2(np.atleast_1d(np.asarray(centre_hz, np.float64))).astype(np.float32)
    shape: Array = np.exp(-np.square((_OCTAVES - centres[:, None]) * np.float32(np.sqrt(0.5) / octaves)))
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


def drawn_noise(
    rng: Rng, samples: int, edges_hz: tuple[float, float], order: int = 2, tilt: Array | None = None
) -> Array:
    """A long piece of noise in a band, two independent channels ``[2, samples]``: drawn as a spectrum, and of that only what
    is heard, three octaves beyond the upper edge. ``tilt`` ``[bins]`` shapes it besides."""
    size = fft.next_fast_len(max(8, samples), real=True)
    hz = fft.rfftfreq(size, 1 / RATE_HZ)
    heard = int(np.searchsorted(hz, 8 * edges_hz[1]))
    shape = band(*edges_hz, order) * (1.0 if tilt is None else tilt)
    spectrum = np.zeros((2, len(hz)), np.complex64)
    draws = rng.standard_normal((2, heard, 2), np.float32).view(np.complex64)[..., 0]
    spectrum[:, :heard] = draws * np.interp(hz[:heard], BIN_HZ, shape).astype(np.float32)
    return np.asarray(fft.irfft(spectrum, size)[:, :samples])
