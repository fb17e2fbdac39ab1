# SPDX-License-Identifier: AGPL-3.0-or-later
"""Resolve's menu script, as it is installed, against a stand-in that has Resolve's traps: a real bridge, a real engine."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import json
import runpy
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import conftest
import pytest
import resolve_standin as standin
import resolve_ui_standin as screen
import serving
from click.testing import CliRunner

from immersivaudio.bridge import Client, host
from immersivaudio.cli import install_resolve
from immersivaudio.engine import media

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "editor_scripts/resolve"
BUILDS = [
    (version, studio) for version in ((19, 1), (20, 2), (20, 2, 2), (21, 0, 4), (21, 1)) for studio in (False, True)
]
ANY_NUMBER = 99
LATER = ((20, 2), (21, 0))
RUNNING = [build for build in BUILDS if build != ((21, 1), False)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The menu's folder after ``install resolve``; its package can be imported while the module's tests run."""
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
    line.tracks["video"].append(standin.Track("", "Video 1"))
    line.tracks["audio"].append(standin.Track("stereo", "Audio 1"))
    line.tracks["audio"][0].locked = True
    half = frames // 2
    for start, end in ((0, half), (half, frames)):
        item = standin.TimelineItem(app, clip, line.first + start, end - start, start)
        line.tracks["video"][0].items.append(item)
    line.markers[10] = {"name": "mine"}
    line.marks = {kind: {"in": 0, "out": frames - 1} for kind in ("video", "audio")}
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
        "marks": {kind: dict(mark) for kind, mark in line.marks.items()},
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


def _in_groups(lane: host.Lane, folder: Path, *groups: str) -> list[host.Lane]:
    """The sound of ``lane`` as the music of one cue, with a file for each instrument group."""
    made = []
    for group in groups:
        path = shutil.copy(lane.clips[0].path, folder / f"{uuid.uuid4().hex}.wav")
        cue = {"cue": "music", **({"group": group} if group else {})}
        name = f"Immersivaudio Music {group.title()}".rstrip()
        made.append(host.Lane(name, "music", (replace(lane.clips[0], name=group, path=str(path), cue=cue),)))
    return made


@pytest.mark.parametrize(("version", "studio"), RUNNING)
@pytest.mark.parametrize(
    ("first", "again"), [(("lead", "bass"), ("lead", "strings")), (("",), ("lead", "bass")), (("lead", "bass"), ("",))]
)
def test_a_cue_in_instrument_groups_is_performed_again_as_a_whole(
    script: Any,
    film: Path,
    lanes: tuple[host.Lane, ...],
    tmp_path: Path,
    version: tuple[int, ...],
    studio: bool,
    first: tuple[str, ...],
    again: tuple[str, ...],
) -> None:
    app = cut(film, version, studio, "23.976")
    before = desk(app)
    told = _host(script, app)
    assert told.lay([*lanes, *_in_groups(lanes[0], tmp_path, *first)]).complete
    others = [track for track in ours(app) if "Music" not in track.name]
    kept = [(track.name, list(track.items)) for track in others]
    new = _in_groups(lanes[0], tmp_path, *again)
    receipt = told.replace(new, "music", script("bins").results(told.edit)[-1])
    assert (receipt.placed, receipt.wanted, receipt.problems) == (len(again), len(again), ())
    assert [(track.name, list(track.items)) for track in ours(app) if "Music" not in track.name] == kept
    music = {track.name: track.items for track in ours(app) if "Music" in track.name}
    assert {name: [str(item.media.path) for item in items] for name, items in music.items()} == {
        lane.name: [lane.clips[0].path] for lane in new
    }
    assert desk(app) == before
    assert told.remove_last() == sum(len(lane.clips) for lane in lanes) + len(again)
    assert ours(app) == []
    assert desk(app) == before


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


