# SPDX-License-Identifier: AGPL-3.0-or-later
"""The vocabulary: every sound that spotting may ask for, in one table that spotting, performers and hosts share.

``ucs`` is the CatID of the Universal Category System (universalcategorysystem.com), which file names carry.
``level_db`` is where a sound usually sits in a mix, relative to its reference level (see ``Performer.perform``).
"""

from __future__ import annotations

import hashlib
import math
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

    def of(self, said: object) -> float:
        """``said`` within the range; the default where it is nothing sensible."""
        value = float(said) if isinstance(said, int | float) and math.isfinite(said) else self.default
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Sound:
    """One entry of the vocabulary. ``space`` is where it is usually heard, one of ``SPACES``, unless the cue's param
    ``space`` says another; empty for sounds that are a place themselves."""

    id: str
    label: str
    ucs: str
    stem: Stem
    motion: Motion
    level_db: float
    knobs: dict[str, Knob]
    space: str = ""


SPACE = "space"
SPACES: dict[str, str] = {
    "open": "out in the open",
    "forest": "in a wood or park",
    "street": "between houses",
    "room": "in a room",
    "hall": "in a hall",
    "tunnel": "in a tunnel or bare corridor",
    "vehicle": "inside a vehicle",
}

_A, _F, _E, _M_STEM = Stem.AMBIENCE, Stem.FOLEY, Stem.EFFECTS, Stem.MUSIC
_S, _K, _M = Motion.SUSTAINED, Motion.STRUCK, Motion.MOVING

_STRENGTH = Knob(0.0, 1.0, 0.7, "force of the blow: louder and brighter")
_SIZE = Knob(0.0, 1.0, 0.4, "size of the thing struck: larger is lower and longer")
_DISTANCE = Knob(0.0, 1.0, 0.3, "0 close to the lens, 1 far away: darker, more room, less detail")
_INTENSITY = Knob(0.0, 1.0, 0.5, "how much of it there is")
_SPEED = Knob(0.0, 1.0, 0.5, "how fast it goes")
_STRIKER = Knob(0.0, 1.0, 0.6, "what strikes it: 0 a fist or rubber, 0.5 wood or bone, 1 steel")
_TYPED = Knob(1.0, 12.0, 6.0, "keys a second when no sync points are given")
_PULSE = Knob(0.6, 3.0, 1.15, "beats a second when no sync points are given")
_SHOE = Knob(0.0, 1.0, 0.6, "0 bare feet or socks, 0.4 trainers, 1 hard heels")
_HARDNESS = Knob(0.0, 1.0, 0.5, "0 soft or wooden, 1 hard or metal")
_PACE = Knob(0.5, 4.0, 1.8, "steps a second when no sync points are given")

