# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which event of an example each visible event takes: by strength, brightness and size, never one twice in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.examples.events import Event
from immersivaudio.engine.synthesis.frame import stream

Floats = NDArray[np.float64]
# How bright a blow on each material is beside the others.
_BRIGHT: Mapping[str, float] = {
    "impact.metal": 1.0, "impact.glass": 0.9, "impact.stone": 0.6, "impact.wood": 0.45, "impact.soft": 0.0,
    "footstep.hard": 0.5, "footstep.gravel": 0.8, "footstep.grass": 0.2,
}  # fmt: skip
_MATERIAL, _SIZE, _ODD, _CUT_OFF, _CHANCE = 0.3, 0.15, 0.15, 0.2, 0.25
_TELLING = 0.3
_RECENT = (0.35, 0.15)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A visible event: its strength and size (0 to 1), the sound of its cue, and the seed that is its own."""

    strength: float
    size: float
    sound: str
    seed: int


def matched(wanted: Sequence[Wanted], events: Sequence[Event], motion: Sequence[float | None] = ()) -> list[int]:
    """The event of each of ``wanted`` (in order of time), by its place in ``events``.

    Strengths are compared by rank, because a picture's and a recording's have no common unit; where the example has
    picture, ``motion`` says how strongly each event was seen to move, and that has.
    """
    if not events:
        return []
    cost = _costs(wanted, events, motion)
    chosen: list[int] = []
    for index, one in enumerate(wanted):
        row = cost[index] + _CHANCE * stream(one.seed, 0xA7A1).random(len(events))
        for back, price in enumerate(_RECENT, 2):
            if len(chosen) >= back:
                row[chosen[-back]] += price
        if chosen and len(events) > 1:
            row[chosen[-1]] = np.inf
        chosen.append(int(row.argmin()))
    return chosen


def _costs(wanted: Sequence[Wanted], events: Sequence[Event], motion: Sequence[float | None]) -> Floats:
    """``[wanted, events]``: how ill each event suits."""
    strengths = np.array([one.strength for one in wanted])
    levels, bright = _ranks([e.level_db for e in events]), _ranks([e.brightness for e in events])
    # Strengths that hardly differ say little: their ranks would be chance.
    told = min(1.0, float(np.ptp(strengths)) / _TELLING)
    cost = told * np.abs(np.subtract.outer(_ranks(strengths), levels))
    if len(motion) == len(events):
        seen = np.array([np.nan if value is None else value for value in motion])
        apart = np.abs(np.subtract.outer(strengths, seen))
        cost = np.where(np.isnan(apart), cost, (cost + apart) / 2)
    materials = np.array([_BRIGHT.get(one.sound, 0.5) for one in wanted])
    if np.ptp(materials) > 0:
        cost += _MATERIAL * np.abs(np.subtract.outer(materials, bright))
    cost += _SIZE * np.abs(np.subtract.outer(1 - _ranks([one.size for one in wanted]), bright))
    cost += _ODD * _oddness(events)
    return np.asarray(cost + _CUT_OFF * np.array([not event.whole for event in events]))


def _ranks(values: Sequence[float] | Floats) -> Floats:
    """0 for the least to 1 for the most, equal ones alike; 0.5 where there is only one value."""
    found, place = np.unique(np.asarray(values, float), return_inverse=True)
    return place / (len(found) - 1) if len(found) > 1 else np.full(len(place), 0.5)


def _oddness(events: Sequence[Event]) -> Floats:
    """How little an event sounds like the usual one of its recording: 0 to 1."""
    bands = np.array([event.bands for event in events])
    weights = np.array([10 ** (event.level_db / 40) for event in events])
    usual = np.average(bands, axis=0, weights=weights)
    apart = np.abs(bands - usual).mean(axis=1)
    return np.asarray(np.clip(apart / 12.0, 0.0, 1.0))
