# SPDX-License-Identifier: AGPL-3.0-or-later
"""Protobuf messages and the engine's nouns, both ways: times, cue sheets, effects. Exact; knows no gRPC.

What comes from a client is checked here before anything is built from it; a :class:`FieldsError` names the fields.
Light on purpose: the server reads this file. What needs the pipeline lies in ``orders.py``, read by workers only.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import PurePath

from immersivaudio.engine import cue, effects
from immersivaudio.v1 import cue_sheet_pb2, effect_pb2, media_pb2, time_pb2

_INT64 = 2**63 - 1
_STEM_BY_NUMBER = {cue_sheet_pb2.Stem.Value(f"STEM_{stem.name}"): stem for stem in cue.Stem}


def time_to_wire(seconds: Fraction) -> time_pb2.RationalTime:
    """``seconds`` exactly; to the nanosecond when it does not fit 64 bits."""
    if max(abs(seconds.numerator), seconds.denominator) > _INT64:
        seconds = cue.tidy(seconds)
    return time_pb2.RationalTime(value=seconds.numerator, rate_numerator=seconds.denominator, rate_denominator=1)


def time_from_wire(message: time_pb2.RationalTime) -> Fraction:
    """Exact seconds; the rate must have been checked (see ``wire_checks.py``)."""
    return Fraction(message.value * message.rate_denominator, message.rate_numerator)


def span_to_wire(span: cue.Span) -> time_pb2.TimeRange:
    return time_pb2.TimeRange(start=time_to_wire(span.start_s), duration=time_to_wire(span.duration_s))


def span_from_wire(message: time_pb2.TimeRange) -> cue.Span:
    return cue.Span(time_from_wire(message.start), time_from_wire(message.duration))


def stem_to_wire(stem: cue.Stem | None) -> str:
    """The wire's name of a lane, which protobuf takes for its number."""
    return f"STEM_{stem.name}" if stem else "STEM_UNSPECIFIED"


def sheet_to_wire(sheet: cue.CueSheet) -> cue_sheet_pb2.CueSheet:
    """The whole sheet; :func:`sheet_from_wire` gives an equal one back."""
    return cue_sheet_pb2.CueSheet(
        name=sheet.name,
        frame_duration=time_to_wire(1 / sheet.rate) if sheet.rate else None,
        record_range=span_to_wire(cue.Span(Fraction(0), sheet.duration_s)),
        cues=map(cue_to_wire, sheet.cues),
        silences=[
            cue_sheet_pb2.Silence(record_range=span_to_wire(silence.span), why=silence.why)
            for silence in sheet.silences
        ],
        speech=[
            cue_sheet_pb2.SpeechSpan(record_range=span_to_wire(speech.span), confidence=speech.confidence)
            for speech in sheet.speech
        ],
        suggestions=map(cue_to_wire, sheet.suggestions),
        warnings=sheet.warnings,
        start_timecode=time_to_wire(sheet.start_timecode_s),
        drop_frame=sheet.drop_frame,
    )


def sheet_from_wire(message: cue_sheet_pb2.CueSheet) -> cue.CueSheet:
    """The sheet of a checked message (see ``wire_checks.sheet``)."""
    start, frame = message.start_timecode, message.frame_duration
    return cue.CueSheet(
        name=message.name,
        rate=1 / time_from_wire(frame) if message.HasField("frame_duration") else Fraction(0),
        duration_s=time_from_wire(message.record_range.duration),
        cues=tuple(map(cue_from_wire, message.cues)),
        silences=tuple(cue.Silence(span_from_wire(one.record_range), one.why) for one in message.silences),
        speech=tuple(cue.SpeechSpan(span_from_wire(one.record_range), one.confidence) for one in message.speech),
        suggestions=tuple(map(cue_from_wire, message.suggestions)),
        warnings=tuple(message.warnings),
        start_timecode_s=time_from_wire(start) if message.HasField("start_timecode") else Fraction(0),
        drop_frame=message.drop_frame,
    )


def cue_to_wire(one: cue.Cue) -> cue_sheet_pb2.Cue:
    return cue_sheet_pb2.Cue(
        cue_id=one.id,
        stem=stem_to_wire(one.stem),
        record_range=span_to_wire(one.span),
        sound=one.sound,
        prompt=one.prompt,
        why=one.why,
        sighting_ids=one.sightings,
        sync_points=map(time_to_wire, one.sync_s),
        params={name: _param_to_wire(value) for name, value in one.params.items()},
        gain_db=one.gain_db,
        gain_curve=[cue_sheet_pb2.GainPoint(at_s=point.at_s, gain_db=point.gain_db) for point in one.gain_curve],
        pan=one.pan,
        fade_in_s=one.fade_in_s,
        fade_out_s=one.fade_out_s,
        performer=one.performer,
        seed=one.seed,
        confidence=one.confidence,
        locked=one.locked,
        muted=one.muted,
        example=example_to_wire(one.example) if one.example is not None else None,
    )


