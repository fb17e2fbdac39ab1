# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading a cue sheet that a person has edited: every value checked, every complaint with its place in the JSON."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from immersivaudio.engine.cue import (
    PINS,
    STEERING,
    Cue,
    CueSheet,
    Example,
    GainPoint,
    ParamValue,
    Silence,
    Span,
    SpeechSpan,
    Stem,
    tidy,
)
from immersivaudio.engine.errors import CueSheetError
from immersivaudio.engine.prompts import WORDED, template
from immersivaudio.engine.sounds import BY_ID, SPACE, SPACES, Knob, Motion, Sound, stable_seed
from immersivaudio.engine.ways import PATH
from immersivaudio.engine.ways import read as read_path

FORMAT = "immersivaudio cue sheet 1"
_SHEET_KEYS = (
    "format", "name", "rate", "duration_s", "start_timecode_s", "drop_frame", "cues", "silences", "speech", "suggestions", "warnings",
)  # fmt: skip
_CUE_KEYS = (
    "id", "stem", "sound", "start_s", "duration_s", "timecode", "sync_s", "why", "prompt", "gain_db", "pan",
    "fade_in_s", "fade_out_s", "gain_curve", "params", "performer", "seed", "confidence", "locked", "muted",
    "sightings", "example",
)  # fmt: skip
_EXAMPLE_KEYS = ("path", "name", "licence", "sha256", "size_bytes", "events")
_SPAN_KEYS = ["start_s", "duration_s", "timecode"]
_LONGEST_S = Fraction(7 * 24 * 3600)
_MOST_ROWS, _LONGEST_TEXT = 100_000, 20_000
_LONGEST_ID, _LONGEST_PROMPT = 256, 4096
_STRUCK_LEAD_S, _STRUCK_TAIL_S = Fraction(1, 20), Fraction(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands in the file."""

    path: str
    value: object

    def fault(self, wanted: str, hint: str = "Correct it there, or spot again.") -> CueSheetError:
        return CueSheetError(f"{self.path} must be {wanted}.", hint)

    def row(self, known: Iterable[str]) -> dict[str, Place]:
        """The keys of an object, none of them unknown."""
        if not isinstance(self.value, dict):
            raise self.fault("an object in braces")
        prefix = "" if self.path == "the cue sheet" else f"{self.path}."
        rows = {key: Place(f"{prefix}{key}", value) for key, value in self.value.items()}
        for key in rows.keys() - set(known):
            raise CueSheetError(f"{prefix}{key} is not a key of a cue sheet.", _nearest(key, known))
        return rows

    def items(self, most: int = _MOST_ROWS) -> Iterator[Place]:
        if not isinstance(self.value, list) or len(self.value) > most:
            raise self.fault(f"a list of at most {most} entries")
        return (Place(f"{self.path}[{index}]", value) for index, value in enumerate(self.value))

    def text(self, most: int = _LONGEST_TEXT, least: int = 0) -> str:
        if not isinstance(self.value, str) or not least <= len(self.value) <= most:
            raise self.fault(f"a text of {least} to {most} letters" if least else f"a text of at most {most} letters")
        if any("\ud800" <= letter <= "\udfff" for letter in self.value):
            raise self.fault("a text without halves of letters (\\ud800 to \\udfff)")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fault("true or false")
        return self.value

    def number(self, low: float, high: float) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not low <= self.value <= high:
            raise self.fault(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def whole(self, low: int, high: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.fault(f"a whole number from {low} to {high}")
        return self.value

    def seconds(self, low: Fraction, high: Fraction, unit: str = " seconds") -> Fraction:
        value = self._exact()
        if value is None or not low <= value <= high:
            raise self.fault(f"a number from {float(low):g} to {float(high):g}{unit}")
        return value

    def _exact(self) -> Fraction | None:
        if isinstance(self.value, str):
            return _ratio(self.value)
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            return None
        return tidy(self.value)


def _ratio(text: str) -> Fraction | None:
    if len(text) > 80 or "e" in text.lower():
        return None
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None


def _nearest(word: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"Did you mean {match[0]}?" if match else f"Known are: {', '.join(sorted(known))}."


def read_sheet(place: Place) -> CueSheet:
    """The whole sheet.

    Raises:
        CueSheetError: see :func:`immersivaudio.engine.sheets.from_json`.
    """
    rows = place.row(_SHEET_KEYS)
    _check_format(rows)
    if "duration_s" not in rows:
        raise CueSheetError("The cue sheet has no duration_s.", "Add the length of the edit in seconds, or spot again.")
    zero = Fraction(0)
    duration_s = rows["duration_s"].seconds(zero, _LONGEST_S)
    cues = tuple(_cue(item, duration_s) for item in _list(rows, "cues"))
    suggestions = tuple(_cue(item, duration_s) for item in _list(rows, "suggestions"))
    _check_ids(cues, suggestions)
    return CueSheet(
        name=rows["name"].text() if "name" in rows else "",
        rate=rows["rate"].seconds(zero, Fraction(1000), " frames a second") if "rate" in rows else zero,
        duration_s=duration_s,
        cues=tuple(sorted(cues, key=lambda cue: cue.span.start_s)),
        silences=tuple(_silence(item, duration_s) for item in _list(rows, "silences")),
        speech=tuple(_speech(item, duration_s) for item in _list(rows, "speech")),
        suggestions=suggestions,
        warnings=tuple(item.text() for item in _list(rows, "warnings")),
        start_timecode_s=rows["start_timecode_s"].seconds(zero, _LONGEST_S) if "start_timecode_s" in rows else zero,
        drop_frame=rows["drop_frame"].flag() if "drop_frame" in rows else False,
    )


def _list(rows: dict[str, Place], key: str) -> Iterator[Place]:
    return rows[key].items() if key in rows else iter(())


def _check_format(rows: dict[str, Place]) -> None:
    said = rows["format"].text() if "format" in rows else FORMAT
    if said != FORMAT:
        raise CueSheetError(f'format must be "{FORMAT}", not "{said[:60]}".', "Spot again with this version.")


def _check_ids(*groups: tuple[Cue, ...]) -> None:
    seen: dict[str, str] = {}
    for name, group in zip(("cues", "suggestions"), groups, strict=True):
        for index, cue in enumerate(group):
            here = f"{name}[{index}].id"
            if cue.id in seen:
                raise CueSheetError(f'{here} must be unique, and "{cue.id}" is also {seen[cue.id]}.', "Rename one.")
            seen[cue.id] = here


def _span(rows: dict[str, Place], place: Place, duration_s: Fraction) -> Span:
    for key in ("start_s", "duration_s"):
        if key not in rows:
            raise CueSheetError(f"{place.path} has no {key}.", "Say when it starts and how long it lasts, in seconds.")
    start_s = rows["start_s"].seconds(Fraction(0), duration_s)
    return Span(start_s, rows["duration_s"].seconds(Fraction(0), duration_s - start_s))


def _silence(place: Place, duration_s: Fraction) -> Silence:
    rows = place.row([*_SPAN_KEYS, "why"])
    return Silence(_span(rows, place, duration_s), rows["why"].text() if "why" in rows else "")


def _speech(place: Place, duration_s: Fraction) -> SpeechSpan:
    rows = place.row([*_SPAN_KEYS, "confidence"])
    confidence = rows["confidence"].number(0, 1) if "confidence" in rows else 1.0
    return SpeechSpan(_span(rows, place, duration_s), confidence)


def _cue(place: Place, duration_s: Fraction) -> Cue:
    rows = place.row(_CUE_KEYS)
    sound = _sound(rows, place)
    sync_s = tuple(item.seconds(Fraction(0), duration_s) for item in _list(rows, "sync_s"))
    span = _cue_span(rows, place, sync_s, duration_s)
    for index, moment in enumerate(sync_s):
        if not span.start_s <= moment <= span.end_s:
            raise Place(f"{place.path}.sync_s[{index}]", moment).fault("inside the cue's own time")
    cue = Cue(
        id=rows["id"].text(_LONGEST_ID, least=1) if "id" in rows else f"own-{float(span.start_s):.3f}-{sound.id}",
        stem=_stem(rows, sound),
        span=span,
        sound=sound.id,
        sync_s=sync_s,
        params=_params(rows, sound),
        why=rows["why"].text() if "why" in rows else "Added by a person.",
        sightings=tuple(item.text() for item in _list(rows, "sightings")),
        gain_curve=tuple(_point(item) for item in _list(rows, "gain_curve")),
        performer=rows["performer"].text() if "performer" in rows else "",
        example=_example(rows["example"]) if "example" in rows else None,
    )
    settings: dict[str, Any] = dict(_numbers(rows, sound, span))
    settings |= {key: rows[key].flag() for key in ("locked", "muted") if key in rows}
    return _worded(replace(cue, **settings), rows)


def _worded(cue: Cue, rows: dict[str, Place]) -> Cue:
    return replace(cue, prompt=rows["prompt"].text(_LONGEST_PROMPT) if "prompt" in rows else template(cue))


def _numbers(rows: dict[str, Place], sound: Sound, span: Span) -> dict[str, float]:
    ranges = {
        "gain_db": (-100, 30),
        "pan": (-1, 1),
        "confidence": (0, 1),
        "fade_in_s": (0, 3600),
        "fade_out_s": (0, 3600),
    }
    found = {key: rows[key].number(*ends) for key, ends in ranges.items() if key in rows}
    seed = rows["seed"].whole(0, 2**63 - 1) if "seed" in rows else stable_seed(sound.id, str(span.start_s))
    return {"gain_db": sound.level_db, **found, "seed": seed}


def _cue_span(rows: dict[str, Place], place: Place, sync_s: tuple[Fraction, ...], duration_s: Fraction) -> Span:
    if sync_s and "start_s" not in rows and "duration_s" not in rows:
        start, end = min(sync_s) - _STRUCK_LEAD_S, max(sync_s) + _STRUCK_TAIL_S
        return Span.between(max(Fraction(0), start), min(duration_s, end))
    return _span(rows, place, duration_s)


def _sound(rows: dict[str, Place], place: Place) -> Sound:
    if "sound" not in rows:
        raise CueSheetError(f"{place.path} has no sound.", f"Choose one of: {', '.join(BY_ID)}.")
    name = rows["sound"].text()
    if name not in BY_ID:
        raise CueSheetError(
            f'{rows["sound"].path} must be a sound of the vocabulary, not "{name[:60]}".', _nearest(name, BY_ID)
        )
    sound = BY_ID[name]
    if sound.motion is Motion.STRUCK and not rows.get("sync_s", Place("", [])).value and "pace" not in sound.knobs:
        raise CueSheetError(f"{place.path} has no sync_s, and {name} is struck.", "Say in sync_s when, in seconds.")
    return sound


def _stem(rows: dict[str, Place], sound: Sound) -> Stem:
    if "stem" not in rows:
        return sound.stem
    known = [stem.value for stem in Stem if stem is not Stem.DIALOGUE]
    if rows["stem"].value not in known:
        raise rows["stem"].fault(f"one of {', '.join(known)}", _nearest(str(rows["stem"].value)[:60], known))
    return Stem(rows["stem"].text())


def _example(place: Place) -> Example | None:
    """A path alone, or an object; beside a path the digest is for reading only: the engine looks at the file itself."""
    if place.value is None:
        return None
    if isinstance(place.value, str):
        return Example(place.text(), PurePath(place.text()).name)
    rows = place.row(_EXAMPLE_KEYS)
    words = {key: rows[key].text() if key in rows else "" for key in ("path", "name", "licence", "sha256")}
    path = words.pop("path")
    if not path and not words["sha256"]:
        raise CueSheetError(f"{place.path} has no path.", "Say where the example lies.")
    return Example(
        path,
        **(words | ({"name": PurePath(path).name} if path else {})),
        size_bytes=rows["size_bytes"].whole(0, 2**62) if "size_bytes" in rows else 0,
        uploaded=not path,
        events=tuple(item.whole(0, 2**31 - 1) for item in rows["events"].items(4096)) if "events" in rows else (),
    )


def _params(rows: dict[str, Place], sound: Sound) -> dict[str, ParamValue]:
    if "params" not in rows:
        return {}
    if not sound.knobs and rows["params"].value == {}:
        return {}
    words = (
        *((SPACE,) if sound.space else ()),
        *((PATH,) if sound.motion is Motion.MOVING else ()),
        *PINS,
        *STEERING,
        *WORDED,
    )
    places = rows["params"].row((*sound.knobs, *words))
    return {key: _word(place) if key in words else _knob(place, sound.knobs[key]) for key, place in places.items()}


def _word(place: Place) -> ParamValue:
    if place.path.endswith(tuple(f".{name}" for name in WORDED)):
        return place.text()
    if place.path.endswith(f".{PATH}"):
        return _path(place)
    if not place.path.endswith(f".{SPACE}"):
        return _pin(place)
    if place.value not in SPACES:
        raise place.fault(f"one of {', '.join(SPACES)}", _nearest(str(place.value)[:60], SPACES))
    return place.text()


def _path(place: Place) -> str:
    try:
        read_path(place.text())
    except ValueError as error:
        hint = (
            'Write it as "0.5:-0.9,12 2:0.1,6": seconds from the cue\'s start, side from -1 to 1, metres. Or delete it.'
        )
        raise place.fault("two knots or more in order of time", hint) from error
    return place.text()


def _knob(place: Place, knob: Knob) -> float:
    return place.number(knob.low, knob.high)


def _pin(place: Place) -> ParamValue:
    return place.text() if isinstance(place.value, str) else place.number(-float(_LONGEST_S), float(_LONGEST_S))


def _point(place: Place) -> GainPoint:
    parts = list(place.items(2))
    if len(parts) != 2:
        raise place.fault("a pair of seconds from the cue's start and a gain in decibels")
    return GainPoint(parts[0].number(0, float(_LONGEST_S)), parts[1].number(-100, 30))
