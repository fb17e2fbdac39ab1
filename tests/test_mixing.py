# SPDX-License-Identifier: AGPL-3.0-or-later
"""Stems measured after the mix: where things lie, how far they duck, that they add up, and how loud the bounce is."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from mixing_stage import Stage, bed, hit, level_db, noise, read, stem_of

from immersivaudio.engine import curves, levels, limiter, mix_checks, mixing
from immersivaudio.engine.cue import GainPoint, Span, SpeechSpan, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, MediaError, RequestError, ResultError
from immersivaudio.engine.loudness import TAPS, TruePeakMeter


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, Fraction(20))


def scene(stage: Stage) -> Path:
    """Ordinary material: a bed, hits, an engine, music, and somebody who speaks from 5 to 9 s and from 9.4 to 12 s."""
    stage.cue(Stem.AMBIENCE, 0, bed(20), gain_db=-6, fade_in_s=0.5, fade_out_s=0.5)
    for moment in (1, 3, 14, 15, 16):
        stage.cue(Stem.FOLEY, Fraction(moment) + Fraction(1, 7), hit(), sound="impact.wood", pan=0.3)
    stage.cue(Stem.EFFECTS, 2, bed(12, seed=3), gain_db=-6, sound="engine")
    stage.cue(Stem.MUSIC, 0, bed(20, seed=4), gain_db=-4, sound="music")
    stage.says(5, 9)
    stage.says(9.4, 12)
    voice = bed(20, 0.1, seed=9)
    voice[:, : 5 * 48_000] *= 0.001
    voice[:, 12 * 48_000 :] *= 0.001
    return stage.original(voice)


@pytest.mark.parametrize("start_s", [Fraction(0), Fraction(1, 3), Fraction(1001 * 7, 24000), Fraction(6)])
def test_an_onset_lies_on_its_sample(stage: Stage, start_s: Fraction) -> None:
    stage.cue(Stem.FOLEY, start_s, hit())
    foley = read(stem_of(stage.mix(loudness="none"), Stem.FOLEY).path)
    assert int(np.argmax(np.abs(foley[0]))) == samples_at(start_s)
    assert not foley[:, : samples_at(start_s)].any()


def test_every_file_is_as_long_as_the_record(stage: Stage) -> None:
    stage.duration_s = Fraction(1001 * 479, 24000)
    stage.cue(Stem.AMBIENCE, 0, bed(25))
    stage.cue(Stem.FOLEY, Fraction(99, 5), hit(seconds=0.5))
    mixed = stage.mix()
    for file in (*mixed.stems, mixed.bounce):
        assert read(file.path).shape == (2, stage.total) == (2, file.samples)


def test_the_stems_add_up_to_the_bounce(stage: Stage) -> None:
    mixed = stage.mix(scene(stage), loudness="youtube")
    assert {file.stem for file in mixed.stems} == set(Stem)
    total = sum(read(file.path).astype(np.float64) for file in mixed.stems)
    assert level_db(total - read(mixed.bounce.path) + 1e-12) < -100


def test_they_add_up_under_the_limiter_too(stage: Stage) -> None:
    for second in range(20):
        stage.cue(Stem.FOLEY, second, hit(0.9))
    stage.cue(Stem.AMBIENCE, 0, bed(20, 0.1))
    mixed = stage.mix(loudness="youtube")
    assert mixed.limited_db < -1
    total = sum(read(file.path).astype(np.float64) for file in mixed.stems)
    assert level_db(total - read(mixed.bounce.path) + 1e-12) < -100
    assert mixed.bounce.true_peak_db <= -0.9


@pytest.mark.parametrize("preset", ["youtube", "ebu-r128", "atsc-a85", "podcast"])
def test_ordinary_material_reaches_the_preset(stage: Stage, preset: str) -> None:
    mixed = stage.mix(scene(stage), loudness=preset)
    target = levels.PRESETS[preset]
    assert mixed.bounce.integrated_lufs == pytest.approx(target.integrated_lufs, abs=0.5)
    assert mixed.bounce.true_peak_db <= target.peak_db + 0.1
    assert not mixed.warnings


def test_none_leaves_the_level_alone(stage: Stage) -> None:
    stage.cue(Stem.EFFECTS, 0, bed(20, 0.02))
    mixed = stage.mix(loudness="none")
    assert mixed.gain_db == 0
    assert level_db(read(mixed.bounce.path)) == pytest.approx(20 * np.log10(0.02), abs=0.05)


def test_none_still_keeps_the_true_peak(stage: Stage) -> None:
    stage.cue(Stem.EFFECTS, 0, bed(20, 0.02))
    stage.cue(Stem.FOLEY, 3, hit(1.2))
    assert stage.mix(loudness="none").bounce.true_peak_db <= -0.9


@pytest.mark.parametrize(
    ("stem", "depth_db"), [(Stem.MUSIC, -12), (Stem.AMBIENCE, -5), (Stem.EFFECTS, -4), (Stem.FOLEY, -3)]
)
def test_a_lane_ducks_under_speech(stage: Stage, stem: Stem, depth_db: float) -> None:
    stage.cue(stem, 0, noise(20))
    stage.says(5, 9)
    stage.says(9.4, 12)
    mixed = stage.mix(stage.original(bed(20, 0.1)), loudness="none")
    lane = read(stem_of(mixed, stem).path)

    def db(begin_s: float, end_s: float) -> float:
        return level_db(lane[:, round(begin_s * 48_000) : round(end_s * 48_000)])

    outside = db(1, 4)
    assert db(4.96, 12.0) - outside == pytest.approx(depth_db, abs=0.2)
    assert db(9.0, 9.4) - outside == pytest.approx(depth_db, abs=0.2), "a short pause is held"
    assert db(4.4, 4.7) - outside == pytest.approx(0, abs=0.2), "it must not fall before the look-ahead"
    assert db(12.55, 19) - outside == pytest.approx(0, abs=0.2), "it must come back after the release"


def test_ducking_rises_between_phrases_that_lie_apart() -> None:
    said = [SpeechSpan(Span.between(Fraction(start), Fraction(end))) for start, end in ((1, 2), (Fraction(11, 4), 4))]
    curve = curves.duck(said, -12.0)
    assert curves.at(curve, 2.0) == pytest.approx(-12)
    assert -3 < curves.at(curve, 2.45) < 0
    assert [point.at_s for point in curve] == sorted(point.at_s for point in curve)
    assert curves.at(curve, 2.71) == pytest.approx(-12)


def test_nothing_ducks_when_the_original_is_replaced(stage: Stage) -> None:
    stage.cue(Stem.MUSIC, 0, noise(20))
    stage.says(5, 9)
    mixed = stage.mix(None, loudness="none", keep_original=False)
    assert [len(place.gain_curve) for place in stem_of(mixed, Stem.MUSIC).placements] == [1]


def test_what_is_generated_lies_under_quiet_speech(stage: Stage) -> None:
    original = scene(stage)
    quiet = read(original) * np.float32(0.1)
    mixed = stage.mix(stage.original(quiet), loudness="none")
    during = slice(5 * 48_000, 9 * 48_000)
    lanes = sum(read(file.path)[:, during] for file in mixed.stems if file.stem is not Stem.DIALOGUE)
    assert mixed.trim_db < -3
    assert level_db(lanes) < level_db(quiet[:, during]) - 5


def test_a_room_tone_stays_a_bed(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20, 0.008), sound="room")
    mixed = stage.mix(loudness="youtube")
    assert mixed.gain_db == pytest.approx(levels.BED_LIFT_DB)
    assert mixed.bounce.integrated_lufs is not None and mixed.bounce.integrated_lufs < -20
    assert any("LUFS" in warning for warning in mixed.warnings)


def test_a_faint_original_is_not_dragged_up_with_its_hiss(stage: Stage) -> None:
    stage.cue(Stem.FOLEY, 2, hit(0.002))
    mixed = stage.mix(stage.original(noise(20, 0.0008)), loudness="youtube")
    assert mixed.gain_db == pytest.approx(levels.LIFT_DB)
    assert any("faint" in warning for warning in mixed.warnings)


def test_peaks_that_are_too_high_for_the_preset_are_said(stage: Stage) -> None:
    stage.cue(Stem.FOLEY, 2, hit(0.9, 0.1)[:, :120])
    mixed = stage.mix(loudness="youtube")
    reached = mixed.bounce.integrated_lufs
    assert reached is not None and reached < -15
    assert any(f"{reached:.1f} LUFS" in warning for warning in mixed.warnings)
    assert -levels.LIMIT_DB - 0.5 <= mixed.limited_db <= 0


def test_very_short_material_is_mixed(stage: Stage) -> None:
    stage.duration_s = Fraction(2, 5)
    stage.cue(Stem.FOLEY, Fraction(1, 10), hit(0.25, 0.2))
    mixed = stage.mix(loudness="ebu-r128")
    assert read(mixed.bounce.path).shape == (2, 19_200)
    assert mixed.bounce.integrated_lufs == pytest.approx(-23, abs=1)


@pytest.mark.parametrize(("mix", "generated", "kept"), [(0.0, 0, 1), (0.25, 0.5, 1), (0.5, 1, 1), (0.75, 1, 0.5)])
def test_mix_weighs_both_sides(stage: Stage, mix: float, generated: float, kept: float) -> None:
    stage.cue(Stem.EFFECTS, 0, bed(20))
    mixed = stage.mix(stage.original(bed(20, 0.02, 8)), loudness="none", mix=mix)
    lane, original = (read(stem_of(mixed, stem).path) for stem in (Stem.EFFECTS, Stem.DIALOGUE))
    assert np.sqrt(np.mean(lane**2)) == pytest.approx(0.05 * generated, rel=0.02)
    assert np.sqrt(np.mean(original**2)) == pytest.approx(0.02 * kept, rel=0.02)


def test_mix_one_has_nothing_of_the_original(stage: Stage) -> None:
    stage.cue(Stem.EFFECTS, 0, bed(20))
    mixed = stage.mix(stage.original(bed(20, 0.02, 8)), mix=1.0)
    assert [file.stem for file in mixed.stems] == [Stem.EFFECTS]


def test_an_original_of_another_length_is_cut_or_padded(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    for seconds in (7, 30):
        mixed = stage.mix(stage.original(bed(seconds)))
        assert read(mixed.bounce.path).shape == (2, stage.total)


def test_gain_curve_fades_and_pan_are_heard(stage: Stage) -> None:
    curve = (GainPoint(4, 0.0), GainPoint(6, -20.0))
    steady = np.full((2, 480_000), 0.1, np.float32) * np.tile([1, -1], 240_000).astype(np.float32)
    stage.cue(Stem.EFFECTS, 5, steady, gain_curve=curve, gain_db=-6, fade_in_s=1, fade_out_s=1, pan=-1.0)
    lane = np.abs(read(stem_of(stage.mix(loudness="none"), Stem.EFFECTS).path))
    full = 0.1 * 10 ** (-6 / 20) * np.sqrt(2)

    def at(second: float) -> float:
        return float(lane[0, round(second * 48_000)])

    assert lane[1].max() < 1e-7, "hard left"
    assert at(5.5) == pytest.approx(full * np.sqrt(0.5), rel=1e-3), "half of an equal-power fade"
    assert at(8) == pytest.approx(full, rel=1e-3)
    assert at(10) == pytest.approx(full * 10 ** (-10 / 20), rel=1e-3), "linear in decibels"
    assert at(13) == pytest.approx(full * 10 ** (-20 / 20), rel=1e-3)
    assert lane[0, 15 * 48_000 - 1] < full * 1e-3


@pytest.mark.parametrize(("fade_in_s", "fade_out_s"), [(600, 0), (0, 600), (600, 600)])
def test_fades_longer_than_their_cue_do_not_silence_it(stage: Stage, fade_in_s: float, fade_out_s: float) -> None:
    steady = np.full((2, 96_000), 0.1, np.float32) * np.tile([1, -1], 48_000).astype(np.float32)
    stage.cue(Stem.EFFECTS, 5, steady, fade_in_s=fade_in_s, fade_out_s=fade_out_s)
    heard = np.abs(read(stem_of(stage.mix(loudness="none"), Stem.EFFECTS).path))
    assert heard.max() == pytest.approx(0.1, rel=1e-2), "it reaches its own level once"


@pytest.mark.parametrize("stem", [Stem.MUSIC, Stem.EFFECTS])
def test_placements_tell_the_gain_that_was_used(stage: Stage, stem: Stem) -> None:
    original = scene(stage)
    lane = stem_of(stage.mix(original, loudness="ebu-r128"), stem)
    (place,) = lane.placements
    take = read(Path(stage.takes[place.cue_id].path))
    gain = curves.amplitudes(place.gain_curve, 0, place.samples)
    there = slice(place.start, place.start + place.samples)
    assert level_db(take * gain - read(lane.path)[:, there] + 1e-12) < -100


def test_a_take_that_runs_over_the_ends_is_cut_softly(stage: Stage) -> None:
    stage.duration_s = Fraction(2)
    stage.cue(Stem.EFFECTS, Fraction(-1), noise(4))
    lane = read(stem_of(stage.mix(loudness="none"), Stem.EFFECTS).path)
    take = read(Path(stage.takes["effects-0"].path))
    np.testing.assert_array_equal(lane[:, 4800:9600], take[:, 52_800:57_600])
    assert np.abs(lane[:, [0, -1]]).max() < 0.005


def test_a_muted_cue_is_not_heard_and_a_missing_take_is_said(stage: Stage) -> None:
    stage.cue(Stem.EFFECTS, 0, bed(20))
    stage.cue(Stem.FOLEY, 1, hit(), muted=True)
    stage.cue(Stem.MUSIC, 1, bed(3))
    del stage.takes["music-2"]
    mixed = stage.mix()
    assert [file.stem for file in mixed.stems] == [Stem.EFFECTS]
    assert any("music-2" in warning for warning in mixed.warnings)


def test_a_silent_stem_is_said(stage: Stage) -> None:
    stage.cue(Stem.EFFECTS, 0, bed(20))
    stage.cue(Stem.FOLEY, 1, hit() * np.float32(0))
    mixed = stage.mix()
    assert stem_of(mixed, Stem.FOLEY).silent
    assert "The foley stem is silent." in mixed.warnings


def test_a_silent_mix_is_refused(stage: Stage) -> None:
    stage.cue(Stem.FOLEY, 1, hit() * np.float32(0))
    with pytest.raises(ResultError, match="silent"):
        stage.mix()


def test_a_mix_without_a_lane_says_what_is_missing(stage: Stage) -> None:
    stage.cue(Stem.FOLEY, 1, hit())
    stage.takes.clear()
    mixed = stage.mix()
    assert mixed.stems == () and mixed.bounce.silent
    assert any("foley-0" in warning for warning in mixed.warnings)


def test_numbers_that_are_no_sound_are_refused(stage: Stage) -> None:
    broken = bed(20)
    broken[1, 77] = np.nan
    stage.cue(Stem.AMBIENCE, 0, broken)
    with pytest.raises(ResultError, match="no sound"):
        stage.mix()
    assert not list((stage.folder / "mix").iterdir()), "nothing is left behind"


def test_an_offset_is_refused(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20) + np.float32(0.1))
    with pytest.raises(ResultError, match="offset"):
        stage.mix(loudness="none")


def test_a_file_that_is_a_sample_short_is_refused(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    mixed = stage.mix()
    with pytest.raises(ResultError, match="samples long"):
        mix_checks.check_result(replace(stage.sheet(), duration_s=Fraction(960_001, 48_000)), mixed)


def test_a_clipped_mix_is_refused(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    mixed = stage.mix()
    with pytest.raises(ResultError, match="peaks"):
        mix_checks.check_result(stage.sheet(), replace(mixed, bounce=replace(mixed.bounce, true_peak_db=0.2)))


def test_a_take_that_is_gone_is_a_sentence(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    Path(stage.takes["ambience-0"].path).unlink()
    with pytest.raises(MediaError, match="ambience-0"):
        stage.mix()


@pytest.mark.parametrize("options", [{"loudness": "loud"}, {"mix": 1.5}, {"mix": float("nan")}, {"mix": 0.0}])
def test_options_that_make_no_sense_are_refused(stage: Stage, options: dict[str, object]) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    with pytest.raises(RequestError):
        stage.mix(**options)


def test_it_stops_when_asked(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    folder = stage.folder / "mix"
    folder.mkdir()
    asked = itertools.count()
    booth = mixing.Booth(folder, cancelled=lambda: next(asked) > 4)
    with pytest.raises(CancelledError):
        mixing.mix(stage.sheet(), stage.takes, None, mixing.MixOptions(), booth)
    assert not list(folder.iterdir())


def test_progress_goes_up_to_one(stage: Stage) -> None:
    stage.cue(Stem.AMBIENCE, 0, bed(20))
    folder, told = stage.folder / "mix", list[float]()
    folder.mkdir()
    mixing.mix(stage.sheet(), stage.takes, None, mixing.MixOptions(), mixing.Booth(folder, progress=told.append))
    assert told == sorted(told) and told[-1] == 1


@pytest.mark.parametrize("make", [lambda: noise(3, 0.3), lambda: bed(3, 0.3), lambda: np.tile(hit(0.9, 0.05), 60)])
def test_the_limiter_keeps_any_true_peak(make: Callable[[], np.ndarray]) -> None:
    samples = make()
    hops = limiter.HopPeaks(samples.shape[1], 0.01)
    around = np.pad(samples, ((0, 0), (TAPS, TAPS)))
    for first in range(0, samples.shape[1] + TAPS, 10_007):
        hops.hear(first - TAPS, around[:, first : first + 10_007 + TAPS - 1])
    ride = limiter.ride(hops.peaks, 6.0, -3.0)
    meter = TruePeakMeter()
    meter.push(samples * np.float32(10 ** (6 / 20)) * ride.amplitudes(0, samples.shape[1]))
    assert meter.finish() <= -3.0
    assert ride.deepest_db < -1


_LONG = """
import sys, resource
from fractions import Fraction
from pathlib import Path
import numpy as np
from mixing_stage import Stage, bed, hit
from dataclasses import replace
from immersivaudio.engine.cue import Span, Stem, Take
folder, minutes = Path(sys.argv[1]), int(sys.argv[2])
stage = Stage(folder, Fraction(60 * minutes))
for number in range(2 * minutes):
    for stem in (Stem.AMBIENCE, Stem.EFFECTS, Stem.MUSIC):
        stage.cue(stem, 30 * number, bed(30))
    stage.cue(Stem.FOLEY, 30 * number + 5, hit(0.9))
