# SPDX-License-Identifier: AGPL-3.0-or-later
"""The cue sheet as a file that a person edits (JSON), and as a table for the terminal.

Times are seconds, written as decimals to the nanosecond, or as "numerator/denominator" where a decimal is not exact.
``timecode`` is there for reading only: it is written, allowed, and never read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from immersivaudio.engine import timecode
from immersivaudio.engine.cue import Cue, CueSheet, Example, ParamValue, Silence, Span, SpeechSpan, tidy
from immersivaudio.engine.errors import CueSheetError
from immersivaudio.engine.sheet_reading import FORMAT, Place, read_sheet

if TYPE_CHECKING:
    from rich.table import Table

_LANES = {"ambience": "cyan", "foley": "yellow", "effects": "magenta", "music": "green", "dialogue": "white"}


def to_json(sheet: CueSheet) -> str:
    """``sheet`` as indented JSON; :func:`from_json` gives back an equal sheet."""
    clock = _Clock(sheet.rate, sheet.start_timecode_s, sheet.drop_frame)
    rows: dict[str, object] = {
        "format": FORMAT,
        "name": sheet.name,
        "rate": _seconds(sheet.rate),
        "duration_s": _seconds(sheet.duration_s),
        "start_timecode_s": _seconds(sheet.start_timecode_s),
        **({"drop_frame": True} if sheet.drop_frame else {}),
        "cues": [_cue_row(cue, clock) for cue in sheet.cues],
        "silences": [_silence_row(silence, clock) for silence in sheet.silences],
        "speech": [_speech_row(speech, clock) for speech in sheet.speech],
        "suggestions": [_cue_row(cue, clock) for cue in sheet.suggestions],
        "warnings": list(sheet.warnings),
    }
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> CueSheet:
    """The sheet that ``text`` holds. Missing optional keys get their defaults.

    Raises:
        CueSheetError: it is no cue sheet; the sentence names the place, e.g. ``cues[3].gain_db``.
    """
    try:
        rows = json.loads(text, object_pairs_hook=_no_twice)
    except json.JSONDecodeError as error:
        raise CueSheetError(
            f"The cue sheet is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}.",
            "Mend that line, or spot again.",
        ) from error
    except (RecursionError, ValueError) as error:
        raise CueSheetError("The cue sheet is nested or numbered beyond reason.", "Spot again.") from error
    return read_sheet(Place("the cue sheet", rows))


def _no_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise CueSheetError(f"The key {twice} stands twice in one place of the cue sheet.", "Keep one of the two.")
    return row


class _Clock:
    """Seconds of the record clock as the editor's timecode."""

    def __init__(self, rate: Fraction, start_s: Fraction, drop_frame: bool) -> None:
        self._rate, self._start_s, self._drop_frame = rate, start_s, drop_frame

    def text(self, moment_s: Fraction) -> str:
        if self._rate <= 0:
            return ""
        return timecode.text(round((self._start_s + moment_s) * self._rate), self._rate, self._drop_frame)


def _seconds(value: Fraction) -> float | int | str:
    if value.denominator == 1:
        return value.numerator
    number = float(value)
    return number if tidy(number) == value else f"{value.numerator}/{value.denominator}"


def _span_row(span: Span, clock: _Clock) -> dict[str, object]:
    return {
        "start_s": _seconds(span.start_s),
        "duration_s": _seconds(span.duration_s),
        "timecode": clock.text(span.start_s),
    }


def _cue_row(cue: Cue, clock: _Clock) -> dict[str, object]:
    row: dict[str, object] = {"id": cue.id, "stem": str(cue.stem), "sound": cue.sound, **_span_row(cue.span, clock)}
    row |= {"sync_s": [_seconds(moment) for moment in cue.sync_s]} if cue.sync_s else {}
    row |= {"why": cue.why, "prompt": cue.prompt, "gain_db": cue.gain_db, "pan": cue.pan}
    row |= {"fade_in_s": cue.fade_in_s, "fade_out_s": cue.fade_out_s}
    row |= {"gain_curve": [[point.at_s, point.gain_db] for point in cue.gain_curve]} if cue.gain_curve else {}
    row |= {"params": _plain(cue.params), "performer": cue.performer, "seed": cue.seed, "confidence": cue.confidence}
    row |= {"example": _example_row(cue.example)} if cue.example is not None else {}
    return row | {"locked": cue.locked, "muted": cue.muted, "sightings": list(cue.sightings)}


def _example_row(example: Example) -> dict[str, object]:
    """An uploaded example has no path of its user's: its digest finds it again."""
    row: dict[str, object] = {"name": example.name} if example.uploaded else {"path": example.path}
    row |= {"licence": example.licence} if example.licence else {}
    row |= {"events": list(example.events)} if example.events else {}
    return row | ({"sha256": example.sha256, "size_bytes": example.size_bytes} if example.sha256 else {})


def _plain(params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    return dict(params)


def _silence_row(silence: Silence, clock: _Clock) -> dict[str, object]:
    return {**_span_row(silence.span, clock), "why": silence.why}


def _speech_row(speech: SpeechSpan, clock: _Clock) -> dict[str, object]:
    return {**_span_row(speech.span, clock), "confidence": speech.confidence}


def table(sheet: CueSheet) -> Table:
    """The sheet for a terminal: time, lane, sound, level, why; silences and suggestions in their place in time."""
    from rich.table import Table
    from rich.text import Text

    clock = _Clock(sheet.rate, sheet.start_timecode_s, sheet.drop_frame)
    grid = Table(title=Text(sheet.name or "cue sheet"), expand=True, show_lines=False, header_style="bold")
    for name, justify in (("time", "right"), ("lane", "left"), ("sound", "left"), ("level", "right")):
        grid.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    grid.add_column("why", ratio=1)
    for _, cells, style in sorted(_table_rows(sheet, clock), key=lambda row: row[0]):
        grid.add_row(*(Text(cell) for cell in cells), style=style)
    return grid


def _table_rows(sheet: CueSheet, clock: _Clock) -> Iterable[tuple[Fraction, tuple[str, ...], str]]:
    for cue in sheet.cues:
        yield cue.span.start_s, _cue_cells(cue, clock, str(cue.stem)), "dim" if cue.muted else _LANES[cue.stem]
    for cue in sheet.suggestions:
        yield cue.span.start_s, _cue_cells(cue, clock, f"{cue.stem}?"), "dim italic"
    for silence in sheet.silences:
        yield silence.span.start_s, (_range(silence.span, clock), "-", "silence", "", silence.why), "dim"
    for speech in sheet.speech:
        why = f"somebody speaks (confidence {speech.confidence:.2f}); the mix leaves room"
        yield speech.span.start_s, (_range(speech.span, clock), "dialogue", "speech", "", why), _LANES["dialogue"]


def _cue_cells(cue: Cue, clock: _Clock, lane: str) -> tuple[str, ...]:
    marks = "".join(mark for mark, on in ((" [locked]", cue.locked), (" [muted]", cue.muted)) if on)
    return _range(cue.span, clock), lane, cue.sound + marks, f"{cue.gain_db:+.1f} dB", cue.why


def _range(span: Span, clock: _Clock) -> str:
    if text := clock.text(span.start_s):
        return f"{text} +{float(span.duration_s):.2f} s"
    return f"{float(span.start_s):.3f} s +{float(span.duration_s):.2f} s"
