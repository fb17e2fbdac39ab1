# SPDX-License-Identifier: AGPL-3.0-or-later
"""The library performer: cuts out of the user's own sounds, found by cue, laid to the sample, never stretched nor looped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from immersivaudio.engine import carried
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Licence, ParamValue, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, EngineError, MediaError, RequestError
from immersivaudio.engine.library import chaining, cutting, hearing, matching
from immersivaudio.engine.library.index import Index, place
from immersivaudio.engine.library.records import Entry
from immersivaudio.engine.performers import Block, Brief, Choice
from immersivaudio.engine.sounds import BY_ID, Motion

_LOG = logging.getLogger(__name__)
# The params that name a cut; a cue sheet may set them too.
LIBRARY, SEED, FILE, SHA256, IN_S = "library", "library_seed", "library_file", "library_sha256", "library_in_s"
# What follows on a recording that is too short alone: [[file, sha256], ...] as JSON.
THEN = "library_then"
OFF = "off"
_FITNESS = 0.95
_AS_GOOD = 0.12
_TRIES = 6
_HANDLE_S = 1.0
_PLACES_TRIED = 8
_SILENT_LUFS, _DROP_DB = -65.0, 25
_ENDS_DB = 12
_MOST_KEPT = 500


class Library:
    """Performs from indexed folders (see ``docs/library.md``). The cut, not the performer, has a licence."""

    name = "library"
    version = "2"

    def licence(self) -> Licence:
        return Licence("as stated for each library", True, source="the user's own sound libraries")

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], list[matching.Match]] = {}

    def available(self) -> str:
        try:
            if place().is_file():
                with Index() as index:
                    if index.folders():
                        return ""
        except EngineError as error:
            return f"{error.message} {error.hint}"
        return "No sound library is indexed: run `immersivaudio library add FOLDER`."

    def fitness(self, cue: Cue) -> float:
        """Above every synthesis where a file fits by name: a user's own recordings are why he indexed them."""
        if cue.params.get(LIBRARY) == OFF or not _can(cue) or not place().is_file():
            return 0.0
        try:
            with Index() as index:
                fits = self._matches(index, cue, "any") or self._several(index, cue, "any")
                return _FITNESS if fits else 0.0
        except EngineError as error:
            _LOG.warning("%s", error.message)
            return 0.0

    def setup(self) -> None:
        """Nothing to load."""

    def choose(self, cue: Cue, rights: str, cancelled: Callable[[], bool]) -> Choice | None:
        """One of the good matches by the cue's seed, and where in it the cut begins; see :class:`Chooser`."""
        if cue.params.get(LIBRARY) == OFF or not _can(cue) or not place().is_file():
            return None
        with Index(write=True) as index:
            for match in _in_turn(self._matches(index, cue, rights), cue):
                try:
                    entry = hearing.heard(index, index.again(match.entry), cancelled)
                except CancelledError:
                    raise
                except EngineError as error:
                    _LOG.info("%s: %s", match.entry.path, error.message)
                    continue
                begin_s = _begin_s(entry, cue)
                if begin_s is not None and cue.params.get(SHA256, entry.sha256) == entry.sha256:
                    return _choice(entry, cue, begin_s, match.why)
            heard = []
            for entry in self._several(index, cue, rights):
                with contextlib.suppress(MediaError):
                    heard.append(hearing.heard(index, index.again(entry), cancelled))
            sounding = [entry for entry in heard if entry.heard and (entry.heard.lufs or -99.0) >= _SILENT_LUFS]
            return _chained(chaining.enough(sounding, cue), cue)

    def perform(self, brief: Brief) -> Iterator[Block]:
        """See :meth:`Performer.perform`. The cue names its cut, or one is chosen; blocks of a second.

        Raises:
            RequestError: nothing fits. MediaError: the file is gone or has changed. ResultError: the cut is silent.
        """
        if not brief.samples:
            return
        cue = brief.cue
        if FILE not in cue.params:
            choice = self.choose(cue, "any", brief.cancelled)
            if choice is None:
                raise RequestError(f"No library has a sound that fits {cue.sound}.", "Add a library that does.")
            cue = choice.pinned(cue)
        with Index(write=True) as index:
            entries = [_recorded(index, one, brief.cancelled) for one in _names(cue)]
        begin_s, pinned = cue.params.get(IN_S, 0.0), replace(brief, cue=cue)
        if len(entries) > 1:
            yield from chaining.chain(pinned, entries)
        else:
            yield from cutting.cut(pinned, entries[0], begin_s if isinstance(begin_s, float | int) else 0.0)

    def _matches(self, index: Index, cue: Cue, rights: str) -> list[matching.Match]:
        """What fits; of a cue that names its file, that file. Kept until the index changes: it is asked for often."""
        if FILE in cue.params:
            entry = _named(index, cue)
            fits = _may(entry, rights) and not entry.fault
            return [matching.Match(entry, 1.0, "asked for by name")] if fits else []
        return self._found(index, cue, rights, None)

    def _found(self, index: Index, cue: Cue, rights: str, at_least_s: float | None) -> list[matching.Match]:
        library = str(cue.params.get(LIBRARY, ""))
        key = (index.generation(), cue.sound, cue.prompt, cue.span.duration_s, rights, library, at_least_s)
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = matching.find(index, cue, rights, library, at_least_s)
        return self._kept[key]

    def _several(self, index: Index, cue: Cue, rights: str) -> list[Entry]:
        """Recordings of one series, by seed, that together last as long as a cue for which each is too short; of a cue
        that names them, those."""
        if FILE in cue.params or BY_ID[cue.sound].motion is not Motion.SUSTAINED:
            named = [_named(index, one) for one in _names(cue)] if THEN in cue.params else []
            return named if all(_may(entry, rights) for entry in named) else []
        found = _in_turn(self._found(index, cue, rights, chaining.SHORTEST_S), cue, most=None)
        for first in dict.fromkeys(chaining.series(match.entry) for match in found):
            alike = [match.entry for match in found if chaining.series(match.entry) == first]
            if chaining.enough(alike, cue):
                return alike[:_TRIES]
        return []


