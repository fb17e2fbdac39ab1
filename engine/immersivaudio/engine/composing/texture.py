# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who plays what, and how loud: voices and chords become notes of instruments, section by section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from immersivaudio.engine.composing.form import Block, Measure, Movement
from immersivaudio.engine.composing.score import INSTRUMENTS, Bar, Note
from immersivaudio.engine.composing.tone import Tone
from immersivaudio.engine.composing.voicing import Voiced
from immersivaudio.engine.synthesis.frame import Rng, lerp

# Two strokes of one pitch closer than this, in eighths, are one.
_LEAST = 0.05
_BARE = ("intro", "link", "coda")
# Bass rhythms in eighths of a usual measure, from calm to driving.
_PULSES = {8: ((8,), (4, 4), (3, 3, 2), (2, 2, 2, 2)), 6: ((6,), (4, 2), (2, 2, 2), (2, 2, 2))}
_FIGURES = ((0, 1, 2, 1), (0, 2, 1, 2), (0, 1, 2, 3), (2, 1, 0, 1), (0, 2, 3, 1))


@dataclass(frozen=True, slots=True)
class Scene:
    """How a section is played. ``level`` 0 to 1 is its dynamic; ``pulse`` picks the bass rhythm, -1 none."""

    block: Block
    lead: str
    level: float
    pulse: int
    figure: tuple[int, ...]
    driving: bool
    opening: bool


@dataclass(frozen=True, slots=True)
class Played:
    """A note in eighths of the piece."""

    instrument: str
    at: float
    length: float
    pitch: int
    loud: float


def orchestrated(
    plan: Sequence[Movement], voices: Sequence[Voiced], measures: Sequence[Measure], tone: Tone
) -> list[Played]:
    """All notes of the piece, in order of time."""
    scenes = list(_scenes(plan, tone))
    whose = {index: scene for scene in scenes for index in range(scene.block.start, scene.block.end)}
    final = measures[-1]
    out: list[Played] = []
    out += _melody(voices, whose, tone)
    out += _pads(voices, whose)
    rng = tone.rng("texture")
    for index, voiced in enumerate(voices):
        scene = whose[voiced.slot.measure]
        following = voices[index + 1] if index + 1 < len(voices) else None
        out += _bass(voiced, following, scene, tone)
        out += _figure(voiced, scene, tone, following is None)
        out += _strokes(voiced, scene, tone, rng, following is None)
    end = final.at + final.eighths
    return _untangled(note for note in out if note.at < end)


def _untangled(notes: Iterable[Played]) -> list[Played]:
    """In order of time; an instrument that plays a pitch again lets go of it first, and plays it once at a time."""
    out: list[Played] = []
    last: dict[tuple[str, int], int] = {}
    for note in sorted(notes, key=lambda note: (note.at, note.instrument, note.pitch, -note.loud)):
        before = last.get((note.instrument, note.pitch))
        if before is not None and out[before].at + _LEAST > note.at:
            continue
        if before is not None and out[before].at + out[before].length > note.at:
            out[before] = replace(out[before], length=note.at - out[before].at)
        last[note.instrument, note.pitch] = len(out)
        out.append(note)
    return out


def _scenes(plan: Sequence[Movement], tone: Tone) -> Iterator[Scene]:
    blocks = [block for movement in plan for block in movement.blocks]
    rng = tone.rng("orchestration")
    themes = [block for block in blocks if block.label not in _BARE]
    for block in blocks:
        place = themes.index(block) / max(1, len(themes) - 1) if block in themes else 0.0
        yield _scene(block, place, block is blocks[0], tone, rng)


def _scene(block: Block, place: float, opening: bool, tone: Tone, rng: Rng) -> Scene:
    """The piece grows towards its last section; contrasting sections step back."""
    bare = block.label in _BARE
    level = {"coda": 0.68, "link": 0.5, "intro": 0.42}.get(block.label, lerp(0.5, 0.85, place))
    letter = block.label[0]
    away = not bare and letter not in "AT"
    if away and letter != "V":
        level -= 0.12
    number = int(block.label[1:]) if letter == "V" else ord(letter) - ord("A")
    lead = "violins" if bare else tone.leads[0 if letter in "AT" else number % len(tone.leads)]
    drive = tone.energy + 0.25 * (place - 0.5) - 0.1 * away
    pulse = -1 if bare and tone.energy < 0.7 else min(3, max(0, int(4 * drive)))
    busy = drive > 0.22 and not (bare and (opening or tone.energy < 0.5))
    figure = _FIGURES[int(rng.integers(0, len(_FIGURES)))] if busy else ()
    return Scene(block, lead, level * lerp(0.75, 1.1, tone.energy), pulse, figure, drive > 0.5, opening)


def _swell(scene: Scene, measure: int) -> float:
    """Within a phrase the middle is the loudest: 0.85 to 1."""
    start = scene.block.start
    for length in scene.block.lengths:
        if measure < start + length:
            return 0.85 + 0.15 * float(np.sin(np.pi * (measure - start + 0.6) / (length + 0.2)))
        start += length
    return 1.0


