# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our lanes in the user's own MLT document: Kdenlive's as tracks of Kdenlive, Shotcut's as tracks of Shotcut, and any other
under a tractor around what it plays.

New tracks come behind those that are there, so that no number by which something names a track means another; those of an
earlier score are replaced (see mlt_earlier).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement

from immersivaudio.engine.exporters import mlt, mlt_earlier
from immersivaudio.engine.exporters.own import OwnDocument
from immersivaudio.engine.exporters.rows import Row, Sheet
from immersivaudio.engine.importers.mlt import main_tractor
from immersivaudio.engine.importers.mlt_producer import properties

_POINTED = re.compile(r"C|POSIX|en\b.*|en_.*", re.IGNORECASE)
_RELATIVE = re.compile(r"(?![/#]|[A-Za-z]:)[^:<]+\.\w{2,5}")
_FOLDER_NAME = "Immersivaudio"
_FOLDER = re.compile(r"kdenlive:folder\.-?\d+\.(\d+)")


def append(own: OwnDocument, sheet: Sheet) -> str | None:
    """The document with the rows of ``sheet``, all of them ours, in place of those of an earlier score; None where it has
    no place for them: numbers with decimal commas (Kdenlive before 20.08), or no tractor, playlist or producer with a name."""
    top = _main(own)
    if top is None:
        return None
    earlier = mlt_earlier.found(own.root, top)
    if earlier.gone:
        own = own.without(earlier.gone)
        top = _main(own)
    if top is None:
        return None
    _put_in(own, sheet, top, earlier.slots)
    if own.root.get("root") is None and any(_is_relative(item) for item in own.root.iter("property")):
        own.attribute(own.root, "root", str(own.path.parent.absolute()))
    return own.text()


def _main(own: OwnDocument) -> Element | None:
    root = own.root
    top = main_tractor(root) if root.tag == "mlt" and _POINTED.fullmatch(root.get("LC_NUMERIC", "C")) else None
    return top if top is not None and top.get("id") else None


def _put_in(own: OwnDocument, sheet: Sheet, top: Element, lanes: Sequence[tuple[int, str]]) -> None:
    """``lanes``: the slots among the tracks of ``top`` (see mlt_earlier) that are filled first; any left stay, empty."""
    empty = [Row("audio", name, (), ours=True) for _, name in lanes[len(sheet.rows) :]]
    sheet, tracks = replace(sheet, rows=(*sheet.rows, *empty)), top.findall("track")
    slots = [tracks[number] for number, _ in lanes]
    bin_ = next((item for item in own.root.iter("playlist") if item.get("id") == "main_bin"), None)
    if top.tag == "tractor" and (properties(top).get("shotcut") or (slots and bin_ is None)):
        _into_shotcut(own, sheet, top, slots)
    elif top.tag == "tractor" and bin_ is not None:
        _into_kdenlive(own, sheet, (top, bin_), slots)
    else:
        _around(own, sheet, top)


def _into_kdenlive(own: OwnDocument, sheet: Sheet, places: tuple[Element, Element], slots: Sequence[Element]) -> None:
    """``places``: what holds the tracks, and the bin."""
    main, bin_ = places
    prefix, first, folder = f"{own.prefix()}_", _free_number(own.root), _folder(bin_)
    media = mlt.Bin(sheet.rate, first if folder else first + 1, prefix, folder or str(first))
    tracks = [mlt.Track(row, number, sheet.rate, media, prefix) for number, row in enumerate(sheet.rows)]
    elements = [element for track in tracks for element in track.elements()]
    producers = list(media.producers())
    own.before(bin_, producers)
    if not folder:
        own.into(bin_, mlt.put(Element("playlist"), {f"kdenlive:folder.-1.{first}": _FOLDER_NAME}), _is("property"))
    own.into(bin_, [mlt.bin_entry(one) for one in producers], _is("entry"))
    own.before(main, elements)
    _join(own, main, [Element("track", producer=track.name) for track in tracks], slots, prefix)


