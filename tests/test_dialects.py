# SPDX-License-Identifier: AGPL-3.0-or-later
"""Levels in an editor's own terms on the way out."""

from __future__ import annotations

import opentimelineio as otio
import pytest

from immersivaudio.engine import dialects_out, riding


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
