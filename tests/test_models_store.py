# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where weights are found, in which order, and what is refused: on real files, without torch."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from immersivaudio.engine.errors import RequestError, UnavailableError
from immersivaudio.engine.models import devices, store, weights

KNOWN = weights.KNOWN[0]
CLASSES = {"unet": ("TheUNet",), "tokenizer": ("TheTokenizer",)}


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("IMMERSIVAUDIO_AUDIOLDM2", "IMMERSIVAUDIO_ONLINE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)


def checkpoint(folder: Path) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "tokenizer").mkdir()
    (folder / "model_index.json").write_text(
        json.dumps(
            {"_class_name": "P", "unet": ["diffusers", "TheUNet"], "tokenizer": ["transformers", "TheTokenizer"]}
        )
    )
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "unet" / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    return folder


def cached(hub: Path, hub_id: str, commit: str, reference: str = "main") -> Path:
    """A snapshot as the hub's own client lays it down: large files are links to blobs named by their sha256."""
    repository = hub / f"models--{hub_id.replace('/', '--')}"
    snapshot = checkpoint(repository / "snapshots" / commit)
    file = snapshot / "unet" / "model.safetensors"
    blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
    blob.parent.mkdir(exist_ok=True)
    file.rename(blob)
    file.symlink_to(blob)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / reference).write_text(commit)
    return snapshot


def place(folder: Path) -> store.Place:
    return store.Place(folder, weights.described(folder, "audioldm2"))


def test_nothing_here_says_how_to_get_it() -> None:
    with pytest.raises(UnavailableError) as caught:
        store.locate("audioldm2", KNOWN)
    assert "cvssp/audioldm2" in caught.value.message
    for way in ("IMMERSIVAUDIO_AUDIOLDM2", "models/audioldm2", "IMMERSIVAUDIO_ONLINE=1"):
        assert way in caught.value.hint


def test_the_named_folder_comes_before_home_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path / "hub", KNOWN.hub_id, "a" * 40)
    found = store.locate("audioldm2", KNOWN)
    assert (found.revision, found.weights) == ("a" * 40, KNOWN)
    kept = checkpoint(tmp_path / "home" / "models" / "audioldm2")
    assert store.locate("audioldm2", KNOWN).folder == kept
    named = checkpoint(tmp_path / "mine")
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(named))
    assert store.locate("audioldm2", KNOWN).folder == named


def test_a_revision_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path / "hub", KNOWN.hub_id, "a" * 40, "older")
    cached(tmp_path / "hub", KNOWN.hub_id, "b" * 40)
    for named, commit in ((KNOWN.hub_id, "b"), (f"{KNOWN.hub_id}@older", "a"), (f"{KNOWN.hub_id}@{'a' * 40}", "a")):
        monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", named)
        assert store.locate("audioldm2", KNOWN).revision == commit * 40
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", f"{KNOWN.hub_id}@{'c' * 40}")
    with pytest.raises(UnavailableError):
        store.locate("audioldm2", KNOWN)


def test_a_reference_cannot_point_outside_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path / "elsewhere")
    cached(tmp_path / "hub", KNOWN.hub_id, "a" * 40)
    (tmp_path / "hub" / "models--cvssp--audioldm2" / "refs" / "main").write_text("../../../elsewhere")
    with pytest.raises(UnavailableError):
        store.locate("audioldm2", KNOWN)


def test_offline_fetches_nothing_and_loads_no_client(tmp_path: Path) -> None:
    store.fetch("audioldm2", KNOWN)
    assert not (tmp_path / "hub").exists()


