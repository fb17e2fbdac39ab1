# SPDX-License-Identifier: AGPL-3.0-or-later
"""The user's edit and our lanes as flat rows of clips on whole frames: what every exporter writes.

The user's clips come from the conformed edit, so a written document means what the edit meant: nests are flat, dissolves
are overlaps, speeds and freezes are exact. What an edit does not hold (titles, grades, effects) is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio

from immersivaudio.engine import riding
from immersivaudio.engine.blobs import is_blob
from immersivaudio.engine.conform import media_start
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Clip, Edit, samples_at
from immersivaudio.engine.errors import EngineError
from immersivaudio.engine.importers.exact import seconds
from immersivaudio.engine.importers.lanes import layered
from immersivaudio.engine.importers.sources import path_names
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.media import Probe
from immersivaudio.engine.otio_out import GAIN, NAMESPACE, lead_frames

_STEEPEST_DB = 3.0
_ON_FRAME = Fraction(1, 100)
_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Media:
    """A file that clips play: ``channels`` and ``size`` are 0 and ``length_s`` is None where it could not be read.

    ``start_s`` is its first frame's timecode; an empty ``url`` is a title or another thing without a file.
    """

    url: str
    length_s: Fraction | None = None
    channels: int = 0
    size: tuple[int, int] = (0, 0)
    rate: Fraction | None = None
    start_s: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip of a row: ``frames`` from frame ``start`` of the record, under dissolves too.

    ``source_s`` is the lowest moment of the media that it plays, from the media's first frame. ``keys`` are levels in
    decibels at frames from the clip's first, on top of ``gain_db``; ``fades`` are frames of a sound's fade from and to
    nothing, straight in amplitude.
    """

    name: str
    media: Media
    start: int
    frames: int
    source_s: Fraction = Fraction(0)
    speed: Fraction = Fraction(1)
    enabled: bool = True
    channels: tuple[int, ...] = ()
    gain_db: float = 0.0
    keys: tuple[tuple[int, float], ...] = ()
    told: str = ""
    fades: tuple[int, int] = (0, 0)

    @property
    def end(self) -> int:
        return self.start + self.frames


@dataclass(frozen=True, slots=True)
class Row:
    """A track. Pieces are in order of time; two that overlap are a dissolve. ``ours`` for a lane that was added."""

    kind: str
    name: str
    pieces: tuple[Piece, ...]
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is written. ``start_frame`` is the timecode of the record's first frame; rows are lowest first."""

    name: str
    rate: Fraction
    frames: int
    start_frame: int
    drop_frame: bool
    rows: tuple[Row, ...]
    size: tuple[int, int] = (1920, 1080)

    def of(self, kind: str) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == kind)


Prober = Callable[[Path], Probe]


def sheet_of(
    edit: Edit, laid: otio.schema.Timeline, given: otio.schema.Timeline | None, prober: Prober, grumbles: Grumbles
) -> Sheet:
    """``edit`` and the tracks that ``laid`` has beyond ``given`` (None: the edit is one media file, and its original sound
    is a lane of ``laid``)."""
    shelf = _Shelf(prober, {})
    clips = [clip for clip in edit.clips if given is not None or clip.kind == "video"]
    rows = [
        row
        for kind in ("video", "audio")
        for row in _users(edit, [clip for clip in clips if clip.kind == kind], _names(given, kind), shelf, grumbles)
    ]
    rows += _lanes(edit, laid, given)
    if given is not None:
        _say_losses(given, grumbles)
    return _sheet(edit, rows)


def lanes_of(edit: Edit, laid: otio.schema.Timeline, given: otio.schema.Timeline) -> Sheet:
    """The tracks alone that ``laid`` has beyond ``given``: what a document of the user's own lacks."""
    return _sheet(edit, _lanes(edit, laid, given))


def _lanes(edit: Edit, laid: otio.schema.Timeline, given: otio.schema.Timeline | None) -> list[Row]:
    added = list(laid.tracks)[len(given.tracks) if given is not None else 1 :]
    return [_lane(track, edit, laid) for track in added]