stage.mix()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    def peak_kib(minutes: int) -> int:
        folder = tmp_path / str(minutes)
        folder.mkdir()
        command = [sys.executable, "-c", _LONG, str(folder), str(minutes)]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert resource.getpagesize()
    assert peak_kib(30) <= 1.2 * peak_kib(1)


def loud_scene(folder: Path, seconds: int, changed: bool) -> Stage:
    """Hits that the limiter must hold, a bed, and somebody who speaks; one hit of them is another one if ``changed``."""
    folder.mkdir()
    stage = Stage(folder, Fraction(seconds))
    stage.cue(Stem.AMBIENCE, 0, bed(seconds, 0.1), fade_in_s=0.5)
    for second in range(1, seconds - 1, 2):
        other = changed and second == 21
        stage.cue(Stem.FOLEY, second, hit(0.8 if other else 0.9), sound="impact.wood")
        if other:
            cue = stage.cues[-1]
            stage.takes[cue.id] = replace(stage.takes[cue.id], key="another")
    stage.says(8, 12)
    stage.original(bed(seconds, 0.05, seed=2))
    return stage


def mixed_to_bytes(stage: Stage, cache: Path | None) -> tuple[dict[str, bytes], mixing.MixResult]:
    folder = stage.folder / "mix"
    folder.mkdir()
    booth = mixing.Booth(folder, cache)
    result = mixing.mix(stage.sheet(), stage.takes, stage.folder / "original.wav", mixing.MixOptions(), booth)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}, result


