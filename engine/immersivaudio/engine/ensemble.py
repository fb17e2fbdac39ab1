# SPDX-License-Identifier: AGPL-3.0-or-later
"""Several watchers, one opinion: where they agree a sighting is believed more, where they contradict each other it is
believed less and carries a ``note`` that ends up in the cue's reason. Without models nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from immersivaudio.engine.agreement import one_each
from immersivaudio.engine.cue import Edit, Sighting, Span
from immersivaudio.engine.evidence import driving, places
from immersivaudio.engine.looks import View, number
from immersivaudio.engine.things import TOUCHED, VEHICLES, WALKERS
from immersivaudio.engine.tracks import crosses, goes, holds

_SURE_THING, _SURE_BODY, _SURE_BALL = 0.4, 0.6, 0.5
_SURE_MOVER = 0.45
_ONE_BLOW_S, _HEARD_NEAR_S = Fraction(1, 4), Fraction(3, 20)
_LOOKS_EVERY_S = Fraction(1, 2)
_KNOWN_SHARE, _KNOWN_FROM = 0.4, 0.35
_GESTURE_SHARE, _CROWDED_SHARE, _NOT_BALL_SHARE, _ON_FOOT_SHARE = 0.35, 0.35, 0.4, 0.25
_AGREES, _FOLLOWS = 1.6, 1.2
_MANY, _REACH, _ABOVE_FEET = 6.0, 0.08, 0.85
_TALK, _NO_TALK, _NO_TALK_SHARE, _OTHERWISE = 0.5, 0.12, 0.5, 0.3
_TALKING = ("Speech", "Conversation", "Narration, monologue", "Child speech, kid speaking")
_MUSICAL, _MOSTLY = 0.35, 0.5


def weigh(edit: Edit, sightings: Iterable[Sighting]) -> list[Sighting]:
    """``sightings`` of ``edit`` (record clock), weighed against each other."""
    rows = list(sightings)
    view = View.of(edit, rows)
    if not any(view.all(label) for label in ("object", "heard", "scene")):
        return rows
    rows = one_each([_to_the_cut(row, view) if row.label == "scene" else row for row in rows])
    view = View.of(edit, rows)
    known = places(view)
    told = View.of(edit, known)
    rows = [_weighed(row, view, told) for row in rows if not _told_by_ball(row, view)]
    return [*rows, *known, *driving(view), *_music(view)]


def _weighed(row: Sighting, view: View, told: View) -> Sighting:
    if row.label == "place" and row.values.get("kind") == "unknown":
        return _less_unknown(row, told)
    if row.label == "impact" and row.values.get("kind") != "ball":
        return _noted(row, _of_impact(row, view))
    if row.label == "passby":
        return _noted(row, _of_passby(row, view.near("object", row.span)))
    if row.label in ("speech", "level"):
        return _with_classes(row, [other for other, _ in view.within("heard", row.span)])
    return row


def _to_the_cut(row: Sighting, view: View) -> Sighting:
    """What is looked at now and then begins and ends at the cut that lies just before the look."""
    start_s, end_s = (_cut_before(moment, view) for moment in (row.span.start_s, row.span.end_s))
    return replace(row, span=Span.between(start_s, end_s)) if end_s > start_s else row


def _cut_before(moment_s: Fraction, view: View) -> Fraction:
    cuts = (shot.span.start_s for shot in view.near("shot", Span(moment_s - _LOOKS_EVERY_S, _LOOKS_EVERY_S)))
    return max((cut for cut in cuts if moment_s - _LOOKS_EVERY_S < cut <= moment_s), default=moment_s)


def _less_unknown(row: Sighting, told: View) -> Sighting:
    """What could not be told by colours counts less where things tell it."""
    sure = any(other.confidence >= _KNOWN_FROM for other, _ in told.within("place", row.span))
    return replace(row, confidence=row.confidence * _KNOWN_SHARE) if sure else row


@dataclass(frozen=True, slots=True)
class _Opinion:
    """How much of a sighting's confidence is left (above 1: how much less doubt there is), and why."""

    share: float
    note: str


def _noted(row: Sighting, opinion: _Opinion | None) -> Sighting:
    if opinion is None:
        return row
    sure = row.confidence * opinion.share if opinion.share <= 1 else 1 - (1 - row.confidence) / opinion.share
    return replace(row, confidence=min(0.97, sure), values={**row.values, "note": opinion.note})


def _around(span: Span, reach_s: Fraction) -> Span:
    return Span.between(span.start_s - reach_s, span.end_s + reach_s)


def _told_by_ball(row: Sighting, view: View) -> bool:
    """A contact that the ball's own turn tells better."""
    if row.label != "impact" or row.values.get("kind") == "ball":
        return False
    return any(other.values.get("kind") == "ball" for other in view.near("impact", _around(row.span, _ONE_BLOW_S)))


