# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finished lanes as clips on new stereo tracks. What was placed is read back, never taken from what a call returned."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from . import bins
from .access import Edit, can
from .bridge.host import HostError, Lane, Receipt, exact_rate
from .spots import Counted, Spot, spots

COLOURS = {"ambience": "Teal", "foley": "Orange", "effects": "Purple", "music": "Pink"}
AUDIO_ONLY = 2
_UNWRITTEN = "What each sound is could not be written on some clips."


@dataclass(frozen=True)
class Delivery:
    """A result to be laid: its id, when it was made (seconds since 1970, and as a bin's name)."""

    id: str
    made: float
    date: str


def lay(edit: Edit, lanes: Sequence[Lane], delivery: Delivery) -> Receipt:
    """Place every clip on tracks of our own, look again, place once more what is missing, and count what is there.

    Raises:
        HostError: nothing could be placed; nothing of ours is left then.
    """
    paths = list(dict.fromkeys(clip.path for lane in lanes for clip in lane.clips))
    if not paths:
        return Receipt(0, 0, ("Nothing in this range needed sound.",))
    folder = bins.make(edit, delivery.date)
    items = bins.bring_in(edit, folder, paths)
    receipts = [_laid(edit, lane, items, delivery) for lane in lanes]
    receipt = together(receipts)
    if not receipt.placed:
        bins.discard(edit, folder, tuple(items.values()))
        raise HostError(" ".join((*receipt.problems, f"The sound lies in {_parent(paths[0])}.")))
    return receipt


def together(receipts: Sequence[Receipt]) -> Receipt:
    """What became of several lanes; each problem once."""
    placed, wanted = sum(receipt.placed for receipt in receipts), sum(receipt.wanted for receipt in receipts)
    return Receipt(placed, wanted, tuple(dict.fromkeys(said for receipt in receipts for said in receipt.problems)))


def _laid(edit: Edit, lane: Lane, items: Mapping[str, Any], delivery: Delivery) -> Receipt:
    """What became of one lane; one that has no track does not keep the others away."""
    label(edit, lane, items, delivery)
    lost = sorted({_name(clip.path) for clip in lane.clips if clip.path not in items})
    refused = tuple(f"Resolve did not import {name}." for name in lost)
    laying = Laying(edit, lane, items, delivery)
    try:
        receipt = laying.lay()
    except HostError as error:
        receipt = Receipt(0, laying.wanted, (str(error),))
    return Receipt(receipt.placed, receipt.wanted, (*refused, *receipt.problems))


def label(edit: Edit, lane: Lane, items: Mapping[str, Any], delivery: Delivery) -> None:
    """Write whose the files of a lane are."""
    told = {"result": delivery.id, "made": delivery.made, "timeline": edit.timeline.GetUniqueId()}
    for path in {clip.path for clip in lane.clips if clip.path in items}:
        bins.label(items[path], {**told, "lane": lane.name, "stem": lane.stem})


