# SPDX-License-Identifier: AGPL-3.0-or-later
"""Language, words and tone: tiny recognisers and classifiers through the code that loads real ones, and what tone does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from test_spotting import edit_of, place, saw

from immersivaudio.engine import conform, media, moods, original, plugins, watching
from immersivaudio.engine.cue import Cue, CueSheet, Edit, Sighting, Span, Stem
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import store
from immersivaudio.engine.spotting import SpotOptions, spot
from immersivaudio.engine.watchers import SoundWatcher
from immersivaudio.engine.watchers._spoken import RATE_HZ, Piece, _Cutter, pieces

FEELINGS = ["angry", "calm", "happy", "sad"]
SPEECH = SHARED / "media/video/speech-1940-office-bw.mp4"
needs_speech = pytest.mark.skipif(not SPEECH.is_file(), reason="real speech is not beside the repository")


# pieces


def test_pieces_are_what_is_spoken_with_a_little_before_and_none_too_long() -> None:
    cutter = _Cutter(longest_s=3.2)
    chances = [0.0] * 50 + [0.9] * 60 + [0.1] * 40 + [0.9] * 220 + [0.0] * 30
    found = [cutter.push(np.full(512, index, np.float32), chance) for index, chance in enumerate(chances)]
    first, *rest = [piece for piece in [*found, cutter.done()] if piece is not None]
    assert float(first.start_s) == pytest.approx(50 * 0.032 - 0.2, abs=0.04)
    assert first.wave[0] == pytest.approx(first.start_s * RATE_HZ / 512)
    assert all(len(piece.wave) / RATE_HZ <= 3.3 for piece in rest)
    assert len(rest) == 3
    assert first.confidence == pytest.approx(0.9)


def test_a_word_too_short_to_be_one_is_no_piece() -> None:
    cutter = _Cutter(longest_s=10)
    found = [cutter.push(np.zeros(512, np.float32), 0.9 if 20 <= i < 25 else 0.0) for i in range(100)]
    assert [piece for piece in [*found, cutter.done()] if piece] == []


def laid(path: Path, folder: Path) -> tuple[Edit, Path]:
    """The clip's first eight seconds, and their sound."""
    whole = conform.single(media.probe(path), path.name)
    clips = [clip.trimmed(Span(Fraction(0), Fraction(8))) for clip in whole.clips]
    edit = replace(whole, clips=tuple(clips), duration_s=Fraction(8))
    original.lay(edit, folder / "laid.wav", lambda: False)
    return edit, folder / "laid.wav"


@needs_speech
def test_real_speech_comes_in_pieces(tmp_path: Path) -> None:
    edit, wave = laid(SPEECH, tmp_path)
    found = list(pieces(original.blocks(wave, RATE_HZ), 10.0))
    spoken = sum(len(piece.wave) for piece in found) / RATE_HZ
    assert 0.4 * float(edit.duration_s) < spoken <= float(edit.duration_s) + 0.1
    assert all(len(piece.wave) / RATE_HZ < 10.1 for piece in found)


# feelings


@pytest.mark.parametrize(
    ("shares", "valence", "energy"),
    [
        ({"POSITIVE": 0.9, "NEGATIVE": 0.1}, 0.64, None),
        ({"1 star": 0.0, "5 stars": 1.0}, 0.8, None),
        ({"angry": 1.0, "sad": 0.0}, -0.7, 0.9),
        ({"ang": 0.5, "sad": 0.5}, -0.7, 0.55),
        ({"neutral": 1.0}, 0.0, 0.35),
    ],
)
def test_feelings_become_valence_and_energy(shares: dict[str, float], valence: float, energy: float | None) -> None:
    found = moods.mood(shares)
    assert found.valence == pytest.approx(valence)
    assert found.energy == (None if energy is None else pytest.approx(energy))


def tone(start: float, end: float, valence: float, energy: float | None, sure: float = 0.8) -> Sighting:
    values = {"valence": valence, "by": "voice"} | ({} if energy is None else {"energy": energy})
    return saw("tone", start, end, sure, **values)


def music(sheet: CueSheet) -> dict[str, float]:
    (cue,) = [cue for cue in (*sheet.cues, *sheet.suggestions) if cue.sound == "music"]
    return {name: float(value) for name, value in cue.params.items() if name in ("energy", "warmth")}


