# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every pass of a mix hears: the stems of the record, block by block, before the master gain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from immersivaudio.engine import abreast, bwf
from immersivaudio.engine.audio import Block
from immersivaudio.engine.bwf import Samples
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Stem, content_key
from immersivaudio.engine.errors import CancelledError, MediaError
from immersivaudio.engine.placing import Voice, content, render

Result = TypeVar("Result")

# Five seconds: fifty whole steps of the loudness meter, and small enough to be held several at a time.
BLOCK_SAMPLES = 5 * SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Desk:
    """What every pass needs: the voices by stem, the original, how loud each side is, and when to stop."""

    total: int
    lanes: Mapping[Stem, tuple[Voice, ...]]
    original: Path | None
    generated_gain: float
    original_gain: float
    cancelled: Callable[[], bool]
    progress: Callable[[float], None]

    def firsts(self) -> range:
        """The first sample of every block."""
        return range(0, self.total, BLOCK_SAMPLES)

    def count(self, first: int) -> int:
        """How many samples the block at ``first`` has."""
        return min(BLOCK_SAMPLES, self.total - first)

    def told(self, work: Callable[[int], Result], begin: float = 0.0, end: float = 0.0) -> Iterator[Result]:
        """``work`` of every block (its first sample), in order; several at a time. Progress goes from ``begin`` to ``end``.

        Raises:
            CancelledError: ``cancelled()`` became true.
        """

        def unless_stopped(first: int) -> Result:
            if self.cancelled():
                raise CancelledError("The mix was stopped.")
            return work(first)

        for first, result in zip(self.firsts(), abreast.in_order(unless_stopped, self.firsts()), strict=True):
            yield result
            if end > begin:
                self.progress(begin + (end - begin) * min(1.0, (first + BLOCK_SAMPLES) / self.total))

    def block(self, first: int, count: int) -> dict[Stem, Block]:
        """``{stem: [2, count]}`` before the master gain; silent stems left out. What lies before the record is silent."""
        sounding = {stem: render(voices, first, count) for stem, voices in self.lanes.items()}
        blocks = {
            stem: block * np.float32(self.generated_gain) for stem, block in sounding.items() if block is not None
        }
        original = self._original_block(first, count)
        return blocks if original is None else {Stem.DIALOGUE: original, **blocks}

    def content(self, first: int, count: int) -> str:
        """The name by content of what :meth:`block` gives: the same name, the same samples."""
        lanes = [(stem, content(voices, first, count)) for stem, voices in self.lanes.items()]
        original = self._original_part(first, count)
        heard = "" if original is None else hashlib.sha256(original.tobytes()).hexdigest()
        return content_key("block", count, self.generated_gain, self.original_gain, lanes, heard)

    def _original_block(self, first: int, count: int) -> Block | None:
        part = self._original_part(first, count)
        if part is None or not part.any():
            return None
        block, late = np.zeros((2, count), np.float32), max(0, -first)
        block[:, late : late + len(part)] = part.T * np.float32(self.original_gain)
        return block

    def _original_part(self, first: int, count: int) -> Samples | None:
        """``[n, 2]`` of the original as it lies on disk; None where none is kept."""
        if self.original is None or self.original_gain == 0:
            return None
        part, held = bwf.read_part(self.original, first, count)
        if (held.rate_hz, held.channels) != (SAMPLE_RATE_HZ, 2):
            raise MediaError(f"{self.original.name} is not 48 kHz stereo, as the mix needs it.")
        return part

    @property
    def stems(self) -> tuple[Stem, ...]:
        kept = self.original is not None and self.original_gain > 0
        return (*((Stem.DIALOGUE,) if kept else ()), *self.lanes)


def summed(blocks: Mapping[Stem, Block], count: int) -> Block:
    """All of them together, ``[2, count]``."""
    total = np.zeros((2, count), np.float32)
    for block in blocks.values():
        total += block
    return total
