# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sound as numbers: decibels, equal-power pan and fades on float32 blocks ``[2, samples]``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
SILENCE_DB = -200.0


@dataclass(frozen=True, slots=True)
class Audio:
    """``samples`` float32 ``[channels, n]`` at ``sample_rate_hz``; full scale is 1."""

    samples: Block
    sample_rate_hz: int = 48_000

    def __post_init__(self) -> None:
        if self.samples.ndim != 2:
            raise ValueError(f"expected [channels, samples], got {self.samples.shape}")

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate_hz)


def decibels(amplitude: float) -> float:
    """``20 log10``, held at SILENCE_DB."""
    return 20 * math.log10(amplitude) if amplitude > 1e-10 else SILENCE_DB


def amplitude(gain_db: float) -> float:
    return 0.0 if gain_db <= SILENCE_DB else math.pow(10.0, gain_db / 20)


def panned(block: Block, pan: float | NDArray[np.float64]) -> Block:
    """``block`` ``[2, n]`` moved to ``pan`` (-1 left, 0 centre, 1 right; ``[n]`` where it moves) at equal power: the squared gains of left and
    right add to 2 everywhere. The width shrinks towards the sides, so that hard left still carries both channels.
    """
    if np.ndim(pan) == 0 and pan == 0:
        return block
    side = np.clip(pan, -1.0, 1.0)
    angle = (side + 1) * math.pi / 4
    width, left, right = (
        np.asarray(gain, np.float32)
        for gain in ((1 - np.abs(side)) / 2, math.sqrt(2) * np.cos(angle), math.sqrt(2) * np.sin(angle))
    )
    mid, sides = (block[0] + block[1]) / 2, (block[0] - block[1]) * width
    return np.stack([(mid + sides) * left, (mid - sides) * right]).astype(np.float32)


def amplitudes(levels_db: NDArray[np.float64]) -> Block:
    """Decibels to linear gain, sample by sample."""
    gains: Block = np.exp(levels_db.astype(np.float32) * np.float32(math.log(10) / 20))
    return gains


def fade(positions: NDArray[np.float64], samples: int) -> Block:
    """The rising equal-power fade of ``samples`` samples at ``positions`` (samples from its start)."""
    return np.sin(np.clip((positions + 0.5) / samples, 0.0, 1.0) * (math.pi / 2)).astype(np.float32)


def lay(block: Block, grain: Block, at: int) -> None:
    """Add ``grain`` to ``block`` from sample ``at`` on (negative: it began before); what lies outside is left out."""
    start, end = max(0, at), min(block.shape[1], at + grain.shape[1])
    if end > start:
        block[:, start:end] += grain[:, start - at : end - at]


def crossfade(old: Block, new: Block) -> Block:
    """``old`` gives way to ``new`` (both ``[2, n]``) at constant power, each channel for itself.

    The two may be alike by a correlation r: the gains cos and sin are divided by sqrt(1 + 2 r cos sin), the power that
    their sum would have (Fink, Holters and Zoelzer, "Signal-matched power-complementary cross-fading", DAFx 2016).
    """
    angle = (np.arange(old.shape[1]) + 0.5) / max(1, old.shape[1]) * (math.pi / 2)
    falling, rising = np.cos(angle), np.sin(angle)
    power = np.sqrt(np.square(old, dtype=np.float64).sum(axis=1) * np.square(new, dtype=np.float64).sum(axis=1))
    alike = (old.astype(np.float64) * new).sum(axis=1) / np.maximum(power, 1e-20)
    scale = 1 / np.sqrt(1 + 2 * np.maximum(0.0, alike)[:, None] * falling * rising)
    return ((falling * old + rising * new) * scale).astype(np.float32)
