# SPDX-License-Identifier: AGPL-3.0-or-later
"""Moving sources follow the way of the picture: its path on the cue, in the cue sheet, and in what is heard."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from test_spotting import edit_of, place, saw, stem
from test_synthesis import MOVING, RATE, Wave, perform
from test_watchers_picture import VIDEO, footage, needs_shared, watch_footage, ways

from immersivaudio.engine import conform, media, sheets, spotting
from immersivaudio.engine.cue import Cue, ParamValue, Sighting, Stem
from immersivaudio.engine.errors import CueSheetError
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.procedural import create
from immersivaudio.engine.synthesis.course import Followed
from immersivaudio.engine.tracks import as_path, path_of
from immersivaudio.engine.ways import Knot, followed, read, written

# Comes from the left, stops in the middle for two seconds, turns back, and leaves to the left, farther away.
TURNS = tuple(Knot(*row) for row in ((1, -1, 12), (3, 0.4, 6), (5, 0.4, 6), (7, -0.2, 8), (9, -0.9, 24)))
HOP_S = 0.1


def heard_way(wave: Wave) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When, where across the picture (0 to 1) and how loud (dB) it is heard, every tenth of a second."""
    power = np.square(wave.astype(float)).reshape(2, -1, round(HOP_S * RATE)).mean(axis=2)
    at_s = (np.arange(power.shape[1]) + 0.5) * HOP_S
    return at_s, np.arctan2(*np.sqrt(power[::-1])) / (np.pi / 2), 10 * np.log10(power.sum(axis=0) + 1e-12)


# What is long is heard behind where its front is.
@pytest.mark.parametrize(("name", "late_s"), [("car", 0.0), ("motorcycle", 0.0), ("boat", 0.2), ("truck", 0.2)])
def test_what_is_heard_follows_a_drawn_path(name: str, late_s: float) -> None:
    at_s, x, _ = heard_way(perform(f"passby.{name}", 10.0, path=written(TURNS)))
    inside = (at_s >= TURNS[0].at_s) & (at_s <= TURNS[-1].at_s)
    wanted = np.interp(at_s - late_s, [knot.at_s for knot in TURNS], [(knot.pan + 1) / 2 for knot in TURNS])
    assert np.abs(x - wanted)[inside].max() < 0.1


@pytest.mark.parametrize("name", MOVING)
def test_whatever_moves_takes_a_path_and_stays_below_full_scale(name: str) -> None:
    wave = perform(name, 10.0, path=written(TURNS))
    assert np.all(np.isfinite(wave))
    assert 0.005 < np.max(np.abs(wave)) < 10 ** (-1 / 20)


def test_it_is_as_loud_as_it_looks_large() -> None:
    at_s, _, loud = heard_way(perform("passby.car", 10.0, path=written(TURNS)))
    near, far = ((at_s > 3.2) & (at_s < 4.8)), ((at_s > 8.6) & (at_s < 9.0))
    assert 8 < loud[near].mean() - loud[far].mean() < 16
    assert loud[(at_s > 9.5)].mean() < loud[far].mean()
    assert loud.max() - np.median(loud[near]) < 4


def test_the_pitch_bends_by_the_radial_speed_and_never_jumps() -> None:
    course = Followed(TURNS, 15.0, 40.0, 10.0)
    heard = np.arange(0, 10, 0.001)
    rate = np.gradient(course.left_at(heard), heard)
    assert rate[1500] > 1.003
    assert rate[8000] < 0.98
    assert rate[4000] == pytest.approx(1.0, abs=1e-6)
    assert np.abs(np.diff(rate)).max() < 0.002
    wild = Followed((Knot(1, 0, 3), Knot(1.1, 0, 900), Knot(1.2, 0, 3), Knot(5, 0, 900)), 15.0, 220.0, 10.0)
    left = wild.left_at(heard)
    assert np.all(np.diff(left) > 0)
    assert np.allclose(left + np.hypot(*wild.beside(left)) / 343.0, heard - wild.closest_s, atol=1e-6)


def test_no_path_makes_a_click() -> None:
    """Steps of a control would show as energy far above what the same car has on a straight path."""
    for wave in (perform("passby.car", 10.0), perform("passby.car", 10.0, path=written(TURNS))):
        rough = np.abs(np.diff(wave[0], 2))
        assert rough.max() < 12 * np.quantile(rough, 0.99)


def test_without_a_path_nothing_changed_and_nonsense_is_no_path() -> None:
    plain = perform("passby.car", 4.0)
    for text in ("", "1:0,5", "2:0,5 1:0,5", "a:b,c 2:0,5", "1:0,5 2:nan,5"):
        assert np.array_equal(perform("passby.car", 4.0, path=text), plain)


