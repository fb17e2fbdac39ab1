# SPDX-License-Identifier: AGPL-3.0-or-later
"""Films of textured bodies that strike, step, bounce and slam; beside ``_bodies.py``, which only move."""

from __future__ import annotations

import math

from _bodies import CODINGS, SKIN, UNSTRUCK_BODIES, Point, Random, Size, around, cloth_of, limb, patch, smooth, times
from _films import LASTS_S, Film, Made, Making, Pen, colour, filmed, floor_of


def _juggle(random: Random, size: Size) -> Made:
    """A ball kept up with the foot: it flies freely and is thrown back up by a leg that rises to meet it."""
    moments = times(random, float(random.uniform(0.5, 0.75)), 0.6, 0.12)
    low, x0, radius = floor_of(size) - random.uniform(0.04, 0.1), random.uniform(0.4, 0.6), random.uniform(0.018, 0.035)
    shirt, legs, spots = cloth_of(random), cloth_of(random), cloth_of(random)
    gravity, aside = random.uniform(1.6, 3.0), random.uniform(-0.03, 0.03, 40)

    def draw(pen: Pen, t: float) -> None:
        since, ahead = around(moments, t)
        part = min(since, ahead) / 0.22
        lifted = 0.07 * max(0.0, 1 - part * part)
        hip = (x0 + 0.1, low - 0.2)
        limb(pen, hip, (hip[0], low - 0.42), 0.1, shirt)
        pen.disc(hip[0] + 0.005 * math.sin(3 * t), low - 0.48, 0.035, SKIN)
        limb(pen, hip, (hip[0] + 0.04, low + 0.1), 0.04, legs)
        limb(pen, hip, (x0 + 0.01, low + radius + 0.09 - lifted), 0.04, legs)
        if since > 8:
            y = low - 0.02 - gravity * ahead * 0.2
        else:
            lasts = since + ahead if ahead < 8 else 0.6
            y = low - gravity / 2 * since * (lasts - since)
        i = sum(m <= t for m in moments)
        x = x0 + float(aside[i]) * (since / (since + ahead) if since < 8 else 0.0)
        turn = 5 * t
        arm = (radius * math.cos(turn), radius * math.sin(turn))
        pen.disc(x, y, radius, (235, 235, 232))
        limb(pen, (x - arm[0], y - arm[1]), (x + arm[0], y + arm[1]), radius, spots)

    return draw, moments


def _sticks(random: Random, size: Size) -> Made:
    """Two drumsticks in turn on one skin."""
    moments = times(random, float(random.uniform(0.26, 0.45)), 0.5)
    skin_y, x0 = floor_of(size) - random.uniform(0.05, 0.12), random.uniform(0.4, 0.6)
    high, shell, sleeve = random.uniform(0.35, 0.7), cloth_of(random), cloth_of(random)

    def draw(pen: Pen, t: float) -> None:
        patch(
            pen,
            [(x0 - 0.14, skin_y), (x0 + 0.14, skin_y), (x0 + 0.13, skin_y + 0.13), (x0 - 0.13, skin_y + 0.13)],
            shell,
        )
        pen.line((x0 - 0.14, skin_y), (x0 + 0.14, skin_y), 0.016, (228, 224, 214))
        for side in (0, 1):
            since, ahead = around(moments[side::2], t)
            lifted = min(1.0, since / 0.16) ** 0.7 * (1 - max(0.0, 1 - ahead / 0.13) ** 2)
            tip_x, way = x0 + (-0.03, 0.03)[side], (-1, 1)[side]
            grip = (tip_x + way * 0.2, skin_y - 0.05 - 0.03 * lifted)
            angle = math.atan2(skin_y - 0.008 - grip[1], -way * 0.2) + way * high * lifted
            tip = (grip[0] + 0.205 * math.cos(angle), grip[1] + 0.205 * math.sin(angle))
            limb(pen, (grip[0] + way * 0.15, grip[1] - 0.12), grip, 0.05, sleeve)
            pen.disc(*grip, 0.02, SKIN)
            pen.line(grip, tip, 0.009, (180, 140, 90))

    return draw, moments


def _chop(random: Random, size: Size) -> Made:
    """A knife that goes up and down through something on a board."""
    moments = times(random, float(random.uniform(0.32, 0.6)), 0.5, 0.05)
    board, x0, high = floor_of(size), random.uniform(0.45, 0.6), random.uniform(0.04, 0.1)
    sleeve, leaf = cloth_of(random), cloth_of(random)

    def draw(pen: Pen, t: float) -> None:
        patch(pen, [(x0 - 0.2, board), (x0 + 0.2, board), (x0 + 0.2, board + 0.04), (x0 - 0.2, board + 0.04)], leaf)
        since, ahead = around(moments, t)
        lifted = high * smooth(since / 0.16) * (1 - max(0.0, 1 - ahead / 0.11) ** 2)
        slid = 0.012 * sum(m <= t for m in moments)
        x, y = x0 - 0.08 + min(slid, 0.12), board - lifted
        pen.disc(x0 + 0.1, board - 0.02, 0.03, (90, 150, 60))
        pen.shape([(x, y), (x + 0.13, y - 0.008), (x + 0.13, y - 0.04), (x, y - 0.04)], (210, 214, 220))
        pen.disc(x - 0.025, y - 0.035, 0.03, SKIN)
        limb(pen, (x - 0.25, y - 0.16), (x - 0.03, y - 0.04), 0.06, sleeve)

    return draw, moments


