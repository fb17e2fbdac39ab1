# SPDX-License-Identifier: AGPL-3.0-or-later
"""Judging a sound by its meters: where it is silent, drops out, clips, is noise or music, and what to do with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import ParamValue, Span
from immersivaudio.engine.watchers._meters import Meters, Texture

_HOP_S = 0.01
_SILENT_DB, _SILENT_LEAST_S, _BLIP_S = -60.0, 0.5, 0.05
_DEAD_DB, _DEAD_LEAST_S, _FADED_LEAST_S, _ALIVE_DB, _END_GRACE_S = -84.0, 0.06, 1.0, -58.0, 0.5
_CLIP_LEAST_S, _CLIP_JOIN_S = 0.02, 0.5
_NOISE_LEAST_S, _MUSIC_LEAST_S = 1, 2
_SILENT_SHARE, _SPOKEN_SHARE, _PLAYED_SHARE, _BAD = 0.97, 0.2, 0.5, 0.4


@dataclass(frozen=True, slots=True)
class Found:
    """Something heard from ``start_s`` to ``end_s``."""

    label: str
    start_s: float
    end_s: float
    confidence: float
    values: Mapping[str, ParamValue] = field(default_factory=dict)

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def _runs(marks: NDArray[np.bool_], join: int = 0) -> list[tuple[int, int]]:
    """(first, end) of every run of true; holes of at most ``join`` are closed."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(np.int8), [0]])))
    runs: list[tuple[int, int]] = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] <= join:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((first, end))
    return runs


def silence(meters: Meters) -> list[Found]:
    """Stretches under -60 dBFS of half a second and more; clicks shorter than 50 ms do not end them."""
    levels = meters.levels_db
    found = []
    for first, end in _runs(levels < _SILENT_DB, round(_BLIP_S / _HOP_S)):
        if (end - first) * _HOP_S >= min(_SILENT_LEAST_S, 0.9 * len(levels) * _HOP_S):
            level = float(np.median(levels[first:end]))
            found.append(Found("silence", first * _HOP_S, end * _HOP_S, 0.95, {"level_db": round(level, 1)}))
    return found


def dropouts(meters: Meters, covered: Sequence[Span]) -> list[Found]:
    """Where a clip's sound turns to digital nothing although the clip goes on; its padded end does not count."""
    levels = meters.levels_db
    found = []
    for clip in covered:
        first, last = round(float(clip.start_s) / _HOP_S), min(len(levels), round(float(clip.end_s) / _HOP_S))
        for start, end in _runs(levels[first:last] < _DEAD_DB):
            before = levels[max(first, first + start - 100) : first + start]
            length_s = (end - start) * _HOP_S
            if not len(before) or before.max() < _ALIVE_DB:
                continue
            sudden = float(before[-5:].max()) > _ALIVE_DB
            at_end = first + end >= last - 1
            if length_s < max(_DEAD_LEAST_S if sudden else _FADED_LEAST_S, _END_GRACE_S if at_end else 0.0):
                continue
            times = (first + start) * _HOP_S, (first + end) * _HOP_S
            found.append(
                Found("dropout", *times, 0.9 if sudden else 0.6, {"before_db": round(float(before.mean()), 1)})
            )
    return found


def clipping(meters: Meters) -> list[Found]:
    """Stretches with flat tops at full scale."""
    marks = meters.clipped
    found = []
    for first, end in _runs(marks, round(_CLIP_JOIN_S / _HOP_S)):
        share = float(marks[first:end].mean())
        if marks[first:end].sum() * _HOP_S >= _CLIP_LEAST_S:
            found.append(
                Found("clipping", first * _HOP_S, end * _HOP_S, min(0.95, 0.5 + share), {"share": round(share, 3)})
            )
    return found


def noises(meters: Meters) -> list[Found]:
    """Loud steady noise: a rotor's harmonics, wind on the microphone, mains hum, hiss."""
    kinds = [_noise_kind(texture) for texture in meters.textures]
    return _joined("noise", meters, [kind for kind, _ in kinds], [sure for _, sure in kinds], _NOISE_LEAST_S)


