# SPDX-License-Identifier: AGPL-3.0-or-later
"""Spotting, on sightings written by hand: what a sound editor would expect, and what must hold of any sheet."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import pytest

from immersivaudio.engine import sheets, ways
from immersivaudio.engine.cue import Clip, Cue, CueSheet, Edit, ParamValue, Sighting, Span, Stem, tidy
from immersivaudio.engine.places import KINDS, SETTINGS
from immersivaudio.engine.prompts import negative, template
from immersivaudio.engine.sounds import BY_ID, SPACE, SPACES, Motion
from immersivaudio.engine.spotting import SpotOptions, spot
from immersivaudio.engine.ways import PATH


def edit_of(length_s: float, *clips: tuple[str, float, float]) -> Edit:
    """An edit of clips (media, record start, record end); one clip where none is named."""
    rows = clips or (("take.mp4", 0.0, length_s),)
    picture = tuple(
        Clip(f"c{i}", name, "video", 0, f"media/{name}", span(0, end - start), span(start, end))
        for i, (name, start, end) in enumerate(rows)
    )
    return Edit("cut", Fraction(30000, 1001), tidy(length_s), clips=picture, picture=picture)


def span(start: float, end: float) -> Span:
    return Span.between(tidy(start), tidy(end))


def saw(label: str, start: float, end: float | None = None, sure: float = 0.8, **values: ParamValue) -> Sighting:
    end = start if end is None else end
    return Sighting(
        "test", label, span(start, end), sure, values=values, id=f"{label}@{start:.3f}:{values.get('kind', '')}"
    )


def place(kind: str, start: float, end: float, share: float = 0.4, sure: float = 0.8) -> Sighting:
    return saw("place", start, end, sure, kind=kind, share=share)


def impacts(moments: Iterable[float], sure: float = 0.7, **values: ParamValue) -> list[Sighting]:
    return [saw("impact", moment, sure=sure, **({"strength": 0.6, "size": 0.02} | values)) for moment in moments]


def sounds(cues: Iterable[Cue]) -> set[str]:
    return {cue.sound for cue in cues}


def stem(sheet: CueSheet, wanted: Stem) -> list[Cue]:
    return [cue for cue in sheet.cues if cue.stem is wanted]


def test_a_beach_is_sea_and_wind_held_across_its_cuts() -> None:
    seen = [saw("shot", 0, 4), saw("shot", 4, 9), saw("shot", 9, 15)]
    seen += [place("sea", 0, 15, 0.4), place("sky", 0, 15, 0.4), place("sand", 0, 15, 0.2)]
    sheet = spot(edit_of(15), seen)
    assert sounds(sheet.cues) == {"sea", "wind"}
    for cue in sheet.cues:
        assert cue.span == span(0, 15)
        assert "held across 2 cuts" in cue.why
        assert "sea 0.80" in cue.why


def test_places_change_with_a_crossfade() -> None:
    seen = [saw("shot", 0, 8), saw("shot", 8, 16), place("sea", 0, 8, 0.6), place("interior", 8, 16, 0.9)]
    sheet = spot(edit_of(16), seen)
    (sea,) = [cue for cue in sheet.cues if cue.sound == "sea"]
    (room,) = [cue for cue in sheet.cues if cue.sound == "room"]
    assert sea.span.start_s == 0
    assert sea.span.end_s > 8 > room.span.start_s
    assert sea.fade_out_s == room.fade_in_s == pytest.approx(float(sea.span.end_s - room.span.start_s))


def test_a_doubtful_detail_does_not_break_its_place() -> None:
    seen = [saw("shot", 0, 6), saw("shot", 6, 7), saw("shot", 7, 14)]
    seen += [place("vegetation", 0, 6), place("unknown", 6, 7, 1.0), place("vegetation", 7, 14)]
    (forest,) = [cue for cue in spot(edit_of(14), seen).cues if cue.sound == "forest"]
    assert forest.span == span(0, 14)


def test_wide_shots_are_louder_than_close_ones() -> None:
    seen = [saw("shot", 0, 5), saw("shot", 5, 10), place("sea", 0, 5, 0.9), place("sea", 5, 10, 0.3)]
    (sea,) = [cue for cue in spot(edit_of(10), seen).cues if cue.sound == "sea"]
    gains = [point.gain_db for point in sea.gain_curve]
    assert gains[0] > gains[-1]
    assert all(a.at_s <= b.at_s for a, b in zip(sea.gain_curve, sea.gain_curve[1:], strict=False))


def test_a_drone_over_the_coast_is_wind_and_sea_but_no_rotor() -> None:
    seen = [place("sea", 0, 12, 0.3), place("sky", 0, 12, 0.4), saw("camera", 0, 12, kind="travel")]
    seen += [saw("noise", 0, 12, kind="rotor"), saw("level", 0, 12, verdict="bad")]
    sheet = spot(edit_of(12), seen)
    assert sounds(sheet.cues) == {"sea", "wind"}
    (wind,) = [cue for cue in sheet.cues if cue.sound == "wind"]
    assert float(wind.params["intensity"]) > 0.5


def test_a_drive_is_a_cabin() -> None:
    seen = [place("road", 0, 9, 0.4), place("sky", 0, 9, 0.4), saw("camera", 0, 9, kind="travel")]
    assert "cabin" in sounds(spot(edit_of(9), seen).cues)


def test_a_talking_head_gets_room_and_nothing_else() -> None:
    seen = [place("interior", 0, 10, 0.9), saw("level", 0, 10, verdict="dialogue")]
    seen += [saw("speech", 0.5, 4.0, 0.95), saw("speech", 4.3, 9.5, 0.95)]
    seen += impacts([1.3, 6.2], sure=0.7)
    sheet = spot(edit_of(10), seen)
    assert sounds(sheet.cues) == {"room"}
    assert sheet.cues[0].gain_db < BY_ID["room"].level_db
    assert [row.span for row in sheet.speech] == [span(0.5, 4.0), span(4.3, 9.5)]
    assert len(sheet.suggestions) == 2
    assert "speaks" in sheet.suggestions[0].why
    assert any("speech" in silence.why for silence in sheet.silences)


def test_uncertain_speech_is_not_believed() -> None:
    assert spot(edit_of(5), [saw("speech", 1, 3, 0.3)]).speech == ()


def test_hammer_blows_fall_on_the_recorded_attacks() -> None:
    blows = [0.5, 1.1, 1.9, 2.6]
    seen = [place("vegetation", 0, 4), *impacts(blows)]
    seen += [saw("onset", blow + 0.07, strength=0.8, centroid_hz=700.0, decay_s=0.03) for blow in blows]
    foley = stem(spot(edit_of(4), seen), Stem.FOLEY)
    assert [float(cue.sync_s[0]) for cue in foley] == pytest.approx([blow + 0.07 for blow in blows], abs=1e-6)
    assert "70 ms later" in foley[0].why
    assert all(cue.confidence > 0.7 for cue in foley)


def test_a_contact_that_a_good_recording_lacks_is_only_suggested() -> None:
    blows = [0.5, 1.1, 1.9, 2.6]
    seen = [*impacts([*blows, 1.5], sure=0.8), *(saw("onset", blow + 0.02, strength=0.8) for blow in blows)]
    sheet = spot(edit_of(4), seen)
    assert [round(float(cue.sync_s[0]), 2) for cue in stem(sheet, Stem.FOLEY)] == [0.52, 1.12, 1.92, 2.62]
    assert [cue.sync_s[0] for cue in sheet.suggestions] == [tidy(1.5)]


def test_a_blow_that_the_eyes_missed_is_heard() -> None:
    blows = [0.5, 1.1, 1.9]
    seen = [saw("movement", 0, 4, level=0.5, area=0.05), *impacts(blows)]
    seen += [saw("onset", blow, strength=0.8) for blow in (*blows, 2.6)]
    assert 2.6 in [float(cue.sync_s[0]) for cue in stem(spot(edit_of(4), seen), Stem.FOLEY) if cue.sync_s]


def test_attacks_of_speech_are_no_witness() -> None:
    seen = [saw("speech", 0, 4, 0.9), *impacts([1.0, 2.0, 3.0], sure=0.9)]
    seen += [saw("onset", moment + 0.06, strength=0.9) for moment in (1.0, 2.0, 3.0)]
    foley = stem(spot(edit_of(4), seen), Stem.FOLEY)
    assert [float(cue.sync_s[0]) for cue in foley] == [1.0, 2.0, 3.0]


def test_a_description_names_the_material() -> None:
    sheet = spot(edit_of(4), impacts([1.0, 2.0]), SpotOptions(description="a blacksmith at his anvil"))
    assert sounds(stem(sheet, Stem.FOLEY)) == {"impact.metal"}


def test_steps_are_one_cue_on_the_ground_that_is_seen() -> None:
    walk = [
        replace(one, box=(0.1 + 0.08 * index, 0.6, 0.1, 0.2))
        for index, one in enumerate(impacts([1.0, 1.5, 2.01, 2.5, 3.0, 3.49], track="a", strength=0.3))
    ]
    (steps,) = stem(spot(edit_of(6), [place("snow", 0, 6), *walk]), Stem.FOLEY)
    assert steps.sound == "footstep.snow"
    assert len(steps.sync_s) == 6


def test_even_blows_that_stay_in_place_are_no_steps() -> None:
    blows = [replace(one, box=(0.4, 0.4, 0.1, 0.1)) for one in impacts([1.0, 1.5, 2.0, 2.5, 3.0], track="a")]
    assert not any(cue.sound.startswith("footstep") for cue in spot(edit_of(5), blows).cues)


def test_hands_that_gesture_strike_nothing() -> None:
    hands = [
        replace(one, box=(0.3 if index % 2 else 0.5, 0.6, 0.1, 0.1), values={**one.values, "track": str(index % 2)})
        for index, one in enumerate(impacts([0.3, 0.7, 1.2, 1.5, 2.1, 2.4], sure=0.95))
    ]
    seen = [place("interior", 0, 3), saw("movement", 0, 3, level=0.3, area=0.03), *hands]
    assert sounds(spot(edit_of(3), seen).cues) == {"room", "cloth"}


def test_a_contact_in_a_kept_recording_that_is_quiet_there_is_doubted() -> None:
    seen = [place("interior", 0, 5), saw("level", 0, 5, verdict="good"), *impacts([2.0], sure=0.8)]
    assert not stem(spot(edit_of(5), seen), Stem.FOLEY)
    assert stem(spot(edit_of(5), [*seen, saw("onset", 2.02, strength=0.5)]), Stem.FOLEY)


def test_where_there_is_no_recording_it_says_nothing_about_contacts() -> None:
    """A cut of which only a part has sound: the silent clips beside it get their foley."""
    sounding = [saw("level", 0, 20, verdict="good"), *(saw("onset", at + 0.02, strength=0.6) for at in (1, 2, 3, 4))]
    seen = [place("interior", 0, 20), *sounding, *impacts([1.0, 2.0, 3.0, 4.0, 12.0, 14.0], sure=0.8)]
    assert [float(cue.sync_s[0]) for cue in stem(spot(edit_of(20), seen), Stem.FOLEY) if cue.span.start_s > 10] == []
    half = stem(spot(edit_of(20), [*seen, saw("silence", 10, 20)]), Stem.FOLEY)
    assert [float(cue.sync_s[0]) for cue in half if cue.span.start_s > 10] == [12.0, 14.0]


def parking() -> list[Sighting]:
    seen = [place("road", 0, 30, 0.9), saw("camera", 0, 30, kind="static"), saw("level", 0, 30, verdict="silent")]
    for start, end, x in ((4.5, 8.5, 0.2), (14.7, 19.0, 0.5), (25.3, 27.8, 0.8)):
        values: dict[str, ParamValue] = {"from_x": x, "to_x": x, "from_y": 1.0, "to_y": 0.0, "size": 0.1, "speed": 0.3}
        seen.append(saw("passby", start, end, closest_s=(start + end) / 2, **values))
        seen.append(saw("movement", start, end, level=0.5, area=0.1, x=x, y=0.5))
    return seen


def test_a_car_park_has_three_cars_and_reasoned_silence_between() -> None:
    sheet = spot(edit_of(30), parking())
    cars = [cue for cue in sheet.cues if cue.sound == "passby.car"]
    assert [round(float(cue.span.start_s) + float(cue.params["closest_s"]), 2) for cue in cars] == [6.5, 16.85, 26.55]
    assert [round(float(cue.params["from_pan"]), 2) for cue in cars] == [-0.6, 0.0, 0.6]
    for cue, (start, end) in zip(cars, ((4.5, 8.5), (14.7, 19.0), (25.3, 27.8)), strict=True):
        assert cue.span.start_s < start < end < cue.span.end_s
        assert cue.fade_in_s > 0 < cue.fade_out_s
    assert any("nothing that sounds moves" in silence.why for silence in sheet.silences)
    assert all(not silence.span.overlap(cue.span) for silence in sheet.silences for cue in cars)


def test_what_seems_to_pass_under_a_shaking_camera_is_no_car() -> None:
    seen = [row for row in parking() if row.label != "camera"] + [saw("camera", 0, 30, kind="shake")]
    assert "passby.car" not in sounds(spot(edit_of(30), seen).cues)


def test_black_is_silence_and_a_black_edit_has_no_cue() -> None:
    seen = [saw("shot", 0, 5), saw("shot", 5, 10), place("sea", 0, 5), place("black", 5, 10, 1.0, 0.95)]
    sheet = spot(edit_of(10), seen)
    assert all(cue.span.end_s <= 5 for cue in sheet.cues)
    assert [silence.why for silence in sheet.silences if silence.span == span(5, 10)] == [
        "the picture is black for 5.0 s"
    ]
    black = spot(edit_of(10), [place("black", 0, 10, 1.0, 0.95)])
    assert black.cues == ()
    assert black.silences


def test_a_gap_in_the_picture_is_silent() -> None:
    sheet = spot(edit_of(10, ("a.mp4", 0, 3), ("b.mp4", 7, 10)), [place("sea", 0, 3), place("sea", 7, 10)])
    assert any("no picture" in silence.why and silence.span == span(3, 7) for silence in sheet.silences)
    assert len([cue for cue in sheet.cues if cue.sound == "sea"]) == 2


@pytest.mark.parametrize("kind", ["testpattern", "unknown"])
def test_what_cannot_be_told_gets_plain_quiet_air(kind: str) -> None:
    sheet = spot(edit_of(5), [place(kind, 0, 5, 1.0), *(impacts([1.0, 2.0]) if kind == "testpattern" else [])])
    (bed,) = sheet.cues
    assert bed.sound == "room"
    assert bed.gain_db <= BY_ID["room"].level_db
    assert "only a plain quiet bed" in bed.why


def test_contradictory_places_are_said() -> None:
    seen = [place("sea", 0, 5, 0.5, 0.5), place("interior", 0, 5, 0.5, 0.5)]
    sheet = spot(edit_of(5), seen)
    assert any("does not go with" in warning for warning in sheet.warnings)
    assert "sea" not in sounds(sheet.cues)


def test_nothing_seen_at_all_still_sounds() -> None:
    assert sounds(spot(edit_of(0.4), []).cues) == {"room"}


def test_the_description_overrides_the_eyes() -> None:
    sheet = spot(edit_of(6), [place("unknown", 0, 6, 1.0)], SpotOptions(description="a beach at night, no rain"))
    assert "sea" in sounds(sheet.cues)
    assert not {"rain", "room"} & sounds(sheet.cues)


def test_music_only_when_asked() -> None:
    seen = [saw("shot", 0, 4), saw("shot", 4, 9), place("sea", 0, 9)]
    assert not stem(spot(edit_of(9), seen), Stem.MUSIC)
    (piece,) = stem(spot(edit_of(9), seen, SpotOptions(music=True)), Stem.MUSIC)
    assert piece.span == span(0, 9)
    assert piece.sync_s == (Fraction(4),)


def test_lanes_can_be_switched_off() -> None:
    seen = [*parking(), *impacts([2.0])]
    options = SpotOptions(ambience=False, foley=False, effects=False)
    assert spot(edit_of(30), seen, options).cues == ()


def test_density_decides_how_much() -> None:
    seen = [place("sea", 0, 9), place("sand", 0, 9), *impacts([1.0, 2.0, 4.0], sure=0.4)]
    few = spot(edit_of(9), seen, SpotOptions(density=0.0)).cues
    many = spot(edit_of(9), seen, SpotOptions(density=1.0)).cues
    assert len(few) < len(many)


def test_ambience_is_lower_beside_a_good_recording() -> None:
    beach = [place("sea", 0, 9)]
    alone = spot(edit_of(9), beach).cues[0].gain_db
    beside = spot(edit_of(9), [*beach, saw("level", 0, 9, verdict="good")]).cues[0].gain_db
    assert beside < alone - 3


def test_an_edit_elsewhere_changes_neither_seed_nor_sound() -> None:
    short = edit_of(10, ("b.mp4", 0, 10))
    longer = edit_of(15, ("a.mp4", 0, 5), ("b.mp4", 5, 15))
    before = spot(short, [place("interior", 0, 10), *impacts([3.0, 4.2])])
    after = spot(longer, [place("sea", 0, 5), place("interior", 5, 15), *impacts([8.0, 9.2])])
    assert [c.seed for c in stem(before, Stem.FOLEY)] == [c.seed for c in stem(after, Stem.FOLEY)]
    kept = spot(longer, [place("interior", 5, 15), *impacts([8.0, 9.2])], SpotOptions(keep=before))
    assert [c.id for c in stem(before, Stem.FOLEY)] == [c.id for c in stem(kept, Stem.FOLEY)]


def test_another_seed_sounds_different() -> None:
    one, other = (spot(edit_of(5), [place("sea", 0, 5)], SpotOptions(seed=seed)).cues[0] for seed in (0, 1))
    assert one.seed != other.seed
    assert one.id == other.id


def test_what_a_person_did_survives() -> None:
    seen = [place("interior", 0, 10), *impacts([2.0, 4.0, 6.0, 8.0])]
    first = spot(edit_of(10), seen)
    blows = [cue for cue in first.cues if cue.stem is Stem.FOLEY]
    touched = {
        blows[0].id: replace(blows[0], locked=True, gain_db=-20.0),
        blows[1].id: replace(blows[1], muted=True),
        blows[2].id: replace(blows[2], prompt="a heavy book falls"),
        blows[3].id: replace(blows[3], span=span(8.3, 9.0), sync_s=(tidy(8.4),)),
    }
    own = Cue("my-bell", Stem.EFFECTS, span(5, 6), "rumble")
    edited = replace(first, cues=(*(touched.get(cue.id, cue) for cue in first.cues), own))
    again = spot(edit_of(10), seen, SpotOptions(keep=edited))
    assert all(cue in again.cues for cue in (*touched.values(), own))
    assert len([cue for cue in again.cues if cue.stem is Stem.FOLEY]) == 4
    assert [cue for cue in again.cues if cue.stem is Stem.AMBIENCE] == stem(first, Stem.AMBIENCE)


def test_a_kept_cue_beyond_a_shorter_edit_is_dropped_with_a_word() -> None:
    own = Cue("my-bell", Stem.EFFECTS, span(5, 6), "rumble")
    sheet = spot(edit_of(4), [], SpotOptions(keep=CueSheet("old", Fraction(25), Fraction(10), cues=(own,))))
    assert own not in sheet.cues
    assert any("my-bell" in warning for warning in sheet.warnings)


def random_sightings(dice: random.Random, length: float) -> list[Sighting]:
    labels = ["shot", "impact", "movement", "passby", "camera", "still", "place", "light", "speech", "onset", "music"]
    seen = []
    for _ in range(dice.randint(0, 60)):
        start = dice.uniform(-1, length)
        end = start + dice.choice([0.0, dice.uniform(0, length)])
        values: dict[str, ParamValue] = {
            "kind": dice.choice([*KINDS, "static", "travel", "shake", "", "nonsense"]),
            "closest_s": dice.uniform(-1, length + 3),
            "track": dice.choice(["", "a", "b"]),
        }
        for key in ("share", "level", "strength", "size", "speed", "from_x", "to_x", "area", "x", "centroid_hz"):
            values[key] = dice.choice([0.0, dice.random(), dice.uniform(-2, 3), "word"])
        box = dice.choice([None, (dice.random(), dice.random(), dice.random(), dice.random()), (0.0, 0.0, 0.0, 0.0)])
        row = saw(dice.choice(labels), start, end, dice.random(), **values)
        seen.append(replace(row, box=box))
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_any_sightings_give_a_sound_sheet(seed: int) -> None:
    dice = random.Random(seed)
    length = dice.choice([0.4, 1.0, 7.3, 31.7])
    middle = dice.uniform(0.1, 0.9) * length
    edit = edit_of(length, ("a.mp4", 0, middle), ("b.mp4", middle, length)) if dice.random() < 0.5 else edit_of(length)
    seen = random_sightings(dice, length)
    options = SpotOptions(seed=seed, music=dice.random() < 0.5, density=dice.random())
    sheet = spot(edit, seen, options)
    check(sheet, edit)
    assert spot(edit, seen, options) == sheet
    shuffled = list(seen)
    dice.shuffle(shuffled)
    assert sounds(spot(edit, shuffled, options).cues) == sounds(sheet.cues)
    assert spot(edit, seen, replace(options, keep=sheet)) == sheet
    assert sheets.from_json(sheets.to_json(sheet)) == sheet


def check(sheet: CueSheet, edit: Edit) -> None:
    ids = [cue.id for cue in (*sheet.cues, *sheet.suggestions)]
    assert len(ids) == len(set(ids))
    assert [cue.span.start_s for cue in sheet.cues] == sorted(cue.span.start_s for cue in sheet.cues)
    for cue in (*sheet.cues, *sheet.suggestions):
        check_cue(cue, edit)
    for row in (*sheet.silences, *sheet.speech):
        assert 0 <= row.span.start_s <= row.span.end_s <= edit.duration_s


def check_cue(cue: Cue, edit: Edit) -> None:
    sound = BY_ID[cue.sound]
    assert 0 <= cue.span.start_s < cue.span.end_s <= edit.duration_s
    assert cue.stem is sound.stem
    assert cue.why.endswith(".")
    assert cue.prompt == template(cue)
    assert PATH not in cue.params or ways.read(str(cue.params[PATH]))
    knobs = {key: float(value) for key, value in cue.params.items() if key not in (SPACE, PATH)}
    assert set(knobs) <= set(sound.knobs)
    assert all(sound.knobs[key].low <= value <= sound.knobs[key].high for key, value in knobs.items())
    assert cue.params.get(SPACE, "room") in (SPACES if sound.space else ("room",))
    assert all(cue.span.start_s <= moment < cue.span.end_s for moment in cue.sync_s)
    assert cue.sync_s or sound.motion is not Motion.STRUCK
    assert -60 < cue.gain_db < 12
    assert -1 <= cue.pan <= 1
    assert cue.fade_in_s + cue.fade_out_s <= float(cue.span.duration_s) + 1e-2
    assert all(0 <= point.at_s <= float(cue.span.duration_s) for point in cue.gain_curve)


@pytest.mark.parametrize(
    ("to_pan", "said"), [(0.1, "coming closer and going away"), (0.9, "from the centre to the right")]
)
def test_the_words_of_a_pass_by_say_where_it_goes(to_pan: float, said: str) -> None:
    way = {"from_pan": 0.0, "to_pan": to_pan}
    cue = Cue("a", Stem.EFFECTS, Span(Fraction(0), Fraction(4)), "passby.car", params=way)
    assert template(cue).endswith(said)


def test_the_rules_speak_of_known_things() -> None:
    for setting in SETTINGS:
        assert setting.main in KINDS
        assert set(setting.support) | set(setting.rivals) <= {*KINDS, "travel"}
        for layer in setting.beds:
            assert layer.sound in BY_ID
            assert set(layer.params) <= set(BY_ID[layer.sound].knobs), setting.id
            assert {layer.needs, *layer.unless} <= {*KINDS, ""}
        assert setting.surface in BY_ID
        assert setting.struck in BY_ID


def test_prompts_say_what_is_wanted_and_what_is_not() -> None:
    (blow,) = stem(spot(edit_of(3), impacts([1.0], strength=1.0)), Stem.FOLEY)
    assert blow.prompt.startswith("hard")
    assert "speech" in negative(blow)
    assert "music" in negative(blow)


def test_a_place_that_nothing_tells_is_no_room_where_what_little_is_told_is_out_of_doors() -> None:
    untold = place("unknown", 0, 10, 0.6, 0.5)
    hardly = [place("road", 0, 10, 0.2, 0.24), place("city", 0, 10, 0.2, 0.1)]
    assert sounds(spot(edit_of(10), [untold]).cues) == {"room"}
    assert sounds(spot(edit_of(10), [untold, place("interior", 0, 10, 0.2, 0.22)]).cues) == {"room"}
    (bed,) = spot(edit_of(10), [untold, *hardly]).cues
    assert bed.sound == "wind"
    assert "open air" in bed.why
    assert sounds(spot(edit_of(10), [untold, *hardly, place("interior", 0, 10, 0.2, 0.32)]).cues) == {"room"}


def test_a_moment_at_an_end_is_lapped_over_by_the_place_beside_it() -> None:
    seen = [saw("shot", 0, 1), saw("shot", 1, 9), saw("shot", 9, 10)]
    seen += [place("interior", 0, 1), place("vegetation", 1, 9), place("interior", 9, 10)]
    sheet = spot(edit_of(10), seen)
    (forest,) = [cue for cue in sheet.cues if cue.sound == "forest"]
    assert forest.span == span(0, 10)
    assert "room" not in sounds(sheet.cues)


def test_what_is_seen_for_longer_at_an_end_is_a_place_of_its_own() -> None:
    seen = [saw("shot", 0, 2), saw("shot", 2, 10), place("interior", 0, 2), place("vegetation", 2, 10)]
    assert {"room", "forest"} <= sounds(spot(edit_of(10), seen).cues)


def test_buildings_under_an_open_sky_are_a_town_far_away() -> None:
    seen = [place("sky", 0, 8, sure=0.85), place("city", 0, 8, 0.2, sure=0.36)]
    assert sounds(spot(edit_of(8), seen).cues) == {"wind", "city"}


def test_hands_of_which_one_stops_but_once_strike_nothing() -> None:
    hands = [
        replace(one, box=(x, 0.6, 0.1, 0.1), values={**one.values, "track": track})
        for one, x, track in zip(impacts([0.8, 1.2, 1.6], sure=0.95), (0.3, 0.55, 0.3), "aba", strict=True)
    ]
    seen = [place("interior", 0, 3), saw("movement", 0, 3, level=0.3, area=0.03), *hands]
    assert sounds(spot(edit_of(3), seen).cues) == {"room", "cloth"}


@pytest.mark.parametrize(
    ("kind", "sound"), [("interior", "rain.roof"), ("vegetation", "rain.leaves"), ("city", "rain")]
)
def test_rain_is_heard_on_what_it_falls_on(kind: str, sound: str) -> None:
    rain = [cue.sound for cue in spot(edit_of(8), [place(kind, 0, 8), place("rain", 0, 8)]).cues if "rain" in cue.sound]
    assert rain == [sound]