def _rally(random: Random, size: Size) -> Made:
    """A ball hit to and fro between two rackets, bouncing on the ground once each way."""
    lasts, ground = float(random.uniform(0.8, 1.2)), floor_of(size)
    hits = times(random, lasts, 0.5)
    bounces = tuple(hit + 0.65 * lasts for hit in hits if hit + 0.65 * lasts < LASTS_S - 0.15)
    left, right, radius = 0.15, 0.85, random.uniform(0.012, 0.025)
    low, shirt, paint = ground - 0.14, cloth_of(random), colour(random)

    def place(t: float) -> Point:
        turn = (t - hits[0]) / lasts
        side, part = math.floor(turn) % 2, turn % 1.0
        x = left + (right - left) * (part if side == 0 else 1 - part)
        falls = part / 0.65
        if part < 0.65:
            return x, low - 0.1 * 4 * falls * (1 - falls) + (ground - radius - low) * falls * falls
        rises = (part - 0.65) / 0.35
        return x, ground - radius + (low - ground + radius) * (1 - (1 - rises) ** 2)

    def draw(pen: Pen, t: float) -> None:
        x, y = place(t)
        for side in (0, 1):
            since, ahead = around(hits[side::2], t)
            swing = math.exp(-((since / 0.2) ** 2)) - math.exp(-((ahead / 0.15) ** 2)) if min(since, ahead) < 1 else 0.0
            base, way = (left - 0.08, right + 0.08)[side], (1, -1)[side]
            limb(pen, (base, ground), (base, ground - 0.24), 0.07, shirt)
            pen.disc(base, ground - 0.28, 0.028, SKIN)
            hand = (base + way * (0.04 + 0.03 * swing), ground - 0.14)
            pen.line((base, ground - 0.2), hand, 0.02, SKIN)
            pen.line(hand, (hand[0] + way * 0.03, hand[1] - 0.05), 0.012, paint)
        pen.disc(x, y, radius, (216, 232, 70))

    return draw, tuple(sorted((*hits, *bounces)))


def _board(random: Random, size: Size) -> Made:
    """Somebody who rolls along on a board, pops it off the ground and lands."""
    ground, speed = floor_of(size), random.uniform(0.14, 0.24)
    pops = times(random, float(random.uniform(1.4, 1.9)), float(random.uniform(0.7, 1.1)))
    high, air = random.uniform(0.06, 0.12), random.uniform(0.4, 0.55)
    shirt, trousers, paint = cloth_of(random), cloth_of(random), colour(random)
    landings = tuple(pop + air for pop in pops if pop + air < LASTS_S - 0.1)

    def draw(pen: Pen, t: float) -> None:
        since, ahead = around(pops, t)
        part = since / air
        y = ground - 0.012 - (high * 4 * part * (1 - part) if part < 1 else 0.0)
        crouch = 0.04 * smooth(1 - ahead / 0.3) + 0.04 * smooth((since - air) / 0.1) * smooth(1 - (since - air) / 0.3)
        x = -0.05 + speed * t
        tilt = 0.035 * math.sin(math.pi * min(1.0, part * 2)) if part < 0.5 else 0.0
        pen.line((x - 0.06, y + tilt), (x + 0.06, y - tilt), 0.012, paint)
        hip = (x, y - 0.16 + crouch)
        limb(pen, (x - 0.035, y), hip, 0.035, trousers)
        limb(pen, (x + 0.035, y), hip, 0.035, trousers)
        limb(pen, hip, (x + 0.01, hip[1] - 0.13), 0.07, shirt)
        pen.disc(x + 0.012, hip[1] - 0.17, 0.03, SKIN)

    return draw, tuple(sorted((*pops, *landings)))


