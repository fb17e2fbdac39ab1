# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who may import whom (docs/architecture.md), read off the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "engine/immersivaudio/engine"
BRIDGE = ROOT / "bridge/immersivaudio/bridge"
HEAVY = ("torch", "ultralytics", "diffusers", "transformers", "accelerate")


def imports(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """Dotted names that a file imports; ``top_only`` leaves out what functions import when they are called."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(
    folder: Path, roots: tuple[str, ...], allowed: tuple[str, ...] = (), *, top_only: bool = False
) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder).as_posix()
        if any(inside == name or inside.startswith(f"{name}/") for name in allowed):
            continue
        bad = [
            name
            for name in imports(path, top_only=top_only)
            if any(name == r or name.startswith(f"{r}.") for r in roots)
        ]
        found += [f"{inside} imports {name}" for name in bad]
    return found


def test_bridge_and_engine_never_import_each_other() -> None:
    assert not offenders(ENGINE, ("immersivaudio.bridge", "immersivaudio.cli"))
    assert not offenders(BRIDGE, ("immersivaudio.engine", "immersivaudio.cli"))


def test_grpc_stays_at_the_front_doors() -> None:
    assert not offenders(ENGINE, ("grpc", "grpc_status", "grpc_health", "grpc_reflection"), ("server.py",))
    assert not offenders(BRIDGE, ("grpc", "grpc_status"), ("client.py", "errors.py"))


def test_ffmpeg_and_pyav_stay_in_the_media_package() -> None:
    assert not offenders(ENGINE, ("ffmpeg", "av", "imageio_ffmpeg"), ("media",))
    assert not offenders(BRIDGE, ("ffmpeg", "av"), ("proxy.py",))


def test_listing_plug_ins_loads_no_model_library() -> None:
    assert not offenders(ENGINE, HEAVY, top_only=True)
    script = (
        "import sys\nfrom immersivaudio.engine import plugins\n"
        "for kind in ('watchers', 'performers'):\n"
        "    for name in plugins.names(kind):\n        plugins.create(kind, name).available()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_conforming_and_delivering_files_know_otio() -> None:
    allowed = ("conform.py", "importers", "delivery.py", "dialects_out.py", "exporters", "otio_out.py")
    assert not offenders(ENGINE, ("opentimelineio",), allowed)
    assert not offenders(BRIDGE, ("opentimelineio",), ("timeline.py",))


def test_the_engine_knows_no_editor() -> None:
    folders = {path.name for path in (ROOT / "editor_scripts").iterdir() if path.is_dir()}
    assert not offenders(ENGINE, (*folders, "bpy"))


@pytest.mark.parametrize("name", ["host.py", "sheet.py", "stdio.py", "effect.py"])
def test_what_runs_inside_an_editor_needs_the_standard_library_only(name: str) -> None:
    path = BRIDGE / name
    outside = [n for n in imports(path, top_only=True) if n.split(".")[0] not in sys.stdlib_module_names]
    assert [n for n in outside if not n.startswith("immersivaudio.bridge")] == []


def test_every_file_says_its_licence() -> None:
    missing = []
    for folder in ("bridge", "engine", "editor_scripts", "examples", "protos", "tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if (
                "node_modules" not in path.parts
                and path.suffix in (".py", ".proto", ".toml", ".lua", ".js", ".mjs", ".sh")
                and "SPDX-License-Identifier" not in path.read_text()[:200]
            ):
                missing.append(path.relative_to(ROOT).as_posix())
    assert not missing


def test_sizes_stay_readable() -> None:
    """Files at most 400 lines, functions at most 60: a place to stop before a file turns into a drawer."""
    long = []
    for folder in ("engine/immersivaudio", "bridge/immersivaudio", "editor_scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            if text.count("\n") > 400:
                long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
            for node in ast.walk(ast.parse(text)):
                if (
                    isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                    and (node.end_lineno or 0) - node.lineno > 60
                ):
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not long