def test_music_and_ambience_follow_the_tone() -> None:
    options = SpotOptions(music=True)
    seen = [place("forest", 0, 20), place("vegetation", 0, 20), saw("light", 0, 20, 1.0, warmth=0.5)]
    plain, angry, calm = (
        spot(edit_of(20), [*seen, *more], options) for more in ([], [tone(2, 18, -0.7, 0.9)], [tone(2, 18, 0.6, 0.1)])
    )
    assert music(angry)["energy"] > music(plain)["energy"] > music(calm)["energy"] - 0.3
    assert music(angry)["warmth"] < music(plain)["warmth"] < music(calm)["warmth"]
    level = {name: sheet.cues[0].gain_db for name, sheet in (("plain", plain), ("angry", angry), ("calm", calm))}
    assert level["calm"] < level["plain"] < level["angry"] <= level["plain"] + 1.5
    assert "agitated" in angry.cues[0].why
    assert any("dark and agitated" in cue.why for cue in angry.cues if cue.sound == "music")


def test_a_scene_that_turns_the_tone_gets_music_of_its_own() -> None:
    options = SpotOptions(music=True)
    seen = [saw("shot", 0, 20), saw("shot", 20, 30), saw("shot", 30, 60)]
    seen += [place("vegetation", 0, 20), place("vegetation", 20, 30), place("interior", 30, 60)]
    (even,) = scored(spot(edit_of(60), [*seen, tone(1, 59, 0.6, 0.2)], options))
    assert even.span == Span(Fraction(0), Fraction(60))
    calm, dark = scored(spot(edit_of(60), [*seen, tone(1, 29, 0.8, 0.1), tone(31, 59, -0.9, 0.9)], options))
    assert (calm.span, dark.span) == (Span(Fraction(0), Fraction(30)), Span(Fraction(30), Fraction(30)))
    assert (calm.sync_s, dark.sync_s) == ((Fraction(20),), ())
    assert float(calm.params["energy"]) + 0.2 <= float(dark.params["energy"])
    assert float(dark.params["warmth"]) + 0.2 <= float(calm.params["warmth"])


def test_a_moment_of_another_tone_is_no_piece_of_its_own() -> None:
    seen = [place("vegetation", 0, 25), place("interior", 25, 33), place("vegetation", 33, 60)]
    seen += [saw("shot", 0, 25), saw("shot", 25, 33), saw("shot", 33, 60)]
    told = [tone(1, 24, 0.8, 0.1), tone(26, 32, -0.9, 0.9), tone(34, 59, 0.8, 0.1)]
    assert len(scored(spot(edit_of(60), [*seen, *told], SpotOptions(music=True)))) == 1


def scored(sheet: CueSheet) -> list[Cue]:
    return [cue for cue in sheet.cues if cue.stem is Stem.MUSIC]


def test_a_word_said_once_sets_no_tone() -> None:
    options, seen = SpotOptions(music=True), [place("vegetation", 0, 60)]
    once = spot(edit_of(60), [*seen, tone(3, 4, -0.7, 0.9)], options)
    assert music(once) == music(spot(edit_of(60), seen, options))


# the models

torch = pytest.importorskip("torch", reason="the [models] extra is not installed")
tf = pytest.importorskip("transformers", reason="the [models] extra is not installed")
import tiny_checkpoints as tiny  # noqa: E402

Named = Callable[..., SoundWatcher]


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Named:
    """``named("speech", speech=..., sentiment=...)``: the watcher, with weights that each function writes."""
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
    for variable in ("ONLINE", "SPEECH_TEXT", "SENTIMENT", "SPEECH", "EMOTION"):
        monkeypatch.delenv(f"IMMERSIVAUDIO_{variable}", raising=False)

    def load(name: str, **makers: Callable[[Path], object]) -> SoundWatcher:
        for model, make in makers.items():
            make(tmp_path / model)
            monkeypatch.setenv(f"IMMERSIVAUDIO_{model.upper()}", str(tmp_path / model))
        return plugins.create("watchers", name)  # type: ignore[no-any-return]

    return load


def voice(seconds: float = 2.0) -> Piece:
    wave = np.random.default_rng(5).normal(0, 0.1, int(seconds * RATE_HZ)).astype(np.float32)
    return Piece(Fraction(1), wave, 0.8)


def test_words_and_language_are_what_the_model_says(named: Named, tmp_path: Path) -> None:
    watcher = named("speech", speech=tiny.whisper)
    assert watcher.available() == ""
    watcher.setup()
    text, language = watcher._ear.hear(voice())  # type: ignore[attr-defined]
    assert language in ("en", "de")
    model = tf.WhisperForConditionalGeneration.from_pretrained(tmp_path / "speech").eval()
    processor = tf.AutoProcessor.from_pretrained(tmp_path / "speech")
    given = processor(voice().wave, sampling_rate=RATE_HZ, return_tensors="pt")
    tokens = model.generate(**given, do_sample=False, max_new_tokens=12)
    assert text == processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
    assert len(text) >= 1


