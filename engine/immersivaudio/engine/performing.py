# SPDX-License-Identifier: AGPL-3.0-or-later
"""Perform: each cue by the best performer that is installed, allowed and fits; kept by content, so only what changed
is performed again."""

from __future__ import annotations

import collections
import functools
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from immersivaudio.engine import __version__, abreast, gate, housekeeping, plugins, sounds
from immersivaudio.engine.cue import HINTS, Cue, Licence, Take, content_key, samples_at
from immersivaudio.engine.errors import CancelledError, EngineError, OutputError, ResultError, UnavailableError
from immersivaudio.engine.performers import Brief, Choice, Chooser, Guided, Performer

_LOG = logging.getLogger(__name__)
_TOGETHER = 8
Cancelled = Callable[[], bool]
Report = Callable[[float, str], None]


@dataclass
class Performers:
    """The performers of this process. ``setup`` happens when one is first needed."""

    members: list[Performer] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    waiting: list[Performer] = field(default_factory=list)
    _ready: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, names: Iterable[str] | None = None) -> Performers:
        """Every performer that is installed and can perform here; ``names`` limits the choice."""
        found = cls()
        for name in plugins.names("performers") if names is None else names:
            try:
                performer = plugins.create("performers", name)
                (found.waiting if performer.available() else found.members).append(performer)
            except Exception:
                _LOG.exception("performer %s", name)
                found.warnings.append(f"The performer {name} could not start and was left out.")
        return found

    def look_again(self) -> None:
        """Take in those that have become able to perform since: whose library was indexed, whose weights have come."""
        now = [performer for performer in self.waiting if not performer.available()]
        self.members += now
        self.waiting = [performer for performer in self.waiting if performer not in now]

    def candidates(self, cue: Cue, rights: str) -> list[Performer]:
        """Those that can perform ``cue`` under ``rights`` (commercial or any), best first; the wanted one first."""
        able = [p for p in self.members if p.fitness(cue) > 0]
        allowed = [p for p in able if rights == "any" or p.licence().commercial_use]
        return sorted(allowed, key=lambda p: (p.name != cue.performer, -p.fitness(cue)))

    def ready(self, performer: Performer) -> Performer:
        with self._lock:
            if performer.name not in self._ready:
                performer.setup()
                self._ready.add(performer.name)
        return performer


@dataclass(frozen=True, slots=True)
class Performed:
    """The takes, one a cue, and what was not as wished."""

    takes: dict[str, Take]
    warnings: tuple[str, ...]
    reused: int = 0


def perform(
    cues: Sequence[Cue], performers: Performers, cache: Path, rights: str, cancelled: Cancelled, report: Report
) -> Performed:
    """Perform ``cues``; takes that the cache holds are not performed again.

    Raises:
        UnavailableError: nobody can perform a cue. ResultError: nobody gave a sounding take.
        CancelledError: somebody stopped it, also inside a cue.
    """
    takes: dict[str, Take] = {}
    performers.look_again()
    warnings = list(performers.warnings)
    reused = 0
    whole = sum(float(cue.span.duration_s) for cue in cues) or 1.0
    done = 0.0
    for cue, ahead, result in _performances(cues, Run(performers, cache, rights, cancelled)):
        report(done / whole, f"{cue.sound} ({len(takes) + 1} of {len(cues)})")
        take, fresh, said = result()
        takes[cue.id] = take
        warnings += said
        reused += not (fresh or ahead)
        done += float(cue.span.duration_s)
    report(1.0, "")
    return Performed(takes, tuple(warnings), reused)


_Result = tuple[Take, bool, list[str]]


def _performances(cues: Sequence[Cue], run: Run) -> Iterator[tuple[Cue, bool, Callable[[], _Result]]]:
    """Each cue in its turn, whether its take was made :func:`_ahead`, and how to wait for it.

    Those whose performer does several at once (``together``) are begun ahead, so that they share its passes; one that
    fails stops them all.
    """
    ahead = {cue.id for cue in cues if _shares(run.performers.candidates(cue, run.rights))}
    stopped = threading.Event()
    shared = replace(run, cancelled=lambda: stopped.is_set() or run.cancelled())
    pool = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="performing") if len(ahead) > 1 else None
    try:
        begun = {cue.id: pool.submit(one, cue, shared) for cue in cues if pool is not None and cue.id in ahead}
        for cue, ahead_of_it in zip(cues, _ahead(cues, shared), strict=True):
            if run.cancelled():
                raise CancelledError("Cancelled.")
            yield cue, ahead_of_it, begun[cue.id].result if cue.id in begun else functools.partial(one, cue, run)
    finally:
        stopped.set()
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _shares(candidates: Sequence[Performer]) -> bool:
    """Whether the best one does several cues at once. What a chooser chooses from belongs to one thread."""
    choosers = any(isinstance(performer, Chooser) for performer in candidates)
    return bool(candidates) and not choosers and getattr(candidates[0], "together", 1) > 1


@dataclass(frozen=True, slots=True)
class Run:
    """Who performs, where takes are kept, what licences are allowed, and whether to go on."""

    performers: Performers
    cache: Path
    rights: str
    cancelled: Cancelled


