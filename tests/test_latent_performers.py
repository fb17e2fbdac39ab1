# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stable Audio Open and Stable Audio 3 through their real loading code, on tiny checkpoints that are made here: exact
lengths, seeds, shared passes, guide tracks, cancel, memory."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import neural_stage
import numpy as np
import pytest
import torch
from neural_stage import brief, fresh, lasting, model, saved, take, variable

from immersivaudio.engine import gate, performing, plugins
from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, RequestError, UnavailableError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import prompted
from immersivaudio.engine.models.latent import Lengths
from immersivaudio.engine.performers import Brief

pytestmark = neural_stage.MARKS
NAMES = ("stable_audio", "stable_audio_3")
NIGHT = Cue("night", Stem.AMBIENCE, Span(Fraction(10), Fraction(2)), "night", params={"steps": 3.0}, seed=1)
KNOCKS = replace(
    NIGHT, sound="impact.wood", stem=Stem.FOLEY, sync_s=tuple(10 + Fraction(n, 24) for n in (9, 24, 37)), params={}
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return saved(tmp_path_factory.mktemp("weights"), NAMES)


@pytest.fixture(params=NAMES)
def performer(request: pytest.FixtureRequest, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(variable(request.param), str(weights[request.param]))
    return fresh(request.param)


def test_it_keeps_the_contract(performer: Any) -> None:
    neural_stage.keeps_the_contract(performer)


@pytest.mark.parametrize("seconds", [Fraction(1, 48_000), Fraction(1, 10), Fraction(1001, 240), Fraction(7345, 1000)])
def test_the_length_is_exact(performer: Any, seconds: Fraction) -> None:
    samples = take(performer, lasting(NIGHT, seconds))
    assert samples.shape == (2, samples_at(seconds))
    assert np.isfinite(samples).all()


def test_it_is_the_models_own_rate_and_stereo_brought_to_48_khz(performer: Any) -> None:
    wave, rate_hz = performer.generate(model(performer), Brief(NIGHT, 96_000))
    assert (rate_hz, wave.shape[0]) == (44_100, 2)
    assert wave.shape[1] >= 2 * 44_100
    assert np.abs(np.corrcoef(wave)[0, 1]) < 0.99


def test_seeds_and_processes(performer: Any) -> None:
    first, again, other = (take(performer, replace(NIGHT, seed=seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(take(fresh(performer.name), replace(NIGHT, seed=7)), first)


def test_words_matter_and_the_level_is_the_reference(performer: Any) -> None:
    plain = take(performer, replace(NIGHT, prompt="owls"))
    assert not np.allclose(plain, take(performer, replace(NIGHT, prompt="a bell")))
    meter = LoudnessMeter()
    meter.push(plain)
    assert meter.integrated() == pytest.approx(-26, abs=0.3)


def test_a_short_cue_is_not_denoised_over_the_whole_window(performer: Any) -> None:
    lengths: list[int] = []
    net = model(performer).pipe.transformer
    hook = net.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[2]))
    take(performer, NIGHT)
    hook.remove()
    seconds = lengths[0] * model(performer).hop / 44_100
    assert 2 <= seconds < 6


def test_requests_together_equal_the_same_alone(performer: Any) -> None:
    """Several lengths and seeds at once, joining at different steps; each as when nobody else is there."""
    cues = [
        replace(lasting(NIGHT, Fraction(seconds)), seed=seed, params={"steps": 6.0}, prompt=f"sound {chr(97 + seed)}")
        for seed, seconds in enumerate((2, 2, 5, 2, 5, 3))
    ]
    neural_stage.together_equal_alone(performer, model(performer).pipe.transformer, cues)


def test_cancel_frees_within_one_step_and_leaves_the_others_alone(performer: Any) -> None:
    made, steps = model(performer), []
    wanted = take(performer, NIGHT)
    hook = made.pipe.transformer.register_forward_hook(lambda *_: steps.append(1))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(take, performer, NIGHT)
        with pytest.raises(CancelledError):
            take(performer, replace(NIGHT, seed=9, params={"steps": 100.0}), lambda: len(steps) >= 4)
        np.testing.assert_allclose(other.result(), wanted, atol=1e-4)
    hook.remove()
    assert len(steps) <= 4 + 3


def test_memory_that_runs_out_halves_the_batch_then_is_said(performer: Any) -> None:
    made = model(performer)
    wanted = take(performer, NIGHT)

    net = made.pipe.transformer
    with neural_stage.memory_for(net, rows=1), ThreadPoolExecutor(3) as pool:
        for got in pool.map(lambda _: take(performer, NIGHT), range(3)):
            np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert made.batcher.largest == 1 or performer.name == "stable_audio_3"
    with neural_stage.memory_for(net, rows=0), pytest.raises(UnavailableError, match="more memory"):
        take(performer, NIGHT)
    np.testing.assert_allclose(take(performer, NIGHT), wanted, atol=1e-4)


def test_senseless_params_are_refused(performer: Any) -> None:
    for params in ({"steps": 0.0}, {"guidance": 99.0}, {"guide": 1.0}, {"guide": "much"}):
        with pytest.raises(RequestError):
            take(performer, replace(NIGHT, params=params))


def test_missing_and_corrupt_weights_are_said(performer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = saved(tmp_path, [performer.name])[performer.name]
    monkeypatch.setenv(variable(performer.name), str(own))
    file = own / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UnavailableError, match="cannot be loaded"):
        fresh(performer.name).setup()
    file.unlink()
    with pytest.raises(UnavailableError, match=r"transformer has no \.safetensors"):
        fresh(performer.name).setup()


def test_music_ends_on_the_last_frame(performer: Any) -> None:
    samples = take(performer, replace(lasting(NIGHT, Fraction(5)), sound="music", stem=Stem.MUSIC))
    assert samples.shape == (2, 240_000)
    assert not samples[:, -1].any()
    loud, last = (np.sqrt(np.square(part).mean()) for part in (samples[:, 96_000:144_000], samples[:, -4_800:]))
    assert last < 0.2 * loud


def plain(name: str, folder: Path) -> Any:
    """The published pipeline as diffusers loads it, with the solver that needs no torchsde."""
    import diffusers

    if name == "stable_audio_3":
        return diffusers.StableAudio3Pipeline.from_pretrained(folder)
    from immersivaudio.engine.models import store
    from immersivaudio.engine.models import weights as registry
    from immersivaudio.engine.performers import stable_audio

    return stable_audio._load(store.Place(folder, registry.described(folder, name)))


def test_it_equals_the_plain_pipeline(performer: Any, weights: dict[str, Path]) -> None:
    pipe = plain(performer.name, weights[performer.name])
    pipe.set_progress_bar_config(disable=True)
    made = model(performer)
    cue = replace(NIGHT, prompt="owls", params={"steps": 4.0, "negative_prompt": "rain"}, seed=5)
    frames = made._frames(2 + made.lengths.beyond_s)
    noise = made.noise(frames, 5)
    if performer.name == "stable_audio":
        window_s = frames * made.hop / 44_100
        expected = pipe(
            "owls", window_s, negative_prompt="rain", num_inference_steps=4, guidance_scale=7.0, latents=noise
        ).audios[0]
    else:
        generator = torch.Generator().manual_seed(6)
        seconds = frames * made.hop / 44_100
        expected = pipe("owls", seconds, num_inference_steps=4, latents=noise, generator=generator).audios[0]
    wave, _ = performer.generate(made, Brief(cue, 96_000))
    length = min(wave.shape[1], expected.shape[1])
    np.testing.assert_allclose(wave[:, :length], expected[:, :length].numpy(), atol=2e-5 * np.abs(wave).max())


@pytest.fixture(scope="module")
def true_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tiny_stable_audio

    return tiny_stable_audio.save(tmp_path_factory.mktemp("true"), true=True, moved=0.0)


@pytest.fixture
def follower(true_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A performer whose autoencoder is exact: what follows the guide, keeps it."""
    monkeypatch.setenv("IMMERSIVAUDIO_STABLE_AUDIO", str(true_weights))
    return fresh("stable_audio")


def test_a_guide_keeps_its_onsets(follower: Any) -> None:
    cue = replace(KNOCKS, params={"steps": 6.0, "guide": 0.9})
    samples = take(follower, cue)
    assert gate.check(samples, cue, 96_000) == ()
    guide = take(plugins.create("performers", "procedural"), cue)
    assert not np.allclose(samples, guide, atol=1e-3)
    assert prompted.wish(KNOCKS, prompted.Defaults(10, 7.0)).guide > 0


@pytest.mark.parametrize("followed", [0.05, 0.4, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_a_guide_is_kept_the_more_the_more_it_is_followed(performer: Any, followed: float, steps: int) -> None:
    made = model(performer)
    frames = made._frames(2)
    sound = torch.randn(2, frames * made.hop, generator=torch.Generator().manual_seed(1)).numpy() * np.float32(0.1)
    guide, noise = made._encoded(sound, frames), made.noise(frames, 1)
    wish = prompted.wish(replace(NIGHT, params={"steps": float(steps), "guide": followed}), made.defaults)
    ask = made.ask(wish, noise, guide, 1)
    sigmas = ask.solver.sigmas.tolist()
    assert sigmas == sorted(set(sigmas), reverse=True)
    assert len(ask.solver.timesteps) == steps
    assert torch.isfinite(made.batcher.run(ask)).all()
    more = made.ask(replace(wish, guide=min(0.95, followed + 0.04)), noise, guide, 1)
    assert float((more.start - guide).norm()) <= float((ask.start - guide).norm())


def test_what_slips_is_reseeded_and_falls_back_to_the_guide(follower: Any, tmp_path: Path) -> None:
    cue = replace(KNOCKS, params={"steps": 4.0, "guide": 0.01})
    procedural = plugins.create("performers", "procedural")
    done = gate.perform_gated([follower, procedural], Brief(cue, 96_000), tmp_path / "take.wav")
    assert done.performer is procedural
    slips = [note for note in done.notes if "slip away from the guide" in note]
    assert len(slips) == 3
    assert len({note.rpartition("seed")[2] for note in slips}) == 3


def test_a_passing_follows_its_guide(follower: Any) -> None:
    cue = replace(
        NIGHT, sound="passby.car", stem=Stem.EFFECTS, sync_s=(Fraction(11),), params={"steps": 6.0, "guide": 0.9}
    )
    made, meant = take(follower, cue), take(plugins.create("performers", "procedural"), cue)
    loudest = [int(np.argmax(np.convolve(np.square(one.mean(axis=0)), np.ones(4800), "same"))) for one in (made, meant)]
    assert abs(loudest[0] - loudest[1]) < 9600
    assert np.abs(made).max() == pytest.approx(np.abs(meant).max(), rel=0.5)


def test_several_cues_of_a_job_share_passes(
    weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_STABLE_AUDIO", str(weights["stable_audio"]))
    performers = performing.Performers.load(["stable_audio", "procedural"])
    cues = [replace(NIGHT, id=f"c{n}", seed=n, performer="stable_audio") for n in range(3)]
    made, sizes = model(plugins.create("performers", "stable_audio")), []
    hook = made.pipe.transformer.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[0]))
    done = performing.perform(cues, performers, tmp_path, "any", lambda: False, lambda *_: None)
    hook.remove()
    assert list(done.takes) == ["c0", "c1", "c2"]
    assert {take.performer for take in done.takes.values()} == {"stable_audio"}
    assert max(sizes) > 2
    refused = performing.perform(cues, performers, tmp_path, "commercial", lambda: False, lambda *_: None)
    assert {take.performer for take in refused.takes.values()} == {"procedural"}
    assert any("not allowed" in warning for warning in refused.warnings)


@pytest.fixture
def short_window(weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stable Audio 3 as if it had been trained on 6 s: a long cue is several chunks."""
    monkeypatch.setenv("IMMERSIVAUDIO_STABLE_AUDIO_3", str(weights["stable_audio_3"]))
    performer = fresh("stable_audio_3")
    model(performer).lengths = Lengths(longest_s=6.0, shortest_s=2.0, grain_s=1.0, overlap_s=2.0, struck_s=8.0)
    return performer


def test_filling_a_gap_equals_the_plain_inpainting_pipeline(short_window: Any) -> None:
    import diffusers

    made = model(short_window)
    pipe = diffusers.StableAudio3InpaintPipeline(**made.pipe.components)
    pipe.set_progress_bar_config(disable=True)
    heard = torch.randn(1, 2, 86 * made.hop, generator=torch.Generator().manual_seed(3)) * 0.1
    known = made._encoded(heard[0].numpy(), 86)
    kept = torch.ones(1, 1, 86)
    kept[..., 30:50] = 0
    wish = prompted.wish(replace(NIGHT, prompt="owls", params={"steps": 4.0}), made.defaults)
    ours = made.batcher.run(made.filling(wish, known, kept, 5))
    plain = pipe(
        "owls", 86 * made.hop / 44_100, audio=heard, mask=kept, num_inference_steps=4, latents=made.noise(86, 5),
        silence_padding_duration=0.0, generator=torch.Generator().manual_seed(6), output_type="latent",
    ).audios  # fmt: skip
    np.testing.assert_allclose(ours.numpy(), plain.numpy(), atol=2e-5 * float(plain.abs().max()))


def test_seams_between_long_chunks_are_filled_in(short_window: Any) -> None:
    made, gaps = model(short_window), []
    cue = replace(lasting(NIGHT, Fraction(13)), prompt="owls")
    hook = made.pipe.transformer.register_forward_pre_hook(
        lambda _, __, named: gaps.append(named["local_add_cond"]) if named["local_add_cond"] is not None else None,
        with_kwargs=True,
    )
    samples = take(short_window, cue)
    hook.remove()
    assert samples.shape == (2, 13 * 48_000)
    spans = made.spans(made._frames(13))
    assert len(spans.starts) > 2
    # Every seam at once, three steps; each shows as much on either side as it fills.
    assert [gap.shape[0] for gap in gaps] == [len(spans.starts) - 1] * 3
    filled = [int((row[0] == 0).sum()) for row in gaps[0]]
    assert filled == [first + spans.length - after for first, after in itertools.pairwise(spans.starts)]
    np.testing.assert_array_equal(take(short_window, cue), samples)


def test_beyond_its_seams_a_chunk_is_as_it_was_made(short_window: Any) -> None:
    made = model(short_window)
    cue = replace(lasting(NIGHT, Fraction(13)), prompt="owls")
    wish, frames = prompted.wish(cue, made.defaults), made._frames(13)
    whole, spans = made.made(wish, frames, None, brief(cue)), made.spans(frames)
    first = made.noise(frames, 1)[..., : spans.length]
    alone = made.batcher.run(made.ask(wish, first, None, 1))
    own = spans.starts[1]
    np.testing.assert_allclose(whole[..., :own].numpy(), alone[..., :own].numpy(), atol=2e-5)
    seam = slice(own + 8, spans.length - 8)
    assert not np.allclose(whole[..., seam].numpy(), alone[..., seam].numpy(), atol=0.05)


def test_a_guided_long_cue_is_held_together_by_its_guide(short_window: Any) -> None:
    cue = replace(lasting(NIGHT, Fraction(13)), params={"steps": 3.0, "guide": 0.5})
    made, shapes = model(short_window), []
    hook = made.pipe.transformer.register_forward_pre_hook(
        lambda _, given, named: shapes.append((given[0].shape[0], named["local_add_cond"])), with_kwargs=True
    )
    assert take(short_window, cue).shape == (2, 13 * 48_000)
    hook.remove()
    assert {around for _, around in shapes} == {None}
    assert {rows for rows, _ in shapes} == {len(made.spans(made._frames(13)).starts)}
