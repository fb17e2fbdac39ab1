# SPDX-License-Identifier: AGPL-3.0-or-later
"""Drawn scenes whose contacts are known to the microsecond: what the motion watcher is measured and tested on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.watchers import Frame

Picture = NDArray[np.uint8]
Canvas = NDArray[np.float32]
Draw = Callable[[Canvas, float], None]

SIZE = (192, 108)


@dataclass(frozen=True, slots=True)
class Scene:
    """``draw`` paints the world at a moment on a float32 ``[108, 192, 3]`` canvas; ``contacts_s`` are its true impacts."""

    name: str
    draw: Draw
    contacts_s: tuple[float, ...]
    duration_s: float = 6.0


@dataclass(frozen=True, slots=True)
class Shot:
    """How a scene is filmed: rate, hand-held shake in pixels, sensor noise in grey levels, shutter as share of a frame.

    ``repeat``: every so-manieth frame only repeats the one before, as in telecine and in webcams; 0 for none.
    """

    rate: Fraction = Fraction(25)
    shake: float = 0.0
    noise: float = 2.0
    shutter: float = 0.5
    pan: float = 0.0
    repeat: int = 0


def background(seed: int = 1, margin: int = 60) -> Canvas:
    """A textured wall, larger than the picture by ``margin`` on every side."""
    random = np.random.default_rng(seed)
    height, width = SIZE[1] + 2 * margin, SIZE[0] + 2 * margin
    layers = [
        cv2.resize(random.random((height // s + 1, width // s + 1, 3), np.float32), (width, height))
        for s in (4, 16, 48)
    ]
    return (60 + 40 * layers[0] + 60 * layers[1] + 50 * layers[2]).astype(np.float32)


def film(scene: Scene, shot: Shot = Shot(), seed: int = 0) -> Iterator[Frame]:
    """Frames of ``scene`` as ``shot`` sees it, with motion blur over the shutter (five samples)."""
    random = np.random.default_rng(seed)
    wall, margin = background(), 60
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    sway = [random.uniform(0, 6.28, 4) for _ in range(2)]
    for index in range(int(scene.duration_s * shot.rate)):
        time = Fraction(index) / shot.rate
        if shot.repeat and index and index % shot.repeat == 0:
            yield Frame(time, picture)
            continue
        total = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
        for part in range(5):
            moment = float(time) + (part - 2) / 5 * shot.shutter / float(shot.rate)
            total += _exposure(scene, shot, (wall, margin), sway, moment)
        exposed = total / 5 + random.normal(0, shot.noise, total.shape).astype(np.float32)
        picture = np.clip(exposed, 0, 255).astype(np.uint8)
        yield Frame(time, picture)


def _exposure(
    scene: Scene, shot: Shot, wall: tuple[Canvas, int], sway: list[NDArray[np.float64]], moment: float
) -> Canvas:
    world, margin = wall
    canvas = world.copy()
    inner = canvas[margin : margin + SIZE[1], margin : margin + SIZE[0]]
    scene.draw(inner, moment)
    waves = np.array([1.3, 2.9, 4.7, 7.3])
    x = shot.shake * float((np.sin(6.28 * waves * moment + sway[0]) / 2).sum()) + shot.pan * (
        moment - scene.duration_s / 2
    )
    y = shot.shake * float((np.sin(6.28 * waves * 0.8 * moment + sway[1]) / 2).sum())
    move = np.array([[1, 0, -(margin + x)], [0, 1, -(margin + y)]], np.float32)
    return cv2.warpAffine(canvas, move, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)  # type: ignore[no-any-return]


def _disc(
    canvas: Canvas, x: float, y: float, radius: float, colour: tuple[float, float, float] = (235, 235, 230)
) -> None:
    centre = (round(x * 16), round(y * 16))
    cv2.circle(canvas, centre, round(radius * 16), colour, -1, cv2.LINE_AA, 4)


def ball(radius: float = 7.0, gravity: float = 420.0, bounce: float = 0.92) -> Scene:
    """A ball that falls and bounces on a floor at y = 95, gravity in pixels a second squared."""
    floor, first = 95.0 - radius, 70.0
    fall = (2 * first / gravity) ** 0.5
    contacts, speed, time = [fall], (2 * first * gravity) ** 0.5 * bounce, fall
    while time + 2 * speed / gravity < 6.0 and speed > 60:
        time += 2 * speed / gravity
        contacts.append(time)
        speed *= bounce

    def draw(canvas: Canvas, t: float) -> None:
        at = [c for c in contacts if c <= t]
        if not at:
            _disc(canvas, 60 + 12 * t, floor - first + gravity * t * t / 2, radius)
            return
        up = (2 * first * gravity) ** 0.5 * bounce ** len(at)
        since = t - at[-1]
        _disc(canvas, 60 + 12 * t, floor - max(0.0, up * since - gravity * since * since / 2), radius)

    return Scene("ball", draw, tuple(contacts))


def hammer(period: float = 0.8, stroke: float = 0.14, lift: float = 0.4) -> Scene:
    """A hammer that is swung down in ``stroke`` s, rests, and is lifted slowly; contacts every ``period``."""
    contacts = tuple(float(c) for c in np.arange(0.7, 5.9, period))

    def angle(t: float) -> float:
        phase = min(
            (t - c for c in (contacts[0] - period, *contacts, contacts[-1] + period)),
            key=lambda p: abs(p) if p < 0 else p,
        )
        since = (t - contacts[0]) % period
        to_next = period - since
        if to_next < stroke:
            return 0.9 * (1 - ((stroke - to_next) / stroke) ** 2)
        if since < 0.1:
            return 0.06 * np.sin(np.pi * since / 0.1) if phase >= 0 else 0.0
        return 0.9 * 0.5 * (1 - np.cos(np.pi * min(1.0, (since - 0.1) / lift)))

    def draw(canvas: Canvas, t: float) -> None:
        a = angle(t)
        pivot, length = np.array([20.0, 80.0]), 95.0
        end = pivot + length * np.array([np.cos(a), -np.sin(a)])
        ends = [tuple(int(v * 16) for v in p) for p in (pivot, end)]
        cv2.rectangle(canvas, (95, 88), (150, 108), (50, 50, 60), -1)
        cv2.line(canvas, ends[0], ends[1], (150, 100, 50), 5, cv2.LINE_AA, 4)
        _disc(canvas, end[0], end[1], 9, (30, 30, 35))

    return Scene("hammer", draw, contacts)


def kicked() -> Scene:
    """A ball thrown to and fro between two walls: contacts at both, sideways."""
    contacts = tuple(float(c) for c in np.arange(0.5, 5.9, 0.75))

    def draw(canvas: Canvas, t: float) -> None:
        turn = (t - 0.5) / 0.75
        part = turn % 1.0
        x = 30 + 130 * (part if int(np.floor(turn)) % 2 == 0 else 1 - part)
        _disc(canvas, x, 60, 8)

    return Scene("kicked", draw, contacts)


def pendulum() -> Scene:
    """A ball on a string: fast, rhythmic, and never a contact."""

    def draw(canvas: Canvas, t: float) -> None:
        a = 0.8 * np.sin(2 * np.pi * t / 1.2)
        _disc(canvas, 96 + 80 * np.sin(a), 80 * np.cos(a), 8)

    return Scene("pendulum", draw, ())


def tree() -> Scene:
    """Leaves in the wind: many small things that sway, none of them struck."""
    random = np.random.default_rng(3)
    places = random.uniform((0, 0), SIZE, (160, 2))
    phases, rates, sizes = random.uniform(0, 6.28, 160), random.uniform(0.5, 1.6, 160), random.uniform(2, 6, 160)

    def draw(canvas: Canvas, t: float) -> None:
        sway = 5 * np.sin(6.28 * rates * t + phases)
        for (x, y), s, r, p in zip(places, sway, sizes, phases, strict=True):
            _disc(canvas, x + s, y + s / 2, r, (30 + 10 * p, 90 + 12 * p, 30))

    return Scene("tree", draw, ())


def hands() -> Scene:
    """Two hands that gesture: smooth moves between rests, as people do when they speak."""
    random = np.random.default_rng(5)
    stops = random.uniform((60, 40), (130, 90), (14, 2, 2))[:, 0]

    def draw(canvas: Canvas, t: float) -> None:
        index, part = int(t / 0.5) % 13, (t / 0.5) % 1.0
        ease = 0.0 if part < 0.2 else 0.5 * (1 - np.cos(np.pi * (part - 0.2) / 0.8))
        x, y = stops[index] * (1 - ease) + stops[index + 1] * ease
        _disc(canvas, x, y, 8, (205, 160, 130))
        _disc(canvas, 192 - x, y, 8, (205, 160, 130))

    return Scene("hands", draw, ())


def traffic() -> Scene:
    """Cars that drive through the picture and leave it."""

    def draw(canvas: Canvas, t: float) -> None:
        for start, speed, y, shade in ((0.3, 130, 70, 40), (2.0, -160, 40, 220), (3.6, 190, 80, 120)):
            x = (t - start) * speed + (-30 if speed > 0 else 222)
            cv2.rectangle(
                canvas, (int(x), y - 10), (int(x) + 36, y + 10), (shade, 60, 200 - shade / 2), -1, cv2.LINE_AA
            )

    return Scene("traffic", draw, ())


def noise() -> Scene:
    """Flowing water or dead channel: every point changes, nothing moves."""
    random = np.random.default_rng(7)
    plates = [cv2.GaussianBlur(random.normal(120, 60, (108, 192, 3)).astype(np.float32), (0, 0), 2) for _ in range(24)]

    def draw(canvas: Canvas, t: float) -> None:
        canvas[40:] = plates[int(t * 12.0) % 24][40:] * 3 - 240

    return Scene("noise", draw, ())


def empty() -> Scene:
    """Only the wall: what moves is the camera."""
    return Scene("empty", lambda canvas, t: None, ())
