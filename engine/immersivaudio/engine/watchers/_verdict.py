# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which possible contacts are impacts: what speaks for each by itself, then its neighbours and its rhythm."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from immersivaudio.engine.watchers._bounces import Kink, Ways
from immersivaudio.engine.watchers._gaits import Footfall, footfalls
from immersivaudio.engine.watchers._impacts import Contact
from immersivaudio.engine.watchers._movers import Mover

_REFRACTORY_S = 0.2
_LEAST = 0.12
_HOPELESS, _NEVER = -3.5, -8.0
_TOO_FAR = 0.05
_EACH = 0.35
_WEIGHTS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "brake": (0.00, 5.17, 1.27, 7.96, 1.48, 24.15, 1.10, 0.10, -0.40, 5.95, -1.81, -1.87, -1.11, 2.19, -23.47),
        "arrival": (0.00, 4.54, 1.13, 8.12, 1.49, 21.94, 1.00, 0.34, -0.55, 5.59, -1.61, 2.37, -0.69, 0.95, -21.35),
    }
)
_AROUND = (0.67, -0.63, 1.31, -3.42, 2.57, 1.92, -1.42, -2.1)
_SEEN_WITHIN_S, _AGREED, _GLIDES = 0.1, 0.5, 1.0
_KEPT, _SPENT = 10.0, 2.0
_TIMES = -0.4  # less sure, a kink does not know the moment better than the flow
_SURER, _TREADS = 2.0, 1.5
_FORCE = MappingProxyType({"brake": 0.5, "arrival": 0.07})


@dataclass(frozen=True, slots=True)
class Impact:
    """A contact that is believed: its odds (logit), its period in seconds where it is rhythmic (else 0), its locus, and
    the number of the walker whose step it is (0: nobody's)."""

    contact: Contact
    odds: float
    period_s: float = 0.0
    locus: int = 0
    walker: int = 0

    @property
    def confidence(self) -> float:
        return float(1.0 / (1.0 + np.exp(-self.odds)))


def judge(found: Sequence[Contact], movers: Sequence[Mover] = ()) -> list[Impact]:
    """The impacts among possible contacts, in order of time, one at a time (nothing is struck twice in 0.2 s)."""
    ways = Ways.of(movers)
    told = [_weighed(Impact(contact, sure), ways) for contact in found if (sure := odds(contact)) > _NEVER]
    told += [Impact(_contact(kink), sure) for kink, sure in ways.kinks]
    possible = [impact for impact in told if impact.odds > _HOPELESS]
    kept: list[Impact] = []
    for passage in _passages(sorted(possible, key=lambda i: i.contact.time_s)):
        beat = _beat(_apart(passage), passage)
        kept += [_timed(impact, passage) for impact in _apart([_on_beat(impact, beat) for impact in passage])]
    kept = _with_loci([impact for impact in kept if impact.confidence >= _LEAST])
    return _with_steps(kept, movers)


def _with_steps(impacts: Sequence[Impact], movers: Sequence[Mover]) -> list[Impact]:
    """Steps of those who walk, instead of what their limbs seemed to strike meanwhile."""
    walks = [steps for mover in movers if (steps := footfalls(mover))]
    falls = [step for steps in walks for step in steps]
    told = [impact for impact in impacts if not any(_of_step(impact, step) for step in falls)]
    told += [Impact(_step(step), step.odds, step.pace_s, 0, i + 1) for i, steps in enumerate(walks) for step in steps]
    return sorted(told, key=lambda impact: impact.contact.time_s)


def _of_step(impact: Impact, step: Footfall) -> bool:
    contact = impact.contact
    near = abs(contact.time_s - step.time_s) <= step.pace_s / 2 and abs(contact.x - step.x) <= 0.5 * step.tall
    return near and impact.odds < step.odds + _SURER


def _step(step: Footfall) -> Contact:
    edge = min(step.x, step.y, 1 - step.x, 1 - step.y)
    numbers = (step.time_s, step.x, step.y, max(_TREADS * step.tall, step.speed), 1.0, 1.0, step.area)
    return Contact("step", *numbers, 1.0, 1.0, 0.0, 0.0, 0.0, edge, step.speed, 0.0, 0.0, 1.0, 0.0, 0.0, step.pace_s)


def is_possible(contact: Contact) -> bool:
    """Whether a contact may still become an impact by what else is seen; the others need not be remembered."""
    return odds(contact) > _NEVER


