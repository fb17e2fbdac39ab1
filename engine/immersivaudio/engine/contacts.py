# SPDX-License-Identifier: AGPL-3.0-or-later
"""Foley of contacts: visible impacts become blows and steps, timed by the recorded sound where there is one."""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from immersivaudio.engine.cue import Sighting, Span
from immersivaudio.engine.drafting import Draft, ringing_s
from immersivaudio.engine.evidence import touched
from immersivaudio.engine.looks import Scene, View, is_black, number, scene_at, steadiness
from immersivaudio.engine.places import AIR
from immersivaudio.engine.scenery import BY_ID as SIGNS
from immersivaudio.engine.things import HEARD_MATERIALS
from immersivaudio.engine.wishes import ONCE, blows_wished, ground_wished
from immersivaudio.engine.witness import Testimony, hear

_LEAD_S = Fraction(1, 20)
_REFRACTORY_S = Fraction(12, 100)
_HEARD_BONUS, _LACKING_SHARE, _QUIET_THERE_SHARE, _WATER_SHARE = 0.25, 0.3, 0.33, 0.6
_CUT_NEAR_S, _AT_CUT_SHARE = Fraction(15, 100), 0.4
_PASSING, _PASSING_SHARE = 0.5, 0.5
_HANDS_APART, _BESIDE, _HANDS_TURNS, _GESTURE_SHARE = (0.1, 0.5), 0.05, 2, 0.3
_RHYTHM_FROM, _RHYTHM_TO, _RHYTHM_S = 0.2, 0.42, (0.25, 1.5)
_STEP_S = (0.28, 0.85)
_STEPS_AT_LEAST = 4
_WATERY = ("waterside", "shore", "underwater")
_HEARD_ALONE = 0.5
_NEAR_MOVEMENT = 0.1
_CLASS_FROM = 0.3
_RINGS_FROM_DB, _GLASSY_HZ = 16.0, 4500
_BALL = ("impact.soft", "it is a ball that is struck")


@dataclass(frozen=True, slots=True)
class _Hit:
    """A contact, seen or (``sighting`` is then the attack itself) only heard, and the attack that confirms it."""

    sighting: Sighting
    scene: Scene
    at_s: Fraction
    onset: Sighting | None
    confidence: float
    note: str = ""

    @property
    def strength(self) -> float:
        return number(self.sighting.values, "strength", 0.5)


def contacts(view: View, scenes: Sequence[Scene], least_strength: float, description: str = "") -> Iterator[Draft]:
    """Drafts for every contact; steps of one walk are one draft with many sync points."""
    testimony = hear(view)
    hits = [*_seen(view, testimony, scenes), *_only_heard(view, testimony, scenes)]
    hits = _without_gestures(_thinned([hit for hit in hits if hit.strength >= least_strength]))
    hits = _in_rhythm(hits)
    walks, single = _walks(hits)
    for walk in walks:
        yield _steps(view, walk, description)
    materials = _materials(view, single, description)
    happened = _happened(single, description)
    for hit in single:
        ball = hit.sighting.values.get("kind") == "ball"
        told = _BALL if ball else materials[hit.scene.span.start_s]
        yield _blow(hit, *happened.get(hit.at_s, told))


def _seen(view: View, testimony: Testimony, scenes: Sequence[Scene]) -> Iterator[_Hit]:
    for index, impact in enumerate(testimony.impacts):
        scene = _scene_of(scenes, impact)
        if scene is None:
            continue
        onset, said = testimony.partner.get(index), str(impact.values.get("note", ""))
        note = ""
        sure = impact.confidence * _clarity(view, scene, impact)
        if onset is not None:
            sure, note = min(0.97, max(sure, 0.3) + _HEARD_BONUS), _timing(impact, onset)
        elif testimony.consistent and index not in testimony.deaf:
            sure, note = (
                sure * _LACKING_SHARE,
                ", but the recording has nothing there, though it has the other contacts",
            )
        elif index in testimony.unheard:
            sure, note = sure * _QUIET_THERE_SHARE, ", but nothing begins there in the recording, which stays"
        yield _Hit(impact, scene, onset.span.start_s if onset else impact.span.start_s, onset, sure, said + note)


