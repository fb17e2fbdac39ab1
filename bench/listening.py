# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pictures of docs/listening.md: a spectrogram of every sound that the procedural performer makes.

    python bench/listening.py [--out docs/pictures/sounds] [--sound rain]

Needs Pillow. 12 seconds of each sound at its defaults, seed 1; 30 Hz to 20 kHz on a log axis, 70 dB of range.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from immersivaudio.engine.cue import Cue, Span
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.procedural import create
from immersivaudio.engine.sounds import BY_ID, VOCABULARY, Motion
from immersivaudio.engine.synthesis import catalog

LENGTH_S, RATE_HZ = 12, 48_000
WIDE, HIGH, LEFT, BELOW = 360, 110, 42, 15
# Black by violet and orange to pale yellow: as light as loud, so that it can be read without colours.
COLOURS = ((0, 0, 4), (40, 17, 89), (114, 31, 129), (183, 55, 121), (241, 96, 93), (254, 175, 119), (252, 253, 191))


def performed(name: str) -> np.ndarray[Any, Any]:
    """Mono ``[n]``; what is struck is struck every second and a half, steps walk."""
    sound = BY_ID[name]
    struck = sound.motion is Motion.STRUCK and "pace" not in sound.knobs
    sync = tuple(Fraction(k * 3, 2) + Fraction(1, 2) for k in range(8)) if struck else ()
    cue = Cue("bench", sound.stem, Span(Fraction(0), Fraction(LENGTH_S)), name, seed=1, sync_s=sync)
    return np.concatenate(list(create().perform(Brief(cue, LENGTH_S * RATE_HZ))), axis=1).mean(axis=0)


def spectrogram(wave: np.ndarray[Any, Any], rows: int = 120) -> np.ndarray[Any, Any]:
    """dB ``[rows, columns]`` on a log frequency axis from 30 Hz to 20 kHz, at most 70 dB below its largest."""
    hz, _, power = signal.spectrogram(wave, RATE_HZ, nperseg=4_096, noverlap=3_072, window="hann")
    edges = np.geomspace(30.0, 20_000.0, rows + 1)
    places = np.searchsorted(hz, edges)
    image = np.array([power[a : max(b, a + 1)].mean(axis=0) for a, b in itertools.pairwise(places)])
    level = 10 * np.log10(image + 1e-16)
    return np.asarray(np.maximum(level, level.max() - 70.0))


def picture(name: str, out: Path) -> Path:
    """One small PNG: dark to light over 70 dB, lines at 100 Hz, 1 kHz and 10 kHz, a tick every two seconds."""
    from PIL import Image, ImageDraw

    level = spectrogram(performed(name))
    share = (level - level.max() + 70.0) / 70.0
    steps = np.linspace(0.0, 1.0, len(COLOURS))
    shades = np.stack([np.interp(share[::-1], steps, channel) for channel in np.array(COLOURS).T], axis=-1)
    sound = Image.fromarray(shades.astype(np.uint8)).resize((WIDE, HIGH), Image.Resampling.BILINEAR)
    sheet = Image.new("RGB", (WIDE + LEFT, HIGH + BELOW), "white")
    sheet.paste(sound, (LEFT, 0))
    pen = ImageDraw.Draw(sheet)
    for hz, words in ((100, "100 Hz"), (1_000, "1 kHz"), (10_000, "10 kHz")):
        y = HIGH - round(HIGH * float(np.log(hz / 30) / np.log(20_000 / 30)))
        pen.line([(LEFT - 4, y), (LEFT, y)], "black")
        pen.text((1, y - 6), words, "black")
    for second in range(0, LENGTH_S, 2):
        x = LEFT + WIDE * second // LENGTH_S
        pen.line([(x, HIGH), (x, HIGH + 3)], "black")
        pen.text((x - 3, HIGH + 3), str(second), "black")
    place = out / f"{name}.png"
    sheet.quantize(24).save(place, optimize=True)
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "pictures" / "sounds")
    parser.add_argument("--sound", action="append", default=[])
    wish = parser.parse_args(arguments)
    out = wish.out
    out.mkdir(parents=True, exist_ok=True)
    try:
        places = [
            picture(s.id, out) for s in VOCABULARY if catalog.known(s.id) and (not wish.sound or s.id in wish.sound)
        ]
        print(f"{len(places)} pictures, {sum(place.stat().st_size for place in places) // 1024} KiB, in {out}")
    except ImportError as error:
        print(f"listening: left out ({error})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