def test_in_and_out_points_are_asked_for_in_a_window_and_kept(installed: Path, film: Path, tmp_path: Path) -> None:
    """Studio 21.1: the window has a control for every param the engine describes; only the marked range gets sound."""
    mine = tmp_path / film.name
    mine.write_bytes(film.read_bytes())
    app = cut(mine, (21, 1), True, "23.976")
    line = app.manager.project.timelines[0]
    line.SetMarkInOut(24, 71)
    before = desk(app)
    seen: dict[str, str] = {}

    def person(window: screen.Window) -> None:
        items = window.GetItems()
        if "score" in items:
            seen.update({name: one.kind for name, one in items.items()})
            assert items["scope"].labels[items["scope"].CurrentIndex] == "In to out"
            if items["effect"].labels[items["effect"].CurrentIndex] != "Foley":
                window.choose("effect", "Foley")
            else:
                items["param_density"].Value = 1.0
                window.press("score")
        elif "close" in items:
            window.press("close")

    app.fusion.ui, bmd = screen.UI(), screen.Screen(person)
    said = run_entry(installed / "Immersivaudio.py", app, bmd)
    assert "Placed" in said, said
    assert bmd.told[-1] in said
    assert any("%" in text for text in bmd.told)
    assert not [window for window in bmd.windows if window.shown]
    assert set(seen.values()) >= {"ComboBox", "DoubleSpinBox", "SpinBox", "TextEdit"}
    assert desk(app) == before
    assert [track.name for track in ours(app)] == ["Immersivaudio Foley"]
    for item in ours(app)[0].items:
        assert line.first + 24 <= item.start
        assert item.start + item.frames <= line.first + 72
        assert item.start - (line.first + 24) == item.source


def test_the_window_follows_what_the_engine_says_to_a_change(installed: Path, film: Path) -> None:
    """``instance_changed``: when the original is replaced there is nothing to balance it with."""
    app = cut(film, (21, 0), True, "23.976")
    seen: list[tuple[bool, float]] = []

    def person(window: screen.Window) -> None:
        items = window.GetItems()
        if "score" not in items:
            return window.press("close") if "close" in items else None
        mix, original = items["param_mix"], items["param_original"]
        seen.append((bool(mix.Enabled), float(mix.Value)))
        if len(seen) == 1:
            choices = [label.lower() for label in original.labels]
            original.CurrentIndex = next(n for n, label in enumerate(choices) if label == "replace it")
            return window.change("param_original", "CurrentIndexChanged")
        return window.press("cancel")

    app.fusion.ui, bmd = screen.UI(), screen.Screen(person)
    assert run_entry(installed / "Immersivaudio.py", app, bmd).endswith("Nothing was changed.")
    assert seen[0][0] is True
    assert seen[-1] == (False, 1.0)


def own(film: Path, folder: Path, version: tuple[int, ...], studio: bool = True) -> standin.Resolve:
    """Resolve with a copy of ``film`` in a folder of its own, without marks."""
    mine = folder / film.name
    mine.write_bytes(film.read_bytes())
    app = cut(mine, version, studio, "23.976")
    app.manager.project.timelines[0].ClearMarkInOut()
    return app


@pytest.fixture
def jobs(installed: Path) -> Iterator[Path]:
    """Where the script notes what is not laid yet; the notes of a test go with it, and so does what a person set."""
    library = installed.parent / install_resolve.PACKAGE
    yield library / "jobs"
    for path in (*(library / "jobs").glob("*"), library / "settings.json", library / "cues.json"):
        path.unlink(missing_ok=True)


def cue_of(item: standin.TimelineItem) -> str:
    return str(json.loads(item.markers[0]["customData"])["cue"])


def foley_of(app: standin.Resolve) -> list[standin.TimelineItem]:
    return [item for track in ours(app) if "Foley" in track.name for item in track.items]


