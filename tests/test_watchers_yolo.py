# SPDX-License-Identifier: AGPL-3.0-or-later
"""The ultralytics detector on a tiny checkpoint that ultralytics itself makes."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from immersivaudio.engine import conform, media, plugins, watching
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import store
from immersivaudio.engine.watchers import PictureWatcher

os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_CONFIG_DIR", os.environ["IMMERSIVAUDIO_HOME"])
ultralytics = pytest.importorskip("ultralytics", reason="the [yolo] extra is not installed")

NAMES = ["person", "car", "sports ball"]
SMALL = {
    "nc": 3,
    "scales": {"n": [1, 1, 64]},
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[-1, 1, "Conv", [16, 3, 2]], [[2, 3], 1, "Detect", ["nc"]]],
}


def made(folder: Path, *, sure_of: int = 1) -> Path:
    """A checkpoint that finds class ``sure_of`` nearly everywhere."""
    import torch
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(3)
    net = ultralytics.YOLO("yolov8n.yaml", verbose=False)
    net.model = DetectionModel(dict(SMALL), verbose=False)
    net.model.names, net.model.args = dict(enumerate(NAMES)), {"task": "detect", "imgsz": 160}
    for branch in net.model.model[-1].cv3:
        branch[-1].bias.data[sure_of] = 2.0
    folder.mkdir(parents=True, exist_ok=True)
    net.save(folder / "tiny_yolo.pt")
    return folder / "tiny_yolo.pt"


def vouch(file: Path) -> Path:
    (file.parent / store.MANIFEST).write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n")
    return file


Named = Callable[[Path], PictureWatcher]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
    monkeypatch.delenv("IMMERSIVAUDIO_YOLO_SHA256", raising=False)

    def load(file: Path) -> PictureWatcher:
        monkeypatch.setenv("IMMERSIVAUDIO_YOLO", str(file))
        return plugins.create("watchers", "yolo")  # type: ignore[no-any-return]

    return load


def test_boxes_are_the_library_s_own(named: Named, tmp_path: Path) -> None:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        pytest.skip("the torchvision here belongs to another torch, and ultralytics' own predictor wants it")
    watcher = named(vouch(made(tmp_path)))
    assert watcher.available() == ""
    watcher.setup()
    picture = np.random.default_rng(0).integers(0, 255, (640, 640, 3), np.uint8)
    boxes = watcher._detector.boxes(picture)  # type: ignore[attr-defined]
    # ultralytics takes OpenCV's order of colours.
    theirs = ultralytics.YOLO(str(tmp_path / "tiny_yolo.pt")).predict(
        picture[:, :, ::-1], imgsz=640, conf=0.2, iou=0.45, agnostic_nms=True, verbose=False, device="cpu"
    )[0]
    assert len(boxes) == pytest.approx(len(theirs.boxes), abs=3)
    assert {box.kind for box in boxes} == {"car"}
    ours = np.array([(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes])
    # Fused layers round differently, so that neighbours of equal confidence may change places.
    for edges in theirs.boxes.xyxyn[:20].numpy():
        assert np.abs(ours - edges).max(axis=1).min() < 2e-3


def test_boxes_are_in_the_picture_whatever_its_shape(named: Named, tmp_path: Path) -> None:
    watcher = named(vouch(made(tmp_path, sure_of=2)))
    watcher.setup()
    for shape in ((90, 160), (300, 100), (16, 16)):
        boxes = watcher._detector.boxes(np.full((*shape, 3), 90, np.uint8))  # type: ignore[attr-defined]
        assert boxes == sorted(boxes, key=lambda box: -box.score)
        assert {box.kind for box in boxes} == {"sports ball"}
        assert all(0 <= box.x <= box.x + box.width <= 1.0001 for box in boxes)
        assert all(0 <= box.y <= box.y + box.height <= 1.0001 for box in boxes)


def test_it_follows_through_the_guard(named: Named, tmp_path: Path, ball: Path) -> None:
    named(vouch(made(tmp_path)))
    edit = conform.single(media.probe(ball), "ball")
    seen = watching.watch(
        edit, None, watching.Watchers.load(("yolo",)), tmp_path / "cache", lambda: False, lambda *_: None
    )
    assert seen.warnings == ()
    assert seen.sightings
    assert {(row.watcher, row.label, row.values["kind"]) for row in seen.sightings} == {("yolo", "object", "car")}


def test_a_pickle_that_nobody_vouches_for_is_refused(
    named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path)
    with pytest.raises(UnavailableError, match="nobody vouches"):
        named(file).setup()
    monkeypatch.setenv("IMMERSIVAUDIO_YOLO_SHA256", "0" * 64)
    with pytest.raises(UnavailableError, match="damaged"):
        named(file).setup()
    monkeypatch.setenv("IMMERSIVAUDIO_YOLO_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    named(file).setup()


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran-code",)


def test_code_in_a_pickle_does_not_run_even_when_it_is_vouched_for(
    named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = made(tmp_path / "good")
    evil, content = tmp_path / "evil_yolo.pt", io.BytesIO()
    pickle.dump({"model": _Evil()}, content, protocol=2)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(evil, "w") as new:
        for item in old.infolist():
            inside = content.getvalue() if item.filename.endswith("data.pkl") else old.read(item)
            new.writestr(item.filename, inside)
    with pytest.raises(UnavailableError, match="unknown classes"):
        named(vouch(evil)).setup()
    assert not (tmp_path / "ran-code").exists()


def test_what_is_no_detector_is_refused(named: Named, tmp_path: Path) -> None:
    (tmp_path / "not_yolo.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(UnavailableError, match="cannot be read"):
        named(vouch(tmp_path / "not_yolo.pt")).setup()


def test_ends_stay_inside_the_clip(named: Named, tmp_path: Path, ball: Path) -> None:
    watcher = named(vouch(made(tmp_path)))
    clip = conform.single(media.probe(ball), "ball").picture[0]
    session = watcher.open(clip)
    for frame in list(media.frames(ball, None, watcher.wish))[:20]:
        session.see(frame)
    assert all(Fraction(0) <= row.span.start_s <= row.span.end_s <= clip.source.end_s for row in session.finish())
