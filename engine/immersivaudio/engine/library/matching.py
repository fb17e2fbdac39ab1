# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which files of a library fit a cue, and why: by category, by the words that its sound must have, by the cue's own.

A sound of the vocabulary is known by the parts of its name: of ``footstep.gravel`` a file must say both steps and
gravel, in any of the words that sound editors use for them. A CatID that only one sound of the vocabulary has says both
at once. What lies in an unrelated category does not fit, whatever its words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from immersivaudio.engine import ucs
from immersivaudio.engine.cue import Cue
from immersivaudio.engine.library.index import Index
from immersivaudio.engine.library.records import Entry
from immersivaudio.engine.sound_words import SOUND_WORDS
from immersivaudio.engine.sounds import BY_ID, VOCABULARY, Motion, Sound

# Words of sound editors for the parts of our names; a part that is missing stands for itself.
# What files say besides what :data:`SOUND_WORDS` calls a sound: words too wide for a wish ("shot", "key"), and parts.
_WORDS = {
    part: tuple(words.split())
    for part, words in {
        "aircraft": "aircraft airplane plane jet airliner",
        "bees": "fly flies wasp hornet insect insects buzz buzzing swarm",
        "beep": "blip notification alert",
        "boil": "simmer",
        "break": "break breaks breaking smash shatter",
        "boat": "boat ship sailboat motorboat vessel",
        "cabin": "cabin interior inside onboard",
        "camera": "camera dslr photo",
        "car": "car auto automobile sedan vehicle",
        "city": "urban street",
        "carpet": "carpet rug",
        "chop": "hatchet",
        "clap": "clap thunderclap crack strike stroke bolt",
        "clock": "tick",
        "cloth": "cloth clothing clothes fabric jacket",
        "crowd": "walla people",
        "drips": "drop drops",
        "drone": "drone multicopter uav",
        "engine": "idle",
        "explosion": "blast detonation",
        "fire": "flame",
        "footstep": "footstep step feet walk walking run running",
        "forest": "wood park",
        "glass": "glass china porcelain ceramic bottle",
        "grass": "grass lawn meadow",
        "gravel": "gravel pebble pebbles shingle grit",
        "gunshot": "gun shot",
        "hard": "hard concrete tile tiles marble asphalt pavement stone wood floor linoleum",
        "harbour": "harbour harbor dock quay marina lap lapping",
        "heartbeat": "heart",
        "helicopter": "helicopter chopper",
        "impact": "impact hit hits knock bang strike thud blow slam clang clank tap drop smack",
        "jet": "turbine turbofan",
        "keys": "keys key",
        "kick": "bounce dribble",
        "leaves": "leaves leaf foliage vegetation",
        "machine": "mechanical",
        "metal": "metal metallic steel iron brass aluminium aluminum tin",
        "motorcycle": "motorcycle motorbike moped scooter",
        "music": "musical",
        "night": "cricket insect insects nocturnal",
        "paper": "page pages",
        "passby": "pass passby passing by drive driveby flyby overhead",
        "plastic": "plastic pvc",
        "propeller": "prop cessna turboprop",
        "room": "room",
        "roll": "roll rolls rolling",
        "roof": "roof attic tin",
        "rotor": "chopper drone quadcopter",
        "sand": "sand sandy beach dune",
        "scrape": "drag slide grind",
        "sea": "wave shore beach seaside",
        "sizzle": "sizzle fry grill",
        "snow": "snow",
        "soft": "soft body bodyfall cushion pillow cloth carpet dull mattress flesh punch",
        "splash": "plunge dive",
        "stone": "stone rock rocks concrete brick",
        "traffic": "freeway road",
        "train": "train railway locomotive subway tram",
        "trees": "tree trees leaves foliage vegetation forest",
        "truck": "truck lorry semi van",
        "typing": "keyboard",
        "underwater": "submerged hydrophone",
        "ventilation": "hvac air conditioning fan vent duct",
        "whistle": "whistle whistling howl howling tonal",
        "wind": "gust",
        "wood": "wood wooden timber plank",
    }.items()
}  # fmt: skip
# Where a sound may lie besides its own category: places hold weather and water, things hold what they are made of.
_PLACES = frozenset(
    ("AMBIENCE", "WATER", "WIND", "RAIN", "WEATHER", "CROWDS", "FIRE", "BIRDS", "ANIMALS", "VEGETATION")
)
_THINGS = frozenset(
    ("WOOD", "METAL", "ROCKS", "GLASS", "CERAMICS", "PLASTIC", "OBJECTS", "TOOLS", "FOLEY", "DESIGNED", "FIGHT", "DOORS",
     "FOOD & DRINK", "MECHANICAL", "CLOTH", "FOOTSTEPS", "SPORTS", "EQUIPMENT", "DIRT & SAND", "SNOW")
)  # fmt: skip
_MOTORS = frozenset(("VEHICLES", "MOTORS", "MACHINES", "AIRCRAFT", "BOATS", "TRAINS", "MECHANICAL", "AMBIENCE"))
_KIN = (_PLACES, _THINGS, _MOTORS, frozenset(("SWOOSHES", "DESIGNED", "WEAPONS")), frozenset(("WATER", "LIQUID & MUD", "FOOD & DRINK", "FOLEY")))  # fmt: skip
_IDLE = re.compile(
    "an?|and|at|by|for|from|in|into|of|off|on|onto|or|the|to|up|with|without|steady|seamless|dry|one|hit|passing|left|"
    "right|middle|centre|far|away|close|closer|coming|going|distance|very|something|that|is|are|blow|step|single|two|three|four|"
    "five|six|seven|eight|nine|ten|eleven|twelve|many|few|once|twice|time|evenly|spaced|uneven|continuous|natural|regular|now|then|"
    "by|outdoor|object|along|inside|indistinct"
)
_SAME_ID, _SAME_CATEGORY, _KINDRED, _UNSAID = 0.5, 0.3, 0.15, 0.15
_SAID, _OWN = 0.4, 0.1
_SHORTEST_S = 0.03