def _weighed(impact: Impact, ways: Ways) -> Impact:
    """What the silhouettes say of a contact that the flow saw: believe those that they see as well a little more, and
    hardly believe those where they see a thing go smoothly on (the top of a throw, the turn of a swing)."""
    contact = impact.contact
    seen = ways.near(contact.time_s, contact.x, contact.y, max(_SEEN_WITHIN_S, 1.6 * contact.step_s))
    if seen is not None and seen[1] > -1.0:
        kink, sure = seen
        told = _contact(kink) if sure > min(_TIMES, impact.odds) else contact
        better = replace(contact, time_s=told.time_s, speed=told.speed, lost=told.lost, down=told.down)
        return replace(impact, contact=better, odds=max(impact.odds, sure) + _AGREED)
    if ways.glides(contact.time_s, (contact.x, contact.y), contact.speed, contact.down):
        return replace(impact, odds=impact.odds - _GLIDES)
    return impact


def _contact(kink: Kink) -> Contact:
    """A kink in the words of a contact; what only the flow can tell is left at what says nothing."""
    edge = min(kink.x, kink.y, 1 - kink.x, 1 - kink.y)
    down = kink.before[1] / max(1e-6, kink.speed)
    numbers = (kink.time_s, kink.x, kink.y, kink.speed, min(2.0, kink.lost), down, kink.area)
    return Contact("kink", *numbers, 1.0, 1.0, 0.0, 0.0, 0.0, edge, kink.jump, 0.0, 0.0, 1.0, 0.0, 0.0, kink.step_s)


def _passages(impacts: Sequence[Impact]) -> Iterator[list[Impact]]:
    """Stretches parted by three quiet seconds, half a minute at most: a beat does not outlive them."""
    passage: list[Impact] = []
    for impact in impacts:
        time = impact.contact.time_s
        if passage and (time - passage[-1].contact.time_s > 3.0 or time - passage[0].contact.time_s > 30.0):
            yield passage
            passage = []
        passage.append(impact)
    if passage:
        yield passage


def _timed(impact: Impact, possible: Sequence[Impact]) -> Impact:
    """The time of the arrival instead, where a stroke goes too far in a frame for the flow to time its end."""
    stroke = impact.contact
    if stroke.kind != "brake" or stroke.speed * stroke.step_s < _TOO_FAR:
        return impact
    arrivals = [
        other
        for other in possible
        if other.contact.kind == "arrival"
        and 0.0 < other.contact.time_s - stroke.time_s < 1.6 * stroke.step_s
        and abs(other.contact.x - stroke.x) + abs(other.contact.y - stroke.y) < 0.35
        and other.odds > impact.odds - 3.0
    ]
    if not arrivals:
        return impact
    best = max(arrivals, key=lambda other: other.odds)
    return replace(impact, contact=replace(stroke, time_s=best.contact.time_s))


def _apart(impacts: Sequence[Impact]) -> list[Impact]:
    """The likeliest of each fifth of a second, in order of time."""
    kept: list[Impact] = []
    for impact in sorted(impacts, key=lambda i: -i.odds):
        at = bisect([other.contact.time_s for other in kept], impact.contact.time_s)
        near = kept[max(0, at - 1) : at + 1]
        if all(abs(impact.contact.time_s - other.contact.time_s) > _REFRACTORY_S for other in near):
            kept.insert(at, impact)
    return kept


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
    """Log odds that a contact is an impact, by itself: ``likeness``, then how the braking lies in the motion around it
    (a logistic regression over drawn films with even seeds: bench/fit_contacts.py)."""
    first = likeness(contact)
    if contact.kind != "brake" or first < _NEVER:
        return first
    *weights, bias = _AROUND
    return float(np.dot(weights, surroundings(contact, first))) + bias


def surroundings(contact: Contact, first: float) -> tuple[float, ...]:
    """What the second weights of a braking weigh: ``first``, its likeness, and how it lies in the motion around it."""
    stride = float(np.log(100.0 * contact.speed * contact.step_s + 0.1))
    around = (contact.mirror, contact.alone, min(1.0, contact.after), contact.full, contact.broke)
    return (first, *around, stride)


def likeness(contact: Contact) -> float:
    """How much a contact looks like an impact at its place and moment, as log odds.

    The weights are a logistic regression over drawn scenes alone (bench/fit_impacts.py), signs held to what physics
    says. ``force``, the momentum lost, and the camera's unrest are priors that drawn scenes cannot teach: in real
    pictures nearly everything stops gently, and a shaken camera makes contacts out of nothing.
    """
    *weights, bias = _WEIGHTS[contact.kind]
    learnt = float(np.dot(weights, features(contact))) + bias
    force = contact.peak * max(contact.lost, 0.6) / _FORCE[contact.kind]
    unrest = min(2.0, 6.0 * contact.jolt) + min(2.5, 6.0 * contact.going)
    frozen = 1.5 if contact.after < 0.01 else 0.0  # all change ends at once: the recorder stopped, not the hammer
    tiny = 2.0 * max(0.0, float(np.log(0.012 / (contact.size + 1e-3))))
    return (
        min(learnt, 4.0)
        + float(np.clip(4.0 * np.log(force), -6.0, 2.0))
        - unrest
        - tiny
        - frozen
        - _smooth(contact)
        - 0.8
    )


