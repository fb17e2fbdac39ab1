# SPDX-License-Identifier: AGPL-3.0-or-later
"""Flattening: what OTIO objects mean, to the exact fraction, with real Probe values handed in."""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest

from immersivaudio.engine import conform, media, opening
from immersivaudio.engine.cue import Clip, Edit, Span
from immersivaudio.engine.errors import AccessError, MediaError, TimelineError
from immersivaudio.engine.media import AudioStream, Probe, VideoStream

RATE = Fraction(24)
NTSC = Fraction(24000, 1001)


def time(frames: float, rate: float = 24.0) -> otio.opentime.RationalTime:
    return otio.opentime.RationalTime(frames, rate)


def span(start: float, length: float, rate: float = 24.0) -> otio.opentime.TimeRange:
    return otio.opentime.TimeRange(time(start, rate), time(length, rate))


def clip(name: str, start: float, length: float, url: str = "a.mov", **kind: float) -> otio.schema.Clip:
    rate = kind.get("rate", 24.0)
    return otio.schema.Clip(name, otio.schema.ExternalReference(url), span(start, length, rate))


def gap(length: float) -> otio.schema.Gap:
    return otio.schema.Gap(source_range=span(0, length))


def dissolve(before: float, after: float) -> otio.schema.Transition:
    return otio.schema.Transition("", "SMPTE_Dissolve", time(before), time(after))


def track(*items: otio.core.Composable, kind: str = "Video") -> otio.schema.Track:
    made = otio.schema.Track(kind=kind)
    made.extend(items)
    return made


def timeline(*tracks: otio.core.Composable) -> otio.schema.Timeline:
    return otio.schema.Timeline("cut", tracks=list(tracks))


def probe(
    path: Path,
    *,
    seconds: Fraction = Fraction(1000),
    channels: tuple[int, ...] = (2,),
    code: str = "",
    rate: Fraction = RATE,
) -> Probe:
    video = VideoStream(0, "h264", 640, 360, rate, Fraction(0), seconds)
    audio = tuple(AudioStream(1 + n, "aac", 48000, count, Fraction(0), seconds) for n, count in enumerate(channels))
    return Probe(path, "mov", seconds, 1000, (video,), audio, code)


def flat(*tracks: otio.core.Composable, prober: Callable[[Path], Probe] = probe) -> Edit:
    return conform.conform(timeline(*tracks), "cut", Path("/media"), {}, prober)


def frames(one: Span) -> tuple[Fraction, Fraction]:
    return one.start_s * RATE, one.duration_s * RATE


def test_lanes_of_an_earlier_score_are_no_original_sound() -> None:
    ours = {"immersivaudio": {"generated": True}}
    lane, mixed = (track(clip("foley", 0, 48), kind="Audio") for _ in range(2))
    for one in (lane, *lane, mixed, *mixed):
        one.metadata.update(ours)
    mixed.append(clip("mine", 0, 24))
    spoken = track(clip("words", 0, 48), kind="Audio")
    scored = timeline(track(clip("picture", 0, 48)), spoken, lane, mixed)
    left, edit = conform.from_json(scored.to_json_string(), prober=probe, scored=False)
    assert [one.name for kept in left.tracks for one in kept.find_clips()] == ["picture", "words", "foley", "mine"]
    assert [one.name for one in edit.clips if one.kind == "audio"] == ["words", "foley", "mine"]
    assert sum("earlier score" in sentence for sentence in edit.warnings) == 1


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (23.976, NTSC),
        (23.98, NTSC),
        (24000 / 1001, NTSC),
        (Fraction(2997, 125), NTSC),
        (29.97, Fraction(30000, 1001)),
        (Fraction(2997, 100), Fraction(30000, 1001)),
        (47.95, Fraction(48000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (14.985, Fraction(15000, 1001)),
        (24, Fraction(24)),
        (25.0, Fraction(25)),
        (12.5, Fraction(25, 2)),
        (48000.0, Fraction(48000)),
        (44100, Fraction(44100)),
    ],
)
def test_rates_snap_to_what_is_meant(told: float, meant: Fraction) -> None:
    assert conform.snap(told) == meant


