# SPDX-License-Identifier: AGPL-3.0-or-later
"""A true performer whose takes follow from the brief as told, for tests of what judges takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from immersivaudio.engine.cue import Cue, Licence
from immersivaudio.engine.performers import Block, Brief

RATE = 48_000


class Scripted:
    """``generates`` as one that rests on a model does; ``seeds`` are those that it was asked for."""

    version = "1"

    def __init__(self, name: str, take: Callable[[Brief], Block], generates: bool = False) -> None:
        self.name, self.take, self.generates = name, take, generates
        self.seeds: list[int] = []

    def licence(self) -> Licence:
        return Licence("MIT", True)

    def available(self) -> str:
        return ""

    def fitness(self, cue: Cue) -> float:
        return 1.0

    def setup(self) -> None:
        """Nothing."""

    def perform(self, brief: Brief) -> Iterator[Block]:
        self.seeds.append(brief.cue.seed)
        samples = self.take(brief)
        for start in range(0, samples.shape[1], RATE):
            yield samples[:, start : start + RATE].astype(np.float32)
