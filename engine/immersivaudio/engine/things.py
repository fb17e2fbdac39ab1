# SPDX-License-Identifier: AGPL-3.0-or-later
"""What it means that a thing is on screen, or a class in the recording: rules as data. Things have COCO's names, classes
AudioSet's; places are the kinds of ``places.KINDS``, sounds the vocabulary's. Numbers say how surely one tells the other.
"""

from __future__ import annotations

from collections.abc import Mapping

_HOME = {"interior": 0.6}
_STREET = {"city": 0.35, "outdoors": 0.5}
_FARM = {"vegetation": 0.5, "outdoors": 0.6}

# Where one is, when such a thing is seen.
THING_PLACES: Mapping[str, Mapping[str, float]] = {
    "couch": {"interior": 0.7}, "bed": {"interior": 0.7}, "tv": _HOME, "laptop": {"interior": 0.4},
    "keyboard": _HOME, "mouse": {"interior": 0.4}, "microwave": {"interior": 0.8}, "oven": {"interior": 0.8},
    "toaster": {"interior": 0.7}, "sink": {"interior": 0.7}, "refrigerator": {"interior": 0.7},
    "toilet": {"interior": 0.8}, "dining table": {"interior": 0.45}, "chair": {"interior": 0.35},
    "cup": {"interior": 0.3}, "bowl": {"interior": 0.3}, "wine glass": {"interior": 0.35}, "vase": {"interior": 0.3},
    "car": {"city": 0.3, "road": 0.3, "outdoors": 0.6}, "truck": {"city": 0.25, "road": 0.35, "outdoors": 0.6},
    "bus": {"city": 0.5, "road": 0.35, "outdoors": 0.6}, "motorcycle": _STREET, "bicycle": _STREET,
    "traffic light": {"city": 0.6, "outdoors": 0.6}, "fire hydrant": {"city": 0.5, "outdoors": 0.6},
    "stop sign": {"city": 0.4, "road": 0.4, "outdoors": 0.6}, "parking meter": {"city": 0.6, "outdoors": 0.6},
    "boat": {"water": 0.5, "outdoors": 0.6}, "surfboard": {"sea": 0.5, "outdoors": 0.6},
    "skis": {"snow": 0.7, "outdoors": 0.6}, "snowboard": {"snow": 0.7, "outdoors": 0.6},
    "airplane": {"sky": 0.5, "outdoors": 0.6}, "kite": {"outdoors": 0.4}, "umbrella": {"outdoors": 0.4},
    "sheep": _FARM, "cow": _FARM, "horse": {"vegetation": 0.3, "outdoors": 0.6}, "elephant": _FARM, "zebra": _FARM,
    "giraffe": _FARM, "frisbee": {"outdoors": 0.3}, "train": {"outdoors": 0.4},
}  # fmt: skip

# What passes by, as which sound, how large it is (metres) and how surely it is moved by a motor.
VEHICLES: Mapping[str, tuple[str, float, float]] = {
    "car": ("passby.car", 4.5, 1.0),
    "truck": ("passby.truck", 8.0, 1.0),
    "bus": ("passby.truck", 10.0, 1.0),
    "motorcycle": ("passby.motorcycle", 2.2, 0.9),
    "train": ("passby.train", 40.0, 1.0),
    "airplane": ("passby.aircraft", 30.0, 1.0),
    "boat": ("passby.boat", 8.0, 0.3),
}
WALKERS: Mapping[str, float] = {"person": 1.7, "dog": 0.6, "horse": 1.6, "cow": 1.4, "sheep": 0.8, "elephant": 3.0}
# Things in hand or within reach that a contact may be with.
TOUCHED = (
    "sports ball", "frisbee", "baseball bat", "tennis racket", "skateboard", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "dining table", "laptop", "keyboard", "mouse", "remote", "cell phone", "book", "scissors",
    "suitcase", "oven", "sink", "toaster", "vase", "hair drier", "bench",
)  # fmt: skip

