# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reading what the object watcher says of a thing's way: its path, and where it was at a moment of the record clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from immersivaudio.engine.cue import ParamValue, Sighting
from immersivaudio.engine.looks import number

_CROSSES = 0.35


def path_of(thing: Sighting) -> list[tuple[float, float, float, float]]:
    """The path of a followed thing: (share of its span, centre x, centre y, area), in order of time."""
    try:
        points = [_point(text) for text in str(thing.values.get("path", "")).split()]
    except ValueError:
        points = []
    if points:
        return points
    size = number(thing.values, "size", 0.05)
    return [
        (at, number(thing.values, f"{end}_x", 0.5), number(thing.values, f"{end}_y", 0.5), size)
        for at, end in ((0.0, "from"), (1.0, "to"))
    ]


def as_path(points: Sequence[tuple[float, float, float, float]], most: int = 24) -> str:
    """The points of a way (seconds, centre x, centre y, area) as the value ``path``, the last and some ``most`` of them."""
    first_s, length = points[0][0], max(1e-6, points[-1][0] - points[0][0])
    step = max(1, -(-(len(points) - 1) // (most - 1)))
    some = (*points[:-1:step], points[-1])
    return " ".join(f"{(at_s - first_s) / length:.2f}:{x:.3f},{y:.3f},{area:.4f}" for at_s, x, y, area in some)


def _point(text: str) -> tuple[float, float, float, float]:
    share, _, place = text.partition(":")
    at, x, y, area = (min(1.0, max(0.0, float(part))) for part in (share, *place.split(",")))
    return at, x, y, area


_ENDS = {"from": "to", "to": "from"}
_TURNED = {"down": "up", "up": "down"}


def backwards(values: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    """The numbers of what was followed or struck, as they are when the clip is played backwards: it comes from where it
    went, and a fall is a rise."""
    found: dict[str, ParamValue] = {}
    for name, value in values.items():
        end, _, rest = name.partition("_")
        found[f"{_ENDS[end]}_{rest}" if end in _ENDS else name] = value
    if isinstance(path := values.get("path"), str):
        found["path"] = " ".join(_from_the_end(text) for text in reversed(path.split()))
    if isinstance(way := values.get("direction"), str):
        found["direction"] = _TURNED.get(way, way)
    return found


def _from_the_end(text: str) -> str:
    share, _, place = text.partition(":")
    return f"{1.0 - float(share):.2f}:{place}"


def box_at(thing: Sighting, at_s: Fraction) -> tuple[float, float, float, float]:
    """Where a followed thing is at a moment of the record clock, told from its path; its shape is that of its box."""
    left, top, width, height = thing.box or (0.0, 0.0, 0.0, 0.0)
    if width * height <= 0 or thing.span.duration_s == 0 or "path" not in thing.values:
        return left, top, width, height
    points = path_of(thing)
    share = float((at_s - thing.span.start_s) / thing.span.duration_s)
    after = next((index for index, point in enumerate(points) if point[0] >= share), len(points) - 1)
    before = points[max(0, after - 1)]
    part = min(1.0, max(0.0, (share - before[0]) / max(1e-6, points[after][0] - before[0])))
    x, y, area = (a + part * (b - a) for a, b in zip(before[1:], points[after][1:], strict=True))
    scale = (max(0.0, area) / (width * height)) ** 0.5
    return x - width * scale / 2, y - height * scale / 2, width * scale, height * scale


def holds(thing: Sighting, point: tuple[float, float], at_s: Fraction, reach: float = 0.0, lower: float = 1.0) -> bool:
    """Whether a point (x, y) lies in the thing's box of that moment, made ``reach`` larger, and not below its share
    ``lower``."""
    if thing.box is None:
        return False
    left, top, width, height = box_at(thing, at_s)
    across = left - reach <= point[0] <= left + width + reach
    return across and top - reach <= point[1] <= top + height * lower + reach


def crosses(thing: Sighting) -> bool:
    """Whether it goes across a good part of the picture."""
    return abs(number(thing.values, "to_x") - number(thing.values, "from_x")) >= _CROSSES


def goes(thing: Sighting) -> bool:
    """Whether it moves for most of its time."""
    return number(thing.values, "moving") >= 0.5
