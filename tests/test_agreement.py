# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two detectors that see one thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_spotting import edit_of, place
from test_spotting_models import CROSSING, thing

from immersivaudio.engine import plugins
from immersivaudio.engine.agreement import one_each
from immersivaudio.engine.cue import Sighting, Stem
from immersivaudio.engine.spotting import spot


def by(row: Sighting, watcher: str, sure: float, **values: Any) -> Sighting:
    return replace(row, watcher=watcher, confidence=sure, id=f"{watcher}-{row.id}", values={**row.values, **values})


def test_two_detectors_that_agree_are_one_sighting_believed_more() -> None:
    car = thing("car", 3, 6, **CROSSING)
    merged = one_each([by(car, "objects", 0.6), by(car, "yolo", 0.7)])
    (one,) = merged
    assert one.watcher == "yolo"
    assert one.confidence == pytest.approx(1 - 0.4 * 0.3)


def test_two_detectors_that_disagree_on_the_name_are_one_sighting_and_it_is_said() -> None:
    car = thing("car", 3, 6, **CROSSING)
    (one,) = one_each([by(car, "objects", 0.6, kind="truck"), by(car, "yolo", 0.7)])
    assert (one.values["kind"], one.values["also"], one.confidence) == ("car", "truck", 0.7)


def test_two_things_stay_two_whoever_sees_them() -> None:
    left = replace(thing("car", 3, 6), box=(0.0, 0.3, 0.2, 0.2))
    right = replace(thing("car", 3, 6), box=(0.7, 0.3, 0.2, 0.2))
    rows = [by(left, "objects", 0.6), by(right, "yolo", 0.7), by(thing("car", 7, 9), "yolo", 0.6)]
    assert one_each(rows) == rows
    same_eye = [by(left, "objects", 0.6), replace(by(left, "objects", 0.5), id="x")]
    assert one_each(same_eye) == same_eye


def test_a_car_that_two_detectors_follow_passes_once() -> None:
    car = thing("car", 3, 6, **CROSSING)
    sheet = spot(edit_of(10), [place("road", 0, 10), by(car, "objects", 0.7), by(car, "yolo", 0.7)])
    assert [cue.sound for cue in sheet.cues if cue.stem is Stem.EFFECTS] == ["passby.car"]


def test_without_the_library_or_the_weights_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path))
    monkeypatch.delenv("IMMERSIVAUDIO_YOLO", raising=False)
    lack = plugins.create("watchers", "yolo").available()
    assert "immersivaudio[yolo]" in lack or "IMMERSIVAUDIO_YOLO" in lack
