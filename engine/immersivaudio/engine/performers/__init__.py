# SPDX-License-Identifier: AGPL-3.0-or-later
"""Performers: how a cue becomes sound. One file each, found by file name.

A performer module defines ``create() -> Performer``. torch and its friends are imported in ``setup()``, never at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Cue, Licence, ParamValue, samples_at

Block = NDArray[np.float32]


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Brief:
    """What is wanted of a performer: ``samples`` samples at 48 kHz of ``cue``, its first sample at ``cue.span.start_s``.

    ``cancelled`` is asked between blocks, and inside long computations at least four times a second.
    """

    cue: Cue
    samples: int
    cancelled: Callable[[], bool] = _never

    def moments(self) -> list[int]:
        """The cue's sync points in samples from its start, in order, those outside it left out."""
        places = sorted({samples_at(moment - self.cue.span.start_s) for moment in self.cue.sync_s})
        return [place for place in places if 0 <= place < self.samples]


@runtime_checkable
class Performer(Protocol):
    """Turns a cue into sound, deterministically by ``cue.seed``.

    ``version`` changes whenever the same cue may sound different: it is part of the take's key. One that also says
    ``side_by_side = True`` may be asked by several threads at once; any other is asked by one thread alone.
    """

    name: str
    version: str

    def licence(self) -> Licence:
        """What may be done with what it makes."""
        ...

    def available(self) -> str:
        """Empty when it can perform here, else one sentence that says what is missing. Cheap; loads nothing."""
        ...

    def fitness(self, cue: Cue) -> float:
        """0 when it cannot perform the cue, up to 1 when nobody does it better. Cheap; loads nothing."""
        ...

    def setup(self) -> None:
        """Load what it needs; called once a process before the first ``perform``."""
        ...

    def perform(self, brief: Brief) -> Iterator[Block]:
        """Blocks float32 ``[2, n]`` at 48 kHz, ``n`` at most 48 000, ``brief.samples`` in all.

        Sustained sounds come at -26 LUFS, struck sounds with a sample peak of -12 dBFS at full strength, both before
        ``cue.gain_db``, ``gain_curve``, ``pan`` and fades, which the mix applies. The attack of a struck sound lies at
        each ``cue.sync_s`` to the sample.

        Raises:
            CancelledError: ``brief.cancelled()`` became true.
        """
        ...


@runtime_checkable
class Guided(Protocol):
    """What a performer has besides that makes some cues after another performer's sound or score of them."""

    def guide_of(self, cue: Cue) -> str:
        """Name and version of that other one; empty where it has no part in ``cue``. Part of the take's key. Loads nothing.

        Raises:
            RequestError: the cue's params about its guide are senseless.
        """
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What a performer would make one cue of. ``pins`` are params that lead to the very same performance again, whatever
    else there is to choose from by then; they are part of the take's key and of its metadata."""

    licence: Licence
    pins: Mapping[str, ParamValue]
    notes: tuple[str, ...] = ()

    def pinned(self, cue: Cue) -> Cue:
        """``cue`` with this choice made."""
        return replace(cue, params={**cue.params, **self.pins})


@runtime_checkable
class Chooser(Performer, Protocol):
    """A performer that has something to choose from, so that licence and source differ from cue to cue."""

    def choose(self, cue: Cue, rights: str, cancelled: Callable[[], bool]) -> Choice | None:
        """What it would take for ``cue`` under ``rights`` (commercial or any), by ``cue.seed``; None where nothing fits.

        ``perform`` is then asked for the cue with the choice's pins among its params.
        """
        ...
