# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tiny checkpoints of transformers with random weights, saved as published ones are: same classes, same files."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel

_SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
_VISION = {**_SMALL, "image_size": 32, "patch_size": 8}
_RGB = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def clip(folder: Path, *, seed: int = 0, sharp: float = 4.6) -> Path:
    """A CLIP; ``sharp`` is the logarithm of what its similarities are multiplied by."""
    torch.manual_seed(seed)
    text = {**_SMALL, "vocab_size": 80, "max_position_embeddings": 77, "bos_token_id": 0, "eos_token_id": 1}
    model = tf.CLIPModel(
        tf.CLIPConfig(text_config={**text, "pad_token_id": 1}, vision_config=_VISION, projection_dim=8)
    )
    model.logit_scale.data.fill_(sharp)
    letters = [*string.ascii_lowercase, ",", "."]
    names = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = tf.CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=77)
    pictures = tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    return _saved(folder, model, tf.CLIPProcessor(image_processor=pictures, tokenizer=tokenizer))


def siglip(folder: Path, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    text = {**_SMALL, "vocab_size": 120, "max_position_embeddings": 16, "projection_size": 16}
    model = tf.SiglipModel(tf.SiglipConfig(text_config=text, vision_config=_VISION))
    model.logit_scale.data.fill_(4.6)
    model.logit_bias.data.fill_(-10.0)
    pictures = tf.SiglipImageProcessor(size={"height": 32, "width": 32}, **_RGB)
    return _saved(folder, model, tf.SiglipProcessor(image_processor=pictures, tokenizer=letter_tokenizer(16)))


def classifier(folder: Path, labels: list[str], *, family: str = "resnet", seed: int = 0) -> Path:
    """A ResNet or ConvNeXt of ``labels``."""
    torch.manual_seed(seed)
    told = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    sizes = {"depths": [1, 1], "hidden_sizes": [8, 16]}
    if family == "resnet":
        model: Any = tf.ResNetForImageClassification(tf.ResNetConfig(embedding_size=8, **sizes, **told))
    else:
        model = tf.ConvNextForImageClassification(tf.ConvNextConfig(num_stages=2, **sizes, **told))
    return _saved(folder, model, tf.ConvNextImageProcessor(size={"shortest_edge": 32}, **_RGB))


def letter_tokenizer(longest: int, extra: tuple[str, ...] = ()) -> Any:
    """A token a letter; padding, beginning, end and what is unknown besides."""
    names = ["<pad>", "<s>", "</s>", "<unk>", *string.printable[:95], *extra]
    raw = Tokenizer(models.WordLevel({name: i for i, name in enumerate(dict.fromkeys(names))}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        model_max_length=longest, additional_special_tokens=list(extra),
    )  # fmt: skip


def byte_vocabulary(*specials: str) -> dict[str, int]:
    return {token: index for index, token in enumerate([*specials, *sorted(ByteLevel.alphabet())])}


def _saved(folder: Path, model: Any, *parts: Any) -> Path:
    model.save_pretrained(folder, safe_serialization=True)
    for part in parts:
        part.save_pretrained(folder)
    return folder
