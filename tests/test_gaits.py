# SPDX-License-Identifier: AGPL-3.0-or-later
"""Steps of those who walk by, and what tells a blow from a smooth turn."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import _onsets
import _strikers
import contacts
import numpy as np
import pytest

from immersivaudio.engine import plugins
from immersivaudio.engine.cue import Clip, Sighting, Span
from immersivaudio.engine.watchers import Frame
from immersivaudio.engine.watchers._jerks import jerk
from immersivaudio.engine.watchers._trains import Landing, in_trains

GRAIN = 0.0012


def impacts(name: str, seed: int) -> tuple[list[Sighting], tuple[float, ...]]:
    """What is struck in a drawn film, as seen and in truth."""
    film = _strikers.body_film(name, seed)
    span = Span(Fraction(0), Fraction(5))
    session = plugins.create("watchers", "motion").open(Clip("c1", name, "video", 0, None, span, span))
    for index, picture in enumerate(film.pictures()):
        session.see(Frame(index / film.rate, picture))
    return [s for s in session.finish() if s.label == "impact" and s.confidence >= 0.5], film.contacts_s


def test_a_runner_is_heard_step_by_step_on_one_track() -> None:
    found, contacts_s = impacts("runner", 2)
    steps = [s for s in found if str(s.values["track"]).startswith("walker")]
    in_view = [at for at in contacts_s if at < 3.2]  # then he has run out of the picture
    result = _onsets.agree([float(s.span.start_s) for s in steps], in_view)
    assert result.precision >= 0.85 and result.recall >= 0.85
    assert abs(result.lag_s) <= 0.04
    assert len({s.values["track"] for s in steps}) == 1
    assert all(s.values["period_s"] == pytest.approx(contacts_s[1] - contacts_s[0], rel=0.06) for s in steps)


def steps_as_coded(name: str, seed: int, folder: Path) -> tuple[list[Sighting], tuple[float, ...]]:
    """The steps told of a film that was encoded and read back, and what is struck in it."""
    told = contacts.told(_strikers.body_film(name, seed), folder)
    found = contacts.watch(folder / f"{name}-{seed}.mp4", ["motion"])
    return [s for s in found if str(s.values.get("track", "")).startswith("walker")], told.film.contacts_s


def test_most_who_run_by_are_heard_and_nobody_out_of_step(tmp_path: Path) -> None:
    heard = 0
    for seed in range(4):  # of seed 1 no step is told
        steps, contacts_s = steps_as_coded("runner", seed, tmp_path)
        if not steps:
            continue
        result = _onsets.agree([float(s.span.start_s) for s in steps], contacts_s)
        assert result.precision >= 0.85 and abs(result.lag_s) <= 0.05
        heard += len(steps) >= 5 and steps[0].values["period_s"] == pytest.approx(
            contacts_s[1] - contacts_s[0], rel=0.06
        )
    assert heard >= 3


def test_a_car_that_stops_and_goes_does_not_walk(tmp_path: Path) -> None:
    assert not steps_as_coded("traffic", 4, tmp_path)[0]


def landings(gaps_s: list[float], *, x: float = 0.5, believed: int = 3) -> list[Landing]:
    moments = np.cumsum([1.0, *gaps_s])
    return [Landing(float(at), x + 0.01 * i, 0.8, 0.04, i < believed) for i, at in enumerate(moments)]


def test_bounces_that_come_sooner_by_one_ratio_are_a_train() -> None:
    train = landings([1.0, 0.8, 0.64, 0.512])
    aside = Landing(2.3, 0.9, 0.4, 0.04, True)
    assert in_trains(sorted([*train, aside], key=lambda one: one.time_s)) == {0, 1, 3, 4, 5}


@pytest.mark.parametrize("gaps_s", [[0.5, 0.5, 0.5, 0.5], [1.0, 0.8], [1.0, 0.8, 0.4, 0.37], [0.4, 0.5, 0.6, 0.7]])
def test_a_beat_and_chance_are_no_train(gaps_s: list[float]) -> None:
    assert not in_trains(landings(gaps_s))


def test_a_train_is_founded_by_bounces_that_are_believed() -> None:
    assert not in_trains(landings([1.0, 0.8, 0.64, 0.512], believed=2))


@pytest.mark.parametrize("name", ["dancer", "swing"])
def test_who_stays_where_he_is_does_not_walk(name: str) -> None:
    found, _ = impacts(name, 0)
    assert not any(str(s.values["track"]).startswith("walker") for s in found)


@pytest.mark.parametrize("rate", [15, 25, 30])
def test_a_bounce_jerks_and_a_pendulum_does_not(rate: int) -> None:
    times = np.arange(0, 1, 1 / rate)
    bounced = np.stack([0.2 * times, 0.5 - 1.5 * np.abs(times - 0.513) + (times - 0.513) ** 2], 1)
    swung = np.stack([0.3 * np.cos(np.pi * (times - 0.5)), 0.03 * np.cos(2 * np.pi * (times - 0.5))], 1)
    grain = np.random.default_rng(0).normal(0, GRAIN / 2, bounced.shape)
    blow, turn = (jerk(times, way + grain, 0.513, 1 / rate, GRAIN) for way in (bounced, swung))
    assert blow > 2 > 1 > turn