def _clarity(view: View, scene: Scene, impact: Sighting) -> float:
    """How far a contact that is seen there may be trusted: less on water, under a moving camera, at a cut, and while
    something passes, because all of these look like sudden stops."""
    at = impact.span.start_s
    clarity = steadiness(view, impact.span) * (_WATER_SHARE if scene.setting.id in _WATERY else 1.0)
    at_cut = any(0 < abs(at - look.span.start_s) < _CUT_NEAR_S for look in scene.shots if look.span.start_s > 0)
    passing = view.covers("passby", at, _PASSING)
    return clarity * (_AT_CUT_SHARE if at_cut else 1.0) * (_PASSING_SHARE if passing else 1.0)


def _only_heard(view: View, testimony: Testimony, scenes: Sequence[Scene]) -> Iterator[_Hit]:
    """Attacks that the eyes missed, believed where the other attacks were contacts, they are as strong, and
    something moves."""
    if not testimony.consistent:
        return
    usual = statistics.median(number(onset.values, "strength") for onset in testimony.partner.values())
    for onset in testimony.alone:
        scene = _scene_of(scenes, onset)
        moving = any(
            row.span.contains(onset.span.start_s) and number(row.values, "level") >= _NEAR_MOVEMENT
            for row in view.near("movement", onset.span)
        )
        if scene is not None and moving and number(onset.values, "strength") >= 0.6 * usual:
            yield _Hit(onset, scene, onset.span.start_s, onset, _HEARD_ALONE)


def _scene_of(scenes: Sequence[Scene], sighting: Sighting) -> Scene | None:
    scene = scene_at(scenes, sighting.span.start_s)
    return None if scene is None or is_black(scene.look) or "test pattern" in scene.doubt else scene


def _timing(impact: Sighting, onset: Sighting) -> str:
    lag_ms = 1000 * float(onset.span.start_s - impact.span.start_s)
    side = "later" if lag_ms >= 0 else "earlier"
    return f", and the recording has the attack {abs(lag_ms):.0f} ms {side}, which sets the time"


def _without_gestures(hits: Sequence[_Hit]) -> list[_Hit]:
    """Where nothing is recorded, two things that stop in turn beside each other indoors are more likely the hands of
    somebody who gestures or signs than tools."""
    rows: list[_Hit] = []
    for _, group in itertools.groupby(hits, key=lambda hit: hit.scene.span.start_s):
        scene_hits = list(group)
        gestures = _like_hands(scene_hits)
        rows += [_doubted(hit) if gestures else hit for hit in scene_hits]
    return rows


def _like_hands(hits: Sequence[_Hit]) -> bool:
    """Whether contacts lie on two sides of a gap, and one side follows the other and the other the one."""
    indoors = hits[0].scene.setting.indoor or hits[0].scene.setting is AIR
    order = [_middle(hit.sighting.box) for hit in hits if hit.sighting.box is not None]
    if not indoors or any(hit.onset for hit in hits) or len(order) < _HANDS_TURNS + 1:
        return False
    gap, between = max((after - before, (before + after) / 2) for before, after in itertools.pairwise(sorted(order)))
    if gap < _BESIDE:
        return False
    sides = [[x for x in order if (x > between) == right] for right in (False, True)]
    apart = statistics.median(sides[1]) - statistics.median(sides[0])
    turns = sum((before > between) != (after > between) for before, after in itertools.pairwise(order))
    return _HANDS_APART[0] <= apart <= _HANDS_APART[1] and turns >= _HANDS_TURNS


def _doubted(hit: _Hit) -> _Hit:
    note = ", but two things stop in turn beside each other, like the hands of somebody who gestures"
    return replace(hit, confidence=_GESTURE_SHARE * hit.confidence, note=hit.note + note)