@dataclass(frozen=True, slots=True)
class Match:
    """A file that fits, how well (0 to 1), and why in words."""

    entry: Entry
    score: float
    why: str


def parts(sound: Sound) -> tuple[tuple[str, ...], ...]:
    """What a file must say to be ``sound``: one of the words of each part."""
    return tuple(_called(part) for part in sound.id.split("."))


def _called(part: str) -> tuple[str, ...]:
    single = tuple(word for word in SOUND_WORDS.get(part, ()) if " " not in word)
    return tuple(dict.fromkeys((*_WORDS.get(part, ()), *single))) or (part,)


def _specific() -> frozenset[str]:
    counted = Counter(sound.ucs for sound in VOCABULARY)
    return frozenset(cat_id for cat_id, count in counted.items() if count == 1)


_SPECIFIC = _specific()


def find(
    index: Index, cue: Cue, rights: str = "any", library: str = "", at_least_s: float | None = None
) -> list[Match]:
    """The files that fit ``cue``, best first; ``library`` limits them to one by its name. What goes on must last as long as
    the cue, or ``at_least_s``.

    By name and notes alone: how they sound is asked by whoever takes one.
    """
    sound = BY_ID.get(cue.sound)
    if sound is None:
        return []
    found = {entry.id: entry for entry in index.matching(_query(parts(sound)))}
    if sound.ucs in _SPECIFIC:
        found |= {one.id: one for one in index.entries("cat_id=? AND fault=''", (sound.ucs,), 400)}
    usable = (
        entry for entry in found.values() if _allowed(entry, rights, library) and _lasts(entry, cue, sound, at_least_s)
    )
    matches = [match for entry in usable if (match := _match(entry, cue, sound)) is not None]
    return sorted(matches, key=lambda match: (-match.score, match.entry.folder.name, match.entry.path))


def search(index: Index, words: str, limit: int = 50) -> list[Entry]:
    """The files that say all of ``words``."""
    asked = _split(words)
    return index.matching(" AND ".join(f'"{word}"*' for word in asked), limit) if asked else []


def _query(groups: Iterable[Iterable[str]]) -> str:
    either = (" OR ".join(f'"{word}"' for word in group) for group in groups)
    return " AND ".join(f"({words})" for words in either)


def _allowed(entry: Entry, rights: str, library: str) -> bool:
    return (rights == "any" or entry.folder.licence.commercial_use) and library in ("", entry.folder.name)


def _lasts(entry: Entry, cue: Cue, sound: Sound, at_least_s: float | None) -> bool:
    """Whether the file is long enough: nothing is stretched, and nothing loops."""
    if sound.motion is Motion.SUSTAINED:
        return entry.notes.duration_s >= (float(cue.span.duration_s) if at_least_s is None else at_least_s)
    return entry.notes.duration_s >= _SHORTEST_S


def _match(entry: Entry, cue: Cue, sound: Sound) -> Match | None:
    placed = _placed(entry, sound)
    if placed is None:
        return None
    score, why = placed
    said = _split(f"{entry.notes.fx_name} {entry.notes.category} {entry.notes.subcategory} {entry.notes.description}")
    wanted = _own_words(cue, sound)
    own = [word for word in wanted if word in said]
    reasons = [why, f"says {', '.join(own)}" if own else ""]
    total = score + _SAID + _OWN * (len(own) / len(wanted) if wanted else 0.0)
    return Match(entry, round(min(1.0, total), 3), "; ".join(reason for reason in reasons if reason))


def _placed(entry: Entry, sound: Sound) -> tuple[float, str] | None:
    """How near the file's category is to the sound's; None where it is another thing."""
    notes, own = entry.notes, ucs.category(sound.ucs)
    if not notes.category:
        groups, said = parts(sound), _split(notes.fx_name)
        return (_UNSAID, "named so") if all(said & _stems(group) for group in groups) else None
    if notes.cat_id == sound.ucs:
        return _SAME_ID, f"CatID {notes.cat_id}"
    if own is not None and notes.category.upper() == own.category:
        return _SAME_CATEGORY, f"category {notes.category.lower()}"
    kin = any(own is not None and {own.category, notes.category.upper()} <= group for group in _KIN)
    return (_KINDRED, f"category {notes.category.lower()}, near it") if kin else None


def _own_words(cue: Cue, sound: Sound) -> tuple[str, ...]:
    """What the cue says beyond its sound: "heavy", "tin roof"."""
    known = _stems(word for group in parts(sound) for word in group) | _split(sound.label)
    return tuple(sorted(word for word in _split(cue.prompt) - known if not _IDLE.fullmatch(word)))[:12]


def _split(text: str) -> set[str]:
    return {_stem(word) for word in re.findall(r"[^\W\d_]{2,}", text.lower())}


def _stems(words: Iterable[str]) -> set[str]:
    return {_stem(word) for word in words}


def _stem(word: str) -> str:
    """Without a plural's ending."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