def _into_shotcut(own: OwnDocument, sheet: Sheet, main: Element, slots: Sequence[Element]) -> None:
    prefix = f"{own.prefix()}_"
    playlists = list(_playlists(own, sheet, main, prefix))
    for row, playlist in zip(sheet.rows, playlists, strict=True):
        named = mlt.put(Element("playlist"), {"shotcut:audio": 1, "shotcut:name": row.name})
        playlist[:0] = list(named)
        own.before(main, [playlist])
    _join(own, main, _heard(playlists), slots, prefix)


def _join(own: OwnDocument, main: Element, made: list[Element], slots: Sequence[Element], prefix: str) -> None:
    """Put ``made`` among the tracks: into ``slots``, whose blends are there, and what is left behind all others."""
    for slot, track in zip(slots, made, strict=False):
        own.instead(slot, track)
    count, further = len(main.findall("track")), made[len(slots) :]
    own.into(main, further, _is("track"))
    own.into(
        main, [_blend(prefix, number) for number in range(count, count + len(further))], _is("track", "transition")
    )


def _around(own: OwnDocument, sheet: Sheet, top: Element) -> None:
    """A document of no editor's: what it plays becomes the first track of a tractor of ours."""
    prefix = f"{own.prefix()}_"
    outer = Element("tractor", {"id": f"{prefix}timeline", "in": "0", "out": str(sheet.frames - 1)})
    SubElement(outer, "track", producer=top.get("id", ""))
    anchor = own.root[-1]
    playlists = list(_playlists(own, sheet, None, prefix))
    outer.extend(_heard(playlists))
    outer.extend(_blend(prefix, number) for number in range(1, len(playlists) + 1))
    own.after(anchor, [*playlists, outer])


def _playlists(own: OwnDocument, sheet: Sheet, main: Element | None, prefix: str) -> Iterator[Element]:
    """A playlist a row; their producers are put in before ``main``, or at the end of the document."""
    for number, row in enumerate(sheet.rows):
        producers: dict[str, Element] = {}
        for piece in row.pieces:
            name = f"{prefix}producer{number}_{len(producers)}"
            if piece.media.url not in producers:
                producers[piece.media.url] = mlt.producer(name, mlt.whole(piece), sheet.rate, {})
        if main is not None:
            own.before(main, producers.values())
        else:
            own.after(own.root[-1], producers.values())
        yield _playlist(row, f"{prefix}playlist{number}", producers, sheet.rate)


def _playlist(row: Row, name: str, producers: Mapping[str, Element], rate: Fraction) -> Element:
    made = Element("playlist", id=name)
    reached = 0
    for piece in row.pieces:
        if piece.start > reached:
            SubElement(made, "blank", length=str(piece.start - reached))
        made.append(mlt.cut(piece, producers[piece.media.url].get("id", ""), rate))
        reached = piece.end
    return made


def _heard(playlists: Sequence[Element]) -> list[Element]:
    return [Element("track", {"producer": playlist.get("id", ""), "hide": "video"}) for playlist in playlists]


def _blend(prefix: str, track: int) -> Element:
    made = mlt.blend("audio", track)
    made.set("id", f"{prefix}{made.get('id')}")
    return made


def _is(*tags: str) -> Callable[[Element], bool]:
    return lambda element: element.tag in tags


def _free_number(root: Element) -> int:
    """A number that is neither a clip's nor a folder's in the bin."""
    ids = (item.text or "" for item in root.iter("property") if item.get("name") == "kdenlive:id")
    folders = (_FOLDER.fullmatch(item.get("name", "")) for item in root.iter("property"))
    taken = itertools.chain(ids, (found[1] for found in folders if found))
    return max((int(one) for one in taken if one.isdigit()), default=1) + 1


def _folder(bin_: Element) -> str:
    """The number of our folder in the bin; empty where there is none yet."""
    ours = (_FOLDER.fullmatch(item.get("name", "")) for item in bin_.findall("property") if item.text == _FOLDER_NAME)
    return next((found[1] for found in ours if found), "")


def _is_relative(item: Element) -> bool:
    return item.get("name") in ("resource", "warp_resource") and _RELATIVE.fullmatch(item.text or "") is not None
