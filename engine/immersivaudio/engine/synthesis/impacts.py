# SPDX-License-Identifier: AGPL-3.0-or-later
"""Blows: one thing strikes another; how long they touch follows from both, and what rings is the thing struck.

The contact is Hertz's (Johnson, Contact Mechanics, 1985): two elastic bodies touch for
``2.87 (m^2 / (R E*^2 v))^(1/5)`` seconds under a force like ``sin^1.5``, so that harder, lighter or faster is shorter and
so brighter. What is heard is the force through the modes of the thing struck (van den Doel and Pai 1998), lowest ones
one by one, the many above them as noise that decays as they do (where modes overlap only their density and loss are
heard; Lyon 1975); and the click of the bodies' sudden change of speed, which goes as the force's derivative (Akay 1978).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import scipy

from immersivaudio.engine.synthesis.frame import RATE_HZ, Array, Ask, Rng, glide, panned, seconds
from immersivaudio.engine.synthesis.noise import band, burst, hump
from immersivaudio.engine.synthesis.space import darkened

_TOP_HZ = 17_000.0


@dataclass(frozen=True, slots=True)
class Material:
    """What is struck. ``stiff_pa`` is its Young's modulus (wood across its grain), ``base_hz`` its lowest mode at size 1
    and 0, ``spacing`` the distance of its modes against that (constant on plates), of which ``count`` are heard one by
    one. A mode falls by ``loss + pi loss_factor f`` nepers a second; ``tilt_db`` an octave is how loud the higher ones
    radiate. ``click``, ``grit`` and ``field`` are the peaks of the accelerated air, of asperities that break or slip, and
    of the modes that overlap, against the ringing."""

    stiff_pa: float
    base_hz: tuple[float, float]
    count: int
    spacing: float
    loss: float
    loss_factor: float
    tilt_db: float
    click: float
    grit: float
    field: float


MATERIALS: Mapping[str, Material] = MappingProxyType(
    {
        "wood": Material(1.2e9, (85.0, 420.0), 48, 0.55, 55.0, 0.022, -1.0, 0.12, 0.05, 0.3),
        "metal": Material(2.0e11, (300.0, 1_900.0), 40, 0.42, 3.5, 0.0012, 1.0, 0.3, 0.3, 0.3),
        "stone": Material(5.0e10, (150.0, 900.0), 80, 0.2, 110.0, 0.035, 0.0, 0.4, 0.1, 0.4),
        "soft": Material(1.5e7, (45.0, 120.0), 40, 0.45, 34.0, 0.1, -1.0, 0.1, 0.05, 0.1),
        "glass": Material(7.0e10, (1_000.0, 3_400.0), 12, 0.8, 7.0, 0.0013, -0.5, 0.2, 0.1, 0.1),
        "plastic": Material(2.5e9, (130.0, 700.0), 60, 0.3, 90.0, 0.045, -1.0, 0.2, 0.1, 0.3),
    }
)


def contact_s(stiff_pa: tuple[float, float], radius_m: float, density: float, speed_mps: float) -> float:
    """How long a ball of ``radius_m`` and ``density`` (kg/m^3) touches what it strikes at ``speed_mps``."""
    joint_pa = 1 / sum((1 - 0.3**2) / one for one in stiff_pa)
    mass = 4 / 3 * np.pi * radius_m**3 * density
    return float(2.87 * (mass**2 / (radius_m * joint_pa**2 * speed_mps)) ** 0.2)


def touch_s(material: Material, ask: Ask) -> float:
    """The contact of one blow: the striker's hardness from a fist's or rubber's to a steel's, its size with what it
    strikes, a speed of 0.3 to 5 m/s."""
    hard = ask.knobs.get("striker", 0.6)
    striker_pa, density = glide(4.0e6, 2.0e11, hard), glide(1_000.0, 7_800.0, hard)
    radius_m, speed_mps = glide(0.006, 0.03, ask.knobs.get("size", 0.4)), glide(0.3, 5.0, ask["strength"])
    return min(0.012, contact_s((material.stiff_pa, striker_pa), radius_m, density, speed_mps))


def pushed(rng: Rng, contact_s: float, rough: float) -> Array:
    """The force of one contact: a bell ``contact_s`` long, and where the surfaces are ``rough`` the chatter after it."""
    width = max(3, int(contact_s * RATE_HZ))
    bell = np.sin(np.pi * (np.arange(width) + 0.5) / width) ** 1.5
    fine = np.hanning(max(3, width // 4) + 2)[1:-1]
    chatter = np.convolve(rng.standard_normal(3 * width), fine / np.sqrt(np.sum(fine**2)), "same")
    chatter *= np.exp(-np.arange(3 * width) / width)
    force = 0.25 * rough * chatter
    force[:width] += bell
    return np.asarray(force / bell.sum())


def modes(rng: Rng, material: Material, size: float) -> tuple[Array, Array, Array]:
    """Frequencies (Hz), decays to 1/e (s) and gains of the modes of one object; larger things lose less."""
    base = glide(material.base_hz[1], material.base_hz[0], size)
    steps = np.arange(material.count) + 0.35 * rng.standard_normal(material.count)
    steps[0] = 0.0
    hz = base * (1 + material.spacing * np.abs(steps))
    hz = np.sort(hz[hz < _TOP_HZ])
    loud = rng.uniform(0.25, 1.0, len(hz)) * (hz / base) ** (material.tilt_db / 6.02)
    return hz, 1 / _loss(material, size, hz), loud


def _loss(material: Material, size: float, hz: Array) -> Array:
    return material.loss * glide(1.8, 0.6, size) + np.pi * material.loss_factor * hz


def ringing(hz: Array, decay_s: Array, loud: Array, samples: int) -> Array:
    """The sum of decaying sines ``[samples]``. Powers of a pole are powers of powers: one small matrix product."""
    step = max(16, int(np.sqrt(samples)))
    poles = -1 / (np.asarray(decay_s) * RATE_HZ) + 2j * np.pi * np.asarray(hz) / RATE_HZ
    near = np.exp(poles[:, None] * np.arange(step)).astype(np.complex64)
    far = (loud * np.exp(np.arange(-(-samples // step))[:, None] * step * poles)).astype(np.complex64)
    return np.asarray((far @ near).imag.ravel()[:samples], np.float64)


def overlapping(rng: Rng, material: Material, size: float, above_hz: float, contact_s: float) -> Array:
    """The modes above ``above_hz``, too many to tell apart: noise in half octaves, each with its own decay, as loud as
    the contact excites it: 1 where it is short against their periods."""
    top = min(_TOP_HZ, 2.5 / contact_s)
    edges = above_hz * 2.0 ** (0.5 * np.arange(12))
    centres = edges[edges < max(top, 1.1 * above_hz)] * 2**0.25
    decays = 1 / _loss(material, size, centres)
    length_s = min(1.0, 7 * float(decays.max()))
    out = np.zeros(len(seconds(length_s)))
    for hz, decay_s in zip(centres, decays, strict=True):
        wave = burst(rng, length_s, hump(float(hz), 0.3))[: len(out)]
        wave = wave * np.exp(-np.arange(len(wave)) / (decay_s * RATE_HZ)) / (np.std(wave) + 1e-9)
        out[: len(wave)] += wave * (hz / above_hz) ** (material.tilt_db / 6.02) / (1 + (hz * contact_s / 1.2) ** 2)
    return np.asarray(out / 3.5)


class Blow:
    """One object, struck again and again: the same modes, each blow at another place and with another contact."""

    def __init__(self, ask: Ask, material: str) -> None:
        self._material, self._ask = MATERIALS[material], ask
        self._hz, self._decay_s, self._loud = modes(ask.rng(f"object.{material}"), self._material, ask["size"])

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``; the attack is at sample 0 and the peak within 5 ms."""
        return placed(self.mono(rng), self._ask["distance"], rng)

    def mono(self, rng: Rng) -> Array:
        """One blow, ``[n]``."""
        material, contact = self._material, touch_s(self._material, self._ask) * rng.uniform(0.9, 1.1)
        loud = self._loud * np.abs(np.cos(np.pi * rng.random(len(self._hz)) * 0.45))
        hz = self._hz * (1 + 0.002 * rng.standard_normal(len(self._hz)))
        samples = int(min(4.0, 0.01 + 7.0 * float(np.max(self._decay_s))) * RATE_HZ)
        push = pushed(rng, contact, 0.5)
        out = scipy.signal.oaconvolve(ringing(hz, self._decay_s, loud, samples), push)
        # The first moments radiate more: modes that couple well to the air fall faster than their loss alone says.
        out *= 1 + 0.6 * np.exp(-np.arange(len(out)) / (0.003 * RATE_HZ))
        out /= np.max(np.abs(out)) + 1e-9
        _add(out, clicked(rng, contact, material))
        field = overlapping(rng, material, self._ask["size"], float(self._hz[-1]), contact)
        _add(out, material.field * field)
        return out


