# SPDX-License-Identifier: AGPL-3.0-or-later
"""Latent diffusion: from a cue's length and guide track to sound. Each performer says how its own parts read words,
denoise, encode and decode; torch is imported inside."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue
from immersivaudio.engine.models import devices, guides, prompted, shaping
from immersivaudio.engine.models.batching import Ask, Batcher, Spans, Told
from immersivaudio.engine.models.neural import NeuralPerformer, seeded
from immersivaudio.engine.models.prompted import Wish
from immersivaudio.engine.models.shaping import Wave
from immersivaudio.engine.performers import Block, Brief

_DECODE_S, _DECODE_OVERLAP_S = 20.48, 0.64
_ENDING_S = 2.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """What a model was trained on, seconds: its longest and shortest window, the grain that lengths are rounded up to (so
    that requests share passes), how far windows overlap, how long a stretch blows are cut out of, and what is made
    beyond a cue's end for a model that ends its sounds."""

    longest_s: float
    shortest_s: float
    grain_s: float
    overlap_s: float
    struck_s: float
    beyond_s: float = 0.0


class LatentPerformer(NeuralPerformer):
    """A performer whose ``hold`` gives a :class:`LatentModel`: cues share its passes, and may follow their guide track."""

    together = 8

    def generate(self, model: Any, brief: Brief) -> tuple[Wave, int]:
        return model.sound(brief, prompted.wish(brief.cue, model.defaults)), model.rate_hz

    def guide_of(self, cue: Cue) -> str:
        """See :class:`immersivaudio.engine.performers.Guided`."""
        return guides.maker(cue) if prompted.guide(cue) > 0 else ""

    def shape(self, wave: Wave, rate_hz: int, brief: Brief) -> Iterator[Block]:
        return guides.shaped(wave, rate_hz, brief, prompted.guide(brief.cue) > 0, _ENDING_S)


