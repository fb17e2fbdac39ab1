# SPDX-License-Identifier: AGPL-3.0-or-later
"""Things that pass and people that move: vehicles as moving sources, clothes as a faint rustle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from immersivaudio.engine.cue import Sighting, Span
from immersivaudio.engine.drafting import Draft
from immersivaudio.engine.looks import Scene, View, is_black, number, scene_at, steadiness
from immersivaudio.engine.ways import followed
from immersivaudio.engine.wishes import passing_wished

# How far a pass-by is heard before it enters and after it has left the picture, as a share of its time in it.
_PERSISTENCE, _PERSISTENCE_MOST_S = 0.35, Fraction(5, 2)
_TALL = 0.8
_CUT_S = Fraction(15, 100)
_FAIR_CROSSING, _FILLS_FROM = 0.6, 0.5
_FRAME_ASPECT = 16 / 9
_VEHICLE_PLACES = {"road": 1.0, "street": 1.0, "air": 0.75, "snow": 0.5, "sand": 0.5, "green": 0.45, "sky": 0.7}
_MISSED_PLACES = ("road", "street", "air", "sky")
_CLOTH_PLACES = ("room", "air")
_CLOTH_AT_LEAST_S = Fraction(1)


def passbys(view: View, scenes: Sequence[Scene]) -> Iterator[Draft]:
    """Drafts of what passes; their confidence falls where vehicles are not likely."""
    for sighting in view.all("passby"):
        scene = scene_at(scenes, sighting.span.start_s + sighting.span.duration_s / 2)
        if scene is not None and not is_black(scene.look):
            yield _passby(sighting, scene, _clarity(view, scene, sighting))


def as_described(drafts: Iterable[Draft], description: str) -> Iterator[Draft]:
    """Things that pass and that nobody has named, as what your words name."""
    said = passing_wished(description)
    for draft in drafts:
        if said and draft.sound != said:
            draft = replace(draft, sound=said, why=f"{draft.why[:-1]}; your description says what it is.")
        yield draft


def _clarity(view: View, scene: Scene, sighting: Sighting) -> float:
    """How far what seems to pass may be trusted: it must cross a good part of the picture of a still camera, within
    one shot, without filling the picture."""
    clarity = min(1.0, 1.4 * steadiness(view, sighting.span) ** 1.5)
    if any(sighting.span.start_s + _CUT_S < look.span.start_s < sighting.span.end_s - _CUT_S for look in scene.shots):
        clarity *= 0.3
    values = sighting.values
    way = [
        abs(number(values, f"to_{axis}", number(values, f"from_{axis}")) - number(values, f"from_{axis}"))
        for axis in "xy"
    ]
    clarity *= min(1.0, max(way) / _FAIR_CROSSING)
    filling = number(values, "size", 0.05) > _FILLS_FROM and scene.setting.id not in _MISSED_PLACES[:2]
    return clarity * (0.5 if filling else 1.0)


def missed_passbys(view: View, scenes: Sequence[Scene]) -> Iterator[Draft]:
    """Movement that the tracker could not follow, between others that pass in the same place: probably one more."""
    for scene in scenes:
        passes = [row for row, _ in view.within("passby", scene.span)]
        passes = [row for row in passes if row.confidence * _clarity(view, scene, row) >= 0.5]
        if not passes or scene.setting.id not in _MISSED_PLACES:
            continue
        usual_s = sum(float(row.span.duration_s) for row in passes) / len(passes)
        for row, _ in view.within("movement", scene.span):
            alike = 0.5 * usual_s <= float(row.span.duration_s) <= 2.5 * usual_s
            if alike and not any(row.span.overlap(other.span) for other in passes):
                yield _passby(_as_passby(row, passes), scene, 1.0)


def _as_passby(row: Sighting, passes: Sequence[Sighting]) -> Sighting:
    like = max(passes, key=lambda other: other.confidence)
    x = number(row.values, "x", 0.5)
    values = {"from_x": x, "to_x": x, "size": number(like.values, "size", 0.05), "speed": number(like.values, "speed")}
    return Sighting(row.watcher, "passby", row.span, min(0.6, 0.8 * like.confidence), None, values, row.id)


def _passby(sighting: Sighting, scene: Scene, clarity: float) -> Draft:
    sound, likely, reason = _vehicle(sighting, scene)
    lead = min(_PERSISTENCE_MOST_S, sighting.span.duration_s * Fraction(_PERSISTENCE))
    start = max(Fraction(0), sighting.span.start_s - lead)
    closest = Fraction(
        number(sighting.values, "closest_s", float(sighting.span.start_s + sighting.span.duration_s / 2))
    )
    closest_m = max(3.0, min(80.0, 2.0 / max(number(sighting.values, "size", 0.05), 1e-3) ** 0.5))
    return Draft(
        sound,
        Span.between(start, sighting.span.end_s + lead),
        f"Something passes from {float(sighting.span.start_s):.2f} to {float(sighting.span.end_s):.2f} s, closest at "
        f"{float(closest):.2f} s (confidence {sighting.confidence:.2f}); {reason}; heard a little before it enters and "
        f"after it leaves{sighting.values.get('note', '')}.",
        sighting.confidence * likely * clarity,
        (sighting.id,),
        params={
            "speed": number(sighting.values, "speed", 0.4),
            "closest_s": float(max(Fraction(0), closest - start)),
            "closest_m": closest_m,
            "from_pan": 2 * number(sighting.values, "from_x", 0.0) - 1,
            "to_pan": 2 * number(sighting.values, "to_x", 1.0) - 1,
        },
        gain_db=-4.0,
        fade_in_s=float(lead) * 0.9,
        fade_out_s=float(lead) * 0.9,
        way=followed(sighting, start, closest_m),
    )


def _vehicle(sighting: Sighting, scene: Scene) -> tuple[str, float, str]:
    if scene.setting.id == "sky" and scene.confidence >= 0.5:
        return "passby.aircraft", _VEHICLE_PLACES["sky"], "against open sky it is taken for an aircraft"
    likely = _VEHICLE_PLACES.get(scene.setting.id, 0.3)
    if sighting.box is not None and sighting.box[3] > 0 and _FRAME_ASPECT * sighting.box[2] / sighting.box[3] < _TALL:
        return "passby.car", likely * 0.4, "it is taller than wide, so a person more likely than a vehicle"
    if likely < 0.6:
        return "passby.car", likely, f"{scene.setting.words} makes a vehicle unlikely"
    return "passby.car", likely, f"the place ({scene.setting.words}) fits a slow vehicle"


def rustle(view: View, scenes: Sequence[Scene], taken: Sequence[Span], recorded: bool) -> Iterator[Draft]:
    """Faint cloth under a person's movement in a room; nothing where a contact or a pass-by already says it,
    and only as a suggestion where the recorded sound stays and has it anyway."""
    for scene in scenes:
        if scene.setting.id not in _CLOTH_PLACES or is_black(scene.look) or "test pattern" in scene.doubt:
            continue
        moves = [row for row, _ in view.within("movement", scene.span) if _like_a_body(row)]
        for row in moves:
            span = row.span.overlap(scene.span)
            if span is None or span.duration_s < _CLOTH_AT_LEAST_S or any(span.overlap(other) for other in taken):
                continue
            yield _cloth(row, span, scene, 0.5 if recorded else 1.0)


def _like_a_body(row: Sighting) -> bool:
    return 0.01 <= number(row.values, "area") <= 0.2 and 0.05 < number(row.values, "level") <= 0.7


def _cloth(row: Sighting, span: Span, scene: Scene, needed: float) -> Draft:
    level = number(row.values, "level", 0.3)
    indoors = 0.75 if scene.setting.indoor else 0.35
    return Draft(
        "cloth",
        span,
        f"Something the size of a person moves from {float(span.start_s):.2f} to {float(span.end_s):.2f} s without "
        f"touching anything (confidence {row.confidence:.2f}): at most clothes rustle, no voice.",
        row.confidence * indoors * needed,
        (row.id,),
        params={"intensity": min(1.0, 0.2 + level), "distance": 0.3},
        pan=0.6 * (2 * number(row.values, "x", 0.5) - 1),
        fade_in_s=0.15,
        fade_out_s=0.3,
    )
