# SPDX-License-Identifier: AGPL-3.0-or-later
"""AudioLDM 2 (Liu et al. 2023, arXiv 2308.05734): text to sound, 16 kHz mono made 48 kHz stereo. Weights CC-BY-NC-SA.

Good for what has no simple physics: crowds, birds, animals, free prompts. Needs the [models] extra and the weights;
``immersivaudio.engine.models.store`` says where they are looked for.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from immersivaudio.engine import prompts
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Licence, ParamValue, Stem
from immersivaudio.engine.errors import CancelledError, EngineError, RequestError, UnavailableError
from immersivaudio.engine.models import devices, shaping, store, weights
from immersivaudio.engine.models.shaping import Mono, Window
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion

_NAME = "audioldm2"
_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
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
_LONGEST_S, _SHORTEST_S, _GRAIN_S, _OVERLAP_S, _STRUCK_S = 10.24, 2.56, 1.28, 1.28, 5.12
_STEPS, _GUIDANCE = 20.0, 3.5
_PROMPTS_KEPT = 64
# What physics does poorly and a generator does well.
_FITNESS = {"crowd": 0.9, "forest": 0.85, "night": 0.8, "city": 0.7, "traffic": 0.6}
_MOTION_FITNESS = {Motion.SUSTAINED: 0.45, Motion.STRUCK: 0.3, Motion.MOVING: 0.2}
_FREE_FITNESS = 0.8


@dataclass(frozen=True, slots=True)
class _Wish:
    """How a cue is to be generated."""

    prompt: str
    negative: str
    steps: int
    guidance: float


class AudioLDM2:
    """The performer. One pipeline a process, one cue at a time: diffusers' pipelines are not made for two threads."""

    name = _NAME

    def __init__(self) -> None:
        self._pipe: Any = None
        self._device = devices.Device("cpu", "float32")
        self._prompts: OrderedDict[tuple[str, str, bool], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Changes with the weights."""
        try:
            return f"1+{store.fingerprint(self._place())}"
        except EngineError:
            return "1"

    def licence(self) -> Licence:
        try:
            return self._place().weights.as_licence()
        except EngineError:
            return weights.KNOWN[0].as_licence()

    def available(self) -> str:
        if absent := devices.missing(_LIBRARIES):
            return absent
        try:
            self._place()
        except EngineError as error:
            return "" if store.online() else f"{error.message} {error.hint}"
        return ""

    def fitness(self, cue: Cue) -> float:
        if cue.stem in (Stem.MUSIC, Stem.DIALOGUE):
            return 0.0
        sound = BY_ID.get(cue.sound)
        if sound is None:
            return _FREE_FITNESS if cue.prompt or cue.sound else 0.0
        return _FITNESS.get(sound.id, _MOTION_FITNESS[sound.motion])

    @property
    def device(self) -> str:
        """Where the weights are now; empty when they are on disk only."""
        return self._device.name if self._pipe is not None else ""

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights on disk; 0 where there are none."""
        try:
            return store.size_bytes(self._place())
        except EngineError:
            return 0

    def setup(self) -> None:
        """Check the weights and bring them to the device; nothing to do where they are there already.

        Raises:
            UnavailableError: libraries or weights are missing, or the weights are refused.
        """
        if absent := devices.missing(_LIBRARIES):
            raise UnavailableError(absent)
        with self._lock:
            if self._pipe is None:
                self._hold()

    load = setup

    def unload(self) -> None:
        """Give the device's memory back; the next cue loads again."""
        with self._lock:
            self._pipe = None
            self._prompts.clear()
            devices.release(self._device)

    def _hold(self) -> None:
        store.fetch(_NAME, weights.KNOWN[0])
        place = self._place()
        store.check(place, _CLASSES)
        self._device = devices.choose()
        self._pipe = _load(place, self._device)

    def perform(self, brief: Brief) -> Iterator[Block]:
        if brief.samples <= 0:
            return
        with self._lock:
            if self._pipe is None:
                self._hold()
            mono, rate_hz = self._generate(brief)
        shaping.refuse_broken(mono, self.name)
        mono = shaping.centred(mono, rate_hz)
        make = shaping.struck if shaping.is_struck(brief.cue) else shaping.sustained
        yield from make(mono, rate_hz, brief)

    def _place(self) -> store.Place:
        return store.locate(_NAME, weights.KNOWN[0])

    def _generate(self, brief: Brief) -> tuple[Mono, int]:
        """The whole cue in the model's own rate, mono; retried on the CPU when the device has too little memory."""
        try:
            return self._sound(brief)
        except Exception as error:
            devices.release(self._device)
            if not devices.is_out_of_memory(error):
                raise
            if self._device.name == "cpu":
                raise _no_memory() from error
        return self._on_cpu(brief)

    def _on_cpu(self, brief: Brief) -> tuple[Mono, int]:
        before = self._device
        try:
            self._move(devices.Device("cpu", "float32"))
            return self._sound(brief)
        except Exception as error:
            raise (_no_memory() if devices.is_out_of_memory(error) else error) from error
        finally:
            self._move(before)

    def _move(self, device: devices.Device) -> None:
        self._prompts.clear()
        _place_on(self._pipe, device)
        self._device = device

    def _sound(self, brief: Brief) -> tuple[Mono, int]:
        rate_hz = int(self._pipe.vocoder.config.sampling_rate)
        wanted = round(_STRUCK_S * rate_hz)
        if not shaping.is_struck(brief.cue):
            wanted = -(-brief.samples * rate_hz // SAMPLE_RATE_HZ)
        grain, overlap = round(_GRAIN_S * rate_hz), round(_OVERLAP_S * rate_hz)
        wanted = max(wanted, round(_SHORTEST_S * rate_hz))
        spans = shaping.windows(wanted, round(_LONGEST_S * rate_hz), overlap, grain)
        wish = _wish(brief.cue)
        noise = self._noise(spans[-1].end, brief.cue.seed)
        parts = [self._window(span, noise, wish, brief) for span in spans]
        return shaping.join(parts, spans, wanted), rate_hz

    def _noise(self, samples: int, seed: int) -> Any:
        """One field of noise for the whole cue, ``[1, channels, frames, bins]``, drawn on the CPU: windows that overlap
        start from the same noise there, and the same seed sounds alike on every device."""
        import torch

        pipe = self._pipe
        scale = pipe.vae_scale_factor
        shape = (1, pipe.unet.config.in_channels, samples // self._hop(), pipe.vocoder.config.model_in_dim // scale)
        generator = torch.Generator("cpu").manual_seed(seed & 0x7FFF_FFFF_FFFF_FFFF)
        return torch.randn(shape, generator=generator, dtype=torch.float32)

    def _hop(self) -> int:
        """Samples of sound for each frame of the latent."""
        return int(np.prod(self._pipe.vocoder.config.upsample_rates)) * int(self._pipe.vae_scale_factor)

    def _window(self, span: Window, noise: Any, wish: _Wish, brief: Brief) -> Mono:
        import torch

        def obey(step: int, timestep: Any, latents: Any) -> None:
            if brief.cancelled():
                raise CancelledError("Cancelled.")

        obey(0, None, None)
        pipe, hop = self._pipe, self._hop()
        with torch.inference_mode():
            told = self._told(wish)
            first = noise[:, :, span.start // hop : span.end // hop].to(pipe.device, pipe.unet.dtype)
            latents = pipe(
                **told,
                latents=first,
                audio_length_in_s=span.length / pipe.vocoder.config.sampling_rate,
                num_inference_steps=wish.steps,
                guidance_scale=wish.guidance,
                callback=obey,
                output_type="latent",
            ).audios
            obey(0, None, None)
            return self._decode(latents)[: span.length]

    def _decode(self, latents: Any) -> Mono:
        """Latents to sound in float32: bfloat16 would leave its noise 48 dB below."""
        import torch

        pipe = self._pipe
        mel = pipe.vae.decode(1 / pipe.vae.config.scaling_factor * latents.to(torch.float32)).sample
        waveform: Mono = pipe.mel_spectrogram_to_waveform(mel)[0].numpy()
        return waveform

    def _told(self, wish: _Wish) -> dict[str, Any]:
        """The prompt as the U-Net reads it; the last ones are kept."""
        key = (wish.prompt, wish.negative, wish.guidance > 1)
        if key not in self._prompts:
            self._prompts[key] = _encode(self._pipe, wish)
            if len(self._prompts) > _PROMPTS_KEPT:
                self._prompts.popitem(last=False)
        self._prompts.move_to_end(key)
        return self._prompts[key]


def _load(place: store.Place, device: devices.Device) -> Any:
    from diffusers import AudioLDM2Pipeline, DPMSolverMultistepScheduler
    from transformers import GPT2LMHeadModel

    safe = {"use_safetensors": True, "local_files_only": True}
    try:
        with devices.quiet():
            # The published index names GPT2Model, which can no longer generate (diffusers issue 12630).
            language = GPT2LMHeadModel.from_pretrained(place.folder, subfolder="language_model", **safe)
            pipe = AudioLDM2Pipeline.from_pretrained(place.folder, language_model=language, **safe)
    except Exception as error:
        if devices.is_out_of_memory(error):
            raise _no_memory() from error
        raise UnavailableError(
            f"The weights of audioldm2 in {place.folder} cannot be loaded ({type(error).__name__}).",
            "Fetch them again, whole.",
        ) from error
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    _place_on(pipe, device)
    return pipe


def _place_on(pipe: Any, device: devices.Device) -> None:
    """Everything on the device: what denoises in its dtype, what decodes to sound in float32."""
    import torch

    with devices.quiet():
        pipe.to(device.name, getattr(torch, device.dtype))
        for part in (pipe.vae, pipe.vocoder):
            part.to(torch.float32)


def _encode(pipe: Any, wish: _Wish) -> dict[str, Any]:
    guided = wish.guidance > 1
    told, mask, generated = pipe.encode_prompt(wish.prompt, pipe.device, 1, guided, negative_prompt=wish.negative)
    if not guided:
        return {"prompt_embeds": told, "attention_mask": mask, "generated_prompt_embeds": generated}
    (no, yes), (no_mask, yes_mask), (no_made, yes_made) = told.chunk(2), mask.chunk(2), generated.chunk(2)
    return {
        "prompt_embeds": yes,
        "attention_mask": yes_mask,
        "generated_prompt_embeds": yes_made,
        "negative_prompt_embeds": no,
        "negative_attention_mask": no_mask,
        "negative_generated_prompt_embeds": no_made,
    }


def _wish(cue: Cue) -> _Wish:
    prompt = cue.prompt or prompts.template(cue)
    negative = str(cue.params.get("negative_prompt", "")) or _negative(cue, prompt)
    steps = _number(cue.params, "steps", _STEPS, 1, 200)
    return _Wish(prompt, negative, round(steps), _number(cue.params, "guidance", _GUIDANCE, 1, 15))


def _negative(cue: Cue, prompt: str) -> str:
    """What must not be heard, less what the prompt itself asks for."""
    asked = f"{prompt} {cue.sound}".lower()
    voices = ("crowd", "voice", "people", "speech", "talk", "sing", "walla", "audience", "children", "laugh", "shout")
    kept = prompts.negative(cue).split(", ")
    if any(word in asked for word in voices):
        kept = [word for word in kept if word not in ("speech", "talking", "singing", "vocals")]
    return ", ".join(["low quality", *(word for word in kept if word not in asked)])


def _number(params: Any, name: str, default: float, low: float, high: float) -> float:
    value: ParamValue = params.get(name, default)
    if not isinstance(value, float | int) or not low <= value <= high:
        raise RequestError(f"{name} cannot be {value!r}.", f"Choose {name} from {low:g} to {high:g}.")
    return float(value)


def _no_memory() -> EngineError:
    return UnavailableError(
        "audioldm2 needs more memory than is free here.",
        "Close other programs that use the device, or set IMMERSIVAUDIO_DEVICE=cpu.",
    )


@functools.cache
def create() -> AudioLDM2:
    """One a process: whoever asks shares the weights on the device."""
    return AudioLDM2()
