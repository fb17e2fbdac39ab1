# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sketch: themes laid on the measures of a form, as one line of melody and one of chords."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from immersivaudio.engine.composing import melody
from immersivaudio.engine.composing.form import Block, Measure, Movement
from immersivaudio.engine.composing.harmony import (
    SUBDOMINANT,
    TONIC,
    Changes,
    Chord,
    away,
    dominant,
    progression,
    semitones,
)
from immersivaudio.engine.composing.melody import Tune, Voice
from immersivaudio.engine.composing.tone import Tone
from immersivaudio.engine.synthesis.frame import Rng

_SWAPPED = {"major": "minor", "mixolydian": "dorian", "dorian": "major", "minor": "major"}


@dataclass(frozen=True, slots=True)
class Sung:
    """A note of the melody; ``at`` and ``length`` in eighths of the piece; ``pitch`` is MIDI's."""

    at: float
    length: float
    step: int
    pitch: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A chord and the melody over it. ``rooted``: the bass has the root (phrases begin and close so).
    ``struck``: all play anew, because a cut falls here. ``measure`` counts measures."""

    at: int
    length: int
    chord: Chord
    mode: str
    measure: int
    rooted: bool
    struck: bool
    sung: tuple[Sung, ...]


@dataclass(frozen=True, slots=True)
class Theme:
    """Chords and tune, a measure each."""

    changes: tuple[Changes, ...]
    tune: Tune


def sketched(plan: Sequence[Movement], measures: Sequence[Measure], tone: Tone, inner: frozenset[int]) -> list[Slot]:
    """Every slot of the piece, in order. ``inner``: eighths of the piece at which a cut falls inside a measure."""
    slots: list[Slot] = []
    for number, movement in enumerate(plan):
        composer = _Composer(tone, tone.rng(f"movement {number}"))
        for block in movement.blocks:
            theme, mode = composer.theme(block, movement.form)
            closes = {block.start + sum(block.lengths[: i + 1]) - 1 for i in range(len(block.lengths))}
            for index in range(block.start, block.end):
                local = index - block.start
                rooted = local == 0 or index in closes or index + 1 in closes
                slots += _slots(
                    measures[index], theme.changes[local], theme.tune[local], _Place(tone, mode, index, rooted), inner
                )
    return _ended(_resolved(slots, tone), measures[-1], tone)


class _Composer:
    """Remembers the themes of a movement, so that what comes back is the same."""

    def __init__(self, tone: Tone, rng: Rng) -> None:
        self._tone, self._rng = tone, rng
        self._voice = voice_of(tone)
        self._motif = melody.motif_of(rng, tone.meter, tone.energy)
        self._themes: dict[tuple[str, int], Theme] = {}
        self._fresh = 0

    def theme(self, block: Block, form: str) -> tuple[Theme, str]:
        """The theme of a section and its mode."""
        mode = self._tone.mode
        if block.label in ("intro", "link", "coda"):
            return self._plain(block), mode
        if block.label[0] == "V":
            return self._variation(block, int(block.label[1:]))
        base, length = block.label.rstrip("'"), sum(block.lengths)
        if (base, length) not in self._themes:
            self._themes[base, length] = self._made(block, form)
        theme = self._themes[base, length]
        return (replace(theme, tune=melody.ornamented(theme.tune)) if block.label.endswith("'") else theme), mode

    def _made(self, block: Block, form: str) -> Theme:
        """A new theme: the first keeps the motif, later ones turn it over, move it, or answer it."""
        which, self._fresh = self._fresh, self._fresh + 1
        motif = self._motif if which % 3 != 1 else self._motif.inverted()
        if which % 3 == 2:
            motif = replace(motif, rhythm=motif.answer, answer=motif.rhythm)
        start = TONIC if which == 0 else away(self._tone.mode, which - 1)
        level = self._voice.middle - 1 + (0 if which == 0 else int(self._rng.integers(0, 3)))
        changes: list[Changes] = []
        tune: list[tuple[melody.Tone, ...]] = []
        seed = int(self._rng.integers(0, 2**31))
        for length, cadence in zip(block.lengths, block.cadences, strict=True):
            rng = replace(self._tone, seed=seed).rng(f"chords {length}")
            own = progression(rng, self._tone.mode, length, cadence, start)
            changes += own
            tune += melody.phrase(motif, own, cadence, self._voice, level)
        return Theme(tuple(changes), tuple(tune))

    def _variation(self, block: Block, number: int) -> tuple[Theme, str]:
        theme = self._themes["T", sum(block.lengths)]
        vary = melody.VARIATIONS[(number - 1) % len(melody.VARIATIONS)]
        swapped = number % 3 == 0 and "authentic" in block.cadences
        mode = _SWAPPED[self._tone.mode] if swapped else self._tone.mode
        return replace(theme, tune=vary(theme.tune)), mode

    def _plain(self, block: Block) -> Theme:
        """Intro, link, coda: chords under one held tone a measure."""
        count = sum(block.lengths)
        home, below = Chord(TONIC), Chord(SUBDOMINANT)
        if block.label == "coda":
            chords = [below if (count - index) % 2 == 0 else home for index in range(count)]
        else:
            chords = [home if index % 2 == 0 else below for index in range(count)]
            if block.label == "link" or count > 1:
                chords[-1] = dominant()
        tune: list[tuple[melody.Tone, ...]] = []
        step = self._voice.middle
        for chord in chords:
            able = [s for s in range(self._voice.low, self._voice.high + 1) if s % 7 in chord.degrees and s % 7 != 6]
            step = min(able, key=lambda s: abs(s - step))
            tune.append((melody.Tone(0.0, float(self._tone.meter), step),))
        return Theme(tuple(((0, chord),) for chord in chords), tuple(tune))


def voice_of(tone: Tone) -> Voice:
    """The melody's range as steps of the scale."""
    able = [step for step in range(-7, 28) if tone.low <= pitch_of(tone, tone.mode, step, Chord(TONIC)) <= tone.high]
    return Voice(able[0], able[-1], tone.meter)


