# SPDX-License-Identifier: AGPL-3.0-or-later
"""Final Cut Pro 7 XML (xmeml 4), as Premiere and Resolve read it.

Everything counts the sequence's frames: both editors take ``in`` and ``out`` as source seconds times the sequence's rate,
whatever rate a clip states. Stereo is two tracks that Premiere joins again. Levels are linear; their keyframes count the
frames of the clip's media, like ``in``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from immersivaudio.engine import timecode
from immersivaudio.engine.audio import amplitude
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.exporters.own import printed
from immersivaudio.engine.exporters.rows import Piece, Row, Sheet, first_frame, gentle, length_frames
from immersivaudio.engine.timecode import drops

_LOUDEST = 3.98109
LOUDEST_DB = 12.0
_EXPLODED = {"totalExplodedTrackCount": "2", "premiereTrackType": "Stereo"}


def write(sheet: Sheet) -> str:
    """``sheet`` as an xmeml document with one sequence.

    Raises:
        RequestError: its frame rate has no name there.
    """
    check(sheet.rate)
    root = Element("xmeml", version="4")
    root.append(Writer(sheet).sequence())
    return text(root)


def check(rate: Fraction) -> None:
    """Refuse a frame rate that is neither whole nor 1000/1001 of a whole one.

    Raises:
        RequestError: it has no name there.
    """
    if rate not in (round(rate), Fraction(1000 * round(rate), 1001)):
        raise RequestError(
            f"Final Cut Pro 7 XML has no {float(rate):g} frames a second.", "Choose another editor with --for."
        )


def text(root: Element) -> str:
    """A document as UTF-8 text, with its document type."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n{printed(root)}\n'


def url_of(path: str) -> str:
    """A path as a ``pathurl``; a bare file name stays one, to be completed."""
    if "://" in path or ("/" not in path and "\\" not in path):
        return path
    if PureWindowsPath(path).drive:
        path = "/" + path.replace("\\", "/")
    return f"file://localhost{quote(path, safe='/:')}"


def put(parent: Element, told: Mapping[str, object]) -> Element:
    """Children with texts, in order."""
    for name, value in told.items():
        SubElement(parent, name).text = str(value)
    return parent


@dataclass
class Writer:
    """Makes the elements of a sheet; ``prefix`` begins the ids of what is put into a document of the user's."""

    sheet: Sheet
    prefix: str = ""
    files: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def sequence(self) -> Element:
        sheet = self.sheet
        made = put(Element("sequence", id="sequence-1"), {"name": sheet.name, "duration": sheet.frames})
        made.append(rate(sheet.rate))
        made.append(self._timecode(sheet.start_frame))
        media = SubElement(made, "media")
        media.append(self._video())
        media.append(sound([track for row in sheet.of("audio") for track in self.audio_tracks(row)]))
        return made

    def _video(self) -> Element:
        made = Element("video")
        shape = SubElement(SubElement(made, "format"), "samplecharacteristics")
        shape.append(rate(self.sheet.rate))
        width, height = self.sheet.size
        put(shape, {"width": width, "height": height, "anamorphic": "FALSE", "pixelaspectratio": "square"})
        for row in self.sheet.of("video"):
            made.append(self._track(row, None))
        return made

    def audio_tracks(self, row: Row) -> list[Element]:
        """Two tracks where a clip of the row is stereo, else one."""
        if all(piece.media.channels < 2 or len(piece.channels) == 1 for piece in row.pieces):
            return [self._track(row, 0)]
        return [self._track(row, 0, exploded=True), self._track(row, 1, exploded=True)]

    def _track(self, row: Row, side: int | None, *, exploded: bool = False) -> Element:
        told = {"currentExplodedTrackIndex": str(side), **_EXPLODED} if exploded else {}
        made = Element("track", {"MZ.TrackName": row.name, **told})
        for before, piece, after in _with_neighbours(row.pieces):
            if before is not None and before.end > piece.start:
                made.append(self._dissolve(piece.start, before.end, row.kind))
            if side != 1 or not piece.channels or len(piece.channels) > 1:
                made.extend(self._with_fades(piece, self._clip(piece, row.kind, side, (before, after)), row.kind))
        if side is not None:
            put(made, {"outputchannelindex": side + 1})
        return made

    def _with_fades(self, piece: Piece, clip: Element, kind: str) -> Iterator[Element]:
        """``clip`` between its fades from and to nothing, which are transitions that meet no other clip."""
        fade_in, fade_out = piece.fades
        if fade_in:
            yield self._dissolve(piece.start, piece.start + fade_in, kind, "start-black")
        yield clip
        if fade_out:
            yield self._dissolve(piece.end - fade_out, piece.end, kind, "end-black")

    def _clip(self, piece: Piece, kind: str, side: int | None, beside: tuple[Piece | None, Piece | None]) -> Element:
        before, after = beside
        pace = self.sheet.rate
        first = first_frame(piece, pace)
        made = Element("clipitem", id=f"{self.prefix}clipitem-{next(self.numbers)}")
        put(made, {"name": piece.name, "enabled": "TRUE" if piece.enabled else "FALSE"})
        put(made, {"duration": length_frames(piece, pace)})
        made.append(rate(pace))
        under = bool(piece.fades[0]) or (before is not None and before.end > piece.start)
        over = bool(piece.fades[1]) or (after is not None and after.start < piece.end)
        put(made, {"start": -1 if under else piece.start, "end": -1 if over else piece.end})
        put(made, {"in": first, "out": first + piece.frames})
        made.append(self._file(piece) if piece.media.url else _slug())
        if kind == "audio" and (piece.channels or piece.media.channels):
            channel = piece.channels[min(side or 0, len(piece.channels) - 1)] if piece.channels else side or 0
            put(SubElement(made, "sourcetrack"), {"mediatype": "audio", "trackindex": channel + 1})
        if piece.speed != 1:
            made.append(_speed(piece.speed))
        if piece.gain_db or piece.keys:
            made.append(_level(piece, first))
        if piece.told:
            put(SubElement(made, "comments"), {"mastercomment1": piece.told})
        return made

    def _file(self, piece: Piece) -> Element:
        """The file in full where it comes first, afterwards its id alone."""
        url = piece.media.url
        if url in self.files:
            return Element("file", id=self.files[url])
        self.files[url] = f"{self.prefix}file-{len(self.files) + 1}"
        made = put(Element("file", id=self.files[url]), {"name": _leaf(url), "pathurl": url_of(url)})
        own = piece.media.rate or self.sheet.rate
        made.append(rate(own))
        if piece.media.length_s is not None:
            put(made, {"duration": round(piece.media.length_s * own)})
        made.append(self._streams(piece))
        return made

    def _streams(self, piece: Piece) -> Element:
        """What a file holds; of one that could not be read, what its clips ask of it."""
        known, made = piece.media.length_s is not None, Element("media")
        if piece.media.size[0] or (not known and self._used(piece, "video")):
            video, (width, height) = SubElement(made, "video"), piece.media.size
            if width:
                put(SubElement(video, "samplecharacteristics"), {"width": width, "height": height})
        if piece.media.channels or (not known and self._used(piece, "audio")):
            audio = SubElement(made, "audio")
            put(SubElement(audio, "samplecharacteristics"), {"depth": 24, "samplerate": 48000})
            put(audio, {"channelcount": piece.media.channels or 2})
        return made

    def _used(self, piece: Piece, kind: str) -> bool:
        return any(other.media.url == piece.media.url for row in self.sheet.of(kind) for other in row.pieces)

    def _dissolve(self, start: int, end: int, kind: str, alignment: str = "center") -> Element:
        made = put(Element("transitionitem"), {"start": start, "end": end, "alignment": alignment})
        made.append(rate(self.sheet.rate))
        name, effect = ("Cross Dissolve", "Cross Dissolve")
        if kind == "audio":
            name, effect = ("Cross Fade (+3dB)", "KGAudioTransCrossFade3dB")
        told = {"name": name, "effectid": effect, "effecttype": "transition", "mediatype": kind}
        put(SubElement(made, "effect"), told)
        return made

    def _timecode(self, frame: int) -> Element:
        made = Element("timecode")
        made.append(rate(self.sheet.rate))
        drop = self.sheet.drop_frame and drops(self.sheet.rate)
        return put(
            made,
            {
                "string": timecode.text(frame, self.sheet.rate, drop),
                "frame": frame,
                "displayformat": "DF" if drop else "NDF",
            },
        )


