# SPDX-License-Identifier: AGPL-3.0-or-later
"""Room for what is struck: blows are heard over beds, words and the preset's loudness stay, and all of it is written gain."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from _onsets import agree, standing_out
from mixing_stage import Stage, bed, level_db, read, stem_of

from immersivaudio.engine import mixing
from immersivaudio.engine.balance import BED_DB, DIP_DB, LIFT_DB
from immersivaudio.engine.cue import Cue, Stem
from immersivaudio.engine.riding import rides

BLOWS_S = (1.0, 2.7, 4.1, 5.6, 7.2)


def struck(stage: Stage, at_s: float, peak: float, **more: object) -> Cue:
    """A blow 50 ms into its cue, of the same colour as the beds, so that nothing but its level tells it from them."""
    start_s = Fraction(str(at_s)) - Fraction(1, 20)
    thud = bed(0.4, 1.0, 9) * np.exp(-np.arange(19_200) / 2400)
    samples = np.concatenate([np.zeros((2, 2400)), thud * (peak / np.abs(thud).max())], axis=1).astype(np.float32)
    return stage.cue(Stem.FOLEY, start_s, samples, sound="impact.soft", sync_s=(Fraction(str(at_s)),), **more)


@pytest.fixture
def quay(tmp_path: Path) -> Stage:
    """A loud bed, weak blows, and a loud passing after them that holds the mix at its loudness."""
    stage = Stage(tmp_path, Fraction(12))
    stage.cue(Stem.AMBIENCE, 0, bed(12, 0.03, 1))
    for number, at_s in enumerate(BLOWS_S):
        struck(stage, at_s, 0.02 + 0.003 * number)
    stage.cue(Stem.EFFECTS, 8, bed(4, 0.08, 2))
    return stage


def over_bed_db(mixed: mixing.MixResult, at_s: float) -> float:
    """How far the first 50 ms of a blow lie over the bed that sounds with it."""
    first = round(at_s * 48_000)
    foley, ambience = (read(stem_of(mixed, stem).path)[:, first : first + 2400] for stem in (Stem.FOLEY, Stem.AMBIENCE))
    return level_db(foley) - level_db(ambience)


def found_s(mixed: mixing.MixResult) -> list[float]:
    return standing_out(read(mixed.bounce.path)[:, : 8 * 48_000].mean(0), 48_000, len(BLOWS_S))


def test_masked_blows_are_heard_in_the_whole_mix(quay: Stage) -> None:
    masked = quay.mix(balance=False)
    before, heard = [over_bed_db(masked, at_s) for at_s in BLOWS_S], agree(found_s(masked), BLOWS_S, 0.03)
    mixed = quay.mix()
    after, now_heard = [over_bed_db(mixed, at_s) for at_s in BLOWS_S], agree(found_s(mixed), BLOWS_S, 0.03)
    assert max(before) < -10 and heard.f1 < 0.3
    assert min(after) > -1 and now_heard.f1 == 1.0
    assert min(np.subtract(after, before)) > 8
    assert mixed.bounce.integrated_lufs == pytest.approx(-14, abs=0.9) and mixed.bounce.true_peak_db <= -0.95


def test_blows_that_are_heard_anyway_leave_the_mix_as_it_was(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Fraction(6))
    stage.cue(Stem.AMBIENCE, 0, bed(6, 0.002))
    struck(stage, 2.0, 0.25)
    plain = stage.mix(balance=False).bounce.path.read_bytes()
    assert stage.mix().bounce.path.read_bytes() == plain


def test_stronger_blows_stay_stronger(quay: Stage) -> None:
    mixed = quay.mix()
    foley = read(stem_of(mixed, Stem.FOLEY).path)
    peaks = [float(np.abs(foley[:, round(at_s * 48_000) :][:, :2400]).max()) for at_s in BLOWS_S]
    assert sorted(peaks) == pytest.approx(peaks, rel=0.06)


def test_the_gains_are_small_and_told(quay: Stage) -> None:
    without = {place.cue_id: place for file in quay.mix(balance=False).stems for place in file.placements}
    mixed = quay.mix()
    moved = 0
    for file in mixed.stems:
        for place in file.placements:
            change = [point.gain_db - mixed.gain_db for point in place.gain_curve]
            least, most = (0.0, LIFT_DB) if file.stem is Stem.FOLEY else (-BED_DB - DIP_DB, 0.0)
            assert least - 1e-6 <= min(change) and max(change) <= most + 1e-6
            moved += place.gain_curve != without[place.cue_id].gain_curve and file.stem is not Stem.EFFECTS
    assert moved == 1 + len(BLOWS_S)


def test_dips_are_levels_of_the_lane_for_an_editor(quay: Stage) -> None:
    ride = rides(quay.mix(), 0.0)[Stem.AMBIENCE]
    dips = [point.at_s for point in ride.curve if point.gain_db < -1]
    assert all(any(at_s - 0.1 < moment < at_s + 0.2 for moment in dips) for at_s in BLOWS_S)
    assert all(any(at_s - 0.1 < moment < at_s + 0.2 for at_s in BLOWS_S) for moment in dips)


def test_nothing_is_lifted_into_speech(quay: Stage) -> None:
    quay.says(0.8, 1.6)
    original = quay.original(bed(12, 0.05, 3))
    unmoved, mixed = quay.mix(original, balance=False), quay.mix(original)
    lifts = {place.cue_id: place.gain_curve for place in stem_of(mixed, Stem.FOLEY).placements}
    spoken, other = (quay.cues[1].id, quay.cues[2].id)
    plain = {place.cue_id: place.gain_curve for place in stem_of(unmoved, Stem.FOLEY).placements}
    raised = {name: lifts[name][0].gain_db - plain[name][0].gain_db - mixed.gain_db - mixed.trim_db for name in lifts}
    floor = -unmoved.gain_db - unmoved.trim_db
    assert raised[spoken] == pytest.approx(floor, abs=0.01)
    assert raised[other] > floor + 0.25


def test_a_locked_blow_is_taken_as_it_is(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Fraction(6))
    stage.cue(Stem.AMBIENCE, 0, bed(6, 0.05))
    struck(stage, 2.0, 0.1, locked=True)
    assert stage.mix().bounce.path.read_bytes() == stage.mix(balance=False).bounce.path.read_bytes()


def test_blows_under_nothing_but_beds_leave_the_preset_in_reach(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Fraction(8))
    stage.cue(Stem.AMBIENCE, 0, bed(8, 0.06))
    for at_s in BLOWS_S:
        struck(stage, at_s, 0.06)
    before = stage.mix(balance=False)
    was = [over_bed_db(before, at_s) for at_s in BLOWS_S]
    mixed = stage.mix()
    assert before.bounce.integrated_lufs == pytest.approx(-14, abs=0.3)
    assert mixed.bounce.integrated_lufs == pytest.approx(-14, abs=1.0)
    assert not mixed.warnings
    assert min(np.subtract([over_bed_db(mixed, at_s) for at_s in BLOWS_S], was)) > 2
