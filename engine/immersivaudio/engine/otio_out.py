# SPDX-License-Identifier: AGPL-3.0-or-later
"""The user's timeline with one new audio track per stem; every clip is a cue and says where it comes from.

Dialect notes: Resolve refuses a ``source_range`` outside ``available_range`` and percent-encoded urls, and counts both in
the media's own timecode, which is the Broadcast WAV's time reference: the timeline's start.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio

from immersivaudio.engine.blobs import is_blob
from immersivaudio.engine.cue import Clip, Cue, CueSheet, Edit, Stem, Take, samples_at
from immersivaudio.engine.importers.exact import seconds
from immersivaudio.engine.mixing import MixResult, Placement, StemFile
from immersivaudio.engine.riding import Ride, without

NAMESPACE = "immersivaudio"
GAIN = f"{NAMESPACE}.gain"


@dataclass(frozen=True, slots=True)
class LaneFile:
    """A stem's WAV: the plain absolute path (or name to be completed) that it will have, and the ride it lacks."""

    url: str
    ride: Ride | None = None


@dataclass(frozen=True, slots=True)
class TakeFile:
    """A take's WAV: its url as :class:`LaneFile` has it, and the record's frames ``[first, end)`` that it covers."""

    url: str
    take: Take
    number: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A clip to be: frames ``[start, end)`` of the record, the cue that begins it, and those that still sound."""

    start: int
    end: int
    cue_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Sheet:
    """What clips are described from."""

    edit: Edit
    cues: Mapping[str, Cue]
    takes: Mapping[str, Take]

    @property
    def first_frame(self) -> int:
        """The timecode of the record's first frame, in frames."""
        return round(self.edit.start_timecode_s * self.edit.rate)

    @property
    def frames(self) -> int:
        """Whole frames in the record. A frame that its end cuts is not counted (media must cover every frame), but the
        hundredths that a container's milliseconds lose do not make it cut."""
        return max(1, math.floor(self.edit.duration_s * self.edit.rate + Fraction(1, 50)))

    def range(self, start: int, frames: Fraction | int) -> otio.opentime.TimeRange:
        rate = float(self.edit.rate)
        return otio.opentime.TimeRange(
            otio.opentime.RationalTime(start, rate), otio.opentime.RationalTime(float(frames), rate)
        )


def add_lanes(
    timeline: otio.schema.Timeline | None,
    edit: Edit,
    sheet: CueSheet,
    takes: Mapping[str, Take],
    mixed: MixResult,
    files: Mapping[str, LaneFile],
) -> otio.schema.Timeline:
    """A copy of ``timeline`` (a new one with the edit's picture where it is None) with a track per generated stem.

    ``files`` are named as ``StemFile.name`` has it: music in groups has a track for each of them. The tracks that were there stay as they are. A clip whose file lacks gain has it as an effect ``immersivaudio.gain``.
    """
    result = _new_timeline(edit, files) if timeline is None else copy.deepcopy(timeline)
    described = _Sheet(edit, {cue.id: cue for cue in sheet.cues}, takes)
    taken = {track.name for track in result.tracks}
    for file in mixed.lanes:
        if file.stem is not None and file.placements and file.name in files:
            track = _track(described, file, files[file.name], lead_frames(result, edit))
            track.name = _free_name(track.name, taken)
            result.tracks.append(track)
    return result


def add_takes(
    timeline: otio.schema.Timeline, edit: Edit, files: Mapping[str, Sequence[TakeFile]], *, references: bool
) -> None:
    """Tell each clip of ours, by its cue, which takes there are; with ``references`` each is a media reference of the clip
    too ("take 2"), beside the stem that it plays, where it covers what the clip shows, nothing else sounds there and the stem is whole."""
    sheet = _Sheet(edit, {}, {})
    for clip in timeline.find_clips():
        told = clip.metadata.get(NAMESPACE, {})
        found = files.get(str(told.get("cue", "")), ())
        if not found:
            continue
        told["takes"] = [
            {"number": one.number, "file": Path(one.url).name, "performer": one.take.performer, "seed": one.take.seed}
            for one in found
        ]
        held = clip.media_references()
        first = round(clip.source_range.start_time.value) - sheet.first_frame
        end = first + round(clip.source_range.duration.value)
        for one in found if references and not (told.get("also") or told.get("group")) else ():
            if one.first <= first and end <= one.end:
                held[f"take {one.number}"] = _take_reference(sheet, one)
        clip.set_media_references(held, clip.active_media_reference_key)


