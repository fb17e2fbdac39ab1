# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a diffusion performer is asked of a cue: words, steps, guidance, and how closely it follows the guide track."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from immersivaudio.engine import prompts
from immersivaudio.engine.cue import Cue
from immersivaudio.engine.models import guides, neural

_VOICES = ("crowd", "voice", "people", "speech", "talk", "sing", "walla", "audience", "children", "laugh", "shout")
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """How a cue is to be generated. ``guide`` 0: from noise alone; near 1: almost the guide track itself."""

    prompt: str
    negative: str
    steps: int
    guidance: float
    guide: float

    @property
    def guided(self) -> bool:
        """Whether what must not be heard is told, too."""
        return self.guidance > 1

    def first(self, steps: int) -> int:
        """The step at which denoising begins."""
        return min(steps - 1, round(steps * self.guide))


@dataclass(frozen=True, slots=True)
class Defaults:
    """A model's own: denoising steps, guidance (1: none)."""

    steps: float
    guidance: float
    most_steps: float = 200


def wish(cue: Cue, defaults: Defaults) -> Wish:
    """What ``cue`` asks of a model.

    Raises:
        RequestError: steps, guidance or guide out of range.
    """
    prompt = cue.prompt or prompts.template(cue)
    return Wish(
        prompt,
        str(cue.params.get("negative_prompt", "")) or _negative(cue, prompt),
        round(neural.number(cue.params, "steps", defaults.steps, 1, defaults.most_steps)),
        neural.number(cue.params, "guidance", defaults.guidance, 1, 15),
        guide(cue),
    )


def guide(cue: Cue) -> float:
    """How closely ``cue`` is to follow its guide track, 0 to 0.95.

    Raises:
        RequestError: it says something else.
    """
    return neural.number(cue.params, "guide", guides.default(cue), 0, 0.95)


def _negative(cue: Cue, prompt: str) -> str:
    """What must not be heard, less what the prompt itself asks for."""
    kept = prompts.negative(cue).split(", ")
    if asks_for_voices(cue, prompt):
        kept = [word for word in kept if word not in ("speech", "talking", "singing", "vocals")]
    asked = f"{prompt} {cue.sound}".lower()
    return ", ".join(["low quality", *(word for word in kept if word not in asked)])


def asks_for_voices(cue: Cue, prompt: str = "") -> bool:
    """Whether voices belong to what the cue wants."""
    asked = f"{prompt or cue.prompt} {cue.sound}".lower()
    return any(word in asked for word in _VOICES)


class Kept:
    """The last prompts as the model reads them; encoded one at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, encode: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = encode()
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
