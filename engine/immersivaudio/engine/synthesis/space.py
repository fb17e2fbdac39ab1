# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a sound is heard: the room's early reflections and late tail, and what distance takes from a sound."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from immersivaudio.engine.synthesis.frame import FRAME, RATE_HZ, Array, glide, seconds, stream


@lru_cache(maxsize=32)
def room(reverb_s: float, early_s: float = 0.02, seed: int = 1) -> Array:
    """A stereo response ``[2, n]`` without the direct sound: image-like early taps, then noise that decays 60 dB
    in ``reverb_s``, highs faster (Moorer 1979). Its energy is 1 a channel."""
    rng = stream(seed)
    t = seconds(reverb_s * 1.1 + early_s)
    tail = rng.standard_normal((2, len(t)))
    mid = tail.mean(axis=0)
    tail = 0.75 * tail + 0.35 * mid
    onset = np.clip((t - 0.2 * early_s) / early_s, 0.0, 1.0)
    bright = tail * np.exp(-6.91 * 2.2 * t / reverb_s)
    dark = signal.lfilter([0.25], [1.0, -0.75], tail, axis=-1) * np.exp(-6.91 * t / reverb_s)
    out = (0.25 * bright + dark) * onset
    for _ in range(8):
        out[:, int(rng.uniform(0.3, 2.5) * early_s * RATE_HZ)] += rng.uniform(0.5, 1.0, 2) * rng.choice([-1, 1]) * 0.8
    return np.asarray(out / np.sqrt(np.sum(out**2, axis=-1, keepdims=True)), np.float64)


def in_room(wave: Array, share: float, reverb_s: float, early_s: float = 0.02) -> Array:
    """``wave`` ``[n]`` or ``[2, n]`` with its room, ``[2, n + tail]``; ``share`` is the room's energy against the direct."""
    dry, tail = np.atleast_2d(wave), room(round(reverb_s, 2), early_s).shape[1]
    length = dry.shape[1] + tail - 1
    size = fft.next_fast_len(-(-length // 8_192) * 8_192, real=True)
    spectra = fft.rfft(dry.astype(np.float32), size) * _answer(round(reverb_s, 2), early_s, size)
    wet = np.sqrt(share) * fft.irfft(spectra, size)[:, :length].astype(np.float64)
    wet[:, : dry.shape[1]] += dry
    return np.asarray(wet, np.float64)


@lru_cache(maxsize=48)
def _answer(reverb_s: float, early_s: float, size: int) -> NDArray[np.complex64]:
    """The spectrum of a room's response, ``size`` samples long."""
    return np.asarray(fft.rfft(room(reverb_s, early_s).astype(np.float32), size), np.complex64)


def far_cutoff_hz(distance: float) -> float:
    """Above which frequency air, ground and foliage have taken the sound; ``distance`` 0 to 1 is about 1 to 400 m."""
    return glide(20_000.0, 1_600.0, distance)


def darkened(wave: Array, distance: float) -> Array:
    """``wave`` as heard from ``distance``: a gentle low-pass; the first sample stays where it is."""
    if distance <= 0.02:
        return wave
    sos = signal.butter(1, far_cutoff_hz(distance) / 1.0, fs=RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(sos, wave, axis=-1), np.float64)


class Reverb:
    """A room for a stream: mono frames in, the room's stereo answer out, without the direct sound."""

    def __init__(self, reverb_s: float, early_s: float = 0.02, seed: int = 1) -> None:
        response = room(round(reverb_s, 2), early_s, seed).astype(np.float32)
        self._size = fft.next_fast_len(FRAME + response.shape[1], real=True)
        self._response = fft.rfft(response, self._size, axis=-1)
        self._tail = np.zeros((2, self._size), np.float32)

    def frame(self, wave: Array) -> Array:
        """``[FRAME]`` -> ``[2, FRAME]``."""
        spectrum = fft.rfft(wave.astype(np.float32), self._size)
        self._tail += fft.irfft(spectrum * self._response, self._size, axis=-1)
        out = self._tail[:, :FRAME].astype(np.float64)
        self._tail[:, :-FRAME] = self._tail[:, FRAME:].copy()
        self._tail[:, -FRAME:] = 0.0
        return out