_BED = {"intensity": _INTENSITY, "distance": _DISTANCE}
_BLOW = {"strength": _STRENGTH, "size": _SIZE, "striker": _STRIKER, "distance": _DISTANCE}
_EVENT = {"strength": _STRENGTH, "size": _SIZE, "distance": _DISTANCE}
_STEP = {"strength": _STRENGTH, "distance": _DISTANCE, "pace": _PACE, "shoe": _SHOE}
_MACHINE = {"speed": _SPEED, "distance": _DISTANCE}
_DRAGGED = {"speed": _SPEED, "hardness": _HARDNESS, "distance": _DISTANCE}
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
    Sound("wind.whistle", "wind that whistles through wires and gaps", "WINDTonl", _A, _S, -8.0, _BED),
    Sound("rain", "rain", "RAIN", _A, _S, -4.0, _BED),
    Sound("rain.roof", "rain on a roof, from below", "RAINMetl", _A, _S, -5.0, _BED),
    Sound("rain.leaves", "rain on leaves", "RAINVege", _A, _S, -5.0, _BED),
    Sound("drips", "water that drips", "WATRDrip", _A, _S, -12.0, _BED, "room"),
    Sound("thunder", "thunderstorm", "THUN", _A, _S, -3.0, _BED),
    Sound("sea", "sea and surf", "WATRWave", _A, _S, -3.0, _BED),
    Sound("sea.harbour", "harbour, water lapping at walls", "WATRLap", _A, _S, -6.0, _BED),
    Sound("sea.boat", "on a boat under way", "BOATInt", _A, _S, -5.0, _MACHINE),
    Sound("stream", "stream or brook", "WATRFlow", _A, _S, -4.0, _BED),
    Sound("waterfall", "waterfall", "WATRFall", _A, _S, -4.0, _BED),
    Sound("underwater", "under water", "WATRUndwtr", _A, _S, -4.0, _BED),
    Sound("fire", "fire", "FIREBurn", _A, _S, -4.0, _BED),
    Sound("forest", "forest or park by day", "AMBForst", _A, _S, -8.0, _BED),
    Sound("night", "night outdoors with insects", "AMBInsc", _A, _S, -9.0, _BED),
    Sound("city", "city at a distance", "AMBUrbn", _A, _S, -7.0, _BED),
    Sound("traffic", "traffic close by", "AMBTraf", _A, _S, -5.0, _BED),
    Sound("crowd", "crowd without words", "CRWDWalla", _A, _S, -6.0, _BED),
    Sound("bees", "bees or flies on the wing", "ANMLInsc", _A, _S, -10.0, _BED),
    Sound("room", "room tone", "AMBRoom", _A, _S, -16.0, _BED | {"size": _SIZE}),
    Sound("ventilation", "ventilation or clean room", "MACHHvac", _A, _S, -12.0, _BED),
    Sound("cabin", "inside a moving vehicle", "VEHInt", _A, _S, -6.0, _MACHINE),
    Sound("train", "on a train, or a train that goes by for long", "TRNInt", _A, _S, -5.0, _MACHINE),
    Sound("rumble", "low rumble", "DSGNRmbl", _E, _S, -8.0, _BED),
    Sound("pour", "liquid poured into a vessel", "WATRPour", _F, _S, -6.0, _BED, "room"),
    Sound("cloth", "clothing rustle", "CLOTHMvmt", _F, _S, -16.0, _BED, "open"),
    Sound("sizzle", "something that fries", "FOODCook", _F, _S, -8.0, _BED, "open"),
    Sound("boil", "water that boils", "WATRBubl", _F, _S, -10.0, _BED, "open"),
    Sound("paper", "paper handled or crumpled", "PAPRHndl", _F, _S, -14.0, _BED, "open"),
    Sound("scrape", "something dragged or scraped", "OBJMisc", _F, _S, -6.0, _DRAGGED, "open"),
    Sound("roll", "something that rolls", "OBJMisc", _F, _S, -6.0, _DRAGGED | {"size": _SIZE}, "open"),
    Sound("clock", "clock that ticks", "CLOCKTick", _F, _S, -16.0, _MACHINE, "open"),
    Sound("engine", "engine running", "VEHCar", _E, _S, -6.0, _MACHINE, "open"),
    Sound("rotor", "helicopter", "AEROHeli", _E, _S, -5.0, _MACHINE),
    Sound("drone", "drone with small propellers", "AERORadio", _E, _S, -8.0, _MACHINE),
    Sound("propeller", "propeller plane", "AEROProp", _E, _S, -5.0, _MACHINE),
    Sound("jet", "jet engine", "AEROJet", _E, _S, -4.0, _MACHINE),
    Sound("rocket", "rocket", "AERORckt", _E, _S, -2.0, _BED),
    Sound("machine", "machine running", "MACHMisc", _E, _S, -8.0, _MACHINE, "hall"),
    Sound("passby.car", "car passing", "VEHCar", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.truck", "lorry passing", "VEHTruck", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.motorcycle", "motorcycle passing", "VEHMoto", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.boat", "motorboat passing", "BOATMotr", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.aircraft", "jet aircraft passing", "AEROJet", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.propeller", "propeller plane passing", "AEROProp", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.helicopter", "helicopter passing", "AEROHeli", _E, _M, 0.0, _PASSBY, "open"),
    Sound("passby.train", "train passing", "TRNMisc", _E, _M, 0.0, _PASSBY, "open"),
    Sound("thunder.clap", "one stroke of thunder", "THUN", _E, _K, 0.0, {"strength": _STRENGTH, "distance": _DISTANCE}),
    Sound(
        "whoosh",
        "something moving fast through air",
        "WHSH",
        _F,
        _K,
        -6.0,
        {"strength": _STRENGTH, "speed": _SPEED},
        "open",
    ),
    Sound("impact.wood", "blow on wood", "WOODImpt", _F, _K, 0.0, _BLOW, "room"),
    Sound("impact.metal", "blow on metal", "METLImpt", _F, _K, 0.0, _BLOW, "room"),
    Sound("impact.stone", "blow on stone", "ROCKImpt", _F, _K, 0.0, _BLOW, "room"),
    Sound("impact.soft", "dull thud on something soft", "FGHTImpt", _F, _K, 0.0, _BLOW, "room"),
    Sound("impact.glass", "tap on glass or china", "GLASImpt", _F, _K, -2.0, _BLOW, "room"),
    Sound("impact.plastic", "blow on plastic", "PLASImpt", _F, _K, -2.0, _BLOW, "room"),
    Sound("footstep.hard", "steps on a hard floor", "FEETHmn", _F, _K, -4.0, _STEP, "hall"),
    Sound("footstep.wood", "steps on a wooden floor", "FEETHmn", _F, _K, -4.0, _STEP, "hall"),
    Sound("footstep.carpet", "steps on carpet", "FEETHmn", _F, _K, -9.0, _STEP, "hall"),
    Sound("footstep.gravel", "steps on gravel", "FEETHmn", _F, _K, -4.0, _STEP, "open"),
    Sound("footstep.grass", "steps on grass", "FEETHmn", _F, _K, -6.0, _STEP, "open"),
    Sound("footstep.leaves", "steps in dry leaves", "FEETHmn", _F, _K, -5.0, _STEP, "open"),
    Sound("footstep.snow", "steps in snow", "FEETHmn", _F, _K, -6.0, _STEP, "open"),
    Sound("footstep.sand", "steps in sand", "FEETHmn", _F, _K, -8.0, _STEP, "open"),
    Sound("chop", "axe or knife into wood", "WOODImpt", _F, _K, 0.0, _EVENT, "forest"),
    Sound("kick", "ball kicked or bounced", "SPRTMisc", _F, _K, -2.0, _EVENT, "forest"),
    Sound("door", "door that shuts", "DOORWood", _F, _K, 0.0, _EVENT, "room"),
    Sound("keys", "bunch of keys", "OBJKey", _F, _K, -8.0, _EVENT, "open"),
    Sound(
        "typing",
        "keys of a keyboard",
        "CMPTKey",
        _F,
        _K,
        -12.0,
        {"strength": _STRENGTH, "hardness": _HARDNESS, "distance": _DISTANCE, "pace": _TYPED},
        "open",
    ),
    Sound("splash", "something that falls into water", "WATRSplsh", _F, _K, -2.0, _EVENT, "open"),
    Sound("glass.break", "glass that breaks", "GLASBrk", _F, _K, 0.0, _EVENT, "open"),
    Sound("explosion", "explosion", "EXPLMisc", _E, _K, 2.0, _EVENT, "open"),
    Sound("gunshot", "shot of a gun", "GUNMisc", _E, _K, 2.0, _EVENT, "open"),
    Sound("camera", "shutter of a camera", "MECHClik", _F, _K, -8.0, _EVENT, "open"),
    Sound("beep", "beep of a device", "BEEP", _F, _K, -14.0, _EVENT),
    Sound(
        "heartbeat",
        "heart that beats",
        "HMNHart",
        _E,
        _K,
        -4.0,
        {"strength": _STRENGTH, "distance": _DISTANCE, "pace": _PULSE},
    ),
    Sound("music", "instrumental music", "MUSCMisc", _M_STEM, _S, -8.0, _SCORE),
)

BY_ID: dict[str, Sound] = {sound.id: sound for sound in VOCABULARY}


def stable_seed(*parts: str) -> int:
    """A seed, 0 to 2**31 - 1, out of what a cue is, so that an edit elsewhere in the timeline does not change it."""
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:4], "big") >> 1
