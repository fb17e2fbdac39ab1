# SPDX-License-Identifier: AGPL-3.0-or-later
"""Putting names to pictures: looked at now and then, in batches, and smoothed, so that no name flickers.

Whatever finds the names (an image-text model, a classifier), a name goes on where its smoothed score rises above one
bar and off where it falls below a lower one; nothing is carried over a cut. Each stretch is one ``scene`` sighting:
``kind`` is the id of a sign of :mod:`immersivaudio.engine.scenery`, ``group`` its group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.scenery import SIGNS
from immersivaudio.engine.watchers import Frame, Picture
from immersivaudio.engine.watchers._cuts import Cuts

Scores = NDArray[np.float32]
Look = Callable[[Sequence[Picture]], Scores]
"""Pictures in, float32 ``[pictures, signs]`` out: how surely each sign of ``SIGNS`` is seen, 0 to 1."""

BATCH = 8
# Two pictures a second, or a little more where the frames do not fall so.
_SOONEST_S = Fraction(3, 8)
_ON, _OFF, _SETTLES_S = 0.3, 0.18, 0.8
_FEW = 3
_MOST = 0.9


@dataclass(slots=True)
class _Run:
    start_s: Fraction
    total: float = 0.0
    count: int = 0


@dataclass(slots=True)
class Smoother:
    """Scores of picture after picture in, stretches out. What it holds does not grow with time but for the stretches."""

    level: Scores = field(default_factory=lambda: np.zeros(len(SIGNS), np.float32))
    found: list[tuple[int, Span, float]] = field(default_factory=list)
    _runs: dict[int, _Run] = field(default_factory=dict)
    _last_s: Fraction | None = None

    def see(self, time_s: Fraction, scores: Scores) -> None:
        """``scores`` ``[signs]`` of the picture at ``time_s``."""
        if self._last_s is None:
            self.level = scores.copy()
        else:
            gap = float(time_s - self._last_s)
            self.level += (1.0 - math.exp(-gap / _SETTLES_S)) * (scores - self.level)
        self._last_s = time_s
        for index in np.flatnonzero(self.level >= _OFF).tolist():
            if index not in self._runs and self.level[index] >= _ON:
                self._runs[index] = _Run(time_s)
            if index in self._runs:
                self._runs[index].total += float(self.level[index])
                self._runs[index].count += 1
        self._close([index for index in self._runs if self.level[index] < _OFF], time_s)

    def cut(self, time_s: Fraction) -> None:
        """The picture is another one from ``time_s`` on."""
        self._close(list(self._runs), time_s)
        self._last_s = None

    def _close(self, indices: Sequence[int], end_s: Fraction) -> None:
        for index in indices:
            run = self._runs.pop(index)
            # What was seen in one picture only is believed less.
            seen = min(1.0, 0.6 + 0.4 * run.count / _FEW)
            sure = min(_MOST, seen * run.total / run.count)
            self.found.append((index, Span.between(run.start_s, end_s), sure))


@dataclass(slots=True)
class NamingSession:
    """One clip, looked at by ``look``."""

    name: str
    clip: Clip
    look: Look
    smoother: Smoother = field(default_factory=Smoother)
    _cuts: Cuts = field(default_factory=Cuts)
    _waiting: list[tuple[Fraction, Picture, bool]] = field(default_factory=list)
    _due_s: Fraction | None = None
    width: int = 256

    def see(self, frame: Frame) -> None:
        cut = self._cuts.at(frame)
        if not cut and self._due_s is not None and frame.time_s < self._due_s:
            return
        self._due_s = frame.time_s + _SOONEST_S
        self._waiting.append((frame.time_s, frame.at(self.width), cut))
        if len(self._waiting) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = self.look([picture for _, picture, _ in self._waiting])
        for (time_s, _, cut), scores in zip(self._waiting, rows, strict=True):
            if cut:
                self.smoother.cut(time_s)
            self.smoother.see(time_s, scores)
        self._waiting.clear()

    def finish(self) -> Sequence[Sighting]:
        self._flush()
        self.smoother.cut(self.clip.source.end_s)
        found = [sighting(self.name, *one) for one in self.smoother.found]
        return sorted(found, key=lambda s: (s.span.start_s, s.label, str(s.values["kind"])))


def sighting(watcher: str, index: int, span: Span, sure: float) -> Sighting:
    sign = SIGNS[index]
    within = Span.between(tidy(span.start_s), tidy(span.end_s))
    return Sighting(watcher, "scene", within, round(sure, 3), values={"kind": sign.id, "group": sign.group})
