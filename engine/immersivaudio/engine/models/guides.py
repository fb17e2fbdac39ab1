# SPDX-License-Identifier: AGPL-3.0-or-later
"""The guide track: the same cue as rule and physics perform it, exact in time, for a model that re-renders its timbre."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine import carried, plugins, ways
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Stem
from immersivaudio.engine.errors import ResultError
from immersivaudio.engine.models import shaping
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.performers import Block, Brief, Performer
from immersivaudio.engine.sounds import BY_ID, Motion

_DEFAULT = 0.4
_LEAST_ALIKE = 0.5
_GUIDES = ("procedural", "music")


def default(cue: Cue) -> float:
    """How closely a cue follows its guide when it does not say: where timing is what matters, and there is a guide."""
    sound = BY_ID.get(cue.sound)
    timed = sound is not None and sound.motion is not Motion.SUSTAINED and sound.stem is not Stem.MUSIC
    return _DEFAULT if timed and _guide(cue) is not None else 0.0


def maker(cue: Cue) -> str:
    """Name and version of who performs the guide of a cue, for its take's key; empty where nobody here does."""
    performer = _guide(cue)
    return "" if performer is None else f"{performer.name} {performer.version}"


def render(brief: Brief, rate_hz: int, channels: int) -> Wave | None:
    """The guide of a cue ``[channels, n]`` at ``rate_hz``, at its own level; None where nobody here has one.

    Raises:
        CancelledError: ``brief.cancelled()`` became true.
    """
    performer = _guide(brief.cue)
    if performer is None:
        return None
    whole = np.concatenate(list(performer.perform(brief)), axis=1)
    shaping.obey(brief)
    if channels == 1:
        whole = whole.mean(axis=0, keepdims=True)
    step = gcd(rate_hz, SAMPLE_RATE_HZ)
    wave = scipy.signal.resample_poly(whole.astype(np.float64), rate_hz // step, SAMPLE_RATE_HZ // step, axis=1)
    return np.asarray(wave, np.float32)


def levelled(guide: Wave) -> Wave:
    """With a peak of -6 dBFS, as a model that hears it expects."""
    peak = float(np.abs(guide).max(initial=0.0))
    return np.asarray(guide * (0.5 / peak if peak > 0 else 1.0), np.float32)


def shaped(wave: Wave, rate_hz: int, brief: Brief, guided: bool, ending_s: float = 0.0) -> Iterator[Block]:
    """Blocks of a cue as its kind of sound asks; ``guided``: it was made after the guide track and is held to it.
    Music fades to nothing over ``ending_s``, on its last sample.

    Raises:
        ResultError: it slipped away from the guide.
    """
    sound = BY_ID.get(brief.cue.sound)
    if shaping.is_struck(brief.cue):
        return shaping.struck(wave, rate_hz, brief, guided)
    if guided and sound is not None and sound.motion is Motion.MOVING:
        guide = render(brief, rate_hz, 1)
        if guide is not None:
            passed = _passed(wave, rate_hz, brief, guide)
            # Its level follows the guide's, which is on the way already; its sides are the model's.
            return carried.pan_along(brief, passed) if ways.of(brief.cue) else passed
    return shaping.sustained(wave, rate_hz, brief, ending_s if brief.cue.stem is Stem.MUSIC else 0.0)


def _passed(wave: Wave, rate_hz: int, brief: Brief, guide: Wave) -> Iterator[Block]:
    """Blocks of a movement made after ``guide`` (in the same rate), as loud as that at its closest moment.

    Raises:
        ResultError: it is no longer loud when the guide is.
    """
    length = min(wave.shape[1], guide.shape[1])
    made, meant = (_slowly(one[:, :length], rate_hz) for one in (wave, guide))
    if len(meant) > 2 and float(np.corrcoef(made, meant)[0, 1]) < _LEAST_ALIKE:
        raise ResultError("The model let the movement slip away from the guide.")
    gain = np.float32(meant.max() / max(float(made.max()), 1e-9))
    for start in range(0, brief.samples, SAMPLE_RATE_HZ):
        shaping.obey(brief)
        yield shaping.stereo(wave, rate_hz, start, min(SAMPLE_RATE_HZ, brief.samples - start)) * gain


def _slowly(wave: Wave, rate_hz: int) -> NDArray[np.float64]:
    """RMS of every 100 ms, smoothed over 400 ms."""
    hop = max(1, rate_hz // 10)
    power = np.square(wave.mean(axis=0, dtype=np.float64))
    power = np.pad(power, (0, -len(power) % hop)).reshape(-1, hop).mean(axis=1)
    return np.asarray(np.sqrt(np.convolve(power, np.full(4, 0.25), "same")))


def _guide(cue: Cue) -> Performer | None:
    made = (plugins.create("performers", name) for name in _GUIDES)
    return next((performer for performer in made if performer.fitness(cue) > 0), None)
