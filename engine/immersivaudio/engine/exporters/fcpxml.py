# SPDX-License-Identifier: AGPL-3.0-or-later
"""Final Cut Pro's own XML, version 1.10, as its published document type and reference tell it.

The lowest row of pictures is the primary storyline; every other row of the user's is a connected storyline, and each of our
clips a connected clip on a negative lane with a role. Offsets and lengths are whole frames of the sequence. A clip's own clock
counts the media's timecode, of a retimed clip the retimed media from 0 on; connected clips and keyframes are told on it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element, SubElement

from immersivaudio.engine.cue import Stem
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.exporters import xmeml
from immersivaudio.engine.exporters.own import printed
from immersivaudio.engine.exporters.rows import Media, Piece, Row, Sheet, follows, gentle
from immersivaudio.engine.importers.earlier import is_lane_name
from immersivaudio.engine.importers.exact import SPEED_GRAIN
from immersivaudio.engine.importers.lanes import layered
from immersivaudio.engine.timecode import drops

LOUDEST_DB, _SOFTEST_DB = 12.0, -96.0
RATES = {
    Fraction(24000, 1001): "2398",
    Fraction(24): "24",
    Fraction(25): "25",
    Fraction(30000, 1001): "2997",
    Fraction(30): "30",
    Fraction(50): "50",
    Fraction(60000, 1001): "5994",
    Fraction(60): "60",
}
"""The frame rates of Final Cut Pro's projects, and what they are called in the names of its formats."""
_SIZES = {(1280, 720): "720", (1920, 1080): "1080", (3840, 2160): "3840x2160", (4096, 2160): "4096x2160"}
_FINEST = 720_000
"""What a second is cut into at most: Final Cut's own times between samples and frames count this."""
_TITLE = ".../Titles.localized/Bumper:Opener.localized/Basic Title.localized/Basic Title.moti"
_DISSOLVE = "FxPlug:4731E73A-8DAC-4113-9A30-AE85B1761265"
_CROSSFADE = "FFAudioTransition"
_SPOKEN = "dialogue"


def write(sheet: Sheet) -> str:
    """``sheet`` as an FCPXML document with one project.

    Raises:
        RequestError: no project of Final Cut Pro has its frame rate.
    """
    check(sheet.rate)
    writer = Writer(sheet)
    sequence = writer.sequence()
    root = Element("fcpxml", version="1.10")
    SubElement(root, "resources").extend(writer.resources())
    event = SubElement(SubElement(root, "library"), "event", name="Immersivaudio")
    SubElement(event, "project", name=sheet.name).append(sequence)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{printed(root)}\n'


def check(rate: Fraction) -> None:
    """Refuse a frame rate that no project of Final Cut Pro has.

    Raises:
        RequestError: it is one.
    """
    if rate not in RATES:
        raise RequestError(
            f"Final Cut Pro has no {float(rate):g} frames a second.", "Choose another editor with --for."
        )


def url_of(path: str) -> str:
    """A path as a ``src``; a bare file name stays one, to be completed."""
    return xmeml.url_of(path).replace("file://localhost/", "file:///", 1)


def moment(seconds: Fraction) -> str:
    """Exact seconds as FCPXML writes them."""
    if seconds.denominator > _FINEST:
        seconds = Fraction(round(seconds * _FINEST), _FINEST)
    return f"{seconds}s"


def role_of(row: Row) -> str:
    """The role of a lane of ours: its name as a subrole of Final Cut's effects or music, by which it is known again."""
    if not is_lane_name(row.name):
        return _SPOKEN
    return f"{'music' if Stem.MUSIC in row.name.lower().split() else 'effects'}.{row.name}"


@dataclass(frozen=True, slots=True)
class Host:
    """An element of a storyline that holds what is connected to it: its frames of the record are ``[start, end)``, and
    its own clock says ``clock_s`` at the first, and runs ``pace`` times as fast as the record's."""

    element: Element
    start: Fraction
    end: Fraction
    clock_s: Fraction
    pace: Fraction = Fraction(1)

    def offset(self, frame: int, rate: Fraction) -> str:
        return moment(self.clock_s + (frame - self.start) / rate * self.pace)


@dataclass(frozen=True, slots=True)
class _Use:
    """In which kinds of rows a file is played, whether in ours, and up to which of its own seconds."""

    kinds: frozenset[str] = frozenset()
    ours: bool = False
    end_s: Fraction = Fraction(0)


