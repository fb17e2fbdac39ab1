# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bridge's own arithmetic: rates, lanes, paths, effects; without an engine."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest

from immersivaudio.bridge import effect, host, timeline
from immersivaudio.v1 import effect_pb2


@pytest.mark.parametrize(
    ("frames", "base", "exact"),
    [
        (24, 1.0010000467300415, Fraction(24000, 1001)),  # Blender's float32 for 1.001
        (30, 1.0010000467300415, Fraction(30000, 1001)),
        (60, 1.0010000467300415, Fraction(60000, 1001)),
        (23.976, 1, Fraction(24000, 1001)),
        (29.97, 1, Fraction(30000, 1001)),
        (25, 1, Fraction(25)),
        (24, 1, Fraction(24)),
        (50, 2, Fraction(25)),
        (12.5, 1, Fraction(25, 2)),
    ],
)
def test_an_editors_rate_becomes_the_exact_one(frames: float, base: float, exact: Fraction) -> None:
    assert host.exact_rate(frames, base) == exact


@pytest.mark.parametrize(("frames", "base"), [(0, 1), (-25, 1), (float("nan"), 1), (float("inf"), 1)])
def test_what_is_no_rate_is_refused(frames: float, base: float) -> None:
    with pytest.raises(ValueError, match="no frame rate"):
        host.exact_rate(frames, base)


def test_a_lane_survives_the_line_exactly() -> None:
    clip = host.LaneClip(
        "step",
        "/a/b.wav",
        Fraction(1001, 24000),
        Fraction(1, 3),
        Fraction(7, 48000),
        -3.5,
        (host.GainPoint(0.0, 0.0), host.GainPoint(1.5, -9.0)),
        {"cue": "c1", "also": []},
    )
    lane = host.Lane("Immersivaudio Foley", "foley", (clip, replace(clip, name="next", start_s=Fraction(2))))
    assert host.Lane.from_json(lane.to_json()) == lane


RATE = 24000 / 1001
FIRST = 86400


def _range(start: float, frames: float) -> otio.opentime.TimeRange:
    return otio.opentime.TimeRange(otio.opentime.RationalTime(start, RATE), otio.opentime.RationalTime(frames, RATE))


def _track(name: str, url: str, generated: bool = True) -> otio.schema.Track:
    track = otio.schema.Track(name, kind=otio.schema.TrackKind.Audio)
    if generated:
        track.metadata["immersivaudio"] = {"stem": "foley", "generated": True}
    track.append(otio.schema.Gap(source_range=_range(0, 12)))
    media = otio.schema.ExternalReference(url, _range(FIRST, 1000))
    for start, frames in ((12, 30), (42, 5)):
        clip = otio.schema.Clip(f"at {start}", media, _range(FIRST + start, frames))
        clip.metadata["immersivaudio"] = {"cue": f"c{start}", "gain_curve": [[0.0, -6.0]]}
        track.append(clip)
    return track


def _timeline(*tracks: otio.schema.Track) -> otio.schema.Timeline:
    result = otio.schema.Timeline("cut", global_start_time=otio.opentime.RationalTime(FIRST, RATE))
    result.tracks.extend(tracks)
    return result


def test_tracks_of_a_result_become_exact_lanes() -> None:
    lanes = timeline.lanes(
        _timeline(_track("Immersivaudio Foley", "/x/cut.foley.wav")), {"cut.foley.wav": "/here/f.wav"}
    )
    assert [lane.name for lane in lanes] == ["Immersivaudio Foley"]
    first, second = lanes[0].clips
    assert (first.path, lanes[0].stem, first.cue["cue"]) == ("/here/f.wav", "foley", "c12")
    assert first.start_s == first.source_offset_s == Fraction(12 * 1001, 24000)
    assert first.duration_s == Fraction(30 * 1001, 24000)
    assert second.start_s == first.end_s
    # What the metadata tells of gain is in the file already; it must not be put on twice.
    assert (first.gain_db, first.gain_curve) == (0.0, ())


