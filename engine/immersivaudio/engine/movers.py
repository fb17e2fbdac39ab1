# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who moves on screen, by name: vehicles as moving sources, people and animals on their feet. Only with a detector."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from immersivaudio.engine.cue import Sighting, Span, tidy
from immersivaudio.engine.drafting import Draft, ringing_s
from immersivaudio.engine.evidence import touched
from immersivaudio.engine.looks import Scene, View, is_black, number, scene_at, steadiness
from immersivaudio.engine.scenery import BY_ID as SIGNS
from immersivaudio.engine.sounds import stable_seed
from immersivaudio.engine.things import VEHICLES, WALKERS
from immersivaudio.engine.tracks import path_of
from immersivaudio.engine.ways import followed
from immersivaudio.engine.wishes import ground_wished

_LEAST = 0.35
_CROSSES, _LEAST_WAY, _LEAST_SPEED = 0.35, 0.12, 0.05
_LEAD_SHARE, _LEAD_MOST_S = Fraction(35, 100), Fraction(5, 2)
_WALKS, _RUNS, _SHIFTS, _SHIFT_TIME = 0.3, 1.3, 0.08, 0.4
_MANY = 6.0
_CUPS, _CLOSE_CUP, _POUR_S, _PERHAPS = ("cup", "bowl", "wine glass"), 0.02, 3, 0.3
_GROUNDS = {"green": "footstep.grass", "earth": "footstep.gravel", "grey": "footstep.hard"}


def vehicles(view: View, scenes: Sequence[Scene]) -> Iterator[Draft]:
    """Drafts of vehicles that are followed across the picture and that the motion watcher has not taken for passing."""
    for row in view.all("object"):
        kind = str(row.values.get("kind", ""))
        scene = scene_at(scenes, row.span.start_s + row.span.duration_s / 2)
        if kind not in VEHICLES or row.confidence < _LEAST or scene is None or is_black(scene.look):
            continue
        told = any(_is_same(row, other) for other in view.near("passby", row.span))
        if not told and scene.setting.id != "drive" and _way(row) >= _LEAST_WAY:
            yield _vehicle(view, row, scene)


def _is_same(row: Sighting, other: Sighting) -> bool:
    common = row.span.overlap(other.span)
    return common is not None and common.duration_s > min(row.span.duration_s, other.span.duration_s) / 2


def _way(row: Sighting) -> float:
    """How far it goes, in frame widths; what goes away from us or comes nearer goes as well, a third of a frame when
    its distance is doubled or halved."""
    points = path_of(row)
    xs, ys, areas = zip(*(point[1:] for point in points), strict=True)
    nearer = math.log2(max(1e-5, *areas) / max(1e-5, min(areas))) / 2
    depth = min(nearer, 1.5) / 3 if number(row.values, "moving") >= 0.3 else 0.0
    return max(max(xs) - min(xs), (max(ys) - min(ys)) * 9 / 16, depth)


def _vehicle(view: View, row: Sighting, scene: Scene) -> Draft:
    kind = str(row.values["kind"])
    sound, metres, motor = VEHICLES[kind]
    crossing = min(1.0, _way(row) / _CROSSES)
    speed = number(row.values, "speed")
    clear = min(1.0, 1.2 * steadiness(view, row.span)) * min(1.0, speed / _LEAST_SPEED)
    farther = 2 if sound == "passby.aircraft" else 1
    lead = farther * min(_LEAD_MOST_S, row.span.duration_s * _LEAD_SHARE)
    start = max(Fraction(0), row.span.start_s - lead)
    closest = max(Fraction(0), Fraction(number(row.values, "closest_s", float(row.span.start_s))) - start)
    away = _away_m(row, metres)
    closest_m = max(3.0, min(150.0, away))
    return Draft(
        sound,
        Span.between(start, row.span.end_s + lead),
        f"{_one(kind)} is followed from {float(row.span.start_s):.2f} to {float(row.span.end_s):.2f} s "
        f"(confidence {row.confidence:.2f}), about {away:.0f} m away when closest ({scene.setting.words}){_but(row)}.",
        row.confidence * motor * (0.35 + 0.65 * crossing) * clear * number(row.values, "agreement", 1.0),
        (row.id,),
        params={
            "speed": min(1.0, speed * metres / max(0.05, _long_side(row)) / 30),
            "closest_s": float(closest),
            "closest_m": closest_m,
            "from_pan": 2 * number(row.values, "from_x", 0.0) - 1,
            "to_pan": 2 * number(row.values, "to_x", 1.0) - 1,
        },
        gain_db=-4.0,
        fade_in_s=float(lead) * 0.9,
        fade_out_s=float(lead) * 0.9,
        way=followed(row, start, closest_m),
    )  # fmt: skip


