# SPDX-License-Identifier: AGPL-3.0-or-later
"""Weights from a hub into ``<home>/models/<performer>``: one commit, safetensors only, every byte held against the hub's
sums; what a broken connection left is gone on with.

The hub's own client names what there is; since its version 2 it begins every broken file anew, so the bytes are fetched here.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from immersivaudio.engine.errors import CancelledError, NotFoundError, OutputError, UnavailableError
from immersivaudio.engine.models import checkpoints, devices, store, weights
from immersivaudio.engine.models.weights import Weights

Report = Callable[[str, int, int], None]
_PLAIN = (".json", ".txt", ".model", ".md", ".jinja")
_VARIANTS = (".fp16.", ".bf16.", ".non_ema.", ".int8.")
_CHUNK = 1 << 18
_TRIES, _PATIENCE_S, _APART_S = 5, 30.0, 0.2
_SPARE_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class File:
    """One file of a repository. ``sha256`` where the hub tells it (large files), else git's own sum of it."""

    name: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hub holds: weights pinned to a commit (``weights.revision``), and the files that would be fetched."""

    weights: Weights
    files: tuple[File, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


def wanted(name: str, performer: str = "", revision: str = "") -> Weights:
    """The weights that ``name`` means: a performer's best known ones, or a hub id.

    Raises:
        NotFoundError: there are none, or nobody says which performer a hub id is for.
    """
    hub_id, _, pinned = name.partition("@")
    found = next((known for known in weights.KNOWN if hub_id in (known.performer, known.hub_id)), None)
    takers = {*(known.performer for known in weights.KNOWN), *checkpoints.NAMES}
    if found is None and "/" in hub_id and performer in takers:
        found = Weights(hub_id, performer, "unknown", False, "")
    if found is None:
        names = ", ".join(dict.fromkeys(known.performer for known in weights.KNOWN))
        watching = ", ".join(checkpoints.NAMES)
        raise NotFoundError(
            f"No weights are called {name}.", f"Choose {names}, or a hub id with --for one of them or of {watching}."
        )
    return replace(found, revision=revision or pinned or found.revision)


def offer(asked: Weights) -> Offer:
    """Ask the hub what it holds of ``asked``.

    Raises:
        UnavailableError: offline, not reached, not there, not allowed, or only there as pickles.
    """
    if absent := devices.missing(("huggingface_hub",)):
        raise UnavailableError(absent)
    if any(os.environ.get(name, "") not in ("", "0") for name in ("IMMERSIVAUDIO_OFFLINE", "HF_HUB_OFFLINE")):
        raise UnavailableError("Nothing is fetched in offline mode.", "Unset IMMERSIVAUDIO_OFFLINE and HF_HUB_OFFLINE.")
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        told = hub.HfApi().model_info(asked.hub_id, revision=asked.revision or None, files_metadata=True, timeout=20)
    except Exception as error:
        raise _unreached(asked, error) from error
    files = tuple(_file(sibling) for sibling in told.siblings or ())
    licence = asked.licence
    if licence == "unknown" and told.card_data is not None:
        licence = str(told.card_data.get("license") or "unknown")
    return Offer(replace(asked, revision=str(told.sha), licence=licence), _chosen(files, asked))


def _file(sibling: Any) -> File:
    lfs = sibling.lfs
    return File(
        sibling.rfilename, int(sibling.size or 0), str(lfs.sha256) if lfs else "", "" if lfs else sibling.blob_id or ""
    )


def _chosen(files: tuple[File, ...], asked: Weights) -> tuple[File, ...]:
    """What a performer loads: configuration, words, safetensors in full precision; of a pipeline only its parts."""
    pipeline = any(file.name == "model_index.json" for file in files)
    chosen = [file for file in files if _is_safe(file.name) and _is_used(PurePosixPath(file.name), pipeline)]
    if not any(file.name.endswith(".safetensors") for file in chosen):
        raise UnavailableError(
            f"{asked.hub_id} holds no .safetensors that could be used: what it has may be pickles, which can run code.",
            "Choose other weights.",
        )
    return tuple(chosen)


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _is_used(path: PurePosixPath, pipeline: bool) -> bool:
    if path.suffix == ".safetensors":
        full = not any(variant in path.name for variant in _VARIANTS)
        return full and (len(path.parts) == 2 if pipeline else len(path.parts) == 1)
    return len(path.parts) <= 2 and (path.suffix in _PLAIN or path.name.startswith("LICENSE"))


def folder_of(performer: str) -> Path:
    return store.home() / "models" / performer


def pull(found: Offer, agreed: bool, report: Report, cancelled: Callable[[], bool] = lambda: False) -> Path:
    """Fetch ``found`` and put it where its performer looks; ``report(file, bytes so far, bytes in all)``.

    ``agreed``: somebody accepted what commercial use hangs on. Called again after a failure it goes on.

    Raises:
        UnavailableError: the hub did not give it, or gave something else. OutputError: no space, or other weights are
        there. CancelledError: stopped; what came so far stays for next time.
    """
    folder = folder_of(found.weights.performer)
    if folder.exists():
        held = weights.record(folder).get("revision", "")
        if held == found.weights.revision:
            return folder
        raise OutputError(f"{folder} holds weights already.", f"immersivaudio models remove {found.weights.performer}")
    staged = folder.with_name(f".{folder.name}.{found.weights.revision[:12]}.partial")
    staged.mkdir(parents=True, exist_ok=True)
    _spare(staged, found)
    done = 0
    for file in found.files:
        _fetch(found, file, staged, lambda now, file=file, done=done: _told(report, cancelled, file, done + now, found))  # type: ignore[misc]
        done += file.size
    weights.write_record(staged, found.weights, agreed)
    store.write_manifest(staged)
    staged.replace(folder)
    return folder


def _told(report: Report, cancelled: Callable[[], bool], file: File, so_far: int, found: Offer) -> None:
    if cancelled():
        raise CancelledError("Cancelled; pull again to go on.")
    report(file.name, so_far, found.size_bytes)


def _spare(staged: Path, found: Offer) -> None:
    there = sum(file.stat().st_size for file in staged.rglob("*") if file.is_file())
    lacking = found.size_bytes - there + _SPARE_BYTES - shutil.disk_usage(staged).free
    if lacking > 0:
        raise OutputError(
            f"{found.weights.hub_id} needs {lacking / 2**30:.1f} GiB more than is free in {staged.parent}.",
            "Free some space, or set IMMERSIVAUDIO_HOME to another disk.",
        )


def _fetch(found: Offer, file: File, staged: Path, so_far: Callable[[int], None]) -> None:
    whole = staged / file.name
    if whole.is_file():
        so_far(file.size)
        return
    whole.parent.mkdir(parents=True, exist_ok=True)
    partial = whole.with_name(f"{whole.name}.part")
    tries = _TRIES
    while tries:
        before = partial.stat().st_size if partial.is_file() else 0
        try:
            _bytes(found, file, partial, so_far)
            break
        except (OSError, HTTPException) as error:
            gone_on = partial.is_file() and partial.stat().st_size > before
            tries = _TRIES if gone_on else tries - 1
            if not tries or _is_final(error):
                raise _unreached(found.weights, error) from error
            time.sleep(_APART_S * (_TRIES - tries + 1))
    _check(partial, file)
    partial.replace(whole)


def _bytes(found: Offer, file: File, partial: Path, so_far: Callable[[int], None]) -> None:
    """Append what is missing of a file; the hub may begin anew, and then so do we."""
    have = partial.stat().st_size if partial.is_file() else 0
    if have == file.size and partial.is_file():
        return
    with urllib.request.urlopen(_request(found, file, have), timeout=_PATIENCE_S) as answer:
        have = have if answer.status == 206 else 0
        with partial.open("ab" if have else "wb") as out:
            for chunk in _chunks(answer):
                out.write(chunk)
                have += len(chunk)
                so_far(have)
    if have < file.size:
        raise ConnectionError(f"{have} of {file.size} bytes")


def _chunks(answer: Any) -> Iterator[bytes]:
    while chunk := answer.read1(_CHUNK):
        yield chunk


def _request(found: Offer, file: File, have: int) -> urllib.request.Request:
    hub: Any = importlib.import_module("huggingface_hub")
    url = hub.hf_hub_url(found.weights.hub_id, file.name, revision=found.weights.revision)
    request = urllib.request.Request(url, headers={"User-Agent": "immersivaudio"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    if token := hub.get_token():
        # Not for the storage that the hub sends us on to.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def _is_final(error: Exception) -> bool:
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in (408, 429)


def _check(partial: Path, file: File) -> None:
    if partial.stat().st_size == file.size and _sum(partial, file) in (file.sha256 or file.git_sha1, ""):
        return
    partial.unlink()
    raise UnavailableError(
        f"{file.name} is refused: it is not what the hub says it is (its sha256 or length is another).",
        "Pull again; if it stays so, do not use these weights.",
    )


def _sum(partial: Path, file: File) -> str:
    if file.sha256:
        return store.sha256(partial)
    if not file.git_sha1:
        return ""
    return hashlib.sha1(b"blob %d\0" % file.size + partial.read_bytes(), usedforsecurity=False).hexdigest()


def _unreached(asked: Weights, error: Exception) -> UnavailableError:
    kind, code = type(error).__name__, getattr(error, "code", 0)
    if kind == "GatedRepoError" or code in (401, 403):
        page = f"https://huggingface.co/{asked.hub_id}"
        return UnavailableError(
            f"{asked.hub_id} is given only to accounts that accepted its terms.",
            f"Accept them on {page}, then run `hf auth login`, and pull again.",
        )
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError") or code == 404:
        what = f" at {asked.revision}" if asked.revision else ""
        return UnavailableError(
            f"The hub has no {asked.hub_id}{what}, or misses a file of it.", "Look at its name and revision."
        )
    return UnavailableError(
        f"{asked.hub_id} could not be fetched: the hub was not reached, or went away ({kind}).",
        "Look at the network and pull again: it goes on where it was.",
    )


def pulled() -> tuple[tuple[str, Path, Weights], ...]:
    """What was pulled here: performer, folder, weights."""
    root = store.home() / "models"
    folders = sorted(path for path in root.iterdir() if weights.record(path)) if root.is_dir() else []
    return tuple((path.name, path, weights.described(path, path.name)) for path in folders)


def verify(performer: str) -> int:
    """Hold every file against the sums written when it came; how many bytes were.

    Raises:
        NotFoundError: nothing was pulled for it. UnavailableError: a file is missing, another, or new.
    """
    folder = _pulled_folder(performer)
    store.verify(folder)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def remove(performer: str) -> int:
    """Delete what was pulled for a performer, and what broken pulls left; how many bytes that frees.

    Raises:
        NotFoundError: nothing was pulled for it: other folders are never touched.
    """
    folder = folder_of(performer)
    ours = [path for path in folder.parent.glob(f".{performer}.*.partial") if path.is_dir()]
    ours += [folder] if folder.is_dir() and weights.record(folder) else []
    if not ours:
        raise _nothing(performer)
    freed = sum(file.stat().st_size for path in ours for file in path.rglob("*") if file.is_file())
    for path in ours:
        shutil.rmtree(path)
    return freed


def _pulled_folder(performer: str) -> Path:
    folder = folder_of(performer)
    if not weights.record(folder):
        raise _nothing(performer)
    return folder


def _nothing(performer: str) -> NotFoundError:
    return NotFoundError(f"Nothing was pulled for {performer}.", "See `immersivaudio models list`.")
