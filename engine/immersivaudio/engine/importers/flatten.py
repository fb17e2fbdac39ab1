# SPDX-License-Identifier: AGPL-3.0-or-later
"""An OTIO composition to flat events on exact time: nests, trims, gaps, dissolves, retimes, freezes, disabled items."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import opentimelineio as otio

from immersivaudio.engine.cue import Span
from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import dialects
from immersivaudio.engine.importers.events import Event, Place, frozen, played, window_of
from immersivaudio.engine.importers.exact import SPEED_GRAIN, seconds
from immersivaudio.engine.importers.warnings import Grumbles

CLIPS_AT_MOST = 50_000
_ITEMS_AT_MOST = 400_000
_DEPTH_AT_MOST = 60
_FASTEST = 10_000
_ZERO = Fraction(0)
_SHRINK = "Export the timeline in parts."
LengthOf = Callable[[otio.schema.Clip], Fraction | None]


@dataclass(slots=True)
class Flattener:
    """Walks one timeline; refuses absurd ones early. ``length_of`` tells how long a clip without any range lasts."""

    length_of: LengthOf
    grumbles: Grumbles
    _clips: int = 0
    _items: int = 0
    _nested_sound: bool = field(default=False)

    def timeline(self, timeline: otio.schema.Timeline) -> tuple[list[Event], Fraction]:
        """Every event from the lowest layer to the topmost, and the duration.

        Raises:
            TimelineError: too deep, too many clips, times that are none.
        """
        self._nested_sound = any(_is_sound(track) and _has_nest(track) for track in timeline.tracks)
        return self._trimmed(timeline.tracks, "", None, 0)

    def _composition(
        self, parent: otio.core.Composition, kind: str, track: int | None, depth: int
    ) -> tuple[list[Event], Fraction]:
        """The events of ``parent`` on its own clock, before its own trim."""
        if depth > _DEPTH_AT_MOST:
            raise TimelineError(f"The timeline is nested more than {_DEPTH_AT_MOST} deep.", "Flatten some nests first.")
        if isinstance(parent, otio.schema.Track):
            return self._track(parent, kind, track, depth)
        return self._stack(parent, kind, track, depth)

    def _trimmed(
        self, parent: otio.core.Composition, kind: str, track: int | None, depth: int
    ) -> tuple[list[Event], Fraction]:
        """The events of ``parent`` after its own trim, from 0 on; a trim that misses everything is no trim."""
        events, content_s = self._composition(parent, kind, track, depth)
        if parent.source_range is None:
            return events, content_s
        start, duration = _range(parent.source_range)
        if content_s and not -duration < start < content_s:
            self.grumbles.add("The trim of {clips} lies outside its clips and is ignored.", parent.name)
            start = _ZERO
        window, place = Span(start, duration), Place(_ZERO, duration)
        inner = [played(event, window, place, Fraction(1)) for event in events]
        return [event for event in inner if event], duration

    def _stack(
        self, stack: otio.core.Composition, kind: str, track: int | None, depth: int
    ) -> tuple[list[Event], Fraction]:
        events: list[Event] = []
        longest = _ZERO
        numbers = {"video": 0, "audio": 0}
        for child in stack:
            if not isinstance(child, otio.core.Item):
                continue
            own = _kind_of(child) or kind or "video"
            if own not in numbers:
                self.grumbles.add("Tracks that hold neither picture nor sound are left out: {clips}.", child.name)
                continue
            number = track if track is not None else numbers[own]
            numbers[own] += 1
            if kind and own != kind and (own == "video" or self._nested_sound):
                continue
            found, duration = self._child(child, own, number, depth)
            events += found
            longest = max(longest, duration)
        return events, longest

    def _child(self, child: otio.core.Item, kind: str, track: int, depth: int) -> tuple[list[Event], Fraction]:
        if isinstance(child, otio.schema.Track | otio.schema.Stack) and not _time_effects(child):
            events, duration = self._trimmed(child, kind, track, depth + 1)
            on = dialects.enabled(child)
            return [event if on else replace(event, enabled=False) for event in events], duration
        duration = self._duration(child)
        return self._item(child, Place(_ZERO, duration), kind, track, depth), duration

    def _track(
        self, parent: otio.schema.Track, kind: str, track: int | None, depth: int
    ) -> tuple[list[Event], Fraction]:
        own = kind if kind else _kind_of(parent) or "video"
        events: list[Event] = []
        at = _ZERO
        children = list(parent)
        durations = [
            _ZERO if isinstance(child, otio.schema.Transition) else self._duration(child) for child in children
        ]
        end = sum(durations, _ZERO)
        for index, (child, duration) in enumerate(zip(children, durations, strict=True)):
            if not isinstance(child, otio.schema.Gap) and duration > 0:
                place = self._placed(children, index, Span(at, duration), end)
                events += self._item(child, place, own, track or 0, depth)
            at += duration
        return events, at

    def _placed(self, children: list[otio.core.Composable], index: int, core: Span, end: Fraction) -> Place:
        """How the item at ``index`` of a track sits: nothing plays before the track begins, nor after its ``end``."""
        before = children[index - 1] if index else None
        after = children[index + 1] if index + 1 < len(children) else None
        place = Place(core.start_s, core.duration_s)
        if isinstance(before, otio.schema.Transition):
            inward, outward = _offsets(before)
            lead = min(core.start_s, self._handle(children[index], inward, head=True))
            other = self._handle(children[index - 2], outward, head=False) if index > 1 else _ZERO
            middle = (lead - other) / 2 if _shown(children, index - 2) else lead
            place = replace(place, lead_s=lead, core_lead_s=middle, fade_in_s=lead + outward)
        if isinstance(after, otio.schema.Transition):
            inward, outward = _offsets(after)
            tail = min(end - core.end_s, self._handle(children[index], outward, head=False))
            other = self._handle(children[index + 2], inward, head=True) if index + 2 < len(children) else _ZERO
            middle = (tail - other) / 2 if _shown(children, index + 2) else tail
            place = replace(place, tail_s=tail, core_tail_s=middle, fade_out_s=inward + tail)
        return place

    def _handle(self, item: otio.core.Composable, wanted: Fraction, *, head: bool) -> Fraction:
        """How much of ``wanted`` the media has beyond the cut; all of it where nothing is known."""
        if not isinstance(item, otio.schema.Clip) or item.source_range is None or not wanted:
            return wanted
        available = item.media_reference.available_range if item.media_reference else None
        speed = abs(self._speed(item, quiet=True))
        if available is None or not speed:
            return wanted
        start, duration = _range(item.source_range)
        first, length = _range(available)
        left, right = start - first, first + length - start - duration * speed
        if self._speed(item, quiet=True) < 0:
            left, right = right, left
        if left < 0 or right < 0 or (spare := (left if head else right) / speed) >= wanted:
            return wanted
        self.grumbles.add("A dissolve is shortened because the media ends too early: {clips}.", item.name)
        return spare

    def _item(self, item: otio.core.Item, place: Place, kind: str, track: int, depth: int) -> list[Event]:
        self._items += 1
        if self._items > _ITEMS_AT_MOST:
            raise TimelineError("The timeline holds too many items.", _SHRINK)
        if isinstance(item, otio.schema.Gap) or not place.record.duration_s:
            return []
        if isinstance(item, otio.core.Composition):
            return self._nest(item, place, kind, track, depth)
        if not isinstance(item, otio.schema.Clip):
            self.grumbles.add(f"{type(item).__name__} items are left out: {{clips}}.", item.name)
            return []
        return [self._event(item, place, kind, track)]

    def _event(self, clip: otio.schema.Clip, place: Place, kind: str, track: int) -> Event:
        self._clips += 1
        if self._clips > CLIPS_AT_MOST:
            raise TimelineError(f"The timeline holds more than {CLIPS_AT_MOST} clips.", _SHRINK)
        speed = self._speed(clip)
        window = window_of(self._start(clip), place, speed)
        on = dialects.enabled(clip) and not (kind == "audio" and speed == 0)
        fades = (place.fade_in_s, place.fade_out_s)
        return Event(clip, kind, track, place.record, place.core, window, speed, on, *fades)

    def _nest(self, item: otio.core.Composition, place: Place, kind: str, track: int, depth: int) -> list[Event]:
        events, _content = self._composition(item, kind, track, depth + 1)
        speed = self._speed(item)
        window = window_of(self._start(item), place, speed)
        if speed == 0:
            inner = [frozen(event, window.start_s, place) for event in events]
        else:
            inner = [played(event, window, place, speed) for event in events]
        on = dialects.enabled(item)
        return [event if on else replace(event, enabled=False) for event in inner if event]

    def _duration(self, item: otio.core.Composable) -> Fraction:
        self._items += 1
        if self._items > _ITEMS_AT_MOST:
            raise TimelineError("The timeline holds too many items.", _SHRINK)
        if not isinstance(item, otio.core.Item):
            return _ZERO
        if item.source_range is not None:
            return _range(item.source_range)[1]
        if isinstance(item, otio.core.Composition):
            return self._content_s(item, 0)
        available = item.media_reference.available_range if isinstance(item, otio.schema.Clip) else None
        if available is not None:
            return _range(available)[1]
        length = self.length_of(item) if isinstance(item, otio.schema.Clip) else None
        if length is None:
            self.grumbles.add("How long these clips last is said nowhere, so they are left out: {clips}.", item.name)
        return length or _ZERO

    def _content_s(self, item: otio.core.Composition, depth: int) -> Fraction:
        if depth > _DEPTH_AT_MOST:
            raise TimelineError(f"The timeline is nested more than {_DEPTH_AT_MOST} deep.", "Flatten some nests first.")
        lengths = [
            self._content_s(child, depth + 1)
            if isinstance(child, otio.core.Composition) and child.source_range is None
            else self._duration(child)
            for child in item
        ]
        return sum(lengths, _ZERO) if isinstance(item, otio.schema.Track) else max(lengths, default=_ZERO)

    def _start(self, item: otio.core.Item) -> Fraction:
        if item.source_range is not None:
            return _range(item.source_range)[0]
        if isinstance(item, otio.schema.Clip) and item.media_reference and item.media_reference.available_range:
            return _range(item.media_reference.available_range)[0]
        return _ZERO

    def _speed(self, item: otio.core.Item, *, quiet: bool = False) -> Fraction:
        speed = Fraction(1)
        for effect in _time_effects(item):
            if isinstance(effect, otio.schema.FreezeFrame):
                return _ZERO
            scalar = effect.time_scalar if isinstance(effect, otio.schema.LinearTimeWarp) else math.nan
            if math.isfinite(scalar) and abs(scalar) <= _FASTEST:
                exact = dialects.fraction(dialects.ours(effect).get("speed"))
                speed *= Fraction(scalar).limit_denominator(SPEED_GRAIN) if exact is None else exact
            elif not quiet:
                name = effect.effect_name or effect.name or type(effect).__name__
                self.grumbles.add(f"The speed change “{name}” cannot be followed; plays as shot: {{clips}}.", item.name)
        return speed


def _time_effects(item: otio.core.Item) -> list[otio.schema.Effect]:
    return [effect for effect in item.effects if isinstance(effect, otio.schema.TimeEffect)]


def _kind_of(item: otio.core.Item) -> str:
    return item.kind.lower() if isinstance(item, otio.schema.Track) and item.kind else ""


def _is_sound(item: otio.core.Composable) -> bool:
    return isinstance(item, otio.schema.Track) and _kind_of(item) == "audio"


def _has_nest(track: otio.schema.Track) -> bool:
    return any(isinstance(child, otio.core.Composition) for child in track)


def _shown(children: list[otio.core.Composable], index: int) -> bool:
    """Whether a dissolve has something on its other side."""
    return 0 <= index < len(children) and not isinstance(children[index], otio.schema.Gap | otio.schema.Transition)


def _range(time_range: otio.opentime.TimeRange) -> tuple[Fraction, Fraction]:
    start, duration = seconds(time_range.start_time), seconds(time_range.duration)
    if duration < 0:
        raise TimelineError(f"An item of the timeline lasts {float(duration):g} s.", "Export it again from the editor.")
    return start, duration


def _offsets(transition: otio.schema.Transition) -> tuple[Fraction, Fraction]:
    offsets = seconds(transition.in_offset), seconds(transition.out_offset)
    if min(offsets) < 0:
        raise TimelineError("A transition of the timeline has a negative length.", "Export it again from the editor.")
    return offsets
