# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which possible contacts are impacts: what speaks for each by itself, then its neighbours and its rhythm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from immersivaudio.engine.watchers._impacts import Contact

_REFRACTORY_S = 0.2
_LEAST = 0.12
_WEIGHTS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "brake": (0.00, 5.17, 1.27, 7.96, 1.48, 24.15, 1.10, 0.10, -0.40, 5.95, -1.81, -1.87, -1.11, 2.19, -23.47),
        "arrival": (0.00, 4.54, 1.13, 8.12, 1.49, 21.94, 1.00, 0.34, -0.55, 5.59, -1.61, 2.37, -0.69, 0.95, -21.35),
    }
)
_FORCE = MappingProxyType({"brake": 0.5, "arrival": 0.06})


@dataclass(frozen=True, slots=True)
class Impact:
    """A contact that is believed: its odds (logit), its period in seconds where it is rhythmic (else 0), its locus."""

    contact: Contact
    odds: float
    period_s: float = 0.0
    locus: int = 0

    @property
    def confidence(self) -> float:
        return float(1.0 / (1.0 + np.exp(-self.odds)))


def judge(found: Sequence[Contact]) -> list[Impact]:
    """The impacts among possible contacts, in order of time, one at a time (nothing is struck twice in 0.2 s)."""
    kept: list[Impact] = []
    for impact in sorted((Impact(contact, odds(contact)) for contact in found), key=lambda i: -i.odds):
        if impact.confidence < _LEAST / 2:
            break
        if all(abs(impact.contact.time_s - other.contact.time_s) > _REFRACTORY_S for other in kept):
            kept.append(impact)
    steady = with_rhythm(sorted(kept, key=lambda i: i.contact.time_s))
    return _with_loci([impact for impact in steady if impact.confidence >= _LEAST])


def features(contact: Contact) -> tuple[float, ...]:
    """What the weights weigh: fourteen numbers of a contact."""
    return (
        float(np.log(max(contact.speed, 0.05))),
        min(contact.lost, 1.5),
        contact.down,
        contact.sharpness,
        contact.alone,
        min(contact.edge, 0.2),
        max(0.0, 1.0 - contact.before / 0.5),
        float(np.log(contact.peak)),
        min(contact.ramp, 1.5),
        float(np.clip(contact.drift, -0.5, 0.5)),
        float(np.log(contact.size + 0.005)),
        min(contact.after, 1.0),
        min(contact.before, 1.2),
        min(contact.trail, 1.0),
    )


def odds(contact: Contact) -> float:
    """Log odds that a contact is an impact, by itself.

    The weights are a logistic regression over drawn scenes alone (bench/fit_impacts.py), signs held to what physics
    says. ``force``, the momentum lost, and the camera's unrest are priors that drawn scenes cannot teach: in real
    pictures nearly everything stops gently, and a shaken camera makes contacts out of nothing.
    """
    *weights, bias = _WEIGHTS[contact.kind]
    learnt = float(np.dot(weights, features(contact))) + bias
    force = contact.peak * max(contact.lost, 0.6) / _FORCE[contact.kind]
    unrest = min(4.0, 10.0 * contact.jolt) + min(4.0, 8.0 * contact.going)
    return min(learnt, 4.0) + float(np.clip(4.0 * np.log(force), -6.0, 2.0)) - unrest - 0.5


def with_rhythm(impacts: Sequence[Impact]) -> list[Impact]:
    """Where a beat runs through the impacts, believe more what is on it and less what is off it."""
    chain, period = _beat(impacts)
    if not chain:
        return list(impacts)
    first, last = impacts[chain[0]].contact.time_s - period / 2, impacts[chain[-1]].contact.time_s + period / 2
    told = []
    for index, impact in enumerate(impacts):
        if index in chain:
            told.append(replace(impact, odds=impact.odds + 1.0, period_s=period))
        elif first < impact.contact.time_s < last:
            told.append(replace(impact, odds=impact.odds - 2.0))
        else:
            told.append(impact)
    return told


def _beat(impacts: Sequence[Impact]) -> tuple[list[int], float]:
    """The best even chain: indices of its impacts and its period; empty where none of four or more is found."""
    times = [impact.contact.time_s for impact in impacts]
    best: tuple[float, list[int], float] = (0.0, [], 0.0)
    for first in range(len(times)):
        for second in range(first + 1, min(first + 6, len(times))):
            period = times[second] - times[first]
            if 0.25 <= period <= 1.8:
                chain = _follow(times, first, second)
                missed = (times[chain[-1]] - times[chain[0]]) / period + 1 - len(chain)
                value = sum(impacts[i].confidence for i in chain) - 0.7 * missed
                best = max(best, (value, chain, period))
    _, chain, _ = best
    if len(chain) < 4:
        return [], 0.0
    return chain, float(np.median(np.diff([times[i] for i in chain])))


def _follow(times: Sequence[float], first: int, second: int) -> list[int]:
    """The chain that goes on from two impacts in equal steps, each step free to correct the beat a little."""
    chain, period = [first, second], times[second] - times[first]
    due, skipped = times[second] + period, 0
    while due <= times[-1] + 0.1 * period and skipped < 2:
        nearest = min(range(len(times)), key=lambda i: abs(times[i] - due))
        if nearest > chain[-1] and abs(times[nearest] - due) <= 0.08 * period + 0.02:
            chain.append(nearest)
            due, skipped = times[nearest] + period, 0
        else:
            due, skipped = due + period, skipped + 1
    return chain


def _with_loci(impacts: Sequence[Impact]) -> list[Impact]:
    """Number the places: impacts within a sixth of the frame of each other share a locus."""
    places: list[tuple[float, float]] = []
    told = []
    for impact in impacts:
        x, y = impact.contact.x, impact.contact.y
        near = [i for i, (px, py) in enumerate(places) if abs(px - x) + abs(py - y) < 0.3]
        if not near:
            places.append((x, y))
        told.append(replace(impact, locus=near[0] if near else len(places) - 1))
    return told
