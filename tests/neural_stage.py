# SPDX-License-Identifier: AGPL-3.0-or-later
"""Neural performers on tiny checkpoints, for the tests that drive them: how they are made, asked and looked into."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from immersivaudio.engine import plugins
from immersivaudio.engine.cue import Cue, Span, samples_at
from immersivaudio.engine.models import holding
from immersivaudio.engine.performers import Block, Brief, Performer

for library in ("torch", "diffusers", "transformers"):
    pytest.importorskip(library, reason="the [models] extra is not installed")
import torch  # noqa: E402

MARKS = [
    pytest.mark.models,
    pytest.mark.usefixtures("one_torch_thread", "own_home"),
    # diffusers hands torch tensors to numpy in a way that numpy 2 announces the end of.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # diffusers' own Oobleck.
    pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning"),
]


def saved(root: Path, names: Iterable[str]) -> dict[str, Path]:
    """A tiny checkpoint of each performer in a folder of its name."""
    return {name: importlib.import_module(f"tiny_{name}").save(root / name) for name in names}


def variable(name: str) -> str:
    """What names the weights of a performer."""
    return f"IMMERSIVAUDIO_{name.upper()}"


def fresh(name: str, held: holding.Holding | None = None) -> Any:
    """A performer that shares nothing, as in a new process."""
    return type(plugins.create("performers", name))(held or holding.Holding())


def model(performer: Any) -> Any:
    """What it holds, loaded."""
    performer.setup()
    return performer._holding.model(performer.name)


def brief(cue: Cue, cancelled: Callable[[], bool] = lambda: False) -> Brief:
    return Brief(cue, samples_at(cue.span.duration_s), cancelled)


def take(performer: Performer, cue: Cue, cancelled: Callable[[], bool] = lambda: False) -> Block:
    return np.concatenate(list(performer.perform(brief(cue, cancelled))), axis=1)


def lasting(cue: Cue, seconds: Fraction) -> Cue:
    return replace(cue, span=Span(cue.span.start_s, seconds))


def keeps_the_contract(performer: Any) -> None:
    assert isinstance(performer, Performer)
    assert performer.available() == ""
    assert performer.version != performer.kind.revision
    assert not performer.licence().commercial_use


def together_equal_alone(performer: Any, net: Any, cues: Sequence[Cue]) -> None:
    """Every cue at once is as when nobody else is there, and ``net`` runs less often for it."""
    made, calls, begun = model(performer), [], threading.Event()
    begun.set()
    hook = net.register_forward_pre_hook(lambda *_: calls.append(1) or (begun.wait(20) and None))
    try:
        alone = [performer.generate(made, brief(cue))[0] for cue in cues]
        singly = len(calls)
        begun.clear()
        with ThreadPoolExecutor(len(cues)) as pool:
            jobs = [pool.submit(performer.generate, made, brief(cue)) for cue in cues]
            begun.set()
            together = [job.result()[0] for job in jobs]
    finally:
        hook.remove()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-4 * np.abs(one).max())
    assert len(calls) - singly < singly - 1


@contextlib.contextmanager
def memory_for(net: Any, rows: int) -> Iterator[None]:
    """As on a device that has room for ``rows`` at once in ``net`` and no more."""

    def exhausted(_: Any, given: Any, named: Any) -> None:
        first = given[0] if given else next(iter(named.values()))
        if first.shape[0] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = net.register_forward_pre_hook(exhausted, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
