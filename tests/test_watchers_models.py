# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watchers with models: tracks and stretches on numbers written by hand, and the real YOLOX-Nano and YAMNet on real
footage where their runtimes and weights are there."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import expect
import numpy as np
import pytest
from _expected import TABLE
from conftest import SHARED

from immersivaudio.engine import conform, media, original, plugins, spotting, watching
from immersivaudio.engine.cue import Clip, Cue, Sighting, Span
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import store
from immersivaudio.engine.tracks import path_of
from immersivaudio.engine.watchers import PictureWatcher, SoundWatcher
from immersivaudio.engine.watchers._boxes import COCO, Box, decoded, letterboxed, overlaps
from immersivaudio.engine.watchers._flights import bounces
from immersivaudio.engine.watchers._tracks import Point, Track, Tracker
from immersivaudio.engine.watchers.tagging import stretches

VIDEO, WEIGHTS = SHARED / "media" / "video", SHARED / "weights"
YOLOX, YAMNET = WEIGHTS / "yolox_nano_coco_416.onnx", WEIGHTS / "yamnet_521.tflite"


def needs(library: str, weights: Path) -> pytest.MarkDecorator:
    lacking = [
        what
        for what, there in (
            (f"{library} is not installed", importlib.util.find_spec(library) is not None),
            (f"../shared/weights/{weights.name} is not beside the repository", weights.is_file()),
            ("the shared test media are not beside the repository", VIDEO.is_dir()),
        )
        if not there
    ]
    return pytest.mark.skipif(bool(lacking), reason="; ".join(lacking))


needs_yolox, needs_yamnet = needs("onnxruntime", YOLOX), needs("ai_edge_litert", YAMNET)


def box(kind: str, x: float, y: float = 0.5, score: float = 0.8, side: float = 0.1) -> Box:
    return Box(kind, score, x - side / 2, y - side / 2, side, side)


def followed(pictures: Iterable[list[Box]], every_s: float = 0.16) -> list[Track]:
    tracker = Tracker()
    for index, boxes in enumerate(pictures):
        tracker.see(index * every_s, boxes)
    return sorted(tracker.finish(), key=lambda track: track.path[0].box.x)


# boxes and tracks


def test_the_network_s_numbers_become_boxes() -> None:
    out = np.zeros((2, 85), np.float32)
    out[0, :5] = (0.5, 0.25, np.log(4), np.log(2), 0.9)
    out[0, 5 + COCO.index("dog")] = 1.0
    cells, strides = np.array([[2, 3], [0, 0]], np.float32), np.array([[8], [8]], np.float32)
    (row,) = decoded(out, cells, strides)
    assert row[:4] == pytest.approx([20 - 16, 26 - 8, 32, 16])
    assert row[4:] == pytest.approx([0.9, COCO.index("dog")])


@pytest.mark.parametrize("shape", [(234, 416), (740, 416), (20, 30)])
def test_pictures_of_any_shape_fit_the_square(shape: tuple[int, int]) -> None:
    square, scale = letterboxed(np.full((*shape, 3), 200, np.uint8), 416)
    assert square.shape == (416, 416, 3)
    filled = (square[..., 0] == 200).any(axis=1).sum(), (square[..., 0] == 200).any(axis=0).sum()
    assert filled == pytest.approx((shape[0] * scale, shape[1] * scale), abs=1)
    assert max(filled) == 416


def test_overlap_is_measured_as_everywhere() -> None:
    found = overlaps([box("car", 0.5)], [box("car", 0.5), box("car", 0.55), box("car", 0.9)])
    assert found == pytest.approx(np.array([[1.0, 1 / 3, 0.0]]))


def test_a_thing_that_crosses_is_one_track_also_when_it_is_lost_for_a_moment() -> None:
    pictures = [[box("car", 0.1 + 0.05 * i)] if i not in (6, 7) else [] for i in range(16)]
    (track,) = followed(pictures)
    assert track.hits == 14
    assert (track.points()[0].box.centre[0], track.points()[-1].box.centre[0]) == pytest.approx((0.1, 0.85))


