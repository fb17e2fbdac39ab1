# SPDX-License-Identifier: AGPL-3.0-or-later
"""Things that pass: a source on its path, heard with its distance law, Doppler shift, air and side.

A sound heard at ``t`` left at ``t_e`` with ``t = t_e + r(t_e) / c``; for a straight path at constant speed that is a
quadratic with one root of interest, so that the source is read at exactly the right place for every sample. Where the
cue has the path of the picture, see ``course``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import scipy

from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.synthesis.course import SOUND_MPS, Followed
from immersivaudio.engine.synthesis.frame import (
    FRAME,
    HOP,
    HOPS,
    RATE_HZ,
    Array,
    Ask,
    Ramp,
    Rng,
    Texture,
    Wander,
    drawn,
    gain,
    glide,
    lerp,
)
from immersivaudio.engine.synthesis.noise import Noise, band, hump, resonance, slope, unit
from immersivaudio.engine.synthesis.tones import Motor

_AIR_HZ = (3_500.0, 900.0)
_GRID = 24
# A source is read from a little before it is first heard.
_LEAD_S = 0.1


@dataclass(frozen=True, slots=True)
class Path:
    """A straight way past the listener: ``closest_s`` on the cue's clock, distances in metres."""

    speed_mps: float
    closest_s: float
    closest_m: float
    from_pan: float
    to_pan: float

    def left_at(self, heard_s: Array, offset_m: float = 0.0) -> Array:
        """When what is heard at these moments left a source ``offset_m`` behind the leading one; from the closest point."""
        t = heard_s - self.closest_s - offset_m / self.speed_mps
        c2, v2 = SOUND_MPS**2, self.speed_mps**2
        root = np.sqrt((c2 * t) ** 2 - (c2 - v2) * (c2 * t**2 - self.closest_m**2))
        earlier: Array = (c2 * t - root) / (c2 - v2)
        return earlier

    def beside(self, left_s: Array) -> tuple[Array, float]:
        """How far along its way it is from the closest point, and how far that lies aside, in metres."""
        return self.speed_mps * left_s, self.closest_m

    def pan(self, left_s: Array, facing: Array) -> Array:
        """The side it is on, from -1 to 1, by the cosine of the direction in which it goes."""
        del left_s
        return lerp_array(self.from_pan, self.to_pan, (1 - facing) / 2)

    def ground(self, beyond_m: float) -> tuple[float, float]:
        """Distance and side of a place on the ground, ``beyond_m`` along the way from the closest point."""
        reach = float(np.hypot(beyond_m, self.closest_m))
        return reach, lerp(self.from_pan, self.to_pan, (1 + beyond_m / reach) / 2)


@dataclass(frozen=True, slots=True)
class Part:
    """One source of the thing that passes: where behind its front, and how loud towards the listener by the cosine
    of the direction it is heard from (1 comes straight on, -1 flies straight away); ``bounce`` is what the ground
    throws back, ``half_m`` half its length."""

    source: Texture
    offset_m: float = 0.0
    towards: Callable[[Array], Array] = np.ones_like
    bounce: float = 0.0
    half_m: float = 0.0


class _Reader:
    """A source's output, darkened as its way through the air darkens it, readable at any rising place in samples."""

    def __init__(self, source: Texture, dark: Callable[[Array], Array]) -> None:
        self._source, self._dark = source, dark
        self._sos = [scipy.signal.butter(1, hz, fs=RATE_HZ, output="sos").astype(np.float32) for hz in _AIR_HZ]
        self._state = [np.zeros((1, 2), np.float32) for _ in _AIR_HZ]
        self._kept = np.zeros(0, np.float32)
        self._first, self._made = 0, 0

    def at(self, places: Array) -> Array:
        """``[n]`` samples at ``places`` (relative to the first ever asked for)."""
        while self._first + len(self._kept) < places[-1] + 2:
            self._kept = np.concatenate([self._kept, self._more()])
        spare = int(places[0]) - self._first - FRAME
        if spare > 0:
            self._kept, self._first = self._kept[spare:], self._first + spare
        local = places - self._first
        index = local.astype(np.int64)
        below = self._kept[index]
        read: Array = below + (self._kept[index + 1] - below) * (local - index)
        return read

    def _more(self) -> Array:
        """The next frame of the source in three darknesses, mixed by how dark each of its moments arrives."""
        fresh = self._source.frame()[0].astype(np.float32)
        dark = self._dark((self._made + np.arange(HOPS + 1) * HOP) / RATE_HZ)
        self._made += FRAME
        weights = np.stack([np.clip(1 - dark, 0, 1), 1 - np.abs(dark - 1), np.clip(dark - 1, 0, 1)]).astype(np.float32)
        mixed = drawn(weights[0]) * fresh
        for k, sos in enumerate(self._sos):
            if weights[k + 1].any():
                darker, self._state[k] = scipy.signal.sosfilt(sos, fresh, zi=self._state[k])
                mixed += drawn(weights[k + 1]) * darker
        return np.asarray(mixed)