def example_to_wire(one: cue.Example) -> cue_sheet_pb2.Example:
    """An example by its path, or by its digest where it was uploaded."""
    digest = media_pb2.Digest(sha256=one.sha256, size_bytes=one.size_bytes)
    media = media_pb2.MediaRef(blob=digest) if one.uploaded else media_pb2.MediaRef(path=one.path)
    return cue_sheet_pb2.Example(media=media, name=one.name, licence=one.licence, sha256=one.sha256, events=one.events)


def example_from_wire(message: cue_sheet_pb2.Example) -> cue.Example:
    """An example as it was named; where an uploaded one lies is for ``orders.Shelf`` to find."""
    media, uploaded = message.media, message.media.WhichOneof("location") == "blob"
    return cue.Example(
        path=media.path,
        name=message.name or PurePath(media.path).name,
        licence=message.licence,
        sha256=media.blob.sha256 if uploaded else message.sha256,
        size_bytes=media.blob.size_bytes,
        uploaded=uploaded,
        events=tuple(message.events),
    )


def cue_from_wire(message: cue_sheet_pb2.Cue) -> cue.Cue:
    return cue.Cue(
        id=message.cue_id,
        stem=_STEM_BY_NUMBER[message.stem],
        span=span_from_wire(message.record_range),
        sound=message.sound,
        prompt=message.prompt,
        why=message.why,
        sightings=tuple(message.sighting_ids),
        sync_s=tuple(map(time_from_wire, message.sync_points)),
        params={
            name: value.word if value.WhichOneof("value") == "word" else value.number
            for name, value in message.params.items()
        },
        gain_db=message.gain_db,
        gain_curve=tuple(cue.GainPoint(point.at_s, point.gain_db) for point in message.gain_curve),
        pan=message.pan,
        fade_in_s=message.fade_in_s,
        fade_out_s=message.fade_out_s,
        performer=message.performer,
        seed=message.seed,
        confidence=message.confidence,
        locked=message.locked,
        muted=message.muted,
        example=example_from_wire(message.example) if message.HasField("example") else None,
    )


def _param_to_wire(value: cue.ParamValue) -> cue_sheet_pb2.CueParam:
    return cue_sheet_pb2.CueParam(word=value) if isinstance(value, str) else cue_sheet_pb2.CueParam(number=value)


def value_to_wire(kind: effects.Kind, value: effects.Value) -> effect_pb2.ParamValue:
    """A parameter's value, in the field that its kind says."""
    if kind is effects.Kind.DOUBLE:
        return effect_pb2.ParamValue(number=float(value))
    if kind is effects.Kind.INTEGER:
        return effect_pb2.ParamValue(integer=int(value))
    if kind is effects.Kind.BOOLEAN:
        return effect_pb2.ParamValue(flag=bool(value))
    return effect_pb2.ParamValue(text=str(value))


def values_from_wire(instance: effect_pb2.EffectInstance) -> dict[str, effects.Value]:
    """The values of a checked instance by name; what is not set is left out."""
    found: dict[str, effects.Value] = {}
    for name, value in instance.params.items():
        which = value.WhichOneof("value")
        if which is not None:
            found[name] = getattr(value, which)
    return found


def effect_to_wire(effect: effects.Effect) -> effect_pb2.Effect:
    return effect_pb2.Effect(
        effect_id=effect.id,
        label=effect.label,
        group=effect.group,
        description=effect.description,
        contexts=[f"CONTEXT_{use}" for use in effect.uses],
        version_major=1,
    )


def param_to_wire(param: effects.Param) -> effect_pb2.Param:
    low, high = param.display or (None, None)
    return effect_pb2.Param(
        name=param.name,
        type=f"PARAM_TYPE_{param.kind}",
        label=param.label,
        hint=param.hint,
        default_value=value_to_wire(param.kind, param.default),
        min=param.low,
        max=param.high,
        display_min=low,
        display_max=high,
        increment=param.step,
        digits=2 if param.kind is effects.Kind.DOUBLE else None,
        choices=[effect_pb2.ChoiceOption(choice_id=choice, label=label) for choice, label in param.choices],
        enabled=param.enabled,
        string_mode=_string_mode(param),
        evaluate_on_change=param.asks,
    )


def _string_mode(param: effects.Param) -> effect_pb2.StringMode:
    if param.is_file:
        return effect_pb2.STRING_MODE_FILE_PATH
    return effect_pb2.STRING_MODE_MULTI_LINE if param.lines else effect_pb2.STRING_MODE_SINGLE_LINE
