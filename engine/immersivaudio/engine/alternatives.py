# SPDX-License-Identifier: AGPL-3.0-or-later
"""Further takes of cues: each by a seed of its own that follows from the cue's, no two alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from immersivaudio.engine import performing
from immersivaudio.engine.cue import Cue, Example, Take
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.sounds import stable_seed

# Seeds tried for each take that turns out like an earlier one, before another performer is asked.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """How many takes of each cue, the chosen one counted; ``of`` limits it to cues by id, empty means all."""

    count: int
    of: Collection[str] = ()


def seed_of(seed: int, number: int) -> int:
    """The seed of a cue's take ``number``; the first is the cue's own."""
    return seed if number == 1 else stable_seed(str(seed), "take", str(number))


def perform(
    cues: Sequence[Cue],
    chosen: Mapping[str, Take],
    wish: Wish,
    run: performing.Run,
    report: Callable[[float, str], None],
) -> tuple[dict[str, tuple[Take, ...]], tuple[str, ...]]:
    """All takes of each cue, the ``chosen`` one first; and what was not as wished, one sentence each.

    Raises:
        EngineError: nobody can perform a cue. CancelledError.
    """
    wanted = [cue for cue in cues if not wish.of or cue.id in wish.of]
    found: dict[str, tuple[Take, ...]] = {}
    said = [f"No cue is called {name}; it has no takes." for name in wish.of if name not in {cue.id for cue in cues}]
    for number, cue in enumerate(wanted):
        report(number / len(wanted), f"{cue.sound}, takes ({number + 1} of {len(wanted)})")
        found[cue.id] = _takes(cue, chosen[cue.id], wish.count, run)
        if len(found[cue.id]) < wish.count:
            said.append(f"{cue.id}: {len(found[cue.id])} different takes were found, not {wish.count}.")
    return found, tuple(said)


def _takes(cue: Cue, first: Take, count: int, run: performing.Run) -> tuple[Take, ...]:
    found, heard = [first], {_digest(first)}
    for number in range(2, count + 1):
        take = _different(cue, number, count, heard, run)
        if take is None:
            break
        found.append(take)
        heard.add(_digest(take))
    return tuple(found)


def _different(cue: Cue, number: int, count: int, heard: set[str], run: performing.Run) -> Take | None:
    """A take that sounds like none of ``heard``: by other seeds, else by others who can perform the cue."""
    others = [performer.name for performer in run.performers.candidates(cue, run.rights)[1:]]
    seeds = [(cue.performer, seed_of(cue.seed, number + attempt * count)) for attempt in range(_TRIES)]
    for performer, seed in (*seeds, *((name, seeds[0][1]) for name in others)):
        if run.cancelled():
            raise CancelledError("Cancelled.")
        params = {**cue.params, "library_seed": float(seed)}
        other = replace(cue, seed=seed, performer=performer, params=params, example=_any_event(cue.example))
        take, _, _ = performing.one(other, run)
        if _digest(take) not in heard:
            return take
    return None


def _digest(take: Take) -> str:
    with Path(take.path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _any_event(example: Example | None) -> Example | None:
    """``example`` with its events to be chosen anew, by the take's seed."""
    return replace(example, events=()) if example is not None else None
