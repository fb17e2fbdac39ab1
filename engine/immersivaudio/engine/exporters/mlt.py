# SPDX-License-Identifier: AGPL-3.0-or-later
"""MLT XML as Kdenlive writes it (document version 1.04, which every Kdenlive since 20.08 opens), and melt plays.

A track is a tractor over two playlists; two clips that overlap lie on different ones, under a mix of the same length.
``out`` counts the last frame in. Sound tracks come first, the first of them topmost, next to the picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from xml.etree.ElementTree import Element, SubElement

from immersivaudio.engine.exporters.own import printed
from immersivaudio.engine.exporters.rows import Piece, Row, Sheet, first_frame, length_frames

_FOLDER = "2"
_FIRST_CLIP = 3
_INTERNAL = "237"
_PLAIN = Fraction(1)


def write(sheet: Sheet) -> str:
    """``sheet`` as an MLT document."""
    return text(_Writer(sheet).document())


def text(root: Element) -> str:
    """A document as UTF-8 text."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{printed(root)}\n'


def put(parent: Element, told: Mapping[str, object]) -> Element:
    """Properties, in order."""
    for name, value in told.items():
        SubElement(parent, "property", name=name).text = str(value)
    return parent


@dataclass
class Bin:
    """The project's media: each file once, with the id by which clips know it."""

    rate: Fraction
    first_id: int = _FIRST_CLIP
    prefix: str = ""
    folder: str = _FOLDER
    clips: dict[str, tuple[Piece, bool]] = field(default_factory=dict)

    def number(self, piece: Piece, ours: bool) -> int:
        """The bin id of the file that ``piece`` plays."""
        name = piece.media.url or f"title {piece.name}"
        self.clips.setdefault(name, (piece, ours))
        return self.first_id + list(self.clips).index(name)

    def producers(self) -> Iterator[Element]:
        for number, (piece, ours) in enumerate(self.clips.values(), self.first_id):
            name = Path(piece.media.url).name if piece.media.url else piece.name
            told = {
                "kdenlive:clipname": name,
                "kdenlive:folderid": self.folder if ours else "-1",
                "kdenlive:id": number,
            }
            yield producer(f"{self.prefix}producer{number}", whole(piece), self.rate, told)


def whole(piece: Piece) -> Piece:
    """All of the file of ``piece``, as shot."""
    return Piece(piece.name, piece.media, 0, piece.frames)


def cut(piece: Piece, producer: str, rate: Fraction, told: Mapping[str, object] = MappingProxyType({})) -> Element:
    """The part of a producer that ``piece`` plays, with its level, channel and freeze."""
    first = first_frame(piece, rate)
    entry = Element("entry", {"producer": producer, "in": str(first), "out": str(first + piece.frames - 1)})
    put(entry, told)
    entry.extend(_filters(piece, first))
    return entry


def bin_entry(made: Element) -> Element:
    """A producer's place in the bin: all of it."""
    return Element("entry", {"producer": made.get("id", ""), "in": "0", "out": made.get("out", "0")})


def producer(name: str, piece: Piece, rate: Fraction, told: Mapping[str, object]) -> Element:
    """The file of ``piece``, at its speed and whole, or an empty picture where it has none."""
    length = max(1, length_frames(piece, rate))
    made = Element("producer", {"id": name, "in": "0", "out": str(length - 1)})
    url = piece.media.url
    about: dict[str, object] = {"length": length, "eof": "pause"}
    if not url:
        about |= {"resource": "#00000000", "mlt_service": "color", "kdenlive:duration": length}
    elif piece.speed in (0, 1):
        about |= {"resource": url, "mlt_service": "avformat", "seekable": 1}
    else:
        speed = f"{float(piece.speed):.9g}"
        about |= {"resource": f"{speed}:{url}", "warp_speed": speed, "warp_resource": url, "mlt_service": "timewarp"}
        about |= {"warp_pitch": 0, "seekable": 1}
    return put(made, {**about, **told})


