# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watchers that the engine does not vouch for, each in a process of its own: one that crashes, hangs or eats memory
costs its own sightings and nothing else.

Guarded is every watcher of another package, and our own that rest on models. Those that need none stay in the
engine's process: only the guarded ones pay. A guarded watcher also works beside the decoder, on another core.
"""

from __future__ import annotations

import os
import signal
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from immersivaudio.engine import plugins, records
from immersivaudio.engine.cue import Clip, Edit, Sighting
from immersivaudio.engine.errors import EngineError, UnavailableError
from immersivaudio.engine.guarded_child import GoneError, GuardedChild, Reply
from immersivaudio.engine.watchers import Frame, FrameWish, PictureWatcher, Samples

# They need no model and no foreign library but those of the base install.
_IN_PROCESS = ("motion", "place", "shots")
# Ours and without a model to load, but its speech detector keeps Python's lock all the time: in a process of its own it
# hears while the picture is watched. Worth it from so many seconds on.
_BESIDE, _BESIDE_FROM_S = "hearing", 30
_AHEAD = 6
_MODULE = "immersivaudio.engine.watcher_process"
LOADS_IN, _BEGINS_IN_S = 10, 60.0


class LeftOutError(UnavailableError):
    """The watcher died earlier in this job."""

    reason = "WATCHER_LEFT_OUT"


@dataclass(frozen=True, slots=True)
class Limits:
    """``patience_s``: how long one picture, or one block of sound, may take; loading may take ten times as long, and to
    begin, a minute at least.
    ``memory_bytes``: how much of the machine's memory the watcher may hold (watched on Linux only)."""

    patience_s: float = 60.0
    memory_bytes: int = 12 * 1024**3

    @classmethod
    def here(cls) -> Limits:
        """``IMMERSIVAUDIO_WATCHER_PATIENCE_S`` and ``IMMERSIVAUDIO_WATCHER_MEMORY_GB``, or 60 s and 12 GiB."""
        patience_s = _positive("IMMERSIVAUDIO_WATCHER_PATIENCE_S", cls().patience_s)
        gib = _positive("IMMERSIVAUDIO_WATCHER_MEMORY_GB", cls().memory_bytes / 1024**3)
        return cls(patience_s, int(gib * 1024**3))


def _positive(variable: str, usual: float) -> float:
    try:
        value = float(os.environ.get(variable, "") or usual)
    except ValueError:
        return usual
    return value if value > 0 else usual


def create(name: str) -> Any:
    """The watcher ``name``: itself where it is one of those without models, else behind a guard.

    Raises:
        NotFoundError: there is none. UnavailableError: a foreign one could not even be made.
    """
    if name in _IN_PROCESS:
        return plugins.create("watchers", name)
    face = plugins.create("watchers", name) if plugins.own("watchers", name) else _Foreign.met(name)
    guard = GuardedPicture if isinstance(face, PictureWatcher) else GuardedSound
    return guard(name, face, Limits.here())


class _Foreign:
    """What a watcher of another package says of itself, asked in a process of its own: its code never runs in ours."""

    def __init__(self, name: str, reply: Reply, child: GuardedChild) -> None:
        self.name, self.lack = name, str(reply["lack"])
        self.version = str(reply["version"])
        self.child = child

    @classmethod
    def met(cls, name: str) -> _Foreign:
        limits = Limits.here()
        child = GuardedChild(_MODULE, (name,), limits.memory_bytes)
        try:
            reply = _loaded(child, limits.patience_s)
        except GoneError as error:
            raise UnavailableError(said_of(error)) from error
        except EngineError:
            child.end()
            raise
        return (_ForeignPicture if "wish" in reply else _ForeignSound)(name, reply, child)

    def available(self) -> str:
        return self.lack

    def setup(self) -> None:
        """Happens behind the guard."""


class _ForeignPicture(_Foreign):
    def __init__(self, name: str, reply: Reply, child: GuardedChild) -> None:
        super().__init__(name, reply, child)
        self.wish = FrameWish(*reply["wish"])

    def open(self, clip: Clip) -> Any:
        raise NotImplementedError


class _ForeignSound(_Foreign):
    def __init__(self, name: str, reply: Reply, child: GuardedChild) -> None:
        super().__init__(name, reply, child)
        self.sample_rate_hz = int(reply["sample_rate_hz"])

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        raise NotImplementedError


def _loaded(child: GuardedChild, patience_s: float) -> Reply:
    """The watcher made in ``child`` and, where it lacks nothing, set up: only then its version is sure.

    Raises:
        GoneError: it died. EngineError: it failed.
    """
    reply = _checked(child.ask({"do": "create"}, max(patience_s, _BEGINS_IN_S)))
    return reply if reply["lack"] else _checked(child.ask({"do": "setup"}, LOADS_IN * patience_s))


def _checked(reply: Reply) -> Reply:
    if reply["is"] == "failed":
        raise EngineError(str(reply["message"]))
    return reply


def said_of(error: GoneError) -> str:
    """Why a watcher's process is no more, as a sentence."""
    if error.why:
        return f"it {error.why}, and was ended."
    if error.code == -signal.SIGKILL:
        return "it was killed from outside, perhaps for want of memory."
    if error.code < 0:
        return f"it crashed ({signal.Signals(-error.code).name})."
    return f"it ended by itself (exit status {error.code})."


