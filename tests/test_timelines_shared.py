# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every real timeline beside the project against what its own file says: the numbers of the manifest, by table."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import manifest
from timelines import nothing_here

from immersivaudio.engine import conform
from immersivaudio.engine.cue import Edit

NTSC_24, NTSC_30 = Fraction(24000, 1001), Fraction(30000, 1001)


@dataclass(frozen=True)
class Facts:
    """What a file holds: clips on video and audio tracks, disabled ones, start as timecode frames."""

    duration_s: Fraction
    video: int
    audio: int
    disabled: int = 0
    start_frames: int = 0
    drop_frame: bool = False


TABLE = {
    "resolve-19-tracks-effects.otio": Facts(Fraction(1125, 24), 20, 17, 6, 86400),
    "nested-stack-retime-freeze.otio": Facts(Fraction(636, 24), 7, 0),
    "resolve21-2v8a-title-missing.otio": Facts(Fraction(65), 4, 3, 0, 180000),
    "resolve21-retime-50pct.otio": Facts(Fraction(30), 1, 1, 0, 180000),
    "mixed-rates-23.976-24-29.97-30.otio": Facts(24 / NTSC_24, 6, 0),
    "premiere-4v4a-nested-30fps.otio": Facts(Fraction(1271, 30), 7, 6),
    "future-schema-marker3.otio": Facts(Fraction(1049, 24), 9, 0),
    "fcpx-29.97-drop-frame.fcpxml": Facts(Fraction(887887, 30000), 12, 12, drop_frame=True),
    "fcpx-24-with-25fps-media-start-1h.fcpxml": Facts(Fraction(1564400, 9600), 2, 2, 0, 86400),
    "fcpx-23.976-storylines-audio-keyframes.fcpxml": Facts(Fraction(6593587, 24000), 43, 12),
    "fcpx-disabled-clips.fcpxml": Facts(Fraction(2043800, 2400), 4, 2, 3),
    "speed-effects-freeze.edl": Facts(Fraction(16636, 24), 5, 0, 0, 86400),
    "feature-dialogue-reel-24-mono-tracks.edl": Facts(Fraction(26269, 24), 0, 466, 0, 86400),
    "premiere-25fps-dissolve-aud34.edl": Facts(Fraction(4022, 25), 7, 8),
    "kdenlive-mixes-markers-25fps.kdenlive": Facts(Fraction(3483, 25), 16, 16),
    "kdenlive-19.12-example-25fps.kdenlive": Facts(Fraction(862, 25), 6, 5),
    "premiere-fcp7xml-disabled-25fps.xml": Facts(Fraction(256, 25), 6, 5, 4),
    "avid-29.97df-start-5h.aaf": Facts(2989 / NTSC_30, 1, 6, 0, 539460, drop_frame=True),
    "pitivi-example-25fps.xges": Facts(Fraction(36215932868, 10**9), 5, 3),
    "mlt-demo-multitrack-luma.mlt": Facts(Fraction(350, 25), 8, 8),
}
ENTRIES = {Path(entry["file"]).name: entry for entry in manifest()["timeline"]}


@pytest.fixture(params=sorted(TABLE))
def edit(request: pytest.FixtureRequest, shared: Path) -> tuple[str, Edit]:
    name = request.param
    return name, conform.read(shared / "media/timelines" / name, prober=nothing_here)[1]


def test_the_table_knows_every_timeline_of_the_manifest(shared: Path) -> None:
    assert set(TABLE) == set(ENTRIES)


def test_duration_is_exact(edit: tuple[str, Edit]) -> None:
    name, found = edit
    assert found.duration_s == TABLE[name].duration_s
    stated = re.findall(r"(\d+\.\d+) s\b", ENTRIES[name]["description"])
    assert not stated or any(abs(float(found.duration_s) - float(one)) < 0.006 for one in stated)


def test_rate_is_the_manifests(edit: tuple[str, Edit]) -> None:
    name, found = edit
    stated = ENTRIES[name]["fps"].split()[0]
    assert found.rate == (25 if stated == "unstated" else conform.snap(float(stated)))


def test_start_timecode_and_drop_frame(edit: tuple[str, Edit]) -> None:
    name, found = edit
    assert found.start_timecode_s == TABLE[name].start_frames / found.rate
    assert found.drop_frame == TABLE[name].drop_frame


def test_clips_and_disabled_ones(edit: tuple[str, Edit]) -> None:
    name, found = edit
    kinds = [clip.kind for clip in found.clips]
    off = sum(not clip.enabled for clip in found.clips)
    assert (kinds.count("video"), kinds.count("audio"), off) == (
        TABLE[name].video,
        TABLE[name].audio,
        TABLE[name].disabled,
    )


def test_every_clip_lies_in_the_edit_and_says_that_its_media_is_missing(edit: tuple[str, Edit]) -> None:
    _name, found = edit
    assert all(clip.record.start_s >= 0 and clip.record.end_s <= found.duration_s for clip in found.clips)
    assert all(clip.media is None for clip in found.clips)
    assert found.warnings
    assert found.picture == ()


def test_ids_are_unique(edit: tuple[str, Edit]) -> None:
    ids = [clip.id for clip in edit[1].clips]
    assert len(ids) == len(set(ids))


