# SPDX-License-Identifier: AGPL-3.0-or-later
"""Levels in an editor's own terms on the way out."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest

from immersivaudio.bridge.stdio import Link
from immersivaudio.engine import conform, dialects_out, riding


def _timeline(*effects: otio.schema.Effect) -> otio.schema.Timeline:
    clip = otio.schema.Clip("step", source_range=otio.opentime.range_from_start_end_time(_time(86400), _time(86448)))
    clip.effects.extend(effects)
    timeline = otio.schema.Timeline("cut")
    timeline.tracks.append(otio.schema.Track(kind=otio.schema.TrackKind.Audio, children=[clip]))
    return timeline


def _time(frames: int) -> otio.opentime.RationalTime:
    return otio.opentime.RationalTime(frames, 24)


def _gain(**told: object) -> otio.schema.Effect:
    return otio.schema.Effect(effect_name="immersivaudio.gain", metadata={"immersivaudio": told})


def test_gain_becomes_fairlights_volume_with_keyframes_from_the_clips_start() -> None:
    before = _timeline(_gain(gain_db=-4.0, gain_curve=[[0.5, 0.0], [1.0, -9.0], [9.0, -9.0]]))
    after = dialects_out.for_fairlight(before)
    assert len(next(iter(before.find_clips())).effects) == 1
    ours, theirs = next(iter(after.find_clips())).effects
    assert ours.effect_name == "immersivaudio.gain"
    told = theirs.metadata["Resolve_OTIO"]
    assert (theirs.effect_name, told["Effect Name"], told["Type"]) == (
        "Resolve Effect",
        "Fairlight Clip Volume and Fades",
        62,
    )
    volume = told["Parameters"][0]
    levels = {int(frame): key["Value"] for frame, key in volume["Key Frames"].items()}
    assert levels == {0: -4.0, 12: -4.0, 24: -13.0, 47: -13.0}
    assert (volume["Parameter Value"], volume["minValue"], volume["maxValue"]) == (-4.0, -100.0, 30.0)


def test_a_level_alone_needs_no_keyframes_and_stays_in_range() -> None:
    after = dialects_out.for_fairlight(_timeline(_gain(gain_db=48.0)))
    volume = next(iter(after.find_clips())).effects[1].metadata["Resolve_OTIO"]["Parameters"][0]
    assert (volume["Parameter Value"], dict(volume["Key Frames"])) == (30.0, {})


def test_a_mixed_stem_gets_no_second_gain() -> None:
    timeline = _timeline()
    next(iter(timeline.find_clips())).metadata["immersivaudio"] = {"gain_curve": [[0.0, -6.0]]}
    assert dialects_out.for_fairlight(timeline).is_equivalent_to(timeline)


@pytest.mark.parametrize("rate_hz", [24000 / 1001, 25.0, 30000 / 1001])
def test_a_keyframe_has_the_curves_own_level_at_its_frame(rate_hz: float) -> None:
    points = [(0.0, 0.0), (1.0, -10.0), (2.0, 0.0)]
    for frame, level_db in riding.keyframes(points, rate_hz, round(2 * rate_hz)):
        at_s = frame / rate_hz
        assert level_db == pytest.approx(-10 * at_s if at_s <= 1 else -10 * (2 - at_s), abs=1e-9)


@pytest.mark.parametrize("capabilities", [["gain-curves"], []])
def test_a_host_that_plays_levels_gets_the_ducking_as_levels(
    shared: Path, tmp_path: Path, capabilities: list[str]
) -> None:
    clip = otio.schema.Clip(
        "talk", otio.schema.ExternalReference(str(shared / "media/video/speech-1940-office-bw.mp4"))
    )
    clip.source_range = otio.opentime.range_from_start_end_time(
        otio.opentime.RationalTime(0, 30), otio.opentime.RationalTime(150, 30)
    )
    tracks = [otio.schema.Track(kind=kind, children=[clip.deepcopy()]) for kind in ("Video", "Audio")]
    timeline = otio.schema.Timeline("talk", tracks=tracks)
    link = Link(
        [sys.executable, "-m", "immersivaudio.bridge.stdio", "--engine", "auto", "--home", str(tmp_path / "home")]
    )
    try:
        link.ask("handshake", {"host": {"name": "test", "capabilities": capabilities}})
        asked = {"timeline": timeline.to_json_string(), "params": {"original": "keep"}}
        job = link.ask("render", asked)["job"]
        while (event := link.next_event(120.0)) is not None and event["method"] not in ("done", "failed"):
            pass
        assert event is not None and event["method"] == "done", event
        lanes = link.ask("result", {"job": job, "folder": str(tmp_path)})["lanes"]
    finally:
        link.close()
    levels = {point["gain_db"] for lane in lanes for one in lane["clips"] for point in one["gain_curve"]}
    assert (min(levels) <= -4.5) if capabilities else not levels


def test_the_timeline_of_the_guide_is_enough() -> None:
    guide = (Path(__file__).parents[1] / "docs/writing-an-editor-script.md").read_text()
    written = guide.split("```json\n")[1].split("```")[0]
    edit = conform.from_json(written)[1]
    assert [(clip.kind, clip.source.start_s, clip.record.duration_s) for clip in edit.clips] == [
        ("video", 2, Fraction(100, 24))
    ]
