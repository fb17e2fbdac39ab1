# SPDX-License-Identifier: AGPL-3.0-or-later
"""The true peak behind a lossy encoder: it adds noise, so what was held under a ceiling may come out over it.

What is encoded is decoded again and measured; where it is over, the sound is lowered by as much and encoded anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from immersivaudio.engine import bwf
from immersivaudio.engine.audio import amplitude
from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.loudness import TruePeakMeter
from immersivaudio.engine.media.reading import sound

_AGAIN = 2
# Over by less is not told apart in tenths of a dB. Gains are whole tenths, so that a small change of the mix is seldom
# another gain, and what is kept of the encoding holds.
_TOLERATED_DB, _MARGIN_DB, _STEPS_PER_DB = 0.05, 0.02, 10
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Encoded:
    """What was done to a sound for its codec's sake, and the true peak in dBTP that its listeners get."""

    gain_db: float
    true_peak_db: float

    def over(self, ceiling_db: float) -> bool:
        """Whether it still peaks over the ceiling."""
        return self.true_peak_db > ceiling_db + _TOLERATED_DB


def encode_under(
    ceiling_db: float, wav: Path, out: Path, encode: Callable[[Path], float], cancelled: Callable[[], bool]
) -> Encoded:
    """Have ``encode`` make ``out`` of the float WAV ``wav``, and of a lower copy where the true peak in dBTP that it
    answers with is over the ceiling; twice at most.

    Raises:
        OutputError: no space is left for the copy. CancelledError: ``cancelled()`` became true. Whatever ``encode`` raises.
    """
    gain_db, lower = 0.0, wav.with_name(f".{out.name}.lower.wav")
    try:
        done = Encoded(gain_db, encode(wav))
        for _ in range(_AGAIN):
            if not done.over(ceiling_db):
                break
            gain_db -= math.ceil((done.true_peak_db - ceiling_db + _MARGIN_DB) * _STEPS_PER_DB) / _STEPS_PER_DB
            _copy(wav, lower, gain_db, cancelled)
            done = Encoded(gain_db, encode(lower))
        return done
    finally:
        lower.unlink(missing_ok=True)


def decoded_peak_db(path: Path, cancelled: Callable[[], bool]) -> float:
    """The true peak in dBTP of a file's main sound as it is decoded; a second of it is held at a time.

    Raises:
        MediaError: it has no sound. CancelledError: ``cancelled()`` became true.
    """
    meter = TruePeakMeter()
    for block in sound(path, None, cancelled=cancelled):
        meter.push(block)
    return meter.finish()


def _copy(wav: Path, lower: Path, gain_db: float, cancelled: Callable[[], bool]) -> None:
    gain, first = np.float32(amplitude(gain_db)), 0
    with bwf.WavWriter(lower, rate_hz=SAMPLE_RATE_HZ, durable=False) as writer:
        while len(part := bwf.read_part(wav, first, _BLOCK)[0]):
            if cancelled():
                raise CancelledError("The encoding was stopped.")
            writer.write(part.T * gain)
            first += len(part)
