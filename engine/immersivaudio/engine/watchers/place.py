# SPDX-License-Identifier: AGPL-3.0-or-later
"""What kind of place is seen, by colour, texture and where in the frame; and the light it is seen in.

Honest and coarse: a stretch gets every kind that covers some of it, each with a confidence that falls where kinds contend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.watchers import Frame, FrameWish, Picture
from immersivaudio.engine.watchers._cells import Cells, Floats, measure, stuffs
from immersivaudio.engine.watchers._kinds import Verdict, verdicts
from immersivaudio.engine.watchers._plain import Plain

_WIDTH = 192
_EVERY_S = Fraction(1, 4)
_CHANGED = 0.06
_CHANGED_PART, _PARTS = 0.12, 3
_LEAST_S = 0.75


@dataclass(frozen=True, slots=True)
class Glance:
    """One look: the mean share of each stuff in thirds of the frame, the numbers of the light, a signature."""

    time_s: Fraction
    stuff: Mapping[str, Floats]
    light: Mapping[str, float]
    signature: Floats


def glance(time_s: Fraction, cells: Cells) -> Glance:
    """Reduce cells to what a stretch is judged by."""
    signature = np.concatenate([_thirds(part).ravel() for part in (cells.red, cells.green, cells.blue, 4 * cells.fine)])
    light = {
        "brightness": float(cells.luma.mean()),
        "contrast": float(cells.luma.std()),
        "saturation": float(cells.saturation.mean()),
        "warmth": float(cells.red.mean() - cells.blue.mean()),
        "texture": float(min(1.0, 20.0 * cells.fine.mean())),
        "lamps": cells.lamps,
        "shimmer": float(cells.shimmer.mean()),
    }
    return Glance(time_s, stuffs(cells), light, signature)


def _thirds(values: Floats) -> Floats:
    rows = np.add.reduceat(values, (0, 3, 6), axis=0) / 3
    return np.asarray(np.add.reduceat(rows[:, :15], (0, 5, 10), axis=1) / 5, dtype=np.float32)


@dataclass(slots=True)
class _Stretch:
    """A run of glances that look alike, as running sums: its size does not grow with time."""

    start_s: Fraction
    count: int
    stuff: dict[str, Floats]
    light: dict[str, float]
    signature: Floats

    @classmethod
    def of(cls, first: Glance) -> _Stretch:
        return cls(first.time_s, 1, dict(first.stuff), dict(first.light), first.signature)

    def add(self, more: Glance) -> None:
        self.count += 1
        self.stuff = {name: part + more.stuff[name] for name, part in self.stuff.items()}
        self.light = {name: part + more.light[name] for name, part in self.light.items()}
        self.signature = self.signature + 0.15 * (more.signature - self.signature)

    def differs(self, other: Glance) -> bool:
        """Much of the picture is another, or all of it a little; a sky may stay the same across a cut."""
        apart = np.abs(self.signature - other.signature).reshape(4, -1)
        return float(apart.mean()) > _CHANGED or int((apart.max(0) > _CHANGED_PART).sum()) >= _PARTS


@dataclass(slots=True)
class _Session:
    clip: Clip
    stretches: list[_Stretch] = field(default_factory=list)
    _due_s: Fraction | None = None
    _previous: Picture | None = None
    _earlier: Picture | None = None
    _odd: list[Glance] = field(default_factory=list)

    def see(self, frame: Frame) -> None:
        if self._due_s is not None and frame.time_s < self._due_s:
            soon = self._due_s - frame.time_s < Fraction(1, 8)
            self._previous = frame.grey(_WIDTH) if soon else None
            return
        grey = frame.grey(_WIDTH)
        before = self._previous if self._previous is not None and self._previous.shape == grey.shape else None
        earlier = self._earlier if self._earlier is not None and self._earlier.shape == grey.shape else None
        self._place(glance(frame.time_s, measure(frame.at(_WIDTH), grey, before, earlier)))
        self._due_s, self._previous, self._earlier = frame.time_s + _EVERY_S, None, grey

    def _place(self, new: Glance) -> None:
        """Into the running stretch, or, once three looks in a row are unlike it, into a new one."""
        if not self.stretches:
            self.stretches.append(_Stretch.of(new))
        elif not self.stretches[-1].differs(new):
            for glance_ in (*self._odd, new):
                self.stretches[-1].add(glance_)
            self._odd = []
        else:
            self._odd.append(new)
            if new.time_s - self._odd[0].time_s >= _LEAST_S:
                self._begin()

    def _begin(self) -> None:
        self.stretches.append(_Stretch.of(self._odd[0]))
        for glance_ in self._odd[1:]:
            self.stretches[-1].add(glance_)
        self._odd = []

    def finish(self) -> Sequence[Sighting]:
        if len(self._odd) > 1:
            self._begin()
        starts = [self.clip.source.start_s, *(stretch.start_s for stretch in self.stretches[1:])]
        ends = [*starts[1:], self.clip.source.end_s]
        found: list[Sighting] = []
        for stretch, start, end in zip(self.stretches, starts, ends, strict=False):
            found += _sightings(stretch, Span.between(tidy(start), tidy(max(end, start))))
        return found


def _sightings(stretch: _Stretch, span: Span) -> list[Sighting]:
    light = {name: value / stretch.count for name, value in stretch.light.items()}
    stuff = {name: np.asarray(value / stretch.count, np.float32) for name, value in stretch.stuff.items()}
    found = [_sighting(verdict, span) for verdict in verdicts(stuff, light)]
    told = ("brightness", "contrast", "saturation", "warmth", "texture")
    return [Sighting("place", "light", span, 1.0, values={name: round(light[name], 4) for name in told}), *found]


def _sighting(verdict: Verdict, span: Span) -> Sighting:
    values: dict[str, float | str] = {"kind": verdict.kind, "share": round(verdict.share, 3)}
    return Sighting("place", "place", span, round(verdict.confidence, 3), values=values)


def create() -> Plain:
    return Plain("place", "7", FrameWish(_WIDTH, 30.0), _Session)
