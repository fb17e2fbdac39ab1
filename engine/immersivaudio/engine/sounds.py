# SPDX-License-Identifier: AGPL-3.0-or-later
"""The vocabulary: every sound that spotting may ask for, in one table that spotting, performers and hosts share.

``ucs`` is the CatID of the Universal Category System (universalcategorysystem.com), which file names carry.
``level_db`` is where a sound usually sits in a mix, relative to its reference level (see ``Performer.perform``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from immersivaudio.engine.cue import Stem


class Motion(StrEnum):
    """How a sound goes on: SUSTAINED for as long as asked, STRUCK at sync points, MOVING past the listener once."""

    SUSTAINED = "sustained"
    STRUCK = "struck"
    MOVING = "moving"


@dataclass(frozen=True, slots=True)
class Knob:
    """A parameter: its range, what it is when nobody says, and what it does."""

    low: float
    high: float
    default: float
    hint: str


@dataclass(frozen=True, slots=True)
class Sound:
    """One entry of the vocabulary."""

    id: str
    label: str
    ucs: str
    stem: Stem
    motion: Motion
    level_db: float
    knobs: dict[str, Knob]


_A, _F, _E, _M_STEM = Stem.AMBIENCE, Stem.FOLEY, Stem.EFFECTS, Stem.MUSIC
_S, _K, _M = Motion.SUSTAINED, Motion.STRUCK, Motion.MOVING

_STRENGTH = Knob(0.0, 1.0, 0.7, "force of the blow: louder and brighter")
_SIZE = Knob(0.0, 1.0, 0.4, "size of the thing struck: larger is lower and longer")
_DISTANCE = Knob(0.0, 1.0, 0.3, "0 close to the lens, 1 far away: darker, more room, less detail")
_INTENSITY = Knob(0.0, 1.0, 0.5, "how much of it there is")
_SPEED = Knob(0.0, 1.0, 0.5, "how fast it goes")
_PACE = Knob(0.5, 4.0, 1.8, "steps a second when no sync points are given")

_BED = {"intensity": _INTENSITY, "distance": _DISTANCE}
_BLOW = {"strength": _STRENGTH, "size": _SIZE, "distance": _DISTANCE}
_STEP = {"strength": _STRENGTH, "distance": _DISTANCE, "pace": _PACE}
_MACHINE = {"speed": _SPEED, "distance": _DISTANCE}
_PASSBY = {
    "speed": _SPEED,
    "closest_s": Knob(0.0, 3600.0, 0.0, "seconds from the cue's start to the closest point; 0 means the middle"),
    "closest_m": Knob(1.0, 200.0, 6.0, "distance at the closest point, in metres"),
    "from_pan": Knob(-1.0, 1.0, -1.0, "side it comes from"),
    "to_pan": Knob(-1.0, 1.0, 1.0, "side it leaves to"),
}

_SCORE = {
    "energy": Knob(0.0, 1.0, 0.4, "how much happens: tempo, density, drive"),
    "warmth": Knob(0.0, 1.0, 0.5, "0 dark and minor, 1 bright and major"),
}

VOCABULARY: tuple[Sound, ...] = (
    Sound("wind", "wind in the open", "WIND", _A, _S, -6.0, _BED),
    Sound("wind.trees", "wind in trees", "WINDVege", _A, _S, -6.0, _BED),
    Sound("rain", "rain", "RAIN", _A, _S, -4.0, _BED),
    Sound("sea", "sea and surf", "WATRWave", _A, _S, -3.0, _BED),
    Sound("stream", "stream or brook", "WATRFlow", _A, _S, -4.0, _BED),
    Sound("underwater", "under water", "WATRUndwtr", _A, _S, -4.0, _BED),
    Sound("fire", "fire", "FIREBurn", _A, _S, -4.0, _BED),
    Sound("forest", "forest or park by day", "AMBForst", _A, _S, -8.0, _BED),
    Sound("night", "night outdoors with insects", "AMBInsc", _A, _S, -9.0, _BED),
    Sound("city", "city at a distance", "AMBUrbn", _A, _S, -7.0, _BED),
    Sound("traffic", "traffic close by", "AMBTraf", _A, _S, -5.0, _BED),
    Sound("crowd", "crowd without words", "CRWDWalla", _A, _S, -6.0, _BED),
    Sound("room", "room tone", "AMBRoom", _A, _S, -16.0, _BED),
    Sound("ventilation", "ventilation or clean room", "MACHHvac", _A, _S, -12.0, _BED),
    Sound("cabin", "inside a moving vehicle", "VEHInt", _A, _S, -6.0, _MACHINE),
    Sound("rumble", "low rumble", "DSGNRmbl", _E, _S, -8.0, _BED),
    Sound(
        "pour",
        "liquid poured into a vessel",
        "WATRPour",
        _F,
        _S,
        -6.0,
        {"intensity": _INTENSITY, "distance": _DISTANCE},
    ),
    Sound("cloth", "clothing rustle", "CLOTHMvmt", _F, _S, -16.0, {"intensity": _INTENSITY, "distance": _DISTANCE}),
    Sound("engine", "engine running", "VEHCar", _E, _S, -6.0, _MACHINE),
    Sound("rotor", "helicopter or drone", "AEROHeli", _E, _S, -5.0, _MACHINE),
    Sound("machine", "machine running", "MACHMisc", _E, _S, -8.0, _MACHINE),
    Sound("passby.car", "car passing", "VEHCar", _E, _M, 0.0, _PASSBY),
    Sound("passby.aircraft", "aircraft passing", "AEROJet", _E, _M, 0.0, _PASSBY),
    Sound("passby.train", "train passing", "TRNMisc", _E, _M, 0.0, _PASSBY),
    Sound(
        "whoosh", "something moving fast through air", "WHSH", _F, _K, -6.0, {"strength": _STRENGTH, "speed": _SPEED}
    ),
    Sound("impact.wood", "blow on wood", "WOODImpt", _F, _K, 0.0, _BLOW),
    Sound("impact.metal", "blow on metal", "METLImpt", _F, _K, 0.0, _BLOW),
    Sound("impact.stone", "blow on stone", "ROCKImpt", _F, _K, 0.0, _BLOW),
    Sound("impact.soft", "dull thud on something soft", "FGHTImpt", _F, _K, 0.0, _BLOW),
    Sound("impact.glass", "tap on glass or china", "GLASImpt", _F, _K, -2.0, _BLOW),
    Sound("footstep.hard", "steps on a hard floor", "FEETHmn", _F, _K, -4.0, _STEP),
    Sound("footstep.gravel", "steps on gravel", "FEETHmn", _F, _K, -4.0, _STEP),
    Sound("footstep.grass", "steps on grass", "FEETHmn", _F, _K, -6.0, _STEP),
    Sound("music", "instrumental music", "MUSCMisc", _M_STEM, _S, -8.0, _SCORE),
)

BY_ID: dict[str, Sound] = {sound.id: sound for sound in VOCABULARY}


def stable_seed(*parts: str) -> int:
    """A seed, 0 to 2**31 - 1, out of what a cue is, so that an edit elsewhere in the timeline does not change it."""
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:4], "big") >> 1
