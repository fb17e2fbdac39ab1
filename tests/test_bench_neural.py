# SPDX-License-Identifier: AGPL-3.0-or-later
"""The neural bench compares like with like: diffusers' own pipeline, our weights, one precision on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import neural
import neural_stage
import numpy as np
import pytest
import torch
from neural_stage import fresh, saved, variable

from immersivaudio.engine.models import devices

pytestmark = neural_stage.MARKS
JOB = neural.Job("owls", 2.5, 3)
KINDS = [devices.CPU, devices.Device("cpu", "bfloat16")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return saved(tmp_path_factory.mktemp("weights"), neural.STEPS)


def held(name: str, weights: dict[str, Path], device: devices.Device, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(variable(name), str(weights[name]))
    monkeypatch.setitem(neural.STEPS, name, 2)
    performer = fresh(name)
    return performer.hold(performer._place(), device)


@pytest.mark.parametrize("name", neural.STEPS)
def test_plain_is_what_the_published_pipeline_gives(
    name: str, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = neural.Plain(name, held(name, weights, devices.CPU, monkeypatch))
    ours, call = plain.job(JOB), type(plain.pipe).__call__
    told: list[Any] = []

    def noted(pipe: Any, *given: Any, **named: Any) -> Any:
        told.append((given, named))
        return call(pipe, *given, **named)

    monkeypatch.setattr(type(plain.pipe), "__call__", noted)
    plain.job(JOB)
    ((given, named),) = told
    again = torch.Generator().manual_seed(JOB.seed)
    published = call(plain.pipe, *given, **{**named, "generator": again, "output_type": "np"}).audios
    np.testing.assert_allclose(ours, np.asarray(published), atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("device", KINDS, ids=lambda device: device.dtype)
@pytest.mark.parametrize("name", neural.STEPS)
def test_both_sides_share_weights_and_precision(
    name: str, device: devices.Device, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = held(name, weights, device, monkeypatch)
    plain = neural.Plain(name, model)
    for part in ("vae", model.net):
        assert getattr(plain.pipe, part) is getattr(model.pipe, part)
    assert getattr(plain.pipe, model.net).dtype == getattr(torch, device.dtype)
    assert {getattr(plain.pipe, part).dtype for part in model.exact} == {torch.float32}
    several = plain.jobs([JOB, neural.Job("rain", 2.0, 4)])
    assert isinstance(several, np.ndarray)
    assert several.dtype == np.float32
    assert several.shape[0] == 2
    assert several.shape[-1] == round(JOB.seconds * model.rate_hz)
    assert np.isfinite(several).all()
