# SPDX-License-Identifier: AGPL-3.0-or-later
"""Motif -> phrase -> theme: one small idea, stated, moved, broken up and brought to rest on a cadence.

Tunes are kept as steps of the scale, so that they can be moved, varied and set in another mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from immersivaudio.engine.composing.harmony import DOMINANT, LEADING, TONIC, Changes, Chord
from immersivaudio.engine.synthesis.frame import Rng

SHORTEST = 0.5
# Rhythms of one measure in eighths, from calm to busy.
_RHYTHMS = {
    8: (
        ((4, 4), (6, 2), (3, 1, 4), (2, 6)),
        ((3, 1, 2, 2), (2, 2, 4), (4, 2, 2), (3, 3, 2), (2, 1, 1, 4)),
        ((2, 1, 1, 2, 2), (1, 1, 2, 1, 1, 2), (3, 1, 1, 1, 2), (3, 1, 2, 1, 1)),
    ),
    6: (
        ((6,), (4, 2), (3, 3), (2, 4)),
        ((2, 2, 2), (3, 1, 2), (2, 1, 1, 2), (1, 1, 4)),
        ((1, 1, 2, 1, 1), (3, 1, 1, 1), (2, 1, 1, 1, 1), (1, 1, 1, 1, 2)),
    ),
}  # fmt: skip
# Where each measure of a phrase lies against its first, in steps: rise and fall (Huron's melodic arch).
_ARCHES = ((0, 1, 2, 0), (0, 2, 3, 1), (0, -1, 1, 0), (0, 2, 1, 0), (0, 1, -1, -2))


@dataclass(frozen=True, slots=True)
class Tone:
    """``at`` and ``length`` in eighths from the measure's start; ``step`` of the scale, 0 the tonic."""

    at: float
    length: float
    step: int


Tune = tuple[tuple[Tone, ...], ...]


@dataclass(frozen=True, slots=True)
class Motif:
    """A rhythm and a contour (steps against the first note), its answer's rhythm, and the arch of a phrase."""

    rhythm: tuple[int, ...]
    contour: tuple[int, ...]
    answer: tuple[int, ...]
    arch: tuple[int, ...]

    def inverted(self) -> Motif:
        """Upside down."""
        return replace(self, contour=tuple(-step for step in self.contour), arch=tuple(-step for step in self.arch))


@dataclass(frozen=True, slots=True)
class Voice:
    """Where a tune may go, in steps, and in what meter."""

    low: int
    high: int
    meter: int

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2


def motif_of(rng: Rng, meter: int, energy: float) -> Motif:
    """A new idea: mostly steps and one leap."""
    busy = min(2, max(0, int(3 * energy * 0.9 + rng.uniform(-0.3, 0.5))))
    rows = _RHYTHMS[meter]
    rhythm = rows[busy][int(rng.integers(0, len(rows[busy])))]
    calmer = rows[max(0, busy - 1)]
    answer = calmer[int(rng.integers(0, len(calmer)))]
    moves = [int(rng.choice([-1, 1, 1, -1, 2, -2])) for _ in range(7)]
    leap = int(rng.integers(0, max(1, len(rhythm) - 1)))
    moves[leap] = int(rng.choice([3, 4, -3, 2]))
    if leap + 1 < len(moves):
        moves[leap + 1] = -1 if moves[leap] > 0 else 1
    contour = [0]
    for move in moves:
        contour.append(max(-4, min(5, contour[-1] + move)))
    return Motif(rhythm, tuple(contour), answer, _ARCHES[int(rng.integers(0, len(_ARCHES)))])


