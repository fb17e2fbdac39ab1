# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen's way (Copet et al. 2023, arXiv 2306.05284): sound as tokens of a codec, one frame after the other. transformers
and torch are imported inside."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from immersivaudio.engine import prompts
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Span, Stem
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.models import devices, guides, neural, shaping, store
from immersivaudio.engine.models.neural import NeuralPerformer
from immersivaudio.engine.models.shaping import Wave, Window
from immersivaudio.engine.models.waves import Waves
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.performers.music import Music, score_of

# What the model was trained on, and how much of it is heard again by the next window.
_LONGEST_S, _OVERLAP_S = 29.0, 9.0
_SHORTEST_S, _GRAIN_S = 1.0, 1.0
_GUIDANCE, _TOP_K = 3.0, 250.0
_NEVER = -1e30
_ENDING_S = 2.0


def words(brief: Brief) -> str:
    """What the music should be like, in the tempo of the piece that the rules would compose for the cue's cuts."""
    cue = brief.cue
    said = cue.prompt or prompts.template(cue)
    return f"{said}, {score_of(cue, brief.samples).wanted_bpm:.0f} bpm"


class MusicPerformer(NeuralPerformer, abc.ABC):
    """A performer of music, which ends on the cue's last sample."""

    def guide_of(self, cue: Cue) -> str:
        """See :class:`immersivaudio.engine.performers.Guided`: the tempo at least is that of the piece by rule."""
        return f"{Music.name} {Music.version}"

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return shaping.sustained(wave, rate_hz, brief, _ENDING_S)


class TokenPerformer(MusicPerformer):
    """A performer whose one model of transformers makes tokens. It ``follows`` the chords of the piece that the rules
    compose for the cue's cuts, or words alone."""

    follows = False
    together = 4

    def hold(self, place: store.Place, device: devices.Device) -> TokenModel:
        import transformers

        published = getattr(transformers, self.kind.classes["model"][0])
        net = published.from_pretrained(place.folder, use_safetensors=True, local_files_only=True)
        words = transformers.AutoTokenizer.from_pretrained(place.folder, local_files_only=True)
        return TokenModel(net, words, device, padded=not self.follows)

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        melody = guides.render(brief, model.rate_hz, 1) if self.follows else None
        return model.sound(brief, melody, continues=not self.follows), model.rate_hz


@dataclass(frozen=True, slots=True)
class Ask:
    """A window of a cue: how many ``frames`` of tokens are made and ``samples`` come of it, the prompt as ``words``
    ``[1, n]``, what of the ``rest`` the model is given ``[1, ...]``, and how tokens are drawn."""

    frames: int
    samples: int
    words: Any
    rest: Mapping[str, Any]
    guidance: float
    top_k: int
    seeded: Any
    cancelled: Callable[[], bool]


