# SPDX-License-Identifier: AGPL-3.0-or-later
"""Steps of those who walk by, and what tells a blow from a smooth turn."""

from __future__ import annotations

from fractions import Fraction

import _onsets
import _strikers
import numpy as np
import pytest

from immersivaudio.engine import plugins
from immersivaudio.engine.cue import Clip, Sighting, Span
from immersivaudio.engine.watchers import Frame
from immersivaudio.engine.watchers._jerks import jerk

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