class Laying:
    """One lane on its way onto one new track."""

    def __init__(self, edit: Edit, lane: Lane, items: Mapping[str, Any], delivery: Delivery) -> None:
        self.edit, self.lane, self.items, self.delivery = edit, lane, items, delivery
        here = [clip for clip in lane.clips if clip.path in items]
        media = _counted(items[here[0].path], edit.rate) if here else Counted(edit.rate)
        self.spots = spots(here, edit.first_frame, edit.rate, media)
        self.wanted = len(self.spots) + len({clip.path for clip in lane.clips if clip.path not in items})

    def lay(self) -> Receipt:
        if not self.spots:
            return Receipt(0, self.wanted)
        track = self._new_track()
        receipt = self.onto(track)
        if not receipt.placed:
            self.edit.timeline.DeleteTrack("audio", track)
        return receipt

    def onto(self, track: int) -> Receipt:
        """Place every clip on a track of ours."""
        with _room_for(self.edit, track):
            self._append(track, self.spots)
            for spot in self._missing(track):
                self._append(track, [spot])
        missing = self._missing(track)
        problems = [f"{spot.clip.name} could not be placed at frame {spot.record}." for spot in missing]
        problems += self._dress(track)
        return Receipt(len(self.spots) - len(missing), self.wanted, tuple(problems))

    def _new_track(self) -> int:
        """A stereo track of our own at the end; its index.

        Raises:
            HostError: Resolve made none.
        """
        timeline = self.edit.timeline
        before = int(timeline.GetTrackCount("audio"))
        names = {timeline.GetTrackName("audio", number) for number in range(1, before + 1)}
        timeline.AddTrack("audio", "stereo")
        track = int(timeline.GetTrackCount("audio"))
        if track != before + 1:
            raise HostError(f"Resolve made no audio track for {self.lane.name}. Unlock the timeline, then try again.")
        timeline.SetTrackName("audio", track, bins.free_name(self.lane.name, names))
        return track

    def _append(self, track: int, some: Sequence[Spot]) -> None:
        told = [
            {
                "mediaPoolItem": self.items[spot.clip.path],
                "startFrame": spot.source,
                "endFrame": spot.source_end,
                "mediaType": AUDIO_ONLY,
                "trackIndex": track,
                "recordFrame": spot.record,
            }
            for spot in some
        ]
        self.edit.pool.AppendToTimeline(told)

    def _there(self, track: int) -> dict[tuple[int, int], Any]:
        items = self.edit.timeline.GetItemListInTrack("audio", track) or ()
        return {(int(item.GetStart()), int(item.GetDuration())): item for item in items}

    def _missing(self, track: int) -> list[Spot]:
        there = self._there(track)
        return [spot for spot in self.spots if (spot.record, spot.frames) not in there]

    def _dress(self, track: int) -> list[str]:
        """Name, colour, level and our record on every clip that is there; what could not be done."""
        there, problems = self._there(track), []
        for spot in self.spots:
            item = there.get((spot.record, spot.frames))
            if item is None:
                continue
            item.SetClipColor(COLOURS.get(self.lane.stem, "Beige"))
            if self.edit.build.names_clips:
                item.SetName(spot.clip.name)
            problems += self._level(item, spot)
            if not self._write_record(item, spot):
                problems.append(_UNWRITTEN)
        return problems

    def _level(self, item: Any, spot: Spot) -> list[str]:
        """The gain that a file still lacks; the engine's stems lack none, and their fades are in them."""
        clip = spot.clip
        if clip.gain_curve:
            return [f"{self.lane.name}: levels that move cannot be written by a script in Resolve."]
        if not clip.gain_db:
            return []
        if self.edit.build.sets_levels and can(item, "SetProperties"):
            item.SetProperties({"AudioVolume": clip.gain_db})
            return []
        return [f"{clip.name} should be {clip.gain_db:+.1f} dB: Resolve {self.edit.build.text} lets no script set it."]

    def _write_record(self, item: Any, spot: Spot) -> bool:
        """A marker on our own clip: what it is and why, and hidden in it what the clip can be made again from."""
        cue = spot.clip.cue
        told = {name: cue.get(name, "") for name in ("cue", "take", "group")}
        hidden = json.dumps({"result": self.delivery.id, **told})
        about = (spot.clip.name, str(cue.get("why", "")), 1, hidden)
        return bool(item.AddMarker(0, "Cyan", *about)) or bool(item.AddMarker(spot.source, "Cyan", *about))


@contextlib.contextmanager
def _room_for(edit: Edit, track: int) -> Iterator[None]:
    """Before 20.2.2 Resolve refused an audio track whose number no video track had: lend it some, empty, meanwhile."""
    timeline = edit.timeline
    before = int(timeline.GetTrackCount("video"))
    lent = max(0, track - before) if edit.build.counts_video_tracks else 0
    try:
        for _ in range(lent):
            timeline.AddTrack("video")
        yield
    finally:
        for number in range(int(timeline.GetTrackCount("video")), before, -1):
            timeline.DeleteTrack("video", number)


def _counted(item: Any, otherwise: Fraction) -> Counted:
    """A WAV is counted in frames of the project that it was imported into, whatever its timeline's rate is."""
    try:
        return Counted(exact_rate(float(item.GetClipProperty("FPS"))), int(item.GetClipProperty("Frames") or 0))
    except (TypeError, ValueError):
        return Counted(otherwise)


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _parent(path: str) -> str:
    return path[: len(path) - len(_name(path)) - 1]
