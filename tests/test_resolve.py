# SPDX-License-Identifier: AGPL-3.0-or-later
"""Resolve's menu script, as it is installed, against a stand-in that has Resolve's traps: a real bridge, a real engine."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import conftest
import pytest
import resolve_standin as standin
from click.testing import CliRunner

from immersivaudio.bridge import host
from immersivaudio.cli import install_resolve
from immersivaudio.engine import media

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "editor_scripts/resolve"
BUILDS = [
    (version, studio) for version in ((19, 1), (20, 2), (20, 2, 2), (21, 0, 4), (21, 1)) for studio in (False, True)
]
RUNNING = [build for build in BUILDS if build != ((21, 1), False)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The menu's folder after ``install-resolve``; its package can be imported while the module's tests run."""
    menu = tmp_path_factory.mktemp("resolve") / "Scripts/Utility"
    done = CliRunner().invoke(install_resolve.install_resolve, ["--folder", str(menu)])
    assert done.exit_code == 0, done.output
    library = str(menu.parent / install_resolve.PACKAGE)
    sys.path.insert(0, library)
    yield menu
    sys.path.remove(library)
    for name in [name for name in sys.modules if name.split(".")[0] == install_resolve.PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def script(installed: Path) -> Callable[[str], ModuleType]:
    """``script("lay")`` is that file of the installed script."""
    return lambda name: importlib.import_module(f"{install_resolve.PACKAGE}.{name}")


def cut(
    film: Path, version: tuple[int, ...], studio: bool, rate: str = "25", project_rate: str = ""
) -> standin.Resolve:
    """Resolve with ``film`` in two pieces on V1, its bin chosen, marks, a marker, and a locked track of the user's."""
    app = standin.Resolve(version, studio, rate, project_rate)
    pool, line = app.manager.project.pool, app.manager.project.current
    bin_of_mine = standin.Folder(app, "Rushes")
    pool.root.folders.append(bin_of_mine)
    frames = round(media.probe(film).duration_s * standin.exact(rate))
    clip = standin.MediaPoolItem(app, film, frames, rate)
    bin_of_mine.clips.append(clip)
    pool.current, pool.chosen = bin_of_mine, [clip]
    line.AddTrack("video")
    line.AddTrack("audio", "stereo")
    line.tracks["audio"][0].locked = True
    half = frames // 2
    for start, end in ((0, half), (half, frames)):
        item = standin.TimelineItem(app, clip, line.first + start, end - start, start)
        line.tracks["video"][0].items.append(item)
    line.markers[10] = {"name": "mine"}
    line.SetMarkInOut(0, frames - 1)
    return app


def desk(app: standin.Resolve) -> dict[str, Any]:
    """Everything of the user's that a script might disturb."""
    project = app.manager.project
    line, pool = project.timelines[0], project.pool
    return {
        "page": app.page,
        "timeline": project.current,
        "bin": pool.current,
        "chosen": list(pool.chosen),
        "playhead": line.playhead,
        "marks": line.GetMarkInOut() or line.marks,
        "markers": dict(line.markers),
        "video": [(track.name, track.locked, list(track.items)) for track in line.tracks["video"]],
        "audio": [
            (track.name, track.locked, list(track.items))
            for track in line.tracks["audio"]
            if "Immersiv" not in track.name
        ],
        "bins": [folder.name for folder in pool.root.folders if folder.name != "Immersivaudio"],
    }


def ours(app: standin.Resolve) -> list[standin.Track]:
    tracks = app.manager.project.timelines[0].tracks["audio"]
    return [track for track in tracks if track.name.startswith("Immersivaudio")]


@pytest.fixture(scope="module")
def film(draw: Callable[..., Path]) -> Path:
    """Four seconds at 23.976 of a ball that touches the ground five times."""
    contacts = (0.6, 1.2, 1.8, 2.4, 3.0)
    rate = Fraction(24000, 1001)
    return draw(lambda at_s: conftest.ball_picture(at_s, contacts, (320, 180)), 4.0, rate, "ball23976")


@pytest.fixture(scope="module")
def scored(
    installed: Path, film: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[standin.Resolve, dict[str, Any], str]:
    """The whole way once, as the menu does it: Free 21.0, no window; what was there before, and what was said."""
    mine = tmp_path_factory.mktemp("rushes") / film.name
    mine.write_bytes(film.read_bytes())
    app = cut(mine, (21, 0, 4), False, "23.976")
    app.manager.project.timelines[0].ClearMarkInOut()
    before = desk(app)
    said = run_entry(installed / "Immersivaudio.py", app)
    return app, before, said


def run_entry(entry: Path, app: standin.Resolve, bmd: Any = None) -> str:
    """Run a menu script as Resolve does: its source, with its objects as globals and without ``__file__``."""
    names = {"__name__": "__main__", "resolve": app, "fusion": app.fusion, "app": app.fusion, "bmd": bmd or object()}
    exec(compile(entry.read_text(), "menu", "exec"), names)
    journal = entry.parent.parent / install_resolve.PACKAGE / "immersivaudio.log"
    return journal.read_text().strip().splitlines()[-1]


def test_the_menu_entry_scores_an_edit(scored: Any, film: Path) -> None:
    app, before, said = scored
    line = app.manager.project.timelines[0]
    assert "Placed" in said, said
    placed, wanted = said.split("Placed ")[1].split(".")[0].split("/")
    assert placed == wanted
    lanes = ours(app)
    assert "Immersivaudio Foley" in [track.name for track in lanes]
    assert {track.kind for track in lanes} == {"stereo"}
    items = [item for track in lanes for item in track.items]
    assert len(items) == int(placed)
    assert desk(app) == before
    for item in items:
        # The stem begins with the edit: what is heard at a frame lies at that frame of the file.
        assert item.start - line.first == item.source
        assert item.colour
        about = item.markers[0]
        assert json.loads(about["customData"])["cue"]
        assert about["note"]
    foley = next(track for track in lanes if track.name == "Immersivaudio Foley")
    for at_s in (0.6, 1.2, 1.8, 2.4, 3.0):
        frame = line.first + at_s * 24000 / 1001
        assert any(item.start <= frame < item.start + item.frames for item in foley.items), f"nothing at {at_s} s"


def test_files_and_bin_lie_beside_the_users_media(scored: Any) -> None:
    app, _, said = scored
    project = app.manager.project
    folder = Path(said.split("The files lie in ")[1].rstrip("."))
    assert folder.parent.parent.parent == project.pool.root.folders[0].clips[0].path.parent
    assert folder.parent.name == "Reel 1- night"
    assert json.loads((folder / "result.json").read_text())["receipt"].startswith("placed")
    top = next(one for one in project.pool.root.folders if one.name == "Immersivaudio")
    assert [name.name for name in top.folders] == ["Reel 1: night"]
    assert {clip.path.parent for clip in top.folders[0].folders[0].clips} == {folder}
    assert not [file for file in folder.iterdir() if set(file.name) & set("#%?")]


@pytest.fixture
def lanes(scored: Any) -> tuple[host.Lane, ...]:
    """What the engine made in the run above, to be laid again on other builds."""
    _, _, said = scored
    folder = Path(said.split("The files lie in ")[1].rstrip("."))
    told = json.loads((folder / "result.json").read_text())
    return tuple(host.Lane.from_json(lane) for lane in told["lanes"])


@pytest.mark.parametrize(("version", "studio"), RUNNING)
def test_every_build_lays_verifies_and_takes_back(
    script: Any, film: Path, lanes: tuple[host.Lane, ...], version: tuple[int, ...], studio: bool
) -> None:
    app = cut(film, version, studio, "23.976")
    before = desk(app)
    told = _host(script, app)
    receipt = told.lay(lanes)
    wanted = sum(len(lane.clips) for lane in lanes)
    assert (receipt.placed, receipt.wanted, receipt.problems) == (wanted, wanted, ())
    assert desk(app) == before
    first = ours(app)
    assert [(item.start, item.frames) for track in first for item in track.items] == _frames(app, lanes)
    if version >= (20, 2):
        assert {item.name for track in first for item in track.items} == {c.name for lane in lanes for c in lane.clips}
    again = told.lay(lanes)
    assert again.complete
    assert "Immersivaudio Foley 2" in [track.name for track in ours(app)]
    assert told.remove_last() == wanted
    assert ours(app) == first
    assert told.remove_last() == wanted
    assert told.remove_last() == 0
    assert ours(app) == []
    assert desk(app) == before
    assert [folder.name for folder in app.manager.project.pool.root.folders] == ["Rushes"]


def _frames(app: standin.Resolve, lanes: tuple[host.Lane, ...]) -> list[tuple[int, int]]:
    rate, first = standin.exact("23.976"), app.manager.project.timelines[0].first
    clips = [clip for lane in lanes for clip in lane.clips]
    return [(first + round(clip.start_s * rate), round(clip.duration_s * rate)) for clip in clips]


def _host(script: Any, app: standin.Resolve, folder: Path | None = None) -> Any:
    score, access = script("score"), script("access")
    edit = access.open_edit(app)
    place = folder or script("score").folder_for(edit)
    place.mkdir(parents=True, exist_ok=True)
    return score.ResolveHost(edit, place)
