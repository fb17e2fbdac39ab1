# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stable Audio 3: text to sound and music, 44.1 kHz stereo, any length up to minutes. Stability AI Community licence and the
Gemma terms of its text encoder.

The published weights are distilled: eight steps, no guidance, nothing that must not be heard. Those of the base model are
guided and take a hundred. What is longer than its window is made in chunks, and the seams between them are filled in.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immersivaudio.engine.models import devices, prompted, seams, store
from immersivaudio.engine.models.batching import Ask, Told
from immersivaudio.engine.models.latent import LatentModel, LatentPerformer, Lengths
from immersivaudio.engine.models.neural import Kind, seeded
from immersivaudio.engine.models.prompted import Wish
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.models.suiting import Fitness
from immersivaudio.engine.performers import Brief

_CLASSES: dict[str, tuple[str, ...]] = {
    "vae": ("AutoencoderSAME",),
    "text_encoder": ("T5GemmaEncoderModel",),
    "tokenizer": ("GemmaTokenizer", "GemmaTokenizerFast"),
    "duration_embedder": ("StableAudio3DurationEmbedder",),
    "transformer": ("StableAudio3DiTModel",),
    "scheduler": ("FlowMatchEulerDiscreteScheduler",),
}
_LENGTHS = Lengths(longest_s=110.0, shortest_s=2.0, grain_s=1.0, overlap_s=10.0, struck_s=8.0)
_DISTILLED = prompted.Defaults(steps=8, guidance=1.0)
_BASE = prompted.Defaults(steps=100, guidance=6.0)
# The log signal-to-noise range that the published pipeline samples.
_LOGSNR_MIN, _LOGSNR_MAX = -6.2, 2.0
_FITNESS = Fitness(
    {"crowd": 0.85, "forest": 0.9, "night": 0.88, "city": 0.85, "traffic": 0.8},
    sustained=0.49, struck=0.45, moving=0.35, free=0.9, music=0.55,
)  # fmt: skip


class StableAudio3(LatentPerformer):
    """The performer."""

    kind = Kind("stable_audio_3", "3", _CLASSES, _FITNESS)

    def hold(self, place: store.Place, device: devices.Device) -> Model:
        return Model(_load(place), device)


class Model(LatentModel):
    """The published parts."""

    channels = 2
    reach = 16
    lengths = _LENGTHS

    def __init__(self, pipe: Any, device: devices.Device) -> None:
        self.defaults = _DISTILLED if pipe.scheduler.config.stochastic_sampling else _BASE
        super().__init__(pipe, device, int(pipe.vae.config.sampling_rate), int(pipe.vae.downsampling_ratio))

    def latents(self, frames: int) -> tuple[int, ...]:
        return (1, self.pipe.vae.config.latent_dim, frames)

    def ask(self, wish: Wish, noise: Any, guide: Any, seed: int) -> Ask:
        noisiness = 1.0 if guide is None else 1 - wish.guide
        solver = copy.deepcopy(self.pipe.scheduler)
        solver.set_timesteps(sigmas=_sigmas(wish.steps, noisiness), device=self.device.name)
        start = noise if guide is None else (1 - noisiness) * guide + noisiness * noise.to(guide.device)
        spans = self.spans(noise.shape[2])
        window_s = spans.length * self.hop / self.rate_hz
        told, untold = self.prompts.get(
            (wish.prompt, wish.negative, wish.guided, window_s), lambda: self._told(wish, window_s)
        )
        return Ask(start, solver, told, untold, wish.guidance, spans, seeded=seeded(seed + 1))

    def made(self, wish: Wish, frames: int, guide: Any, brief: Brief) -> Any:
        """A guide holds windows together; without one the chunks are made by themselves, and their seams closed."""
        spans, seed = self.spans(frames), brief.cue.seed
        if guide is not None or len(spans.starts) == 1:
            return super().made(wish, frames, guide, brief)
        noise = self.noise(frames, seed)

        def run(asks: Sequence[Ask]) -> list[Any]:
            return self.batcher.run_all([ask.obeying(brief.cancelled) for ask in asks])

        def fill(known: Any, kept: Any, number: int) -> Ask:
            return self.filling(wish, known, kept, seed + 1_000 + number)

        parts = [noise.narrow(self.axis, start, spans.length) for start in spans.starts]
        # Each chunk draws its own noise on the way: the same would make them sound alike.
        chunks = run([self.ask(wish, part, None, seed + number) for number, part in enumerate(parts)])
        return seams.closed(chunks, spans, fill, run)

    def filling(self, wish: Wish, known: Any, kept: Any, seed: int) -> Ask:
        """Making ``known`` ``[1, channels, n]`` anew where ``kept`` ``[1, 1, n]`` is 0, after what lies around."""
        import torch

        ask = self.ask(wish, self.noise(known.shape[2], seed), None, seed)
        around = {"around": torch.cat([kept, known * kept], dim=1).to(self.pipe.transformer.dtype)}
        return replace(
            ask, told={**ask.told, **around}, untold=None if ask.untold is None else {**ask.untold, **around}
        )

    def _told(self, wish: Wish, window_s: float) -> tuple[dict[str, Any], dict[str, Any] | None]:
        import torch

        with torch.inference_mode():
            told = self._read(wish.prompt, window_s)
            return told, self._read(wish.negative, window_s) if wish.guided else None

    def _read(self, words: str, window_s: float) -> dict[str, Any]:
        """Words and length as the transformer reads them."""
        pipe, device = self.pipe, self.device.name
        embeds, mask = pipe.encode_prompt(words, device, 1)
        length = pipe.encode_duration(window_s, device, 1, 1)
        text, text_mask = pipe.prepare_cross_attention(embeds, mask, length)
        return {"text": text, "mask": text_mask, "length": length}

    def denoise(self, latents: Any, timesteps: Any, told: Told) -> Any:
        return self.pipe.transformer(
            latents,
            timesteps,
            encoder_hidden_states=told["text"],
            global_hidden_states=told["length"],
            encoder_attention_mask=told["mask"],
            local_add_cond=told.get("around"),
            return_dict=False,
        )[0]

    def encode(self, guide: Wave, frames: int) -> Any:
        return self.pipe.vae.encode(self.on_frames(guide, frames)).latents


def _sigmas(steps: int, noisiness: float) -> list[float]:
    """Noise levels evenly apart in log signal-to-noise, from ``noisiness`` exactly; the solver adds the last, 0."""
    begin = _LOGSNR_MIN if noisiness >= 1 else math.log((1 - noisiness) / noisiness)
    logsnr = np.linspace(begin, max(_LOGSNR_MAX, begin + 1), steps + 1)[:-1]
    sigmas = 1 / (1 + np.exp(logsnr))
    sigmas[0] = noisiness
    return [float(sigma) for sigma in sigmas]


def _load(place: store.Place) -> Any:
    from diffusers import StableAudio3Pipeline

    pipe = StableAudio3Pipeline.from_pretrained(place.folder, use_safetensors=True, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@functools.cache
def create() -> StableAudio3:
    """One a process: whoever asks shares the weights on the device."""
    return StableAudio3()