@pytest.mark.parametrize("version", [(19, 1), *(pytest.param(v, marks=pytest.mark.slow) for v in LATER), (21, 1)])
def test_spotting_first_then_one_cue_again(
    installed: Path, film: Path, tmp_path: Path, jobs: Path, version: tuple[int, ...]
) -> None:
    """Studio: cues are muted and re-worded in a window, performed, and one of them is performed again in its place."""
    app = own(film, tmp_path, version)
    before = desk(app)
    seen: dict[str, Any] = {}

    def person(window: screen.Window) -> None:
        items = window.GetItems()
        if "spot" in items:
            return window.press("spot")
        if "perform" in items:
            seen["cues"] = len([name for name in items if name.startswith("heard_")])
            foley = [n for n in range(seen["cues"]) if "Foley" in items[f"heard_{n}"].Text]
            first, seen["foley"] = foley[0], len(foley)
            items[f"heard_{first}"].Checked = False
            items[f"words_{first + 1}"].Text = "a ball on wet stone"
            return window.press("perform")
        return window.press("close") if "close" in items else None

    app.fusion.ui, bmd = screen.UI(), screen.Screen(person)
    said = run_entry(installed / "Immersivaudio.py", app, bmd)
    assert "Placed" in said, said
    assert not list(jobs.glob("*"))
    assert desk(app) == before
    assert len({cue_of(item) for item in foley_of(app)}) == seen["foley"] - 1
    folder = Path(said.split("The files lie in ")[1].rstrip("."))
    sheet = json.loads((folder / "cues.json").read_text())
    assert [cue["prompt"] for cue in sheet["cues"] if "wet stone" in cue["prompt"]] == ["a ball on wet stone"]
    assert [cue["muted"] for cue in sheet["cues"] if cue["muted"]] == [True]

    other, target = foley_of(app)[1:], foley_of(app)[0]

    def again(window: screen.Window) -> None:
        items = window.GetItems()
        if "cues" in items:
            return window.press("cues")
        if "perform" in items:
            n = next(n for n in range(seen["cues"]) if items[f"words_{n}"].Text == "a ball on wet stone")
            items[f"words_{n}"].Text = "a ball on gravel"
            return window.press(f"again_{n}")
        return window.press("close") if "close" in items else None

    said = run_entry(installed / "Immersivaudio.py", app, screen.Screen(again))
    assert "Placed 1/1" in said, said
    assert foley_of(app)[:-1] == other
    new = foley_of(app)[-1]
    assert new.start == target.start
    assert new.media is not target.media
    assert desk(app) == before
    sheet = json.loads((folder / "cues.json").read_text())
    assert "a ball on gravel" in [cue["prompt"] for cue in sheet["cues"]]
    assert "Removed" in run_entry(installed / "Immersivaudio - Remove last result.py", app, screen.Screen(again))
    assert ours(app) == []
    assert desk(app) == before


@pytest.mark.parametrize("version", [(19, 1), *(pytest.param(v, marks=pytest.mark.slow) for v in LATER)])
def test_spotting_first_without_a_window(
    installed: Path, film: Path, tmp_path: Path, jobs: Path, version: tuple[int, ...]
) -> None:
    """Free: the cues are a file that the person edits between two runs of the entry."""
    app, settings = own(film, tmp_path, version, studio=False), jobs.with_name("settings.json")
    settings.write_text('{"way": "spot"}')
    assert "The cues are kept in" in run_entry(installed / "Immersivaudio.py", app)
    assert ours(app) == []
    told = json.loads(jobs.with_name("cues.json").read_text())
    count = len([cue for cue in told["cues"] if cue["stem"] == "Foley"])
    assert count
    next(cue for cue in told["cues"] if cue["stem"] == "Foley")["heard"] = False
    jobs.with_name("cues.json").write_text(json.dumps(told))
    said = run_entry(installed / "Immersivaudio.py", app)
    assert "Placed" in said, said
    assert len({cue_of(item) for item in foley_of(app)}) == count - 1
    settings.write_text('{"way": "cues"}')
    assert run_entry(installed / "Immersivaudio.py", app).endswith("Nothing was changed.")
    told = json.loads(jobs.with_name("cues.json").read_text())
    told["again"] = cue_of(foley_of(app)[0])
    jobs.with_name("cues.json").write_text(json.dumps(told))
    assert "Placed 1/1" in run_entry(installed / "Immersivaudio.py", app)


