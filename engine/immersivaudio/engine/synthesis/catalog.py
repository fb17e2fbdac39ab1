# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which name of the vocabulary is made by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

from immersivaudio.engine.synthesis import (
    breaking,
    fleet,
    flight,
    footsteps,
    friction,
    handling,
    impacts,
    insects,
    kitchen,
    machines,
    movement,
    nature,
    passing,
    places,
    props,
    rails,
    rain,
    shore,
    storm,
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
        "wind.whistle": wind.WindWhistle,
        "rain": rain.Rain,
        "rain.roof": rain.RainRoof,
        "rain.leaves": rain.RainLeaves,
        "drips": rain.Drips,
        "thunder": storm.Thunder,
        "sea": water.Sea,
        "sea.harbour": shore.Harbour,
        "sea.boat": shore.Boat,
        "stream": water.Stream,
        "waterfall": water.Waterfall,
        "underwater": water.Underwater,
        "pour": water.Pour,
        "fire": Fire,
        "forest": nature.Forest,
        "night": nature.Night,
        "city": places.City,
        "traffic": places.Traffic,
        "crowd": Crowd,
        "bees": insects.Bees,
        "room": places.Room,
        "ventilation": places.Ventilation,
        "rumble": places.Rumble,
        "cabin": machines.Cabin,
        "engine": machines.Engine,
        "rotor": machines.Rotor,
        "machine": machines.Machine,
        "clock": machines.Clock,
        "drone": flight.Drone,
        "propeller": flight.Propeller,
        "jet": flight.Jet,
        "rocket": flight.Rocket,
        "train": rails.Ride,
        "cloth": movement.Cloth,
        "sizzle": kitchen.Sizzle,
        "boil": kitchen.Boil,
        "paper": handling.Paper,
        "scrape": friction.Scrape,
        "roll": friction.Roll,
    }
)

STRIKERS: Mapping[str, Callable[[Ask], Striker]] = MappingProxyType(
    {
        "whoosh": movement.Whoosh,
        **{f"impact.{name}": partial(impacts.Blow, material=name) for name in impacts.MATERIALS},
        **{f"footstep.{name}": partial(footsteps.Steps, ground=name) for name in footsteps.GROUNDS},
        "chop": props.Chop,
        "kick": props.Kick,
        "door": props.Door,
        "keys": props.Keys,
        "typing": props.Typing,
        "splash": props.Splash,
        "glass.break": breaking.GlassBreak,
        "explosion": breaking.Explosion,
        "gunshot": breaking.Gunshot,
        "camera": handling.Camera,
        "beep": handling.Beep,
        "heartbeat": handling.Heart,
        "thunder.clap": storm.Clap,
    }
)

PASSINGS: Mapping[str, Callable[[Ask], passing.Passage]] = MappingProxyType(
    {
        "passby.car": passing.car,
        "passby.truck": fleet.truck,
        "passby.motorcycle": fleet.motorcycle,
        "passby.boat": fleet.boat,
        "passby.aircraft": passing.aircraft,
        "passby.propeller": fleet.propeller,
        "passby.helicopter": fleet.helicopter,
        "passby.train": rails.Train,
    }
)


def known(sound: str) -> bool:
    """Whether this sound can be made here."""
    return sound in TEXTURES or sound in STRIKERS or sound in PASSINGS