def _smooth(contact: Contact) -> float:
    """Against contacts whose surroundings keep their momentum (the flow was hidden or misread, behind a door that opens,
    along a rod that swings), or had lost it before (a gesture turns). A jerk leaves none of it and takes all of it."""
    if contact.kind != "brake":
        return 0.0
    return _KEPT * max(0.0, 1.0 - contact.broke / 0.85) + _SPENT * max(0.0, 1.0 - contact.full / 0.6)


@dataclass(frozen=True, slots=True)
class Beat:
    """An even chain of moments, where beats that nothing was seen on are filled in."""

    times_s: tuple[float, ...]
    period_s: float


def _on_beat(impact: Impact, beat: Beat | None) -> Impact:
    """Believe more what is on the beat and less what is off it."""
    time = impact.contact.time_s
    if beat is None or not beat.times_s[0] - beat.period_s / 2 < time < beat.times_s[-1] + beat.period_s / 2:
        return impact
    off = min(abs(time - moment) for moment in beat.times_s)
    if off > 0.12 * beat.period_s:
        return replace(impact, odds=impact.odds - (2.5 if len(beat.times_s) >= 6 else 1.5))
    return replace(impact, odds=impact.odds + 1.5 - 10.0 * off / beat.period_s, period_s=beat.period_s)


def _beat(impacts: Sequence[Impact], possible: Sequence[Impact]) -> Beat | None:
    """The best even chain of four or more, twice as fast where what is possible speaks for it."""
    times = [impact.contact.time_s for impact in impacts]
    best: tuple[float, list[int], float] = (0.0, [], 0.0)
    for first in range(len(times)):
        for second in range(first + 1, min(first + 6, len(times))):
            period = times[second] - times[first]
            if 0.3 <= period <= 1.8:
                chain = _follow(times, first, second)
                missed = (times[chain[-1]] - times[chain[0]]) / period + 1 - len(chain)
                best = max(best, (sum(_worth(impacts[i]) for i in chain) - 0.7 * missed, chain, period))
    worth, chain, period = best
    if len(chain) < 4 or worth < _EACH * len(chain):
        return None
    moments = _filled([times[i] for i in chain], period)
    halves = [(a + b) / 2 for a, b in pairwise(moments)]
    told = sum(any(abs(i.contact.time_s - h) < 0.05 * period and i.odds > -1.5 for i in possible) for h in halves)
    if period >= 0.6 and told >= 0.7 * len(halves):
        moments, period = sorted([*moments, *halves, moments[-1] + period / 2]), period / 2
    beat = Beat(tuple(moments), period)
    return beat if _rules(beat, impacts, possible) else None


def _rules(beat: Beat, impacts: Sequence[Impact], possible: Sequence[Impact]) -> bool:
    """Whether a beat holds most of what happens while it lasts; else the evenness is chance."""
    first, last = beat.times_s[0] - 0.1, beat.times_s[-1] + 0.1
    aside = sum(_worth(i) for i in impacts if first < i.contact.time_s < last and not _near(i, beat))
    held = sum(
        max((_worth(i) for i in possible if abs(i.contact.time_s - m) < 0.1 * beat.period_s), default=0.0)
        for m in beat.times_s
    )
    return held >= 1.2 * aside


def _near(impact: Impact, beat: Beat) -> bool:
    return min(abs(impact.contact.time_s - moment) for moment in beat.times_s) <= 0.12 * beat.period_s


def _worth(impact: Impact) -> float:
    """What an impact is worth in a chain: strokes go down or across, recoils go up."""
    return impact.confidence * (0.5 if impact.contact.down < -0.5 else 1.0)


def _filled(moments: Sequence[float], period: float) -> list[float]:
    """A chain with its missing beats laid in evenly."""
    told = [moments[0]]
    for before, after in pairwise(moments):
        steps = max(1, round((after - before) / period))
        told += [before + (after - before) * i / steps for i in range(1, steps + 1)]
    return told


def _follow(times: Sequence[float], first: int, second: int) -> list[int]:
    """The chain that goes on from two impacts in equal steps, each step free to correct the beat a little."""
    chain, period = [first, second], times[second] - times[first]
    due, skipped = times[second] + period, 0
    while due <= times[-1] + 0.1 * period and skipped < 2:
        nearest = min(range(len(times)), key=lambda i: abs(times[i] - due))
        if nearest > chain[-1] and abs(times[nearest] - due) <= 0.08 * period + 0.035:
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
