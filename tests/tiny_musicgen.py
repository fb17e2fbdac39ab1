# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tiny MusicGen and MusicGen-Melody: the published classes and files with random weights, 32 kHz at 50 frames a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny_stable_audio import tokenizer
from transformers import (
    EncodecConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    MusicgenMelodyConfig,
    MusicgenMelodyDecoderConfig,
    MusicgenMelodyForConditionalGeneration,
    T5Config,
)


def save(folder: Path, *, seed: int = 0, melody: bool = False) -> Path:
    """Write the checkpoint as the hub holds it: one model and its tokenizer in one folder."""
    torch.manual_seed(seed)
    text = T5Config(vocab_size=100, d_model=16, d_ff=16, d_kv=8, num_heads=2, num_layers=1)
    decoder = {
        "vocab_size": 64, "hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_codebooks": 2, "pad_token_id": 64, "bos_token_id": 64, "max_position_embeddings": 2048,
    }  # fmt: skip
    kinds: tuple[Any, Any, Any] = (MusicgenConfig, MusicgenDecoderConfig, MusicgenForConditionalGeneration)
    more: dict[str, Any] = {}
    if melody:
        kinds = (MusicgenMelodyConfig, MusicgenMelodyDecoderConfig, MusicgenMelodyForConditionalGeneration)
        more = {"num_chroma": 12, "chroma_length": 235}
    config, decoder_config, model = kinds
    made = model(config(text_encoder=text, audio_encoder=_codec(), decoder=decoder_config(**decoder), **more))
    # Random weights as they come say nearly the same to everything: louder, words and tunes matter.
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.ndim > 1 and not name.startswith("audio_encoder"):
                parameter.mul_(8.0)
        for quantizer in made.audio_encoder.quantizer.layers:
            quantizer.codebook.embed.normal_()
    made.save_pretrained(folder, safe_serialization=True)
    tokenizer().save_pretrained(folder)
    return folder


def _codec() -> EncodecConfig:
    return EncodecConfig(
        sampling_rate=32_000,
        target_bandwidths=[0.6],
        audio_channels=1,
        hidden_size=16,
        num_filters=4,
        num_lstm_layers=1,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=64,
        codebook_dim=16,
        normalize=False,
        chunk_length_s=None,
    )
