# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cues on the record clock: where each take lies to the sample, with its pan, its fades and its gain curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from immersivaudio.engine import bwf, curves
from immersivaudio.engine.audio import Block, fade, panned
from immersivaudio.engine.bwf import Samples
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, CueSheet, Stem, Take, samples_at
from immersivaudio.engine.errors import MediaError

_CUT_FADE_SAMPLES = 480
Part = tuple[str, int, int, int, float, int, int, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Voice:
    """A take in its place. ``start`` and ``samples`` are record samples, ``skip`` the take's samples before them.

    ``curve`` counts from the cue's start, not from ``skip``. ``take`` is the key of the take by content.
    """

    cue_id: str
    stem: Stem
    path: Path
    start: int
    samples: int
    skip: int
    curve: curves.Curve
    pan: float
    fade_in: int
    fade_out: int
    take: str = ""

    @property
    def end(self) -> int:
        return self.start + self.samples


def place(sheet: CueSheet, takes: Mapping[str, Take], *, under_speech: bool) -> tuple[Voice, ...]:
    """The voices of every sounding cue that has a take and lies within the record, in order of time."""
    total = samples_at(sheet.duration_s)
    ducks = ducking(sheet) if under_speech else {}
    voices = [_voice(cue, takes[cue.id], ducks.get(cue.stem, ()), total) for cue in sheet.sounding() if cue.id in takes]
    return tuple(
        sorted((voice for voice in voices if voice.samples > 0), key=lambda voice: (voice.start, voice.cue_id))
    )


def ducking(sheet: CueSheet) -> dict[Stem, curves.Curve]:
    """How each lane makes room for speech, on the record clock: one curve for all of its cues; empty without speech."""
    return {stem: curves.duck(sheet.speech, depth_db) for stem, depth_db in curves.DUCK_DB.items()}


def _voice(cue: Cue, take: Take, ducking: curves.Curve, total: int) -> Voice:
    begin = samples_at(cue.span.start_s)
    start, end = max(0, begin), min(total, begin + take.samples)
    fade_in, fade_out = _fades(cue, end - start)
    ducked = curves.window(ducking, float(cue.span.start_s), take.samples / SAMPLE_RATE_HZ)
    return Voice(
        cue_id=cue.id,
        stem=cue.stem,
        path=Path(take.path),
        start=start,
        samples=end - start,
        skip=start - begin,
        curve=curves.add(cue.gain_curve, ducked, cue.gain_db),
        pan=cue.pan,
        fade_in=max(fade_in, _CUT_FADE_SAMPLES if start > begin else 0),
        fade_out=max(fade_out, _CUT_FADE_SAMPLES if end < begin + take.samples else 0),
        take=take.key,
    )


def _fades(cue: Cue, samples: int) -> tuple[int, int]:
    """In and out, in samples; where they are longer than what is heard they share it, as they were to each other."""
    fade_in, fade_out = samples_at(cue.fade_in_s), samples_at(cue.fade_out_s)
    wanted = fade_in + fade_out
    if wanted <= samples:
        return fade_in, fade_out
    rising = fade_in * max(0, samples) // wanted
    return rising, max(0, samples) - rising if fade_out else 0


def render(voices: Sequence[Voice], first: int, count: int) -> Block | None:
    """Samples ``first`` to ``first + count`` of the sum of ``voices``, ``[2, count]``; None where none of them sounds.

    Raises:
        MediaError: a take is gone or not what it was.
    """
    block: Block | None = None
    for voice in voices:
        if voice.start < first + count and voice.end > first:
            block = np.zeros((2, count), np.float32) if block is None else block
            begin, end = max(first, voice.start), min(first + count, voice.end)
            block[:, begin - first : end - first] += _sounding(voice, begin - voice.start, end - voice.start)
    return block


def content(voices: Sequence[Voice], first: int, count: int) -> list[Part]:
    """What :func:`render` gives for that range, as plain data: equal where the samples are equal, wherever it lies."""
    return [
        (voice.take, voice.start - first, voice.samples, voice.skip, voice.pan, voice.fade_in, voice.fade_out,
         _heard(voice, first, count))
        for voice in voices
        if voice.start < first + count and voice.end > first
    ]  # fmt: skip


def _heard(voice: Voice, first: int, count: int) -> list[tuple[float, float]]:
    """The points of a voice's curve that have a say in a range of the record."""
    begin = voice.skip + max(first, voice.start) - voice.start
    near = curves.around(voice.curve, begin, begin + min(count, voice.samples))
    return [(point.at_s, point.gain_db) for point in near]


def _sounding(voice: Voice, begin: int, end: int) -> Block:
    """Samples ``begin`` to ``end`` of a voice, on its own clock, as they go into the mix."""
    block = np.ascontiguousarray(_read(voice, voice.skip + begin, end - begin).T)
    block = panned(block, voice.pan)
    block *= curves.amplitudes(voice.curve, voice.skip + begin, end - begin)
    _fade_ends(block, voice, begin, end)
    return block


def _fade_ends(block: Block, voice: Voice, begin: int, end: int) -> None:
    if begin < voice.fade_in:
        rising = min(end, voice.fade_in) - begin
        block[:, :rising] *= fade(np.arange(begin, begin + rising, dtype=np.float64), voice.fade_in)
    falling = end - max(begin, voice.samples - voice.fade_out)
    if voice.fade_out and falling > 0:
        left = voice.samples - np.arange(end - falling, end, dtype=np.float64) - 1
        block[:, -falling:] *= fade(left, voice.fade_out)


def _read(voice: Voice, first: int, count: int) -> Samples:
    try:
        samples, held = bwf.read_part(voice.path, first, count)
    except OSError as error:
        raise MediaError(
            f"The take of cue {voice.cue_id} cannot be read.", "Score again to have it performed."
        ) from error
    if (held.rate_hz, held.channels) != (SAMPLE_RATE_HZ, 2) or held.frames < voice.skip + voice.samples:
        raise MediaError(f"The take of cue {voice.cue_id} is not the length or rate it should be.")
    return samples
