# SPDX-License-Identifier: AGPL-3.0-or-later
"""What breaks and bursts: a pane and its fragments, an explosion, a shot."""

from __future__ import annotations

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp, panned, seconds
from immersivaudio.engine.synthesis.impacts import ringing
from immersivaudio.engine.synthesis.noise import burst, drawn_noise, hump, slope
from immersivaudio.engine.synthesis.props import Part, hissed, knocked, laid
from immersivaudio.engine.synthesis.space import darkened


def scattered(parts: list[Part], rng: Rng, wide: float) -> Array:
    """Parts added up, ``[2, n]``, each at a side of its own."""
    length = max(int(start * RATE_HZ) + len(wave) for start, _, wave in parts)
    out = np.zeros((2, length))
    for start, loud, wave in parts:
        first = int(start * RATE_HZ)
        sides = panned(rng.uniform(-wide, wide)) if start > 0.02 else panned(0.0)
        out[:, first : first + len(wave)] += sides[:, None] * (loud * wave / (np.max(np.abs(wave)) + 1e-9))
    return out


class GlassBreak:
    """A pane or vessel that breaks: the crack that runs through it, and fragments that fall, each with the few high modes
    of a small thick plate, and bounce ever sooner. ``size`` from a glass to a shop window."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``, the crack at its start."""
        strength, size = self._ask["strength"], self._ask["size"]
        parts: list[Part] = [
            (0.0, 1.0, hissed(rng, 1_500.0, lerp(9_000.0, 16_000.0, strength), glide(0.004, 0.012, size))),
            (0.0, 0.7, knocked(rng, (glide(900.0, 250.0, size), 6_000.0), (0.004, 0.03), 0.0004, 60)),
        ]
        fall_s = glide(0.12, 0.45, size)
        for _ in range(int(glide(35.0, 170.0, size) * lerp(0.6, 1.2, strength))):
            small = rng.random() ** 0.6
            start, gap = rng.gamma(1.3, 0.8 * fall_s), rng.uniform(0.03, 0.12)
            loud = min(0.7, 0.06 * (1 + rng.pareto(1.6)))
            for _ in range(int(rng.integers(1, 4))):
                parts.append((start, loud, self._fragment(rng, small)))
                start, gap, loud = start + gap, 0.6 * gap, 0.5 * loud
        return darkened(scattered(parts, rng, 0.7), 0.8 * self._ask["distance"])

    @staticmethod
    def _fragment(rng: Rng, small: float) -> Array:
        base = glide(1_800.0, 6_500.0, small) * rng.uniform(0.8, 1.25)
        hz = base * np.array([1.0, 1.73, 2.33, 3.17]) * rng.uniform(0.95, 1.05, 4)
        hz = hz[hz < 18_000.0]
        ring = ringing(hz, glide(0.05, 0.012, small) * (base / hz) ** 0.6, rng.uniform(0.2, 1.0, len(hz)), 5_760)
        ring[:48] += 0.6 * np.max(np.abs(ring)) * rng.standard_normal(48) * np.linspace(1, 0, 48)
        return np.asarray(ring * np.linspace(1, 0, len(ring)) ** 0.5)


def _roar(rng: Rng, length_s: float, opening: tuple[float, float], fall_s: float) -> Array:
    """Noise ``[2, n]`` whose top falls from ``opening[0]`` to ``opening[1]`` Hz while it dies away: near things bright, far
    ones that arrive later dull. Each part is made as long and with as many frequencies as are heard of it."""
    t = seconds(length_s).astype(np.float32)
    out = np.zeros((2, len(t)), np.float32)
    for k, top_hz in enumerate(np.geomspace(opening[0], opening[1], 4)):
        own_s = fall_s * (0.06, 0.2, 0.55, 1.0)[k]
        near = t[: int(9 * own_s * RATE_HZ)]
        row = drawn_noise(rng, len(near), (22.0, float(top_hz)))
        row = 0.8 * row + 0.3 * row.mean(axis=0)
        late = np.clip(near / (0.02 + 0.5 * own_s), 0, 1) if k else np.float32(1.0)
        out[:, : len(near)] += row * (late * np.exp(-near / own_s) * ((0.8, 0.6, 0.8, 1.0)[k] / float(np.std(row))))
    return out


