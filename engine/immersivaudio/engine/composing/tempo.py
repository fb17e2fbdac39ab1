# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the bar lines fall: bars of changing meter at a tempo within 8 % of the wanted one, so that cuts meet bar lines.

Dynamic programming over the hits: from one hit to the next a whole number of eighths is chosen, which is then split
into bars, the odd one last, as film composers do. A hit that would cost too much is passed over.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from immersivaudio.engine.composing.score import Bar

TOLERANCE = 0.08
ON_THE_LINE_S = 0.020
_REACH = TOLERANCE - 0.002
# A bar line may lie this far from its cut: less than anybody hears, and it saves cuts that are close together.
_LEANS_S = (0.0, -0.014, 0.014)
_LOOK_BACK = 7
_MISS, _LEAN, _BEND = 14.0, 0.8, 1.6
_TEMPI = tuple(1.0 + 0.02 * step for step in range(-9, 15))


@dataclass(frozen=True, slots=True)
class TempoMap:
    """``bars`` from 0 to the end of the piece; none is over 8 % from ``wanted_bpm``."""

    bars: tuple[Bar, ...]
    wanted_bpm: float
    meter: int


@dataclass(frozen=True, slots=True)
class _Stop:
    """A hit as reached: when its bar line falls, at what cost, from which stop, over how many eighths."""

    time_s: float
    cost: float
    before: _Stop | None
    eighths: int


def fitted(length_s: float, hits_s: Sequence[float], bpm: float, meter: int) -> TempoMap:
    """The tempo map of a piece: ``bpm`` is what its tone asks for, ``meter`` the eighths of a usual bar (8 or 6).

    The wanted tempo is chosen near ``bpm``, as with a click book: the one whose bars meet most hits most evenly.
    """
    hits = _distinct(hits_s, length_s)
    tries = [(_path(length_s, hits, ratio * bpm, meter), ratio) for ratio in _TEMPI]
    found = [(end.cost + 14.0 * abs(math.log2(ratio)), ratio, end) for end, ratio in tries if end is not None]
    if not found:
        return _one_bar(length_s, bpm, meter)
    _, ratio, end = min(found, key=lambda row: row[0])
    return TempoMap(tuple(_bars(end, hits, meter)), ratio * bpm, meter)


def _one_bar(length_s: float, bpm: float, meter: int) -> TempoMap:
    """A piece so short that no tempo near the wanted one has a beat that fits."""
    eighths = max(1, round(length_s * bpm / 30.0))
    bar = Bar(0.0, eighths, length_s / eighths)
    return TempoMap((bar,), bar.bpm, meter)


def _distinct(hits_s: Sequence[float], length_s: float) -> list[float]:
    """Hits inside the piece, those within the tolerance of the one before left out."""
    out: list[float] = []
    for hit in sorted(hits_s):
        if ON_THE_LINE_S < hit < length_s - ON_THE_LINE_S and (not out or hit - out[-1] > ON_THE_LINE_S):
            out.append(float(hit))
    return out


def _path(length_s: float, hits: Sequence[float], bpm: float, meter: int) -> _Stop | None:
    """The cheapest way from the start over the hits to the end; None when no way leads there."""
    rows: list[list[_Stop]] = [[_Stop(0.0, 0.0, None, 0)]]
    for index, hit in enumerate([*hits, length_s]):
        leans = _LEANS_S if index < len(hits) else (0.0,)
        rows.append([stop for lean in leans if (stop := _reached(rows, hit, lean, 30.0 / bpm, meter)) is not None])
    if rows[-1]:
        return rows[-1][0]
    start = rows[0][0]
    best = _best_step(start, length_s, 30.0 / bpm, meter)
    return _Stop(length_s, best[0] + _MISS * len(hits), start, best[1]) if best else None


def _reached(rows: list[list[_Stop]], hit: float, lean: float, eighth_s: float, meter: int) -> _Stop | None:
    """The cheapest way to a bar line ``lean`` seconds off ``hit``, from any of the last few rows of stops."""
    best: _Stop | None = None
    for skipped, row in enumerate(reversed(rows[-_LOOK_BACK:])):
        for before in row:
            least = before.cost + _MISS * skipped + (_LEAN if lean else 0.0)
            if best is not None and least >= best.cost:
                continue
            step = _best_step(before, hit + lean, eighth_s, meter)
            if step is None:
                continue
            cost = least + step[0]
            if best is None or cost < best.cost:
                best = _Stop(hit + lean, cost, before, step[1])
    return best


def _best_step(before: _Stop, time_s: float, eighth_s: float, meter: int) -> tuple[float, int] | None:
    """Cost and number of eighths of the best way from ``before`` to ``time_s``; None when no tempo in range does it."""
    wanted = (time_s - before.time_s) / eighth_s
    low, high = math.ceil(wanted * (1 - _REACH)), math.floor(wanted * (1 + _REACH))
    middle = round(wanted)
    near = range(max(1, low, middle - meter), min(high, middle + meter) + 1)
    return min(((_price(count, wanted, meter), count) for count in near), default=None)


def _price(count: int, wanted: float, meter: int) -> float:
    """How odd ``count`` eighths are in this meter, and how far the tempo is bent for it."""
    bend = (count / wanted - 1) / TOLERANCE
    rest = count % meter
    odd = 0.0 if rest == 0 else (1.0 if rest % 2 == 0 else 2.2)
    tiny = 1.5 if count < 3 else 0.0
    four = 0.3 * ((count // meter) % 2) if rest == 0 and count > meter else 0.0
    return _BEND * bend * bend + odd + tiny + four


def _bars(end: _Stop, hits: Sequence[float], meter: int) -> list[Bar]:
    stops: list[_Stop] = []
    stop: _Stop | None = end
    while stop is not None:
        stops.append(stop)
        stop = stop.before
    stops.reverse()
    bars: list[Bar] = []
    for before, after in pairwise(stops):
        eighth_s, at = (after.time_s - before.time_s) / after.eighths, 0
        for eighths in _split(after.eighths, meter, last=after is end):
            start = before.time_s + at * eighth_s
            bars.append(
                Bar(start, eighths, eighth_s, any(abs(hit - start) <= ON_THE_LINE_S for hit in _near(hits, start)))
            )
            at += eighths
    return bars


def _near(hits: Sequence[float], moment_s: float) -> Sequence[float]:
    place = bisect_left(hits, moment_s)
    return hits[max(0, place - 1) : place + 1]


def _split(count: int, meter: int, *, last: bool) -> list[int]:
    """``count`` eighths as bars: usual ones and one odd one, which leads into the hit, or into the final bar."""
    usual, rest = divmod(count, meter)
    if rest == 0:
        return [meter] * usual
    if not usual:
        return [rest]
    if rest <= 2:
        odd, usual = [meter + rest], usual - 1
    else:
        odd = [rest]
    return [*[meter] * (usual - 1), *odd, meter] if last and usual else [*[meter] * usual, *odd]
