# SPDX-License-Identifier: AGPL-3.0-or-later
"""Resolve as it is open now: which build it is, what that build can do, and the edit that is on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .bridge.host import HostError, exact_rate

FREE_WAY = (
    "DaVinci Resolve 21.1 and newer runs scripts in Studio only. Without Studio: File > Export > Timeline as .otio, "
    "run `immersivaudio score cut.otio -o cut_scored.otio`, then File > Import > Timeline."
)


class NoResolveError(HostError):
    """This script is not running inside Resolve."""


def find_resolve(script: Mapping[str, Any]) -> Any:
    """Resolve's root object, from what it puts into a menu script or from its own module.

    Raises:
        NoResolveError: neither gives one.
    """
    if script.get("resolve"):
        return script["resolve"]
    try:
        scriptapp = script["bmd"].scriptapp if "bmd" in script else _scriptapp()
        resolve = scriptapp("Resolve")
    except (ImportError, AttributeError, SystemExit):
        resolve = None
    if resolve is None:
        raise NoResolveError("Resolve was not found. Start this from Workspace > Scripts inside DaVinci Resolve.")
    return resolve


def _scriptapp() -> Any:
    import DaVinciResolveScript

    return DaVinciResolveScript.scriptapp


def can(thing: Any, name: str) -> bool:
    """Whether an object of Resolve's has a method. Its ``hasattr`` is always true."""
    return name in dir(thing)


@dataclass(frozen=True)
class Build:
    """A version and an edition of Resolve, and what they can do."""

    version: tuple[int, ...]
    studio: bool

    @classmethod
    def of(cls, resolve: Any) -> Build:
        numbers = tuple(int(field) for field in resolve.GetVersion()[:3])
        return cls(numbers, "Studio" in str(resolve.GetProductName()))

    @property
    def text(self) -> str:
        return ".".join(str(number) for number in self.version)

    @property
    def runs_scripts(self) -> bool:
        return self.studio or self.version < (21, 1)

    @property
    def has_windows(self) -> bool:
        """Whether Fusion's UIManager may be used; on Free 19.1 and newer the attempt raises a modal window."""
        return self.studio or self.version < (19, 1)

    @property
    def counts_video_tracks(self) -> bool:
        """Whether an audio ``trackIndex`` is refused beyond the number of *video* tracks."""
        return self.version < (20, 2, 2)

    @property
    def names_clips(self) -> bool:
        return self.version >= (20, 2)

    @property
    def sets_levels(self) -> bool:
        return self.version >= (21, 1)


@dataclass(frozen=True)
class Edit:
    """The timeline that was open when the entry was chosen. Frames are Resolve's own: absolute, from the timecode."""

    resolve: Any
    project: Any
    timeline: Any
    build: Build
    rate: Fraction
    first_frame: int

    @property
    def pool(self) -> Any:
        return self.project.GetMediaPool()

    @property
    def name(self) -> str:
        return str(self.timeline.GetName())

    def is_open(self) -> bool:
        """Whether its project is still the one that is open."""
        now = self.resolve.GetProjectManager().GetCurrentProject()
        return now is not None and now.GetUniqueId() == self.project.GetUniqueId()


def open_edit(resolve: Any) -> Edit:
    """The edit on the screen.

    Raises:
        HostError: this edition runs no scripts, or no project or timeline is open.
    """
    build = Build.of(resolve)
    if not build.runs_scripts:
        raise HostError(FREE_WAY)
    project = resolve.GetProjectManager().GetCurrentProject()
    if project is None:
        raise HostError("No project is open. Open one, then try again.")
    timeline = project.GetCurrentTimeline()
    if timeline is None:
        raise HostError("No timeline is open. Open the one that lacks sound, then try again.")
    return Edit(resolve, project, timeline, build, rate_of(timeline), int(timeline.GetStartFrame()))


def rate_of(timeline: Any) -> Fraction:
    """The exact rate of a timeline; Resolve says 23.976, "29.97" or "29.97 DF"."""
    name = "timelineFrameRate"
    said = timeline.GetSetting(name) if can(timeline, "GetSetting") else timeline.GetSettings()[name]
    return exact_rate(float(str(said).split()[0]))
