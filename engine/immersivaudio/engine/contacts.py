# SPDX-License-Identifier: AGPL-3.0-or-later
"""Foley of contacts: visible impacts become blows and steps, timed by the recorded sound where there is one."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from immersivaudio.engine.cue import Sighting, Span
from immersivaudio.engine.drafting import Draft
from immersivaudio.engine.looks import Scene, View, is_black, number

_LEAD_S = Fraction(1, 20)
_TAIL_S = {"impact.metal": Fraction(5, 2), "impact.glass": Fraction(3, 2), "footstep": Fraction(2, 5)}
_USUAL_TAIL_S = Fraction(4, 5)
_REFRACTORY_S = Fraction(12, 100)
# People accept sound from about 45 ms early to 140 ms late as belonging to what they see (see ITU-R BT.1359).
_EARLY_S, _LATE_S = -0.040, 0.140
_LAG_NEAR_S = 0.050
_WITNESS_STRENGTH = 0.25
_STEP_S = (0.28, 0.85)
_STEPS_AT_LEAST = 4
_WATERY = ("waterside", "shore", "underwater")


@dataclass(frozen=True, slots=True)
class _Hit:
    """A visible contact and the recorded attack that confirms it, if any."""

    sighting: Sighting
    scene: Scene
    at_s: Fraction
    onset: Sighting | None

    @property
    def strength(self) -> float:
        return number(self.sighting.values, "strength", 0.5)

    @property
    def confidence(self) -> float:
        base = self.sighting.confidence * (0.4 if self.scene.setting.id in _WATERY else 1.0)
        return min(0.97, base + 0.25) if self.onset is not None else base


def contacts(view: View, scenes: Sequence[Scene], least_strength: float) -> Iterator[Draft]:
    """Drafts for every visible contact; steps of one walk are one draft with many sync points."""
    hits = _thinned([hit for hit in _hits(view, scenes) if hit.strength >= least_strength])
    walks, single = _walks(hits)
    for walk in walks:
        yield _steps(walk)
    for hit in single:
        yield _blow(hit)


def lag_s(impacts: Sequence[Sighting], onsets: Sequence[Sighting]) -> float | None:
    """The constant lag of the recorded sound behind the picture, in seconds, where most impacts agree on one."""
    gaps = [
        float(onset.span.start_s - impact.span.start_s)
        for impact in impacts
        for onset in onsets
        if -0.15 <= onset.span.start_s - impact.span.start_s <= 0.25
    ]
    if len(impacts) < 3 or not gaps:
        return None
    best = max(gaps, key=lambda gap: (sum(abs(other - gap) <= _LAG_NEAR_S for other in gaps), -abs(gap)))
    near = [gap for gap in gaps if abs(gap - best) <= _LAG_NEAR_S]
    return statistics.median(near) if len(near) >= max(3, 0.6 * len(impacts)) else None


def _hits(view: View, scenes: Sequence[Scene]) -> Iterator[_Hit]:
    onsets = [onset for onset in view.all("onset") if number(onset.values, "strength") >= _WITNESS_STRENGTH]
    impacts = view.all("impact")
    lag = lag_s(impacts, onsets)
    for impact in impacts:
        scene = next((scene for scene in scenes if scene.span.contains(impact.span.start_s)), None)
        if scene is None or is_black(scene.look) or "test pattern" in scene.doubt:
            continue
        onset = _witness(impact, onsets, lag)
        yield _Hit(impact, scene, onset.span.start_s if onset else impact.span.start_s, onset)


def _witness(impact: Sighting, onsets: Sequence[Sighting], lag: float | None) -> Sighting | None:
    low, high = (_EARLY_S, _LATE_S) if lag is None else (lag - 2 * _LAG_NEAR_S, lag + 2 * _LAG_NEAR_S)
    near = [onset for onset in onsets if low <= onset.span.start_s - impact.span.start_s <= high]
    return max(near, key=lambda onset: number(onset.values, "strength"), default=None)


def _thinned(hits: Sequence[_Hit]) -> list[_Hit]:
    """One contact where several are seen at nearly one moment: the surest and strongest."""
    kept: list[_Hit] = []
    for hit in sorted(hits, key=lambda hit: -(hit.confidence * (0.3 + hit.strength))):
        if all(abs(hit.at_s - other.at_s) >= _REFRACTORY_S for other in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.at_s)


def _walks(hits: Sequence[_Hit]) -> tuple[list[list[_Hit]], list[_Hit]]:
    tracks: dict[tuple[str, Fraction], list[_Hit]] = defaultdict(list)
    for hit in hits:
        tracks[(str(hit.sighting.values.get("track", "")), hit.scene.span.start_s)].append(hit)
    walks = [track for (name, _), track in tracks.items() if name and _walks_on(track)]
    walking = {id(hit) for walk in walks for hit in walk}
    return walks, [hit for hit in hits if id(hit) not in walking]


def _walks_on(track: Sequence[_Hit]) -> bool:
    """Even, not too hard, and going somewhere: a hammer or a juggled ball is even too, but stays where it is."""
    if len(track) < _STEPS_AT_LEAST or statistics.median(hit.strength for hit in track) > 0.75:
        return False
    gaps = [float(after.at_s - before.at_s) for before, after in itertools.pairwise(track)]
    middle = statistics.median(gaps)
    even = statistics.median(abs(gap - middle) for gap in gaps) < 0.25 * middle
    boxes = [hit.sighting.box for hit in track if hit.sighting.box is not None]
    goes = len(boxes) == len(track) and abs(_middle(boxes[-1]) - _middle(boxes[0])) > 0.08
    carried = track[0].scene.look.camera.get("travel", 0.0) > 0.5
    return even and _STEP_S[0] <= middle <= _STEP_S[1] and (goes or carried)


def _middle(box: tuple[float, float, float, float]) -> float:
    return box[0] + box[2] / 2


def _steps(walk: Sequence[_Hit]) -> Draft:
    first, last = walk[0], walk[-1]
    sound = first.scene.setting.surface
    gap = statistics.median(float(b.at_s - a.at_s) for a, b in itertools.pairwise(walk))
    return Draft(
        sound,
        Span.between(first.at_s - _LEAD_S, last.at_s + _TAIL_S["footstep"]),
        f"{len(walk)} even contacts {gap:.2f} s apart move through the picture from {float(first.at_s):.2f} s: steps; "
        f"the ground is taken for {sound.split('.')[1]} ({first.scene.setting.words}).",
        statistics.mean(hit.confidence for hit in walk) * 0.9,
        tuple(hit.sighting.id for hit in walk),
        tuple(hit.at_s for hit in walk),
        {"strength": statistics.mean(hit.strength for hit in walk), "pace": 1 / gap, "distance": _distance(first)},
        pan=statistics.mean(_pan(hit) for hit in walk),
    )


def _blow(hit: _Hit) -> Draft:
    sound, material = _material(hit)
    size = number(hit.sighting.values, "size", 0.4)
    seen = float(hit.sighting.span.start_s)
    return Draft(
        sound,
        Span.between(hit.at_s - _LEAD_S, hit.at_s + _TAIL_S.get(sound, _USUAL_TAIL_S)),
        f"A contact is seen at {seen:.2f} s (confidence {hit.sighting.confidence:.2f}, strength {hit.strength:.2f})"
        f"{_timing(hit)}; {material}.",
        hit.confidence,
        tuple(sighting.id for sighting in (hit.sighting, hit.onset) if sighting is not None),
        (hit.at_s,),
        {"strength": hit.strength, "size": size, "distance": _distance(hit)},
        pan=_pan(hit),
    )


def _timing(hit: _Hit) -> str:
    if hit.onset is None:
        return ""
    lag_ms = 1000 * float(hit.at_s - hit.sighting.span.start_s)
    side = "later" if lag_ms >= 0 else "earlier"
    return f", and the recording has the attack {abs(lag_ms):.0f} ms {side}, which sets the time"


def _material(hit: _Hit) -> tuple[str, str]:
    heard = _heard_material(hit.onset) if hit.onset is not None else ""
    if heard:
        return heard, f"its recorded sound says {heard.split('.')[1]}"
    sound = hit.scene.setting.struck
    return sound, f"the material is a guess from the place ({hit.scene.setting.words})"


def _heard_material(onset: Sighting) -> str:
    """Material by the recorded attack's brightness and ring: metal and glass ring high, wood is short, cloth dull."""
    centroid, ring = number(onset.values, "centroid_hz"), number(onset.values, "decay_s")
    if centroid <= 0:
        return ""
    if centroid > 2500 and ring > 0.12:
        return "impact.metal"
    if centroid > 4500:
        return "impact.glass"
    return "impact.wood" if centroid > 900 else "impact.soft"


def _pan(hit: _Hit) -> float:
    return 0.0 if hit.sighting.box is None else 0.7 * (2 * _middle(hit.sighting.box) - 1)


def _distance(hit: _Hit) -> float:
    """Small things are taken for far ones: a tenth of the frame is near, a hundredth far."""
    if hit.sighting.box is None:
        return 0.3
    area = max(1e-4, hit.sighting.box[2] * hit.sighting.box[3])
    return max(0.05, min(0.8, 0.8 - area**0.5))