def pitch_of(tone: Tone, mode: str, step: int, chord: Chord) -> int:
    """The MIDI pitch of a step while ``chord`` sounds; step 0 is the tonic between C4 and B4."""
    return 60 + tone.tonic + semitones(mode, step, chord)


@dataclass(frozen=True, slots=True)
class _Place:
    tone: Tone
    mode: str
    measure: int
    rooted: bool


def _slots(
    measure: Measure, change: Changes, tones: tuple[melody.Tone, ...], place: _Place, inner: frozenset[int]
) -> Iterator[Slot]:
    """A measure's chords with the melody over them, cut to the measure and split where a cut falls inside it."""
    meter = place.tone.meter
    split = meter // 2 + (meter == 6)
    if len(change) > 1 and measure.eighths <= split + 1:
        change = change[-1:]
    starts = [0, *([split] if len(change) > 1 else [])]
    cuts = sorted({*starts, *(at - measure.at for at in inner if measure.at < at < measure.at + measure.eighths)})
    fitted = _fitted(tones, measure.eighths, meter)
    for start, end in pairwise([*cuts, measure.eighths]):
        chord = change[sum(at <= start for at in starts) - 1][1]
        sung = [_sung(tone, measure.at, chord, place) for tone in fitted if start <= tone.at < end]
        struck = measure.at + start in inner
        yield Slot(measure.at + start, end - start, chord, place.mode, place.measure, place.rooted, struck, tuple(sung))


def _fitted(tones: tuple[melody.Tone, ...], eighths: int, meter: int) -> list[melody.Tone]:
    """A measure's tones in a bar of another length: what lies beyond is left out, the last one is held to the end."""
    kept = [tone for tone in tones if tone.at < eighths]
    last = kept[-1]
    rest = meter - (tones[-1].at + tones[-1].length) if len(kept) == len(tones) else 0.0
    kept[-1] = replace(last, length=max(melody.SHORTEST, eighths - rest - last.at))
    return kept


def _sung(tone: melody.Tone, at: int, chord: Chord, place: _Place) -> Sung:
    return Sung(at + tone.at, tone.length, tone.step, pitch_of(place.tone, place.mode, tone.step, chord))


def _resolved(slots: Sequence[Slot], tone: Tone) -> list[Slot]:
    """No leading tone is left hanging: where the next chord is not met on the tonic, another tone takes its place."""
    out = list(slots)
    ahead: Sung | None = None
    for index in range(len(out) - 1, -1, -1):
        slot = out[index]
        if not slot.sung:
            continue
        last = slot.sung[-1]
        if ahead and melody.is_leading(last.step, slot.chord) and ahead.step != last.step + 1:
            step = last.step + 2 if last.pitch + 4 <= tone.high else last.step - 2
            mended = replace(last, step=step, pitch=pitch_of(tone, slot.mode, step, slot.chord))
            out[index] = replace(slot, sung=(*slot.sung[:-1], mended))
        ahead = out[index].sung[0]
    return out


def _ended(slots: list[Slot], final: Measure, tone: Tone) -> list[Slot]:
    """The last measure: the tonic, held to the very end."""
    at = final.at
    before = [slot for slot in slots if slot.at < at]
    first = next(slot for slot in slots if slot.at >= at)
    near = first.sung[0].step if first.sung else 0
    voice = voice_of(tone)
    step = min((s for s in range(voice.low, voice.high + 1) if s % 7 == TONIC), key=lambda s: abs(s - near))
    sung = Sung(float(at), float(final.eighths), step, pitch_of(tone, first.mode, step, Chord(TONIC)))
    return [*before, replace(first, length=final.eighths, chord=Chord(TONIC), rooted=True, sung=(sung,))]
