# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every real timeline goes out in every dialect and comes back: what it meant is still there, and our lanes beside it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import opentimelineio as otio
import pytest
from conftest import manifest
from timelines import nothing_here

from immersivaudio.cli import outputs
from immersivaudio.engine import conform, delivery, dialects_out
from immersivaudio.engine.cue import Clip, Cue, CueSheet, Edit, GainPoint, Licence, Span, Stem, Take, samples_at
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.exporters import rows
from immersivaudio.engine.importers.exact import range_of, time_at
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.mixing import MixOptions, MixResult, Placement, StemFile
from immersivaudio.engine.otio_out import LaneFile, add_lanes
from immersivaudio.engine.request import DIALECTS, DeliveryWish
from immersivaudio.engine.riding import Ride

NAMES = sorted(Path(entry["file"]).name for entry in manifest()["timeline"])
HIT_S, HIT_FRAMES = Fraction(1, 2), 12
GOLDEN = Path(__file__).parent / "golden"
RIDE = Ride(3.0, (GainPoint(1.0, 0.0), GainPoint(2.0, -9.0), GainPoint(4.0, -9.0)))


def laid_on(timeline: otio.schema.Timeline, edit: Edit) -> otio.schema.Timeline:
    """``timeline`` with a bed over the whole record and a hit half a second in, on a lane that ducks."""
    hit = Span(HIT_S, HIT_FRAMES / edit.rate)
    cues = (
        Cue("bed", Stem.AMBIENCE, edit.record, "wind", "wind & leaves"),
        Cue("hit", Stem.FOLEY, hit, "impact.wood", 'a <cup> "down"', why="it is seen"),
    )
    licence = Licence("CC0-1.0", True)
    takes = {cue.id: Take(cue.id, "k", "", 1, "procedural", "1", 0, licence) for cue in cues}
    total = samples_at(edit.duration_s)
    stems = tuple(
        StemFile(cue.stem, Path(), total, -30.0, -6.0, 0.0, (Placement(cue.id, start, samples, ()),))
        for cue, start, samples in ((cues[0], 0, total), (cues[1], samples_at(HIT_S), samples_at(hit.duration_s)))
    )
    mixed = MixResult(stems, StemFile(None, Path(), total, -14.0, -1.0, 0.0), 0.0, MixOptions())
    files = {Stem.AMBIENCE: LaneFile("cut.ambience.wav", RIDE), Stem.FOLEY: LaneFile("cut.foley.wav")}
    return add_lanes(timeline, edit, CueSheet(edit.name, edit.rate, edit.duration_s, cues), takes, mixed, files)


def meaning(clip: Clip, rate: Fraction) -> tuple[object, ...]:
    """What a clip plays and when: to the frame, since documents know no finer time."""
    start, end = round(clip.record.start_s * rate), round(clip.record.end_s * rate)
    speed = clip.speed if clip.url else 1
    return clip.kind, start, max(1, end - start), clip.enabled, round(float(speed), 4)


def is_ours(clip: Clip) -> bool:
    return Path(clip.url).name.startswith("cut.")


@pytest.fixture(params=NAMES)
def cut(request: pytest.FixtureRequest, shared: Path) -> tuple[otio.schema.Timeline, Edit]:
    return conform.read(shared / "media/timelines" / request.param, prober=nothing_here)


@pytest.mark.parametrize("dialect", [name for name, endings in DIALECTS.items() if endings[0] != ".otio"])
def test_a_document_means_what_the_timeline_meant(
    cut: tuple[otio.schema.Timeline, Edit], dialect: str, tmp_path: Path
) -> None:
    timeline, edit = cut
    path = tmp_path / f"cut{DIALECTS[dialect][0]}"
    grumbles = Grumbles()
    text = dialects_out.document(laid_on(timeline, edit), edit, timeline, dialect, grumbles)
    assert text is not None
    path.write_text(text, "utf-8")
    again = conform.read(path, prober=nothing_here, rate=edit.rate)[1]
    assert again.rate == edit.rate
    theirs = [clip for clip in again.clips if not is_ours(clip)]
    assert Counter(meaning(clip, edit.rate) for clip in theirs) == Counter(
        meaning(clip, edit.rate) for clip in edit.clips if clip.kind == "video" or clip.url
    )
    assert leaves(theirs) == leaves(edit.clips)
    ours = {(clip.url.split(".")[1], *meaning(clip, edit.rate)[1:3]) for clip in again.clips if is_ours(clip)}
    assert {("foley", int(HIT_S * edit.rate)), ("ambience", 0)} <= {(lane, start) for lane, start, _ in ours}