_ROAD = ("passby.car", "passby.truck", "passby.motorcycle")
_PLANES = ("passby.aircraft", "passby.propeller")
_RAIN = ("rain", "rain.roof", "rain.leaves")
_SEA = ("sea", "sea.harbour", "sea.boat")
_BOAT = ("sea.boat", "passby.boat")
_STEPS = tuple(
    f"footstep.{ground}" for ground in ("hard", "wood", "carpet", "gravel", "grass", "leaves", "snow", "sand")
)
# Which sounds of the vocabulary the recording has already, when such a class is heard in it.
HEARD_SOUNDS: Mapping[str, tuple[str, ...]] = {
    "Wind": ("wind", "wind.trees", "wind.whistle"), "Rustling leaves": ("wind.trees",), "Rain": _RAIN, "Raindrop": _RAIN,
    "Rain on surface": _RAIN, "Ocean": _SEA, "Waves, surf": _SEA, "Stream": ("stream",),
    "Waterfall": ("stream", "waterfall"), "Gurgling": ("stream",), "Water tap, faucet": ("pour",), "Fire": ("fire",),
    "Crackle": ("fire",), "Bird": ("forest",), "Bird vocalization, bird call, bird song": ("forest",),
    "Chirp, tweet": ("forest",), "Cricket": ("night",), "Insect": ("night",), "Crowd": ("crowd",), "Chatter": ("crowd",),
    "Hubbub, speech noise, speech babble": ("crowd",), "Cheering": ("crowd",), "Applause": ("crowd",),
    "Traffic noise, roadway noise": ("traffic", "city"), "Outside, urban or manmade": ("city",),
    "Car passing by": _ROAD, "Car": ("cabin", "engine", *_ROAD), "Train": ("passby.train", "train"),
    "Rail transport": ("passby.train", "train"), "Aircraft": _PLANES, "Fixed-wing aircraft, airplane": _PLANES,
    "Jet engine": ("passby.aircraft", "jet"), "Helicopter": ("rotor", "passby.helicopter"), "Engine": ("engine",), "Idling": ("engine",),
    "Music": ("music",), "Walk, footsteps": _STEPS, "Run": _STEPS, "Air conditioning": ("ventilation", "room"),
    "Mechanical fan": ("ventilation", "room"), "Inside, small room": ("room",), "Inside, large room or hall": ("room",), "Boat, Water vehicle": _BOAT,
    "Motorboat, speedboat": _BOAT, "Thunder": ("thunder",), "Thunderstorm": ("thunder", *_RAIN), "Frying (food)": ("sizzle",),
    "Sizzle": ("sizzle",), "Boiling": ("boil",), "Bee, wasp, etc.": ("bees",), "Tick": ("clock",), "Tick-tock": ("clock",),
    "Clock": ("clock",), "Drip": ("drips",), "Pour": ("pour",),
}  # fmt: skip

# What place a class in the recording speaks for.
HEARD_PLACES: Mapping[str, Mapping[str, float]] = {
    "Ocean": {"sea": 0.7}, "Waves, surf": {"sea": 0.8}, "Stream": {"water": 0.75}, "Waterfall": {"water": 0.7},
    "Rain": {"rain": 0.7}, "Rain on surface": {"rain": 0.7}, "Fire": {"fire": 0.6}, "Crowd": {"crowd": 0.8},
    "Cheering": {"crowd": 0.7}, "Applause": {"crowd": 0.4}, "Hubbub, speech noise, speech babble": {"crowd": 0.7},
    "Traffic noise, roadway noise": {"city": 0.5, "road": 0.4, "outdoors": 0.6},
    "Outside, urban or manmade": {"city": 0.5, "outdoors": 0.7}, "Outside, rural or natural": {"outdoors": 0.7},
    "Cricket": {"night": 0.6, "outdoors": 0.6}, "Bird vocalization, bird call, bird song": {"outdoors": 0.5},
    "Inside, small room": {"interior": 0.6}, "Inside, large room or hall": {"interior": 0.6},
}  # fmt: skip

# Which material a struck class speaks for.
HEARD_MATERIALS: Mapping[str, str] = {
    "Hammer": "impact.metal", "Clang": "impact.metal", "Ding": "impact.metal", "Cutlery, silverware": "impact.metal",
    "Dishes, pots, and pans": "impact.metal", "Tools": "impact.metal", "Jingle, tinkle": "impact.metal",
    "Glass": "impact.glass", "Chink, clink": "impact.glass", "Wood": "impact.wood", "Chop": "impact.wood",
    "Wood block": "impact.wood", "Thump, thud": "impact.soft", "Basketball bounce": "impact.soft",
    "Slap, smack": "impact.soft", "Whack, thwack": "impact.soft",
}  # fmt: skip
