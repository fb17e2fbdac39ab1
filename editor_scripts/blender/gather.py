# SPDX-License-Identifier: AGPL-3.0-or-later
"""The Video Sequence Editor as an OpenTimelineIO timeline: what is seen and heard, frame for frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import bpy

from . import compat, otio, retiming
from .bridge.host import HostError, Scope
from .otio import Piece

MARK = "immersivaudio"
SILENT_DB = -150.0


@dataclass(frozen=True)
class Gathered:
    """What is sent, the frame that is its zero, and what could not be honoured, one sentence each."""

    timeline: dict
    first_frame: int
    rate: Fraction
    warnings: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What a person reads before it is sent."""
        tracks = self.timeline["tracks"]["children"]
        clips = sum(child["OTIO_SCHEMA"].startswith("Clip") for track in tracks for child in track["children"])
        return f"{clips} strips on {len(tracks)} tracks at {float(self.rate):.3f} frames a second"


@dataclass(frozen=True)
class _Place:
    """Where strips of one level sit: channels of the metas around them, the frames in which they count, muted."""

    layer: tuple[int, ...] = ()
    start: float = -math.inf
    end: float = math.inf
    enabled: bool = True
    top: str = ""


def gather(scene, scope: Scope) -> Gathered:
    """The edit of ``scene``, or the part that ``scope`` names.

    A selection is the picture of the selected strips with everything that is heard meanwhile, so that room is left
    for speech. What an earlier result laid is left out.

    Raises:
        HostError: there is nothing to send.
    """
    if scene.sequence_editor is None:
        raise HostError(f"{scene.name} has no edit. Add strips in the Video Sequencer first.")
    chosen = [strip for strip in compat.strips_of(scene.sequence_editor) if MARK not in strip]
    first, last = _extent(scene, scope, chosen)
    reader = _Reader(scene)
    pieces = [piece for strip in chosen for piece in reader.read(strip, _Place(), scene.sequence_editor)]
    if scope is Scope.SELECTION:
        selected = {strip.name for strip in chosen if strip.select}
        pieces = [piece for piece in pieces if piece.kind == "Audio" or piece.about["strip"] in selected]
    if not any(piece.path and piece.start < last and piece.end > first for piece in pieces):
        raise HostError("There is no movie, image or sound strip to score here. Choose another scope.")
    timeline = otio.timeline(scene.name, pieces, reader.rate, first, last)
    return Gathered(timeline, first, reader.rate, tuple(dict.fromkeys(reader.warnings)))


def _extent(scene, scope: Scope, strips: list) -> tuple[int, int]:
    """First frame, and the frame after the last, of what ``scope`` names."""
    if scope is Scope.RANGE:
        if scene.use_preview_range:
            return scene.frame_preview_start, scene.frame_preview_end + 1
        return scene.frame_start, scene.frame_end + 1
    counted = [strip for strip in strips if strip.select] if scope is Scope.SELECTION else strips
    if not counted:
        raise HostError("No strip is selected." if scope is Scope.SELECTION else "The edit has no strips.")
    return min(map(compat.start_of, counted)), max(map(compat.end_of, counted))


