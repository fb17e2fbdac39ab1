# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where weights are found, and whether they are what they claim to be. Standard library only; loads no model.

A place is named by an environment variable (a local folder, or a hub id ``owner/name[@revision]``), else it is
``<home>/models/<performer>``, else the hub id that the performer is known by, in the hub's local cache. Nothing is
fetched unless ``IMMERSIVAUDIO_ONLINE`` is set. Weights are safetensors only: a pickle can run code when it is loaded.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import weights as registry
from immersivaudio.engine.models.weights import Weights

MANIFEST = "SHA256SUMS"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w.-]+)?$")
_LIBRARIES = ("diffusers", "transformers")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Weights on this machine: ``folder`` holds them, ``revision`` is the hub's commit where it is known."""

    folder: Path
    weights: Weights
    revision: str = ""


def home() -> Path:
    """Where the engine keeps what outlives a job; ``IMMERSIVAUDIO_HOME`` overrides the platform's own place."""
    chosen = os.environ.get("IMMERSIVAUDIO_HOME")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("immersivaudio", appauthor=False)


def online() -> bool:
    return os.environ.get("IMMERSIVAUDIO_ONLINE", "") not in ("", "0")


def wish(performer: str) -> str:
    """What the user named for ``performer``: a folder, a hub id, or nothing."""
    return os.environ.get(f"IMMERSIVAUDIO_{performer.upper()}", "").strip()


def locate(performer: str, default: Weights) -> Place:
    """Find the weights of ``performer``; ``default`` is what it is best known by.

    Raises:
        UnavailableError: they are not on this machine; says how to name or get them.
    """
    named = wish(performer)
    if named and not _HUB_ID.match(named):
        return _local(Path(named).expanduser(), performer)
    if named and Path(named).is_dir():
        return _local(Path(named), performer)
    kept = home() / "models" / performer
    if not named and kept.is_dir():
        return _local(kept, performer)
    return _cached(named or default.hub_id, performer, default)


def _local(folder: Path, performer: str) -> Place:
    if not folder.is_dir():
        raise UnavailableError(
            f"The weights of {performer} are not at {folder}.",
            f"Set IMMERSIVAUDIO_{performer.upper()} to a folder that holds them, or to a hub id.",
        )
    held = registry.described(folder, performer)
    return Place(folder, held, held.revision)


def _cached(named: str, performer: str, default: Weights) -> Place:
    hub_id, _, revision = named.partition("@")
    entry = default if default.hub_id == hub_id else registry.known(hub_id)
    folder = _snapshot(hub_id, revision or (entry.revision if entry else ""))
    if folder is None:
        raise UnavailableError(
            f"The weights of {performer} ({hub_id}) are not on this machine.",
            f"Set IMMERSIVAUDIO_{performer.upper()} to a folder that holds them, put them in "
            f"{home() / 'models' / performer}, or set IMMERSIVAUDIO_ONLINE=1 to fetch {hub_id}.",
        )
    return Place(folder, entry or registry.described(folder, performer, hub_id), folder.name)


def _hub_cache() -> Path:
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(chosen).expanduser()
    root = os.environ.get("HF_HOME")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "huggingface") / "hub"


def _snapshot(hub_id: str, revision: str) -> Path | None:
    """The snapshot folder of a commit, tag or branch in the hub's local cache."""
    repository = _hub_cache() / f"models--{hub_id.replace('/', '--')}"
    reference = repository / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    folder = repository / "snapshots" / commit
    # What a file says becomes part of a path only when it can be nothing but a commit.
    return folder if re.fullmatch(r"[0-9A-Za-z]+", commit) and folder.is_dir() else None


def fetch(performer: str, default: Weights) -> None:
    """Bring the wished hub id into the hub's local cache: safetensors, tokenizers and configuration, nothing else.

    Does nothing offline, where the weights are here already, and where a folder is named.

    Raises:
        UnavailableError: the hub did not give it.
    """
    if not online() or _here(performer, default) or not _HUB_ID.match(wish(performer) or default.hub_id):
        return
    hub = importlib.import_module("huggingface_hub")

    hub_id, _, revision = (wish(performer) or default.hub_id).partition("@")
    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.md", "LICENSE*"]
    try:
        hub.snapshot_download(
            hub_id, revision=revision or default.revision or None, allow_patterns=patterns, ignore_patterns=["*.bin*"]
        )
    except Exception as error:
        raise UnavailableError(
            f"{hub_id} could not be fetched ({type(error).__name__}).", "Look at the network, or name a local folder."
        ) from error


def _here(performer: str, default: Weights) -> bool:
    try:
        locate(performer, default)
    except UnavailableError:
        return False
    return True


