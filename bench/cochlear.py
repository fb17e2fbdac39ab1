# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether each texture is nearest to itself: cochlear statistics of every sustained sound by ten seeds.

    python bench/cochlear.py [--seeds 10] [--seconds 8]

After McDermott and Simoncelli 2011 (Neuron 71:926): 30 bands equally spaced on the ERB scale, 52 to 8844 Hz, envelopes
compressed by the power 0.3; their mean, coefficient of variation, skewness and kurtosis, the correlations between
bands, and the power of the envelopes in octave modulation bands. Each statistic is scaled by its spread over all
sounds, each class of statistics weighs alike, and every performance is given to the class of its nearest neighbour
among all others. The same is done, as the named peers, with the mean spectrum alone and with chance.
Exits with 1 where a class is not 100 % its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import signal

from immersivaudio.engine.cue import Cue, Span
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.procedural import create
from immersivaudio.engine.sounds import BY_ID, VOCABULARY, Motion
from immersivaudio.engine.synthesis import catalog

RATE_HZ, ENVELOPE_HZ, BANDS = 24_000, 400, 30
LOW_HZ, HIGH_HZ = 52.0, 8_844.0
CORRELATED = (1, 2, 3, 5, 8, 11, 16, 21)
MODULATION_HZ = 0.5 * 2.0 ** np.arange(9)

Statistics = dict[str, np.ndarray[Any, Any]]


def erb_centres() -> np.ndarray[Any, Any]:
    """Centres and the two outer edges, equally spaced on the ERB-number scale (Glasberg and Moore 1990). ``[BANDS + 2]``."""
    numbers = 9.265 * np.log(1 + np.array([LOW_HZ, HIGH_HZ]) / (24.7 * 9.265))
    return np.asarray(24.7 * 9.265 * (np.exp(np.linspace(*numbers, BANDS + 2) / 9.265) - 1))


def envelopes(wave: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``[BANDS, n]`` at 400 Hz: half-cosine bands (their powers add to one), Hilbert envelope, to the power 0.3."""
    spectrum, hz = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    number, places = np.log(1 + hz / 228.8), np.log(1 + erb_centres() / 228.8)
    rows = []
    for centre in places[1:-1]:
        gain = np.cos(np.clip((number - centre) / (places[1] - places[0]), -1, 1) * np.pi / 2)
        analytic = np.fft.ifft(np.concatenate([2 * spectrum * gain, np.zeros(len(wave) - len(spectrum))]))
        rows.append(signal.resample_poly(np.abs(analytic), 1, RATE_HZ // ENVELOPE_HZ))
    return np.maximum(np.array(rows), 1e-9) ** 0.3


def statistics(wave: np.ndarray[Any, Any]) -> Statistics:
    """The classes of statistics of a mono sound at 24 kHz, brought to the same level."""
    rows = envelopes(wave / (np.sqrt(np.mean(wave**2)) + 1e-12))
    mean, deviation = rows.mean(axis=1), rows.std(axis=1) + 1e-9
    normal = (rows - mean[:, None]) / deviation[:, None]
    correlation = normal @ normal.T / rows.shape[1]
    frequencies, power = signal.welch(normal, ENVELOPE_HZ, nperseg=min(2_048, rows.shape[1]))
    bands = [power[:, (frequencies >= f / 1.414) & (frequencies < f * 1.414)].sum(axis=1) for f in MODULATION_HZ]
    return {
        "mean": np.log(mean),
        "variation": np.log(deviation / mean),
        "skewness": np.tanh((normal**3).mean(axis=1)),
        "kurtosis": np.log((normal**4).mean(axis=1)),
        "correlation": np.concatenate([np.diag(correlation, k) for k in CORRELATED]),
        "modulation": np.log(np.array(bands) / (power.sum(axis=1) + 1e-12) + 1e-4).ravel(),
    }


def performed(name: str, seed: int, seconds: int) -> np.ndarray[Any, Any]:
    """One performance, mono at 24 kHz."""
    cue = Cue("bench", BY_ID[name].stem, Span(Fraction(0), Fraction(seconds)), name, seed=seed)
    blocks = list(create().perform(Brief(cue, seconds * 48_000)))
    return np.asarray(signal.resample_poly(np.concatenate(blocks, axis=1).mean(axis=0), 1, 2), np.float64)


def distances(heard: Sequence[Statistics], classes: Sequence[str]) -> np.ndarray[Any, Any]:
    """``[n, n]``: the distance of every two sounds over these classes of statistics, each class weighing alike."""
    total = np.zeros((len(heard), len(heard)))
    for name in classes:
        rows = np.array([one[name] for one in heard])
        rows = rows / (rows.std(axis=0) + 1e-9)
        square = np.sum(rows**2, axis=1)
        total += np.maximum(square[:, None] + square[None] - 2 * rows @ rows.T, 0.0) / rows.shape[1]
    np.fill_diagonal(total, np.inf)
    return np.sqrt(total)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=8)
    wish = parser.parse_args(arguments)
    names = [s.id for s in VOCABULARY if s.motion is Motion.SUSTAINED and catalog.known(s.id)]
    labels = np.repeat(names, wish.seeds)
    heard = [statistics(performed(n, seed, wish.seconds)) for n in names for seed in range(11, 11 + wish.seeds)]
    nearest = labels[distances(heard, list(heard[0])).argmin(axis=1)]
    plain = labels[distances(heard, ["mean"]).argmin(axis=1)]
    for name in names:
        own = nearest[labels == name]
        others = sorted(set(own) - {name})
        print(f"{name:14s} {np.mean(own == name):5.0%} its own {' taken for ' + ', '.join(others) if others else ''}")
    right = float(np.mean(nearest == labels))
    print(f"cochlear: {right:.1%} nearest to their own class; mean spectrum alone {np.mean(plain == labels):.1%}, chance {1 / len(names):.1%}")  # fmt: skip
    return 0 if right == 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
