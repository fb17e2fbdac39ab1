# SPDX-License-Identifier: AGPL-3.0-or-later
"""A cut out of a library's file as a take: resampled, two channels, at the reference level, its attack on the moment.
Nothing is stretched and nothing loops."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from immersivaudio.engine import carried, media
from immersivaudio.engine.audio import amplitude, lay
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Span, samples_at
from immersivaudio.engine.errors import ResultError
from immersivaudio.engine.library.hearing import STRUCK_S
from immersivaudio.engine.library.records import Entry
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import attacks
from immersivaudio.engine.models.shaping import STRUCK_PEAK_DB, SUSTAINED_LUFS, obey
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion

# Sounds that swell to their moment: their loudest place, not an attack, falls on the sync point.
SWELLING = frozenset({"whoosh"})
_BLOCK = SAMPLE_RATE_HZ
_RISE, _FALL = 5 * 48, 30 * 48
_TAIL_S = 4.0
_UNEVEN_DB = 3.0


def cut(brief: Brief, entry: Entry, begin_s: float) -> Iterator[Block]:
    """``brief`` out of the file ``entry``, which begins ``begin_s`` before the cue does (blows have no such place).

    Raises:
        MediaError: it cannot be decoded. ResultError: it is silent there. CancelledError.
    """
    sound = BY_ID[brief.cue.sound]
    if sound.motion is Motion.STRUCK:
        return _struck(brief, entry)
    begin = round(begin_s * SAMPLE_RATE_HZ)
    if sound.motion is Motion.MOVING:
        return _moving(brief, entry, begin)
    gain = _sustained_gain(brief, entry, begin)
    return (block * gain for block in _blocks(brief, entry, begin))


def stands(entry: Entry) -> bool:
    """Whether a recording of something that moves stands still in it, so that it is carried along the cue's way."""
    return entry.heard is not None and not carried.passes(entry.heard.levels_db)


def _moving(brief: Brief, entry: Entry, begin: int) -> Iterator[Block]:
    if not stands(entry):
        return carried.keep(brief, lambda: _blocks(brief, entry, begin), entry.path)
    longer = replace(brief, samples=carried.needed(brief))
    return carried.carry(brief, lambda: _blocks(longer, entry, begin), entry.path)


def _blocks(brief: Brief, entry: Entry, begin: int) -> Iterator[Block]:
    """``brief.samples`` of the file from ``begin`` on, at 48 kHz in two channels; silence where it has none."""
    lead = min(brief.samples, max(0, -begin))
    for first in range(0, lead, _BLOCK):
        yield np.zeros((2, min(_BLOCK, lead - first)), np.float32)
    if lead == brief.samples:
        return
    span = Span(Fraction(max(0, begin), SAMPLE_RATE_HZ), Fraction(brief.samples - lead, SAMPLE_RATE_HZ))
    for block in media.sound(entry.file, span, cancelled=brief.cancelled):
        if block.shape[1]:
            yield block


def _sustained_gain(brief: Brief, entry: Entry, begin: int) -> np.float32:
    meter = LoudnessMeter()
    for block in _blocks(brief, entry, begin):
        obey(brief)
        meter.push(block)
    lufs = meter.integrated()
    if lufs is None:
        raise ResultError(f"{entry.path} is silent where it was cut.", "Choose another seed.")
    return np.float32(amplitude(SUSTAINED_LUFS - lufs))


def _number(cue: Cue, name: str, otherwise: float) -> float:
    value = cue.params.get(name, otherwise)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else otherwise


def _struck(brief: Brief, entry: Entry) -> Iterator[Block]:
    """Blows of the file with their own attack on each sync point; several take turns, never one twice in a row."""
    blows = _blows(brief, entry)
    moments = [samples_at(sync_s - brief.cue.span.start_s) for sync_s in sorted(brief.cue.sync_s)]
    laid = list(zip(moments, _turns(len(moments), len(blows), brief.cue.seed), strict=True))
    strength = min(1.0, max(0.0, _number(brief.cue, "strength", 1.0)))
    gain = np.float32(amplitude(STRUCK_PEAK_DB) * (0.25 + 0.75 * strength))
    for start in range(0, brief.samples, _BLOCK):
        obey(brief)
        block = np.zeros((2, min(_BLOCK, brief.samples - start)), np.float32)
        for moment, turn in laid:
            blow, attack = blows[turn]
            lay(block, blow, moment - attack - start)
        yield block * gain


def _turns(count: int, blows: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    turns: list[int] = []
    left: list[int] = []
    for _ in range(count):
        if not left:
            left = chance.sample(range(blows), blows)
            if turns and blows > 1 and left[0] == turns[-1]:
                left.append(left.pop(0))
        turns.append(left.pop(0))
    return turns


def _blows(brief: Brief, entry: Entry) -> list[tuple[Block, int]]:
    """Each strong attack of the first half minute, cut before the next, and where in its cut it begins. The loudest has
    a peak of 1, the others at most 3 dB less: a hand is never quite even."""
    length = min(entry.notes.duration_s, float(STRUCK_S))
    span = Span(Fraction(0), Fraction(length).limit_denominator(SAMPLE_RATE_HZ))
    whole = np.concatenate(list(media.sound(entry.file, span, cancelled=brief.cancelled)), axis=1)
    loudest = np.abs(whole).max(axis=0)
    if brief.cue.sound in SWELLING:
        return [_swell(whole, loudest)]
    found = attacks.find(loudest, SAMPLE_RATE_HZ)
    if not found:
        raise ResultError(f"{entry.path} has no attack that could be laid.", "Choose another sound of the library.")
    begins = sorted(one.sample for one in found)
    strong = sorted((one.sample, one.peak) for one in found if one.peak >= 0.35 * found[0].peak)
    return [_blow(whole, sample, begins, _evened(peak, found[0].peak)) for sample, peak in strong]


def _evened(peak: float, loudest: float) -> np.float32:
    return np.float32(max(peak / loudest, amplitude(-_UNEVEN_DB)) / peak)


def _blow(whole: Block, attack: int, begins: Sequence[int], gain: np.float32) -> tuple[Block, int]:
    after = next((begin for begin in begins if begin > attack), whole.shape[1] + _RISE)
    start, end = max(0, attack - _RISE), min(whole.shape[1], after - _RISE, attack + samples_at(_TAIL_S))
    return _faded(whole[:, start : max(end, attack + _RISE)], attack - start) * gain, attack - start


def _swell(whole: Block, loudest: np.ndarray) -> tuple[Block, int]:
    """A sound that swells to its moment: its loudest place is what falls on the sync point."""
    top = int(np.convolve(loudest, np.ones(480), "same").argmax())
    start, end = max(0, top - samples_at(_TAIL_S)), min(whole.shape[1], top + samples_at(_TAIL_S))
    gain = np.float32(1 / max(float(loudest[start:end].max(initial=0.0)), 1e-6))
    return _faded(whole[:, start:end], min(_RISE, top - start)) * gain, top - start


def _faded(part: Block, rise: int) -> Block:
    cut = part.copy()
    cut[:, :rise] *= np.linspace(0, 1, rise, endpoint=False, dtype=np.float32)
    fall = min(_FALL, cut.shape[1] - rise)
    cut[:, cut.shape[1] - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return cut