def phrase(motif: Motif, changes: Sequence[Changes], cadence: str, voice: Voice, start: int) -> Tune:
    """A phrase over ``changes``: the motif, the motif moved or its answer, a fragment, a cadence. ``start``: its step."""
    count, last = len(changes), start
    out: list[tuple[Tone, ...]] = []
    for index, change in enumerate(changes):
        closing = index == count - 1 and cadence != "open"
        rhythm = _rhythm(motif, index, count, closing, voice.meter)
        anchor = start + motif.arch[min(index, 3) if count <= 4 else index * 3 // max(1, count - 1)]
        measure = _set(motif, rhythm, anchor, change, voice, last)
        if closing:
            goal = _goal(change[-1][1], last, voice)
            measure = (Tone(0.0, float(voice.meter), goal),)
            if out:
                out[-1] = _led(out[-1], goal, changes[index - 1])
        out.append(measure)
        last = measure[-1].step
    return tuple(out)


def _rhythm(motif: Motif, index: int, count: int, closing: bool, meter: int) -> tuple[int, ...]:
    if closing:
        return (meter,)
    if index == 1 and count > 3:
        return motif.answer
    if index == count - 2 and count > 2:
        half = [length for length in motif.rhythm if length <= meter // 2][:2]
        twice = [*half, *half]
        return (*twice, meter - sum(twice)) if 0 < sum(twice) < meter else motif.rhythm
    return motif.rhythm


def _set(
    motif: Motif, rhythm: tuple[int, ...], anchor: int, change: Changes, voice: Voice, last: int
) -> tuple[Tone, ...]:
    """The motif over one measure's chords: strong notes are chord tones, weak ones pass by step."""
    out: list[Tone] = []
    at, before = 0, last
    for index, length in enumerate(rhythm):
        chord = chord_at(change, at, voice.meter)
        wanted = _within(anchor + motif.contour[index % len(motif.contour)], voice)
        strong = at in (0, voice.meter // 2) or length >= 3
        step = _nearest(wanted, chord, voice) if strong or abs(wanted - before) > 2 else wanted
        if abs(step - before) > 5:
            step = _nearest(before + (4 if step > before else -4), chord, voice)
        if out and len(out) > 1 and out[-1].step == out[-2].step == step:
            step = _within(step + (1 if step < voice.middle else -1), voice)
        out.append(Tone(float(at), float(length), step))
        at, before = at + length, step
    return tuple(out)


def chord_at(change: Changes, at: float, meter: int) -> Chord:
    """The chord of a measure ``at`` eighths from its start; the second change comes at the half (two thirds of 6)."""
    return change[-1][1] if len(change) > 1 and at >= meter // 2 + (meter == 6) else change[0][1]


def _within(step: int, voice: Voice) -> int:
    while step > voice.high:
        step -= 7 if step - 7 >= voice.low else step - voice.high
    while step < voice.low:
        step += 7 if step + 7 <= voice.high else voice.low - step
    return step


def _nearest(wanted: int, chord: Chord, voice: Voice) -> int:
    able = [step for step in range(voice.low, voice.high + 1) if step % 7 in chord.degrees]
    return min(able, key=lambda step: (abs(step - wanted), step))


def _goal(chord: Chord, last: int, voice: Voice) -> int:
    """Where a phrase comes to rest: on the tonic, over the dominant on the second or fifth degree."""
    degrees = (1, 4) if chord.degree == DOMINANT else (TONIC,)
    able = [step for step in range(voice.low, voice.high + 1) if step % 7 in degrees]
    return min(able, key=lambda step: abs(step - last))


def _led(measure: tuple[Tone, ...], goal: int, change: Changes) -> tuple[Tone, ...]:
    """The measure before the goal, its last note a step away and in its chord where it can be."""
    chord = change[-1][1]
    steps = [goal + 1, goal - 1]
    able = [step for step in steps if step % 7 in chord.degrees] or [
        step for step in (goal, goal + 2, goal - 2, goal + 1) if step % 7 in chord.degrees
    ]
    return (
        (*measure[:-1], replace(measure[-1], step=min(able, key=lambda s: abs(s - measure[-1].step))))
        if able
        else measure
    )


def ornamented(tune: Tune) -> Tune:
    """Long notes broken into a note and its neighbour or a passing note."""
    return tuple(tuple(note for tone, after in _pairs(measure) for note in _broken(tone, after)) for measure in tune)


def _pairs(measure: tuple[Tone, ...]) -> list[tuple[Tone, Tone | None]]:
    return list(zip(measure, [*measure[1:], None], strict=True))


def _broken(tone: Tone, after: Tone | None) -> tuple[Tone, ...]:
    if after is None or tone.length < 2:
        return (tone,)
    move = after.step - tone.step
    between = tone.step + (1 if move > 0 else -1) if abs(move) >= 2 else tone.step + 1
    cut = 1.0 if tone.length <= 3 else 2.0
    return replace(tone, length=tone.length - cut), Tone(tone.at + tone.length - cut, cut, between)


def plain(tune: Tune) -> Tune:
    """Only what falls on strong beats, held."""
    return tuple(_skeleton(measure) for measure in tune)


def _skeleton(measure: tuple[Tone, ...]) -> tuple[Tone, ...]:
    end = measure[-1].at + measure[-1].length
    kept = [tone for tone in measure if tone.at == 0 or tone.length >= 3] or [measure[0]]
    ends = [*(tone.at for tone in kept[1:]), end]
    return tuple(replace(tone, length=stop - tone.at) for tone, stop in zip(kept, ends, strict=True))


VARIATIONS: tuple[Callable[[Tune], Tune], ...] = (ornamented, plain, lambda tune: tune)


def is_leading(step: int, chord: Chord) -> bool:
    """Whether a step is the leading tone of a dominant."""
    return step % 7 == LEADING and chord.degree == DOMINANT
