# SPDX-License-Identifier: AGPL-3.0-or-later
"""Several watchers, one opinion: where they agree a sighting is believed more, where they contradict each other it is
believed less and carries a ``note`` that ends up in the cue's reason. Without models nothing is changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from immersivaudio.engine.cue import ParamValue, Sighting, Span
from immersivaudio.engine.things import HEARD_PLACES, THING_PLACES, TOUCHED, VEHICLES

_SURE_THING, _SURE_CLASS = 0.4, 0.25
_CROWD_FROM, _CROWD_FULL, _UMBRELLAS_FULL = 3.0, 12.0, 6.0
_BALL_NEAR_S, _ONE_BLOW_S = Fraction(1, 4), Fraction(1, 4)
_GESTURE_SHARE, _CROWDED_SHARE, _NOT_BALL_SHARE, _ON_FOOT_SHARE = 0.35, 0.35, 0.4, 0.25
_REACH, _SURE_BODY = 0.08, 0.6
_TALK, _NO_TALK, _NO_TALK_SHARE, _OTHERWISE = 0.5, 0.12, 0.5, 0.3
_MUSICAL = 0.35


def number(values: Mapping[str, ParamValue], key: str, default: float = 0.0) -> float:
    value = values.get(key, default)
    return float(value) if isinstance(value, int | float) else default


def weigh(sightings: Iterable[Sighting]) -> list[Sighting]:
    """``sightings`` of one edit (record clock), weighed against each other."""
    rows = list(sightings)
    things = [row for row in rows if row.label == "object"]
    classes = [row for row in rows if row.label == "heard"]
    if things:
        rows = [_with_things(row, things, rows) for row in rows if not _told_by_ball(row, rows)]
        rows += [*_places(things, THING_PLACES, _SURE_THING), *_gatherings(things), *_driving(things, rows)]
    if classes:
        rows = [_with_classes(row, classes) for row in rows]
        rows += [*_places(classes, HEARD_PLACES, _SURE_CLASS), *_music(classes, rows)]
    return rows


# What places the things and classes speak for.


def _places(rows: Sequence[Sighting], table: Mapping[str, Mapping[str, float]], least: float) -> Iterator[Sighting]:
    """A place sighting for each stretch and kind that what is seen or heard speaks for."""
    for span in _stretches(rows):
        best: dict[str, Sighting] = {}
        for row in rows:
            kind = str(row.values.get("kind", ""))
            common = row.span.overlap(span)
            if kind not in table or row.confidence < least or common is None or common.duration_s < span.duration_s / 4:
                continue
            if kind not in best or row.confidence > best[kind].confidence:
                best[kind] = row
        yield from _spoken_for(best, table, span)


def _stretches(rows: Sequence[Sighting]) -> list[Span]:
    """Spans of at most ten seconds that hold all rows: a thing may speak for a place only where it is."""
    if not rows:
        return []
    start, end = min(row.span.start_s for row in rows), max(row.span.end_s for row in rows)
    edges = sorted({start, end, *(row.span.start_s for row in rows), *(row.span.end_s for row in rows)})
    spans: list[Span] = []
    for edge in edges[1:]:
        begin = spans[-1].end_s if spans else start
        if edge - begin >= Fraction(1, 2) or edge == end:
            spans.append(Span.between(begin, edge))
    return [span for span in spans if span.duration_s > 0]


def _spoken_for(
    best: Mapping[str, Sighting], table: Mapping[str, Mapping[str, float]], span: Span
) -> Iterator[Sighting]:
    against: dict[str, float] = defaultdict(lambda: 1.0)
    speaks: dict[str, list[Sighting]] = defaultdict(list)
    for kind, row in best.items():
        for place, weight in table[kind].items():
            against[place] *= 1.0 - weight * row.confidence
            speaks[place].append(row)
    for place, doubt in against.items():
        strongest = max(speaks[place], key=lambda row: row.confidence)
        values: dict[str, ParamValue] = {"kind": place, "share": 0.1}
        yield Sighting(strongest.watcher, "place", span, min(0.9, 1.0 - doubt), None, values, strongest.id)


def _gatherings(things: Sequence[Sighting]) -> Iterator[Sighting]:
    """Many people are a crowd; many umbrellas mean rain."""
    for thing, place, low, high, most in (
        ("person", "crowd", _CROWD_FROM, _CROWD_FULL, 0.9),
        ("umbrella", "rain", 1.0, _UMBRELLAS_FULL, 0.65),
    ):
        rows = [row for row in things if row.values.get("kind") == thing]
        many = [row for row in rows if number(row.values, "count") > low]
        for span in _stretches(many):
            here = [row for row in many if row.span.overlap(span) == span]
            if here:
                count = max(number(row.values, "count") for row in here)
                sure = most * min(1.0, (count - low) / (high - low)) ** 0.7
                yield Sighting("objects", "place", span, sure, None, {"kind": place, "share": 0.1}, here[0].id)


def _driving(things: Sequence[Sighting], rows: Sequence[Sighting]) -> Iterator[Sighting]:
    """Cars that keep their place in the picture but drift, while something else streams by: the camera drives."""
    if not any(row.label == "place" and row.values.get("kind") == "road" and row.confidence >= 0.4 for row in rows):
        return
    along = [row for row in things if row.values.get("kind") in ("car", "truck", "bus") and _drifts(row)]
    for row in rows:
        if row.label != "movement" or number(row.values, "level") < 0.25 or row.span.duration_s < 3:
            continue
        with_it = [thing for thing in along if thing.span.overlap(row.span)]
        covered = any(_inside(thing, number(row.values, "x"), number(row.values, "y")) for thing in with_it)
        if len(with_it) >= 2 and not covered:
            yield Sighting(
                "objects", "camera", row.span, min(0.8, 0.25 * len(with_it)), None, {"kind": "travel"}, row.id
            )


def _drifts(row: Sighting) -> bool:
    way = max(abs(number(row.values, f"to_{axis}") - number(row.values, f"from_{axis}")) for axis in "xy")
    seconds = float(row.span.duration_s)
    return seconds >= 3 and 0.02 <= way <= 0.4 and way / seconds < 0.07 and number(row.values, "size") < 0.08


# What things say of contacts and passes.


@dataclass(frozen=True, slots=True)
class _Opinion:
    """How much of a sighting's confidence is left, and why."""

    share: float
    note: str


