# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cue -> words for a performer that reads words: the template, deterministic and without a model. ``wording`` says who
else may word a cue, ``phrases`` how each sound is said."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping

from immersivaudio.engine.cue import Cue, Stem
from immersivaudio.engine.phrases import PHRASES, Phrase
from immersivaudio.engine.sounds import BY_ID, Motion

# Params of words: what else must not be heard, and whether a model wrote the prompt (see ``wording``).
AVOID, WRITTEN = WORDED = ("avoid", "worded")
_NO_VOICE = ("speech", "talking", "singing", "music", "melody", "drums")
_NEGATIVE: Mapping[Stem, tuple[str, ...]] = {
    Stem.AMBIENCE: (*_NO_VOICE, "sudden loud events", "clicks", "distortion"),
    Stem.FOLEY: (*_NO_VOICE, "background noise", "reverb tail", "distortion"),
    Stem.EFFECTS: (*_NO_VOICE, "distortion"),
    Stem.MUSIC: ("speech", "talking", "vocals", "sound effects", "noise", "distortion"),
}
# What belongs to a sound though its stem shuns it.
_BELONGS: Mapping[str, tuple[str, ...]] = {
    "crowd": ("speech", "talking"), "thunder": ("sudden loud events",), "drips": ("clicks",), "fire": ("clicks",),
    "forest": ("singing", "melody"), "rain.roof": ("drums",), "sea": ("sudden loud events",), "heartbeat": ("drums",),
}  # fmt: skip
_COUNTS = ("no", "a single", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_CLOSE, _FAR, _LOW, _HIGH = 0.2, 0.66, 0.34, 0.66
_NEAR_M, _AWAY_M = 3.0, 25.0
_ASIDE = 0.2
_EVEN, _SOME = 0.12, 4
_RUN_HZ, _STROLL_HZ = 2.4, 1.4
_SIDES = ("the left", "the centre", "the right")
_MANNERS = frozenset(
    ("close up", "in the distance", "running", "unhurried", "walking", "evenly spaced", "very close", "at a distance",
     "coming closer and going away", *(f"from {start} to {end}" for start in _SIDES for end in _SIDES))
)  # fmt: skip


def template(cue: Cue) -> str:
    """What should be heard, in one line: "hard blow on wood, close up, a single hit, dry"."""
    if cue.stem is Stem.MUSIC and cue.sound == "music":
        return " ".join(word for word in (_mood(cue), "instrumental music") if word)
    sound, phrase = BY_ID.get(cue.sound), PHRASES.get(cue.sound)
    if sound is None or phrase is None:
        return ", ".join(part for part in (sound.label if sound else cue.sound, _distance(cue)) if part)
    head = phrase.heads[1 + _grade(cue, phrase.knob)]
    if sound.motion is Motion.MOVING:
        return ", ".join(part for part in (head, _way(cue), _passing_distance(cue)) if part)
    if sound.motion is Motion.SUSTAINED:
        return ", ".join(part for part in (head, _distance(cue), phrase.manner) if part)
    hits = max(1, len(cue.sync_s))
    if hits > 1 and phrase.many:
        head = head.replace(phrase.one, phrase.many, 1)
    return ", ".join(
        part for part in (head, _distance(cue), _count(phrase, hits), *_rhythm(cue), phrase.manner) if part
    )


def is_templates(prompt: str, sound: str) -> bool:
    """Whether :func:`template` says ``prompt`` of some cue that is ``sound``, whatever its knobs and sync points."""
    phrase = PHRASES.get(sound)
    if phrase is None:
        return False
    head, *rest = prompt.split(", ")
    heads = {*phrase.heads, *(said.replace(phrase.one, phrase.many, 1) for said in phrase.heads if phrase.many)}
    return head in heads and _MANNERS.issuperset(set(rest) - {*phrase.manner.split(", "), *_counts(phrase)})


def _counts(phrase: Phrase) -> set[str]:
    return {_count(phrase, hits) for hits in range(1, len(_COUNTS) + 1)}


def negative(cue: Cue) -> str:
    """What must not be heard: keeps voices and music out of ambience, foley and effects, and nothing out that belongs to the
    sound; ``AVOID`` among the params adds to it."""
    belongs = _BELONGS.get(cue.sound, ())
    usual = [word for word in _NEGATIVE.get(cue.stem, _NO_VOICE) if word not in belongs]
    return ", ".join([*usual, *filter(None, [str(cue.params.get(AVOID, ""))])])


def _number(cue: Cue, name: str) -> float | None:
    value = cue.params.get(name)
    return float(value) if isinstance(value, float | int) else None


def _grade(cue: Cue, name: str) -> int:
    """-1 for a low value, 1 for a high one, else 0."""
    value = _number(cue, name)
    return 0 if value is None else (value > _HIGH) - (value < _LOW)


def _mood(cue: Cue) -> str:
    energy = ("calm", "", "driving")[1 + _grade(cue, "energy")]
    warmth = ("sombre", "", "bright")[1 + _grade(cue, "warmth")]
    return " ".join(word for word in (energy, warmth) if word)


def _distance(cue: Cue) -> str:
    far = _number(cue, "distance")
    return "" if far is None else "close up" if far < _CLOSE else "in the distance" if far > _FAR else ""


def _count(phrase: Phrase, hits: int) -> str:
    one, many = phrase.units
    if one == "time":
        return ("once", "twice")[hits - 1] if hits < 3 else f"{_COUNTS[hits] if hits < len(_COUNTS) else 'many'} {many}"
    return f"{_COUNTS[hits] if hits < len(_COUNTS) else 'many'} {one if hits == 1 else many}"


def _rhythm(cue: Cue) -> list[str]:
    """How fast steps follow each other, and whether blows come evenly."""
    gaps = [float(after - before) for before, after in itertools.pairwise(sorted(cue.sync_s))]
    if len(gaps) < _SOME - 1:
        return []
    usual = statistics.mean(gaps)
    if cue.sound.startswith("footstep"):
        pace_hz = 1 / max(usual, 1e-3)
        return ["running"] if pace_hz > _RUN_HZ else ["unhurried"] if pace_hz < _STROLL_HZ else ["walking"]
    return ["evenly spaced"] if statistics.pstdev(gaps) < _EVEN * usual else []


def _way(cue: Cue) -> str:
    start, end = (_side(cue, name) for name in ("from_pan", "to_pan"))
    return "coming closer and going away" if start == end else f"from {start} to {end}"


def _side(cue: Cue, name: str) -> str:
    pan = _number(cue, name) or 0.0
    return _SIDES[1 + (pan > _ASIDE) - (pan < -_ASIDE)]


def _passing_distance(cue: Cue) -> str:
    closest_m = _number(cue, "closest_m")
    return (
        ""
        if closest_m is None
        else "very close"
        if closest_m < _NEAR_M
        else "at a distance"
        if closest_m > _AWAY_M
        else ""
    )
