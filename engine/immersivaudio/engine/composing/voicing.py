# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bass and inner voices under a melody: smooth, in range, no parallel fifths or octaves, leading tones resolved.

The bass is found by dynamic programming over its possible pitches, the inner voices chord by chord.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from immersivaudio.engine.composing.harmony import DOMINANT, pitch_classes
from immersivaudio.engine.composing.sketch import Slot

_BASS_LOW, _BASS_HIGH, _BASS_USUAL = 36, 55, 45
_INNER_LOW, _INNER_HIGH = 48, 74
_PERFECT = frozenset({0, 7})
_FORBIDDEN = 1000.0


@dataclass(frozen=True, slots=True)
class Voiced:
    """A slot with its bass and inner voices (MIDI pitches, inner ones from low to high)."""

    slot: Slot
    bass: int
    inner: tuple[int, ...]


def voiced(slots: Sequence[Slot], tonic: int) -> list[Voiced]:
    """All slots with their voices."""
    tops = _tops(slots)
    basses = _basses(slots, tops, tonic)
    out: list[Voiced] = []
    for index, slot in enumerate(slots):
        before = out[-1] if out else None
        out.append(Voiced(slot, basses[index], _inner(slot, basses[index], tops[index], before, tonic)))
    return out


@dataclass(frozen=True, slots=True)
class _Top:
    """The melody over a slot: all its pitches, and the first, last and lowest of them."""

    first: int
    last: int
    low: int
    pitches: tuple[int, ...]


def _tops(slots: Sequence[Slot]) -> list[_Top]:
    """A note that is held over from the slot before counts as the first."""
    out: list[_Top] = []
    held = slots[0].sung[0]
    for slot in slots:
        over = [held] if not slot.sung or slot.sung[0].at > slot.at else []
        pitches = [note.pitch for note in (*over, *slot.sung)]
        held = slot.sung[-1] if slot.sung else held
        out.append(_Top(pitches[0], pitches[-1], min(pitches), tuple(pitches)))
    return out


def parallel(low: tuple[int, int], high: tuple[int, int]) -> bool:
    """Whether two voices move from one perfect fifth or octave to another of its kind, in whatever direction."""
    if low[0] == low[1] or high[0] == high[1]:
        return False
    before, after = (high[0] - low[0]) % 12, (high[1] - low[1]) % 12
    return before == after and after in _PERFECT


def _basses(slots: Sequence[Slot], tops: Sequence[_Top], tonic: int) -> list[int]:
    """The cheapest bass line."""
    rows: list[dict[int, tuple[float, int]]] = []
    for index, slot in enumerate(slots):
        row: dict[int, tuple[float, int]] = {}
        for pitch, own in _able(slot, tonic):
            if index == len(slots) - 1 and pitch % 12 != tonic:
                continue
            if not index:
                row[pitch] = (own, -1)
                continue
            ways = ((cost + _move(slots, tops, index, (was, pitch), tonic), was) for was, (cost, _) in rows[-1].items())
            cost, was = min(ways)
            row[pitch] = (cost + own, was)
        rows.append(row)
    pitch = min(rows[-1], key=lambda p: rows[-1][p][0])
    line = [pitch]
    for row in reversed(rows[1:]):
        pitch = row[pitch][1]
        line.append(pitch)
    return line[::-1]


def _able(slot: Slot, tonic: int) -> list[tuple[int, float]]:
    """Pitches the bass may take and what each costs by itself: the root, the third, and as a last resort a pedal."""
    root, third, fifth = pitch_classes(slot.mode, tonic, slot.chord)
    prices = {(tonic + 7) % 12: 14.0, tonic: 14.0, fifth: 9.0, third: 9.0 if slot.rooted else 1.0, root: 0.0}
    return [
        (pitch, prices[pitch % 12] + 0.05 * abs(pitch - _BASS_USUAL))
        for pitch in range(_BASS_LOW, _BASS_HIGH + 1)
        if pitch % 12 in prices
    ]


def _move(slots: Sequence[Slot], tops: Sequence[_Top], index: int, move: tuple[int, int], tonic: int) -> float:
    """What it costs the bass to go from one slot to the next under this melody."""
    before, after = tops[index - 1], tops[index]
    leap = abs(move[1] - move[0])
    cost = 0.09 * leap + (3.0 if leap > 7 and leap != 12 else 0.0) + (4.0 if leap == 6 else 0.0)
    if slots[index].chord == slots[index - 1].chord:
        return 0.0 if not leap else cost + 2.0 + _FORBIDDEN * parallel(move, (before.last, after.first))
    cost += 0.4 if not leap else 0.0
    if parallel(move, (before.last, after.first)):
        cost += _FORBIDDEN
    if any(parallel(move, (pitch, after.first)) for pitch in before.pitches):
        cost += 60.0
    leading = (tonic + 11) % 12
    if move[0] % 12 == leading and slots[index - 1].chord.degree == DOMINANT and move[1] != move[0] + 1:
        cost += 12.0
    if move[1] % 12 == leading and slots[index].chord.raised and after.first % 12 == leading:
        cost += 8.0
    return cost


def _inner(slot: Slot, bass: int, top: _Top, before: Voiced | None, tonic: int) -> tuple[int, ...]:
    """Two or three voices between bass and melody, as near as may be to where they were."""
    if (
        before
        and before.slot.chord == slot.chord
        and before.inner
        and before.inner[-1] < top.low
        and before.bass == bass
    ):
        return before.inner
    classes = pitch_classes(slot.mode, tonic, slot.chord)
    low, high = max(_INNER_LOW, bass + 3), min(_INNER_HIGH, top.low - 1)
    able = [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
    count = min(3, len(able))
    rows = list(combinations(able, count))
    return min(rows, key=lambda row: _unease(row, slot, (bass, top), before, tonic), default=())


def _unease(row: tuple[int, ...], slot: Slot, outer: tuple[int, _Top], before: Voiced | None, tonic: int) -> float:
    root, third, fifth = pitch_classes(slot.mode, tonic, slot.chord)
    sounding = [outer[0] % 12, outer[1].first % 12, *(pitch % 12 for pitch in row)]
    cost = 14.0 * (third not in sounding) + 3.0 * (fifth not in sounding) + 3.0 * (root not in sounding)
    leading = (tonic + 11) % 12
    if slot.chord.raised:
        cost += 25.0 * max(0, sounding.count(leading) - 1)
    cost += 2.0 * max(0, sounding.count(third) - 1)
    cost += sum(1.5 for low, high in pairwise(row) if high - low < 3)
    if before is not None and before.slot.chord.raised and not slot.chord.raised and tonic in sounding:
        cost += 40.0 * sum(was % 12 == leading and was + 1 not in row for was in before.inner)
    if before is None or len(before.inner) != len(row):
        return cost + 0.1 * abs(sum(row) / max(1, len(row)) - 59)
    cost += sum(abs(now - was) for was, now in zip(before.inner, row, strict=True))
    return cost + 0.05 * abs(row[-1] - 62) + _faults(row, outer[0], before)


def _faults(row: tuple[int, ...], bass: int, before: Voiced) -> float:
    """Parallels with the bass and between inner voices."""
    cost = 0.0
    for was, now in zip(before.inner, row, strict=True):
        cost += 4.0 * parallel((before.bass, bass), (was, now))
    for low, high in combinations(range(len(row)), 2):
        cost += 4.0 * parallel((before.inner[low], row[low]), (before.inner[high], row[high]))
    return cost
