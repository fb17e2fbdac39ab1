# SPDX-License-Identifier: AGPL-3.0-or-later
"""Films of many sizes, rates and cameras, drawn, encoded as H.264 and read back: what the watchers were not made on.

Even seeds are for development, odd seeds are held out. Lengths are in frame widths, y down from the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Canvas = NDArray[np.float32]
Colour = tuple[float, float, float]
Draw = Callable[["Pen", float], None]
Coding = tuple[str, ...]

SIZES = ((320, 180), (426, 240), (640, 360), (640, 272), (480, 360), (270, 480))
RATES = tuple(Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60", "15"))
LASTS_S = 5.0
MARGIN = 0.2
CODING: Coding = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20")


@dataclass(frozen=True, slots=True)
class Film:
    """``contacts_s`` are its true impacts; ``pictures`` draws it, uint8 ``[h, w, 3]`` each."""

    name: str
    rate: Fraction
    size: tuple[int, int]
    contacts_s: tuple[float, ...]
    draw: Draw
    camera: Callable[[float], tuple[float, float, float]]
    noise: float
    seed: int
    whole: Callable[[Canvas, float], Canvas] = lambda canvas, _: canvas
    coding: Coding = CODING

    @property
    def tall(self) -> float:
        return self.size[1] / self.size[0]

    def pictures(self) -> Iterator[Picture]:
        """With a shutter of half a frame (three samples), the camera's own motion and sensor noise."""
        random = np.random.default_rng([self.seed, 5])
        ground = _ground(random, self.size)
        for index in range(round(LASTS_S * self.rate)):
            parts = [self._exposed(ground, (index + 0.25 * k) / float(self.rate)) for k in (-1, 0, 1)]
            light = self.whole(sum(parts) / np.float32(3), float(index / self.rate))  # type: ignore[arg-type]
            grain = random.normal(0, self.noise, light.shape[:2])[..., None]
            yield np.clip(light + grain, 0, 255).astype(np.uint8)

    def _exposed(self, ground: Canvas, moment: float) -> Canvas:
        width, height = self.size
        pad = round(MARGIN * width)
        canvas = ground.copy()
        self.draw(Pen(canvas, width, pad), moment)
        x, y, grown = self.camera(moment)
        middle = (pad + width / 2, pad + height / 2)
        move = np.array([[grown, 0, width / 2 - grown * (middle[0] + x * width)],
                         [0, grown, height / 2 - grown * (middle[1] + y * width)]])  # fmt: skip
        return np.asarray(cv2.warpAffine(canvas, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32)


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws on a canvas in frame widths from the top left of the picture."""

    canvas: Canvas
    width: int
    pad: int

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round((self.pad + x * self.width) * 16), round((self.pad + y * self.width) * 16)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        cv2.circle(self.canvas, self._at(x, y), round(radius * self.width * 16), colour, -1, cv2.LINE_AA, 4)

    def line(self, start: tuple[float, float], end: tuple[float, float], thick: float, colour: Colour) -> None:
        wide = max(1, round(thick * self.width))
        cv2.line(self.canvas, self._at(*start), self._at(*end), colour, wide, cv2.LINE_AA, 4)

    def shape(self, corners: list[tuple[float, float]], colour: Colour) -> None:
        points = np.array([self._at(*corner) for corner in corners], np.int32)
        cv2.fillConvexPoly(self.canvas, points, colour, cv2.LINE_AA, 4)


def _ground(random: np.random.Generator, size: tuple[int, int]) -> Canvas:
    """A wall, a lawn, boards or a plain fade, with a floor of another shade."""
    pad = round(MARGIN * size[0])
    width, height = size[0] + 2 * pad, size[1] + 2 * pad
    base, other = random.uniform(50, 210, 3), random.uniform(-30, 30, 3)
    fade = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    canvas = np.broadcast_to(base + other * fade, (height, width, 3)).astype(np.float32)
    kind = int(random.integers(4))
    if kind:
        grain = max(2, round(size[0] / (20, 60, 160)[kind - 1]))
        spots = random.normal(0, 1, (height // grain + 2, width // grain + 2, 1)).astype(np.float32)
        canvas = canvas + 18 * cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    canvas[pad + round(0.86 * size[1]) :] += np.float32(random.uniform(-50, 50))
    return np.clip(canvas, 0, 255).astype(np.float32)


def colour(random: np.random.Generator) -> Colour:
    """Dark or bright, with a tint."""
    shade = random.uniform(0, 60, 3) if random.random() < 0.5 else random.uniform(170, 255, 3)
    shade[int(random.integers(3))] = random.uniform(0, 255)
    return float(shade[0]), float(shade[1]), float(shade[2])


def floor_of(film: tuple[int, int]) -> float:
    """Where the ground begins, in frame widths from the top of a picture of this size."""
    return 0.86 * film[1] / film[0]


Made = tuple[Draw, tuple[float, ...]]
Making = Callable[[np.random.Generator, tuple[int, int]], Made]


def _balls(random: np.random.Generator, size: tuple[int, int], count: int = 1) -> Made:
    contacts: list[float] = []
    draws: list[Draw] = []
    for _ in range(count):
        draw, times = _ball(random, size)
        draws.append(draw)
        contacts += times
    return lambda pen, t: [draw(pen, t) for draw in draws] and None, tuple(sorted(contacts))


def _ball(random: np.random.Generator, size: tuple[int, int]) -> Made:
    radius, keep, paint = random.uniform(0.015, 0.06), random.uniform(0.6, 0.93), colour(random)
    floor = floor_of(size) - radius + random.uniform(-0.02, 0.02)
    gravity, x0, speed = random.uniform(1.2, 4.0), random.uniform(0.2, 0.7), random.uniform(-0.04, 0.06)
    first, high = random.uniform(0.2, 0.8), floor * random.uniform(0.6, 0.9)
    arcs, t = [(-1.0, first + (2 * high / gravity) ** 0.5, 0.0)], first + (2 * high / gravity) ** 0.5
    up = (2 * high * gravity) ** 0.5
    while t < LASTS_S and up * keep > 0.3:
        up *= keep
        arcs.append((t, t + 2 * up / gravity, up))
        t += 2 * up / gravity

    def draw(pen: Pen, now: float) -> None:
        y = floor
        for begin, end, rise in arcs:
            if begin <= now < end:
                since = max(0.0, now - (begin if rise else first))
                y = floor - (rise * since - gravity * since**2 / 2 if rise else high - gravity * since**2 / 2)
        pen.disc(x0 + speed * now, y, radius, paint)

    return draw, tuple(end for _, end, _ in arcs if end < LASTS_S - 0.1)


def _hammer(random: np.random.Generator, size: tuple[int, int]) -> Made:
    period, stroke = random.uniform(0.55, 1.2), random.uniform(0.09, 0.2)
    times = np.arange(random.uniform(0.5, 0.9), LASTS_S - 0.1, period)
    contacts = tuple(float(t) for t in times)
    recoil, lift, angle = random.uniform(0.02, 0.15), random.uniform(0.2, 0.34), random.uniform(0.5, 1.1)
    long, thick, iron, wood = random.uniform(0.25, 0.5), random.uniform(0.02, 0.05), colour(random), colour(random)
    anvil = (random.uniform(0.5, 0.7), floor_of(size) - random.uniform(0.02, 0.15))

    def swing(t: float) -> float:
        ahead = min((c - t for c in contacts if c > t), default=9.0)
        since = min((t - c for c in contacts if c <= t), default=9.0)
        if ahead < stroke:
            return 1 - ((stroke - ahead) / stroke) ** 2
        if since < 0.12:
            return recoil * float(np.sin(np.pi * since / 0.12))
        return 0.5 * (1 - float(np.cos(np.pi * min(1.0, (since - 0.12) / lift))))

    def draw(pen: Pen, t: float) -> None:
        a = angle * swing(t)
        pivot = (anvil[0] - long, anvil[1])
        end = (pivot[0] + long * np.cos(a), pivot[1] - long * np.sin(a))
        x, y = anvil
        pen.shape([(x - 0.08, y + 0.04), (x + 0.08, y + 0.04), (x + 0.05, y + 0.2), (x - 0.05, y + 0.2)], (60, 60, 66))
        pen.line(pivot, end, 0.02, wood)
        pen.disc(end[0], end[1], thick, iron)

    return draw, contacts


def _walker(random: np.random.Generator, size: tuple[int, int]) -> Made:
    """Somebody who walks through, seen from the side: each foot stands still while the other swings past it."""
    pace, step = random.uniform(0.42, 0.62), random.uniform(0.06, 0.11)
    floor, tall = floor_of(size), random.uniform(0.22, 0.36)
    start, way = random.uniform(0.05, 0.15), colour(random)
    trousers, shoe = colour(random), colour(random)
    first = random.uniform(0.2, 0.5)
    contacts = tuple(float(t) for t in np.arange(first, LASTS_S - 0.1, pace))

    def foot(t: float, side: int) -> tuple[float, float]:
        turn = (t - first) / pace + side
        stride, part = divmod(turn, 2.0)
        base = start + step * (2 * stride - side)
        if part < 1.0:
            return base, 0.0
        swing = part - 1.0
        ease = swing**2 * (3 - 2 * swing) * 0.6 + 0.4 * swing
        return base + 2 * step * ease, 0.045 * float(np.sin(np.pi * swing)) ** 0.8

    def draw(pen: Pen, t: float) -> None:
        body = start + step * ((t - first) / pace + 0.5)
        hip = (body, floor - 0.5 * tall)
        for side in (0, 1):
            x, lifted = foot(t, side)
            pen.line(hip, (x, floor - lifted), 0.022, trousers)
            pen.shape([(x - 0.015, floor - lifted), (x + 0.035, floor - lifted), (x + 0.03, floor - lifted - 0.018),
                       (x - 0.015, floor - lifted - 0.025)], shoe)  # fmt: skip
        pen.line(hip, (body, floor - 0.86 * tall), 0.05, way)
        pen.disc(body, floor - tall, 0.03, (214, 170, 140))

    return draw, contacts


def _door(random: np.random.Generator, size: tuple[int, int]) -> Made:
    closes, swing = (random.uniform(0.9, 1.3), random.uniform(3.0, 3.6)), random.uniform(0.3, 0.6)
    left, wide, paint, tall = random.uniform(0.25, 0.45), random.uniform(0.2, 0.3), colour(random), size[1] / size[0]

    def opened(t: float) -> float:
        told = 0.0
        for close in closes:
            if close - swing <= t < close:
                told = max(told, 1 - ((t - close + swing) / swing) ** 1.6)
            elif close - swing - 0.8 <= t < close - swing:
                told = max(told, 0.5 - 0.5 * float(np.cos(np.pi * min(1.0, (t - close + swing + 0.8) / 0.6))))
        return told

    def draw(pen: Pen, t: float) -> None:
        angle = 1.3 * opened(t)
        edge, near = left + wide * float(np.cos(angle)), 0.06 * float(np.sin(angle))
        pen.shape(
            [(left, 0.1 * tall), (left + wide, 0.1 * tall), (left + wide, 0.9 * tall), (left, 0.9 * tall)], (28, 26, 24)
        )
        pen.shape([(left, 0.1 * tall), (edge, 0.1 * tall - near), (edge, 0.9 * tall + near), (left, 0.9 * tall)], paint)

    return draw, closes


def _clap(random: np.random.Generator, size: tuple[int, int]) -> Made:
    period, tall = random.uniform(0.4, 0.8), size[1] / size[0]
    contacts = tuple(float(t) for t in np.arange(random.uniform(0.4, 0.8), LASTS_S - 0.1, period))
    apart, skin, y = random.uniform(0.05, 0.14), (222, 176, 146), tall * random.uniform(0.4, 0.6)

    def draw(pen: Pen, t: float) -> None:
        ahead = min((c - t for c in contacts if c > t), default=9.0)
        since = min((t - c for c in contacts if c <= t), default=9.0)
        close = 0.28 * period
        open_ = (
            1 - (1 - ahead / close) ** 2 if ahead < close else min(1.0, max(0.0, since - 0.04) / (0.5 * period)) ** 0.7
        )
        pen.line((0.5, tall * 1.05), (0.5, y - 0.02), 0.22, (70, 90, 150))
        for side in (-1, 1):
            x = 0.5 + side * (0.022 + apart * open_)
            pen.line((0.5 + side * 0.16, tall * 0.95), (x, y), 0.03, skin)
            pen.shape([(x - 0.02, y + 0.05), (x + 0.02, y + 0.05), (x + 0.02, y - 0.05), (x - 0.02, y - 0.05)], skin)

    return draw, contacts


def _pendulum(random: np.random.Generator, size: tuple[int, int]) -> Made:
    rate, wide, long = random.uniform(0.4, 1.3), random.uniform(0.3, 0.9), random.uniform(0.2, 0.4)
    radius, paint = random.uniform(0.02, 0.06), colour(random)

    def draw(pen: Pen, t: float) -> None:
        a = wide * float(np.sin(2 * np.pi * rate * t))
        end = (0.5 + long * float(np.sin(a)), 0.02 + long * float(np.cos(a)))
        pen.line((0.5, 0.02), end, 0.006, (40, 40, 40))
        pen.disc(*end, radius, paint)

    return draw, ()


def _gesture(random: np.random.Generator, size: tuple[int, int]) -> Made:
    tall, lasting = size[1] / size[0], random.uniform(0.35, 0.7)
    stops = random.uniform((-0.12, -0.1), (0.12, 0.1), (30, 2, 2))
    skin: Colour = (214, 168, 138)

    def draw(pen: Pen, t: float) -> None:
        pen.line((0.5, 1.1 * tall), (0.5, 0.5 * tall), 0.24, (120, 60, 60))
        pen.disc(0.5 + 0.004 * float(np.sin(5 * t)), 0.28 * tall, 0.07, skin)
        i, part = divmod(t / lasting + 1, 1.0)
        ease = part**3 * (10 - 15 * part + 6 * part**2)
        for side in (0, 1):
            x, y = stops[int(i), side] * (1 - ease) + stops[int(i) + 1, side] * ease
            hand = (0.34 + 0.32 * side + x, 0.65 * tall + y)
            pen.line((0.38 + 0.24 * side, 0.55 * tall), hand, 0.035, (120, 60, 60))
            pen.disc(*hand, 0.03, skin)

    return draw, ()


def _leaves(random: np.random.Generator, size: tuple[int, int]) -> Made:
    tall = size[1] / size[0]
    leaves = random.uniform((0, 0, 0, 0.4, 0.01), (1, 0.8 * tall, 6.28, 2.2, 0.035), (150, 5))

    def draw(pen: Pen, t: float) -> None:
        for x, y, phase, rate, reach in leaves:
            sway = reach * float(np.sin(6.28 * rate * t + phase) + 0.5 * np.sin(6.28 * 0.3 * t))
            pen.disc(x + sway, y + sway / 3, 0.006 + 0.4 * reach, (20 + 10 * phase, 80 + 14 * phase, 24))

    return draw, ()


def _shimmer(random: np.random.Generator, size: tuple[int, int]) -> Made:
    wave = random.uniform((20, 60, 2, 10), (90, 260, 9, 32), (5, 4))
    top = float(random.uniform(0.2, 0.6))

    def draw(pen: Pen, t: float) -> None:
        height, width = pen.canvas.shape[:2]
        rows, columns = np.mgrid[int(top * height) : height, 0:width].astype(np.float32) / pen.width
        light = sum(high * np.sin(kx * columns + ky * rows + rate * t) for kx, ky, rate, high in wave)
        pen.canvas[int(top * height) :] = (np.array((60, 100, 120)) + np.asarray(light)[..., None]).clip(0, 255)

    return draw, ()


def _falling(random: np.random.Generator, size: tuple[int, int]) -> Made:
    """Rain or snow over the whole picture."""
    snow, tall = bool(random.integers(2)), size[1] / size[0]
    drops = random.uniform((0, 0, 0.6), (1, 1, 1.4), (120, 3))
    speed = 0.15 if snow else 2.5

    def draw(pen: Pen, t: float) -> None:
        for x, y, fast in drops:
            at = (y + speed * fast * t) % 1.2 * tall - 0.05
            if snow:
                pen.disc(x + 0.01 * float(np.sin(3 * t + 40 * y)), at, 0.003 * fast, (240, 240, 244))
            else:
                pen.line((x, at), (x + 0.004, at + 0.04 * fast), 0.002, (190, 195, 200))

    return draw, ()


def _crossing(random: np.random.Generator, size: tuple[int, int]) -> Made:
    cars = [(random.uniform(0, 3), random.choice((-1, 1)) * random.uniform(0.25, 1.2), random.uniform(0.4, 0.75),
             random.uniform(0.06, 0.16), colour(random)) for _ in range(3)]  # fmt: skip

    def draw(pen: Pen, t: float) -> None:
        for start, speed, y, wide, paint in cars:
            x = (t - start) * speed + (-wide if speed > 0 else 1.0)
            low = y * size[1] / size[0]
            pen.shape([(x, low), (x + wide, low), (x + wide, low - 0.4 * wide), (x, low - 0.4 * wide)], paint)

    return draw, ()


def _nothing(random: np.random.Generator, size: tuple[int, int]) -> Made:
    return lambda pen, t: None, ()


STRUCK = {
    "ball": _balls,
    "two balls": lambda r, s: _balls(r, s, 2),
    "hammer": _hammer,
    "walker": _walker,
    "door": _door,
    "clap": _clap,
}
UNSTRUCK = {"pendulum": _pendulum, "gesture": _gesture, "leaves": _leaves, "shimmer": _shimmer, "falling": _falling,
            "crossing": _crossing, "zoom": _nothing, "whip pan": _nothing, "flash": _gesture, "flicker": _pendulum,
            "fade": _crossing}  # fmt: skip


def film(name: str, seed: int) -> Film:
    """The film of this name and seed."""
    return filmed(name, seed, {**STRUCK, **UNSTRUCK}[name])


def filmed(name: str, seed: int, making: Making, codings: Sequence[Coding] = (CODING,)) -> Film:
    """What ``making`` draws, as a camera, a light and a coding that are drawn by lot too show it."""
    random = np.random.default_rng([seed, sum(map(ord, name))])
    size, rate = SIZES[int(random.integers(len(SIZES)))], RATES[int(random.integers(len(RATES)))]
    draw, contacts = making(random, size)
    shake = float(random.choice((0, 0, 0, 0.003, 0.008)))
    pan = float(random.choice((0, 0, 0, 0.02)))
    waves, phases = np.array([0.7, 1.9, 3.1]), random.uniform(0, 6.28, (2, 3))

    def camera(t: float) -> tuple[float, float, float]:
        x, y = shake * np.sin(6.28 * waves * t + phases).sum(1)
        grown = 1.0 + 0.08 * t if name == "zoom" else 1.0
        quick = 0.18 * float(np.tanh(8 * (t - 2.5))) if name == "whip pan" else 0.0
        return float(x) + pan * (t - LASTS_S / 2) + quick, float(y), grown

    def whole(canvas: Canvas, t: float) -> Canvas:
        if name == "flash":
            return canvas + np.float32(150 * (1.5 < t % 2.5 < 1.58))
        if name == "flicker":
            return canvas * np.float32(1 + 0.07 * np.sin(6.28 * 11.3 * t))
        return canvas * np.float32(np.clip(min(t, LASTS_S - t) / 0.8, 0, 1)) if name == "fade" else canvas

    grain, coding = float(random.uniform(0.5, 5)), codings[int(random.integers(len(codings)))]
    return Film(name, rate, size, contacts, draw, camera, grain, seed, whole, coding)
