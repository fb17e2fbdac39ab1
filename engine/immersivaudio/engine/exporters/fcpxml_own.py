# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our clips in the user's own FCPXML, in place of those of an earlier score."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from immersivaudio.engine.exporters.fcpxml import Host, Writer, anchor_place
from immersivaudio.engine.exporters.own import OwnDocument
from immersivaudio.engine.exporters.rows import Sheet
from immersivaudio.engine.importers.fcpxml import main_sequence, scored_clips, storyline
from immersivaudio.engine.importers.markup import number


def append(own: OwnDocument, sheet: Sheet) -> str | None:
    """The user's own document with the rows of ``sheet``, all of them ours, connected to the primary storyline of the
    sequence that was read, on lanes below all others; None where it has no such storyline, or nowhere to tell of files."""
    own = own.without(_earlier(own.root))
    sequence, resources = main_sequence(own.root), own.root.find("resources")
    hosts = [
        Host(one.element, one.at_s * sheet.rate, one.end_s * sheet.rate, one.clock_s, one.pace)
        for one in storyline(own.root)
    ]
    if sequence is None or resources is None or not hosts:
        return None
    writer = Writer(sheet, f"{own.prefix()}_", told_by_src=_version(own.root) < (1, 9))
    below = -min(0, *(number(element.get("lane", "0"), 0) for element in sequence.iter()))
    waiting: dict[Element, list[Element]] = {}
    for host, clip in writer.connected(hosts, below):
        waiting.setdefault(host.element, []).append(clip)
    for element, clips in waiting.items():
        place = anchor_place(element)
        if place is not None:
            own.before(place, clips)
        else:
            own.into(element, clips, lambda _: False)
    own.into(resources, writer.resources(), lambda _: True)
    return own.text()


def _earlier(root: Element) -> list[Element]:
    """The clips of an earlier score, and the assets that nothing else plays."""
    clips = scored_clips(root)
    refs = {clip.get("ref") for clip in clips}
    kept = {element.get("ref") for element in root.iter() if element not in clips}
    return [*clips, *(asset for asset in root.iter("asset") if asset.get("id") in refs - kept)]


def _version(root: Element) -> tuple[int, ...]:
    return tuple(number(part, 0) for part in root.get("version", "1.10").split("."))
