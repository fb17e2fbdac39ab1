# SPDX-License-Identifier: AGPL-3.0-or-later
"""The gate: no take is accepted unheard. A bad one is performed again with another seed, then by the next performer.

A *fatal* fault (silent, short, clipped, no numbers) is never accepted from anybody. Any other fault (attacks that lie
off, holes, a constant offset, far too loud, speech or music that nobody asked for) is accepted with a note when nobody did
better.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from immersivaudio.engine.audio import Block, decibels
from immersivaudio.engine.bwf import WavWriter
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue
from immersivaudio.engine.errors import CancelledError, EngineError, OutputError, ResultError
from immersivaudio.engine.models import attacks
from immersivaudio.engine.models.listening import Ears
from immersivaudio.engine.performers import Brief, Performer
from immersivaudio.engine.sounds import BY_ID, Motion

_LOG = logging.getLogger(__name__)
RESEEDS = 2
# What passes far away may be faint; all else comes at a reference level.
_SILENT, _SILENT_PASSING = 10 ** (-60 / 20), 10 ** (-80 / 20)
_HOLE = 10 ** (-75 / 20)
_MOSTLY = 0.5
_FLAT_LEAST, _FLAT_SHARE, _TOO_LOUD = 16, 0.001, 2.0
_OFFSET_TO_RMS, _OFFSET_FLOOR = 0.3, 0.003
_LATE_MS, _REACH_MS = 15.0, 60.0
_MOSTLY_OFF = 0.2
# Sounds that swell to their moment have no attack to measure.
_SWELLING = frozenset({"whoosh"})
_LONGEST_SEED = 0x7FFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a take: ``text`` completes "audioldm2 gave ..."; a fatal one is never delivered."""

    name: str
    text: str
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Performance:
    """An accepted take: float32 WAV at ``path``, ``[2, samples]`` at 48 kHz; ``notes`` say what happened before."""

    performer: Performer
    seed: int
    path: Path
    samples: int
    peak: float
    notes: tuple[str, ...] = ()