def test_two_things_that_meet_keep_apart() -> None:
    right = [0.1 + 0.04 * i for i in range(20)]
    left = [0.9 - 0.04 * i for i in range(20)]
    one, other = followed([[box("person", a, 0.5), box("person", b, 0.56)] for a, b in zip(right, left, strict=True)])
    assert one.points()[-1].box.centre[0] == pytest.approx(right[-1])
    assert other.points()[-1].box.centre[0] == pytest.approx(left[-1])


def test_a_name_that_flickers_is_put_to_the_vote() -> None:
    kinds = ["bus", "car", "car", "truck", "car", "car", "bus", "car"]
    (track,) = followed([[box(kind, 0.3 + 0.02 * i)] for i, kind in enumerate(kinds)])
    assert track.kind == "car"
    assert track.agreement == pytest.approx(5 / 8)


def test_an_unsure_box_keeps_a_thing_alive_but_begins_none() -> None:
    (track,) = followed([[box("dog", 0.5, score=s), box("cat", 0.1, score=0.25)] for s in (0.8, 0.3, 0.25, 0.7)])
    assert track.hits == 4
    assert track.kind == "dog"


def test_a_long_stay_does_not_grow_the_path() -> None:
    (track,) = followed([[box("person", 0.3 + 0.0001 * i)] for i in range(3000)])
    assert track.hits == 3000
    assert len(track.points()) < 200
    assert track.points()[-1].box.centre[0] == pytest.approx(0.5999)


def test_a_ball_is_struck_where_it_turns_upwards() -> None:
    strikes = [0.33, 1.07, 1.71, 2.52]
    gravity = 4.0
    points = []
    for index in range(3 * 25):
        now = index / 25
        for start, end in zip([-0.4, *strikes], [*strikes, 3.1], strict=True):
            if start <= now < end:
                y = 0.85 - gravity / 2 * (now - start) * (end - now)
                points.append(Point(now, box("sports ball", 0.4 + 0.05 * now, y)))
    found = bounces(points)
    assert [one.time_s for one in found] == pytest.approx(strikes, abs=0.02)
    assert all(one.confidence > 0.5 for one in found)


def test_a_ball_that_lies_or_rolls_is_not_struck() -> None:
    dice = np.random.default_rng(1)
    points = [Point(i / 25, box("sports ball", 0.2 + i / 200, 0.8 + dice.normal(0, 0.002))) for i in range(100)]
    assert bounces(points) == []


# stretches of what is heard


def test_what_is_heard_neither_flickers_nor_fades_too_early() -> None:
    row = [0.0, 0.02, 0.6, 0.7, 0.15, 0.6, 0.7, 0.16, 0.02, 0.0, 0.0, 0.19, 0.0]
    scores = np.array([row, [0.12] * len(row)], np.float16).T
    ((kind, start, end, mean, most),) = stretches(scores, ("Rain", "Wind"))
    assert kind == "Rain"
    assert 0.2 < start < 1.2
    assert 3.5 < end < 4.8
    assert 0.3 < mean < most <= 0.7


# where the weights are


