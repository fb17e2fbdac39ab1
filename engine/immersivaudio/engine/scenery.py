# SPDX-License-Identifier: AGPL-3.0-or-later
"""What may be seen and sounds: places, weather, materials and activities, as data.

One vocabulary for every watcher that puts words to pictures: an image-text model is asked for the ``phrase``, a
classifier's or a captioner's own words are looked up among ``words``. Classes are AudioSet's (Gemmeke et al. 2017,
research.google.com/audioset/ontology), categories the Universal Category System's (universalcategorysystem.com).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

PLACE, WEATHER, MATERIAL, ACTIVITY = "place", "weather", "material", "activity"
GROUPS = (PLACE, WEATHER, MATERIAL, ACTIVITY)
# What a picture is compared with besides, so that none of the phrases has to fit.
NOTHING = ("a photo", "a blurry picture", "something else", "a plain background", "text on a screen")


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that may be seen. ``places`` are kinds of ``places.KINDS`` with how surely it tells them; ``sound`` goes on
    while it is seen, ``touched`` is what a blow or a step there sounds like (both of the vocabulary, or empty); ``beds``
    says which beds of a place sound in a way of their own there."""

    id: str
    group: str
    phrase: str
    audioset: str
    ucs: str
    places: Mapping[str, float] = field(default_factory=dict)
    sound: str = ""
    touched: str = ""
    words: tuple[str, ...] = ()
    beds: Mapping[str, str] = field(default_factory=dict)


_IN, _OUT = {"interior": 0.8}, {"outdoors": 0.8}
_TOWN, _WILD = {"city": 0.8, "outdoors": 0.8}, {"vegetation": 0.8, "outdoors": 0.8}

