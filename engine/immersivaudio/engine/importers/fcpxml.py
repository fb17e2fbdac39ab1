# SPDX-License-Identifier: AGPL-3.0-or-later
"""Final Cut Pro X: ``.fcpxml`` and its bundle ``.fcpxmld``, versions 1.8 to 1.13.

Times are rationals of seconds in the file and stay so. Every container has its own clock that begins at ``start``;
what hangs in it says its ``offset`` on that clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import lanes
from immersivaudio.engine.importers.exact import range_of, snap
from immersivaudio.engine.importers.fcpxml_clip import (
    Asset,
    audible,
    conform_speed,
    edged,
    is_scored,
    read_assets,
    segments,
)
from immersivaudio.engine.importers.lanes import Budget, Generated, Piece
from immersivaudio.engine.importers.markup import fraction, number, parse
from immersivaudio.engine.importers.warnings import Grumbles

_ZERO = Fraction(0)
_STORY = {
    "asset-clip",
    "clip",
    "ref-clip",
    "sync-clip",
    "mc-clip",
    "video",
    "audio",
    "title",
    "gap",
    "spine",
    "audition",
}
_NESTS_AT_MOST = 40
_RATE_UNKNOWN = Fraction(24)


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The first project of the file.

    Raises:
        TimelineError: no FCPXML, no project in it, or compound clips that hold each other.
    """
    file = path / "Info.fcpxml" if path.is_dir() else path
    if not file.is_file():
        raise TimelineError(f"{path.name} holds no Info.fcpxml.", "Export the project again from Final Cut Pro.")
    root = parse(file)
    sequences = [
        (project.get("name") or path.stem, sequence)
        for project in root.iter("project")
        for sequence in project.iter("sequence")
    ]
    if root.tag != "fcpxml" or not sequences:
        raise TimelineError(
            f"{path.name} holds no Final Cut Pro project.", "Export the project, not a clip or an event."
        )
    name, sequence = sequences[0]
    if len(sequences) > 1:
        grumbles.add(f"{path.name} holds {len(sequences)} projects; the first is taken: {{clips}}.", name)
    return _Reader(root, grumbles).timeline(name, sequence)


def main_sequence(root: Element) -> Element | None:
    """The sequence of the first project, which is the one that is read."""
    return next((sequence for project in root.iter("project") for sequence in project.iter("sequence")), None)


@dataclass(frozen=True, slots=True)
class Hosted:
    """An element of the primary storyline: where it lies on the record, what its own clock says there, and how fast that
    runs."""

    element: Element
    at_s: Fraction
    end_s: Fraction
    clock_s: Fraction
    pace: Fraction


def storyline(root: Element) -> list[Hosted]:
    """What clips may be connected to, in order.

    Raises:
        TimelineError: it cannot be read.
    """
    sequence = main_sequence(root)
    if sequence is None:
        return []
    reader = _Reader(root, Grumbles())
    reader.timeline("", sequence)
    return reader.hosts


def scored_clips(root: Element) -> list[Element]:
    """The connected clips of an earlier score in the sequence that is read."""
    sequence = main_sequence(root)
    assets = _Reader(root, Grumbles()).assets
    found = sequence.iter("asset-clip") if sequence is not None else ()
    return [clip for clip in found if clip.get("lane") and is_scored(clip, assets.get(clip.get("ref", "")))]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Turns a container's clock into its lane's: ``at_s`` is where ``start_s`` sits; ``scale`` lane seconds each."""

    at_s: Fraction
    start_s: Fraction
    scale: Fraction = Fraction(1)

    def lane_s(self, local_s: Fraction) -> Fraction:
        return self.at_s + (local_s - self.start_s) * self.scale


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a story element inherits: its layer (lane numbers from the outside in), and the sequence's rate."""

    layer: tuple[int, ...]
    rate: Fraction
    depth: int = 0
    enabled: bool = True
    muted: bool = False


