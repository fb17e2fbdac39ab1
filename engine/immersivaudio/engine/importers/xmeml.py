# SPDX-License-Identifier: AGPL-3.0-or-later
"""Final Cut Pro 7 XML (xmeml), as Premiere, Resolve, Avid and Final Cut 7 write it.

``start`` and ``end`` count the sequence's frames, ``in`` and ``out`` the clip's own from the first frame of its media;
-1 means the edge lies under a transition, whose own edge is meant. A retimed clip counts retimed frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import lanes
from immersivaudio.engine.importers.earlier import is_lane_name
from immersivaudio.engine.importers.exact import SPEED_GRAIN, range_of
from immersivaudio.engine.importers.lanes import Budget, Generated, Piece, Source
from immersivaudio.engine.importers.markup import number, parse, text
from immersivaudio.engine.importers.warnings import Grumbles

_ZERO = Fraction(0)
_NESTS_AT_MOST = 40
_AGAIN = "Export the sequence as Final Cut Pro XML."


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The first sequence of the file.

    Raises:
        TimelineError: no xmeml, no sequence, or sequences that hold each other.
    """
    root = parse(path)
    if root.tag == "fcpxml":
        raise TimelineError(f"{path.name} is FCPXML under a foreign ending.", "Rename it to .fcpxml.")
    outer = list(_outer_sequences(root))
    if root.tag != "xmeml" or not outer:
        raise TimelineError(f"{path.name} holds no Final Cut Pro 7 sequence.", _AGAIN)
    if len(outer) > 1:
        grumbles.add(
            f"{path.name} holds {len(outer)} sequences; the first is taken: {{clips}}.", text(outer[0], "name")
        )
    return _Reader(root, grumbles).timeline(outer[0], path.stem)


def main_sequence(root: Element) -> Element | None:
    """The sequence that :func:`read` takes."""
    return next(_outer_sequences(root), None) if root.tag == "xmeml" else None


def _outer_sequences(element: Element) -> Iterator[Element]:
    """Sequences that are in no other one."""
    for child in element:
        if child.tag == "sequence" and child.find("media") is not None:
            yield child
        elif child.tag not in ("sequence", "clipitem"):
            yield from _outer_sequences(child)


def rate_of(element: Element | None, default: Fraction | None = None) -> Fraction:
    """``timebase`` 30 with ``ntsc`` TRUE is 30000/1001."""
    rate = element.find("rate") if element is not None else None
    if rate is None:
        if default is None:
            raise TimelineError("A sequence names no frame rate.", _AGAIN)
        return default
    base = number(text(rate, "timebase", "0"))
    if not 0 < base <= 1000:
        raise TimelineError(f"{base} is no frame rate.", _AGAIN)
    return Fraction(base * 1000, 1001) if text(rate, "ntsc").upper() == "TRUE" else Fraction(base)


@dataclass(frozen=True, slots=True)
class _Lane:
    """What the clips of one track share."""

    kind: str
    rate: Fraction
    depth: int
    edges: tuple[tuple[Fraction, Fraction], ...] = ()


