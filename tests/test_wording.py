# SPDX-License-Identifier: AGPL-3.0-or-later
"""Words for cues: what a language model is told, which of its answers are taken, and that edits by hand stay."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_spotting import edit_of, impacts, place, saw

from immersivaudio.engine import guarded_wording, prompts, sheets, spotting, wording
from immersivaudio.engine.cue import Cue, CueSheet, Sighting, Stem
from immersivaudio.engine.errors import CancelledError, EngineError, UnavailableError
from immersivaudio.engine.guarding import Limits
from immersivaudio.engine.keeping import touched
from immersivaudio.engine.wording import Asked, Template, Words, checked, question, worded

SEEN = [
    place("interior", 0, 6), *impacts([1.0, 3.0]), saw("tone", 0, 6, 0.9, valence=-0.7, energy=0.9),
    replace(saw("caption", 0, 6, 0.5, text="A smith at his anvil."), watcher="caption"),
    replace(saw("spoken", 0, 6, 0.9, text="I killed him."), watcher="speech"),
]  # fmt: skip


def sheet() -> CueSheet:
    return spotting.spot(edit_of(6), SEEN)


def cue_of(stem: Stem) -> Cue:
    return next(cue for cue in sheet().cues if cue.stem is stem)


class Writer:
    """A wording that says what it is told to, and remembers what it was asked."""

    def __init__(self, say: Callable[[Asked], Words]) -> None:
        self.say, self.asked = say, []

    def words(self, asked: Asked) -> Words:
        self.asked.append(asked)
        return self.say(asked)


def never() -> bool:
    return False


# the schema


@pytest.mark.parametrize(
    "answer",
    [
        '{"prompt": "one hard blow of a steel hammer on an anvil, close"}',
        'Sure!\n```json\n{"prompt": "steel hammer on an anvil,\\n close", "avoid": ["birds", "wind"]}\n```',
    ],
)
def test_an_answer_of_the_schema_is_taken(answer: str) -> None:
    words = checked(answer, cue_of(Stem.FOLEY))
    assert "anvil" in words.prompt
    assert "\n" not in words.prompt
    assert words.avoid in ((), ("birds", "wind"))


@pytest.mark.parametrize(
    "answer",
    [
        "", "a hammer", "{}", "[]", "{prompt: hammer}", '{"prompt": 5}', '{"prompt": "x"}', '{"prompt": "......... ......."}',
        '{"prompt": "hammer on an anvil", "run": "this"}', '{"prompt": "hammer on an anvil", "avoid": "birds"}',
        '{"prompt": "hammer on an anvil", "avoid": [1]}', '{"prompt": "hammer on an anvil", "avoid": ["a, b"]}',
        '{"prompt": "%s"}' % ("hammer on an anvil " * 20), '{"prompt": "a man speaking over a hammer"}',
        '{"prompt": "hammer blows with gentle piano music"}', '{"prompt": "hammer on an anvil"', "null", "NaN",
    ],
)  # fmt: skip
def test_any_other_answer_is_refused(answer: str) -> None:
    with pytest.raises(ValueError):
        checked(answer, cue_of(Stem.FOLEY))


def test_crowds_may_have_voices_and_music_must_not() -> None:
    crowd = replace(cue_of(Stem.AMBIENCE), sound="crowd")
    assert checked('{"prompt": "many people talking in a hall"}', crowd).prompt
    music = replace(cue_of(Stem.AMBIENCE), sound="music", stem=Stem.MUSIC)
    assert checked('{"prompt": "slow piano melody in a minor key"}', music).prompt
    with pytest.raises(ValueError, match="voices"):
        checked('{"prompt": "slow piano with warm vocals"}', music)


# the sheet


def test_a_model_is_told_what_is_seen_the_tone_and_the_neighbours_but_nothing_that_is_said() -> None:
    writer = Writer(lambda asked: Words("one dull blow on a workbench", ("birds",)))
    worded(sheet(), SEEN, writer, never)
    blow = next(asked for asked in writer.asked if asked.cue.stem is Stem.FOLEY)
    assert "A smith at his anvil." in blow.seen
    assert "agitated" in blow.tone
    assert any("room tone" in other for other in blow.beside)
    text = question(blow)
    for part in ("A smith at his anvil.", "agitated", "room tone", '"prompt"', "No speech and no music"):
        assert part in text
    assert "killed" not in text


def test_words_reach_the_cue_and_what_to_avoid_adds_to_what_never_may_be() -> None:
    found, failed = worded(sheet(), SEEN, Writer(lambda asked: Words("a dull blow indoors", ("birds",))), never)
    assert failed == 0
    for cue in found.cues:
        assert cue.prompt == "a dull blow indoors"
        unwanted = prompts.negative(cue).split(", ")
        assert {"speech", "music", "birds"} <= set(unwanted)
        assert not touched(cue)
    again = sheets.from_json(sheets.to_json(found))
    assert [cue.prompt for cue in again.cues] == [cue.prompt for cue in found.cues]
    assert not any(touched(cue) for cue in again.cues)


def test_without_usable_words_the_template_stays() -> None:
    def fail(asked: Asked) -> Words:
        raise ValueError("no")

    plain = sheet()
    found, failed = worded(plain, SEEN, Writer(fail), never)
    assert found == plain
    assert failed == len(plain.cues)
    assert worded(plain, SEEN, Template(), never) == (plain, 0)


def test_what_a_person_wrote_or_locked_is_not_worded_again() -> None:
    plain = sheet()
    mine, locked, *rest = plain.cues
    edited = replace(plain, cues=(replace(mine, prompt="my own words"), replace(locked, locked=True), *rest))
    found, _ = worded(edited, SEEN, Writer(lambda asked: Words("a dull blow indoors")), never)
    assert [cue.prompt for cue in found.cues[:2]] == ["my own words", locked.prompt]
    assert all(cue.prompt == "a dull blow indoors" for cue in found.cues[2:])


def test_words_of_a_model_that_a_person_changed_are_the_person_s() -> None:
    found, _ = worded(sheet(), SEEN, Writer(lambda asked: Words("a dull blow indoors")), never)
    assert touched(replace(found.cues[0], prompt="a dull blow outdoors"))


def test_a_cancel_is_heard_between_cues() -> None:
    with pytest.raises(CancelledError):
        worded(sheet(), SEEN, Template(), lambda: True)


# the model

torch = pytest.importorskip("torch", reason="the [models] extra is not installed")
pytest.importorskip("transformers", reason="the [models] extra is not installed")
import tiny_checkpoints as tiny  # noqa: E402

ANSWER = json.dumps({"prompt": "one blow of a hammer on wood, close", "avoid": ["birds"]})


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., wording.LanguageModel]:
    def load(**how: object) -> wording.LanguageModel:
        monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
        monkeypatch.setenv("IMMERSIVAUDIO_LLM", str(tiny.chat(tmp_path / "llm", **how)))
        found = wording.LanguageModel.named()
        assert found is not None
        return found

    return load


def asked() -> Asked:
    return Asked(cue_of(Stem.FOLEY), ("A smith at his anvil.",), "even in tone", ())


@pytest.mark.parametrize("template", [True, False])
def test_a_model_that_answers_words_the_cue(template: bool, named: Callable[..., wording.LanguageModel]) -> None:
    model = named(asked=question(asked()), answer=ANSWER, template=template)
    assert model.words(asked()) == Words("one blow of a hammer on wood, close", ("birds",))


def test_nonsense_leaves_the_template_and_is_alike_for_a_seed(named: Callable[..., wording.LanguageModel]) -> None:
    model = named()
    state = torch.random.get_rng_state()
    first, again, other = (model.answer("say", seed) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(state, torch.random.get_rng_state())
    plain = sheet()
    assert worded(plain, SEEN, model, never) == (plain, len(plain.cues))


def test_behind_its_guard_a_model_says_the_same(named: Callable[..., wording.LanguageModel]) -> None:
    model = named(asked=question(asked()), answer=ANSWER)
    writer, lack = guarded_wording.of_operator()
    assert lack == ""
    assert writer.words(asked()) == model.words(asked())


@pytest.mark.parametrize(
    ("fault", "said"), [(signal.SIGSEGV, "it crashed (SIGSEGV)"), (signal.SIGSTOP, "gave no answer for 8 s")]
)
def test_a_model_that_crashes_or_hangs_is_named_and_the_template_stays(
    fault: signal.Signals, said: str, named: Callable[..., wording.LanguageModel]
) -> None:
    named()
    model = guarded_wording.GuardedModel(Limits(patience_s=8.0))
    os.kill(model.pid, fault)
    plain = sheet()
    assert worded(plain, SEEN, model, never) == (plain, len(plain.cues))
    assert said in model.lost


@pytest.mark.skipif(sys.platform != "linux", reason="memory is watched on Linux only")
def test_a_model_that_holds_too_much_is_named(named: Callable[..., wording.LanguageModel]) -> None:
    named()
    with pytest.raises(EngineError, match=r"held more than 0\.0 GiB of memory"):
        guarded_wording.GuardedModel(Limits(memory_bytes=20 * 1024**2))


def test_without_a_model_the_template_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMERSIVAUDIO_LLM", raising=False)
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path))
    writer, lack = guarded_wording.of_operator()
    assert isinstance(writer, Template)
    assert lack == ""
    monkeypatch.setenv("IMMERSIVAUDIO_LLM", str(tmp_path / "gone"))
    writer, lack = guarded_wording.of_operator()
    assert isinstance(writer, Template)
    assert "gone" in lack
    with pytest.raises(UnavailableError):
        wording.LanguageModel.named()


def test_sightings_have_words() -> None:
    row: Sighting = saw("scene", 0, 1, 0.5, kind="forest")
    assert wording._said(row) == "scene forest (0.50)"
