# SPDX-License-Identifier: AGPL-3.0-or-later
"""MusicGen, MusicGen-Melody and ACE-Step through their real loading code, on tiny checkpoints that are made here: they fit
music cues to the sample and end on the last frame."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import neural_stage
import numpy as np
import pytest
import torch
from neural_stage import fresh, lasting, model, saved, take, together_equal_alone, variable

from immersivaudio.engine import gate, performing
from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, RequestError, UnavailableError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import holding, tokens
from immersivaudio.engine.performers import Brief, Performer

pytestmark = neural_stage.MARKS
RATES = {"musicgen": 32_000, "musicgen_melody": 32_000, "ace_step": 48_000}
PIECE = Cue("piece", Stem.MUSIC, Span(Fraction(10), Fraction(3)), "music", sync_s=(Fraction(11),), seed=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return saved(tmp_path_factory.mktemp("weights"), RATES)


@pytest.fixture(scope="module")
def held() -> holding.Holding:
    return holding.Holding()


@pytest.fixture(params=RATES)
def performer(
    request: pytest.FixtureRequest, weights: dict[str, Path], held: holding.Holding, monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setenv(variable(request.param), str(weights[request.param]))
    return fresh(request.param, held)


def test_it_keeps_the_contract(performer: Any) -> None:
    assert isinstance(performer, Performer)
    assert performer.available() == ""
    assert performer.fitness(PIECE) > 0
    assert performer.fitness(replace(PIECE, stem=Stem.AMBIENCE, sound="wind")) == 0
    assert model(performer).rate_hz == RATES[performer.name]


@pytest.mark.parametrize("seconds", [Fraction(1, 10), Fraction(1001, 240)])
def test_it_fits_its_cue_and_ends_on_the_last_frame(performer: Any, seconds: Fraction) -> None:
    samples = take(performer, lasting(PIECE, seconds))
    assert samples.shape == (2, samples_at(seconds))
    assert np.isfinite(samples).all()
    assert not samples[:, -1].any()
    assert samples[:, : samples.shape[1] // 2].any()


def test_it_comes_at_the_reference_level(performer: Any) -> None:
    meter = LoudnessMeter()
    meter.push(take(performer, lasting(PIECE, Fraction(8)))[:, : 6 * 48_000])
    assert meter.integrated() == pytest.approx(-26, abs=1.5)


def test_seeds_are_reproduced_and_nobody_elses_noise_is_touched(performer: Any) -> None:
    state = torch.random.get_rng_state()
    first, other, again = (take(performer, replace(PIECE, seed=seed)) for seed in (7, 8, 7))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_words_matter(performer: Any) -> None:
    plain = take(performer, replace(PIECE, prompt="a slow waltz"))
    assert not np.allclose(plain, take(performer, replace(PIECE, prompt="loud brass")))


def test_cancel_is_obeyed_within_a_step(performer: Any) -> None:
    made, steps = model(performer), []
    net = made.pipe.transformer if performer.name == "ace_step" else made.net.decoder
    hook = net.register_forward_hook(lambda *_: steps.append(1))
    try:
        with pytest.raises(CancelledError):
            take(performer, replace(PIECE, params={"steps": 50.0}), lambda: len(steps) >= 3)
    finally:
        hook.remove()
    assert len(steps) <= 5
    assert take(performer, PIECE).any()


@pytest.mark.parametrize("name", ["musicgen", "musicgen_melody"])
def test_pieces_of_one_length_together_equal_the_same_alone(
    name: str, weights: dict[str, Path], held: holding.Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draws its own tokens; prompts of other lengths, other guidance and another length beside them."""
    monkeypatch.setenv(variable(name), str(weights[name]))
    performer = fresh(name, held)
    cues = [
        replace(lasting(PIECE, Fraction(2)), seed=seed, prompt="ab" * seed, params={"guidance": guidance})
        for seed, guidance in enumerate((3.0, 2.0, 3.0, 1.0, 3.0), 1)
    ]
    same = [replace(cue, prompt="a waltz") for cue in cues] if name == "musicgen_melody" else cues
    together_equal_alone(performer, model(performer).net.decoder, [*same, lasting(cues[0], Fraction(3))])


