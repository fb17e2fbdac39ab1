# SPDX-License-Identifier: AGPL-3.0-or-later
"""Weather: what is spotted on drawn rain, snow, fire, water, night and crowds, without models.

    python bench/weather.py

Drawn after how such pictures are made (falling particles blurred by the shutter, flames that rise and flicker, colour
casts), not after what the watchers look for. A film is right where a sound of its row is a cue or a suggestion, absurd
where one of the last column is a cue; to be silent about it is neither. Exits with 1 where anything is absurd.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import plugins, spotting
from immersivaudio.engine.cue import Clip, CueSheet, Edit, Span
from immersivaudio.engine.watchers import Frame

Canvas = NDArray[np.float32]
SIZE, SECONDS, RATE = (320, 180), 4, 25
_INDOORS = "room cabin crowd fire underwater sea stream"


def _cloudy(random: np.random.Generator, scales: tuple[int, ...]) -> Canvas:
    """Noise of several grains, 0 to 1, ``[h, w]``."""
    layers = [
        cv2.resize(random.random((SIZE[1] // s + 2, SIZE[0] // s + 2), np.float32), SIZE, interpolation=cv2.INTER_CUBIC)
        for s in scales
    ]
    return np.asarray(np.clip(sum(layers) / len(layers), 0, 1), np.float32)


def _tinted(value: Canvas, dark: tuple[int, int, int], bright: tuple[int, int, int]) -> Canvas:
    low, high = np.array(dark, np.float32), np.array(bright, np.float32)
    return np.asarray(low + value[..., None] * (high - low), np.float32)


def _street(random: np.random.Generator) -> Canvas:
    """House fronts with windows over wet tarmac, under a dull sky."""
    picture = _tinted(_cloudy(random, (40,)), (120, 122, 126), (150, 152, 156))
    for x in range(-10, SIZE[0], 64):
        top = int(random.integers(15, 50))
        picture[top:125, max(0, x) : x + 60] = random.integers(60, 120)
        for row in range(top + 8, 118, 18):
            for column in range(max(0, x + 6), x + 52, 14):
                picture[row : row + 10, column : column + 7] = random.integers(30, 60)
    picture[125:] = _tinted(_cloudy(random, (6, 30)), (62, 62, 66), (92, 92, 98))[125:]
    return picture


def _rain(random: np.random.Generator) -> Iterator[Canvas]:
    street = _street(random)
    while True:
        picture = street.copy()
        for x, y, length in random.random((260, 3)):
            start = int(x * SIZE[0]), int(y * SIZE[1])
            shade = float(picture[min(start[1], SIZE[1] - 1), min(start[0], SIZE[0] - 1)].mean()) + 55
            cv2.line(
                picture,
                start,
                (start[0] + 2, start[1] + int(8 + 14 * length)),
                (shade, shade, shade + 4),
                1,
                cv2.LINE_AA,
            )
        yield picture


def _snowfall(random: np.random.Generator) -> Iterator[Canvas]:
    field = _tinted(_cloudy(random, (20, 60)), (196, 200, 208), (232, 234, 240))
    field[:80] = _tinted(_cloudy(random, (50,)), (150, 154, 160), (172, 176, 182))[:80]
    for x in range(10, SIZE[0], 34):
        cv2.line(field, (x, 40), (x + 2, 95), (60, 58, 56), 3, cv2.LINE_AA)
    flakes = random.random((220, 3)) * (*SIZE, 1)
    while True:
        flakes[:, 0] += random.normal(0.4, 0.8, 220)
        flakes[:, 1] += 1.5 + 3 * flakes[:, 2]
        flakes[:, :2] %= SIZE
        picture = field.copy()
        for x, y, near in flakes:
            cv2.circle(picture, (int(x), int(y)), 1 + int(2 * near), (248, 248, 250), -1, cv2.LINE_AA)
        yield cv2.GaussianBlur(picture, (3, 3), 0)


def _fire(random: np.random.Generator) -> Iterator[Canvas]:
    """A camp fire by night: noise that rises, hot in the middle."""
    tall = np.concatenate([_cloudy(random, (10, 24)) for _ in range(6)])
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    body = np.exp(-(((columns - 160) / (20 + 0.35 * np.maximum(rows - 20, 0))) ** 2)) * np.clip((rows - 20) / 110, 0, 1)
    at = 0
    while True:
        at = (at + 9) % (tall.shape[0] - SIZE[1])
        heat = np.clip(2.4 * body * tall[at : at + SIZE[1]], 0, 1)
        picture = np.dstack([255 * np.minimum(1, 2.2 * heat), 235 * heat**1.5, 150 * heat**4]).astype(np.float32)
        yield picture * random.uniform(0.85, 1.0) + 8


def _underwater(random: np.random.Generator) -> Iterator[Canvas]:
    reef, light, step = _cloudy(random, (20, 50)), _cloudy(random, (12,)), 0
    rows = np.linspace(1.0, 0.45, SIZE[1], dtype=np.float32)[:, None]
    while True:
        step += 1
        waves = np.roll(light, (step // 2, 2 * step), (0, 1))
        yield _tinted(rows * (0.75 * reef + 0.25 * waves), (2, 40, 62), (40, 150, 185))


def _sea(random: np.random.Generator) -> Iterator[Canvas]:
    sky, step = _tinted(_cloudy(random, (60,)), (150, 178, 205), (190, 208, 225)), 0.0
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    depth = np.maximum(rows - 75, 1)
    phases = random.random(6) * 6.3
    while True:
        step += 0.12
        swell = sum(
            np.sin(900 * (k + 1) ** 0.7 / (depth + 12) + columns * 0.012 * k - step * (1 + 0.3 * k) + phase)
            for k, phase in enumerate(phases)
        )
        grain = cv2.resize(random.random((90, 160), np.float32), SIZE)
        water = _tinted(np.clip(0.45 + 0.1 * swell + 0.15 * (grain - 0.5), 0, 1), (28, 62, 86), (120, 156, 176))
        yield np.where(rows[..., None] > 75, water, sky).astype(np.float32)


def _night(random: np.random.Generator) -> Iterator[Canvas]:
    """A town by night: dark fronts, lamps and lit windows."""
    street = _street(random) * 0.13
    for x, y in random.random((26, 2)) * (300, 100) + 10:
        cv2.rectangle(street, (int(x), int(y) + 20), (int(x) + 5, int(y) + 27), (225, 185, 105), -1)
    for x in range(24, SIZE[0], 70):
        cv2.circle(street, (x, 70), 4, (255, 240, 200), -1)
    lit = np.maximum(street, 0.6 * cv2.GaussianBlur(street, (31, 31), 0))
    while True:
        yield lit * random.uniform(0.98, 1.0)


def _crowd(random: np.random.Generator) -> Iterator[Canvas]:
    """Rows of heads and shoulders in clothes of all colours, swaying."""
    people = [
        (x + random.normal(0, 2), y, random.integers(20, 235, 3).tolist(), random.random() * 6.3)
        for y in range(20, 190, 15)
        for x in range(0, SIZE[0], 11)
    ]
    step = 0
    while True:
        step += 1
        picture = np.full((SIZE[1], SIZE[0], 3), 70, np.float32)
        for x, y, cloth, phase in people:
            middle = (int(x + 1.5 * np.sin(step / 5 + phase)), int(y))
            cv2.ellipse(picture, (middle[0], middle[1] + 9), (6, 7), 0, 0, 360, cloth, -1, cv2.LINE_AA)
            cv2.circle(picture, middle, 4, (190, 150, 125), -1, cv2.LINE_AA)
        yield picture


def _bare(random: np.random.Generator) -> Iterator[Canvas]:
    """A plain wall: nothing to hear but a room."""
    wall = _tinted(_cloudy(random, (50,)), (168, 158, 146), (190, 180, 168))
    while True:
        yield wall


Draw = Callable[[np.random.Generator], Iterator[Canvas]]
# What is drawn, what would be right, what would be absurd.
FILMS: dict[str, tuple[Draw, str, str]] = {
    "rain": (_rain, "rain rain.* city traffic wind", _INDOORS),
    "snowfall": (_snowfall, "wind wind.*", "sea stream traffic city crowd fire underwater cabin night rain rain.*"),
    "fire": (_fire, "fire", "sea stream traffic city crowd underwater cabin rain rain.* music"),
    "underwater": (_underwater, "underwater", "city traffic crowd fire cabin forest wind rain"),
    "sea": (_sea, "sea", "room city traffic crowd fire cabin forest night underwater"),
    "night town": (_night, "city night traffic", "sea stream underwater fire forest crowd cabin"),
    "crowd": (_crowd, "crowd city", "sea stream underwater fire rain rain.* night"),
    "bare wall": (_bare, "room", "sea stream underwater fire crowd traffic city forest night rain rain.*"),
}


def sheet_of(draw: Draw, seed: int) -> CueSheet:
    """The sheet of a drawn film as the watchers without models see it."""
    random = np.random.default_rng(seed)
    film = draw(random)
    span = Span(Fraction(0), Fraction(SECONDS))
    clip = Clip("c1", "drawn", "video", 0, None, span, span)
    sessions = [plugins.create("watchers", name).open(clip) for name in ("motion", "place", "shots")]
    for index in range(SECONDS * RATE):
        noisy = next(film) + random.normal(0, 2, (SIZE[1], SIZE[0], 1))
        frame = Frame(Fraction(index, RATE), np.clip(noisy, 0, 255).astype(np.uint8))
        for session in sessions:
            session.see(frame)
    seen = [sighting for session in sessions for sighting in session.finish()]
    return spotting.spot(Edit("drawn", Fraction(RATE), span.duration_s, (clip,)), seen)


def named(sounds: set[str], patterns: str) -> set[str]:
    return {sound for sound in sounds if any(fnmatch(sound, one) for one in patterns.split())}


def main(seeds: int = 3) -> int:
    right = absurd = 0
    for name, (draw, wanted, never) in FILMS.items():
        for seed in range(seeds):
            sheet = sheet_of(draw, seed)
            cues, perhaps = ({cue.sound for cue in rows} for rows in (sheet.cues, sheet.suggestions))
            wrong = named(cues, never)
            right += bool(named(cues | perhaps, wanted))
            absurd += bool(wrong)
            print(
                f"  {name:12s} {', '.join(sorted(cues)):32s} perhaps: {', '.join(sorted(perhaps)):24s} {'ABSURD: ' + ', '.join(wrong) if wrong else ''}"
            )
    print(f"weather: right {right} of {seeds * len(FILMS)}, absurd {absurd}")
    return 1 if absurd else 0


if __name__ == "__main__":
    sys.exit(main())
