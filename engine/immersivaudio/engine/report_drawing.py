# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lanes of a mix as one SVG: waveforms, cues, hits, gain under speech, speech and silences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import bwf
from immersivaudio.engine.cue import Cue, CueSheet, Span
from immersivaudio.engine.mixing import MixResult, Placement, StemFile

_LEFT, _WIDTH, _LANE, _GAP, _HEAD, _BAR = 92, 1096, 84, 10, 36, 16
_FLOOR_DB = -60.0
_DUCK_SPAN_DB = 18.0
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_COLUMNS_AT_ONCE = 24
_NAMES = {"quiet": "silence", "said": "speech"}


def clock(seconds: float, places: int = 2) -> str:
    """``1:02:03.45``, hours only where there are any."""
    whole = round(max(0.0, seconds) * 10**places)
    minutes, rest = divmod(whole, 60 * 10**places)
    hours, minutes = divmod(minutes, 60)
    width = places + 3 if places else 2
    tail = f"{minutes}:{rest / 10**places:0{width}.{places}f}"
    return f"{hours}:{tail.zfill(width + 3)}" if hours else tail


def lanes(sheet: CueSheet, mixed: MixResult) -> str:
    """The drawing as an ``<svg>`` element that is as wide as its place."""
    files = mixed.lanes or (mixed.bounce,)
    bottom = _HEAD + len(files) * (_LANE + _GAP)
    cues = {cue.id: cue for cue in sheet.cues}
    scale = _Scale(float(sheet.duration_s))
    parts = [
        *_ruler(scale, bottom),
        *_spans(scale, bottom, "quiet", ((one.span, f"Silence: {one.why}") for one in sheet.silences)),
        *_spans(scale, bottom, "said", ((one.span, "Somebody speaks") for one in sheet.speech)),
        *(_lane(scale, file, cues, _HEAD + index * (_LANE + _GAP), mixed) for index, file in enumerate(files)),
    ]
    size = f'viewBox="0 0 {_LEFT + _WIDTH + 8} {bottom + 2}"'
    return f'<svg {size} role="img" aria-label="Lanes of the mix over time">{"".join(parts)}</svg>'


class _Scale:
    """Seconds to pixels."""

    def __init__(self, duration_s: float) -> None:
        self.duration_s = max(duration_s, 1e-3)

    def x(self, seconds: float) -> float:
        return round(_LEFT + _WIDTH * min(max(seconds / self.duration_s, 0.0), 1.0), 2)


def _ruler(scale: _Scale, bottom: int) -> Iterator[str]:
    step = next((step for step in _STEPS_S if scale.duration_s / step <= 12), _STEPS_S[-1])
    for number in range(int(scale.duration_s / step) + 1):
        x = scale.x(number * step)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="18" y2="{bottom}"/>'
        if x < _LEFT + _WIDTH - 20:
            yield f'<text x="{x + 3}" y="14">{clock(number * step, 0 if step >= 1 else 1)}</text>'


def _spans(scale: _Scale, bottom: int, kind: str, spans: Iterable[tuple[Span, str]]) -> Iterator[str]:
    for span, title in spans:
        left, right = scale.x(float(span.start_s)), scale.x(float(span.end_s))
        name = _NAMES[kind] if right - left > 46 else ""
        yield (
            f'<rect class="{kind}" x="{left}" y="18" width="{max(1.0, round(right - left, 2))}" '
            f'height="{bottom - 18}"><title>{escape(title)}</title></rect>'
            f'<text class="over" x="{left + 4}" y="27">{name}</text>'
        )


def _lane(scale: _Scale, file: StemFile, cues: dict[str, Cue], top: int, mixed: MixResult) -> str:
    name = "original" if file.name == "dialogue" else file.group or file.name
    level = "silent" if file.integrated_lufs is None else f"{file.integrated_lufs:.1f} LUFS"
    marks, taken = "", 0.0
    for place in sorted(file.placements, key=lambda one: one.start):
        mark, taken = _mark(scale, cues[place.cue_id], place, top, taken)
        marks += mark
    ducks = "".join(_duck(scale, cues[place.cue_id], place, top, mixed.gain_db) for place in file.placements)
    kind = "dialogue" if file.stem is None else file.stem.value
    return (
        f'<g class="{kind}"><text class="name" x="0" y="{top + _BAR + 30}">{name.title()}</text>'
        f'<text x="0" y="{top + _BAR + 45}">{level}</text>'
        f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{top + _LANE}" y2="{top + _LANE}"/>'
        f"{_waves(file.path, top + _BAR, _LANE - _BAR)}{marks}{ducks}</g>"
    )