def _add(out: Array, wave: Array) -> None:
    shared = min(len(out), len(wave))
    out[:shared] += wave[:shared]


def clicked(rng: Rng, contact_s: float, material: Material) -> Array:
    """What is heard of the contact itself: the derivative of the force, and a few asperities that slip within the
    contact and shortly after it, each far shorter than the whole and so far brighter."""
    width = max(3, int(contact_s * RATE_HZ))
    force = np.sin(np.pi * (np.arange(width + 1) + 0.5) / (width + 1)) ** 1.5
    jerk = np.diff(force, prepend=0.0, append=0.0)
    fall_s = max(0.0006, 0.7 * contact_s)
    t = seconds(9 * fall_s + 0.001)
    grit = burst(rng, 9 * fall_s + 0.001, band(900.0, min(14_000.0, 2.0 / contact_s + 1_000.0), 2)) * np.exp(
        -t / fall_s
    )
    out = material.grit * grit / (np.max(np.abs(grit)) + 1e-9)
    out[: len(jerk)] += material.click * (jerk / np.max(np.abs(jerk)))[: len(out)]
    return np.asarray(out)


def placed(dry: Array, distance: float, rng: Rng) -> Array:
    """A mono blow where it happens: darker the farther; a little to one side. Its space is added to the whole cue."""
    sides = np.sqrt(2.0) * panned(rng.uniform(-0.12, 0.12))
    return np.asarray(sides[:, None] * darkened(dry, 0.8 * distance))


def resonator(push: Array, hz: float, decay_s: float) -> Array:
    """A two-pole resonator driven by ``push``: a mode of frequency ``hz`` that falls to 1/e in ``decay_s``."""
    radius, angle = np.exp(-1 / (decay_s * RATE_HZ)), 2 * np.pi * hz / RATE_HZ
    return np.asarray(
        scipy.signal.lfilter([np.sin(angle)], [1.0, -2 * radius * np.cos(angle), radius**2], push), np.float64
    )


def chorus(rng: Rng, hz: tuple[float, float], decay_s: tuple[float, float], count: int, duration_s: float) -> Array:
    """Modes of a thing that is known by its range only: ``count`` of them between two pitches (even on a log axis),
    mono, peak 1."""
    pitches = np.sort(hz[0] * (hz[1] / hz[0]) ** rng.random(count))
    decays = decay_s[0] * (decay_s[1] / decay_s[0]) ** rng.random(count)
    out = ringing(pitches, decays, rng.uniform(0.3, 1.0, count), int(duration_s * RATE_HZ))
    return np.asarray(out / (np.max(np.abs(out)) + 1e-9))