def check(place: Place, classes: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a pipeline's weights that are incomplete, pickled, of foreign classes, or not what their manifest says.

    ``classes`` are the components that must be there and the class names that each may have.

    Raises:
        UnavailableError: with what is wrong.
    """
    index = _index(place.folder, place.weights.performer)
    for part, names in classes.items():
        _check_part(place, part, names, index)
    _check_whole(place.folder)


def check_model(folder: Path, suits: Callable[[str], bool], purpose: str, hint: str) -> None:
    """The same of one model of transformers in the folder itself, one of whose architectures ``suits``.

    ``purpose`` is what it is wanted for and ``hint`` what to name instead, for a person.

    Raises:
        UnavailableError: with what is wrong.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        found = [str(name) for name in config.get("architectures") or ()]
    except (OSError, ValueError, AttributeError) as error:
        raise refused(f"{folder} has no readable config.json", f"Name the folder of a model for {purpose}.") from error
    if not any(suits(name) for name in found):
        raise refused(f"{', '.join(found) or 'a model of no name'} is not made for {purpose}", hint)
    _check_safe(folder, "the model")
    _check_whole(folder)


def _check_whole(folder: Path) -> None:
    if code := next(folder.rglob("*.py"), None):
        raise refused(f"{_name(folder, code)} is program code", "Use weights that come without code.")
    verify(folder)


def _index(folder: Path, performer: str) -> dict[str, object]:
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise refused(
            f"{folder} has no readable model_index.json", f"Name the folder that {performer} lies in."
        ) from error
    return index if isinstance(index, dict) else {}


def _check_part(place: Place, part: str, names: tuple[str, ...], index: Mapping[str, object]) -> None:
    folder, performer = place.folder, place.weights.performer
    entry = index.get(part)
    library, found = entry if isinstance(entry, list) and len(entry) == 2 else ("nothing", "nothing")
    if found not in names:
        raise refused(f"its {part} is {found} and not {names[0]}", "Use the weights that this performer is made for.")
    if library not in (*_LIBRARIES, performer):
        raise refused(f"its {part} is to be loaded by {library}", "Use weights that diffusers or transformers load.")
    if not (folder / part).is_dir():
        raise refused(f"{part} is missing", "Fetch them again, whole.")
    if (folder / part / "config.json").is_file():
        _check_safe(folder / part, part)


def _check_safe(folder: Path, what: str) -> None:
    if any(folder.glob("*.safetensors")):
        return
    if any(file.suffix in _PICKLES for file in folder.iterdir()):
        raise refused(f"{what} is a pickle, which can run code", "Save them again with safe_serialization=True.")
    raise refused(f"{what} has no .safetensors file", "Fetch them again, whole.")


def verify(folder: Path) -> bool:
    """Compare every file with the sha256 manifest that lies with the weights; False where there is none.

    Raises:
        UnavailableError: a file is missing, differs, or is a weight that the manifest does not know.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return _verify_blobs(folder)
    sums = _sums(manifest)
    for name, expected in sums.items():
        if not (folder / name).is_file():
            raise refused(f"{name} is missing", "Fetch them again, whole.")
        if sha256(folder / name) != expected:
            raise _differs(name)
    for file in folder.rglob("*.safetensors"):
        if _name(folder, file) not in sums:
            raise refused(f"{_name(folder, file)} is not in {MANIFEST}", "Remove it, or write the manifest anew.")
    return True


def _verify_blobs(folder: Path) -> bool:
    """The hub's cache names a large file by its sha256: the snapshot's link says what its content must be."""
    links = [file for file in folder.rglob("*.safetensors") if re.fullmatch(r"[0-9a-f]{64}", file.resolve().name)]
    for file in links:
        if sha256(file) != file.resolve().name:
            raise _differs(_name(folder, file))
    return bool(links)


def _sums(manifest: Path) -> dict[str, str]:
    sums: dict[str, str] = {}
    for line in manifest.read_text("utf-8").splitlines():
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not found or Path(found.group(2)).is_absolute() or ".." in Path(found.group(2)).parts:
            raise refused(f"{MANIFEST} cannot be read", "Write it with sha256sum, one file a line.")
        sums[found.group(2)] = found.group(1)
    return sums


def write_manifest(folder: Path) -> Path:
    """Write the manifest of all files in ``folder``, in the form of ``sha256sum``."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
    text = "".join(f"{sha256(file)}  {_name(folder, file)}\n" for file in files)
    (folder / MANIFEST).write_text(text, "utf-8")
    return folder / MANIFEST


def fingerprint(place: Place) -> str:
    """Names the weights in a take's key: the manifest's sum, the hub's commit, else sizes and times of the files."""
    manifest = place.folder / MANIFEST
    if manifest.is_file():
        return sha256(manifest)[:16]
    return place.revision[:16] or hashlib.sha256("".join(_stats(place.folder)).encode()).hexdigest()[:16]


def _stats(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            stat = file.stat()
            yield f"{_name(folder, file)} {stat.st_size} {stat.st_mtime_ns}\n"


def size_bytes(place: Place) -> int:
    """Bytes of the weights on disk."""
    return sum(file.stat().st_size for file in place.folder.rglob("*.safetensors"))


def sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _name(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()


def _differs(name: str) -> UnavailableError:
    return refused(f"{name} is damaged: its sha256 is another", "Fetch that file again.")


def refused(what: str, hint: str) -> UnavailableError:
    """The error that says ``what`` is wrong with weights."""
    return UnavailableError(f"The weights are refused: {what}.", hint)