def leaves(clips: Iterable[Clip]) -> set[str]:
    urls = {next(iter(rows.path_names(clip.url)), clip.url) for clip in clips}
    return {unquote(PureWindowsPath(url).name) for url in urls if url}


def test_sources_come_back_to_the_frame(cut: tuple[otio.schema.Timeline, Edit], tmp_path: Path) -> None:
    timeline, edit = cut
    path = tmp_path / "cut.xml"
    path.write_text(
        dialects_out.document(laid_on(timeline, edit), edit, timeline, "premiere", Grumbles()) or "", "utf-8"
    )
    again = conform.read(path, prober=nothing_here)[1]
    wanted = sorted(
        (*meaning(clip, edit.rate), float(max(Fraction(0), clip.source.start_s))) for clip in edit.clips if clip.url
    )
    found = sorted(
        (*meaning(clip, edit.rate), float(clip.source.start_s))
        for clip in again.clips
        if clip.url and not is_ours(clip)
    )
    for one, two in zip(wanted, found, strict=True):
        assert two[-1] == pytest.approx(one[-1], abs=max(1.0, abs(one[4])) * 1.01 / float(edit.rate))  # type: ignore[operator]


@pytest.mark.parametrize("dialect", [name for name, endings in DIALECTS.items() if endings[0] == ".otio"])
def test_otio_keeps_the_users_tracks_to_the_byte(cut: tuple[otio.schema.Timeline, Edit], dialect: str) -> None:
    timeline, edit = cut
    before = [track.to_json_string() for track in timeline.tracks]
    spoken = dialects_out.spoken(laid_on(timeline, edit), edit, dialect)
    kept = [track.to_json_string() for track in spoken.tracks][: len(before)]
    if dialect == "resolve":  # which takes no percent-encoded urls: those alone may differ
        kept = [without_urls(text) for text in kept]
        before = [without_urls(text) for text in before]
    assert kept == before
    assert len(spoken.tracks) == len(before) + 2
    again = conform.from_json(spoken.to_json_string(), prober=nothing_here)[1]
    assert [clip for clip in again.clips if is_ours(clip)]


def without_urls(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if '"target_url"' not in line)


def test_resolve_gets_plain_absolute_paths(cut: tuple[otio.schema.Timeline, Edit]) -> None:
    timeline, edit = cut
    spoken = dialects_out.spoken(laid_on(timeline, edit), edit, "resolve")
    urls = {getattr(clip.media_reference, "target_url", "") or "" for clip in spoken.find_clips()}
    assert not [url for url in urls if url.startswith("file:") or "%20" in url]
    assert spoken.name != timeline.name, "Resolve refuses, without a word, a timeline whose name is taken"


def test_what_a_document_cannot_hold_is_said(shared: Path) -> None:
    timeline, edit = conform.read(shared / "media/timelines/resolve-19-tracks-effects.otio", prober=nothing_here)
    grumbles = Grumbles()
    dialects_out.document(laid_on(timeline, edit), edit, timeline, "kdenlive", grumbles)
    said = " ".join(grumbles.sentences())
    assert "Effects stay behind" in said
    assert "Titles" in said


@pytest.mark.parametrize("dialect", [name for name, endings in DIALECTS.items() if endings[0] != ".otio"])
def test_a_fade_that_meets_nothing_is_said_and_a_dissolve_is_not(dialect: str) -> None:
    rate = Fraction(25)

    def clip(name: str) -> otio.schema.Clip:
        media = otio.schema.ExternalReference("/f/a.mov", range_of(Fraction(0), Fraction(100), rate))
        return otio.schema.Clip(name, media, range_of(Fraction(10), Fraction(4), rate))

    def transition(after: int) -> otio.schema.Transition:
        return otio.schema.Transition("", "SMPTE_Dissolve", time_at(10 / rate, rate), time_at(after / rate, rate))

    track = otio.schema.Track("V1", kind="Video", children=[clip("one"), transition(10), clip("two"), transition(0)])
    given, edit = conform.from_json(otio.schema.Timeline("x", tracks=[track]).to_json_string(), prober=nothing_here)
    grumbles = Grumbles()
    dialects_out.document(laid_on(given, edit), edit, given, dialect, grumbles)
    assert "Fades from and to nothing are left out: “two”." in grumbles.sentences()