def _sheet(edit: Edit, rows: Sequence[Row]) -> Sheet:
    frames = max([-(-edit.duration_s * edit.rate // 1), *(piece.end for row in rows for piece in row.pieces)])
    start = round(edit.start_timecode_s * edit.rate)
    size = next((piece.media.size for row in rows for piece in row.pieces if all(piece.media.size)), (1920, 1080))
    return Sheet(edit.name, edit.rate, int(frames), start, edit.drop_frame, tuple(rows), size)


@dataclass(slots=True)
class _Shelf:
    """Reads each media file once."""

    prober: Prober
    known: dict[str, Media]

    def media(self, clip: Clip) -> Media:
        url = _plain_path(clip)
        if url not in self.known:
            self.known[url] = self._read(url, clip)
        return self.known[url]

    def _read(self, url: str, clip: Clip) -> Media:
        if clip.media is None:
            return Media(url)
        try:
            probe = self.prober(Path(clip.media))
        except (EngineError, OSError):
            return Media(url)
        video = probe.video[0] if probe.video else None
        return Media(
            url,
            probe.duration_s,
            sum(stream.channels for stream in probe.audio),
            (video.width, video.height) if video else (0, 0),
            video.rate if video else None,
            media_start(probe, video.rate)[0] if video else Fraction(0),
        )


def _plain_path(clip: Clip) -> str:
    """A plain path where there is one; media that was uploaded keeps the timeline's own name."""
    if clip.media and not is_blob(Path(clip.media)):
        return clip.media
    return next(iter(path_names(clip.url)), clip.url) if clip.url else (clip.name if clip.media else "")


def _names(given: otio.schema.Timeline | None, kind: str) -> Sequence[str]:
    tracks = list(given.tracks) if given is not None else []
    return [track.name for track in tracks if isinstance(track, otio.schema.Track) and track.kind.lower() == kind]


def _users(edit: Edit, clips: list[Clip], names: Sequence[str], shelf: _Shelf, grumbles: Grumbles) -> Iterator[Row]:
    kind = clips[0].kind if clips else ""
    for number in range(max([clip.track for clip in clips], default=-1) + 1):
        name = names[number] if number < len(names) and names[number] else f"{kind.title()} {number + 1}"
        here = [clip for clip in clips if clip.track == number and not _is_nothing(clip, grumbles)]
        own = [_faded(_piece(clip, edit, shelf, grumbles), clip, here, edit.rate, grumbles) for clip in here]
        for index, pieces in enumerate(_split(sorted(own, key=lambda piece: (piece.start, piece.end)))):
            yield Row(kind, name if not index else f"{name} ({index + 1})", tuple(pieces))


def _faded(piece: Piece, clip: Clip, beside: Sequence[Clip], rate: Fraction, grumbles: Grumbles) -> Piece:
    """``piece`` with the fades of ``clip`` that meet no other clip of its track, which are no dissolves; of a picture they
    are left out."""
    others = [other.record for other in beside if other is not clip]
    edges = ((clip.record.start_s, clip.fade_in_s), (clip.record.end_s, clip.fade_out_s))
    alone = [
        fade_s if not any(other.start_s < edge_s < other.end_s for other in others) else Fraction(0)
        for edge_s, fade_s in edges
    ]
    if any(alone) and clip.kind == "video":
        grumbles.add("Fades from and to nothing are left out: {clips}.", clip.name)
        return piece
    fade_in, fade_out = (min(piece.frames, round(fade_s * rate)) for fade_s in alone)
    return replace(piece, fades=(fade_in, fade_out))


def _is_nothing(clip: Clip, grumbles: Grumbles) -> bool:
    """Sound without a file: silence, which documents have no clip for."""
    nothing = clip.kind == "audio" and not clip.url and clip.media is None
    if nothing:
        grumbles.add("Sound clips that name no file are left out: {clips}.", clip.name)
    return nothing


def _piece(clip: Clip, edit: Edit, shelf: _Shelf, grumbles: Grumbles) -> Piece:
    start, end = clip.record.start_s * edit.rate, clip.record.end_s * edit.rate
    if any(abs(edge - round(edge)) > _ON_FRAME for edge in (start, end)):
        grumbles.add("Clips that begin or end between frames are moved to whole frames: {clips}.", clip.name)
    if not clip.url and clip.media is None and clip.kind == "video":
        grumbles.add("Titles and generators come as empty clips of their length: {clips}.", clip.name)
    media = shelf.media(clip)
    return Piece(
        name=clip.name or Path(media.url).name,
        media=media,
        start=round(start),
        frames=max(1, round(end) - round(start)),
        source_s=max(Fraction(0), clip.source.start_s),
        speed=clip.speed,
        enabled=clip.enabled,
        channels=clip.channels,
        gain_db=clip.gain_db,
    )


def _split(pieces: list[Piece]) -> list[list[Piece]]:
    """One list, unless three or more sound at once or one covers another, which no dissolve can mean."""
    return layered(pieces, follows) or [[]]


def follows(lane: list[Piece], piece: Piece) -> bool:
    """Whether ``piece`` may come behind the pieces of ``lane``: after them, or dissolving out of the last."""
    last = lane[-1]
    if piece.start >= last.end:
        return True
    before = lane[-2].end if len(lane) > 1 else last.start
    return piece.end > last.end and piece.start > last.start and piece.start >= before


def _lane(track: otio.schema.Track, edit: Edit, laid: otio.schema.Timeline) -> Row:
    lead = lead_frames(laid, edit)
    pieces = tuple(_generated(track, clip, edit, lead) for clip in track if isinstance(clip, otio.schema.Clip))
    return Row("audio", track.name, pieces, ours=True)


def _generated(track: otio.schema.Track, clip: otio.schema.Clip, edit: Edit, lead: Fraction) -> Piece:
    start = round(seconds(track.range_of_child(clip).start_time) * edit.rate - lead)
    frames = round(clip.source_range.duration.value)
    told: Mapping[str, Any] = next(
        (effect.metadata[NAMESPACE] for effect in clip.effects if effect.effect_name == GAIN), {}
    )
    points = [(float(at_s), float(gain_db)) for at_s, gain_db in told.get("gain_curve", ())]
    keys = riding.keyframes(points, float(edit.rate), frames)
    return Piece(
        name=clip.name,
        media=Media(clip.media_reference.target_url, edit.duration_s, 2, start_s=_stamp_s(edit)),
        start=start,
        frames=frames,
        source_s=start / edit.rate,
        gain_db=float(told.get("gain_db", 0.0)),
        keys=tuple(keys) if any(level_db != 0 for _, level_db in keys) else (),
        told=_why(clip.metadata.get(NAMESPACE, {})),
    )


def _stamp_s(edit: Edit) -> Fraction:
    """What the Broadcast WAV of a stem says that its first sample is, which editors take for its timecode."""
    return Fraction(samples_at(edit.start_timecode_s), SAMPLE_RATE_HZ) % _DAY_S


def _why(told: Mapping[str, Any]) -> str:
    return "; ".join(str(told[key]) for key in ("sound", "why", "performer", "licence") if told.get(key))


def say_too_loud(sheet: Sheet, loudest_db: float, grumbles: Grumbles) -> None:
    """Name the clips whose level is over what their document can say."""
    for row in sheet.of("audio"):
        for piece in row.pieces:
            if piece.gain_db + max([0.0, *(level_db for _, level_db in piece.keys)]) > loudest_db:
                grumbles.add(f"Levels over {loudest_db:g} dB are held there: {{clips}}.", piece.name)


def gentle(keys: Sequence[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """``keys`` with more of them on steep slopes: between two neighbours no more than 3 dB, so that it makes no audible
    difference whether an editor draws its lines in decibels or in amplitude."""
    made = list(keys[:1])
    for (start, from_db), (end, to_db) in itertools.pairwise(keys):
        slope = (to_db - from_db) / (end - start)
        stride = max(1, int(_STEEPEST_DB / abs(slope))) if slope else end - start
        made += [(frame, from_db + slope * (frame - start)) for frame in range(start + stride, end, stride)]
        made.append((end, to_db))
    return tuple(made)


def _say_losses(given: otio.schema.Timeline, grumbles: Grumbles) -> None:
    for item in given.find_children():
        if isinstance(item, otio.schema.Stack):
            grumbles.add("Nested sequences come as their clips: {clips}.", item.name)
        if isinstance(item, otio.core.Item) and any(
            not isinstance(effect, otio.schema.TimeEffect) for effect in item.effects
        ):
            grumbles.add("Effects stay behind in the timeline that was given: {clips}.", item.name)


def at_rate(media_s: Fraction, speed: Fraction, rate: Fraction) -> int:
    """A moment of media in frames of a clip that is played at ``speed``."""
    return round(media_s / abs(speed) * rate) if speed else round(media_s * rate)


def first_frame(piece: Piece, rate: Fraction) -> int:
    """``in`` of a piece, in frames of the retimed media from its first; backwards play counts from the media's end."""
    if piece.speed >= 0:
        return at_rate(piece.source_s, piece.speed, rate)
    return max(0, length_frames(piece, rate) - at_rate(piece.source_s, piece.speed, rate) - piece.frames)


def length_frames(piece: Piece, rate: Fraction) -> int:
    """The whole of a piece's media in frames of its retimed self; as far as it is used where that is not known."""
    used = at_rate(piece.source_s, piece.speed, rate) + (piece.frames if piece.speed else 1)
    if piece.media.length_s is None:
        return used
    return max(used, at_rate(piece.media.length_s, piece.speed, rate))