def test_one_that_is_cancelled_leaves_the_others_of_its_wave_alone(
    held: holding.Holding, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MUSICGEN", str(weights["musicgen"]))
    performer = fresh("musicgen", held)
    wanted, steps = take(performer, PIECE), []
    hook = model(performer).net.decoder.register_forward_hook(lambda *_: steps.append(1))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(take, performer, replace(PIECE, seed=5), lambda: len(steps) > 3)
        second = pool.submit(take, performer, replace(PIECE, seed=6), lambda: len(steps) > 3)
        third = pool.submit(take, performer, PIECE)
        for cancelled in (first, second):
            with pytest.raises(CancelledError):
                cancelled.result()
        np.testing.assert_allclose(third.result(), wanted, atol=1e-4)
    hook.remove()


def test_memory_that_runs_out_halves_the_wave_then_is_said(
    held: holding.Holding, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MUSICGEN", str(weights["musicgen"]))
    performer = fresh("musicgen", held)
    wanted, made = take(performer, PIECE), model(performer)
    with neural_stage.memory_for(made.net.text_encoder, rows=1), ThreadPoolExecutor(3) as pool:
        for got in pool.map(lambda _: take(performer, PIECE), range(3)):
            np.testing.assert_allclose(got, wanted, atol=1e-4)
    with neural_stage.memory_for(made.net.text_encoder, rows=0), pytest.raises(UnavailableError, match="more memory"):
        take(performer, PIECE)
    np.testing.assert_allclose(take(performer, PIECE), wanted, atol=1e-4)


def test_a_tune_is_heard(held: holding.Holding, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MUSICGEN_MELODY", str(weights["musicgen_melody"]))
    made = model(fresh("musicgen_melody", held))
    times = np.arange(3 * 32_000) / 32_000
    tunes = [np.sin(2 * np.pi * hz * times).astype(np.float32)[None] for hz in (440.0, 261.63)]
    notes = [int(made._chroma(tune[0])[0].argmax(dim=-1).mode().values) for tune in tunes]
    assert notes == [9, 0]
    brief = Brief(PIECE, 144_000)
    assert not np.allclose(*(made.sound(brief, tune, continues=False) for tune in tunes))


def test_a_piece_longer_than_the_model_goes_on(
    held: holding.Holding, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MUSICGEN", str(weights["musicgen"]))
    monkeypatch.setattr(tokens, "_LONGEST_S", 3.0)
    monkeypatch.setattr(tokens, "_OVERLAP_S", 1.0)
    performer = fresh("musicgen", held)
    samples = take(performer, lasting(PIECE, Fraction(6)))
    assert samples.shape == (2, 288_000)
    levels = np.sqrt(np.square(samples[0, : 4 * 48_000]).reshape(8, -1).mean(axis=1))
    assert levels.min() > 0.2 * levels.max()


def test_ace_step_without_its_audio_tokenizer_is_told_the_tempo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiny_ace_step

    monkeypatch.setenv("IMMERSIVAUDIO_ACE_STEP", str(tiny_ace_step.save(tmp_path / "bare", tokenizer=False)))
    performer = fresh("ace_step")
    asked = model(performer)._asked(Brief(PIECE, 144_000))
    assert 30 < asked["bpm"] < 240
    assert "src_audio" not in asked
    assert gate.check(take(performer, PIECE), PIECE, 144_000) == ()


def test_senseless_params_are_refused(performer: Any) -> None:
    params = {"steps": 0.0} if performer.name == "ace_step" else {"top_k": 0.0}
    with pytest.raises(RequestError):
        take(performer, replace(PIECE, params=params))


def test_foreign_and_broken_weights_are_refused(
    performer: Any, weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "musicgen_melody" if performer.name == "musicgen" else "musicgen"
    monkeypatch.setenv(variable(performer.name), str(weights[other]))
    with pytest.raises(UnavailableError, match="refused"):
        fresh(performer.name).setup()
    monkeypatch.setenv(variable(performer.name), str(tmp_path / "nothing"))
    assert "are not at" in fresh(performer.name).available()


def test_a_job_takes_non_commercial_music_only_when_allowed(
    weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_MUSICGEN", str(weights["musicgen"]))
    performers = performing.Performers.load(["musicgen", "music"])
    cue = replace(PIECE, performer="musicgen")
    for rights, wanted in (("any", "musicgen"), ("commercial", "music")):
        done = performing.perform([cue], performers, tmp_path, rights, lambda: False, lambda *_: None)
        assert done.takes["piece"].performer == wanted
