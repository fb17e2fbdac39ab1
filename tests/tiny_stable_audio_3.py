# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tiny Stable Audio 3, distilled as the published one: its classes, files and sampler with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderSAME,
    FlowMatchEulerDiscreteScheduler,
    StableAudio3DiTModel,
    StableAudio3Pipeline,
)
from diffusers.pipelines.stable_audio_3 import StableAudio3DurationEmbedder
from transformers import GemmaTokenizer, T5GemmaConfig, T5GemmaEncoderModel, T5GemmaModuleConfig

_TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyz,.▁"]
_LATENT, _TEXT = 16, 8


def save(folder: Path, *, seed: int = 0, width: int = 16, distilled: bool = True) -> Path:
    """Write the checkpoint: hop 1024, 44.1 kHz stereo."""
    torch.manual_seed(seed)
    vae = AutoencoderSAME(
        audio_channels=2,
        patch_size=64,
        encoder_channels=16,
        encoder_c_mults=[1],
        encoder_strides=[16],
        encoder_transformer_depths=[1],
        latent_dim=_LATENT,
        dim_heads=8,
        ff_mult=1,
    )
    transformer = StableAudio3DiTModel(
        io_channels=_LATENT,
        embed_dim=width,
        depth=2,
        num_heads=2,
        cond_token_dim=_TEXT,
        global_cond_dim=_TEXT,
        local_add_cond_dim=_LATENT + 1,
        timestep_features_dim=8,
        ff_mult=1.0,
        num_memory_tokens=4,
    )
    for part in (vae, transformer):
        _wake(part)
    StableAudio3Pipeline(
        vae=vae,
        text_encoder=_reader(),
        tokenizer=GemmaTokenizer(vocab={token: index for index, token in enumerate(_TOKENS)}, merges=[]),
        duration_embedder=StableAudio3DurationEmbedder(output_dim=_TEXT, fourier_dim=8),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0, stochastic_sampling=distilled),
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def _wake(part: torch.nn.Module) -> None:
    """What training begins at nothing would let nothing through."""
    with torch.no_grad():
        for parameter in part.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2)


def _reader() -> T5GemmaEncoderModel:
    small = T5GemmaModuleConfig(
        vocab_size=len(_TOKENS),
        hidden_size=_TEXT,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        query_pre_attn_scalar=4,
        layer_types=["full_attention"],
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return T5GemmaEncoderModel(
        T5GemmaConfig(encoder=small, decoder=small, is_encoder_decoder=False, vocab_size=len(_TOKENS))
    )