@dataclass
class _Writer:
    sheet: Sheet
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def document(self) -> Element:
        sheet = self.sheet
        bin_, rows = Bin(sheet.rate), (*reversed(sheet.of("audio")), *sheet.of("video"))
        root = Element("mlt", LC_NUMERIC="C", producer="main_bin", version="7.0.0")
        SubElement(root, "profile", _profile(sheet))
        tracks = [Track(row, index, sheet.rate, bin_) for index, row in enumerate(rows)]
        elements = [element for track in tracks for element in track.elements()]
        producers = list(bin_.producers())
        root.extend(producers)
        root.append(_bin(sheet, producers))
        root.append(_black(sheet.frames))
        root.extend(elements)
        root.append(self._main(rows, tracks))
        return root

    def _main(self, rows: Sequence[Row], tracks: Sequence[Track]) -> Element:
        main = Element("tractor", {"id": "tractor_main", "in": "0", "out": str(self.sheet.frames - 1)})
        SubElement(main, "track", producer="black_track")
        for track in tracks:
            SubElement(main, "track", producer=track.name)
        for index, row in enumerate(rows, 1):
            main.append(blend(row.kind, index))
        return main


def blend(kind: str, track: int) -> Element:
    """How a track joins those below it: sounds are summed, pictures laid over each other."""
    made = Element("transition", id=f"blend{track}")
    about: dict[str, object] = {"a_track": 0, "b_track": track}
    if kind == "audio":
        about |= {"mlt_service": "mix", "kdenlive_id": "mix", "sum": 1, "accepts_blanks": 1}
    else:
        about |= {"mlt_service": "qtblend", "kdenlive_id": "qtblend", "compositing": 0, "distort": 0}
    return put(made, {**about, "always_active": 1, "internal_added": _INTERNAL})


