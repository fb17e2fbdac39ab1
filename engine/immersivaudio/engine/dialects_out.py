# SPDX-License-Identifier: AGPL-3.0-or-later
"""A finished timeline in an editor's own terms, where plain OpenTimelineIO has none: levels are no part of it.

Our clips carry gain that their file still lacks as an effect ``immersivaudio.gain``; stems that are mixed lack none, and
what their metadata tells of gain is in them already.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Mapping, Sequence
from typing import Any

import opentimelineio as otio

from immersivaudio.engine.otio_out import NAMESPACE

GAIN = f"{NAMESPACE}.gain"
_LEAST_DB, _MOST_DB = -100.0, 30.0


def for_fairlight(timeline: otio.schema.Timeline) -> otio.schema.Timeline:
    """A copy whose clips have their gain as Fairlight's clip volume too: a level, and keyframes that run straight in
    decibels between whole frames, counted from the clip's first."""
    result = copy.deepcopy(timeline)
    for clip in result.find_clips():
        told = next((effect.metadata.get(NAMESPACE, {}) for effect in clip.effects if effect.effect_name == GAIN), None)
        if told is not None:
            clip.effects.append(_volume(clip.trimmed_range().duration, told))
    return result


def _volume(duration: otio.opentime.RationalTime, told: Mapping[str, Any]) -> otio.schema.Effect:
    gain_db = float(told.get("gain_db", 0.0))
    points = [(float(at_s), float(level_db)) for at_s, level_db in told.get("gain_curve", ())]
    keys = {
        str(frame): {"Value": _bounded(gain_db + level_db), "Variant Type": "Double"}
        for frame, level_db in keyframes(points, duration.rate, round(duration.value))
    }
    value = keys["0"]["Value"] if keys else _bounded(gain_db)
    volume = {
        "Parameter ID": "volume",
        "Parameter Value": value,
        "Default Parameter Value": 0.0,
        "minValue": _LEAST_DB,
        "maxValue": _MOST_DB,
        "Variant Type": "Double",
        "Key Frames": keys,
    }
    about = {"Effect Name": "Fairlight Clip Volume and Fades", "Name": "Volume", "Type": 62, "Enabled": True}
    known = {"Resolve_OTIO": {**about, "Parameters": [volume]}}
    return otio.schema.Effect(effect_name="Resolve Effect", metadata=known)


def keyframes(points: Sequence[tuple[float, float]], rate_hz: float, frames: int) -> list[tuple[int, float]]:
    """``(seconds, decibels)`` as ``(frame, decibels)`` inside ``[0, frames)``, the first at 0; none for no points.

    Each frame gets the curve's own value there, so rounding to frames changes slopes but never levels.
    """
    if not points or frames < 1:
        return []
    inside = {min(max(0, round(at_s * rate_hz)), frames - 1) for at_s, _ in points}
    times = [at_s for at_s, _ in points]
    return [(frame, _at(points, times, frame / rate_hz)) for frame in sorted(inside | {0})]


def _at(points: Sequence[tuple[float, float]], times: Sequence[float], at_s: float) -> float:
    """The curve at a moment: straight in decibels, held outside."""
    after = bisect.bisect_right(times, at_s)
    if after == 0 or after == len(points):
        return points[min(after, len(points) - 1)][1]
    (start_s, start_db), (end_s, end_db) = points[after - 1], points[after]
    return start_db + (end_db - start_db) * (at_s - start_s) / (end_s - start_s)


def _bounded(level_db: float) -> float:
    return min(max(round(level_db, 4), _LEAST_DB), _MOST_DB)
