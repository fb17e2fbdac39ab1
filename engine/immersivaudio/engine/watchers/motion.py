# SPDX-License-Identifier: AGPL-3.0-or-later
"""What moves: contacts to a fraction of a frame, things that pass by, the camera, and stretches of stillness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.watchers import Frame, FrameWish
from immersivaudio.engine.watchers._courses import Courses, Pass
from immersivaudio.engine.watchers._flow import WIDTH, Flow
from immersivaudio.engine.watchers._impacts import Contact, Contacts
from immersivaudio.engine.watchers._movers import Movers
from immersivaudio.engine.watchers._plain import Plain
from immersivaudio.engine.watchers._stretches import Stretch, Stretches
from immersivaudio.engine.watchers._verdict import Impact, is_possible, judge

_SIDE = 0.1


@dataclass(slots=True)
class _Session:
    clip: Clip
    flow: Flow = field(default_factory=Flow)
    contacts: Contacts = field(default_factory=Contacts)
    movers: Movers = field(default_factory=Movers)
    courses: Courses = field(default_factory=Courses)
    stretches: Stretches = field(default_factory=Stretches)
    possible: list[Contact] = field(default_factory=list)

    def see(self, frame: Frame) -> None:
        step = self.flow.step(frame)
        if step is not None:
            self.contacts.see(step)
            self.movers.see(frame.at(WIDTH), step)
            self.courses.see(step)
            self.stretches.see(step)
            self._keep()

    def _keep(self) -> None:
        """Of the contacts found up to now keep those that something could still speak for: one of six."""
        found, self.contacts.found = self.contacts.found, []
        self.possible += filter(is_possible, found)

    def finish(self) -> Sequence[Sighting]:
        self.contacts.flush()
        self._keep()
        self.movers.flush()
        camera, movement, stillness = self.stretches.finish()
        found = [_impact(one) for one in judge(self.possible, self.movers.found)]
        found += [_passby(one) for one in self.courses.finish()]
        found += [_stretch("camera", one, {"kind": one.kind}) for one in camera]
        found += [_stretch("movement", one, {}) for one in movement]
        found += [_stretch("still", one, {}) for one in stillness]
        return sorted(found, key=lambda sighting: sighting.span.start_s)


def _stretch(label: str, one: Stretch, words: Mapping[str, float | str]) -> Sighting:
    values = {**words, **{key: round(value, 4) for key, value in one.values.items()}}
    span = Span.between(tidy(Fraction(one.start_s)), tidy(Fraction(one.end_s)))
    return Sighting("motion", label, span, round(one.confidence, 3), values=values)


def _passby(one: Pass) -> Sighting:
    values: dict[str, float | str] = {
        "from_x": round(float(one.start[0]), 4),
        "from_y": round(float(one.start[1]), 4),
        "to_x": round(float(one.end[0]), 4),
        "to_y": round(float(one.end[1]), 4),
        "closest_s": round(one.closest_s, 4),
        "size": round(one.size, 4),
        "speed": round(one.speed, 4),
        "count": float(one.count),
        "path": one.path,
    }
    span = Span.between(tidy(Fraction(one.start_s)), tidy(Fraction(one.end_s)))
    return Sighting("motion", "passby", span, round(one.confidence, 3), values=values)


def _impact(impact: Impact) -> Sighting:
    contact = impact.contact
    values: dict[str, float | str] = {
        "strength": round(min(1.0, contact.speed * min(1.0, contact.lost) / 1.5), 4),
        "speed": round(contact.speed, 4),
        "direction": "down" if contact.down > 0.5 else "up" if contact.down < -0.5 else "side",
        "size": round(contact.size, 4),
        "track": f"walker-{impact.walker}" if impact.walker else f"mover-{impact.locus}",
        "period_s": round(impact.period_s, 4),
        "sharpness": round(contact.sharpness, 4),
    }
    span = Span(tidy(Fraction(contact.time_s)), Fraction(0))
    box = (max(0.0, contact.x - _SIDE / 2), max(0.0, contact.y - _SIDE / 2), _SIDE, _SIDE)
    return Sighting("motion", "impact", span, round(impact.confidence, 3), box, values)


def create() -> Plain:
    return Plain("motion", "7", FrameWish(WIDTH, 30.0), _Session)
