# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our lanes in the user's own Final Cut Pro 7 XML, in place of those of an earlier score."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from immersivaudio.engine.exporters.own import OwnDocument
from immersivaudio.engine.exporters.rows import Sheet
from immersivaudio.engine.exporters.xmeml import Writer, sound
from immersivaudio.engine.importers.earlier import is_lane
from immersivaudio.engine.importers.markup import text
from immersivaudio.engine.importers.xmeml import by_id, main_sequence, together


def append(own: OwnDocument, sheet: Sheet) -> str | None:
    """The user's own document with the rows of ``sheet``, all of them ours, as further sound tracks of the sequence that
    was read, in place of those of an earlier score; None where it has none. What names a track by its number goes on to mean
    the same: lanes with a track of the user's behind them are filled anew where they are, or emptied."""
    if main_sequence(own.root) is None:
        return None
    own, slots = _relieved(own)
    media = next(iter(_sequence_media(own.root)))
    writer = Writer(sheet, f"{own.prefix()}_")
    waiting = [writer.audio_tracks(row) for row in sheet.rows]
    for group in slots:
        tracks = next((tracks for tracks in waiting if len(tracks) == len(group)), None)
        if tracks is not None:
            waiting.remove(tracks)
        for old, new in zip(group, tracks or map(_emptied, group), strict=True):
            own.instead(old, new)
    made = [track for tracks in waiting for track in tracks]
    audio = media.find("audio")
    if audio is not None:
        own.into(audio, made, lambda child: child.tag == "track")
    else:
        own.into(media, [sound(made)], lambda child: child.tag == "video")
    return own.text()


def _sequence_media(root: Element) -> list[Element]:
    sequence = main_sequence(root)
    return sequence.findall("media")[:1] if sequence is not None else []


def _relieved(own: OwnDocument) -> tuple[OwnDocument, list[list[Element]]]:
    """``own`` without our lanes behind all other sound, and those of ours that are left; a file of theirs that is told of
    there alone is told of where the user's clips play it."""
    groups = _sound_tracks(own.root)
    lanes = _earlier(own.root, groups)
    _tell_elsewhere(own, lanes)
    tail = len(groups)
    while tail and groups[tail - 1] in lanes:
        tail -= 1
    kept = [number for number, group in enumerate(groups[:tail]) if group in lanes]
    own = own.without(track for group in groups[tail:] for track in group)
    groups = _sound_tracks(own.root)
    return own, [groups[number] for number in kept]


def _sound_tracks(root: Element) -> list[list[Element]]:
    return together([track for media in _sequence_media(root) for track in media.findall("audio/track")])


def _earlier(root: Element, groups: list[list[Element]]) -> list[list[Element]]:
    files = by_id(root, "file")

    def url(item: Element) -> str:
        file = item.find("file")
        return text(files.get(file.get("id", ""), file) if file is not None else None, "pathurl")

    def is_ours(group: list[Element]) -> bool:
        items = [item for track in group for item in track if item.tag in ("clipitem", "generatoritem")]
        return is_lane(group[0].get("MZ.TrackName", ""), map(url, items))

    return [group for group in groups if is_ours(group)]


def _tell_elsewhere(own: OwnDocument, lanes: list[list[Element]]) -> None:
    inside = {file for group in lanes for track in group for file in track.iter("file")}
    told = {file.get("id"): file for file in inside if len(file) and file.get("id")}
    for file in own.root.iter("file"):
        if file not in inside and (full := told.pop(file.get("id"), None)) is not None and not len(file):
            own.repeat(file, full)


def _emptied(track: Element) -> Element:
    return Element("track", track.attrib)