def _with_things(row: Sighting, things: Sequence[Sighting], rows: Sequence[Sighting]) -> Sighting:
    if row.label == "impact" and row.values.get("kind") != "ball":
        return _noted(row, _of_impact(row, things, rows))
    if row.label == "passby":
        return _noted(row, _of_passby(row, things))
    return row


def _noted(row: Sighting, opinion: _Opinion | None) -> Sighting:
    if opinion is None:
        return row
    sure = row.confidence * opinion.share if opinion.share <= 1 else 1 - (1 - row.confidence) / opinion.share
    return replace(row, confidence=min(0.97, sure), values={**row.values, "note": opinion.note})


def _told_by_ball(row: Sighting, rows: Sequence[Sighting]) -> bool:
    """A contact that the ball's own turn tells better."""
    if row.label != "impact" or row.values.get("kind") == "ball":
        return False
    return any(
        other.label == "impact" and other.values.get("kind") == "ball"
        and abs(other.span.start_s - row.span.start_s) < _ONE_BLOW_S
        for other in rows
    )  # fmt: skip


def _of_impact(row: Sighting, things: Sequence[Sighting], rows: Sequence[Sighting]) -> _Opinion | None:
    at = row.span.start_s
    passes = [other for other in rows if other.label == "passby" and other.span.contains(at)]
    here = [thing for thing in things if thing.span.start_s <= at <= thing.span.end_s]
    if row.box is None or not here:
        return None
    people = [thing for thing in here if thing.values.get("kind") == "person"]
    if people and max(number(thing.values, "count") for thing in people) > 6:
        return _Opinion(_CROWDED_SHARE, ", but among many people no single contact can be told")
    if any(thing.values.get("kind") in ("sports ball", "frisbee") and thing.confidence >= 0.5 for thing in here):
        return _Opinion(_NOT_BALL_SHARE, ", but the ball that is followed turns nowhere near")
    x, y = row.box[0] + row.box[2] / 2, row.box[1] + row.box[3] / 2
    on = [thing for thing in here if thing.confidence >= _SURE_BODY and _inside(thing, x, y, at_s=at, lower=0.85)]
    body = any(thing.values.get("kind") == "person" for thing in on)
    touches = any(thing.values.get("kind") in TOUCHED and _inside(thing, x, y, _REACH, at) for thing in here)
    goes = next((thing for thing in on if _goes(thing) and any(_same_way(other, thing) for other in passes)), None)
    heard = any(other.label == "onset" and abs(other.span.start_s - at) < Fraction(3, 20) for other in rows)
    if goes is not None and not heard:
        return _Opinion(_GESTURE_SHARE, f", but it lies on something that passes (a {goes.values['kind']} by name)")
    if body and not touches and not heard:
        return _Opinion(_GESTURE_SHARE, ", but it lies on a person with nothing to touch within reach: a gesture")
    return None


def _goes(thing: Sighting) -> bool:
    return number(thing.values, "moving") >= 0.5


def _inside(
    thing: Sighting, x: float, y: float, reach: float = 0.0, at_s: Fraction | None = None, lower: float = 1.0
) -> bool:
    """Whether a point lies in the thing's box of that moment, made ``reach`` larger, and not below its share
    ``lower``."""
    if thing.box is None:
        return False
    left, top, width, height = thing.box if at_s is None else box_at(thing, at_s)
    return left - reach <= x <= left + width + reach and top - reach <= y <= top + height * lower + reach


