# SPDX-License-Identifier: AGPL-3.0-or-later
"""The extension in real Blender (the ``bpy`` package), with a real engine behind it.

``IMMERSIVAUDIO_BLENDER_PYTHONS`` names interpreters that have ``bpy``; else every ``.venv-bpy*`` beside the project is
tried. A Blender is a process of its own: it cannot be left cleanly, and there is one scene in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import opentimelineio as otio
import pytest
import serving
from conftest import CONTACTS_S, ball_picture

from immersivaudio.bridge.host import exact_json
from immersivaudio.cli import install_blender
from immersivaudio.engine import conform, effects, media

ROOT = Path(__file__).parents[1]
NTSC = Fraction(24000, 1001)
pytestmark = pytest.mark.blender
Run = Callable[..., dict[str, Any]]


def _interpreters() -> list[str]:
    named = os.environ.get("IMMERSIVAUDIO_BLENDER_PYTHONS", "")
    found = named.split(os.pathsep) if named else map(str, sorted(ROOT.glob(".venv-bpy*/bin/python")))
    return [path for path in found if Path(path).exists()]


def _version(python: str) -> str:
    names = Path(python).parent.parent.glob("lib/python*/site-packages/bpy-*.dist-info")
    return next((path.name.split("-")[1].removesuffix(".dist") for path in names), Path(python).parent.parent.name)


@pytest.fixture(scope="session", params=[pytest.param(path, id=_version(path)) for path in _interpreters()])
def blender(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, ROOT / "editor_scripts/blender/build.py", folder], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def run(blender: str, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``run(case, **options)``: what the case found in a Blender of its own, with its own preferences."""

    def call(case: str, settings: Path | None = None, **options: Any) -> dict[str, Any]:
        """``settings``: a folder of Blender's in which the extension is installed already."""
        tmp_path = tmp_path_factory.mktemp(case)
        package = "" if settings else archive
        settings = settings or tmp_path / "settings"
        settings.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "BLENDER_USER_RESOURCES": str(settings),
            "IMMERSIVAUDIO_HOME": str(tmp_path / "home"),
        }
        driver = Path(__file__).with_name("blender_driver.py")
        done = subprocess.run(
            [blender, driver, case, package, tmp_path, json.dumps(options)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert "traceback" not in found, found["traceback"]
        return found

    return call


def has_sound(blender: str) -> bool:
    """The ``bpy`` package of 4.2 was built without Blender's sound library: it cannot hold a sound strip."""
    return not _version(blender).startswith("4.2.")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Fraction], Path]:
    """The bouncing ball at a rate."""
    folder = tmp_path_factory.mktemp("ball")

    def make(rate: Fraction) -> Path:
        path = folder / f"ball-{rate.numerator}-{rate.denominator}.mp4"
        if not path.exists():
            pictures = (ball_picture(float(i / rate), CONTACTS_S, (320, 180)) for i in range(round(5 * rate)))
            media.encode_pictures(pictures, path, rate)
        return path

    return make


def test_there_is_a_blender_or_a_reason() -> None:
    if not _interpreters():
        pytest.skip("no bpy: make .venv-bpy45, or set IMMERSIVAUDIO_BLENDER_PYTHONS")


def test_the_archive_is_whole_and_always_the_same(archive: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, ROOT / "editor_scripts/blender/build.py", tmp_path], check=True, capture_output=True
    )
    assert (tmp_path / archive.name).read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as file:
        names = set(file.namelist())
    assert {"blender_manifest.toml", "__init__.py", "bridge/host.py", "bridge/stdio.py", "LICENSE"} <= names
    assert not {name for name in names if "client" in name or "build.py" in name}