@pytest.mark.parametrize("dialect", [name for name, endings in DIALECTS.items() if endings[0] != ".otio"])
def test_a_sounds_fade_from_or_to_nothing_goes_out_and_comes_back(dialect: str, tmp_path: Path) -> None:
    """Beside a dissolve, which stays one, and at one edge of a clip that the other side of meets silence."""
    rate = Fraction(25)

    def clip(name: str, **told: str) -> otio.schema.Clip:
        media = otio.schema.ExternalReference(f"/f/{name}.wav", range_of(Fraction(0), Fraction(100), rate))
        made = otio.schema.Clip(name, media, range_of(Fraction(10), Fraction(4), rate))
        made.metadata["immersivaudio"] = told
        return made

    half = time_at(Fraction(12, 25), rate)
    children = [
        clip("one", fade_in_s="1"),
        otio.schema.Transition("", "SMPTE_Dissolve", half, half),
        clip("two"),
        otio.schema.Gap(source_range=range_of(Fraction(0), Fraction(1), rate)),
        clip("three", fade_out_s="2"),
    ]
    timeline = otio.schema.Timeline("x", tracks=[otio.schema.Track("A1", kind="Audio", children=children)])
    given, edit = conform.from_json(timeline.to_json_string(), prober=nothing_here)
    grumbles = Grumbles()
    text = dialects_out.document(laid_on(given, edit), edit, given, dialect, grumbles)
    assert text is not None and not any("Fades" in said for said in grumbles.sentences())
    path = tmp_path / f"cut{DIALECTS[dialect][0]}"
    path.write_text(text, "utf-8")
    again = [clip for clip in conform.read(path, prober=nothing_here)[1].clips if not is_ours(clip)]
    assert [(clip.record, clip.fade_in_s, clip.fade_out_s) for clip in again] == [
        (clip.record, clip.fade_in_s, clip.fade_out_s) for clip in edit.clips
    ]
    assert [clip.fade_in_s > 0 for clip in again] == [True, True, False]


def test_no_two_keyframes_of_premiere_lie_over_3_db_apart() -> None:
    keys = rows.gentle(((0, 0.0), (6, -12.0), (40, -12.0), (42, 0.0)))
    assert keys[0] == (0, 0.0)
    assert all(b > a for (a, _), (b, _) in itertools.pairwise(keys))
    slow = [(one, two) for one, two in itertools.pairwise(keys) if two[0] <= 40]
    assert max(abs(two[1] - one[1]) for one, two in slow) <= 3.0001
    assert keys[-1] == (42, 0.0)


def small_cut() -> tuple[otio.schema.Timeline, Edit]:
    """A dissolve, half speed, a clip that is switched off, a title, a level, one channel: what documents must word."""
    rate = Fraction(24000, 1001)

    def clip(name: str, first: int, frames: int, url: str = "/footage/a & b.mov") -> otio.schema.Clip:
        media = otio.schema.ExternalReference(url, range_of(86400 / rate, 240 / rate, rate))
        return otio.schema.Clip(name, media, range_of((86400 + first) / rate, frames / rate, rate))

    dissolve = otio.schema.Transition("", "SMPTE_Dissolve", time_at(6 / rate, rate), time_at(6 / rate, rate))
    slow = clip("slow", 20, 30, "/footage/c.mov")
    slow.effects.append(otio.schema.LinearTimeWarp(time_scalar=0.5))
    title = otio.schema.Clip("title", otio.schema.GeneratorReference("title"), range_of(Fraction(0), 18 / rate, rate))
    picture = otio.schema.Track("V1", kind="Video", children=[clip("one", 12, 48), dissolve, clip("two", 100, 24)])
    picture.extend([slow, title])
    off = clip("off", 0, 48)
    off.enabled = False
    quiet = clip("quiet", 60, 24)
    quiet.metadata["immersivaudio"] = {"gain_db": -6.0, "channels": [1]}
    timeline = otio.schema.Timeline(
        "cut", tracks=[picture, otio.schema.Track("A1", kind="Audio", children=[off, quiet])]
    )
    timeline.global_start_time = time_at(86400 / rate, rate)
    return conform.from_json(timeline.to_json_string(), prober=nothing_here)


