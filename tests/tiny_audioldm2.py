# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tiny AudioLDM 2: the published classes, files and frame rate with random weights, saved as a real checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    AutoencoderKL,
    DDIMScheduler,
)
from tiny_stable_audio import tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaTokenizer,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    T5Config,
    T5EncoderModel,
)

_SMALL = {"hidden_size": 8, "intermediate_size": 37, "num_attention_heads": 1, "num_hidden_layers": 1}
_SPEC = {"spec_size": 8, "num_mel_bins": 8, "patch_size": 2, "patch_stride": 2, "patch_embed_input_channels": 4}


def save(folder: Path, *, seed: int = 0, loudness: float = 0.09, width: int = 8) -> Path:
    """Write the checkpoint; ``loudness`` is how large the vocoder's random weights are (0 silent, 0.3 clipped)."""
    torch.manual_seed(seed)
    parts = {**_language(), **_denoiser(width), "vocoder": _vocoder(loudness)}
    AudioLDM2Pipeline(**parts).save_pretrained(folder, safe_serialization=True)
    _as_published(folder)
    return folder


def _as_published(folder: Path) -> None:
    """The published index says GPT2Model for the language model."""
    index = folder / "model_index.json"
    entries = json.loads(index.read_text())
    entries["language_model"][1] = "GPT2Model"
    index.write_text(json.dumps(entries))


def _language() -> dict[str, Any]:
    bytewise = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocabulary = {token: index for index, token in enumerate(bytewise)}
    text = {**_SMALL, "vocab_size": 300, "projection_dim": 8, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    heard = {**_SMALL, **_SPEC, "hidden_size": 192, "window_size": 4, "depths": [1, 1], "num_attention_heads": [1, 1]}
    gpt2 = GPT2Config(
        n_embd=16, n_head=1, n_layer=1, vocab_size=100, n_positions=199, max_new_tokens=8, bos_token_id=0, eos_token_id=1
    )  # fmt: skip
    return {
        "text_encoder": ClapModel(ClapConfig(text_config=text, audio_config=heard, projection_dim=16)),
        "text_encoder_2": T5EncoderModel(
            T5Config(vocab_size=100, d_model=32, d_ff=37, d_kv=8, num_heads=1, num_layers=1)
        ),
        "projection_model": AudioLDM2ProjectionModel(text_encoder_dim=16, text_encoder_1_dim=32, langauge_model_dim=16),
        "language_model": GPT2LMHeadModel(gpt2),
        "tokenizer": RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=77),
        "tokenizer_2": tokenizer(77),
        "feature_extractor": ClapFeatureExtractor(hop_length=7900),
    }


def _denoiser(width: int) -> dict[str, Any]:
    channels = (width, 2 * width)
    unet = AudioLDM2UNet2DConditionModel(
        block_out_channels=channels, layers_per_block=1, norm_num_groups=8, sample_size=32, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=((None, 16, 32), (None, 16, 32)),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=[8, 16, 16], in_channels=1, out_channels=1, norm_num_groups=8, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    return {"unet": unet, "vae": vae, "scheduler": scheduler}


def _vocoder(loudness: float) -> SpeechT5HifiGan:
    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=8,
            sampling_rate=16_000,
            upsample_initial_channel=16,
            upsample_rates=[5, 4, 4, 2],
            upsample_kernel_sizes=[10, 8, 8, 4],
            resblock_kernel_sizes=[3, 7],
            resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5]],
            normalize_before=False,
            initializer_range=loudness,
        )
    )