class Guard:
    """One watcher behind its process. It is started by the first that needs it and kept; once it died it stays out
    until :meth:`renew`."""

    def __init__(self, name: str, face: Any, limits: Limits) -> None:
        self.name, self._face, self._limits = name, face, limits
        self._child: GuardedChild | None = getattr(face, "child", None)
        self._lost = ""

    @property
    def version(self) -> str:
        return str(self._face.version)

    def available(self) -> str:
        return str(self._face.available())

    def setup(self) -> None:
        """Nothing yet: a job that finds all its sightings in the cache starts no process and loads no model."""

    def renew(self) -> None:
        """A new job: what died in an earlier one may try again."""
        self._lost = ""

    def started(self) -> GuardedChild:
        """The process, with the watcher loaded.

        Raises:
            LeftOutError: it died before. EngineError: it cannot be set up.
        """
        if self._lost:
            raise LeftOutError(f"{self._lost} It is left out of the rest of the job.")
        if self._child is None:
            child = GuardedChild(_MODULE, (self.name,), self._limits.memory_bytes)
            try:
                _loaded(child, self._limits.patience_s)
            except GoneError as error:
                raise self.died(error) from error
            except EngineError:
                child.end()
                raise
            self._child = child
        return self._child

    def ask(self, message: Reply, data: Any = b"") -> Reply:
        """Ask and wait.

        Raises:
            EngineError: the watcher failed, or died (then it is left out from now on).
        """
        child = self.started()
        try:
            return _checked(child.ask(message, self._limits.patience_s, data))
        except GoneError as error:
            raise self.died(error) from error

    def post(self, message: Reply, data: Any) -> None:
        """Say something whose answer need not be waited for, as long as not too much is unanswered.

        Raises:
            EngineError: it died, or an earlier message failed.
        """
        child = self.started()
        try:
            child.post(message, self._limits.patience_s, data)
            while child.unanswered > _AHEAD:
                _checked(child.reply())
        except GoneError as error:
            raise self.died(error) from error

    def drained(self, *, strict: bool = True) -> None:
        """Wait until all that was posted is answered; unless ``strict``, whatever the answers are."""
        child = self.started()
        try:
            while child.unanswered:
                reply = child.reply()
                if strict:
                    _checked(reply)
        except GoneError as error:
            raise self.died(error) from error

    def died(self, error: GoneError) -> EngineError:
        self._child, self._lost = None, said_of(error)
        return EngineError(self._lost)


class GuardedPicture(Guard):
    """A picture watcher behind its process."""

    def __init__(self, name: str, face: Any, limits: Limits) -> None:
        super().__init__(name, face, limits)
        self._number = 0
        self._left: list[int] = []

    @property
    def wish(self) -> FrameWish:
        return self._face.wish  # type: ignore[no-any-return]

    def open(self, clip: Clip) -> _Session:
        # What an earlier session left unanswered is of no interest any more.
        self.drained(strict=False)
        left, self._left = self._left, []
        self._number += 1
        self.ask({"do": "open", "session": self._number, "left": left, "clip": records.of_clip(clip)})
        return _Session(self, self._number)

    def leave(self, session: int) -> None:
        """Nobody will finish ``session``; the watcher hears of it with the next one."""
        self._left.append(session)


class _Session:
    """The near end of a session: pictures are sent no larger and no more often than the watcher wishes."""

    def __init__(self, guard: GuardedPicture, number: int) -> None:
        self._guard, self._number = guard, number
        self._due_s: Fraction | None = None
        self._left = weakref.finalize(self, guard.leave, number)

    def see(self, frame: Frame) -> None:
        if self._due_s is not None and frame.time_s < self._due_s:
            return
        if (rate_hz := self._guard.wish.rate_hz) > 0:
            # A little early is better than a whole frame late.
            self._due_s = frame.time_s + Fraction(3, 4) / Fraction(rate_hz)
        rgb = frame.at(self._guard.wish.width)
        message = {"do": "see", "session": self._number, "time": str(frame.time_s), "shape": list(rgb.shape[:2])}
        self._guard.post(message, rgb.tobytes())

    def finish(self) -> Sequence[Sighting]:
        self._guard.drained()
        reply = self._guard.ask({"do": "finish", "session": self._number})
        self._left.detach()
        return records.sightings(reply["rows"])


class GuardedSound(Guard):
    """A sound watcher behind its process."""

    @property
    def sample_rate_hz(self) -> int:
        return int(self._face.sample_rate_hz)

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        """See :class:`immersivaudio.engine.watchers.SoundWatcher`."""
        if self.name == _BESIDE and (edit.duration_s < _BESIDE_FROM_S or not edit.sound_clips()):
            return self._face.listen(edit, blocks)  # type: ignore[no-any-return]
        waiting = iter(blocks)
        reply = self.ask({"do": "listen", "edit": records.of_edit(edit)})
        while reply["is"] == "next":
            block = self._next(waiting)
            if block is None:
                reply = self.ask({"do": "end"})
            else:
                reply = self.ask({"do": "block"}, block.astype("float32").tobytes())
        return records.sightings(reply["rows"])

    def _next(self, blocks: Iterator[Samples]) -> Samples | None:
        """The next block; where there is none because somebody stopped the job, the process goes: it waits for one."""
        try:
            return next(blocks, None)
        except BaseException:
            child, self._child = self._child, None
            if child is not None:
                child.end()
            raise