def _in_rhythm(hits: Sequence[_Hit]) -> list[_Hit]:
    """Doubtful contacts that fall into the rhythm of the sure ones are believed a little more."""
    gaps = [float(after.at_s - before.at_s) for before, after in itertools.pairwise(hits)]
    usual = statistics.median(gaps) if len(gaps) >= 3 else 0.0
    if not _RHYTHM_S[0] <= usual <= _RHYTHM_S[1]:
        return list(hits)
    sure = [float(hit.at_s) for hit in hits if hit.confidence >= _RHYTHM_TO]
    return [_believed(hit, usual) if _fits_rhythm(hit, sure, usual) else hit for hit in hits]


def _fits_rhythm(hit: _Hit, sure: Sequence[float], usual: float) -> bool:
    unsure = _RHYTHM_FROM <= hit.confidence < _RHYTHM_TO and not hit.note
    return unsure and any(
        bisect.bisect_left(sure, at - 0.2 * usual) < bisect.bisect_right(sure, at + 0.2 * usual)
        for at in (float(hit.at_s) - usual, float(hit.at_s) + usual)
    )


def _believed(hit: _Hit, usual: float) -> _Hit:
    return replace(hit, confidence=_RHYTHM_TO, note=f"{hit.note}, and it falls into a rhythm of {usual:.2f} s")


def _thinned(hits: Sequence[_Hit]) -> list[_Hit]:
    """One contact where several are seen at nearly one moment: the surest and strongest."""
    kept: dict[int, _Hit] = {}
    for hit in sorted(hits, key=lambda hit: -(hit.confidence * (0.3 + hit.strength))):
        slot = int(hit.at_s / _REFRACTORY_S)
        near = [kept[other] for other in (slot - 1, slot, slot + 1) if other in kept]
        if all(abs(hit.at_s - other.at_s) >= _REFRACTORY_S for other in near):
            kept[slot] = hit
    return sorted(kept.values(), key=lambda hit: hit.at_s)


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
    even = sum(abs(gap - middle) < 0.25 * middle for gap in gaps) >= 0.75 * len(gaps)
    boxes = [hit.sighting.box for hit in track if hit.sighting.box is not None]
    goes = len(boxes) == len(track) and abs(_middle(boxes[-1]) - _middle(boxes[0])) > 0.08
    carried = track[0].scene.look.camera.get("travel", 0.0) > 0.5
    return even and _STEP_S[0] <= middle <= _STEP_S[1] and (goes or carried)


def _middle(box: tuple[float, float, float, float]) -> float:
    return box[0] + box[2] / 2


def _steps(view: View, walk: Sequence[_Hit], description: str) -> Draft:
    first, last = walk[0], walk[-1]
    ground = touched(view, Span.between(first.at_s, last.at_s), "footstep")
    told = SIGNS[str(ground.values["kind"])].touched if ground is not None else first.scene.setting.surface
    sound = ground_wished(description) or told
    gap = statistics.median(float(after.at_s - before.at_s) for before, after in itertools.pairwise(walk))
    return Draft(
        sound,
        Span.between(first.at_s - _LEAD_S, last.at_s + ringing_s(sound)),
        f"{len(walk)} even contacts {gap:.2f} s apart move through the picture from {float(first.at_s):.2f} s: steps; "
        f"the ground is taken for {sound.split('.')[1]} ({first.scene.setting.words}).",
        statistics.mean(hit.confidence for hit in walk) * 0.9,
        tuple(hit.sighting.id for hit in walk),
        tuple(hit.at_s for hit in walk),
        {"strength": statistics.mean(hit.strength for hit in walk), "pace": 1 / gap, "distance": _distance(first)},
        pan=statistics.mean(_pan(hit) for hit in walk),
    )


