# SPDX-License-Identifier: AGPL-3.0-or-later
"""Recordings on the way of the picture: carried where they stand still, kept and only panned where they pass by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_stage import indexed, noise, wav
from scipy import signal
from test_library import cue, home, performed  # noqa: F401 - a fixture is used by its name
from test_ways import TURNS, heard_way

from immersivaudio.engine import carried
from immersivaudio.engine.cue import Cue, Example, Take
from immersivaudio.engine.models import guides
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.ways import written

RATE = 48_000
Wave = np.ndarray
Perform = Callable[[Cue, Wave, Path], tuple[Take, Wave]]


def from_library(one: Cue, recording: Wave, folder: Path) -> tuple[Take, Wave]:
    wav(folder / "sounds" / "VEHCar_Sedan Passing_FR_ROAD.wav", recording)
    indexed(folder / "sounds")
    return performed(one, folder)


def by_example(one: Cue, recording: Wave, folder: Path) -> tuple[Take, Wave]:
    path = wav(folder / "car.wav", recording)
    return performed(replace(one, example=Example(str(path))), folder)


PERFORMERS = [pytest.param(from_library, id="library"), pytest.param(by_example, id="analogy")]


def steady(seconds: float = 16.0) -> Wave:
    """An engine that stands: noise and a tone of 1 kHz."""
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * RATE)) / RATE)
    return (noise(seconds, 4, -26, channels=1) + tone.astype(np.float32)).repeat(2, axis=0)


def drives_by(seconds: float = 24.0, closest_s: float = 13.0) -> Wave:
    """A car that passes 8 m away at 15 m/s, recorded in the middle."""
    away = np.hypot(15 * (np.arange(round(seconds * RATE)) / RATE - closest_s), 8)
    return (noise(seconds, 5, -14, channels=1) * (8 / away).astype(np.float32)).repeat(2, axis=0)


def way(seconds: float = 10.0) -> Cue:
    return cue("passby.car", seconds, path=written(TURNS))


def off_the_way(wave: Wave) -> float:
    at_s, x, _ = heard_way(wave)
    inside = (at_s >= TURNS[0].at_s) & (at_s <= TURNS[-1].at_s)
    wanted = np.interp(at_s, [knot.at_s for knot in TURNS], [(knot.pan + 1) / 2 for knot in TURNS])
    return float(np.abs(x - wanted)[inside].max())


def begun(wave: Wave, recording: Wave) -> int:
    """The sample of the recording with which the take begins."""
    alike = signal.correlate(recording.sum(axis=0), wave.sum(axis=0), "valid", "fft")
    return int(np.abs(alike).argmax())


@pytest.mark.parametrize("perform", PERFORMERS)
def test_what_stands_still_is_carried_along_the_path(perform: Perform, home: Path, tmp_path: Path) -> None:  # noqa: F811
    take, wave = perform(way(), steady(), tmp_path)
    assert take.performer in ("library", "analogy")
    assert off_the_way(wave) < 0.1
    at_s, _, loud = heard_way(wave)
    near, far = ((at_s > 3.2) & (at_s < 4.8)), ((at_s > 8.6) & (at_s < 9.0))
    assert 8 < loud[near].mean() - loud[far].mean() < 18


def test_its_pitch_bends_and_the_air_darkens_it(home: Path, tmp_path: Path) -> None:  # noqa: F811
    _, wave = from_library(way(), steady(), tmp_path)
    tone = signal.sosfiltfilt(signal.butter(4, (900, 1100), "bandpass", fs=RATE, output="sos"), wave.mean(axis=0))
    pitch_hz = np.diff(np.unwrap(np.angle(signal.hilbert(tone)))) * RATE / (2 * np.pi)
    comes, stays, goes = (
        np.median(pitch_hz[int(a * RATE) : int(b * RATE)]) for a, b in ((1.2, 2.6), (3.5, 4.6), (7.5, 9))
    )
    assert comes > 1003 and stays == pytest.approx(1000, abs=1) and goes < 985


@pytest.mark.parametrize("perform", PERFORMERS)
def test_what_passes_by_itself_is_not_moved_twice(perform: Perform, home: Path, tmp_path: Path) -> None:  # noqa: F811
    """As loud at every moment as it was recorded, but for one gain; on the side where the picture has it."""
    recording = drives_by()
    take, wave = perform(way(), recording, tmp_path)
    assert take.performer in ("library", "analogy")
    assert off_the_way(wave) < 0.1
    start = begun(wave, recording)
    own = recording[:, start : start + wave.shape[1]]
    kept_db = np.convolve(heard_way(wave)[2] - heard_way(own)[2], np.ones(5) / 5, "valid")
    assert np.ptp(kept_db) < 1.0
    assert abs(13.0 - start / RATE - 3.0) < 0.4, "its closest moment is the path's"


def test_what_a_model_made_after_its_guide_is_panned_along_the_path() -> None:
    brief = Brief(way(), 10 * RATE)
    made = guides.render(brief, 16_000, 1)
    assert made is not None
    assert off_the_way(np.concatenate(list(guides.shaped(made, 16_000, brief, True)), axis=1)) < 0.1


def test_a_recording_that_crosses_the_picture_itself_keeps_its_sides(home: Path, tmp_path: Path) -> None:  # noqa: F811
    side = np.clip((np.arange(24 * RATE) / RATE - 10) / 6, 0, 1)
    recording = drives_by() * np.sqrt(np.stack([1 - side, side])).astype(np.float32)
    _, wave = from_library(cue("passby.car", 8.0, (4.0,), from_pan=-1.0, to_pan=1.0), recording, tmp_path)
    start = begun(wave, recording)
    own = recording[:, start : start + wave.shape[1]]
    assert np.allclose(wave / np.abs(wave).max(), own / np.abs(own).max(), atol=1e-4)


@pytest.mark.parametrize(
    ("levels_db", "moves"),
    [
        ([-30, -31, -29, -30, -32, -30], False),
        ([-60, -36, -30, -30, -31, -30, -30, -36, -60], False),
        ([-44, -38, -32, -26, -20, -24, -30, -36, -42], True),
        ([-46, -42, -38, -34, -30, -26, -22], True),
        ([-45, -44, -30, -45, -46, -45, -28, -44, -45], True),
        ([-30], False),
        ([], False),
    ],
)
def test_a_passing_is_told_by_its_levels(levels_db: list[float], moves: bool) -> None:
    assert carried.passes(levels_db) is moves
