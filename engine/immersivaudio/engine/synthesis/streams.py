# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a texture, striker or passing to frames at the reference level: calibrated, free of DC, never clipped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy

from immersivaudio.engine.loudness import LoudnessMeter, largest
from immersivaudio.engine.synthesis.catalog import Striker
from immersivaudio.engine.synthesis.frame import FRAME, FRAME_S, RATE_HZ, Array, Ask, Texture, gain, lerp, stream
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.space import SPACES, far_cutoff_hz, place

SUSTAINED_LUFS = -26.0
STRUCK_PEAK_DB = -12.0
_KNEE, _ROOM = 0.5, 0.38


class Finish:
    """What every sound goes through last: no DC or infrasound, and the darkness of distance."""

    def __init__(self, distance: float) -> None:
        rows = [scipy.signal.butter(2, 16.0, "highpass", fs=RATE_HZ, output="sos")]
        if distance > 0.02:
            rows.append(scipy.signal.butter(1, far_cutoff_hz(distance), fs=RATE_HZ, output="sos"))
        self._sos = np.concatenate(rows)
        self._state = np.zeros((len(self._sos), 2), np.complex128)

    def frame(self, wave: Array) -> Array:
        """``[2, n]`` -> ``[2, n]``."""
        # The two channels as one of complex numbers: the recursion waits for itself, not for the arithmetic.
        out, self._state = scipy.signal.sosfilt(self._sos, wave[0] + 1j * wave[1], zi=self._state)
        return np.stack([out.real, out.imag])


def limited(wave: Array) -> Array:
    """Bends what is above half of full scale so that nothing passes -1.1 dBFS; below that nothing is changed."""
    if largest(wave) <= _KNEE:
        return wave
    loud = np.abs(wave)
    bent = _KNEE + _ROOM * np.tanh((loud - _KNEE) / _ROOM)
    return np.where(loud > _KNEE, np.sign(wave) * bent, wave)


class Around:
    """What the place gives back of a stream. Out in the open it is left out of what lasts: nobody hears it there."""

    def __init__(self, space: str, distance: float, *, lasting: bool = True) -> None:
        heard = space in SPACES and not (lasting and space == "open")
        self._place = place(space) if heard else None
        self._loud = float(np.sqrt(SPACES[space].share(distance))) if heard else 0.0

    def frame(self, wave: Array) -> Array:
        """``[2, FRAME]`` with its place."""
        if self._place is None:
            return wave
        return np.asarray(wave + self._place.frame(self._loud * (wave[0] + wave[1]) / 2))


class _Placed:
    """A texture in its place."""

    def __init__(self, texture: Texture, around: Around) -> None:
        self.settle_s, self._texture, self._around = texture.settle_s, texture, around

    def frame(self) -> Array:
        return self._around.frame(self._texture.frame())


def sustained(texture: Texture, ask: Ask) -> Iterator[Array | None]:
    """Frames for ever at -26 LUFS. None stands for work without result: a chance to look at the clock.

    The level is measured once, on the first ``settle_s`` seconds, which are then handed out; two frames before them
    are thrown away, so that filters and tails are full.
    """
    distance = ask.knobs.get("distance", 0.0)
    finish, meter = Finish(distance), LoudnessMeter()
    texture = _Placed(texture, Around(ask.space, distance))
    opening: list[Array] = []
    for count in range(2 + int(np.ceil(texture.settle_s / FRAME_S))):
        frame = finish.frame(texture.frame())
        if count >= 2:
            opening.append(frame.astype(np.float32))
            meter.push(frame)
        yield None
    level = _level(opening, meter)
    while opening:
        yield limited(level * opening.pop(0))
    while True:
        yield limited(level * finish.frame(texture.frame()))


def _level(opening: list[Array], meter: LoudnessMeter) -> float:
    """The gain that brings ``opening`` to its reference level, with what the limiter then takes given back once."""
    level = gain(SUSTAINED_LUFS - (meter.integrated() or -70.0))
    if level * max(largest(frame) for frame in opening) <= _KNEE:
        return level
    bent = LoudnessMeter()
    for frame in opening:
        bent.push(limited(level * frame))
    lost_db = SUSTAINED_LUFS - (bent.integrated() or -70.0)
    return level * gain(min(3.0, max(0.0, 1.5 * lost_db)))


def moving(passing: Texture, space: str = "") -> Iterator[Array | None]:
    """Frames of something that passes; it knows its own level, and what its place throws back is as of far sources."""
    finish, around = Finish(0.0), Around(space, 0.5)
    while True:
        yield limited(finish.frame(around.frame(passing.frame())))


def struck(striker: Striker, ask: Ask, moments: list[int] | None) -> Iterator[Array | None]:
    """Frames in which ``striker`` is struck at each of ``moments`` (samples, rising); None: once, at the start."""
    around = Around(ask.space, ask.knobs.get("distance", 0.0), lasting=False)
    tape, clock, lead = Tape(), 0, int(getattr(striker, "lead_s", lambda: 0.0)() * RATE_HZ)
    queue = list(enumerate([lead] if moments is None else moments))
    while True:
        while queue and queue[0][1] - lead < clock + FRAME:
            index, moment = queue.pop(0)
            wave = _blow(striker, ask, index)
            begin = moment - lead - clock
            tape.lay_stereo(max(0, begin), wave[:, max(0, -begin) :])
            yield None
        clock += FRAME
        yield limited(around.frame(tape.frame()))


def _blow(striker: Striker, ask: Ask, index: int) -> Array:
    """One blow at its level: -12 dBFS for full strength, later blows up to 2 dB softer by chance."""
    rng = stream(ask.seed, 0xB10, index)
    wave = striker.strike(rng)
    fall_db = lerp(-20.0, 0.0, ask["strength"]) - 4.0 * ask.knobs.get("distance", 0.0)
    fall_db -= 2.0 * rng.random() if index else 0.0
    fade = min(480, wave.shape[1])
    wave[:, -fade:] *= np.linspace(1.0, 0.0, fade)
    return np.asarray(wave * gain(STRUCK_PEAK_DB + fall_db) / (np.max(np.abs(wave)) + 1e-9))
