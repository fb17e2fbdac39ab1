# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cue -> words for a performer that reads words: the template, deterministic and without a model. ``wording`` says who
else may word a cue."""

from __future__ import annotations

from immersivaudio.engine.cue import Cue, Stem
from immersivaudio.engine.sounds import BY_ID, Motion

# Params of words: what else must not be heard, and whether a model wrote the prompt (see ``wording``).
AVOID, WRITTEN = WORDED = ("avoid", "worded")
_NO_VOICE = "speech, talking, singing, music, melody, drums"
_NEGATIVE = {
    Stem.AMBIENCE: f"{_NO_VOICE}, sudden loud events, clicks, distortion",
    Stem.FOLEY: f"{_NO_VOICE}, background noise, reverb tail, distortion",
    Stem.EFFECTS: f"{_NO_VOICE}, distortion",
    Stem.MUSIC: "speech, talking, vocals, sound effects, noise, distortion",
}
_SCALES: dict[str, tuple[str, str, str]] = {
    "intensity": ("faint", "", "heavy"),
    "strength": ("light", "", "hard"),
    "speed": ("slow", "", "fast"),
    "size": ("small", "", "large"),
    "distance": ("close up", "", "far away"),
    "energy": ("calm", "", "driving"),
    "warmth": ("sombre", "", "bright"),
}


def template(cue: Cue) -> str:
    """What should be heard, in one line: "hard blow on wood, close up, one hit"."""
    sound = BY_ID.get(cue.sound)
    label = sound.label if sound else cue.sound
    before = [_grade(cue, name) for name in ("intensity", "strength", "speed", "size", "energy", "warmth")]
    head = " ".join([*(word for word in before if word), label])
    motion = sound.motion if sound else Motion.SUSTAINED
    return ", ".join(part for part in (head, _grade(cue, "distance"), _manner(cue, motion)) if part)


def negative(cue: Cue) -> str:
    """What must not be heard: keeps voices and music out of ambience, foley and effects; ``AVOID`` among the params adds
    to it."""
    usual, more = _NEGATIVE.get(cue.stem, _NO_VOICE), str(cue.params.get(AVOID, ""))
    return f"{usual}, {more}" if more else usual


def _grade(cue: Cue, name: str) -> str:
    value = cue.params.get(name)
    if not isinstance(value, float | int):
        return ""
    low, middle, high = _SCALES[name]
    return low if value < 0.34 else high if value > 0.66 else middle


def _manner(cue: Cue, motion: Motion) -> str:
    if motion is Motion.STRUCK:
        hits = max(1, len(cue.sync_s))
        return "one hit, dry" if hits == 1 else f"{hits} hits, dry"
    if motion is Motion.MOVING:
        sides = _side(cue, "from_pan"), _side(cue, "to_pan")
        return "coming closer and going away" if sides[0] == sides[1] else f"passing from {sides[0]} to {sides[1]}"
    return "instrumental" if cue.stem is Stem.MUSIC else "steady, seamless"


def _side(cue: Cue, name: str) -> str:
    value = cue.params.get(name, 0.0)
    pan = value if isinstance(value, float | int) else 0.0
    return "left" if pan < -0.2 else "right" if pan > 0.2 else "the middle"
