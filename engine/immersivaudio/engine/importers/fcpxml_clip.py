# SPDX-License-Identifier: AGPL-3.0-or-later
"""Parts of a Final Cut Pro clip: its asset, its retiming, its sound."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

from immersivaudio.engine.importers import earlier
from immersivaudio.engine.importers.exact import snap
from immersivaudio.engine.importers.lanes import Piece, Source
from immersivaudio.engine.importers.markup import fraction
from immersivaudio.engine.importers.warnings import Grumbles

_ZERO = Fraction(0)
_GRAIN = 10**12
_FADES = {"fadeIn": "fade_in_s", "fadeOut": "fade_out_s"}
_DECIBEL = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*dB\s*")


@dataclass(frozen=True, slots=True)
class Asset:
    """A media file of the ``resources``."""

    source: Source
    has_video: bool
    has_audio: bool
    channels: int


def read_assets(root: Element, rate_of: Callable[[str], Fraction | None]) -> dict[str, Asset]:
    """Every asset by its id."""
    return {item.get("id", ""): _asset(item, rate_of(item.get("format", ""))) for item in root.iter("asset")}


def _asset(item: Element, rate: Fraction | None) -> Asset:
    copies = item.findall("media-rep")
    originals = [copy for copy in copies if copy.get("kind", "original-media") == "original-media"]
    url = item.get("src") or next((copy.get("src", "") for copy in (*originals, *copies) if copy.get("src")), "")
    start, duration = fraction(item.get("start"), _ZERO), fraction(item.get("duration"), _ZERO)
    source = Source(url, start if duration else None, duration or None, rate or _ZERO)
    channels = int(item.get("audioChannels", "0")) if item.get("audioChannels", "0").isdigit() else 0
    return Asset(source, item.get("hasVideo") == "1", item.get("hasAudio") == "1", channels)


def conform_speed(element: Element, rate: Fraction) -> Fraction:
    """``conform-rate`` plays frame for frame: 25 fps media last 25/24 as long at 24; ``scaleEnabled="0"`` does not.

    Final Cut writes ``start`` in the media's own seconds and ``duration`` in those of the timeline.
    """
    conform = element.find("conform-rate")
    if conform is None or conform.get("scaleEnabled") == "0" or not conform.get("srcFrameRate"):
        return Fraction(1)
    return rate / snap(fraction(conform.get("srcFrameRate")))


def segments(element: Element, whole: Piece, grumbles: Grumbles) -> Iterator[Piece]:
    """``whole`` cut where its ``timeMap`` changes speed; on the map's clock ``time`` stands for media ``value``."""
    points = [
        (fraction(point.get("time"), _ZERO), fraction(point.get("value"), _ZERO))
        for mapping in element.findall("timeMap")[:1]
        for point in mapping.findall("timept")
    ]
    if len(points) < 2:
        yield whole
        return
    if len(points) > 2:
        grumbles.add("A speed ramp is followed in straight pieces: {clips}.", whole.name)
    local_s, end_s = whole.source_s, whole.source_s + whole.duration_s
    last = len(points) - 2
    for index, ((time, value), (next_time, next_value)) in enumerate(pairwise(points)):
        left = local_s if index == 0 else max(local_s, time)
        right = end_s if index == last else min(end_s, next_time)
        if right <= left or next_time <= time:
            continue
        speed = (next_value - value) / (next_time - time)
        ends = (value + (left - time) * speed, value + (right - time) * speed)
        at_s = whole.at_s + left - local_s
        source_s = min(ends).limit_denominator(_GRAIN)
        yield replace(whole, at_s=at_s, duration_s=right - left, source_s=source_s, speed=speed)


@dataclass(frozen=True, slots=True)
class Audible:
    """Whether a clip sounds, and what our metadata keeps of it: channels, gain."""

    on: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


def audible(element: Element, asset: Asset | None, muted: bool = False) -> Audible:
    """The sound of a clip; ``asset`` is None for a nest, which always may sound."""
    wanted = element.get("srcEnable", "all") in ("all", "audio")
    if (asset is not None and not asset.has_audio) or not wanted or muted:
        return Audible(False)
    sources = element.findall("audio-channel-source")
    live = [source for source in sources if source.get("enabled") != "0" and source.get("active") != "0"]
    if sources and not live:
        return Audible(False)
    facts: dict[str, Any] = {}
    channels = sorted({channel for source in live or [element] for channel in _channels(source.get("srcCh"))})
    if channels and asset is not None and channels != list(range(asset.channels)):
        facts["channels"] = channels
    volume = element.find("adjust-volume")
    if volume is None:
        volume = next((found for source in live if (found := source.find("adjust-volume")) is not None), None)
    if volume is not None:
        facts.update(_volume(volume))
    return Audible(True, facts)


def is_scored(element: Element, asset: Asset | None) -> bool:
    """Whether a clip is of an earlier score: its subrole is called like a lane of ours, and its file like our stems."""
    roles = [element.get("audioRole", ""), *(one.get("role", "") for one in element.findall("audio-channel-source"))]
    names = [role.partition(".")[2] for role in roles]
    return asset is not None and any(earlier.is_lane(name, [asset.source.url]) for name in names)


def _channels(listed: str | None) -> list[int]:
    return [int(part) - 1 for part in re.split(r"[,\s]+", listed or "") if part.isdigit() and int(part) > 0]


def _volume(volume: Element) -> dict[str, Any]:
    match = _DECIBEL.fullmatch(volume.get("amount", ""))
    facts: dict[str, Any] = {"gain_db": float(match[1])} if match else {}
    if next(volume.iter("keyframe"), None) is not None:
        facts["gain_moves"] = True
    for tag, fact in _FADES.items():
        fade = volume.find(f"param/{tag}")
        if fade is not None and (length_s := fraction(fade.get("duration"), _ZERO)) > 0:
            facts[fact] = str(length_s)
    return facts


def edged(pieces: Sequence[Piece], facts: Mapping[str, Any]) -> Iterator[Piece]:
    """``pieces`` of one clip with what is known of its sound: its fades belong to the first and the last of them."""
    for index, piece in enumerate(pieces):
        inside = ("fade_in_s",) * (index > 0) + ("fade_out_s",) * (index + 1 < len(pieces))
        yield replace(piece, facts={key: value for key, value in facts.items() if key not in inside})