def _blow(hit: _Hit, sound: str, material: str) -> Draft:
    at = float(hit.sighting.span.start_s)
    seen = f"A contact is seen at {at:.2f} s (confidence {hit.sighting.confidence:.2f}, strength {hit.strength:.2f})"
    if hit.sighting is hit.onset:
        seen = f"The recording has a blow at {at:.2f} s like those that are seen, while something moves"
    return Draft(
        sound,
        Span.between(hit.at_s - _LEAD_S, hit.at_s + ringing_s(sound)),
        f"{seen}{hit.note}; {material}.",
        hit.confidence,
        tuple(dict.fromkeys(sighting.id for sighting in (hit.sighting, hit.onset) if sighting is not None)),
        (hit.at_s,),
        {
            "strength": hit.strength,
            "size": 0.25 + number(hit.sighting.values, "size", 0.15),
            "distance": _distance(hit),
        },
        pan=_pan(hit),
    )


def _materials(view: View, hits: Sequence[_Hit], description: str) -> dict[Fraction, tuple[str, str]]:
    """One material a scene, and why: your words, what glows, what the recording says, or a guess from the place."""
    groups: dict[Fraction, list[_Hit]] = defaultdict(list)
    for hit in hits:
        groups[hit.scene.span.start_s].append(hit)
    return {start: _material(view, group, description) for start, group in groups.items()}


def _happened(hits: Sequence[_Hit], description: str) -> dict[Fraction, tuple[str, str]]:
    """What your words say happens once: each at the strongest contact that is left, the surest first among equals."""
    wished = [sound for sound in blows_wished(description) if sound in ONCE]
    strongest = sorted(hits, key=lambda hit: (-hit.strength, -hit.confidence, hit.at_s))
    why = "your description has it, and this is the strongest contact for it"
    return {hit.at_s: (sound, why) for hit, sound in zip(strongest, wished, strict=False)}


def _material(view: View, hits: Sequence[_Hit], description: str) -> tuple[str, str]:
    scene = hits[0].scene
    wished = [sound for sound in blows_wished(description) if sound not in ONCE]
    if wished:
        return wished[0], "it follows your description"
    if len(hits) >= 2 and scene.look.sees("fire") >= 0.2:
        return "impact.metal", "something glows where it is struck, so the material is taken for hot metal"
    named_class = _class_material(view, scene.span)
    if named_class is not None:
        kind, material = str(named_class.values["kind"]), HEARD_MATERIALS[str(named_class.values["kind"])]
        return material, f"{kind} is heard in the recording ({named_class.confidence:.2f}), which names the material"
    seen = touched(view, scene.span, "impact")
    if seen is not None:
        sign = SIGNS[str(seen.values["kind"])]
        return sign.touched, f"the picture shows {sign.phrase} ({seen.confidence:.2f}), which names the material"
    heard = _heard_material([hit.onset for hit in hits if hit.onset is not None])
    if heard:
        return heard, f"its recorded sound makes {heard.split('.')[1]} the best guess for the material"
    return scene.setting.struck, f"the material is a guess from the place ({scene.setting.words})"


def _class_material(view: View, span: Span) -> Sighting | None:
    """The surest class in the recording that names a material."""
    rows = [row for row, _ in view.within("heard", span) if row.values.get("kind") in HEARD_MATERIALS]
    return max((row for row in rows if row.confidence >= _CLASS_FROM), key=lambda row: row.confidence, default=None)


def _heard_material(onsets: Sequence[Sighting]) -> str:
    """Material by the attacks' usual brightness and ring: metal and glass ring, wood is short, cloth dull."""
    bright = [number(onset.values, "centroid_hz") for onset in onsets if "centroid_hz" in onset.values]
    if not bright:
        return ""
    centroid = statistics.median(bright)
    if statistics.median(number(onset.values, "ring_db") for onset in onsets) >= _RINGS_FROM_DB:
        return "impact.glass" if centroid > _GLASSY_HZ else "impact.metal"
    return "impact.wood" if centroid > 1200 else "impact.soft"


def _pan(hit: _Hit) -> float:
    return 0.0 if hit.sighting.box is None else 0.7 * (2 * _middle(hit.sighting.box) - 1)


def _distance(hit: _Hit) -> float:
    """Small movers are taken for far ones."""
    share = number(hit.sighting.values, "size", 0.1)
    return max(0.05, min(0.7, 0.6 - 1.2 * max(0.0, share) ** 0.5))
