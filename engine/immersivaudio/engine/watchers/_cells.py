# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cells of a picture (16 across, 9 down): their colour, texture and what stuff they look like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GRID = (16, 9)


@dataclass(frozen=True, slots=True)
class Cells:
    """Float32 ``[9, 16]`` each, 0..1: ``fine`` texture, ``across`` and ``down`` the gradients, ``straight`` how much they
    keep to the axes (buildings do, leaves do not), ``patchy`` how the colour varies inside, ``shimmer`` the change since
    the picture just before, ``alive`` what changed by itself since the look before, where these are known."""

    red: Floats
    green: Floats
    blue: Floats
    luma: Floats
    saturation: Floats
    fine: Floats
    across: Floats
    down: Floats
    straight: Floats
    patchy: Floats
    shimmer: Floats
    alive: Floats
    lamps: float


def measure(rgb: Pixels, grey: Pixels, previous: Pixels | None, earlier: Pixels | None = None) -> Cells:
    """Reduce a picture (and the lumas of the one just before it and of the look before) to cells."""
    means = _pool(rgb.astype(np.float32)) / np.float32(255.0)
    light = grey.astype(np.float32) / 255.0
    gx, gy = cv2.Sobel(light, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(light, cv2.CV_32F, 0, 1, scale=0.25)
    ax, ay = np.abs(gx), np.abs(gy)
    across, down = _pool(ax), _pool(ay)
    kept = _pool(np.where(np.maximum(ax, ay) > 3.0 * np.minimum(ax, ay), ax + ay, 0.0).astype(np.float32))
    red, green, blue = (np.ascontiguousarray(means[..., i]) for i in range(3))
    high, low = means.max(-1), means.min(-1)
    chroma = cv2.resize(rgb, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    opponent = np.dstack([chroma[..., 0] - chroma[..., 1], chroma[..., 1] - chroma[..., 2]])
    patchy = _pool(opponent**2).sum(-1) - (_pool(opponent) ** 2).sum(-1)
    moved = np.zeros_like(red) if previous is None else _pool(cv2.absdiff(grey, previous).astype(np.float32) / 255.0)
    alive = np.zeros_like(red) if earlier is None else _alive(_small(grey), _small(earlier))
    return Cells(
        red,
        green,
        blue,
        _pool(light),
        (high - low) / (high + 0.02),
        _pool(np.abs(cv2.Laplacian(light, cv2.CV_32F, scale=0.25))),
        across,
        down,
        kept / (across + down + 0.01),
        np.sqrt(np.maximum(patchy, 0.0)),
        moved,
        alive,
        float((grey > 190).mean()),
    )


def _small(grey: Pixels) -> Floats:
    half = cv2.resize(grey, (max(16, grey.shape[1] // 2), max(9, grey.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    return np.asarray(half, dtype=np.float32) / np.float32(255.0)


def _alive(light: Floats, before: Floats) -> Floats:
    """What changed by itself: ``before`` is first shifted to where the camera looks now (Kuglin and Hines 1975)."""
    window = _window(light.shape[1], light.shape[0])
    (dx, dy), _ = cv2.phaseCorrelate(before * window, light * window)
    if max(abs(dx), abs(dy)) > 0.1 * light.shape[1]:
        return np.zeros(GRID[::-1], np.float32)
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (light.shape[1], light.shape[0])
    light, before = light - light.mean(), before - before.mean()
    along = cv2.warpAffine(before, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    unmoved, moved = _pool(cv2.absdiff(light, before)), _pool(cv2.absdiff(light, along))
    return np.asarray(moved if moved.mean() < unmoved.mean() else unmoved, np.float32)


@lru_cache(maxsize=4)
def _window(width: int, height: int) -> Floats:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


def _pool(values: Floats) -> Floats:
    return np.asarray(cv2.resize(values, GRID, interpolation=cv2.INTER_AREA), dtype=np.float32)


def up(values: Floats | float, low: float, high: float) -> Floats:
    """0 below ``low``, 1 above ``high`` (or the other way round where ``high`` is the smaller)."""
    return np.asarray(np.clip((np.asarray(values, np.float32) - low) / (high - low), 0.0, 1.0), dtype=np.float32)


def stuffs(cells: Cells) -> dict[str, Floats]:
    """How much each cell looks like each stuff, 0..1, float32 ``[9, 16]``; cells may look like nothing known."""
    row = np.linspace(0.0, 1.0, GRID[1], dtype=np.float32)[:, None]
    edges = cells.across + cells.down
    smooth, rough = up(cells.fine, 0.02, 0.008), up(cells.fine, 0.010, 0.022)
    cold, warm = up(cells.blue - cells.red, -0.02, 0.06), up(cells.red - cells.blue, 0.03, 0.12)
    neutral = up(cells.saturation, 0.22, 0.10)
    blue_sky = up(cells.blue - cells.red, 0.04, 0.14) * up(cells.luma, 0.25, 0.45)
    grey_sky = neutral * up(cells.luma, 0.45, 0.65) * up(cells.blue - cells.red, -0.05, -0.01)
    sky = smooth * np.maximum(blue_sky, 0.8 * grey_sky) * up(row, 0.8, 0.45)
    green = up(cells.green - cells.red, -0.03, 0.03) * up(cells.green - cells.blue, 0.03, 0.09)
    blurred = 0.7 * up(cells.saturation, 0.25, 0.4) * up(cells.luma, 0.75, 0.6)
    leaves = green * np.maximum(rough, blurred) * up(cells.saturation, 0.12, 0.25) * up(cells.straight, 0.95, 0.65)
    wavy = up(cells.down - 0.8 * cells.across, 0.0, 0.006)
    sea = cold * up(row, 0.35, 0.5) * up(cells.fine, 0.05, 0.02) * up(edges, 0.004, 0.015) * (0.4 + 0.6 * wavy)
    by_edges = cells.shimmer / (edges + 0.02)
    usual = float(np.median(by_edges))
    restless = up(cells.shimmer, 0.01, 0.025) * up(by_edges, 1.3 * usual, 2.5 * usual + 0.01)
    water = restless * up(row, 0.2, 0.45) * up(cells.saturation, 0.6, 0.3) * up(cells.straight, 0.9, 0.6)
    bright = up(cells.luma, 0.72, 0.85) * up(cells.saturation, 0.16, 0.07)
    snow = bright * up(row, 0.3, 0.5) * up(cells.blue - cells.red, -0.03, 0.01) * up(edges, 0.004, 0.012)
    tan = warm * up(cells.red - cells.green, -0.01, 0.03) * up(cells.saturation, 0.55, 0.35) * up(cells.luma, 0.25, 0.4)
    sand = tan * up(row, 0.3, 0.5) * up(cells.fine, 0.05, 0.025) * up(cells.straight, 0.95, 0.7)
    tarmac = (
        neutral
        * up(cells.luma, 0.15, 0.25)
        * up(cells.luma, 0.65, 0.5)
        * up(row, 0.45, 0.6)
        * up(cells.fine, 0.03, 0.015)
    )
    built = up(edges, 0.02, 0.05) * up(cells.straight, 0.55, 0.8) * up(cells.saturation, 0.6, 0.4)
    dark = up(cells.luma, 0.16, 0.08)
    flame = up(cells.red, 0.55, 0.75) * up(cells.red - cells.green, 0.1, 0.2) * up(cells.green - cells.blue, 0.12, 0.25)
    flat = up(cells.saturation, 0.85, 0.95) * up(cells.patchy, 0.05, 0.01) * up(cells.fine, 0.01, 0.003)
    wall = smooth * np.maximum(neutral * up(cells.luma, 0.4, 0.6), warm * up(cells.luma, 0.2, 0.35)) * (1 - sky)
    deep = up(np.maximum(cells.green, cells.blue) - cells.red, 0.12, 0.25) * up(cells.blue - 0.8 * cells.green, 0, 0.08)
    return {
        "sky": sky,
        "blue_sky": sky * blue_sky,
        "vegetation": leaves,
        "sea": sea * (1 - leaves) * (1 - snow),
        "water": water * (1 - leaves),
        "snow": snow,
        "sand": sand,
        "tarmac": tarmac,
        "road": tarmac * up(row, 0.45, 0.6),
        "city": built,
        "skyline": built * np.maximum.accumulate(sky, axis=0),
        "dark": dark,
        "fire": flame,
        "flat": flat,
        "live_sea": sea * (1 - leaves) * (1 - snow) * up(cells.alive / (edges + 0.01), 0.1, 0.35),
        "wall": wall,
        "deep": deep,
        "crowd": up(cells.patchy, 0.06, 0.12) * rough,
    }
