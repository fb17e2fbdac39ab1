# SPDX-License-Identifier: AGPL-3.0-or-later
"""A tiny Stable Audio Open: the published classes and files with random weights. Where it is ``true``, its autoencoder is
made by hand to give back what it is given, as a trained one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderOobleck,
    EDMDPMSolverMultistepScheduler,
    StableAudioDiTModel,
    StableAudioPipeline,
    StableAudioProjectionModel,
)
from transformers import T5Config, T5EncoderModel, T5Tokenizer

_STRIDES = (8, 4)
_LATENT = 64


def tokenizer(longest: int = 64) -> T5Tokenizer:
    """A token a letter."""
    letters = [(letter, -2.0) for letter in "abcdefghijklmnopqrstuvwxyz,. "]
    ends = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0)]
    return T5Tokenizer(vocab=[*ends, *letters], extra_ids=0, model_max_length=longest)


def save(folder: Path, *, seed: int = 0, width: int = 8, moved: float = 1.0, true: bool = False) -> Path:
    """Write the checkpoint. ``moved`` is how large the transformer's last layer is: 0 predicts nothing at all."""
    torch.manual_seed(seed)
    autoencoder = true_vae() if true else vae()
    latents = autoencoder.config.decoder_input_channels
    transformer = StableAudioDiTModel(
        sample_size=int(47.55 * 44_100) // autoencoder.hop_length,
        in_channels=latents,
        out_channels=latents,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=max(1, width // 8) * 2,
        num_key_value_attention_heads=max(1, width // 8),
        cross_attention_dim=8,
        cross_attention_input_dim=8,
        global_states_input_dim=16,
        time_proj_dim=8,
    )
    with torch.no_grad():
        transformer.proj_out.weight.mul_(moved)
        transformer.postprocess_conv.weight.mul_(moved)
    parts: dict[str, Any] = {
        "vae": autoencoder,
        "text_encoder": T5EncoderModel(T5Config(vocab_size=100, d_model=8, d_ff=16, d_kv=4, num_heads=2, num_layers=1)),
        "projection_model": StableAudioProjectionModel(
            text_encoder_dim=8, conditioning_dim=8, min_value=0, max_value=512
        ),
        "tokenizer": tokenizer(),
        "transformer": transformer,
        "scheduler": EDMDPMSolverMultistepScheduler(
            sigma_min=0.3, sigma_max=500, sigma_data=1.0, sigma_schedule="exponential", prediction_type="v_prediction"
        ),
    }
    StableAudioPipeline(**parts).save_pretrained(folder, safe_serialization=True)
    _as_published(folder)
    return folder


def _as_published(folder: Path) -> None:
    """The published index names a scheduler whose class needs torchsde."""
    name = "CosineDPMSolverMultistepScheduler"
    for file, path in (
        (folder / "model_index.json", ("scheduler", 1)),
        (folder / "scheduler/scheduler_config.json", None),
    ):
        content = json.loads(file.read_text())
        if path is None:
            content["_class_name"] = name
        else:
            content[path[0]][path[1]] = name
        file.write_text(json.dumps(content))


def vae(rate_hz: int = 44_100) -> AutoencoderOobleck:
    """Random, hop 512, four latents."""
    return AutoencoderOobleck(
        encoder_hidden_size=8,
        downsampling_ratios=[8, 8, 8],
        channel_multiples=[1, 1, 1],
        decoder_channels=8,
        decoder_input_channels=4,
        audio_channels=2,
        sampling_rate=rate_hz,
    )


def true_vae(rate_hz: int = 16_000) -> AutoencoderOobleck:
    """Hop 32, stereo, 64 latents: every latent is one sample of one channel, scaled to unit size."""
    made = AutoencoderOobleck(
        encoder_hidden_size=2 * _LATENT,
        downsampling_ratios=list(_STRIDES),
        channel_multiples=[1, 1],
        decoder_channels=_LATENT,
        decoder_input_channels=_LATENT,
        audio_channels=2,
        sampling_rate=rate_hz,
    )
    with torch.no_grad():
        for module in made.modules():
            _still(module)
        _to_latents(made.encoder)
        _from_latents(made.decoder)
    return made


def _still(module: Any) -> None:
    """No weights, and activations that change nothing."""
    if type(module).__name__ == "Snake1d":
        module.alpha.fill_(-30.0)
    for parameter in ("weight_g", "weight_v", "bias"):
        if getattr(module, parameter, None) is not None:
            getattr(module, parameter).zero_()
    if hasattr(module, "weight_v"):
        module.weight_v.fill_(1e-8)


def _put(conv: Any, rows: dict[tuple[int, int, int], float]) -> None:
    """The taps of a weight-normed convolution, each output with one tap: direction and length."""
    for (first, second, tap), value in rows.items():
        conv.weight_v[first].zero_()
        conv.weight_v[first, second, tap] = 1.0
        conv.weight_g[first] = value


def _to_latents(encoder: Any) -> None:
    _put(encoder.conv1, {(channel, channel, 3): 1.0 for channel in (0, 1)})
    lanes = 2
    for block, stride in zip(encoder.block, _STRIDES, strict=True):
        pad = -(-stride // 2)
        taps = {(lane * stride + phase, lane, phase + pad): 1.0 for lane in range(lanes) for phase in range(stride)}
        _put(block.conv1, taps)
        lanes *= stride
    _put(encoder.conv2, {(lane, lane, 1): 4.0 for lane in range(lanes)})
    encoder.conv2.bias[_LATENT:].fill_(-20.0)


def _from_latents(decoder: Any) -> None:
    _put(decoder.conv1, {(lane, lane, 3): 0.25 for lane in range(_LATENT)})
    lanes = _LATENT
    for block, stride in zip(decoder.block, reversed(_STRIDES), strict=True):
        pad = -(-stride // 2)
        lanes //= stride
        conv = block.conv_t1
        for lane in range(lanes):
            for phase in range(stride):
                row = lane * stride + phase
                conv.weight_v[row].zero_()
                conv.weight_v[row, lane, phase + pad] = 1.0
                conv.weight_g[row] = 1.0
    _put(decoder.conv2, {(channel, channel, 3): 1.0 for channel in (0, 1)})
