# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sightings, clips and edits as JSON and back, exact: for what is kept, and for watchers in a process of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from immersivaudio.engine.cue import Clip, Edit, Sighting, Span

Record = dict[str, Any]
_EXACT = ("speed", "fade_in_s", "fade_out_s", "rate")


def of_sightings(sightings: Iterable[Sighting]) -> list[Record]:
    """One record a sighting, without its id; numbers of numpy become Python's."""
    return [
        {
            "watcher": s.watcher, "label": s.label, "start": str(s.span.start_s), "duration": str(s.span.duration_s),
            "confidence": float(s.confidence), "box": [float(edge) for edge in s.box] if s.box else None,
            "values": {name: v if isinstance(v, str | int) else float(v) for name, v in s.values.items()},
        }
        for s in sightings
    ]  # fmt: skip


def sightings(records: Iterable[Mapping[str, Any]]) -> list[Sighting]:
    """The sightings of ``records``.

    Raises:
        KeyError, TypeError, ValueError: a record is none.
    """
    return [
        Sighting(
            str(row["watcher"]), str(row["label"]), Span(Fraction(row["start"]), Fraction(row["duration"])),
            row["confidence"], tuple(row["box"]) if row["box"] else None, row["values"],
        )
        for row in records
    ]  # fmt: skip


def of_clip(clip: Clip) -> Record:
    """Everything of ``clip``; :func:`clip` reads it back."""
    exact = {name: str(getattr(clip, name)) for name in _EXACT}
    plain = {name: getattr(clip, name) for name in ("id", "name", "kind", "track", "media", "enabled", "gain_db")}
    return {
        **plain, **exact, "channels": list(clip.channels), "source": _of_span(clip.source), "record": _of_span(clip.record)
    }  # fmt: skip


def clip(record: Mapping[str, Any]) -> Clip:
    """The clip that :func:`of_clip` wrote."""
    speed, fade_in_s, fade_out_s, rate = (Fraction(record[name]) for name in _EXACT)
    return Clip(
        record["id"], record["name"], record["kind"], record["track"], record["media"],
        _span(record["source"]), _span(record["record"]), speed, record["enabled"], tuple(record["channels"]),
        record["gain_db"], fade_in_s, fade_out_s, rate,
    )  # fmt: skip


def of_edit(edit: Edit) -> Record:
    """What a sound watcher may ask of ``edit``: its length, rate, clips and picture."""
    return {
        "name": edit.name, "rate": str(edit.rate), "duration": str(edit.duration_s),
        "clips": [of_clip(one) for one in edit.clips], "picture": [of_clip(one) for one in edit.picture],
    }  # fmt: skip


def edit(record: Mapping[str, Any]) -> Edit:
    """The edit that :func:`of_edit` wrote."""
    clips, picture = (tuple(clip(one) for one in record[name]) for name in ("clips", "picture"))
    return Edit(record["name"], Fraction(record["rate"]), Fraction(record["duration"]), clips=clips, picture=picture)


def _of_span(span: Span) -> list[str]:
    return [str(span.start_s), str(span.duration_s)]


def _span(record: list[str]) -> Span:
    return Span(Fraction(record[0]), Fraction(record[1]))
