# SPDX-License-Identifier: AGPL-3.0-or-later
"""The cue sheet as a file: exact there and back, and a clear sentence for everything that a person may get wrong."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from rich.console import Console

from immersivaudio.engine import sheets, wire
from immersivaudio.engine.cue import Cue, CueSheet, GainPoint, Silence, Span, SpeechSpan, Stem, tidy
from immersivaudio.engine.errors import CueSheetError
from immersivaudio.engine.sounds import VOCABULARY, Motion

DURATION = Fraction(301 * 1001, 30000)


def sheet() -> CueSheet:
    sea = Cue(
        id="amb-0000.000-sea",
        stem=Stem.AMBIENCE,
        span=Span(Fraction(0), tidy(10.01)),
        sound="sea",
        prompt="sea and surf",
        why="Water — “seen” at 0.0 s.",
        sightings=("place-0001", "place-0002"),
        params={"intensity": 0.5, "distance": 0.3},
        gain_db=-3.3,
        gain_curve=(GainPoint(0.0, 0.0), GainPoint(2.5, -3.1)),
        fade_in_s=0.25,
        seed=2**31 - 1,
        confidence=0.812,
    )
    blow = Cue(
        "fol-0003.217-impact.wood", Stem.FOLEY, Span(tidy(3.167), tidy(0.85)), "impact.wood", sync_s=(tidy(3.217),)
    )
    return CueSheet(
        name="beach",
        rate=Fraction(30000, 1001),
        duration_s=DURATION,
        cues=(sea, blow),
        silences=(Silence(Span(tidy(4.5), tidy(2)), "the picture is black"),),
        speech=(SpeechSpan(Span(Fraction(1), Fraction(1, 3)), 0.9),),
        suggestions=(Cue("fol-0005.000-cloth", Stem.FOLEY, Span(Fraction(5), Fraction(1)), "cloth", muted=True),),
        warnings=("One clip was left out.",),
        start_timecode_s=Fraction(108_000 * 1001, 30_000),
    )


def rows(**changes: Any) -> dict[str, Any]:
    return json.loads(sheets.to_json(sheet())) | changes


def cue_row(**changes: Any) -> dict[str, Any]:
    return {"sound": "sea", "start_s": 1, "duration_s": 2} | changes


def with_cue(**changes: Any) -> str:
    return json.dumps({"duration_s": 10, "cues": [cue_row(), cue_row(start_s=4), cue_row(**{"start_s": 5} | changes)]})


def test_there_and_back_is_exact() -> None:
    assert sheets.from_json(sheets.to_json(sheet())) == sheet()


@pytest.mark.parametrize("seed", range(20))
def test_any_sheet_comes_back_exactly(seed: int) -> None:
    dice = random.Random(seed)
    made = random_sheet(dice)
    assert sheets.from_json(sheets.to_json(made)) == made


def random_sheet(dice: random.Random) -> CueSheet:
    length = Fraction(dice.randint(1, 10_000) * 1001, dice.choice([24000, 30000, 60000]))
    cues = []
    for index in range(dice.randint(0, 8)):
        sound = dice.choice(VOCABULARY)
        start = tidy(float(length) * dice.random() * 0.8)
        span = Span(start, tidy((length - start) / 2))
        sync = (tidy(start + span.duration_s / 2),) if sound.motion is Motion.STRUCK else ()
        params = {key: knob.low + dice.random() * (knob.high - knob.low) for key, knob in sound.knobs.items()}
        gain = dice.uniform(-60, 6)
        cue = Cue(
            f"c{index}", sound.stem, span, sound.id, sync_s=sync, params=params, gain_db=gain, seed=dice.getrandbits(60)
        )
        flags = {name: dice.random() < 0.5 for name in ("locked", "muted")}
        shape = {"pan": dice.uniform(-1, 1), "fade_in_s": dice.random(), "fade_out_s": dice.random()}
        curve = (GainPoint(dice.random(), dice.uniform(-9, 9)),) * dice.randint(0, 2)
        cues.append(replace(cue, **flags, **shape, gain_curve=curve, confidence=dice.random(), performer="procedural"))
    ordered = tuple(sorted(cues, key=lambda cue: cue.span.start_s))
    return CueSheet("random", Fraction(24000, 1001), length, cues=ordered)


def test_it_reads_well() -> None:
    text = sheets.to_json(sheet())
    assert '"timecode": "01:00:03:05"' in text
    assert "—" in text
    assert text.count("\n") > 60


def test_a_person_needs_to_write_very_little() -> None:
    (cue,) = sheets.from_json('{"duration_s": 10, "cues": [{"sound": "sea", "start_s": 1, "duration_s": 2}]}').cues
    assert (cue.stem, cue.span, cue.gain_db) == (Stem.AMBIENCE, Span(Fraction(1), Fraction(2)), -3.0)
    assert cue.id
    assert "sea" in cue.prompt
    (blow,) = sheets.from_json('{"duration_s": 10, "cues": [{"sound": "impact.wood", "sync_s": [1.5]}]}').cues
    assert blow.sync_s == (Fraction(3, 2),)
    assert blow.span.start_s < Fraction(3, 2) < blow.span.end_s


def test_cues_are_put_in_order_of_time() -> None:
    text = json.dumps({"duration_s": 10, "cues": [cue_row(start_s=4), cue_row(start_s=1)]})
    assert [cue.span.start_s for cue in sheets.from_json(text).cues] == [1, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (with_cue(gain_db="loud"), "cues[2].gain_db must be a number from -100 to 30"),
        (with_cue(gain_db=99), "cues[2].gain_db must be a number from -100 to 30"),
        (with_cue(gain_db=True), "cues[2].gain_db must be a number"),
        (with_cue(gain_db=float("nan")), "cues[2].gain_db must be a number"),
        (with_cue(pan=-2), "cues[2].pan must be a number from -1 to 1"),
        (with_cue(start_s=11), "cues[2].start_s must be a number from 0 to 10 seconds"),
        (with_cue(start_s=float("inf")), "cues[2].start_s must be a number"),
        (with_cue(duration_s=6), "cues[2].duration_s must be a number from 0 to 5 seconds"),
        (with_cue(duration_s=-1), "cues[2].duration_s must be a number"),
        (with_cue(duration_s="1/0"), "cues[2].duration_s must be a number"),
        (with_cue(sound="see"), 'cues[2].sound must be a sound of the vocabulary, not "see"'),
        (with_cue(sound="impact.wood"), "cues[2] has no sync_s, and impact.wood is struck"),
        (with_cue(sound="impact.wood", sync_s=[1]), "cues[2].sync_s[0] must be inside the cue's own time"),
        (with_cue(stem="dialogue"), "cues[2].stem must be one of"),
        (with_cue(params={"loudness": 1}), "cues[2].params.loudness is not a key"),
        (with_cue(params={"distance": 7}), "cues[2].params.distance must be a number from 0 to 1"),
        (with_cue(gain_curve=[[1, 2, 3]]), "cues[2].gain_curve[0] must be a list of at most 2 entries"),
        (with_cue(gain_curve=[[1]]), "cues[2].gain_curve[0] must be a pair"),
        (with_cue(id=""), "cues[2].id must be a text of 1 to 256 letters"),
        (with_cue(prompt="y" * 5000), "cues[2].prompt must be a text of at most 4096 letters"),
        (with_cue(why="half \ud800"), "cues[2].why must be a text without halves of letters"),
        (with_cue(colour="red"), "cues[2].colour is not a key"),
        (with_cue(locked="yes"), "cues[2].locked must be true or false"),
        (with_cue(seed=-1), "cues[2].seed must be a whole number"),
        (with_cue(seed=1.5), "cues[2].seed must be a whole number"),
        (json.dumps(rows(format="1999")), "format must be"),
        (json.dumps(rows(duration_s=-1)), "duration_s must be a number"),
        (json.dumps(rows(cues={})), "cues must be a list"),
        (json.dumps(rows(cues=["sea"])), "cues[0] must be an object"),
        (json.dumps({"cues": []}), "no duration_s"),
        ("[]", "the cue sheet must be an object"),
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[" * 100_000, "reason"),
        ('{"duration_s": ' + "9" * 5000 + "}", "reason"),
        ('{"duration_s": 1, "duration_s": 2}', "twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(CueSheetError) as caught:
        sheets.from_json(text)
    assert said in caught.value.message
    assert caught.value.hint


def test_two_cues_may_not_share_an_id() -> None:
    text = json.dumps({"duration_s": 10, "cues": [cue_row(id="a"), cue_row(id="a")]})
    with pytest.raises(CueSheetError, match=r"cues\[1\]\.id must be unique"):
        sheets.from_json(text)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(CueSheetError) as caught:
        sheets.from_json(with_cue(sound="impact.wod"))
    assert caught.value.hint == "Did you mean impact.wood?"


def test_the_table_shows_everything() -> None:
    screen = Console(width=150, file=io.StringIO(), force_terminal=False)
    screen.print(sheets.table(sheet()))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    for word in ("sea", "impact.wood", "silence", "black", "speech", "foley?", "-3.3 dB", "01:00:04:15"):
        assert word in text, word


def test_a_sheet_of_a_drop_frame_edit_says_its_timecode_so() -> None:
    rate = Fraction(30_000, 1001)
    at_s = Fraction(1800 * 1001, 30_000)
    cue = Cue("a", Stem.FOLEY, Span(at_s, Fraction(1)), "impact.wood", "a knock", "it is seen", sync_s=(at_s,))
    sheet = CueSheet("cut", rate, Fraction(600), (cue,), start_timecode_s=Fraction(0), drop_frame=True)
    text = sheets.to_json(sheet)
    assert '"timecode": "00:01:00;02"' in text, "ten frames a minute are numbers that do not exist"
    assert sheets.from_json(text) == sheet
    assert wire.sheet_from_wire(wire.sheet_to_wire(sheet)) == sheet
    assert '"timecode": "00:01:00:00"' in sheets.to_json(replace(sheet, drop_frame=False))
