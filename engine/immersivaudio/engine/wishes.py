# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a wish in words asks for, by how it is laid: beds for as long as a place lasts, blows at contacts, things that pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from immersivaudio.engine.cue import Stem
from immersivaudio.engine.places import OVERLAYS, SETTINGS, WORDS, named
from immersivaudio.engine.sound_words import SOUND_WORDS
from immersivaudio.engine.sounds import BY_ID, Motion

# A bed that is asked for by its own name, and the plainer ones that are then left out.
INSTEAD: Mapping[str, tuple[str, ...]] = {
    "rain.roof": ("rain", "rain.leaves"),
    "rain.leaves": ("rain", "rain.roof"),
    "sea.harbour": ("sea",),
    "wind.whistle": ("wind",),
    "wind.trees": ("wind",),
}
# What happens once at a contact, and not at every one that the picture has.
ONCE = frozenset(("explosion", "gunshot", "glass.break", "door", "splash", "beep"))
_LASTING = {"thunder.clap": "thunder", "heartbeat": "heartbeat"}
_NO_CONTACT = frozenset(("whoosh", *_LASTING))


@lru_cache(maxsize=64)
def sounds_named(description: str) -> tuple[str, ...]:
    """The sounds of the vocabulary that ``description`` names, in the vocabulary's order."""
    return named(description, SOUND_WORDS)


@lru_cache(maxsize=64)
def beds_wished(description: str) -> tuple[str, ...]:
    """What lasts of the sounds that ``description`` names, without what a kind of place brings by the same words."""
    said = dict.fromkeys(_LASTING.get(sound, sound) for sound in named(description, _beyond_places()))
    return tuple(
        sound
        for sound in said
        if (BY_ID[sound].motion is Motion.SUSTAINED and BY_ID[sound].stem is not Stem.MUSIC) or sound in _LASTING
    )


@lru_cache(maxsize=1)
def _beyond_places() -> Mapping[str, tuple[str, ...]]:
    places = {word for words in WORDS.values() for word in words}
    laid = {layer.sound for setting in SETTINGS for layer in setting.beds} | {layer.sound for _, layer in OVERLAYS}
    return {
        sound: tuple(word for word in words if sound not in laid or word not in places)
        for sound, words in SOUND_WORDS.items()
    }


def blows_wished(description: str) -> tuple[str, ...]:
    """What ``description`` names that a contact may be, steps left out; things that happen rather than materials first."""
    found = [sound for sound in sounds_named(description) if _is_blow(sound)]
    return tuple(sorted(found, key=lambda sound: sound.startswith("impact.")))


def _is_blow(sound: str) -> bool:
    return BY_ID[sound].motion is Motion.STRUCK and sound not in _NO_CONTACT and not sound.startswith("footstep.")


def ground_wished(description: str) -> str:
    """The steps that ``description`` names; empty where it names none."""
    return next((sound for sound in sounds_named(description) if sound.startswith("footstep.")), "")


def passing_wished(description: str) -> str:
    """The one thing that passes which ``description`` names; empty where it names none, or several."""
    found = [sound for sound in sounds_named(description) if BY_ID[sound].motion is Motion.MOVING]
    return found[0] if len(found) == 1 else ""