@pytest.mark.parametrize("absurd", [0, -25, math.nan, math.inf, -math.inf, 1e300])
def test_absurd_rates_are_refused(absurd: float) -> None:
    with pytest.raises(TimelineError):
        conform.snap(absurd)


def test_clips_follow_each_other_over_gaps() -> None:
    edit = flat(track(clip("a", 10, 24), gap(12), clip("b", 5, 48)))
    assert [frames(one.record) for one in edit.clips] == [(0, 24), (36, 48)]
    assert [frames(one.source) for one in edit.clips] == [(10, 24), (5, 48)]
    assert edit.duration_s == Fraction(84, 24)
    assert [one.media for one in edit.picture] == ["/media/a.mov"] * 2


def test_mixed_rates_stay_exact() -> None:
    edit = flat(track(clip("a", 0, 24, rate=23.976), clip("b", 0, 30, rate=29.97), clip("c", 0, 50, rate=50)))
    assert [one.record.start_s for one in edit.clips] == [0, Fraction(1001, 1000), Fraction(1001, 500)]
    assert edit.duration_s == Fraction(1001, 500) + 1


def test_a_nest_is_trimmed_and_its_retime_multiplies() -> None:
    inner = track(clip("x", 100, 48), clip("y", 0, 48))
    inner[0].effects.append(otio.schema.LinearTimeWarp(time_scalar=0.5))
    nest = otio.schema.Stack("nest", children=[inner], source_range=span(24, 24))
    nest.effects.append(otio.schema.LinearTimeWarp(time_scalar=2.0))
    edit = flat(track(gap(10), nest))
    x, y = edit.clips
    assert (frames(x.record), frames(x.source), x.speed) == ((10, 12), (112, 12), 1)
    assert (frames(y.record), frames(y.source), y.speed) == ((22, 12), (0, 24), 2)


def test_a_reversed_nest_turns_its_clips_around() -> None:
    nest = otio.schema.Stack("nest", children=[track(clip("x", 0, 24), clip("y", 100, 24))], source_range=span(0, 48))
    nest.effects.append(otio.schema.LinearTimeWarp(time_scalar=-1.0))
    edit = flat(track(nest))
    placed = {one.name: (frames(one.record), frames(one.source), one.speed) for one in edit.clips}
    assert placed == {"y": ((0, 24), (100, 24), -1), "x": ((24, 24), (0, 24), -1)}


def test_a_frozen_nest_holds_the_frame_at_its_start() -> None:
    nest = otio.schema.Stack("nest", children=[track(clip("x", 0, 24), clip("y", 100, 24))], source_range=span(30, 12))
    nest.effects.append(otio.schema.FreezeFrame())
    (held,) = flat(track(nest)).clips
    assert (held.name, held.speed, frames(held.record), frames(held.source)) == ("y", 0, (0, 12), (106, 0))


def test_reverse_plays_its_range_from_the_end() -> None:
    item = clip("back", 48, 24)
    item.effects.append(otio.schema.LinearTimeWarp(time_scalar=-2.0))
    (back,) = flat(track(item)).clips
    assert (back.speed, frames(back.source), frames(back.record)) == (-2, (48, 48), (0, 24))
    assert back.source_at(Fraction(0)) == Fraction(96, 24)


def test_frozen_sound_is_silent() -> None:
    item = clip("held", 48, 24)
    item.effects.append(otio.schema.FreezeFrame())
    edit = flat(track(item, kind="Audio"))
    assert edit.sound_clips() == ()


def test_a_dissolve_lets_both_clips_reach_and_cuts_the_picture_in_its_middle() -> None:
    edit = flat(track(clip("a", 0, 24), dissolve(6, 10), clip("b", 100, 24)))
    a, b = edit.clips
    assert (frames(a.record), frames(a.source)) == ((0, 34), (0, 34))
    assert (frames(b.record), frames(b.source)) == ((18, 30), (94, 30))
    assert a.fade_out_s == b.fade_in_s == Fraction(16, 24)
    assert [frames(one.record) for one in edit.picture] == [(0, 26), (26, 22)]
    assert edit.warnings == ()


