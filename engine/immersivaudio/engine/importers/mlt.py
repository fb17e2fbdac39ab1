# SPDX-License-Identifier: AGPL-3.0-or-later
"""MLT XML: Kdenlive (``.kdenlive``), Shotcut and melt (``.mlt``).

``out`` counts the last frame in, so a cut from 0 to 24 lasts 25. Times are frames or clock values of milliseconds, which
are rounded to frames. The last service of the file is what plays; without a profile MLT itself takes 25 fps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import lanes
from immersivaudio.engine.importers.exact import snap
from immersivaudio.engine.importers.lanes import Budget, Piece
from immersivaudio.engine.importers.markup import number, parse
from immersivaudio.engine.importers.mlt_producer import media_of, properties, speed_of
from immersivaudio.engine.importers.warnings import Grumbles

_SERVICES = ("producer", "chain", "playlist", "tractor", "multitrack", "consumer")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+)(?:([.,])(\d+)|[:;](\d+))?")
_DEFAULT_RATE = Fraction(25)
_NESTS_AT_MOST = 40
_FADES = {("0", "1"): "fade_in_s", ("1", "0"): "fade_out_s"}
_ZERO = Fraction(0)
_AGAIN = "Save the project again from the editor."


def read(path: Path, grumbles: Grumbles, rate: Fraction | None = None) -> otio.schema.Timeline:
    """The timeline of an MLT document; ``rate`` stands in for a missing profile.

    Raises:
        TimelineError: no MLT XML, nothing that plays, or services that hold each other.
    """
    root = parse(path)
    profile = root.find("profile")
    if profile is not None:
        stated = Fraction(
            number(profile.get("frame_rate_num", "0")), max(1, number(profile.get("frame_rate_den", "1")))
        )
        rate = snap(stated)
    elif rate is None:
        grumbles.add(f"{path.name} has no profile, so no frame rate; MLT's own {_DEFAULT_RATE} is taken.")
        rate = _DEFAULT_RATE
    top = _top(root)
    if top is None:
        raise TimelineError(f"{path.name} holds no MLT timeline.", _AGAIN)
    return _Reader(root, rate, path.parent, grumbles).timeline(top, path.stem)


def _top(root: Element) -> Element | None:
    if root.tag in ("playlist", "tractor", "multitrack"):
        return root
    found = [child for child in root if child.tag in ("playlist", "tractor", "multitrack", "producer", "chain")]
    timelines = [child for child in found if child.tag in ("tractor", "playlist") and child.get("id") != "main_bin"]
    playing = timelines or found
    return playing[-1] if playing else None


def main_tractor(root: Element) -> Element | None:
    """What holds the tracks that play: Kdenlive from 23.04 on wraps its open sequence into a tractor of the project."""
    top = _top(root)
    while top is not None and top.tag == "tractor" and properties(top).get("kdenlive:projectTractor"):
        inner = {item.get("id"): item for item in root.iter("tractor")}
        named = [inner[track.get("producer")] for track in top.findall("track") if track.get("producer") in inner]
        if len(named) != 1 or named[0] is top:
            return None
        top = named[0]
    return top


def lane_name(service: Element) -> str:
    """What the user calls a track, else its id."""
    told = properties(service)
    return told.get("kdenlive:track_name", "") or told.get("shotcut:name", "") or service.get("id", "")


@dataclass(frozen=True, slots=True)
class _Nest:
    """What is inherited on the way down: how deep, what is hidden, and whether it is muted."""

    depth: int = 0
    video: bool = True
    audio: bool = True
    enabled: bool = True

    def hiding(self, hide: str) -> _Nest:
        """``hide="both"`` switches a track off, but keeps what it is."""
        if hide == "both":
            return replace(self, enabled=False)
        return replace(self, video=self.video and hide != "video", audio=self.audio and hide != "audio")


class _Reader:
    def __init__(self, root: Element, rate: Fraction, folder: Path, grumbles: Grumbles) -> None:
        self._rate, self._folder, self._grumbles, self._budget = rate, folder, grumbles, Budget()
        self._base = root.get("root", "")
        self._services = {item.get("id", ""): item for tag in _SERVICES for item in root.iter(tag) if item.get("id")}

    def timeline(self, top: Element, name: str) -> otio.schema.Timeline:
        made = self._tracks(top, "Video", _Nest()) + self._tracks(top, "Audio", _Nest())
        return lanes.timeline(name, self._rate, _ZERO, made)

    def _tracks(self, service: Element, kind: str, nest: _Nest) -> list[otio.schema.Track]:
        """The tracks of one kind that ``service`` plays, lowest first."""
        if nest.depth > _NESTS_AT_MOST:
            raise TimelineError("The project's clips hold each other without end.", "Break the nests apart.")
        if service.tag == "playlist" or service.tag in ("producer", "chain"):
            return self._lane(lane_name(service) or kind, kind, [service], nest)
        if _is_lane(service):
            return self._lane_of(service, kind, nest)
        made: list[otio.schema.Track] = []
        for child, hide in self._children(service):
            made += self._tracks(child, kind, replace(nest.hiding(hide), depth=nest.depth + 1))
        return made

    def _lane_of(self, tractor: Element, kind: str, nest: _Nest) -> list[otio.schema.Track]:
        """Kdenlive's track: a tractor over two playlists, whose overlaps are its same-track mixes."""
        children = list(self._children(tractor))
        told = properties(tractor)
        sounding = told.get("kdenlive:audio_track") == "1"
        for hide in {hide for _child, hide in children}:
            nest = nest.hiding(hide)
        if all(hide == "both" for _child, hide in children):
            nest = replace(nest, enabled=False, video=nest.video and not sounding, audio=nest.audio and sounding)
        return self._lane(lane_name(tractor) or kind, kind, [child for child, _hide in children], nest)

    def _lane(self, name: str, kind: str, playlists: list[Element], nest: _Nest) -> list[otio.schema.Track]:
        if not (nest.video if kind == "Video" else nest.audio):
            return []
        pieces = [piece for playlist in playlists for piece in self._pieces(playlist, kind, nest)]
        return lanes.tracks(name, kind, pieces, self._rate, nest.enabled)

    def _children(self, service: Element) -> Iterator[tuple[Element, str]]:
        for child in service:
            if child.tag == "multitrack":
                yield from self._children(child)
            elif child.tag == "track":
                found = self._services.get(child.get("producer", ""))
                if found is not None and not _is_black(found):
                    yield found, child.get("hide", "")
            elif child.tag in ("playlist", "tractor", "producer", "chain") and not _is_black(child):
                yield child, child.get("hide", "")

    def _pieces(self, playlist: Element, kind: str, nest: _Nest) -> Iterator[Piece]:
        if playlist.tag in ("producer", "chain"):
            yield from self._piece(playlist, playlist, _ZERO, kind, nest)
            return
        at = _ZERO
        for child in playlist:
            if child.tag == "blank":
                at += self._frames(child.get("length", "0")) / self._rate
            elif child.tag in ("entry", "producer", "chain", "playlist", "tractor"):
                service = self._services.get(child.get("producer", "")) if child.tag == "entry" else child
                inline = next((part for part in child if part.tag in _SERVICES), None) if child.tag == "entry" else None
                service = inline if inline is not None else service
                if service is None:
                    self._grumbles.add("The project names clips that it does not hold.")
                    continue
                yield from self._piece(child, service, at, kind, nest)
                at += self._length(child, service, nest.depth)

    def _piece(self, entry: Element, service: Element, at: Fraction, kind: str, nest: _Nest) -> Iterator[Piece]:
        self._budget.spend()
        first, length = self._first(entry, service), self._length(entry, service, nest.depth)
        told = properties(service)
        name = _name(service, told)
        hidden = {told.get("set.test_image") == "1", told.get("set.test_audio") == "1"}
        if length <= 0 or (
            hidden != {True} and told.get("set.test_image" if kind == "Video" else "set.test_audio") == "1"
        ):
            return
        if service.tag in ("tractor", "playlist", "multitrack"):
            yield from self._nested(service, Piece(name, at, length, otio.schema.Stack(), first), kind, nest)
            return
        content = media_of(told, kind, self._folder, self._base)
        if content is None:
            return
        speed = _ZERO if _is_frozen(entry) else speed_of(told, name, self._grumbles)
        source = first * abs(speed)
        if speed < 0:
            total = self._total(service) / self._rate
            source = max(_ZERO, (total - first - length) * -speed)
        if not speed:
            source = first
        facts = {"optional": True, **(self._fades(entry) if kind == "Audio" else {})}
        yield Piece(name, at, length, content, source, speed, enabled=hidden != {True}, facts=facts)

    def _fades(self, entry: Element) -> dict[str, str]:
        """Kdenlive's fades of a sound: volume that goes from nothing to all, or back, over the filter's length."""
        facts = {}
        for item in entry.findall("filter"):
            told = properties(item)
            key = (
                _FADES.get((told.get("gain", ""), told.get("end", ""))) if told.get("mlt_service") == "volume" else None
            )
            if key and told.get("disable") != "1":
                frames = self._frames(item.get("out", "-1")) - self._frames(item.get("in", "0")) + 1
                facts[key] = str(max(0, frames) / self._rate)
        return facts

    def _nested(self, service: Element, whole: Piece, kind: str, nest: _Nest) -> Iterator[Piece]:
        mixed = list(self._children(service)) if service.tag == "tractor" else []
        if properties(service).get("shotcut:transition") and len(mixed) == 2:
            for child, _hide in mixed:
                for piece in self._pieces(child, kind, replace(nest, depth=nest.depth + 1)):
                    yield replace(piece, at_s=whole.at_s + piece.at_s)
            return
        stack = otio.schema.Stack(whole.name)
        stack.extend(self._tracks(service, kind, replace(nest, depth=nest.depth + 1, enabled=True)))
        if len(stack):
            self._budget.spend(len(stack.find_clips()))
            yield replace(whole, content=stack)

    def _first(self, entry: Element, service: Element) -> Fraction:
        """``in`` of the cut; a cut that says neither edge is the producer's own."""
        if entry.get("in") is None and entry.get("out") is None:
            entry = service
        return self._frames(entry.get("in", "0")) / self._rate

    def _length(self, entry: Element, service: Element, depth: int) -> Fraction:
        if depth > _NESTS_AT_MOST:
            raise TimelineError("The project's clips hold each other without end.", "Break the nests apart.")
        whole = entry if entry.get("in") is not None or entry.get("out") is not None else service
        first = self._frames(whole.get("in", "0"))
        if whole.get("out") is not None:
            return max(0, self._frames(whole.get("out", "0")) - first + 1) / self._rate
        if service.tag == "playlist":
            return self._content(service, depth + 1) - first / self._rate
        if service.tag in ("tractor", "multitrack"):
            inner = (self._length(child, child, depth + 1) for child, _hide in self._children(service))
            return max(inner, default=_ZERO) - first / self._rate
        return max(0, self._total(service) - first) / self._rate

    def _content(self, playlist: Element, depth: int) -> Fraction:
        total = _ZERO
        for child in playlist:
            if child.tag == "blank":
                total += self._frames(child.get("length", "0")) / self._rate
            elif child.tag in ("entry", "producer", "chain"):
                service = self._services.get(child.get("producer", ""), child)
                inline = next((part for part in child if part.tag in _SERVICES), None) if child.tag == "entry" else None
                total += self._length(child, inline if inline is not None else service, depth)
        return total

    def _total(self, service: Element) -> int:
        told = properties(service).get("length")
        if told:
            return self._frames(told)
        return self._frames(service.get("out", "-1")) + 1

    def _frames(self, value: str) -> int:
        """Frames from ``25``, ``00:00:01.000`` or ``00:00:01:00``."""
        match = _CLOCK.fullmatch(value.strip())
        if not match:
            return number(value, 0)
        hours, minutes, secs = int(match[1] or 0), int(match[2]), int(match[3])
        whole = (hours * 60 + minutes) * 60 + secs
        if match[6] is not None:
            return whole * round(self._rate) + int(match[6])
        part = Fraction(int(match[5]), 10 ** len(match[5])) if match[5] else _ZERO
        return round((whole + part) * self._rate)


