# SPDX-License-Identifier: AGPL-3.0-or-later
"""How every sound of the vocabulary is said to who performs by words, as data.

Plain nouns with their source and material, as the captions say them that text-to-audio models learn from (AudioCaps, Kim
et al. 2019): no room (the mix adds it), no distance (a cue has its own), nothing that makes a model speak or sing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_HIT, _STEP = ("hit", "hits"), ("step", "steps")
_STEADY, _ALIVE = "steady, seamless", "continuous, natural"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sound at a low, a usual and a high value of the knob that rules it. ``one`` and ``many`` are what the heads call a
    single event and several, ``units`` what those are counted in; ``manner`` closes the phrase."""

    knob: str
    heads: tuple[str, str, str]
    manner: str = ""
    one: str = ""
    many: str = ""
    units: tuple[str, str] = _HIT


def _bed(low: str, usual: str, high: str, manner: str = _ALIVE, knob: str = "intensity") -> Phrase:
    return Phrase(knob, (low, usual, high), manner)


def _run(low: str, usual: str, high: str) -> Phrase:
    return _bed(low, usual, high, _STEADY, "speed")


def _blow(one: str, many: str, where: str, weak: str = "light", strong: str = "hard") -> Phrase:
    return Phrase("strength", (f"{weak} {one} {where}", f"{one} {where}", f"{strong} {one} {where}"), "dry", one, many)


def _steps(ground: str) -> Phrase:
    heads = (f"soft footstep {ground}", f"footstep {ground}", f"heavy footstep {ground}")
    return Phrase("strength", heads, "dry", "footstep", "footsteps", _STEP)


def _event(low: str, usual: str, high: str, manner: str = "", units: tuple[str, str] = ("time", "times")) -> Phrase:
    return Phrase("strength", (low, usual, high), manner, units=units)


def _passing(what: str) -> Phrase:
    return Phrase("speed", (f"slow {what} passing by", f"{what} passing by", f"fast {what} passing by"))