@pytest.mark.parametrize(
    ("name", "variable"), [("objects", "IMMERSIVAUDIO_YOLOX"), ("tagging", "IMMERSIVAUDIO_YAMNET")]
)
def test_without_weights_a_watcher_is_quietly_absent(
    name: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    watcher = plugins.create("watchers", name)
    assert watcher.available().endswith(".")
    monkeypatch.setenv(variable, str(tmp_path / "gone"))
    assert watcher.available()
    with pytest.raises(UnavailableError):
        watcher.setup()


@pytest.mark.parametrize(("name", "weights"), [("objects", "my_yolox_nano.onnx"), ("tagging", "yamnet.tflite")])
def test_weights_that_are_not_what_the_manifest_says_are_refused(
    name: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path))
    for variable in ("IMMERSIVAUDIO_YOLOX", "IMMERSIVAUDIO_YAMNET", "IMMERSIVAUDIO_YAMNET_CLASSES"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "models"
    folder.mkdir()
    for file in (weights, "yamnet_class_map.csv"):
        (folder / file).write_bytes(b"index,mid,display_name\n")
    store.write_manifest(folder)
    (folder / weights).write_bytes(b"other weights")
    with pytest.raises(UnavailableError, match="damaged"):
        plugins.create("watchers", name).setup()


@pytest.mark.parametrize(
    ("name", "library", "weights"),
    [("objects", "onnxruntime", "a_yolox.onnx"), ("tagging", "ai_edge_litert", "yamnet.tflite")],
)
def test_what_is_no_network_is_refused_in_a_sentence(
    name: str, library: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    monkeypatch.setenv("IMMERSIVAUDIO_YOLOX", str(tmp_path))
    monkeypatch.setenv("IMMERSIVAUDIO_YAMNET", str(tmp_path))
    (tmp_path / weights).write_bytes(b"nothing of the kind" * 100)
    (tmp_path / "yamnet_class_map.csv").write_text("index,mid,display_name\n0,/m/1,Speech\n")
    with pytest.raises(UnavailableError, match="cannot be read"):
        plugins.create("watchers", name).setup()


# the real networks


@cache
def loaded(name: str, variable: str, weights: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, str(weights))
        watcher = plugins.create("watchers", name)
        assert watcher.available() == ""
        watcher.setup()
    return watcher


def eyes() -> PictureWatcher:
    return loaded("objects", "IMMERSIVAUDIO_YOLOX", YOLOX)  # type: ignore[no-any-return]


@cache
def seen(name: str) -> tuple[Sighting, ...]:
    path = VIDEO / name
    span = Span(Fraction(0), media.probe(path).duration_s)
    session = eyes().open(Clip("c1", name, "video", 0, str(path), span, span))
    for frame in media.frames(path, None, eyes().wish):
        session.see(frame)
    return tuple(session.finish())


def objects(name: str, *kinds: str, sure: float = 0.5) -> list[Sighting]:
    rows = [row for row in seen(name) if row.label == "object" and row.confidence >= sure]
    return [row for row in rows if not kinds or row.values["kind"] in kinds]


@needs_yolox
def test_weights_name_the_version() -> None:
    assert eyes().version != plugins.create("watchers", "objects").version


@needs_yolox
def test_a_hand_a_cup_and_a_table_are_one_sighting_each() -> None:
    found = objects("coffee-pour.mp4")
    assert sorted(str(row.values["kind"]) for row in found) == ["cup", "dining table", "person"]
    assert all(row.span.duration_s > 9 for row in found)


@needs_yolox
def test_a_dog_that_leaves_and_comes_back_is_seen_twice_and_the_woman_once() -> None:
    (woman,) = objects("dog-and-woman-play.mp4", "person")
    gone, back = objects("dog-and-woman-play.mp4", "dog")
    assert woman.span.duration_s > 9
    assert float(gone.span.end_s) == pytest.approx(2.6, abs=0.3)
    assert float(back.span.start_s) == pytest.approx(3.7, abs=0.3)
    assert float(gone.values["to_x"]) > 0.9 < float(back.values["from_x"])


@needs_yolox
def test_cars_from_above_are_followed_whatever_they_are_called() -> None:
    found = [row for row in objects("parking-overhead-cars-with-gaps.mp4") if float(row.values["moving"]) > 0.5]
    assert len(found) == 4
    middles = [float(row.values["closest_s"]) for row in found]
    assert middles == pytest.approx([6.5, 16.4, 16.4, 26.6], abs=0.7)
    upwards = [float(row.values["to_y"]) < float(row.values["from_y"]) for row in found]
    assert upwards == [True, False, True, False]


@needs_yolox
def test_three_cars_become_three_sources_that_follow_the_picture(tmp_path: Path) -> None:
    edit = conform.single(media.probe(VIDEO / "parking-overhead-cars-with-gaps.mp4"), "parking")
    watchers = watching.Watchers.load(("motion", "place", "shots"))
    watchers.picture.append(eyes())
    found = watching.watch(edit, None, watchers, tmp_path, lambda: False, lambda share, text: None)
    assert found.warnings == ()
    cues = [cue for cue in spotting.spot(edit, found.sightings).cues if cue.sound == "passby.car"]
    assert len(cues) == 3
    for cue in cues:
        (passing,) = [row for row in found.sightings if row.id in cue.sightings]
        tracks = [row for row in found.sightings if row.label == "object" and row.span.overlap(passing.span)]
        tracks = [row for row in tracks if float(row.values["moving"]) > 0.5]
        assert min(_astray(cue, passing.span, row) for row in tracks) < 0.1


def _astray(cue: Cue, in_view: Span, track: Sighting) -> float:
    """How far, in frame widths, the cue's place is from the thing's at worst, while both are in view."""
    start, end = ((float(cue.params[name]) + 1) / 2 for name in ("from_pan", "to_pan"))
    worst = 0.0
    for share, x, _, _ in path_of(track):
        at_s = float(track.span.start_s + Fraction(share) * track.span.duration_s)
        part = (at_s - float(in_view.start_s)) / float(in_view.duration_s)
        worst = max(worst, abs(start + part * (end - start) - x))
    return worst


@needs_yolox
def test_a_juggled_ball_is_struck_when_the_manifest_says() -> None:
    events = [0.67, 1.25, 1.83, 2.4, 3, 3.8, 4.45, 5.26, 5.94, 6.59, 7.21, 7.76, 8.55, 9.12, 9.65]
    struck = [float(row.span.start_s) for row in seen("sync-football-juggling.mp4") if row.label == "impact"]
    met = [event for event in events if any(abs(event - moment) <= 0.08 for moment in struck)]
    assert len(met) >= 12
    assert len(struck) <= len(met) + 1


@needs_yolox
def test_nothing_goes_on_across_a_cut() -> None:
    cuts = [1.2, 3.04, 5.48, 7.48]
    for row in objects("city-street-cuts-bikes.mp4"):
        over = [cut for cut in cuts if row.span.start_s < cut - 0.2 and row.span.end_s > cut + 0.35]
        assert not over, (row.values["kind"], float(row.span.start_s), float(row.span.end_s))


def ears() -> SoundWatcher:
    return loaded("tagging", "IMMERSIVAUDIO_YAMNET", YAMNET)  # type: ignore[no-any-return]


def heard(name: str, folder: Path) -> list[Sighting]:
    edit = conform.single(media.probe(VIDEO / name), name)
    original.lay(edit, folder / "laid.wav", lambda: False)
    return list(ears().listen(edit, original.blocks(folder / "laid.wav", ears().sample_rate_hz)))


@needs_yamnet
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("stream-of-water.webm", {"Stream", "Water"}),
        ("speech-1940-office-bw.mp4", {"Speech"}),
        ("sync-drumstick-hits-bag.mp4", {"Knock"}),
        ("night-rain-concert-crowd.mp4", {"Music"}),
    ],
)
def test_recordings_are_named(name: str, kinds: set[str], tmp_path: Path) -> None:
    found = heard(name, tmp_path)
    assert kinds <= {str(row.values["kind"]) for row in found if row.confidence >= 0.4}
    length = media.probe(VIDEO / name).duration_s
    assert all(0 <= row.span.start_s < row.span.end_s <= length + 1 for row in found)


@needs_yamnet
def test_silence_and_a_sound_shorter_than_a_window_name_nothing(tmp_path: Path) -> None:
    assert heard("coffee-pour.mp4", tmp_path) == []
    assert all(row.confidence < 0.6 for row in heard("ultra-short-portrait.mov", tmp_path))


@pytest.mark.slow
@needs_yolox
@needs_yamnet
def test_the_sheets_of_all_real_clips_name_what_the_manifest_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_YOLOX", str(YOLOX))
    monkeypatch.setenv("IMMERSIVAUDIO_YAMNET", str(YAMNET))
    scores = expect.run(TABLE, expect.loaded((*expect.BASE, *expect.MODELS)), say=True)
    right, wrong = sum(len(one.right) for one in scores), sum(len(one.wrong) for one in scores)
    met, missed = sum(one.met for one in scores), sum(len(one.missed) for one in scores)
    assert right / (right + wrong) >= 0.85
    assert met / (met + missed) >= 0.85
