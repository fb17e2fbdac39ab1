# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a client may send: every field of a request looked at before anything is built from it. Knows no gRPC."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from immersivaudio.engine import effects, sounds
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.request import DIALECTS
from immersivaudio.v1 import cue_sheet_pb2, effect_pb2, job_pb2, media_pb2, time_pb2

MAX_CUES = 50_000
MOST_TAKES = 20
_MAX_SPANS = 50_000
_MAX_SECONDS = 7 * 24 * 3600
_MAX_RATE = 1_000_000_000_000
_MAX_FRAME_RATE = 1000
_MAX_WORDS = 4096
_MAX_NAME = 256
_MAX_PER_CUE = 4096
_MAX_URLS = 20_000
_OUTPUTS = ("video", "audio", "stems", "otio", "report")
_SHA256_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Violation:
    """A field (its path in the request) and what is wrong with it."""

    field: str
    description: str


Violations = Iterator[Violation]


class FieldsError(RequestError):
    """Fields of a request make no sense; ``violations`` say which and why."""

    reason = "FIELDS_INVALID"

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        first = self.violations[0]
        more = f" (and {len(self.violations) - 1} more)" if len(self.violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}{more}.", "Correct the named fields and ask again.")


def refuse(violations: Violations, at_most: int = 20) -> None:
    """Raise a FieldsError when there are any; only the first ``at_most`` are looked for."""
    found = [violation for _, violation in zip(range(at_most), violations, strict=False)]
    if found:
        raise FieldsError(found)


def job(request: job_pb2.CreateJobRequest) -> Violations:
    """What is wrong with a CreateJobRequest."""
    if not 0 < len(request.request_id) <= _MAX_NAME:
        yield Violation("request_id", f"must have 1 to {_MAX_NAME} characters, a UUID for example")
    spec = request.spec
    yield from _instance("spec.effect", spec.effect)
    yield from _source("spec.source", spec)
    yield from _delivery("spec.delivery", spec.delivery)
    if spec.goal not in job_pb2.Goal.values():
        yield Violation("spec.goal", "is no goal")
    if spec.HasField("cue_sheet"):
        yield from sheet("spec.cue_sheet", spec.cue_sheet)
    if spec.HasField("example"):
        yield from _example("spec.example", spec.example)
    elif _lacks_example(spec):
        yield Violation("spec.example", "names nothing to sound like")


def instance(message: effect_pb2.EffectInstance) -> Violations:
    """What is wrong with an effect's id and values."""
    return _instance("instance", message)


def sheet(path: str, message: cue_sheet_pb2.CueSheet) -> Violations:
    """What is wrong with a cue sheet."""
    yield from _words(f"{path}.name", message.name, _MAX_NAME)
    if message.HasField("frame_duration"):
        yield from _frame_duration(f"{path}.frame_duration", message.frame_duration)
    yield from _span(f"{path}.record_range", message.record_range)
    if message.HasField("start_timecode"):
        yield from _time(f"{path}.start_timecode", message.start_timecode)
    if len(message.cues) + len(message.suggestions) > MAX_CUES:
        yield Violation(f"{path}.cues", f"are more than {MAX_CUES}")
        return
    yield from _many(f"{path}.silences", [one.record_range for one in message.silences])
    yield from _many(f"{path}.speech", [one.record_range for one in message.speech])
    seen: set[str] = set()
    for name in ("cues", "suggestions"):
        for number, one in enumerate(getattr(message, name)):
            yield from _cue(f"{path}.{name}[{number}]", one)
            if one.cue_id in seen:
                yield Violation(f"{path}.{name}[{number}].cue_id", "is the id of another cue too")
            seen.add(one.cue_id)


def _many(path: str, spans: Sequence[time_pb2.TimeRange]) -> Violations:
    if len(spans) > _MAX_SPANS:
        yield Violation(path, f"are more than {_MAX_SPANS}")
        return
    for number, span in enumerate(spans):
        yield from _span(f"{path}[{number}].record_range", span)