class Passage(Texture, Protocol):
    """A sound on its way past the listener, and the way for another one to go."""

    def played_by(self, source: Texture, source_lufs: float) -> Passing:
        """The same way gone by ``source``, whose loudness in one channel is known."""
        ...

    def played_s(self, duration_s: float) -> float:
        """How much of such a source is heard in the first ``duration_s``."""
        ...

    def pans(self, heard_s: Array) -> Array:
        """The side from -1 to 1 on which it is heard at these moments."""
        ...


class Passing:
    """The whole event: parts on a path. At its closest it reaches ``peak_lufs``, whatever the source's own level."""

    settle_s = 0.0

    def __init__(
        self, path: Path | Followed, parts: list[Part], peak_lufs: float, source_lufs: float | None = None
    ) -> None:
        self._path, self._parts, self._peak_lufs = path, parts, peak_lufs
        known = _loudness([part.source for part in parts]) if source_lufs is None else source_lufs
        self._level = gain(peak_lufs - known)
        self._origin_s = [float(path.left_at(np.array([-_LEAD_S]), part.offset_m)[0]) for part in parts]
        self._readers = [
            _Reader(part.source, partial(self._dark, part, origin_s))
            for part, origin_s in zip(parts, self._origin_s, strict=True)
        ]
        self._clock = 0

    def played_by(self, source: Texture, source_lufs: float) -> Passing:
        """See :class:`Passage`."""
        return Passing(self._path, [Part(source)], self._peak_lufs, source_lufs)

    def played_s(self, duration_s: float) -> float:
        """See :class:`Passage`."""
        first, last = self._path.left_at(np.array([-_LEAD_S, duration_s]))
        return float(last - first)

    def pans(self, heard_s: Array) -> Array:
        """See :class:`Passage`."""
        left = self._path.left_at(heard_s)
        along, aside = self._path.beside(left)
        return self._path.pan(left, -along / np.hypot(along, aside))

    def frame(self) -> Array:
        """The next ``[2, FRAME]`` of the cue."""
        heard = (self._clock - 1 + np.arange(0, FRAME + 1, _GRID)) / RATE_HZ
        self._clock += FRAME
        out = np.zeros((2, FRAME))
        for part, reader, origin_s in zip(self._parts, self._readers, self._origin_s, strict=True):
            out += self._one(part, reader, heard, origin_s)
        return self._level * out

    def _one(self, part: Part, reader: _Reader, heard: Array, origin_s: float) -> Array:
        """One part ``[2, FRAME]``; its way is reckoned at ``heard``, every ``_GRID`` samples, and is straight between."""
        path = self._path
        left = path.left_at(heard, part.offset_m)
        beside, reach = self._aside(part, left)
        facing = -beside / reach
        places = (left - origin_s) * RATE_HZ
        wave = reader.at(drawn(places))
        if part.bounce > 0:
            late = 3.2 * path.closest_m / reach / SOUND_MPS * RATE_HZ
            wave = wave + part.bounce * reader.at(drawn(np.maximum.accumulate(np.maximum(places - late, 0.0))))
        angle = (path.pan(left, facing) + 1) * np.pi / 4
        loud = part.towards(facing) * path.closest_m / reach
        return np.stack([drawn(np.cos(angle) * loud), drawn(np.sin(angle) * loud)]) * wave

    def _aside(self, part: Part, left_s: Array) -> tuple[Array, Array]:
        """How far along its way the nearest of a part was when its sound left, and how far from the listener, in m."""
        along, aside = self._path.beside(left_s)
        beside = np.sign(along) * np.maximum(np.abs(along) - part.half_m, 0.0)
        return beside, np.hypot(beside, aside)

    def _dark(self, part: Part, origin_s: float, made_s: Array) -> Array:
        """How much the air takes of what a part sounds ``made_s`` after its first: 0 (nothing) to 2."""
        reach = self._aside(part, made_s + origin_s)[1]
        return np.clip(np.log2(np.maximum(reach, 1.0) / 25.0) / 2.6, 0.0, 2.0)


def lerp_array(low: float, high: float, share: Array) -> Array:
    """Straight from ``low`` at 0 to ``high`` at 1."""
    return low + (high - low) * share


def _loudness(sources: list[Texture]) -> float:
    """Loudness of the sources together, in LUFS, heard for two seconds in the middle."""
    meter = LoudnessMeter(1)
    for _ in range(4):
        meter.push(np.sum([source.frame()[:1] for source in sources], axis=0))
    return meter.integrated() or -70.0


