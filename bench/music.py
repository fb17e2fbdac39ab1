# SPDX-License-Identifier: AGPL-3.0-or-later
"""Music: forms, voices and bar lines, read out of the MIDI by an analyser that knows nothing of the composer.

    python bench/music.py

Forms: 56 pieces of all lengths and tones; what returns in a rondo must be the same, contrasts must not be, variations
keep the theme's bones. Cuts: every shared timeline of a real editor at three tones; "by chance" is the same bar lines
against cuts moved around the timeline. Exits non-zero when an aim is missed.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from _midi import Midi, beyond, met, parallels, parsed, tempo_off, top_line

from immersivaudio.engine import composing, conform, media
from immersivaudio.engine.errors import MediaError

TIMELINES = Path(__file__).parents[2] / "shared" / "media" / "timelines"
# The chord of the last bar of a phrase, in steps over the tonic; strings hold it (General MIDI program 49).
_STRINGS = 49
_TONIC, _DOMINANT = {0, 3, 4, 7}, {7, 11, 2, 5}
_CLOSES = {"authentic": _TONIC, "plagal": _TONIC, "held": _TONIC, "half": _DOMINANT}
TONES = ((0.15, 0.8), (0.5, 0.5), (0.9, 0.2))


def read_back(score: composing.Score) -> Midi:
    with tempfile.TemporaryDirectory() as folder:
        return parsed(score.to_midi(Path(folder) / "piece.mid").read_bytes())


def pieces() -> Iterator[tuple[composing.Score, Midi]]:
    """Pieces of many lengths, tones and cuts, none of them those of the tests."""
    for seed in range(1000, 1056):
        dice = random.Random(seed)
        length_s = dice.choice([6, 15, 30, 50, 80, 120]) * dice.uniform(0.8, 1.3)
        hits_s = sorted(dice.uniform(0, length_s) for _ in range(dice.choice([0, 0, 2, 4, 9, 20])))
        score = composing.compose(length_s, hits_s, dice.random(), dice.random(), seed)
        yield score, read_back(score)


def section_line(score: composing.Score, midi: Midi, section: composing.Section) -> list[tuple[int, int]]:
    lines = [*midi.bar_lines(), midi.end]
    return top_line(midi, lines[section.first_bar], lines[section.first_bar + section.bars])


def meters(score: composing.Score, section: composing.Section) -> list[int]:
    return [bar.eighths for bar in score.bars[section.first_bar : section.first_bar + section.bars]]


def labels_fit(score: composing.Score) -> bool:
    """Whether the sections, in the order in which the MIDI's markers have them, are those of the form."""
    labels = [section.label for section in score.sections if section.label not in ("intro", "link", "coda")]
    match score.form:
        case "phrase" | "period":
            return labels == ["A"]
        case "ternary":
            return labels == ["A", "B", "A'"]
        case "rondo":
            return len(labels) >= 5 and set(labels[::2]) == {"A"} and len(set(labels[1::2])) == len(labels) // 2
        case "theme and variations":
            return len(labels) >= 3 and labels == ["T", *(f"V{n + 1}" for n in range(len(labels) - 1))]
        case "through-composed":
            return len(set(labels)) == len(labels)
    return True


@dataclass
class Forms:
    """Counts over many pieces."""

    kinds: Counter[str]
    right: int = 0
    marked: int = 0
    returns: int = 0
    same: int = 0
    contrasts: int = 0
    different: int = 0
    phrases: int = 0
    closed: int = 0

    def hear(self, score: composing.Score, midi: Midi) -> None:
        self.kinds.update(score.form.split(", "))
        self.right += labels_fit(score)
        self.marked += [text for _, text in midi.markers] == [section.label for section in score.sections]
        self._cadences(score, midi)
        if score.form == "rondo":
            self._rondo(score, midi)

    def _cadences(self, score: composing.Score, midi: Midi) -> None:
        """Whether the held strings close every phrase as its cadence says: on the tonic's chord, or the dominant's."""
        lines = midi.bar_lines()
        for phrase in (phrase for section in score.sections for phrase in section.phrases):
            at = lines[phrase.first_bar + phrase.bars - 1]
            held = {(n.pitch - score.tonic) % 12 for n in midi.notes if n.program == _STRINGS and n.start <= at < n.end}
            if phrase.cadence in _CLOSES and held:
                self.phrases += 1
                self.closed += held <= _CLOSES[phrase.cadence]

    def _rondo(self, score: composing.Score, midi: Midi) -> None:
        first, *returns = [section for section in score.sections if section.label == "A"]
        theme = section_line(score, midi, first)
        alike = [section for section in returns if meters(score, section) == meters(score, first)]
        others = [section for section in score.sections if section.label in "BCDE"]
        self.returns += len(alike)
        self.same += sum(section_line(score, midi, section) == theme for section in alike)
        self.contrasts += len(others)
        self.different += sum(section_line(score, midi, section) != theme for section in others)


