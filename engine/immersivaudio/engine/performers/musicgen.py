# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen (Copet et al. 2023, arXiv 2306.05284): music after words, 32 kHz mono or stereo. Weights CC-BY-NC.

Pieces over 29 s go on from what was heard last. It follows no cut: MusicGen-Melody does.
"""

from __future__ import annotations

import functools

from immersivaudio.engine.models.neural import Kind
from immersivaudio.engine.models.suiting import Fitness
from immersivaudio.engine.models.tokens import TokenPerformer

_CLASSES = {"model": ("MusicgenForConditionalGeneration",)}


class MusicGen(TokenPerformer):
    """The performer."""

    kind = Kind("musicgen", "2", _CLASSES, Fitness(music=0.5), single=True)


@functools.cache
def create() -> MusicGen:
    """One a process: whoever asks shares the weights on the device."""
    return MusicGen()
