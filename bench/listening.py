# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pictures of docs/listening.md: one contact sheet of spectrograms a family, by what the procedural performer makes.

    python bench/listening.py [--out docs/pictures]

Needs matplotlib. 12 seconds of each sound at its defaults, seed 1; 30 Hz to 20 kHz on a log axis, 70 dB of range.
"""

from __future__ import annotations

import argparse
import io
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
from immersivaudio.engine.sounds import BY_ID, Motion

LENGTH_S, RATE_HZ = 12, 48_000
FAMILIES = {
    "air-and-fire": ("wind", "wind.trees", "fire", "rumble"),
    "water": ("rain", "sea", "stream", "underwater", "pour"),
    "places": ("forest", "night", "city", "traffic", "crowd", "room", "ventilation", "cabin"),
    "machines": ("engine", "rotor", "machine"),
    "passing": ("passby.car", "passby.aircraft", "passby.train"),
    "blows": ("impact.wood", "impact.metal", "impact.stone", "impact.soft", "impact.glass", "whoosh"),
    "steps-and-cloth": ("footstep.hard", "footstep.gravel", "footstep.grass", "cloth"),
}


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


def sheet(family: str, names: Sequence[str], out: Path) -> Path:
    """One PNG: a row a sound."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    figure, axes = pyplot.subplots(len(names), 1, figsize=(7.0, 1.25 * len(names)), sharex=True, squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.imshow(
            spectrogram(performed(name)), aspect="auto", origin="lower", extent=(0, LENGTH_S, 0, 1), cmap="magma"
        )
        ticks = (100, 1_000, 10_000)
        axis.set_yticks(
            [np.log(t / 30) / np.log(20_000 / 30) for t in ticks], ["100 Hz", "1 kHz", "10 kHz"], fontsize=6
        )
        axis.set_title(name, fontsize=7, loc="left", pad=2)
        axis.tick_params(labelsize=6, length=2)
    axes[-1, 0].set_xlabel("s", fontsize=6)
    figure.tight_layout(pad=0.4, h_pad=0.3)
    place = out / f"spectrogram-{family}.png"
    with io.BytesIO() as drawn:
        figure.savefig(drawn, dpi=110)
        Image.open(drawn).convert("RGB").quantize(24).save(place, optimize=True)
    pyplot.close(figure)
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "pictures")
    out = parser.parse_args(arguments).out
    out.mkdir(parents=True, exist_ok=True)
    try:
        for family, names in FAMILIES.items():
            place = sheet(family, names, out)
            print(f"{place} {place.stat().st_size // 1024} KiB")
    except ImportError as error:
        print(f"listening: left out ({error})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