def test_a_dissolve_without_handles_is_shortened_and_said() -> None:
    one, other = clip("a", 0, 24), clip("b", 3, 24)
    one.media_reference.available_range = span(0, 100)
    other.media_reference.available_range = span(0, 100)
    edit = flat(track(one, dissolve(6, 6), other))
    assert frames(edit.clips[1].record) == (21, 27)
    assert frames(edit.clips[1].source) == (0, 27)
    assert any("dissolve" in text and "b" in text for text in edit.warnings)
    assert sum((part.record.duration_s for part in edit.picture), Fraction(0)) == edit.duration_s


def test_fades_at_both_ends_of_a_clip_between_gaps() -> None:
    edit = flat(track(gap(24), dissolve(0, 12), clip("a", 50, 48), dissolve(12, 0), gap(24)))
    (one,) = edit.clips
    assert (one.fade_in_s, one.fade_out_s) == (Fraction(1, 2), Fraction(1, 2))
    assert frames(one.record) == (24, 48)


def test_upper_clips_without_media_do_not_hide_the_picture() -> None:
    title = otio.schema.Clip("title", otio.schema.GeneratorReference("Title", "Text"), span(0, 48))
    off = clip("off", 0, 48)
    off.enabled = False
    missing = otio.schema.Clip("gone", otio.schema.MissingReference(), span(0, 48))
    above = clip("above", 0, 12)
    edit = flat(track(clip("base", 0, 48)), track(gap(24), above), track(title), track(off), track(missing))
    assert [(one.name, frames(one.record)) for one in edit.picture] == [
        ("base", (0, 24)),
        ("above", (24, 12)),
        ("base", (36, 12)),
    ]
    assert frames(edit.picture[2].source) == (36, 12)


@pytest.mark.parametrize("where", ["clip", "track", "fcp_xml", "muted"])
def test_disabled_in_every_dialect(where: str) -> None:
    item = clip("a", 0, 24)
    lane = track(item)
    if where == "clip":
        item.enabled = False
    elif where == "track":
        lane.enabled = False
    elif where == "fcp_xml":
        item.metadata["fcp_xml"] = {"enabled": "FALSE"}
    else:
        lane.metadata["Editor"] = {"Muted": True}
    edit = flat(lane)
    assert [one.enabled for one in edit.clips] == [False]
    assert edit.picture == ()


def test_media_start_timecode_is_subtracted() -> None:
    item = clip("a", 86400 + 48, 24)
    item.media_reference.available_range = span(86400, 2400)
    assert frames(flat(track(item)).clips[0].source) == (48, 24)


@pytest.mark.parametrize("start", [86400 + 48, 48])
def test_without_available_range_the_medias_own_timecode_decides(start: int) -> None:
    edit = flat(track(clip("a", start, 24)), prober=lambda path: probe(path, code="01:00:00:00"))
    assert frames(edit.clips[0].source) == (48, 24)
    assert edit.warnings == ()


def test_a_lying_available_range_is_seen_through_and_said() -> None:
    item = clip("a", 86400 + 48, 24)
    item.media_reference.available_range = span(0, 2400)
    edit = flat(track(item), prober=lambda path: probe(path, code="01:00:00:00"))
    assert frames(edit.clips[0].source) == (48, 24)
    assert any("a.mov" in text for text in edit.warnings)


def test_a_clip_longer_than_its_media_is_said() -> None:
    edit = flat(track(clip("a", 0, 240)), prober=lambda path: probe(path, seconds=Fraction(5)))
    assert any("a.mov lasts 5.00 s" in text and "“a”" in text for text in edit.warnings)


def test_start_timecodes_and_drop_frame() -> None:
    made = timeline(track(clip("a", 0, 24)))
    made.global_start_time = time(539460, 29.97)
    edit = conform.conform(made, "cut", Path("/media"), {}, probe)
    assert edit.rate == Fraction(30000, 1001)
    assert edit.start_timecode_s == Fraction(539460 * 1001, 30000)


