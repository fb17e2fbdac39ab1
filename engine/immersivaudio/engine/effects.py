# SPDX-License-Identifier: AGPL-3.0-or-later
"""The effects that the engine declares, as data: a host draws them and needs no release when one is added.

The words are OpenFX's. Light on purpose: the server reads this file, so nothing heavy may be imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from immersivaudio.engine.errors import NotFoundError
from immersivaudio.engine.sounds import VOCABULARY

Value = float | int | bool | str


class Kind(StrEnum):
    """Which control a parameter is, by the wire's names."""

    DOUBLE = "DOUBLE"
    INTEGER = "INTEGER"
    BOOLEAN = "BOOLEAN"
    CHOICE = "STR_CHOICE"
    STRING = "STRING"


class Use(StrEnum):
    """Where an effect is used, by the wire's names."""

    FILTER = "FILTER"
    GENERATOR = "GENERATOR"
    GENERAL = "GENERAL"


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. ``low``/``high`` bound the value, ``display`` the slider; ``choices`` are (id, label)."""

    name: str
    kind: Kind
    label: str
    hint: str
    default: Value
    low: float | None = None
    high: float | None = None
    display: tuple[float, float] | None = None
    step: float | None = None
    choices: tuple[tuple[str, str], ...] = ()
    lines: bool = False
    is_file: bool = False
    enabled: bool = True
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect. ``by_example``: it takes a clip named Example, which it sounds like."""

    id: str
    label: str
    description: str
    uses: tuple[Use, ...]
    params: tuple[Param, ...]
    group: str = "Immersivaudio"
    by_example: bool = False

    def param(self, name: str) -> Param | None:
        return next((param for param in self.params if param.name == name), None)

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """``given`` with the defaults of what is missing."""
        return {param.name: param.default for param in self.params} | dict(given)


def _lane(name: str, label: str, hint: str, default: bool, asks: bool = False) -> Param:
    return Param(name, Kind.BOOLEAN, label, hint, default, asks=asks)


_LANES = (
    _lane("ambience", "Ambience", "Beds that hold across the cuts of a place.", True),
    _lane("foley", "Foley", "Sounds of the contacts and movements that are seen.", True),
    _lane("effects", "Effects", "Vehicles, machines, weather.", True),
    _lane("music", "Music", "Composed music; off unless you ask for it.", False, asks=True),
)
_MUSIC_STEMS = Param(
    "music_stems",
    Kind.BOOLEAN,
    "Music by instruments",
    "Composed music as one lane for each instrument group: lead, strings, keys, bass, percussion.",
    False,
    enabled=False,
)
_DESCRIPTION = Param(
    "description",
    Kind.STRING,
    "Description",
    "What the picture does not show: the place, the season, what is to be heard. Optional.",
    "",
    lines=True,
)
_DENSITY = Param(
    "density",
    Kind.DOUBLE,
    "Density",
    "How readily something is heard: 0 only what is certain, 1 everything that might sound.",
    0.5,
    0.0,
    1.0,
    (0.0, 1.0),
    0.05,
)
LOUDNESS = Param(
    "loudness",
    Kind.CHOICE,
    "Loudness",
    "The level of the finished mix.",
    "youtube",
    choices=(
        ("youtube", "YouTube (-14 LUFS)"),
        ("ebu-r128", "EBU R 128 (-23 LUFS)"),
        ("atsc-a85", "ATSC A/85 (-24 LKFS)"),
        ("podcast", "Podcast (-16 LUFS)"),
        ("none", "Leave as it comes"),
    ),
    asks=True,
)
_MIX = Param(
    "mix",
    Kind.DOUBLE,
    "Original / generated",
    "0 only the original sound, 1 only the generated, 0.5 both at their own level.",
    0.5,
    0.0,
    1.0,
    (0.0, 1.0),
    0.05,
    asks=True,
)
_ORIGINAL = Param(
    "original",
    Kind.CHOICE,
    "Original sound",
    "Whether the recorded sound stays in the mix.",
    "auto",
    choices=(("auto", "Replace it when it is bad"), ("keep", "Keep it"), ("replace", "Replace it")),
    asks=True,
)
_RIGHTS = Param(
    "rights",
    Kind.CHOICE,
    "Rights",
    "Which performers may be used, by what their licence allows to do with the result.",
    "commercial",
    choices=(("commercial", "Commercial use"), ("any", "Any licence")),
)
_SEED = Param("seed", Kind.INTEGER, "Seed", "The same seed gives the same sound.", 0, 0, 2**31 - 1, (0, 1000), 1)
_SOUND = Param(
    "sound",
    Kind.CHOICE,
    "Sound",
    "What is heard.",
    "whoosh",
    choices=tuple((sound.id, sound.label) for sound in VOCABULARY),
    asks=True,
)
_PROMPT = Param("prompt", Kind.STRING, "Words", "What is heard, in your own words. Optional.", "", lines=True)
_DURATION = Param("duration_s", Kind.DOUBLE, "Duration", "Seconds.", 3.0, 0.1, 3600.0, (0.5, 60.0), 0.1)

