# SPDX-License-Identifier: AGPL-3.0-or-later
"""A texture goes on for as long as wanted: patches of a recording, sewn where one goes on as another would.

After Lu, Wenyin and Zhang, "Audio textures" (IEEE Trans. Speech Audio Proc. 12, 2004) and the image quilting of Efros
and Freeman (2001): the next patch is drawn from places that sound like what would have come next, seldom used of late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine.audio import crossfade
from immersivaudio.engine.cue import SAMPLE_RATE_HZ
from immersivaudio.engine.performers import Block
from immersivaudio.engine.synthesis.frame import Rng

Floats = NDArray[np.float64]
_HOP, _FRAME = SAMPLE_RATE_HZ // 100, 2048
_BANDS_HZ = np.geomspace(60.0, 16_000.0, 25)
_LONGEST_S, _SHORTEST_S, _SHARE = 2.4, 0.25, 0.35
_SEAM_S, _SLIDE = 0.1, 240
_TRIES, _BEST = 240, 6
_USED_DB, _NEAR_DB, _FORGET = 6.0, 6.0, 0.85
# What stands out of its band by so much, less often than so a second, is left out with this many frames around it,
# where so much of the whole remains.
_DISTINCT_HZ, _DISTINCT_DB, _BEYOND_DB, _RARE, _AROUND, _ENOUGH = 800.0, 12.0, 6.0, 0.5, 4, 0.5
# Under this much material a patch is also tuned by a few cents, so that no two uses are the same samples.
_SHORT_S, _CENTS = 20.0, 30.0


@dataclass(frozen=True)
class Cloth:
    """What is sewn from: float32 ``[2, n]``, the stretches that may be used, and bands in dB of every 10 ms."""

    samples: Block
    stretches: tuple[tuple[int, int], ...]
    frames: Floats

    @property
    def length(self) -> int:
        return sum(last - first for first, last in self.stretches)


def cloth_of(samples: Block, stretches: Sequence[tuple[int, int]]) -> Cloth:
    """``samples`` float32 ``[2, n]`` at 48 kHz made ready; ``stretches`` are (first, last sample)."""
    mono = samples.astype(np.float64).mean(axis=0)
    padded = np.pad(mono, (_FRAME // 2, _FRAME))
    spectra = scipy.signal.stft(padded, nperseg=_FRAME, noverlap=_FRAME - _HOP, boundary=None, padded=False)[2]
    power = np.square(np.abs(spectra))
    band = np.searchsorted(_BANDS_HZ, np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE_HZ)) - 1
    rows = [power[band == index].sum(axis=0) for index in range(len(_BANDS_HZ) - 1)]
    frames = 10 * np.log10(np.maximum(np.array(rows).T, 1e-14))
    return Cloth(samples, _plain(stretches, frames, _clicks_db(mono, len(frames))), frames)


def _clicks_db(mono: Floats, count: int) -> Floats:
    """The sharpest step of every 10 ms, in dB over the usual one: a click is over before a frame of bands sees it."""
    steps = np.abs(np.diff(mono, n=2, append=[0.0, 0.0]))
    sharpest = np.pad(steps, (0, max(0, count * _HOP - len(steps))))[: count * _HOP].reshape(count, _HOP).max(axis=1)
    return np.asarray(20 * np.log10((sharpest + 1e-9) / (float(np.median(sharpest)) + 1e-9)))


def _plain(stretches: Sequence[tuple[int, int]], frames: Floats, clicks_db: Floats) -> tuple[tuple[int, int], ...]:
    """``stretches`` without what is so rare and so distinct that it would be known again: a lone click, a chirp."""
    upper = frames[:, np.searchsorted(_BANDS_HZ, _DISTINCT_HZ) :]
    excess_db = np.maximum((upper - np.median(upper, axis=0)).max(axis=1), clicks_db)
    stands_out = excess_db >= _DISTINCT_DB
    most = _RARE * len(frames) * _HOP / SAMPLE_RATE_HZ
    if _spots(stands_out) > most:
        # Where such things belong to the sound, only what stands out among them is known again.
        stands_out = excess_db >= float(np.median(excess_db[stands_out])) + _BEYOND_DB
    if not 0 < _spots(stands_out) <= most:
        return tuple(stretches)
    good = ~np.convolve(stands_out, np.ones(2 * _AROUND + 1), "same").astype(bool)
    parts = [part for stretch in stretches for part in _parts(stretch, good)]
    kept = sum(last - first for first, last in parts)
    enough = kept >= _ENOUGH * sum(last - first for first, last in stretches)
    return tuple(parts) if enough else tuple(stretches)


def _spots(flags: NDArray[np.bool_]) -> int:
    """How many runs of true there are."""
    return int(np.count_nonzero(np.diff(np.concatenate([[False], flags]).astype(np.int8)) == 1))


def _parts(stretch: tuple[int, int], good: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The good parts of a stretch that are long enough for a patch."""
    first, last = stretch[0] // _HOP, min(len(good), -(-stretch[1] // _HOP))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good[first:last], [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2] + first, edges[1::2] + first, strict=True):
        part = max(stretch[0], int(begin) * _HOP), min(stretch[1], int(end) * _HOP)
        if part[1] - part[0] >= 2 * _SHORTEST_S * SAMPLE_RATE_HZ:
            yield part


