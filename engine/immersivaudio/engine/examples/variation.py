# SPDX-License-Identifier: AGPL-3.0-or-later
"""No two uses of an event alike: pitch, level and colour a little different each time, the attack kept to the sample."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy

from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.examples.events import Event
from immersivaudio.engine.performers import Block
from immersivaudio.engine.synthesis.frame import Rng

_PITCH_CENTS, _LEVEL_DB, _TILT_DB = 22.0, 0.8, 1.0
# An example with a single event has to be varied more not to sound like a machine.
_ALONE = 2.5
_BEYOND = 2.0
_TILT_HZ = 1500.0


@dataclass(frozen=True, slots=True)
class Change:
    """What one use of an event differs by."""

    cents: float
    level_db: float
    tilt_db: float


def change_of(rng: Rng, alone: bool) -> Change:
    """A small random change; larger where the event is the only one."""
    pitch, level, tilt = np.clip(rng.standard_normal(3), -_BEYOND, _BEYOND)
    more = _ALONE if alone else 1.0
    return Change(float(pitch * _PITCH_CENTS * more), float(level * _LEVEL_DB), float(tilt * _TILT_DB * more))


def varied(event: Event, change: Change) -> tuple[Block, int]:
    """The event with ``change``: float32 ``[2, n]`` with a peak of 1 (before its level), and where its attack is."""
    ratio = Fraction(2 ** (-change.cents / 1200)).limit_denominator(400)
    tuned = scipy.signal.resample_poly(event.grain, ratio.numerator, ratio.denominator, axis=1)
    grain = _tilted(tuned, change.tilt_db)
    gain = 10 ** (change.level_db / 20) / max(float(np.abs(grain).max()), 1e-9)
    return (grain * gain).astype(np.float32), round(event.lead * ratio)


def _tilted(grain: Block, tilt_db: float) -> Block:
    """What lies above 1.5 kHz raised by ``tilt_db`` beside what lies below: (g s + w) / (s + w) by the bilinear
    transform, minimum phase."""
    gain, corner = 10 ** (tilt_db / 20), np.tan(np.pi * _TILT_HZ / SAMPLE_RATE_HZ)
    ahead, behind = [gain + corner, corner - gain], [1 + corner, corner - 1]
    return np.asarray(scipy.signal.lfilter(ahead, behind, grain, axis=1), np.float32)
