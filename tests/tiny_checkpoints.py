# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tiny checkpoints of transformers with random weights, saved as published ones are: same classes, same files."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
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
    told = _told(labels)
    sizes = {"depths": [1, 1], "hidden_sizes": [8, 16]}
    if family == "resnet":
        model: Any = tf.ResNetForImageClassification(tf.ResNetConfig(embedding_size=8, **sizes, **told))
    else:
        model = tf.ConvNextForImageClassification(tf.ConvNextConfig(num_stages=2, **sizes, **told))
    return _saved(folder, model, tf.ConvNextImageProcessor(size={"shortest_edge": 32}, **_RGB))


def blip(folder: Path, *, seed: int = 0) -> Path:
    """A BLIP that says single letters."""
    torch.manual_seed(seed)
    text = {**_SMALL, "encoder_hidden_size": 16, "vocab_size": 120, "max_position_embeddings": 64, "projection_dim": 16}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 0}
    model = tf.BlipForConditionalGeneration(tf.BlipConfig(text_config={**text, **ends}, vision_config=_VISION))
    pictures = tf.BlipImageProcessor(size={"height": 32, "width": 32}, **_RGB)
    return _saved(folder, model, tf.BlipProcessor(image_processor=pictures, tokenizer=letter_tokenizer(64)))


_CHAT = (
    "{% for m in messages %}{{ m.role }}: {% for part in m.content %}{% if part.type == 'image' %}<image>{% else %}"
    "{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def llava(folder: Path, *, seed: int = 0) -> Path:
    """A chat model with eyes: a LLaVA of a CLIP's eye and a Llama."""
    torch.manual_seed(seed)
    tokenizer = letter_tokenizer(512, ("<image>",))
    eye = tf.CLIPVisionConfig(**_VISION)
    mind = tf.LlamaConfig(**_SMALL, vocab_size=len(tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2)
    at = tokenizer.convert_tokens_to_ids("<image>")
    model = tf.LlavaForConditionalGeneration(
        tf.LlavaConfig(vision_config=eye, text_config=mind, image_token_index=at, vision_feature_layer=-1)
    )
    pictures = tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    processor = tf.LlavaProcessor(
        image_processor=pictures, tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default",
        chat_template=_CHAT, num_additional_image_tokens=1,
    )  # fmt: skip
    return _saved(folder, model, processor)


def chat(folder: Path, *, seed: int = 0, asked: str = "", answer: str = "", template: bool = True) -> Path:
    """A Llama that chats: nonsense, or ``answer`` where it is ``asked`` what it has learned."""
    torch.manual_seed(seed)
    tokenizer = letter_tokenizer(2048)
    if template:
        tokenizer.chat_template = (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:"
            "{% endif %}"
        )
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    small = {**_SMALL, "hidden_size": 64, "intermediate_size": 64, "max_position_embeddings": 4096}
    model = tf.LlamaForCausalLM(tf.LlamaConfig(**small, vocab_size=len(tokenizer), **ends))
    if answer:
        _teach(model, tokenizer, f"user: {asked}\nassistant:" if template else f"{asked}\n", f"{answer}</s>")
    return _saved(folder, model, tokenizer)


def _teach(model: Any, tokenizer: Any, asked: str, answer: str) -> None:
    said = tokenizer(asked + answer, return_tensors="pt")["input_ids"]
    wanted = said.clone()
    wanted[:, : tokenizer(asked, return_tensors="pt")["input_ids"].shape[1]] = -100
    learning = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(400):
        loss = model(input_ids=said, labels=wanted).loss
        if float(loss.detach()) < 2e-3:
            break
        learning.zero_grad()
        loss.backward()
        learning.step()
    model.eval()


def whisper(folder: Path, *, seed: int = 0) -> Path:
    """A multilingual Whisper that knows two languages and says single letters."""
    torch.manual_seed(seed)
    marks = ["<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    names = byte_vocabulary("<|endoftext|>")
    tokenizer = tf.WhisperTokenizer(vocab=names, merges=[], unk_token="<|endoftext|>", bos_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    at = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in marks}
    config = tf.WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=8, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        max_source_positions=150, max_target_positions=24, decoder_start_token_id=at[marks[0]], pad_token_id=0,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = tf.WhisperForConditionalGeneration(config)
    model.generation_config = tf.GenerationConfig(
        is_multilingual=True, no_timestamps_token_id=at["<|notimestamps|>"], lang_to_id={m: at[m] for m in marks[1:3]},
        task_to_id={"transcribe": at[marks[3]], "translate": at[marks[4]]}, decoder_start_token_id=at[marks[0]],
        pad_token_id=0, eos_token_id=0, bos_token_id=0,
    )  # fmt: skip
    ear = tf.WhisperFeatureExtractor(feature_size=8, chunk_length=3)
    return _saved(folder, model, tf.WhisperProcessor(feature_extractor=ear, tokenizer=tokenizer))


def words_classifier(folder: Path, labels: list[str], *, seed: int = 0) -> Path:
    """A DistilBERT that sorts texts into ``labels``."""
    torch.manual_seed(seed)
    model = tf.DistilBertForSequenceClassification(
        tf.DistilBertConfig(
            vocab_size=120, dim=16, hidden_dim=16, n_layers=1, n_heads=2, max_position_embeddings=64, **_told(labels)
        )
    )
    return _saved(folder, model, letter_tokenizer(64))


def voice_classifier(folder: Path, labels: list[str], *, seed: int = 0, rate_hz: int = 16_000) -> Path:
    """A wav2vec 2.0 that sorts voices into ``labels``."""
    torch.manual_seed(seed)
    model = tf.Wav2Vec2ForSequenceClassification(
        tf.Wav2Vec2Config(
            **_SMALL, vocab_size=32, conv_dim=(8, 8), conv_stride=(20, 16), conv_kernel=(20, 16), num_feat_extract_layers=2,
            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, classifier_proj_size=8, **_told(labels),
        )
    )  # fmt: skip
    return _saved(folder, model, tf.Wav2Vec2FeatureExtractor(sampling_rate=rate_hz))


def _told(labels: list[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


def letter_tokenizer(longest: int, extra: tuple[str, ...] = ()) -> Any:
    """A token a letter; padding, beginning, end and what is unknown besides."""
    names = ["<pad>", "<s>", "</s>", "<unk>", *string.printable[:95], *extra]
    raw = Tokenizer(models.WordLevel({name: i for i, name in enumerate(dict.fromkeys(names))}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.decoder = decoders.Fuse()
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