def _of_impact(row: Sighting, view: View) -> _Opinion | None:
    here = view.near("object", row.span)
    if row.box is None or not here:
        return None
    people = [thing for thing in here if thing.values.get("kind") == "person"]
    if any(number(thing.values, "count") > _MANY for thing in people):
        return _Opinion(_CROWDED_SHARE, ", but among many people no single contact can be told")
    if any(thing.values.get("kind") in ("sports ball", "frisbee") and thing.confidence >= _SURE_BALL for thing in here):
        return _Opinion(_NOT_BALL_SHARE, ", but the ball that is followed turns nowhere near")
    if view.near("onset", _around(row.span, _HEARD_NEAR_S)):
        return None
    return _of_touch(row, (row.box[0] + row.box[2] / 2, row.box[1] + row.box[3] / 2), here, view)


def _of_touch(row: Sighting, point: tuple[float, float], here: Sequence[Sighting], view: View) -> _Opinion | None:
    """What a contact lies on: what is on its way hits nothing, and a body with nothing in reach gestures."""
    at_s = row.span.start_s
    on = [
        thing for thing in here if thing.confidence >= _least(thing) and holds(thing, point, at_s, lower=_lower(thing))
    ]
    passes = view.near("passby", row.span)
    for thing in on:
        if goes(thing) and (_on_its_way(thing) or any(_same_way(other, thing) for other in passes)):
            name = thing.values["kind"]
            return _Opinion(_GESTURE_SHARE, f", but it lies on something on its way (a {name} by name)")
    touches = any(thing.values.get("kind") in TOUCHED and holds(thing, point, at_s, _REACH) for thing in here)
    if not touches and any(thing.values.get("kind") == "person" for thing in on):
        return _Opinion(_GESTURE_SHARE, ", but it lies on a person with nothing to touch within reach: a gesture")
    return None


def _least(thing: Sighting) -> float:
    return _SURE_MOVER if _on_its_way(thing) else _SURE_BODY


def _lower(thing: Sighting) -> float:
    """The feet of somebody who stays where he is may well strike something."""
    return 1.0 if _on_its_way(thing) else _ABOVE_FEET


def _on_its_way(thing: Sighting) -> bool:
    kind = thing.values.get("kind")
    return goes(thing) and (kind in VEHICLES or (kind in WALKERS and (kind != "person" or crosses(thing))))


def _of_passby(row: Sighting, things: Sequence[Sighting]) -> _Opinion | None:
    """Who it is that passes: what is followed over the same time and the same way."""
    alike = [thing for thing in things if _same_way(row, thing)]
    if not alike:
        return None
    lead = max(alike, key=lambda thing: thing.confidence * number(thing.values, "size"))
    kind = str(lead.values.get("kind"))
    named = f"a {kind} ({lead.confidence:.2f})"
    if kind in VEHICLES:
        return _Opinion(_AGREES, f"; the detector agrees and calls it {named}")
    if kind in WALKERS or kind in ("cat", "bird"):
        return _Opinion(_ON_FOOT_SHARE, f"; but the detector calls it {named}, which is no vehicle")
    names = ", ".join(dict.fromkeys(str(thing.values.get("kind")) for thing in alike))
    contradicted = f"; the detector follows it as well but calls it {names}, which does not go with that"
    return _Opinion(_FOLLOWS, f"{contradicted}; the movement is believed")


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


def _with_classes(row: Sighting, classes: Sequence[Sighting]) -> Sighting:
    """Speech that the classifier hears as well is believed, speech that it hears as something else is doubted."""
    if row.label == "level":
        musical = row.values.get("verdict") == "good" and _music_share(classes, row.span) >= _MOSTLY
        return replace(row, values={**row.values, "verdict": "music"}) if musical else row
    spoken = max((other.confidence for other in classes if other.values.get("kind") in _TALKING), default=0.0)
    if spoken >= _TALK:
        return replace(row, confidence=max(row.confidence, min(0.97, 1 - (1 - row.confidence) / 2)))
    if spoken < _NO_TALK and max((other.confidence for other in classes), default=0.0) >= _OTHERWISE:
        return replace(row, confidence=row.confidence * _NO_TALK_SHARE)
    return row


def _music_share(classes: Sequence[Sighting], span: Span) -> float:
    """The share of ``span`` in which music is heard."""
    rows = [row.span.overlap(span) for row in classes if _is_music(row)]
    return float(sum(common.duration_s for common in rows if common is not None) / (span.duration_s or 1))


def _is_music(row: Sighting) -> bool:
    return row.values.get("kind") == "Music" and row.confidence >= _MUSICAL


def _music(view: View) -> Iterator[Sighting]:
    """Music that only the classifier hears."""
    for row in view.all("heard"):
        if _is_music(row) and not view.within("music", row.span):
            yield Sighting(row.watcher, "music", row.span, row.confidence, None, {}, row.id)
