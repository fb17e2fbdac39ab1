# SPDX-License-Identifier: AGPL-3.0-or-later
"""A sentence about each shot, by a small vision-language model: BLIP, or any chat model with eyes (SmolVLM, LLaVA, ...)
that transformers' ``AutoModelForImageTextToText`` reads. Slow on a CPU: one picture a shot, and one every eight seconds.

Sightings: ``caption`` (``text``), and ``scene`` for what the sentence names (see :mod:`immersivaudio.engine.scenery`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.scenery import BY_ID, named
from immersivaudio.engine.watchers import Frame, FrameWish, Picture, PictureSession
from immersivaudio.engine.watchers._cuts import Cuts
from immersivaudio.engine.watchers._looking import Resting

_CHECKPOINT = Checkpoint(
    "caption", "describing pictures", "AutoModelForImageTextToText", ("ForConditionalGeneration", "ForImageTextToText")
)
_WIDTH, _RATE_HZ = 384, 2.0
_SETTLED_S, _AGAIN_S = Fraction(1, 2), Fraction(8)
_MOST_TOKENS, _SURE = 40, 0.45
_ASK = "Describe in one short sentence the place, what happens, and what would be heard."


@dataclass(slots=True)
class _Session:
    """One clip: what each caption was seen at, until the next one or the next cut."""

    name: str
    clip: Clip
    describe: Callable[[Picture], str]
    _cuts: Cuts = field(default_factory=Cuts)
    _told: list[tuple[Fraction, str]] = field(default_factory=list)
    _shot_s: Fraction | None = None
    _due_s: Fraction | None = None
    _last: Frame | None = None

    def see(self, frame: Frame) -> None:
        if self._cuts.at(frame) or self._shot_s is None:
            self._short_shot()
            self._shot_s, self._due_s = frame.time_s, frame.time_s + _SETTLED_S
        self._last = frame
        if self._due_s is not None and frame.time_s >= self._due_s:
            self._tell(self._shot_s if self._is_first() else frame.time_s, frame)
            self._due_s = frame.time_s + _AGAIN_S

    def _is_first(self) -> bool:
        return not self._told or self._told[-1][0] < (self._shot_s or 0)

    def _short_shot(self) -> None:
        """A shot that ended before its picture was due is described by its last one."""
        if self._shot_s is not None and self._last is not None and self._is_first():
            self._tell(self._shot_s, self._last)

    def _tell(self, from_s: Fraction | None, frame: Frame) -> None:
        self._told.append((from_s if from_s is not None else frame.time_s, self.describe(frame.at(_WIDTH))))

    def finish(self) -> Sequence[Sighting]:
        self._short_shot()
        starts = [start for start, _ in self._told]
        ends = [*starts[1:], max([self.clip.source.end_s, *starts])]
        found: list[Sighting] = []
        for (start, text), end in zip(self._told, ends, strict=False):
            if text:
                found += told(self.name, Span.between(tidy(start), tidy(end)), text)
        return found


def told(watcher: str, span: Span, text: str) -> list[Sighting]:
    """The caption, and what it names."""
    signs = [
        Sighting(watcher, "scene", span, _SURE, values={"kind": sign, "group": BY_ID[sign].group})
        for sign in named(text)
    ]
    return [Sighting(watcher, "caption", span, _SURE, values={"text": text}), *signs]


class Caption(Resting):
    """The picture watcher."""

    checkpoint = _CHECKPOINT
    wish = FrameWish(_WIDTH, _RATE_HZ)

    def prepare(self, loaded: Loaded) -> None:
        self._hold, self._processor = loaded, loaded.part("AutoProcessor")
        loaded.part("AutoTokenizer")

    def open(self, clip: Clip) -> PictureSession:
        self.setup()
        return _Session(self.name, clip, lambda rgb: self.surviving(lambda: self.describe(rgb)))

    def describe(self, rgb: Picture) -> str:
        """One line about ``rgb`` (uint8 ``[h, w, 3]``)."""
        import torch
        from PIL import Image

        picture = Image.fromarray(rgb)
        chats = getattr(self._processor, "chat_template", None)
        inputs = self._asked(picture) if chats else self._processor(images=picture, return_tensors="pt")
        with torch.inference_mode():
            tokens = self._hold.model.generate(
                **self._hold.on_device(inputs), do_sample=False, max_new_tokens=_MOST_TOKENS
            )
        if chats:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        text = str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0])
        return " ".join(text.split())[:300]

    def _asked(self, picture: Any) -> Any:
        asked = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _ASK}]}]
        text = self._processor.apply_chat_template(asked, add_generation_prompt=True)
        return self._processor(images=[picture], text=[text], return_tensors="pt")


def create() -> Caption:
    return Caption()