def _noise_kind(texture: Texture) -> tuple[str, float]:
    steady = texture.spread_db < 3.0
    if texture.level_db > -32 and steady and texture.low_share > 0.5 and texture.flatness < 0.02:
        return "rotor", min(0.9, 0.4 + (texture.level_db + 32) / 40 + 0.3 * texture.comb)
    if texture.level_db > -35 and texture.low_share > 0.75 and texture.tonal < 0.15 and texture.flatness >= 0.002:
        return "wind", min(0.85, 0.3 + (texture.level_db + 35) / 40 + 0.4 * (texture.low_share - 0.75))
    if texture.level_db > -62 and steady and texture.low_share > 0.6 and texture.spread_db < 1.5:
        return "hum", 0.45
    if texture.level_db > -55 and texture.spread_db < 1.0 and texture.flatness > 0.35:
        return "hiss", 0.4 + 0.4 * texture.flatness
    return "", 0.0


def music(meters: Meters) -> list[Found]:
    """Stretches with several partials that last and do not belong to a machine; honest only for clearly tonal music."""
    chances = [_music_chance(texture) for texture in meters.textures]
    smooth = np.convolve(np.pad(chances, 1, mode="edge"), np.ones(3) / 3, "valid") if chances else np.zeros(0)
    return _joined("music", meters, ["music" if c >= 0.35 else "" for c in smooth], smooth.tolist(), _MUSIC_LEAST_S)


def _music_chance(texture: Texture) -> float:
    machine = texture.spread_db < 2.0 and texture.low_share > 0.5
    if texture.level_db < -60 or machine or texture.partials < 3:
        return 0.0
    return min(0.9, texture.tonal * 0.9 + 0.02 * min(texture.partials, 10))


def _joined(label: str, meters: Meters, kinds: Sequence[str], sure: Sequence[float], least_s: int) -> list[Found]:
    """Seconds of one kind in a row, as one finding each."""
    length_s = meters.samples / 48_000
    found = []
    for kind in dict.fromkeys(kind for kind in kinds if kind):
        for first, end in _runs(np.array([other == kind for other in kinds]), join=1):
            last_s = min(float(end), length_s)
            if last_s - first >= min(least_s, 0.8 * length_s):
                confidence = float(np.mean(sure[first:end]))
                values: dict[str, ParamValue] = {"kind": kind} if label == "noise" else {}
                found.append(Found(label, float(first), last_s, confidence, values))
    return found


def verdict(meters: Meters, found: Sequence[Found]) -> tuple[str, dict[str, Any]]:
    """silent, bad, dialogue, music or good, with ``silent_share`` and ``bad`` (0 to 1)."""
    length_s = max(_HOP_S, meters.samples / 48_000)

    def share(test: Callable[[Found], bool]) -> float:
        return min(1.0, sum(item.length_s * item.confidence for item in found if test(item)) / length_s)

    silent = float(np.mean(meters.levels_db < _SILENT_DB)) if len(meters.levels_db) else 1.0
    dead = float(np.mean(meters.levels_db < _DEAD_DB)) if len(meters.levels_db) else 1.0
    noisy = share(lambda item: item.label == "noise" and item.values.get("kind") in ("rotor", "wind"))
    broken = share(lambda item: item.label == "dropout")
    clipped = share(lambda item: item.label == "clipping" and float(item.values.get("share", 0)) > 0.2)
    spoken = share(lambda item: item.label == "speech")
    played = share(lambda item: item.label == "music")
    bad = min(1.0, noisy + broken + 0.35 * clipped) * (1.0 - 0.7 * min(1.0, 2 * spoken))
    values = {"silent_share": round(silent, 3), "bad": round(bad, 3)}
    if dead >= _SILENT_SHARE or (silent >= _SILENT_SHARE and float(meters.levels_db.max(initial=-120.0)) < -50):
        return "silent", values
    if spoken >= _SPOKEN_SHARE:
        return "dialogue", values
    if bad >= _BAD:
        return "bad", values
    return ("music" if played >= _PLAYED_SHARE else "good"), values
