# SPDX-License-Identifier: AGPL-3.0-or-later
"""A cue that a person re-words sounds like the new words, and nothing else of the sheet does."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from immersivaudio.bridge import sheet as panel
from immersivaudio.engine import media, sheets, sounds, wire
from immersivaudio.engine.cue import Cue, CueSheet, Example, Span
from immersivaudio.engine.drafting import ringing_s
from immersivaudio.engine.pipeline import score
from immersivaudio.engine.prompts import WRITTEN, is_templates, template
from immersivaudio.engine.request import DeliveryWish, Goal, Outcome, ScoreRequest, Warned, Workspace
from immersivaudio.engine.rewording import followed, meant
from immersivaudio.engine.sound_words import SOUND_WORDS
from immersivaudio.engine.sounds import BY_ID, Motion
from immersivaudio.engine.wording import mark
from immersivaudio.v1 import cue_sheet_pb2

LENGTH_S = Fraction(12)


def cue_of(sound: str, prompt: str = "", **more: Any) -> Cue:
    """A cue as spotting lays it, one second in, in words that a person may have changed."""
    known = BY_ID[sound]
    sync_s = (Fraction(1),) if known.motion is Motion.STRUCK else ()
    laid = Cue(
        f"fol-0001.000-{sound}", known.stem, Span(Fraction(1), Fraction(2)), sound, sync_s=sync_s,
        why="A contact is seen.", gain_db=known.level_db - 2.0, params={"distance": 0.6, "space": "street"},
    )  # fmt: skip
    return replace(laid, **({"prompt": prompt or template(laid)} | more))


def one(cue: Cue) -> tuple[Cue, list[str]]:
    sheet, said = followed(CueSheet("cut", Fraction(25), LENGTH_S, (cue,)))
    return sheet.cues[0], said


@pytest.mark.parametrize(
    ("sound", "words", "heard"),
    [
        ("impact.wood", "glass shatters on the floor", "glass.break"),
        ("impact.wood", "knock on a metal pipe", "impact.metal"),
        ("impact.wood", "a door slams", "door"),
        ("impact.wood", "footsteps in snow", "footstep.snow"),
        ("impact.stone", "knife chopping on a table", "chop"),
        ("impact.soft", "a ball bounces on the floor", "kick"),
        ("footstep.hard", "heavy boots on a wooden floor", "footstep.wood"),
        ("footstep.wood", "steps on tiles", "footstep.hard"),
        ("passby.car", "a motorcycle roars past", "passby.motorcycle"),
        ("rain", "heavy rain on a tin roof", "rain.roof"),
        ("wind", "no wind, only birdsong", "forest"),
        ("wind", "howling wind in the mountains", "wind.whistle"),
        ("city", "a busy market", "crowd"),
    ],
)
def test_the_sound_is_the_one_that_the_words_name(sound: str, words: str, heard: str) -> None:
    cue, said = one(cue_of(sound, words))
    assert (cue.sound, cue.prompt, said) == (heard, words, [])
    assert cue.why == f"A contact is seen. Re-worded by a person: {BY_ID[heard].label} instead of {BY_ID[sound].label}."
    assert cue.gain_db == pytest.approx(BY_ID[heard].level_db - 2.0)


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        ("impact.wood", "harder blow on wood, oak"),
        ("impact.metal", "sword hits a wooden shield"),
        ("footstep.hard", "quick steps on tiles"),
        ("passby.car", "a red sports car, a train far behind"),
        ("room", "a kitchen"),
        ("cabin", "inside an old truck"),
        ("traffic", "a wet freeway"),
    ],
)
def test_words_that_still_mean_the_sound_leave_it(sound: str, words: str) -> None:
    assert one(cue_of(sound, words)) == (cue_of(sound, words), [])


@pytest.mark.parametrize("sound", [sound.id for sound in sounds.VOCABULARY])
def test_what_nobody_wrote_is_never_followed(sound: str) -> None:
    assert one(cue_of(sound)) == (cue_of(sound), [])
    told = "a model wrote of thunder, a door and the sea"
    assert one(cue_of(sound, told, params={WRITTEN: mark(told)}))[0].sound == sound


@pytest.mark.parametrize("sound", [sound for sound in sounds.VOCABULARY if sound.id != "music"], ids=lambda one: one.id)
def test_what_a_sound_is_called_means_it(sound: sounds.Sound) -> None:
    """Also in sheets of earlier versions, whose template said the label."""
    assert meant(sound.label, sound) in ((sound.id,), ())


@pytest.mark.parametrize("sound", [sound.id for sound in sounds.VOCABULARY if sound.id != "music"])
def test_every_sound_of_the_template_is_known_again(sound: str) -> None:
    cue = cue_of(sound)
    for moments in ((), cue.sync_s, tuple(Fraction(1 + k, 4) for k in range(9))):
        for knob, k in BY_ID[sound].knobs.items():
            said = [
                template(replace(cue, sync_s=moments, params={knob: value})) for value in (k.low, k.default, k.high)
            ]
            assert all(is_templates(words, sound) for words in said), said
    assert not is_templates(f"{template(cue)}, dog", sound)


def test_a_chosen_sound_takes_the_words_along() -> None:
    chosen = one(replace(cue_of("impact.wood"), sound="impact.metal"))[0]
    assert (chosen.sound, chosen.prompt) == ("impact.metal", template(chosen))
    own = one(replace(cue_of("impact.wood", "a gong in a temple"), sound="impact.metal"))[0]
    assert (own.sound, own.prompt) == ("impact.metal", "a gong in a temple")


def test_following_is_done_once() -> None:
    once, _ = one(cue_of("impact.wood", "glass shatters"))
    assert one(once) == (once, [])


def test_what_is_added_or_made_by_example_is_left() -> None:
    for cue in (
        cue_of("impact.wood", "glass shatters", id="my-own"),
        cue_of("impact.wood", "glass shatters", example=Example("plank.wav", "plank.wav")),
    ):
        assert one(cue) == (cue, [])


@pytest.mark.parametrize(
    ("sound", "words", "said"),
    [
        ("wind", "a dog barks", '"a dog barks" names no sustained sound of the vocabulary'),
        ("wind", "a door slams", "names no sustained sound"),
        ("impact.wood", "a gunshot, then an explosion", "names explosion and gunshot; it stays hard"),
    ],
)
def test_words_that_cannot_be_followed_are_said(sound: str, words: str, said: str) -> None:
    cue, notes = one(cue_of(sound, words))
    assert cue == cue_of(sound, words)
    assert len(notes) == 1
    assert notes[0].startswith(f"{cue.id}: ")
    assert said.replace("hard", BY_ID[sound].label) in notes[0]


def test_it_lasts_until_it_has_rung_and_keeps_what_still_counts() -> None:
    cue, _ = one(cue_of("impact.wood", "an explosion", params={"distance": 0.6, "striker": 0.1, "space": "hall"}))
    assert cue.span == Span.between(Fraction(1), 1 + ringing_s("explosion"))
    assert cue.params == {"distance": 0.6} | ({"space": "hall"} if BY_ID["explosion"].space else {})
    late, _ = one(cue_of("impact.wood", "an explosion", span=Span(Fraction(10), Fraction(2)), sync_s=(Fraction(11),)))
    assert late.span.end_s == LENGTH_S
    assert sheets.from_json(sheets.to_json(CueSheet("cut", Fraction(25), LENGTH_S, (cue, replace(late, id="b")))))


def job(film: Path, folder: Path, **more: Any) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    wish = DeliveryWish(outputs=("stems",))
    folder.mkdir(exist_ok=True)
    request = ScoreRequest(media=film, delivery=wish, **more)
    done = score(
        request, Workspace(folder / "cache", folder),
        lambda event: said.append(event.text) if isinstance(event, Warned) else None, lambda: False,
    )  # fmt: skip
    return done, said


def heard(path: Path) -> np.ndarray:
    return np.concatenate(list(media.sound(path, None)), axis=1)


def test_a_panel_rewords_one_cue_and_only_that_one_changes(ball: Path, tmp_path: Path) -> None:
    """As a host does it: spotted, re-worded in the panel's rows, sent back over the wire, performed."""
    spotted, _ = job(ball, tmp_path, goal=Goal.SPOT)
    sent = wire.sheet_to_wire(spotted.sheet)
    struck = next(cue for cue in spotted.sheet.cues if cue.sync_s)
    changed = panel.edited(
        json_format.MessageToDict(sent, preserving_proto_field_name=True), {struck.id: (True, "glass breaks")}
    )
    back = wire.sheet_from_wire(json_format.ParseDict(changed, cue_sheet_pb2.CueSheet()))
    done, _ = job(ball, tmp_path, goal=Goal.DELIVER, sheet=back)
    heard = {cue.id: cue for cue in done.sheet.cues}
    assert heard[struck.id].sound == "glass.break"
    assert heard[struck.id].sync_s == struck.sync_s
    others = [cue for cue in spotted.sheet.cues if cue.id != struck.id]
    assert [heard[cue.id].sound for cue in others] == [cue.sound for cue in others]
    again, _ = job(ball, tmp_path, goal=Goal.SPOT, sheet=done.sheet)
    assert next(cue for cue in again.sheet.cues if cue.id == struck.id).sound == "glass.break"


