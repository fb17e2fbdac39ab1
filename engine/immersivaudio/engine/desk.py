# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every pass of a mix hears: the stems of the record, block by block, before the master gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from immersivaudio.engine import bwf
from immersivaudio.engine.audio import Block
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Stem
from immersivaudio.engine.errors import CancelledError, MediaError
from immersivaudio.engine.placing import Voice, render

BLOCK_SAMPLES = 1 << 18


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

    def blocks(self, begin: float = 0.0, end: float = 0.0) -> Iterator[tuple[int, int, dict[Stem, Block]]]:
        """``(first sample, n, {stem: [2, n]})`` over the whole record, before the master gain; silent stems left out.

        Progress goes from ``begin`` to ``end``.
        """
        for first in range(0, self.total, BLOCK_SAMPLES):
            if self.cancelled():
                raise CancelledError("The mix was stopped.")
            count = min(BLOCK_SAMPLES, self.total - first)
            yield first, count, self.block(first, count)
            if end > begin:
                self.progress(begin + (end - begin) * min(1.0, (first + BLOCK_SAMPLES) / self.total))

    def block(self, first: int, count: int) -> dict[Stem, Block]:
        sounding = {stem: render(voices, first, count) for stem, voices in self.lanes.items()}
        blocks = {
            stem: block * np.float32(self.generated_gain) for stem, block in sounding.items() if block is not None
        }
        original = self._original_block(first, count)
        return blocks if original is None else {Stem.DIALOGUE: original, **blocks}

    def _original_block(self, first: int, count: int) -> Block | None:
        if self.original is None or self.original_gain == 0:
            return None
        mapped, rate_hz = bwf.read_wav(self.original)
        if rate_hz != SAMPLE_RATE_HZ or mapped.shape[1] != 2:
            raise MediaError(f"{self.original.name} is not 48 kHz stereo, as the mix needs it.")
        block = np.zeros((2, count), np.float32)
        heard: Block = np.asarray(mapped[first : first + count].T, np.float32)
        block[:, : heard.shape[1]] = heard * np.float32(self.original_gain)
        return block if block.any() else None

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