class _Reader:
    def __init__(self, root: Element, grumbles: Grumbles) -> None:
        self._grumbles = grumbles
        self._budget = Budget()
        self._files = by_id(root, "file")
        self._sequences = by_id(root, "sequence")

    def timeline(self, sequence: Element, fallback: str) -> otio.schema.Timeline:
        rate = rate_of(sequence)
        code = sequence.find("timecode")
        start = Fraction(number(text(code, "frame", "0"), 0)) / rate_of(code, rate)
        drop = text(code, "displayformat").upper() == "DF"
        made = self._tracks(sequence, rate, ("Video", "Audio"), 0)
        timeline = lanes.timeline(text(sequence, "name", fallback), rate, max(start, _ZERO), made, drop)
        if (
            not any(track.duration().value for track in made)
            and (length := number(text(sequence, "duration", "0"), 0)) > 0
        ):
            timeline.tracks.source_range = range_of(_ZERO, length / rate, rate)
        return timeline

    def _tracks(self, sequence: Element, rate: Fraction, kinds: tuple[str, ...], depth: int) -> list[otio.schema.Track]:
        if depth > _NESTS_AT_MOST:
            raise TimelineError("Sequences hold each other without end.", "Break the nests apart.")
        made: list[otio.schema.Track] = []
        for kind in kinds:
            groups = together(sequence.findall(f"media/{kind.lower()}/track"))
            for index, group in enumerate(groups, 1):
                on = text(group[0], "enabled", "TRUE").upper() != "FALSE"
                name = group[0].get("MZ.TrackName") or f"{kind} {index}"
                pieces = _joined([list(self._pieces(track, kind, rate, depth)) for track in group])
                empty = [] if kind == "Audio" and is_lane_name(name) else [otio.schema.Track(name, kind=kind)]
                made += lanes.tracks(name, kind, pieces, rate, on) or empty
        return made

    def _pieces(self, track: Element, kind: str, rate: Fraction, depth: int) -> Iterator[Piece]:
        children = [child for child in track if child.tag in ("clipitem", "generatoritem", "transitionitem")]
        edges = tuple(
            (number(text(child, "start", "0")) / rate, number(text(child, "end", "0")) / rate)
            for child in children
            if child.tag == "transitionitem"
        )
        made = list(self._placed(children, _Lane(kind, rate, depth, edges)))
        yield from (_faded(piece, made, edges) for piece in made) if kind == "Audio" else made

    def _placed(self, children: list[Element], lane: _Lane) -> Iterator[Piece]:
        for index, child in enumerate(children):
            if child.tag == "transitionitem":
                continue
            self._budget.spend()
            before = children[index - 1] if index else None
            after = children[index + 1] if index + 1 < len(children) else None
            if (span := _span(child, before, after, lane.rate)) is not None:
                yield self._piece(child, span, lane)

    def _piece(self, item: Element, span: tuple[Fraction, Fraction], lane: _Lane) -> Piece:
        start, end = span
        rate = rate_of(item, lane.rate)
        speed = _speed(item, self._grumbles)
        first = max(number(text(item, "in", "0"), 0), 0) / rate
        last = max(number(text(item, "out", "0"), 0), 0) / rate
        content, origin = self._content(item, lane)
        low = first * abs(speed)
        if speed < 0:
            low = max(number(text(item, "duration", "0"), 0) / rate - last, _ZERO) * -speed
        on = text(item, "enabled", "TRUE").upper() != "FALSE"
        name = text(item, "name") or item.tag
        piece = Piece(name, start, end - start, content, origin + low, speed, on, _facts(item, lane.kind))
        if not speed:
            piece = replace(piece, source_s=origin + first)
        return _under(piece, lane.edges)

    def _content(self, item: Element, lane: _Lane) -> tuple[Source | Generated | otio.schema.Stack, Fraction]:
        nested = item.find("sequence")
        if nested is not None:
            return self._nest(self._sequences.get(nested.get("id", ""), nested), lane), _ZERO
        if item.tag == "generatoritem" or (item.find("file") is None and item.find("effect") is not None):
            return Generated(text(item, "effect/name", "generator")), _ZERO
        named = item.find("file")
        file = self._files.get(named.get("id", ""), named) if named is not None else None
        url = text(file, "pathurl")
        if text(file, "mediaSource") or (file is not None and not url and text(file, "name") == "Slug"):
            return Generated(text(file, "mediaSource", "Slug")), _ZERO
        return _source(file, url, lane.rate)

    def _nest(self, sequence: Element, lane: _Lane) -> otio.schema.Stack:
        rate = rate_of(sequence, lane.rate)
        stack = otio.schema.Stack(text(sequence, "name"))
        stack.extend(self._tracks(sequence, rate, (lane.kind,), lane.depth + 1))
        self._budget.spend(len(stack.find_clips()))
        return stack


def together(tracks: list[Element]) -> list[list[Element]]:
    """Premiere writes a stereo track as two ("exploded") mono ones; they belong together."""
    groups: list[list[Element]] = []
    for track in tracks:
        if number(track.get("currentExplodedTrackIndex", "0"), 0) > 0 and groups:
            groups[-1].append(track)
        else:
            groups.append([track])
    return groups


def _joined(tracks: list[list[Piece]]) -> list[Piece]:
    """The pieces of an exploded track: those that differ in their channel alone become one."""
    joined: dict[tuple[Any, ...], Piece] = {}
    for piece in (piece for pieces in tracks for piece in pieces):
        key = (piece.name, piece.at_s, piece.duration_s, piece.source_s, piece.speed, piece.enabled)
        if key in joined and "channels" in piece.facts and "channels" in joined[key].facts:
            channels = sorted({*joined[key].facts["channels"], *piece.facts["channels"]})
            joined[key] = replace(joined[key], facts={**joined[key].facts, "channels": channels})
        else:
            joined.setdefault(key, piece)
    return list(joined.values())


