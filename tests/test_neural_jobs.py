# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every neural performer in one job, from the command line and over gRPC, on tiny checkpoints; and what goes wrong in a job:
the job is never lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import neural_stage
import numpy as np
import pytest
from serving import descendants, start

from immersivaudio.bridge import Client
from immersivaudio.engine import bwf, sheets, wire
from immersivaudio.engine.cue import Cue, CueSheet, Span, Stem, samples_at
from immersivaudio.v1 import job_pb2

pytestmark = [
    pytest.mark.models,
    pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning"),
]
SOUNDS = {
    "audioldm2": ("crowd", Stem.AMBIENCE),
    "stable_audio": ("night", Stem.AMBIENCE),
    "stable_audio_3": ("forest", Stem.AMBIENCE),
    "musicgen": ("music", Stem.MUSIC),
    "musicgen_melody": ("music", Stem.MUSIC),
    "ace_step": ("music", Stem.MUSIC),
}
LENGTH_S = Fraction(1001, 480)
# In a process of its own: which modules are loaded, and how torch is set, is nobody else's business.
QUIET = {"OMP_NUM_THREADS": "1", "IMMERSIVAUDIO_DEVICE": "cpu", "PYTHONWARNINGS": "ignore"}


def cue_of(name: str, params: dict[str, float] | None = None) -> Cue:
    sound, stem = SOUNDS[name]
    diffused = not name.startswith("musicgen")
    said = {"steps": 2.0} if diffused else {}
    return Cue(name, stem, Span(Fraction(0), LENGTH_S), sound, performer=name, seed=4, params=params or said)


def sheet_of(*cues: Cue) -> CueSheet:
    return CueSheet("cut", Fraction(24), LENGTH_S, cues)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = neural_stage.saved(tmp_path_factory.mktemp("weights"), SOUNDS)
    return {neural_stage.variable(name): str(folder) for name, folder in made.items()}


def perform(
    sheet: CueSheet, folder: Path, environment: dict[str, str], rights: str
) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    (folder / "cues.json").write_text(sheets.to_json(sheet))
    words = ["perform", str(folder / "cues.json"), "--out", str(folder / "takes"), "--rights", rights]
    home = {"IMMERSIVAUDIO_HOME": str(folder / "home")}
    return subprocess.run(
        [sys.executable, "-m", "immersivaudio.cli.main", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET, **environment, **home},
        timeout=240,
    )


def takes_of(folder: Path) -> dict[str, dict[str, object]]:
    return {row["cue_id"]: row for row in json.loads((folder / "takes" / "takes.json").read_text())}


@pytest.mark.slow
def test_the_command_line_performs_with_each_and_the_same_again(weights: dict[str, str], tmp_path: Path) -> None:
    sheet = sheet_of(*map(cue_of, SOUNDS))
    heard = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        done = perform(sheet, folder, weights, "any")
        assert done.returncode == 0, done.stderr
        rows = takes_of(folder)
        assert {name: row["performer"] for name, row in rows.items()} == {name: name for name in SOUNDS}
        heard.append({name: bwf.read_wav(folder / "takes" / str(row["path"])) for name, row in rows.items()})
    for name in SOUNDS:
        (first, rate_hz), (again, _) = heard[0][name], heard[1][name]
        assert (rate_hz, first.shape) == (48_000, (samples_at(LENGTH_S), 2))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first).max() > 1e-3


def test_without_leave_nothing_non_commercial_performs(weights: dict[str, str], tmp_path: Path) -> None:
    done = perform(sheet_of(cue_of("musicgen"), cue_of("audioldm2")), tmp_path / "job", weights, "commercial")
    assert done.returncode == 0, done.stderr
    performers = {row["performer"] for row in takes_of(tmp_path / "job").values()}
    assert performers == {"music", "procedural"}
    for name in ("musicgen", "audioldm2"):
        assert f"{name} is not here or not allowed" in done.stderr


def test_corrupt_weights_cost_no_job(tmp_path: Path) -> None:
    import tiny_stable_audio

    folder = tiny_stable_audio.save(tmp_path / "weights")
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:3000])
    here = {"IMMERSIVAUDIO_STABLE_AUDIO": str(folder)}
    done = perform(sheet_of(cue_of("stable_audio")), tmp_path / "job", here, "any")
    assert done.returncode == 0, done.stderr
    assert takes_of(tmp_path / "job")["stable_audio"]["performer"] == "procedural"
    assert "cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def client(weights: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**QUIET, **weights}.items():
            patch.setenv(name, value)
        with (
            start(tmp_path_factory.mktemp("engine"), job="immersivaudio.engine.pipeline:score") as engine,
            Client(engine.address) as connected,
        ):
            yield connected


def spec(sheet: CueSheet) -> job_pb2.JobSpec:
    made = job_pb2.JobSpec()
    made.effect.effect_id = "sfx"
    made.effect.params["sound"].text = "wind"
    made.effect.params["duration_s"].number = float(LENGTH_S)
    made.effect.params["rights"].text = "any"
    made.cue_sheet.CopyFrom(wire.sheet_to_wire(sheet))
    made.goal = job_pb2.GOAL_DELIVER
    made.delivery.outputs.extend(["stems", "report"])
    return made


def test_grpc_performs_with_each(client: Client, tmp_path: Path) -> None:
    result = client.wait(client.create_job(spec(sheet_of(*map(cue_of, SOUNDS)))).job_id)
    told = next(one for one in result.artefacts if one.kind == "manifest")
    client.download(told.digest, tmp_path / "manifest.json")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {row["cue"]: row["performer"] for row in manifest["cues"]} == {name: name for name in SOUNDS}
    assert {row["performer"] for row in manifest["models"]} == set(SOUNDS)
    assert manifest["licence"]["commercial_use"] is False
    stems = [one for one in result.artefacts if one.kind == "stem"]
    assert len(stems) == 2
    client.download(stems[0].digest, tmp_path / "stem.wav")
    with wave.open(str(tmp_path / "stem.wav")) as stem:
        assert stem.getframerate() == 48_000
        assert stem.getnframes() >= samples_at(LENGTH_S)


def test_models_say_where_they_are(client: Client) -> None:
    listed = {one.model_id: one for one in client.models()}
    assert set(SOUNDS) <= set(listed)
    assert client.load_model("stable_audio_3").device == "cpu"
    assert client.unload_model("stable_audio_3").device == ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker through /proc")
def test_a_worker_that_is_killed_in_a_step_costs_no_job(client: Client) -> None:
    slow = replace(cue_of("stable_audio", {"steps": 200.0}), seed=77)
    job = client.create_job(spec(sheet_of(slow)))
    killed = False
    for event in client.watch(job.job_id):
        if event.WhichOneof("event") == "progress" and event.progress.stage == "perform" and not killed:
            workers = [pid for pid in descendants([os.getpid()]) if _is_worker(pid)]
            assert workers
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            killed = True
    result = client.wait(job.job_id)
    assert killed
    assert [one.kind for one in result.artefacts if one.kind == "stem"] == ["stem"]


def _is_worker(pid: int) -> bool:
    try:
        return b"immersivaudio.engine.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
