# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stable Audio Open 1.0 (Evans et al. 2024, arXiv 2407.14358): text to sound, 44.1 kHz stereo. Stability AI Community
licence.

The published sampler is stochastic and needs torchsde; here it is the same schedule and preconditioning solved as an
ordinary differential equation, so that a seed is reproducible and requests share passes. The model was trained on windows
of 47.55 s whose rest is silence; a short cue is given a short window, unless it asks for ``whole_window``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from immersivaudio.engine.cue import Cue, Stem
from immersivaudio.engine.models import devices, guides, neural, prompted, store
from immersivaudio.engine.models.batching import Ask, Batcher
from immersivaudio.engine.models.latent import LatentModel, Lengths
from immersivaudio.engine.models.neural import Kind, NeuralPerformer, seeded
from immersivaudio.engine.models.prompted import Wish
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion

_CLASSES: dict[str, tuple[str, ...]] = {
    "vae": ("AutoencoderOobleck",),
    "text_encoder": ("T5EncoderModel",),
    "tokenizer": ("T5Tokenizer", "T5TokenizerFast"),
    "projection_model": ("StableAudioProjectionModel",),
    "transformer": ("StableAudioDiTModel",),
    "scheduler": ("CosineDPMSolverMultistepScheduler", "EDMDPMSolverMultistepScheduler"),
}
_LENGTHS = Lengths(longest_s=47.0, shortest_s=2.5, grain_s=2.9, overlap_s=5.8, struck_s=8.0, beyond_s=0.7)
_DEFAULTS = prompted.Defaults(steps=50, guidance=7.0)
_FITNESS = {"crowd": 0.8, "forest": 0.88, "night": 0.85, "city": 0.8, "traffic": 0.75}
_MOTION_FITNESS = {Motion.SUSTAINED: 0.48, Motion.STRUCK: 0.4, Motion.MOVING: 0.3}
_FREE_FITNESS = 0.85
_MUSIC_FITNESS = 0.4
_ENDING_S = 2.0


class StableAudio(NeuralPerformer):
    """The performer."""

    kind = Kind("stable_audio", "1", _CLASSES)
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
        whole = neural.number(brief.cue.params, "whole_window", 0, 0, 1) > 0
        return model.sound(brief, _wish(brief.cue), at_least_s=_LENGTHS.longest_s if whole else 0.0), model.rate_hz

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return guides.shaped(wave, rate_hz, brief, _wish(brief.cue).guide > 0, _ENDING_S)


