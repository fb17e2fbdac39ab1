# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stable Audio 3: text to sound and music, 44.1 kHz stereo, any length up to minutes. Stability AI Community licence and the
Gemma terms of its text encoder.

The published weights are distilled: eight steps, no guidance, nothing that must not be heard. Those of the base model are
guided and take a hundred.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from immersivaudio.engine.cue import Cue, Stem
from immersivaudio.engine.models import devices, guides, prompted, store
from immersivaudio.engine.models.batching import Ask, Batcher
from immersivaudio.engine.models.latent import LatentModel, Lengths
from immersivaudio.engine.models.neural import Kind, NeuralPerformer, seeded
from immersivaudio.engine.models.prompted import Wish
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion

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
_FITNESS = {"crowd": 0.85, "forest": 0.9, "night": 0.88, "city": 0.85, "traffic": 0.8}
_MOTION_FITNESS = {Motion.SUSTAINED: 0.49, Motion.STRUCK: 0.45, Motion.MOVING: 0.35}
_FREE_FITNESS, _MUSIC_FITNESS = 0.9, 0.55
_ENDING_S = 2.0


class StableAudio3(NeuralPerformer):
    """The performer."""

    kind = Kind("stable_audio_3", "1", _CLASSES)
    together = 8

    def fitness(self, cue: Cue) -> float:
        if cue.stem is Stem.DIALOGUE:
            return 0.0
        if cue.stem is Stem.MUSIC:
            return _MUSIC_FITNESS
        sound = BY_ID.get(cue.sound)
        if sound is None:
            return _FREE_FITNESS if cue.prompt or cue.sound else 0.0
        return _FITNESS.get(sound.id, _MOTION_FITNESS[sound.motion])

    def hold(self, place: store.Place, device: devices.Device) -> Model:
        return Model(_load(place), device)

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        return model.sound(brief, prompted.wish(brief.cue, model.defaults)), model.rate_hz

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return guides.shaped(wave, rate_hz, brief, prompted.wish(brief.cue, _BASE).guide > 0, _ENDING_S)


class Model(LatentModel):
    """The published parts on one device; requests share passes of the transformer."""

    channels = 2
    reach = 16

    def __init__(self, pipe: Any, device: devices.Device) -> None:
        import torch

        pipe.to(device.name, getattr(torch, device.dtype))
        pipe.vae.to(torch.float32)
        self.pipe = pipe
        self.defaults = _DISTILLED if pipe.scheduler.config.stochastic_sampling else _BASE
        parts = tuple(pipe.components.values())
        super().__init__(device, parts, int(pipe.vae.config.sampling_rate), int(pipe.vae.downsampling_ratio), _LENGTHS)
        self.batcher = Batcher(self._denoise, device.name, pipe.transformer.dtype)

    def noise(self, frames: int, seed: int) -> Any:
        import torch

        shape = (1, self.pipe.vae.config.latent_dim, frames)
        return torch.randn(shape, generator=seeded(seed), dtype=torch.float32)

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

    def _denoise(self, latents: Any, timesteps: Any, told: Any) -> Any:
        return self.pipe.transformer(
            latents,
            timesteps,
            encoder_hidden_states=told["text"],
            global_hidden_states=told["length"],
            encoder_attention_mask=told["mask"],
            return_dict=False,
        )[0]

    def encode(self, guide: Wave, frames: int) -> Any:
        import torch

        wanted = frames * self.hop
        whole = np.pad(guide[:, :wanted], ((0, 0), (0, max(0, wanted - guide.shape[1]))))
        return self.pipe.vae.encode(torch.from_numpy(whole)[None].to(self.device.name)).latents

    def decode(self, latents: Any) -> Wave:
        heard: Wave = self.pipe.vae.decode(latents).sample[0].cpu().numpy()
        return heard


def _sigmas(steps: int, noisiness: float) -> list[float]:
    """Noise levels evenly apart in log signal-to-noise, from ``noisiness`` exactly; the solver adds the last, 0."""
    grid = np.linspace(noisiness, 0.0, steps + 1)[:-1]
    logsnr = _LOGSNR_MAX - grid * (_LOGSNR_MAX - _LOGSNR_MIN)
    sigmas = np.minimum(1 / (1 + np.exp(logsnr)), noisiness)
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
