# SPDX-License-Identifier: AGPL-3.0-or-later
"""Contacts, cuts and false alarms on drawn films that were encoded and read back (``_films.py``, ``_bodies.py``, ``_strikers.py``).

    python bench/contacts.py [--seeds 3] [--held-out] [--only ball]

Per family: F1, precision and recall within 80 ms and the median lag at confidence 0.5; false impacts a minute where
nothing is struck; false cuts.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from _bodies import UNSTRUCK_BODIES
from _films import CODING, LASTS_S, STRUCK, UNSTRUCK, Film, film
from _onsets import match
from _strikers import STRUCK_BODIES, body_film

from immersivaudio.engine import media, plugins
from immersivaudio.engine.cue import Clip, Sighting, Span
from immersivaudio.engine.watchers import FrameWish

BELIEVED = 0.5


@dataclass(frozen=True, slots=True)
class Told:
    """What the watchers said of one film."""

    film: Film
    impacts_s: tuple[float, ...]
    cuts: int


def watch(path: Path, names: Sequence[str] = ("motion", "shots")) -> list[Sighting]:
    """The sightings of some watchers on one decode."""
    watchers = [plugins.create("watchers", name) for name in names]
    span = Span(Fraction(0), media.probe(path).duration_s)
    sessions = [watcher.open(Clip("bench", path.name, "video", 0, str(path), span, span)) for watcher in watchers]
    wish = FrameWish(max(w.wish.width for w in watchers), max(w.wish.rate_hz for w in watchers))
    for frame in media.frames(path, None, wish):
        for session in sessions:
            session.see(frame)
    return [sighting for session in sessions for sighting in session.finish()]


def _code(one: Film, path: Path) -> None:
    """Encode a film, once more where it is coded otherwise than usual, as sites do with what they are given."""
    first = path if one.coding == CODING else path.with_suffix(".master.mp4")
    media.encode_pictures(one.pictures(), first, one.rate)
    if first != path:
        again = [media.ffmpeg_binary(), "-y", "-loglevel", "error", "-i", str(first), *one.coding, "-an", str(path)]
        subprocess.run(again, check=True)
        first.unlink()


def encoded(one: Film, folder: Path) -> Path:
    """The file of a film, drawn and encoded where it is not there yet."""
    path = folder / f"{one.name.replace(' ', '-')}-{one.seed}.mp4"
    if not path.exists():
        _code(one, path)
    return path


def told(one: Film, folder: Path) -> Told:
    """Draw, encode, read back and watch."""
    found = watch(encoded(one, folder))
    impacts = sorted(float(s.span.start_s) for s in found if s.label == "impact" and s.confidence >= BELIEVED)
    return Told(one, tuple(impacts), sum(s.label == "shot" for s in found) - 1)


def row(name: str, told_of: Sequence[Told]) -> tuple[int, int, int]:
    """Print a family; matched, found and true numbers."""
    pairs = [match(t.impacts_s, t.film.contacts_s) for t in told_of]
    lags = [t.impacts_s[i] - t.film.contacts_s[j] for t, p in zip(told_of, pairs, strict=True) for i, j in p]
    matched, found = sum(map(len, pairs)), sum(len(t.impacts_s) for t in told_of)
    true, cuts = sum(len(t.film.contacts_s) for t in told_of), sum(t.cuts for t in told_of)
    if true:
        lag = 1000 * float(np.median(lags)) if lags else float("nan")
        spread = 1000 * float(np.median(np.abs(lags))) if lags else float("nan")
        figures = (
            f"F1 {2 * matched / max(1, found + true):.2f}  P {matched / max(1, found):.2f}  R {matched / true:.2f}"
        )
        print(f"{name:10s} {found:3d}/{true:<3d} {figures}  lag {lag:+4.0f} ms (|.| {spread:3.0f})  cuts {cuts}")
    else:
        print(f"{name:10s} false {found:3d} ({60 * found / (LASTS_S * len(told_of)):4.1f} a minute)  cuts {cuts}")
    return matched, found, true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", action="store_true", help="the odd seeds, on which nothing was developed")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--folder", type=Path, help="keep the films here")
    wish = parser.parse_args()
    totals: dict[bool, list[tuple[int, int, int]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        folder = wish.folder or Path(scratch)
        for name in wish.only or (*STRUCK, *STRUCK_BODIES, *UNSTRUCK, *UNSTRUCK_BODIES):
            seeds = range(int(wish.held_out), 2 * wish.seeds, 2)
            struck, bodies = name in {*STRUCK, *STRUCK_BODIES}, name in {*STRUCK_BODIES, *UNSTRUCK_BODIES}
            drawn = [(body_film if bodies else film)(name, seed) for seed in seeds]
            totals[struck].append(row(name, [told(one, folder) for one in drawn]))
    matched, found, true = (sum(column) for column in zip(*totals[True], strict=True)) if totals[True] else (0, 0, 0)
    false = sum(one[1] for one in totals[False])
    print(f"all struck F1 {2 * matched / max(1, found + true):.2f}, all that is not struck: {false} false impacts")


if __name__ == "__main__":
    main()
