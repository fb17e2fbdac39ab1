# SPDX-License-Identifier: AGPL-3.0-or-later
"""Trains of bounces: what falls freely back on one floor comes down sooner each time, by one ratio.

Each bounce keeps the same share of the speed (the coefficient of restitution), so the gaps between bounces shrink
geometrically. Chance does not make such a chain of four in one place; a beat, whose gaps are even, is another thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_BOUNCES, _MOST_GAP_S = 4, 2.0
_LEAST_KEPT, _MOST_KEPT = 0.5, 0.97
_LEEWAY, _ACROSS, _FLOOR = 0.06, 0.2, 0.06


@dataclass(frozen=True, slots=True)
class Landing:
    """Something that came down and was stopped or thrown up: when, where in the frame (0 to 1 each), the step of its
    pictures, and whether it is believed by itself."""

    time_s: float
    x: float
    y: float
    step_s: float
    believed: bool


def in_trains(landings: Sequence[Landing]) -> set[int]:
    """Indices of the landings, which are in order of time, that belong to a train of four and more, founded
    by three that are believed by themselves."""
    found: set[int] = set()
    for first in range(len(landings)):
        for second in range(first + 1, len(landings)):
            if landings[second].time_s - landings[first].time_s > _MOST_GAP_S:
                break
            if landings[first].believed and _founds(landings[first], landings[second]):
                found |= _train(landings, first, second)
    return found


def _train(landings: Sequence[Landing], first: int, second: int) -> set[int]:
    """The longest train that begins with two landings, nothing where it is too short."""
    gap = landings[second].time_s - landings[first].time_s
    best: list[int] = []
    for third in range(second + 1, len(landings)):
        kept = (landings[third].time_s - landings[second].time_s) / gap if gap > 0 else 1.0
        if kept > _MOST_KEPT:
            break
        if kept >= _LEAST_KEPT and _founds(landings[second], landings[third]):
            best = max(best, _followed(landings, [first, second, third], kept), key=len)
    return set(best) if len(best) >= _LEAST_BOUNCES else set()


def _followed(landings: Sequence[Landing], chain: list[int], kept: float) -> list[int]:
    """``chain`` and the landings that come when each gap is ``kept`` times the one before."""
    while True:
        last, before = landings[chain[-1]], landings[chain[-2]]
        gap = kept * (last.time_s - before.time_s)
        due, leeway = last.time_s + gap, _LEEWAY * gap + last.step_s / 4
        near = [
            i
            for i in range(chain[-1] + 1, len(landings))
            if abs(landings[i].time_s - due) <= leeway and _joins(last, landings[i])
        ]
        if not near:
            return chain
        chain.append(min(near, key=lambda i: abs(landings[i].time_s - due)))


def _founds(one: Landing, other: Landing) -> bool:
    return other.believed and _joins(one, other)


def _joins(one: Landing, other: Landing) -> bool:
    return abs(one.x - other.x) <= _ACROSS and abs(one.y - other.y) <= _FLOOR