def _cue(path: str, one: cue_sheet_pb2.Cue) -> Violations:
    if not 0 < len(one.cue_id) <= _MAX_NAME:
        yield Violation(f"{path}.cue_id", f"must have 1 to {_MAX_NAME} characters")
    if one.stem not in cue_sheet_pb2.Stem.values() or one.stem <= cue_sheet_pb2.STEM_DIALOGUE:
        yield Violation(f"{path}.stem", "must be ambience, foley, effects or music")
    if one.sound not in sounds.BY_ID:
        yield Violation(f"{path}.sound", _unknown(one.sound, sounds.BY_ID))
    yield from _words(f"{path}.prompt", one.prompt, _MAX_WORDS)
    yield from _words(f"{path}.why", one.why, _MAX_WORDS)
    yield from _words(f"{path}.performer", one.performer, _MAX_NAME)
    yield from _span(f"{path}.record_range", one.record_range)
    if max(len(one.sync_points), len(one.gain_curve), len(one.params), len(one.sighting_ids)) > _MAX_PER_CUE:
        yield Violation(path, f"carries more than {_MAX_PER_CUE} points or params")
        return
    for number, point in enumerate(one.sync_points):
        yield from _time(f"{path}.sync_points[{number}]", point)
    if one.HasField("example"):
        yield from _example(f"{path}.example", one.example)
    yield from _cue_numbers(path, one)


def _cue_numbers(path: str, one: cue_sheet_pb2.Cue) -> Violations:
    yield from _number(f"{path}.gain_db", one.gain_db, -144.0, 48.0)
    yield from _number(f"{path}.pan", one.pan, -1.0, 1.0)
    yield from _number(f"{path}.fade_in_s", one.fade_in_s, 0.0, _MAX_SECONDS)
    yield from _number(f"{path}.fade_out_s", one.fade_out_s, 0.0, _MAX_SECONDS)
    yield from _number(f"{path}.confidence", one.confidence, 0.0, 1.0)
    for number, point in enumerate(one.gain_curve):
        yield from _number(f"{path}.gain_curve[{number}].at_s", point.at_s, -_MAX_SECONDS, _MAX_SECONDS)
        yield from _number(f"{path}.gain_curve[{number}].gain_db", point.gain_db, -144.0, 48.0)
    for name, value in one.params.items():
        if value.WhichOneof("value") == "number":
            yield from _number(f"{path}.params[{name[:40]}]", value.number, -1e9, 1e9)
        else:
            yield from _words(f"{path}.params[{name[:40]}]", value.word, _MAX_WORDS)


def _source(path: str, spec: job_pb2.JobSpec) -> Violations:
    source = spec.source
    which = source.WhichOneof("source")
    if which is None and spec.effect.effect_id != "sfx":
        yield Violation(path, "names neither media nor a timeline")
    if which is not None and which != "timeline_json":
        yield from _media(f"{path}.{which}", getattr(source, which))
    if which == "timeline_json" and not source.timeline_json.lstrip().startswith("{"):
        yield Violation(f"{path}.timeline_json", "is not OTIO JSON")
    if len(source.media_by_url) > _MAX_URLS:
        yield Violation(f"{path}.media_by_url", f"has more than {_MAX_URLS} entries")
        return
    for url, media in source.media_by_url.items():
        yield from _media(f"{path}.media_by_url[{url[:80]}]", media)
    yield from _words(f"{path}.name", source.name, _MAX_NAME)


def _media(path: str, media: media_pb2.MediaRef) -> Violations:
    which = media.WhichOneof("location")
    if which is None:
        yield Violation(path, "must be a path or a blob")
    elif which == "path":
        if not media.path or "\0" in media.path or len(media.path) > _MAX_WORDS:
            yield Violation(f"{path}.path", "is no path")
    elif not is_digest(media.blob):
        yield Violation(f"{path}.blob", "is no digest")


def _lacks_example(spec: job_pb2.JobSpec) -> bool:
    effect = effects.BY_ID.get(spec.effect.effect_id)
    performs = spec.HasField("cue_sheet") and spec.goal != job_pb2.GOAL_SPOT
    if effect is None or not effect.by_example or performs:
        return False
    named = spec.effect.params.get("example")
    return named is None or not named.text


def _example(path: str, one: cue_sheet_pb2.Example) -> Violations:
    yield from _media(f"{path}.media", one.media)
    yield from _words(f"{path}.name", one.name, _MAX_NAME)
    yield from _words(f"{path}.licence", one.licence, _MAX_NAME)
    if len(one.events) > _MAX_PER_CUE or any(event < 0 for event in one.events):
        yield Violation(f"{path}.events", f"must be at most {_MAX_PER_CUE} numbers from 0 on")


def is_digest(digest: media_pb2.Digest) -> bool:
    """Whether it names bytes: 64 lower-case hexadecimal digits and a size that is not negative."""
    return len(digest.sha256) == 64 and set(digest.sha256) <= _SHA256_DIGITS and digest.size_bytes >= 0


