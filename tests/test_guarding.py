# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watchers that misbehave for real, installed as packages of their own: they are named, and the job goes on."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from serving import plug_in

from immersivaudio.engine import conform, guarding, media, model_list, plugins, records, watching
from immersivaudio.engine.cue import Clip, Edit, Sighting, Span
from immersivaudio.engine.errors import EngineError
from immersivaudio.engine.watchers import Frame, PictureWatcher, SoundWatcher

ODD = """
import os, time
from immersivaudio.engine.cue import Sighting, Span
from immersivaudio.engine.watchers import FrameWish

class Session:
    def __init__(self, clip):
        self.clip, self.seen = clip, []
        if "{when}" == "open" and clip.id == "c1": {deed}
    def see(self, frame):
        self.seen.append(frame)
        print("noise on stdout")
        if "{when}" == "see" and len(self.seen) == 3 and self.clip.id == "c1": {deed}
    def finish(self):
        if "{when}" == "finish": {deed}
        shape, time_s = self.seen[-1].rgb.shape, self.seen[0].time_s
        values = {{"pid": float(os.getpid()), "frames": len(self.seen), "mean": float(self.seen[0].rgb.mean()),
                   "shape": "x".join(map(str, shape))}}
        return [Sighting("odd", "odd", Span(time_s, self.clip.source.duration_s), 0.5, (0, 0, 1, 1), values)]

class Watcher:
    name, version, wish = "odd", "1", FrameWish(96, 0.0)
    def available(self):
        {available}
    def setup(self):
        if "{when}" == "setup": {deed}
    def open(self, clip):
        return Session(clip)

def create():
    if "{when}" == "create": {deed}
    return Watcher()

if "{when}" == "import": {deed}
"""
EAR = """
import os, time
from immersivaudio.engine.cue import Sighting
class Ear:
    name, version, sample_rate_hz = "odd", "1", 8000
    def available(self): return ""
    def setup(self): pass
    def listen(self, edit, blocks):
        count = 0
        for block in blocks:
            count += block.shape[1]
            if "{when}" == "see": {deed}
        return [Sighting("odd", "heard", edit.record, 0.5, values={{"samples": count}})]
def create(): return Ear()
"""
HANGS, ABORTS, EXITS = "time.sleep(10**6)", "os.abort()", "os._exit(7)"
EATS, FAILS = "[b'x' * (32 << 20) for _ in iter(int, 1)]", "1 / 0"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with the watcher ``odd`` where this process and its children find it."""

    def put(deed: str = "pass", when: str = "", available: str = "return ''", source: str = ODD) -> None:
        plug_in(tmp_path, "odd", textwrap.dedent(source).format(deed=deed, when=when, available=available))
        monkeypatch.setenv("IMMERSIVAUDIO_WATCHER_PATIENCE_S", "1.5" if deed == HANGS else "60")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    monkeypatch.setenv("IMMERSIVAUDIO_WATCHER_MEMORY_GB", "0.5")
    return put


def edit_of(film: Path, clips: int = 1) -> Edit:
    """The film ``clips`` times one after another."""
    whole = conform.single(media.probe(film), "film")
    first = whole.picture[0]
    length = first.record.duration_s
    picture = tuple(
        Clip(
            f"c{i + 1}",
            f"clip {i + 1}",
            "video",
            0,
            first.media,
            first.source,
            Span(i * length, length),
            rate=whole.rate,
        )
        for i in range(clips)
    )
    return Edit("film", whole.rate, clips * length, clips=picture, picture=picture)


def watched(film: Path, folder: Path, clips: int = 1, watchers: watching.Watchers | None = None) -> watching.Seen:
    found = watchers or watching.Watchers.load(("shots", "odd"))
    return watching.watch(edit_of(film, clips), None, found, folder, lambda: False, lambda *_: None)


def by(seen: watching.Seen, name: str) -> list[Sighting]:
    return [row for row in seen.sightings if row.watcher == name]


def test_a_foreign_watcher_works_in_a_process_of_its_own(install: Install, ball: Path, tmp_path: Path) -> None:
    install()
    seen = watched(ball, tmp_path)
    (row,) = by(seen, "odd")
    assert seen.warnings == ()
    assert row.values["pid"] != os.getpid()
    assert (row.values["frames"], row.values["shape"]) == (125, "54x96x3")
    first = next(iter(media.frames(ball, None, guarding.FrameWish(96))))
    assert row.values["mean"] == pytest.approx(float(first.at(96).mean()), abs=0.5)
    assert row.span == Span(Fraction(0), Fraction(5))


def test_what_a_foreign_watcher_lacks_leaves_it_out_quietly(install: Install, ball: Path, tmp_path: Path) -> None:
    install(available="return 'No weights.'")
    seen = watched(ball, tmp_path)
    assert not by(seen, "odd")
    assert seen.warnings == ()


@pytest.mark.logs_errors
@pytest.mark.parametrize(
    ("deed", "when", "said"),
    [
        (HANGS, "see", "gave no answer for 2 s"),
        (HANGS, "open", "gave no answer"),
        (HANGS, "finish", "gave no answer"),
        (ABORTS, "see", r"crashed \(SIGABRT\)"),
        (ABORTS, "finish", r"crashed \(SIGABRT\)"),
        (ABORTS, "setup", r"crashed \(SIGABRT\)"),
        (ABORTS, "import", r"crashed \(SIGABRT\)"),
        (EXITS, "see", r"ended by itself \(exit status 7\)"),
        (EXITS, "create", r"ended by itself \(exit status 7\)"),
        (EATS, "see", "more than 0.5 GiB of memory"),
        (FAILS, "see", "ZeroDivisionError"),
        (FAILS, "setup", "ZeroDivisionError"),
    ],
)
def test_one_that_misbehaves_is_named_and_the_others_go_on(
    deed: str, when: str, said: str, install: Install, ball: Path, tmp_path: Path
) -> None:
    install(deed, when)
    seen = watched(ball, tmp_path)
    (warning,) = seen.warnings
    assert "The watcher odd" in warning
    assert re.search(said, warning), warning
    assert by(seen, "shots")
    assert not by(seen, "odd")


@pytest.mark.logs_errors
def test_one_that_died_is_not_tried_on_every_clip_and_a_new_job_tries_it_again(
    install: Install, ball: Path, tmp_path: Path
) -> None:
    install(ABORTS, "see")
    watchers = watching.Watchers.load(("shots", "odd"))
    seen = watched(ball, tmp_path / "one", 3, watchers)
    assert ["crashed" in warning for warning in seen.warnings] == [True, True]
    assert "left out of the rest" in seen.warnings[1]
    assert len([row for row in by(seen, "shots") if row.label == "shot"]) == 3
    watchers.renew()
    (odd,) = watchers.picture[1:]
    assert odd.open(edit_of(ball, 2).picture[1]) is not None


@pytest.mark.logs_errors
def test_one_that_fails_on_one_clip_sees_the_next(install: Install, ball: Path, tmp_path: Path) -> None:
    install(FAILS, "see")
    seen = watched(ball, tmp_path, 2)
    assert [row.span.start_s for row in by(seen, "odd")] == [5]
    assert len(seen.warnings) == 1


@pytest.mark.logs_errors
@pytest.mark.parametrize(("deed", "said"), [(HANGS, "no answer"), (ABORTS, "SIGABRT"), (EATS, "memory"), ("pass", "")])
def test_ears_are_guarded_too(deed: str, said: str, install: Install, tmp_path: Path) -> None:
    install(deed, "see", source=EAR)
    (ear,) = watching.Watchers.load(("odd",)).sound
    edit, blocks = Edit("made", Fraction(25), Fraction(3)), (np.zeros((2, 8000), np.float32) for _ in range(3))
    if said:
        with pytest.raises(EngineError, match=said):
            ear.listen(edit, blocks)
    else:
        (row,) = ear.listen(edit, blocks)
        assert row.values["samples"] == 24_000


def test_a_guarded_watcher_that_is_forgotten_ends_its_process(install: Install, ball: Path) -> None:
    install()
    guard = guarding.create("odd")
    session = guard.open(edit_of(ball).picture[0])
    session.see(Frame(Fraction(0), np.zeros((9, 16, 3), np.uint8)))
    (row,) = session.finish()
    pid = int(row.values["pid"])
    del guard, session
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_only_watchers_without_models_stay_in_the_process() -> None:
    for name in plugins.names("watchers"):
        guarded = isinstance(guarding.create(name), guarding.Guard)
        assert guarded is (name not in ("motion", "place", "shots")), name
        assert isinstance(guarding.create(name), PictureWatcher | SoundWatcher)


@pytest.mark.parametrize(("seconds", "beside"), [(10, False), (40, True)])
def test_long_sound_is_heard_in_a_process_of_its_own_with_the_same_result(
    seconds: int, beside: bool, ball: Path, tmp_path: Path
) -> None:
    edit = edit_of(ball, 2)
    span = Span(Fraction(0), Fraction(seconds))
    clip = Clip("a", "a", "audio", 1, str(ball), span, span)
    edit = replace(edit, clips=(*edit.clips, clip), duration_s=Fraction(seconds))
    noise = np.random.default_rng(1).standard_normal((2, 48_000)).astype(np.float32) * 0.1
    guard = guarding.create("hearing")
    heard = guard.listen(edit, iter([noise] * seconds))
    assert (guard._child is not None) is beside
    assert list(heard) == list(plugins.create("watchers", "hearing").listen(edit, iter([noise] * seconds)))


def test_clips_and_edits_cross_unchanged(ball: Path) -> None:
    edit = edit_of(ball, 2)
    assert records.edit(records.of_edit(edit)) == edit


# clips that run backwards


def test_what_runs_backwards_comes_from_where_it_went() -> None:
    span = Span(Fraction(0), Fraction(4))
    clip = Clip("c", "c", "video", 0, None, span, span, Fraction(-1))
    values = {
        "from_x": 0.1, "to_x": 0.9, "from_size": 0.01, "to_size": 0.04, "size": 0.05, "closest_s": 1.0,
        "path": "0.00:0.100,0.500,0.0100 0.25:0.300,0.500,0.0200 1.00:0.900,0.500,0.0400",
    }  # fmt: skip
    row = watching.on_record(clip, Sighting("objects", "object", Span(Fraction(0), Fraction(2)), 0.8, None, values))
    assert row.span == Span(Fraction(2), Fraction(2))
    assert (row.values["from_x"], row.values["to_x"], row.values["closest_s"]) == (0.9, 0.1, 3.0)
    assert (row.values["from_size"], row.values["to_size"], row.values["size"]) == (0.04, 0.01, 0.05)
    assert row.values["path"] == "0.00:0.900,0.500,0.0400 0.75:0.300,0.500,0.0200 1.00:0.100,0.500,0.0100"


@pytest.mark.parametrize(("deed", "said"), [(ABORTS, "crashed"), ("pass", "")])
def test_listing_models_runs_no_foreign_code_in_this_process(deed: str, said: str, install: Install) -> None:
    install(deed, "import")
    (row,) = [row for row in model_list.answer("models") if row["id"] == "odd"]
    assert row["installed"] is (not said)
    assert said in row["hint"]
    assert "odd_watcher" not in sys.modules