class Explosion:
    """A blast: the shock, the fireball's roar that loses its highs as it goes, echoes that roll on, debris that comes
    down. ``size`` from a grenade to a building (the pressure's course is Friedlander's, as the cube root of the charge)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``, the shock at its start."""
        strength, size = self._ask["strength"], self._ask["size"]
        positive_s, length_s = glide(0.004, 0.025, size), glide(2.2, 5.5, size)
        t = seconds(length_s).astype(np.float32)
        wave = 0.5 * _roar(rng, length_s, (lerp(1_500.0, 7_000.0, strength), 90.0), glide(0.5, 1.5, size))
        wave[:, 4_800:] *= self._heave(rng, t)[4_800:]
        low = t[: RATE_HZ * 5 // 2]
        wave[:, : len(low)] += (
            np.sin(2 * np.pi * glide(55.0, 32.0, size) * low) * np.exp(-low / 0.25) * np.minimum(1.0, low / 0.01)
        )
        rest = scattered(self._debris(rng, size), rng, 0.8)[:, : len(t)]
        wave[:, : rest.shape[1]] += rest
        wave = 0.75 * np.tanh(1.2 * wave) * np.minimum(1.0, (t[-1] - t) / (0.4 * length_s))
        # The shock is what peaks, whatever the roar draws.
        early = t[: int(20 * positive_s * RATE_HZ)]
        shock = (1 - early / positive_s) * np.exp(-early / positive_s)
        wave[:, : len(early)] += 0.75 * shock * np.minimum(1.0, (early + 1e-4) / 0.0004)
        return darkened(wave, self._ask["distance"])

    @staticmethod
    def _heave(rng: Rng, t: Array) -> Array:
        """The fire and the echoes swell and sink some times a second."""
        points = np.arange(0.0, float(t[-1]) + 0.3, 0.15)
        return np.interp(t, points, np.exp(0.4 * rng.standard_normal(len(points)))).astype(np.float32)

    def _debris(self, rng: Rng, size: float) -> list[Part]:
        """What comes down: a few kinds of pieces, each many times."""
        kinds = [self._piece(rng) for _ in range(12)]
        return [
            (rng.gamma(3.0, 0.3), 0.12 * min(1.0, 0.3 * (1 + rng.pareto(2.0))), kinds[int(rng.integers(0, len(kinds)))])
            for _ in range(int(lerp(10, 70, size)))
        ]

    @staticmethod
    def _piece(rng: Rng) -> Array:
        low = glide(200.0, 1_800.0, rng.random())
        return knocked(rng, (low, 4.0 * low), (0.003, 0.02), 0.001, 10)


class Gunshot:
    """A shot: the muzzle's blast within a few milliseconds, gas after it, and what hills or houses give back of it.
    ``size`` from a small pistol to a rifle or shotgun."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``, the blast at its start."""
        strength, size = self._ask["strength"], self._ask["size"]
        positive_s, length_s = glide(0.0005, 0.0022, size) * glide(2.2, 0.8, strength), 2.4
        t = seconds(length_s)
        blast = (1 - t / positive_s) * np.exp(-t / positive_s)
        gas = hissed(rng, glide(500.0, 150.0, size), lerp(3_500.0, 12_000.0, strength), glide(0.006, 0.016, size))
        dry = laid([(0.0, 1.0, blast[:4_800]), (0.0, 0.8, gas), (0.0015, 0.4, burst(rng, 0.06, hump(160.0, 0.9)) * np.exp(-seconds(0.06) / 0.015))])  # fmt: skip
        echo = drawn_noise(rng, len(t), (90.0, 2_500.0), 1, slope(-3.0, 500.0))
        answers = np.zeros((2, len(t)))
        for _ in range(int(rng.integers(4, 9))):
            late = int(rng.uniform(0.05, 0.7) * RATE_HZ)
            answers[:, late] += rng.uniform(0.2, 0.7) * np.exp(-late / RATE_HZ / 0.4) * panned(rng.uniform(-0.9, 0.9))
        dull = scipy.signal.butter(1, 1_600.0, fs=RATE_HZ, output="sos")
        answers = scipy.signal.sosfilt(dull, scipy.signal.oaconvolve(answers, dry[None], axes=-1)[:, : len(t)], axis=-1)
        wave = 0.5 * answers + 0.035 * echo / np.std(echo) * np.exp(-t / glide(0.25, 0.5, size)) * np.clip(
            t / 0.03, 0, 1
        )
        wave[:, : len(dry)] += 0.71 * dry
        return darkened(wave * np.minimum(1.0, (t[-1] - t) / 1.2), self._ask["distance"])
