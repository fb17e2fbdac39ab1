# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two detectors that follow the same thing: one sighting of it, believed more where they agree on its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from immersivaudio.engine.cue import Sighting
from immersivaudio.engine.tracks import box_at

_TOGETHER, _OVERLAP, _ONE_BLOW_S, _MOST = Fraction(1, 2), 0.4, Fraction(2, 25), 0.97
_MOMENTS = (Fraction(1, 6), Fraction(1, 2), Fraction(5, 6))


def one_each(rows: Sequence[Sighting]) -> list[Sighting]:
    """``rows`` with every ``object`` and every blow of a ball that two detectors see told once, by the surer of them."""
    kept = list(rows)
    things = [
        row for row in rows if row.label == "object" or (row.label == "impact" and row.values.get("kind") == "ball")
    ]
    if len({row.watcher for row in things}) < 2:
        return kept
    gone: set[int] = set()
    surest_first = sorted(things, key=lambda row: (-row.confidence, row.watcher, row.id))
    for index, first in enumerate(surest_first):
        if id(first) in gone:
            continue
        same = [other for other in surest_first[index + 1 :] if id(other) not in gone and _is_same(first, other)]
        gone |= {id(other) for other in same}
        if same:
            kept[_place(kept, first)] = _agreed(first, same)
    return [row for row in kept if id(row) not in gone]


def _place(rows: Sequence[Sighting], wanted: Sighting) -> int:
    return next(index for index, row in enumerate(rows) if row is wanted)


def _is_same(one: Sighting, other: Sighting) -> bool:
    if one.watcher == other.watcher or one.label != other.label:
        return False
    if one.label == "impact":
        return abs(one.span.start_s - other.span.start_s) <= _ONE_BLOW_S
    common = one.span.overlap(other.span)
    if common is None or common.duration_s < _TOGETHER * min(one.span.duration_s, other.span.duration_s):
        return False
    moments = [common.start_s + share * common.duration_s for share in _MOMENTS]
    return sum(_common_share(one, other, moment) for moment in moments) / len(moments) >= _OVERLAP


def _common_share(one: Sighting, other: Sighting, at_s: Fraction) -> float:
    """Intersection over union of where both are at a moment."""
    (x, y, width, height), (x2, y2, width2, height2) = box_at(one, at_s), box_at(other, at_s)
    across = max(0.0, min(x + width, x2 + width2) - max(x, x2))
    down = max(0.0, min(y + height, y2 + height2) - max(y, y2))
    whole = width * height + width2 * height2 - across * down
    return across * down / whole if whole > 0 else 0.0


def _agreed(row: Sighting, others: Sequence[Sighting]) -> Sighting:
    kind = row.values.get("kind")
    doubt = 1.0 - row.confidence
    for other in others:
        if other.values.get("kind") == kind:
            doubt *= 1.0 - other.confidence
    called = dict.fromkeys(str(other.values.get("kind")) for other in others if other.values.get("kind") != kind)
    also = ", ".join(part for part in (str(row.values.get("also", "")), *called) if part)
    return replace(row, confidence=round(min(_MOST, 1.0 - doubt), 6), values={**row.values, "also": also})