def unknown(path: Path) -> media.Probe:
    raise MediaError(f"{path.name} is not here.")


def cuts_of(path: Path) -> tuple[float, list[float]]:
    """Length and cuts of a timeline: where its clips of picture begin."""
    _, edit = conform.read(path, prober=unknown)
    starts = sorted({float(clip.record.start_s) for clip in edit.clips if clip.kind == "video" and clip.enabled})
    return float(edit.duration_s), [start for start in starts if start > 0]


def by_chance(midi: Midi, cuts: Sequence[float], length_s: float) -> float:
    """The share of cuts that meet a bar line when they are moved around the timeline, mean of 50 moves."""
    dice = random.Random(1)
    moved = ([(cut + shift) % length_s for cut in cuts] for shift in (dice.uniform(0, length_s) for _ in range(50)))
    return sum(met(midi, cut_s) for cut_s in moved) / (50 * len(cuts))


def timelines() -> tuple[int, int, float, int, int]:
    """Cuts that met a bar line, cuts, the largest deviation of the tempo, faults of voices, notes beyond."""
    found = asked = faults = wrong = 0
    off = chance = 0.0
    for path in sorted(TIMELINES.iterdir()):
        length_s, cuts = cuts_of(path)
        row = []
        for energy, warmth in TONES:
            score = composing.compose(length_s, cuts, energy, warmth, seed=5)
            midi = read_back(score)
            row.append(met(midi, cuts))
            off = max(off, tempo_off(midi, score.wanted_bpm))
            faults, wrong = faults + parallels(midi), wrong + beyond(midi)
            chance += by_chance(midi, cuts, length_s) * len(cuts) if cuts else 0.0
        found, asked = found + sum(row), asked + len(cuts) * len(TONES)
        if cuts:
            print(f"  {path.name:48s} {length_s:7.1f} s  {' '.join(f'{n:2d}/{len(cuts)}' for n in row)}")
    print(f"  cuts within 20 ms of a bar line: {found}/{asked} = {found / asked:.1%} (by chance {chance / asked:.1%})")
    return found, asked, off, faults, wrong


def main() -> None:
    forms, count, faults, wrong, off = Forms(Counter()), 0, 0, 0, 0.0
    for score, midi in pieces():
        count += 1
        forms.hear(score, midi)
        faults, wrong = faults + parallels(midi), wrong + beyond(midi)
        off = max(off, tempo_off(midi, score.wanted_bpm))
    print("forms: " + ", ".join(f"{name} {number}" for name, number in sorted(forms.kinds.items())))
    print(f"  sections as the form has them: {forms.right}/{count}; marked so in the MIDI: {forms.marked}/{count}")
    print(f"  rondo: returns note for note {forms.same}/{forms.returns}, contrasts {forms.different}/{forms.contrasts}")
    print(f"  phrases that close on the chord of their cadence: {forms.closed}/{forms.phrases}")
    good = forms.closed == forms.phrases
    good &= forms.right == forms.marked == count and forms.same == forms.returns and forms.different == forms.contrasts
    if TIMELINES.is_dir():
        found, asked, more_off, more_faults, more_wrong = timelines()
        good &= found >= 0.9 * asked
        faults, wrong, off = faults + more_faults, wrong + more_wrong, max(off, more_off)
    else:
        print("  the shared timelines are not beside the repository: no cuts of real edits to meet")
    print(f"tempo within {off:.2%} of the wanted one; parallel fifths or octaves {faults}; notes out of range {wrong}")
    sys.exit(0 if good and off <= 0.0801 and faults == wrong == 0 else 1)


if __name__ == "__main__":
    main()
