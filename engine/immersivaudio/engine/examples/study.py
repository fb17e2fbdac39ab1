# SPDX-License-Identifier: AGPL-3.0-or-later
"""What an example is: heard once by the engine's own ears, kept for the cues that follow, refused when it is no use."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import numpy as np

from immersivaudio.engine import conform, media, plugins
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Example, Licence, Sighting, Span, samples_at
from immersivaudio.engine.errors import CancelledError, MediaError, ResultError, UnavailableError
from immersivaudio.engine.examples.events import Event, events_of
from immersivaudio.engine.performers import Block

Cancelled = Callable[[], bool]
OWN = "user's own"
LONGEST_S = Fraction(300)
_SHORTEST_S, _SILENT = 0.05, 10 ** (-60 / 20)
_HOP = SAMPLE_RATE_HZ // 100
# Events stand out of what is between them by so much, the more the more there are of them: a fire's crackles do not.
_STANDS_OUT_DB, _MORE_DB_A_SECOND = 12.0, 1.0
_SPEECH_SHARE, _SPEECH_FROM, _AROUND_SPEECH_S = 0.5, 0.4, Fraction(1, 5)
_EDGE_S, _LEAST_STRETCH_S = 0.03, 0.4
_KEPT = 2
_SPOILT = ("speech", "silence", "dropout", "clipping")


class Kind(StrEnum):
    """EVENTS begin and die away; a TEXTURE goes on."""

    EVENTS = "events"
    TEXTURE = "texture"


@dataclass(frozen=True)
class Study:
    """``samples`` are float32 ``[2, n]`` at 48 kHz. ``stretches`` (first, last sample) are what a texture may be made
    of. ``cut_s`` is how much of a longer recording was heard, 0 for all of it."""

    name: str
    samples: Block
    kind: Kind
    events: tuple[Event, ...]
    stretches: tuple[tuple[int, int], ...]
    cut_s: float = 0.0


def identified(example: Example) -> Example:
    """``example`` with its name and the sha256 of its bytes as they are now.

    Raises:
        MediaError: it is not there or cannot be read.
    """
    path = Path(example.path)
    try:
        status = path.stat()
        digest = _sha256(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:
        raise MediaError(f"The example {example.name or path.name} cannot be read.", "Check its path.") from error
    name = example.name if example.uploaded else path.name
    return replace(example, name=name, sha256=digest, size_bytes=status.st_size)


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def licence_of(example: Example) -> Licence:
    """What may be done with a sound made of ``example``: what its owner allows.

    A name with NC in it (CC-BY-NC-4.0) or that says "non-commercial" allows no commercial use; one that asks for the
    author's name (CC-BY) is quoted as attribution.
    """
    name = example.licence.strip() or OWN
    words = name.lower().replace("_", "-").replace(" ", "-").split("-")
    refused = "nc" in words or "noncommercial" in words or "non-commercial" in "-".join(words)
    attribution = f"{example.name}, {name}" if "by" in words else ""
    source = f"the example {example.name} (sha256 {example.sha256})"
    return Licence(name, not refused, attribution, source)


def forbidden(example: Example) -> UnavailableError:
    """What to say of an example whose licence allows no commercial use, where that is wanted."""
    return UnavailableError(
        f"The example {example.name} may not be used commercially ({example.licence}).",
        "Name another one, or allow any licence (rights: any).",
    )


class _Shelf:
    """The last studies of this process: cues of one example come one after the other."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Study] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Study]) -> Study:
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
                if len(self._held) > _KEPT:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


_SHELF = _Shelf()


def study(example: Example, cancelled: Cancelled) -> Study:
    """Hear ``example`` and cut out its events.

    Raises:
        MediaError: it is broken, has no sound, or is silent. ResultError: there is nothing but speech.
        CancelledError: ``cancelled()`` became true.
    """
    known = identified(example)
    return _SHELF.get(known.sha256, lambda: _studied(known, cancelled))


def _studied(example: Example, cancelled: Cancelled) -> Study:
    path = Path(example.path)
    probe = _probed(path, example.name)
    heard_s = min(LONGEST_S, probe.audio[0].duration_s if not probe.video else probe.duration_s)
    samples = _decoded(path, Span(Fraction(0), heard_s), cancelled)
    _refuse_nothing(samples, example.name)
    sightings = _heard(probe, example.name, heard_s, samples, cancelled)
    spoken = [_wide(row.span) for row in sightings if row.label == "speech" and row.confidence >= _SPEECH_FROM]
    onsets = [row for row in sightings if row.label == "onset" and not _inside(row.span.start_s, spoken)]
    _refuse_speech(samples, spoken, onsets, example.name)
    kind = _kind(samples, onsets)
    events = events_of(samples, onsets, [samples_at(span.start_s) for span in spoken])
    if not events:
        kind = Kind.TEXTURE
    stretches = _stretches(samples, sightings, onsets if kind is Kind.TEXTURE else ())
    cut_s = float(heard_s) if probe.duration_s > heard_s else 0.0
    return Study(example.name, samples, kind, events, stretches, cut_s)


def _probed(path: Path, name: str) -> media.Probe:
    try:
        probe = media.probe(path)
    except MediaError as error:
        # An uploaded file is named as its owner does.
        raise MediaError(f"The example cannot be used: {error.message.replace(path.name, name)}", error.hint) from error
    if not probe.audio:
        raise MediaError(f"The example {name} has no sound.", "Name a clip or a sound file in which it is heard.")
    return probe


