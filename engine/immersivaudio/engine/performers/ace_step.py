# SPDX-License-Identifier: AGPL-3.0-or-later
"""ACE-Step 1.5: music after words, 48 kHz stereo, up to ten minutes. Weights MIT.

Where its checkpoint brings the audio tokenizer, it covers the piece that the rules compose for the cue's cuts; else it is
told that piece's tempo, key and metre.
"""

from __future__ import annotations

import functools
import threading
from fractions import Fraction
from typing import Any

import numpy as np

from immersivaudio.engine import prompts
from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.models import devices, guides, latent, neural, shaping, store
from immersivaudio.engine.models.neural import Kind
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.models.suiting import Fitness
from immersivaudio.engine.models.tokens import MusicPerformer
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.music import score_of

_CLASSES: dict[str, tuple[str, ...]] = {
    "vae": ("AutoencoderOobleck",),
    "text_encoder": ("Qwen3Model", "Qwen3ForCausalLM"),
    "tokenizer": ("Qwen2Tokenizer", "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"),
    "transformer": ("AceStepTransformer1DModel",),
    "condition_encoder": ("AceStepConditionEncoder",),
    "scheduler": ("FlowMatchEulerDiscreteScheduler",),
}
_SHORTEST_S = 10.0
_KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_GUIDE = 0.8


class AceStep(MusicPerformer):
    """The performer."""

    kind = Kind("ace_step", "1", _CLASSES, Fitness(music=0.65, longest_s=Fraction(600)))

    def hold(self, place: store.Place, device: devices.Device) -> Model:
        from diffusers import AceStepPipeline

        pipe = AceStepPipeline.from_pretrained(place.folder, use_safetensors=True, local_files_only=True)
        pipe.set_progress_bar_config(disable=True)
        return Model(pipe, device)


class Model:
    """The published pipeline on one device, one cue at a time: it is not made for two threads."""

    def __init__(self, pipe: Any, device: devices.Device) -> None:
        self.pipe, self.device = devices.placed(pipe, device, ("vae",)), device
        self.parts = tuple(pipe.components.values())
        self.rate_hz = int(pipe.sample_rate)
        self.hop = round(pipe.sample_rate / pipe.latents_per_second)
        self._lock = threading.Lock()

    def warm(self) -> Wave:
        """One step of the shortest piece."""
        with self._lock:
            return self._decoded(self._made({"prompt": "music", "audio_duration": 1.0, "num_inference_steps": 1}, 0))

    def sound(self, brief: Brief) -> Wave:
        """The whole cue ``[2, n]``, at least as long as it is asked."""
        with self._lock:
            made = self._made(self._asked(brief), brief.cue.seed, brief)
            shaping.obey(brief)
            return self._decoded(made, brief)

    def _asked(self, brief: Brief) -> dict[str, Any]:
        params, turbo = brief.cue.params, self.pipe.is_turbo
        asked: dict[str, Any] = {
            "prompt": brief.cue.prompt or prompts.template(brief.cue),
            "lyrics": "[Instrumental]",
            "audio_duration": max(_SHORTEST_S, brief.samples / SAMPLE_RATE_HZ),
            "num_inference_steps": round(neural.number(params, "steps", 8 if turbo else 50, 1, 200)),
            "guidance_scale": 1.0 if turbo else neural.number(params, "guidance", 7.0, 1, 15),
        }
        strength = neural.number(params, "guide", _GUIDE, 0, 1)
        guide = guides.render(brief, self.rate_hz, 2) if strength and self.pipe.audio_tokenizer is not None else None
        if guide is None:
            score = score_of(brief.cue, brief.samples)
            key = f"{_KEYS[score.tonic % 12]} {score.mode}"
            return {**asked, "bpm": round(score.wanted_bpm), "keyscale": key}
        return {**asked, **self._covered(guides.levelled(guide), asked["audio_duration"], strength)}

    def _covered(self, guide: Wave, lasting_s: float, strength: float) -> dict[str, Any]:
        import torch

        wanted = -(-round(lasting_s * self.rate_hz) // self.hop) * self.hop
        whole = np.pad(guide, ((0, 0), (0, max(0, wanted - guide.shape[1]))))
        return {"task_type": "cover", "src_audio": torch.from_numpy(whole), "audio_cover_strength": strength}

    def _made(self, asked: dict[str, Any], seed: int, brief: Brief | None = None) -> Any:
        """Latents ``[1, frames, channels]``; the cue's cancel is asked after every step."""
        import torch

        def step_end(*_: Any) -> dict[str, Any]:
            if brief is not None:
                shaping.obey(brief)
            return {}

        with torch.inference_mode(), neural.noise_of(self.device, seed):
            return self.pipe(
                **asked, generator=neural.seeded(seed), callback_on_step_end=step_end, output_type="latent"
            ).audios

    def _decoded(self, latents: Any, brief: Brief | None = None) -> Wave:
        import torch

        def heard(part: Any) -> Wave:
            if brief is not None:
                shaping.obey(brief)
            wave: Wave = self.pipe.vae.decode(part).sample[0].cpu().numpy()
            return wave

        with torch.inference_mode():
            return latent.in_parts(latents.transpose(1, 2).to(torch.float32), 2, self.rate_hz, self.hop, heard)


@functools.cache
def create() -> AceStep:
    """One a process: whoever asks shares the weights on the device."""
    return AceStep()
