# SPDX-License-Identifier: AGPL-3.0-or-later
"""The instruments: struck and plucked ones as sums of decaying modes, bowed and blown ones as moving wavetables.

All give ``[2, n]`` float32 at 48 kHz, about unit level at full velocity; ``velocity`` is 0 to 1 and changes the
colour as well as the level, so that no two strokes are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Rng, lerp, panned
from immersivaudio.engine.synthesis.noise import band, burst

Wave = NDArray[np.float32]
_TABLE = 4_096
_CHUNK = 320
_CONTROL = 48
_FAINT = 0.002


@dataclass(frozen=True, slots=True)
class Touch:
    """One note as an instrument is asked for it: ``held_s`` until it is let go."""

    hz: float
    held_s: float
    velocity: float
    pan: float
    rng: Rng


def hertz(pitch: float) -> float:
    """Equal temperament, A4 = 440 Hz."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def modes(hz: Array, loud: Array, fall_s: Array, samples: int) -> Wave:
    """Sum of decaying sines, mono: amplitude ``loud``, time constant ``fall_s`` for each of ``hz``.

    exp(s (a + b)) = exp(s a) exp(s b), so that a product of two small matrices gives all samples.
    """
    rows = -(-samples // _CHUNK)
    cos_a, sin_a = _turning(hz, fall_s, np.arange(rows) * (_CHUNK / RATE_HZ))
    cos_b, sin_b = _turning(hz, fall_s, np.arange(_CHUNK) / RATE_HZ)
    level = loud.astype(np.float32)[:, None]
    left, right = np.concatenate([sin_a * level, cos_a * level]), np.concatenate([cos_b, sin_b])
    wave: Wave = (left.T @ right).reshape(-1)[:samples]
    return wave


def _turning(hz: Array, fall_s: Array, t: Array) -> tuple[Wave, Wave]:
    """Decaying cosine and sine of each mode at times ``t``; phases are folded before they become single precision."""
    angle = ((hz[:, None] * t) % 1.0).astype(np.float32) * np.float32(2 * np.pi)
    level = np.exp((-t / fall_s[:, None]).astype(np.float32))
    return np.cos(angle) * level, np.sin(angle) * level


def _stroke(touch: Touch, modes_of: tuple[Array, Array, Array], ring_s: float, let_go_s: float) -> Wave:
    """A struck or plucked note: modes with two slightly different strings, left and right, damped when let go."""
    hz, loud, fall_s = modes_of
    kept = (hz < 16_000) & (loud > _FAINT * loud.max())
    hz, loud, fall_s = hz[kept], loud[kept], fall_s[kept]
    samples = int(min(ring_s, touch.held_s + 4 * let_go_s) * RATE_HZ)
    spread = 2 ** (touch.rng.normal(0.0, 0.6, (2, 1)) / 1200)
    scatter = np.exp(touch.rng.normal(0.0, 0.08, (2, len(hz))))
    sides = np.sqrt(2) * panned(touch.pan)
    wave = np.stack([modes(hz * spread[s], sides[s] * loud * scatter[s], fall_s, samples) for s in (0, 1)])
    return _damped(wave, touch.held_s, let_go_s)


def _damped(wave: Wave, held_s: float, let_go_s: float) -> Wave:
    """Let go after ``held_s``, and to nothing in the last 5 ms."""
    from_sample = int(held_s * RATE_HZ)
    rest = wave.shape[1] - from_sample
    if rest > 0:
        wave[:, from_sample:] *= np.exp(-np.arange(rest, dtype=np.float32) / np.float32(let_go_s * RATE_HZ))
    last = min(240, wave.shape[1])
    if last:
        wave[:, -last:] *= np.linspace(1.0, 0.0, last, dtype=np.float32)
    return wave


def _soften(wave: Wave, attack_s: float) -> Wave:
    count = min(wave.shape[1], max(1, int(attack_s * RATE_HZ)))
    wave[:, :count] *= (0.5 - 0.5 * np.cos(np.pi * np.arange(count) / count)).astype(np.float32)
    return wave


def _thump(wave: Wave, touch: Touch, low_hz: float, high_hz: float, loud: float) -> Wave:
    """The knock of hammer, key or finger at the start."""
    knock = burst(touch.rng, 0.05, band(low_hz, high_hz)) * loud
    count = min(len(knock), wave.shape[1])
    wave[:, :count] += (knock[:count] * np.exp(-np.arange(count) / (0.012 * RATE_HZ))).astype(np.float32)
    return wave


def piano(touch: Touch) -> Wave:
    """A felt piano: stiff strings (Fletcher's inharmonicity), soft hammer struck at an eighth of the string."""
    count = int(min(28, 9_000 / touch.hz))
    n = np.arange(1, max(2, count) + 1)
    stiff = 0.00025 * (touch.hz / 262.0) ** 1.2
    hz = n * touch.hz * np.sqrt(1 + stiff * n**2)
    cutoff = lerp(700.0, 2_600.0, touch.velocity**1.4) + touch.hz
    loud = np.abs(np.sin(np.pi * n / 8.2)) / n**0.9 * np.exp(-hz / cutoff)
    loud *= 0.9 * touch.velocity**1.5 / (np.sqrt(np.sum(loud**2)) + 1e-9)
    fall_s = 1.7 * (262.0 / touch.hz) ** 0.45 / (1 + (hz / 1_900.0) ** 1.1)
    wave = _soften(_stroke(touch, (hz, loud, fall_s), 5.0, 0.22), lerp(0.007, 0.003, touch.velocity))
    return _thump(wave, touch, 60.0, 500.0, 0.05 * touch.velocity**1.5)


def harp(touch: Touch) -> Wave:
    """A plucked string that rings on."""
    n = np.arange(1, int(max(3, min(24, 10_000 / touch.hz))) + 1)
    loud = np.abs(np.sin(np.pi * n * 0.31)) / n**1.25 * np.exp(-n * touch.hz / lerp(1_800, 5_000, touch.velocity))
    loud *= 0.8 * touch.velocity**1.4 / (np.sqrt(np.sum(loud**2)) + 1e-9)
    fall_s = 0.95 * (262.0 / touch.hz) ** 0.4 / (1 + (n * touch.hz / 2_400.0))
    wave = _stroke(touch, (n * touch.hz, loud, fall_s), 3.5, 0.6)
    return _thump(_soften(wave, 0.002), touch, 300.0, 2_500.0, 0.02 * touch.velocity)


def celesta(touch: Touch) -> Wave:
    """A small metal bar over a resonator: the fourth partial is what makes it glitter."""
    ratios = np.array([1.0, 2.0, 4.0, 6.6, 10.9])
    loud = np.array([1.0, 0.06, 0.28 * touch.velocity, 0.07 * touch.velocity, 0.05 * touch.velocity**2])
    fall_s = np.array([0.9, 0.5, 0.32, 0.12, 0.06]) * (523.0 / touch.hz) ** 0.3
    wave = _stroke(touch, (ratios * touch.hz, 0.6 * touch.velocity**1.4 * loud, fall_s), 3.0, 0.5)
    return _soften(wave, 0.0015)


def bass(touch: Touch) -> Wave:
    """A double bass, plucked."""
    n = np.arange(1, 15)
    loud = np.abs(np.sin(np.pi * n * 0.22)) / n**1.2 * np.exp(-n * touch.hz / lerp(250, 900, touch.velocity))
    loud *= 1.1 * touch.velocity**1.3 / np.sqrt(np.sum(loud**2))
    fall_s = 0.55 / (1 + n * touch.hz / 420.0)
    wave = _soften(_stroke(touch, (n * touch.hz, loud, fall_s), 2.0, 0.12), 0.005)
    return _thump(wave, touch, 80.0, 700.0, 0.06 * touch.velocity)


@dataclass(frozen=True, slots=True)
class Reed:
    """A sustained instrument: how its spectrum falls, how many players, how far apart (cents), vibrato (cents), attack."""

    tilt: float
    cutoff_hz: tuple[float, float]
    players: int
    cents: float
    vibrato: float
    attack_s: float
    release_s: float
    even: float = 1.0
    breath: float = 0.0


_REEDS: Mapping[str, Reed] = MappingProxyType(
    {
        "strings": Reed(1.0, (750.0, 2_000.0), 3, 8.0, 7.0, 0.34, 0.38),
        "low strings": Reed(1.0, (380.0, 1_100.0), 2, 6.0, 5.0, 0.16, 0.3),
        "violins": Reed(0.95, (1_300.0, 3_600.0), 3, 7.0, 13.0, 0.10, 0.28),
        "flute": Reed(1.9, (1_600.0, 3_400.0), 1, 0.0, 14.0, 0.07, 0.14, 0.6, 0.035),
    }
)


@lru_cache(maxsize=256)
def _table(name: str, pitch: int, shade: int) -> Wave:
    """One period at unit rms; ``shade`` 0 to 7 from soft to loud. Saw-like, low-passed, with a bowed body's slope."""
    reed, hz = _REEDS[name], hertz(pitch)
    n = np.arange(1, int(min(120, 15_000 / hz)) + 1)
    cutoff = max(lerp(*reed.cutoff_hz, shade / 7), 1.1 * hz)
    loud = n**-reed.tilt / np.sqrt(1 + (n * hz / cutoff) ** 4)
    loud = np.where(n % 2 == 0, reed.even, 1.0) * loud
    phases = np.random.Generator(np.random.SFC64(pitch)).uniform(0, 2 * np.pi, len(n))
    spectrum = np.zeros(_TABLE // 2 + 1, complex)
    spectrum[n] = loud * np.exp(1j * phases)
    wave = np.fft.irfft(spectrum, _TABLE)
    return (wave / np.std(wave)).astype(np.float32)


def _sustained(name: str) -> Callable[[Touch], Wave]:
    def play(touch: Touch) -> Wave:
        return _bowed(name, touch)

    return play


def _bowed(name: str, touch: Touch) -> Wave:
    """Players a few cents apart, each with its own vibrato, which begins after the attack."""
    reed, rng = _REEDS[name], touch.rng
    rows = max(1, int((touch.held_s + 3.0 * reed.release_s) * RATE_HZ / _CONTROL))
    t = np.arange(rows + 1) * (_CONTROL / RATE_HZ)
    table = _table(name, round(69 + 12 * np.log2(touch.hz / 440.0)), min(7, int(8 * touch.velocity)))
    late = np.clip((t - 0.12) / 0.5, 0.0, 1.0)
    wave = np.zeros((2, rows * _CONTROL), np.float32)
    for player in range(reed.players):
        place = player - (reed.players - 1) / 2
        rate = rng.uniform(4.9, 5.7)
        depth = touch.hz * reed.vibrato / 1731.0 / (2 * np.pi * rate)
        hz = touch.hz * 2 ** ((rng.normal(0, 1.5) + reed.cents * place) / 1200)
        turns = hz * t + depth * late * np.sin(2 * np.pi * rate * t + rng.uniform(0, 2 * np.pi)) + rng.random()
        tone = table[(_drawn(turns, np.floor(turns)) * np.float32(_TABLE)).astype(np.int32) & (_TABLE - 1)]
        sides = panned(float(np.clip(touch.pan + 0.45 * place, -0.95, 0.95))).astype(np.float32)
        wave[0] += sides[0] * tone
        wave[1] += sides[1] * tone
    wave *= _drawn(_bow(reed, touch, t) * (0.42 / np.sqrt(reed.players)), np.zeros(rows + 1))
    return _breathed(wave, reed, touch)


def _drawn(points: Array, whole: Array) -> Wave:
    """``[n + 1]`` points, less the ``whole`` turns at each row's start, as ``n`` rows of samples, straight between."""
    starts = (points[:-1] - whole[:-1]).astype(np.float32)
    rise = np.arange(_CONTROL, dtype=np.float32) / np.float32(_CONTROL)
    lines: Wave = (starts[:, None] + np.diff(points).astype(np.float32)[:, None] * rise).reshape(-1)
    return lines


def _bow(reed: Reed, touch: Touch, t: Array) -> Array:
    """Loudness over the note: attack, a slow swell on long notes, release."""
    attack = min(reed.attack_s * lerp(1.25, 0.6, touch.velocity), 0.45 * touch.held_s + 0.01)
    rise = np.sin(np.clip(t / attack, 0.0, 1.0) * (np.pi / 2)) ** 2
    swell = 1.0 + 0.16 * np.sin(np.pi * np.clip(t / max(touch.held_s, 0.1), 0.0, 1.0)) * min(1.0, touch.held_s / 2)
    gone = np.exp(-np.maximum(t - touch.held_s, 0.0) / (reed.release_s / 2.2))
    fade = np.clip((t[-1] - t) / 0.02, 0.0, 1.0)
    return np.asarray(touch.velocity**1.25 * rise * swell * gone * fade)


def _breathed(wave: Wave, reed: Reed, touch: Touch) -> Wave:
    if not reed.breath or not wave.shape[1]:
        return wave
    air = burst(touch.rng, (wave.shape[1] + 0.5) / RATE_HZ, band(900.0, 5_000.0))[: wave.shape[1]]
    t = np.arange(wave.shape[1]) / RATE_HZ
    shape = np.clip(t / 0.03, 0, 1) * (1 + 2.0 * np.exp(-t / 0.06)) * np.exp(-np.maximum(t - touch.held_s, 0) / 0.06)
    return wave + (reed.breath * touch.velocity * air * shape).astype(np.float32)


def drum(touch: Touch) -> Wave:
    """A large frame drum, soft mallet: the modes of a membrane and a skin's noise."""
    hz = 62.0 * np.array([1.0, 1.59, 2.14, 2.30, 2.65, 2.92]) * touch.rng.uniform(0.985, 1.015)
    loud = np.array([1.0, 0.5, 0.3, 0.22, 0.16, 0.1]) * touch.velocity**1.5
    fall_s = np.array([0.30, 0.16, 0.11, 0.09, 0.08, 0.07])
    wave = _soften(_stroke(touch, (hz, 0.9 * loud, fall_s), 1.4, 1.0), 0.004)
    return _thump(wave, touch, 90.0, lerp(500.0, 1_600.0, touch.velocity), 0.25 * touch.velocity**1.5)


def shaker(touch: Touch) -> Wave:
    """Seeds thrown once: a short swell of high noise."""
    wave = burst(touch.rng, 0.09, band(4_500.0, 11_000.0)) * touch.velocity**1.2 * 0.35
    t = np.arange(len(wave)) / RATE_HZ
    shape = np.minimum(t / 0.018, 1.0) * np.exp(-np.maximum(t - 0.018, 0.0) / 0.016)
    return np.asarray(np.sqrt(2) * panned(touch.pan)[:, None] * wave * shape, np.float32)


def cymbal(touch: Touch) -> Wave:
    """A suspended cymbal, soft mallet."""
    sides = [burst(touch.rng, 2.6, band(2_200.0, 9_500.0)) for _ in (0, 1)]
    t = np.arange(len(sides[0])) / RATE_HZ
    shape = (
        np.minimum(t / 0.012, 1.0)
        * (0.7 * np.exp(-t / 0.22) + 0.3 * np.exp(-t / 0.8))
        * np.clip((2.55 - t) / 0.4, 0, 1)
    )
    return np.asarray(0.3 * touch.velocity**1.5 * np.stack(sides) * shape, np.float32)


VOICES: Mapping[str, Callable[[Touch], Wave]] = MappingProxyType(
    {
        "piano": piano,
        "harp": harp,
        "celesta": celesta,
        "bass": bass,
        "drum": drum,
        "shaker": shaker,
        "cymbal": cymbal,
        **{name: _sustained(name) for name in _REEDS},
    }
)
