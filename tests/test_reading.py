# SPDX-License-Identifier: AGPL-3.0-or-later
"""One decode for many watchers: the true time of every frame in odd containers, and for each watcher its own pictures."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from immersivaudio.engine import conform, media, watching
from immersivaudio.engine.cue import Clip, Sighting, Span
from immersivaudio.engine.watchers import Frame, FrameWish

RATE = 25


def film(path: Path, *coding: str, rate: int = RATE, size: str = "320x180", seconds: float = 2.0) -> Path:
    """A running clock in a container of the ending of ``path``."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]
    command = [media.ffmpeg_binary(), "-y", "-loglevel", "error", *picture, *coding, str(path)]
    subprocess.run(command, check=True)
    return path


def lights(path: Path) -> list[NDArray[np.float32]]:
    """Every frame as PyAV shows them, 32 pixels wide, whatever their times."""
    with av.open(str(path)) as container:
        return [
            frame.reformat(width=32, height=18, format="rgb24", interpolation="AREA").to_ndarray().astype(np.float32)
            for frame in container.decode(video=0)
        ]


CODINGS = {
    "no-b.avi": ("-c:v", "libx264", "-bf", "0"),
    "one-b.avi": ("-c:v", "libx264", "-bf", "1", "-b_strategy", "0"),
    "pyramid.avi": ("-c:v", "libx264", "-bf", "3", "-b_strategy", "0"),
    "xvid.avi": ("-c:v", "mpeg4", "-bf", "2"),
    "motion-jpeg.avi": ("-c:v", "mjpeg"),
    "pyramid.mp4": ("-c:v", "libx264", "-bf", "3", "-b_strategy", "0"),
    "pyramid.mkv": ("-c:v", "libx264", "-bf", "3", "-b_strategy", "0"),
    "pyramid.ts": ("-c:v", "libx264", "-bf", "3", "-b_strategy", "0"),
    "flash.flv": ("-c:v", "libx264", "-bf", "2", "-b_strategy", "0"),
    "program.mpg": ("-c:v", "mpeg2video", "-bf", "2"),
}


@pytest.mark.parametrize("name", CODINGS)
def test_the_first_frame_is_at_0_and_each_at_its_own_time(name: str, tmp_path: Path) -> None:
    path = film(tmp_path / name, *CODINGS[name])
    found = list(media.frames(path, None, FrameWish(32)))
    assert [float(frame.time_s) for frame in found] == pytest.approx([i / RATE for i in range(50)], abs=0.002)
    shown = lights(path)
    for index in (0, 1, 2, 24, 25, 49):
        apart = [float(np.abs(found[index].rgb - other).mean()) for other in shown]
        assert int(np.argmin(apart)) == index


@pytest.mark.parametrize("name", ["pyramid.avi", "no-b.avi", "pyramid.mp4"])
def test_a_range_gives_the_frames_of_the_whole(name: str, tmp_path: Path) -> None:
    path = film(tmp_path / name, *CODINGS[name])
    whole = {frame.time_s: frame.rgb for frame in media.frames(path, None, FrameWish(64))}
    part = list(media.frames(path, Span(Fraction(1, 5), Fraction(1, 5)), FrameWish(64)))
    assert [frame.time_s for frame in part] == [Fraction(i, RATE) for i in range(5, 10)]
    assert all(np.array_equal(frame.rgb, whole[frame.time_s]) for frame in part)


def test_a_variable_rate_keeps_its_own_times(tmp_path: Path) -> None:
    path = film(tmp_path / "uneven.mkv", "-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-fps_mode", "vfr",
                "-c:v", "libx264")  # fmt: skip
    kept = [i for i in range(50) if i % 3 == 0 or i % 7 == 0]
    found = [float(frame.time_s) for frame in media.frames(path, None, FrameWish(32))]
    assert found == pytest.approx([i / RATE for i in kept], abs=0.002)


def test_every_wished_width_is_what_it_would_be_alone(tmp_path: Path) -> None:
    path = film(tmp_path / "large.mp4", "-c:v", "libx264", size="1280x720", seconds=0.4)
    together = list(media.frames(path, None, FrameWish(416, also=(225, 192, 33))))
    for width in (416, 225, 192, 33):
        alone = list(media.frames(path, None, FrameWish(width)))
        assert [frame.time_s for frame in alone] == [frame.time_s for frame in together]
        assert all(
            np.array_equal(one.rgb, both.at(width)) and np.array_equal(one.grey(width), both.grey(width))
            for one, both in zip(alone, together, strict=True)
        )


@dataclass
class Witness:
    """A watcher that remembers what it was shown."""

    name: str
    wish: FrameWish
    version: str = "1"
    shown: list[tuple[Fraction, bytes, bytes]] = field(default_factory=list)

    def available(self) -> str:
        return ""

    def setup(self) -> None: ...

    def open(self, clip: Clip) -> Witness:
        self.shown = []
        return self

    def see(self, frame: Frame) -> None:
        self.shown.append((frame.time_s, frame.at(self.wish.width).tobytes(), frame.grey(40).tobytes()))

    def finish(self) -> list[Sighting]:
        return []


@pytest.mark.parametrize("rate", [25, 60, 100])
def test_what_a_watcher_is_shown_does_not_depend_on_who_else_looks(rate: int, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", "-c:v", "libx264", rate=rate, size="640x360", seconds=0.6)
    edit = conform.single(media.probe(path), "film")

    def shown(*others: Witness) -> list[tuple[Fraction, bytes, bytes]]:
        subject = Witness("subject", FrameWish(192, 30.0))
        room = watching.Watchers(picture=[subject, *others])
        watching.watch(edit, None, room, tmp_path / f"cache{len(others)}", lambda: False, lambda *_: None)
        return subject.shown

    greedy, slow = Witness("greedy", FrameWish(416, 0.0)), Witness("slow", FrameWish(224, 2.0))
    alone = shown()
    assert len(alone) == {25: 15, 60: 18, 100: 20}[rate]
    assert shown(slow) == alone
    assert shown(greedy, slow) == alone
    assert len(greedy.shown) == round(0.6 * rate)


def test_picture_that_cannot_be_decoded_is_said(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", *CODINGS["pyramid.mp4"], "-movflags", "+faststart", seconds=4.0)
    scratched = tmp_path / "scratched.mp4"
    data = whole.read_bytes()
    half = len(data) // 2
    scratched.write_bytes(data[:half] + np.random.default_rng(1).bytes(len(data) - half))

    def said(path: Path) -> tuple[str, ...]:
        room = watching.Watchers.load(("shots",))
        edit = conform.single(media.probe(path), path.stem)
        return watching.watch(edit, None, room, tmp_path / "cache", lambda: False, lambda *_: None).warnings

    seen = sum(1 for _ in media.frames(scratched, None, FrameWish(32)))
    # Said again each time; a decoder with threads makes a picture more or less of the same noise.
    for _ in range(2):
        (warning,) = said(scratched)
        assert float(warning.split()[0]) == pytest.approx(4.0 - seen / RATE, abs=0.3)
        assert "s of the picture of scratched" in warning
    assert said(whole) == ()


def test_a_recording_that_begins_between_key_frames_is_not_called_damaged(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.ts", "-c:v", "libx264", "-g", "10", "-bf", "2", seconds=4.0)
    packet = 188
    late = tmp_path / "late.ts"
    data = whole.read_bytes()
    late.write_bytes(data[len(data) // 5 // packet * packet :])
    told: list[Fraction] = []
    assert list(media.frames(late, None, FrameWish(32), None, told.append))
    assert sum(told) < Fraction(1, 2)