def _melody(voices: Sequence[Voiced], whose: dict[int, Scene], tone: Tone) -> Iterator[Played]:
    for voiced in voices:
        scene = whose[voiced.slot.measure]
        swell = _swell(scene, voiced.slot.measure)
        for note in voiced.slot.sung:
            strong = (note.at - voiced.slot.at) % (tone.meter // 2) == 0
            height = (note.pitch - tone.low) / (tone.high - tone.low)
            loud = scene.level * swell * (0.92 + 0.16 * height) * (1.06 if strong else 0.92) + 0.08
            bare = scene.block.label in _BARE
            yield Played(scene.lead, note.at, note.length, note.pitch, loud * (0.7 if bare else 1.0))
            if scene.level > 0.66 and scene.lead in ("piano", "flute") and not bare:
                yield Played("violins", note.at, note.length, note.pitch, loud * 0.62)
            if voiced.slot.struck and note.at == voiced.slot.at and scene.lead != "celesta":
                yield Played("celesta", note.at, min(4.0, note.length), note.pitch, loud * 0.8)


def _pads(voices: Sequence[Voiced], whose: dict[int, Scene]) -> Iterator[Played]:
    """Strings hold what stays and move what moves; a cut or a new section makes them begin anew."""
    held: dict[int, Played] = {}
    for voiced in voices:
        slot, scene = voiced.slot, whose[voiced.slot.measure]
        final = voiced is voices[-1]
        loud = scene.level * (1.15 if final else 0.78 * _swell(scene, slot.measure))
        anew = final or slot.struck or scene.block.start == slot.measure
        now: dict[int, Played] = {}
        for pitch in voiced.inner:
            was = held.pop(pitch, None)
            if was is not None and not anew and was.length < 16:
                now[pitch] = Played(was.instrument, was.at, was.length + slot.length, pitch, was.loud)
                continue
            if was is not None:
                yield was
            now[pitch] = Played(
                "strings", float(slot.at), float(slot.length), pitch, loud * (1.12 if slot.struck else 1)
            )
        yield from held.values()
        held = now
    yield from held.values()


def _bass(voiced: Voiced, following: Voiced | None, scene: Scene, tone: Tone) -> Iterator[Played]:
    slot = voiced.slot
    loud = scene.level * _swell(scene, slot.measure) * 0.95 + 0.05
    plucked = scene.pulse >= 2
    if following is None or scene.pulse < 1:
        yield Played("low strings", slot.at, slot.length, voiced.bass, loud * (1.0 if following is None else 0.85))
        return
    yield Played("low strings", slot.at, slot.length, voiced.bass, loud * (0.5 if plucked else 0.8))
    if not plucked:
        return
    at, first = 0.0, True
    for length in _PULSES[tone.meter][scene.pulse] * 2:
        if at >= slot.length:
            break
        yield Played(
            "bass", slot.at + at, min(length, slot.length - at) * 0.9, voiced.bass, loud * (1.0 if first else 0.78)
        )
        at, first = at + length, False


def _figure(voiced: Voiced, scene: Scene, tone: Tone, final: bool) -> Iterator[Played]:
    """Broken chords between bass and melody; at the end one upward roll that rings."""
    slot = voiced.slot
    name = tone.figure if tone.figure != scene.lead else "harp"
    pool = [pitch for pitch in (voiced.bass + 12, *voiced.inner) if pitch < min(_tops(voiced), default=127)]
    pool = sorted(set(pool))
    if not pool:
        return
    if final:
        step = min(0.5, slot.length / 12)
        rolled = enumerate([voiced.bass, *pool])
        yield from (Played(name, slot.at + k * step, slot.length - k * step, p, scene.level * 0.8) for k, p in rolled)
        return
    if not scene.figure:
        return
    step = 0.5 if scene.driving and tone.energy > 0.8 else 1.0
    for count in range(int(slot.length / step)):
        pitch = pool[scene.figure[count % len(scene.figure)] % len(pool)]
        beat = count * step % 2 == 0
        loud = scene.level * _swell(scene, slot.measure) * ((0.66 if count == 0 else 0.56) if beat else 0.44)
        yield Played(name, slot.at + count * step, min(slot.length - count * step, 2 * step), pitch, loud)


def _tops(voiced: Voiced) -> Iterable[int]:
    return (note.pitch for note in voiced.slot.sung)


def _strokes(voiced: Voiced, scene: Scene, tone: Tone, rng: Rng, final: bool) -> Iterator[Played]:
    """Light percussion: what the energy asks for, and a stroke on cuts."""
    slot, e = voiced.slot, tone.energy
    first = slot.at == voiced.slot.at and slot.measure == scene.block.start
    drum, cymbal = INSTRUMENTS["drum"].low, INSTRUMENTS["cymbal"].low
    if e > 0.3 and (slot.struck or final or (first and not scene.opening)):
        yield Played("drum", slot.at, 2.0, drum, min(1.0, scene.level * 1.1))
        if e > 0.5 and (final or first):
            yield Played("cymbal", slot.at, 4.0, cymbal, scene.level * 0.7)
    if final or not scene.driving or scene.block.label in _BARE:
        return
    for count in range(slot.length):
        soft = 0.75 if count % 4 == 2 else (0.5 if count % 2 == 0 else 0.34)
        yield Played(
            "shaker", slot.at + count, 0.5, INSTRUMENTS["shaker"].low, scene.level * soft * rng.uniform(0.85, 1.1)
        )
    if e > 0.7:
        for at, loud in ((0, 0.8), (3, 0.5), (6, 0.6)):
            if at < slot.length and not (at == 0 and slot.struck):
                yield Played("drum", slot.at + at, 1.0, drum, scene.level * loud)


def timed(played: Sequence[Played], bars: Sequence[Bar], length_s: float) -> list[Note]:
    """Notes on the clock: eighths of the piece through the tempo map; nothing lasts beyond ``length_s``."""
    counts = np.concatenate([[0], np.cumsum([bar.eighths for bar in bars])])
    times = np.array([*(bar.start_s for bar in bars), length_s])
    starts = np.interp([note.at for note in played], counts, times)
    ends = np.interp([note.at + note.length for note in played], counts, times)
    out = []
    for note, start, end in zip(played, starts, ends, strict=True):
        velocity = min(120, max(12, round(18 + 96 * note.loud)))
        out.append(Note(note.instrument, float(start), max(0.0, float(end - start)), note.pitch, velocity))
    return out
