# SPDX-License-Identifier: AGPL-3.0-or-later
"""Takes become stems and a bounce: placed to the sample, ducked under speech, brought to a loudness preset.

Block by block and in several passes, so that memory does not grow with the length: levels are found by listening
first, then every stem is written once with the one master gain (and, where peaks ask for it, the one limiter curve)
that all of them share. So the stems always add up to the bounce. What is measured is kept by content (metering.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import bwf, curves, levels, limiter
from immersivaudio.engine.audio import Block, amplitude, decibels
from immersivaudio.engine.cue import GENERATED_STEMS, SAMPLE_RATE_HZ, CueSheet, GainPoint, Stem, Take, samples_at
from immersivaudio.engine.desk import Desk
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.loudness import STEP, gated
from immersivaudio.engine.metering import (
    LEAD,
    Group,
    Meters,
    Numbers,
    Peaks,
    Reading,
    integrated,
    mean,
    true_peak_db,
)
from immersivaudio.engine.mix_checks import check_result
from immersivaudio.engine.placing import place

_TOLERANCE_LU = 1.0
_CLOSE_LU = 0.15
_ROUNDS = 4
# A lane that never comes above this sample value is not counted as heard.
_HEARD = 1e-4


@dataclass(frozen=True, slots=True)
class MixOptions:
    """``mix`` 0 is only the original, 1 only the generated, 0.5 both at their own level."""

    loudness: str = "youtube"
    mix: float = 0.5
    keep_original: bool = True

    @property
    def under_speech(self) -> bool:
        """Whether speech of the original is heard, so that what is generated makes room for it."""
        return self.keep_original and self.mix < 1


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a cue lies in its stem, in record samples, and the gain it got in all but its fades and the limiter.

    ``gain_curve`` counts from the cue's start; the cue's own gain, ducking and the master gain are in it.
    """

    cue_id: str
    start: int
    samples: int
    gain_curve: tuple[GainPoint, ...]


@dataclass(frozen=True, slots=True)
class StemFile:
    """A float32 WAV ``[2, samples]`` at 48 kHz, as long as the record. ``stem`` None is the bounce.

    ``integrated_lufs`` is None and ``silent`` True where nothing is above -70 LUFS. ``dc`` is the mean sample.
    """

    stem: Stem | None
    path: Path
    samples: int
    integrated_lufs: float | None
    true_peak_db: float
    dc: float
    placements: tuple[Placement, ...] = ()

    @property
    def silent(self) -> bool:
        return self.integrated_lufs is None


@dataclass(frozen=True, slots=True)
class MixResult:
    """``stems`` (the kept original as DIALOGUE among them) add up to ``bounce``.

    ``gain_db`` is the master gain of all, ``trim_db`` what the generated ones were lowered by to lie under speech,
    ``limited_db`` the deepest the limiter went (0 or less).
    """

    stems: tuple[StemFile, ...]
    bounce: StemFile
    gain_db: float
    options: MixOptions
    trim_db: float = 0.0
    limited_db: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Booth:
    """Where a mix is made: its files go into ``folder``, what the meters read is kept in ``cache`` (None: nowhere).

    ``cancelled`` is asked before every block, ``progress`` told after it (0 to 1).
    """

    folder: Path
    cache: Path | None = None
    cancelled: Callable[[], bool] = lambda: False
    progress: Callable[[float], None] = lambda fraction: None


@dataclass(frozen=True)
class _Master:
    """The gain that everything gets: one number, and the limiter's curve where there is one."""

    gain_db: float
    ride: limiter.GainRide | None = None

    def amplitudes(self, first: int, count: int) -> Block | np.float32:
        level = np.float32(amplitude(self.gain_db))
        ridden = 1.0 if self.ride is None else self.ride.amplitudes(first, count)
        return level if isinstance(ridden, float) else level * ridden


def mix(
    sheet: CueSheet,
    takes: Mapping[str, Take],
    original: Path | None,
    options: MixOptions,
    booth: Booth,
) -> MixResult:
    """Mix ``takes`` (by cue id) into stems and a bounce, all exactly as long as the record.

    ``original`` is a float32 stereo WAV at 48 kHz on the record clock, or None.

    Raises:
        RequestError: an option makes no sense. MediaError: a take cannot be read. OutputError: no space left.
        ResultError: the mix is silent, clipped, short or no sound. CancelledError: ``booth.cancelled()`` became true.
    """
    target = levels.preset(options.loudness)
    if not 0 <= options.mix <= 1:
        raise RequestError(f"A mix of {options.mix} makes no sense.", "Choose a mix from 0 to 1.")
    if options.mix == 0 and (original is None or not options.keep_original):
        raise RequestError("A mix of 0 is only the original sound, and there is none.", "Choose a mix above 0.")
    desk = _desk(sheet, takes, original if options.keep_original else None, options, booth)
    trim_db = _speech_trim_db(Meters(desk, booth.cache), sheet)
    desk = replace(desk, generated_gain=desk.generated_gain * amplitude(trim_db))
    console = _Console(Meters(desk, booth.cache))
    master, aim = console.master(target)
    stems, bounce = console.write(master, booth.folder)
    result = MixResult(stems, bounce, master.gain_db, options, trim_db, _deepest(master))
    result = replace(result, warnings=(*_lacking(sheet, takes), *_level_warnings(result, target, aim)))
    check_result(sheet, result)
    return result