class Judge:
    """Listens to a take block by block and keeps numbers only: one a millisecond where attacks matter."""

    def __init__(self, cue: Cue, wanted: int, rate_hz: int = SAMPLE_RATE_HZ, ears: Ears | None = None) -> None:
        self._ears = ears
        self.peak = 0.0
        self.samples = 0
        self._cue, self._wanted, self._rate_hz = cue, wanted, rate_hz
        self._sum, self._power, self._flat = np.zeros(2), 0.0, 0
        self._finite = True
        self._levels: list[attacks.Levels] = []
        self._rest = np.zeros(0, np.float32)

    def hear(self, block: Block) -> None:
        """float32 ``[2, n]``."""
        self.samples += block.shape[1]
        if not np.isfinite(block).all():
            self._finite = False
            return
        if self._ears is not None:
            self._ears.hear(block)
        loudest = np.abs(block).max(axis=0) if block.shape[1] else np.zeros(0, np.float32)
        self.peak = max(self.peak, float(loudest.max(initial=0.0)))
        self._sum += block.sum(axis=1, dtype=np.float64)
        self._power += float(np.square(block, dtype=np.float64).sum())
        level = (loudest[1:] == loudest[:-1]) & (loudest[1:] > 0.5 * self.peak)
        self._flat += int(np.count_nonzero(level))
        self._rest = np.concatenate([self._rest, loudest])
        levels = attacks.envelope(self._rest, self._rate_hz)
        self._rest = self._rest[len(levels) * (self._rate_hz // 1000) :]
        self._levels.append(levels)

    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with all that was heard; empty when nothing is."""
        if self.samples != self._wanted:
            return (Fault("short", f"{self.samples} samples instead of {self._wanted}", True),)
        if not self._wanted:
            return ()
        if not self._finite:
            return (Fault("numbers", "numbers that are no sound", True),)
        if self.peak < self._least_peak():
            return (Fault("silent", f"silence (peak {decibels(self.peak):.0f} dBFS)", True),)
        found = [self._clipped(), self._constant(), self._holes(), self._off()]
        if self._ears is not None:
            found += [Fault(one.name, one.text) for one in self._ears.unasked()]
        return tuple(fault for fault in found if fault is not None)

    def _least_peak(self) -> float:
        sound = BY_ID.get(self._cue.sound)
        return _SILENT_PASSING if sound is not None and sound.motion is Motion.MOVING else _SILENT

    def _clipped(self) -> Fault | None:
        """Flat tops at any level: a take is float, so that one that merely passes full scale has lost nothing."""
        if self._flat > max(_FLAT_LEAST, _FLAT_SHARE * self.samples):
            return Fault("clipped", "a clipped sound", True)
        if self.peak > _TOO_LOUD:
            return Fault("loud", f"a sound with a peak of {decibels(self.peak):+.1f} dBFS")
        return None

    def _constant(self) -> Fault | None:
        """A constant offset: not asked of sounds under half a second, whose lows may not add up to nothing."""
        mean = float(np.abs(self._sum / self.samples).max())
        rms = (self._power / (2 * self.samples)) ** 0.5
        if self.samples < self._rate_hz // 2 or mean < max(_OFFSET_FLOOR, _OFFSET_TO_RMS * rms):
            return None
        return Fault("offset", f"a constant offset of {mean:.3f}")

    def _holes(self) -> Fault | None:
        sound = BY_ID.get(self._cue.sound)
        levels = np.concatenate(self._levels)
        if sound is None or sound.motion is not Motion.SUSTAINED or sound.stem == "music" or len(levels) < 1000:
            return None
        empty = float(np.mean(levels < _HOLE))
        return Fault("holes", f"a sound that is {empty:.0%} silence") if empty > _MOSTLY else None

    def _off(self) -> Fault | None:
        sound = BY_ID.get(self._cue.sound)
        if sound is None or sound.motion is not Motion.STRUCK or sound.id in _SWELLING:
            return None
        wanted = [float(sync_s - self._cue.span.start_s) * 1000 for sync_s in self._cue.sync_s]
        wanted = sorted(moment for moment in wanted if 0 <= moment < self.samples * 1000 / self._rate_hz - 10)
        rise = attacks.rises(np.concatenate(self._levels))
        off = sum(_is_off(rise, wanted, index) for index in range(len(wanted)))
        if off <= _MOSTLY_OFF * len(wanted):
            return None
        return Fault("attacks", f"{off} of {len(wanted)} attacks off their moment")


def _is_off(rise: attacks.Levels, wanted: Sequence[float], index: int) -> bool:
    """Whether no attack lies within 15 ms of a moment; neighbours closer than twice the reach narrow the search."""
    near = [abs(wanted[other] - wanted[index]) / 2 for other in (index - 1, index + 1) if 0 <= other < len(wanted)]
    offset = attacks.offset_ms(rise, wanted[index], min([_REACH_MS, *near]))
    return offset is None or abs(offset) > _LATE_MS


def check(samples: Block, cue: Cue, wanted: int, rate_hz: int = SAMPLE_RATE_HZ) -> tuple[Fault, ...]:
    """What is wrong with a take ``[2, n]`` of ``cue`` that should be ``wanted`` samples long."""
    judge = Judge(cue, wanted, rate_hz)
    judge.hear(samples)
    return judge.faults()


def perform_gated(
    candidates: Sequence[Performer],
    brief: Brief,
    path: Path,
    prepare: Callable[[Performer], object] | None = None,
    *,
    lenient: bool = True,
) -> Performance:
    """Have ``brief`` performed by the first of ``candidates`` whose take passes, each with up to two new seeds.

    ``prepare`` is called before a performer's first take (its ``setup``, once a process, is the caller's). The WAV at
    ``path`` appears whole or not at all. Not ``lenient``: a fault that is not fatal is refused from the last one too,
    because the caller has others to ask.

    Raises:
        CancelledError: somebody stopped it. OutputError: ``path`` cannot be written.
        ResultError: nobody gave a take that may be delivered.
    """
    notes: list[str] = []
    for last, performer in enumerate(candidates, 1 - len(candidates)):
        took = _by_one(performer, brief, path, notes, prepare, lenient and last == 0)
        if took is not None:
            return took
    said = f" {notes[-1]}" if notes else ""
    raise ResultError(
        f"Nobody could perform the cue {brief.cue.id} ({brief.cue.sound}).{said}", "Mute the cue or change its sound."
    )


def _by_one(
    performer: Performer,
    brief: Brief,
    path: Path,
    notes: list[str],
    prepare: Callable[[Performer], object] | None,
    last: bool,
) -> Performance | None:
    """One performer's tries; with faults that are not fatal only from the ``last`` one, and only its last try."""
    try:
        if prepare is not None:
            prepare(performer)
        for attempt in range(RESEEDS + 1):
            took = _attempt(performer, _reseeded(brief, attempt), path, notes, last and attempt == RESEEDS)
            if took is not None:
                return took
    except (CancelledError, OutputError):
        raise
    except EngineError as error:
        notes.append(f"{performer.name} could not perform it: {error.message}")
    except Exception as error:
        # A plug-in's own mistake must not end a job that another performer can do.
        _LOG.warning("performer %s", performer.name, exc_info=True)
        notes.append(f"{performer.name} failed ({type(error).__name__}).")
    return None


def _reseeded(brief: Brief, attempt: int) -> Brief:
    if not attempt:
        return brief
    seed = (brief.cue.seed + attempt * 0x9E37_79B1) & _LONGEST_SEED
    return replace(brief, cue=replace(brief.cue, seed=seed))


def _attempt(performer: Performer, brief: Brief, path: Path, notes: list[str], lenient: bool) -> Performance | None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.try")
    try:
        judge = _record(performer, brief, partial)
        faults = judge.faults()
        if not faults or (lenient and not any(fault.fatal for fault in faults)):
            notes += [f"{performer.name} gave {fault.text}; nobody did better." for fault in faults]
            partial.replace(path)
            return Performance(performer, brief.cue.seed, path, judge.samples, judge.peak, tuple(notes))
        notes += [f"{performer.name} gave {fault.text} (seed {brief.cue.seed})." for fault in faults]
    except ResultError as error:
        notes.append(f"{error.message} (seed {brief.cue.seed})")
    finally:
        partial.unlink(missing_ok=True)
    return None


def _record(performer: Performer, brief: Brief, path: Path) -> Judge:
    # What rules and physics make holds nothing unasked; what a model makes may.
    ears = Ears(brief.cue) if getattr(performer, "generates", False) else None
    judge = Judge(brief.cue, brief.samples, ears=ears)
    with WavWriter(path) as writer:
        for block in performer.perform(brief):
            if brief.cancelled():
                raise CancelledError("Cancelled.")
            judge.hear(block)
            writer.write(block)
    return judge
