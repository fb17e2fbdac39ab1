# SPDX-License-Identifier: AGPL-3.0-or-later
"""Memory that runs out under a picture watcher: fewer pictures at once, then the CPU, then a sentence; never a traceback,
and what is seen stays the same. The models are real ones, tiny, with as little room as torch itself would report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import neural_stage
import numpy as np
import pytest
import tiny_checkpoints as tiny
import torch
from test_watchers_scene import LABELS, pictures, two_shots  # noqa: F401

from immersivaudio.engine import conform, media, plugins, watching
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.watchers._looking import Resting

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("one_torch_thread")]
MAKERS: dict[str, Callable[[Path], Path]] = {
    "scene": tiny.clip,
    "images": lambda folder: tiny.classifier(folder, LABELS),
    "caption": tiny.blip,
}


@pytest.fixture(params=MAKERS)
def watcher(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each, as if its weights lay on another device than the CPU: torch takes ``cpu:0`` for the same place."""
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu:0")
    monkeypatch.setenv(f"IMMERSIVAUDIO_{request.param.upper()}", str(MAKERS[request.param](tmp_path / request.param)))
    made = plugins.create("watchers", request.param)
    made.setup()
    assert made.device == "cpu:0"
    return made


def seen(watcher: Any) -> Any:
    """What it tells of the pictures: scores, or sentences."""
    if hasattr(watcher, "look"):
        return watcher.look(pictures() * 3)
    return [watcher.surviving(lambda picture=picture: watcher.describe(picture)) for picture in pictures()]


def same(one: Any, other: Any) -> bool:
    return one == other if isinstance(one, list) else np.allclose(one, other, atol=1e-5)


def eyes(watcher: Any) -> Any:
    """What of its model sees pictures."""
    return getattr(watcher._hold.model, "vision_model", watcher._hold.model)


@contextlib.contextmanager
def no_room_beside_the_cpu(watcher: Resting) -> Iterator[None]:
    def exhausted(*_: Any) -> None:
        if watcher.device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = eyes(watcher).register_forward_pre_hook(exhausted, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def test_fewer_are_looked_at_at_once_where_there_is_no_room_for_more(watcher: Any) -> None:
    wanted, sizes = seen(watcher), []
    hook = eyes(watcher).register_forward_hook(
        lambda _, given, named, __: sizes.append(len(given[0] if given else named["pixel_values"])), with_kwargs=True
    )
    with neural_stage.memory_for(eyes(watcher), rows=2):
        assert same(seen(watcher), wanted)
    hook.remove()
    assert watcher.device == "cpu:0"
    assert max(sizes) == (1 if isinstance(wanted, list) else 2)


def test_the_cpu_looks_where_the_device_has_no_room(watcher: Any) -> None:
    wanted = seen(watcher)
    with no_room_beside_the_cpu(watcher):
        assert same(seen(watcher), wanted)
        assert watcher.device == "cpu"
        assert same(seen(watcher), wanted)


def test_it_is_said_where_there_is_no_room_at_all(watcher: Any) -> None:
    wanted = seen(watcher)
    with neural_stage.memory_for(eyes(watcher), rows=0):
        for _ in range(2):
            with pytest.raises(UnavailableError, match=f"{watcher.name} needs more memory than is free") as said:
                seen(watcher)
            assert said.value.hint
    assert same(seen(watcher), wanted)


def test_a_clip_is_watched_on_the_cpu_without_a_warning(
    watcher: Any,
    two_shots: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    edit = conform.single(media.probe(two_shots), "two shots")

    def watched(cache: str) -> watching.Seen:
        only = watching.Watchers(picture=[watcher])
        return watching.watch(edit, None, only, tmp_path / cache, lambda: False, lambda *_: None)

    wanted = watched("before")
    with no_room_beside_the_cpu(watcher):
        got = watched("after")
    assert watcher.device == "cpu"
    assert got == wanted
    assert got.warnings == ()


def test_memory_that_runs_out_while_the_phrases_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_SCENE", str(tiny.clip(tmp_path / "scene")))
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu:0")
    crowded = plugins.create("watchers", "scene")

    def exhausted(module: Any, *_: Any) -> None:
        if crowded._hold.device.name != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = torch.nn.modules.module.register_module_forward_pre_hook(exhausted)
    try:
        crowded.setup()
    finally:
        hook.remove()
    assert crowded.device == "cpu"
    assert crowded.scores(pictures()).shape[0] == len(pictures())