def _blenders_tool(blender: str, *arguments: object) -> None:
    """Blender's own ``extension`` command, which ships with every ``bpy``."""
    inside = "lib/python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    tool = next(Path(blender).parent.parent.glob(inside))
    done = subprocess.run([blender, tool, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_blenders_own_validator_accepts_it(blender: str, archive: Path) -> None:
    _blenders_tool(blender, "validate", archive)


def test_the_repository_is_the_one_that_blender_would_make(blender: str, archive: Path, tmp_path: Path) -> None:
    shutil.copy(archive, tmp_path)
    _blenders_tool(blender, "server-generate", "--repo-dir", tmp_path)
    assert json.loads(archive.with_name("index.json").read_text()) == json.loads((tmp_path / "index.json").read_text())


def test_it_installs_shows_itself_and_leaves_no_trace(run: Run) -> None:
    found = run("register")
    assert found["panel"]
    assert found["state"]
    assert found["preferences"] == "auto"
    assert {"score", "spot", "perform", "cancel", "remove_last", "redo_cue"} <= set(found["operators"])
    assert found["left"] == [False, False]


def test_install_blender_puts_it_there_and_takes_it_away(run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    command = [sys.executable, "-m", "immersivaudio.cli.main", "install", "blender"]

    def call(*words: str) -> str:
        environment = {**os.environ, "BLENDER_USER_RESOURCES": str(settings)}
        return subprocess.run([*command, *words], env=environment, check=True, capture_output=True, text=True).stdout

    assert "would write" in call("--dry-run")
    assert not settings.exists()
    call()
    assert "wrote" in call()
    assert run("installed", settings)["effects"] > 1
    place = settings / "extensions/user_default/immersivaudio"
    assert f"removed {place}" in call("--uninstall")
    assert not place.exists()
    assert "nothing was installed" in call("--uninstall")


def test_every_blender_that_can_have_it_is_found(tmp_path: Path) -> None:
    for name in ("2.93", "4.1", "4.2", "5.0", "10.1", "cache"):
        (tmp_path / "blender" / name).mkdir(parents=True)
    found = install_blender.repositories_of("linux", {"XDG_CONFIG_HOME": str(tmp_path)})
    tail = "extensions/user_default"
    assert found == [tmp_path / "blender" / version / tail for version in ("4.2", "5.0", "10.1")]
    named = install_blender.repositories_of("win32", {"BLENDER_USER_EXTENSIONS": str(tmp_path)})
    assert named == [tmp_path / "user_default"]


def _movie(name: str, channel: int, at: int, path: Path, **more: Any) -> dict[str, Any]:
    return {"type": "movie", "name": name, "channel": channel, "at": at, "path": str(path), **more}


def _edits(at_25: Path, at_24: Path, tone: Path, sound: bool) -> dict[str, Any]:
    ntsc, pal = {"fps": 24, "base": 1.001}, {"fps": 25, "base": 1}
    in_order = [
        _movie("below", 1, 101, at_24, set={"frame_final_start": 111, "frame_final_end": 141}),
        _movie("above", 3, 131, at_24, set={"frame_final_end": 151}),
        _movie("muted", 4, 101, at_24, set={"mute": True}),
        _movie("silenced channel", 5, 101, at_24),
    ]
    odd = [
        _movie("frame for frame", 1, 1, at_25, set={"frame_final_start": 11}),
        _movie("backwards", 2, 1, at_24, set={"use_reverse_frames": True, "frame_final_start": 21}),
        _movie("held", 3, 201, at_24, set={"frame_final_start": 191, "frame_final_end": 331}),
    ]
    scoped = [
        _movie("one", 1, 1, at_25, set={"select": False}),
        _movie("two", 1, 126, at_25),
        _movie("three", 2, 126, at_25, set={"select": False}),
    ]
    nested = [
        _movie("under", 1, 1, at_25),
        {"type": "meta", "name": "meta", "channel": 2, "at": 51},
        _movie("child", 1, 51, at_25, inside=True),
    ]
    voice = {"type": "sound", "name": "voice", "channel": 2, "at": 11, "path": str(tone)}
    voice["set"] = {"volume": 0.5, "frame_final_start": 21, "sound_offset": 0.01}
    edits = {
        "in order": {**ntsc, "strips": in_order, "muted_channels": [5]},
        "odd": {**ntsc, "strips": odd},
        "selection": {**pal, "strips": scoped, "scope": "selection"},
        "range": {**pal, "strips": scoped, "scope": "range", "scene": {"frame_start": 51, "frame_end": 150}},
        "nested": {**pal, "strips": nested, "ends": {"meta": 76}},
    }
    for percent in (50, 150, 37):
        strips = [_movie("film", 1, 11, at_24)]
        edits[f"{percent} %"] = {**ntsc, "strips": strips, "retimed": [{"name": "film", "percent": percent}]}
    double = {"type": "sound", "name": "double", "channel": 2, "at": 1, "path": str(tone)}
    sounding = {
        "voice": {**pal, "strips": [voice]},
        "double": {**pal, "strips": [double], "retimed": [{"name": "double", "percent": 200}]},
    }
    return edits | (sounding if sound else {})


@pytest.fixture(scope="session")
def gathered(blender: str, run: Run, film: Callable[[Fraction], Path], tone: Path) -> dict[str, Any]:
    """Several edits as Blender sends them, all out of one process."""
    return run("gathered", **_edits(film(Fraction(25)), film(NTSC), tone, has_sound(blender)))


def _conformed(found: dict[str, Any]) -> Any:
    timeline, edit = conform.from_json(json.dumps(found["timeline"]))
    assert isinstance(timeline, otio.schema.Timeline)
    assert edit.warnings == ()
    return edit


def test_an_edit_is_sent_frame_for_frame(gathered: dict[str, Any]) -> None:
    found = gathered["in order"]
    edit = _conformed(found)
    assert (edit.rate, found["first"], found["warnings"]) == (NTSC, 101, [])
    by_name = {clip.name: clip for clip in edit.clips}
    below = by_name["below"]
    assert (below.record.start_s, below.record.duration_s, below.source.start_s) == (10 / NTSC, 30 / NTSC, 10 / NTSC)
    assert not by_name["muted"].enabled
    assert not by_name["silenced channel"].enabled
    assert [(clip.name, clip.record.start_s) for clip in edit.picture] == [("below", 10 / NTSC), ("above", 30 / NTSC)]
    assert edit.start_timecode_s == 101 / NTSC


def test_another_rate_reverse_and_holds_are_followed(gathered: dict[str, Any]) -> None:
    clips = _conformed(gathered["odd"]).clips
    plain = next(clip for clip in clips if clip.name == "frame for frame")
    assert plain.speed == pytest.approx(NTSC / 25)
    assert plain.source.start_s == pytest.approx(Fraction(10, 25), abs=1e-6)
    backwards = next(clip for clip in clips if clip.name == "backwards")
    assert backwards.speed == -1
    # 120 frames, the last 20 of which are cut off when it begins 20 frames in and runs backwards.
    assert (backwards.source.start_s, backwards.source.duration_s) == (0, 100 / NTSC)
    held = [clip for clip in clips if clip.name == "held"]
    assert [(clip.speed, clip.record.duration_s * NTSC) for clip in held] == [(0, 10), (1, 120), (0, 10)]
    assert held[2].source.start_s == 119 / NTSC


@pytest.mark.parametrize("percent", [50, 150, 37])
def test_a_retimed_strip_has_exactly_the_speed_that_was_entered(gathered: dict[str, Any], percent: int) -> None:
    """Blender tells no speed, only where keys lie, and counts them otherwise in every version."""
    clip, *held = _conformed(gathered[f"{percent} %"]).picture
    assert all(still.speed == 0 and still.record.duration_s * NTSC == 1 for still in held)
    assert (clip.speed, clip.source.start_s, clip.record.start_s) == (Fraction(percent, 100), 0, 0)


TRIMS = {
    "head": {"frame_final_end": 51},
    "tail": {"frame_final_start": 61},
    "middle": {"frame_final_start": 41, "frame_final_end": 81},
}


def _bars(at_s: float) -> np.ndarray:
    """The number of a frame at NTSC as eight bars, black or white."""
    bits = (round(at_s * NTSC) >> np.arange(8)) & 1
    return np.broadcast_to((255 * bits).astype(np.uint8).repeat(32)[None, :, None], (64, 256, 3)).copy()


def test_a_strip_trimmed_before_its_speed_was_set_is_sent_as_blender_shows_it(
    run: Run, draw: Callable[..., Path]
) -> None:
    numbered = draw(_bars, float(100 / NTSC), NTSC, "bars")
    edits = {
        f"{percent} {part}": {
            "fps": 24,
            "base": 1.001,
            "strips": [_movie("film", 1, 11, numbered, set=trim)],
            "retimed": [{"name": "film", "percent": percent}],
        }
        for percent in (50, 150, 37)
        for part, trim in TRIMS.items()
    }
    found = run("rendered", **edits)
    followed = {name: one for name, one in found.items() if not one["warnings"]}
    assert {"50 tail", "150 tail"} <= set(followed)
    for name, one in followed.items():
        clip = next(clip for clip in _conformed(one).picture if clip.speed)
        for frame, shown in one["shown"].items():
            after_s = Fraction(int(frame) - one["first"]) / NTSC - clip.record.start_s
            told = (clip.source.start_s + after_s * clip.speed) * NTSC
            # Blender rounds to whole frames, and 4.2 cuts the segment itself a frame short.
            assert abs(told - shown) <= 1, (name, frame)
    for one in found.values():
        assert one["warnings"] in ([], ["film: its speed changes on the way; the average is used."])


def test_a_selection_and_a_range_are_what_they_say(gathered: dict[str, Any]) -> None:
    edit = _conformed(gathered["selection"])
    assert [(clip.name, clip.record.start_s, edit.duration_s) for clip in edit.clips] == [("two", 0, 5)]
    edit = _conformed(gathered["range"])
    assert (gathered["range"]["first"], edit.duration_s) == (51, 4)
    assert [(clip.name, clip.source.start_s) for clip in edit.picture] == [("one", 2), ("three", 0)]


def test_metas_are_walked(gathered: dict[str, Any]) -> None:
    picture = _conformed(gathered["nested"]).picture
    spans = [(clip.name, clip.record.start_s, clip.record.end_s) for clip in picture]
    assert spans == [("under", 0, 2), ("child", 2, 3), ("under", 3, 5)]


def test_sound_strips_keep_volume_trim_and_offset(gathered: dict[str, Any]) -> None:
    if "voice" not in gathered:
        pytest.skip("this bpy has no sound")
    clip = _conformed(gathered["voice"]).clips[0]
    assert clip.gain_db == pytest.approx(-6.02, abs=0.01)
    assert float(clip.source.start_s) == pytest.approx(10 / 25 - 0.01, abs=1e-6)
    assert _conformed(gathered["double"]).clips[0].speed == 2


CLICKS_S = tuple(Fraction(number) for number in range(1, 9))


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds with a click at each of CLICKS_S."""
    samples = np.zeros((1, 480_000), np.float32)
    for at_s in CLICKS_S:
        samples[0, int(at_s * 48_000) : int(at_s * 48_000) + 96] = 0.8
    path = tmp_path_factory.mktemp("tone") / "clicks.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((samples[0] * 32767).astype("<i2").tobytes())
    return path


def _clip(name: str, path: Path, start_s: Fraction, offset_s: Fraction, **more: Any) -> dict[str, Any]:
    exact = {"start": start_s, "duration": Fraction(29, 20), "source_offset": offset_s}
    return {
        "name": name,
        "path": str(path),
        "cue": {"cue": name},
        **{k: exact_json(v) for k, v in exact.items()},
        **more,
    }


def test_lanes_lie_where_they_must_and_go_again(
    run: Run, blender: str, film: Callable[[Fraction], Path], tone: Path
) -> None:
    if not has_sound(blender):
        pytest.skip("this bpy has no sound")
    first, between = 11, Fraction(5013, 1000)
    foley = [
        _clip("a", tone, Fraction(1), Fraction(1)),
        _clip("b", tone, Fraction(5, 2), Fraction(5, 2), gain_db=-6.0),
    ]
    curve = [{"at_s": 0.0, "gain_db": 0.0}, {"at_s": 1.0, "gain_db": -9.0}]
    between_frames = [_clip("c", tone, between, Fraction(1), gain_curve=curve)]
    lanes = [
        {"name": "Immersivaudio Foley", "stem": "foley", "clips": foley},
        {"name": "Immersivaudio Effects", "stem": "effects", "clips": between_frames},
    ]
    rows = [
        _movie("film", 1, first, film(NTSC)),
        {"type": "sound", "name": "voice", "channel": 3, "at": 300, "path": str(tone)},
    ]
    found = run("laid", fps=24, base=1.001, rate=[24000, 1001], first=first, last=280, strips=rows, lanes=lanes)
    assert found["receipt"] == [3, 3, []]
    assert found["users"]
    ours = {strip["cue"]["cue"]: strip for strip in found["ours"]}
    assert {name: (s["channel"], s["start"], s["end"]) for name, s in ours.items()} == {
        "a": (4, 34, 70),
        "b": (4, 70, 106),
        "c": (5, 131, 166),
    }
    assert found["channels"]["4"] == "Immersivaudio Foley"
    assert ours["b"]["volume"] == pytest.approx(10 ** (-6 / 20), abs=1e-5)
    # Frame 107 is 96 frames after the first: 4.004 s; the sound must begin at 4.013 s.
    assert ours["c"]["offset_s"] == pytest.approx(0.009, abs=1e-6)
    lead_s = Fraction(first - 1) / NTSC
    wanted = [lead_s + at_s for at_s in (*CLICKS_S[:3], between, between + 1)]
    assert found["onsets_s"] == pytest.approx([float(at_s) for at_s in wanted], abs=0.0005)
    keys = found["curves"]['sequence_editor.strips_all["c"].volume']
    assert [key[2] for key in keys] == ["LINEAR"] * len(keys)
    assert keys[-1][0] == pytest.approx(float(first + (between + 1) * NTSC), abs=0.01)
    assert keys[-1][1] == pytest.approx(10 ** (-9 / 20), abs=1e-4)
    # The user's strip and ours: one sound for all of ours, or one for both where Blender itself shares.
    assert found["sounds"] <= 2
    assert found["removed"] == 3
    assert found["after"]
    assert found["curves_after"] == {}
    assert set(found["channels_after"].values()) == {f"Channel {number}" for number in range(1, 12)}


def _music(tone: Path, take: str, *played: str) -> list[dict[str, Any]]:
    """A lane for each group that plays: a cue, and one after it that stays."""
    lanes = []
    for group in played:
        told = [{"cue": cue, **({"group": group} if group else {})} for cue in ("m1", "m2")]
        clips = [
            _clip(f"{cue['cue']} {group} {take}", tone, Fraction(start), Fraction(start), cue=cue)
            for cue, start in zip(told, (1, 4), strict=True)
        ]
        lanes.append({"name": f"Immersivaudio Music {group.title()}".rstrip(), "stem": "music", "clips": clips})
    return lanes


@pytest.mark.parametrize(
    ("first", "again"), [(("lead", "bass"), ("lead", "strings")), (("",), ("lead", "bass")), (("lead", "bass"), ("",))]
)
def test_a_cue_in_instrument_groups_is_performed_again_as_a_whole(
    run: Run, blender: str, tone: Path, first: tuple[str, ...], again: tuple[str, ...]
) -> None:
    if not has_sound(blender):
        pytest.skip("this bpy has no sound")
    lanes = {"first": _music(tone, "old", *first), "again": _music(tone, "new", *again)}
    found = run("regrouped", **{"from": f"m1 {first[-1]} old"}, **lanes)

    def named(cue: str, take: str, groups: tuple[str, ...]) -> dict[str, list[str]]:
        lane = {group: f"Immersivaudio Music {group.title()}".rstrip() for group in groups}
        return {f"{cue} {group} {take}": [lane[group], lane[group]] for group in groups}

    kept = named("m2", "old", first)
    assert found["laid"] == {**named("m1", "old", first), **kept}
    assert found["receipt"] == [len(again), len(again), []]
    assert found["new"] == {**named("m1", "new", again), **kept}
    assert found["undone"] == sorted(found["laid"])
    assert found["redone"]
    assert (found["removed"], found["named"]) == (len(first) + len(again), [])


def test_composed_music_comes_in_its_groups_through_the_operators(
    run: Run, blender: str, film: Callable[[Fraction], Path]
) -> None:
    if not has_sound(blender):
        pytest.skip("this bpy has no sound")
    found = run("composed", path=str(film(Fraction(25))), python=sys.executable)
    first, again = found["first"], found["again"]
    assert found["receipt"] == [len(first), len(first), []]
    assert found["users"]
    for strips in (first, again):
        groups = [told["group"] for _, told, *_ in strips]
        assert len(set(groups)) == len(groups) > 1
        assert [lane for lane, *_ in strips] == [f"Immersivaudio Music {group.title()}" for group in groups]
        assert len({told["cue"] for _, told, *_ in strips}) == 1
        assert all(Path(path).stem.endswith(f"music-{told['group']}") for _, told, path, _ in strips)
        assert all(f"({told['group']})" in name for _, told, _, name in strips)
    assert found["message"].startswith(f"placed {len(again)}/{len(again)}")
    assert not {path for *_, path, _ in first} & {path for *_, path, _ in again}
    assert not {told["seed"] for _, told, *_ in first} & {told["seed"] for _, told, *_ in again}


@pytest.mark.parametrize(
    ("fps", "base", "rate"),
    [
        (24, 1.001, NTSC),
        pytest.param(25, 1.0, Fraction(25), marks=pytest.mark.slow),
        pytest.param(30, 1.001, Fraction(30000, 1001), marks=pytest.mark.slow),
    ],
)
def test_a_cut_is_scored_in_blender(
    run: Run, blender: str, film: Callable[[Fraction], Path], fps: int, base: float, rate: Fraction
) -> None:
    if not has_sound(blender):
        pytest.skip("this bpy has no sound")
    at = 11
    found = run(
        "scored",
        fps=fps,
        base=base,
        at=at,
        path=str(film(rate)),
        last=at + round(6 * rate),
        again="foley",
        python=sys.executable,
    )
    assert ["operator", "immersivaudio.connect"] in found["before"]
    assert {"density", "loudness", "foley"} <= {name for kind, name in found["connected"] if kind == "prop"}
    assert ["operator", "immersivaudio.cancel"] in found["busy"]
    placed, wanted, problems = found["receipt"]
    assert (placed, problems) == (wanted, [])
    assert len(found["ours"]) == wanted
    assert found["users"]
    assert found["undone"]
    assert found["redone"]
    channels = {strip["stem"]: strip["channel"] for strip in found["ours"]}
    assert all(found["channels"][str(channel)] == f"Immersivaudio {stem.title()}" for stem, channel in channels.items())
    assert min(channels.values()) == 2
    _check_onsets(found, at, rate)
    again = found["again"]
    assert again["message"].startswith("placed 1/1")
    assert len(again["new"]) == 1
    assert again["new"][0]["cue"]["cue"] == again["old"]["cue"]["cue"]
    assert again["new"][0]["cue"]["seed"] != again["old"]["cue"]["seed"]
    assert found["removed"]
    assert found["after"]


def _check_onsets(found: dict[str, Any], at: int, rate: Fraction) -> None:
    """Blender's own mix is loud where the cue sheet wants a blow, within 5 ms."""
    cues = [cue for cue in found["sheet"]["cues"] if cue["stem"] == "STEM_FOLEY"]
    blows_s = [_seconds(point) + Fraction(at - 1) / rate for cue in cues for point in cue["sync_points"]]
    assert len(blows_s) >= 4
    heard = found["onsets_s"]
    assert len(heard) >= 2
    for onset_s in heard:
        assert min(abs(onset_s - float(blow_s)) for blow_s in blows_s) < 0.005


def _seconds(point: dict[str, Any]) -> Fraction:
    return Fraction(int(point["value"]) * int(point["rate_denominator"]), int(point["rate_numerator"]))


def test_cues_are_listed_changed_and_performed(run: Run, blender: str, film: Callable[[Fraction], Path]) -> None:
    if not has_sound(blender):
        pytest.skip("this bpy has no sound")
    found = run("spotted", path=str(film(Fraction(25))), python=sys.executable)
    assert found["strips_after_spotting"] == 1
    assert found["said"] == f"{len(found['rows'])} cues"
    assert ["list", "cues"] in found["listed"]
    assert all(row["why"] for row in found["rows"])
    muted, reworded = found["changed"]
    heard = {strip["cue"]["cue"]: strip["cue"] for strip in found["ours"]}
    assert muted not in heard
    assert heard[reworded]["prompt"] == "a door knocked once"
    assert found["receipt"][0] == found["receipt"][1] == len(found["rows"]) - 1
    # Beside the saved file, and named from there: the project may move.
    assert all(path.replace("\\", "/").startswith("//immersivaudio/") for path in found["files"])
    failed, message, untouched = found["cancelled"]
    assert (failed, untouched) == (True, True)
    assert "stopped" in message.lower() or "cancel" in message.lower()
    failed, message, connected, untouched = found["killed"]
    assert (failed, connected, untouched) == (True, False, True)
    assert "Connect again" in message
    assert ["operator", "immersivaudio.resume"] in found["offered"]
    said, (placed, wanted, new) = found["resumed"]
    assert said == f"placed {placed}/{wanted}"
    assert placed == wanted == new > 1
    assert found["pending"] == ""


def test_what_goes_wrong_first_is_said_in_a_sentence(run: Run, blender: str) -> None:
    said = run("refused", python=sys.executable, plain_python=blender)
    assert "There is no Python" in said["no python"]
    assert "immersivaudio" in said["another python"]
    assert "may not go online" in said["offline"]
    assert "cannot be reached" in said["no engine"]
    assert "no result of Immersivaudio" in said["nothing to remove"]
    assert "no strips" in said["empty whole"]
    assert "No strip is selected" in said["empty selection"]
    assert not [text for text in said.values() if "Traceback" in text and "HostError" in text]


def test_an_effect_of_a_later_engine_is_drawn(run: Run, tmp_path: Path) -> None:
    with serving.start_weather(tmp_path / "engine") as engine:
        found = run("described_by_engine", python=sys.executable, engine=engine.address)
    own = [effect.id for effect in effects.EFFECTS if effects.Use.GENERAL in effect.uses]
    assert found["effects"] == [*own, "weather"]
    assert [name for kind, name in found["drawn"] if kind == "prop"][2:] == ["force", "drops", "storm", "kind", "words"]
    assert found["force"][:5] == pytest.approx([0.0, 1.0, 0.1, 0.9, 0.25])
    assert found["force"][5] == "How hard it blows."
    assert found["clamped"] == 1.0
    assert found["kinds"] == ["rain", "hail"]
    assert found["drops"] == ["INT", 7]
    assert found["storm"] == ["BOOLEAN", True]
    assert found["patched"] == {"drops": False}
