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


@dataclass(frozen=True, slots=True)
class Material:
    """What is struck: ``count`` modes from ``base_hz`` (at size 1 and 0), each ``spacing`` of the base above the last,
    growing with the ``growth``-th power of its number. A mode falls by ``loss`` plus pi ``loss_factor`` f a second
    (in nepers).
    ``contact_ms`` is at strength 0 and 1; ``rough`` is how uneven the contact is; ``click`` is the peak of the surfaces'
    own broad noise against the ringing, and how many ms it takes to fall to 1/e."""

    base_hz: tuple[float, float]
    count: int
    spacing: float
    growth: float
    loss: float
    loss_factor: float
    contact_ms: tuple[float, float]
    rough: float
    click: tuple[float, float]


MATERIALS: dict[str, Material] = {
    "wood": Material((85.0, 420.0), 64, 0.40, 1.1, 30.0, 0.05, (1.0, 0.14), 0.7, (0.10, 2.0)),
    "metal": Material((170.0, 1_300.0), 44, 0.36, 1.15, 3.5, 0.0011, (0.5, 0.10), 0.3, (0.3, 1.6)),
    "stone": Material((150.0, 600.0), 70, 0.35, 1.1, 140.0, 0.1, (0.6, 0.12), 0.8, (0.05, 1.0)),
    "soft": Material((45.0, 120.0), 40, 0.45, 1.1, 28.0, 0.12, (3.5, 0.8), 0.9, (0.06, 4.0)),
    "glass": Material((1_000.0, 3_400.0), 11, 0.75, 1.3, 7.0, 0.0013, (0.25, 0.07), 0.1, (0.12, 0.8)),
}


def modes(rng: Rng, material: Material, size: float) -> tuple[Array, Array, Array]:
    """Frequencies (Hz), decays to 1/e (s) and gains of the modes of one object; larger things lose less."""
    base = glide(material.base_hz[1], material.base_hz[0], size)
    steps = np.arange(material.count) + 0.35 * rng.standard_normal(material.count)
    hz = base * (1 + material.spacing * np.sign(steps) * np.abs(steps) ** material.growth)
    hz = np.sort(hz[(hz > 0.5 * base) & (hz < 17_000.0)])
    loss = material.loss * glide(1.8, 0.6, size) + np.pi * material.loss_factor * hz
    return hz, 1 / loss, rng.uniform(0.25, 1.0, len(hz))


def pushed(rng: Rng, contact_s: float, rough: float) -> Array:
    """The force of one contact: a bell ``contact_s`` long, and where the surfaces are ``rough`` the chatter after it."""
    width = max(3, int(contact_s * RATE_HZ))
    bell = np.hanning(width + 2)[1:-1]
    fine = np.hanning(max(3, width // 4) + 2)[1:-1]
    chatter = np.convolve(rng.standard_normal(3 * width), fine / np.sqrt(np.sum(fine**2)), "same")
    chatter *= np.exp(-np.arange(3 * width) / width)
    force = 0.25 * rough * chatter
    force[:width] += bell
    return np.asarray(force / bell.sum())


class Blow:
    """One object, struck again and again: the same modes, each blow at another place and with another contact."""

    def __init__(self, ask: Ask, material: str) -> None:
        self._material, self._ask = MATERIALS[material], ask
        self._hz, self._decay_s, self._loud = modes(ask.rng(f"object.{material}"), self._material, ask["size"])

    def strike(self, rng: Rng) -> Array:
        """``[2, n]``; the attack is at sample 0 and the peak within 5 ms."""
        return placed(self._ring(rng, self._ask["strength"]), self._ask["distance"], rng)

    def _ring(self, rng: Rng, strength: float) -> Array:
        contact_s = lerp(self._material.contact_ms[0], self._material.contact_ms[1], strength) / 1_000.0
        loud = self._loud * np.abs(np.cos(np.pi * rng.random(len(self._hz)) * 0.45))
        pulse = np.zeros(len(seconds(min(4.0, 0.01 + 7.0 * float(np.max(self._decay_s))))))
        push = pushed(rng, contact_s, self._material.rough)
        pulse[: len(push)] = push
        ringing = np.zeros_like(pulse)
        for hz, decay_s, share in zip(self._hz, self._decay_s, loud, strict=True):
            heard = len(push) + int(9.0 * decay_s * RATE_HZ)
            ringing[:heard] += share * resonator(pulse[:heard], hz * (1 + 0.002 * rng.standard_normal()), decay_s)
        ringing /= np.max(np.abs(ringing)) + 1e-9
        loud_ms = self._material.click
        click = clicked(rng, contact_s, loud_ms[1] / 1_000.0)
        ringing[: len(click)] += loud_ms[0] * lerp(0.35, 1.0, strength) * click[: len(ringing)]
        return ringing


def clicked(rng: Rng, contact_s: float, fall_s: float) -> Array:
    """The noise of two surfaces that meet, peak 1: broad, and the brighter the shorter the contact."""
    t = seconds(9 * fall_s + 0.001)
    wave = burst(rng, 9 * fall_s + 0.001, band(700.0, 2.2 / contact_s, 2)) * np.exp(-t / fall_s)
    return np.asarray(wave / (np.max(np.abs(wave)) + 1e-9))


@dataclass(frozen=True, slots=True)
class Room:
    """Where a blow is heard: the room's energy against the direct sound close by, and its decay near and far in s."""

    share: float = 0.05
    far_s: float = 0.9
    near_s: float = 0.35


INDOORS = Room()


def placed(dry: Array, distance: float, rng: Rng, room: Room = INDOORS) -> Array:
    """A mono blow where it happens: darker and with more of the room the farther; a little to one side."""
    near = darkened(dry, 0.8 * distance)
    sides = np.sqrt(2.0) * panned(rng.uniform(-0.12, 0.12))
    share = room.share + 0.7 * distance**1.5 * (0.3 + 2 * room.share)
    return sides[:, None] * in_room(near, share, lerp(room.near_s, room.far_s, distance), 0.012)


def resonator(push: Array, hz: float, decay_s: float) -> Array:
    """A two-pole resonator driven by ``push``: a mode of frequency ``hz`` that falls to 1/e in ``decay_s``."""
    radius, angle = np.exp(-1 / (decay_s * RATE_HZ)), 2 * np.pi * hz / RATE_HZ
    return np.asarray(signal.lfilter([np.sin(angle)], [1.0, -2 * radius * np.cos(angle), radius**2], push), np.float64)
