# SPDX-License-Identifier: AGPL-3.0-or-later
"""``immersivaudio models`` against a hub on loopback: pinned, resumed, checked, licensed; and what goes wrong, said."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import COMMIT, Hub

from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import pulling, store, weights

pytest.importorskip("huggingface_hub", reason="the [models] extra is not installed")

HUB_ID = "stabilityai/stable-audio-open-1.0"
LICENCE = "LicenseRef-Stability-AI-Community"
PARTS = ("transformer/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repository"
    for name in PARTS:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(hashlib.shake_256(name.encode()).digest(3_000_000))
        (folder / name).with_name("config.json").write_text("{}")
    (folder / "model_index.json").write_text('{"_class_name": "P"}')
    (folder / "README.md").write_text("---\nlicense: other\n---\n")
    # What must not be fetched: the same again in another form, half precision, a pickle, code.
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    (folder / "vae" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"x" * 100)
    (folder / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"x" * 100)
    (folder / "pipeline.py").write_text("print('owned')")
    made = Hub(folder, HUB_ID)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "IMMERSIVAUDIO_OFFLINE", "IMMERSIVAUDIO_STABLE_AUDIO"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def run(hub: Hub | str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: the hub's client reads its address when it is imported."""
    address = hub if isinstance(hub, str) else hub.address
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "immersivaudio.cli.main", "models", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1"},
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def pull(hub: Hub | str, *more: str) -> subprocess.CompletedProcess[str]:
    return run(hub, "pull", "stable_audio", "--accept-licence", LICENCE, *more)


def test_it_is_pinned_whole_and_licensed(hub: Hub, home: Path) -> None:
    done = pull(hub)
    assert done.returncode == 0, done.stderr
    folder = home / "models" / "stable_audio"
    assert done.stdout.strip() == str(folder)
    fetched = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    plain = {"model_index.json", "README.md", "transformer/config.json", "vae/config.json"}
    assert fetched == {*PARTS, *plain, store.MANIFEST, weights.RECORD}
    assert store.verify(folder)
    found = store.locate("stable_audio", pulling.wanted("stable_audio"))
    assert (found.folder, found.revision) == (folder, COMMIT)
    licence = found.weights.as_licence()
    assert (licence.name, licence.commercial_use) == (LICENCE, True)
    assert "1 million" in licence.condition
    assert not [path for path in (home / "models").iterdir() if path.name.endswith(".partial")]


def test_the_licence_comes_before_the_download_and_must_be_accepted(hub: Hub, home: Path) -> None:
    for words in ((), ("--accept-licence", "MIT")):
        done = run(hub, "pull", "stable_audio", *words)
        assert done.returncode == 2
        for said in (LICENCE, "stability.ai/license", "less than 1 million", "Powered by Stability AI", COMMIT):
            assert said in done.stderr
    assert hub.asked == []
    assert not (home / "models").exists()
    assert not weights.KNOWN[3].as_licence().commercial_use


def test_a_cut_connection_is_gone_on_with(hub: Hub, home: Path) -> None:
    hub.cuts, hub.cut_after = 3, 1_000_000
    done = pull(hub)
    assert done.returncode == 0, done.stderr
    ranges = [asked for name, asked in hub.asked if name == PARTS[0]]
    assert ranges[0] == ""
    assert [int(asked.removeprefix("bytes=").rstrip("-")) for asked in ranges[1:]] == [1_000_000, 2_000_000]
    assert store.verify(home / "models" / "stable_audio")


def test_a_pull_that_was_killed_goes_on_the_next_time(hub: Hub, home: Path) -> None:
    hub.cuts, hub.cut_after = 10_000, 0
    first = pull(hub)
    assert first.returncode == 5
    assert "went away" in first.stderr
    assert "goes on where it was" in first.stderr
    assert not (home / "models" / "stable_audio").exists()
    hub.cuts, hub.cut_after = 1, 1_200_000
    asked = len(hub.asked)
    assert pull(hub).returncode == 0
    again = [name for name, _ in hub.asked[asked:]]
    assert "model_index.json" not in again


def test_bytes_that_are_not_what_the_hub_says_are_refused(hub: Hub, home: Path) -> None:
    for name in ("model_index.json", PARTS[1]):
        hub.flipped = name
        done = pull(hub)
        assert done.returncode == 5
        assert f"{name} is refused" in done.stderr
        assert not (home / "models" / "stable_audio").exists()
    hub.flipped = ""
    assert pull(hub).returncode == 0


def test_a_missing_file_a_closed_door_and_nobody_there_are_said(hub: Hub, home: Path) -> None:
    hub.missing = PARTS[0]
    assert "misses a file" in pull(hub).stderr
    hub.missing, hub.gated = "", True
    assert "accepted its terms" in pull(hub).stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = pull(f"http://127.0.0.1:{port}")
    assert done.returncode == 5
    assert "was not reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "no nobody/nothing" in run(hub, "pull", "nobody/nothing", "--for", "musicgen").stderr
    assert run(hub, "pull", "nothing").returncode == 3


def test_offline_asks_nobody(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_OFFLINE", "1")
    assert "offline mode" in pull(hub).stderr
    assert hub.asked == []


def test_only_pickles_are_refused_before_anything_is_fetched(hub: Hub, home: Path) -> None:
    for name in PARTS:
        (hub.folder / name).unlink()
    done = pull(hub)
    assert done.returncode == 5
    assert "pickles" in done.stderr
    assert hub.asked == []


def test_verify_list_and_remove(hub: Hub, home: Path) -> None:
    assert pull(hub).returncode == 0
    assert pull(hub).returncode == 0
    rows = {row["id"]: row for row in json.loads(run(hub, "list", "--json").stdout)}
    assert rows[HUB_ID]["here"] and rows[HUB_ID]["revision"] == COMMIT
    assert not rows["facebook/musicgen-small"]["here"]
    assert rows["facebook/musicgen-small"]["commercial"] == "no"
    assert "as they came" in run(hub, "verify").stdout
    file = home / "models" / "stable_audio" / PARTS[0]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    broken = run(hub, "verify")
    assert broken.returncode == 5
    assert "is damaged" in broken.stderr
    assert "freed" in run(hub, "remove", "stable_audio", "--yes").stdout
    assert not file.exists()
    assert run(hub, "remove", "stable_audio", "--yes").returncode == 3


def test_a_folder_of_ones_own_is_never_removed(hub: Hub, home: Path) -> None:
    own = home / "models" / "musicgen"
    own.mkdir(parents=True)
    (own / "model.safetensors").write_bytes(b"mine")
    assert run(hub, "remove", "musicgen", "--yes").returncode == 3
    assert (own / "model.safetensors").read_bytes() == b"mine"


def test_names_from_a_hub_cannot_lead_outside() -> None:
    files = tuple(pulling.File(name, 1) for name in ("../x.json", "/etc/x.json", "a\\b.json", "model.safetensors"))
    asked = pulling.wanted("musicgen")
    assert [file.name for file in pulling._chosen(files, asked)] == ["model.safetensors"]
    with pytest.raises(UnavailableError):
        pulling._chosen(files[:3], asked)