def box_at(thing: Sighting, at_s: Fraction) -> tuple[float, float, float, float]:
    """Where a followed thing is at a moment of the record clock, told from its path; its shape is that of its box."""
    left, top, width, height = thing.box or (0.0, 0.0, 0.0, 0.0)
    points = [_point(text) for text in str(thing.values.get("path", "")).split()]
    if not points or width * height <= 0 or thing.span.duration_s == 0:
        return left, top, width, height
    share = float((at_s - thing.span.start_s) / thing.span.duration_s)
    after = next((index for index, point in enumerate(points) if point[0] >= share), len(points) - 1)
    before = points[max(0, after - 1)]
    part = min(1.0, max(0.0, (share - before[0]) / max(1e-6, points[after][0] - before[0])))
    x, y, area = (a + part * (b - a) for a, b in zip(before[1:], points[after][1:], strict=True))
    scale = (max(0.0, area) / (width * height)) ** 0.5
    return x - width * scale / 2, y - height * scale / 2, width * scale, height * scale


def _point(text: str) -> tuple[float, float, float, float]:
    share, _, place = text.partition(":")
    x, y, area = (float(part) for part in place.split(","))
    return float(share), x, y, area


def _of_passby(row: Sighting, things: Sequence[Sighting]) -> _Opinion | None:
    """Who it is that passes: what is followed over the same time and the same way."""
    alike = [thing for thing in things if _same_way(row, thing)]
    if not alike:
        return None
    lead = max(alike, key=lambda thing: thing.confidence * number(thing.values, "size"))
    kind = str(lead.values.get("kind"))
    if kind in VEHICLES:
        return _Opinion(1.6, f"; the detector agrees and calls it a {kind} ({lead.confidence:.2f})")
    if kind in ("person", "dog", "cat", "horse", "bird"):
        return _Opinion(
            _ON_FOOT_SHARE, f"; but the detector calls it a {kind} ({lead.confidence:.2f}), which is no vehicle"
        )
    names = ", ".join(dict.fromkeys(str(thing.values.get("kind")) for thing in alike))
    said = f"; the detector follows it too but calls it {names}, which contradicts that it moves along the ground"
    return _Opinion(1.2, said)


def _same_way(row: Sighting, thing: Sighting) -> bool:
    common = row.span.overlap(thing.span)
    if common is None or common.duration_s < min(row.span.duration_s, thing.span.duration_s) / 2:
        return False
    if number(thing.values, "moving") < 0.4 or thing.confidence < _SURE_THING:
        return False
    ways = [
        [number(one.values, f"to_{axis}") - number(one.values, f"from_{axis}") for axis in "xy"] for one in (row, thing)
    ]
    together = sum(a * b for a, b in zip(*ways, strict=True))
    return together > 0 or number(row.values, "count", 1.0) > 1


# What classes in the recording say.


def _with_classes(row: Sighting, classes: Sequence[Sighting]) -> Sighting:
    if row.label == "speech":
        spoken = _loudest(
            classes, row.span, ("Speech", "Conversation", "Narration, monologue", "Child speech, kid speaking")
        )
        other = _loudest(classes, row.span, None)
        if spoken >= _TALK:
            return replace(row, confidence=max(row.confidence, min(0.97, 1 - (1 - row.confidence) / 2)))
        if spoken < _NO_TALK and other >= _OTHERWISE:
            return replace(row, confidence=row.confidence * _NO_TALK_SHARE)
    good = row.label == "level" and row.values.get("verdict") == "good"
    if good and _share(classes, row.span, "Music", _MUSICAL) >= 0.5:
        return replace(row, values={**row.values, "verdict": "music"})
    return row


def _loudest(classes: Sequence[Sighting], span: Span, kinds: tuple[str, ...] | None) -> float:
    found = [
        row.confidence
        for row in classes
        if row.span.overlap(span) and (kinds is None or row.values.get("kind") in kinds)
    ]
    return max(found, default=0.0)


def _share(classes: Sequence[Sighting], span: Span, kind: str, least: float) -> float:
    """The share of ``span`` in which ``kind`` is heard."""
    rows = [row.span.overlap(span) for row in classes if row.values.get("kind") == kind and row.confidence >= least]
    return float(sum(common.duration_s for common in rows if common is not None) / (span.duration_s or 1))


def _music(classes: Sequence[Sighting], rows: Sequence[Sighting]) -> Iterator[Sighting]:
    """Music that only the classifier hears."""
    known = [row.span for row in rows if row.label == "music"]
    for row in classes:
        heard = row.values.get("kind") == "Music" and row.confidence >= _MUSICAL
        if heard and not any(row.span.overlap(span) for span in known):
            yield Sighting(row.watcher, "music", row.span, row.confidence, None, {}, row.id)
