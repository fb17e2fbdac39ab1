# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a library's file sounds: its level, its attacks, its loudest moment. Decoded by ``media`` in a child process,
when a cue first asks for the file or when the user has all of them heard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import media
from immersivaudio.engine.audio import decibels
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Span
from immersivaudio.engine.errors import CancelledError, EngineError, MediaError
from immersivaudio.engine.library.index import Index
from immersivaudio.engine.library.records import Entry, Heard
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import attacks

Cancelled = Callable[[], bool]
HEARD_S = 600
# Attacks are looked for in the first half minute: as many blows as anybody needs, in a time that stays small.
STRUCK_S = 30
_FLOOR_DB = -120.0
_HOP = SAMPLE_RATE_HZ // 10


def listen(path: Path, duration_s: float, cancelled: Cancelled) -> Heard:
    """Hear the first ten minutes of ``path``.

    Raises:
        MediaError: it cannot be decoded. CancelledError.
    """
    meter, peak = LoudnessMeter(), 0.0
    powers: list[NDArray[np.float64]] = []
    begin: list[NDArray[np.float32]] = []
    span = Span(Fraction(0), Fraction(min(duration_s, HEARD_S)).limit_denominator(SAMPLE_RATE_HZ))
    rest = np.zeros((2, 0), np.float32)
    for block in media.sound(path, span, cancelled=cancelled):
        meter.push(block)
        loudest = np.abs(block).max(axis=0)
        peak = max(peak, float(loudest.max(initial=0.0)))
        if len(begin) < STRUCK_S:
            begin.append(loudest)
        rest = np.concatenate([rest, block], axis=1)
        whole = rest.shape[1] // _HOP * _HOP
        powers.append(np.square(rest[:, :whole], dtype=np.float64).reshape(2, -1, _HOP).mean(axis=(0, 2)))
        rest = rest[:, whole:]
    if rest.shape[1]:
        powers.append(np.array([np.square(rest, dtype=np.float64).mean()]))
    if not begin:
        raise MediaError(f"{path.name} holds no sound that can be decoded.", "Play it in a player.")
    return _heard(meter, peak, np.concatenate(begin), np.concatenate(powers))


def _heard(meter: LoudnessMeter, peak: float, begin: NDArray[np.float32], powers: NDArray[np.float64]) -> Heard:
    levels_db, loudest_s = contour(powers)
    found = attacks.find(begin, SAMPLE_RATE_HZ) if begin.any() else []
    strong = sorted(one.sample for one in found if one.peak >= 0.25 * found[0].peak)
    return Heard(
        meter.integrated(),
        round(max(decibels(peak), _FLOOR_DB), 2),
        tuple(round(sample * 1000 / SAMPLE_RATE_HZ) for sample in strong[:500]),
        tuple(round(level) for level in levels_db),
        loudest_s,
    )


def contour(powers: NDArray[np.float64]) -> tuple[list[float], float]:
    """The level of each second in dB, and the middle of the loudest 400 ms in seconds; ``powers`` are of every 100 ms."""
    momentary = np.convolve(powers, np.ones(4), "same")
    seconds = [powers[first : first + 10].mean() for first in range(0, len(powers), 10)]
    levels_db = [max(_FLOOR_DB, float(10 * np.log10(power + 1e-12))) for power in seconds]
    return levels_db, round((float(momentary.argmax()) + 0.5) / 10, 2)


def heard(index: Index, entry: Entry, cancelled: Cancelled) -> Entry:
    """``entry`` with what it sounds like, and its sha256; heard now where the index does not know it yet.

    Raises:
        EngineError: it cannot be heard, or is not the file that was indexed; the index remembers why. CancelledError.
    """
    _same_file(entry)
    if entry.heard is None:
        entry = _hear(index, entry, cancelled)
    if not entry.sha256:
        entry = replace(entry, sha256=digest(entry.file))
        index.note_sha256(entry, entry.sha256)
    return entry


def hear_all(index: Index, library: str, cancelled: Cancelled, report: Callable[[int, int], None]) -> tuple[int, int]:
    """Hear every file that was not heard yet, of one library or of all; how many, and how many of them are faulty.

    Raises:
        CancelledError: what was heard by then is kept.
    """
    waiting = [one for one in index.entries("heard='' AND fault=''") if library in ("", one.folder.name)]
    faulty = 0
    for number, entry in enumerate(waiting, 1):
        if cancelled():
            raise CancelledError("Stopped; what was heard so far is kept.")
        try:
            _hear(index, entry, cancelled)
        except CancelledError:
            raise CancelledError("Stopped; what was heard so far is kept.") from None
        except EngineError:
            faulty += 1
        report(number, len(waiting))
    return len(waiting), faulty


def _hear(index: Index, entry: Entry, cancelled: Cancelled) -> Entry:
    try:
        known = listen(entry.file, entry.notes.duration_s, cancelled)
    except CancelledError:
        raise
    except EngineError as error:
        index.note_heard(entry, None, error.message)
        raise
    index.note_heard(entry, known)
    return replace(entry, heard=known)


def _same_file(entry: Entry) -> None:
    try:
        status = entry.file.lstat()
    except OSError as error:
        raise MediaError(f"{entry.file.name} is not there any more.", "Run `immersivaudio library update`.") from error
    real = entry.file.resolve()
    if (status.st_size, status.st_mtime_ns) != (entry.size_bytes, entry.mtime_ns):
        raise MediaError(f"{entry.file.name} has changed since it was indexed.", "Run `immersivaudio library update`.")
    if not real.is_relative_to(entry.folder.path.resolve()):
        raise MediaError(f"{entry.file.name} lies outside its library.", "Remove the link.")


def digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
