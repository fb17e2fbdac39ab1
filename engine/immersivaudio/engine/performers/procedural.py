# SPDX-License-Identifier: AGPL-3.0-or-later
"""The procedural performer: every sound of the vocabulary, from physics and statistics, with nothing to download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import numpy as np

from immersivaudio.engine.asking import ask_of
from immersivaudio.engine.cue import Cue, Licence
from immersivaudio.engine.errors import CancelledError, RequestError
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion
from immersivaudio.engine.synthesis import catalog, streams
from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, stream

_UNEVEN = {"typing": 0.3}


class Procedural:
    """Performs by synthesis. Moving sounds reach -20 LUFS (400 ms) at their closest, 5 dB less for each tenfold distance."""

    name = "procedural"
    version = "4"
    side_by_side = True

    def licence(self) -> Licence:
        return Licence("CC0-1.0", True, source="synthesised by Immersivaudio; no recording and no model involved")

    def available(self) -> str:
        return ""

    def fitness(self, cue: Cue) -> float:
        return 0.5 if cue.sound in BY_ID and catalog.known(cue.sound) else 0.0

    def setup(self) -> None:
        """Nothing to load."""

    def perform(self, brief: Brief) -> Iterator[Block]:
        """See :meth:`Performer.perform`; blocks of half a second."""
        if not self.fitness(brief.cue):
            raise RequestError(f"No sound is called {brief.cue.sound}.", "Choose one of the engine's vocabulary.")
        left = brief.samples
        for frame in _frames(brief) if left else ():
            if brief.cancelled():
                raise CancelledError("The performance was stopped.")
            if frame is None:
                continue
            block = frame[:, :left].astype(np.float32)
            left -= block.shape[1]
            yield block
            if not left:
                return


def create() -> Procedural:
    """The performer."""
    return Procedural()


def _frames(brief: Brief) -> Iterator[Array | None]:
    sound = BY_ID[brief.cue.sound]
    ask = ask_of(brief, sound)
    match sound.motion:
        case Motion.SUSTAINED:
            return streams.sustained(catalog.TEXTURES[sound.id](ask), ask)
        case Motion.STRUCK:
            return streams.struck(catalog.STRIKERS[sound.id](ask), ask, _moments(brief, ask))
        case Motion.MOVING:
            return streams.moving(catalog.PASSINGS[sound.id](ask), ask.space)
    assert_never(sound.motion)


def _moments(brief: Brief, ask: Ask) -> list[int] | None:
    """Where the blows fall, in samples from the cue's start, those outside it left out; None: nobody says."""
    cue = brief.cue
    if cue.sync_s:
        return brief.moments()
    if "pace" in ask.knobs:
        return _walk(ask, brief.samples, _UNEVEN.get(cue.sound, 0.025))
    return None


def _walk(ask: Ask, samples: int, uneven: float) -> list[int]:
    """Steps at a pace, a few per cent uneven as people are; keys are struck far less evenly."""
    rng, step = stream(ask.seed, 0x9A17), RATE_HZ / ask["pace"]
    count = int(samples / step) + 1
    places = np.arange(count) * step + step * uneven * rng.standard_normal(count)
    places[0] = 0
    return [int(place) for place in np.maximum.accumulate(places) if place < samples]
