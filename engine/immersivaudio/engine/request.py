# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a job is asked, what it says on its way and what it gives: the pipeline's face, standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from immersivaudio.engine.cue import CueSheet, Example, Stem


class Goal(StrEnum):
    """How far a job goes."""

    SPOT = "spot"
    DELIVER = "deliver"


GENERIC = "generic"
DIALECTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        GENERIC: (".otio",),
        "resolve": (".otio",),
        "premiere": (".xml",),
        "finalcut": (".fcpxml",),
        "kdenlive": (".kdenlive", ".mlt"),
        "blender": (".otio",),
    }
)
"""Whose terms a finished timeline is in, and the endings of its file. All but the generic one leave ducking out of the
stems: it is levels on the clips there."""


@dataclass(frozen=True, slots=True)
class DeliveryWish:
    """What is wanted back; the fields are those of ``Delivery`` in ``job.proto``."""

    outputs: tuple[str, ...] = ("stems", "otio", "report")
    container: str = ""
    audio_codec: str = ""
    loudness: str = "youtube"
    mix: float = 0.5
    original: str = "auto"
    dialect: str = GENERIC
    takes: int = 1
    takes_of: tuple[str, ...] = ()
    credentials: bool = False
    music_stems: bool = False


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One job. Exactly one of ``media``, ``timeline`` and ``timeline_json`` is set; paths are absolute and checked.

    ``example`` is what every cue of the fitting kind is to sound like.
    ``media_by_url`` maps a timeline's target_urls to paths. ``params`` are the effect's, by name.
    ``roots`` are the folders that a timeline's own target_urls may lead into (see ``access.check``); None allows all.
    """

    media: Path | None = None
    timeline: Path | None = None
    timeline_json: str = ""
    media_by_url: Mapping[str, Path] = field(default_factory=dict)
    name: str = ""
    effect: str = "soundtrack"
    params: Mapping[str, float | str | bool] = field(default_factory=dict)
    goal: Goal = Goal.DELIVER
    sheet: CueSheet | None = None
    delivery: DeliveryWish = DeliveryWish()
    roots: tuple[Path, ...] | None = None
    example: Example | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """``stage`` is conform, watch, spot, perform, mix or deliver; fractions 0 to 1."""

    stage: str
    stage_fraction: float
    job_fraction: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something could not be honoured: one sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Spotted:
    """The cue sheet is ready."""

    sheet: CueSheet


@dataclass(frozen=True, slots=True)
class Made:
    """A file is ready. ``kind`` is stem, mix, video, otio, timeline, cues, manifest, report or take."""

    name: str
    kind: str
    path: Path
    stem: Stem | None = None


Event = Progress | Warned | Spotted | Made
Emit = Callable[[Event], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a job may write: ``cache`` is shared by all jobs (content-keyed) and stays, ``scratch`` is its own."""

    cache: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job gave."""

    sheet: CueSheet
    made: tuple[Made, ...] = ()
    warnings: tuple[str, ...] = ()