@dataclass(slots=True)
class _Layers:
    video: dict[tuple[int, ...], list[Piece]] = field(default_factory=lambda: defaultdict(list))
    audio: dict[tuple[int, ...], list[Piece]] = field(default_factory=lambda: defaultdict(list))

    def tracks(self, rate: Fraction, kinds: str) -> list[otio.schema.Track]:
        made = []
        for kind, layers in (("Video", self.video), ("Audio", self.audio)):
            if kind[0].lower() in kinds:
                for number, layer in enumerate(_ordered(layers), 1):
                    made += lanes.tracks(f"{kind} {number}", kind, layers[layer], rate)
        return made


def _ordered(layers: dict[tuple[int, ...], list[Piece]]) -> list[tuple[int, ...]]:
    """Lowest first: a clip connected in lane 1 lies over its parent, in lane -1 under it."""
    longest = max(map(len, layers), default=0)
    return sorted(layers, key=lambda layer: layer + (0,) * (longest - len(layer)))


class _Reader:
    def __init__(self, root: Element, grumbles: Grumbles) -> None:
        self.hosts: list[Hosted] = []
        self._grumbles = grumbles
        self._budget = Budget()
        self._formats = {item.get("id", ""): item for item in root.iter("format")}
        self._media = {item.get("id", ""): item for item in root.iter("media")}
        self.assets: dict[str, Asset] = read_assets(root, self._rate_of)

    def timeline(self, name: str, sequence: Element) -> otio.schema.Timeline:
        rate = self._rate_of(sequence.get("format", "")) or _RATE_UNKNOWN
        start = fraction(sequence.get("tcStart"), _ZERO)
        layers = self._sequence(sequence, _Setting((), rate))
        made = lanes.timeline(name, rate, start, layers.tracks(rate, "va"), sequence.get("tcFormat") == "DF")
        if sequence.get("duration"):
            self._pad(made, fraction(sequence.get("duration")), rate)
        return made

    def _pad(self, made: otio.schema.Timeline, duration_s: Fraction, rate: Fraction) -> None:
        """The sequence's own length, which trailing gaps give it, or which cuts what hangs over its end."""
        if duration_s > 0:
            made.tracks.source_range = range_of(_ZERO, duration_s, rate)

    def _rate_of(self, format_id: str) -> Fraction | None:
        frame = self._formats[format_id].get("frameDuration") if format_id in self._formats else None
        length = fraction(frame) if frame else _ZERO
        return snap(1 / length) if length > 0 else None

    def _sequence(self, sequence: Element, setting: _Setting) -> _Layers:
        layers = _Layers()
        start = fraction(sequence.get("tcStart"), _ZERO)
        for spine in sequence.findall("spine"):
            self._spine(spine, _Clock(_ZERO, start), setting, layers)
        return layers

    def _spine(self, spine: Element, clock: _Clock, setting: _Setting, layers: _Layers) -> None:
        """The elements of a storyline one after the other; a transition lets its neighbours reach under it."""
        cursor = clock.start_s
        overlaps = list(_transitions(spine))
        for element in spine:
            if element.tag not in _STORY:
                continue
            offset = fraction(element.get("offset"), cursor)
            cursor = offset + fraction(_first(element).get("duration"), _ZERO)
            self._element(element, clock.lane_s(offset), setting, layers, _reach(offset, cursor, overlaps))

    def _element(
        self, element: Element, at_s: Fraction, setting: _Setting, layers: _Layers, reach: tuple[Fraction, Fraction]
    ) -> None:
        self._budget.spend()
        element = _first(element)
        if element.tag == "spine":
            self._spine(element, _Clock(at_s, _ZERO), setting, layers)
            return
        own = replace(setting, enabled=setting.enabled and element.get("enabled") != "0")
        start, pieces, scale = self._pieces(element, at_s, own)
        for kind, piece in pieces:
            target = layers.video if kind == "video" else layers.audio
            # Our own clips never share a lane with others, so that the whole lane is known as ours.
            layer = (*setting.layer, 0) if piece.facts.get("generated") else setting.layer
            target[layer].append(_reaching(piece, at_s, reach))
        clock = _Clock(at_s, start, scale)
        if not setting.layer and not setting.depth:
            end_s = at_s + fraction(element.get("duration"), _ZERO)
            self.hosts.append(Hosted(element, at_s, end_s, start, 1 / scale))
        for child in element:
            if child.tag in _STORY and child.get("lane"):
                lane = number(child.get("lane", "0"), 0)
                where = clock.lane_s(fraction(child.get("offset"), start))
                inner = replace(setting, layer=(*setting.layer, lane), muted=False)
                self._element(child, where, inner, layers, (_ZERO, _ZERO))

    def _pieces(
        self, element: Element, at_s: Fraction, setting: _Setting
    ) -> tuple[Fraction, list[tuple[str, Piece]], Fraction]:
        """Where the element's clock starts, what it lays, and how many lane seconds its clock's second lasts."""
        duration = fraction(element.get("duration"), _ZERO)
        name = element.get("name") or element.tag
        base = Piece(name, at_s, duration, Generated(element.tag), enabled=setting.enabled)
        if element.tag == "gap":
            return fraction(element.get("start"), _ZERO), [], Fraction(1)
        if element.tag in ("asset-clip", "video", "audio") and element.get("ref", "") in self.assets:
            return self._asset_clip(element, base, setting)
        if element.tag in ("ref-clip", "mc-clip", "sync-clip", "clip"):
            return self._nest(element, base, setting)
        start = fraction(element.get("start"), _ZERO)
        return start, [] if element.tag == "audio" else [("video", base)], Fraction(1)

    def _asset_clip(
        self, element: Element, base: Piece, setting: _Setting
    ) -> tuple[Fraction, list[tuple[str, Piece]], Fraction]:
        asset = self.assets[element.get("ref", "")]
        start = fraction(element.get("start"), asset.source.start_s or _ZERO)
        speed = conform_speed(element, setting.rate)
        duration = base.duration_s or (asset.source.duration_s or _ZERO) / speed
        whole = replace(base, duration_s=duration, content=asset.source, source_s=start, speed=speed)
        heard = audible(element, asset, muted=setting.muted)
        found: list[tuple[str, Piece]] = []
        if asset.has_video and element.tag != "audio" and element.get("srcEnable", "all") in ("all", "video"):
            found += [("video", piece) for piece in segments(element, whole, self._grumbles)]
        if heard.on and element.tag != "video":
            part = _split(element, whole, start)
            pieces = list(segments(element, part, self._grumbles))
            scored = {"generated": True} if setting.layer and is_scored(element, asset) else {}
            found += [("audio", piece) for piece in edged(pieces, {**heard.facts, **scored})]
        return start, found, 1 / speed

    def _nest(
        self, element: Element, base: Piece, setting: _Setting
    ) -> tuple[Fraction, list[tuple[str, Piece]], Fraction]:
        if setting.depth > _NESTS_AT_MOST:
            raise TimelineError("Compound clips hold each other without end.", "Break the compound clips apart.")
        inside = replace(setting, layer=(), depth=setting.depth + 1, enabled=True, muted=_storyline_muted(element))
        layers, origin = self._inside(element, inside)
        start = fraction(element.get("start"), origin)
        speed = conform_speed(element, setting.rate)
        whole = replace(base, source_s=start, speed=speed)
        wanted = element.get("srcEnable", "all")
        found: list[tuple[str, Piece]] = []
        heard = audible(element, None)
        for kind, enough, part in (("video", "video", whole), ("audio", "audio", _split(element, whole, start))):
            stack = otio.schema.Stack(base.name, children=layers.tracks(setting.rate, kind[0]))
            if not len(stack) or wanted not in ("all", enough) or (kind == "audio" and not heard.on):
                continue
            self._budget.spend(len(stack.find_clips()))
            for piece in segments(element, replace(part, content=stack), self._grumbles):
                local = replace(piece, source_s=piece.source_s - origin)
                found.append((kind, replace(local, facts=heard.facts) if kind == "audio" else local))
        return start, found, 1 / speed

    def _inside(self, element: Element, setting: _Setting) -> tuple[_Layers, Fraction]:
        """What a container holds, laid from 0 on, and the moment of its clock that 0 is."""
        media = self._media.get(element.get("ref", ""))
        if element.tag == "ref-clip" and media is not None and (sequence := media.find("sequence")) is not None:
            rate = self._rate_of(sequence.get("format", "")) or setting.rate
            return self._sequence(sequence, replace(setting, rate=rate)), fraction(sequence.get("tcStart"), _ZERO)
        if element.tag == "mc-clip" and media is not None and (multicam := media.find("multicam")) is not None:
            return self._angles(element, multicam, setting), fraction(multicam.get("tcStart"), _ZERO)
        if element.tag in ("ref-clip", "mc-clip"):
            self._grumbles.add("Compound or multicam clips without content: {clips}.", element.get("name"))
            return _Layers(), _ZERO
        return self._contents(element, setting)

    def _contents(self, element: Element, setting: _Setting) -> tuple[_Layers, Fraction]:
        layers = _Layers()
        inner = [child for child in element if child.tag in _STORY and not child.get("lane")]
        origin = min([_ZERO, *(fraction(child.get("offset"), _ZERO) for child in inner)])
        for child in inner:
            offset = fraction(child.get("offset"), _ZERO)
            self._element(child, offset - origin, setting, layers, (_ZERO, _ZERO))
        return layers, origin

    def _angles(self, element: Element, multicam: Element, setting: _Setting) -> _Layers:
        chosen = {source.get("angleID"): source.get("srcEnable", "all") for source in element.iter("mc-source")}
        angles = {angle.get("angleID"): angle for angle in multicam.findall("mc-angle")}
        if not chosen and angles:
            chosen = {next(iter(angles)): "all"}
        layers = _Layers()
        start = fraction(multicam.get("tcStart"), _ZERO)
        for angle_id, enabled in chosen.items():
            if angle_id not in angles:
                continue
            found = _Layers()
            self._spine(angles[angle_id], _Clock(_ZERO, start), setting, found)
            for kind, target, source in (("video", layers.video, found.video), ("audio", layers.audio, found.audio)):
                if enabled in ("all", kind):
                    for layer, pieces in source.items():
                        target[layer] += pieces
        return layers


