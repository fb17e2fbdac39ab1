# SPDX-License-Identifier: AGPL-3.0-or-later
"""Scales, chords, and progressions that move by function: tonic, away from it, dominant, home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from immersivaudio.engine.synthesis.frame import Rng

SCALES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "major": (0, 2, 4, 5, 7, 9, 11),
        "mixolydian": (0, 2, 4, 5, 7, 9, 10),
        "dorian": (0, 2, 3, 5, 7, 9, 10),
        "minor": (0, 2, 3, 5, 7, 8, 10),
    }
)
TONIC, SUBDOMINANT, DOMINANT, LEADING = 0, 3, 4, 6
# How often one degree follows another (0 is the tonic); what leads nowhere or backwards is left out.
_MOVES: Mapping[str, Mapping[int, Mapping[int, float]]] = MappingProxyType(
    {
        "major": {0: {3: 3, 5: 3, 1: 2, 2: 1, 4: 1}, 1: {4: 3, 3: 1}, 2: {5: 3, 3: 2}, 3: {4: 2, 0: 2, 1: 2, 5: 1},
                  4: {0: 3, 5: 2}, 5: {3: 3, 1: 3, 2: 1}},
        "mixolydian": {0: {6: 3, 3: 3, 5: 2}, 3: {0: 3, 6: 1, 5: 1}, 4: {0: 1}, 5: {3: 2, 6: 2}, 6: {3: 3, 0: 2}},
        "dorian": {0: {3: 3, 6: 3, 2: 2}, 2: {3: 2, 6: 2}, 3: {0: 3, 6: 2}, 4: {0: 1}, 6: {0: 2, 3: 2, 2: 1}},
        "minor": {0: {5: 3, 3: 2, 6: 2, 2: 1}, 2: {5: 2, 6: 2, 3: 1}, 3: {0: 2, 6: 2, 5: 1}, 4: {0: 1},
                  5: {2: 3, 3: 2, 6: 2}, 6: {2: 3, 0: 2, 5: 1}},
    }
)  # fmt: skip
_BEFORE_DOMINANT: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"major": (3, 1), "mixolydian": (3,), "dorian": (3,), "minor": (3, 5)}
)
# Where contrasting sections start, away from home.
_AWAY: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"major": (5, 3, 2), "mixolydian": (6, 5, 3), "dorian": (2, 6, 3), "minor": (2, 5, 3)}
)


@dataclass(frozen=True, slots=True)
class Chord:
    """A triad on ``degree`` of the scale; in ``raised`` ones the seventh degree is a leading tone, a semitone under
    the tonic, whatever the mode."""

    degree: int
    raised: bool = False

    @property
    def degrees(self) -> tuple[int, int, int]:
        return self.degree, (self.degree + 2) % 7, (self.degree + 4) % 7


Changes = tuple[tuple[int, Chord], ...]


def semitones(mode: str, step: int, chord: Chord) -> int:
    """How far a step of the scale (0 the tonic, 7 an octave up) lies above the tonic while ``chord`` sounds."""
    octave, degree = divmod(step, 7)
    if degree == LEADING and chord.raised:
        return 12 * octave + 11
    return 12 * octave + SCALES[mode][degree]


def pitch_classes(mode: str, tonic: int, chord: Chord) -> tuple[int, int, int]:
    """Root, third and fifth."""
    root, third, fifth = ((tonic + semitones(mode, degree, chord)) % 12 for degree in chord.degrees)
    return root, third, fifth


def dominant() -> Chord:
    """The dominant with its leading tone."""
    return Chord(DOMINANT, raised=True)


def away(mode: str, which: int) -> int:
    """The degree on which the ``which``-th contrasting section starts."""
    return _AWAY[mode][which % len(_AWAY[mode])]


def progression(rng: Rng, mode: str, measures: int, cadence: str, start: int = TONIC) -> list[Changes]:
    """What each measure's changes are: ``(place, chord)``, place 0 or 1 (second half).

    ``cadence``: authentic (dominant, tonic), half (on the dominant), plagal (subdominant, tonic), open (anywhere).
    """
    closing = _closing(rng, mode, cadence)[-measures:]
    return [*_walk(rng, mode, measures - len(closing), start), *closing]


def _closing(rng: Rng, mode: str, cadence: str) -> list[Changes]:
    before = Chord(int(rng.choice(_BEFORE_DOMINANT[mode])))
    home = Chord(TONIC)
    match cadence:
        case "authentic":
            split: Changes = ((0, before), (1, dominant()))
            return [split, ((0, home),)]
        case "half":
            return [((0, before),), ((0, dominant()),)]
        case "plagal":
            return [((0, Chord(SUBDOMINANT)),), ((0, home),)]
    return []


def _walk(rng: Rng, mode: str, count: int, start: int) -> list[Changes]:
    """``count`` measures of one chord each, the dominant left out: it is kept for the cadence."""
    out: list[Changes] = []
    degree = start
    for _ in range(count):
        out.append(((0, Chord(degree)),))
        moves = {to: weight for to, weight in _MOVES[mode][degree].items() if to != DOMINANT}
        degree = _chosen(rng, moves or {TONIC: 1.0})
    return out


def _chosen(rng: Rng, weights: Mapping[int, float]) -> int:
    shares = np.array(list(weights.values()))
    return int(rng.choice(list(weights), p=shares / shares.sum()))
