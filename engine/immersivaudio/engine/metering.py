# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the meters of a mix read, block by block, kept by content: what sounds as it did is not measured again.

A reading rests on nothing but the block and the tenth of a second before it, in which the weighting filter and the
interpolation of true peaks settle. So a mix that changed in one place is measured anew in that place, and the sum of
all readings is to the bit what it would be if everything were measured anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import housekeeping
from immersivaudio.engine.audio import Block, amplitude, decibels
from immersivaudio.engine.cue import Stem, content_key
from immersivaudio.engine.desk import Desk, summed
from immersivaudio.engine.errors import ResultError
from immersivaudio.engine.limiter import GainRide, peaks_in
from immersivaudio.engine.loudness import STEP, TAPS, LoudnessMeter, gated, largest

LEAD = STEP
# Changes whenever a reading may.
_VERSION = 1
_HEAD = 4

Group = tuple[Stem, ...]
Peaks = tuple[int, NDArray[np.intp], NDArray[np.float32]]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one sum of lanes over one block: its largest sample, true peak (linear), the sum of all its samples, and its
    K-weighted power in ``steps`` of a tenth of a second and the ``rest`` that fills none."""

    samples: int
    top: float
    true_peak: float
    total: float
    rest: float
    steps: Numbers

    def louder(self, gain_db: float) -> Reading:
        """What it would read if everything were ``gain_db`` louder."""
        gain = amplitude(gain_db)
        power = gain * gain
        return Reading(
            self.samples,
            self.top * gain,
            self.true_peak * gain,
            self.total * gain,
            self.rest * power,
            self.steps * power,
        )


def integrated(readings: Sequence[Reading]) -> float | None:
    """LUFS of consecutive blocks; None where nothing is above -70."""
    steps = np.concatenate([reading.steps for reading in readings]) if readings else np.zeros(0)
    return gated(steps, readings[-1].rest if readings else 0.0, sum(reading.samples for reading in readings))


def true_peak_db(readings: Sequence[Reading]) -> float:
    return decibels(max((reading.true_peak for reading in readings), default=0.0))


def mean(readings: Sequence[Reading]) -> float:
    """The mean sample of both channels: the offset."""
    return sum(reading.total for reading in readings) / max(1, 2 * sum(reading.samples for reading in readings))


@dataclass(frozen=True)
class Meters:
    """Reads ``desk``; what was read lies in ``cache`` (None: nothing is kept)."""

    desk: Desk
    cache: Path | None

    def read(self, first: int, groups: Sequence[Group], ride: GainRide | None = None) -> list[Reading]:
        """One reading for each of ``groups`` (lanes that are added up) over the block at ``first``, under ``ride``.

        Raises:
            ResultError: the block holds numbers that are no sound.
        """
        level = None if ride is None else ride.amplitudes(first - LEAD, self.desk.count(first) + LEAD)
        ridden = "" if level is None or isinstance(level, float) else hashlib.sha256(level.tobytes()).hexdigest()
        key = self._key("reading", first, [list(group) for group in groups], ridden)
        rows = self._kept(key)
        if rows is None:
            sums = self._sums(first, groups)
            heard = sums if level is None else [block * level for block in sums]
            rows = np.array([_measured(block, self._ends(first)) for block in heard])
            self._keep(key, rows)
        return [_reading(self.desk.count(first), row) for row in rows]

    def peaks(self, first: int, groups: Sequence[Group], floor: float) -> Peaks:
        """Where a true peak of any of ``groups`` may exceed ``floor``: the record sample to count from,
        samples from there in order, and the peaks (see ``HopPeaks.note``)."""
        key = self._key("peaks", first, [list(group) for group in groups], floor)
        rows = self._kept(key)
        if rows is None:
            found = [peaks_in(_tail(block, self._ends(first)), floor) for block in self._sums(first, groups)]
            rows = np.array([np.concatenate(part) for part in zip(*found, strict=True)], np.float64)
            rows = rows[:, np.argsort(rows[0], kind="stable")]
            self._keep(key, rows)
        return first - TAPS + 1, rows[0].astype(np.intp), rows[1].astype(np.float32)

    def _sums(self, first: int, groups: Sequence[Group]) -> list[Block]:
        """Each group over the block and LEAD before it."""
        count = self.desk.count(first) + LEAD
        blocks = self.desk.block(first - LEAD, count)
        return [summed({stem: blocks[stem] for stem in group if stem in blocks}, count) for group in groups]

    def _ends(self, first: int) -> bool:
        return first + self.desk.count(first) >= self.desk.total

    def _key(self, kind: str, first: int, *more: object) -> str:
        if self.cache is None:
            return ""
        content = self.desk.content(first - LEAD, self.desk.count(first) + LEAD)
        return content_key(kind, _VERSION, content, self._ends(first), *more)

    def _place(self, key: str) -> Path:
        assert self.cache is not None
        return housekeeping.kept(self.cache, "mix", f"{key}.npy")

    def _kept(self, key: str) -> Numbers | None:
        if not key:
            return None
        try:
            rows: Numbers = np.load(self._place(key), allow_pickle=False)
            housekeeping.use(self._place(key))
        except (OSError, ValueError, EOFError):
            return None
        return rows

    def _keep(self, key: str, rows: Numbers) -> None:
        if not key:
            return
        place = self._place(key)
        partial = place.with_name(f".{key}.{os.getpid()}.{threading.get_ident()}.partial")
        # What cannot be kept is measured again next time.
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.save(file, rows, allow_pickle=False)
            partial.replace(place)


def _reading(samples: int, row: Numbers) -> Reading:
    top, peak, total, rest = (float(number) for number in row[:_HEAD])
    return Reading(samples, top, peak, total, rest, row[_HEAD:])


def _tail(block: Block, ends: bool) -> Block:
    """The block with so much before it as peaks between its samples need; at the end of the record, after it as well."""
    heard = block[:, LEAD - TAPS + 1 :]
    return np.concatenate([heard, np.zeros((2, TAPS), np.float32)], axis=1) if ends else heard


def _measured(block: Block, ends: bool) -> Numbers:
    """A reading as numbers: top, true peak, total, rest, steps."""
    own = block[:, LEAD:]
    total, top = float(own.sum(dtype=np.float64)), largest(own)
    if not np.isfinite(total):
        raise ResultError("The mix holds numbers that are no sound.", "Score again; if it stays so, report it.")
    meter = LoudnessMeter()
    meter.push(block)
    peak = max(top, float(peaks_in(_tail(block, ends), top)[1].max(initial=0.0)))
    return np.concatenate([[top, peak, total, meter.rest], meter.steps[1:]])