class _Reader:
    """Reads the strips of one scene as pieces and collects warnings on the way."""

    def __init__(self, scene) -> None:
        self.rate = compat.rate_of(scene)
        self.warnings: list[str] = []
        self._factors = retiming.speed_effects(scene)
        self._movies: dict[str, retiming.Media | None] = {}
        self._kinds = {"MOVIE": self._movie, "SOUND": self._sound, "IMAGE": self._image, "META": self._meta}

    def read(self, strip, place: _Place, owner) -> Iterator[Piece]:
        """The pieces of ``strip``, which lies in ``owner``: an editor or a meta strip."""
        muted = strip.mute or (hasattr(owner, "channels") and owner.channels[strip.channel].mute)
        here = replace(place, enabled=place.enabled and not muted, top=place.top or strip.name)
        for piece in self._kinds.get(strip.type, self._other)(strip, here):
            cut = otio.within(piece, self.rate, here.start, here.end)
            if cut is not None:
                yield cut

    def _base(self, strip, place: _Place, kind: str, path: str | None) -> Piece:
        about = {"strip": place.top, "inside": strip.name} if place.top != strip.name else {"strip": strip.name}
        return Piece(
            name=strip.name,
            kind=kind,
            layer=(*place.layer, strip.channel),
            start=Fraction(compat.start_of(strip)),
            end=Fraction(compat.end_of(strip)),
            path=str(Path(bpy.path.abspath(path)).resolve()) if path else None,
            enabled=place.enabled,
            about=about,
        )

    def _meta(self, strip, place: _Place) -> Iterator[Piece]:
        start, end = max(place.start, compat.start_of(strip)), min(place.end, compat.end_of(strip))
        inside = replace(place, layer=(*place.layer, strip.channel), start=start, end=end)
        for child in compat.strips_of(strip):
            yield from self.read(child, inside, strip)

    def _sound(self, strip, place: _Place) -> Iterator[Piece]:
        base = self._base(strip, place, "Audio", strip.sound.filepath if strip.sound else None)
        media = retiming.sound_media(base.path) if base.path and len(strip.retiming_keys) > 1 else None
        how = self._played(strip, media)
        begins = how.begins + Fraction(getattr(strip, "sound_offset", 0.0)) * self.rate
        start = max(base.start, begins)
        gain_db = 20 * math.log10(strip.volume) if strip.volume > 0 else SILENT_DB
        source_s = how.offset_s + (start - begins) / self.rate * how.speed
        end = min(base.end, start + self._frames(media.length_s - source_s, how.speed)) if media else base.end
        if start < end:
            yield replace(base, start=start, end=end, source_s=source_s, speed=how.speed, gain_db=round(gain_db, 4))

    def _image(self, strip, place: _Place) -> Iterator[Piece]:
        if len(strip.elements) > 1:
            self.warnings.append(f"{strip.name}: an image sequence is sent as its first image.")
        path = strip.directory + strip.elements[0].filename if strip.elements else None
        yield replace(self._base(strip, place, "Video", path), speed=Fraction(0))

    def _movie(self, strip, place: _Place) -> Iterator[Piece]:
        base = self._base(strip, place, "Video", strip.filepath)
        media = self._measured(base.path) if base.path else None
        if media is None:
            self.warnings.append(f"{strip.name}: {base.path} cannot be read.")
            yield base
            return
        yield from self._with_holds(replace(base, media_s=media.length_s), self._played(strip, media), strip.name)

    def _measured(self, path: str) -> retiming.Media | None:
        if path not in self._movies:
            self._movies[path] = retiming.movie_media(path)
        return self._movies[path]

    def _with_holds(self, base: Piece, how: retiming.Played, name: str) -> Iterator[Piece]:
        """The content, and the first and last picture held where the strip is longer than it."""
        length_s, frame_s = base.media_s, 1 / self.rate
        factor = self._factors.get(name, Fraction(1)) or Fraction(1)
        start, end = max(base.start, how.begins), min(base.end, how.ends)
        into_s = (start - how.begins) / self.rate * abs(how.speed) + how.offset_s
        end = min(end, start + self._frames(length_s - into_s, how.speed * factor))
        shown_s = (end - start) / self.rate * abs(how.speed) * factor
        source_s = into_s if how.speed > 0 else max(Fraction(0), length_s - into_s - shown_s)
        first_s, last_s = (0, length_s - frame_s) if how.speed > 0 else (length_s - frame_s, 0)
        still = replace(base, speed=Fraction(0))
        if base.start < start:
            yield replace(still, end=min(start, base.end), source_s=Fraction(first_s))
        if end > start:
            yield replace(base, start=start, end=end, source_s=source_s, speed=how.speed * factor)
        if base.end > end:
            yield replace(still, start=max(end, base.start), source_s=Fraction(last_s))

    def _frames(self, left_s: Fraction, speed: Fraction) -> Fraction:
        """Whole frames of the timeline in which ``left_s`` of media are over."""
        return Fraction(max(0, math.ceil(left_s * self.rate / abs(speed))))

    def _played(self, strip, media: retiming.Media | None) -> retiming.Played:
        how = retiming.played(strip, media, self.rate)
        if not how.followed:
            self.warnings.append(f"{strip.name}: its speed changes on the way; the average is used.")
        if self._factors.get(strip.name, 1) is None:
            self.warnings.append(f"{strip.name}: its speed effect cannot be followed; its own speed is used.")
        return how

    def _other(self, strip, place: _Place) -> Iterator[Piece]:
        """Text, colours, adjustments and effects are no media. A scene is, but cannot be sent."""
        if strip.type in {"SCENE", "MOVIECLIP", "MASK"}:
            self.warnings.append(f"{strip.name}: a {strip.type.lower()} strip cannot be sent; render it to a movie.")
            yield self._base(strip, place, "Video", None)
