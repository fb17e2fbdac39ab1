# SPDX-License-Identifier: AGPL-3.0-or-later
"""Steady tones."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.frame import FRAME, FRAME_S, RATE_HZ, Array, Rng


class Hum:
    """Mains or motor harmonics with slow breathing, mono ``[FRAME]``, phase-true over the joins."""

    def __init__(self, rng: Rng, base_hz: float, loud: tuple[float, ...]) -> None:
        self._hz = base_hz * np.arange(1, len(loud) + 1)
        self._loud = np.array(loud) * rng.uniform(0.6, 1.3, len(loud))
        self._phase = rng.uniform(0, 2 * np.pi, len(loud))
        self._time = np.arange(FRAME) / RATE_HZ

    def frame(self) -> Array:
        angles = 2 * np.pi * self._hz[:, None] * self._time + self._phase[:, None]
        self._phase = (self._phase + 2 * np.pi * self._hz * FRAME_S) % (2 * np.pi)
        wave: Array = self._loud @ np.sin(angles)
        return wave
