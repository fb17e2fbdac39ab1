# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a score to sound: players on a stage, each a little uneven, in one hall; at the reference level."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from immersivaudio.engine.audio import Block
from immersivaudio.engine.composing.instruments import VOICES, Touch, hertz
from immersivaudio.engine.composing.score import INSTRUMENTS, Note, Score
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.synthesis.frame import FRAME, RATE_HZ, Array, gain, stream
from immersivaudio.engine.synthesis.grains import Tape
from immersivaudio.engine.synthesis.space import reverb
from immersivaudio.engine.synthesis.streams import SUSTAINED_LUFS, Finish, limited

_HALL_S, _EARLY_S = 2.1, 0.035
_LISTENED_FRAMES, _WINDOWS, _WINDOW_FRAMES, _LEAD_IN = 180, 15, 10, 6
_LAST_FADE_S = 0.04
_LEAN_S = 0.006
_BREATHING, _BREATH_S = frozenset({"flute", "violins"}), 0.2


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an instrument sits (-1 left to 1 right), how loud, and how much of it goes to the hall."""

    pan: float
    level_db: float
    hall: float


_SEATS: Mapping[str, Seat] = MappingProxyType(
    {
        "flute": Seat(0.12, -1.5, 0.45),
        "violins": Seat(-0.3, -0.5, 0.5),
        "strings": Seat(0.0, -9.5, 0.5),
        "piano": Seat(-0.1, -6.0, 0.3),
        "celesta": Seat(0.3, -4.0, 0.45),
        "harp": Seat(0.4, -8.0, 0.4),
        "low strings": Seat(0.28, -0.5, 0.35),
        "bass": Seat(0.1, -2.5, 0.15),
        "drum": Seat(0.0, -4.0, 0.4),
        "shaker": Seat(0.45, 4.0, 0.2),
        "cymbal": Seat(-0.35, 0.0, 0.4),
    }
)


class Orchestra:
    """Plays a score from ``from_frame`` on, frame after frame ``[2, FRAME]``, at no particular level.

    ``groups`` limits it to instruments of these groups, for stems: their sum is the whole but for the limiter.
    """

    def __init__(self, score: Score, from_frame: int = 0, groups: Collection[str] | None = None) -> None:
        self._seed, self._now, self._end_s = score.seed, from_frame * FRAME, score.length_s - 0.001
        cues = sorted(
            (_lean(score, index, note), index, note)
            for index, note in enumerate(score.notes)
            if groups is None or INSTRUMENTS[note.instrument].group in groups
        )
        self._queue = [cue for cue in cues if cue[0] >= self._now][::-1]
        self._dry, self._send = Tape(), Tape()
        self._hall, self._finish = reverb(_HALL_S, _EARLY_S), Finish(0.0)

    def frame(self) -> Array:
        """The next half second."""
        while self._queue and self._queue[-1][0] < self._now + FRAME:
            start, index, note = self._queue.pop()
            self._play(start - self._now, index, note)
        self._now += FRAME
        return self._finish.frame(self._dry.frame() + self._hall.frame(self._send.frame()[0]))

    def _play(self, start: int, index: int, note: Note) -> None:
        seat = _SEATS[note.instrument]
        rng = stream(self._seed, 0x9E11, index)
        pan = seat.pan if note.instrument != "strings" else (note.pitch % 5 - 2) * 0.22
        velocity = min(1.0, max(0.05, note.velocity / 127 + 0.025 * rng.standard_normal()))
        wave = VOICES[note.instrument](Touch(hertz(note.pitch), _held_s(note, self._end_s), velocity, pan, rng))
        if not wave.shape[1]:
            return
        wave *= np.float32(gain(seat.level_db))
        self._dry.lay_stereo(start, wave)
        self._send.lay(start, wave.sum(axis=0), np.array([0.7 * seat.hall, 0.0]))


def _held_s(note: Note, end_s: float) -> float:
    """How long a player holds a note: melodies breathe after a long one, but not before the end of the piece."""
    if note.instrument not in _BREATHING or note.start_s + note.duration_s >= end_s:
        return note.duration_s
    return note.duration_s - min(_BREATH_S, 0.12 * note.duration_s)


def _lean(score: Score, index: int, note: Note) -> int:
    """When a player really begins, in samples: a few milliseconds off the beat, but on cuts together."""
    begin = note.start_s * RATE_HZ
    if any(abs(note.start_s - hit) < 0.021 for hit in _around(score.hits_s, note.start_s)):
        return round(begin)
    lean = stream(score.seed, 0x1EA7, index).standard_normal()
    return max(0, round(begin + max(-2.0, min(2.0, float(lean))) * _LEAN_S * RATE_HZ))


def _around(hits_s: tuple[float, ...], moment_s: float) -> tuple[float, ...]:
    place = bisect_left(hits_s, moment_s)
    return hits_s[max(0, place - 1) : place + 1]


def played(score: Score, samples: int, groups: Collection[str] | None = None) -> Iterator[Array | None]:
    """``samples`` samples of ``score`` in frames ``[2, up to FRAME]`` at -26 LUFS; None: a chance to look at the clock.

    The level is found by listening to the piece first; of a long one, to excerpts. The last chord sounds to the end.
    """
    excerpts: list[Block] = []
    meter = LoudnessMeter()
    for frame in _excerpts(score, samples):
        if frame is not None:
            excerpts.append(frame)
            meter.push(frame)
        yield None
    level = gain(SUSTAINED_LUFS - (meter.integrated() or SUSTAINED_LUFS))
    short = groups is None and samples <= _LISTENED_FRAMES * FRAME
    whole = iter(excerpts) if short else _from_start(Orchestra(score, 0, groups))
    at = 0
    while at < samples:
        frame = limited(level * next(whole).astype(np.float64))[:, : samples - at]
        yield _closed(frame, samples - at - frame.shape[1])
        at += frame.shape[1]


def _from_start(orchestra: Orchestra) -> Iterator[Array]:
    while True:
        yield orchestra.frame()


def _excerpts(score: Score, samples: int) -> Iterator[Block | None]:
    """The whole of a short piece; of a long one, windows spread over it, each after a lead-in that fills the hall."""
    frames = -(-samples // FRAME)
    if frames <= _LISTENED_FRAMES:
        orchestra = Orchestra(score)
        for index in range(frames):
            yield orchestra.frame().astype(np.float32)[:, : samples - index * FRAME]
        return
    for window in range(_WINDOWS):
        first = window * (frames - _WINDOW_FRAMES) // (_WINDOWS - 1)
        lead = min(first, _LEAD_IN)
        orchestra = Orchestra(score, first - lead)
        for index in range(lead + _WINDOW_FRAMES):
            frame = orchestra.frame().astype(np.float32)
            yield frame if index >= lead else None


def _closed(frame: Array, after: int) -> Array:
    """The release of the last chord: the last 40 ms of the piece, of which ``after`` samples follow this frame."""
    fade = int(_LAST_FADE_S * RATE_HZ)
    left = np.arange(frame.shape[1])[::-1] + after
    if left[-1] >= fade:
        return frame
    return np.asarray(frame * np.sin(np.clip((left + 0.5) / fade, 0.0, 1.0) * (np.pi / 2)) ** 2)
