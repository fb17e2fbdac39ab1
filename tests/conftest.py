# SPDX-License-Identifier: AGPL-3.0-or-later
"""What tests share: real footage when it lies beside the project, and small films that the tests draw themselves."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

# Nothing that a test starts may touch the user's own jobs and caches.
HOME = Path(tempfile.mkdtemp(prefix="immersivaudio-tests-"))
os.environ["IMMERSIVAUDIO_HOME"] = str(HOME)
# Not a hook of pytest: tests import this file by name as well, and then it is read, and makes a home, twice.
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.pop("IMMERSIVAUDIO_ENGINE", None)

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and timelines; tests that need it skip without it."""
    if not (SHARED / "media/MANIFEST.toml").is_file():
        pytest.skip("real footage is not here: ../shared/media is missing")
    return SHARED


def manifest() -> dict[str, Any]:
    """The manifest of the real footage, or an empty one."""
    path = SHARED / "media/MANIFEST.toml"
    return tomllib.loads(path.read_text()) if path.is_file() else {"video": [], "timeline": []}


def ball_picture(at_s: float, contacts_s: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
    """A ball that touches the ground exactly at ``contacts_s``: parabolas between them, uint8 ``[h, w, 3]``."""
    width, height = size
    picture = np.full((height, width, 3), (200, 190, 180), np.uint8)
    picture[int(height * 0.85) :] = (90, 80, 70)
    edges = [2 * contacts_s[0] - contacts_s[1], *contacts_s, 2 * contacts_s[-1] - contacts_s[-2]]
    for start, end in itertools.pairwise(edges):
        if start <= at_s < end:
            flight = (at_s - start) / (end - start)
            up = 4 * flight * (1 - flight) * height * 0.6
            centre = (round(width / 2 * 16), round((height * 0.85 - height * 0.06 - up) * 16))
            cv2.circle(picture, centre, round(height * 0.06 * 16), (180, 40, 30), -1, cv2.LINE_AA, 4)
    return picture


@pytest.fixture(scope="session")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``draw(picture_at, seconds, rate, name)`` encodes ``picture_at(at_s) -> uint8 [h, w, 3]`` as a silent MP4."""
    from immersivaudio.engine import media

    folder = tmp_path_factory.mktemp("films")

    def make(
        picture_at: Callable[[float], np.ndarray], seconds: float, rate: Fraction = Fraction(25), name: str = "film"
    ) -> Path:
        path = folder / f"{name}.mp4"
        if not path.exists():
            count = round(seconds * rate)
            media.encode_pictures((picture_at(float(i / rate)) for i in range(count)), path, rate)
        return path

    return make


CONTACTS_S = (0.8, 1.6, 2.4, 3.2, 4.0)


@pytest.fixture(scope="session")
def ball(draw: Callable[..., Path]) -> Path:
    """Five seconds at 25 frames a second of a ball that touches the ground at CONTACTS_S."""
    return draw(lambda at_s: ball_picture(at_s, CONTACTS_S, (320, 180)), 5.0, name="ball")


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Threads that wait for one another are slow on a busy machine, and tiny matrices gain nothing by them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own, without weights; models run on the CPU and nobody asks the hub."""
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
    monkeypatch.delenv("IMMERSIVAUDIO_ONLINE", raising=False)


@pytest.fixture(autouse=True)
def no_errors_logged(caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that logs an ERROR fails, unless it is marked to expect one."""
    yield
    if request.node.get_closest_marker("logs_errors") is None:
        errors = [record for record in caplog.get_records("call") if record.levelname in ("ERROR", "CRITICAL")]
        assert not errors, errors
