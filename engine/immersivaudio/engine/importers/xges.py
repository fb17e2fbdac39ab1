# SPDX-License-Identifier: AGPL-3.0-or-later
"""Pitivi and the GStreamer Editing Services (``.xges``): layers of clips at nanoseconds, the first layer on top."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import lanes
from immersivaudio.engine.importers.exact import snap
from immersivaudio.engine.importers.lanes import Budget, Generated, Piece, Source
from immersivaudio.engine.importers.markup import number, parse
from immersivaudio.engine.importers.warnings import Grumbles

_NS = 1_000_000_000
_VIDEO, _AUDIO = 4, 2
_RATE = re.compile(r"framerate=\(fraction\)\s*(\d+)/(\d+)")
_SPEED = re.compile(r"(?:rate|tempo)=\((?:double|float)\)\s*([\d.]+)")
_ZERO = Fraction(0)
_RATE_UNSAID = Fraction(30)


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The timeline of the project.

    Raises:
        TimelineError: no GES project, or no timeline in it.
    """
    root = parse(path)
    timeline = next(root.iter("timeline"), None)
    if root.tag != "ges" or timeline is None:
        raise TimelineError(f"{path.name} holds no GES timeline.", "Save the project again from Pitivi.")
    rate = _rate(timeline, grumbles)
    durations = {asset.get("id", ""): _duration(asset) for asset in root.iter("asset")}
    return _Reader(rate, durations).timeline(timeline, path.stem)


def _rate(timeline: Element, grumbles: Grumbles) -> Fraction:
    video = [track for track in timeline.findall("track") if track.get("track-type") == str(_VIDEO)]
    for told in (timeline.get("metadatas", ""), *(track.get("properties", "").replace("\\", "") for track in video)):
        match = _RATE.search(told)
        if match and int(match[1]) and int(match[2]):
            return snap(Fraction(int(match[1]), int(match[2])))
    grumbles.add(f"The project names no frame rate; {_RATE_UNSAID} is taken.")
    return _RATE_UNSAID


def _duration(asset: Element) -> Fraction | None:
    match = re.search(r"duration=\(guint64\)(\d+)", asset.get("properties", ""))
    return Fraction(int(match[1]), _NS) if match and int(match[1]) < 2**63 else None


class _Reader:
    def __init__(self, rate: Fraction, durations: dict[str, Fraction | None]) -> None:
        self._rate, self._durations, self._budget = rate, durations, Budget()

    def timeline(self, timeline: Element, name: str) -> otio.schema.Timeline:
        layers = sorted(timeline.findall("layer"), key=lambda layer: -number(layer.get("priority", "0"), 0))
        made: list[otio.schema.Track] = []
        for kind, bit in (("Video", _VIDEO), ("Audio", _AUDIO)):
            ordered = layers if bit == _VIDEO else layers[::-1]
            for index, layer in enumerate(ordered, 1):
                made += lanes.tracks(f"{kind} {index}", kind, self._pieces(layer, bit), self._rate)
        return lanes.timeline(name, self._rate, _ZERO, made)

    def _pieces(self, layer: Element, bit: int) -> Iterator[Piece]:
        for clip in layer.findall("clip"):
            if not number(clip.get("track-types", "6"), 6) & bit or clip.get("type-name") == "GESTransitionClip":
                continue
            self._budget.spend()
            start, duration, inpoint = (
                Fraction(number(clip.get(key, "0"), 0), _NS) for key in ("start", "duration", "inpoint")
            )
            content = self._content(clip)
            yield Piece(
                _name(clip), start, duration, content, inpoint, _speed(clip, bit), _on(clip, bit), _facts(clip, bit)
            )

    def _content(self, clip: Element) -> Source | Generated:
        uri = clip.get("asset-id", "")
        if clip.get("type-name") != "GESUriClip":
            return Generated(clip.get("type-name", "generator"))
        length = self._durations.get(uri)
        return Source(uri, _ZERO if length else None, length)


def _name(clip: Element) -> str:
    match = re.search(r'name=\(string\)(?:"((?:[^"\\]|\\.)*)"|([^;,]+))', clip.get("properties", ""))
    return match[1] or match[2] if match else clip.get("asset-id", "clip").rsplit("/", 1)[-1]


def _on(clip: Element, bit: int) -> bool:
    properties = clip.get("properties", "")
    muted = bit == _AUDIO and "mute=(boolean)true" in properties
    inactive = any(
        "active=(boolean)false" in source.get("properties", "")
        for source in clip.findall("source")
        if source.get("track-id") in (None, "0" if bit == _VIDEO else "1")
    )
    return not muted and not inactive and "active=(boolean)false" not in properties


def _speed(clip: Element, bit: int) -> Fraction:
    effects = ("videorate",) if bit == _VIDEO else ("pitch", "scaletempo")
    speed = Fraction(1)
    for effect in clip.findall("effect"):
        if effect.get("asset-id", "").split()[:1] and effect.get("asset-id", "").split()[0] in effects:
            match = _SPEED.search(effect.get("children-properties", "") + effect.get("asset-id", ""))
            if match and Fraction(match[1]) > 0:
                speed *= Fraction(match[1])
    return speed


def _facts(clip: Element, bit: int) -> dict[str, Any]:
    """A clip for both tracks may be of a file that has only one of them."""
    return {"optional": True} if number(clip.get("track-types", "6"), 6) == _VIDEO | _AUDIO else {}
