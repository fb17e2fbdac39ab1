# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate hears what a model put into a sound unasked: real speech and composed music among what rules and physics make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scripted import Scripted

from immersivaudio.engine import gate, media, plugins
from immersivaudio.engine.cue import Cue, Span, Stem
from immersivaudio.engine.models import listening
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import VOCABULARY, Motion

RATE = 48_000
WIND = Cue("bed", Stem.AMBIENCE, Span(Fraction(0), Fraction(6)), "wind")


@pytest.fixture(autouse=True)
def no_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMMERSIVAUDIO_YAMNET", raising=False)
    listening._classifier.cache_clear()
    yield
    listening._classifier.cache_clear()


@pytest.fixture
def classifier(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert", reason="the [onnx] extra is not installed")
    if not (shared / "weights/yamnet_521.tflite").is_file():
        pytest.skip("YAMNet's weights are not here")
    monkeypatch.setenv("IMMERSIVAUDIO_YAMNET", str(shared / "weights/yamnet_521.tflite"))
    monkeypatch.setenv("IMMERSIVAUDIO_YAMNET_CLASSES", str(shared / "weights/yamnet_class_map.csv"))


@pytest.fixture(scope="module")
def speech() -> Block:
    path = Path(__file__).parents[2] / "shared/media/video/speech-webcam-night.mp4"
    if not path.is_file():
        pytest.skip("real footage is not here: ../shared/media is missing")
    whole = np.concatenate(list(media.sound(path, Span(Fraction(0), Fraction(6)))), axis=1)
    return (np.broadcast_to(whole, (2, whole.shape[1])) if whole.shape[0] == 1 else whole[:2])[:, : 6 * RATE]


def made(sound: str, seconds: int = 6, stem: Stem = Stem.AMBIENCE) -> Block:
    cue = Cue("c", stem, Span(Fraction(0), Fraction(seconds)), sound, seed=3)
    performer = plugins.create("performers", "music" if sound == "music" else "procedural")
    return np.concatenate(list(performer.perform(Brief(cue, seconds * RATE))), axis=1)


def model(*takes: Block) -> Scripted:
    """A performer that generates: one take after the other, whatever it is asked."""
    waiting = list(takes)
    return Scripted("model", lambda brief: waiting.pop(0)[:, : brief.samples], generates=True)


def unasked(cue: Cue, sound: Block) -> set[str]:
    ears = listening.Ears(cue)
    for start in range(0, sound.shape[1], 7001):
        ears.hear(sound[:, start : start + 7001].astype(np.float32))
    return {one.name for one in ears.unasked()}


def test_babble_is_performed_again_and_said(tmp_path: Path, speech: Block) -> None:
    wind = made("wind")
    brief = Brief(WIND, speech.shape[1])
    done = gate.perform_gated([model(speech, wind)], brief, tmp_path / "take.wav")
    assert done.seed != WIND.seed
    assert len(done.notes) == 1
    assert "s of something like speech (seed 0)" in done.notes[0]


def test_only_babble_goes_to_the_next_performer(tmp_path: Path, speech: Block) -> None:
    procedural = plugins.create("performers", "procedural")
    babbler = model(speech, speech, speech)
    done = gate.perform_gated([babbler, procedural], Brief(WIND, speech.shape[1]), tmp_path / "take.wav")
    assert done.performer is procedural
    assert sum("like speech" in note for note in done.notes) == 3


@pytest.mark.parametrize("gain", [0.02, 1.0])
def test_speech_is_heard_faint_and_under_wind(speech: Block, gain: float) -> None:
    assert unasked(WIND, speech * gain) == {"speech"}
    assert unasked(WIND, speech * gain + 0.1 * gain * made("wind")) == {"speech"}


def test_asked_for_voices_are_let_through(speech: Block) -> None:
    assert unasked(replace(WIND, sound="crowd"), speech) == set()
    assert unasked(replace(WIND, prompt="people talking in a hall"), speech) == set()


@pytest.mark.slow
def test_what_physics_makes_holds_no_speech_and_no_music(classifier: None) -> None:
    steady = [sound for sound in VOCABULARY if sound.motion is Motion.SUSTAINED and sound.stem is not Stem.MUSIC]
    wrong = {
        sound.id: found for sound in steady if (found := unasked(replace(WIND, sound=sound.id), made(sound.id, 4)))
    }
    assert wrong == {}


def test_music_is_heard_where_none_was_asked(classifier: None) -> None:
    music = made("music", 8, Stem.MUSIC)
    assert unasked(WIND, music) == {"music"}
    assert unasked(replace(WIND, stem=Stem.MUSIC, sound="music"), music) == set()
    assert unasked(replace(WIND, prompt="a piano next door"), music) == set()


def test_speech_is_heard_by_the_classifier_too(classifier: None, speech: Block) -> None:
    assert unasked(WIND, speech) == {"speech"}