_EXAMPLE = (
    Param(
        "example",
        Kind.STRING,
        "Example",
        "A clip or a sound file: its events are laid on what is seen, or, where it goes on, it becomes the place's sound.",
        "",
        is_file=True,
    ),
    Param(
        "example_licence",
        Kind.STRING,
        "Its licence",
        "What the example's owner allows, CC-BY-4.0 for example. Empty: it is your own.",
        "",
    ),
)

_LIBRARY = Param(
    "library",
    Kind.STRING,
    "Library",
    "Which of the engine's sound libraries may perform: empty for all of them, off for none, or one library's name.",
    "",
)

_HOUSE = (_DESCRIPTION, _DENSITY, LOUDNESS, _MIX, _ORIGINAL, _RIGHTS, _LIBRARY, _SEED)


EFFECTS: tuple[Effect, ...] = (
    Effect(
        "soundtrack",
        "Soundtrack",
        "Watches the picture and scores it: ambience, foley, effects, and music when asked.",
        (Use.FILTER, Use.GENERAL),
        (*_LANES, _MUSIC_STEMS, *_HOUSE),
    ),
    Effect(
        "ambience",
        "Ambience",
        "The beds of the places that are seen, without anything else.",
        (Use.FILTER, Use.GENERAL),
        _HOUSE,
    ),
    Effect(
        "foley",
        "Foley",
        "The sounds of visible contacts and movements, without anything else.",
        (Use.FILTER, Use.GENERAL),
        _HOUSE,
    ),
    Effect(
        "analogy",
        "By example",
        "Sounds like a recording that you name, laid on what is seen, without anything else.",
        (Use.FILTER, Use.GENERAL),
        (*_EXAMPLE, *_HOUSE),
        by_example=True,
    ),
    Effect(
        "sfx",
        "Sound effect",
        "One sound of the vocabulary, for as long as you say; needs no picture.",
        (Use.GENERATOR,),
        (_SOUND, _PROMPT, _DURATION, LOUDNESS, _RIGHTS, _LIBRARY, _SEED),
    ),
)
BY_ID = {effect.id: effect for effect in EFFECTS}


@dataclass(frozen=True, slots=True)
class Change:
    """What a panel must redraw after a value changed, and a sentence for the person."""

    params: tuple[Param, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    message: str = ""


def find(effect_id: str) -> Effect:
    """The effect of that id.

    Raises:
        NotFoundError: there is none.
    """
    if effect_id not in BY_ID:
        raise NotFoundError("No effect has this id.", f"Choose one of: {', '.join(BY_ID)}.")
    return BY_ID[effect_id]


def changed(effect: Effect, values: Mapping[str, Value], name: str) -> Change:
    """What follows for the panel when the param ``name`` was changed to what ``values`` say."""
    now = effect.values(values)
    if name == "original" and (mix := effect.param("mix")) is not None:
        replaced = now["original"] == "replace"
        return Change((replace(mix, enabled=not replaced),), {"mix": 1.0} if replaced else {})
    if name == "music" and (stems := effect.param("music_stems")) is not None:
        return Change((replace(stems, enabled=bool(now["music"])),))
    if name == "mix" and now["mix"] == 0.0:
        return Change(message="At 0 only the original sound is heard; the stems are made all the same.")
    if name == "loudness" and now["loudness"] == "none":
        return Change(message="The mix keeps the level it comes with; true peak is still kept below full scale.")
    if name == "sound" and (duration := effect.param("duration_s")) is not None:
        return Change((replace(duration, label="Duration"),), message=_sound_message(str(now["sound"])))
    return Change()


def _sound_message(sound_id: str) -> str:
    found = next((sound for sound in VOCABULARY if sound.id == sound_id), None)
    return f"{found.label.capitalize()}: {found.motion}." if found else ""
