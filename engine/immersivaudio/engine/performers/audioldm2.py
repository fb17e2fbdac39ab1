# SPDX-License-Identifier: AGPL-3.0-or-later
"""AudioLDM 2 (Liu et al. 2023, arXiv 2308.05734): text to sound, 16 kHz mono made 48 kHz stereo. Weights CC-BY-NC-SA.

Good for what has no simple physics: crowds, birds, animals, free prompts. Needs the [models] extra and the weights;
``immersivaudio.engine.models.store`` says where they are looked for.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np

from immersivaudio.engine.models import devices, prompted, spectra, store
from immersivaudio.engine.models.batching import Ask, Told
from immersivaudio.engine.models.latent import LatentModel, LatentPerformer, Lengths
from immersivaudio.engine.models.neural import Kind
from immersivaudio.engine.models.prompted import Wish
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.models.suiting import Fitness

_CLASSES: dict[str, tuple[str, ...]] = {
    "vae": ("AutoencoderKL",),
    "text_encoder": ("ClapModel",),
    "text_encoder_2": ("T5EncoderModel",),
    "projection_model": ("AudioLDM2ProjectionModel",),
    "language_model": ("GPT2Model", "GPT2LMHeadModel"),
    "tokenizer": ("RobertaTokenizer", "RobertaTokenizerFast"),
    "tokenizer_2": ("T5Tokenizer", "T5TokenizerFast"),
    "feature_extractor": ("ClapFeatureExtractor",),
    "unet": ("AudioLDM2UNet2DConditionModel",),
    "scheduler": ("DDIMScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "DPMSolverMultistepScheduler"),
    "vocoder": ("SpeechT5HifiGan",),
}
# The model was trained on 10.24 s; below about 2.5 s it gives fragments.
_LENGTHS = Lengths(longest_s=10.24, shortest_s=2.56, grain_s=1.28, overlap_s=1.28, struck_s=5.12)
# What physics does poorly and a generator does well.
_FITNESS = Fitness(
    {"crowd": 0.9, "forest": 0.85, "night": 0.8, "city": 0.7, "traffic": 0.6},
    sustained=0.45, struck=0.3, moving=0.2, free=0.8,
)  # fmt: skip


class AudioLDM2(LatentPerformer):
    """The performer."""

    kind = Kind("audioldm2", "3", _CLASSES, _FITNESS)

    def hold(self, place: store.Place, device: devices.Device) -> Model:
        return Model(_load(place), device)


class Model(LatentModel):
    """The published parts; requests share passes of the U-Net."""

    net = "unet"
    exact = ("vae", "vocoder")
    lengths = _LENGTHS
    defaults = prompted.Defaults(steps=20, guidance=3.5)

    def __init__(self, pipe: Any, device: devices.Device) -> None:
        config = pipe.vocoder.config
        self._mel_hop = int(np.prod(config.upsample_rates))
        super().__init__(pipe, device, int(config.sampling_rate), self._mel_hop * int(pipe.vae_scale_factor))

    def latents(self, frames: int) -> tuple[int, ...]:
        bins = self.pipe.vocoder.config.model_in_dim // self.pipe.vae_scale_factor
        return (1, self.pipe.unet.config.in_channels, frames, bins)

    def ask(self, wish: Wish, noise: Any, guide: Any, seed: int) -> Ask:
        solver = copy.deepcopy(self.pipe.scheduler)
        solver.set_timesteps(wish.steps, device=self.device.name)
        first, start = 0, noise * solver.init_noise_sigma
        if guide is not None:
            first = wish.first(wish.steps)
            start = solver.add_noise(guide, noise.to(guide.device), solver.timesteps[first : first + 1])
            solver.set_begin_index(first)
        told, untold = self.prompts.get((wish.prompt, wish.negative, wish.guided), lambda: _told(self.pipe, wish))
        return Ask(start, solver, told, untold, wish.guidance, self.spans(noise.shape[2]), first)

    def denoise(self, latents: Any, timesteps: Any, told: Told) -> Any:
        return self.pipe.unet(
            latents,
            timesteps,
            encoder_hidden_states=told["generated_prompt_embeds"],
            encoder_hidden_states_1=told["prompt_embeds"],
            encoder_attention_mask_1=told["attention_mask"],
            return_dict=False,
        )[0]

    def encode(self, guide: Wave, frames: int) -> Any:
        """The guide's mel spectrogram as the VAE's latents."""
        import torch

        bins, scale = self.pipe.vocoder.config.model_in_dim, int(self.pipe.vae_scale_factor)
        mel = spectra.log_mel(guide[0], self.rate_hz, self._mel_hop, bins, frames * scale)
        given = torch.from_numpy(mel)[None, None].to(self.device.name)
        return self.pipe.vae.encode(given).latent_dist.mode() * self.pipe.vae.config.scaling_factor

    def decode(self, latents: Any) -> Wave:
        mel = self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor).sample
        heard: Wave = self.pipe.mel_spectrogram_to_waveform(mel).numpy()
        return heard


def _load(place: store.Place) -> Any:
    from diffusers import AudioLDM2Pipeline, DPMSolverMultistepScheduler
    from transformers import GPT2LMHeadModel

    safe = {"use_safetensors": True, "local_files_only": True}
    # The published index names GPT2Model, which can no longer generate (diffusers issue 12630).
    language = GPT2LMHeadModel.from_pretrained(place.folder, subfolder="language_model", **safe)
    pipe = AudioLDM2Pipeline.from_pretrained(place.folder, language_model=language, **safe)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _told(pipe: Any, wish: Wish) -> tuple[dict[str, Any], dict[str, Any] | None]:
    import torch

    with torch.inference_mode():
        told = pipe.encode_prompt(wish.prompt, pipe.device, 1, wish.guided, negative_prompt=wish.negative)
    names = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")
    if not wish.guided:
        return dict(zip(names, told, strict=True)), None
    halves = [one.chunk(2) for one in told]
    untold, wanted = (dict(zip(names, (half[index] for half in halves), strict=True)) for index in (0, 1))
    return wanted, untold


@functools.cache
def create() -> AudioLDM2:
    """One a process: whoever asks shares the weights on the device."""
    return AudioLDM2()
