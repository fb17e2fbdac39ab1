# SPDX-License-Identifier: AGPL-3.0-or-later
"""More that passes: lorries, motorcycles, propeller planes, helicopters, boats, each a few sources on one path."""

from __future__ import annotations

import numpy as np

from immersivaudio.engine.synthesis.flight import Propeller
from immersivaudio.engine.synthesis.frame import Array, Ask, Rng, Texture, Wander, lerp
from immersivaudio.engine.synthesis.machines import Engine, Rotor
from immersivaudio.engine.synthesis.noise import Noise, band, hump, slope, unit
from immersivaudio.engine.synthesis.passing import Part, Passing, Tyres, path_of, peak_lufs


class _Mono:
    """A sustained sound as the source of something that passes, at about the level of the others."""

    settle_s = 4.0

    def __init__(self, texture: Texture, loud: float) -> None:
        self._texture, self._loud = texture, loud

    def frame(self) -> Array:
        wave = self._loud * self._texture.frame().mean(axis=0)
        return np.stack([wave, wave])


class _Wheels:
    """A lorry's many tyres and its rattling bed."""

    settle_s = 4.0

    def __init__(self, rng: Rng, fast: float) -> None:
        self._tyres, self._noise, self._rough = Tyres(rng, fast), Noise(rng, 0.0), Wander(rng, (0.02, 0.06, 0.2))
        self._paint = 0.5 * unit(hump(85.0, 0.7)) + 0.25 * unit(hump(1_600.0, 0.9))

    def frame(self) -> Array:
        rattle = self._noise.frame(np.exp(0.5 * self._rough.frame())[:, None] * self._paint)
        return np.asarray(self._tyres.frame() + 0.06 * rattle)


class _Bow:
    """Water that a hull throws aside."""

    settle_s = 4.0

    def __init__(self, rng: Rng) -> None:
        self._noise, self._swell = Noise(rng, 0.0), Wander(rng, (0.1, 0.5, 1.5))
        self._paint = unit(band(200.0, 6_000.0, 1) * slope(-3.0, 800.0))

    def frame(self) -> Array:
        return 0.06 * self._noise.frame(np.exp(0.35 * self._swell.frame())[:, None] * self._paint)


def truck(ask: Ask) -> Passing:
    """A lorry: a slow six-cylinder ahead, many tyres behind it, 6 to 28 m/s."""
    fast = ask["speed"]
    path = path_of(ask, 6.0, 28.0, 1.0)
    motor = _Mono(Engine(Ask({"speed": lerp(0.15, 0.4, fast), "distance": 0.0}, ask.seed)), 0.35)
    parts = [Part(motor, 0.0, lambda facing: 1 + 0.25 * facing)]
    parts += [Part(_Wheels(ask.rng(f"axle{k}"), fast), place, half_m=1.5) for k, place in enumerate((3.0, 10.0))]
    return Passing(path, parts, peak_lufs(ask["closest_m"]) + 1.0)


def motorcycle(ask: Ask) -> Passing:
    """A motorcycle: a fast twin whose exhaust points backwards, little tyre, 8 to 50 m/s."""
    fast = ask["speed"]
    path = path_of(ask, 8.0, 50.0)
    motor = _Mono(Engine(Ask({"speed": lerp(0.35, 0.8, fast), "distance": 0.0}, ask.seed)), 0.35)
    parts = [Part(motor, 0.0, lambda facing: 0.85 - 0.35 * facing)]
    parts.append(Part(_Mono(Tyres(ask.rng("tyres"), fast), 0.3)))
    return Passing(path, parts, peak_lufs(ask["closest_m"]))


def propeller(ask: Ask) -> Passing:
    """A small plane overhead: loudest in the plane of its blades, 40 to 100 m/s."""
    path = path_of(ask, 40.0, 100.0, 60.0)
    source = _Mono(Propeller(Ask({"speed": lerp(0.4, 0.9, ask["speed"]), "distance": 0.0}, ask.seed)), 0.25)
    return Passing(path, [Part(source, 0.0, lambda facing: 1.1 - 0.4 * facing**2, 0.5)], peak_lufs(ask["closest_m"]))


def helicopter(ask: Ask) -> Passing:
    """A helicopter: its slap is thrown ahead, 15 to 70 m/s."""
    path = path_of(ask, 15.0, 70.0, 30.0)
    source = _Mono(Rotor(Ask({"speed": 0.5, "distance": 0.0}, ask.seed)), 0.2)
    return Passing(path, [Part(source, 0.0, lambda facing: 0.85 + 0.35 * facing)], peak_lufs(ask["closest_m"]))


def boat(ask: Ask) -> Passing:
    """A motorboat: an outboard and the water that it throws aside, 3 to 18 m/s."""
    fast = ask["speed"]
    path = path_of(ask, 3.0, 18.0, 2.0)
    motor = _Mono(Engine(Ask({"speed": lerp(0.3, 0.75, fast), "distance": 0.0}, ask.seed)), 0.35)
    return Passing(path, [Part(motor, 2.0), Part(_Bow(ask.rng("bow")), half_m=1.5)], peak_lufs(ask["closest_m"]) - 1.0)
