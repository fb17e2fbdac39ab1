# SPDX-License-Identifier: AGPL-3.0-or-later
"""Captions: tiny models through the code that loads real ones, one sentence a shot, and what sentences tell."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_spotting import edit_of

from immersivaudio.engine import plugins
from immersivaudio.engine.cue import Clip, Span
from immersivaudio.engine.spotting import spot
from immersivaudio.engine.watchers import Frame, PictureWatcher
from immersivaudio.engine.watchers.caption import _Session, told

torch = pytest.importorskip("torch", reason="the [models] extra is not installed")
tf = pytest.importorskip("transformers", reason="the [models] extra is not installed")
import tiny_checkpoints as tiny  # noqa: E402

PICTURE = np.random.default_rng(4).integers(0, 255, (54, 96, 3), np.uint8)


def captioner(make: Callable[[Path], Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> PictureWatcher:
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
    monkeypatch.setenv("IMMERSIVAUDIO_CAPTION", str(make(folder / "caption")))
    watcher: PictureWatcher = plugins.create("watchers", "caption")
    assert watcher.available() == ""
    watcher.setup()
    return watcher


def test_a_caption_is_what_blip_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = captioner(tiny.blip, tmp_path, monkeypatch)
    model = tf.BlipForConditionalGeneration.from_pretrained(tmp_path / "caption").eval()
    processor = tf.AutoProcessor.from_pretrained(tmp_path / "caption")
    tokens = model.generate(**processor(images=PICTURE, return_tensors="pt"), do_sample=False, max_new_tokens=40)
    theirs = " ".join(processor.batch_decode(tokens, skip_special_tokens=True)[0].split())
    assert watcher.describe(PICTURE) == theirs != ""  # type: ignore[attr-defined]


def test_a_chat_model_is_asked_and_only_its_answer_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = captioner(tiny.llava, tmp_path, monkeypatch)
    said = watcher.describe(PICTURE)  # type: ignore[attr-defined]
    assert said
    assert "Describe" not in said
    assert said == watcher.describe(PICTURE)  # type: ignore[attr-defined]


def test_every_shot_has_one_sentence_and_a_long_one_more() -> None:
    shots = [(0.0, 2.0, 40), (2.0, 2.25, 220), (2.25, 20.0, 90)]
    clip = Clip("c", "c", "video", 0, None, Span(Fraction(0), Fraction(20)), Span(Fraction(0), Fraction(20)))
    session = _Session("caption", clip, lambda rgb: f"grey {rgb[0, 0, 0]}")
    for index in range(0, 20 * 8):
        at = Fraction(index, 8)
        grey = next(value for start, end, value in shots if start <= at < end)
        session.see(Frame(at, np.full((18, 32, 3), grey, np.uint8)))
    rows = [(float(s.span.start_s), float(s.span.end_s), s.values["text"]) for s in session.finish()]
    assert rows[:3] == [(0.0, 2.0, "grey 40"), (2.0, 2.25, "grey 220"), (2.25, 10.75, "grey 90")]
    assert [text for _, _, text in rows[3:]] == ["grey 90"] * 2
    assert rows[-1][1] == 20


def test_no_picture_has_no_sentence() -> None:
    span = Span(Fraction(0), Fraction(1))
    assert _Session("caption", Clip("c", "c", "video", 0, None, span, span), lambda _: "x").finish() == []


def test_what_a_sentence_names_is_suggested_or_backs_others() -> None:
    rows = told("caption", Span(Fraction(0), Fraction(10)), "Waves roll onto a sandy beach in the rain.")
    assert {row.values.get("kind") for row in rows[1:]} == {"sea", "beach", "rain", "sand"}
    sheet = spot(edit_of(10), rows)
    assert "sea" in {cue.sound for cue in (*sheet.cues, *sheet.suggestions)}
