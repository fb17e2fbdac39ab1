# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a sound is heard: one model of early reflections and late tail a place, shared by every cue of that place, and
what distance takes from a sound."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import fft

from immersivaudio.engine.synthesis.frame import FRAME, RATE_HZ, Array, glide, seconds, stream

SOUND_MPS = 343.0
_BANDS_HZ = (250.0, 1_500.0, 6_000.0)


@dataclass(frozen=True, slots=True)
class Space:
    """A place's walls and its tail.

    ``metres`` length, width and height (of a street or tunnel: along, across, up). ``reverb_s``: 60 dB of decay below
    250 Hz, round 600 Hz, round 3 kHz and above 6 kHz. ``walls``: how much of a wave each pair of walls (ends, sides,
    floor and ceiling) gives back. ``late``: energy of the diffuse tail against that of a closed room of these measures. ``ground``: what comes back from right beside a
    thing that stands on it, however far the listener is.
    """

    metres: tuple[float, float, float]
    reverb_s: tuple[float, float, float, float]
    walls: tuple[float, float, tuple[float, float]]
    late: float = 1.0
    ground: float = 0.0

    def share(self, distance: float) -> float:
        """The space's energy against the direct sound's for a source at ``distance`` (0 to 1), heard as a boom's
        hypercardioid hears: ``(r / r_c)^2 / 4`` with the critical distance ``r_c = 0.057 sqrt(V / T)`` (Kuttruff, Room
        Acoustics)."""
        critical_m = 0.057 * float(np.sqrt(np.prod(self.metres) / self.reverb_s[1]))
        return min(9.0, self.ground + self.late * (glide(0.2, 0.8 * max(self.metres), distance) / critical_m) ** 2 / 4)


# Decays and absorption in the range of surveys of everyday spaces (Traer and McDermott 2016); outdoors nothing comes
# from above, and what comes back is the ground, the facades, the trunks.
SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "open": Space((40.0, 40.0, 20.0), (0.3, 0.4, 0.3, 0.2), (0.0, 0.0, (0.5, 0.0)), 0.03, 0.025),
        "forest": Space((30.0, 24.0, 12.0), (0.7, 1.0, 0.9, 0.5), (0.0, 0.0, (0.25, 0.0)), 0.06),
        "street": Space((60.0, 14.0, 16.0), (1.1, 1.3, 1.0, 0.5), (0.0, 0.75, (0.8, 0.0)), 0.25, 0.03),
        "room": Space((5.2, 4.1, 2.6), (0.5, 0.42, 0.38, 0.3), (0.7, 0.7, (0.6, 0.75))),
        "hall": Space((26.0, 17.0, 9.0), (2.2, 1.9, 1.5, 0.8), (0.8, 0.8, (0.75, 0.8))),
        "tunnel": Space((60.0, 6.5, 4.6), (2.4, 2.8, 1.9, 0.8), (0.0, 0.93, (0.9, 0.93))),
        "vehicle": Space((2.4, 1.5, 1.2), (0.12, 0.07, 0.05, 0.04), (0.55, 0.6, (0.35, 0.5))),
    }
)


@lru_cache(maxsize=16)
def response(space: str) -> Array:
    """What a place answers to a click, without the direct sound, ``[2, n]``, energy 1 a channel: the images of a box
    (Allen and Berkley 1979) up to the third order, then noise that decays in four bands (Moorer 1979)."""
    place = SPACES[space]
    tail = _tail(place)
    early = _images(place, tail.shape[1])
    tail *= np.sqrt(np.sum(early**2) * _late_share(place) / (np.sum(tail**2) + 1e-12) + 1e-9)
    out = early + tail
    return np.asarray(out / np.sqrt(np.sum(out**2, axis=-1, keepdims=True) + 1e-12))


def _late_share(place: Space) -> float:
    """Energy of the tail against that of the early reflections: the longer it rings, the more."""
    return 6.0 * place.reverb_s[1]


