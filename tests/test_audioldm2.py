# SPDX-License-Identifier: AGPL-3.0-or-later
"""AudioLDM 2 through its real loading code, on a tiny checkpoint that is made here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import neural_stage
import numpy as np
import pytest
import tiny_audioldm2
import torch
from neural_stage import brief, fresh, lasting, model, take

from immersivaudio.engine import gate, performing, plugins
from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, RequestError, ResultError, UnavailableError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import devices, guides, prompted, store
from immersivaudio.engine.performers import Brief

pytestmark = neural_stage.MARKS
WALLA = Cue("walla", Stem.AMBIENCE, Span(Fraction(10), Fraction(3)), "crowd", params={"steps": 3.0}, seed=1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_audioldm2.save(tmp_path_factory.mktemp("weights") / "audioldm2")


@pytest.fixture(autouse=True)
def named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(checkpoint))


@pytest.fixture(scope="session")
def _loaded(checkpoint: Path) -> Any:
    performer = fresh("audioldm2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(checkpoint))
        patch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
        performer.setup()
    return performer


@pytest.fixture
def performer(_loaded: Any) -> Any:
    return _loaded


def test_it_keeps_the_contract(performer: Any) -> None:
    neural_stage.keeps_the_contract(performer)


def test_listing_it_loads_no_torch() -> None:
    code = (
        "import sys; from immersivaudio.engine import plugins; p = plugins.create('performers', 'audioldm2');"
        "p.available(); p.licence(); p.version; print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seconds", [Fraction(1, 48_000), Fraction(1, 10), Fraction(1001, 240), Fraction(12345, 1000)])
def test_the_length_is_exact(performer: Any, seconds: Fraction) -> None:
    cue = lasting(WALLA, seconds)
    samples = take(performer, cue)
    assert samples.shape == (2, samples_at(seconds))
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()


def test_blocks_are_at_most_a_second(performer: Any) -> None:
    blocks = list(performer.perform(Brief(lasting(WALLA, Fraction(5, 2)), 120_000)))
    assert max(block.shape[1] for block in blocks) <= 48_000
    assert sum(block.shape[1] for block in blocks) == 120_000


def test_the_same_seed_is_the_same_take(performer: Any) -> None:
    first, again, other = (take(performer, replace(WALLA, seed=seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_later_process_gives_the_same_take(performer: Any) -> None:
    later = fresh("audioldm2")
    later.setup()
    np.testing.assert_array_equal(take(performer, WALLA), take(later, WALLA))


def test_the_prompt_and_what_must_not_be_heard_matter(performer: Any) -> None:
    plain = take(performer, replace(WALLA, prompt="dogs"))
    assert not np.allclose(plain, take(performer, replace(WALLA, prompt="a bell")))
    unwanted = replace(WALLA, prompt="dogs", params={"steps": 3.0, "negative_prompt": "rain"})
    assert not np.allclose(plain, take(performer, unwanted))


def test_a_kept_prompt_gives_what_a_fresh_one_gives(performer: Any) -> None:
    later = fresh("audioldm2")
    take(performer, WALLA)
    np.testing.assert_array_equal(take(performer, WALLA), take(later, WALLA))


def test_it_equals_the_plain_pipeline(performer: Any, checkpoint: Path) -> None:
    """What our windows, kept prompts and own decoding give is what diffusers gives for the same noise."""
    from diffusers import AudioLDM2Pipeline, DPMSolverMultistepScheduler
    from transformers import GPT2LMHeadModel

    language = GPT2LMHeadModel.from_pretrained(checkpoint, subfolder="language_model")
    plain = AudioLDM2Pipeline.from_pretrained(checkpoint, language_model=language)
    plain.scheduler = DPMSolverMultistepScheduler.from_config(plain.scheduler.config)
    plain.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    expected = plain(
        "dogs", negative_prompt="rain", audio_length_in_s=2.56, num_inference_steps=3, generator=generator
    ).audios[0]
    cue = replace(WALLA, prompt="dogs", params={"steps": 3.0, "negative_prompt": "rain"}, seed=5)
    (mono,), rate_hz = performer.generate(model(performer), Brief(lasting(cue, Fraction(64, 25)), 122_880))
    assert rate_hz == 16_000
    np.testing.assert_allclose(mono, expected, atol=1e-6 * np.abs(expected).max())


def test_sustained_sound_comes_at_its_reference_level(performer: Any) -> None:
    meter = LoudnessMeter()
    meter.push(take(performer, lasting(WALLA, Fraction(4))))
    assert meter.integrated() == pytest.approx(-26, abs=0.2)


def test_a_long_cue_has_no_clicks_where_windows_meet(performer: Any) -> None:
    samples = take(performer, lasting(WALLA, Fraction(25))).mean(axis=0)
    steps = np.abs(np.diff(samples))
    for moment in (7.36, 10.24, 14.72, 17.6, 20.48):
        seam = round(48_000 * moment)
        assert steps[seam - 50 : seam + 50].max() < np.quantile(steps, 0.9999)


def test_blows_lie_on_their_sync_points(performer: Any) -> None:
    moments = [Fraction(1, 3), Fraction(1), Fraction(50_001, 24_000)]
    cue = replace(WALLA, sound="impact.wood", stem=Stem.FOLEY, sync_s=tuple(10 + moment for moment in moments))
    cue = replace(cue, params={"steps": 3.0, "guide": 0.0})
    samples = take(performer, cue)
    assert np.abs(samples).max() == pytest.approx(10 ** (-12 / 20), rel=0.02)
    assert gate.check(samples, cue, 3 * 48_000) == ()
    for moment in moments:
        at = samples_at(moment)
        assert np.abs(samples[0, at : at + 48]).max() >= 0.1 * 0.25 * 0.9
        assert np.abs(samples[0, at - 480 : at - 48]).max() < 1e-3


KNOCKS = replace(WALLA, sound="impact.wood", stem=Stem.FOLEY, sync_s=(Fraction(31, 3), Fraction(11), Fraction(12)))


def test_a_guide_is_where_denoising_begins(performer: Any) -> None:
    """Its latents with as much noise as its steps leave: the more it is followed, the fewer steps and the nearer."""
    made, steps, near = model(performer), [], []
    guide = guides.levelled(guides.render(brief(KNOCKS), made.rate_hz, 1))
    frames = made._frames(3)
    latents = made._encoded(guide, frames)
    assert latents.shape == made.noise(frames, 1).shape
    hook = made.pipe.unet.register_forward_hook(lambda *_: steps.append(1))
    for followed in (0.95, 0.6, 0.2):
        wish = prompted.wish(replace(KNOCKS, params={"steps": 10.0, "guide": followed}), made.defaults)
        done = made.batcher.run(made.ask(wish, made.noise(frames, 1), latents, 1))
        near.append(float((done - latents).norm() / latents.norm()))
    hook.remove()
    assert len(steps) == 1 + 4 + 8
    assert near == sorted(near)
    assert near[0] < 0.5 * near[-1]


def test_a_guide_changes_the_sound_and_blows_stay_on_their_points(performer: Any) -> None:
    cue = replace(KNOCKS, params={"steps": 4.0, "guide": 0.5})
    wish = prompted.wish(cue, prompted.Defaults(4, 3.5))
    made = model(performer)
    guided, again = (made.sound(brief(cue), wish) for _ in range(2))
    np.testing.assert_array_equal(guided, again)
    assert guided.shape[1] >= 3 * made.rate_hz
    free = made.sound(brief(cue), replace(wish, guide=0.0))
    assert not np.allclose(guided, free[:, : guided.shape[1]])


def test_guided_and_free_requests_together_equal_the_same_alone(performer: Any) -> None:
    """Several lengths, seeds, prompts, with a guide and without; one begins in the middle of its steps."""
    free = [
        replace(lasting(WALLA, Fraction(seconds)), seed=seed, prompt=f"dogs {chr(97 + seed)}", params={"steps": 6.0})
        for seed, seconds in enumerate((2, 3, 5, 3))
    ]
    guided = [replace(KNOCKS, seed=seed, params={"steps": 6.0, "guide": 0.5}) for seed in (7, 8)]
    neural_stage.together_equal_alone(performer, model(performer).pipe.unet, [*free, *guided])


def test_cancel_is_obeyed_inside_denoising(performer: Any) -> None:
    steps: list[int] = []
    hook = model(performer).pipe.unet.register_forward_hook(lambda *_: steps.append(1))
    try:
        with pytest.raises(CancelledError):
            cue = replace(WALLA, params={"steps": 50.0})
            take(performer, cue, lambda: len(steps) >= 4)
    finally:
        hook.remove()
    assert len(steps) == 4
    assert take(performer, WALLA).any()


def test_out_of_memory_is_said_and_survived(performer: Any) -> None:
    with (
        neural_stage.memory_for(model(performer).pipe.unet, rows=0),
        pytest.raises(UnavailableError, match="more memory"),
    ):
        take(performer, WALLA)
    assert take(performer, WALLA).any()


def test_half_precision_gives_the_same_sound_with_a_little_noise(performer: Any) -> None:
    exact = model(performer)
    rough = fresh("audioldm2").hold(performer._place(), devices.Device("cpu", "bfloat16"))
    assert rough.pipe.unet.dtype == torch.bfloat16
    assert rough.pipe.vocoder.dtype == rough.pipe.vae.dtype == torch.float32
    wish = prompted.wish(WALLA, prompted.Defaults(3, 3.5))
    first, second = (one.sound(Brief(WALLA, 144_000), wish)[0] for one in (exact, rough))
    assert np.corrcoef(first, second)[0, 1] > 0.9


def test_unloading_gives_the_device_back_and_the_next_cue_loads_again() -> None:
    performer = fresh("audioldm2")
    assert (performer.device, performer.size_bytes > 100_000) == ("", True)
    performer.load()
    assert performer.device == "cpu"
    before = take(performer, WALLA)
    performer.unload()
    assert performer.device == ""
    np.testing.assert_array_equal(take(performer, WALLA), before)


def test_everyone_in_a_process_shares_one() -> None:
    assert plugins.create("performers", "audioldm2") is plugins.create("performers", "audioldm2")


def test_senseless_steps_are_refused(performer: Any) -> None:
    for steps in (0.0, 1e9, float("nan"), "many"):
        with pytest.raises(RequestError, match="steps"):
            take(performer, replace(WALLA, params={"steps": steps}))


@pytest.mark.parametrize(("loudness", "reason"), [(0.01, "silence"), (0.5, "clipped")])
def test_what_is_no_sound_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loudness: float, reason: str
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(tiny_audioldm2.save(tmp_path / "odd", loudness=loudness)))
    performer = fresh("audioldm2")
    performer.setup()
    with pytest.raises(ResultError, match=reason):
        take(performer, WALLA)


def test_other_weights_change_the_version(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fresh("audioldm2").version
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(tiny_audioldm2.save(tmp_path / "other", seed=1)))
    assert fresh("audioldm2").version != before


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tiny_audioldm2.save(tmp_path / "own")
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(folder))
    yield folder


def refused(match: str) -> None:
    with pytest.raises(UnavailableError, match=match):
        fresh("audioldm2").setup()


def test_pickled_weights_are_refused(own: Path) -> None:
    torch.save({}, own / "unet" / "diffusion_pytorch_model.bin")
    (own / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    refused("unet is a pickle")


def test_missing_weights_are_said(own: Path) -> None:
    (own / "vocoder" / "model.safetensors").unlink()
    refused("vocoder has no .safetensors")


def test_truncated_weights_are_said(own: Path) -> None:
    file = own / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    refused("cannot be loaded")


def test_another_sha256_is_refused(own: Path) -> None:
    store.write_manifest(own)
    fresh("audioldm2").setup()
    file = own / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    refused("vae/diffusion_pytorch_model.safetensors is damaged")


def test_foreign_classes_and_code_are_refused(own: Path) -> None:
    index = json.loads((own / "model_index.json").read_text())
    (own / "model_index.json").write_text(json.dumps({**index, "unet": ["my_unet", "MyUnet"]}))
    refused("its unet is MyUnet")
    (own / "model_index.json").write_text(json.dumps(index))
    (own / "unet" / "my_unet.py").write_text("raise SystemExit")
    refused("program code")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(tmp_path / "nowhere"))
    assert "nowhere" in fresh("audioldm2").available()
    refused("nowhere")


def test_the_gate_takes_it(performer: Any, tmp_path: Path) -> None:
    took = gate.perform_gated([performer], Brief(WALLA, 144_000), tmp_path / "take.wav")
    assert took.notes == ()
    assert took.path.is_file()


def test_a_job_takes_it_only_where_its_licence_allows(performer: Any, tmp_path: Path) -> None:
    performers = performing.Performers.load(["audioldm2", "procedural"])
    assert [member.name for member in performers.candidates(WALLA, "any")] == ["audioldm2", "procedural"]
    assert [member.name for member in performers.candidates(WALLA, "commercial")] == ["procedural"]
    done = performing.perform([WALLA], performers, tmp_path, "any", lambda: False, lambda *_: None)
    made = done.takes["walla"]
    assert (made.performer, made.samples, made.licence.commercial_use) == ("audioldm2", 144_000, False)
    again = performing.perform([WALLA], performers, tmp_path, "any", lambda: False, lambda *_: None)
    assert again.reused == 1