def _delivery(path: str, delivery: job_pb2.Delivery) -> Violations:
    for number, output in enumerate(delivery.outputs):
        if output not in _OUTPUTS or number >= len(_OUTPUTS):
            yield Violation(f"{path}.outputs[{number}]", f"must be one of {', '.join(_OUTPUTS)}, each once")
            return
    for name in ("container", "audio_codec"):
        value = getattr(delivery, name)
        if value and not (len(value) <= 16 and value.replace("_", "").isalnum()):
            yield Violation(f"{path}.{name}", "is no name of a container or codec")
    if delivery.loudness and delivery.loudness not in dict(effects.LOUDNESS.choices):
        yield Violation(f"{path}.loudness", _unknown(delivery.loudness, dict(effects.LOUDNESS.choices)))
    if delivery.dialect and delivery.dialect not in DIALECTS:
        yield Violation(f"{path}.dialect", _unknown(delivery.dialect, DIALECTS))
    if delivery.original not in ("", "auto", "keep", "replace"):
        yield Violation(f"{path}.original", "must be auto, keep or replace")
    yield from _number(f"{path}.mix", delivery.mix, 0.0, 1.0)
    if not 0 <= delivery.takes <= MOST_TAKES:
        yield Violation(f"{path}.takes", f"must be 0 to {MOST_TAKES}")
    if len(delivery.takes_of) > MAX_CUES or any(len(cue_id) > _MAX_NAME for cue_id in delivery.takes_of):
        yield Violation(f"{path}.takes_of", "must be ids of cues")


def _instance(path: str, message: effect_pb2.EffectInstance) -> Violations:
    effect = effects.BY_ID.get(message.effect_id)
    if effect is None:
        yield Violation(f"{path}.effect_id", _unknown(message.effect_id, effects.BY_ID))
        return
    for name, value in message.params.items():
        param = effect.param(name)
        if param is None:
            known = [param.name for param in effect.params]
            yield Violation(f"{path}.params[{name[:40]}]", _unknown(name, known))
        else:
            yield from _value(f"{path}.params[{name}]", param, value)


_FIELD_OF = {
    effects.Kind.DOUBLE: "number",
    effects.Kind.INTEGER: "integer",
    effects.Kind.BOOLEAN: "flag",
    effects.Kind.CHOICE: "text",
    effects.Kind.STRING: "text",
}


def _value(path: str, param: effects.Param, value: effect_pb2.ParamValue) -> Violations:
    which = value.WhichOneof("value")
    if which != _FIELD_OF[param.kind]:
        yield Violation(path, f"must be set as {_FIELD_OF[param.kind]}")
    elif param.kind is effects.Kind.CHOICE and value.text not in dict(param.choices):
        yield Violation(path, _unknown(value.text, dict(param.choices)))
    elif param.kind is effects.Kind.STRING:
        yield from _words(path, value.text, _MAX_WORDS)
    elif param.low is not None and param.high is not None:
        yield from _number(path, getattr(value, which), param.low, param.high)


def time_range(path: str, message: time_pb2.TimeRange) -> Violations:
    """What is wrong with a range of record time."""
    return _span(path, message)


def _span(path: str, message: time_pb2.TimeRange) -> Violations:
    yield from _time(f"{path}.start", message.start)
    yield from _time(f"{path}.duration", message.duration)


def _time(path: str, message: time_pb2.RationalTime) -> Violations:
    numerator, denominator = message.rate_numerator, message.rate_denominator
    if not (0 < numerator <= 2**63 - 1 and 0 < denominator <= _MAX_RATE):
        yield Violation(path, "must have a rate above zero")
    elif not 0 <= message.value * denominator <= _MAX_SECONDS * numerator:
        yield Violation(path, f"must lie between 0 and {_MAX_SECONDS} seconds")


def _frame_duration(path: str, message: time_pb2.RationalTime) -> Violations:
    numerator, denominator = message.rate_numerator, message.rate_denominator
    if message.value <= 0 or numerator <= 0 or denominator <= 0:
        yield Violation(path, "must be above zero")
    elif not 1 <= numerator / (message.value * denominator) <= _MAX_FRAME_RATE:
        yield Violation(path, f"must say 1 to {_MAX_FRAME_RATE} frames a second")


def _number(path: str, value: float, low: float, high: float) -> Violations:
    if not (math.isfinite(value) and low <= value <= high):
        yield Violation(path, f"must lie between {low:g} and {high:g}")


def _words(path: str, text: str, most: int) -> Violations:
    if len(text) > most:
        yield Violation(path, f"is longer than {most} characters")


def _unknown(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word[:64], names, 1)
    if near:
        return f"'{word[:64]}' is unknown; did you mean '{near[0]}'"
    return f"'{word[:64]}' is unknown; choose one of: {', '.join(names[:12])}"