@dataclass
class Writer:
    """Makes the elements of a sheet; ``prefix`` begins the ids of what is put into a document of the user's, and
    ``told_by_src`` is for versions before 1.9, whose assets name their file themselves."""

    sheet: Sheet
    prefix: str = ""
    told_by_src: bool = False
    needed: dict[tuple[object, ...], Element] = field(default_factory=dict)
    styles: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def sequence(self) -> Element:
        sheet = self.sheet
        told = {
            "format": self._format(sheet.rate, sheet.size),
            "duration": self._frames(sheet.frames),
            "tcStart": self._frames(sheet.start_frame),
            "tcFormat": "DF" if sheet.drop_frame and drops(sheet.rate) else "NDF",
            "audioLayout": "stereo",
            "audioRate": "48k",
        }
        made = Element("sequence", told)
        spine = SubElement(made, "spine")
        video = [lane for row in sheet.of("video") for lane in _storylines(row)]
        audio = [lane for row in sheet.of("audio") if not row.ours for lane in _storylines(row)]
        hosts = self._fill(spine, video[0] if video else (), "video", sheet.start_frame, sheet.frames)
        for lane, pieces in enumerate(video[1:], 1):
            self._connect_storyline(hosts, lane, pieces, "video")
        for lane, pieces in enumerate(audio, 1):
            self._connect_storyline(hosts, -lane, pieces, "audio")
        for host, clip in self.connected(hosts, len(audio)):
            put_in(host.element, clip)
        return made

    def connected(self, hosts: Sequence[Host], below: int) -> Iterator[tuple[Host, Element]]:
        """Our clips, each with the host that it begins at, on lanes under the ``below`` lowest."""
        for lane, row in enumerate((row for row in self.sheet.rows if row.ours), below + 1):
            for piece in row.pieces:
                host = host_at(hosts, piece.start)
                clip = self._clip(piece, "audio", (piece.start, piece.end), role_of(row))
                clip.attrib = {"lane": str(-lane), "offset": host.offset(piece.start, self.sheet.rate), **clip.attrib}
                yield host, clip

    def resources(self) -> list[Element]:
        """All that the elements that were made refer to."""
        return list(self.needed.values())

    def _connect_storyline(self, hosts: Sequence[Host], lane: int, pieces: Sequence[Piece], kind: str) -> None:
        if not pieces:
            return
        first = pieces[0].start
        host = host_at(hosts, first)
        spine = SubElement(host.element, "spine", lane=str(lane), offset=host.offset(first, self.sheet.rate))
        self._fill(spine, pieces, kind, -first, 0)

    def _fill(self, spine: Element, pieces: Sequence[Piece], kind: str, shift: int, frames: int) -> list[Host]:
        """Lay ``pieces`` into a storyline whose clock says ``shift`` frames at the record's first; one of the record's own
        length ``frames`` begins with the record, another (0) with its first piece."""
        at = 0 if frames else -shift
        hosts: list[Host] = []
        for index, piece in enumerate(pieces):
            before, after = pieces[index - 1] if index else None, pieces[index + 1] if index + 1 < len(pieces) else None
            start = _cut(before, piece) if before is not None and before.end > piece.start else piece.start
            end = _cut(piece, after) if after is not None and after.start < piece.end else piece.end
            if start > at:
                hosts.append(self._gap(spine, at, start, shift))
            if before is not None and before.end > piece.start:
                spine.append(self._transition(piece.start, before.end, kind, shift))
            clip = self._clip(piece, kind, (start, end), _SPOKEN)
            clip.attrib = {"offset": self._frames(shift + start), **clip.attrib}
            spine.append(clip)
            hosts.append(Host(clip, Fraction(start), Fraction(end), self._clock_s(piece, start)))
            at = end
        if frames > at:
            hosts.append(self._gap(spine, at, frames, shift))
        return hosts

    def _gap(self, spine: Element, start: int, end: int, shift: int) -> Host:
        told = {"offset": self._frames(shift + start), "start": "0s", "duration": self._frames(end - start)}
        return Host(SubElement(spine, "gap", {"name": "Gap", **told}), Fraction(start), Fraction(end), Fraction(0))

    def _transition(self, start: int, end: int, kind: str, shift: int) -> Element:
        told = {"offset": self._frames(shift + start), "duration": self._frames(end - start)}
        name, uid = ("Cross Dissolve", _DISSOLVE) if kind == "video" else ("Audio Crossfade", _CROSSFADE)
        made = Element("transition", {"name": name, **told})
        SubElement(made, f"filter-{kind}", ref=self._effect(name, uid), name=name)
        return made

    def _clip(self, piece: Piece, kind: str, core: tuple[int, int], role: str) -> Element:
        """The part of ``piece`` between the cuts in its dissolves, which reach beyond by themselves."""
        told = {"name": piece.name, "duration": self._frames(core[1] - core[0])}
        if not piece.enabled:
            told["enabled"] = "0"
        told["start"] = moment(self._clock_s(piece, core[0]))
        if not piece.media.url:
            return self._title(told)
        ref = self._asset(piece.media)
        made = Element("asset-clip", {"ref": ref, **told, **self._wanted(piece.media, kind)})
        if kind == "audio":
            made.set("audioRole", role)
        if piece.told:
            SubElement(made, "note").text = piece.told
        if piece.speed != 1:
            made.append(self._time_map(piece))
        if piece.gain_db or piece.keys or any(piece.fades):
            made.append(self._volume(piece, self._clock_s(piece, piece.start)))
        if kind == "audio" and piece.channels:
            heard = ", ".join(str(channel + 1) for channel in piece.channels)
            SubElement(made, "audio-channel-source", srcCh=heard, role=role)
        return made

    def _title(self, told: Mapping[str, str]) -> Element:
        """A title of one blank: it shows nothing."""
        made = Element("title", {"ref": self._effect("Basic Title", _TITLE), **told})
        style = f"{self.prefix}ts{next(self.styles)}"
        SubElement(SubElement(made, "text"), "text-style", ref=style).text = " "
        SubElement(SubElement(made, "text-style-def", id=style), "text-style", font="Helvetica", fontSize="60")
        return made

    def _wanted(self, media: Media, kind: str) -> dict[str, str]:
        has_video, has_audio = self._streams(media)
        return {"srcEnable": kind} if has_video and has_audio else {}

    def _streams(self, media: Media) -> tuple[bool, bool]:
        """Whether a file has picture and sound: what it holds, and what its clips ask of it."""
        kinds = self._uses.get(media.url, _Use()).kinds
        return bool(media.size[0]) or "video" in kinds, bool(media.channels) or "audio" in kinds

    def _clock_s(self, piece: Piece, frame: int) -> Fraction:
        """What the clip's own clock says at a frame of the record."""
        past_s = (frame - piece.start) / self.sheet.rate
        if piece.speed == 1 or not piece.media.url:
            return (piece.media.start_s + piece.source_s if piece.media.url else Fraction(0)) + past_s
        if piece.speed > 0:
            return piece.source_s / piece.speed + past_s
        if piece.speed == 0:
            return past_s
        highest_s = piece.source_s + piece.frames / self.sheet.rate * -piece.speed
        return (self._stretched(piece)[0] - highest_s) / -piece.speed + past_s

    def _time_map(self, piece: Piece) -> Element:
        first, still_s = piece.media.start_s, piece.media.start_s + piece.source_s
        if piece.speed:
            whole_s, played_s = self._stretched(piece)
            values = (first, first + whole_s) if piece.speed > 0 else (first + whole_s, first)
        else:
            values, played_s = (still_s, still_s), piece.frames / self.sheet.rate
        made = Element("timeMap")
        for time_s, value_s in zip((Fraction(0), played_s), values, strict=True):
            SubElement(made, "timept", time=moment(time_s), value=moment(value_s), interp="linear")
        return made

    def _stretched(self, piece: Piece) -> tuple[Fraction, Fraction]:
        """At least the whole of a piece's media, and how long it lasts retimed: two times that FCPXML can write and whose
        ratio is the speed exactly."""
        speed = abs(piece.speed).limit_denominator(SPEED_GRAIN)
        steps = -(-self._length_s(piece.media) * _FINEST // speed.numerator)
        return Fraction(steps * speed.numerator, _FINEST), Fraction(steps * speed.denominator, _FINEST)

    def _length_s(self, media: Media) -> Fraction:
        """As long as the file is, and as far as clips play it."""
        return max(media.length_s or Fraction(0), self._uses.get(media.url, _Use()).end_s)

    @functools.cached_property
    def _uses(self) -> dict[str, _Use]:
        """What the clips of the sheet ask of each file."""
        found: dict[str, _Use] = {}
        for row in self.sheet.rows:
            for piece in row.pieces:
                end_s = piece.source_s + max(piece.frames * abs(piece.speed), Fraction(1)) / self.sheet.rate
                known = found.get(piece.media.url, _Use())
                kinds = known.kinds | {row.kind}
                found[piece.media.url] = _Use(kinds, known.ours or row.ours, max(known.end_s, end_s))
        return found

    def _volume(self, piece: Piece, clock_s: Fraction) -> Element:
        keys = gentle(piece.keys)
        made = Element("adjust-volume", amount=_level(piece.gain_db + (keys[0][1] if keys else 0.0)))
        if len(keys) < 2 and not any(piece.fades):
            return made
        amount = SubElement(made, "param", name="amount")
        for name, frames in zip(("fadeIn", "fadeOut"), piece.fades, strict=True):
            if frames:
                SubElement(amount, name, type="linear", duration=self._frames(frames))
        if len(keys) > 1:
            curve = SubElement(amount, "keyframeAnimation")
            for frame, level_db in keys:
                time = moment(clock_s + frame / self.sheet.rate)
                SubElement(curve, "keyframe", time=time, value=_level(piece.gain_db + level_db))
        return made

    def _asset(self, media: Media) -> str:
        has_video, has_audio = self._streams(media)
        told = {"name": _stem(media.url), "start": moment(media.start_s), "duration": moment(self._length_s(media))}
        if has_video:
            size = media.size if all(media.size) else self.sheet.size
            told |= {"hasVideo": "1", "format": self._format(media.rate or self.sheet.rate, size), "videoSources": "1"}
        if has_audio:
            told |= {"hasAudio": "1", "audioSources": "1", "audioChannels": str(media.channels or 2)}
            if self._uses[media.url].ours:
                told["audioRate"] = "48000"
        if self.told_by_src:
            told["src"] = url_of(media.url)
        made = self._resource(("asset", media.url), "asset", told)
        if not self.told_by_src and not len(made):
            SubElement(made, "media-rep", kind="original-media", src=url_of(media.url))
        return made.get("id", "")

    def _format(self, rate: Fraction, size: tuple[int, int]) -> str:
        told = {"frameDuration": moment(1 / rate), "width": str(size[0]), "height": str(size[1])}
        if rate in RATES and size in _SIZES:
            told = {"name": f"FFVideoFormat{_SIZES[size]}p{RATES[rate]}", **told}
        return self._resource(("format", rate, size), "format", told).get("id", "")

    def _effect(self, name: str, uid: str) -> str:
        return self._resource(("effect", uid), "effect", {"name": name, "uid": uid}).get("id", "")

    def _resource(self, key: tuple[object, ...], tag: str, told: Mapping[str, str]) -> Element:
        if key not in self.needed:
            self.needed[key] = Element(tag, {"id": f"{self.prefix}r{len(self.needed) + 1}", **told})
        return self.needed[key]

    def _frames(self, frames: int) -> str:
        return moment(frames / self.sheet.rate)


_BEHIND_ANCHORS = frozenset(
    [
        "marker",
        "chapter-marker",
        "rating",
        "keyword",
        "analysis-marker",
        "audio-channel-source",
        "audio-role-source",
        "sync-source",
        "filter-video",
        "filter-video-mask",
        "filter-audio",
        "metadata",
        "reserved",
    ]
)


def put_in(host: Element, clip: Element) -> None:
    """Connect ``clip`` to ``host``, where the order of its children has connected clips."""
    place = anchor_place(host)
    host.insert(len(host) if place is None else list(host).index(place), clip)


def anchor_place(host: Element) -> Element | None:
    """The child in front of which a further connected clip stands; None for the end."""
    return next((child for child in host if child.tag in _BEHIND_ANCHORS), None)


def host_at(hosts: Sequence[Host], frame: int) -> Host:
    """The element of the primary storyline at a frame: the last of them behind its end, the first before its start."""
    return next((host for host in hosts if frame < host.end), hosts[-1])


def _storylines(row: Row) -> Iterable[tuple[Piece, ...]]:
    """A row's pieces as storylines: one, but for dissolves of a single frame, whose middle lies on no frame."""
    return map(tuple, layered(row.pieces, lambda lane, piece: follows(lane, piece) and lane[-1].end - piece.start != 1))


def _cut(before: Piece, after: Piece) -> int:
    return (after.start + before.end) // 2


def _level(level_db: float) -> str:
    return f"{min(LOUDEST_DB, max(_SOFTEST_DB, level_db)):.4g}dB"


def _stem(url: str) -> str:
    return PureWindowsPath(url).stem if "\\" in url else Path(url).stem
