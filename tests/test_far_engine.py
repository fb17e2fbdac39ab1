# SPDX-License-Identifier: AGPL-3.0-or-later
"""An editor whose engine is on another machine: what is looked at there, what travels, and what stops on the way."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import opentimelineio as otio
import pytest
import serving
from test_bridge_stdio import BRIDGE, events_of, order

from immersivaudio.bridge import Client, proxy
from immersivaudio.bridge.process import Engine
from immersivaudio.bridge.stdio import Link
from immersivaudio.engine import media
from immersivaudio.v1 import effect_pb2

pytestmark = pytest.mark.skipif(proxy.ffmpeg() is None, reason="no ffmpeg to make proxies with")
WIDE = """
from immersivaudio.engine.watchers import FrameWish
class Wide:
    name, version, wish = "wide", "1", FrameWish(416, 0.0)
    def available(self): return ""
    def setup(self): pass
    def open(self, clip): raise NotImplementedError
create = Wide
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """It has a watcher that wants large pictures, every one of them."""
    folder = tmp_path_factory.mktemp("wide")
    serving.plug_in(folder, "wide", WIDE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        with serving.start(folder / "home", "--address", "127.0.0.1:0") as running:
            yield running


@pytest.fixture(scope="module")
def noise(draw: Callable[..., Path]) -> Path:
    rng = np.random.default_rng(3)
    return draw(lambda at_s: rng.integers(0, 255, (360, 640, 3), np.uint8), 8.0, name="far")


@pytest.fixture
def slow_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies take as long as the film."""
    if sys.platform == "win32":
        pytest.skip("a shell script stands in for ffmpeg")
    slow = tmp_path / "ffmpeg"
    slow.write_text(f'#!/bin/sh\nexec {proxy.ffmpeg()} -re "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("IMMERSIVAUDIO_FFMPEG", str(slow))


@pytest.fixture
def far(engine: Engine, tmp_path: Path) -> Iterator[Callable[[], Link]]:
    """Links to the same engine, by an address that is not known to be of this machine."""
    made: list[Link] = []

    def call() -> Link:
        environment = {"IMMERSIVAUDIO_HOME": str(tmp_path / "home")}
        made.append(Link([*BRIDGE, "--engine", f"ipv4:{engine.address}"], environment))
        return made[-1]

    yield call
    for link in made:
        link.close()


def of(film: Path) -> dict[str, Any]:
    """An order to score ``film``."""
    timeline, track = otio.schema.Timeline("cut"), otio.schema.Track(kind="Video")
    whole = otio.opentime.TimeRange(otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(200, 25))
    track.append(otio.schema.Clip("film", otio.schema.ExternalReference(str(film), whole), source_range=whole))
    timeline.tracks.append(track)
    return order(timeline=timeline.to_json_string())


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "home/proxies").glob("*")) + list((tmp_path / "home/proxies").glob(".*"))


def until_it_is_made(link: Link) -> None:
    while (event := link.next_event(60.0)) is None or "small copy" not in event["params"].get("message", ""):
        assert event is not None


def test_an_engine_says_what_its_watchers_want(engine: Engine) -> None:
    request = effect_pb2.GetFramesNeededRequest(instance=effect_pb2.EffectInstance(effect_id="soundtrack"))
    for time_ in (request.record_range.start, request.record_range.duration):
        time_.value, time_.rate_numerator, time_.rate_denominator = 1, 1, 1
    with Client(engine.address) as client:
        needed = client.frames_needed(request)
        assert (needed.proxy_width, needed.proxy_rate_hz) == (416, 0.0)
        assert client.proxy_width(effect_pb2.EffectInstance(effect_id="sfx")) == 0


def test_a_proxy_is_as_wide_as_the_engine_wants_it(far: Callable[[], Link], noise: Path, tmp_path: Path) -> None:
    link = far()
    job = link.ask("render", of(noise))["job"]
    heard = events_of(link, job)
    assert heard[-1][0] == "done", heard[-1]
    said = [told["message"] for name, told in heard if name == "progress"]
    assert any("small copy of" in words for words in said)
    made = media.probe(kept(tmp_path)[0])
    assert (made.video[0].width, made.larger and made.larger.width) == (proxy.WIDTH, 416)


@pytest.mark.usefixtures("slow_ffmpeg")
def test_cancel_is_obeyed_while_a_proxy_is_made(far: Callable[[], Link], noise: Path, tmp_path: Path) -> None:
    link = far()
    job = link.ask("render", of(noise))["job"]
    until_it_is_made(link)
    link.ask("cancel", {"job": job})
    name, told = events_of(link, job)[-1]
    assert (name, told["reason"]) == ("failed", "CANCELLED")
    assert kept(tmp_path) == []


@pytest.mark.usefixtures("slow_ffmpeg")
def test_an_editor_that_closes_leaves_no_half_of_a_proxy(far: Callable[[], Link], noise: Path, tmp_path: Path) -> None:
    before = set(serving.descendants([os.getpid()]))
    link = far()
    link.ask("render", of(noise))
    until_it_is_made(link)
    link.close()
    assert kept(tmp_path) == []
    assert set(serving.descendants([os.getpid()])) <= before
