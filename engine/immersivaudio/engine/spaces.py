# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which space a place is: every cue heard in it gets the same one, so that all stems share one room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from immersivaudio.engine.drafting import Draft
from immersivaudio.engine.looks import Scene, scene_at
from immersivaudio.engine.places import named
from immersivaudio.engine.sounds import BY_ID

# Your words name a space more surely than any picture does.
WORDS: Mapping[str, tuple[str, ...]] = {
    "tunnel": ("tunnel", "underpass", "cave", "cellar", "stairwell", "staircase", "corridor", "subway", "garage"),
    "hall": ("hall", "church", "cathedral", "gym", "warehouse", "station", "lobby", "theatre", "theater", "museum",
             "factory", "foyer"),
    "vehicle": ("inside a car", "car interior", "cockpit", "cabin"),
    "room": ("room", "office", "kitchen", "bedroom", "studio", "workshop", "shop", "cafe", "indoors", "flat"),
    "street": ("street", "alley", "courtyard", "square", "downtown"),
    "forest": ("forest", "woods", "jungle"),
    "open": ("field", "meadow", "beach", "desert", "lawn", "outdoors", "outside"),
}  # fmt: skip
SETTINGS: Mapping[str, str] = {
    "shore": "open", "waterside": "open", "green": "open", "snow": "open", "sand": "open", "street": "street",
    "drive": "vehicle", "road": "open", "room": "room", "sky": "open", "open": "open",
}  # fmt: skip
_WOODED, _SKY = 0.6, 0.3


def in_space(drafts: Iterable[Draft], scenes: Sequence[Scene], description: str = "") -> Iterator[Draft]:
    """``drafts`` with the space of the place in which each begins; where no place could be told, none, and every sound
    is heard in the one that is usual for it."""
    said = next(iter(named(description, WORDS)), "")
    for draft in drafts:
        if not BY_ID[draft.sound].space or draft.space:
            yield draft
            continue
        scene = scene_at(scenes, draft.sync_s[0] if draft.sync_s else draft.span.start_s)
        yield replace(draft, space=said or ("" if scene is None else space_of(scene)))


def space_of(scene: Scene) -> str:
    """The space of a place; empty where the place could not be told."""
    if scene.setting.id == "green" and scene.look.sees("vegetation") >= _WOODED and scene.look.sees("sky") < _SKY:
        return "forest"
    return SETTINGS.get(scene.setting.id, "")
