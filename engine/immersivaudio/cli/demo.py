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
_GROUND, _TOP = 300.0, 120.0


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
        f"\nThe silent clip:  {clip}\nWith its sound:   {out / 'scored.mp4'}\nWhat and why:     {out / 'scored.files'}/scored.report.html"
    )


def film() -> Iterator[Picture]:
    """Six seconds by the sea with a bouncing ball, then four of a road with a passing car; uint8 ``[360, 640, 3]``."""
    weather = np.random.default_rng(7)
    for index in range(150):
        yield _quay(index / 25, weather)
    for index in range(100):
        yield _road(index / 25, weather)


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


def _quay(at_s: float, weather: np.random.Generator) -> Picture:
    picture = _sky()
    _sea(picture, at_s, weather)
    picture[290:] = (120, 112, 104)
    picture[290:] = np.clip(picture[290:] + weather.normal(0, 5, (70, SIZE[0], 1)), 0, 255).astype(np.uint8)
    centre = ((320 * 16), round((_GROUND - 16 - ball_height(at_s)) * 16))
    cv2.circle(picture, centre, 16 * 16, (205, 60, 40), -1, cv2.LINE_AA, 4)
    return picture


def _sky() -> Picture:
    fade = np.linspace(0, 1, SIZE[1])[:, None, None]
    sky = np.array((112, 160, 218)) * (1 - fade) + np.array((205, 222, 240)) * fade
    return np.broadcast_to(sky, (SIZE[1], SIZE[0], 3)).astype(np.uint8).copy()


def _sea(picture: Picture, at_s: float, weather: np.random.Generator) -> None:
    rows, columns = np.mgrid[170:290, 0 : SIZE[0]].astype(np.float32)
    depth = (rows - 165) / 40
    waves = np.sin(columns / (12 * depth) + 2.1 * at_s + 9 * np.sin(rows / 17)) * np.sin(rows / (3 * depth) - 3 * at_s)
    glitter = weather.normal(0, 7, waves.shape)
    shade = (22 * waves + glitter)[..., None]
    picture[170:290] = np.clip(np.array((38, 92, 128)) + shade + 60 * (shade > 24), 0, 255).astype(np.uint8)


def _road(at_s: float, weather: np.random.Generator) -> Picture:
    picture = _sky()
    picture[150:230] = np.clip(np.array((70, 110, 52)) + weather.normal(0, 14, (80, SIZE[0], 1)), 0, 255).astype(
        np.uint8
    )
    picture[230:] = (88, 88, 92)
    picture[292:298, 20:620] = (220, 220, 210)
    left = round(-140 + at_s * 230)
    cv2.rectangle(picture, (left, 225), (left + 120, 262), (170, 30, 34), -1)
    cv2.rectangle(picture, (left + 24, 202), (left + 92, 228), (150, 26, 30), -1)
    for wheel in (26, 94):
        cv2.circle(picture, (left + wheel, 262), 13, (20, 20, 20), -1, cv2.LINE_AA)
    return picture