def test_resolve_channels_count_through_the_streams() -> None:
    item = clip("a", 0, 24)
    item.metadata["Resolve_OTIO"] = {"Channels": [{"Source Channel ID": 1, "Source Track ID": 1}]}
    edit = flat(track(item, kind="Audio"), prober=lambda path: probe(path, channels=(2, 2)))
    assert edit.clips[0].channels == (3,)


def test_like_clips_on_several_tracks_are_one_channel_each() -> None:
    lanes = [track(clip("a", 0, 24), kind="Audio") for _ in range(3)]
    edit = flat(*lanes)
    assert [(one.channels, one.enabled) for one in edit.clips] == [((0,), True), ((1,), True), ((1,), False)]


def test_stereo_is_all_channels() -> None:
    item = clip("a", 0, 24)
    item.metadata["Resolve_OTIO"] = {"Channels": [{"Source Channel ID": n, "Source Track ID": 0} for n in range(2)]}
    assert flat(track(item, kind="Audio")).clips[0].channels == ()


def test_resolve_volume_and_fades_reach_the_clip() -> None:
    item = clip("a", 0, 48)
    parameters = [
        {"Parameter ID": "volume", "Parameter Value": -6.5, "Key Frames": {}},
        {"Parameter ID": "faderIn", "Parameter Value": 12},
    ]
    effect = otio.schema.Effect(effect_name="Resolve Effect")
    effect.metadata["Resolve_OTIO"] = {
        "Effect Name": "Fairlight Clip Volume and Fades",
        "Enabled": True,
        "Parameters": parameters,
    }
    item.effects.append(effect)
    (one,) = flat(track(item, kind="Audio")).clips
    assert (one.gain_db, one.fade_in_s) == (-6.5, Fraction(1, 2))


def test_missing_media_keep_their_clip_and_name_it() -> None:
    def prober(path: Path) -> Probe:
        raise MediaError(f"{path} is missing.")

    edit = flat(track(clip("Shot 7", 0, 24, url="file:///Volumes/x/b%20c.mov")), prober=prober)
    assert edit.clips[0].media is None
    assert edit.picture == ()
    assert len(edit.warnings) == 1
    assert "b%20c.mov" in edit.warnings[0] and "Shot 7" in edit.warnings[0]


def test_media_outside_the_allowed_roots_are_missing_and_said() -> None:
    def prober(path: Path) -> Probe:
        raise AccessError("It lies outside the allowed folders.")

    edit = flat(track(clip("a", 0, 24, url="/etc/passwd")), prober=prober)
    assert edit.clips[0].media is None
    assert "outside the allowed folders" in edit.warnings[0]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("a.mov", "/media/a.mov"),
        ("../up/a.mov", "/media/../up/a.mov"),
        ("/x/a.mov", "/x/a.mov"),
        ("file:///x/a%20b.mov", "/x/a b.mov"),
        ("file://localhost/x/a.mov", "/x/a.mov"),
        ("file:///x/a#1.mov", "/x/a#1.mov"),
        ("/x/50% off?.mov", "/x/50% off?.mov"),
    ],
)
def test_target_urls_of_every_editor(url: str, path: str) -> None:
    asked: list[str] = []

    def prober(found: Path) -> Probe:
        asked.append(str(found))
        return probe(found)

    assert flat(track(clip("a", 0, 24, url=url)), prober=prober).clips[0].media == path
    assert asked == [path]


@pytest.mark.parametrize("url", ["https://example.org/a.mov", "concat:a.mov|b.mov", "rtmp://h/x", "a\0b"])
def test_nothing_but_files_is_opened(url: str) -> None:
    def prober(found: Path) -> Probe:
        raise AssertionError(f"asked for {found}")

    assert flat(track(clip("a", 0, 24, url=url)), prober=prober).clips[0].media is None