def rate(exact: Fraction) -> Element:
    """A rate as xmeml says it: the whole number above it, and whether it is NTSC's 1000/1001 of that."""
    ntsc = exact.denominator == 1001
    return put(Element("rate"), {"timebase": round(exact), "ntsc": "TRUE" if ntsc else "FALSE"})


def sound(tracks: Iterable[Element]) -> Element:
    """The sound of a sequence."""
    made = put(Element("audio"), {"numOutputChannels": 2})
    put(SubElement(SubElement(made, "format"), "samplecharacteristics"), {"depth": 24, "samplerate": 48000})
    made.extend(tracks)
    return made


def _with_neighbours(pieces: Sequence[Piece]) -> Iterator[tuple[Piece | None, Piece, Piece | None]]:
    around: list[Piece | None] = [None, *pieces, None]
    for index, piece in enumerate(pieces):
        yield around[index], piece, around[index + 2]


def _leaf(url: str) -> str:
    return PureWindowsPath(url).name if "\\" in url else Path(url).name


def _slug() -> Element:
    return put(Element("file"), {"name": "Slug", "mediaSource": "Slug"})


def _speed(speed: Fraction) -> Element:
    made = Element("filter")
    effect = put(SubElement(made, "effect"), {"name": "Time Remap", "effectid": "timeremap"})
    put(effect, {"effectcategory": "motion", "effecttype": "motion", "mediatype": "video"})
    values = {
        "variablespeed": "0",
        "speed": f"{float(abs(speed) * 100):.12g}",
        "reverse": "TRUE" if speed < 0 else "FALSE",
        "frameblending": "FALSE",
    }
    for name, value in values.items():
        put(SubElement(effect, "parameter"), {"parameterid": name, "name": name, "value": value})
    return made


def _level(piece: Piece, first: int) -> Element:
    made = Element("filter")
    effect = put(SubElement(made, "effect"), {"name": "Audio Levels", "effectid": "audiolevels"})
    put(effect, {"effectcategory": "audiolevels", "effecttype": "audiolevels", "mediatype": "audio"})
    parameter = SubElement(effect, "parameter", authoringApp="PremierePro")
    keys = gentle(piece.keys)
    level_db = piece.gain_db + (keys[0][1] if keys else 0.0)
    put(parameter, {"parameterid": "level", "name": "Level", "valuemin": 0, "valuemax": _LOUDEST})
    put(parameter, {"value": _linear(level_db)})
    for frame, at_db in keys if len(keys) > 1 else ():
        put(SubElement(parameter, "keyframe"), {"when": first + frame, "value": _linear(piece.gain_db + at_db)})
    return made


def _linear(level_db: float) -> str:
    return f"{min(_LOUDEST, amplitude(level_db)):.5f}"
