# SPDX-License-Identifier: AGPL-3.0-or-later
"""The original sound: every enabled sound clip of an edit laid on the record clock, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from immersivaudio.engine import media
from immersivaudio.engine.bwf import WavWriter, read_wav
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Clip, Edit, samples_at
from immersivaudio.engine.errors import CancelledError, MediaError
from immersivaudio.engine.media.types import Samples

BLOCK = 10 * SAMPLE_RATE_HZ
_MOST_WARPED_S = 600


def lay(edit: Edit, path: Path, cancelled: Callable[[], bool]) -> tuple[str, ...]:
    """Write the original sound of ``edit`` to a float32 WAV ``[2, samples_at(duration)]``; warnings come back.

    Raises:
        CancelledError: somebody stopped it.
    """
    total = samples_at(edit.duration_s)
    voices = sorted((_Voice(clip) for clip in edit.sound_clips()), key=lambda voice: voice.start)
    with WavWriter(path, durable=False) as writer:
        for start in range(0, total, BLOCK):
            if cancelled():
                raise CancelledError("Cancelled.")
            block = np.zeros((2, min(BLOCK, total - start)), np.float32)
            for voice in voices:
                voice.add_to(block, start)
            writer.write(block)
    return tuple(warning for voice in voices for warning in voice.warnings)


def blocks(path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> Iterator[Samples]:
    """The laid sound in blocks float32 ``[2, n]`` of at most ten seconds."""
    if rate_hz != SAMPLE_RATE_HZ:
        yield from media.sound(path, None, rate_hz=rate_hz)
        return
    samples, _ = read_wav(path)
    for start in range(0, samples.shape[0], BLOCK):
        yield np.ascontiguousarray(samples[start : start + BLOCK].T, np.float32)


@dataclass
class _Voice:
    """One clip being laid: opened when its first block comes, closed after its last."""

    clip: Clip
    warnings: list[str] = field(default_factory=list)
    start: int = 0
    _source: Iterator[Samples] | None = None
    _rest: Samples = field(default_factory=lambda: np.zeros((2, 0), np.float32))
    _done: bool = False

    def __post_init__(self) -> None:
        self.start = samples_at(self.clip.record.start_s)
        self.end = samples_at(self.clip.record.end_s)

    def add_to(self, block: Samples, at: int) -> None:
        first, last = max(self.start, at), min(self.end, at + block.shape[1])
        if self._done or last <= first:
            return
        try:
            piece = self._take(last - first)
        except MediaError as error:
            self._done = True
            self.warnings.append(f"The sound of {self.clip.name} was left out: {error.message}")
            return
        block[:, first - at : last - at] += piece * _envelope(self.clip, first, last)

    def _take(self, count: int) -> Samples:
        if self._source is None:
            self._source = self._open()
        pieces, have = [self._rest], self._rest.shape[1]
        while have < count and (piece := next(self._source, None)) is not None:
            pieces.append(piece)
            have += piece.shape[1]
        joined = np.concatenate(pieces, axis=1)
        self._rest = joined[:, count:]
        short = count - min(count, joined.shape[1])
        return np.pad(joined[:, :count], ((0, 0), (0, short)))

    def _open(self) -> Iterator[Samples]:
        clip, path = self.clip, Path(self.clip.media or "")
        if clip.speed == 1:
            return _decoded(clip, path)
        if clip.speed == 0 or clip.source.duration_s > _MOST_WARPED_S:
            self.warnings.append(f"The retimed sound of {clip.name} was left out: it cannot be followed at its speed.")
            return iter(())
        return iter((_warped(clip, path, self.end - self.start),))


def _decoded(clip: Clip, path: Path) -> Iterator[Samples]:
    """The clip's channels (counted through all sound streams of the file) as float32 ``[2, n]`` blocks."""
    homes = [(stream.index, inner) for stream in media.probe(path).audio for inner in range(stream.channels)]
    wanted = [homes[channel] for channel in clip.channels if channel < len(homes)]
    if not wanted:
        yield from media.sound(path, clip.source)
        return
    (left, first), (right, last) = wanted[0], wanted[-1]
    if left == right:
        yield from media.sound(path, clip.source, stream=left, pick=(first, last))
        return
    sides = (media.sound(path, clip.source, stream=index, pick=(inner,)) for index, inner in (wanted[0], wanted[-1]))
    for one, other in zip(*sides, strict=True):
        yield np.stack([one[0], other[0]])


def _warped(clip: Clip, path: Path, count: int) -> Samples:
    """A retimed clip as a tape machine plays it: pitch follows speed, backwards when ``speed`` is negative."""
    whole = np.concatenate(list(_decoded(clip, path)), axis=1)
    if clip.speed < 0:
        whole = whole[:, ::-1]
    from scipy.signal import resample  # takes a second to import, and retimed clips are few

    return resample(whole, count, axis=1).astype(np.float32) if whole.shape[1] else whole


def _envelope(clip: Clip, first: int, last: int) -> Samples:
    """Gain of the clip over record samples ``first`` to ``last``: its own gain and fades."""
    gain = np.full(last - first, 10 ** (clip.gain_db / 20), np.float32)
    at = np.arange(first, last) / SAMPLE_RATE_HZ
    for edge_s, length_s, sign in (
        (clip.record.start_s, clip.fade_in_s, 1),
        (clip.record.end_s, clip.fade_out_s, -1),
    ):
        if length_s > 0:
            gain *= np.clip(sign * (at - float(edge_s)) / float(length_s), 0, 1).astype(np.float32)
    return gain
