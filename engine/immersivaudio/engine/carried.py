# SPDX-License-Identifier: AGPL-3.0-or-later
"""A recording on the way of its cue, as ``synthesis/passing.py`` goes it.

What stands still in the recording is carried past the listener: distance law, air, Doppler shift and side. What passes by
itself keeps all that it has and is not moved twice: its closest moment is laid on the cue's, and it is only panned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from immersivaudio.engine import ways
from immersivaudio.engine.asking import ask_of
from immersivaudio.engine.audio import amplitude, decibels, panned
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, samples_at
from immersivaudio.engine.errors import CancelledError, ResultError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID
from immersivaudio.engine.synthesis import catalog, streams
from immersivaudio.engine.synthesis.frame import FRAME, Array
from immersivaudio.engine.synthesis.passing import Passage, peak_lufs

Blocks = Callable[[], Iterator[Block]]
# A recording whose loudest second stands out of its usual one by so much comes and goes by itself. A steady engine stays
# within 2 or 3 dB; a thing at 50 km/h that is recorded for ten seconds from 15 m away falls by 13 dB to either side.
_STANDS_OUT_DB = 6.0
# The sides of a recording change by more than this where it crosses them by itself.
_CROSSES_DB = 1.0
_GRID = 240


def passes(levels_db: Sequence[float]) -> bool:
    """Whether a recording of these levels, one a second, passes by itself: once, several times, or only comes or goes.
    Fades at its ends do not make it so."""
    return bool(len(levels_db)) and max(levels_db) - float(np.median(levels_db)) >= _STANDS_OUT_DB


def closest_s(cue: Cue) -> Fraction:
    """When a thing that passes is closest, from the cue's start."""
    said = cue.params.get("closest_s", 0.0)
    if knots := ways.of(cue):
        said = min(knots, key=lambda knot: knot.metres).at_s
    if isinstance(said, int | float) and said > 0:
        return Fraction(said).limit_denominator(1_000_000)
    return cue.sync_s[0] - cue.span.start_s if cue.sync_s else cue.span.duration_s / 2


def needed(brief: Brief) -> int:
    """How many samples of a source are heard along the cue's way: what comes nearer is heard in less time than it took."""
    return int(np.ceil(_passage(brief).played_s(brief.samples / SAMPLE_RATE_HZ) * SAMPLE_RATE_HZ)) + 2


def carry(brief: Brief, blocks: Blocks, name: str) -> Iterator[Block]:
    """``brief`` out of a source that stands still, :func:`needed` samples of it, float32 ``[2, n]`` each time it is asked.

    Raises:
        ResultError: it is silent. CancelledError.
    """
    meter = LoudnessMeter(1)
    for block in blocks():
        _obey(brief)
        meter.push(block.mean(axis=0, keepdims=True))
    lufs = meter.integrated()
    if lufs is None:
        raise ResultError(f"{name} is silent where it was cut.", "Choose another seed.")
    left = brief.samples
    for frame in streams.moving(_passage(brief).played_by(_Source(blocks()), lufs)):
        _obey(brief)
        if frame is None:
            continue
        block = frame[:, :left].astype(np.float32)
        left -= block.shape[1]
        yield block
        if not left:
            return


def keep(brief: Brief, blocks: Blocks, name: str) -> Iterator[Block]:
    """``brief`` out of what passes by itself; ``blocks`` are ``brief.samples`` with its closest moment on the cue's.

    The closest 400 ms reach the level of any passing so near. Where it crosses the picture by itself it keeps its sides,
    exchanged if it comes from the other one; else it is panned along the way.

    Raises:
        ResultError: it is silent where it should be closest. CancelledError.
    """
    closest = samples_at(closest_s(brief.cue))
    heard = _heard(brief, blocks(), closest)
    if heard.lufs is None:
        raise ResultError(f"{name} is silent where it should pass.", "Choose another seed.")
    metres = min((knot.metres for knot in ways.of(brief.cue)), default=0.0) or _closest_m(brief)
    gain = np.float32(amplitude(peak_lufs(metres) - heard.lufs))
    if abs(heard.drift_db) <= _CROSSES_DB:
        return pan_along(brief, (block * gain for block in blocks()))
    first, last = _passage(brief).pans(np.array([0.0, brief.samples / SAMPLE_RATE_HZ]))
    swapped = heard.drift_db * (last - first) < 0
    return (block[::-1] * gain if swapped else block * gain for block in blocks())


def pan_along(brief: Brief, blocks: Iterator[Block]) -> Iterator[Block]:
    """``blocks`` on the side where the way has their source at each moment, as loud as they are."""
    passage, at = _passage(brief), 0
    for block in blocks:
        _obey(brief)
        count = block.shape[1]
        grid = np.arange(0, count + _GRID, _GRID)
        sides = passage.pans((at + grid) / SAMPLE_RATE_HZ)
        yield panned(block, np.interp(np.arange(count), grid, sides))
        at += count


@dataclass(frozen=True, slots=True)
class _Heard:
    """The loudness of the closest 400 ms, and by how many dB its sides change from left to right."""

    lufs: float | None
    drift_db: float


def _heard(brief: Brief, blocks: Iterator[Block], closest: int) -> _Heard:
    hop = SAMPLE_RATE_HZ // 10
    near, sides, at = LoudnessMeter(), np.zeros((2, 2)), 0
    for block in blocks:
        _obey(brief)
        if (close := block[:, max(0, closest - 2 * hop - at) : max(0, closest + 2 * hop - at)]).size:
            near.push(close)
        for after, part in enumerate(np.split(block, [max(0, closest - at)], axis=1)):
            sides[after] += np.square(part, dtype=np.float64).sum(axis=1)
        at += block.shape[1]
    left, right = np.sqrt(sides + 1e-12).T
    before_db, after_db = (decibels(float(r)) - decibels(float(s)) for s, r in zip(left, right, strict=True))
    return _Heard(near.integrated(), after_db - before_db)


def _passage(brief: Brief) -> Passage:
    sound = BY_ID[brief.cue.sound]
    return catalog.PASSINGS[sound.id](ask_of(brief, sound))


def _closest_m(brief: Brief) -> float:
    return ask_of(brief, BY_ID[brief.cue.sound])["closest_m"]


class _Source:
    """Blocks ``[2, n]`` as a source in the middle, ``[1, FRAME]`` at a time; silence after their end."""

    settle_s = 0.0

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks, self._rest = blocks, np.zeros(0, np.float32)

    def frame(self) -> Array:
        parts, length = [self._rest], len(self._rest)
        while length < FRAME:
            block = next(self._blocks, None)
            parts.append(np.zeros(FRAME, np.float32) if block is None else block.mean(axis=0))
            length += len(parts[-1])
        whole = np.concatenate(parts)
        self._rest = whole[FRAME:]
        return whole[None, :FRAME]


def _obey(brief: Brief) -> None:
    if brief.cancelled():
        raise CancelledError("The performance was stopped.")
