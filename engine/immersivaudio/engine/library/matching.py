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
from immersivaudio.engine.sounds import BY_ID, VOCABULARY, Motion, Sound

# Words of sound editors for the parts of our names; a part that is missing stands for itself.
_WORDS = {
    part: tuple(words.split())
    for part, words in {
        "aircraft": "aircraft airplane plane jet airliner",
        "bees": "bee bees fly flies wasp wasps hornet insect insects buzz buzzing swarm",
        "beep": "beep beeps bleep blip notification alert",
        "boil": "boil boils boiling simmer simmering",
        "break": "break breaks breaking smash shatter",
        "boat": "boat ship sailboat motorboat vessel",
        "cabin": "cabin interior inside onboard",
        "camera": "camera shutter dslr photo",
        "car": "car auto automobile sedan vehicle",
        "city": "city urban town street",
        "carpet": "carpet rug",
        "chop": "chop chopping axe hatchet cleaver",
        "clap": "clap thunderclap crack strike stroke bolt",
        "clock": "clock tick ticking",
        "cloth": "cloth clothing clothes fabric jacket",
        "crowd": "crowd walla people audience",
        "door": "door doors",
        "drips": "drip drips dripping drop drops",
        "drone": "drone quadcopter multicopter uav",
        "engine": "engine motor idle",
        "explosion": "explosion explosions explode blast detonation bomb",
        "fire": "fire flame flames campfire bonfire fireplace",
        "footstep": "footstep step feet walk walking run running",
        "forest": "forest wood woods woodland park",
        "glass": "glass china porcelain ceramic bottle",
        "grass": "grass lawn meadow",
        "gravel": "gravel pebble pebbles shingle grit",
        "gunshot": "gunshot gun shot pistol rifle shotgun revolver",
        "hard": "hard concrete tile tiles marble asphalt pavement stone wood floor linoleum",
        "harbour": "harbour harbor dock quay marina lap lapping",
        "heartbeat": "heartbeat heart heartbeats",
        "helicopter": "helicopter chopper",
        "impact": "impact hit hits knock bang strike thud blow slam clang clank tap drop smack",
        "jet": "jet airliner turbine turbofan",
        "keys": "keys key keyring",
        "kick": "kick kicks bounce dribble ball",
        "leaves": "leaves leaf foliage vegetation",
        "machine": "machine machinery mechanical factory",
        "metal": "metal metallic steel iron brass aluminium aluminum tin",
        "motorcycle": "motorcycle motorbike moped scooter",
        "music": "music musical",
        "night": "night cricket crickets insect insects nocturnal",
        "paper": "paper page pages newspaper envelope",
        "passby": "pass passby passing by drive driveby flyby overhead",
        "plastic": "plastic pvc",
        "pour": "pour pouring",
        "propeller": "propeller prop cessna turboprop biplane",
        "rain": "rain rainfall",
        "room": "room roomtone",
        "roll": "roll rolls rolling",
        "roof": "roof attic tin",
        "rotor": "rotor helicopter chopper drone quadcopter",
        "rumble": "rumble",
        "sand": "sand sandy beach dune",
        "scrape": "scrape scraping drag dragging slide grind",
        "sea": "sea ocean surf wave waves shore beach seaside",
        "sizzle": "sizzle sizzling fry frying grill",
        "snow": "snow",
        "soft": "soft body bodyfall cushion pillow cloth carpet dull mattress flesh punch",
        "splash": "splash plunge dive",
        "stone": "stone rock rocks concrete brick",
        "stream": "stream brook creek river",
        "thunder": "thunder thunderstorm lightning",
        "traffic": "traffic highway motorway freeway road",
        "train": "train railway locomotive subway tram",
        "trees": "tree trees leaves foliage vegetation forest",
        "truck": "truck lorry semi van",
        "typing": "typing keyboard typewriter",
        "underwater": "underwater submerged hydrophone",
        "ventilation": "ventilation hvac air conditioning fan vent duct",
        "waterfall": "waterfall cascade waterfalls",
        "whistle": "whistle whistling howl howling tonal",
        "whoosh": "whoosh swoosh swish",
        "wind": "wind breeze gust gale",
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
    "right|middle|far|away|close|something|that|is|are|blow|step"
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
    return tuple(_WORDS.get(part, (part,)) for part in sound.id.split("."))


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