def _runner(random: Random, size: Size) -> Made:
    """Somebody who walks or runs past with bending knees, swinging arms and a body that sinks at every step."""
    pace = float(random.uniform(0.3, 0.6))
    contacts, first = times(random, pace, 0.25), 0.25
    long, tall = random.uniform(0.07, 0.12), random.uniform(0.24, 0.4)
    ground, start = floor_of(size), random.uniform(-0.05, 0.1)
    trousers, shirt, shoe = cloth_of(random), cloth_of(random), colour(random)
    way = 1 if random.random() < 0.5 else -1

    def placed(x: float, y: float) -> Point:
        return (x if way > 0 else 1 - x), y

    def foot(t: float, side: int) -> Point:
        stride, part = divmod((t - first) / pace + side, 2.0)
        base = start + long * (2 * stride - side + 0.5)
        if part < 1.0:
            return base, ground
        swing = part - 1.0
        return base + 2 * long * swing * swing * (3 - 2 * swing), ground - 0.16 * tall * math.sin(math.pi * swing)

    def draw(pen: Pen, t: float) -> None:
        turn = (t - first) / pace
        hip = (start + long * turn, ground - 0.5 * tall - 0.025 * tall * (1 - math.cos(2 * math.pi * turn)))
        shoulder = (hip[0] + 0.03 * tall, hip[1] - 0.3 * tall)
        for side in (1, 0):
            x, y = foot(t, side)
            knee = ((hip[0] + x) / 2 + 0.1 * tall * (1.2 - abs(y - hip[1]) / (0.5 * tall)), (hip[1] + y) / 2)
            limb(pen, placed(*hip), placed(*knee), 0.1 * tall, trousers)
            limb(pen, placed(*knee), placed(x, y - 0.01), 0.08 * tall, trousers)
            pen.line(placed(x - 0.01, y - 0.008), placed(x + 0.1 * tall, y - 0.006), 0.05 * tall, shoe)
            arm = math.sin(math.pi * turn + math.pi * side) * 0.5
            hand = (shoulder[0] + 0.3 * tall * math.sin(arm), shoulder[1] + 0.3 * tall * math.cos(arm))
            limb(pen, placed(*shoulder), placed(*hand), 0.06 * tall, shirt)
        limb(pen, placed(*hip), placed(*shoulder), 0.17 * tall, shirt)
        pen.disc(*placed(shoulder[0] + 0.01, shoulder[1] - 0.1 * tall), 0.07 * tall, SKIN)

    return draw, contacts


def _knock(random: Random, size: Size) -> Made:
    """Knuckles on a door: bursts of raps."""
    gap = random.uniform(0.24, 0.34)
    moments = tuple(float(s + i * gap) for s in (0.6, 2.7) for i in range(int(random.integers(2, 5))))
    x0, y0, high = random.uniform(0.5, 0.65), random.uniform(0.2, 0.3), random.uniform(0.03, 0.06)
    sleeve, wood = cloth_of(random), cloth_of(random)

    def draw(pen: Pen, t: float) -> None:
        patch(pen, [(x0, -0.1), (x0 + 0.3, -0.1), (x0 + 0.3, 0.7), (x0, 0.7)], wood)
        since, ahead = around(moments, t)
        away = high * smooth(since / 0.12) * (1 - max(0.0, 1 - ahead / 0.08) ** 2)
        rest = 0.12 * smooth((min(since, ahead) - 0.4) / 0.4)
        fist = (x0 - 0.02 - away - rest, y0 + rest)
        limb(pen, (x0 - 0.4, y0 + 0.3), fist, 0.06, sleeve)
        pen.disc(*fist, 0.028, SKIN)

    return draw, moments


def _slide(random: Random, size: Size) -> Made:
    """A sliding door or a drawer that runs into its frame, twice, and is opened gently between."""
    closes, lasts = (random.uniform(0.8, 1.4), random.uniform(3.2, 3.9)), random.uniform(0.25, 0.6)
    tall, wide = size[1] / size[0], random.uniform(0.2, 0.32)
    left, panel, dark = random.uniform(0.25, 0.4), cloth_of(random), cloth_of(random) // 4

    def draw(pen: Pen, t: float) -> None:
        told = 0.0
        for close in closes:
            if close - lasts <= t < close:
                told = 1 - ((t - close + lasts) / lasts) ** 1.4
            elif close - lasts - 1.0 <= t < close - lasts:
                told = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (t - close + lasts + 1.0) / 0.8))
        top, bottom, x = 0.15 * tall, 0.85 * tall, left - 0.85 * wide * told
        patch(pen, [(left, top), (left + wide, top), (left + wide, bottom), (left, bottom)], dark)
        patch(pen, [(x, top), (x + wide, top), (x + wide, bottom), (x, bottom)], panel)

    return draw, tuple(float(close) for close in closes)


STRUCK_BODIES: dict[str, Making] = {
    "juggle": _juggle,
    "sticks": _sticks,
    "chop": _chop,
    "rally": _rally,
    "board": _board,
    "runner": _runner,
    "knock": _knock,
    "slide": _slide,
}


def body_film(name: str, seed: int) -> Film:
    """The film of this name and seed, in one of the ``CODINGS``."""
    return filmed(name, seed, {**STRUCK_BODIES, **UNSTRUCK_BODIES}[name], CODINGS)