def create() -> Library:
    """The performer."""
    return Library()


def _can(cue: Cue) -> bool:
    """Music is composed for the cuts, which no recording was."""
    sound = BY_ID.get(cue.sound)
    return (
        sound is not None and sound.stem is not Stem.MUSIC and (sound.motion is not Motion.STRUCK or bool(cue.sync_s))
    )


def _named(index: Index, cue: Cue) -> Entry:
    """The file that a cue names; where it was moved, the one that has its bytes."""
    name, path = str(cue.params.get(LIBRARY, "")), str(cue.params[FILE])
    there = [one for one in index.entries("path=?", (path,)) if name in ("", one.folder.name)]
    moved = index.entries("sha256=?", (cue.params[SHA256],)) if not there and SHA256 in cue.params else []
    if there or moved:
        return (there or moved)[0]
    raise MediaError(f"{path} is in no library here.", "Run `immersivaudio library list`.")


def _names(cue: Cue) -> list[Cue]:
    """The cue for each recording that it names."""
    try:
        then = [(str(path), str(sha256)) for path, sha256 in json.loads(str(cue.params.get(THEN, "[]")))]
    except (ValueError, TypeError) as error:
        raise RequestError(f"What follows in the cue {cue.id} is no list of recordings.", "Leave it out.") from error
    return [cue, *(replace(cue, params={**cue.params, FILE: path, SHA256: sha256}) for path, sha256 in then)]


def _may(entry: Entry, rights: str) -> bool:
    return rights == "any" or entry.folder.licence.commercial_use


def _recorded(index: Index, cue: Cue, cancelled: Callable[[], bool]) -> Entry:
    entry = hearing.heard(index, _named(index, cue), cancelled)
    if cue.params.get(SHA256, entry.sha256) != entry.sha256:
        raise MediaError(f"{entry.path} is not the recording that this cue was cut from.", "Score again.")
    return entry


def _in_turn(matches: Sequence[matching.Match], cue: Cue, most: int | None = _TRIES) -> list[matching.Match]:
    """The matches that are about as good as the best, in an order by seed that other files do not disturb. Blows go by
    the seed that all blows of a job share, where there is one: the same thing is struck by the same recording."""
    good = [match for match in matches if match.score >= matches[0].score - _AS_GOOD]
    shared = BY_ID[cue.sound].motion is Motion.STRUCK and cue.params.get(SEED)
    seed = cue.seed if shared is False or not isinstance(shared, int | float) else int(shared)
    return sorted(good, key=lambda match: _lot(seed, match.entry))[:most]