def test_the_callers_word_on_media_comes_first() -> None:
    made = timeline(track(clip("a", 0, 24, url="E:\\rushes\\a.mov")))
    edit = conform.conform(made, "cut", None, {"E:\\rushes\\a.mov": Path("/blobs/12")}, probe)
    assert edit.clips[0].media == "/blobs/12"


def test_unknown_speed_effects_are_said_and_play_as_shot() -> None:
    item = clip("ramp", 0, 24)
    item.effects.append(otio.schema.TimeEffect(effect_name="TimeRemap"))
    edit = flat(track(item))
    assert edit.clips[0].speed == 1
    assert any("TimeRemap" in text and "ramp" in text for text in edit.warnings)


def test_the_timeline_is_left_untouched(tmp_path: Path) -> None:
    made = timeline(track(clip("a", 0, 24), dissolve(2, 2), clip("b", 5, 24)))
    before = made.to_json_string()
    conform.conform(made, "cut", tmp_path, {}, probe)
    assert made.to_json_string() == before


def test_from_json_is_the_same_as_from_memory() -> None:
    made = timeline(track(clip("a", 0, 24)))
    again, edit = conform.from_json(made.to_json_string(), {"a.mov": Path("/x/a.mov")}, probe)
    assert again.name == edit.name == "cut"
    assert edit.clips[0].media == "/x/a.mov"


def test_a_file_becomes_an_edit(draw: Callable[..., Path]) -> None:
    def picture(at_s: float) -> np.ndarray:
        return np.full((64, 96, 3), int(at_s * 100) % 255, np.uint8)

    found = media.probe(draw(picture, 2.0, Fraction(25), "single"))
    edit = conform.single(found, "single")
    assert (edit.rate, edit.duration_s, [one.kind for one in edit.clips]) == (25, 2, ["video"])
    assert edit.picture == edit.clips


def test_a_real_file_named_by_a_timeline_is_found_beside_it(draw: Callable[..., Path], tmp_path: Path) -> None:
    film = draw(lambda at_s: np.full((64, 96, 3), 90, np.uint8), 2.0, Fraction(24), "beside")
    shutil.copy(film, tmp_path / "beside.mp4")
    otio.adapters.write_to_file(timeline(track(clip("a", 12, 24, url="/gone/beside.mp4"))), str(tmp_path / "cut.otio"))
    _made, edit = conform.read(tmp_path / "cut.otio")
    assert edit.picture[0].media == str(tmp_path / "beside.mp4")
    assert edit.warnings == ()


def test_single_reads_the_medias_timecode_and_sound() -> None:
    found = probe(Path("x.mov"), seconds=Fraction(3), code="05:00:00;00", rate=Fraction(2997, 100))
    edit = conform.single(found, "x")
    assert (edit.rate, edit.drop_frame) == (Fraction(30000, 1001), True)
    assert edit.start_timecode_s == Fraction(539460 * 1001, 30000)
    assert [one.kind for one in edit.clips] == ["video", "audio"]


def test_sound_alone_is_an_edit_without_picture() -> None:
    found = Probe(
        Path("x.wav"), "wav", Fraction(5), 9, (), (AudioStream(0, "pcm", 48000, 1, Fraction(0), Fraction(5)),)
    )
    edit = conform.single(found, "x")
    assert (edit.picture, edit.rate, edit.duration_s) == ((), 25, 5)


def test_media_without_length_is_refused() -> None:
    with pytest.raises(TimelineError):
        conform.single(probe(Path("x.mov"), seconds=Fraction(0)), "x")


def _nan(made: otio.schema.Timeline) -> None:
    made.tracks[0][0].source_range = span(0, math.nan)


def _endless(made: otio.schema.Timeline) -> None:
    made.tracks[0][0].source_range = span(0, 24e9)


def _backwards(made: otio.schema.Timeline) -> None:
    made.tracks[0][0].source_range = span(0, -5)


def _no_rate(made: otio.schema.Timeline) -> None:
    made.tracks[0][0].source_range = span(0, 24, 0)


def _empty(made: otio.schema.Timeline) -> None:
    del made.tracks[0][0]


