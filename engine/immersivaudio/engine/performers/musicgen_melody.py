# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen-Melody (Copet et al. 2023, arXiv 2306.05284): music after words and after the chords and tune of a guide, which
is the piece that the rules compose for the cue's cuts. 32 kHz. Weights CC-BY-NC."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from immersivaudio.engine.cue import Cue
from immersivaudio.engine.models import devices, guides, shaping, store, tokens
from immersivaudio.engine.models.neural import Kind, NeuralPerformer
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.performers import Block, Brief

_CLASSES = {"model": ("MusicgenMelodyForConditionalGeneration",)}
_FITNESS = 0.7


class MusicGenMelody(NeuralPerformer):
    """The performer."""

    kind = Kind("musicgen_melody", "1", _CLASSES, single=True)

    def fitness(self, cue: Cue) -> float:
        return _FITNESS if tokens.fits(cue) else 0.0

    def hold(self, place: store.Place, device: devices.Device) -> tokens.TokenModel:
        from transformers import AutoTokenizer, MusicgenMelodyForConditionalGeneration

        net = MusicgenMelodyForConditionalGeneration.from_pretrained(
            place.folder, use_safetensors=True, local_files_only=True
        )
        return tokens.TokenModel(net, AutoTokenizer.from_pretrained(place.folder, local_files_only=True), device)

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        melody = guides.render(brief, model.rate_hz, 1)
        return model.sound(brief, melody, continues=False), model.rate_hz

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return shaping.sustained(wave, rate_hz, brief, tokens.ENDING_S)


@functools.cache
def create() -> MusicGenMelody:
    """One a process: whoever asks shares the weights on the device."""
    return MusicGenMelody()