def read(shared: Path, name: str) -> Edit:
    return conform.read(shared / "media/timelines" / name, prober=nothing_here)[1]


def test_half_speed_uses_half_as_much_media(shared: Path) -> None:
    clip = read(shared, "resolve21-retime-50pct.otio").clips[0]
    assert (clip.speed, clip.source.start_s, clip.source.duration_s) == (Fraction(1, 2), 0, 15)


def test_nested_retime_and_freeze(shared: Path) -> None:
    inner = {clip.name: clip for clip in read(shared, "nested-stack-retime-freeze.otio").clips}
    slowed, frozen = inner["Clip Inside A Stack 2"], inner["Clip Inside A Track"]
    assert abs(slowed.speed - Fraction(8545454551724138, 10**16)) < Fraction(1, 10**6)
    assert slowed.source.duration_s == slowed.record.duration_s * slowed.speed
    assert (frozen.speed, frozen.record.start_s, frozen.record.duration_s) == (0, Fraction(394, 24), Fraction(4, 24))
    assert frozen.source.start_s == Fraction(471, 24)


def test_a_dissolve_of_the_23_976_timeline_lies_over_its_cut(shared: Path) -> None:
    spine = [
        clip for clip in read(shared, "fcpx-23.976-storylines-audio-keyframes.fcpxml").clips if clip.kind == "video"
    ]
    opening = next(clip for clip in spine if clip.name.startswith("World of Stories"))
    interview = min((clip for clip in spine if clip.name == "00000"), key=lambda clip: clip.record.start_s)
    assert opening.record.end_s == Fraction(288288, 24000)
    assert interview.record.start_s == Fraction(268268, 24000)
    assert opening.fade_out_s == interview.fade_in_s == Fraction(20020, 24000)


def test_conformed_25_fps_media_play_frame_for_frame_at_24(shared: Path) -> None:
    first, second = [
        clip for clip in read(shared, "fcpx-24-with-25fps-media-start-1h.fcpxml").clips if clip.kind == "video"
    ]
    assert (first.record.start_s, first.record.duration_s) == (10, Fraction(9, 4))
    assert (first.speed, first.source.start_s) == (Fraction(24, 25), Fraction(684, 25))
    assert first.source.end_s == Fraction(738, 25)
    assert second.source.duration_s == Fraction(14204, 100)


def test_time_map_of_the_drop_frame_timeline(shared: Path) -> None:
    fast = [
        clip for clip in read(shared, "fcpx-29.97-drop-frame.fcpxml").clips if clip.speed != 1 and clip.kind == "video"
    ]
    assert [clip.speed for clip in fast] == [Fraction(9168210, 4436211), Fraction(9168210, 4681557)]
    assert fast[0].source.start_s == Fraction(427683, 30000) * fast[0].speed


def test_freezes_and_speed_of_the_edl(shared: Path) -> None:
    clips = read(shared, "speed-effects-freeze.edl").clips
    assert [clip.speed for clip in clips] == [1, 0, 0, 1, Fraction(476, 240)]


def test_dissolve_of_the_edl_starts_at_its_record_in(shared: Path) -> None:
    video = [clip for clip in read(shared, "premiere-25fps-dissolve-aud34.edl").clips if clip.kind == "video"]
    outgoing, incoming = next(
        (one, two) for one, two in itertools.pairwise(video) if one.record.end_s > two.record.start_s
    )
    assert incoming.record.start_s == Fraction((1 * 60 + 54) * 25 + 17, 25)
    assert outgoing.record.end_s - incoming.record.start_s == Fraction(70, 25)
    backwards = [clip for clip in video if clip.speed < 0]
    assert [(clip.speed, clip.source.start_s) for clip in backwards] == [(-1, 0)]


def test_aud_lines_reach_channels_3_and_4(shared: Path) -> None:
    clips = read(shared, "premiere-25fps-dissolve-aud34.edl").clips
    assert {clip.channels for clip in clips if clip.kind == "audio"} == {(0,), (1,), (2,), (3,)}


def test_tracks_of_the_dialogue_reel(shared: Path) -> None:
    tracks = [clip.track for clip in read(shared, "feature-dialogue-reel-24-mono-tracks.edl").clips]
    assert [tracks.count(number) for number in range(3)] == [325, 92, 49]


def test_kdenlive_mixes_are_dissolves_on_one_track(shared: Path) -> None:
    clips = read(shared, "kdenlive-mixes-markers-25fps.kdenlive").clips
    mixed = [clip for clip in clips if clip.kind == "video" and clip.track == 1]
    assert len(mixed) == 8
    overlaps = [
        one.record.end_s - two.record.start_s
        for one, two in itertools.pairwise(mixed)
        if one.record.end_s > two.record.start_s
    ]
    assert overlaps == [Fraction(frames, 25) for frames in (25, 25, 25, 214, 114)]


def test_pitivi_layers_and_crossfade(shared: Path) -> None:
    clips = read(shared, "pitivi-example-25fps.xges").clips
    dancers = [clip for clip in clips if clip.track == 0 and clip.kind == "video"]
    assert dancers[0].record.end_s - dancers[1].record.start_s == Fraction(1838981930, 10**9)
