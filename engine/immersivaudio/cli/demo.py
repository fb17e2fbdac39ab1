# SPDX-License-Identifier: AGPL-3.0-or-later
"""``demo``: draws a short silent film out of nothing and scores it: a ball that bounces on a quay, then a road."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
RATE = Fraction(25)
SIZE = (640, 360)
BOUNCES_S = (1.2, 2.2, 3.0, 3.64, 4.152)
_GROUND, _TOP, _RADIUS = 310.0, 130.0, 26
_HORIZON, _QUAY = 165, 290
# Waves as (across, away, rate, height): the long swell, the sea on it, ripples.
_WAVES = ((0.5, 1.9, 1.7, 0.75), (1.4, 4.1, 2.6, 0.45), (-2.3, 7.3, 3.7, 0.3), (5.1, 11.0, 5.0, 0.22))


@click.command()
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="The folder."
)
def demo(out: Path) -> None:
    """Draw a short silent clip and score it; both land in a folder."""
    from immersivaudio.cli.main import cli
    from immersivaudio.engine import media

    out.mkdir(parents=True, exist_ok=True)
    clip = out / "silent.mp4"
    media.encode_pictures(film(), clip, RATE)
    cli.main(args=["score", str(clip), "-o", str(out / "scored.mp4"), "--output", "video", "--overwrite"],
             prog_name="immersivaudio", standalone_mode=False)  # fmt: skip
    click.echo(
        f"\nThe silent clip:  {clip}\nWith its sound:   {out / 'scored.mp4'}\nWhat and why:     {out / 'scored.mp4.files'}/silent.report.html"
    )


def film() -> Iterator[Picture]:
    """Six seconds by the sea with a bouncing ball, then four of a road with a passing car; uint8 ``[360, 640, 3]``."""
    weather = np.random.default_rng(7)
    quay, road = _quay_stage(weather), _road_stage(weather)
    for index in range(150):
        yield _quay(quay, index / 25)
    for index in range(100):
        yield _road(road, index / 25)


def ball_height(at_s: float) -> float:
    """Height of the ball over the ground in pixels: it falls at 0.2 s and loses a fifth of its flight at each bounce."""
    edges = (0.2, *BOUNCES_S)
    if at_s < edges[0]:
        return _GROUND - _TOP
    if at_s < edges[1]:
        return (_GROUND - _TOP) * (1 - ((at_s - edges[0]) / (edges[1] - edges[0])) ** 2)
    for start, end in itertools.pairwise(edges[1:]):
        if start <= at_s < end:
            flight = (at_s - start) / (end - start)
            return (_GROUND - _TOP) * (end - start) ** 2 * 4 * flight * (1 - flight)
    return 0.0


def _quay_stage(weather: np.random.Generator) -> Picture:
    """What stands still by the sea: sky with clouds and a quay of sandstone slabs."""
    picture = _sky(weather)
    rows, columns = np.mgrid[_QUAY : SIZE[1], 0 : SIZE[0]].astype(np.float32)
    near = (rows - _QUAY + 20) / 90
    joints = (np.abs(((columns - 320) / near) % 120 - 60) > 58) | (np.abs(rows - _QUAY - 26) < 1.2)
    stone = np.array((158, 134, 100)) + 26 * (_grain(weather, rows.shape)[..., None] - 0.5) - 38 * joints[..., None]
    picture[_QUAY:] = np.clip(stone, 0, 255).astype(np.uint8)
    return picture


def _quay(stage: Picture, at_s: float) -> Picture:
    picture = stage.copy()
    _sea(picture, at_s)
    height = ball_height(at_s)
    shadow = (round(34 - 0.06 * height), 7)
    cv2.ellipse(picture, (320, round(_GROUND) + 2), shadow, 0, 0, 360, (104, 88, 66), -1, cv2.LINE_AA)
    centre = (320 * 16, round((_GROUND - _RADIUS - height) * 16))
    cv2.circle(picture, centre, _RADIUS * 16, (205, 60, 40), -1, cv2.LINE_AA, 4)
    shine = (centre[0] - 8 * 16, centre[1] - 9 * 16)
    cv2.circle(picture, shine, 6 * 16, (236, 132, 104), -1, cv2.LINE_AA, 4)
    return picture


def _sky(weather: np.random.Generator) -> Picture:
    fade = np.linspace(0, 1, SIZE[1])[:, None, None]
    sky = np.array((104, 154, 216)) * (1 - fade) + np.array((205, 222, 240)) * fade
    clouds = cv2.GaussianBlur(weather.random((SIZE[1], SIZE[0])).astype(np.float32), (0, 0), 60, sigmaY=14)
    clouds = np.clip((clouds - clouds.mean()) / clouds.std(), 0, 2)[..., None] * 18
    return np.asarray(np.clip(sky + clouds, 0, 255), dtype=np.uint8)


def _grain(weather: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Coarse and fine spots, 0 to 1, float32 ``[h, w]``."""
    layers = [
        cv2.resize(weather.random((shape[0] // s + 1, shape[1] // s + 1), np.float32), shape[::-1]) for s in (2, 7)
    ]
    return np.asarray(0.5 * layers[0] + 0.5 * layers[1], dtype=np.float32)


def _sea(picture: Picture, at_s: float) -> None:
    """Waves that roll towards the quay in perspective, lighter where they face the sky, with crests of foam."""
    rows, columns = np.mgrid[_HORIZON:_QUAY, 0 : SIZE[0]].astype(np.float32)
    far = 60 / (rows - _HORIZON + 4)
    across, away = (columns - 320) / 60 * far, 6 * far
    swell = np.zeros_like(rows)
    for wide, deep, rate, high in _WAVES:
        swell += high * np.sin(wide * across + deep * away + rate * at_s)
    foam = np.clip(swell - 1.25, 0, 0.5) * np.clip(rows - _HORIZON - 8, 0, 40) / 20
    shade = (16 * swell * np.clip((rows - _HORIZON) / 30, 0.15, 1) + 14 * far / far.max())[..., None]
    water = np.array((34, 86, 124)) + shade + 150 * foam[..., None]
    picture[_HORIZON:_QUAY] = np.clip(water, 0, 255).astype(np.uint8)


def _road_stage(weather: np.random.Generator) -> Picture:
    """What stands still by the road: sky, a hedge and a meadow, tarmac with a line."""
    picture = _sky(weather)
    grain = _grain(weather, SIZE[::-1])[..., None] - 0.5
    picture[150:180] = np.clip(np.array((44, 84, 36)) + 110 * grain[150:180], 0, 255).astype(np.uint8)
    picture[180:230] = np.clip(np.array((84, 124, 56)) + 70 * grain[180:230], 0, 255).astype(np.uint8)
    picture[230:] = np.clip(np.array((88, 88, 92)) + 14 * grain[230:], 0, 255).astype(np.uint8)
    picture[292:298, 20:620] = (220, 220, 210)
    return picture


def _road(stage: Picture, at_s: float) -> Picture:
    picture = stage.copy()
    left = -160 + at_s * 235
    _box(picture, (left, 225), (left + 120, 262), (170, 30, 34))
    _box(picture, (left + 24, 202), (left + 92, 228), (150, 26, 30))
    _box(picture, (left + 32, 207), (left + 56, 224), (186, 206, 220))
    _box(picture, (left + 62, 207), (left + 86, 224), (186, 206, 220))
    for wheel in (26, 94):
        cv2.circle(picture, (round((left + wheel) * 16), 262 * 16), 13 * 16, (20, 20, 20), -1, cv2.LINE_AA, 4)
    return picture


def _box(picture: Picture, low: tuple[float, float], high: tuple[float, float], colour: tuple[int, int, int]) -> None:
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    cv2.fillConvexPoly(picture, np.round(corners * 16).astype(np.int32), colour, cv2.LINE_AA, 4)
