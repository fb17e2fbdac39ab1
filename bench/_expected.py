# SPDX-License-Identifier: AGPL-3.0-or-later
"""What should be heard on each real clip: written by hand from the manifest's words (``expect_to_hear``), before any
result was looked at. Sounds are names of the vocabulary; ``footstep.*`` stands for a family.

``must``: what the manifest names plainly; each row is met by any one of its sounds. ``recorded`` rows are met as well
by the clip's own sound, where the engine keeps it. ``may``: what it names with a maybe, or what nobody would mind there.
``never``: what would be absurd. What is in none of them is wrong without being absurd. Voices, barks and gulls are not
in the vocabulary and so not in the table.
"""

from __future__ import annotations

from dataclasses import dataclass

_BLOW = "impact.wood impact.metal impact.stone impact.soft impact.glass"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a clip should sound like; every text is a list of sounds, parted by blanks."""

    clip: str
    must: tuple[str, ...]
    recorded: tuple[str, ...] = ()
    may: str = ""
    never: str = ""


TABLE = (
    Expected(
        "sync-drumstick-hits-bag.mp4", ("impact.soft impact.wood",), ("room",),
        never="music crowd sea stream rain wind forest city traffic passby.* footstep.* engine cabin",
    ),
    Expected(
        "sync-blacksmith-hammer.mp4", ("impact.metal",), ("fire traffic city rumble wind forest wind.trees",),
        "forest wind.trees wind city fire", "music crowd sea stream room passby.* footstep.* snow cabin pour",
    ),
    Expected(
        "sync-football-juggling.mp4", ("impact.soft", "footstep.grass cloth", "forest city traffic wind.trees"),
        may="wind whoosh", never="music crowd sea stream room passby.* impact.metal impact.glass cabin",
    ),
    Expected(
        "coffee-pour.mp4", ("pour", _BLOW, "room crowd"), may="cloth",
        never="music sea stream rain forest traffic passby.* footstep.* wind cabin",
    ),
    Expected(
        "dog-and-woman-play.mp4", ("footstep.hard footstep.gravel", "city traffic forest"),
        may="cloth wind wind.trees impact.soft impact.metal",
        never="music sea stream room passby.* crowd cabin impact.glass",
    ),
    Expected(
        "drone-coast-gopro-karma.mp4", ("sea", "wind"),
        never="music rotor engine room traffic city crowd passby.* footstep.* impact.* cabin stream",
    ),
    Expected(
        "stream-of-water.webm", (), ("stream",), "forest wind.trees wind",
        "music sea room rain city traffic crowd passby.* impact.* footstep.* cabin",
    ),
    Expected(
        "speech-1940-office-bw.mp4", (), ("room",), "cloth footstep.hard ventilation",
        "music sea city traffic forest wind passby.* impact.* crowd cabin night",
    ),
    Expected(
        "speech-webcam-night.mp4", (), ("room ventilation machine",), "cloth",
        "music sea city traffic forest wind passby.* impact.* footstep.* crowd cabin night",
    ),
    Expected(
        "city-marathon-overhead.mp4", ("footstep.hard", "crowd", "city traffic"), may="wind cloth",
        never="music sea stream room passby.train passby.aircraft impact.* cabin night",
    ),
    Expected(
        "city-park-sculpture.avi", ("city traffic", "wind wind.trees forest"),
        never="music sea stream room passby.* impact.* footstep.* crowd cabin night",
    ),
    Expected(
        "city-street-cuts-bikes.mp4", ("traffic passby.car", "engine passby.car traffic", "footstep.hard"),
        may="city cloth rumble crowd", never="music sea stream room passby.train passby.aircraft impact.* night",
    ),
    Expected(
        "animation-big-buck-bunny-5.1.mp4", (), ("music", "footstep.grass cloth", "forest"),
        "forest wind.trees wind whoosh", "room city traffic passby.* impact.metal impact.glass crowd cabin sea",
    ),
    Expected(
        "bird-cockatoo-seek-trap.mp4", (_BLOW, "room"), may="cloth footstep.hard",
        never="music sea stream traffic city passby.* crowd wind cabin",
    ),
    Expected(
        "night-rain-concert-crowd.mp4", (), ("music", "crowd", "rain"), "wind city",
        "room passby.* sea stream impact.metal impact.glass footstep.* cabin forest",
    ),
    Expected(
        "phone-vfr-upside-down-dog.mp4", (), ("room", "fire", "impact.soft impact.wood footstep.* cloth"), "",
        "music sea stream traffic city passby.* crowd wind cabin forest",
    ),
    Expected(
        "ultra-short-portrait.mov", (), ("room",), "",
        "music sea stream traffic city passby.* crowd wind cabin forest impact.* footstep.* pour",
    ),
    Expected(
        "narration-nasa-two-video-two-audio.mp4", (), ("music", "ventilation room machine"), "",
        "sea stream night forest wind traffic city crowd impact.* footstep.* passby.* cabin",
    ),
    Expected(
        "highway-dashcam.mp4", ("cabin",), may="traffic wind passby.car",
        never="music sea stream room crowd forest impact.* footstep.* passby.train passby.aircraft",
    ),
    Expected(
        "parking-overhead-cars-with-gaps.mp4", ("passby.car", "city wind traffic"), may="",
        never="music sea stream room crowd impact.* footstep.* passby.train passby.aircraft cabin",
    ),
    Expected(
        "sign-language-no-speech.mkv", ("cloth", "room"),
        never="music sea stream traffic city crowd wind forest impact.* footstep.* passby.* cabin",
    ),
    Expected(
        "aircraft-flyby-audio-drops-out.mp4", (), ("passby.aircraft", "wind forest wind.trees"), "crowd",
        "music sea stream room traffic passby.car passby.train impact.* footstep.* cabin",
    ),
)  # fmt: skip
