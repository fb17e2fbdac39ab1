# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every real clip and every real timeline through ``immersivaudio score``, with the outcome that the manifest leads one
to expect. Timelines come without their media: they are tried without (refused, by name) and with stand-ins."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest
from conftest import manifest

from immersivaudio.bridge.client import Engine
from immersivaudio.cli.engines import own_engine
from immersivaudio.cli.main import main
from immersivaudio.engine import conform, media
from immersivaudio.engine.importers.relink import _urls

VIDEOS = manifest()["video"]
TIMELINES = manifest()["timeline"]


@dataclass
class Run:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all, as an editor has it."""
    with own_engine(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def score(engine: Engine, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> Run:
        code = 0
        try:
            main(["score", *map(str, arguments), "--engine", engine.address])
        except SystemExit as done:
            code = int(done.code or 0)
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return run


def names(entries: list[dict]) -> list[str]:
    return [Path(entry["file"]).name for entry in entries]


@pytest.mark.parametrize("entry", VIDEOS, ids=names(VIDEOS))
def test_every_clip_has_its_outcome(entry: dict, shared: Path, score, tmp_path: Path) -> None:
    path = shared / "media" / entry["file"]
    out = tmp_path / f"out{path.suffix}"
    done = score(path, "-o", out)
    if "corrupt" in entry["tags"]:
        assert done.code == 3
        assert path.name in done.err
        assert list(tmp_path.iterdir()) == []
        return
    assert done.code == 0, done.err
    before, after = media.probe(path), media.probe(out)
    assert after.video[0].codec == before.video[0].codec
    assert float(after.duration_s) == pytest.approx(float(before.duration_s), abs=0.1)
    peak = max(float(np.abs(block).max()) for block in media.sound(out, None))
    assert 0.001 < peak <= 1.0
    frames = [[f.rgb for f in media.frames(p, None, media_wish())] for p in (path, out)]
    assert all(np.array_equal(a, b) for a, b in zip(*frames, strict=True))


def media_wish():
    from immersivaudio.engine.watchers import FrameWish

    return FrameWish(32)


@pytest.mark.parametrize("entry", TIMELINES, ids=names(TIMELINES))
def test_a_timeline_without_its_media_is_refused_by_name(entry: dict, shared: Path, score, tmp_path: Path) -> None:
    done = score(shared / "media" / entry["file"], "-o", tmp_path / "out.otio")
    assert done.code == 3
    assert "not found" in done.err or "no picture" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def stand_ins(timeline: otio.schema.Timeline, folder: Path) -> None:
    """A small film with a tone for every file that the timeline names, as long as its clips need."""
    needs: dict[str, list[float]] = {}
    for clip in timeline.find_clips():
        for reference in clip.media_references().values():
            url = getattr(reference, "target_url", "")
            if url:
                needs.setdefault(url, []).append(need(clip, reference))
    for url in _urls(timeline):
        name = Path(url.replace("\\", "/").split("?")[0]).name
        from urllib.parse import unquote

        make(folder / unquote(name), max(needs[url]))


def need(clip: otio.schema.Clip, reference: otio.core.MediaReference) -> float:
    whole = reference.available_range
    used = clip.source_range or whole
    if used is None:
        return 10.0
    start = whole.start_time.to_seconds() if whole else 0.0
    ends = [used.end_time_exclusive().to_seconds() - start, whole.duration.to_seconds() if whole else 0.0]
    return min(max(1.0, *ends), 900.0) + 1.0


def make(path: Path, seconds: float) -> None:
    if path.exists():
        return
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=64x36:r=24", "-f", "lavfi", "-i", "sine=440:r=8000"]
    if path.suffix.lower() in (".wav", ".aif", ".mp3"):
        inputs = inputs[4:]
    kind = (
        []
        if path.suffix.lower() in (".wav", ".aif", ".mp3")
        else ["-c:v", "libx264", "-preset", "ultrafast", "-g", "24"]
    )
    command = [media.ffmpeg_binary(), "-loglevel", "error", "-y", *inputs, "-t", f"{seconds:.3f}", *kind, "-f"]
    container = {".wav": "wav", ".aif": "aiff", ".mp3": "mp3"}.get(path.suffix.lower(), "mov")
    subprocess.run([*command, container, str(path)], check=True)


SOUND_ONLY = ("feature-dialogue-reel",)


# Minutes long: the whole way takes its time.
LONG = ("fcpx-disabled", "fcpx-23.976", "speed-effects", "fcpx-24")
WITH_LENGTH = [
    pytest.param(entry, id=name, marks=[pytest.mark.slow] if name.startswith(LONG) else [])
    for entry, name in zip(TIMELINES, names(TIMELINES), strict=True)
]


@pytest.mark.parametrize("entry", WITH_LENGTH)
def test_a_timeline_with_stand_ins_comes_back_with_new_lanes(entry: dict, shared: Path, score, tmp_path: Path) -> None:
    path = shared / "media" / entry["file"]
    folder = tmp_path / "media"
    folder.mkdir()
    users, edit = conform.read(path)
    stand_ins(users, folder)
    if not any(folder.iterdir()) or path.name.startswith(SOUND_ONLY):
        pytest.skip("this timeline names no picture files")
    done = score(path, "--media", folder, "-o", tmp_path / "out.otio")
    assert done.code == 0, done.err
    made = otio.adapters.read_from_file(str(tmp_path / "out.otio"))
    ours = [track for track in made.tracks if track.name.startswith("Immersivaudio")]
    theirs = [track for track in made.tracks if not track.name.startswith("Immersivaudio")]
    assert ours
    assert [plain(track) for track in theirs] == [plain(track) for track in users.tracks]
    for track in ours:
        check_lane(track, edit)


def plain(track: otio.schema.Track) -> object:
    return json.loads(track.to_json_string())


def check_lane(track: otio.schema.Track, edit: conform.Edit) -> None:
    """Every clip names an existing WAV by plain absolute path, lies inside it, and says where it comes from."""
    assert track.kind == otio.schema.TrackKind.Audio
    length = sum(
        (Fraction(item.duration().value) / Fraction(item.duration().rate).limit_denominator(10**6) for item in track),
        Fraction(0),
    )
    assert float(length) <= float(edit.duration_s) + 1 / float(edit.rate)
    for clip in track.find_clips():
        path = Path(clip.media_reference.target_url)
        assert path.is_absolute()
        assert path.is_file()
        whole, used = clip.media_reference.available_range, clip.source_range
        assert whole.start_time <= used.start_time
        assert used.end_time_exclusive() <= whole.end_time_exclusive()
        assert {"cue", "performer", "seed", "licence"} <= set(clip.metadata["immersivaudio"])
