# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finished lanes as sound strips on channels that were free, and the way back."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import compat
from .bridge.host import GainPoint, HostError, Lane, LaneClip, Receipt
from .gather import MARK

COLOURS = {"ambience": "COLOR_04", "foley": "COLOR_02", "effects": "COLOR_01", "music": "COLOR_06"}
STEP_DB = 3.0
LOUDEST = 100.0
NOTICED_S = Fraction(1, 1000)


Laying = Generator[None, None, Receipt]


@dataclass(frozen=True)
class Origin:
    """Where and in which edit a result belongs: the frame that is its zero, the rate, its id and folder."""

    first_frame: int
    rate: Fraction
    result: str
    folder: str
    made: float


@dataclass(frozen=True)
class Placement:
    """A clip in whole frames: its sound begins at ``content``, it is heard in ``[start, end)``; ``late_s`` is what
    the sound must wait beyond the whole frame, at most half a frame either way."""

    clip: LaneClip
    content: int
    start: int
    end: int
    late_s: Fraction


def placements(clips: Sequence[LaneClip], first_frame: int, rate: Fraction) -> list[Placement]:
    """Clips of one lane in whole frames, without overlap. A clip takes the whole frame in which it begins, so that
    no attack is cut; the one before gives that frame up."""
    placed = []
    for number, clip in enumerate(clips):
        zero = first_frame + (clip.start_s - clip.source_offset_s) * rate
        content = math.floor(zero + Fraction(1, 2))
        end = math.ceil(first_frame + clip.end_s * rate)
        if number + 1 < len(clips):
            end = min(end, math.floor(first_frame + clips[number + 1].start_s * rate))
        start = math.floor(first_frame + clip.start_s * rate)
        placed.append(Placement(clip, content, start, max(end, start + 1), (zero - content) / rate))
    return placed


def laying(find: Callable[[], Any], lanes: Iterable[Lane], origin: Origin) -> Laying:
    """Place every clip, one a step, since each takes Blender some hundredths of a second; then count what is there.

    ``find`` gives the scene anew for every step: an undo in between makes what was held before worthless.
    """
    wanted, problems = 0, []
    for lane in lanes:
        spots = placements(lane.clips, origin.first_frame, origin.rate)
        wanted += len(spots)
        if not spots:
            continue
        channel = _free_channel(find().sequence_editor_create(), lane.name, spots[0].start, spots[-1].end)
        if channel is None:
            problems.append(_no_channel(lane))
            continue
        for spot in spots:
            problems += _tried(find(), channel, spot, lane, origin)
            yield
    return Receipt(_counted(find(), origin), wanted, tuple(dict.fromkeys(problems)))


def lay(scene, lanes: Iterable[Lane], origin: Origin) -> Receipt:
    """:func:`laying` in one go."""
    steps = laying(lambda: scene, lanes, origin)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _tried(scene, channel: int, spot: Placement, lane: Lane, origin: Origin) -> list[str]:
    """Place one clip; what went wrong, in at most one sentence."""
    try:
        _place(scene, channel, spot, lane, origin)
    except (RuntimeError, HostError) as error:
        return [f"{spot.clip.name}: {error}".strip()]
    if not compat.HAS_SOUND_OFFSET and abs(spot.late_s) > NOTICED_S:
        return ["Before Blender 4.4 sound begins on whole frames only: some of it is up to half a frame off."]
    return []


def _counted(scene, origin: Origin) -> int:
    """Strips of this laying that are in the edit now."""
    labels = (label_of(strip) for strip in compat.all_strips(scene))
    return sum((label.get("result"), label.get("made")) == (origin.result, origin.made) for label in labels)


def _place(scene, channel: int, spot: Placement, lane: Lane, origin: Origin) -> None:
    """Make one strip and read back where it lies.

    Raises:
        RuntimeError: Blender cannot read the file. HostError: the strip is not where it must be.
    """
    clip, strips = spot.clip, compat.strips_of(scene.sequence_editor)
    # The whole file is longer than its place: made where nothing is, and trimmed before it moves in.
    path = compat.portable(clip.path)
    strip = strips.new_sound(name=clip.name, filepath=path, channel=_bench(strips), frame_start=spot.content)
    _share_sound(strip, strips)
    compat.set_handles(strip, spot.start, spot.end)
    strip.channel = channel
    if compat.HAS_SOUND_OFFSET and spot.late_s:
        strip.sound_offset = float(spot.late_s)
    strip.color_tag = COLOURS.get(lane.stem, "NONE")
    strip.show_waveform = True
    strip.select = False
    strip[MARK] = json.dumps(_label(clip, lane, origin))
    _level(scene, strip, clip, origin)
    if (strip.channel, compat.start_of(strip), compat.end_of(strip)) != (channel, spot.start, spot.end):
        remove_strip(scene, strip)
        raise HostError(f"it could not be placed at frame {spot.start}.")


