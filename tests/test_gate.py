# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate: every kind of broken take is seen, a whole one passes, and what is refused is performed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scripted import Scripted

from immersivaudio.engine import bwf, gate
from immersivaudio.engine.cue import Cue, Span, Stem
from immersivaudio.engine.errors import CancelledError, OutputError, ResultError, UnavailableError
from immersivaudio.engine.performers import Block, Brief, Performer

RATE = 48_000
BED = Cue("bed", Stem.AMBIENCE, Span(Fraction(7), Fraction(3)), "wind")
MOMENTS = (Fraction(1, 2), Fraction(5, 4), Fraction(2))
KNOCKS = Cue("knocks", Stem.FOLEY, BED.span, "impact.wood", sync_s=tuple(7 + moment for moment in MOMENTS))


def noise(samples: int = 3 * RATE, seed: int = 0) -> Block:
    return (0.05 * np.random.default_rng(seed).standard_normal((2, samples))).astype(np.float32)


def knocks(late_s: float = 0.0, samples: int = 3 * RATE) -> Block:
    out = 1e-4 * noise(samples)
    decay = np.exp(-np.arange(RATE // 4) / 2000) * np.sin(np.arange(RATE // 4) * 0.1)
    for moment in MOMENTS:
        start = round((float(moment) + late_s) * RATE)
        out[:, start : start + len(decay)] += (0.25 * decay).astype(np.float32)
    return out


def names(samples: Block, cue: Cue = BED) -> list[str]:
    return [fault.name for fault in gate.check(samples, cue, 3 * RATE)]


def test_whole_takes_pass() -> None:
    assert names(noise()) == []
    assert names(knocks(), KNOCKS) == []
    assert names(noise() * 8) == [], "passing full scale loses nothing in float"


def broken() -> Iterator[tuple[str, Block]]:
    yield "short", noise(3 * RATE - 1)
    yield "short", noise(3 * RATE + 1)
    yield "silent", np.zeros((2, 3 * RATE), np.float32)
    yield "silent", noise() * np.float32(1e-4)
    yield "clipped", np.clip(noise() * 30, -1, 1)
    yield "clipped", (np.clip(noise() * 30, -1, 1) * 0.1).astype(np.float32)
    yield "offset", noise() + np.float32(0.1)
    yield "loud", noise() * 60
    nan = noise()
    nan[1, 70_000] = np.nan
    yield "numbers", nan
    holes = noise()
    holes[:, RATE:] = 0
    yield "holes", holes


@pytest.mark.parametrize(("expected", "samples"), list(broken()))
def test_broken_takes_are_seen(expected: str, samples: Block) -> None:
    assert expected in names(samples)


@pytest.mark.parametrize("late_s", [-0.05, -0.02, 0.02, 0.05, 0.2])
def test_attacks_off_their_moment_are_seen(late_s: float) -> None:
    assert names(knocks(late_s), KNOCKS) == ["attacks"]


@pytest.mark.parametrize("late_s", [-0.005, 0.005])
def test_a_few_milliseconds_are_no_fault(late_s: float) -> None:
    assert names(knocks(late_s), KNOCKS) == []


def test_blocks_of_any_size_give_one_verdict() -> None:
    whole = knocks(0.03)
    for size in (1, 7, 1000, 4801):
        judge = gate.Judge(KNOCKS, 3 * RATE)
        for start in range(0, 3 * RATE, size) if size > 1 else [0]:
            judge.hear(whole[:, start : start + size] if size > 1 else whole)
        assert [fault.name for fault in judge.faults()] == ["attacks"]


def test_an_empty_cue_has_no_fault() -> None:
    assert gate.check(np.zeros((2, 0), np.float32), BED, 0) == ()


def silence(brief: Brief) -> Block:
    return np.zeros((2, brief.samples), np.float32)


def sound(brief: Brief) -> Block:
    return noise(brief.samples, brief.cue.seed)


def run(path: Path, *performers: Performer, brief: Brief | None = None) -> gate.Performance:
    return gate.perform_gated(performers, brief or Brief(BED, 3 * RATE), path / "take.wav")


def test_a_good_take_is_written_as_it_is(tmp_path: Path) -> None:
    took = run(tmp_path, Scripted("good", sound))
    samples, rate_hz = bwf.read_wav(took.path)
    assert rate_hz == RATE
    np.testing.assert_array_equal(samples.T, noise(seed=0))
    assert (took.seed, took.samples, took.notes) == (0, 3 * RATE, ())
    assert took.peak == pytest.approx(np.abs(samples).max())
    assert [file.name for file in tmp_path.iterdir()] == ["take.wav"]


def test_a_bad_seed_is_performed_again(tmp_path: Path) -> None:
    fickle = Scripted("fickle", lambda brief: silence(brief) if brief.cue.seed == 0 else sound(brief))
    took = run(tmp_path, fickle)
    assert len(fickle.seeds) == 2
    assert took.seed == fickle.seeds[1] != 0
    assert "silence" in took.notes[0] and "seed 0" in took.notes[0]


def test_after_three_seeds_the_next_performs(tmp_path: Path) -> None:
    mute, good = Scripted("mute", silence), Scripted("good", sound)
    took = run(tmp_path, mute, good)
    assert took.performer is good
    assert len(set(mute.seeds)) == 3
    assert took.seed == 0
    assert len(took.notes) == 3


def test_the_largest_seed_is_reseeded_into_range(tmp_path: Path) -> None:
    mute = Scripted("mute", silence)
    with pytest.raises(ResultError):
        run(tmp_path, mute, brief=Brief(replace(BED, seed=2**63 - 1), 3 * RATE))
    assert all(0 <= seed < 2**63 for seed in mute.seeds)


@pytest.mark.parametrize("error", [UnavailableError("no weights"), MemoryError(), ZeroDivisionError()])
def test_a_performer_that_fails_is_left_for_the_next(tmp_path: Path, error: Exception) -> None:
    def fail(brief: Brief) -> Block:
        raise error

    failing, good = Scripted("failing", fail), Scripted("good", sound)
    took = run(tmp_path, failing, good)
    assert took.performer is good
    assert len(failing.seeds) == 1
    assert took.notes[0].startswith("failing ")


def test_a_setup_that_fails_is_left_for_the_next(tmp_path: Path) -> None:
    def prepare(performer: Performer) -> None:
        if performer.name == "unready":
            raise UnavailableError("its weights are damaged.")

    good = Scripted("good", sound)
    members = (Scripted("unready", sound), good)
    took = gate.perform_gated(members, Brief(BED, 3 * RATE), tmp_path / "take.wav", prepare)
    assert took.performer is good
    assert "damaged" in took.notes[0]


def test_nothing_silent_is_ever_delivered(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="mute gave silence"):
        run(tmp_path, Scripted("mute", silence))
    assert list(tmp_path.iterdir()) == []


def test_attacks_off_are_accepted_from_the_last_with_a_note(tmp_path: Path) -> None:
    late = Scripted("late", lambda brief: knocks(0.1))
    took = run(tmp_path, late, brief=Brief(KNOCKS, 3 * RATE))
    assert "nobody did better" in took.notes[-1]
    assert len(late.seeds) == 3


def test_attacks_off_are_refused_where_others_can_be_asked(tmp_path: Path) -> None:
    late = Scripted("late", lambda brief: knocks(0.1))
    with pytest.raises(ResultError, match="attacks off"):
        gate.perform_gated([late], Brief(KNOCKS, 3 * RATE), tmp_path / "take.wav", lenient=False)


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    asked = iter([False, True])
    with pytest.raises(CancelledError):
        run(tmp_path, Scripted("good", sound), brief=Brief(BED, 3 * RATE, lambda: next(asked)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_performers_fault(tmp_path: Path) -> None:
    good = Scripted("good", sound)
    with pytest.raises(OutputError):
        run(tmp_path / "missing", good, good)
    assert len(good.seeds) == 0