def by_id(root: Element, tag: str) -> dict[str, Element]:
    """The full element of each id; later mentions are empty references to it."""
    found: dict[str, Element] = {}
    for element in root.iter(tag):
        if element.get("id") and len(element) > len(found.get(element.get("id", ""), ())):
            found[element.get("id", "")] = element
    return found


def _source(file: Element | None, url: str, rate: Fraction) -> tuple[Source, Fraction]:
    """The media on the clock of its own timecode, and where that clock starts."""
    own = rate_of(file, rate)
    code = file.find("timecode") if file is not None else None
    start = Fraction(number(text(code, "frame", "0"), 0)) / rate_of(code, own)
    length = number(text(file, "duration", "0"), 0) / own
    return Source(url, max(start, _ZERO), length if length > 0 else None, own), max(start, _ZERO)


def _span(
    item: Element, before: Element | None, after: Element | None, rate: Fraction
) -> tuple[Fraction, Fraction] | None:
    """Start and end in seconds of the sequence; an edge of -1 is that of the transition beside it."""
    start, end = number(text(item, "start", "-1")), number(text(item, "end", "-1"))
    used = max(number(text(item, "out", "0"), 0) - number(text(item, "in", "0"), 0), 0)
    used = round(used / rate_of(item, rate) * rate)
    if start < 0 and before is not None and before.tag == "transitionitem":
        start = number(text(before, "start", "0"))
    if end < 0 and after is not None and after.tag == "transitionitem":
        end = number(text(after, "end", "0"))
    if start < 0 <= end:
        start = end - used
    if end < 0 <= start:
        end = start + used
    return (start / rate, end / rate) if 0 <= start < end else None


def _under(piece: Piece, edges: tuple[tuple[Fraction, Fraction], ...]) -> Piece:
    """Some programs write the cut itself beside a transition; then the clip reaches on under it."""
    for left, right in edges:
        if left < piece.end_s < right:
            below = (right - piece.end_s) * -piece.speed if piece.speed < 0 else _ZERO
            piece = replace(piece, duration_s=right - piece.at_s, source_s=piece.source_s - below)
        if left < piece.at_s < right:
            lead = piece.at_s - left
            below = lead * piece.speed if piece.speed > 0 else _ZERO
            piece = replace(piece, at_s=left, duration_s=piece.duration_s + lead, source_s=piece.source_s - below)
    return piece


def _faded(piece: Piece, beside: list[Piece], edges: tuple[tuple[Fraction, Fraction], ...]) -> Piece:
    """``piece`` with its fades from and to nothing: transitions under which no other clip lies."""
    facts = dict(piece.facts)
    for left, right in edges:
        if [other for other in beside if other.at_s < right and left < other.end_s] != [piece]:
            continue
        if left <= piece.at_s:
            facts["fade_in_s"] = str(right - piece.at_s)
        elif piece.end_s <= right:
            facts["fade_out_s"] = str(piece.end_s - left)
    return replace(piece, facts=facts)


def _speed(item: Element, grumbles: Grumbles) -> Fraction:
    for effect in item.findall("filter/effect"):
        if text(effect, "effectid").lower() != "timeremap" or text(effect, "../enabled", "TRUE").upper() == "FALSE":
            continue
        values = {text(part, "parameterid").lower(): text(part, "value") for part in effect.findall("parameter")}
        if values.get("variablespeed", "0") not in ("0", "FALSE", ""):
            grumbles.add("A varying speed is played at its mean: {clips}.", text(item, "name"))
        try:
            speed = (Fraction(values.get("speed", "100") or "100") / 100).limit_denominator(SPEED_GRAIN)
        except ValueError:
            return Fraction(1)
        return -speed if values.get("reverse", "FALSE").upper() == "TRUE" and speed > 0 else speed
    return Fraction(1)


def _facts(item: Element, kind: str) -> dict[str, Any]:
    if kind != "Audio":
        return {}
    facts: dict[str, Any] = {}
    channel = number(text(item, "sourcetrack/trackindex", "0"), 0)
    if channel > 0:
        facts["channels"] = [channel - 1]
    for effect in item.findall("filter/effect"):
        if text(effect, "effectid").lower() == "audiolevels":
            facts.update(_level(effect))
    return facts


def _level(effect: Element) -> dict[str, Any]:
    for parameter in effect.findall("parameter"):
        if text(parameter, "parameterid").lower() == "level":
            try:
                level = float(text(parameter, "value", "1"))
            except ValueError:
                return {}
            moves = {"gain_moves": True} if len(parameter.findall("keyframe")) > 1 else {}
            return {"gain_db": 20 * math.log10(max(level, 1e-6)), **moves}
    return {}