def _bench(strips) -> int:
    """The topmost channel without strips."""
    used = {strip.channel for strip in strips}
    return next((n for n in range(compat.USABLE_CHANNELS, 0, -1) if n not in used), compat.USABLE_CHANNELS)


def _label(clip: LaneClip, lane: Lane, origin: Origin) -> dict:
    return {
        "result": origin.result,
        "made": origin.made,
        "folder": compat.portable(origin.folder),
        "lane": lane.name,
        "stem": lane.stem,
        "clip": clip.to_json(),
        "first_frame": origin.first_frame,
    }


def _share_sound(strip, strips) -> None:
    """Let strips cut from one file share one sound, so that it is held and drawn once."""
    own = strip.sound
    ours = (other for other in strips if other != strip and MARK in other and other.type == "SOUND" and other.sound)
    shared = next((other.sound for other in ours if other.sound.filepath == own.filepath), own)
    if shared != own:
        strip.sound = shared
        bpy.data.sounds.remove(own)


def _level(scene, strip, clip: LaneClip, origin: Origin) -> None:
    points = clip.gain_curve
    strip.volume = _linear(clip.gain_db + (points[0].gain_db if points else 0.0))
    if len({point.gain_db for point in points}) < 2:
        return
    for point in smooth(points):
        strip.volume = _linear(clip.gain_db + point.gain_db)
        at_s = clip.start_s + Fraction(point.at_s)
        strip.keyframe_insert("volume", frame=float(origin.first_frame + at_s * origin.rate))
    curve = _volume_curve(scene, strip)
    for key in curve.keyframe_points if curve else ():
        key.interpolation = "LINEAR"


def _volume_curve(scene, strip):
    path = strip.path_from_id("volume")
    return next((curve for curve in compat.curves_of(scene) or () if curve.data_path == path), None)


def smooth(points: Sequence[GainPoint]) -> list[GainPoint]:
    """More points between those that lie far apart: Blender runs straight in volume, a gain curve in decibels."""
    result = [points[0]]
    for before, after in itertools.pairwise(points):
        steps = max(1, math.ceil(abs(after.gain_db - before.gain_db) / STEP_DB))
        for step in range(1, steps + 1):
            part = step / steps
            at_s = before.at_s + (after.at_s - before.at_s) * part
            result.append(GainPoint(at_s, before.gain_db + (after.gain_db - before.gain_db) * part))
    return result


def _linear(gain_db: float) -> float:
    return min(10 ** (gain_db / 20), LOUDEST)


def _free_channel(editor, name: str, start: int, end: int) -> int | None:
    """A channel of ours of that name with room, else the lowest empty one above every strip, else any with room."""
    used: dict[int, list] = {}
    for strip in compat.strips_of(editor):
        used.setdefault(strip.channel, []).append(strip)
    channels = [number for number in range(1, compat.USABLE_CHANNELS + 1) if not editor.channels[number].lock]
    above = max(used, default=0) + 1
    own = [n for n in channels if editor.channels[n].name == name and all(MARK in s for s in used.get(n, ()))]
    empty = [n for n in channels if n >= above] + [n for n in channels if n not in used]
    for number in (*own, *empty, *channels):
        free = all(compat.end_of(strip) <= start or compat.start_of(strip) >= end for strip in used.get(number, ()))
        if free:
            if number not in used:
                editor.channels[number].name = name
            return number
    return None


def label_of(strip) -> dict:
    """What was written on a strip of ours; empty for a strip that is not."""
    try:
        return json.loads(strip[MARK])
    except (KeyError, TypeError, ValueError):
        return {}


def last_result(scene) -> str:
    """The id of the newest result in the edit; empty where there is none."""
    labels = [label_of(strip) for strip in compat.all_strips(scene)]
    made = {label["result"]: label["made"] for label in labels if label}
    return max(made, key=made.get, default="")


