# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the composer writes: bars on a tempo map, sections of phrases, and notes. Frozen; seconds from the cue's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

EIGHTHS_A_QUARTER = 2


@dataclass(frozen=True, slots=True)
class Instrument:
    """``low`` to ``high`` are the MIDI pitches that it plays; ``program`` is General MIDI's, from 0; drums have none."""

    name: str
    program: int
    low: int
    high: int
    group: str
    drum: bool = False


INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        made.name: made
        for made in (
            Instrument("flute", 73, 60, 93, "lead"),
            Instrument("violins", 48, 55, 93, "strings"),
            Instrument("strings", 49, 43, 84, "strings"),
            Instrument("piano", 0, 28, 100, "keys"),
            Instrument("celesta", 8, 60, 103, "keys"),
            Instrument("harp", 46, 31, 96, "keys"),
            Instrument("low strings", 43, 28, 60, "bass"),
            Instrument("bass", 32, 28, 60, "bass"),
            Instrument("drum", -1, 41, 41, "percussion", True),
            Instrument("shaker", -1, 70, 70, "percussion", True),
            Instrument("cymbal", -1, 49, 49, "percussion", True),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Note:
    """One note as written: the small unevenness of a player is not in it."""

    instrument: str
    start_s: float
    duration_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of ``eighths`` eighth notes, each ``eighth_s`` long; ``hit``: a cut or hit point lies on its bar line."""

    start_s: float
    eighths: int
    eighth_s: float
    hit: bool = False

    @property
    def end_s(self) -> float:
        return self.start_s + self.eighths * self.eighth_s

    @property
    def bpm(self) -> float:
        """Quarter notes a minute."""
        return 60.0 / (EIGHTHS_A_QUARTER * self.eighth_s)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Bars ``first_bar`` to ``first_bar + bars - 1``; ``measures`` is its length as the theme counts (a measure is one
    bar, or several short ones between close cuts). ``cadence``: half, authentic, plagal, held (the tonic goes on) or open."""

    first_bar: int
    bars: int
    measures: int
    cadence: str


@dataclass(frozen=True, slots=True)
class Section:
    """``label``: A, B, C ...; a prime marks a varied return; T and V1, V2 ... are a theme and its variations;
    intro, link and coda carry no theme."""

    label: str
    phrases: tuple[Phrase, ...]

    @property
    def first_bar(self) -> int:
        return self.phrases[0].first_bar

    @property
    def bars(self) -> int:
        return sum(phrase.bars for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class Score:
    """A piece that lasts ``length_s``. ``wanted_bpm`` is what the tone asked for: no bar is over 8 % away from it
    (but for a piece too short for one beat). ``tonic`` is a pitch class, ``mode`` major, mixolydian, dorian or minor;
    ``meter`` the eighths of a usual bar; ``hits_s`` what was asked for."""

    length_s: float
    form: str
    tonic: int
    mode: str
    wanted_bpm: float
    meter: int
    bars: tuple[Bar, ...]
    sections: tuple[Section, ...]
    notes: tuple[Note, ...]
    hits_s: tuple[float, ...] = ()
    seed: int = 0

    def to_midi(self, path: Path) -> Path:
        """Write a Standard MIDI File (format 1, one track an instrument) and give its path back."""
        from immersivaudio.engine.composing.midi import written

        path.write_bytes(written(self))
        return path
