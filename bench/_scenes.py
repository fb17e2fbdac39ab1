# SPDX-License-Identifier: AGPL-3.0-or-later
"""Families of drawn scenes, one per seed: things that strike, drop and slide, and things that only move."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
from _pictures import SIZE, Canvas, Scene, Shot

Point = tuple[float, float]


def _dice(seed: int, salt: int) -> np.random.Generator:
    return np.random.default_rng([seed, salt])


def _thing(random: np.random.Generator) -> Callable[[Canvas, float, float, float], None]:
    """A shape of random kind, size and shade, drawn at x, y and an angle."""
    size, kind = random.choice((6, 10, 15, 25)) * random.uniform(0.7, 1.3), int(random.integers(3))
    colour = tuple(
        float(v) for v in (random.uniform(0, 70, 3) if random.random() < 0.5 else random.uniform(180, 255, 3))
    )

    def draw(canvas: Canvas, x: float, y: float, angle: float = 0.0) -> None:
        if not (-100 < x < 300 and -100 < y < 220):
            return
        if kind == 0:
            cv2.circle(canvas, (round(x * 16), round(y * 16)), round(size * 16), colour, -1, cv2.LINE_AA, 4)
            return
        wide, high = (size, size * 0.7) if kind == 1 else (size * 2.2, size * 0.35)
        corners = cv2.boxPoints(((x, y), (2 * wide, 2 * high), float(np.degrees(angle))))
        cv2.fillConvexPoly(canvas, np.round(corners * 16).astype(np.int32), colour, cv2.LINE_AA, 4)

    return draw


def _stroke(t: float, contacts: tuple[float, ...], shape: tuple[float, float, float, float]) -> float:
    """0 at contact, 1 lifted: an accelerated stroke, a small recoil, a rest, a slow lift."""
    stroke, rest, lift, recoil = shape
    for contact in contacts:
        if contact - stroke <= t < contact:
            return 1 - ((t - contact + stroke) / stroke) ** 2
    past = [c for c in contacts if c <= t]
    if not past:
        return 1.0
    since = t - past[-1]
    if since < rest:
        return recoil * float(np.sin(np.pi * min(1.0, since / min(rest, 0.12)))) if since < 0.12 else 0.0
    return 0.5 * (1 - float(np.cos(np.pi * min(1.0, (since - rest) / lift))))


def struck(seed: int) -> Scene:
    """A tool swung or thrust onto something, from in or outside the frame, at an even or an uneven pace."""
    random = _dice(seed, 1)
    period = random.uniform(0.45, 1.3)
    shape = (random.uniform(0.07, 0.22), random.uniform(0.02, 0.2), random.uniform(0.12, 0.3), random.uniform(0, 0.12))
    times = np.arange(random.uniform(0.4, 0.8), 5.8, period)
    contacts = tuple(float(t + random.normal(0, 0.04) * (seed % 2)) for t in times)
    target, way = (random.uniform(50, 140), random.uniform(55, 90)), random.uniform(-0.8, 0.8)
    far, turn, draw_thing = (
        random.choice((30, 60, 100, 200)) * random.uniform(0.8, 1.3),
        random.uniform(0, 1),
        _thing(random),
    )

    def draw(canvas: Canvas, t: float) -> None:
        lifted = _stroke(t, contacts, shape)
        x, y = target[0] + far * np.sin(way) * lifted, target[1] - far * np.cos(way) * lifted
        tip = (round((x + 60 * np.sin(way + turn)) * 16), round((y - 60 * np.cos(way + turn)) * 16))
        cv2.line(canvas, (round(x * 16), round(y * 16)), tip, (120, 90, 60), 4, cv2.LINE_AA, 4)
        draw_thing(canvas, x, y, turn * lifted)

    return Scene(f"struck-{seed}", draw, contacts)


def dropped(seed: int) -> Scene:
    """Things that fall, bounce some times and lie still."""
    random = _dice(seed, 2)
    gravity, floor, keep = random.uniform(250, 900), random.uniform(70, 98), random.uniform(0.25, 0.85)
    draw_thing, x0, vx = _thing(random), random.uniform(30, 120), random.uniform(-10, 30)
    starts = (0.3, 2.3, 4.2)
    arcs: list[tuple[float, float, float]] = []
    for start in starts:
        t, v = start + (2 * floor / gravity) ** 0.5, (2 * floor * gravity) ** 0.5 * keep
        arcs.append((start, t, -1.0))
        while v > 70 and t + 2 * v / gravity < start + 1.9:
            arcs.append((t, t + 2 * v / gravity, v))
            t, v = t + 2 * v / gravity, v * keep

    def draw(canvas: Canvas, t: float) -> None:
        if t < starts[0]:
            return
        start = max(s for s in starts if s <= t)
        y = floor
        for begin, end, v in arcs:
            if begin <= t < end:
                y = (
                    gravity * (t - begin) ** 2 / 2
                    if v < 0
                    else floor - v * (t - begin) + gravity * (t - begin) ** 2 / 2
                )
        draw_thing(canvas, x0 + vx * (t - start), y, 0.0)

    return Scene(f"dropped-{seed}", draw, tuple(end for _, end, _ in arcs if end < 6.0))


def _moved(
    name: str, seed: int, path: Callable[[np.random.Generator], Callable[[float], tuple[float, float, float]]]
) -> Scene:
    random = _dice(seed, sum(map(ord, name)))
    movers = [(path(random), _thing(random)) for _ in range(int(random.integers(1, 4)))]

    def draw(canvas: Canvas, t: float) -> None:
        for way, thing in movers:
            thing(canvas, *way(t))

    return Scene(f"{name}-{seed}", draw, ())


def waved(seed: int) -> Scene:
    """To and fro on smooth curves: hands, branches, dancers, pendulums."""

    def path(random: np.random.Generator) -> Callable[[float], tuple[float, float, float]]:
        x, y, wide, high = random.uniform((30, 25, 5, 3), (160, 85, 60, 35))
        rate, phase, ratio = random.uniform(0.4, 1.8), random.uniform(0, 6.28), random.choice((1.0, 2.0))
        return lambda t: (x + wide * np.sin(6.28 * rate * t), y + high * np.sin(6.28 * rate * ratio * t + phase), t)

    return _moved("waved", seed, path)


def gestured(seed: int) -> Scene:
    """Moves between rests, eased as a body does it (minimum jerk: Flash and Hogan 1985)."""

    def path(random: np.random.Generator) -> Callable[[float], tuple[float, float, float]]:
        stops, lasting = random.uniform((40, 35), (150, 95), (40, 2)), random.uniform(0.35, 0.8)
        moving = random.uniform(0.5, 1.0)

        def way(t: float) -> tuple[float, float, float]:
            index, part = int(t / lasting + 1), min(1.0, (t / lasting % 1.0) / moving)
            ease = part**3 * (10 - 15 * part + 6 * part**2)
            x, y = stops[index] * (1 - ease) + stops[index + 1] * ease
            return float(x), float(y), 0.0

        return way

    return _moved("gestured", seed, path)


def turned(seed: int) -> Scene:
    """Rotors, wheels and flapping wings."""

    def path(random: np.random.Generator) -> Callable[[float], tuple[float, float, float]]:
        x, y, far, rate = random.uniform((50, 40, 5, 0.5), (140, 70, 40, 3.0))
        return lambda t: (x + far * np.cos(6.28 * rate * t), y + far * np.sin(6.28 * rate * t), 6.28 * rate * t)

    return _moved("turned", seed, path)


def crossed(seed: int) -> Scene:
    """Things that come in on one side and leave on another, some of them bobbing as walkers do."""

    def path(random: np.random.Generator) -> Callable[[float], tuple[float, float, float]]:
        start, speed, y = random.uniform(0, 4), random.choice((-1, 1)) * random.uniform(50, 400), random.uniform(30, 90)
        bob, slope, pace = random.choice((0.0, 3.0)), random.uniform(-0.4, 0.4), random.uniform(1.5, 2.2)
        first = -30.0 if speed > 0 else SIZE[0] + 30.0
        return lambda t: (
            first + speed * (t - start) if t > start else -90.0,
            y + slope * speed * (t - start) + bob * np.sin(6.28 * pace * t),
            0.0,
        )

    return _moved("crossed", seed, path)


def shimmered(seed: int) -> Scene:
    """Water, smoke, fire: textures that slide over each other and flicker."""
    random = _dice(seed, 9)
    blur, speeds, top = random.uniform(1, 4), random.uniform(-60, 60, (3, 2)), int(random.uniform(0, 70))
    plates = [
        cv2.GaussianBlur(random.normal(0, 70, (256, 256)).astype(np.float32), (0, 0), blur) * blur for _ in range(3)
    ]

    def draw(canvas: Canvas, t: float) -> None:
        light = np.zeros(SIZE[::-1], np.float32)
        for plate, (vx, vy) in zip(plates, speeds, strict=True):
            light += np.roll(plate, (int(vy * t), int(vx * t)), (0, 1))[: SIZE[1], : SIZE[0]]
        canvas[top:] = (110 + np.abs(light) * random.uniform(0.98, 1.02))[top:, :, None]

    return Scene(f"shimmered-{seed}", draw, ())


FAMILIES = (struck, dropped, waved, gestured, turned, crossed, shimmered)


def shot_of(seed: int) -> Shot:
    """A camera for a seed: rate, shake, noise, shutter and pan as films and phones have them."""
    random = _dice(seed, 77)
    return Shot(
        rate=Fraction(int(random.choice((12, 15, 24, 25, 30, 30, 50)))),
        shake=float(random.choice((0, 0, 0, 2, 5))),
        noise=float(random.uniform(0.5, 7)),
        shutter=float(random.uniform(0.2, 0.9)),
        pan=float(random.choice((0, 0, 0, 15))),
        repeat=int(random.choice((0, 0, 0, 0, 2, 5))),
    )