def drove(points: list[tuple[float, float, float, float]], **values: ParamValue) -> Sighting:
    start, end = points[0][0], points[-1][0]
    middle = max(points, key=lambda point: point[3])
    return saw(
        "passby", start, end, 0.9, from_x=points[0][1], to_x=points[-1][1], from_y=0.5, to_y=0.5, size=middle[3],
        speed=0.3, closest_s=middle[0], path=as_path(points), **values,
    )  # fmt: skip


def test_the_sightings_path_is_on_the_cue_and_survives_the_sheet() -> None:
    """It brakes: two thirds of its way in the first second, which a straight path would take two seconds for."""
    points = [(3 + k / 10, float(np.interp(k, (0, 10, 30), (0.05, 0.65, 0.95))), 0.5, 0.05) for k in range(31)]
    sheet = spotting.spot(edit_of(10), [place("road", 0, 10), drove(points)])
    (cue,) = stem(sheet, Stem.EFFECTS)
    knots = read(str(cue.params["path"]))
    assert len(knots) <= 6
    for at_s, x, _, _ in points[2:-2]:
        told = np.interp(at_s - float(cue.span.start_s), [k.at_s for k in knots], [(k.pan + 1) / 2 for k in knots])
        assert told == pytest.approx(x, abs=0.04)
    text = sheets.to_json(sheet)
    assert stem(sheets.from_json(text), Stem.EFFECTS) == [cue]
    assert not stem(sheets.from_json(text.replace('"path": ', '"avoid": ')), Stem.EFFECTS)[0].params.get("path")
    with pytest.raises(CueSheetError, match=r"params\.path must be two knots or more"):
        sheets.from_json(text.replace(str(cue.params["path"]), "1:0,5 0.5:0,6"))


def test_what_an_edge_of_the_picture_cuts_is_not_far_away() -> None:
    points = [(k / 10, x, 0.5, 0.04 * min(1.0, 10 * min(x, 1 - x))) for k, x in enumerate(np.linspace(0.04, 0.96, 31))]
    knots = followed(drove(points), Fraction(0), 8.0)
    assert max(knot.metres for knot in knots) < 10
    assert min(knot.metres for knot in knots) == pytest.approx(8.0, abs=0.1)


def test_what_comes_nearer_is_twice_as_near_when_it_is_twice_as_wide() -> None:
    knots = followed(drove([(k / 10, 0.5, 0.5, 0.01 * 4 ** (k / 40)) for k in range(41)]), Fraction(0), 5.0)
    assert knots[0].metres == pytest.approx(10.0, rel=0.1)
    assert knots[-1].metres == pytest.approx(5.0, rel=0.05)


def performed(cue: Cue) -> Wave:
    samples = int(cue.span.duration_s / Fraction(1, 10)) * RATE // 10
    return np.concatenate(list(create().perform(Brief(cue, samples))), axis=1)


@needs_shared
def test_three_cars_of_real_footage_are_heard_where_the_picture_has_them() -> None:
    """The witness is the picture itself, see ``test_watchers_picture``."""
    name = "parking-overhead-cars-with-gaps.mp4"
    empty = np.median([frame.rgb for frame in footage(name)[::25]], axis=0)
    seen = [sighting for watcher in ("motion", "place", "shots") for sighting in watch_footage(watcher, name)]
    seen = [replace(sighting, id=f"s{index}") for index, sighting in enumerate(seen)]
    edit = conform.single(media.probe(VIDEO / name), "parking")
    cues = [cue for cue in spotting.spot(edit, seen).cues if cue.sound == "passby.car"]
    assert len(cues) == 3
    for cue in cues:
        (passing,) = [row for row in seen if row.id in cue.sightings]
        looks = [frame for frame in footage(name)[::5] if passing.span.contains(frame.time_s)]
        known = [way for way in ways(looks, empty) if len(way) > 0.5 * len(looks)]
        at_s, x, loud = heard_way(performed(cue))
        at_s = at_s + float(cue.span.start_s)
        assert min(max(abs(np.interp(float(t), at_s, x) - wanted) for t, wanted in way) for way in known) < 0.1
        inside = [(share, area) for share, _, y, area in path_of(passing) if 0.15 < y < 0.85]
        looked = [float(passing.span.start_s) + share * float(passing.span.duration_s) for share, _ in inside]
        level = np.interp(looked, at_s, np.convolve(loud, np.ones(5) / 5, "same"))
        assert np.corrcoef(level, [np.log(area) for _, area in inside])[0, 1] > 0.7
