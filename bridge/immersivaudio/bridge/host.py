# SPDX-License-Identifier: Apache-2.0
"""What an editor must be able to do, and the one loop that uses it. Standard library only: this runs inside editors.

A *host* is an editor. It gathers its timeline as OpenTimelineIO JSON, lays finished lanes on audio tracks of its own
making, and can take the last result away again. It knows nothing of models: what it shows is described by the engine
(:mod:`immersivaudio.bridge.effect`). Writing one: ``docs/writing-an-editor-script.md``.
"""

from __future__ import annotations

import contextlib
import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

Json = dict[str, Any]


class Scope(enum.Enum):
    """How much of the edit is sent: the selected clips, the marked range, or everything."""

    SELECTION = "selection"
    RANGE = "range"
    WHOLE = "whole"


@dataclass(frozen=True)
class GainPoint:
    """``gain_db`` at ``at_s`` seconds from the start of the clip; linear in dB between points, held outside."""

    at_s: float
    gain_db: float


@dataclass(frozen=True)
class LaneClip:
    """One piece of finished sound: play ``path`` from ``source_offset_s`` at ``start_s`` on the record clock.

    Seconds are exact. Zero is the first frame of what was gathered. ``gain_db`` is what ``path`` still lacks and
    ``gain_curve`` adds to it. ``cue`` is what it is and why, as the engine wrote it: keep it with the clip, and it
    can be performed again alone.
    """

    name: str
    path: str
    start_s: Fraction
    duration_s: Fraction
    source_offset_s: Fraction = Fraction(0)
    gain_db: float = 0.0
    gain_curve: tuple[GainPoint, ...] = ()
    cue: Json = field(default_factory=dict)

    @property
    def end_s(self) -> Fraction:
        return self.start_s + self.duration_s

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "path": self.path,
            "start": exact_json(self.start_s),
            "duration": exact_json(self.duration_s),
            "source_offset": exact_json(self.source_offset_s),
            "gain_db": self.gain_db,
            "gain_curve": [{"at_s": point.at_s, "gain_db": point.gain_db} for point in self.gain_curve],
            "cue": self.cue,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LaneClip:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, ValueError: ``data`` is not what the bridge sends.
        """
        return cls(
            name=str(data["name"]),
            path=str(data["path"]),
            start_s=exact_seconds(data["start"]),
            duration_s=exact_seconds(data["duration"]),
            source_offset_s=exact_seconds(data["source_offset"]),
            gain_db=float(data.get("gain_db", 0.0)),
            gain_curve=tuple(GainPoint(float(p["at_s"]), float(p["gain_db"])) for p in data.get("gain_curve", ())),
            cue=dict(data.get("cue", {})),
        )


@dataclass(frozen=True)
class Lane:
    """One audio track to be made: ``stem`` is ambience, foley, effects or music; clips in order, without overlap."""

    name: str
    stem: str
    clips: tuple[LaneClip, ...]

    @property
    def group(self) -> str:
        """The instrument group that it holds, empty for a whole stem: ``group`` of its clips' ``cue``."""
        return next((str(clip.cue.get("group", "")) for clip in self.clips), "")

    def of_cue(self, cue_id: str) -> Lane:
        """The lane with the clips of one cue alone; it may hold none."""
        return Lane(self.name, self.stem, tuple(clip for clip in self.clips if clip.cue.get("cue") == cue_id))

    def to_json(self) -> Json:
        return {"name": self.name, "stem": self.stem, "clips": [clip.to_json() for clip in self.clips]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lane:
        clips = tuple(LaneClip.from_json(clip) for clip in data["clips"])
        return cls(str(data["name"]), str(data["stem"]), clips)


@dataclass(frozen=True)
class Receipt:
    """What a host really placed, read back from the editor and not assumed. ``problems`` are sentences."""

    placed: int
    wanted: int
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return self.placed == self.wanted

    def __str__(self) -> str:
        return " ".join((f"placed {self.placed}/{self.wanted}", *self.problems))


class Host(Protocol):
    """An editor.

    ``capabilities`` are words such as ``sub-frame``, ``gain-curves`` and ``undo``. None of the user's own clips, locks,
    marks or selection may differ after any of these calls.
    """

    name: str
    version: str
    capabilities: tuple[str, ...]

    def gather(self, scope: Scope) -> Json:
        """The timeline as OTIO JSON (a ``Timeline.1`` object); its first frame is zero on the record clock.

        Raises:
            HostError: there is nothing to send.
        """

    def lay(self, lanes: Sequence[Lane]) -> Receipt:
        """Place every clip on tracks that were free, in one undo step where the editor has undo."""

    def remove_last(self) -> int:
        """Take the last result away again; how many clips went."""


class HostError(Exception):
    """A sentence for the person at the editor: what is wrong and what to try."""


class LinkError(HostError):
    """The bridge or the engine refused. ``reason`` is stable, e.g. ``MEDIA_UNREADABLE``; ``hint`` says what to try."""

    def __init__(self, message: str, hint: str = "", reason: str = "") -> None:
        super().__init__(" ".join(part for part in (message, hint) if part))
        self.message = message
        self.hint = hint
        self.reason = reason


class Link(Protocol):
    """The way to the bridge: :class:`immersivaudio.bridge.stdio.Link` is the one that editors use."""

    def ask(self, method: str, params: Json, timeout_s: float = ...) -> Any:
        """Call and wait for the answer. Raises LinkError."""

    def next_event(self, timeout_s: float) -> Json | None:
        """The next notification, or None when none came in time. Raises LinkError when the bridge is gone."""


@dataclass(frozen=True)
class Order:
    """What a person asked for: an effect, its params by name, how much of the edit, and where the files go."""

    folder: str
    scope: Scope = Scope.WHOLE
    effect: str = "soundtrack"
    params: Mapping[str, Any] = field(default_factory=dict)
    cue_sheet: Json | None = None


def run(
    host: Host, link: Link, order: Order, show: Callable[[Json], None] = lambda event: None, timeout_s: float = math.inf
) -> Receipt:
    """Gather, render and lay, waiting for each: for editors whose scripts may block.

    ``show`` is given every event; whatever it raises (``KeyboardInterrupt`` too) cancels the job and is raised again.

    Raises:
        HostError: with a sentence for the person; nothing was laid then.
    """
    greet(host, link)
    job = str(link.ask("render", request_of(host, order))["job"])
    return host.lay(performed(link, job, order.folder, show, timeout_s))


def performed(
    link: Link, job: str, folder: str, show: Callable[[Json], None], timeout_s: float = math.inf
) -> tuple[Lane, ...]:
    """What a job of ``render`` made, once it is done; its files lie in ``folder`` then.

    Raises:
        HostError: with a sentence for the person.
    """
    _wait(link, job, show, timeout_s)
    result = link.ask("result", {"job": job, "folder": folder}, math.inf)
    return tuple(Lane.from_json(lane) for lane in result["lanes"])


def spotted(link: Link, job: str, show: Callable[[Json], None]) -> Json:
    """The cue sheet of a job of ``spot``, once it is done: for a person to change, and ``render`` to perform.

    Raises:
        HostError: with a sentence for the person.
    """
    sheets: list[Json] = []

    def heard(event: Json) -> None:
        if event["method"] == "cue_sheet":
            sheets.append(dict(event["params"]["cue_sheet"]))
        show(event)

    _wait(link, job, heard, math.inf)
    if not sheets:
        raise HostError("The engine gave no cue sheet. Score the edit without one.")
    return sheets[-1]


def greet(host: Host, link: Link) -> None:
    """Say who calls: the first call to a bridge."""
    link.ask("handshake", {"host": {"name": host.name, "version": host.version, "capabilities": [*host.capabilities]}})


def request_of(host: Host, order: Order) -> Json:
    """What is sent to ``spot`` and ``render``, gathered now."""
    request: Json = {"timeline": host.gather(order.scope), "effect": order.effect, "params": dict(order.params)}
    if order.cue_sheet is not None:
        request["cue_sheet"] = order.cue_sheet
    return request


def _wait(link: Link, job: str, show: Callable[[Json], None], timeout_s: float) -> None:
    waited_s = 0.0
    try:
        while waited_s < timeout_s:
            event = link.next_event(1.0)
            if event is None:
                waited_s += 1.0
                continue
            if event["params"].get("job") != job:
                continue
            show(event)
            if event["method"] == "done":
                return
            if event["method"] == "failed":
                raise failure(event["params"])
        raise HostError(f"Nothing was heard from the engine for {timeout_s:.0f} s. See its log, then try again.")
    except BaseException:
        with contextlib.suppress(LinkError):
            link.ask("cancel", {"job": job})
        raise


def failure(params: Mapping[str, Any]) -> LinkError:
    """The error that a ``failed`` notification speaks of."""
    message = str(params.get("message") or "The job failed.")
    return LinkError(message, str(params.get("hint", "")), str(params.get("reason", "")))


def exact_json(seconds: Fraction) -> Json:
    """Exact seconds for the line: ``{"num": 1001, "den": 24000}``."""
    return {"num": seconds.numerator, "den": seconds.denominator}


def exact_seconds(data: Mapping[str, Any]) -> Fraction:
    """The inverse of :func:`exact_json`."""
    return Fraction(int(data["num"]), int(data["den"]))


def exact_rate(frames: float, base: float = 1.0) -> Fraction:
    """The exact frame rate behind an editor's rounded one: 23.976024 (or 24 and 1.001) is 24000/1001.

    Broadcast rates are multiples of 1000/1001 (SMPTE ST 12-1); anything else is the nearest fraction in thousandths.

    Raises:
        ValueError: not a rate.
    """
    rate = frames / base
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"{frames}/{base} is no frame rate")
    for candidate in (Fraction(round(rate)), Fraction(round(rate * 1.001) * 1000, 1001)):
        if candidate and abs(float(candidate) - rate) < 1e-4 * rate:
            return candidate
    return Fraction(rate).limit_denominator(1001)
