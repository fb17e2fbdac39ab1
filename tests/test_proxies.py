# SPDX-License-Identifier: AGPL-3.0-or-later
"""Analysis proxies: small, and the engine sees, times and decides the same by them."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from immersivaudio.bridge import proxy
from immersivaudio.bridge.errors import TransferError
from immersivaudio.engine import media, pipeline
from immersivaudio.engine.cue import CueSheet
from immersivaudio.engine.media.reading import FrameWish
from immersivaudio.engine.request import Goal, ScoreRequest, Workspace

pytestmark = pytest.mark.skipif(proxy.ffmpeg() is None, reason="no ffmpeg to make proxies with")
SHARED = ("dog-and-woman-play.mp4", "phone-vfr-upside-down-dog.mp4")


def seen(path: Path) -> list[Fraction]:
    return [frame.time_s for frame in media.frames(path, None, FrameWish(64, 0.0))]


def spotted(path: Path, folder: Path) -> CueSheet:
    for name in ("cache", "scratch"):
        (folder / name).mkdir(parents=True)
    workspace = Workspace(folder / "cache", folder / "scratch")
    request = ScoreRequest(media=path, goal=Goal.SPOT, name="clip")
    return pipeline.score(request, workspace, lambda event: None, lambda: False).sheet


@pytest.mark.parametrize("name", [*SHARED, "drone-coast-gopro-karma.mp4"])
def test_every_frame_keeps_its_moment(shared: Path, tmp_path: Path, name: str) -> None:
    original = shared / "media/video" / name
    small = proxy.proxy_of(original, tmp_path)
    assert small != original
    assert small.stat().st_size < original.stat().st_size
    before, after = media.probe(original), media.probe(small)
    assert seen(small) == pytest.approx(seen(original), abs=1e-6)
    assert (after.duration_s, after.start_timecode) == (before.duration_s, before.start_timecode)
    assert after.video[0].rate == before.video[0].rate
    assert [stream.channels for stream in after.audio] == [stream.channels for stream in before.audio]
    assert after.video[0].width == 192


@pytest.mark.parametrize("name", SHARED)
def test_the_cue_sheet_is_the_originals(shared: Path, tmp_path: Path, name: str) -> None:
    original = shared / "media/video" / name
    wanted = spotted(original, tmp_path / "original")
    found = spotted(proxy.proxy_of(original, tmp_path), tmp_path / "proxy")
    assert [(cue.stem, cue.sound, cue.sync_s) for cue in found.cues] == [
        (cue.stem, cue.sound, cue.sync_s) for cue in wanted.cues
    ]
    for one, two in zip(found.cues, wanted.cues, strict=True):
        assert abs(one.span.start_s - two.span.start_s) * wanted.rate < Fraction(1, 2)


@pytest.fixture
def large(draw: Callable[..., Path]) -> Path:
    """A film of noise, which no codec makes small."""
    rng = np.random.default_rng(1)
    return draw(lambda at_s: rng.integers(0, 255, (360, 640, 3), np.uint8), 2.0, name="noise")


@pytest.mark.parametrize("name", SHARED)
def test_a_wide_picture_stands_beside_the_true_one(shared: Path, tmp_path: Path, name: str) -> None:
    """Watchers that want no more see what they see in the original, to the bit; only the others see an encoded one."""
    original = shared / "media/video" / name
    small = proxy.proxy_of(original, tmp_path, width=416)
    assert small.stat().st_size < original.stat().st_size
    assert media.probe(small).larger is not None
    assert not [warning for warning in media.probe(small).warnings if "streams" in warning]
    wish = FrameWish(416, 30.0, (256, 192))
    pairs = zip(media.frames(original, None, wish), media.frames(small, None, wish), strict=True)
    for wanted, found in itertools.islice(pairs, 40):
        assert found.time_s == pytest.approx(wanted.time_s, abs=1e-6)
        assert np.array_equal(found.at(192), wanted.at(192))
        for width in (416, 256):
            assert found.at(width).shape == wanted.at(width).shape
            assert np.abs(found.at(width).astype(int) - wanted.at(width)).mean() < 5


def test_what_is_stopped_leaves_nothing(large: Path, tmp_path: Path) -> None:
    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        proxy.proxy_of(large, tmp_path / "kept", told=stop)
    assert list((tmp_path / "kept").iterdir()) == []
    assert proxy.proxy_of(large, tmp_path / "kept") != large


def test_a_full_disk_is_said_and_asked_again(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the original sent instead it would always be, as what cannot be made is remembered."""
    full = tmp_path / "ffmpeg"
    full.write_text(f'#!/bin/sh\nfor last; do :; done\ncase "$last" in *.partial) ln -sf /dev/full "$last";; esac\n'
                    f'exec {proxy.ffmpeg()} "$@"\n')  # fmt: skip
    full.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("IMMERSIVAUDIO_FFMPEG", str(full))
        with pytest.raises(TransferError, match=r"no room for a proxy of noise"):
            proxy.proxy_of(large, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []
    assert proxy.proxy_of(large, tmp_path / "kept") != large


def test_a_proxy_is_made_once(large: Path, tmp_path: Path) -> None:
    small = proxy.proxy_of(large, tmp_path)
    assert small != large
    written = small.read_bytes()
    small.write_bytes(written + b"kept")
    assert proxy.proxy_of(large, tmp_path).read_bytes() == written + b"kept"
    assert proxy.proxy_of(large, tmp_path, width=128) != small
    assert not list(tmp_path.glob("*.partial"))


def test_the_original_goes_where_no_proxy_can_be_made(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no film at all")
    assert proxy.proxy_of(text, tmp_path / "kept") == text
    monkeypatch.setenv("IMMERSIVAUDIO_FFMPEG", str(tmp_path / "missing"))
    assert proxy.proxy_of(large, tmp_path / "other") == large


def test_a_file_that_is_small_already_goes_as_it_is(ball: Path, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.mp4"
    command = [str(proxy.ffmpeg()), "-v", "error", "-i", str(ball), "-vf", "scale=64:36", "-crf", "51", str(tiny)]
    subprocess.run(command, check=True)
    assert proxy.proxy_of(tiny, tmp_path / "kept") == tiny


def test_a_rate_that_milliseconds_hide_is_kept(large: Path, tmp_path: Path) -> None:
    original = tmp_path / "noise.mkv"
    command = [str(proxy.ffmpeg()), "-v", "error", "-r", "30000/1001", "-i", str(large), "-c", "copy", str(original)]
    subprocess.run(command, check=True)
    small = proxy.proxy_of(original, tmp_path / "kept")
    assert small != original
    assert media.probe(small).video[0].rate == media.probe(original).video[0].rate
    assert seen(small) == pytest.approx(seen(original), abs=1e-6)
