# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sound by example, after CondFoley (arXiv 2304.10512): a recording that somebody named, laid on what is seen.

Struck cues take the example's events, one a sync point; sounds that go on take its texture, as long as wanted. No
weights: what is heard is the example itself, so the licence is the example's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from immersivaudio.engine import carried
from immersivaudio.engine.audio import amplitude, lay
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Example, Licence, ParamValue, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, RequestError, ResultError
from immersivaudio.engine.examples import Study, forbidden, identified, licence_of, study
from immersivaudio.engine.examples.matching import Wanted, matched
from immersivaudio.engine.examples.quilting import cloth_of, quilted
from immersivaudio.engine.examples.study import OWN
from immersivaudio.engine.examples.variation import change_of, varied
from immersivaudio.engine.library.hearing import contour
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.performers import Block, Brief, Choice
from immersivaudio.engine.sounds import BY_ID, Motion
from immersivaudio.engine.synthesis.frame import stream

_BLOCK = SAMPLE_RATE_HZ // 2
_SUSTAINED_LUFS, _STRUCK_PEAK_DB = -26.0, -12.0
_SIDE = 0.35
_EDGE = SAMPLE_RATE_HZ // 5
_LEAST_WIDTH = 0.02


class Analogy:
    """Performs a cue that names an example; nothing else."""

    name = "analogy"
    version = "2"

    def licence(self) -> Licence:
        return Licence(OWN, True, source="the example that the user names")

    def available(self) -> str:
        return ""

    def fitness(self, cue: Cue) -> float:
        sound = BY_ID.get(cue.sound)
        if cue.example is None or sound is None or cue.stem in (Stem.MUSIC, Stem.DIALOGUE):
            return 0.0
        return 0.97

    def setup(self) -> None:
        """Nothing to load."""

    def choose(self, cue: Cue, rights: str, cancelled: Callable[[], bool]) -> Choice | None:
        """The example as its bytes are now, under the licence that its owner gives; see :class:`Chooser`."""
        if cue.example is None:
            return None
        example = identified(cue.example)
        licence = licence_of(example)
        if rights != "any" and not licence.commercial_use:
            raise forbidden(example)
        pins: dict[str, ParamValue] = {"example_sha256": example.sha256}
        if example.events:
            pins["example_events"] = ",".join(str(event) for event in example.events)
        return Choice(licence, pins)

    def perform(self, brief: Brief) -> Iterator[Block]:
        """See :meth:`Performer.perform`; blocks of half a second."""
        if not self.fitness(brief.cue) or brief.cue.example is None:
            raise RequestError(f"The cue {brief.cue.id} names no example.", "Name one, or ask another performer.")
        if not brief.samples:
            return
        heard = study(brief.cue.example, brief.cancelled)
        for block in _performed(heard, brief, brief.cue.example):
            if brief.cancelled():
                raise CancelledError("The performance was stopped.")
            yield block


def create() -> Analogy:
    """The performer."""
    return Analogy()


def _performed(heard: Study, brief: Brief, example: Example) -> Iterator[Block]:
    match BY_ID[brief.cue.sound].motion:
        case Motion.STRUCK:
            return _struck(heard, brief, example)
        case Motion.MOVING:
            return _moving(heard, brief)
        case Motion.SUSTAINED:
            return _sustained(heard, brief)