def test_a_job_is_found_again_when_resolve_was_closed(
    installed: Path, film: Path, tmp_path: Path, jobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script is killed at work, as it is with Resolve; the job of a shared engine is laid at the next start."""
    with serving.start(tmp_path / "engine", "--root", "/", job="immersivaudio.engine.pipeline:score") as engine:
        monkeypatch.setenv("IMMERSIVAUDIO_ENGINE", engine.address)
        app = own(film, tmp_path, (21, 0))
        before = desk(app)

        def killed(window: screen.Window) -> None:
            if "score" in window.GetItems():
                window.press("score")
            elif list(jobs.glob("*")):
                raise _Killed

        app.fusion.ui = screen.UI()
        with pytest.raises(_Killed):
            run_entry(installed / "Immersivaudio.py", app, screen.Screen(killed))
        begun = json.loads(next(jobs.glob("*")).read_text())
        assert begun["goal"] == "render"
        # What a killed process does not do: the way out of an exception stopped the job.
        with Client(engine.address) as client:
            spec = client.get(begun["engine_job"]).spec
            begun["engine_job"] = client.create_job(spec).job_id
        next(jobs.glob("*")).write_text(json.dumps(begun))

        def back(window: screen.Window) -> None:
            if "go_on" in window.GetItems():
                assert "Go on with it?" in window.said
                window.press("go_on")
            elif "close" in window.GetItems():
                window.press("close")

        said = run_entry(installed / "Immersivaudio.py", app, screen.Screen(back))
        assert "Placed" in said, said
        assert str(begun["folder"]) in said
        assert desk(app) == before
        assert len(ours(app)) >= 2
        assert not list(jobs.glob("*"))


class _Killed(BaseException):
    """Resolve was closed."""


def test_a_job_that_is_gone_is_said_once(installed: Path, film: Path, tmp_path: Path, jobs: Path, script: Any) -> None:
    app = own(film, tmp_path, (20, 2), studio=False)
    edit = script("access").open_edit(app)
    script("bridge.sheet").keep(tmp_path / "kept", {"timeline": {}, "effect": "soundtrack"}, None)
    note = script("unfinished").Unfinished(jobs, edit)
    note.remember(script("unfinished").Begun("render", str(tmp_path / "kept"), "00000000-0000-0000-0000-000000000000"))
    said = run_entry(installed / "Immersivaudio.py", app)
    assert "No job has this id" in said or "no such job" in said.lower(), said
    assert note.found() is None
    assert ours(app) == []


def test_an_effect_of_a_later_engine_is_drawn(
    installed: Path, film: Path, tmp_path: Path, jobs: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that this script has never heard of: in the window every kind of param, and what the engine says to a change;
    without a window its values in the settings."""
    seen: dict[str, Any] = {}

    def person(window: screen.Window) -> None:
        items = window.GetItems()
        if "score" not in items:
            return window.press("close") if "close" in items else None
        if "param_drops" not in items:
            return window.choose("effect", "Weather")
        if not seen:
            seen.update({name[6:]: one for name, one in items.items() if name.startswith("param_")})
            seen["values"] = (seen["force"].Value, seen["drops"].Value, seen["storm"].Checked, seen["words"].PlainText)
            seen["before"] = seen["drops"].Enabled
            seen["kind"].CurrentIndex = 1
            return window.change("param_kind", "CurrentIndexChanged")
        return window.press("cancel")

    with serving.start_weather(tmp_path / "engine") as engine:
        monkeypatch.setenv("IMMERSIVAUDIO_ENGINE", engine.address)
        app = cut(film, (21, 0), True, "23.976")
        app.fusion.ui = screen.UI()
        said = run_entry(installed / "Immersivaudio.py", app, screen.Screen(person))
        link = script("bridge.stdio").Link(
            [sys.executable, "-m", "immersivaudio.bridge.stdio", "--engine", engine.address]
        )
        try:
            panel = script("panel").Panel(link, "CONTEXT_GENERAL")
            settings = tmp_path / "settings.json"
            settings.write_text('{"effect": "weather", "params": {"kind": "hail"}}')
            wish = script("windows").wish_from(settings, panel, False)
        finally:
            link.close()
    assert said.endswith("Nothing was changed.")
    assert seen["values"] == (0.25, 7, True, "")
    assert (seen["force"].Minimum, seen["force"].Maximum, seen["force"].ToolTip) == (0.0, 1.0, "How hard it blows.")
    assert seen["kind"].labels == ["Rain", "Hail"]
    assert (seen["before"], seen["drops"].Enabled) == (True, False)
    kinds = {name: seen[name].kind for name in ("force", "drops", "storm", "kind", "words")}
    assert list(kinds.values()) == ["DoubleSpinBox", "SpinBox", "CheckBox", "ComboBox", "TextEdit"]
    assert wish.params == {"force": 0.25, "drops": 7, "storm": True, "kind": "hail", "words": ""}


def test_cancel_stops_the_job_and_leaves_the_timeline(installed: Path, film: Path, tmp_path: Path) -> None:
    mine = tmp_path / film.name
    mine.write_bytes(film.read_bytes())
    app = cut(mine, (21, 0), True, "23.976")
    before = desk(app)

    def person(window: screen.Window) -> None:
        if "score" in window.GetItems():
            window.press("score")
        elif "close" in window.GetItems():
            window.press("close")
        elif "%" in window.said and "engine" not in window.said:
            window.press("cancel")

    app.fusion.ui, bmd = screen.UI(), screen.Screen(person)
    assert run_entry(installed / "Immersivaudio.py", app, bmd).endswith("Cancelled. The timeline is as it was.")
    assert desk(app) == before
    assert ours(app) == []


def test_the_menus_cancel_stops_a_job_that_has_no_window(installed: Path, film: Path, tmp_path: Path) -> None:
    """On Free there is no window; the other entry runs in another process, here at the job's first words."""
    mine = tmp_path / film.name
    mine.write_bytes(film.read_bytes())
    app = cut(mine, (20, 2), False, "23.976")
    before, line = desk(app), app.manager.project.timelines[0]
    export = line.as_otio
    names = {"resolve": app, "bmd": object()}

    def cancel_meanwhile() -> Any:
        exec(compile((installed / "Immersivaudio - Cancel.py").read_text(), "menu", "exec"), dict(names))
        return export()

    line.as_otio = cancel_meanwhile  # type: ignore[method-assign]
    assert run_entry(installed / "Immersivaudio.py", app).endswith("Cancelled. The timeline is as it was.")
    assert desk(app) == before
    assert ours(app) == []


def test_the_menus_remove_takes_a_result_away(
    installed: Path, script: Any, film: Path, lanes: tuple[host.Lane, ...]
) -> None:
    app = cut(film, (20, 2), False, "23.976")
    before = desk(app)
    count = _host(script, app).lay(lanes).placed
    assert run_entry(installed / "Immersivaudio - Remove last result.py", app).endswith(f"Removed {count} clips.")
    assert desk(app) == before
    assert ours(app) == []
    assert "no result of Immersivaudio" in run_entry(installed / "Immersivaudio - Remove last result.py", app)


def test_a_window_that_cannot_be_drawn_still_says_why(installed: Path, film: Path) -> None:
    app = cut(film, (21, 0), True)

    def broken(window: screen.Window) -> None:
        raise RuntimeError("no display")

    app.fusion.ui = screen.UI()
    said = run_entry(installed / "Immersivaudio.py", app, screen.Screen(broken))
    assert "Immersivaudio broke (RuntimeError: no display)" in said
    assert "Traceback" not in said


def test_free_21_1_is_told_the_way_that_works(installed: Path, film: Path) -> None:
    said = run_entry(installed / "Immersivaudio.py", cut(film, (21, 1), False))
    assert "immersivaudio score cut.otio" in said


def test_free_is_never_asked_for_its_uimanager(script: Any, film: Path, tmp_path: Path) -> None:
    """The mere look at it opens a modal window on Free, and every later call fails."""
    app = cut(film, (19, 1), False)
    window = script("windows").window_for(
        app, {"bmd": object(), "fusion": app.fusion}, script("journal").Journal(tmp_path / "log")
    )
    assert type(window).__name__ == "Console"
    assert not app.blocked
    _ = app.fusion.UIManager
    assert app.blocked


def test_what_resolve_drops_is_placed_again_or_reported(script: Any, film: Path, lanes: tuple[host.Lane, ...]) -> None:
    app = cut(film, (21, 0, 4), True, "23.976")
    line = app.manager.project.timelines[0]
    foley = next(lane for lane in lanes if lane.stem == "foley")
    starts = [line.first + round(clip.start_s * standin.exact("23.976")) for clip in foley.clips]
    line.flaky = {starts[0]}
    assert _host(script, app).lay([foley]).complete
    overlapping = (*foley.clips[:1], replace(foley.clips[1], start_s=foley.clips[0].start_s))
    receipt = _host(script, app).lay([replace(foley, clips=overlapping)])
    assert (receipt.placed, receipt.wanted) == (1, 2)
    assert f"could not be placed at frame {starts[0]}" in str(receipt)


def test_a_project_of_another_rate_gets_each_stem_whole_and_in_sync(
    script: Any, film: Path, lanes: tuple[host.Lane, ...]
) -> None:
    """In a 24 fps project Resolve counts a WAV's frames at 24: cut at those, sound would slide by up to half a frame."""
    app = cut(film, (21, 0, 4), True, "23.976", project_rate="24")
    line = app.manager.project.timelines[0]
    receipt = _host(script, app).lay(lanes)
    assert (receipt.placed, receipt.wanted) == (len(lanes), len(lanes))
    for track in ours(app):
        assert [(item.start, item.source) for item in track.items] == [(line.first, 0)]
        assert track.items[0].frames >= 0.9 * 4 * 23.976


@pytest.mark.parametrize(("version", "works"), [((21, 0, 4), False), ((21, 1), True)])
def test_gain_that_a_file_lacks_is_set_or_told(
    script: Any, film: Path, lanes: tuple[host.Lane, ...], version: tuple[int, ...], works: bool
) -> None:
    app = cut(film, version, True, "23.976")
    lane = replace(lanes[0], clips=(replace(lanes[0].clips[0], gain_db=-4.5),))
    receipt = _host(script, app).lay([lane])
    assert receipt.complete
    assert ours(app)[0].items[0].properties == ({"AudioVolume": -4.5} if works else {})
    assert ("should be -4.5 dB" in str(receipt)) is not works


def test_bad_days_end_in_a_sentence_and_an_unchanged_desk(
    script: Any, film: Path, lanes: tuple[host.Lane, ...]
) -> None:
    app = cut(film, (20, 2), True, "23.976")
    project, line = app.manager.project, app.manager.project.timelines[0]
    before, told = desk(app), _host(script, app)
    line.fails_to_add = True
    with pytest.raises(script("bridge.host").HostError, match="no audio track"):
        told.lay(lanes)
    assert desk(app) == before
    assert [folder.name for folder in project.pool.root.folders] == ["Rushes"]
    line.fails_to_add = False
    project.pool.refused = {Path(clip.path).name for lane in lanes for clip in lane.clips}
    with pytest.raises(script("bridge.host").HostError, match=r"did not import .*\.wav\. The sound lies in"):
        told.lay(lanes)
    assert desk(app) == before
    app.manager.project = None
    with pytest.raises(script("bridge.host").HostError, match=r"project was closed meanwhile\. The sound lies in"):
        told.lay(lanes)
    assert ours_of(line) == []
    with pytest.raises(script("bridge.host").HostError, match="No project is open"):
        script("access").open_edit(app)


def ours_of(line: standin.Timeline) -> list[standin.Track]:
    return [track for track in line.tracks["audio"] if track.name.startswith("Immersivaudio")]


def test_another_timeline_on_the_screen_gets_nothing(script: Any, film: Path, lanes: tuple[host.Lane, ...]) -> None:
    """The user opened another timeline while the job ran: sound goes where it belongs, the other stays on the screen."""
    app = cut(film, (21, 0), True, "23.976")
    told, project = _host(script, app), app.manager.project
    project.timelines.append(standin.Timeline(app, project, "Reel 2", "24"))
    project.current = project.timelines[1]
    assert told.lay(lanes).complete
    assert project.current is project.timelines[1]
    assert project.timelines[1].items() == []
    assert len(ours(app)) == len(lanes)


def test_remove_last_leaves_what_became_the_users(script: Any, film: Path, lanes: tuple[host.Lane, ...]) -> None:
    """A lane on which the user laid a clip stays with it; sound that another timeline plays stays in the pool."""
    app = cut(film, (21, 0), True, "23.976")
    told, project = _host(script, app), app.manager.project
    told.lay(lanes)
    lane, line = ours(app)[0], project.timelines[0]
    used = lane.items[0].media
    theirs = standin.TimelineItem(app, project.pool.root.folders[0].clips[0], line.first + 5000, 10, 0)
    lane.items.append(theirs)
    other = standin.Timeline(app, project, "Reel 2", "24")
    other.tracks["audio"] = [standin.Track("stereo", "A1")]
    other.tracks["audio"][0].items = [standin.TimelineItem(app, used, other.first, 10, 0)]
    project.timelines.append(other)
    told.remove_last()
    assert ours(app) == [lane]
    assert lane.items == [theirs]
    assert len(other.items()) == 1
    kept = [clip for folder in standin.walk(project.pool.root) for clip in folder.clips]
    assert used in kept
    assert len(kept) == 2


def test_a_locked_lane_is_not_removed_behind_its_lock(script: Any, film: Path, lanes: tuple[host.Lane, ...]) -> None:
    app = cut(film, (21, 0), True, "23.976")
    told = _host(script, app)
    told.lay(lanes)
    ours(app)[-1].locked = True
    before = [list(track.items) for track in ours(app)]
    with pytest.raises(script("bridge.host").HostError, match="Foley is locked"):
        told.remove_last()
    assert [track.items for track in ours(app)] == before
    assert app.page == "fairlight"


def test_earlier_lanes_are_not_sent_again(script: Any, film: Path, lanes: tuple[host.Lane, ...]) -> None:
    app = cut(film, (21, 0), True, "23.976")
    told = _host(script, app)
    told.lay(lanes)
    assert len(app.manager.project.timelines[0].as_otio().tracks) == 2 + len(lanes)
    sent = told.gather(script("bridge.host").Scope.WHOLE)
    assert [track["name"] for track in sent["tracks"]["children"]] == ["Video 1", "Audio 1"]


def test_a_selection_is_sent_where_the_build_tells_it(script: Any, film: Path) -> None:
    scope = script("bridge.host").Scope
    app = cut(film, (21, 0, 4), True, "23.976")
    line = app.manager.project.timelines[0]
    with pytest.raises(script("bridge.host").HostError, match="No clip is selected"):
        _host(script, app).gather(scope.SELECTION)
    line.chosen = line.tracks["video"][0].items[1:]
    sent = _host(script, app).gather(scope.SELECTION)["tracks"]["source_range"]
    assert (sent["start_time"]["value"], sent["duration"]["value"]) == (48.0, 48.0)
    with pytest.raises(script("bridge.host").HostError, match=r"21\.0\.4 does"):
        _host(script, cut(film, (20, 2), True)).gather(scope.SELECTION)


@pytest.mark.parametrize("origin", [0, 86400])
def test_marks_are_understood_from_the_start_or_from_the_timecode(script: Any, film: Path, origin: int) -> None:
    app = cut(film, (21, 0), True, "23.976")
    app.manager.project.timelines[0].SetMarkInOut(origin + 10, origin + 19)
    edit = script("access").open_edit(app)
    assert script("gather").frames_of(edit, script("bridge.host").Scope.RANGE) == (10, 20)


@pytest.mark.parametrize(("version", "studio"), RUNNING)
def test_the_live_check_believes_what_the_stand_in_does(
    film: Path, version: tuple[int, ...], studio: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person runs in a real Resolve: here it must find the stand-in's traps, and leave nothing behind."""
    app = cut(film, version, studio)
    before = desk(app)
    runpy.run_path(str(SCRIPT / "live_check.py"), {"resolve": app})
    said = capsys.readouterr().out
    assert "everything is as the script believes" in said, said
    after = desk(app)
    assert {**after, "chosen": before["chosen"]} == before
    assert len(app.manager.project.timelines) == 1
    assert app.manager.project.pool.root.folders[0].clips == before["chosen"]


def test_old_pythons_can_read_the_script(installed: Path) -> None:
    """Resolve runs the Python that it finds. The stub must be read by any, the package by 3.9."""
    for path in installed.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 6))
    for path in (installed.parent / install_resolve.PACKAGE).rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        unions = [node for line in tree.body if isinstance(line, ast.Assign) for node in ast.walk(line.value)]
        assert not [n for n in unions if isinstance(n, ast.BinOp) and isinstance(n.op, ast.BitOr)], path.name


