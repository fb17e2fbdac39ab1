# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every editor's folder must keep, found by its name: it runs in the editor's interpreter, which has nothing of ours."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from immersivaudio.engine import effects
from immersivaudio.engine.cue import Cue, Stem

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path for path in (ROOT / "editor_scripts").iterdir() if any(path.rglob("*.py")))
# Modules that an editor, or the installed script itself, brings with it.
EDITORS_OWN = {"blender": {"bpy", "aud"}, "resolve": {"DaVinciResolveScript", "fusionscript", "immersivaudio_resolve"}}
THREADS = {"threading", "concurrent", "asyncio", "multiprocessing"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_it_needs_nothing_but_the_standard_library_and_its_editor(folder: Path) -> None:
    allowed = sys.stdlib_module_names | EDITORS_OWN.get(folder.name, set()) | {"immersivaudio"}
    strangers = {path.name: _imports(path) - allowed for path in folder.rglob("*.py")}
    assert not {name: found for name, found in strangers.items() if found}


def test_it_starts_no_thread_of_its_own(folder: Path) -> None:
    """No editor's API may be used from a second thread; the bridge's link has the only ones."""
    assert not {path.name for path in folder.rglob("*.py") if _imports(path) & THREADS}


def test_it_names_no_param_of_an_effect(folder: Path) -> None:
    """What a person sees is described by the engine; a host that knows a param's name would need a release for it."""
    # A host may know the nouns of a cue and of a lane; "description" is a word of Blender's own.
    nouns = {*Cue.__dataclass_fields__, *Stem, "description"}
    names = {param.name for effect in effects.EFFECTS for param in effect.params} - nouns
    assert {"density", "loudness", "mix"} <= names
    for path in folder.rglob("*.py"):
        words = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        assert not names & {word for word in words if isinstance(word, str)}, path.name


def test_there_is_a_guide_for_it(folder: Path) -> None:
    guide = ROOT / "docs" / f"{folder.name}.md"
    assert guide.is_file()
    assert "remove last" in guide.read_text().lower()