def remove_result(scene, result: str) -> int:
    """Take every strip of a result away, and our names off channels that are empty then; how many went."""
    strips = compat.strips_of(scene.sequence_editor) if scene.sequence_editor else ()
    ours = [strip for strip in strips if label_of(strip).get("result") == result]
    if not ours:
        return 0
    names = {label_of(strip)["lane"] for strip in ours}
    for strip in ours:
        remove_strip(scene, strip)
    _unname_empty(scene, names)
    return len(ours)


def _unname_empty(scene, names: set[str]) -> None:
    """Take our ``names`` off channels that are empty."""
    used = {strip.channel for strip in compat.strips_of(scene.sequence_editor)}
    for number in range(1, compat.USABLE_CHANNELS + 1):
        channel = scene.sequence_editor.channels[number]
        if channel.name in names and number not in used:
            channel.name = f"Channel {number}"


def remove_strip(scene, strip) -> None:
    """Take one strip away with the animation of its volume."""
    curve = _volume_curve(scene, strip)
    if curve is not None:
        compat.curves_of(scene).remove(curve)
    compat.strips_of(scene.sequence_editor).remove(strip)


def replace_cue(scene, strip, lanes: Iterable[Lane], origin: Origin) -> Receipt:
    """Put a new performance of one cue in the place of ``strip``; every other strip stays as it is. Music in instrument
    groups is one performance: each group's strip is replaced, and what plays anew or no more gets a channel or goes.

    Raises:
        HostError: the new result does not hold that cue, or its files are gone; nothing was changed.
    """
    label = label_of(strip)
    cue = label["clip"]["cue"].get("cue", "")
    new = [only for lane in lanes if lane.stem == label["stem"] and (only := lane.of_cue(cue)).clips]
    if not new:
        raise HostError("That cue is no longer on the sheet, so there is nothing to put in its place.")
    missing = [clip.path for lane in new for clip in lane.clips if not Path(clip.path).is_file()]
    if missing:
        raise HostError(f"{missing[0]} is not there. Perform it again.")
    old = _by_group(scene, strip)
    channels = {group: one.channel for group, one in old.items()}
    names = {label_of(one)["lane"] for one in old.values()}
    for one in old.values():
        remove_strip(scene, one)
    problems = [said for lane in new for said in _exchanged(scene, channels.get(lane.group), lane, origin)]
    _unname_empty(scene, names)
    wanted = sum(len(lane.clips) for lane in new)
    return Receipt(_counted(scene, origin), wanted, tuple(dict.fromkeys(problems)))


def _by_group(scene, strip) -> dict:
    """``strip`` by its instrument group, and the strips nearest to it that hold the others of its performance."""
    label = label_of(strip)
    cue, at = label["clip"]["cue"], compat.start_of(strip)
    found = {cue.get("group", ""): strip}
    others = sorted(compat.strips_of(scene.sequence_editor), key=lambda one: abs(compat.start_of(one) - at))
    for other in others if cue.get("group") else ():
        told = label_of(other)
        played = told.get("clip", {}).get("cue", {})
        if (told.get("result"), played.get("cue")) == (label["result"], cue.get("cue")) and played.get("group"):
            found.setdefault(played["group"], other)
    return found


def _exchanged(scene, channel: int | None, lane: Lane, origin: Origin) -> list[str]:
    """Place ``lane`` on ``channel``, no wider than the strips beside it leave room for, or on one of its own."""
    spots = placements(lane.clips, origin.first_frame, origin.rate)
    if channel is None:
        channel = _free_channel(scene.sequence_editor, lane.name, spots[0].start, spots[-1].end)
    if channel is None:
        return [_no_channel(lane)]
    others = [other for other in compat.strips_of(scene.sequence_editor) if other.channel == channel]
    return [said for spot in spots for said in _tried(scene, channel, _fitted(spot, others), lane, origin)]


def _no_channel(lane: Lane) -> str:
    return f"No channel is free for {lane.name}: free one and score again."


def _fitted(spot: Placement, others: Sequence) -> Placement:
    """``spot`` without the frames that another strip holds before or after it."""
    before = [compat.end_of(other) for other in others if compat.start_of(other) <= spot.start < compat.end_of(other)]
    start = max([spot.start, *before])
    after = [compat.start_of(other) for other in others if start < compat.start_of(other) < spot.end]
    return replace(spot, start=start, end=max(start + 1, min([spot.end, *after])))