def _decoded(path: Path, span: Span, cancelled: Cancelled) -> Block:
    blocks = [*media.sound(path, span, cancelled=cancelled), np.zeros((2, 0), np.float32)]
    whole = np.concatenate(blocks, axis=1)
    # A recorder's constant offset would drown what is quiet between the events.
    return whole - whole.mean(axis=1, keepdims=True) if whole.shape[1] else whole


def _refuse_nothing(samples: Block, name: str) -> None:
    if samples.shape[1] < _SHORTEST_S * SAMPLE_RATE_HZ:
        raise MediaError(f"The example {name} is too short to hear.", "Name one of a tenth of a second or more.")
    if float(np.abs(samples).max()) < _SILENT:
        raise MediaError(f"The example {name} is silent.", "Name a recording in which the sound is heard.")


def _heard(
    probe: media.Probe, name: str, heard_s: Fraction, samples: Block, cancelled: Cancelled
) -> Sequence[Sighting]:
    """What the watcher ``hearing`` makes of it; nothing where that is not installed."""
    watcher = plugins.create("watchers", "hearing")
    if reason := watcher.available():
        raise MediaError(f"The example {name} cannot be judged. {reason}")
    watcher.setup()
    edit = replace(conform.single(probe, name), duration_s=heard_s)
    return watcher.listen(edit, _blocks(samples, cancelled))  # type: ignore[no-any-return]


def _blocks(samples: Block, cancelled: Cancelled) -> Iterator[Block]:
    for start in range(0, samples.shape[1], SAMPLE_RATE_HZ):
        if cancelled():
            raise CancelledError("Cancelled.")
        yield samples[:, start : start + SAMPLE_RATE_HZ]


def _wide(span: Span) -> Span:
    """Speech with its first breath and last consonant, which detectors leave out."""
    return Span.between(max(Fraction(0), span.start_s - _AROUND_SPEECH_S), span.end_s + _AROUND_SPEECH_S)


def _inside(moment_s: Fraction, spans: Sequence[Span]) -> bool:
    return any(span.contains(moment_s) for span in spans)


def _refuse_speech(samples: Block, spoken: Sequence[Span], onsets: Sequence[Sighting], name: str) -> None:
    """Speech is never laid under a picture: refuse a recording whose sound is mostly that."""
    levels = levels_db(samples)
    loud = levels > max(-60.0, float(np.percentile(levels, 95)) - 25.0)
    at_s = (np.arange(len(levels)) + 0.5) / 100
    said = np.zeros(len(levels), bool)
    for span in spoken:
        said |= (at_s >= float(span.start_s)) & (at_s < float(span.end_s))
    share = float((loud & said).sum() / max(1, loud.sum()))
    if share > _SPEECH_SHARE and not any(_strong(onset) for onset in onsets):
        raise ResultError(
            f"In the example {name} little but speech is heard, which is never laid under another picture.",
            "Name a recording of the sound alone.",
        )


def _strong(onset: Sighting) -> bool:
    value = onset.values.get("strength", 0.0)
    return isinstance(value, float) and value >= 0.6


def levels_db(samples: Block) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """RMS of every 10 ms of both channels, dBFS, held at -120: ``[n // 480]``."""
    count = samples.shape[1] // _HOP
    power = np.square(samples[:, : count * _HOP], dtype=np.float64).mean(axis=0).reshape(count, _HOP).mean(axis=1)
    return np.asarray(10 * np.log10(power + 1e-12))


def _kind(samples: Block, onsets: Sequence[Sighting]) -> Kind:
    levels = levels_db(samples)
    duration_s = max(1.0, samples.shape[1] / SAMPLE_RATE_HZ)
    if not onsets or len(levels) < 5:
        return Kind.TEXTURE
    usual, top = np.percentile(levels, [30, 99])
    wanted_db = _STANDS_OUT_DB + _MORE_DB_A_SECOND * len(onsets) / duration_s
    return Kind.EVENTS if top - usual >= wanted_db else Kind.TEXTURE


def _stretches(
    samples: Block, sightings: Sequence[Sighting], onsets: Sequence[Sighting]
) -> tuple[tuple[int, int], ...]:
    """The parts that go on undisturbed: no speech, gaps, clipping or lone loud events, and not the fades at the ends."""
    total = samples.shape[1]
    good = np.ones(total, bool)
    edge = round(_EDGE_S * SAMPLE_RATE_HZ)
    for row in sightings:
        if row.label in _SPOILT:
            good[max(0, samples_at(row.span.start_s) - edge) : samples_at(row.span.end_s) + edge] = False
    _bar_fades(samples, good)
    if len(onsets) <= 0.5 * total / SAMPLE_RATE_HZ:
        for onset in onsets:
            at, decay = samples_at(onset.span.start_s), float(onset.values.get("decay_s", 0.1))
            good[max(0, at - edge) : at + round((decay + 0.1) * SAMPLE_RATE_HZ)] = False
    found = _runs(good, round(_LEAST_STRETCH_S * SAMPLE_RATE_HZ))
    return found or ((0, total),)


def _bar_fades(samples: Block, good: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    levels = levels_db(samples)
    if len(levels) < 10:
        return
    loud = np.flatnonzero(levels >= np.median(levels) - 8.0)
    good[: loud[0] * _HOP] = False
    good[(loud[-1] + 1) * _HOP :] = False


def _runs(good: np.ndarray[tuple[int], np.dtype[np.bool_]], least: int) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple((int(first), int(last)) for first, last in pairs if last - first >= least)