def test_the_file_of_a_sheet_re_worded_by_hand_sounds_otherwise(ball: Path, tmp_path: Path) -> None:
    spotted, _ = job(ball, tmp_path, goal=Goal.SPOT)
    rows = json.loads(sheets.to_json(spotted.sheet))
    rows["cues"] = [row for row in rows["cues"] if row.get("sync_s")][:1]
    plain, _ = job(ball, tmp_path / "plain", sheet=sheets.from_json(json.dumps(rows)))
    rows["cues"][0]["prompt"] = "a dog barks"
    unknown, said = job(ball, tmp_path / "dog", sheet=sheets.from_json(json.dumps(rows)))
    rows["cues"][0]["prompt"] = "splash of a stone into water"
    wet, _ = job(ball, tmp_path / "wet", sheet=sheets.from_json(json.dumps(rows)))
    assert any('"a dog barks" names no struck sound' in text for text in said)
    mixes = [heard(next(made.path for made in done.made if made.kind == "stem")) for done in (plain, unknown, wet)]
    assert np.array_equal(mixes[0], mixes[1])
    assert not np.array_equal(mixes[0], mixes[2])


@pytest.mark.parametrize("sound", [sound for sound in sounds.VOCABULARY if sound.id != "music"], ids=lambda one: one.id)
def test_every_sound_is_reached_by_its_usual_word(sound: sounds.Sound) -> None:
    word = f"steps, {SOUND_WORDS[sound.id][0]}" if sound.id.startswith("footstep.") else SOUND_WORDS[sound.id][0]
    usual = {
        Motion.STRUCK: ("beep", "camera"),
        Motion.SUSTAINED: ("clock", "boil"),
        Motion.MOVING: ("passby.boat", "passby.car"),
    }
    for other in usual[sound.motion]:
        assert meant(word, BY_ID[other]) == (sound.id,), word