def quilted(cloth: Cloth, rng: Rng) -> Iterator[Block]:
    """The texture without end: float32 ``[2, n]`` blocks of various lengths that follow each other seamlessly."""
    needle = _Needle(cloth, rng)
    patch = needle.first()
    while True:
        seam = needle.seam
        following = needle.after(patch)
        yield patch.samples[:, :-seam]
        joined = following.samples.copy()
        joined[:, :seam] = crossfade(patch.samples[:, -seam:], joined[:, :seam])
        patch = _Patch(joined, following.end)


@dataclass(frozen=True, slots=True)
class _Patch:
    """A piece that is heard next; ``end`` is the place in the recording at which its last ``seam`` begins."""

    samples: Block
    end: int


class _Needle:
    """Chooses patches, and remembers which places were used of late."""

    def __init__(self, cloth: Cloth, rng: Rng) -> None:
        self._cloth, self._rng = cloth, rng
        longest = max(last - first for first, last in cloth.stretches)
        most = min(_LONGEST_S * SAMPLE_RATE_HZ, _SHARE * longest)
        self._most = int(max(most, min(longest, _SHORTEST_S * SAMPLE_RATE_HZ)))
        self._least = max(4 * _HOP, self._most // 2)
        self.seam = max(_HOP, min(round(_SEAM_S * SAMPLE_RATE_HZ), self._least // 3))
        self._used = np.zeros(len(cloth.frames))
        self._tuned = cloth.length < _SHORT_S * SAMPLE_RATE_HZ

    def first(self) -> _Patch:
        length = self._length()
        return self._patch(self._places(length, 1)[0], length, 1.0)

    def after(self, patch: _Patch) -> _Patch:
        """A patch whose beginning sounds like what comes at ``patch.end``."""
        length = self._length()
        places = self._places(length, _TRIES)
        cost = self._costs(places, length, patch.end)
        best = np.argsort(cost, kind="stable")[:_BEST]
        place, sign = self._slid(int(places[int(self._rng.choice(best))]), patch.samples[:, -self.seam :], length)
        return self._patch(place, length, sign)

    def _length(self) -> int:
        return int(self._rng.integers(self._least, self._most + 1))

    def _places(self, length: int, count: int) -> NDArray[np.int64]:
        """Random first samples of patches of ``length`` that lie whole in a stretch."""
        room = np.array([max(0, last - first - length) for first, last in self._cloth.stretches], float)
        if not room.any():
            first = max(self._cloth.stretches, key=lambda pair: pair[1] - pair[0])[0]
            return np.full(count, first)
        which = self._rng.choice(len(room), size=count, p=room / room.sum())
        firsts = np.array([first for first, _ in self._cloth.stretches])
        return np.asarray(firsts[which] + (self._rng.random(count) * room[which]).astype(np.int64))

    def _costs(self, places: NDArray[np.int64], length: int, end: int) -> Floats:
        """dB by which each place differs from what would follow, more the more of it was used of late, and where it is
        that very place."""
        frames = self._cloth.frames
        span = np.arange(max(2, self.seam // _HOP))
        top = len(frames) - 1
        wanted = frames[np.minimum(end // _HOP + span, top)]
        offered = frames[np.minimum(places[:, None] // _HOP + span, top)]
        cost = np.abs(offered - wanted).mean(axis=(1, 2))
        sums = np.concatenate([[0.0], np.cumsum(self._used)])
        lasts = np.minimum((places + length) // _HOP, top)
        cost += _USED_DB * (sums[lasts] - sums[places // _HOP]) / (length / _HOP)
        near = np.abs(places - end) < 0.5 * SAMPLE_RATE_HZ
        return np.asarray(cost + _NEAR_DB * near)

    def _slid(self, place: int, tail: Block, length: int) -> tuple[int, float]:
        """``place`` moved by up to 5 ms to where it runs most alike with (or against) the tail it is sewn to."""
        first, last = next(pair for pair in self._cloth.stretches if pair[0] <= place < pair[1])
        low, high = max(first, place - _SLIDE), min(last - length, place + _SLIDE)
        if high <= low:
            return place, 1.0
        window = self._cloth.samples[:, low : high + self.seam].astype(np.float64).mean(axis=0)
        alike = scipy.signal.correlate(window, tail.astype(np.float64).mean(axis=0), "valid", "fft")
        offset = int(np.abs(alike).argmax())
        return low + offset, 1.0 if alike[offset] >= 0 else -1.0

    def _patch(self, place: int, length: int, sign: float) -> _Patch:
        place = int(place)
        self._used *= _FORGET
        self._used[place // _HOP : (place + length) // _HOP + 1] += 1.0
        piece = self._cloth.samples[:, place : place + length]
        if self._tuned:
            piece = _tuned(piece, float(self._rng.uniform(-_CENTS, _CENTS)))
        return _Patch(piece * np.float32(sign), place + length - self.seam)


def _tuned(piece: Block, cents: float) -> Block:
    """``piece`` played a little faster or slower, by cubic interpolation: what it dulls lies above 16 kHz."""
    ratio = 2 ** (cents / 1200)
    count = int((piece.shape[1] - 4) / ratio)
    at = 1 + np.arange(count) * ratio
    whole = at.astype(np.int64)
    part = (at - whole).astype(np.float32)
    a, b, c, d = (piece[:, whole + step] for step in (-1, 0, 1, 2))
    curve = (-a + 3 * b - 3 * c + d) * part + (2 * a - 5 * b + 4 * c - d)
    return np.asarray(b + 0.5 * part * (c - a + part * curve), np.float32)
