# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen's way (Copet et al. 2023, arXiv 2306.05284): sound as tokens of a codec, one frame after the other. transformers
and torch are imported inside."""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from immersivaudio.engine import prompts
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Span, Stem
from immersivaudio.engine.models import devices, guides, neural, shaping, store
from immersivaudio.engine.models.neural import NeuralPerformer
from immersivaudio.engine.models.shaping import Wave, Window
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.performers.music import score_of

# What the model was trained on, and how much of it is heard again by the next window.
_LONGEST_S, _OVERLAP_S = 29.0, 9.0
_SHORTEST_S, _GRAIN_S = 1.0, 1.0
_GUIDANCE, _TOP_K = 3.0, 250.0
_ENDING_S = 2.0


def words(brief: Brief) -> str:
    """What the music should be like, in the tempo of the piece that the rules would compose for the cue's cuts."""
    cue = brief.cue
    said = cue.prompt or prompts.template(cue)
    return f"{said}, {score_of(cue, brief.samples).wanted_bpm:.0f} bpm"


class MusicPerformer(NeuralPerformer, abc.ABC):
    """A performer of music, which ends on the cue's last sample."""

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return shaping.sustained(wave, rate_hz, brief, _ENDING_S)


class TokenPerformer(MusicPerformer):
    """A performer whose one model of transformers makes tokens. It ``follows`` the chords of the piece that the rules
    compose for the cue's cuts, or words alone."""

    follows = False

    def hold(self, place: store.Place, device: devices.Device) -> TokenModel:
        import transformers

        published = getattr(transformers, self.kind.classes["model"][0])
        net = published.from_pretrained(place.folder, use_safetensors=True, local_files_only=True)
        words = transformers.AutoTokenizer.from_pretrained(place.folder, local_files_only=True)
        return TokenModel(net, words, device)

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        melody = guides.render(brief, model.rate_hz, 1) if self.follows else None
        return model.sound(brief, melody, continues=not self.follows), model.rate_hz


class TokenModel:
    """A published MusicGen on one device; one cue at a time, since sampling draws from the process's own noise."""

    def __init__(self, net: Any, tokenizer: Any, device: devices.Device) -> None:
        import torch

        net.to(device.name, getattr(torch, device.dtype)).eval()
        # The codec turns tokens into sound: bfloat16 would leave its noise.
        net.audio_encoder.to(torch.float32)
        self.net, self.device, self.parts = net, device, (net,)
        self._tokenizer = tokenizer
        codec = net.config.audio_encoder
        self.rate_hz, self.hop = int(codec.sampling_rate), round(codec.sampling_rate / codec.frame_rate)
        self.channels = int(net.decoder.config.audio_channels)
        self._lock = threading.Lock()

    def warm(self) -> Wave:
        """Some frames of anything."""
        cue = Cue("warm", Stem.MUSIC, Span(Fraction(0), Fraction(1)), "music")
        return self._sampled(Window(0, 8 * self.hop), self._read("music"), Brief(cue, SAMPLE_RATE_HZ))

    def sound(self, brief: Brief, melody: Wave | None = None, continues: bool = True) -> Wave:
        """The whole cue ``[channels, n]``. ``melody`` ``[1, n]`` is heard as chords and tune by models that can; who
        ``continues`` hears the end of the window before, else the windows are joined."""
        wanted = max(-(-brief.samples * self.rate_hz // SAMPLE_RATE_HZ), round(_SHORTEST_S * self.rate_hz))
        longest, overlap, grain = (self._whole(seconds) for seconds in (_LONGEST_S, _OVERLAP_S, _GRAIN_S))
        spans = shaping.windows(wanted, longest, overlap, grain)
        read = self._read(words(brief))
        parts: list[Wave] = []
        with self._lock, neural.noise_of(self.device, brief.cue.seed):
            for index, span in enumerate(spans):
                given = dict(read)
                if melody is not None:
                    given["input_features"] = self._chroma(melody[0, span.start : span.end])
                if index and continues:
                    given["input_values"] = self._tail(parts[-1], overlap)
                parts.append(self._sampled(span, given, brief))
        return shaping.join(parts, spans, wanted)

    def _whole(self, seconds: float) -> int:
        return max(1, round(seconds * self.rate_hz / self.hop)) * self.hop

    def _read(self, said: str) -> dict[str, Any]:
        found = self._tokenizer([said], padding=True, truncation=True, max_length=256, return_tensors="pt")
        return {name: found[name].to(self.device.name) for name in ("input_ids", "attention_mask")}

    def _tail(self, wave: Wave, overlap: int) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(wave[:, -overlap:]))[None].to(self.device.name)

    def _sampled(self, span: Window, given: dict[str, Any], brief: Brief) -> Wave:
        """A window ``[channels, span.length]``; the cue's cancel is asked before every frame."""
        import torch

        heard = given["input_values"].shape[-1] if "input_values" in given else 0
        frames = (span.length - heard) // self.hop + self.net.decoder.num_codebooks
        params = brief.cue.params
        with torch.inference_mode():
            made = self.net.generate(
                **given,
                do_sample=True,
                guidance_scale=neural.number(params, "guidance", _GUIDANCE, 1, 10),
                top_k=round(neural.number(params, "top_k", _TOP_K, 1, 2048)),
                max_new_tokens=frames,
                stopping_criteria=[lambda *_, **__: _obeyed(brief)],
            )
        wave: Wave = made[0].to(torch.float32).cpu().numpy()[:, : span.length]
        return np.pad(wave, ((0, 0), (0, span.length - wave.shape[1])))

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


def _obeyed(brief: Brief) -> Any:
    import torch

    shaping.obey(brief)
    return torch.zeros(1, dtype=torch.bool)