def _desk(
    sheet: CueSheet,
    takes: Mapping[str, Take],
    original: Path | None,
    options: MixOptions,
    booth: Booth,
) -> Desk:
    original_gain = min(1.0, 2 - 2 * options.mix)
    voices = place(sheet, takes, under_speech=options.under_speech)
    lanes = {stem: tuple(voice for voice in voices if voice.stem is stem) for stem in GENERATED_STEMS}
    return Desk(
        total=samples_at(sheet.duration_s),
        lanes={stem: own for stem, own in lanes.items() if own},
        original=original,
        generated_gain=min(1.0, 2 * options.mix),
        original_gain=original_gain,
        cancelled=booth.cancelled,
        progress=booth.progress,
    )


def _speech_trim_db(meters: Meters, sheet: CueSheet) -> float:
    """How much the generated lanes are lowered so that they lie under the speech, measured where somebody speaks."""
    desk = meters.desk
    if desk.original is None or desk.original_gain == 0 or not desk.lanes or not sheet.speech:
        return 0.0
    groups = ((Stem.DIALOGUE,), tuple(desk.lanes))
    spoken = _spoken_steps(sheet, desk.total)

    def heard(first: int) -> list[Numbers]:
        here = spoken[first // STEP :][: desk.count(first) // STEP]
        return [reading.steps[here] for reading in meters.read(first, groups)] if here.any() else []

    chosen = [steps for steps in desk.told(heard) if steps]
    if not chosen:
        return 0.0
    said, ours = (np.concatenate(side) for side in zip(*chosen, strict=True))
    return levels.speech_trim_db(*(gated(steps, 0.0, len(steps) * STEP) for steps in (said, ours)))


def _spoken_steps(sheet: CueSheet, total: int) -> NDArray[np.bool_]:
    """For every whole tenth of a second of the record, whether somebody speaks in its middle."""
    spoken = np.zeros(total // STEP, bool)
    for said in sheet.speech:
        begin, end = (round(float(moment) * SAMPLE_RATE_HZ / STEP) for moment in (said.span.start_s, said.span.end_s))
        spoken[max(0, begin) : max(0, end)] = True
    return spoken


@dataclass(frozen=True)
class _Console:
    """The meters of a desk whose lanes are balanced: finds the master gain and writes the files."""

    meters: Meters

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every stem alone, and all of them."""
        stems = self.meters.desk.stems
        return (*((stem,) for stem in stems), stems)

    @functools.cached_property
    def plain(self) -> dict[int, list[Reading]]:
        """What each of the groups reads before the master gain, by the block's first sample."""
        desk = self.meters.desk
        read = desk.told(lambda first: self.meters.read(first, self.groups), 0.0, 0.35)
        return dict(zip(desk.firsts(), read, strict=True))

    def master(self, target: levels.Preset) -> tuple[_Master, levels.Aim]:
        """The master gain and limiter for ``target``, and what they aim at."""
        *lanes, whole = zip(*self.plain.values(), strict=True)
        tops = {stem: max(one.top for one in lane) for stem, lane in zip(self.meters.desk.stems, lanes, strict=True)}
        # A stem may peak where another takes the sum back; its own file must not clip there.
        peak_db = max(true_peak_db(whole), *(decibels(top) for top in tops.values()))
        heard = {stem for stem, top in tops.items() if top > _HEARD}
        aim = levels.aim(target, integrated(whole), beds_only=heard <= {Stem.AMBIENCE})
        if peak_db + aim.gain_db <= target.peak_db:
            return _Master(aim.gain_db), aim
        return self._limited(target.peak_db, peak_db, aim), aim

    def _limited(self, limit_db: float, peak_db: float, aim: levels.Aim) -> _Master:
        """A gain and a limiter that keep ``limit_db``, found by trying and listening, that meet ``aim``."""
        most = limit_db + levels.LIMIT_DB - peak_db
        gain = levels.stepped(aim.gain_db, most)
        peaks = self._peaks(limit_db - max(gain, most) - limiter.MARGIN_DB)
        master = _Master(gain, limiter.ride(peaks, gain, limit_db))
        for _ in range(_ROUNDS if aim.lufs is not None else 0):
            lack = (aim.lufs or 0.0) - (self._lufs(master) or aim.lufs or 0.0)
            gain = levels.stepped(master.gain_db + lack, most)
            if abs(gain - master.gain_db) < _CLOSE_LU:
                break
            master = _Master(gain, limiter.ride(peaks, gain, limit_db))
        return master

    def _peaks(self, floor_db: float) -> NDArray[np.float32]:
        """The highest true peak of the bounce and of every stem for each 2 ms, where it may exceed the floor."""
        # A whole decibel, so that the peaks that are kept serve as well when the level moved a little.
        floor = amplitude(math.floor(floor_db))
        hops = limiter.HopPeaks(self.meters.desk.total, floor)

        def found(first: int) -> Peaks | None:
            loud = any(reading.true_peak > floor for reading in self.plain[first])
            return self.meters.peaks(first, self.groups, floor) if loud else None

        for peaks in self.meters.desk.told(found, 0.35, 0.45):
            if peaks is not None:
                hops.note(*peaks)
        return hops.peaks

    def _lufs(self, master: _Master) -> float | None:
        bounce = self.groups[-1:]
        read = list(self.meters.desk.told(lambda first: self._reading(first, bounce, master)[-1]))
        return integrated(read)

    def _reading(self, first: int, groups: tuple[Group, ...], master: _Master) -> list[Reading]:
        """What ``groups`` read after the master; measured only where the limiter moves."""
        still = master.ride is None or master.ride.still(first - LEAD, self.meters.desk.count(first) + LEAD)
        read = self.plain[first][-len(groups) :] if still else self.meters.read(first, groups, master.ride)
        return [reading.louder(master.gain_db) for reading in read]

    def write(self, master: _Master, folder: Path) -> tuple[tuple[StemFile, ...], StemFile]:
        """Every stem and the bounce, and what they read."""
        desk, names = self.meters.desk, (*self.meters.desk.stems, None)
        paths = {name: folder / f"{name or 'bounce'}.wav" for name in names}
        read: dict[Stem | None, list[Reading]] = {name: [] for name in names}
        with ExitStack() as stack:
            writers = {name: stack.enter_context(bwf.WavWriter(path, durable=False)) for name, path in paths.items()}
            for levelled, readings in desk.told(lambda first: self._done(first, master), 0.5, 1.0):
                for name, reading in zip(names, readings, strict=True):
                    writers[name].write(levelled[name])
                    read[name].append(reading)
        files = {name: _file(name, paths[name], read[name], _placements(desk, name, master.gain_db)) for name in names}
        return tuple(files[stem] for stem in desk.stems), files[None]

    def _done(self, first: int, master: _Master) -> tuple[dict[Stem | None, Block], list[Reading]]:
        desk, count = self.meters.desk, self.meters.desk.count(first)
        blocks, level = desk.block(first, count), master.amplitudes(first, count)
        silence = np.zeros((2, count), np.float32)
        levelled: dict[Stem | None, Block] = {stem: blocks.get(stem, silence) * level for stem in desk.stems}
        levelled[None] = sum(levelled.values(), silence)
        return levelled, self._reading(first, self.groups, master)


def _file(stem: Stem | None, path: Path, read: list[Reading], placements: tuple[Placement, ...]) -> StemFile:
    samples = sum(reading.samples for reading in read)
    return StemFile(stem, path, samples, integrated(read), true_peak_db(read), mean(read), placements)


def _placements(desk: Desk, stem: Stem | None, gain_db: float) -> tuple[Placement, ...]:
    voices = desk.lanes.get(stem, ()) if stem is not None else ()
    lift = gain_db + decibels(desk.generated_gain)
    return tuple(
        Placement(voice.cue_id, voice.start, voice.samples, curves.add(voice.curve, (), lift)) for voice in voices
    )


def _deepest(master: _Master) -> float:
    return 0.0 if master.ride is None else master.ride.deepest_db


def _lacking(sheet: CueSheet, takes: Mapping[str, Take]) -> tuple[str, ...]:
    return tuple(
        f"Cue {cue.id} ({cue.sound}) was not performed and is missing from the mix."
        for cue in sheet.sounding()
        if cue.id not in takes
    )


def _level_warnings(result: MixResult, target: levels.Preset, aim: levels.Aim) -> tuple[str, ...]:
    said = [f"The {file.stem} stem is silent." for file in result.stems if file.silent and file.placements]
    said += [
        f"The {file.stem} stem alone peaks at {file.true_peak_db:.1f} dBTP: its 24-bit file is clipped there."
        for file in result.stems
        if file.true_peak_db > 0
    ]
    reached, wanted = result.bounce.integrated_lufs, target.integrated_lufs
    if reached is None or wanted is None or aim.lufs is None or abs(reached - wanted) <= _TOLERANCE_LU:
        return tuple(said)
    peaks = f"more would take over {levels.LIMIT_DB:.0f} dB off its peaks"
    why = aim.why if aim.why and reached > aim.lufs - _TOLERANCE_LU else peaks
    return (*said, f"The mix is at {reached:.1f} LUFS, not at {wanted:.0f}: {why}.")