def test_gain_that_the_file_lacks_is_handed_on() -> None:
    track = _track("Immersivaudio Foley", "/x/f.wav")
    told = {"immersivaudio": {"gain_db": -4.0, "gain_curve": [[0.0, 0.0], [1.0, -9.0]]}}
    track[1].effects.append(otio.schema.Effect(effect_name="immersivaudio.gain", metadata=told))
    clip = timeline.lanes(_timeline(track), {"f.wav": "/f.wav"})[0].clips[0]
    assert clip.gain_db == -4.0
    assert clip.gain_curve == (host.GainPoint(0.0, 0.0), host.GainPoint(1.0, -9.0))


def test_only_new_tracks_of_ours_are_lanes() -> None:
    tracks = (_track("A1", "/x/f.wav", generated=False), _track("Immersivaudio Foley", "/old/earlier.wav"))
    assert timeline.lanes(_timeline(*tracks), {"f.wav": "/f.wav"}) == ()


def test_what_is_no_timeline_is_refused_with_a_sentence() -> None:
    with pytest.raises(host.HostError, match="no OpenTimelineIO timeline"):
        timeline.read("{")
    with pytest.raises(host.HostError, match="Send a timeline"):
        timeline.read(otio.schema.Clip("c").to_json_string())


def test_media_are_found_by_every_spelling_of_their_place(tmp_path: Path) -> None:
    plain, odd = tmp_path / "a.mp4", tmp_path / "b %20#.mp4"
    for path in (plain, odd):
        path.write_bytes(b"x")
    spellings = {
        str(plain): plain,
        plain.as_uri(): plain,
        f"file://localhost{plain}": plain,
        odd.as_uri(): odd,
        f"file://{odd}": odd,
    }
    clips = [
        otio.schema.Clip(url, otio.schema.ExternalReference(url)) for url in (*spellings, "https://x/y.mp4", "gone.mp4")
    ]
    track = otio.schema.Track(kind=otio.schema.TrackKind.Video, children=clips)
    assert timeline.media(_timeline(track)) == spellings


def _described(**changes: object) -> effect.Param:
    from google.protobuf import json_format

    message = effect_pb2.Param(name="density", type=effect_pb2.PARAM_TYPE_DOUBLE, **changes)
    text = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return effect.Param.from_json(text)


def test_a_param_keeps_what_the_engine_says_of_it() -> None:
    param = _described(label="Density", min=0.0, display_max=0.8, enabled=True, default_value={"number": 0.5})
    assert (param.kind, param.label, param.default) == (effect.ParamType.DOUBLE, "Density", 0.5)
    assert (param.min, param.max, param.display_max, param.enabled) == (0.0, None, 0.8, True)


def test_a_control_of_a_later_engine_is_known_as_unknown() -> None:
    param = effect.Param.from_json({"name": "colour", "type": "PARAM_TYPE_RGB"})
    assert param.kind is effect.ParamType.UNKNOWN
    assert not param.has_value


@pytest.mark.parametrize("value", [0.25, 2**40, True, "words", ""])
def test_values_survive_protobufs_json(value: effect.Value) -> None:
    from google.protobuf import json_format

    kinds = {float: effect.ParamType.DOUBLE, int: effect.ParamType.INTEGER, bool: effect.ParamType.BOOLEAN}
    kind = kinds.get(type(value), effect.ParamType.STRING)
    message = json_format.ParseDict(effect.value_to_json(kind, value), effect_pb2.ParamValue())
    back = effect.value_from_json(json_format.MessageToDict(message, preserving_proto_field_name=True))
    assert back == value
    assert type(back) is type(value)


def test_an_instance_holds_only_values_of_its_effect() -> None:
    density = effect.Param("density", effect.ParamType.DOUBLE, default=0.5)
    fold = effect.Param("fold", effect.ParamType.GROUP)
    made = effect.Effect("soundtrack", "Soundtrack", params=(density, fold))
    assert made.instance({"density": 1, "fold": 1, "stranger": 2})["params"] == {"density": {"number": 1.0}}
    assert made.defaults() == {"density": 0.5}