PHRASES: Mapping[str, Phrase] = {
    "wind": _bed("light breeze outdoors", "wind outdoors", "strong gusty wind outdoors"),
    "wind.trees": _bed("leaves rustling in a breeze", "wind in trees", "strong wind tossing trees"),
    "wind.whistle": _bed("wind sighing through gaps", "wind whistling through wires and gaps", "wind howling through wires and gaps"),
    "rain": _bed("light drizzle", "rain falling", "heavy downpour"),
    "rain.roof": _bed("light rain on a roof", "rain drumming on a roof", "heavy rain on a roof"),
    "rain.leaves": _bed("light rain on leaves", "rain on leaves", "heavy rain on leaves"),
    "drips": _bed("few drops of water dripping", "water dripping", "many drops of water dripping", "uneven, natural"),
    "thunder": _bed("faint thunder rolling", "thunderstorm rumbling", "heavy thunderstorm", "now and then"),
    "sea": _bed("gentle waves on a shore", "sea waves breaking on a shore", "heavy surf crashing on a shore", "coming and going"),
    "sea.harbour": _bed("calm water lapping in a harbour", "water lapping at harbour walls", "choppy water slapping harbour walls"),
    "sea.boat": _bed("water along the hull of a slow boat", "water rushing along the hull of a boat", "water hissing along the hull of a fast boat", knob="speed"),
    "stream": _bed("trickling brook", "babbling stream", "rushing stream"),
    "waterfall": _bed("small waterfall", "waterfall", "thundering waterfall", _STEADY),
    "underwater": _bed("muffled calm underwater ambience", "muffled underwater ambience with bubbles", "churning underwater ambience with bubbles"),
    "fire": _bed("small fire crackling", "fire crackling and burning", "large fire roaring and crackling"),
    "forest": _bed("quiet forest with few birds", "forest with birds singing by day", "lively forest with many birds by day"),
    "night": _bed("quiet night with few crickets", "night outdoors with crickets", "night outdoors with loud crickets"),
    "city": _bed("quiet town hum", "city hum with faraway cars", "busy city hum with cars"),
    "traffic": _bed("light road traffic", "road traffic", "heavy road traffic"),
    "crowd": _bed("murmur of few people", "murmur of a crowd", "loud crowd", "indistinct, continuous"),
    "bees": _bed("few bees humming", "bees buzzing", "swarm of bees buzzing"),
    "room": _bed("quiet room tone", "room tone", "loud room tone", _STEADY),
    "ventilation": _bed("quiet ventilation hum", "ventilation hum", "loud ventilation hum", _STEADY),
    "cabin": _run("inside of a slow car", "inside of a moving car", "inside of a fast car on a motorway"),
    "train": _run("inside of a slow train", "inside of a moving train", "inside of a fast train"),
    "rumble": _bed("faint low rumble", "low rumble", "heavy low rumble"),
    "pour": _bed("trickle of liquid into a cup", "liquid pouring into a cup", "liquid gushing into a vessel"),
    "cloth": _bed("soft rustle of clothes", "rustle of clothes", "brisk rustle of clothes", "natural"),
    "sizzle": _bed("gentle sizzle in a pan", "food frying in a pan", "loud frying in a pan"),
    "boil": _bed("water simmering", "water boiling", "water boiling hard"),
    "paper": _bed("paper handled gently", "paper rustling", "paper crumpled", "natural"),
    "scrape": _bed("object dragged slowly", "object scraping along the floor", "object dragged fast", knob="speed"),
    "roll": _bed("object rolling slowly", "object rolling along", "object rolling fast", knob="speed"),
    "clock": _bed("clock ticking slowly", "clock ticking", "clock ticking fast", "regular", "speed"),
    "engine": _run("engine idling", "engine running", "engine revving"),
    "rotor": _run("helicopter rotor turning slowly", "helicopter hovering", "helicopter rotor at full speed"),
    "drone": _run("small drone humming", "small quadcopter drone buzzing", "small quadcopter drone whining at full speed"),
    "propeller": _run("propeller plane throttled", "propeller plane flying", "propeller plane at full throttle"),
    "jet": _run("jet engine idling", "jet engine", "jet engine at full thrust"),
    "rocket": _bed("small rocket burning", "rocket engine burning", "huge rocket roaring", _STEADY),
    "machine": _run("machine running slowly", "machine running", "machine running fast"),
    "passby.car": _passing("car"),
    "passby.truck": _passing("lorry"),
    "passby.motorcycle": _passing("motorcycle"),
    "passby.boat": _passing("motorboat"),
    "passby.aircraft": _passing("jet plane"),
    "passby.propeller": _passing("propeller plane"),
    "passby.helicopter": _passing("helicopter"),
    "passby.train": _passing("train"),
    "thunder.clap": _event("rolling thunder", "clap of thunder", "violent crack of thunder", "echoing", ("stroke", "strokes")),
    "whoosh": _event("soft whoosh through the air", "whoosh through the air", "strong whoosh through the air", "dry"),
    "impact.wood": _blow("blow", "blows", "on wood"),
    "impact.metal": _blow("blow", "blows", "on metal"),
    "impact.stone": _blow("blow", "blows", "on stone"),
    "impact.soft": _blow("dull thud", "dull thuds", "on something soft"),
    "impact.glass": _blow("tap", "taps", "on glass"),
    "impact.plastic": _blow("blow", "blows", "on plastic"),
    "footstep.hard": _steps("on a hard floor"),
    "footstep.wood": _steps("on a wooden floor"),
    "footstep.carpet": _steps("on carpet"),
    "footstep.gravel": _steps("on gravel"),
    "footstep.grass": _steps("on grass"),
    "footstep.leaves": _steps("in fallen leaves"),
    "footstep.snow": _steps("in snow"),
    "footstep.sand": _steps("in sand"),
    "chop": _blow("chop", "chops", "into wood"),
    "kick": _blow("kick", "kicks", "of a ball"),
    "door": _event("door shutting quietly", "door shutting", "door slamming shut", "dry"),
    "keys": _event("bunch of keys touched", "bunch of keys jingling", "bunch of keys thrown down", "dry"),
    "typing": _event("typing softly on a keyboard", "typing on a keyboard", "typing hard on a keyboard", "dry", ("keystroke", "keystrokes")),
    "splash": _event("small splash in water", "splash in water", "big splash in water"),
    "glass.break": _event("small glass breaking", "glass breaking", "glass smashing to pieces", "dry"),
    "explosion": _event("muffled explosion", "explosion", "huge explosion", "rumbling away", ("blast", "blasts")),
    "gunshot": _event("muffled gunshot", "gunshot", "loud gunshot", "", ("shot", "shots")),
    "camera": _event("quiet camera shutter", "camera shutter", "loud camera shutter", "dry", ("click", "clicks")),
    "beep": _event("quiet electronic beep", "electronic beep", "loud electronic beep", "dry"),
    "heartbeat": _event("faint heartbeat", "heartbeat", "pounding heartbeat", "dry", ("beat", "beats")),
}  # fmt: skip
