# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our lanes of an earlier score in an MLT document, and all that only they use.

Editors name tracks by number (transitions, groups, targets). So lanes behind all others are taken out, while one with a
track of the user's behind it keeps its number: it is a slot, which a new lane fills.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from immersivaudio.engine.importers import earlier
from immersivaudio.engine.importers.lanes import Source
from immersivaudio.engine.importers.mlt import lane_name
from immersivaudio.engine.importers.mlt_producer import media_of, properties

_AROUND = re.compile(r"immersivaudio\d*_timeline")
_SERVICES = ("producer", "chain", "playlist", "tractor")
_PLAYED = ("entry", *_SERVICES)
_NUMBER = "kdenlive:id"


@dataclass(frozen=True, slots=True)
class Earlier:
    """``gone``: the elements to take out. ``slots``: the numbers, among the tracks, of lanes that keep their place, and the
    names of these lanes."""

    gone: tuple[Element, ...] = ()
    slots: tuple[tuple[int, str], ...] = ()


def found(root: Element, main: Element) -> Earlier:
    """The lanes among the tracks of ``main``."""
    return _Search(root, main).result()


class _Search:
    def __init__(self, root: Element, main: Element) -> None:
        self._root, self._main = root, main
        self._services = {item.get("id", ""): item for tag in _SERVICES for item in root.iter(tag) if item.get("id")}
        self._bin = self._services.get("main_bin")
        self._tracks = main.findall("track")

    def result(self) -> Earlier:
        lanes = {number: lane for number, lane in self._lanes() if self._is_ours(lane)}
        tail = len(self._tracks)
        while tail - 1 in lanes:
            tail -= 1
        if tail == 1 and lanes and _AROUND.fullmatch(self._main.get("id", "")):
            outer = [self._main]
        else:
            outer = [*self._tracks[tail:], *(item for item in self._main if _blends(item, tail))]
        playlists = [playlist for lane in lanes.values() for playlist in self._playlists(lane)]
        gone = {*outer, *lanes.values(), *playlists}
        gone |= set(self._unused(gone, playlists))
        slots = tuple((number, lane_name(lane)) for number, lane in lanes.items() if number < tail)
        return Earlier(tuple(gone), slots)

    def _lanes(self) -> Iterator[tuple[int, Element]]:
        for number, track in enumerate(self._tracks):
            lane = self._services.get(track.get("producer", ""))
            if lane is not None and lane.tag in ("playlist", "tractor"):
                yield number, lane

    def _is_ours(self, lane: Element) -> bool:
        items = [item for playlist in self._playlists(lane) for item in playlist if item.tag in _PLAYED]
        return earlier.is_lane(lane_name(lane), map(self._file, items))

    def _playlists(self, lane: Element) -> list[Element]:
        if lane.tag == "playlist":
            return [lane]
        named = (self._services.get(track.get("producer", "")) for track in lane.findall("track"))
        return [playlist for playlist in named if playlist is not None]

    def _file(self, item: Element) -> str:
        service = self._services.get(item.get("producer", ""))
        media = media_of(properties(service), "Audio", Path(), "") if service is not None else None
        return media.url if isinstance(media, Source) and service is not None and service.tag in _SERVICES[:2] else ""

    def _unused(self, gone: Iterable[Element], playlists: Iterable[Element]) -> Iterator[Element]:
        """The producers that only ``gone`` plays, and the bin's clips of them."""
        inside = {item for element in gone for item in element.iter()}
        shelved = set(self._bin.findall("entry")) if self._bin is not None else set()
        used = {item.get("producer", "") for item in self._root.iter() if item not in inside | shelved}
        played = {entry.get("producer", "") for playlist in playlists for entry in playlist} - {""}
        numbers = self._numbers(played) - self._numbers(used) - {""}
        for name, service in self._services.items():
            if name not in used and (name in played or self._number(service) in numbers) and service not in inside:
                yield service
                yield from (entry for entry in shelved if entry.get("producer") == name)

    def _numbers(self, names: Iterable[str]) -> set[str]:
        return {self._number(self._services[name]) for name in names if name in self._services}

    def _number(self, service: Element) -> str:
        return properties(service).get(_NUMBER, "") if service.tag in _SERVICES[:2] else ""


def _blends(item: Element, tail: int) -> bool:
    """Whether ``item`` joins a track from ``tail`` on to the others."""
    track = properties(item).get("b_track", "") if item.tag == "transition" else ""
    return track.isdigit() and int(track) >= tail