def _ahead(cues: Sequence[Cue], run: Run) -> Iterator[bool]:
    """Have cues performed into the cache side by side, where their first performer can; whether each was fresh.

    Nothing else comes of it: :func:`one` finds the take, or does what is to be done where there is none.
    """
    making = collections.defaultdict[str, threading.Lock](threading.Lock)

    def asked() -> Iterator[tuple[Cue, list[Performer], threading.Lock | None]]:
        for cue in cues:
            candidates = run.performers.candidates(cue, run.rights)
            able = bool(candidates) and getattr(candidates[0], "side_by_side", False)
            # Equal cues are one take: the second waits for the first.
            yield cue, candidates, making[take_key(cue, candidates[0])] if able else None

    def early(ask: tuple[Cue, list[Performer], threading.Lock | None]) -> bool:
        cue, candidates, alone = ask
        if run.cancelled():
            raise CancelledError("Cancelled.")
        if alone is None:
            return False
        try:
            with alone:
                choice = Choice(candidates[0].licence(), {})
                return _cached(cue, candidates[0], choice, run, lenient=len(candidates) == 1)[1]
        except (CancelledError, OutputError):
            raise
        except EngineError:
            return False

    return abreast.in_order(early, asked())


def one(cue: Cue, run: Run) -> tuple[Take, bool, list[str]]:
    """One cue: its take, whether it was performed now, and what was not as wished. Errors as of :func:`perform`."""
    candidates = run.performers.candidates(cue, run.rights)
    if not candidates:
        raise _nobody(cue, run.performers, run.rights)
    said: list[str] = []
    if cue.performer and candidates[0].name != cue.performer:
        said.append(f"{cue.id}: {cue.performer} is not here or not allowed; {candidates[0].name} performs instead.")
    for performer in candidates:
        try:
            choice = _choice(performer, cue, run)
            if choice is None:
                said += [f"{cue.id}: {performer.name} has nothing that fits."] * (performer.name == cue.performer)
                continue
            take, fresh = _cached(cue, performer, choice, run, lenient=performer is candidates[-1])
        except (CancelledError, OutputError):
            raise
        except EngineError as error:
            said.append(f"{cue.id}: {performer.name} gave nothing usable ({error.message})")
            continue
        return take, fresh, [*said, *(f"{cue.id}: {note}" for note in take.notes if note not in choice.notes)]
    raise ResultError(
        f"Nobody could perform {cue.sound} (cue {cue.id}). {said[-1] if said else 'Nothing here fits it.'}",
        "Mute the cue or change its sound.",
    )


def _choice(performer: Performer, cue: Cue, run: Run) -> Choice | None:
    """What ``performer`` would make of the cue; of one that has nothing to choose from, what it always makes."""
    if not isinstance(performer, Chooser):
        return Choice(performer.licence(), {})
    try:
        return performer.choose(cue, run.rights, run.cancelled)
    except EngineError:
        raise
    except Exception as error:
        # A plug-in's own mistake must not end a job that another performer can do.
        _LOG.warning("performer %s", performer.name, exc_info=True)
        raise UnavailableError(f"{performer.name} failed ({type(error).__name__}).") from error


def _nobody(cue: Cue, performers: Performers, rights: str) -> UnavailableError:
    if cue.sound not in sounds.BY_ID and not performers.candidates(cue, "any"):
        return UnavailableError(
            f"No performer here knows the sound {cue.sound!r} of the cue {cue.id}.",
            "Choose a sound out of `immersivaudio sounds`, or mute the cue.",
        )
    return UnavailableError(
        f"No performer that may perform {cue.sound!r} (cue {cue.id}) is installed.",
        "Mute the cue, or allow any licence (rights: any)." if rights != "any" else "Mute the cue.",
    )


def take_key(cue: Cue, performer: Performer) -> str:
    """The name of a take by content: where a cue lies, and how loud it is mixed, do not matter."""
    synced = [samples_at(sync_s - cue.span.start_s) for sync_s in cue.sync_s]
    params = {name: value for name, value in cue.params.items() if name not in HINTS}
    parts = (cue.sound, cue.prompt, params, samples_at(cue.span.duration_s), synced, cue.seed)
    guide = performer.guide_of(cue) if isinstance(performer, Guided) else ""
    return content_key("take", __version__, performer.name, performer.version, *parts, *([guide] if guide else []))


def _cached(cue: Cue, performer: Performer, choice: Choice, run: Run, *, lenient: bool) -> tuple[Take, bool]:
    cue = choice.pinned(cue)
    key = take_key(cue, performer)
    wav, card = (housekeeping.kept(run.cache, "takes", f"{key}.{ending}") for ending in ("wav", "json"))
    if (known := _load(card, wav, cue)) is not None:
        return replace(
            known, licence=choice.licence, notes=(*choice.notes, *known.notes), pins=dict(choice.pins)
        ), False
    wav.parent.mkdir(parents=True, exist_ok=True)
    brief = Brief(cue, samples_at(cue.span.duration_s), run.cancelled)
    done = gate.perform_gated([performer], brief, wav, run.performers.ready, lenient=lenient)
    take = Take(cue.id, key, str(wav), done.samples, performer.name, performer.version, done.seed,
                choice.licence, done.peak, done.notes)  # fmt: skip
    partial = card.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
    partial.write_text(json.dumps(asdict(take)))
    partial.replace(card)
    return replace(take, notes=(*choice.notes, *take.notes), pins=dict(choice.pins)), True


def _load(card: Path, wav: Path, cue: Cue) -> Take | None:
    try:
        row = json.loads(card.read_text())
        row["licence"] = Licence(**row["licence"])
        row["notes"] = tuple(row["notes"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if not wav.is_file():
        return None
    for path in (card, wav):
        housekeeping.use(path)
    return Take(**{**row, "cue_id": cue.id, "path": str(wav)})