def path_of(ask: Ask, slow_mps: float, fast_mps: float, extra_m: float = 0.0) -> Path | Followed:
    """The cue's way, or its knobs as a straight path; ``extra_m`` is what such a thing always keeps away."""
    closest = ask["closest_s"] or ask.duration_s / 2
    speed = glide(slow_mps, fast_mps, ask["speed"])
    if ask.way:
        return Followed(ask.way, speed, fast_mps, ask.duration_s, extra_m)
    return Path(speed, closest, ask["closest_m"] + extra_m, ask["from_pan"], ask["to_pan"])


def peak_lufs(closest_m: float) -> float:
    """How loud a passing is at its closest: -20 LUFS at 6 m, 5 dB less for each tenfold distance."""
    return -20.0 - 5.0 * float(np.log10(closest_m / 6.0))


class Tyres:
    """Tyre and road: noise round 1 kHz, rougher and brighter with speed, over the body's low rush."""

    settle_s = 4.0

    def __init__(self, rng: Rng, fast: float) -> None:
        tread = unit(hump(lerp(750.0, 1_050.0, fast), 0.8)) + 0.35 * unit(
            band(1_500.0, 9_000.0, 1) * slope(-3.0, 2_000.0)
        )
        self._paint = tread + lerp(0.6, 0.35, fast) * unit(slope(-5.0, 70.0) * band(35.0, 600.0, 1))
        self._noise, self._rough = Noise(rng, 0.0), Wander(rng, (0.03, 0.1))

    def frame(self) -> Array:
        return 0.1 * self._noise.frame(np.exp(0.08 * self._rough.frame())[:, None] * self._paint)


class _CarMotor:
    """A car's engine from outside: its cycle's wave, hunting a little."""

    settle_s = 4.0

    def __init__(self, rng: Rng, fast: float) -> None:
        self._motor, self._hunt, self._ramp = Motor(rng, lerp(0.3, 0.7, fast)), Wander(rng, (0.1, 0.6, 3.0)), Ramp()
        self._cycle_hz = glide(13.0, 30.0, fast) * rng.uniform(0.9, 1.1)

    def frame(self) -> Array:
        wave = self._motor.frame(self._cycle_hz * self._ramp.frame(1 + 0.004 * self._hunt.frame()))
        return 0.05 * np.stack([wave, wave])


def car(ask: Ask) -> Passing:
    """A car: tyres and engine together, 8 to 40 m/s."""
    fast = ask["speed"]
    path = path_of(ask, 8.0, 40.0)
    parts = [Part(Tyres(ask.rng("tyres"), fast)), Part(_CarMotor(ask.rng("motor"), fast))]
    return Passing(path, parts, peak_lufs(path.closest_m))


class _Roar:
    """A jet's exhaust: broad low noise that tears a little."""

    settle_s = 4.0

    def __init__(self, rng: Rng) -> None:
        self._paint = unit(hump(150.0, 1.1) + 0.3 * band(300.0, 3_000.0, 1) * slope(-4.0, 400.0))
        self._noise, self._tear = Noise(rng, 0.0), Wander(rng, (0.025, 0.08, 0.5))

    def frame(self) -> Array:
        return 0.1 * self._noise.frame(np.exp(0.25 * self._tear.frame())[:, None] * self._paint)


class _Fan:
    """A jet's front: fan whine with its side tones over compressor hiss."""

    settle_s = 4.0

    def __init__(self, rng: Rng) -> None:
        pitch = rng.uniform(1_700.0, 2_600.0)
        tones = resonance(pitch, 18.0) + 0.5 * resonance(1.5 * pitch, 22.0) + 0.4 * resonance(2 * pitch, 24.0)
        self._paint = 0.13 * unit(tones) + 0.6 * unit(band(700.0, 9_000.0, 1) * slope(-4.0, 1_200.0))
        self._noise = Noise(rng, 0.0)

    def frame(self) -> Array:
        return 0.05 * self._noise.frame(self._paint)


def aircraft(ask: Ask) -> Passing:
    """A jet: the whine comes ahead of it, the roar stays behind; the ground's reflection combs both."""
    path = path_of(ask, 60.0, 220.0, 80.0)
    front = Part(_Fan(ask.rng("fan")), 0.0, lambda facing: np.clip(0.55 + 0.75 * facing, 0.02, 1.3), 0.6)
    rear = Part(_Roar(ask.rng("roar")), 12.0, lambda facing: np.clip(0.75 - 0.75 * facing, 0.15, 1.4), 0.6)
    return Passing(path, [front, rear], peak_lufs(ask["closest_m"]) - 1.0)