def test_uninstalling_takes_away_all_of_it(tmp_path: Path) -> None:
    menu, runner = tmp_path / "Scripts/Utility", CliRunner()
    run = lambda *words: runner.invoke(install_resolve.install_resolve, ["--folder", str(menu), *words])  # noqa: E731
    assert "would write" in run("--dry-run").output
    assert not menu.exists()
    assert run().exit_code == 0
    assert run().exit_code == 0
    theirs = menu / "Mine.py"
    theirs.write_text("print(1)")
    assert "would remove" in run("--uninstall", "--dry-run").output
    assert run("--uninstall").exit_code == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]
    assert "nothing was installed" in run("--uninstall").output


def test_menu_folders_are_those_that_resolve_reads() -> None:
    tail = "Fusion/Scripts/Utility"
    mac = install_resolve.menu_folder("darwin", {})
    assert mac == Path.home() / "Library/Application Support/Blackmagic Design/DaVinci Resolve" / tail
    windows = install_resolve.menu_folder("win32", {"APPDATA": "/Roaming"})
    assert windows == Path("/Roaming/Blackmagic Design/DaVinci Resolve/Support") / tail
    assert install_resolve.menu_folder("linux", {}) == Path.home() / ".local/share/DaVinciResolve" / tail


def _api() -> dict[str, dict[str, int]]:
    """Classes of the published API, their methods, and the most arguments that each takes."""
    found: dict[str, dict[str, int]] = {}
    for line in (ROOT / "tests/resolve_api.txt").read_text().splitlines():
        if line.startswith("["):
            here = found.setdefault(line.strip("[]"), {})
        elif not line.startswith("#"):
            name, most, *_ = line.split()
            here[name] = ANY_NUMBER if most == "*" else int(most)
    return found


