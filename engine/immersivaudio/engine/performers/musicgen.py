# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen (Copet et al. 2023, arXiv 2306.05284): music after words, 32 kHz mono or stereo. Weights CC-BY-NC.

Pieces over 29 s go on from what was heard last. It follows no cut: MusicGen-Melody does.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from immersivaudio.engine.cue import Cue
from immersivaudio.engine.models import devices, shaping, store, tokens
from immersivaudio.engine.models.neural import Kind, NeuralPerformer
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.performers import Block, Brief

_CLASSES = {"model": ("MusicgenForConditionalGeneration",)}
_FITNESS = 0.5


class MusicGen(NeuralPerformer):
    """The performer."""

    kind = Kind("musicgen", "1", _CLASSES, single=True)

    def fitness(self, cue: Cue) -> float:
        return _FITNESS if tokens.fits(cue) else 0.0

    def hold(self, place: store.Place, device: devices.Device) -> tokens.TokenModel:
        from transformers import AutoTokenizer, MusicgenForConditionalGeneration

        net = MusicgenForConditionalGeneration.from_pretrained(
            place.folder, use_safetensors=True, local_files_only=True
        )
        return tokens.TokenModel(net, AutoTokenizer.from_pretrained(place.folder, local_files_only=True), device)

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        return model.sound(brief), model.rate_hz

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return shaping.sustained(wave, rate_hz, brief, tokens.ENDING_S)


@functools.cache
def create() -> MusicGen:
    """One a process: whoever asks shares the weights on the device."""
    return MusicGen()