class TokenModel:
    """A published MusicGen on one device; windows of equal length go together, each drawing from its own noise.

    ``padded``: prompts of different lengths may share a wave. MusicGen masks what fills them up; MusicGen-Melody hears it.
    """

    def __init__(self, net: Any, tokenizer: Any, device: devices.Device, padded: bool = True) -> None:
        import torch

        net.to(device.name, getattr(torch, device.dtype)).eval()
        # The codec turns tokens into sound: bfloat16 would leave its noise.
        net.audio_encoder.to(torch.float32)
        self.net, self.device, self.parts = net, device, (net,)
        self._tokenizer, self._padded = tokenizer, padded
        codec = net.config.audio_encoder
        self.rate_hz, self.hop = int(codec.sampling_rate), round(codec.sampling_rate / codec.frame_rate)
        self.channels = int(net.decoder.config.audio_channels)
        self.waves = Waves(self._generated)

    def warm(self) -> Wave:
        """Some frames of anything."""
        cue = Cue("warm", Stem.MUSIC, Span(Fraction(0), Fraction(1)), "music")
        return self._sampled(Window(0, 8 * self.hop), "music", {}, _Draw(Brief(cue, SAMPLE_RATE_HZ)))

    def sound(self, brief: Brief, melody: Wave | None = None, continues: bool = True) -> Wave:
        """The whole cue ``[channels, n]``. ``melody`` ``[1, n]`` is heard as chords and tune by models that can; who
        ``continues`` hears the end of the window before, else the windows are joined."""
        wanted = max(-(-brief.samples * self.rate_hz // SAMPLE_RATE_HZ), round(_SHORTEST_S * self.rate_hz))
        longest, overlap, grain = (self._whole(seconds) for seconds in (_LONGEST_S, _OVERLAP_S, _GRAIN_S))
        spans = shaping.windows(wanted, longest, overlap, grain)
        said, draw = words(brief), _Draw(brief)
        parts: list[Wave] = []
        for index, span in enumerate(spans):
            given: dict[str, Any] = {}
            if melody is not None:
                given["input_features"] = self._chroma(melody[0, span.start : span.end])
            if index and continues:
                given["input_values"] = self._tail(parts[-1], overlap)
            parts.append(self._sampled(span, said, given, draw))
        return shaping.join(parts, spans, wanted)

    def _whole(self, seconds: float) -> int:
        return max(1, round(seconds * self.rate_hz / self.hop)) * self.hop

    def _tail(self, wave: Wave, overlap: int) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(wave[:, -overlap:]))[None].to(self.device.name)

    def _sampled(self, span: Window, said: str, given: dict[str, Any], draw: _Draw) -> Wave:
        """A window ``[channels, span.length]``; the cue's cancel is asked before every frame."""
        heard = given["input_values"].shape[-1] if "input_values" in given else 0
        frames = (span.length - heard) // self.hop + self.net.decoder.num_codebooks
        read = self._tokenizer([said], truncation=True, max_length=256, return_tensors="pt")["input_ids"]
        ask = Ask(frames, span.length, read, given, draw.guidance, draw.top_k, draw.seeded, draw.brief.cancelled)
        shapes = tuple((name, tuple(value.shape)) for name, value in sorted(given.items()))
        key = (frames, span.length, shapes, ask.guidance > 1, 0 if self._padded else read.shape[1])
        made: Wave = self.waves.run(key, ask, draw.brief.cancelled)
        return made

    def _generated(self, asks: Sequence[Ask]) -> list[Wave]:
        """What each of one key gets, ``[channels, samples]``."""
        import torch

        scale = max(ask.guidance for ask in asks)
        with torch.inference_mode():
            made = self.net.generate(
                **self._given(asks),
                # The tokens are drawn by ``_Drawn``, each ask's from its own noise: what is left is to take the highest.
                do_sample=False,
                guidance_scale=scale if scale > 1 else None,
                max_new_tokens=asks[0].frames,
                logits_processor=[_Drawn(asks, self.net.decoder.num_codebooks)],
                stopping_criteria=[lambda ids, *_, **__: _stopped(asks, ids)],
            )
        waves = made.to(torch.float32).cpu().numpy()[:, :, : asks[0].samples]
        return list(np.pad(waves, ((0, 0), (0, 0), (0, asks[0].samples - waves.shape[2]))))

    def _given(self, asks: Sequence[Ask]) -> dict[str, Any]:
        import torch

        longest = max(ask.words.shape[1] for ask in asks)
        read = torch.full((len(asks), longest), self._tokenizer.pad_token_id)
        mask = torch.zeros_like(read)
        for row, ask in enumerate(asks):
            read[row, : ask.words.shape[1]] = ask.words[0]
            mask[row, : ask.words.shape[1]] = 1
        rest = {name: torch.cat([ask.rest[name] for ask in asks]) for name in asks[0].rest}
        return {"input_ids": read.to(self.device.name), "attention_mask": mask.to(self.device.name), **rest}

    def _chroma(self, mono: Wave) -> Any:
        """Which of the twelve notes is strongest ``[1, frames, 12]``, as the published feature extractor hears it (which
        needs torchaudio)."""
        import torch
        from transformers.audio_utils import chroma_filter_bank

        fft, hop = 16_384, 4_096
        padded = np.pad(mono, (0, max(0, fft - len(mono))))
        window = torch.hann_window(fft)
        spectrum = torch.stft(torch.from_numpy(padded), fft, hop, window=window, center=True, return_complex=True)
        filters = chroma_filter_bank(num_frequency_bins=fft, num_chroma=12, sampling_rate=self.rate_hz, tuning=0)
        power = spectrum.abs().square() / float(window.square().sum())
        chroma = torch.from_numpy(filters).to(torch.float32) @ power
        strongest = torch.nn.functional.one_hot(chroma.argmax(dim=0), 12)
        return strongest[None].to(self.device.name, self.net.dtype)


class _Draw:
    """How a cue's tokens are drawn, one noise for all its windows."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.guidance = neural.number(brief.cue.params, "guidance", _GUIDANCE, 1, 10)
        self.top_k = round(neural.number(brief.cue.params, "top_k", _TOP_K, 1, 2048))
        self.seeded = neural.seeded(brief.cue.seed)


class _Drawn:
    """A logits processor of transformers: guidance, the ``top_k``, and a draw from them, each ask by its own noise.

    Whoever adds Gumbel noise to the logits and takes the highest has drawn from their softmax (Gumbel 1954); the noise is
    drawn on the CPU, so that neither the device nor who else is in the wave changes it.
    """

    def __init__(self, asks: Sequence[Ask], codebooks: int) -> None:
        self._asks, self._codebooks = asks, codebooks

    def __call__(self, _: Any, scores: Any) -> Any:
        """``[rows, vocabulary]`` to the same, where the highest of a row is its token; where the asks are guided, the
        second half of the rows is without prompt."""
        import torch

        guided = self._asks[0].guidance > 1
        rows = scores
        if guided:
            wanted, without = scores.chunk(2)
            strength = torch.tensor([ask.guidance for ask in self._asks], device=scores.device)
            rows = without + strength.repeat_interleave(self._codebooks)[:, None] * (wanted - without)
        each = rows.split(self._codebooks)
        drawn = torch.cat([_one(ask, logits) for ask, logits in zip(self._asks, each, strict=True)])
        # What follows applies guidance to the two halves: it changes nothing where they are alike.
        return torch.cat([drawn, drawn]) if guided else drawn


def _one(ask: Ask, logits: Any) -> Any:
    """An ask's own ``[codebooks, vocabulary]``: noisy, and next to nothing below its ``top_k``."""
    import torch

    least = logits.topk(min(ask.top_k, logits.shape[1])).values[:, -1:]
    uniform = torch.rand(logits.shape, generator=ask.seeded).clamp(1e-20, 1 - 1e-7)
    noisy = logits - (-uniform.log()).log().to(logits.device)
    return torch.where(logits < least, torch.full_like(logits, _NEVER), noisy)


def _stopped(asks: Sequence[Ask], ids: Any) -> Any:
    """Nobody's tokens end before the last; a wave that nobody waits for any more ends at once."""
    import torch

    if all(ask.cancelled() for ask in asks):
        raise CancelledError("Cancelled.")
    return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
