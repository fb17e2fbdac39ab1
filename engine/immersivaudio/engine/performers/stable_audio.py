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
from typing import Any

from immersivaudio.engine.models import devices, neural, prompted, store
from immersivaudio.engine.models.batching import Ask, Told
from immersivaudio.engine.models.latent import LatentModel, LatentPerformer, Lengths
from immersivaudio.engine.models.neural import Kind
from immersivaudio.engine.models.prompted import Wish
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.models.suiting import Fitness
from immersivaudio.engine.performers import Brief

_CLASSES: dict[str, tuple[str, ...]] = {
    "vae": ("AutoencoderOobleck",),
    "text_encoder": ("T5EncoderModel",),
    "tokenizer": ("T5Tokenizer", "T5TokenizerFast"),
    "projection_model": ("StableAudioProjectionModel",),
    "transformer": ("StableAudioDiTModel",),
    "scheduler": ("CosineDPMSolverMultistepScheduler", "EDMDPMSolverMultistepScheduler"),
}
_LENGTHS = Lengths(longest_s=47.0, shortest_s=2.5, grain_s=2.9, overlap_s=5.8, struck_s=8.0, beyond_s=0.7)
_FITNESS = Fitness(
    {"crowd": 0.8, "forest": 0.88, "night": 0.85, "city": 0.8, "traffic": 0.75},
    sustained=0.48, struck=0.4, moving=0.3, free=0.85, music=0.4,
)  # fmt: skip


class StableAudio(LatentPerformer):
    """The performer."""

    kind = Kind("stable_audio", "2", _CLASSES, _FITNESS)

    def hold(self, place: store.Place, device: devices.Device) -> Model:
        return Model(_load(place), device)

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        whole = neural.number(brief.cue.params, "whole_window", 0, 0, 1) > 0
        wish = prompted.wish(brief.cue, model.defaults)
        return model.sound(brief, wish, at_least_s=_LENGTHS.longest_s if whole else 0.0), model.rate_hz


class Model(LatentModel):
    """The published parts."""

    channels = 2
    reach = 16
    lengths = _LENGTHS
    defaults = prompted.Defaults(steps=50, guidance=7.0)

    def __init__(self, pipe: Any, device: devices.Device) -> None:
        super().__init__(pipe, device, int(pipe.vae.config.sampling_rate), int(pipe.vae.hop_length))

    def latents(self, frames: int) -> tuple[int, ...]:
        return (1, self.pipe.transformer.config.in_channels, frames)

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

    def denoise(self, latents: Any, timesteps: Any, told: Told) -> Any:
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
        return self.pipe.vae.encode(self.on_frames(guide, frames)).latent_dist.mode()


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