def test_a_change_is_measured_where_it_is_and_equals_a_cold_run_to_the_bit(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    mixed_to_bytes(loud_scene(tmp_path / "before", 40, changed=False), cache)
    known = set(cache.rglob("*.npy"))
    warm, result = mixed_to_bytes(loud_scene(tmp_path / "warm", 40, changed=True), cache)
    cold, again = mixed_to_bytes(loud_scene(tmp_path / "cold", 40, changed=True), None)
    assert result.limited_db < -0.5
    assert warm == cold
    assert replace(result, stems=(), bounce=again.bounce) == replace(again, stems=())
    assert [file.true_peak_db for file in result.stems] == [file.true_peak_db for file in again.stems]
    fresh = set(cache.rglob("*.npy")) - known
    assert 0 < len(fresh) <= 0.25 * len(known)


def test_readings_that_cannot_be_kept_or_read_are_taken_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    stage = loud_scene(tmp_path / "one", 12, changed=False)
    first, _ = mixed_to_bytes(stage, cache)
    for path in cache.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:90])
    second, _ = mixed_to_bytes(loud_scene(tmp_path / "two", 12, changed=False), cache)
    (tmp_path / "file").write_text("no folder")
    third, _ = mixed_to_bytes(loud_scene(tmp_path / "three", 12, changed=False), tmp_path / "file")
    assert first == second == third