def test_the_stand_in_is_held_to_the_published_api() -> None:
    wrong = []
    for name, methods in _api().items():
        own = vars(getattr(standin, name))
        for method, made in own.items():
            if method[0].isupper() and callable(made):
                takes = len(inspect.signature(made).parameters) - 1
                if takes != methods.get(method, -1) and methods.get(method) != ANY_NUMBER:
                    wrong.append(f"{name}.{method} takes {methods.get(method)}, the stand-in {takes}")
    assert not wrong


def test_the_script_calls_nothing_that_is_not_published() -> None:
    known = {method for methods in _api().values() for method in methods}
    known |= {method for kind in (screen.Window, screen.Screen, screen.Element) for method in vars(kind)}
    called = {
        node.func.attr
        for path in SCRIPT.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr[0].isupper()
    }
    assert called - known - {*screen.ELEMENTS, "Delivery", "TemporaryDirectory"} == set()


def test_the_script_needs_the_standard_library_only_and_never_asks_hasattr() -> None:
    outside, asked = set(), []
    for path in SCRIPT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                outside |= {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
            if isinstance(node, ast.Name) and node.id == "hasattr":
                asked.append(f"{path.name}:{node.lineno}")
    assert outside == {"immersivaudio_resolve", "DaVinciResolveScript"}
    assert asked == []


def test_the_table_of_the_api_is_what_the_stubs_say() -> None:
    try:
        files = importlib.metadata.files("fusionscript-stubs") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fusionscript-stubs is not installed")
    text = next(file for file in files if file.name == "fusionscript.pyi").read_text()
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    for name, methods in _api().items():
        theirs = {node.name for node in classes[name].body if isinstance(node, ast.FunctionDef)}
        assert theirs <= set(methods), name
