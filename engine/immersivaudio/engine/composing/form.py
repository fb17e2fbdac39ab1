# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which form a piece takes, and where its sections start: on cuts where that can be had.

A *measure* carries one measure of the theme: one bar, or the short bars between close cuts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from immersivaudio.engine.composing.score import Bar
from immersivaudio.engine.synthesis.frame import Rng

_LONGEST_MOVEMENT, _USUAL_MOVEMENT = 140, 96
_SHORTEST_ENDING_S = 1.3
_ON_CUT, _SPARE, _CODA = 2.0, 0.9, 0.25
_NONE = 1e9
_FORMS = ("phrase", "period", "ternary", "rondo", "theme and variations", "through-composed")
_TASTE, _SECTION = 3.0, 0.4


@dataclass(frozen=True, slots=True)
class Measure:
    """``bars`` bars from ``first_bar``; ``at`` and ``eighths`` count eighths of the piece."""

    first_bar: int
    bars: int
    at: int
    eighths: int
    hit: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A section as planned: the lengths in measures of its phrases, and how each closes."""

    label: str
    start: int
    lengths: tuple[int, ...]
    cadences: tuple[str, ...]

    @property
    def end(self) -> int:
        return self.start + sum(self.lengths)


@dataclass(frozen=True, slots=True)
class Movement:
    """A form over measures ``start`` to ``end``."""

    form: str
    blocks: tuple[Block, ...]


def measures_of(bars: Sequence[Bar], meter: int) -> tuple[Measure, ...]:
    """Bars gathered to measures of about ``meter`` eighths; the last one is long enough for a final chord."""
    groups: list[list[int]] = []
    filled = 0
    for index, bar in enumerate(bars):
        if groups and filled + bar.eighths <= meter:
            groups[-1].append(index)
            filled += bar.eighths
        else:
            groups.append([index])
            filled = bar.eighths
    while len(groups) > 1 and sum(bars[i].end_s - bars[i].start_s for i in groups[-1]) < _SHORTEST_ENDING_S:
        groups[-2:] = [groups[-2] + groups[-1]]
    out, at = [], 0
    for group in groups:
        eighths = sum(bars[i].eighths for i in group)
        out.append(Measure(group[0], len(group), at, eighths, bars[group[0]].hit))
        at += eighths
    return tuple(out)


def movements(measures: Sequence[Measure], meter: int, rng: Rng) -> list[Movement]:
    """The form of the piece; a long one is a suite of movements, which begin on cuts where they can."""
    out, start = [], 0
    while len(measures) - start > _LONGEST_MOVEMENT:
        near = range(start + _USUAL_MOVEMENT - 16, start + _USUAL_MOVEMENT + 17)
        end = min(near, key=lambda at: abs(at - start - _USUAL_MOVEMENT) - 20 * measures[at].hit)
        out.append(_movement(measures[start:end], start, meter, rng))
        start = end
    out.append(_movement(measures[start:], start, meter, rng))
    return out


def _movement(measures: Sequence[Measure], offset: int, meter: int, rng: Rng) -> Movement:
    count, hits = len(measures), tuple(measure.hit for measure in measures)
    if count <= 3:
        return Movement("phrase", (Block("A", offset, (count,), ("authentic",)),))
    odd = sum(measure.eighths != meter or measure.bars > 1 for measure in measures) / count
    taste = {form: _TASTE * rng.random() for form in _FORMS}
    tries = [(_cost(labels, hits, odd) + taste[form], form, labels) for form, labels in _candidates(count)]
    cost, form, labels = min(tries, default=(_NONE, "", ()))
    through, cuts = _through(hits)
    if through + taste["through-composed"] - 5.0 * odd < cost or cost >= _NONE:
        blocks = _blocks([("", length) for length in cuts], offset, "through-composed")
        alone = "phrase" if len(blocks[0].lengths) == 1 else "period"
        return Movement("through-composed" if len(blocks) > 1 else alone, blocks)
    return Movement(form, _blocks(_best(labels, hits)[1], offset, form))


# What may be: (label, its possible lengths) in order.
Labels = tuple[tuple[str, tuple[int, ...]], ...]
# What is: (label, length) in order.
Plan = tuple[tuple[str, int], ...]


def _candidates(count: int) -> list[tuple[str, Labels]]:
    """Forms whose usual lengths come near ``count`` measures."""
    out: list[tuple[str, Labels]] = []
    for theme in (4, 6, 8, 12, 16):
        other = tuple(length for length in (2, 4, 6, 8, 12, 16) if theme / 2 <= length <= theme)
        if theme <= count <= theme + 6:
            out.append(("phrase" if theme == 4 else "period", (("A", (theme,)),)))
        if 2.5 * theme <= count <= 3 * theme + 6:
            out.append(("ternary", (("A", (theme,)), ("B", other), ("A'", (theme,)))))
        if theme != 6:
            out += [("rondo", _rondo(theme, other, n)) for n in (2, 3, 4, 5) if _near(count, theme * (2 * n + 1), n)]
            out += [
                ("theme and variations", _variations(theme, n))
                for n in range(2, 6 if theme == 4 else 9)
                if _near(count, theme * (n + 1), 1)
            ]
    return out


def _near(count: int, usual: int, slack: int) -> bool:
    return usual - 4 * slack <= count <= usual + 8


def _rondo(theme: int, other: tuple[int, ...], episodes: int) -> Labels:
    between = [(("A", (theme,)), (chr(ord("B") + which), other)) for which in range(episodes)]
    return (*(label for pair in between for label in pair), ("A", (theme,)))


def _variations(theme: int, count: int) -> Labels:
    return (("T", (theme,)), *((f"V{which + 1}", (theme,)) for which in range(count)))


def _cost(labels: Labels, hits: tuple[bool, ...], odd: float) -> float:
    return float(_best(labels, hits)[0] / len(labels) ** 0.5 + 4.0 * odd + _SECTION * len(labels))


def _best(labels: Labels, hits: tuple[bool, ...]) -> tuple[float, Plan]:
    """The cheapest lengths of sections, intro, links and coda that add up; sections start on cuts where they can."""
    count = len(hits)

    @cache
    def after(index: int, at: int) -> tuple[float, Plan]:
        if index == len(labels):
            rest = count - at
            if not 0 <= rest <= 4:
                return _NONE, ()
            return _CODA * rest + (0.5 if rest == 3 else 0.0), ((("coda", rest),) if rest else ())
        label, lengths = labels[index]
        found: tuple[float, Plan] = (_NONE, ())
        for spare in range(5 if index == 0 else 3):
            start = at + spare
            for length in lengths:
                if start + length > count:
                    continue
                rest_cost, tail = after(index + 1, start + length)
                cost = rest_cost + _SPARE * spare * (0.4 if index == 0 else 1.0)
                cost -= _ON_CUT if start and hits[start] else 0.0
                if cost < found[0]:
                    link = (("intro" if index == 0 else "link", spare),) if spare else ()
                    found = (cost, (*link, (label, length), *tail))
        return found

    return after(0, 0)


def _through(hits: tuple[bool, ...]) -> tuple[float, list[int]]:
    """Sections of two to eight measures from cut to cut: cost and lengths."""
    count = len(hits)
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for end in range(1, count + 1):
        rows = []
        for length in range(1, min(8, end) + 1):
            before = best[end - length]
            on_cut = end == count or hits[end]
            price = (0.5 if on_cut else 2.0) + (0.25 * abs(length - 4) if length > 1 else 4.0)
            rows.append((before[0] + price, [*before[1], length]))
        best.append(min(rows))
    sections = max(1, len(best[-1][1]))
    return 2.5 + (best[-1][0] - 0.5 * sections) / sections**0.5, best[-1][1]


def _blocks(plan: Sequence[tuple[str, int]], offset: int, form: str) -> tuple[Block, ...]:
    out, at = [], offset
    for index, (label, length) in enumerate(plan):
        last = index == len(plan) - 1
        if form == "through-composed":
            label = _letter(index)
        lengths = _phrases(length)
        out.append(Block(label, at, lengths, _cadences(label, lengths, form, last)))
        at += length
    return tuple(out)


def _letter(index: int) -> str:
    letter = chr(ord("A") + index % 26)
    return letter if index < 26 else f"{letter}{index // 26 + 1}"


def _phrases(length: int) -> tuple[int, ...]:
    """Phrases of about four measures: 8 is 4 + 4, 12 is 6 + 6, 16 four times 4."""
    if length <= 3 or length in (5, 7):
        return (length,) if length <= 5 else (4, 3)
    if length == 4:
        return (4,)
    half = length // 2
    return (*_phrases(half), *_phrases(length - half)) if half >= 4 and half != 6 else (half, length - half)


def _cadences(label: str, lengths: tuple[int, ...], form: str, last: bool) -> tuple[str, ...]:
    """How each phrase of a section closes."""
    count, length = len(lengths), sum(lengths)
    if label in ("intro", "link"):
        return ("open",) * count
    if label == "coda":
        return ("plagal",) if length > 1 else ("held",)
    home = last or label[0] in "ATV" or form == "period"
    if form == "through-composed":
        home = last
    inner = tuple("half" if index % 2 == 0 else "authentic" for index in range(count - 1))
    return (*inner, "authentic" if home else "half")
