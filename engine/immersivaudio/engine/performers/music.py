# SPDX-License-Identifier: AGPL-3.0-or-later
"""The music performer: composes for the cuts of a cue by rule, and plays it on instruments of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from immersivaudio.engine import composing
from immersivaudio.engine.composing.player import played
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Licence, Take
from immersivaudio.engine.errors import CancelledError, RequestError
from immersivaudio.engine.performers import Block, Brief, Choice
from immersivaudio.engine.room import QUIET, quiet_s
from immersivaudio.engine.sounds import BY_ID

GROUP = "group"
"""The param of a music cue of which only one instrument group is played, at the level that it has in the whole."""


class Music:
    """Performs the sound ``music``: the cue's sync points are cuts and hit points, on which bar lines fall."""

    name = "music"
    version = "1"

    def licence(self) -> Licence:
        return Licence("CC0-1.0", True, source="composed and synthesised by Immersivaudio; no recording and no model")

    def available(self) -> str:
        return ""

    def fitness(self, cue: Cue) -> float:
        return 0.6 if cue.sound == "music" else 0.0

    def setup(self) -> None:
        """Nothing to load."""

    def choose(self, cue: Cue, rights: str, cancelled: Callable[[], bool]) -> Choice | None:
        """Where it leaves room for speech is part of the performance; see :class:`Chooser`."""
        return Choice(self.licence(), {QUIET: cue.params[QUIET]} if QUIET in cue.params else {})

    def perform(self, brief: Brief) -> Iterator[Block]:
        """See :meth:`Performer.perform`; blocks of half a second."""
        if not self.fitness(brief.cue):
            raise RequestError(f"{brief.cue.sound} is not music.", "Ask another performer for it.")
        if not brief.samples:
            return
        groups = {str(brief.cue.params[GROUP])} if GROUP in brief.cue.params else None
        for frame in played(score_of(brief.cue, brief.samples), brief.samples, groups):
            if brief.cancelled():
                raise CancelledError("The performance was stopped.")
            if frame is not None:
                yield frame.astype(np.float32)


def score_of(cue: Cue, samples: int) -> composing.Score:
    """What is composed for ``cue`` when it lasts ``samples`` samples at 48 kHz: for its MIDI, say."""
    hits_s = [float(moment - cue.span.start_s) for moment in cue.sync_s]
    energy, warmth = (_knob(cue, name) for name in ("energy", "warmth"))
    return composing.compose(samples / SAMPLE_RATE_HZ, hits_s, energy, warmth, cue.seed, quiet_s(cue))


def as_heard(cue: Cue, take: Take) -> Cue:
    """``cue`` as ``take`` performed it, so that :func:`score_of` gives the very notes that are heard."""
    return replace(cue, params={**cue.params, **take.pins}, seed=take.seed)


def _knob(cue: Cue, name: str) -> float:
    """A knob of the vocabulary within its range, its default where the cue says nothing sensible."""
    return BY_ID["music"].knobs[name].of(cue.params.get(name))


def create() -> Music:
    """The performer."""
    return Music()