def _first(element: Element) -> Element:
    """An audition plays its first pick, at the audition's place."""
    if element.tag != "audition":
        return element
    pick = next((child for child in element if child.tag in _STORY), None)
    return pick if pick is not None else element


def _transitions(spine: Element) -> Iterator[tuple[Fraction, Fraction]]:
    for element in spine.findall("transition"):
        start = fraction(element.get("offset"), _ZERO)
        yield start, start + fraction(element.get("duration"), _ZERO)


def _reach(start: Fraction, end: Fraction, overlaps: list[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    """How far an element plays before its start and after its end, under transitions."""
    lead = max((start - left for left, right in overlaps if left < start < right), default=_ZERO)
    tail = max((right - end for left, right in overlaps if left < end < right), default=_ZERO)
    return lead, tail


def _reaching(piece: Piece, at_s: Fraction, reach: tuple[Fraction, Fraction]) -> Piece:
    lead, tail = reach
    if piece.at_s != at_s or not (lead or tail):
        return piece
    below = (tail if piece.speed < 0 else lead) * abs(piece.speed)
    return replace(
        piece, at_s=piece.at_s - lead, duration_s=piece.duration_s + lead + tail, source_s=piece.source_s - below
    )


def _split(element: Element, whole: Piece, start: Fraction) -> Piece:
    """The sound of a clip whose sound begins or ends elsewhere than its picture (a J or L cut)."""
    sound_start = fraction(element.get("audioStart"), start)
    duration = fraction(element.get("audioDuration"), whole.duration_s)
    shift = (sound_start - start) / whole.speed
    return replace(whole, at_s=whole.at_s + shift, duration_s=duration, source_s=sound_start)


def _storyline_muted(element: Element) -> bool:
    """A synchronised clip usually mutes the camera's own sound and keeps the connected recorder's."""
    roles = [
        role
        for source in element.findall("sync-source")
        if source.get("sourceID") == "storyline"
        for role in source.iter("audio-role-source")
    ]
    return bool(roles) and all(role.get("active") == "0" for role in roles)
