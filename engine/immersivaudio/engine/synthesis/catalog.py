# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which name of the vocabulary is made by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from immersivaudio.engine.synthesis import (
    footsteps,
    impacts,
    machines,
    movement,
    nature,
    passing,
    places,
    rails,
    water,
    wind,
)
from immersivaudio.engine.synthesis.fire import Fire
from immersivaudio.engine.synthesis.frame import Array, Ask, Rng, Texture
from immersivaudio.engine.synthesis.voices import Crowd


class Striker(Protocol):
    """Something that can be struck again and again, each time a little different."""

    def strike(self, rng: Rng) -> Array:
        """One blow, ``[2, n]``."""
        ...


TEXTURES: Mapping[str, Callable[[Ask], Texture]] = MappingProxyType(
    {
        "wind": wind.Wind,
        "wind.trees": wind.WindTrees,
        "rain": water.Rain,
        "sea": water.Sea,
        "stream": water.Stream,
        "underwater": water.Underwater,
        "pour": water.Pour,
        "fire": Fire,
        "forest": nature.Forest,
        "night": nature.Night,
        "city": places.City,
        "traffic": places.Traffic,
        "crowd": Crowd,
        "room": places.Room,
        "ventilation": places.Ventilation,
        "rumble": places.Rumble,
        "cabin": machines.Cabin,
        "engine": machines.Engine,
        "rotor": machines.Rotor,
        "machine": machines.Machine,
        "cloth": movement.Cloth,
    }
)

STRIKERS: Mapping[str, Callable[[Ask], Striker]] = MappingProxyType(
    {
        "whoosh": movement.Whoosh,
        "impact.wood": lambda ask: impacts.Blow(ask, "wood"),
        "impact.metal": lambda ask: impacts.Blow(ask, "metal"),
        "impact.stone": lambda ask: impacts.Blow(ask, "stone"),
        "impact.soft": lambda ask: impacts.Blow(ask, "soft"),
        "impact.glass": lambda ask: impacts.Blow(ask, "glass"),
        "footstep.hard": footsteps.Hard,
        "footstep.gravel": footsteps.Gravel,
        "footstep.grass": footsteps.Grass,
    }
)

PASSINGS: Mapping[str, Callable[[Ask], Texture]] = MappingProxyType(
    {"passby.car": passing.car, "passby.aircraft": passing.aircraft, "passby.train": rails.Train}
)


def known(sound: str) -> bool:
    """Whether this sound can be made here."""
    return sound in TEXTURES or sound in STRIKERS or sound in PASSINGS
