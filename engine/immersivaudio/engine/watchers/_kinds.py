# SPDX-License-Identifier: AGPL-3.0-or-later
"""From the stuffs of a stretch to kinds of place, each with its share of the frame and an honest confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from immersivaudio.engine.watchers._cells import Floats

_LEAST_SHARE = 0.06
_LEAST_CONFIDENCE = 0.12


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: str
    share: float
    confidence: float


def verdicts(stuff: Mapping[str, Floats], light: Mapping[str, float]) -> list[Verdict]:
    """Every kind that is likely enough, the likeliest first; ``unknown`` where nothing is."""
    share = {name: float(part.mean()) for name, part in stuff.items()}
    special = _whole(share, light)
    if special is not None:
        return [special]
    outdoors = _outdoors(stuff, share, light)
    found = [*_natural(stuff, share, light, outdoors), *_built(stuff, share, light, outdoors)]
    kept = [v for v in found if v.share >= _LEAST_SHARE and v.confidence >= _LEAST_CONFIDENCE]
    best = max((v.confidence for v in kept), default=0.0)
    if best < 0.4:
        kept.append(Verdict("unknown", max(0.0, 1.0 - max((v.share for v in kept), default=0.0)), 0.7 - best))
    return sorted(kept, key=lambda v: -v.confidence)


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def _whole(share: Mapping[str, float], light: Mapping[str, float]) -> Verdict | None:
    """Pictures that are one thing all over: black, a test pattern, under water."""
    if light["lamps"] < 0.002 and light["brightness"] < 0.06 and light["contrast"] < 0.04:
        return Verdict("black", 1.0, 0.95)
    if share["flat"] > 0.2 and light["saturation"] > 0.6:
        return Verdict("testpattern", 1.0, 0.4 + 0.5 * _ramp(share["flat"], 0.2, 0.4))
    if share["deep"] > 0.75 and share["sky"] < 0.3 and light["contrast"] < 0.18 and light["texture"] < 0.4:
        return Verdict("underwater", 1.0, 0.35 + 0.4 * _ramp(share["deep"], 0.75, 0.95))
    return None


def _outdoors(stuff: Mapping[str, Floats], share: Mapping[str, float], light: Mapping[str, float]) -> float:
    """How surely this is out of doors.

    Blue skies and leaves say so, and fine texture everywhere (rooms are smooth and out of focus); a pale smooth top
    alone hardly does.
    """
    blue = _blue(stuff)
    pale = _ramp(float(stuff["sky"][:3].mean()), 0.5, 0.9)
    nature = _ramp(share["vegetation"] + share["sea"] + 0.5 * share["sand"], 0.06, 0.3)
    rough = 0.7 * _ramp(light["texture"], 0.36, 0.56)
    return max(blue, nature, rough, pale * (0.35 + 0.65 * nature))


def _blue(stuff: Mapping[str, Floats]) -> float:
    """How surely the top of the picture is clear sky."""
    return _ramp(float(stuff["blue_sky"][:4].mean()), 0.08, 0.35)


def _natural(
    stuff: Mapping[str, Floats], share: Mapping[str, float], light: Mapping[str, float], outdoors: float
) -> list[Verdict]:
    horizon = _ramp(float(stuff["sky"][:3].mean()), 0.15, 0.5)
    # Grey-blue ground under a sky looks like a sea, but to a camera that stands still it does not move like one.
    still = _ramp(light["shimmer"], 0.008, 0.004)
    dead = still * (1.0 - _ramp(share["live_sea"] / max(1e-6, share["sea"]), 0.12, 0.3))
    sea = (0.15 + 0.55 * horizon) * _ramp(share["sea"], 0.03, 0.14) * (1.0 - 0.9 * _lane(stuff)) * (1.0 - 0.65 * dead)
    return [
        Verdict("sky", share["sky"], (0.25 + 0.6 * outdoors) * _ramp(share["sky"], 0.03, 0.25)),
        Verdict("vegetation", share["vegetation"], 0.2 + 0.7 * _ramp(share["vegetation"], 0.04, 0.35)),
        Verdict("sea", share["sea"], sea),
        Verdict("water", share["water"], 0.65 * _ramp(share["water"], 0.05, 0.3) * (0.4 + 0.6 * outdoors)),
        Verdict("snow", share["snow"], 0.7 * _ramp(share["snow"], 0.15, 0.45) * outdoors),
        Verdict("sand", share["sand"], 0.7 * _ramp(share["sand"], 0.06, 0.35) * max(outdoors, horizon)),
        Verdict("fire", share["fire"], 0.6 * _ramp(share["fire"], 0.04, 0.25) * _ramp(share["dark"], 0.1, 0.5)),
    ]


def _lane(stuff: Mapping[str, Floats]) -> float:
    """How much the bottom middle of the frame is tarmac, or, seen from above, nearly all of it."""
    return max(
        _ramp(float(stuff["road"][6:, 4:12].mean()), 0.25, 0.7), 0.8 * _ramp(float(stuff["tarmac"].mean()), 0.6, 0.85)
    )


def _built(
    stuff: Mapping[str, Floats], share: Mapping[str, float], light: Mapping[str, float], outdoors: float
) -> list[Verdict]:
    lane, dark = _lane(stuff), share["dark"]
    gloom = _ramp(dark, 0.2, 0.5) * _ramp(light["brightness"], 0.36, 0.22)
    night = gloom * (0.4 + 0.35 * _ramp(light["lamps"], 0.002, 0.03))
    walls = 0.35 * _ramp(share["wall"], 0.05, 0.35) + 0.2 * _ramp(light["warmth"], 0.02, 0.1) + 0.15 * gloom
    straight = _ramp(share["city"], 0.1, 0.4) * (0.3 + 0.4 * max(outdoors, _ramp(share["city"], 0.3, 0.6)))
    # What stands straight against a clear sky is built; trees and hills are not straight.
    skyline = 0.5 * _ramp(share["skyline"], 0.08, 0.2) * _blue(stuff)
    city = max(straight, skyline, 0.4 * lane * outdoors * _ramp(share["vegetation"] + share["sand"], 0.3, 0.1))
    return [
        Verdict("road", share["tarmac"], lane * (0.4 + 0.4 * outdoors)),
        Verdict("city", max(share["city"], 0.5 * share["tarmac"]), city * (1.0 - 0.5 * dark)),
        Verdict("night", dark, night),
        Verdict(
            "interior", 1.0 - outdoors, (1.0 - outdoors) * (0.25 + walls) * (1.0 - 0.6 * lane) * (1.0 - 0.3 * city)
        ),
        Verdict("crowd", share["crowd"], 0.5 * _ramp(share["crowd"], 0.15, 0.5) * (1.0 - 0.5 * outdoors)),
    ]
