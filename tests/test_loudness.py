# SPDX-License-Identifier: AGPL-3.0-or-later
"""The meters against pyloudnorm, against signals whose answer the standard states, and against themselves in pieces."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from mixing_stage import bed, hit, noise
from scipy import signal

from immersivaudio.engine.loudness import LoudnessMeter, TruePeakMeter

RATE = 48_000


def integrated(samples: np.ndarray, piece: int = 100_003) -> float | None:
    meter = LoudnessMeter()
    for first in range(0, samples.shape[1], piece):
        meter.push(samples[:, first : first + piece])
    return meter.integrated()


def true_peak_db(samples: np.ndarray, piece: int = 10_007) -> float:
    meter = TruePeakMeter()
    for first in range(0, samples.shape[1], piece):
        meter.push(samples[:, first : first + piece])
    return meter.finish()


def tone(hz: float, peak: float, seconds: float, phase: float = 0.0) -> np.ndarray:
    wave = peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE + phase)
    return np.stack([wave, wave]).astype(np.float32)


def loud_then_faint() -> np.ndarray:
    return np.concatenate([noise(8, 0.1), noise(12, 0.001, seed=2), noise(5, 0.05, seed=3)], axis=1)


MATERIAL = {
    "noise": noise(10, 0.1),
    "bed": bed(12),
    "gated": loud_then_faint(),
    "hits": np.concatenate([np.pad(hit(), ((0, 0), (0, 30_000))) for _ in range(12)], axis=1),
    "with silence": np.concatenate([noise(3, 0.1), np.zeros((2, 7 * RATE), np.float32), noise(3, 0.02)], axis=1),
}


@pytest.mark.parametrize("name", MATERIAL)
def test_integrated_loudness_agrees_with_pyloudnorm(name: str) -> None:
    samples = MATERIAL[name]
    theirs = pyloudnorm.Meter(RATE).integrated_loudness(samples.T.astype(np.float64))
    assert integrated(samples) == pytest.approx(theirs, abs=0.1)


def test_a_1_khz_tone_reads_as_the_standard_says() -> None:
    # BS.1770-4: 0 dBFS at 997 Hz in one channel reads -3.01 LKFS; in both it is 3.01 louder.
    assert integrated(tone(997, 1.0, 20)) == pytest.approx(0.0, abs=0.02)


def test_pieces_do_not_matter() -> None:
    samples = MATERIAL["with silence"]
    assert integrated(samples, 4801) == pytest.approx(integrated(samples, samples.shape[1]), abs=1e-3)
    assert true_peak_db(samples, 4801) == pytest.approx(true_peak_db(samples, samples.shape[1]), abs=1e-6)


def test_a_gain_can_be_asked_about_without_hearing_again() -> None:
    meter = LoudnessMeter()
    meter.push(MATERIAL["gated"])
    louder = MATERIAL["gated"] * np.float32(10 ** (6 / 20))
    assert meter.integrated(6.0) == pytest.approx(integrated(louder), abs=0.01)


def test_silence_has_no_loudness() -> None:
    assert integrated(np.zeros((2, RATE), np.float32)) is None
    assert integrated(noise(3, 1e-5)) is None
    assert LoudnessMeter().integrated() is None


def test_shorter_than_a_block_is_one_block_of_its_own() -> None:
    whole, short = integrated(tone(997, 0.5, 5)), integrated(tone(997, 0.5, 0.3))
    assert short == pytest.approx(whole, abs=0.5)


def test_the_peak_between_two_samples_is_found() -> None:
    # A quarter of the sample rate at 45 degrees: every sample is 3 dB below the wave's top.
    samples = tone(RATE / 4, 0.5, 1.0, np.pi / 4)
    ramp = np.minimum(1, np.arange(samples.shape[1]) / 2400)
    samples = (samples * ramp * ramp[::-1]).astype(np.float32)
    assert 20 * np.log10(np.abs(samples).max()) == pytest.approx(-9.03, abs=0.01)
    assert true_peak_db(samples) == pytest.approx(-6.02, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_true_peak_agrees_with_a_long_resampler(seed: int) -> None:
    samples = bed(2, 0.1, seed)
    theirs = np.abs(signal.resample_poly(samples.astype(np.float64), 16, 1, axis=1, window=("kaiser", 8.0))).max()
    assert true_peak_db(samples) == pytest.approx(20 * np.log10(theirs), abs=0.1)


def test_a_peak_in_the_last_sample_counts() -> None:
    samples = np.zeros((2, RATE), np.float32)
    samples[0, -1] = 0.9
    assert true_peak_db(samples) == pytest.approx(20 * np.log10(0.9), abs=0.1)