def _is_lane(service: Element) -> bool:
    """Kdenlive (from 20.08 on, and 19.12) makes each of its tracks a tractor over two playlists."""
    producers = [child for child in service if child.tag == "track"]
    told = properties(service)
    marked = any(key in told for key in ("kdenlive:timeline_active", "kdenlive:trackheight", "kdenlive:track_name"))
    return service.tag == "tractor" and len(producers) == 2 and marked and "kdenlive:uuid" not in told


def _is_black(service: Element) -> bool:
    """The background that editors lay under everything."""
    told = properties(service)
    black = told.get("resource", "") in ("black", "#00000000", "0", "#000000") and told.get("mlt_service", "color") in (
        "color",
        "colour",
    )
    return service.get("id") in ("black_track", "background") or (black and service.tag == "producer")


def _is_frozen(entry: Element) -> bool:
    """Whether the whole clip stands still: MLT's freeze, neither only before nor only after its frame."""
    frozen = (properties(item) for item in entry.findall("filter"))
    return any(
        told.get("mlt_service") == "freeze" and "1" not in (told.get("freeze_before"), told.get("freeze_after"))
        for told in frozen
    )


def _name(service: Element, told: dict[str, str]) -> str:
    leaf = PureWindowsPath(told.get("resource", "")).name
    return told.get("kdenlive:clipname") or told.get("shotcut:caption") or leaf or service.get("id") or "clip"