def _take_reference(sheet: _Sheet, one: TakeFile) -> otio.schema.ExternalReference:
    covered = sheet.range(sheet.first_frame + one.first, one.end - one.first)
    reference = otio.schema.ExternalReference(one.url, covered)
    reference.name = Path(one.url).name
    return reference


def _free_name(name: str, taken: set[str]) -> str:
    names = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
    return next(free for free in names if free not in taken)


def lead_frames(timeline: otio.schema.Timeline, edit: Edit) -> Fraction:
    """Frames of the stack before the record begins, where the stack itself is trimmed: whole ones, unless it is trimmed
    between two."""
    trimmed = timeline.tracks.source_range
    return Fraction(0) if trimmed is None else seconds(trimmed.start_time) * edit.rate


def _track(sheet: _Sheet, file: StemFile, lane: LaneFile, lead: Fraction) -> otio.schema.Track:
    stem = file.stem or Stem.DIALOGUE
    name = f"Immersivaudio {stem.value.title()} {file.group.title()}".rstrip()
    track = otio.schema.Track(name=name, kind=otio.schema.TrackKind.Audio)
    track.metadata["Resolve_OTIO"] = {"Audio Type": "Stereo"}
    track.metadata[NAMESPACE] = {"stem": stem.value, "generated": True, **_group(file.group)}
    places = {place.cue_id: place for place in file.placements}
    reached: Fraction | int = -lead
    for piece in _pieces(sheet, file.placements):
        if piece.start > reached:
            track.append(otio.schema.Gap(source_range=sheet.range(0, piece.start - reached)))
        track.append(_clip(sheet, piece, places, lane))
        track[-1].metadata[NAMESPACE].update(_group(file.group))
        track[-1].name += f" ({file.group})" if file.group else ""
        reached = piece.end
    return track


def _group(group: str) -> dict[str, str]:
    """The instrument group of a lane or clip as metadata; nothing for a stem that is whole."""
    return {"group": group} if group else {}


def _pieces(sheet: _Sheet, placements: tuple[Placement, ...]) -> list[_Piece]:
    """Cues in whole frames, rounded outward. A cue that begins while another sounds begins a new clip there, and that
    clip goes on until all of them have ended."""
    spans = sorted((*_frames(place, sheet), place.cue_id) for place in placements)
    starts = sorted({start for start, _, _ in spans})
    pieces = []
    for start, following in zip(starts, [*starts[1:], sheet.frames], strict=True):
        begun = [cue_id for begin, _, cue_id in spans if begin == start]
        still = [(end, cue_id) for begin, end, cue_id in spans if begin < start < end]
        end = max([end for begin, end, _ in spans if begin == start] + [end for end, _ in still])
        pieces.append(_Piece(start, min(end, following), (*begun, *(cue_id for _, cue_id in still))))
    return pieces


def _frames(place: Placement, sheet: _Sheet) -> tuple[int, int]:
    per_sample = sheet.edit.rate / 48_000
    start = min(math.floor(place.start * per_sample), sheet.frames - 1)
    return start, min(sheet.frames, max(start + 1, math.ceil((place.start + place.samples) * per_sample)))


def _clip(sheet: _Sheet, piece: _Piece, places: Mapping[str, Placement], lane: LaneFile) -> otio.schema.Clip:
    cue = sheet.cues[piece.cue_ids[0]]
    clip = otio.schema.Clip(
        name=cue.prompt or cue.sound,
        media_reference=_reference(sheet, lane.url),
        source_range=sheet.range(sheet.first_frame + piece.start, piece.end - piece.start),
    )
    clip_start = samples_at(piece.start / sheet.edit.rate)
    first, *others = (
        _told(sheet.cues[cue_id], sheet.takes[cue_id], _as_written(places[cue_id], lane.ride), clip_start)
        for cue_id in piece.cue_ids
    )
    clip.metadata[NAMESPACE] = {**first, "also": others, "generated": True}
    if lane.ride is not None:
        clip.effects.append(_gain(lane.ride, piece, sheet.edit.rate))
    return clip