class Model(LatentModel):
    """The published parts on one device; requests share passes of the transformer."""

    channels = 2
    reach = 16

    def __init__(self, pipe: Any, device: devices.Device) -> None:
        import torch

        pipe.to(device.name, getattr(torch, device.dtype))
        pipe.vae.to(torch.float32)
        self.pipe = pipe
        parts = tuple(pipe.components.values())
        super().__init__(device, parts, int(pipe.vae.config.sampling_rate), int(pipe.vae.hop_length), _LENGTHS)
        self.batcher = Batcher(self._denoise, device.name, pipe.transformer.dtype)

    def noise(self, frames: int, seed: int) -> Any:
        import torch

        shape = (1, self.pipe.transformer.config.in_channels, frames)
        return torch.randn(shape, generator=seeded(seed), dtype=torch.float32)

    def ask(self, wish: Wish, noise: Any, guide: Any, seed: int) -> Ask:
        solver = _solver(self.pipe.scheduler.config, None if guide is None else 1 - wish.guide)
        solver.set_timesteps(wish.steps, device=self.device.name)
        start = noise * solver.init_noise_sigma
        if guide is not None:
            start = guide + noise.to(guide.device) * solver.sigmas[0]
        spans = self.spans(noise.shape[2])
        window_s = min(spans.length * self.hop / self.rate_hz, _LENGTHS.longest_s)
        told, untold = self.prompts.get(
            (wish.prompt, wish.negative, wish.guided, window_s), lambda: self._told(wish, window_s)
        )
        return Ask(start, solver, told, untold, wish.guidance, spans)

    def _told(self, wish: Wish, window_s: float) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The prompt, and between which seconds of a piece of music it lies, as the transformer reads them."""
        import torch

        pipe, device = self.pipe, self.device.name
        with torch.inference_mode():
            text = pipe.encode_prompt(wish.prompt, device, wish.guided, wish.negative if wish.guided else None)
            begins, ends = pipe.encode_duration(0.0, window_s, device, wish.guided, 1)
        rows = {"text": torch.cat([text, begins, ends], dim=1), "span": torch.cat([begins, ends], dim=2)}
        if not wish.guided:
            return rows, None
        untold, told = ({name: row[half : half + 1] for name, row in rows.items()} for half in (0, 1))
        return told, untold

    def _denoise(self, latents: Any, timesteps: Any, told: Any) -> Any:
        from diffusers.models.embeddings import get_1d_rotary_pos_embed

        rotary = get_1d_rotary_pos_embed(
            self.pipe.rotary_embed_dim,
            latents.shape[2] + told["span"].shape[1],
            use_real=True,
            repeat_interleave_real=False,
        )
        return self.pipe.transformer(
            latents,
            timesteps,
            encoder_hidden_states=told["text"],
            global_hidden_states=told["span"],
            rotary_embedding=rotary,
            return_dict=False,
        )[0]

    def encode(self, guide: Wave, frames: int) -> Any:
        import torch

        wanted = frames * self.hop
        whole = np.pad(guide[:, :wanted], ((0, 0), (0, max(0, wanted - guide.shape[1]))))
        return self.pipe.vae.encode(torch.from_numpy(whole)[None].to(self.device.name)).latent_dist.mode()

    def decode(self, latents: Any) -> Wave:
        heard: Wave = self.pipe.vae.decode(latents).sample[0].cpu().numpy()
        return heard


def _wish(cue: Cue) -> Wish:
    return prompted.wish(cue, _DEFAULTS)


def _solver(config: Any, noisiness: float | None) -> Any:
    """Stable Audio's schedule and preconditioning, solved by DPM-Solver++ without drawing noise on the way.

    ``noisiness`` 0 to 1 is where it begins: the angle between sound and noise as the network is told it, 1 nothing but
    noise (None: the model's own beginning).
    """
    from diffusers import EDMDPMSolverMultistepScheduler

    class Cosine(EDMDPMSolverMultistepScheduler):  # type: ignore[misc]
        def precondition_noise(self, sigma: Any) -> Any:
            return sigma.atan() / math.pi * 2

    names = ("sigma_min", "sigma_max", "sigma_data", "sigma_schedule", "prediction_type", "solver_order", "rho")
    chosen = {name: config[name] for name in names if name in config}
    if noisiness is not None:
        highest = math.tan(min(noisiness, 0.99) * math.pi / 2)
        chosen["sigma_max"] = min(chosen["sigma_max"], max(highest, 1.01 * chosen["sigma_min"]))
    return Cosine(**chosen)


def _load(place: store.Place) -> Any:
    import diffusers
    import transformers

    safe = {"use_safetensors": True, "local_files_only": True}
    models = {
        "vae": diffusers.AutoencoderOobleck,
        "text_encoder": transformers.T5EncoderModel,
        "projection_model": diffusers.StableAudioProjectionModel,
        "transformer": diffusers.StableAudioDiTModel,
    }
    parts = {name: kind.from_pretrained(place.folder, subfolder=name, **safe) for name, kind in models.items()}
    words = transformers.AutoTokenizer.from_pretrained(place.folder, subfolder="tokenizer", local_files_only=True)
    # The published scheduler's class needs torchsde, which we do not: its numbers are all that is taken.
    config = diffusers.EDMDPMSolverMultistepScheduler.load_config(
        place.folder, subfolder="scheduler", local_files_only=True
    )
    return diffusers.StableAudioPipeline(**parts, tokenizer=words, scheduler=_solver(config, None))


@functools.cache
def create() -> StableAudio:
    """One a process: whoever asks shares the weights on the device."""
    return StableAudio()