def _lot(seed: int, entry: Entry) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{entry.folder.name}\x1f{entry.path}".encode()).digest()


def _chained(entries: Sequence[Entry], cue: Cue) -> Choice | None:
    """A choice of several recordings, which crossfade."""
    if not entries:
        return None
    first, *others = entries
    one = _choice(first, cue, 0.0, "")
    source = "; ".join(f"{entry.folder.name}: {entry.path}" for entry in entries)
    pins = {**one.pins, THEN: json.dumps([[entry.path, entry.sha256] for entry in others])}
    names = ", ".join(entry.file.name for entry in entries)
    return Choice(replace(one.licence, source=source), pins, (f"crossfaded out of {len(entries)} recordings: {names}",))


def _choice(entry: Entry, cue: Cue, begin_s: float, why: str) -> Choice:
    folder = entry.folder
    source = f"{folder.name}: {entry.path}"
    licence = Licence(folder.licence.name, folder.licence.commercial_use, folder.licence.attribution, source)
    pins: dict[str, ParamValue] = {LIBRARY: folder.name, FILE: entry.path, SHA256: entry.sha256, IN_S: begin_s}
    after_s = entry.notes.duration_s - begin_s - float(cue.span.duration_s)
    where = f"from {begin_s:.2f} s, handles {max(0.0, begin_s):.1f} s before and {max(0.0, after_s):.1f} s after"
    if BY_ID[cue.sound].motion is Motion.STRUCK:
        where = f"its attacks laid on {len(cue.sync_s)} sync points"
    elif BY_ID[cue.sound].motion is Motion.MOVING:
        where += ", moved along its way" if cutting.stands(entry) else ", passing as it was recorded"
    return Choice(licence, pins, (f"cut of {entry.file.name} ({why}), {where}",))


def _begin_s(entry: Entry, cue: Cue) -> float | None:
    """Where in the file the cue begins; None where the file does not sound as its name says."""
    heard, sound = entry.heard, BY_ID[cue.sound]
    if heard is None or heard.lufs is None or heard.lufs < _SILENT_LUFS:
        return None
    if sound.motion is Motion.STRUCK:
        return 0.0 if heard.onsets_ms or sound.id in cutting.SWELLING else None
    if sound.motion is not Motion.MOVING:
        return _steady_s(entry, cue, float(cue.span.duration_s))
    if not cutting.stands(entry):
        return _passing_s(entry, cue)
    return _steady_s(entry, cue, carried.needed(Brief(cue, samples_at(cue.span.duration_s))) / SAMPLE_RATE_HZ)


def _steady_s(entry: Entry, cue: Cue, lasts_s: float) -> float | None:
    """For ``lasts_s`` seconds: of a few places by seed, handles left at both ends where the file has them, the one that is most even."""
    slack_s = entry.notes.duration_s - lasts_s
    if slack_s < 0 or entry.heard is None:
        return None
    said = cue.params.get(IN_S)
    if isinstance(said, int | float):
        return float(said) if 0 <= said <= slack_s else None
    handle_s = min(_HANDLE_S, slack_s / 2)
    chance = random.Random(f"{cue.seed} {entry.path}")
    places = [round(chance.uniform(handle_s, max(handle_s, slack_s - handle_s)), 3) for _ in range(_PLACES_TRIED)]
    levels = np.array(entry.heard.levels_db)
    uneven = []
    for begin_s in places:
        part = levels[int(begin_s) : math.ceil(begin_s + lasts_s)]
        if not len(part) or part.min() >= np.median(levels) - _DROP_DB:
            uneven.append((round(float(part.std()), 2) if len(part) else 0.0, begin_s))
    return min(uneven)[1] if uneven else None


def _passing_s(entry: Entry, cue: Cue) -> float | None:
    """The loudest moment of the file on the cue's closest one. Where the file begins later or ends earlier than the cue,
    it must have died away by then."""
    levels = entry.heard.levels_db if entry.heard else ()
    begin_s = (entry.heard.loudest_s if entry.heard else 0.0) - float(carried.closest_s(cue))
    late, early = begin_s < 0, begin_s + float(cue.span.duration_s) > entry.notes.duration_s
    ends = [level for level, cut in ((levels[0], late), (levels[-1], early)) if cut]
    return round(begin_s, 3) if all(level <= max(levels) - _ENDS_DB for level in ends) else None