@dataclass
class Track:
    """One row as Kdenlive's track, and the producers that only it plays."""

    row: Row
    index: int
    rate: Fraction
    bin: Bin
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}tractor{self.index}"

    def elements(self) -> list[Element]:
        """Producers, both playlists and the tractor, in the order of the document."""
        sides = self._sides()
        producers: dict[tuple[str, Fraction, bool], Element] = {}
        playlists = [self._playlist(side, pieces, producers) for side, pieces in enumerate(sides)]
        tractor = Element("tractor", {"id": self.name})
        sound = self.row.kind == "audio"
        about = {"kdenlive:audio_track": 1} if sound else {}
        put(tractor, {**about, "kdenlive:trackheight": 67, "kdenlive:timeline_active": 1, "kdenlive:collapsed": 0})
        put(tractor, {"kdenlive:track_name": self.row.name})
        for playlist in playlists:
            SubElement(tractor, "track", hide="video" if sound else "audio", producer=playlist.get("id", ""))
        tractor.extend(self._mixes())
        end = max([piece.end for piece in self.row.pieces], default=1)
        tractor.set("in", "0")
        tractor.set("out", str(end - 1))
        return [*producers.values(), *playlists, tractor]

    def _sides(self) -> tuple[list[Piece], list[Piece]]:
        sides: tuple[list[Piece], list[Piece]] = ([], [])
        side, reached = 0, 0
        for piece in self.row.pieces:
            side = 1 - side if piece.start < reached else 0
            sides[side].append(piece)
            reached = piece.end
        return sides

    def _mixes(self) -> Iterator[Element]:
        turned = False
        for number, (one, two) in enumerate(itertools.pairwise(self.row.pieces)):
            if two.start >= one.end:
                turned = False
                continue
            name = f"{self.prefix}mix{self.index}_{number}"
            made = Element("transition", {"id": name, "in": str(two.start), "out": str(one.end - 1)})
            put(made, {"a_track": 0, "b_track": 1, "kdenlive:mixcut": (one.end - two.start) // 2})
            put(made, _MIX if self.row.kind == "audio" else _LUMA)
            yield put(made, {"reverse": int(turned)})
            turned = not turned

    def _playlist(
        self, side: int, pieces: Sequence[Piece], producers: dict[tuple[str, Fraction, bool], Element]
    ) -> Element:
        made = Element("playlist", id=f"{self.prefix}playlist{2 * self.index + side}")
        if self.row.kind == "audio":
            put(made, {"kdenlive:audio_track": 1})
        reached = 0
        for piece in pieces:
            if piece.start > reached:
                SubElement(made, "blank", length=str(piece.start - reached))
            made.append(self._entry(piece, producers))
            reached = piece.end
        return made

    def _entry(self, piece: Piece, producers: dict[tuple[str, Fraction, bool], Element]) -> Element:
        number = self.bin.number(piece, self.row.ours)
        key = (piece.media.url or f"title {piece.name}", piece.speed if piece.speed else _PLAIN, piece.enabled)
        if key not in producers:
            producers[key] = self._producer(f"{self.name}_{len(producers)}", piece, number)
        return cut(piece, producers[key].get("id", ""), self.rate, {"kdenlive:id": number})

    def _producer(self, name: str, piece: Piece, number: int) -> Element:
        """Kdenlive's clips are of sound or of picture alone; one that is switched off is of neither."""
        sound = self.row.kind == "audio"
        hidden = {
            "set.test_audio": int(not sound or not piece.enabled),
            "set.test_image": int(sound or not piece.enabled),
        }
        return producer(name, piece, self.rate, {"kdenlive:id": number, **hidden})


_MIX = {"mlt_service": "mix", "kdenlive_id": "mix", "start": -1, "accepts_blanks": 1}
_LUMA = {
    "factory": "loader",
    "resource": "",
    "mlt_service": "luma",
    "kdenlive_id": "luma",
    "softness": 0,
    "alpha_over": 1,
    "invert": 0,
}


def _filters(piece: Piece, first: int) -> Iterator[Element]:
    """Level, channel and freeze of a clip; keyframes of a cut count from its first frame."""
    if piece.gain_db or piece.keys:
        keys = piece.keys or ((0, 0.0),)
        level = ";".join(f"{frame}={piece.gain_db + level_db:.3f}" for frame, level_db in keys)
        yield _filter(piece, first, {"mlt_service": "volume", "kdenlive_id": "volume", "level": level})
    yield from _fades(piece, first)
    if len(piece.channels) == 1 and piece.channels[0] < 2:
        wanted = piece.channels[0]
        about = {"mlt_service": "channelcopy", "kdenlive_id": "channelcopy", "from": wanted, "to": 1 - wanted}
        yield _filter(piece, first, about)
    if not piece.speed:
        yield _filter(piece, first, {"mlt_service": "freeze", "kdenlive_id": "freeze", "frame": first})


def _fades(piece: Piece, first: int) -> Iterator[Element]:
    """Kdenlive's own fades of sound, with handles in its timeline."""
    fade_in, fade_out = piece.fades
    end = first + piece.frames
    for name, start, stop, gain in (("fadein", first, first + fade_in, 0), ("fadeout", end - fade_out, end, 1)):
        if stop > start:
            made = Element("filter", {"in": str(start), "out": str(stop - 1)})
            about = {"mlt_service": "volume", "kdenlive_id": name, "gain": gain, "end": 1 - gain}
            yield put(made, {"window": 75, "max_gain": "20dB", **about})


def _filter(piece: Piece, first: int, told: Mapping[str, object]) -> Element:
    made = Element("filter", {"in": str(first), "out": str(first + piece.frames - 1)})
    return put(made, told)


def _profile(sheet: Sheet) -> dict[str, str]:
    width, height = sheet.size
    display = Fraction(width, height)
    told: dict[str, object] = {
        "description": f"{width}x{height} {float(sheet.rate):.2f} fps",
        "width": width,
        "height": height,
        "progressive": 1,
        "sample_aspect_num": 1,
        "sample_aspect_den": 1,
        "display_aspect_num": display.numerator,
        "display_aspect_den": display.denominator,
        "frame_rate_num": sheet.rate.numerator,
        "frame_rate_den": sheet.rate.denominator,
        "colorspace": 709,
    }
    return {name: str(value) for name, value in told.items()}


def _bin(sheet: Sheet, producers: Sequence[Element]) -> Element:
    made = put(Element("playlist", id="main_bin"), {f"kdenlive:folder.-1.{_FOLDER}": "Immersivaudio"})
    documented = {
        "version": "1.04",
        "kdenliveversion": "22.12.0",
        "audioChannels": 2,
        "compositing": 1,
        "seekOffset": 0,
    }
    put(made, {f"kdenlive:docproperties.{name}": value for name, value in documented.items()})
    put(made, {"xml_retain": 1})
    made.extend(bin_entry(one) for one in producers)
    return made


def _black(frames: int) -> Element:
    made = Element("producer", {"id": "black_track", "in": "0", "out": str(frames - 1)})
    about = {"length": frames, "eof": "continue", "resource": "black", "mlt_service": "color"}
    return put(made, {**about, "kdenlive:playlistid": "black_track", "set.test_audio": 0})
