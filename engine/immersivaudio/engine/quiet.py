# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where nothing is added, and why; where somebody speaks."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from immersivaudio.engine.cue import Cue, Silence, Span, SpeechSpan, Stem, tidy
from immersivaudio.engine.drafting import tidy_within
from immersivaudio.engine.looks import Scene, View, is_black, number

SPEECH_FROM = 0.5
_GAP_S, _BLACK_S, _STILL_S, _TALK_S = Fraction(1, 2), Fraction(1), Fraction(5, 2), Fraction(2)
_PAUSE_S = Fraction(1)
_MOVES_LEVEL = 0.1
_FAINT_PLACES = ("road", "room", "air")


def speech_spans(view: View) -> tuple[SpeechSpan, ...]:
    """The spoken spans that are believed, inside the edit."""
    spans = []
    for row in view.all("speech"):
        inside = row.span.overlap(view.edit.record)
        if inside is not None and row.confidence >= SPEECH_FROM:
            spans.append(SpeechSpan(_tidied(inside, view.edit.duration_s), round(row.confidence, 3)))
    return tuple(spans)


def _tidied(span: Span, limit_s: Fraction) -> Span:
    return Span.between(tidy(span.start_s), tidy_within(span.end_s, limit_s))


def silences(
    view: View, scenes: Sequence[Scene], cues: Sequence[Cue], speech: Sequence[SpeechSpan]
) -> tuple[Silence, ...]:
    """Spans in which nothing, or nothing but a bed, is heard on purpose, in order of time."""
    limit = view.edit.duration_s
    events = _merged(cue.span for cue in cues if cue.stem in (Stem.FOLEY, Stem.EFFECTS))
    spoken = _merged((row.span for row in speech), _PAUSE_S)
    found = [
        *_gaps(view),
        *_black(scenes),
        *_talk(spoken, events),
        *_stillness(view, scenes, _merged([*events, *spoken])),
    ]
    tidy_found = (Silence(_tidied(silence.span, limit), silence.why) for silence in found)
    return tuple(sorted((s for s in tidy_found if s.span.duration_s > 0), key=lambda s: s.span.start_s))


def _gaps(view: View) -> Iterator[Silence]:
    if view.edit.picture:
        for span in _free(view.edit.record, _merged(clip.record for clip in view.edit.picture), _GAP_S):
            yield Silence(span, f"the timeline shows no picture for {float(span.duration_s):.1f} s")


def _black(scenes: Sequence[Scene]) -> Iterator[Silence]:
    for scene in scenes:
        if is_black(scene.look) and scene.span.duration_s >= _BLACK_S:
            yield Silence(scene.span, f"the picture is black for {float(scene.span.duration_s):.1f} s")


def _talk(spoken: Sequence[Span], events: Sequence[Span]) -> Iterator[Silence]:
    for one in spoken:
        for span in _free(one, events, _TALK_S):
            yield Silence(span, f"speech fills {float(span.duration_s):.1f} s; nothing is added but a quiet bed")


def _stillness(view: View, scenes: Sequence[Scene], taken: Sequence[Span]) -> Iterator[Silence]:
    for scene in scenes:
        if is_black(scene.look) or scene.setting.id not in _FAINT_PLACES:
            continue
        for span in _free(scene.span, taken, _STILL_S):
            if not any(number(row.values, "level") >= _MOVES_LEVEL for row, _ in view.within("movement", span)):
                still = f"nothing that sounds moves for {float(span.duration_s):.1f} s; only a faint bed"
                yield Silence(span, f"{scene.setting.words}: {still}")


def _merged(spans: Iterable[Span], join_s: Fraction = Fraction(0)) -> list[Span]:
    """``spans`` in order, those that touch or lie at most ``join_s`` apart made one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        if merged and span.start_s - merged[-1].end_s <= join_s:
            merged[-1] = Span.between(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return merged


def _free(whole: Span, taken: Sequence[Span], least_s: Fraction) -> Iterator[Span]:
    """The parts of ``whole`` that none of ``taken`` (merged) covers and that last at least ``least_s``."""
    at = whole.start_s
    for index in range(bisect.bisect_right(taken, at, key=lambda span: span.end_s), len(taken)):
        if taken[index].start_s >= whole.end_s:
            break
        if taken[index].start_s - at >= least_s:
            yield Span.between(at, taken[index].start_s)
        at = taken[index].end_s
    if whole.end_s - at >= least_s:
        yield Span.between(at, whole.end_s)
