# SPDX-License-Identifier: AGPL-3.0-or-later
"""Films of textured bodies at work, at play and at rest, coded as badly as the web codes them; truths known exactly.

Beside ``_films.py``, whose pen, cameras and seeds these share: clothes and grounds have texture, limbs hang on bodies,
and ``CODINGS`` are those of old phones and video sites. Even seeds are for development, odd seeds are held out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
from _films import LASTS_S, Coding, Colour, Made, Making, Pen, Picture, floor_of

Point = tuple[float, float]
Random = np.random.Generator
Size = tuple[int, int]

CODINGS: tuple[Coding, ...] = (
    ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20"),
    ("-c:v", "libx264", "-preset", "veryfast", "-crf", "34"),
    ("-c:v", "libx264", "-preset", "superfast", "-b:v", "160k", "-maxrate", "220k", "-bufsize", "300k"),
    ("-c:v", "mpeg4", "-q:v", "9"),
)
SKIN: Colour = (205, 160, 132)


def cloth_of(random: Random) -> Picture:
    """A patterned square, uint8 ``[64, 64, 3]``: stripes, checks or mottle."""
    base, other = random.uniform(30, 220, 3), random.uniform(-60, 60, 3)
    rows, columns = np.mgrid[0:64, 0:64]
    kind, pitch = int(random.integers(3)), int(random.integers(5, 14))
    if kind == 2:
        marks = cv2.resize(random.random((9, 9)).astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
    else:
        marks = ((columns // pitch + kind * (rows // pitch)) % 2).astype(np.float32)
    return np.clip(base + other * marks[..., None], 0, 255).astype(np.uint8)


def limb(pen: Pen, start: Point, end: Point, thick: float, cloth: Picture) -> None:
    """A textured strip from ``start`` to ``end``, its pattern moving with it."""
    along = math.atan2(end[1] - start[1], end[0] - start[0])
    nx, ny = -math.sin(along) * thick / 2, math.cos(along) * thick / 2
    corners = [(start[0] + nx, start[1] + ny), (end[0] + nx, end[1] + ny),
               (end[0] - nx, end[1] - ny), (start[0] - nx, start[1] - ny)]  # fmt: skip
    patch(pen, corners, cloth)


def patch(pen: Pen, corners: Sequence[Point], cloth: Picture) -> None:
    """``cloth`` stretched over four corners."""
    height, width = pen.canvas.shape[:2]
    placed = np.array([(pen.pad + x * pen.width, pen.pad + y * pen.width) for x, y in corners], np.float32)
    left, top = np.maximum(np.floor(placed.min(0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(placed.max(0)).astype(int) + 2, (width, height))
    if right <= left or bottom <= top:
        return
    flat = np.array([(0, 0), (64, 0), (64, 64), (0, 64)], np.float32)
    warp = cv2.getPerspectiveTransform(flat, placed - np.array((left, top), np.float32))
    size = (int(right - left), int(bottom - top))
    drawn = cv2.warpPerspective(cloth, warp, size, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    mask = np.zeros(size[::-1], np.float32)
    points = np.round((placed - (left, top)) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, points, 1.0, cv2.LINE_AA, 4)
    area = pen.canvas[top:bottom, left:right]
    area += (drawn - area) * np.minimum(mask, 1.0)[..., None]


def times(random: Random, period: float, first: float, unevenness: float = 0.0) -> tuple[float, ...]:
    """Moments ``period`` apart on average up to shortly before the end."""
    told, t = [], first
    while t < LASTS_S - 0.15:
        told.append(t)
        t += period * (1 + unevenness * float(random.uniform(-1, 1)))
    return tuple(told)


def around(moments: Sequence[float], t: float) -> tuple[float, float]:
    """Seconds since the last of ``moments`` and until the next one; 9 where there is none."""
    since = min((t - m for m in moments if m <= t), default=9.0)
    return since, min((m - t for m in moments if m > t), default=9.0)


def smooth(part: float) -> float:
    """From 0 to 1, starting and ending gently."""
    part = min(1.0, max(0.0, part))
    return part * part * (3 - 2 * part)


def _signing(random: Random, size: Size) -> Made:
    """Two hands that speak: minimum-jerk strokes of many sizes, short holds, a head that nods."""
    tall = size[1] / size[0]
    lasting = random.uniform(0.22, 0.5)
    stops = random.uniform((-0.12, -0.16), (0.14, 0.1), (40, 2, 2))
    sweater = cloth_of(random)

    def draw(pen: Pen, t: float) -> None:
        limb(pen, (0.5, 1.1 * tall), (0.5, 0.45 * tall), 0.3, sweater)
        pen.disc(0.5, 0.28 * tall + 0.008 * math.sin(4 * t), 0.075, SKIN)
        index, part = divmod(t / lasting + 1, 1.0)
        part = min(1.0, part / 0.8)
        ease = part**3 * (10 - 15 * part + 6 * part**2)
        for side in (0, 1):
            x, y = stops[int(index), side] * (1 - ease) + stops[int(index) + 1, side] * ease
            elbow, hand = (0.32 + 0.36 * side, 0.85 * tall), (0.4 + 0.2 * side + x, 0.6 * tall + y)
            limb(pen, elbow, hand, 0.05, sweater)
            pen.disc(*hand, 0.032, SKIN)

    return draw, ()


def _swing(random: Random, size: Size) -> Made:
    """A child on a swing: a large, fast, textured pendulum."""
    rate, wide, long = random.uniform(0.35, 0.7), random.uniform(0.4, 0.9), random.uniform(0.25, 0.4)
    shirt, x0 = cloth_of(random), random.uniform(0.4, 0.6)

    def draw(pen: Pen, t: float) -> None:
        a = wide * math.sin(2 * math.pi * rate * t)
        seat = (x0 + long * math.sin(a), long * math.cos(a))
        pen.line((x0, 0.0), seat, 0.008, (70, 60, 50))
        head = (seat[0] - 0.12 * math.sin(a), seat[1] - 0.12 * math.cos(a))
        limb(pen, seat, head, 0.07, shirt)
        pen.disc(*head, 0.03, SKIN)
        pen.line(seat, (seat[0] + 0.08 * math.cos(a + 0.6), seat[1] + 0.08 * math.sin(0.6 - a)), 0.025, (60, 70, 110))

    return draw, ()


def _dancer(random: Random, size: Size) -> Made:
    """Arms, hips and head on smooth curves of their own."""
    rates, phases = random.uniform(0.5, 1.6, 8), random.uniform(0, 6.28, 8)
    ground, shirt, trousers = floor_of(size), cloth_of(random), cloth_of(random)

    def draw(pen: Pen, t: float) -> None:
        w = [math.sin(2 * math.pi * r * t + p) for r, p in zip(rates, phases, strict=True)]
        hip = (0.5 + 0.04 * w[0], ground - 0.18 + 0.01 * w[1])
        neck = (hip[0] + 0.03 * w[2], hip[1] - 0.17)
        for side in (-1, 1):
            limb(pen, hip, (0.5 + side * 0.05, ground), 0.04, trousers)
            bend = w[3 + side] * 1.1
            elbow = (neck[0] + side * 0.08 * math.cos(bend), neck[1] + 0.08 * math.sin(bend))
            turn = bend + w[5 + side]
            limb(pen, neck, elbow, 0.035, shirt)
            limb(pen, elbow, (elbow[0] + side * 0.09 * math.cos(turn), elbow[1] + 0.09 * math.sin(turn)), 0.03, shirt)
        limb(pen, hip, neck, 0.08, shirt)
        pen.disc(neck[0] + 0.01 * w[7], neck[1] - 0.05, 0.032, SKIN)

    return draw, ()


def _cloth_in_wind(random: Random, size: Size) -> Made:
    """A flag: a textured sheet that waves."""
    cloth, rate, tall = cloth_of(random), random.uniform(0.8, 2.0), size[1] / size[0]

    def draw(pen: Pen, t: float) -> None:
        edge = [
            (0.25 + 0.05 * i, 0.3 * tall + 0.012 * i * math.sin(2 * math.pi * rate * t - 0.9 * i)) for i in range(11)
        ]
        pen.line((0.25, 0.1 * tall), (0.25, 1.0 * tall), 0.012, (120, 120, 126))
        for (x, y), (u, v) in itertools.pairwise(edge):
            patch(pen, [(x, y), (u, v), (u, v + 0.2), (x, y + 0.2)], cloth)

    return draw, ()


def _talker(random: Random, size: Size) -> Made:
    """A talking head: it nods and turns, the mouth opens and shuts, the eyes blink."""
    tall, shirt = size[1] / size[0], cloth_of(random)
    rates, phases = random.uniform(0.3, 1.1, 3), random.uniform(0, 6.28, 3)
    blinks = times(random, 1.3, 0.7, 0.5)

    def draw(pen: Pen, t: float) -> None:
        sway = [math.sin(2 * math.pi * r * t + p) for r, p in zip(rates, phases, strict=True)]
        x, y = 0.5 + 0.02 * sway[0], 0.42 * tall + 0.015 * sway[1]
        limb(pen, (0.5, 1.1 * tall), (0.5, 0.75 * tall), 0.5, shirt)
        pen.disc(x, y, 0.13, SKIN)
        mouth = 0.004 + 0.022 * abs(math.sin(8.5 * t) * math.sin(1.7 * t))
        pen.shape(
            [(x - 0.035, y + 0.06), (x + 0.035, y + 0.06), (x + 0.03, y + 0.06 + mouth), (x - 0.03, y + 0.06 + mouth)],
            (90, 30, 34),
        )
        shut = around(blinks, t)[0] < 0.1
        for side in (-1, 1):
            pen.disc(x + side * 0.045 + 0.01 * sway[2], y - 0.02, 0.014, SKIN if shut else (30, 30, 34))

    return draw, ()


def _traffic(random: Random, size: Size) -> Made:
    """Cars that slow down gently, wait and go on."""
    ground = floor_of(size)
    cars = [(cloth_of(random), random.uniform(0.2, 0.6), random.uniform(0.12, 0.2), i) for i in range(2)]

    def draw(pen: Pen, t: float) -> None:
        for cloth, stop, wide, lane in cars:
            part = min(1.0, t / 2.0)
            x = -wide + (stop + wide) * (1 - (1 - part) ** 2) + (0.12 * max(0.0, t - 3.0) ** 2)
            y = ground - 0.08 * lane
            patch(pen, [(x, y - 0.4 * wide), (x + wide, y - 0.4 * wide), (x + wide, y), (x, y)], cloth)
            for wheel in (0.2, 0.8):
                pen.disc(x + wheel * wide, y, 0.12 * wide, (24, 24, 26))

    return draw, ()


UNSTRUCK_BODIES: dict[str, Making] = {
    "signing": _signing,
    "swing": _swing,
    "dancer": _dancer,
    "flag": _cloth_in_wind,
    "talker": _talker,
    "traffic": _traffic,
}