class LatentModel(abc.ABC):
    """The parts of a diffusers pipeline on ``device``, those of ``exact`` in float32; requests share passes of its ``net``.

    ``axis`` is where time lies in its latents, ``hop`` samples to a frame; ``reach`` how many frames a sound depends on
    beyond its own, None where it depends on all.
    """

    axis = 2
    channels = 1
    reach: int | None = None
    net = "transformer"
    exact: tuple[str, ...] = ("vae",)
    lengths: Lengths
    defaults: prompted.Defaults

    def __init__(self, pipe: Any, device: devices.Device, rate_hz: int, hop: int) -> None:
        self.pipe, self.device = devices.placed(pipe, device, self.exact), device
        self.parts = tuple(pipe.components.values())
        self.rate_hz, self.hop = rate_hz, hop
        self.prompts = prompted.Kept()
        self.batcher = Batcher(self.denoise, device.name, getattr(pipe, self.net).dtype)
        self._lock = threading.Lock()

    @abc.abstractmethod
    def latents(self, frames: int) -> tuple[int, ...]:
        """The shape of ``frames`` of its latents, ``[1, ...]``."""

    @abc.abstractmethod
    def denoise(self, latents: Any, timesteps: Any, told: Told) -> Any:
        """What its ``net`` predicts for a batch ``[B, ...]``."""

    def noise(self, frames: int, seed: int) -> Any:
        """``[1, ...]`` float32, drawn on the CPU: the same seed sounds alike on every device."""
        import torch

        return torch.randn(self.latents(frames), generator=seeded(seed), dtype=torch.float32)

    @abc.abstractmethod
    def ask(self, wish: Wish, noise: Any, guide: Any, seed: int) -> Ask:
        """Denoising from noise alone, or from the ``guide``'s latents with as much noise as the wish leaves it."""

    @abc.abstractmethod
    def encode(self, guide: Wave, frames: int) -> Any:
        """A guide's sound ``[channels, n]`` as latents of ``frames``."""

    def decode(self, latents: Any) -> Wave:
        """Latents to sound ``[channels, n]`` in float32: bfloat16 would leave its noise 48 dB below."""
        heard: Wave = self.pipe.vae.decode(latents).sample[0].cpu().numpy()
        return heard

    def on_frames(self, wave: Wave, frames: int) -> Any:
        """Sound cut or filled with silence to ``frames``, on the device: ``[1, channels, frames * hop]``."""
        import torch

        wanted = frames * self.hop
        whole = np.pad(wave[:, :wanted], ((0, 0), (0, max(0, wanted - wave.shape[1]))))
        return torch.from_numpy(whole)[None].to(self.device.name)

    def warm(self) -> Wave:
        """One step of the shortest sound."""
        frames = self._frames(self.lengths.shortest_s)
        ask = self.ask(Wish("wind", "", 1, 2.0, 0.0), self.noise(frames, 0), None, 0)
        return self._heard(self.batcher.run(ask))

    def sound(self, brief: Brief, wish: Wish, at_least_s: float = 0.0) -> Wave:
        """The whole cue ``[channels, n]``, at least as long as it is asked; ``at_least_s`` are denoised for it."""
        guide = guides.render(brief, self.rate_hz, self.channels) if wish.guide else None
        wanted_s = brief.samples / SAMPLE_RATE_HZ
        if guide is None and shaping.is_struck(brief.cue):
            wanted_s = self.lengths.struck_s
        frames = self._frames(max(wanted_s + self.lengths.beyond_s, self.lengths.shortest_s, at_least_s))
        latents = None if guide is None else self._encoded(guides.levelled(guide), frames)
        made = self.made(wish, frames, latents, brief)
        wanted = math.ceil(max(wanted_s, 2.0) * self.rate_hz) + 1
        if self.reach is not None:
            # Only what will be heard, and as far beyond as it depends on.
            made = made.narrow(self.axis, 0, min(frames, -(-wanted // self.hop) + self.reach))
        return self._whole(made, brief)[:, :wanted]

    def made(self, wish: Wish, frames: int, guide: Any, brief: Brief) -> Any:
        """The cue's latents of ``frames``; those longer than the model's window are denoised as overlapping windows."""
        ask = self.ask(wish, self.noise(frames, brief.cue.seed), guide, brief.cue.seed)
        return self.batcher.run(ask.obeying(brief.cancelled))

    def spans(self, frames: int) -> Spans:
        """The windows of a latent of ``frames``."""
        longest, overlap = (
            round(s * self.rate_hz) // self.hop for s in (self.lengths.longest_s, self.lengths.overlap_s)
        )
        return Spans.cover(frames, longest, overlap, self.axis)

    def _frames(self, seconds: float) -> int:
        grain = max(1, round(self.lengths.grain_s * self.rate_hz) // self.hop)
        return shaping.rounded_up(-(-round(seconds * self.rate_hz) // self.hop), grain)

    def _encoded(self, guide: Wave, frames: int) -> Any:
        import torch

        with torch.inference_mode(), self._lock:
            return self.encode(guide, frames)

    def _heard(self, latents: Any) -> Wave:
        import torch

        with torch.inference_mode(), self._lock:
            return self.decode(latents)

    def _whole(self, latents: Any, brief: Brief) -> Wave:
        return in_parts(latents, self.axis, self.rate_hz, self.hop, lambda part: self._heard_for(part, brief))

    def _heard_for(self, latents: Any, brief: Brief) -> Wave:
        shaping.obey(brief)
        return self._heard(latents)


def in_parts(latents: Any, axis: int, rate_hz: int, hop: int, decode: Callable[[Any], Wave]) -> Wave:
    """Latents decoded some seconds at a time, so that memory does not grow with the cue: ``[channels, n]``."""
    length = latents.shape[axis] * hop
    longest, overlap = (max(1, round(seconds * rate_hz) // hop) * hop for seconds in (_DECODE_S, _DECODE_OVERLAP_S))
    spans = shaping.windows(length, longest, overlap, hop)
    parts = [decode(latents.narrow(axis, span.start // hop, span.length // hop)) for span in spans]
    return shaping.join(parts, spans, length)
