# SPDX-License-Identifier: AGPL-3.0-or-later
"""What kind of place is seen, by colour, texture and where in the frame; and the light it is seen in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Clip, Sighting, Span, tidy
from immersivaudio.engine.watchers import Frame, FrameWish

Floats = NDArray[np.float32]

_WIDTH = 192
_EVERY_S = Fraction(2, 5)
_GRID = (16, 9)


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look gave: shares of each kind (0..1 of the area) and the numbers of the light."""

    time_s: Fraction
    shares: Mapping[str, float]
    light: Mapping[str, float]


def glance(frame: Frame) -> Glance:
    rgb = frame.at(_WIDTH)
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL).astype(np.float32) / 255.0
    grey = frame.grey(_WIDTH).astype(np.float32) / 255.0
    fine = cv2.resize(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), _GRID, interpolation=cv2.INTER_AREA)
    cells = cv2.resize(hsv, _GRID, interpolation=cv2.INTER_AREA)
    means = cv2.resize(rgb, _GRID, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    shares = _shares(cells, means, fine)
    warmth = float(means[..., 0].mean() - means[..., 2].mean())
    light = {
        "brightness": float(grey.mean()),
        "contrast": float(grey.std()),
        "saturation": float(cells[..., 1].mean()),
        "warmth": warmth,
        "texture": float(min(1.0, 8.0 * fine.mean())),
    }
    return Glance(frame.time_s, shares, light)


def _shares(cells: Floats, means: Floats, fine: Floats) -> dict[str, float]:
    red, green, blue = means[..., 0], means[..., 1], means[..., 2]
    value, saturation = cells[..., 2], cells[..., 1]
    height = np.linspace(0, 1, _GRID[1], dtype=np.float32)[:, None]
    smooth = fine < 0.02
    kinds = {
        "sky": smooth & (value > 0.35) & (blue >= red - 0.02) & (height < 0.6),
        "vegetation": (green > red + 0.02) & (green > blue + 0.04) & (fine > 0.015),
        "sea": (blue > red + 0.02) & (height > 0.4) & (fine < 0.06) & (saturation > 0.1),
    }
    shares = {kind: float(mask.mean()) for kind, mask in kinds.items()}
    brightness = float(value.mean())
    shares["black"] = 1.0 if brightness < 0.04 else 0.0
    shares["night"] = 1.0 if 0.04 <= brightness < 0.2 else 0.0
    shares["unknown"] = max(0.0, 1.0 - sum(shares.values()))
    return shares


@dataclass(slots=True)
class _Session:
    clip: Clip
    glances: list[Glance] = field(default_factory=list)

    def see(self, frame: Frame) -> None:
        if not self.glances or frame.time_s - self.glances[-1].time_s >= _EVERY_S:
            self.glances.append(glance(frame))

    def finish(self) -> Sequence[Sighting]:
        if not self.glances:
            return ()
        span = Span.between(tidy(self.clip.source.start_s), tidy(self.clip.source.end_s))
        light = {key: round(float(np.mean([g.light[key] for g in self.glances])), 4) for key in self.glances[0].light}
        found = [Sighting("place", "light", span, 1.0, values=light)]
        for kind in self.glances[0].shares:
            share = float(np.mean([g.shares[kind] for g in self.glances]))
            if share > 0.08:
                values: dict[str, float | str] = {"kind": kind, "share": round(share, 3)}
                found.append(Sighting("place", "place", span, round(min(0.8, 0.3 + share), 3), values=values))
        return found


class _Place:
    name = "place"
    version = "1"
    wish = FrameWish(_WIDTH, 30.0)

    def available(self) -> str:
        return ""

    def setup(self) -> None:
        return None

    def open(self, clip: Clip) -> _Session:
        return _Session(clip)


def create() -> _Place:
    return _Place()
