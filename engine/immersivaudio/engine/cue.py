# SPDX-License-Identifier: AGPL-3.0-or-later
"""The nouns: what passes between watch, spot, perform and mix. Frozen, standard library only.

Two clocks. *Record* time is the timeline's, in seconds from its first frame (the start timecode is kept apart in
``Edit.start_timecode_s``). *Source* time is the media's, in seconds from the media's first frame (its own start
timecode already subtracted). Both are exact :class:`fractions.Fraction`; seconds become samples once, in
:func:`samples_at`.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType

SAMPLE_RATE_HZ = 48_000
BY_EXAMPLE = "analogy"
"""The performer that a cue gets together with the example of its whole job."""
ParamValue = float | str
_NOTHING: Mapping[str, ParamValue] = MappingProxyType({})


class Stem(enum.StrEnum):
    """What a lane carries. DIALOGUE is the original sound; nothing of ours is ever put on it."""

    DIALOGUE = "dialogue"
    AMBIENCE = "ambience"
    FOLEY = "foley"
    EFFECTS = "effects"
    MUSIC = "music"


GENERATED_STEMS = (Stem.AMBIENCE, Stem.FOLEY, Stem.EFFECTS, Stem.MUSIC)
MUSIC_GROUPS = ("lead", "strings", "keys", "bass", "percussion")
"""The instrument groups that composed music may be delivered in, each a stem of its own."""


def samples_at(seconds: Fraction | float, sample_rate_hz: int = SAMPLE_RATE_HZ) -> int:
    """The sample nearest to ``seconds``: the one place where seconds become samples."""
    return round(Fraction(seconds) * sample_rate_hz)


def tidy(seconds: Fraction | float) -> Fraction:
    """``seconds`` to the nearest nanosecond, the grain of the cue sheet's file."""
    return Fraction(round(Fraction(seconds) * 1_000_000_000), 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in seconds; ``duration_s`` is never negative."""

    start_s: Fraction
    duration_s: Fraction

    def __post_init__(self) -> None:
        if self.duration_s < 0:
            raise ValueError(f"a span cannot last {float(self.duration_s)} s")

    @property
    def end_s(self) -> Fraction:
        return self.start_s + self.duration_s

    @classmethod
    def between(cls, start_s: Fraction, end_s: Fraction) -> Span:
        return cls(start_s, max(Fraction(0), end_s - start_s))

    def overlap(self, other: Span) -> Span | None:
        """What both cover, or None where that is nothing."""
        start, end = max(self.start_s, other.start_s), min(self.end_s, other.end_s)
        return Span(start, end - start) if end > start else None

    def contains(self, moment_s: Fraction) -> bool:
        return self.start_s <= moment_s < self.end_s


@dataclass(frozen=True, slots=True)
class Clip:
    """One conformed event of an edit.

    ``source`` is the range of media that is used, in media seconds from the media's first frame, always forwards;
    ``speed`` says how it is played: 1 as shot, 1/2 slow motion, 0 a freeze of ``source.start_s``, negative
    backwards. For ``speed`` other than 0, ``source.duration_s == record.duration_s * abs(speed)``. ``media`` is where the
    file was found, ``url`` what the timeline calls it (empty for titles and the like).
    """

    id: str
    name: str
    kind: str
    track: int
    media: str | None
    source: Span
    record: Span
    speed: Fraction = Fraction(1)
    enabled: bool = True
    channels: tuple[int, ...] = ()
    gain_db: float = 0.0
    fade_in_s: Fraction = Fraction(0)
    fade_out_s: Fraction = Fraction(0)
    rate: Fraction = Fraction(0)
    url: str = ""

    def record_at(self, source_s: Fraction) -> Fraction:
        """Where on the record clock a moment of the media is seen."""
        if self.speed == 0:
            return self.record.start_s
        if self.speed < 0:
            return self.record.start_s + (self.source.end_s - source_s) / -self.speed
        return self.record.start_s + (source_s - self.source.start_s) / self.speed

    def source_at(self, record_s: Fraction) -> Fraction:
        """Which moment of the media is seen at a moment of the record clock."""
        if self.speed == 0:
            return self.source.start_s
        offset = (record_s - self.record.start_s) * abs(self.speed)
        return self.source.end_s - offset if self.speed < 0 else self.source.start_s + offset

    def trimmed(self, record: Span) -> Clip:
        """The part of this clip that lies in ``record`` (a range inside ``self.record``)."""
        if self.speed == 0:
            return replace(self, record=record)
        ends = sorted((self.source_at(record.start_s), self.source_at(record.end_s)))
        return replace(self, record=record, source=Span.between(ends[0], ends[1]))


@dataclass(frozen=True, slots=True)
class Edit:
    """A conformed timeline: flat clips on exact time.

    ``clips`` hold every enabled and disabled event of every track; ``picture`` is what is actually seen: the topmost
    enabled video clip with media at each moment, in order, without overlap (gaps where nothing is seen).
    ``warnings`` say, one sentence each, what could not be honoured.
    """

    name: str
    rate: Fraction
    duration_s: Fraction
    start_timecode_s: Fraction = Fraction(0)
    drop_frame: bool = False
    clips: tuple[Clip, ...] = ()
    picture: tuple[Clip, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def record(self) -> Span:
        return Span(Fraction(0), self.duration_s)

    def sound_clips(self) -> tuple[Clip, ...]:
        """The enabled clips that carry the original sound."""
        return tuple(clip for clip in self.clips if clip.kind == "audio" and clip.enabled and clip.media)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a watcher saw or heard.

    ``span`` is on the source clock while a watcher works and on the record clock once the pipeline has gathered it.
    ``box`` is (x, y, width, height), each 0 to 1 of the frame. ``values`` are the watcher's numbers, unit in the name.
    """

    watcher: str
    label: str
    span: Span
    confidence: float
    box: tuple[float, float, float, float] | None = None
    values: Mapping[str, ParamValue] = field(default_factory=lambda: _NOTHING)
    id: str = ""


@dataclass(frozen=True, slots=True)
class GainPoint:
    """``gain_db`` at ``at_s`` seconds from the start of the cue; linear in dB between points, held outside."""

    at_s: float
    gain_db: float


@dataclass(frozen=True, slots=True)
class Example:
    """A recording that a cue is to sound like.

    ``path`` is where the engine finds it, ``name`` its file's name. ``licence`` is what its owner allows, in the words
    of whoever named it; empty: it is their own. ``sha256`` is that of its bytes, empty until the engine has read them.
    ``uploaded``: it came as a blob, and travels by its digest. ``events`` says which of its events (0 is the first)
    each sync point takes; empty: the engine chooses.
    """

    path: str
    name: str = ""
    licence: str = ""
    sha256: str = ""
    size_bytes: int = 0
    uploaded: bool = False
    events: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cue:
    """One thing to be heard, on the record clock, and why.

    ``sound`` is a name of the engine's vocabulary (``immersivaudio.engine.sounds``). ``sync_s`` are moments that must
    be hit to the sample. ``confidence`` (0 to 1) is how sure spotting is. ``locked`` cues survive a new spotting.
    ``example``: what it is to sound like, for the performer ``analogy``.
    """

    id: str
    stem: Stem
    span: Span
    sound: str
    prompt: str = ""
    why: str = ""
    sightings: tuple[str, ...] = ()
    sync_s: tuple[Fraction, ...] = ()
    params: Mapping[str, ParamValue] = field(default_factory=lambda: _NOTHING)
    gain_db: float = 0.0
    gain_curve: tuple[GainPoint, ...] = ()
    pan: float = 0.0
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0
    performer: str = ""
    seed: int = 0
    confidence: float = 1.0
    locked: bool = False
    muted: bool = False
    example: Example | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """A span in which nothing is added, on purpose, and the reason."""

    span: Span
    why: str


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """Where somebody speaks in the original sound; the mix leaves room there."""

    span: Span
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class CueSheet:
    """The result of spotting: cues in order of time, silences with their reason, and where to leave room for speech."""

    name: str
    rate: Fraction
    duration_s: Fraction
    cues: tuple[Cue, ...] = ()
    silences: tuple[Silence, ...] = ()
    speech: tuple[SpeechSpan, ...] = ()
    suggestions: tuple[Cue, ...] = ()
    warnings: tuple[str, ...] = ()
    start_timecode_s: Fraction = Fraction(0)
    drop_frame: bool = False

    def sounding(self) -> tuple[Cue, ...]:
        """The cues that are performed."""
        return tuple(cue for cue in self.cues if not cue.muted)


@dataclass(frozen=True, slots=True)
class Licence:
    """What may be done with a performance: SPDX id or name, commercial use, the line to paste, where it is from.

    ``territory`` is where the licence does not hold, ``condition`` what commercial use hangs on; empty for neither.
    """

    name: str
    commercial_use: bool
    attribution: str = ""
    source: str = ""
    territory: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """One performance of a cue: where its samples lie and where they come from.

    ``path`` is a float32 WAV, ``[2, samples]`` at 48 kHz, ``samples`` long. ``key`` names it by content: the same
    performer, version, weights, params, length and seed give the same key. ``pins`` are params that the performer chose
    itself (see ``performers.Choice``): with them among the cue's, it performs the very same again.
    """

    cue_id: str
    key: str
    path: str
    samples: int
    performer: str
    performer_version: str
    seed: int
    licence: Licence
    peak: float = 0.0
    notes: tuple[str, ...] = ()
    pins: Mapping[str, ParamValue] = field(default_factory=dict)


# Params of a cue that name what a performer took for it (see ``performers.Choice``), beside the sound's own knobs.
PINS = (
    "library", "library_seed", "library_file", "library_sha256", "library_in_s", "library_then",
    "example_sha256", "example_events",
)  # fmt: skip
# Those that only lead to a choice: what was chosen says it all, so they are no part of a take's key.
HINTS = ("library", "library_seed")
# Those that steer performers with models, whatever the sound (docs/models.md).
STEERING = ("steps", "guidance", "guide", "negative_prompt", "whole_window", "top_k")


def content_key(*parts: object) -> str:
    """sha256 over the canonical JSON of ``parts``; Fractions and dataclasses allowed."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)  # type: ignore[call-overload]
    raise TypeError(f"{type(value).__name__} has no place in a content key")