def _moving(heard: Study, brief: Brief) -> Iterator[Block]:
    """What passes in the example passes as it does there; what stands still goes on, and is carried along the way."""
    hop = SAMPLE_RATE_HZ // 10
    whole = heard.samples[:, : heard.samples.shape[1] // hop * hop]
    levels_db, loudest_s = contour(np.square(whole, dtype=np.float64).reshape(2, -1, hop).mean(axis=(0, 2)))
    if carried.passes(levels_db):
        at = samples_at(carried.closest_s(brief.cue)) - round(loudest_s * SAMPLE_RATE_HZ)
        return carried.keep(brief, lambda: _laid(heard.samples, at, brief.samples), heard.name)
    if not heard.stretches:
        raise ResultError(f"Nothing in the example {heard.name} goes on.", "Name a recording of something that does.")
    cloth, count = cloth_of(heard.samples, heard.stretches), carried.needed(brief)
    return carried.carry(brief, lambda: _blocks(quilted(cloth, stream(brief.cue.seed, 0xC107)), count), heard.name)


def _laid(samples: Block, at: int, count: int) -> Iterator[Block]:
    """``count`` samples in which ``samples`` begin at ``at``, faded where they begin and end."""
    edges = np.minimum(1.0, (np.arange(_EDGE) + 0.5) / _EDGE).astype(np.float32)
    whole = samples.copy()
    edge = min(_EDGE, whole.shape[1])
    whole[:, :edge] *= edges[:edge]
    whole[:, whole.shape[1] - edge :] *= edges[:edge][::-1]
    for start in range(0, count, _BLOCK):
        block = np.zeros((2, min(_BLOCK, count - start)), np.float32)
        lay(block, whole, at - start)
        yield block


def _struck(heard: Study, brief: Brief, example: Example) -> Iterator[Block]:
    """An event on each sync point, its attack to the sample, its tail over whatever comes next."""
    if not heard.events:
        raise ResultError(
            f"Nothing in the example {heard.name} begins and dies away, so no blow can sound like it.",
            "Name a recording of single events, or give the example to an ambience.",
        )
    moments = _moments(brief)
    grains = _grains(heard, brief, len(moments))
    laid = [(moment - lead, grain) for moment, (grain, lead) in zip(moments, grains, strict=True)]
    gain = np.float32(amplitude(_STRUCK_PEAK_DB) * (0.25 + 0.75 * _knob(brief.cue, "strength")))
    for start in range(0, brief.samples, _BLOCK):
        block = np.zeros((2, min(_BLOCK, brief.samples - start)), np.float32)
        for at, grain in laid:
            lay(block, grain, at - start)
        yield block * gain


def _moments(brief: Brief) -> list[int]:
    cue = brief.cue
    if cue.sync_s:
        return brief.moments()
    # Steps that nobody saw one by one.
    gap = SAMPLE_RATE_HZ / max(0.1, _knob(cue, "pace"))
    early = stream(cue.seed, 0x9ACE).standard_normal(int(brief.samples / gap) + 1) * 0.025
    late = ((np.arange(len(early)) + np.abs(early)) * gap).astype(int)
    return [int(place) for place in late if place < brief.samples]


def _grains(heard: Study, brief: Brief, count: int) -> Iterator[tuple[Block, int]]:
    cue, alone = brief.cue, len(heard.events) == 1
    for index, which in enumerate(chosen(heard, cue, count)):
        rng = stream(cue.seed, 0xF01E, index)
        yield varied(heard.events[which], change_of(rng, alone))


def chosen(heard: Study, cue: Cue, count: int) -> list[int]:
    """The event of each of ``count`` moments: as the cue says, else by its strength and seed."""
    said = cue.example.events if cue.example is not None else ()
    if said and max(said) < len(heard.events):
        return [said[index % len(said)] for index in range(count)]
    wanted = [Wanted(_knob(cue, "strength"), _knob(cue, "size"), cue.sound, cue.seed + index) for index in range(count)]
    return matched(wanted, heard.events)


def _knob(cue: Cue, name: str) -> float:
    """A knob of the vocabulary within its range; its default where the cue says nothing sensible, 0.5 where the sound
    has none."""
    knob = BY_ID[cue.sound].knobs.get(name)
    return 0.5 if knob is None else knob.of(cue.params.get(name))


def _sustained(heard: Study, brief: Brief) -> Iterator[Block]:
    cloth = cloth_of(heard.samples, heard.stretches)
    whole = np.concatenate([heard.samples[:, first:last] for first, last in heard.stretches], axis=1)
    gain = _gain(whole, heard.name)
    seed = brief.cue.seed
    middle = _blocks(quilted(cloth, stream(seed, 0xC107)), brief.samples)
    if _width(whole) >= _LEAST_WIDTH:
        yield from (block * gain for block in middle)
        return
    # A mono recording: another stretch of it at the sides, with opposite sign, so that mono is the recording again.
    sides = _blocks(quilted(cloth, stream(seed, 0x51DE)), brief.samples)
    for block, side in zip(middle, sides, strict=True):
        yield np.asarray((block + np.stack([side[0], -side[0]]) * np.float32(_SIDE)) * gain, np.float32)


def _blocks(pieces: Iterator[Block], samples: int) -> Iterator[Block]:
    """``samples`` samples of ``pieces`` in blocks of half a second."""
    rest = np.zeros((2, 0), np.float32)
    for start in range(0, samples, _BLOCK):
        count = min(_BLOCK, samples - start)
        while rest.shape[1] < count:
            rest = np.concatenate([rest, next(pieces)], axis=1)
        yield np.ascontiguousarray(rest[:, :count])
        rest = rest[:, count:]


def _width(samples: Block) -> float:
    """The power of the side beside that of the whole."""
    side = float(np.square(samples[0] - samples[1], dtype=np.float64).sum())
    return side / max(1e-20, 2 * float(np.square(samples, dtype=np.float64).sum()))


def _gain(samples: Block, name: str) -> np.float32:
    """What brings the texture to its reference level."""
    meter = LoudnessMeter()
    meter.push(samples)
    power = meter.mean_power()
    first_db = -23.0 - 10 * float(np.log10(power)) if power > 0 else 0.0
    loudness = meter.integrated(first_db)
    if loudness is None:
        raise ResultError(f"What goes on in the example {name} is too faint.", "Name a louder recording.")
    return np.float32(amplitude(first_db + _SUSTAINED_LUFS - loudness))
