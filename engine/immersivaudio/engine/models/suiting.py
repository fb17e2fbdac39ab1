# SPDX-License-Identifier: AGPL-3.0-or-later
"""How well a model suits a cue, as a table: data that a performer states, not code that it repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from immersivaudio.engine.cue import Cue, Stem
from immersivaudio.engine.sounds import BY_ID, Motion


@dataclass(frozen=True, slots=True)
class Fitness:
    """0 never, 1 better than anybody. ``sounds`` are those of the vocabulary that it does in its own way; others go by
    how they move on, ``free`` by words alone. ``longest_s``: longer cues are not for it."""

    sounds: Mapping[str, float] = field(default_factory=dict)
    sustained: float = 0.0
    struck: float = 0.0
    moving: float = 0.0
    free: float = 0.0
    music: float = 0.0
    longest_s: Fraction | None = None

    def of(self, cue: Cue) -> float:
        """See :meth:`immersivaudio.engine.performers.Performer.fitness`. Nobody speaks somebody's lines."""
        if cue.stem is Stem.DIALOGUE or (self.longest_s is not None and cue.span.duration_s > self.longest_s):
            return 0.0
        if cue.stem is Stem.MUSIC or cue.sound == "music":
            return self.music
        sound = BY_ID.get(cue.sound)
        if sound is None:
            return self.free if cue.prompt or cue.sound else 0.0
        return self.sounds.get(sound.id, self._motions[sound.motion])

    @property
    def _motions(self) -> Mapping[Motion, float]:
        return {Motion.SUSTAINED: self.sustained, Motion.STRUCK: self.struck, Motion.MOVING: self.moving}
