# SPDX-License-Identifier: AGPL-3.0-or-later
"""Generated sound becomes a take: windows join at constant power, blocks do not show, attacks are found to the sample."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
from immersivaudio.engine.errors import ResultError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import attacks, shaping
from immersivaudio.engine.performers import Brief

RATE = 16_000
BED = Cue("bed", Stem.AMBIENCE, Span(Fraction(0), Fraction(4)), "crowd")


def noise(samples: int, seed: int = 0) -> shaping.Wave:
    """``[1, samples]``"""
    return np.random.default_rng(seed).standard_normal((1, samples)).astype(np.float32) * np.float32(0.1)


@pytest.mark.parametrize("wanted", [1, 20_480, 163_840, 163_841, 327_680, 1_000_000, 9_600_000])
def test_windows_cover_what_is_wanted(wanted: int) -> None:
    spans = shaping.windows(wanted, 163_840, 20_480, 20_480)
    assert spans[0].start == 0
    assert spans[-1].end >= wanted
    assert all(span.length <= 163_840 and span.length % 20_480 == 0 for span in spans)
    for before, after in itertools.pairwise(spans):
        assert before.end - after.start == 20_480
        assert after.length >= 2 * 20_480
    assert len({span.length for span in spans[:-1]}) <= 1


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_windows_join_at_constant_power(alike: float) -> None:
    spans = shaping.windows(8 * RATE, 5 * RATE, RATE, RATE)
    shared = noise(spans[-1].end, 99)
    mixed = [
        np.sqrt(alike) * shared[:, s.start : s.end] + np.sqrt(1 - alike) * noise(s.length, i)
        for i, s in enumerate(spans)
    ]
    joined = shaping.join([part.astype(np.float32) for part in mixed], spans, 8 * RATE)
    power_db = 10 * np.log10(np.square(joined).reshape(-1, RATE // 4).mean(axis=1))
    assert joined.shape == (1, 8 * RATE)
    assert power_db.max() - power_db.min() < 1.0


@pytest.mark.parametrize("rate_hz", [16_000, 32_000, 44_100, 48_000])
def test_blocks_do_not_show(rate_hz: int) -> None:
    mono = noise(4 * rate_hz)
    brief = Brief(BED, samples_at(4))
    whole = shaping.stereo(mono, rate_hz, 0, brief.samples)
    parts = [
        shaping.stereo(mono, rate_hz, start, min(7001, brief.samples - start))
        for start in range(0, brief.samples, 7001)
    ]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)


def test_both_channels_together_are_the_models_own_sound() -> None:
    mono = noise(2 * 48_000)
    both = shaping.stereo(mono, 48_000, 0, 2 * 48_000)
    np.testing.assert_allclose(both.mean(axis=0), mono[0], atol=1e-6)
    assert 0.6 < np.corrcoef(both)[0, 1] < 0.95


@pytest.mark.parametrize("level", [1e-4, 1e-2, 1.0])
def test_any_level_comes_to_the_reference(level: float) -> None:
    brief = Brief(BED, samples_at(4))
    meter = LoudnessMeter()
    for block in shaping.sustained(noise(4 * RATE) * np.float32(level), RATE, brief):
        meter.push(block)
    assert meter.integrated() == pytest.approx(-26, abs=0.1)


def test_attacks_are_found_to_the_sample() -> None:
    sound = 1e-4 * noise(3 * 48_000)[0]
    moments = [10_000, 50_123, 100_007]
    for index, moment in enumerate(moments):
        sound[moment : moment + 9600] += (1 - 0.2 * index) * np.exp(-np.arange(9600) / 1500).astype(np.float32)
    found = attacks.find(sound, 48_000)
    assert [attack.sample for attack in found] == moments


def test_a_sound_without_attacks_still_gives_one() -> None:
    assert len(attacks.find(np.full(48_000, 0.1, np.float32), 48_000)) >= 1
    assert attacks.find(np.zeros(48_000, np.float32), 48_000) == []


def test_several_blows_take_turns_and_hit_their_samples() -> None:
    sound = np.zeros(2 * RATE, np.float32)
    for moment, pitch in ((4000, 0.3), (20_000, 0.9)):
        sound[moment : moment + 3200] += np.cos(np.arange(3200) * pitch) * np.exp(-np.arange(3200) / 500)
    moments = [Fraction(1, 2), Fraction(2), Fraction(24_000 * 3 + 1, 24_000)]
    cue = replace(BED, sound="impact.wood", sync_s=tuple(moments))
    samples = np.concatenate(list(shaping.struck(sound[None], RATE, Brief(cue, samples_at(4)))), axis=1)
    blows = [samples[0, samples_at(moment) : samples_at(moment) + 2000] for moment in moments]
    np.testing.assert_array_equal(blows[0], blows[2])
    assert not np.allclose(blows[0], blows[1])
    for moment in moments:
        at = samples_at(moment)
        assert np.abs(samples[0, at : at + 96]).max() > 0.1 * 0.25
        assert np.abs(samples[0, at - 4800 : at - 96]).max() < 0.005


def test_stereo_stays_stereo() -> None:
    both = np.concatenate([noise(2 * 44_100, 1), noise(2 * 44_100, 2)])
    made = shaping.stereo(both, 44_100, 0, 96_000)
    assert made.shape == (2, 96_000)
    assert abs(np.corrcoef(made)[0, 1]) < 0.05


def test_an_ending_fades_to_nothing_on_the_last_sample() -> None:
    blocks = list(shaping.sustained(noise(4 * RATE), RATE, Brief(BED, samples_at(4)), ending_s=1.0))
    samples = np.concatenate(blocks, axis=1)
    assert samples.shape == (2, samples_at(4))
    assert not samples[:, -1].any()
    levels = [np.sqrt(np.square(part).mean()) for part in np.split(samples[:, -48_000:], 4, axis=1)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 0.1 * levels[0]


def test_what_follows_a_guide_is_moved_onto_its_sample_and_what_slipped_is_refused() -> None:
    moments = [Fraction(1, 2), Fraction(2), Fraction(3)]
    cue = replace(BED, sound="impact.wood", sync_s=tuple(moments))
    brief = Brief(cue, samples_at(4))
    sound = np.zeros((1, 4 * RATE), np.float32)
    for moment in moments:
        at = round(float(moment) * RATE) + 320
        sound[0, at : at + 3200] += np.cos(np.arange(3200) * 0.5) * np.exp(-np.arange(3200) / 500)
    samples = np.concatenate(list(shaping.struck(sound, RATE, brief, following=True)), axis=1)
    for moment in moments:
        at = samples_at(moment)
        assert np.abs(samples[0, at : at + 96]).max() > 0.1 * 0.25
        assert np.abs(samples[0, at - 4800 : at - 96]).max() < 0.005
    with pytest.raises(ResultError, match="3 of 3 onsets slip"):
        list(shaping.struck(np.roll(sound, RATE, axis=1)[:, : 2 * RATE], RATE, brief, following=True))
