# SPDX-License-Identifier: AGPL-3.0-or-later
"""OpenTimelineIO's JSON by hand, from pieces of an edit: no Blender in it, and no library that Blender lacks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    """A stretch of one strip, played at one speed.

    ``start`` and ``end`` are frames of the timeline, ``layer`` sorts tracks from the bottom up. ``source_s`` is the
    moment of the media that is seen first in media seconds (of a reversed piece: the earliest one that is seen);
    ``speed`` is media seconds per second: 1 as shot, 0 a still. ``path`` is None where there is no media.
    """

    name: str
    kind: str
    layer: tuple[int, ...]
    start: Fraction
    end: Fraction
    path: str | None = None
    source_s: Fraction = Fraction(0)
    speed: Fraction = Fraction(1)
    enabled: bool = True
    gain_db: float = 0.0
    media_s: Fraction | None = None
    about: dict = field(default_factory=dict)


def timeline(name: str, pieces: Iterable[Piece], rate: Fraction, first: int, last: int) -> dict:
    """A ``Timeline.1`` whose zero is frame ``first``; what lies outside ``[first, last)`` is cut off."""
    inside = [cut for piece in pieces if (cut := within(piece, rate, first, last))]
    tracks = [_track(row, kind, rate, first) for kind in ("Video", "Audio") for row in _rows(inside, kind)]
    stack = _item("Stack.1", "tracks", children=tracks)
    start = _time(Fraction(max(0, first)), rate)
    known = {"immersivaudio": {"rate": f"{rate.numerator}/{rate.denominator}"}}
    return {"OTIO_SCHEMA": "Timeline.1", "name": name, "metadata": known, "global_start_time": start, "tracks": stack}


def within(piece: Piece, rate: Fraction, first: float, last: float) -> Piece | None:
    """The part of ``piece`` that lies in the frames ``[first, last)``, or None where that is nothing."""
    start, end = max(piece.start, first), min(piece.end, last)
    if end <= start:
        return None
    cut_away = Fraction(start - piece.start) if piece.speed >= 0 else Fraction(piece.end - end)
    source_s = piece.source_s + cut_away / rate * abs(piece.speed)
    return replace(piece, start=Fraction(start), end=Fraction(end), source_s=source_s)


def _rows(pieces: list[Piece], kind: str) -> list[list[Piece]]:
    """Pieces of a kind as tracks: one a layer, from the bottom up, and one more where strips of a layer overlap."""
    rows: list[list[Piece]] = []
    chosen = sorted((piece for piece in pieces if piece.kind == kind), key=lambda piece: (piece.layer, piece.start))
    for _, layer in itertools.groupby(chosen, key=lambda piece: piece.layer):
        here: list[list[Piece]] = []
        for piece in layer:
            row = next((row for row in here if row[-1].end <= piece.start), None)
            if row is None:
                row = []
                here.append(row)
            row.append(piece)
        rows.extend(here)
    return rows


def _track(row: list[Piece], kind: str, rate: Fraction, first: int) -> dict:
    children, at = [], Fraction(first)
    for piece in row:
        if piece.start > at:
            children.append(_gap(piece.start - at, rate))
        children.append(_clip(piece, rate))
        at = piece.end
    name = "Channel " + ".".join(str(number) for number in row[0].layer)
    return _item("Track.1", name, children=children, kind=kind)


def _gap(frames: Fraction, rate: Fraction) -> dict:
    return _item("Gap.1", "", source_range=_range(Fraction(0), frames, rate))


def _clip(piece: Piece, rate: Fraction) -> dict:
    clip = _item("Clip.2", piece.name, source_range=_range(piece.source_s * rate, piece.end - piece.start, rate))
    clip["metadata"] = {"blender": piece.about}
    if piece.gain_db:
        clip["metadata"]["immersivaudio"] = {"gain_db": piece.gain_db}
    clip["enabled"] = piece.enabled
    clip["effects"] = _speed(piece)
    clip["media_references"] = {"DEFAULT_MEDIA": _media(piece, rate)}
    clip["active_media_reference_key"] = "DEFAULT_MEDIA"
    return clip


def _media(piece: Piece, rate: Fraction) -> dict:
    known = {"metadata": {}, "name": "", "available_range": None, "available_image_bounds": None}
    if piece.path is None:
        return {"OTIO_SCHEMA": "MissingReference.1", **known}
    if piece.media_s is not None:
        known["available_range"] = _range(Fraction(0), piece.media_s * rate, rate)
    return {"OTIO_SCHEMA": "ExternalReference.1", **known, "target_url": str(Path(piece.path))}


def _speed(piece: Piece) -> list[dict]:
    if piece.speed == 1:
        return []
    schema, name = ("FreezeFrame.1", "FreezeFrame") if piece.speed == 0 else ("LinearTimeWarp.1", "LinearTimeWarp")
    effect = {"OTIO_SCHEMA": schema, "metadata": {}, "name": "", "effect_name": name, "enabled": True}
    return [{**effect, "time_scalar": float(piece.speed)}]


def _item(schema: str, name: str, **more: object) -> dict:
    empty = {"metadata": {}, "source_range": None, "effects": [], "markers": [], "enabled": True}
    return {"OTIO_SCHEMA": schema, "name": name, **empty, **more}


def _range(start: Fraction, frames: Fraction, rate: Fraction) -> dict:
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": _time(start, rate), "duration": _time(frames, rate)}


def _time(frames: Fraction, rate: Fraction) -> dict:
    return {"OTIO_SCHEMA": "RationalTime.1", "value": float(frames), "rate": float(rate)}