def _mark(scale: _Scale, cue: Cue, place: Placement, top: int, taken: float) -> tuple[str, float]:
    """A cue's bar, and where its label ends; the label keeps off one that lies over ``taken``."""
    begin = float(cue.span.start_s)
    left = scale.x(begin)
    width = max(1.5, round(scale.x(begin + place.samples / 48_000) - left, 2))
    label = cue.prompt or cue.sound
    at_x = round(max(left + 4, taken + 10), 2)
    room = int((left + width - 4 - at_x) / 5.4)
    shown = label if len(label) <= room else f"{label[: room - 1]}…" if room > 5 else ""
    text = f'<text x="{at_x}" y="{top + 11}">{escape(shown)}</text>' if shown else ""
    hits = "".join(
        f'<line class="hit" x1="{scale.x(float(at))}" x2="{scale.x(float(at))}" y1="{top}" y2="{top + _BAR + 8}"/>'
        for at in cue.sync_s
    )
    told = f"{clock(begin)} {label} ({cue.id}): {cue.why}"
    return (
        f'<g class="cue mark"><title>{escape(told)}</title>'
        f'<rect x="{left}" y="{top}" width="{width}" height="{_BAR}" rx="2"/>{text}{hits}</g>',
        at_x + 5.4 * len(shown) if shown else taken,
    )


def _duck(scale: _Scale, cue: Cue, place: Placement, top: int, master_db: float) -> str:
    """The cue's gain without the master's, where it moves: the top of the lane is its loudest point."""
    if len(place.gain_curve) < 2:
        return ""
    begin, top_db = float(cue.span.start_s), max(point.gain_db for point in place.gain_curve)
    end = begin + place.samples / 48_000
    room = _LANE - _BAR - 4
    points = " ".join(
        f"{scale.x(min(max(begin + point.at_s, begin), end))},"
        f"{top + _BAR + 2 + room * min(1.0, (top_db - point.gain_db) / _DUCK_SPAN_DB):.1f}"
        for point in place.gain_curve
    )
    told = f"Gain of {cue.id}, {top_db - master_db:+.1f} dB at most before the master gain"
    return f'<polyline class="duck" points="{points}"><title>{escape(told)}</title></polyline>'


def _waves(path: Path, top: int, height: int) -> str:
    """Peak and rms of every column as two shapes around the middle of the lane."""
    peaks, bodies = _envelope(path, _WIDTH)
    if not peaks.any():
        return ""
    middle = top + height / 2
    return _shape("wave", peaks, middle, height) + _shape("body", bodies, middle, height)


def _shape(kind: str, levels: NDArray[np.float32], middle: float, height: float) -> str:
    with np.errstate(divide="ignore"):
        reach = np.clip(1 - 20 * np.log10(levels) / _FLOOR_DB, 0, 1) * (height / 2 - 1)
    x = _LEFT + np.arange(len(levels)) * (_WIDTH / len(levels))
    there = [f"{at:.1f} {middle - up:.1f}" for at, up in zip(x, reach, strict=True)]
    back = [f"{at:.1f} {middle + up:.1f}" for at, up in zip(x[::-1], reach[::-1], strict=True)]
    return f'<path class="{kind}" d="M{"L".join([*there, *back])}Z"/>'


def _envelope(path: Path, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Largest magnitude and rms of each of ``columns`` equal parts of a float WAV, the channels together."""
    total = len(bwf.read_wav(path)[0])
    edges = np.linspace(0, total, min(columns, max(1, total)) + 1).astype(np.int64)
    peaks, bodies = np.zeros((2, len(edges) - 1), np.float32)
    for first in range(0, len(edges) - 1, _COLUMNS_AT_ONCE):
        around = edges[first : first + _COLUMNS_AT_ONCE + 1]
        if around[-1] > around[0]:
            # Mapped anew for each part, so that a long file is never counted as memory of ours.
            heard = np.abs(np.asarray(bwf.read_wav(path)[0][around[0] : around[-1]], np.float32))
            starts = around[:-1] - around[0]
            where = slice(first, first + len(starts))
            peaks[where] = np.maximum.reduceat(heard.max(axis=1), starts)
            bodies[where] = np.sqrt(np.add.reduceat((heard**2).mean(axis=1), starts) / np.maximum(1, np.diff(around)))
    return peaks, bodies