def _tail(place: Space) -> Array:
    """Diffuse noise, a little alike on both sides, in four bands that decay each at its own pace. It sets in once the
    place's mean free path ``4 V / S`` has been crossed twice."""
    a, b, c = place.metres
    path_s = 2 * a * b * c / (a * b + b * c + a * c) / SOUND_MPS
    t = seconds(1.15 * max(place.reverb_s) + path_s)
    rng = stream(0x5ACE, round(1_000 * path_s))
    noise = rng.standard_normal((2, len(t)))
    noise = 0.8 * noise + 0.3 * noise.mean(axis=0)
    onset = np.clip((t - 0.5 * path_s) / (1.5 * path_s), 0.0, 1.0)
    out, rest = np.zeros_like(noise), noise
    for decay_s, edge_hz in zip(place.reverb_s, (*_BANDS_HZ, None), strict=True):
        if edge_hz is None:
            part = 0.35 * rest
        else:
            part = scipy.signal.sosfilt(scipy.signal.butter(1, edge_hz, fs=RATE_HZ, output="sos"), rest, axis=-1)
            rest = rest - part
        out += part * np.exp(-6.91 * t / decay_s)
    return np.asarray(out * onset)


def _images(place: Space, samples: int) -> Array:
    """The early reflections ``[2, samples]``: every image up to the third order that comes within 0.3 s, each smeared
    by what its walls scatter, the more the more of them it met."""
    size = np.array(place.metres)
    ends, sides, (floor, top) = place.walls
    low, high = np.array([ends, sides, floor]), np.array([ends, sides, top])
    ear, source = size * (0.42, 0.45, min(0.55, 1.6 / size[2])), size * (0.55, 0.58, min(0.4, 1.0 / size[2]))
    direct_m = float(np.linalg.norm(source - ear))
    out = np.zeros((4, 2, samples))
    for order in itertools.product(range(-3, 4), repeat=3):
        count = np.abs(order)
        if not 0 < count.sum() <= 3:
            continue
        back = low ** np.where(np.less(order, 0), (count + 1) // 2, count // 2)
        back = back * high ** np.where(np.less(order, 0), count // 2, (count + 1) // 2)
        image = np.where(count % 2 == 0, np.array(order) * size + source, (np.array(order) + 1) * size - source)
        way = image - ear
        reach = float(np.linalg.norm(way))
        late = int((reach - direct_m) / SOUND_MPS * RATE_HZ)
        if 12 < late < min(samples, RATE_HZ * 3 // 10):
            angle = (np.clip(way[1] / reach, -0.9, 0.9) + 1) * np.pi / 4
            out[count.sum(), :, late] += (
                float(np.prod(back)) * direct_m / reach * np.array([np.cos(angle), np.sin(angle)])
            )
    smeared = np.sum(
        [scipy.signal.oaconvolve(out[met], _scattered(met), axes=-1)[:, :samples] for met in (1, 2, 3)], axis=0
    )
    return np.asarray(scipy.signal.lfilter([0.55], [1.0, -0.45], smeared, axis=-1))


def _scattered(met: int) -> Array:
    """What ``met`` uneven walls make of a click, ``[2, n]``, energy 1: half of it at once, half within a few ms."""
    t = seconds(0.008 * met)
    noise = stream(0xD1FF, met).standard_normal((2, len(t))) * np.exp(-t / (0.0014 * met))
    noise *= np.sqrt((1 - 0.5**met) / np.sum(noise**2, axis=1, keepdims=True))
    noise[:, 0] += np.sqrt(0.5**met)
    return np.asarray(noise)


@lru_cache(maxsize=32)
def room(reverb_s: float, early_s: float = 0.02, seed: int = 1) -> Array:
    """A stereo response ``[2, n]`` of what lies within a bed: a few early taps, then noise that decays 60 dB in
    ``reverb_s``, highs faster (Moorer 1979). Without the direct sound; its energy is 1 a channel."""
    rng = stream(seed)
    t = seconds(reverb_s * 1.1 + early_s)
    tail = rng.standard_normal((2, len(t)))
    mid = tail.mean(axis=0)
    tail = 0.75 * tail + 0.35 * mid
    onset = np.clip((t - 0.2 * early_s) / early_s, 0.0, 1.0)
    bright = tail * np.exp(-6.91 * 2.2 * t / reverb_s)
    dark = scipy.signal.lfilter([0.25], [1.0, -0.75], tail, axis=-1) * np.exp(-6.91 * t / reverb_s)
    out = (0.25 * bright + dark) * onset
    for _ in range(8):
        out[:, int(rng.uniform(0.3, 2.5) * early_s * RATE_HZ)] += rng.uniform(0.5, 1.0, 2) * rng.choice([-1, 1]) * 0.8
    return np.asarray(out / np.sqrt(np.sum(out**2, axis=-1, keepdims=True)), np.float64)


def in_room(wave: Array, share: float, reverb_s: float, early_s: float = 0.02) -> Array:
    """``wave`` ``[n]`` or ``[2, n]`` with its room, ``[2, n + tail]``; ``share`` is the room's energy against the direct."""
    dry, tail = np.atleast_2d(wave), room(round(reverb_s, 2), early_s).shape[1]
    length = dry.shape[1] + tail - 1
    size = fft.next_fast_len(-(-length // 8_192) * 8_192, real=True)
    spectra = fft.rfft(dry.astype(np.float32), size) * _answer(round(reverb_s, 2), early_s, size)
    wet = np.sqrt(share) * fft.irfft(spectra, size)[:, :length].astype(np.float64)
    wet[:, : dry.shape[1]] += dry
    return np.asarray(wet, np.float64)


@lru_cache(maxsize=48)
def _answer(reverb_s: float, early_s: float, size: int) -> NDArray[np.complex64]:
    """The spectrum of a room's response, ``size`` samples long."""
    return np.asarray(fft.rfft(room(reverb_s, early_s).astype(np.float32), size), np.complex64)


def far_cutoff_hz(distance: float) -> float:
    """Above which frequency air, ground and foliage have taken the sound; ``distance`` 0 to 1 is about 1 to 400 m."""
    return glide(20_000.0, 1_600.0, distance)


def darkened(wave: Array, distance: float) -> Array:
    """``wave`` as heard from ``distance``: a gentle low-pass; the first sample stays where it is."""
    if distance <= 0.02:
        return wave
    sos = scipy.signal.butter(1, far_cutoff_hz(distance) / 1.0, fs=RATE_HZ, output="sos")
    return np.asarray(scipy.signal.sosfilt(sos, wave, axis=-1), np.float64)


class Convolver:
    """A response for a stream: mono frames in, ``[2, FRAME]`` out, in parts of a frame each (Wefers 2015), so that a
    long response costs little more than a short one; a stream that is silent long enough costs nothing."""

    def __init__(self, parts: NDArray[np.complex64]) -> None:
        self._parts = parts
        self._past = np.zeros(parts.shape[1:], np.complex64)
        self._before, self._idle = np.zeros(FRAME, np.float32), parts.shape[1] + 1

    def frame(self, wave: Array) -> Array:
        """``[FRAME]`` -> ``[2, FRAME]``."""
        fresh = wave.astype(np.float32)
        still = self._idle > len(self._past)
        self._idle = self._idle + 1 if not fresh.any() else 0
        if self._idle > len(self._past):
            return np.zeros((2, FRAME))
        self._past[1:] = self._past[:-1].copy()
        self._past[0] = fft.rfft(np.concatenate([self._before, fresh]))
        self._before = fresh
        total = np.einsum("cpf,pf->cf", self._parts, self._past)
        out = fft.irfft(total, 2 * FRAME, axis=-1)[:, FRAME:].astype(np.float64)
        if still:
            # Nothing comes back before something has sounded, not even the transform's rounding.
            out[:, : int(np.argmax(fresh != 0))] = 0.0
        return out


def partitioned(answer: Array) -> NDArray[np.complex64]:
    """The spectra of a response ``[2, n]`` in parts of a frame, for a :class:`Convolver`."""
    parts = -(-answer.shape[1] // FRAME)
    padded = np.zeros((2, parts * FRAME), np.float32)
    padded[:, : answer.shape[1]] = answer
    return np.asarray(fft.rfft(padded.reshape(2, parts, FRAME), 2 * FRAME, axis=-1), np.complex64)


def reverb(reverb_s: float, early_s: float = 0.02, seed: int = 1) -> Convolver:
    """A bed's own room for a stream; see :func:`room`."""
    return Convolver(_room_parts(round(reverb_s, 2), early_s, seed))


def place(space: str) -> Convolver:
    """The one response of a place, for a stream of its own."""
    return Convolver(_place_parts(space))


@lru_cache(maxsize=16)
def _room_parts(reverb_s: float, early_s: float, seed: int) -> NDArray[np.complex64]:
    return partitioned(room(reverb_s, early_s, seed))


@lru_cache(maxsize=16)
def _place_parts(space: str) -> NDArray[np.complex64]:
    return partitioned(response(space))