SIGNS: tuple[Sign, ...] = (
    # Places.
    Sign("beach", PLACE, "a beach by the sea", "Waves, surf", "WATRSurf", {"sea": 0.85, "outdoors": 0.8},
         words=("beach", "seashore", "seacoast", "coast", "seaside", "sandbar", "shore")),
    Sign("sea", PLACE, "the open sea", "Ocean", "WATRWave", {"sea": 0.9, "outdoors": 0.8},
         words=("sea", "ocean", "waves", "surf", "promontory", "breakwater", "lighthouse")),
    Sign("river", PLACE, "a river or a brook", "Stream", "WATRFlow", {"water": 0.85, "outdoors": 0.8},
         words=("river", "stream", "brook", "creek", "rapids", "canal")),
    Sign("waterfall", PLACE, "a waterfall", "Waterfall", "WATRFall", {"water": 0.9, "outdoors": 0.8},
         words=("waterfall", "cascade", "fountain", "geyser"), beds={"stream": "waterfall"}),
    Sign("lake", PLACE, "a calm lake or pond", "Water", "WATRLap", {"water": 0.6, "outdoors": 0.8},
         words=("lake", "lakeside", "lakeshore", "pond", "lagoon")),
    Sign("underwater", PLACE, "under water", "Gurgling", "WATRUndwtr", {"underwater": 0.9},
         words=("underwater", "coral reef", "reef", "scuba diver", "diver", "diving")),
    Sign("forest", PLACE, "a forest", "Rustling leaves", "AMBForst", {"vegetation": 0.9, "outdoors": 0.8},
         words=("forest", "woods", "jungle", "rainforest", "bamboo")),
    Sign("park", PLACE, "a park or a garden", "Bird", "AMBPark", _WILD, words=("park", "garden", "lawn", "backyard")),
    Sign("meadow", PLACE, "a meadow or a field", "Outside, rural or natural", "AMBRurl", _WILD,
         words=("meadow", "field", "pasture", "farm", "countryside", "vineyard", "hayfield", "golf course", "valley")),
    Sign("mountains", PLACE, "high mountains", "Wind", "AMBAlpn", {"snow": 0.3, "outdoors": 0.85, "sky": 0.3},
         words=("mountain", "mountains", "alp", "cliff", "canyon", "volcano", "peak")),
    Sign("desert", PLACE, "a desert", "Wind", "AMBDsrt", {"sand": 0.85, "outdoors": 0.8}, words=("desert", "dune", "dunes")),
    Sign("snowfield", PLACE, "a snowy landscape", "Wind", "AMBTndra", {"snow": 0.85, "outdoors": 0.8},
         words=("snowfield", "glacier", "ski slope", "ski", "igloo", "iceberg", "ice floe", "snowy")),
    Sign("cave", PLACE, "a cave", "Echo", "AMBSbtn", {"interior": 0.5}, touched="impact.stone", words=("cave", "grotto", "catacomb")),
    Sign("street", PLACE, "a street in a city", "Outside, urban or manmade", "AMBUrbn", _TOWN,
         words=("street", "downtown", "crosswalk", "alley", "plaza", "square", "city", "town", "skyscraper")),
    Sign("highway", PLACE, "a road with traffic", "Traffic noise, roadway noise", "AMBTraf",
         {"road": 0.8, "city": 0.3, "outdoors": 0.8}, words=("highway", "road", "traffic", "motorway", "freeway", "overpass")),
    Sign("carpark", PLACE, "a car park", "Car", "AMBTraf", {"road": 0.6, "city": 0.4, "outdoors": 0.7},
         words=("parking lot", "car park", "parking garage", "garage")),
    Sign("market", PLACE, "a crowded market", "Hubbub, speech noise, speech babble", "AMBMrkt",
         {"crowd": 0.7, "city": 0.4}, words=("market", "bazaar", "marketplace", "fair")),
    Sign("construction", PLACE, "a building site", "Power tool", "AMBConst", {"city": 0.3, "outdoors": 0.7}, sound="machine",
         words=("construction site", "building site", "excavator", "bulldozer", "crane")),
    Sign("harbour", PLACE, "a harbour with boats", "Boat, Water vehicle", "AMBNaut", {"sea": 0.6, "outdoors": 0.8},
         words=("harbor", "harbour", "dock", "pier", "marina", "wharf"), beds={"sea": "sea.harbour"}),
    Sign("stadium", PLACE, "a stadium full of people", "Crowd", "AMBSprt", {"crowd": 0.8, "outdoors": 0.4},
         words=("stadium", "arena", "bleachers")),
    Sign("office", PLACE, "an office", "Inside, small room", "AMBOffc", _IN, words=("office", "cubicle", "desk", "meeting room")),
    Sign("kitchen", PLACE, "a kitchen", "Dishes, pots, and pans", "AMBRoom", _IN, touched="impact.wood",
         words=("kitchen", "stove", "countertop", "kitchenette")),
    Sign("home", PLACE, "a living room or a bedroom", "Inside, small room", "AMBRoom", _IN,
         words=("living room", "bedroom", "dining room", "home", "apartment", "studio couch")),
    Sign("hall", PLACE, "a large hall", "Inside, large room or hall", "AMBRoom", _IN, touched="impact.stone",
         words=("hall", "lobby", "church", "cathedral", "museum", "auditorium", "theater", "corridor", "atrium")),
    Sign("school", PLACE, "a classroom or a library", "Inside, small room", "AMBSchl", _IN, words=("classroom", "library", "school", "bookshop")),
    Sign("restaurant", PLACE, "a restaurant or a bar", "Chatter", "AMBRest", {"interior": 0.8, "crowd": 0.4},
         words=("restaurant", "bar", "cafe", "cafeteria", "coffee shop", "pub")),
    Sign("shop", PLACE, "a shop", "Inside, public space", "AMBMrkt", _IN, words=("shop", "store", "supermarket", "grocery store", "mall")),
    Sign("workshop", PLACE, "a workshop", "Tools", "AMBIndt", _IN, words=("workshop", "forge", "smithy", "carpenter's shop")),
    Sign("factory", PLACE, "a factory", "Machine", "AMBIndt", {"interior": 0.7}, sound="machine", words=("factory", "assembly line", "industrial plant")),
    Sign("laboratory", PLACE, "a laboratory or a clean room", "Mechanical fan", "AMBTech", _IN, sound="ventilation",
         words=("laboratory", "lab", "clean room", "server room", "data center")),
    Sign("hospital", PLACE, "a hospital", "Inside, public space", "AMBHosp", _IN, words=("hospital", "operating room", "clinic")),
    Sign("station", PLACE, "a railway station", "Rail transport", "AMBTran", {"crowd": 0.3, "city": 0.3},
         words=("railway station", "train station", "subway station", "platform", "airport terminal")),
    Sign("gym", PLACE, "a sports hall", "Basketball bounce", "AMBSprt", _IN, words=("gym", "gymnasium", "sports hall", "basketball court", "boxing ring")),
    Sign("car_inside", PLACE, "the inside of a car", "Car", "VEHInt", {"road": 0.3}, sound="cabin", words=("car interior", "dashboard", "steering wheel", "windshield")),
    Sign("train_inside", PLACE, "the inside of a train", "Rail transport", "TRNInt", {"interior": 0.4}, sound="train", words=("train interior", "subway car")),
    Sign("aerial", PLACE, "a landscape seen from the air", "Wind", "WIND", {"aerial": 0.8, "outdoors": 0.7}, words=("aerial", "aerial view", "drone shot", "drone footage", "drone view", "drone video")),
    Sign("night_street", PLACE, "a city at night", "Outside, urban or manmade", "AMBUrbn", {"city": 0.7, "night": 0.8}, words=("city at night", "neon")),
    Sign("night_nature", PLACE, "nature at night", "Cricket", "AMBInsc", {"night": 0.85, "outdoors": 0.7}, words=("starry sky", "night sky", "moonlight")),
    # Weather and elements.
    Sign("rain", WEATHER, "rain is falling", "Rain", "RAIN", {"rain": 0.8}, words=("rain", "raining", "rainy", "umbrella", "downpour")),
    Sign("storm", WEATHER, "a thunderstorm", "Thunderstorm", "WEATThun", {"rain": 0.6, "outdoors": 0.6}, sound="thunder", words=("storm", "thunderstorm", "lightning")),
    Sign("snowing", WEATHER, "snow is falling", "Wind", "WEAT", {"snow": 0.7, "outdoors": 0.7}, words=("snowing", "snowfall", "blizzard")),
    Sign("windy", WEATHER, "trees bent by strong wind", "Wind", "WINDVege", _OUT, sound="wind", words=("windy", "gale", "hurricane")),
    Sign("fog", WEATHER, "thick fog", "Outside, rural or natural", "WEAT", {"outdoors": 0.5}, words=("fog", "mist", "foggy")),
    Sign("sunny", WEATHER, "a clear sunny day", "Outside, rural or natural", "AMBRurl", _OUT, words=("sunny", "blue sky")),
    Sign("fire", WEATHER, "an open fire", "Fire", "FIREBurn", {"fire": 0.85}, words=("fire", "campfire", "fireplace", "flames", "bonfire", "torch")),
    Sign("dry", WEATHER, "an ordinary indoor light", "Inside, small room", "AMBRoom"),
    # Materials, as they are walked on or struck.
    Sign("gravel", MATERIAL, "a gravel path", "Walk, footsteps", "FEETMisc", touched="footstep.gravel", words=("gravel", "pebbles", "dirt road")),
    Sign("leaves", MATERIAL, "dry leaves on the ground", "Rustle", "FEETMisc", touched="footstep.leaves", words=("fallen leaves", "dead leaves")),
    Sign("sand", MATERIAL, "sand on the ground", "Walk, footsteps", "FEETMisc", {"sand": 0.4}, touched="footstep.sand", words=("sand", "sandy")),
    Sign("snow", MATERIAL, "snow on the ground", "Walk, footsteps", "FEETMisc", {"snow": 0.5}, touched="footstep.snow", words=("snow",)),
    Sign("grass", MATERIAL, "grass on the ground", "Walk, footsteps", "FEETMisc", {"vegetation": 0.4}, touched="footstep.grass", words=("grass", "grassy")),
    Sign("pavement", MATERIAL, "a paved or tiled floor", "Walk, footsteps", "FEETMisc", touched="footstep.hard", words=("pavement", "sidewalk", "tiles", "tiled floor", "asphalt")),
    Sign("floorboards", MATERIAL, "a wooden floor", "Walk, footsteps", "FEETMisc", {"interior": 0.3}, touched="footstep.wood", words=("wooden floor", "parquet", "hardwood floor")),
    Sign("wood", MATERIAL, "things made of wood", "Wood", "WOODImpt", touched="impact.wood", words=("wood", "wooden", "plank", "log", "table")),
    Sign("metal", MATERIAL, "things made of metal", "Clang", "METLImpt", touched="impact.metal", words=("metal", "steel", "iron", "anvil", "chain")),
    Sign("stone", MATERIAL, "things made of stone", "Thump, thud", "ROCKImpt", touched="impact.stone", words=("stone", "rock", "rocks", "brick", "concrete", "stone wall")),
    Sign("glass", MATERIAL, "things made of glass or china", "Glass", "GLASImpt", touched="impact.glass", words=("glass", "cup", "china", "plate", "goblet", "beaker", "beer glass")),
    Sign("cloth", MATERIAL, "cloth, leather or a cushion", "Thump, thud", "CLOTHImpt", touched="impact.soft", words=("cloth", "leather", "cushion", "pillow", "punching bag", "mattress")),
    # What goes on.
    Sign("talking", ACTIVITY, "people talking to each other", "Conversation", "CRWDConv", words=("talking", "conversation", "interview", "speaking")),
    Sign("crowd", ACTIVITY, "a large crowd of people", "Crowd", "CRWDWalla", {"crowd": 0.8}, words=("crowd", "audience", "spectators", "marathon", "protest")),
    Sign("applause", ACTIVITY, "people clapping their hands", "Applause", "CRWDApls", {"crowd": 0.7}, words=("clapping", "applause", "cheering")),
    Sign("concert", ACTIVITY, "a concert on a stage", "Music", "CRWDConc", {"crowd": 0.7}, words=("concert", "stage", "band", "orchestra")),
    Sign("walking", ACTIVITY, "somebody walking", "Walk, footsteps", "FEETMisc", words=("walking", "walks", "pedestrian", "hiking")),
    Sign("running", ACTIVITY, "somebody running", "Run", "FEETMisc", words=("running", "runs", "jogging", "runner")),
    Sign("driving", ACTIVITY, "driving along a road", "Car", "VEHInt", {"road": 0.6}, words=("driving", "drives")),
    Sign("helicopter", ACTIVITY, "a helicopter flying", "Helicopter", "AEROHeli", sound="rotor", words=("helicopter",)),
    Sign("drone", ACTIVITY, "a small drone hovering in the air", "Propeller, airscrew", "AERORadio", {"outdoors": 0.5}, sound="drone", words=("drone", "quadcopter")),
    Sign("machine", ACTIVITY, "a machine running", "Machine", "MACHMisc", sound="machine", words=("machine", "lathe", "harvester", "thresher", "mower", "lawn mower", "washing machine", "vacuum")),
    Sign("engine", ACTIVITY, "an engine running", "Engine", "VEHCar", sound="engine", words=("tractor", "engine", "motorboat", "speedboat", "snowmobile")),
    Sign("pouring", ACTIVITY, "a drink poured into a cup or a glass", "Pour", "WATRPour", sound="pour", words=("pouring", "pours", "poured", "pour")),
    Sign("tap", ACTIVITY, "water running from a tap", "Water tap, faucet", "WATRTap", sound="pour", words=("tap", "faucet", "washing", "shower")),
    Sign("cooking", ACTIVITY, "food cooking in a pan", "Frying (food)", "FOODCook", {"interior": 0.6}, sound="sizzle", touched="impact.metal", words=("cooking", "frying", "frying pan", "wok")),
    Sign("chopping", ACTIVITY, "somebody cutting with a knife on a board", "Chopping (food)", "FOODPrep", touched="chop", words=("chopping", "cutting", "slicing", "cutting board")),
    Sign("hammering", ACTIVITY, "somebody hammering metal", "Hammer", "METLImpt", touched="impact.metal", words=("hammering", "hammer", "blacksmith", "forging", "welding")),
    Sign("sawing", ACTIVITY, "somebody working with wood", "Wood", "WOODImpt", touched="impact.wood", words=("sawing", "carpenter", "woodworking", "saw")),
    Sign("drumming", ACTIVITY, "somebody playing drums", "Drum", "MUSCPerc", touched="impact.soft", words=("drumming", "drum", "drums", "drumstick")),
    Sign("boxing", ACTIVITY, "somebody boxing or fighting", "Whack, thwack", "FGHTImpt", touched="impact.soft", words=("boxing", "boxer", "fighting", "punching", "martial arts")),
    Sign("football", ACTIVITY, "somebody kicking a football", "Thump, thud", "SPRTFoot", touched="kick", words=("soccer", "football", "soccer ball", "kicking")),
    Sign("ballgame", ACTIVITY, "somebody playing with a ball in the hand", "Basketball bounce", "SPRTCourt", touched="impact.soft", words=("ball", "basketball", "volleyball", "tennis")),
    Sign("typing", ACTIVITY, "somebody typing on a keyboard", "Computer keyboard", "COMPKey", {"interior": 0.5}, touched="typing", words=("typing", "keyboard", "computer keyboard", "typewriter")),
    Sign("eating", ACTIVITY, "people eating", "Cutlery, silverware", "FOODEat", {"interior": 0.4}, touched="impact.glass", words=("eating", "dining", "meal")),
    Sign("swimming", ACTIVITY, "somebody swimming", "Splash, splatter", "WATRSplsh", {"water": 0.6}, words=("swimming", "swimmer", "swimming trunks", "bathing")),
    Sign("sailing", ACTIVITY, "a boat on the water", "Boat, Water vehicle", "BOATMisc", {"sea": 0.5, "outdoors": 0.7}, words=("sailing", "sailboat", "yacht", "canoe", "boat", "kayak"), beds={"sea": "sea.boat"}),
    Sign("train", ACTIVITY, "a train passing", "Train", "TRNMisc", {"outdoors": 0.5}, words=("train", "locomotive", "steam locomotive", "freight car", "bullet train", "tram", "streetcar")),
    Sign("aircraft", ACTIVITY, "an aeroplane in the sky", "Aircraft", "AEROJet", {"sky": 0.5, "outdoors": 0.8}, words=("airplane", "airliner", "aeroplane", "plane", "warplane")),
    Sign("birds", ACTIVITY, "birds in the trees or in the air", "Bird", "BIRDMisc", {"outdoors": 0.7}, words=("bird", "birds", "seagull", "gull", "pigeon")),
    Sign("dog", ACTIVITY, "a dog", "Dog", "ANMLDog", words=("dog", "puppy", "retriever", "terrier", "shepherd", "spaniel", "hound")),
    Sign("cat", ACTIVITY, "a cat", "Cat", "ANMLCat", words=("cat", "kitten", "tabby")),
    Sign("livestock", ACTIVITY, "cows, sheep or horses", "Livestock, farm animals, working animals", "ANMLFarm", {"vegetation": 0.5, "outdoors": 0.8}, words=("cow", "sheep", "horse", "cattle", "ox", "goat", "ram")),
    Sign("still", ACTIVITY, "nothing happening, a still view", "Silence", "AMBRoom"),
)  # fmt: skip

BY_ID: Mapping[str, Sign] = {sign.id: sign for sign in SIGNS}


def of_group(group: str) -> tuple[Sign, ...]:
    return tuple(sign for sign in SIGNS if sign.group == group)


def named(text: str) -> tuple[str, ...]:
    """The ids of the signs one of whose words stands in ``text``: a class name, or a sentence. The longest words are read
    first and used up, so that "parking lot" is no park and "ice cream" no ice."""
    left = f" {' '.join(re.findall(r'[a-z]+', text.lower()))} "
    found: list[str] = []
    for words, sign in _by_length():
        if f" {words} " in left:
            left = left.replace(f" {words} ", "  ")
            found.append(sign)
    return tuple(dict.fromkeys(found))


@cache
def _by_length() -> tuple[tuple[str, str], ...]:
    pairs = [(" ".join(re.findall(r"[a-z]+", word)), sign.id) for sign in SIGNS for word in sign.words]
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0].split()), pair[0])))