def _deep(made: otio.schema.Timeline) -> None:
    item: otio.core.Composable = clip("x", 0, 24)
    for _ in range(500):
        item = otio.schema.Stack(children=[item])
    made.tracks[0].append(item)


@pytest.mark.parametrize("spoil", [_nan, _endless, _backwards, _no_rate, _empty, _deep])
def test_absurd_timelines_are_refused_in_one_sentence(spoil: Callable[[otio.schema.Timeline], None]) -> None:
    made = timeline(track(clip("a", 0, 24)))
    spoil(made)
    with pytest.raises(TimelineError) as caught:
        conform.conform(made, "cut", None, {}, probe)
    assert caught.value.message.endswith(".")
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{}", "[]", "null", "NaN", '{"OTIO_SCHEMA":"Foo.1"}', '{"OTIO_SCHEMA":"Timeline.1"}', "[" * 100_000],
)
def test_what_is_no_timeline_is_refused(text: str) -> None:
    with pytest.raises(TimelineError):
        conform.from_json(text)


def test_a_stack_that_holds_itself_is_refused() -> None:
    made = json.loads(timeline().to_json_string())
    made["tracks"]["OTIO_REF_ID"] = "one"
    made["tracks"]["children"] = [{"OTIO_SCHEMA": "SerializableObjectRef.1", "id": "one"}]
    with pytest.raises(TimelineError):
        conform.from_json(json.dumps(made))


def test_too_many_clips_are_refused_before_they_are_read() -> None:
    with pytest.raises(TimelineError, match="50000 clips"):
        conform.from_json('{"OTIO_SCHEMA":"Timeline.1","x":[' + '"Clip.2",' * 50_001 + "0]}")


def test_newer_schemas_are_lowered_and_said() -> None:
    made = json.loads(timeline(track(clip("a", 0, 24))).to_json_string())
    made["tracks"]["children"][0]["children"][0]["markers"] = [
        {"OTIO_SCHEMA": "Marker.3", "name": "m", "metadata": {}, "color": {"OTIO_SCHEMA": "Color.1", "name": "RED"},
         "marked_range": {"OTIO_SCHEMA": "TimeRange.1", "start_time": {"OTIO_SCHEMA": "RationalTime.1", "rate": 24, "value": 0},
                          "duration": {"OTIO_SCHEMA": "RationalTime.1", "rate": 24, "value": 1}}}
    ]  # fmt: skip
    again, edit = conform.from_json(json.dumps(made), {}, probe, Path("/media"))
    assert again.tracks[0][0].markers[0].color == "RED"
    assert any("Marker.3" in text for text in edit.warnings)


UNKNOWN = {"OTIO_SCHEMA": "Vendor.7", "name": "v", "metadata": {}}


@pytest.mark.parametrize("place", ["effects", "markers", "children", "media"])
def test_an_editors_own_schemas_are_passed_over_and_said(place: str) -> None:
    made = json.loads(timeline(track(clip("a", 0, 24), clip("b", 0, 24))).to_json_string())
    lane = made["tracks"]["children"][0]
    if place == "children":
        lane["children"].insert(1, {**UNKNOWN, "source_range": lane["children"][0]["source_range"]})
    elif place == "media":
        lane["children"][0]["media_references"]["DEFAULT_MEDIA"] = UNKNOWN
    else:
        lane["children"][0][place] = [UNKNOWN, UNKNOWN]
    _again, edit = conform.from_json(json.dumps(made), {}, probe, Path("/media"))
    assert edit.duration_s == (3 if place == "children" else 2)
    assert len([text for text in edit.warnings if "Vendor.7" in text]) == 1


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"media_references": None}, "the Clip 'a' lacks media_references"),
        ({"source_range": 4}, "object named 'a' .of type 'Clip'.: expected type TimeRange"),
        ({"source_range": {"OTIO_SCHEMA": "TimeRange.1"}}, "no OpenTimelineIO file: .*another form"),
    ],
)
def test_what_a_clip_lacks_is_said_in_the_files_own_names(spoilt: dict[str, object], said: str) -> None:
    made = json.loads(timeline(track(clip("a", 0, 24))).to_json_string())
    told = made["tracks"]["children"][0]["children"][0]
    told.update(spoilt)
    made["tracks"]["children"][0]["children"][0] = {key: value for key, value in told.items() if value is not None}
    with pytest.raises(TimelineError, match=said) as caught:
        conform.from_json(json.dumps(made), {}, probe, Path("/media"))
    assert "opentimelineio7" not in caught.value.message and "near line" not in caught.value.message