def _one(kind: str) -> str:
    return f"{'An' if kind[0] in 'aeiou' else 'A'} {kind}"


def _but(row: Sighting) -> str:
    also = str(row.values.get("also", ""))
    return f"; the detector took it for {also} as well" if also else ""


def _long_side(row: Sighting) -> float:
    return max(row.box[2], row.box[3] * 9 / 16) if row.box is not None else 0.2


def _away_m(row: Sighting, metres: float) -> float:
    """How far away a thing of known size is, for a lens of usual width (a frame is as wide as it is far away)."""
    return metres / max(0.02, _long_side(row))


def vessels(view: View, scenes: Sequence[Scene]) -> Iterator[Draft]:
    """Drafts of pouring, never surer than a suggestion: a cup close to the lens, held or standing still, and somebody
    busy over it. What is poured, and from what, no detector here names."""
    for row in view.all("object"):
        scene = scene_at(scenes, row.span.start_s + row.span.duration_s / 2)
        close = number(row.values, "size") >= _CLOSE_CUP and row.confidence >= 0.5
        if row.values.get("kind") not in _CUPS or not close or scene is None or is_black(scene.look):
            continue
        for busy, _ in view.within("movement", row.span):
            common = busy.span.overlap(row.span)
            people = [other for other, _ in view.within("object", busy.span) if other.values.get("kind") == "person"]
            if common is not None and common.duration_s >= _POUR_S and people and number(busy.values, "level") <= 0.5:
                yield _pouring(row, common, max(one.confidence for one in people))


def _pouring(row: Sighting, span: Span, person: float) -> Draft:
    return Draft(
        "pour",
        span,
        f"Somebody is busy over a {row.values['kind']} close to the lens (confidence {row.confidence:.2f}) from "
        f"{float(span.start_s):.2f} to {float(span.end_s):.2f} s: perhaps something is poured.",
        min(_PERHAPS, 0.4 * row.confidence * person),
        (row.id,),
        params={"intensity": 0.4, "distance": 0.15},
        fade_in_s=0.1,
        fade_out_s=0.3,
    )


def walkers(view: View, scenes: Sequence[Scene], description: str, taken: Sequence[Span]) -> Iterator[Draft]:
    """Drafts of steps: of everybody who walks by, and of many feet at once where a crowd is on its way; none in
    ``taken``, where steps are known one by one."""
    rows = [row for row in view.all("object") if row.values.get("kind") in WALKERS and row.confidence >= _LEAST]
    crowd = [row for row in rows if number(row.values, "count") >= _MANY and number(row.values, "moving") >= 0.4]
    for scene in scenes:
        if is_black(scene.look):
            continue
        here = [row for row in rows if scene.span.contains(row.span.start_s + row.span.duration_s / 2)]
        many = [row for row in here if row in crowd and number(row.values, "pace") >= _WALKS]
        if len(many) >= _MANY:
            yield _feet(view, many, scene, description)
            continue
        for row in here:
            draft = _steps(view, row, scene, description)
            if draft is not None and not any(draft.span.overlap(span) for span in taken):
                yield draft


