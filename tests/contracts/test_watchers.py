# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every watcher must keep, found by file name: a new one is held to it without a line here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from immersivaudio.engine import conform, media, plugins
from immersivaudio.engine.cue import Clip, Edit, Sighting, Span
from immersivaudio.engine.watchers import Frame, FrameWish, PictureWatcher, SoundWatcher

NAMES = plugins.names("watchers")


def ready(name: str, kind: type) -> PictureWatcher | SoundWatcher:
    watcher = plugins.create("watchers", name)
    if not isinstance(watcher, kind):
        pytest.skip(f"{name} is no {kind.__name__}")
    if lack := watcher.available():
        assert lack.endswith("."), "a lack is one sentence"
        pytest.skip(lack)
    watcher.setup()
    return watcher


def check(sightings: list[Sighting], name: str, within: Span) -> None:
    for sighting in sightings:
        assert sighting.watcher == name
        assert sighting.label
        assert within.start_s <= sighting.span.start_s <= sighting.span.end_s <= within.end_s
        assert 0 <= sighting.confidence <= 1
        assert all(isinstance(v, str) or math.isfinite(v) for v in sighting.values.values())
        if sighting.box is not None:
            assert all(-0.01 <= edge <= 1.01 for edge in sighting.box)
        json.dumps(dict(sighting.values), allow_nan=False)


def look(watcher: PictureWatcher, clip: Clip, frames: list[Frame]) -> list[Sighting]:
    session = watcher.open(clip)
    for frame in frames:
        session.see(Frame(frame.time_s, frame.rgb))
    return list(session.finish())


@pytest.mark.parametrize("name", NAMES)
def test_it_names_itself_and_its_version(name: str) -> None:
    watcher = plugins.create("watchers", name)
    assert watcher.name == name
    assert watcher.version
    assert isinstance(watcher, PictureWatcher | SoundWatcher)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_watcher_keeps_to_the_clip_and_repeats_itself(name: str, ball: Path) -> None:
    watcher = ready(name, PictureWatcher)
    clip = conform.single(media.probe(ball), "ball").picture[0]
    frames = list(media.frames(ball, None, FrameWish(watcher.wish.width, watcher.wish.rate_hz)))
    first = look(watcher, clip, frames)
    check(first, name, Span(Fraction(0), clip.source.duration_s + Fraction(1, 25)))
    assert [(s.label, s.span) for s in look(watcher, clip, frames)] == [(s.label, s.span) for s in first]


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("size", [(16, 16), (90, 160), (400, 48)])
@pytest.mark.parametrize("name", NAMES)
def test_hardly_any_picture_is_no_reason_to_fail(name: str, size: tuple[int, int], count: int, ball: Path) -> None:
    watcher = ready(name, PictureWatcher)
    clip = conform.single(media.probe(ball), "ball").picture[0]
    grey = np.full((*size, 3), 90, np.uint8)
    found = look(watcher, clip, [Frame(Fraction(i, 25), grey) for i in range(count)])
    check(found, name, Span(Fraction(0), clip.source.duration_s + 1))
    assert not [sighting for sighting in found if sighting.label in ("impact", "passby")]


def blocks(sound: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, sound.shape[1], size):
        yield sound[:, start : start + size]


def listen(watcher: SoundWatcher, sound: np.ndarray, size: int) -> list[Sighting]:
    seconds = Fraction(sound.shape[1], watcher.sample_rate_hz)
    found = list(watcher.listen(Edit("made", Fraction(25), seconds), blocks(sound, size)))
    check(found, watcher.name, Span(Fraction(0), seconds))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_watcher_does_not_mind_the_size_of_blocks(name: str) -> None:
    watcher = ready(name, SoundWatcher)
    noise = np.random.default_rng(3).normal(0, 0.05, (2, 3 * watcher.sample_rate_hz)).astype(np.float32)
    noise[:, watcher.sample_rate_hz : 2 * watcher.sample_rate_hz] = 0
    found = [listen(watcher, noise, size) for size in (10 * watcher.sample_rate_hz, 4801)]
    assert [(s.label, s.span) for s in found[0]] == [(s.label, s.span) for s in found[1]]


@pytest.mark.parametrize("samples", [0, 1, 100])
@pytest.mark.parametrize("name", NAMES)
def test_hardly_any_sound_is_no_reason_to_fail(name: str, samples: int) -> None:
    listen(ready(name, SoundWatcher), np.zeros((2, samples), np.float32), 4800)
