# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pieces that know when they start, laid into OTIO tracks: gaps filled in, overlaps made dissolves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeVar

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import earlier
from immersivaudio.engine.importers.dialects import OURS
from immersivaudio.engine.importers.exact import range_of, time_at
from immersivaudio.engine.importers.flatten import CLIPS_AT_MOST

_ZERO = Fraction(0)
_OURS: Mapping[str, Any] = {"generated": True}
_Laid = TypeVar("_Laid")


@dataclass(frozen=True, slots=True)
class Source:
    """A media file as a timeline names it; ``start_s`` and ``duration_s`` bound what it has, None where unsaid."""

    url: str
    start_s: Fraction | None = None
    duration_s: Fraction | None = None
    rate: Fraction = Fraction(0)

    def reference(self, rate: Fraction) -> otio.schema.MediaReference:
        if not self.url:
            return otio.schema.MissingReference()
        available = None
        if self.start_s is not None and self.duration_s:
            available = range_of(self.start_s, self.duration_s, self.rate or rate)
        return otio.schema.ExternalReference(self.url, available)


@dataclass(frozen=True, slots=True)
class Generated:
    """A title, colour or test picture: nothing that could be opened."""

    kind: str

    def reference(self, _rate: Fraction) -> otio.schema.MediaReference:
        return otio.schema.GeneratorReference(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip or nest at ``at_s`` of its lane, dissolves included. ``source_s`` is the lowest moment of its own clock
    that it plays; backwards play starts at the other end."""

    name: str
    at_s: Fraction
    duration_s: Fraction
    content: Source | Generated | otio.schema.Stack
    source_s: Fraction = _ZERO
    speed: Fraction = Fraction(1)
    enabled: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def end_s(self) -> Fraction:
        return self.at_s + self.duration_s

    def trimmed(self, start_s: Fraction, end_s: Fraction) -> Piece:
        """The part that lies between two moments of the lane."""
        start_s, end_s = max(start_s, self.at_s), min(end_s, self.end_s)
        skipped = self.end_s - end_s if self.speed < 0 else start_s - self.at_s
        source_s = self.source_s + skipped * abs(self.speed)
        return replace(self, at_s=start_s, duration_s=max(_ZERO, end_s - start_s), source_s=source_s)

    def item(self, rate: Fraction) -> otio.core.Item:
        """The OTIO item, with its speed kept exactly beside OTIO's double."""
        played = range_of(self.source_s, self.duration_s, rate)
        if isinstance(self.content, otio.schema.Stack):
            item: otio.core.Item = self.content.deepcopy()
            item.name, item.source_range = self.name, played
        else:
            item = otio.schema.Clip(self.name, self.content.reference(rate), played)
        item.enabled = self.enabled
        if self.facts:
            item.metadata[OURS] = dict(self.facts)
        if self.speed == 0:
            item.effects.append(otio.schema.FreezeFrame())
        elif self.speed != 1:
            warp = otio.schema.LinearTimeWarp(time_scalar=float(self.speed))
            warp.metadata[OURS] = {"speed": str(self.speed)}
            item.effects.append(warp)
        return item


@dataclass(slots=True)
class Budget:
    """Counts what importing makes, so that nests of nests cannot swell without end."""

    clips: int = 0

    def spend(self, clips: int = 1) -> None:
        self.clips += clips
        if self.clips > CLIPS_AT_MOST:
            raise TimelineError(f"The timeline holds more than {CLIPS_AT_MOST} clips.", "Export the timeline in parts.")


def tracks(
    name: str, kind: str, pieces: Iterable[Piece], rate: Fraction, enabled: bool = True
) -> list[otio.schema.Track]:
    """Tracks, lowest first, that hold ``pieces``: one, unless three or more of them sound at once or one covers
    another, which no dissolve can mean. A lane of ours is told by metadata, as in OpenTimelineIO."""
    shown = [piece for piece in pieces if piece.duration_s > 0]
    if kind == "Audio" and earlier.is_lane(name, map(_url, shown)):
        shown = [replace(piece, facts={**piece.facts, **_OURS}) for piece in shown]
    lanes = layered(sorted(shown, key=lambda piece: piece.at_s), _follows)
    return [
        _track(name if not index else f"{name} ({index + 1})", kind, lane, rate, enabled)
        for index, lane in enumerate(lanes)
    ]


def _url(piece: Piece) -> str:
    return piece.content.url if isinstance(piece.content, Source) else ""


def layered(pieces: Iterable[_Laid], follows: Callable[[list[_Laid], _Laid], bool]) -> list[list[_Laid]]:
    """``pieces`` (in order of time) on as few lanes as ``follows(lane, piece)`` allows."""
    lanes: list[list[_Laid]] = []
    for piece in pieces:
        lane = next((lane for lane in lanes if follows(lane, piece)), None)
        if lane is None:
            lanes.append([piece])
        else:
            lane.append(piece)
    return lanes


def _follows(lane: list[Piece], piece: Piece) -> bool:
    last = lane[-1]
    if piece.at_s >= last.end_s:
        return True
    before = lane[-2].end_s if len(lane) > 1 else last.at_s
    return piece.end_s >= last.end_s and piece.at_s >= max(last.at_s, before)


def _track(name: str, kind: str, pieces: list[Piece], rate: Fraction, enabled: bool) -> otio.schema.Track:
    track = otio.schema.Track(name, kind=kind)
    track.enabled = enabled
    if all(piece.facts.get("generated") for piece in pieces):
        track.metadata[OURS] = dict(_OURS)
    at = _ZERO
    for index, piece in enumerate(pieces):
        following = pieces[index + 1] if index + 1 < len(pieces) else None
        end = piece.end_s
        if following is not None and following.at_s < end:
            end = (following.at_s + piece.end_s) / 2
        if piece.at_s > at:
            track.append(otio.schema.Gap(source_range=range_of(_ZERO, piece.at_s - at, rate)))
        core = piece.trimmed(at, end)
        if core.duration_s > 0:
            track.append(core.item(rate))
        at = max(at, end)
        if following is not None and following.at_s < piece.end_s:
            track.append(_dissolve(at - following.at_s, piece.end_s - at, rate))
    return track


def _dissolve(in_s: Fraction, out_s: Fraction, rate: Fraction) -> otio.schema.Transition:
    return otio.schema.Transition("", "SMPTE_Dissolve", time_at(in_s, rate), time_at(out_s, rate))


def timeline(
    name: str, rate: Fraction, start_s: Fraction, layers: Iterable[otio.schema.Track], drop_frame: bool = False
) -> otio.schema.Timeline:
    """An OTIO timeline that says its exact rate and whether its timecode drops frames."""
    made = otio.schema.Timeline(name, tracks=list(layers))
    made.global_start_time = time_at(start_s, rate)
    made.metadata[OURS] = {"rate": str(rate), "drop_frame": drop_frame}
    return made