@needs_speech
def test_real_speech_is_heard_behind_its_guard_and_its_text_is_kept_only_when_asked(
    named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named("speech", speech=tiny.whisper, sentiment=lambda folder: tiny.words_classifier(folder, ["joy", "anger"]))
    edit, wave = laid(SPEECH, tmp_path)
    watchers = watching.Watchers.load(("speech",))
    found, said = watching.listen(edit, wave, watchers, tmp_path / "cache", lambda: False)
    spoken = [row for row in found if row.label == "spoken"]
    assert said == []
    assert spoken
    assert all("text" not in row.values for row in spoken)
    assert {row.values["language"] for row in spoken} <= {"en", "de"}
    tones = [row for row in found if row.label == "tone"]
    assert len(tones) == len([row for row in spoken if row.values["words"]])
    monkeypatch.setenv("IMMERSIVAUDIO_SPEECH_TEXT", "1")
    again, _ = watching.listen(edit, wave, watching.Watchers.load(("speech",)), tmp_path / "cache", lambda: False)
    assert all("text" in row.values for row in again if row.label == "spoken")


@pytest.mark.slow
@needs_speech
def test_a_voice_has_a_tone(named: Named, tmp_path: Path) -> None:
    named("emotion", emotion=lambda folder: store.write_manifest(tiny.voice_classifier(folder, FEELINGS)))
    edit, wave = laid(SPEECH, tmp_path)
    found, said = watching.listen(edit, wave, watching.Watchers.load(("emotion",)), tmp_path / "cache", lambda: False)
    assert said == []
    assert found
    for row in found:
        assert row.label == "tone"
        assert -1 <= float(row.values["valence"]) <= 1
        assert 0 <= float(row.values["energy"]) <= 1


def test_shares_of_a_voice_are_the_model_s_own(named: Named, tmp_path: Path) -> None:
    watcher = named("emotion", emotion=lambda folder: tiny.voice_classifier(folder, FEELINGS))
    watcher.setup()
    model = tf.AutoModelForAudioClassification.from_pretrained(tmp_path / "emotion").eval()
    given = tf.AutoFeatureExtractor.from_pretrained(tmp_path / "emotion")(
        voice().wave, sampling_rate=RATE_HZ, return_tensors="pt"
    )
    with torch.inference_mode():
        shares = model(**given).logits[0].softmax(-1).tolist()
    theirs = moods.mood(dict(zip(FEELINGS, shares, strict=True)))
    assert watcher._mood(voice()).valence == pytest.approx(theirs.valence, abs=1e-4)  # type: ignore[attr-defined]


def test_how_words_are_meant_is_the_model_s_own(named: Named, tmp_path: Path) -> None:
    labels = ["POSITIVE", "NEGATIVE"]
    watcher = named("speech", speech=tiny.whisper, sentiment=lambda folder: tiny.words_classifier(folder, labels))
    watcher.setup()
    found = watcher._reader.mood("what a lovely day")  # type: ignore[attr-defined]
    folder = tmp_path / "sentiment"
    tokens = tf.AutoTokenizer.from_pretrained(folder)("what a lovely day", return_tensors="pt")
    model = tf.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        share = float(model(input_ids=tokens["input_ids"]).logits.softmax(-1)[0, 0])
    assert found.valence == pytest.approx(0.8 * (2 * share - 1), abs=1e-4)
    assert found.energy is None


def test_a_silent_edit_loads_no_model(named: Named) -> None:
    for name, make in (("speech", tiny.whisper), ("emotion", lambda f: tiny.voice_classifier(f, FEELINGS))):
        watcher = named(name, **{name: make})
        assert watcher.listen(edit_of(3), iter(())) == ()
        assert watcher.device == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "makers", "said"),
    [
        ("emotion", {"emotion": lambda f: tiny.voice_classifier(f, ["LABEL_0", "LABEL_1"])}, "name no feelings"),
        ("emotion", {"emotion": lambda f: tiny.voice_classifier(f, FEELINGS, rate_hz=44_100)}, "44100 Hz"),
        ("emotion", {"emotion": tiny.whisper}, "not made for"),
        ("speech", {"speech": lambda f: tiny.voice_classifier(f, FEELINGS)}, "not made for"),
        (
            "speech",
            {"speech": tiny.whisper, "sentiment": lambda f: tiny.words_classifier(f, ["A", "B"])},
            "no feelings",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused_in_a_sentence(
    name: str, makers: dict[str, Callable[[Path], object]], said: str, named: Named
) -> None:
    with pytest.raises(UnavailableError, match=said):
        named(name, **makers).setup()
