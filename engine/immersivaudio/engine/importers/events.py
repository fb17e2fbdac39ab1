# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a clip sits in a composition, and what happens to it when that composition is trimmed, retimed or frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import opentimelineio as otio

from immersivaudio.engine.cue import Span

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Event:
    """A clip as it sits in a composition.

    ``record`` is on the composition's clock and reaches under dissolves; ``core`` is the part of it that is left when
    each dissolve is cut at its middle. ``source`` is on the clip's own clock, forwards, as long as ``record`` plays.
    """

    clip: otio.schema.Clip
    kind: str
    track: int
    record: Span
    core: Span
    source: Span
    speed: Fraction
    enabled: bool
    fade_in_s: Fraction = _ZERO
    fade_out_s: Fraction = _ZERO


@dataclass(frozen=True, slots=True)
class Place:
    """How an item sits in its parent: ``at_s`` and ``duration_s`` on the parent's clock, the extra it plays under the
    dissolve before and after it, and how far its core moves there (negative: inwards)."""

    at_s: Fraction
    duration_s: Fraction
    lead_s: Fraction = _ZERO
    tail_s: Fraction = _ZERO
    core_lead_s: Fraction = _ZERO
    core_tail_s: Fraction = _ZERO
    fade_in_s: Fraction = _ZERO
    fade_out_s: Fraction = _ZERO

    @property
    def record(self) -> Span:
        start = self.at_s - self.lead_s
        return Span.between(start, self.at_s + self.duration_s + self.tail_s)

    @property
    def core(self) -> Span:
        start = self.at_s - self.core_lead_s
        return Span.between(start, self.at_s + self.duration_s + self.core_tail_s)


def window_of(start: Fraction, place: Place, speed: Fraction) -> Span:
    """The part of an item's own clock that is played, dissolves included; backwards play swaps the two handles."""
    if speed == 0:
        return Span(start, _ZERO)
    head = place.tail_s if speed < 0 else place.lead_s
    return Span(start - head * abs(speed), place.record.duration_s * abs(speed))


def frozen(event: Event, moment_s: Fraction, place: Place) -> Event | None:
    """``event`` of a nest that is frozen at ``moment_s``: its frame there, for as long as the nest stands."""
    if not event.core.contains(moment_s):
        return None
    speed, offset = event.speed, (moment_s - event.record.start_s) * abs(event.speed)
    at = event.source.end_s - offset if speed < 0 else event.source.start_s + offset
    on = event.enabled and event.kind != "audio"
    return replace(event, record=place.record, core=place.core, source=Span(at, _ZERO), speed=_ZERO, enabled=on)


def played(event: Event, window: Span, place: Place, speed: Fraction) -> Event | None:
    """``event`` of a nest of which ``window`` is played at ``speed``, on the clock of the nest's parent."""
    record = event.record.overlap(window)
    if record is None:
        return None
    cut = _trim(event, record)
    mapped = _mapper(window, place.record.start_s, speed)
    core = mapped(cut.core).overlap(place.core) if cut.core.duration_s else None
    fades = (cut.fade_in_s / abs(speed), cut.fade_out_s / abs(speed))
    fade_in, fade_out = reversed(fades) if speed < 0 else fades
    span = mapped(cut.record)
    return replace(
        cut,
        record=span,
        core=core or Span(span.start_s, _ZERO),
        speed=cut.speed * speed,
        fade_in_s=max(fade_in, place.fade_in_s if span.start_s == place.record.start_s else _ZERO),
        fade_out_s=max(fade_out, place.fade_out_s if span.end_s == place.record.end_s else _ZERO),
    )


def _mapper(window: Span, at_s: Fraction, speed: Fraction) -> Callable[[Span], Span]:
    def mapped(span: Span) -> Span:
        offset = window.end_s - span.end_s if speed < 0 else span.start_s - window.start_s
        return Span(at_s + offset / abs(speed), span.duration_s / abs(speed))

    return mapped


def _trim(event: Event, record: Span) -> Event:
    head, tail = record.start_s - event.record.start_s, event.record.end_s - record.end_s
    if not head and not tail:
        return event
    pace = abs(event.speed)
    skipped = (tail if event.speed < 0 else head) * pace
    source = Span(event.source.start_s + skipped, record.duration_s * pace)
    core = event.core.overlap(record) or Span(record.start_s, _ZERO)
    fade_in, fade_out = max(_ZERO, event.fade_in_s - head), max(_ZERO, event.fade_out_s - tail)
    return replace(event, record=record, core=core, source=source, fade_in_s=fade_in, fade_out_s=fade_out)
