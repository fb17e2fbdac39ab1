# SPDX-License-Identifier: AGPL-3.0-or-later
"""Blows: a contact pulse that excites a material's modes, and the short noise of the contact itself.

Modes and their damping after van den Doel and Pai 1998 and Avanzini and Rocchesso 2001: a harder or stronger contact is
shorter and so excites higher modes; internal friction makes higher modes die sooner; size scales every frequency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, lerp, panned, seconds
from immersivaudio.engine.synthesis.noise import band, burst
from immersivaudio.engine.synthesis.space import darkened, in_room

# Transverse modes of a free bar, and of a plate as the roots of Bessel functions give them; both over the first.
_BAR = np.array([1.0, 2.756, 5.404, 8.933, 13.34, 18.64, 24.82])
_PLATE = np.array([1.0, 1.73, 2.33, 3.91, 4.11, 6.30, 6.71, 7.34, 9.10, 10.7, 12.2, 13.9, 15.8, 18.2])


@dataclass(frozen=True, slots=True)
class Material:
    """What is struck. ``base_hz`` is the lowest mode at size 1 and 0; decay to 1/e is ``ring_s`` at ``base_hz``, less
    by ``damping`` per kHz above; ``contact_ms`` at strength 0 and 1; ``noise`` is the share of contact noise."""

    ratios: Array
    base_hz: tuple[float, float]
    ring_s: tuple[float, float]
    damping: float
    contact_ms: tuple[float, float]
    noise: float
    noise_band_hz: tuple[float, float]
    inharmonic: float = 0.03


MATERIALS: dict[str, Material] = {
    "wood": Material(_BAR, (75.0, 620.0), (0.075, 0.035), 0.9, (1.6, 0.5), 0.6, (300.0, 5_000.0), 0.08),
    "metal": Material(_PLATE, (140.0, 1_900.0), (0.9, 0.35), 0.10, (0.35, 0.10), 0.25, (1_500.0, 14_000.0), 0.06),
    "stone": Material(_BAR, (260.0, 1_500.0), (0.014, 0.008), 0.25, (0.5, 0.15), 1.5, (500.0, 11_000.0), 0.15),
    "soft": Material(_BAR[:3] * 0.6 + 0.4, (45.0, 130.0), (0.045, 0.03), 4.0, (7.0, 3.5), 0.9, (60.0, 900.0), 0.1),
    "glass": Material(_PLATE, (900.0, 3_400.0), (0.35, 0.16), 0.06, (0.25, 0.07), 0.12, (3_000.0, 16_000.0), 0.04),
}


def modes(rng: Rng, material: Material, size: float) -> tuple[Array, Array, Array]:
    """Frequencies (Hz), decays (s) and gains of the modes of one object."""
    base = glide(material.base_hz[1], material.base_hz[0], size)
    hz = base * material.ratios * (1 + material.inharmonic * rng.standard_normal(len(material.ratios)))
    hz = np.abs(hz[hz < 18_000.0])
    ring = glide(material.ring_s[1], material.ring_s[0], size)
    decays = ring / (1 + material.damping * (hz - hz[0]) / 1_000.0 * (0.4 + 0.6 * ring / material.ring_s[0]))
    return hz, np.clip(decays, 0.002, 3.0), rng.uniform(0.5, 1.0, len(hz))


def contact(rng: Rng, duration_s: float, fall_s: float, spectrum: Array) -> Array:
    """The scrape and click where two surfaces meet: noise with a hard edge, mono."""
    n_s = max(6 * fall_s, duration_s)
    wave = burst(rng, n_s, spectrum)
    t = np.arange(len(wave)) / RATE_HZ
    shape: Array = wave * np.exp(-t / fall_s)
    return shape / (np.max(np.abs(shape)) + 1e-9)


class Blow:
    """One object, struck again and again: the same modes, each blow at another place and with another contact."""

    def __init__(self, ask: Ask, material: str) -> None:
        self._material, self._ask = MATERIALS[material], ask
        self._hz, self._decay_s, self._loud = modes(ask.rng(f"object.{material}"), self._material, ask["size"])

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``; the attack is at sample 0 and the peak within 5 ms."""
        strength, material = self._ask["strength"], self._material
        dry = self._ring(rng, strength)
        low, high = material.noise_band_hz
        spectrum = band(low, lerp(0.35, 1.0, strength) * high, 1)
        click = contact(rng, 0.004, glide(0.0035, 0.0016, strength), spectrum)
        dry[: len(click)] += material.noise * lerp(0.6, 1.0, strength) * click[: len(dry)]
        return placed(dry, self._ask["distance"], rng)

    def _ring(self, rng: Rng, strength: float) -> Array:
        contact_s = lerp(self._material.contact_ms[0], self._material.contact_ms[1], strength) / 1_000.0
        reach = np.exp(-((self._hz * contact_s) ** 2) * 0.9)
        loud = self._loud * reach * np.abs(np.cos(np.pi * rng.random(len(self._hz)) * 0.45))
        pulse = np.zeros(len(seconds(min(4.0, 7.0 * float(np.max(self._decay_s))))))
        width = max(3, int(contact_s * RATE_HZ))
        pulse[:width] = np.hanning(width + 2)[1:-1]
        ringing = np.zeros_like(pulse)
        for hz, decay_s, share in zip(self._hz, self._decay_s, loud, strict=True):
            ringing += share * resonator(pulse, hz * (1 + 0.002 * rng.standard_normal()), decay_s)
        return ringing / (np.max(np.abs(ringing)) + 1e-9)


def placed(dry: Array, distance: float, rng: Rng) -> Array:
    """A mono blow where it happens: darker and with more of the room the farther; a little to one side."""
    near = darkened(dry, 0.8 * distance)
    sides = panned(rng.uniform(-0.12, 0.12))
    return in_room(near * sides[:, None], lerp(0.01, 0.55, distance), lerp(0.35, 0.9, distance), 0.012)


def level(strength: float) -> float:
    """Peak of a blow against one of full strength."""
    return float(10 ** (-20 * (1 - strength) / 20))


def resonator(push: Array, hz: float, decay_s: float) -> Array:
    """A two-pole resonator driven by ``push``: a mode of frequency ``hz`` that falls to 1/e in ``decay_s``."""
    radius, angle = np.exp(-1 / (decay_s * RATE_HZ)), 2 * np.pi * hz / RATE_HZ
    return np.asarray(signal.lfilter([np.sin(angle)], [1.0, -2 * radius * np.cos(angle), radius**2], push), np.float64)
