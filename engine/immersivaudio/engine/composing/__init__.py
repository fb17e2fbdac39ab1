# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composed music: an expert system after MeloForm (arXiv 2208.14345), with rules only and nothing learnt.

``tone`` decides mode, key, tempo and who plays; ``tempo`` puts bar lines on cuts; ``form`` chooses the form and lays
its sections; ``melody`` and ``harmony`` make themes; ``sketch`` lays them on the measures; ``voicing`` leads the
voices; ``texture`` hands them to instruments. ``player`` turns the score into sound, ``midi`` into a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from immersivaudio.engine.composing import form, sketch, tempo, texture, voicing
from immersivaudio.engine.composing.score import INSTRUMENTS, Bar, Instrument, Note, Phrase, Score, Section
from immersivaudio.engine.composing.tone import tone_of

__all__ = ["INSTRUMENTS", "Bar", "Instrument", "Note", "Phrase", "Score", "Section", "compose"]

Spans = Sequence[tuple[float, float]]
_SUSTAINED = ("strings", "low strings")


def compose(
    length_s: float, hits_s: Iterable[float], energy: float, warmth: float, seed: int, quiet_s: Spans = ()
) -> Score:
    """A piece of exactly ``length_s`` seconds whose bar lines meet ``hits_s`` (seconds from its start).

    ``energy`` and ``warmth`` are 0 to 1. In ``quiet_s`` (start and end of each span, seconds) somebody speaks: there
    only held strings play. The same arguments give the same score.

    Raises:
        ValueError: ``length_s`` is not more than 0.
    """
    if not length_s > 0:
        raise ValueError(f"a piece cannot last {length_s} s")
    tone = tone_of(energy, warmth, seed)
    hits = tuple(sorted(float(hit) for hit in hits_s))
    chart = tempo.fitted(length_s, hits, tone.bpm, tone.meter)
    measures = form.measures_of(chart.bars, tone.meter)
    plan = form.movements(measures, tone.meter, tone.rng("form"))
    slots = sketch.sketched(plan, measures, tone, _struck(chart.bars))
    voices = voicing.voiced(slots, tone.tonic)
    notes = texture.timed(texture.orchestrated(plan, voices, measures, tone), chart.bars, length_s)
    return Score(
        length_s=length_s,
        form=", ".join(movement.form for movement in plan),
        tonic=tone.tonic,
        mode=tone.mode,
        wanted_bpm=chart.wanted_bpm,
        meter=tone.meter,
        bars=chart.bars,
        sections=tuple(_section(block, measures) for movement in plan for block in movement.blocks),
        notes=tuple(_room_for_speech(notes, quiet_s)),
        hits_s=hits,
        seed=seed,
    )


def _struck(bars: Sequence[Bar]) -> frozenset[int]:
    """The eighths of the piece on which a cut falls."""
    at, out = 0, set()
    for bar in bars:
        if bar.hit:
            out.add(at)
        at += bar.eighths
    return frozenset(out)


def _section(block: form.Block, measures: Sequence[form.Measure]) -> Section:
    starts = [block.start + sum(block.lengths[:index]) for index in range(len(block.lengths) + 1)]
    phrases = []
    for (start, end), cadence in zip(pairwise(starts), block.cadences, strict=True):
        bars = sum(measure.bars for measure in measures[start:end])
        phrases.append(Phrase(measures[start].first_bar, bars, end - start, cadence))
    return Section(block.label, tuple(phrases))


def _room_for_speech(notes: Iterable[Note], quiet_s: Spans) -> Iterable[Note]:
    """The composed duck: under speech the held strings go on and all else rests."""
    for note in notes:
        if note.instrument in _SUSTAINED or not any(start <= note.start_s < end for start, end in quiet_s):
            yield note
