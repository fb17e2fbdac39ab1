# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen-Melody (Copet et al. 2023, arXiv 2306.05284): music after words and after the chords and tune of a guide, which
is the piece that the rules compose for the cue's cuts. 32 kHz. Weights CC-BY-NC."""

from __future__ import annotations

import functools

from immersivaudio.engine.models.neural import Kind
from immersivaudio.engine.models.suiting import Fitness
from immersivaudio.engine.models.tokens import TokenPerformer


class MusicGenMelody(TokenPerformer):
    """The performer."""

    kind = Kind(
        "musicgen_melody",
        "2",
        {"model": ("MusicgenMelodyForConditionalGeneration",)},
        Fitness(music=0.7),
        single=True,
    )
    follows = True


@functools.cache
def create() -> MusicGenMelody:
    """One a process: whoever asks shares the weights on the device."""
    return MusicGenMelody()