def golden(dialect: str) -> tuple[str, str]:
    """The name of a dialect's golden file, and what is written today."""
    timeline, edit = small_cut()
    laid = laid_on(timeline, edit)
    text = dialects_out.document(laid, edit, timeline, dialect, Grumbles())
    if text is None:
        text = dialects_out.spoken(laid, edit, dialect).to_json_string(indent=1)
    return f"{dialect}{DIALECTS[dialect][0]}", text.rstrip("\n") + "\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_dialect_is_as_it_was_reviewed(dialect: str) -> None:
    name, text = golden(dialect)
    reviewed = (GOLDEN / name).read_text("utf-8")
    assert text == reviewed, "read the difference; where it is right, run `python tests/golden/write.py` and commit"


@pytest.mark.parametrize("rate", [Fraction(25, 2), Fraction(12500, 1001), Fraction(1, 2)])
def test_a_rate_that_an_editors_file_has_not_is_refused_before_any_work(rate: Fraction, tmp_path: Path) -> None:
    asked = DeliveryWish(outputs=("stems", "otio"), dialect="premiere")
    with pytest.raises(RequestError, match="frames a second"):
        delivery.check(asked, None, Fraction(1), tmp_path, rate)
    for known in (Fraction(24000, 1001), Fraction(25)):
        delivery.check(asked, None, Fraction(1), tmp_path, known)
    delivery.check(replace(asked, dialect="kdenlive"), None, Fraction(1), tmp_path, rate)


@pytest.mark.parametrize("dialect", [name for name, endings in DIALECTS.items() if endings[0] != ".otio"])
def test_names_are_completed_wherever_the_files_land(dialect: str) -> None:
    _, text = golden(dialect)
    pointed = dialects_out.pointed(text, {"cut.foley.wav": "/films/a & b/cut.foley.wav"})
    urls = {"premiere": "file://localhost", "finalcut": "file://"}
    folder = f"{urls[dialect]}/films/a%20%26%20b" if dialect in urls else "/films/a &amp; b"
    assert f"{folder}/cut.foley.wav" in pointed
    assert "/footage/a &amp; b.mov" in pointed or "/footage/a%20%26%20b.mov" in pointed


def test_an_ending_chooses_the_dialect_and_may_not_contradict_it(tmp_path: Path) -> None:
    source = tmp_path / "cut.otio"
    source.touch()
    chosen = {
        ending: outputs.plan(source, True, tmp_path / f"out{ending}", "", False).dialect
        for ending in (".otio", ".xml", ".kdenlive", ".mlt")
    }
    assert chosen == {".otio": "generic", ".xml": "premiere", ".kdenlive": "kdenlive", ".mlt": "kdenlive"}
    asked = outputs.plan(source, True, None, "", False, outputs.Form(dialect="premiere"))
    assert (asked.main.name, asked.timeline_kind) == ("cut.scored.xml", "timeline")
    with pytest.raises(RequestError, match="no name for a timeline for kdenlive"):
        outputs.plan(source, True, tmp_path / "out.xml", "", False, outputs.Form(dialect="kdenlive"))


@pytest.mark.parametrize(
    ("name", "result", "dialect"),
    [
        ("cut.kdenlive", "cut.scored.kdenlive", "kdenlive"),
        ("cut.mlt", "cut.scored.mlt", "kdenlive"),
        ("cut.xml", "cut.scored.xml", "premiere"),
        ("cut.fcpxml", "cut.scored.fcpxml", "finalcut"),
        ("cut.edl", "cut.scored.otio", "generic"),
    ],
)
def test_a_document_comes_back_as_what_it_was(tmp_path: Path, name: str, result: str, dialect: str) -> None:
    asked = outputs.plan(tmp_path / name, True, None, "", False)
    assert (asked.main.name, asked.dialect) == (result, dialect)
    assert outputs.plan(tmp_path / name, True, None, "stems", False).dialect == "generic"


def test_a_video_may_become_a_timeline(tmp_path: Path) -> None:
    asked = outputs.plan(tmp_path / "clip.mp4", False, None, "", False, outputs.Form(dialect="kdenlive"))
    assert (asked.kind, asked.main.name) == ("otio", "clip.scored.kdenlive")
