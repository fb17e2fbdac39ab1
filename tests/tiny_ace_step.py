# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tiny ACE-Step 1.5 turbo: the published classes and files with random weights, 48 kHz stereo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AceStepAudioTokenDetokenizer,
    AceStepAudioTokenizer,
    AceStepPipeline,
    AceStepTransformer1DModel,
    AutoencoderOobleck,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.pipelines.ace_step import AceStepConditionEncoder
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

_SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}
_LATENT = 4


def save(folder: Path, *, seed: int = 0, tokenizer: bool = True) -> Path:
    """Write the checkpoint; ``tokenizer``: with the parts that let it cover a piece."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {
        "vae": AutoencoderOobleck(
            encoder_hidden_size=2 * _LATENT,
            downsampling_ratios=[8, 8, 30],
            channel_multiples=[1, 1, 1],
            decoder_channels=8,
            decoder_input_channels=_LATENT,
            audio_channels=2,
            sampling_rate=48_000,
        ),
        "transformer": AceStepTransformer1DModel(
            **_SMALL, num_hidden_layers=2, in_channels=3 * _LATENT, audio_acoustic_hidden_dim=_LATENT, is_turbo=True
        ),
        "condition_encoder": AceStepConditionEncoder(
            **_SMALL,
            text_hidden_dim=8,
            timbre_hidden_dim=_LATENT,
            num_lyric_encoder_hidden_layers=1,
            num_timbre_encoder_hidden_layers=1,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        **_reader(),
    }
    if tokenizer:
        pooled = {**_SMALL, "audio_acoustic_hidden_dim": _LATENT, "num_attention_pooler_hidden_layers": 1}
        parts["audio_tokenizer"] = AceStepAudioTokenizer(**pooled, fsq_dim=16)
        parts["audio_token_detokenizer"] = AceStepAudioTokenDetokenizer(**pooled)
    AceStepPipeline(**parts).save_pretrained(folder, safe_serialization=True)
    return folder


def _reader() -> dict[str, Any]:
    vocabulary = {token: index for index, token in enumerate(["<|endoftext|>", *sorted(ByteLevel.alphabet())])}
    config = Qwen3Config(
        vocab_size=len(vocabulary), hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4,
    )  # fmt: skip
    return {
        "text_encoder": Qwen3Model(config),
        "tokenizer": Qwen2Tokenizer(vocab=vocabulary, merges=[], unk_token="<|endoftext|>"),
    }