def test_an_unreachable_hub_is_said(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its address when it is imported."""
    pytest.importorskip("huggingface_hub", reason="the [models] extra is not installed")
    code = (
        "from immersivaudio.engine.models import store, weights\n"
        "from immersivaudio.engine.errors import UnavailableError\n"
        "try:\n    store.fetch('audioldm2', weights.KNOWN[0])\n"
        "except UnavailableError as error:\n    print(error.message)"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = {**os.environ, "IMMERSIVAUDIO_ONLINE": "1", "HF_ENDPOINT": f"http://127.0.0.1:{port}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=away, check=True)
    assert done.stdout.startswith("cvssp/audioldm2 could not be fetched")


def test_what_is_here_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_ONLINE", "1")
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(checkpoint(tmp_path / "mine")))
    store.fetch("audioldm2", KNOWN)
    monkeypatch.setenv("IMMERSIVAUDIO_AUDIOLDM2", str(tmp_path / "nowhere"))
    store.fetch("audioldm2", KNOWN)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: cc-by-nc-sa-4.0\n---\n# A model\n", "cc-by-nc-sa-4.0"),
        ("---\ntags: [x]\nlicense: 'mit'\n---\n", "mit"),
        ("# No front matter\n\nlicensed to thrill\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_folder_nobody_vouches_for_is_never_commercial(tmp_path: Path, card: str | None, licence: str) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    told = weights.described(tmp_path, "audioldm2").as_licence()
    assert (told.name, told.commercial_use) == (licence, False)


def test_every_known_licence_is_told_whole() -> None:
    for known in weights.KNOWN:
        told = known.as_licence()
        assert told.name and told.attribution and told.source.endswith(known.hub_id)
        assert not told.commercial_use or "NC" not in told.name


def test_whole_weights_pass(tmp_path: Path) -> None:
    store.check(place(checkpoint(tmp_path / "w")), CLASSES)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w")
    with pytest.raises(UnavailableError, match="its unet is TheUNet and not Other"):
        store.check(place(folder), {"unet": ("Other",)})
    with pytest.raises(UnavailableError, match="its vae is nothing"):
        store.check(place(folder), {**CLASSES, "vae": ("V",)})
    index = (folder / "model_index.json").read_text()
    (folder / "model_index.json").write_text(index.replace("diffusers", "antigravity"))
    with pytest.raises(UnavailableError, match="its unet is to be loaded by antigravity"):
        store.check(place(folder), CLASSES)
    (folder / "model_index.json").write_text(index)
    (folder / "unet" / "model.safetensors").rename(folder / "unet" / "pytorch_model.bin")
    with pytest.raises(UnavailableError, match="unet is a pickle"):
        store.check(place(folder), CLASSES)
    (folder / "unet" / "pytorch_model.bin").unlink()
    with pytest.raises(UnavailableError, match=r"unet has no \.safetensors"):
        store.check(place(folder), CLASSES)
    (folder / "model_index.json").write_text("{")
    with pytest.raises(UnavailableError, match="no readable model_index"):
        store.check(place(folder), CLASSES)


def test_a_pickle_beside_safetensors_is_never_read(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w")
    (folder / "unet" / "pytorch_model.bin").write_bytes(b"anything")
    store.check(place(folder), CLASSES)


def test_the_manifest_is_sha256sums_own(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w")
    store.write_manifest(folder)
    assert store.verify(folder)
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not here")
    subprocess.run(["sha256sum", "--check", "--quiet", store.MANIFEST], cwd=folder, check=True)


def test_damage_loss_and_strangers_are_seen(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "w")
    store.write_manifest(folder)
    (folder / "unet" / "model.safetensors").write_bytes(b"wEights")
    with pytest.raises(UnavailableError, match=r"unet/model.* is damaged"):
        store.verify(folder)
    (folder / "unet" / "model.safetensors").write_bytes(b"weights")
    (folder / "unet" / "more.safetensors").write_bytes(b"")
    with pytest.raises(UnavailableError, match=r"more.* is not in SHA256SUMS"):
        store.verify(folder)
    (folder / "unet" / "more.safetensors").unlink()
    (folder / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(UnavailableError, match=r"tokenizer.* is missing"):
        store.verify(folder)


@pytest.mark.parametrize("line", ["not a sum", f"{'0' * 64}  ../../secret", f"{'0' * 64}  /etc/hostname"])
def test_a_manifest_cannot_lead_outside(tmp_path: Path, line: str) -> None:
    folder = checkpoint(tmp_path / "w")
    (folder / store.MANIFEST).write_text(f"{line}\n")
    with pytest.raises(UnavailableError, match="cannot be read"):
        store.verify(folder)


def test_the_hubs_cache_verifies_itself(tmp_path: Path) -> None:
    snapshot = cached(tmp_path / "hub", KNOWN.hub_id, "a" * 40)
    assert store.verify(snapshot)
    (snapshot / "unet" / "model.safetensors").resolve().write_bytes(b"wEights")
    with pytest.raises(UnavailableError, match="damaged"):
        store.verify(snapshot)


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    for folder in (one, two):
        store.write_manifest(folder)
    assert store.fingerprint(place(one)) == store.fingerprint(place(two))
    (two / "unet" / "model.safetensors").write_bytes(b"other")
    store.write_manifest(two)
    assert store.fingerprint(place(one)) != store.fingerprint(place(two))


def test_missing_libraries_are_named() -> None:
    assert devices.missing(("json", "hashlib")) == ""
    assert "no_such_library is not installed" in devices.missing(("json", "no_such_library"))


def test_a_device_that_is_not_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the [models] extra is not installed")
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "tpu")
    with pytest.raises(RequestError, match="tpu"):
        devices.choose()
