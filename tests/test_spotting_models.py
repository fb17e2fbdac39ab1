# SPDX-License-Identifier: AGPL-3.0-or-later
"""Spotting with a detector and a classifier, on sightings written by hand: what they add, and what they must not do."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from test_spotting import check, edit_of, impacts, parking, place, random_sightings, saw, sounds, stem

from immersivaudio.engine.cue import ParamValue, Sighting, Stem
from immersivaudio.engine.ensemble import weigh
from immersivaudio.engine.places import KINDS
from immersivaudio.engine.sounds import BY_ID
from immersivaudio.engine.spotting import spot
from immersivaudio.engine.things import (
    HEARD_MATERIALS,
    HEARD_PLACES,
    HEARD_SOUNDS,
    THING_PLACES,
    TOUCHED,
    VEHICLES,
    WALKERS,
)
from immersivaudio.engine.tracks import box_at
from immersivaudio.engine.watchers._boxes import COCO


def thing(kind: str, start: float, end: float, sure: float = 0.85, **values: ParamValue) -> Sighting:
    """A thing that stays in the middle unless its values say otherwise."""
    usual: dict[str, ParamValue] = {
        "from_x": 0.5, "to_x": 0.5, "from_y": 0.5, "to_y": 0.5, "size": 0.09, "speed": 0.0, "pace": 0.0, "moving": 0.0,
        "count": 1.0, "agreement": 1.0, "also": "", "ground": "grey", "closest_s": (start + end) / 2,
    }  # fmt: skip
    row = saw("object", start, end, sure, **{**usual, **values, "kind": kind})
    return replace(row, watcher="objects", box=(0.35, 0.35, 0.3, 0.3))


def heard(kind: str, start: float, end: float, sure: float = 0.7) -> Sighting:
    return replace(saw("heard", start, end, sure, kind=kind, score=sure), watcher="tagging")


CROSSING: dict[str, ParamValue] = {"from_x": 0.05, "to_x": 0.95, "speed": 0.3, "moving": 1.0, "pace": 0.9}


def test_without_models_every_sighting_passes_through() -> None:
    seen = [*parking(), *impacts([1.0, 2.0]), saw("speech", 1, 3)]
    assert weigh(edit_of(30), seen) == seen


@pytest.mark.parametrize(
    ("kind", "sound"), [("car", "passby.car"), ("train", "passby.train"), ("airplane", "passby.aircraft")]
)
def test_a_vehicle_that_is_followed_is_one_moving_source(kind: str, sound: str) -> None:
    row = thing(kind, 3, 6, **CROSSING)
    (passing,) = stem(spot(edit_of(10), [place("road", 0, 10), row]), Stem.EFFECTS)
    assert passing.sound == sound
    assert (passing.params["from_pan"], passing.params["to_pan"]) == pytest.approx((-0.9, 0.9))
    assert float(passing.span.start_s) + float(passing.params["closest_s"]) == pytest.approx(4.5)
    assert passing.span.start_s < 3
    assert passing.span.end_s > 6
    assert passing.fade_out_s > 0


def test_a_parked_car_is_silent() -> None:
    assert not stem(spot(edit_of(10), [place("road", 0, 10), thing("car", 0, 10)]), Stem.EFFECTS)


def test_who_sees_the_same_car_twice_hears_it_once_and_surer() -> None:
    way = {"from_x": 0.2, "to_x": 0.2, "from_y": 1.0, "to_y": 0.0, "moving": 1.0, "speed": 0.3}
    alone = [cue for cue in spot(edit_of(30), parking()).cues if cue.sound == "passby.car"]
    both = [
        cue for cue in spot(edit_of(30), [*parking(), thing("car", 4.6, 8.4, **way)]).cues if cue.stem is Stem.EFFECTS
    ]
    assert len(alone) == len(both) == 3
    assert both[0].confidence > alone[0].confidence
    assert "agrees" in both[0].why


def test_a_wrong_name_does_not_silence_what_moves_along_a_road() -> None:
    way = {"from_x": 0.2, "to_x": 0.2, "from_y": 1.0, "to_y": 0.0, "moving": 1.0, "speed": 0.3}
    sheet = spot(edit_of(30), [*parking(), thing("cell phone", 4.6, 8.4, **way)])
    first = next(cue for cue in sheet.cues if cue.sound == "passby.car")
    assert "cell phone" in first.why
    assert "does not go with" in first.why


def test_a_person_who_passes_is_steps_and_no_car() -> None:
    passes = saw("passby", 2, 5, sure=0.8, from_x=0.05, to_x=0.95, size=0.1, speed=0.3, closest_s=3.5)
    sheet = spot(edit_of(8), [place("road", 0, 8), passes, thing("person", 2, 5, **CROSSING)])
    assert "passby.car" not in sounds(sheet.cues)
    (steps,) = stem(sheet, Stem.FOLEY)
    assert steps.sound == "footstep.hard"
    assert all(2 <= moment <= 5 for moment in steps.sync_s)
    gaps = [float(b - a) for a, b in zip(steps.sync_s, steps.sync_s[1:], strict=False)]
    assert 0.3 < min(gaps) <= max(gaps) < 0.8


def test_the_ground_beside_the_feet_names_the_steps() -> None:
    sheet = spot(edit_of(8), [place("road", 0, 8), thing("person", 2, 6, **{**CROSSING, "ground": "green"})])
    assert [cue.sound for cue in stem(sheet, Stem.FOLEY)] == ["footstep.grass"]


def test_a_person_who_stands_walks_nowhere() -> None:
    assert not stem(spot(edit_of(8), [place("interior", 0, 8), thing("person", 0, 8)]), Stem.FOLEY)


def test_a_race_is_a_crowd_and_many_feet() -> None:
    runners = [
        thing("person", 0, 5, count=20.0, moving=0.9, pace=0.7, from_x=0.05 * i, to_x=0.05 * i + 0.02)
        for i in range(12)
    ]
    sheet = spot(edit_of(5), [place("road", 0, 5), *runners, *impacts([1.0, 2.0, 3.0], sure=0.8)])
    assert {"crowd", "footstep.hard"} <= sounds(sheet.cues)
    (feet,) = [cue for cue in sheet.cues if cue.sound.startswith("footstep")]
    assert len(feet.sync_s) > 30


def test_hands_that_touch_nothing_strike_nothing_and_a_cup_in_reach_may_be_struck() -> None:
    blow = [replace(row, box=(0.45, 0.45, 0.1, 0.1)) for row in impacts([2.0], sure=0.8)]
    seen = [place("interior", 0, 5), *blow]
    assert stem(spot(edit_of(5), seen), Stem.FOLEY)
    person = thing("person", 0, 5)
    assert not stem(spot(edit_of(5), [*seen, person]), Stem.FOLEY)
    assert stem(spot(edit_of(5), [*seen, person, thing("cup", 0, 5)]), Stem.FOLEY)
    assert stem(spot(edit_of(5), [*seen, person, saw("onset", 2.02, strength=0.6)]), Stem.FOLEY)


def test_somebody_busy_over_a_cup_perhaps_pours() -> None:
    busy = saw("movement", 1, 8, level=0.2, area=0.03, x=0.4, y=0.3)
    seen = [place("interior", 0, 9), thing("person", 0, 9), busy]
    assert "pour" not in sounds(spot(edit_of(9), seen).suggestions)
    sheet = spot(edit_of(9), [*seen, thing("cup", 0, 9)])
    assert "pour" in sounds(sheet.suggestions)
    assert "pour" not in sounds(sheet.cues)


def test_a_ball_tells_its_own_blows() -> None:
    kicks = [replace(row, watcher="objects") for row in impacts([1.0, 2.0], sure=0.9, kind="ball", track="ball")]
    ball = thing("sports ball", 0, 4, moving=1.0)
    feet = [replace(row, box=(0.45, 0.6, 0.1, 0.1)) for row in impacts([1.15, 2.6], sure=0.6)]
    sheet = spot(edit_of(4), [place("road", 0, 4), ball, *kicks, *feet])
    blows = [cue for cue in stem(sheet, Stem.FOLEY) if cue.sync_s]
    assert [float(cue.sync_s[0]) for cue in blows] == [1.0, 2.0]
    assert {cue.sound for cue in blows} == {"impact.soft"}


def test_things_tell_the_place_that_colours_could_not() -> None:
    unknown = place("unknown", 0, 6, 1.0, 0.5)
    assert sounds(spot(edit_of(6), [unknown]).cues) == {"room"}
    street = [thing("car", 0, 6), thing("bus", 0, 6), thing("traffic light", 0, 6)]
    assert "city" in sounds(spot(edit_of(6), [unknown, *street]).cues)
    weighed = weigh(edit_of(6), [unknown, *street])
    assert all(row.confidence < unknown.confidence for row in weighed if row.values.get("kind") == "unknown")
    umbrellas = [thing("umbrella", 0, 6, count=6.0) for _ in range(6)]
    wet = sounds(spot(edit_of(6), [unknown, *umbrellas]).cues)
    assert "rain" in wet
    assert "room" not in wet


def test_what_a_kept_recording_has_is_not_made_twice() -> None:
    brook = [place("water", 0, 6), saw("level", 0, 6, verdict="good"), heard("Stream", 0, 6), heard("Water", 0, 6)]
    sheet = spot(edit_of(6), brook)
    assert "stream" not in sounds(sheet.cues)
    assert sheet.cues
    (kept,) = [cue for cue in sheet.suggestions if cue.sound == "stream"]
    assert "has it already (Stream 0.70)" in kept.why
    bad = [replace(row, values={"verdict": "bad"}) if row.label == "level" else row for row in brook]
    assert "stream" in sounds(spot(edit_of(6), bad).cues)


def test_speech_that_is_heard_as_something_else_is_doubted() -> None:
    seen = [place("vegetation", 0, 6), saw("speech", 1, 3, 0.7)]
    assert spot(edit_of(6), seen).speech
    assert spot(edit_of(6), [*seen, heard("Speech", 0, 6)]).speech
    assert not spot(edit_of(6), [*seen, heard("Music", 0, 6)]).speech


def test_the_recording_names_the_material() -> None:
    blows = [0.5, 1.1, 1.9, 2.6]
    seen = [*impacts(blows), *(saw("onset", blow + 0.02, strength=0.8, centroid_hz=700.0) for blow in blows)]
    assert sounds(stem(spot(edit_of(4), seen), Stem.FOLEY)) == {"impact.soft"}
    blow = stem(spot(edit_of(4), [*seen, heard("Hammer", 0, 3)]), Stem.FOLEY)
    assert sounds(blow) == {"impact.metal"}
    assert "Hammer is heard" in blow[0].why


def test_cars_that_drift_along_while_the_verge_streams_by_are_seen_from_a_car() -> None:
    road = [place("road", 0, 9, 0.3), place("sky", 0, 9), saw("movement", 0, 9, level=0.4, x=0.9, y=0.6, area=0.05)]
    along = [thing("car", 0, 9, from_x=0.3, to_x=0.45, size=0.01), thing("car", 1, 8, from_x=0.5, to_x=0.4, size=0.01)]
    assert "cabin" not in sounds(spot(edit_of(9), road).cues)
    assert "cabin" in sounds(spot(edit_of(9), [*road, *along]).cues)


def test_where_a_thing_is_between_the_points_of_its_path() -> None:
    row = thing("dog", 10, 20, path="0.00:0.1,0.5,0.09 0.50:0.3,0.5,0.09 1.00:0.9,0.7,0.36")
    assert box_at(row, row.span.start_s) == pytest.approx((-0.05, 0.35, 0.3, 0.3))
    assert box_at(row, row.span.end_s) == pytest.approx((0.6, 0.4, 0.6, 0.6))
    x, _, width, _ = box_at(row, row.span.start_s + row.span.duration_s / 4)
    assert x + width / 2 == pytest.approx(0.2)


def test_a_long_edit_is_weighed_quickly_and_the_same_in_any_order() -> None:
    dice = random.Random(5)
    seen = []
    for second in range(0, 1800, 2):
        kind, way = dice.choice(COCO), {"from_x": dice.random(), "to_x": dice.random(), "moving": dice.random()}
        seen += [
            thing(kind, second, second + dice.uniform(1, 6), **way),
            heard(dice.choice([*HEARD_SOUNDS]), second, second + 3),
        ]
        seen += [replace(row, box=(0.45, 0.45, 0.1, 0.1)) for row in impacts([second + 0.5, second + 1.2])]
    seen += [place("road", 0, 1800)]
    sheet = spot(edit_of(1800), seen)
    dice.shuffle(seen)
    assert sounds(spot(edit_of(1800), seen).cues) == sounds(sheet.cues)


def test_the_tables_speak_of_known_things() -> None:
    assert {*THING_PLACES, *VEHICLES, *WALKERS, *TOUCHED} <= set(COCO)
    assert {kind for table in (THING_PLACES, HEARD_PLACES) for row in table.values() for kind in row} <= set(KINDS)
    named = {sound for row in HEARD_SOUNDS.values() for sound in row} | set(HEARD_MATERIALS.values())
    assert named | {sound for sound, _, _ in VEHICLES.values()} <= set(BY_ID)


@pytest.mark.parametrize("kind", ["truck", "motorcycle", "boat", "train", "airplane"])
def test_every_kind_of_vehicle_passes_with_a_sound_of_its_own(kind: str) -> None:
    assert VEHICLES[kind][0] != VEHICLES["car"][0]


@pytest.mark.parametrize(
    "sound",
    ["passby.truck", "passby.propeller", "waterfall", "train", "wind.whistle", "jet", "sea.harbour", "footstep.snow",
     "sizzle", "thunder", "clock", "bees"],
)  # fmt: skip
def test_what_sounds_by_itself_may_be_heard_already(sound: str) -> None:
    assert any(sound in row for row in HEARD_SOUNDS.values())


@pytest.mark.parametrize("seed", range(40))
def test_any_sightings_with_models_give_a_sound_sheet(seed: int) -> None:
    dice = random.Random(seed)
    length = dice.choice([0.4, 3.0, 31.7])
    seen = random_sightings(dice, length)
    kinds = [*COCO, *HEARD_SOUNDS, "nonsense"]
    for row in random_sightings(dice, length):
        values = {
            **row.values,
            "kind": dice.choice(kinds),
            "path": dice.choice(["", "0:1,2,3", "x", "0.0:0.1,0.2,0.3 1:2"]),
        }
        values |= {"count": dice.uniform(0, 20), "moving": dice.random(), "pace": dice.random() * 3, "ground": "grey"}
        seen.append(replace(row, label=dice.choice(["object", "heard"]), values=values))
    edit = edit_of(length)
    sheet = spot(edit, seen)
    check(sheet, edit)
    assert spot(edit, seen) == sheet


def test_a_room_that_another_watcher_takes_for_open_air_is_said() -> None:
    named = replace(saw("scene", 0, 8, 0.8, kind="office"), watcher="scene")
    sheet = spot(edit_of(8), [place("vegetation", 0, 8, sure=0.7), named])
    assert any("vegetation is seen as well" in warning for warning in sheet.warnings)
    assert any("vegetation is seen as well" in cue.why for cue in sheet.cues if cue.sound == "room")
