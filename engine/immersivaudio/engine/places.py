# SPDX-License-Identifier: AGPL-3.0-or-later
"""What places sound like: rules as data. Kinds are the words of the "place" sightings; sounds are the vocabulary's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

KINDS = (
    "sky", "sea", "water", "vegetation", "snow", "sand", "road", "city", "interior", "night", "fire", "underwater",
    "rain", "crowd", "black", "testpattern", "aerial", "outdoors", "unknown",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One bed of a place. It is laid where ``needs`` is seen and none of ``unless`` is; ``sparse`` layers go first
    when little is wanted."""

    sound: str
    gain_db: float = 0.0
    params: Mapping[str, float] = field(default_factory=dict)
    needs: str = ""
    unless: tuple[str, ...] = ()
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of place: which kinds speak for it, what is heard there, on what one walks, what one strikes.

    ``lonely_share`` of its confidence is left where it is seen weakly and nothing that goes with it is."""

    id: str
    words: str
    main: str
    support: Mapping[str, float]
    beds: tuple[Layer, ...]
    rivals: tuple[str, ...] = ()
    surface: str = "footstep.hard"
    struck: str = "impact.soft"
    indoor: bool = False
    lonely_share: float = 1.0


_OUTDOOR = ("interior", "underwater")
_FAR = {"distance": 0.7}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "underwater", "under water", "underwater", {"water": 0.1},
        (Layer("underwater"),),
        ("road", "city", "snow", "interior", "sky"),
    ),
    Setting(
        "shore", "the sea and its shore", "sea", {"sand": 0.3, "sky": 0.15, "aerial": 0.2},
        (
            Layer("sea", 0.0, {"intensity": 0.5, "distance": 0.3}, unless=("aerial",)),
            Layer("sea", -3.0, {"intensity": 0.5, "distance": 0.75}, needs="aerial"),
            Layer("wind", -5.0, {"intensity": 0.4, "distance": 0.4}, unless=("aerial",), sparse=True),
            Layer("wind", 0.0, {"intensity": 0.6, "distance": 0.2}, needs="aerial"),
        ),
        ("interior", "underwater", "road"), surface="footstep.sand", lonely_share=0.7,
    ),
    Setting(
        "waterside", "running or standing water", "water", {"vegetation": 0.2},
        (
            Layer("stream", 0.0, {"intensity": 0.5, "distance": 0.25}),
            Layer("forest", -6.0, {"intensity": 0.3, "distance": 0.5}, unless=("night",), sparse=True),
            Layer("night", -6.0, {"intensity": 0.3}, needs="night", sparse=True),
        ),
        _OUTDOOR, surface="footstep.gravel",
    ),
    Setting(
        "green", "grass, trees or bushes", "vegetation", {"sky": 0.15, "aerial": 0.1},
        (
            Layer("forest", 0.0, {"intensity": 0.4, "distance": 0.4}, unless=("night", "city")),
            Layer("forest", -4.0, {"intensity": 0.3, "distance": 0.5}, needs="city"),
            Layer("night", 0.0, {"intensity": 0.4}, needs="night"),
            Layer("wind.trees", -5.0, {"intensity": 0.35, "distance": 0.5}, sparse=True),
            Layer("city", -5.0, {"intensity": 0.3, "distance": 0.8}, needs="city"),
        ),
        _OUTDOOR, surface="footstep.grass",
    ),
    Setting(
        "snow", "snow and ice", "snow", {"sky": 0.15, "aerial": 0.1},
        (Layer("wind", 0.0, {"intensity": 0.5, "distance": 0.4}),),
        _OUTDOOR, surface="footstep.snow",
    ),
    Setting(
        "sand", "sand or bare ground", "sand", {"sky": 0.15, "aerial": 0.1},
        (Layer("wind", -2.0, {"intensity": 0.35, "distance": 0.4}),),
        _OUTDOOR, surface="footstep.gravel",
    ),
    Setting(
        "street", "a town with buildings", "city", {"road": 0.3, "sky": 0.1, "crowd": 0.2},
        (
            Layer("city", 0.0, {"intensity": 0.5, "distance": 0.5}),
            Layer("traffic", -6.0, {"intensity": 0.4, "distance": 0.5}, needs="road", sparse=True),
            Layer("wind", -9.0, {"intensity": 0.2, "distance": 0.6}, needs="sky", sparse=True),
        ),
        _OUTDOOR, surface="footstep.hard", struck="impact.stone",
    ),
    Setting(
        "drive", "a road seen from a moving vehicle", "road", {"travel": 0.5, "sky": 0.1, "city": 0.1},
        (
            Layer("cabin", 0.0, {"speed": 0.6, "distance": 0.2}),
            Layer("traffic", -9.0, {"intensity": 0.3, "distance": 0.6}, sparse=True),
        ),
        _OUTDOOR,
    ),
    Setting(
        "road", "a road or paved ground", "road", {"city": 0.2, "sky": 0.05},
        (
            Layer("traffic", -4.0, {"intensity": 0.4, "distance": 0.5}, needs="sky"),
            Layer("city", -7.0, {"intensity": 0.25, "distance": 0.85}, unless=("sky",)),
            Layer("wind", -9.0, {"intensity": 0.2, "distance": 0.6}, sparse=True),
        ),
        _OUTDOOR, surface="footstep.hard", struck="impact.stone",
    ),
    Setting(
        "room", "a room", "interior", {"testpattern": -1.0},
        (Layer("room", 0.0, {"intensity": 0.5, "distance": 0.3}),),
        ("sea", "snow", "sky", "underwater"), surface="footstep.hard", struck="impact.wood", indoor=True,
    ),
    Setting(
        "sky", "open sky", "sky", {"aerial": 0.3},
        (
            Layer("wind", -3.0, {"intensity": 0.35, "distance": 0.5}),
            Layer("city", -6.0, {"intensity": 0.3, "distance": 0.8}, needs="city"),
        ),
        _OUTDOOR,
    ),
    # Only a detector says that it is outdoors without saying what place it is.
    Setting(
        "open", "somewhere out of doors", "outdoors", {"night": 0.1, "crowd": 0.1},
        (Layer("wind", -6.0, {"intensity": 0.25, "distance": 0.5}),),
        _OUTDOOR,
    ),
)  # fmt: skip

OPEN = SETTINGS[-1]
AIR = Setting(
    "air", "no place that could be told", "unknown", {}, (Layer("room", -2.0, {"intensity": 0.4, "distance": 0.5}),)
)

# Weather and people lie over any place.
OVERLAYS: tuple[tuple[str, Layer], ...] = (
    ("rain", Layer("rain", 0.0, {"intensity": 0.5, "distance": 0.3})),
    ("fire", Layer("fire", -2.0, {"intensity": 0.4, "distance": 0.3})),
    ("crowd", Layer("crowd", -1.0, {"intensity": 0.5, "distance": 0.5})),
)

# What an overlay sounds like in a setting: rain is heard on what it falls on.
FALLS_ON: Mapping[tuple[str, str], str] = {
    ("rain", "room"): "rain.roof",
    ("rain", "drive"): "rain.roof",
    ("rain", "green"): "rain.leaves",
}

# How a wish in words names kinds; ``sound_words`` has how it names sounds.
WORDS: Mapping[str, tuple[str, ...]] = {
    "sea": ("sea", "ocean", "surf", "beach", "coast", "shore", "waves", "harbour", "harbor"),
    "sand": ("sand", "desert", "dune", "dunes"),
    "water": ("river", "stream", "brook", "lake", "creek", "waterfall", "pond"),
    "vegetation": ("forest", "wood", "woods", "park", "garden", "meadow", "jungle", "trees", "field", "countryside"),
    "snow": ("snow", "snowy", "glacier", "ice", "arctic", "mountain", "mountains"),
    "road": ("road", "street", "highway", "motorway", "parking", "traffic", "carpark"),
    "city": ("city", "town", "urban", "street", "downtown", "square"),
    "interior": ("room", "office", "indoors", "indoor", "inside", "interior", "kitchen", "hall", "studio", "cafe",
                 "shop", "workshop"),
    "night": ("night", "midnight", "evening", "nocturnal"),
    "fire": ("fire", "campfire", "fireplace", "stove", "flames"),
    "underwater": ("underwater", "diving", "submarine", "reef"),
    "rain": ("rain", "rainy", "storm", "drizzle", "downpour"),
    "crowd": ("crowd", "audience", "people", "market", "stadium", "concert"),
    "aerial": ("drone", "aerial", "flight", "flying"),
    "sky": ("sky", "clouds"),
}  # fmt: skip


def named(description: str, table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The keys of ``table`` one of whose words stands in ``description`` and not denied ("no rain"). The longest phrases are
    read first and used up: "broken glass" is not "glass" as well."""
    text = f" {' '.join(re.findall(r'[a-z]+', description.lower()))} "
    found: set[str] = set()
    for word in sorted({word for words in table.values() for word in words}, key=lambda word: -len(word.split())):
        if f" {word} " in text:
            found |= {key for key, words in table.items() if word in words and _said(word, text)}
            text = text.replace(f" {word} ", f" {' '.join('.' * len(word.split()))} ")
    return tuple(key for key in table if key in found)


def _said(word: str, text: str) -> bool:
    for match in re.finditer(f" {word} ", text):
        before = text[: match.start()].split()[-2:]
        if not {"no", "without", "not"} & set(before):
            return True
    return False