def _as_written(place: Placement, ride: Ride | None) -> Placement:
    """``place`` with the gain that is in the file."""
    return place if ride is None else replace(place, gain_curve=without(place.gain_curve, ride, place.start))


def _gain(ride: Ride, piece: _Piece, rate: Fraction) -> otio.schema.Effect:
    """The gain that a clip's file lacks: ``gain_db`` throughout, and a curve in seconds from the clip's start."""
    curve = ride.within(float(piece.start / rate), float((piece.end - piece.start) / rate))
    points = [[round(point.at_s, 6), round(point.gain_db, 3)] for point in curve]
    return otio.schema.Effect(
        effect_name=GAIN, metadata={NAMESPACE: {"gain_db": round(ride.gain_db, 3), "gain_curve": points}}
    )


def _reference(sheet: _Sheet, url: str) -> otio.schema.ExternalReference:
    """A stem's WAV: as long as the record, its timecode the record's."""
    reference = otio.schema.ExternalReference(url, sheet.range(sheet.first_frame, sheet.frames))
    reference.name = Path(url).name
    return reference


def _told(cue: Cue, take: Take, place: Placement, clip_start: int) -> dict[str, Any]:
    """A cue as metadata. ``sample_offset`` is where it begins, in samples from the clip's first (negative: before)."""
    return {
        "cue": cue.id,
        "stem": cue.stem.value,
        "sound": cue.sound,
        "prompt": cue.prompt,
        "why": cue.why,
        "performer": take.performer,
        "performer_version": take.performer_version,
        "seed": take.seed,
        "licence": take.licence.name,
        "take": take.key,
        "sync_s": [float(moment) for moment in cue.sync_s],
        "params": {**cue.params, **take.pins},
        "record_start_sample": place.start,
        "samples": place.samples,
        "sample_offset": place.start - clip_start,
        "gain_curve": [[round(point.at_s, 6), round(point.gain_db, 3)] for point in place.gain_curve],
    }


def _new_timeline(edit: Edit, files: Mapping[str, LaneFile]) -> otio.schema.Timeline:
    """A timeline of the edit's picture, and its original sound where that is kept."""
    sheet = _Sheet(edit, {}, {})
    timeline = otio.schema.Timeline(edit.name)
    timeline.global_start_time = otio.opentime.RationalTime(sheet.first_frame, float(edit.rate))
    timeline.metadata["Resolve_OTIO"] = {"Resolve OTIO Meta Version": "1.0"}
    picture = otio.schema.Track("Picture", kind=otio.schema.TrackKind.Video)
    for clip in edit.picture[:1]:
        whole = sheet.range(sheet.first_frame, sheet.frames)
        media = otio.schema.ExternalReference(_place_of(clip), whole)
        picture.append(otio.schema.Clip(clip.name, media_reference=media, source_range=whole))
    timeline.tracks.append(picture)
    if Stem.DIALOGUE in files:
        timeline.tracks.append(_original_track(sheet, files[Stem.DIALOGUE].url))
    return timeline


def _place_of(clip: Clip) -> str:
    """Where a clip's media lies for its owner: what was uploaded has a name for that, no place."""
    return clip.name if clip.media and is_blob(Path(clip.media)) else clip.media or ""


def _original_track(sheet: _Sheet, url: str) -> otio.schema.Track:
    track = otio.schema.Track("Original", kind=otio.schema.TrackKind.Audio)
    track.metadata["Resolve_OTIO"] = {"Audio Type": "Stereo"}
    whole = sheet.range(sheet.first_frame, sheet.frames)
    track.append(otio.schema.Clip("original", media_reference=_reference(sheet, url), source_range=whole))
    return track
