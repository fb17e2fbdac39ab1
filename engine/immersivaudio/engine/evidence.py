# SPDX-License-Identifier: AGPL-3.0-or-later
"""What things on screen and classes in the recording tell of the place, as sightings like those of the place watcher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from immersivaudio.engine.cue import ParamValue, Sighting, Span
from immersivaudio.engine.looks import View, number
from immersivaudio.engine.scenery import BY_ID as SIGNS
from immersivaudio.engine.scenery import Sign
from immersivaudio.engine.things import HEARD_PLACES, THING_PLACES

_SURE_THING, _SURE_CLASS, _SURE_SIGN, _SURE_TOUCH = 0.4, 0.25, 0.25, 0.35
_SIGN_PLACES = {sign.id: sign.places for sign in SIGNS.values()}
# Nano-sized detectors are wrong more often than not where they are half sure.
_DETECTED = (0.35, 0.75)
_STRETCH_S, _SOME_OF_IT, _MOST_OF_IT = Fraction(1), 0.25, 0.5
_GATHERINGS = (
    ("person", "crowd", 3.0, 12.0, 0.9),
    ("umbrella", "rain", 1.0, 6.0, 0.65),
    ("umbrella", "outdoors", 1.0, 6.0, 0.7),
)
_DRIFT_S, _SURE_ROAD, _STREAMS_BY = 3, 0.4, 0.25


def places(view: View) -> list[Sighting]:
    """Place sightings out of the ``object``, ``heard`` and ``scene`` ones of ``view``."""
    things = _spoken(view, "object", THING_PLACES, _SURE_THING)
    classes = _spoken(view, "heard", HEARD_PLACES, _SURE_CLASS)
    signs = _spoken(view, "scene", _SIGN_PLACES, _SURE_SIGN)
    return [*things, *classes, *signs, *_gatherings(view)]


def touched(view: View, span: Span, family: str) -> Sighting | None:
    """The surest ``scene`` sighting in ``span`` that tells what is struck or walked on there: ``family`` is ``footstep``,
    or ``impact`` for every other blow."""
    steps = family == "footstep"
    return _surest(view, span, lambda sign: bool(sign.touched) and sign.touched.startswith("footstep") == steps)


def variety(view: View, span: Span, sound: str) -> Sighting | None:
    """The surest ``scene`` sighting in ``span`` whose sign has a way of its own of the bed ``sound``."""
    return _surest(view, span, lambda sign: sound in sign.beds)


def _surest(view: View, span: Span, tells: Callable[[Sign], bool]) -> Sighting | None:
    rows = [
        row
        for row, share in view.within("scene", span)
        if row.confidence >= _SURE_TOUCH
        and share >= _SOME_OF_IT
        and (sign := SIGNS.get(str(row.values.get("kind", ""))))
        and tells(sign)
    ]
    return max(rows, key=lambda row: row.confidence, default=None)


def _spoken(view: View, label: str, table: Mapping[str, Mapping[str, float]], least: float) -> Iterator[Sighting]:
    """A place sighting for each stretch and kind of place that something speaks for."""
    for span in _stretches(view.all(label)):
        best: dict[tuple[str, str], Sighting] = {}
        for row, share in view.within(label, span):
            kind = str(row.values.get("kind", ""))
            if kind not in table or row.confidence < least or share < _SOME_OF_IT:
                continue
            who = (row.watcher, kind)
            if who not in best or row.confidence > best[who].confidence:
                best[who] = row
        yield from _together(best, table, span)


def _stretches(rows: Sequence[Sighting]) -> list[Span]:
    """Spans between the moments at which something comes or goes, hardly shorter than a second: a thing speaks for a
    place only where it is."""
    edges = sorted({moment for row in rows for moment in (row.span.start_s, row.span.end_s)})
    spans: list[Span] = []
    begin = edges[0] if edges else Fraction(0)
    for edge in edges[1:]:
        if edge - begin >= _STRETCH_S or edge == edges[-1]:
            spans.append(Span.between(begin, edge))
            begin = edge
    return spans


def _together(
    best: Mapping[tuple[str, str], Sighting], table: Mapping[str, Mapping[str, float]], span: Span
) -> Iterator[Sighting]:
    """What independent witnesses say together: 1 minus the product of their doubts."""
    against: dict[str, float] = defaultdict(lambda: 1.0)
    speaks: dict[str, list[Sighting]] = defaultdict(list)
    for (_, kind), row in best.items():
        low, high = _DETECTED if row.label == "object" else (0.0, 1.0)
        sure = max(0.0, min(1.0, (row.confidence - low) / (high - low)))
        for place, weight in table[kind].items():
            against[place] *= 1.0 - weight * sure
            speaks[place].append(row)
    for place, doubt in against.items():
        strongest = max(speaks[place], key=lambda row: row.confidence)
        yield _place(place, span, min(0.9, 1.0 - doubt), strongest)


def _place(kind: str, span: Span, confidence: float, told_by: Sighting) -> Sighting:
    values: dict[str, ParamValue] = {"kind": kind, "share": 0.1}
    return Sighting(told_by.watcher, "place", span, confidence, None, values, told_by.id)


def _gatherings(view: View) -> Iterator[Sighting]:
    """Many people are a crowd; many umbrellas mean rain, and that it falls on them."""
    for thing, place, low, high, most in _GATHERINGS:
        rows = [row for row in view.all("object") if row.values.get("kind") == thing]
        many = View.of(view.edit, (row for row in rows if number(row.values, "count") > low))
        for span in _stretches(many.all("object")):
            here = [row for row, share in many.within("object", span) if share > _MOST_OF_IT]
            if here:
                count = max(number(row.values, "count") for row in here)
                yield _place(place, span, most * min(1.0, (count - low) / (high - low)) ** 0.7, here[0])


def driving(view: View) -> Iterator[Sighting]:
    """Cars that keep their place in the picture but drift, while something else streams by: the camera drives."""
    for row in view.all("movement"):
        roads = [place for place, _ in view.within("place", row.span) if place.values.get("kind") == "road"]
        sure = any(place.confidence >= _SURE_ROAD for place in roads)
        if not sure or number(row.values, "level") < _STREAMS_BY or row.span.duration_s < _DRIFT_S:
            continue
        along = [thing for thing, _ in view.within("object", row.span) if _drifts(thing)]
        streams = not any(_covers(thing, number(row.values, "x"), number(row.values, "y")) for thing in along)
        if len(along) >= 2 and streams:
            yield Sighting(
                "objects", "camera", row.span, min(0.8, 0.25 * len(along)), None, {"kind": "travel"}, along[0].id
            )


def _drifts(row: Sighting) -> bool:
    way = max(abs(number(row.values, f"to_{axis}") - number(row.values, f"from_{axis}")) for axis in "xy")
    seconds, car = float(row.span.duration_s), row.values.get("kind") in ("car", "truck", "bus")
    return (
        car
        and seconds >= _DRIFT_S
        and 0.02 <= way <= 0.4
        and way / seconds < 0.07
        and number(row.values, "size") < 0.08
    )


def _covers(thing: Sighting, x: float, y: float) -> bool:
    left, top, width, height = thing.box or (0.0, 0.0, 0.0, 0.0)
    return left <= x <= left + width and top <= y <= top + height