def _steps(view: View, row: Sighting, scene: Scene, description: str) -> Draft | None:
    kind, pace, moving = str(row.values["kind"]), number(row.values, "pace"), number(row.values, "moving")
    crosses = _way(row) >= _CROSSES
    feet = row.values.get("ground", "") != ""
    if moving < _SHIFT_TIME or pace < _SHIFTS or not (crosses or feet):
        return None
    walks = pace >= _WALKS or crosses
    cadence = _cadence(kind, pace, walks)
    sound = _ground(view, row, scene, description)
    times = _even(row, cadence)
    if len(times) < 2:
        return None
    manner = "walks" if walks and pace < _RUNS else "runs" if walks else "shifts about"
    strength = (0.35 if kind == "person" else 0.12) * (1.0 if walks else 0.7)
    return Draft(
        sound,
        Span.between(times[0], times[-1] + ringing_s(sound)),
        f"{_one(kind)} {manner} from {float(row.span.start_s):.2f} to {float(row.span.end_s):.2f} s (confidence "
        f"{row.confidence:.2f}); {cadence:.1f} steps a second are told from its pace, not seen one by one; the ground "
        f"is taken for {sound.split('.')[1]}.",
        row.confidence * (0.8 if walks else 0.5) * min(1.0, 1.2 * steadiness(view, row.span)),
        (row.id,),
        times,
        {"strength": strength, "pace": cadence, "distance": _distance(row)},
        gain_db=0.0 if kind == "person" else -4.0,
        pan=0.7 * (number(row.values, "from_x", 0.5) + number(row.values, "to_x", 0.5) - 1),
    )


def _cadence(kind: str, pace: float, walks: bool) -> float:
    """Steps a second from own heights a second: a person's step is some 0.42 of the height (Winter, Biomechanics), and
    grows with speed, so that cadence changes little."""
    if kind != "person":
        return min(4.0, 2.5 + pace)
    return min(3.0, max(1.5, 1.6 + 0.6 * (pace - _WALKS))) if walks else 0.9


def _even(row: Sighting, cadence: float) -> tuple[Fraction, ...]:
    """Moments of steps: even, each a little early or late as feet are, the same whenever it is asked."""
    count = int(float(row.span.duration_s) * cadence)
    first = row.span.start_s + Fraction(1, 10)
    moments = []
    for index in range(count):
        sway = (stable_seed(row.id, str(index)) % 1000 / 1000 - 0.5) * 0.12
        moments.append(tidy(first + Fraction((index + max(0.0, sway)) / cadence)))
    return tuple(moment for moment in moments if moment < row.span.end_s)


def _feet(view: View, rows: Sequence[Sighting], scene: Scene, description: str) -> Draft:
    """Many feet at once: steps of all of them, at most twelve a second."""
    start, end = min(row.span.start_s for row in rows), max(row.span.end_s for row in rows)
    most = max(number(row.values, "count") for row in rows)
    sure = sum(row.confidence for row in rows) / len(rows)
    sound = _ground(view, max(rows, key=lambda row: row.confidence), scene, description)
    whole = Sighting("objects", "object", Span.between(start, end), sure, id=rows[0].id)
    rate = min(12.0, 1.2 * most)
    return Draft(
        sound,
        Span.between(start, end + ringing_s(sound)),
        f"About {most:.0f} people at once are in view and {len(rows)} of them are followed as they move: many feet, not "
        f"seen one by one.",
        min(0.9, sure * 0.9) * min(1.0, 1.2 * steadiness(view, whole.span)) ** 2,
        tuple(row.id for row in itertools.islice(rows, 12)),
        _even(whole, rate),
        {"strength": 0.25, "pace": 4.0, "distance": 0.6},
        gain_db=-4.0,
    )


def _ground(view: View, row: Sighting, scene: Scene, description: str) -> str:
    wished = ground_wished(description)
    if wished:
        return wished
    ground = touched(view, row.span, "footstep")
    if ground is not None:
        return SIGNS[str(ground.values["kind"])].touched
    return _GROUNDS.get(str(row.values.get("ground", "")), scene.setting.surface)


def _distance(row: Sighting) -> float:
    height = row.box[3] if row.box is not None else 0.5
    return max(0.05, min(0.8, 0.8 - 0.8 * height))
