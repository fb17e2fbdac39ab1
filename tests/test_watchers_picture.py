# SPDX-License-Identifier: AGPL-3.0-or-later
"""Eyes without models: cuts, contacts, passes and places, on drawn pictures and, where they are there, on real ones."""

from __future__ import annotations

import tomllib
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import _onsets
import _pictures
import _scenes
import conftest
import cv2
import numpy as np
import pytest

from immersivaudio.cli import demo
from immersivaudio.engine import conform, media, plugins, spotting
from immersivaudio.engine.cue import Clip, Cue, Sighting, Span
from immersivaudio.engine.watchers import Frame

SHARED = Path(__file__).parents[2] / "shared"
VIDEO = SHARED / "media" / "video"
LONG = Span(Fraction(0), Fraction(3600))
needs_shared = pytest.mark.skipif(not VIDEO.is_dir(), reason="the shared test media are not beside the repository")


def watch(name: str, frames: Iterable[Frame], lasting_s: Fraction) -> list[Sighting]:
    watcher = plugins.create("watchers", name)
    watcher.setup()
    span = Span(Fraction(0), lasting_s)
    session = watcher.open(Clip("c1", "drawn", "video", 0, None, span, span))
    for frame in frames:
        session.see(frame)
    return list(session.finish())


@cache
def footage(name: str) -> tuple[Frame, ...]:
    """A real clip at 192 pixels, on its own clock."""
    reader = cv2.VideoCapture(str(VIDEO / name))
    reader.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    rate = Fraction(reader.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
    frames: list[Frame] = []
    while True:
        more, picture = reader.read()
        if not more:
            break
        size = (192, round(192 * picture.shape[0] / picture.shape[1]))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        frames.append(Frame(len(frames) / rate, cv2.cvtColor(small, cv2.COLOR_BGR2RGB)))
    assert frames, f"{name} decoded to nothing"
    return tuple(frames)


def watch_footage(watcher: str, name: str) -> list[Sighting]:
    frames = footage(name)
    return watch(watcher, frames, frames[-1].time_s + frames[1].time_s)


def impacts(sightings: Iterable[Sighting], least: float = 0.5) -> list[float]:
    return [float(s.span.start_s) for s in sightings if s.label == "impact" and s.confidence >= least]


def shots(sightings: Iterable[Sighting]) -> list[tuple[float, str]]:
    return [(float(s.span.start_s), str(s.values["cut"])) for s in sightings if s.label == "shot"]


def painted(pictures: Iterable[np.ndarray], rate: int = 25, noise: float = 2.0) -> Iterator[Frame]:
    random = np.random.default_rng(0)
    for index, picture in enumerate(pictures):
        noisy = picture + random.normal(0, noise, picture.shape)
        yield Frame(Fraction(index, rate), np.clip(noisy, 0, 255).astype(np.uint8))


def view(seed: int) -> np.ndarray:
    """A picture of its own layout and colours."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.random((5, 8, 3), np.float32), (192, 108), interpolation=cv2.INTER_CUBIC)
    return np.clip(220 * coarse * random.uniform(0.4, 1.1, 3), 0, 255)


# shots


def test_hard_cuts_are_found_at_their_very_frame() -> None:
    pictures = [view(1)] * 30 + [view(2)] * 41 + [view(3)] * 29
    found = shots(watch("shots", painted(pictures), Fraction(4)))
    assert found == [(0.0, "start"), (1.2, "hard"), (2.84, "hard")]


def test_shots_cover_the_clip_without_gaps() -> None:
    pictures = [view(1)] * 30 + [view(2)] * 41 + [view(3)] * 29
    found = [s for s in watch("shots", painted(pictures), Fraction(4)) if s.label == "shot"]
    assert found[0].span.start_s == 0 and found[-1].span.end_s == 4
    assert all(a.span.end_s == b.span.start_s for a, b in pairwise(found))


def test_a_flash_is_no_cut() -> None:
    pictures = [view(1)] * 40 + [np.full((108, 192, 3), 250.0)] * 2 + [view(1)] * 40
    assert len(shots(watch("shots", painted(pictures), Fraction(82, 25)))) == 1


def test_a_fade_out_is_no_cut() -> None:
    pictures = [view(1)] * 30 + [view(1) * (1 - i / 25) for i in range(26)] + [view(1) * 0] * 20
    assert len(shots(watch("shots", painted(pictures), Fraction(76, 25)))) == 1


def test_a_whip_pan_is_no_cut() -> None:
    wall = np.tile(_pictures.background(2, 60), (1, 6, 1))
    pictures = [wall[20:128, 12 * i : 12 * i + 192] for i in range(60)]
    assert len(shots(watch("shots", painted(pictures), Fraction(60, 25)))) == 1


def test_a_dissolve_is_found_at_its_middle() -> None:
    mixed = [view(1) * (1 - i / 24) + view(2) * i / 24 for i in range(25)]
    found = shots(watch("shots", painted([view(1)] * 50 + mixed + [view(2)] * 50), Fraction(5)))
    assert [kind for _, kind in found] == ["start", "dissolve"]
    assert found[1][0] == pytest.approx(62 / 25, abs=0.25)


# contacts


@pytest.mark.parametrize("rate", [15, 24, 30, 60])
@pytest.mark.parametrize("scene", [_pictures.ball, _pictures.hammer, _pictures.kicked], ids=lambda s: s.__name__)
def test_contacts_are_found_in_time(scene, rate: int) -> None:
    drawn = scene()
    found = watch("motion", _pictures.film(drawn, _pictures.Shot(Fraction(rate))), Fraction(6))
    result = _onsets.agree(impacts(found, 0.3), drawn.contacts_s)
    assert result.recall >= 0.7 and result.precision >= 0.7
    assert abs(result.lag_s) <= max(0.035, 1.1 / rate)


def test_contacts_are_found_in_a_shaky_noisy_picture() -> None:
    drawn = _pictures.ball()
    found = watch("motion", _pictures.film(drawn, _pictures.Shot(Fraction(25), shake=3, noise=6)), Fraction(6))
    assert _onsets.agree(impacts(found, 0.3), drawn.contacts_s).f1 >= 0.6


@pytest.mark.parametrize("scene", [_pictures.tree, _pictures.empty, _pictures.traffic], ids=lambda s: s.__name__)
def test_nothing_is_struck_where_nothing_is_struck(scene) -> None:
    found = watch("motion", _pictures.film(scene(), _pictures.Shot(Fraction(25), shake=3)), Fraction(6))
    assert len(impacts(found)) <= 1


def test_a_pan_is_the_cameras_and_no_impact() -> None:
    found = watch("motion", _pictures.film(_pictures.empty(), _pictures.Shot(Fraction(25), pan=18)), Fraction(6))
    assert impacts(found) == []
    longest = max((s for s in found if s.label == "camera"), key=lambda s: s.span.duration_s)
    assert longest.values["kind"] == "pan"
    assert longest.values["dx"] == pytest.approx(-18 / 192, rel=0.2)


def test_sensor_noise_is_stillness() -> None:
    found = watch("motion", painted([view(4)] * 75, noise=3), Fraction(3))
    assert impacts(found, 0.1) == []
    assert sum(s.span.duration_s for s in found if s.label == "still") > 2


def test_a_cut_is_no_impact() -> None:
    found = watch("motion", painted([view(1)] * 30 + [view(2)] * 30), Fraction(60, 25))
    assert impacts(found, 0.2) == []


def test_repeated_frames_do_not_brake_anything() -> None:
    crossing = _scenes.crossed(3)
    found = watch("motion", _pictures.film(crossing, _pictures.Shot(Fraction(30), repeat=2)), Fraction(6))
    assert len(impacts(found)) <= 1


def test_a_throw_is_struck_where_it_lands_and_not_at_its_top() -> None:
    frames = (
        Frame(Fraction(i, 25), conftest.ball_picture(i / 25, conftest.CONTACTS_S, (192, 108))) for i in range(120)
    )
    found = impacts(watch("motion", frames, Fraction(5)))
    result = _onsets.agree(found, conftest.CONTACTS_S, 0.02)
    assert result.recall == 1 and len(found) <= len(conftest.CONTACTS_S) + 1
    assert abs(result.lag_s) <= 0.01


@pytest.fixture(scope="module")
def demo_frames() -> list[Frame]:
    pictures = (cv2.resize(picture, (192, 108), interpolation=cv2.INTER_AREA) for picture in demo.film())
    return [Frame(index / demo.RATE, picture) for index, picture in enumerate(pictures)]


def test_the_demo_ball_is_struck_at_its_bounces_alone(demo_frames: list[Frame]) -> None:
    found = impacts(watch("motion", demo_frames, Fraction(10)))
    assert found == pytest.approx(demo.BOUNCES_S, abs=0.02)


def test_a_cut_under_the_same_sky_is_a_cut_and_a_sea_is_no_road(demo_frames: list[Frame]) -> None:
    assert shots(watch("shots", demo_frames, Fraction(10))) == [(0.0, "start"), (6.0, "hard")]
    told = [s for s in watch("place", demo_frames, Fraction(10)) if s.label == "place" and s.confidence >= 0.5]
    parts = [{str(s.values["kind"]) for s in told if (s.span.start_s < 3) == first} for first in (True, False)]
    assert "sea" in parts[0] and "road" not in parts[0]
    assert "road" in parts[1] and "sea" not in parts[1]


def test_something_that_crosses_is_one_pass() -> None:
    def draw(canvas: np.ndarray, t: float) -> None:
        cv2.rectangle(canvas, (int(-50 + 70 * t), 40), (int(-6 + 70 * t), 70), (30, 40, 200), -1)
        cv2.rectangle(canvas, (int(-40 + 70 * t), 46), (int(-20 + 70 * t), 58), (220, 220, 220), -1)

    scene = _pictures.Scene("car", draw, ())
    passes = [s for s in watch("motion", _pictures.film(scene), Fraction(6)) if s.label == "passby"]
    assert len(passes) == 1
    values = passes[0].values
    assert float(values["from_x"]) < 0.25 and float(values["to_x"]) > 0.75
    assert float(values["closest_s"]) == pytest.approx(124 / 70, abs=0.35)


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 2), (8, 8), (11, 40), (18, 18), (16, 2000), (2000, 16), (3, 200)], ids=str
)
@pytest.mark.parametrize("name", ["motion", "shots", "place"])
def test_pictures_of_a_few_pixels_are_looked_at_in_peace(name: str, size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(12)]
    found = watch(name, (Frame(Fraction(i, 25), picture) for i, picture in enumerate(pictures)), Fraction(12, 25))
    assert all(sighting.label != "impact" for sighting in found)


def test_a_picture_that_stands_still_is_still_whatever_its_size() -> None:
    for size in ((16, 2000), (192, 108), (40, 30)):
        random = np.random.default_rng(1)
        picture = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
        found = watch("motion", (Frame(Fraction(i, 25), picture) for i in range(50)), Fraction(2))
        assert sum(s.span.duration_s for s in found if s.label == "still") > 1.5


@pytest.mark.parametrize("name", ["motion", "shots", "place"])
def test_memory_grows_by_less_than_a_megabyte_a_minute(name: str) -> None:
    drawn = list(_pictures.film(_pictures.ball(), _pictures.Shot(Fraction(25), shake=2, noise=4)))
    session = plugins.create("watchers", name).open(Clip("c1", "drawn", "video", 0, None, LONG, LONG))
    held: list[int] = []
    tracemalloc.start()
    try:
        for turn in range(6):
            for index, frame in enumerate(drawn):
                session.see(Frame(Fraction(turn * len(drawn) + index, 25), frame.rgb))
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    minutes = Fraction(4 * len(drawn), 25 * 60)
    assert (held[5] - held[1]) / minutes < 1024 * 1024


def test_impacts_say_what_spotting_needs() -> None:
    found = watch("motion", _pictures.film(_pictures.ball()), Fraction(6))
    best = max((s for s in found if s.label == "impact"), key=lambda s: s.confidence)
    assert {"strength", "speed", "direction", "size", "track", "period_s", "sharpness"} <= set(best.values)
    assert best.box is not None and best.values["direction"] == "down" and best.span.duration_s == 0


# places


def kinds(sightings: Iterable[Sighting]) -> dict[str, float]:
    told: dict[str, float] = {}
    for sighting in sightings:
        if sighting.label == "place":
            kind = str(sighting.values["kind"])
            told[kind] = max(told.get(kind, 0.0), sighting.confidence)
    return told


def test_black_is_black() -> None:
    assert kinds(watch("place", painted([np.zeros((108, 192, 3))] * 30, noise=1), Fraction(30, 25))) == {"black": 0.95}


def test_colour_bars_are_a_test_pattern() -> None:
    bars = np.zeros((108, 192, 3))
    for index, colour in enumerate(
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)]
    ):
        bars[:, 32 * index : 32 * index + 32] = colour
    assert list(kinds(watch("place", painted([bars] * 30, noise=0.5), Fraction(30, 25)))) == ["testpattern"]


def test_a_new_look_is_a_new_stretch_and_noise_is_not() -> None:
    frames = painted([view(1)] * 75 + [view(2)] * 75, noise=5)
    lights = [s for s in watch("place", frames, Fraction(6)) if s.label == "light"]
    assert [float(s.span.start_s) for s in lights] == pytest.approx([0, 3], abs=0.3)


# real pictures


@needs_shared
def test_the_four_cuts_of_the_street_montage() -> None:
    cuts = [time for time, kind in shots(watch_footage("shots", "city-street-cuts-bikes.mp4")) if kind == "hard"]
    assert all(min(abs(cut - known) for cut in cuts) <= 0.041 for known in (1.2, 3.04, 5.48, 7.48))
    assert len(cuts) <= 5


@needs_shared
@pytest.mark.parametrize("name", ["drone-coast-gopro-karma.mp4", "sync-football-juggling.mp4", "coffee-pour.mp4"])
def test_one_shot_is_one_shot(name: str) -> None:
    assert len(shots(watch_footage("shots", name))) == 1


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "speech-webcam-night",
        "speech-1940-office-bw",
        "drone-coast-gopro-karma",
        "city-park-sculpture",
        "stream-of-water",
    ],
)
def test_hardly_any_impact_where_nothing_is_struck(name: str) -> None:
    path = next(VIDEO.glob(name + ".*"))
    assert len(impacts(watch_footage("motion", path.name), 0.5)) <= 1


@needs_shared
@pytest.mark.parametrize(
    ("name", "least"),
    [("sync-football-juggling.mp4", 0.85), ("sync-drumstick-hits-bag.mp4", 0.6), ("sync-blacksmith-hammer.mp4", 0.6)],
)
def test_impacts_of_real_footage(name: str, least: float) -> None:
    manifest = tomllib.loads((SHARED / "media" / "MANIFEST.toml").read_text())
    events = next(v["sync_events"] for v in manifest["video"] if v["file"].endswith(name))
    found = impacts(watch_footage("motion", name))
    assert _onsets.agree(found, events).f1 >= least
    assert _onsets.null_f1(found, events, float(footage(name)[-1].time_s)) < 0.5 * least


@needs_shared
def test_forward_travel_is_seen_though_the_far_stands_still() -> None:
    camera = [s for s in watch_footage("motion", "highway-dashcam.mp4") if s.label == "camera"]
    assert sum(s.span.duration_s for s in camera if s.values["kind"] == "travel") > 6


@needs_shared
def test_a_hazy_meadow_is_no_sea() -> None:
    assert kinds(watch_footage("place", "aircraft-flyby-audio-drops-out.mp4")).get("sea", 0.0) < 0.5


@needs_shared
def test_three_passes_in_the_parking_lane() -> None:
    passes = [s for s in watch_footage("motion", "parking-overhead-cars-with-gaps.mp4") if s.label == "passby"]
    known = [(4.56, 8.48), (14.72, 19.04), (25.36, 27.76)]
    assert len(passes) == 3
    for sighting, (start, end) in zip(passes, known, strict=True):
        assert float(sighting.span.start_s) == pytest.approx(start, abs=0.6)
        assert float(sighting.span.end_s) == pytest.approx(end, abs=0.6)


def moving_middles(frame: Frame, empty: np.ndarray) -> list[float]:
    """Where across the frame (0 to 1) large things are that the ``empty`` picture lacks, however the camera exposes."""
    brighter = frame.rgb.astype(np.float32) - empty
    apart = np.abs(brighter - np.median(brighter, axis=(0, 1))).max(axis=2) > 40
    closed = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, _, boxes, middles = cv2.connectedComponentsWithStats(closed)
    large = boxes[1:, cv2.CC_STAT_AREA] > 0.02 * apart.size
    return [float(x) / apart.shape[1] for x in middles[1:][large, 0]]


def ways(frames: Iterable[Frame], empty: np.ndarray) -> list[list[tuple[Fraction, float]]]:
    """Each large thing's way across the frame, followed from look to look."""
    found: list[list[tuple[Fraction, float]]] = []
    for frame in frames:
        for x in moving_middles(frame, empty):
            near = [way for way in found if frame.time_s - way[-1][0] < 1 and abs(way[-1][1] - x) < 0.1]
            if not near:
                found.append([])
            (near[0] if near else found[-1]).append((frame.time_s, x))
    return found


@needs_shared
def test_three_cars_become_three_sources_that_follow_the_picture() -> None:
    """The witness is the picture itself: what differs from the median of all frames."""
    name = "parking-overhead-cars-with-gaps.mp4"
    frames = footage(name)
    empty = np.median([frame.rgb for frame in frames[::25]], axis=0)
    seen = [sighting for watcher in ("motion", "place", "shots") for sighting in watch_footage(watcher, name)]
    seen = [replace(sighting, id=f"s{index}") for index, sighting in enumerate(seen)]
    edit = conform.single(media.probe(VIDEO / name), "parking")
    cues = [cue for cue in spotting.spot(edit, seen).cues if cue.sound == "passby.car"]
    assert len(cues) == 3
    for cue in cues:
        (passing,) = [sighting.span for sighting in seen if sighting.id in cue.sightings]
        looks = [frame for frame in frames[::5] if passing.contains(frame.time_s)]
        known = [way for way in ways(looks, empty) if len(way) > 0.5 * len(looks)]
        assert min(max(astray(cue, passing, *point) for point in way) for way in known) < 0.1


def astray(cue: Cue, in_view: Span, at_s: Fraction, x: float) -> float:
    """How far, in frame widths, the cue's place is from ``x``."""
    start, end = ((float(cue.params[side]) + 1) / 2 for side in ("from_pan", "to_pan"))
    return abs(start + float((at_s - in_view.start_s) / in_view.duration_s) * (end - start) - x)


@needs_shared
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("highway-dashcam.mp4", "road"),
        ("city-park-sculpture.avi", "sky"),
        ("animation-big-buck-bunny-5.1.mp4", "vegetation"),
        ("sync-football-juggling.mp4", "vegetation"),
        ("coffee-pour.mp4", "interior"),
        ("testpattern-hevc-10bit.mp4", "testpattern"),
    ],
)
def test_the_likeliest_or_second_likeliest_place(name: str, kind: str) -> None:
    told = kinds(watch_footage("place", name))
    assert kind in sorted(told, key=lambda k: -told[k])[:2]
