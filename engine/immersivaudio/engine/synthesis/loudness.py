# SPDX-License-Identifier: AGPL-3.0-or-later
"""How loud a texture is, so that it can be set to its reference level once (ITU-R BS.1770-4)."""

from __future__ import annotations

import numpy as np
from scipy import signal

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array

# The two filters of BS.1770-4, table 1 and 2, at 48 kHz.
_K_WEIGHT = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)
_BLOCK, _STEP = RATE_HZ * 2 // 5, RATE_HZ // 10


def momentary_lufs(samples: Array) -> Array:
    """Loudness of each 400 ms of ``[2, n]``, every 100 ms; at least one value."""
    weighted = signal.sosfilt(_K_WEIGHT, samples, axis=-1)
    energy = np.concatenate([[0.0], np.cumsum(np.sum(np.square(weighted), axis=0))])
    starts = np.arange(0, max(1, samples.shape[1] - _BLOCK + 1), _STEP)
    ends = np.minimum(starts + _BLOCK, samples.shape[1])
    power: Array = (energy[ends] - energy[starts]) / (ends - starts)
    return np.asarray(-0.691 + 10 * np.log10(power + 1e-12))


def integrated_lufs(samples: Array) -> float:
    """Gated loudness of ``[2, n]`` (absolute gate -70 LUFS, relative gate -10 LU)."""
    blocks = momentary_lufs(samples)
    loud = blocks[blocks > -70.0]
    if not len(loud):
        return -70.0
    gate = _mean(loud) - 10.0
    return _mean(loud[loud > gate])


def _mean(lufs: Array) -> float:
    return float(-0.691 + 10 * np.log10(np.mean(10 ** ((lufs + 0.691) / 10))))