def test_a_key_that_stands_twice_does_not_crash_the_reader() -> None:
    text = timeline(track(clip("a", 0, 24))).to_json_string()
    marker = otio.schema.Marker(name="m", marked_range=span(0, 1)).to_json_string()
    twice = text.replace('"children":', f'"metadata": {{"markers": [{marker}]}}, "metadata": {{}}, "children":')
    assert conform.from_json(twice, {}, probe, Path("/media"))[1].duration_s == 1


def bundle(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zipped_bundle_brings_its_media(tmp_path: Path) -> None:
    content = timeline(track(clip("a", 0, 24, url="media/a.mov"))).to_json_string().encode()
    path = bundle(tmp_path / "cut.otioz", {"content.otio": content, "media/a.mov": b"film"})
    _made, edit = conform.read(path, prober=probe, scratch=tmp_path)
    assert edit.clips[0].media is not None
    assert Path(edit.clips[0].media).read_bytes() == b"film"


@pytest.mark.parametrize(
    "files",
    [
        {"content.otio": b"{}", "../evil": b""},
        {"content.otio": b"{}", "/evil": b""},
        {"nothing": b""},
        {"content.otio": b"{}", "media/bomb": bytes(300 * 2**20)},
    ],
    ids=["dots", "absolute", "no content", "bomb"],
)
def test_bad_bundles_are_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(TimelineError):
        conform.read(bundle(tmp_path / "cut.otioz", files), scratch=tmp_path)
    assert not (tmp_path.parent / "evil").exists()


def test_a_folder_bundle_stays_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cut.otiod"
    folder.mkdir()
    (folder / "content.otio").write_text(timeline(track(clip("a", 0, 24, url="media/../../x.mov"))).to_json_string())
    with pytest.raises(TimelineError):
        conform.read(folder, prober=probe)
    (folder / "content.otio").write_text(timeline(track(clip("a", 0, 24, url="/etc/x.mov"))).to_json_string())
    assert conform.read(folder, prober=probe)[1].clips[0].media is None


@pytest.mark.parametrize(
    "name", ["cut.otio", "cut.edl", "cut.fcpxml", "cut.xml", "cut.aaf", "cut.mlt", "cut.xges", "cut.otioz"]
)
def test_empty_and_binary_files_are_refused(tmp_path: Path, name: str) -> None:
    for content in (b"", bytes(range(256)), b"\xff" * 4000):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TimelineError):
            conform.read(tmp_path / name, prober=probe)


def test_a_missing_file_and_a_foreign_ending_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TimelineError):
        conform.read(tmp_path / "none.otio")
    with pytest.raises(TimelineError):
        conform.read(tmp_path / "film.mp4")


def test_gaps_alone_are_told_from_sound_alone() -> None:
    empty = conform.conform(timeline(track(gap(48))), "x", prober=probe)
    heard = conform.conform(timeline(track(clip("a", 0, 24), kind="Audio")), "x", prober=probe)
    assert "nothing but gaps" in opening.nothing_to_see(empty).message
    assert "sound but no picture" in opening.nothing_to_see(heard).message


def test_the_picture_never_overlaps() -> None:
    lanes = [track(gap(3 * n), clip(f"v{n}", 0, 30), dissolve(5, 5), clip(f"w{n}", 50, 20)) for n in range(4)]
    seen: tuple[Clip, ...] = flat(*lanes).picture
    ends = [one.record.end_s for one in seen]
    starts = [one.record.start_s for one in seen]
    assert starts == sorted(starts)
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
