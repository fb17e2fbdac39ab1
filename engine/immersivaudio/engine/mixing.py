# SPDX-License-Identifier: AGPL-3.0-or-later
"""Takes become stems and a bounce: placed to the sample, ducked under speech, brought to a loudness preset.

Block by block and in several passes, so that memory does not grow with the length: levels are found by listening
first, then every stem is written once with the one master gain (and, where peaks ask for it, the one limiter curve)
that all of them share. So the stems always add up to the bounce. What is measured is kept by content (metering.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine import balance, bwf, curves, levels
from immersivaudio.engine.audio import amplitude, decibels
from immersivaudio.engine.console import Console, Master
from immersivaudio.engine.cue import (
    GENERATED_STEMS,
    MUSIC_GROUPS,
    SAMPLE_RATE_HZ,
    CueSheet,
    GainPoint,
    Stem,
    Take,
    samples_at,
)
from immersivaudio.engine.desk import Desk
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.loudness import STEP, gated
from immersivaudio.engine.metering import Meters, Numbers, Reading, integrated, mean, true_peak_db
from immersivaudio.engine.mix_checks import check_result
from immersivaudio.engine.placing import Voice, ducking, place

_TOLERANCE_LU = 1.0
Parts = Mapping[str, Mapping[str, Take]]
"""Takes by cue id and instrument group."""


@dataclass(frozen=True, slots=True)
class MixOptions:
    """``mix`` 0 is only the original, 1 only the generated, 0.5 both at their own level. ``balance``: beds make room
    for what is struck (see ``balance.py``)."""

    loudness: str = "youtube"
    mix: float = 0.5
    keep_original: bool = True
    balance: bool = True

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
    ``group`` is the instrument group that it holds, empty for a whole stem.
    """

    stem: Stem | None
    path: Path
    samples: int
    integrated_lufs: float | None
    true_peak_db: float
    dc: float
    placements: tuple[Placement, ...] = ()
    group: str = ""

    @property
    def name(self) -> str:
        """What the lane is called, in its file's name too: ``foley``, ``music-strings``; ``mix`` for the bounce."""
        stem = "mix" if self.stem is None else self.stem.value
        return f"{stem}-{self.group}" if self.group else stem

    @property
    def silent(self) -> bool:
        return self.integrated_lufs is None


@dataclass(frozen=True, slots=True)
class MixResult:
    """``stems`` (the kept original as DIALOGUE among them) add up to ``bounce``, ``groups`` to the music among them
    (but where a limiter bent a take); none where music was not asked for in groups.

    ``gain_db`` is the master gain of all, ``trim_db`` what the generated ones were lowered by to lie under speech,
    ``limited_db`` the deepest the limiter went (0 or less), ``rides`` what all cues of a lane do alike on the record
    clock: they make room for speech and for what is struck.
    """

    stems: tuple[StemFile, ...]
    bounce: StemFile
    gain_db: float
    options: MixOptions
    trim_db: float = 0.0
    limited_db: float = 0.0
    rides: Mapping[Stem, curves.Curve] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    groups: tuple[StemFile, ...] = ()

    @property
    def lanes(self) -> tuple[StemFile, ...]:
        """What is delivered: every stem, the music in groups where there are any."""
        whole = tuple(file for file in self.stems if not (self.groups and file.stem is Stem.MUSIC))
        return (*whole, *self.groups)


@dataclass(frozen=True, slots=True)
class Booth:
    """Where a mix is made: its files go into ``folder``, what the meters read is kept in ``cache`` (None: nowhere).

    ``cancelled`` is asked before every block, ``progress`` told after it (0 to 1).
    """

    folder: Path
    cache: Path | None = None
    cancelled: Callable[[], bool] = lambda: False
    progress: Callable[[float], None] = lambda fraction: None


def mix(
    sheet: CueSheet,
    takes: Mapping[str, Take],
    original: Path | None,
    options: MixOptions,
    booth: Booth,
    parts: Parts = MappingProxyType({}),
) -> MixResult:
    """Mix ``takes`` (by cue id) into stems and a bounce, all exactly as long as the record.

    ``original`` is a float32 stereo WAV at 48 kHz on the record clock, or None. ``parts`` are the takes of music cues
    by instrument group: levels are found with the whole takes, then each group is written under the same gains.

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
    room = _room(sheet, desk, target, booth.cache) if options.balance else balance.Room()
    console, trim_db = _trimmed(room.on(desk), sheet, booth.cache)
    master, aim = console.master(target)
    *stems, bounce = _write(console, master, booth.folder, (*console.meters.desk.stems, None))
    rides = _rides(sheet, room, options)
    groups = tuple(_group_files(console, master, booth, parts))
    result = MixResult(tuple(stems), bounce, master.gain_db, options, trim_db, _deepest(master), rides, groups=groups)
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


def _room(sheet: CueSheet, desk: Desk, target: levels.Preset, cache: Path | None) -> balance.Room:
    """The most room for blows with which the mix still comes to ``target``."""
    blows = balance.heard(sheet, desk)
    if not blows:
        return balance.Room()
    console, _ = _trimmed(desk, sheet, cache)
    forecast = balance.Forecast(console.steps, console.peak_db, target)
    return balance.most_room(sheet, desk, blows, forecast)


def _trimmed(desk: Desk, sheet: CueSheet, cache: Path | None) -> tuple[Console, float]:
    """The console of ``desk`` with everything generated under the speech, and how much it was lowered for that."""
    trim_db = _speech_trim_db(Meters(desk, cache), sheet)
    return Console(Meters(replace(desk, generated_gain=desk.generated_gain * amplitude(trim_db)), cache)), trim_db


def _rides(sheet: CueSheet, room: balance.Room, options: MixOptions) -> dict[Stem, curves.Curve]:
    """What each lane does on the record clock, whatever its cues: it ducks under speech, beds dip under blows."""
    rides = ducking(sheet) if options.under_speech else {}
    if room.dips:
        rides[Stem.AMBIENCE] = curves.add(rides.get(Stem.AMBIENCE, ()), room.dips)
    return rides


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


def _group_files(console: Console, master: Master, booth: Booth, parts: Parts) -> Iterator[StemFile]:
    """The music of each group as it lies in the mix; cues without groups are left over as a group without a name."""
    desk = console.meters.desk
    lane = desk.lanes.get(Stem.MUSIC, ()) if parts else ()
    for group in (*MUSIC_GROUPS, ""):
        voices = tuple(found for voice in lane if (found := _played_by(voice, group, parts)) is not None)
        if voices:
            alone = replace(desk, lanes={Stem.MUSIC: voices}, original=None, progress=lambda fraction: None)
            folder = booth.folder / f"{Stem.MUSIC}-{group}"
            folder.mkdir(exist_ok=True)
            (file,) = _write(Console(Meters(alone, booth.cache)), master, folder, (Stem.MUSIC,))
            yield replace(file, group=group)


def _played_by(voice: Voice, group: str, parts: Parts) -> Voice | None:
    """What ``group`` plays of a voice: one without groups is whole in the group without a name."""
    if voice.cue_id not in parts:
        return None if group else voice
    take = parts[voice.cue_id].get(group)
    return None if take is None else replace(voice, path=Path(take.path), take=take.key)


def _write(console: Console, master: Master, folder: Path, names: Sequence[Stem | None]) -> list[StemFile]:
    """The stems that are named and (None) the bounce, with what they read."""
    desk = console.meters.desk
    paths = {name: folder / f"{name or 'bounce'}.wav" for name in names}
    read: dict[Stem | None, list[Reading]] = {name: [] for name in names}
    with ExitStack() as stack:
        writers = {name: stack.enter_context(bwf.WavWriter(path, durable=False)) for name, path in paths.items()}
        for levelled, readings in console.done(master):
            heard = dict(zip((*desk.stems, None), readings, strict=True))
            for name in names:
                writers[name].write(levelled[name])
                read[name].append(heard[name])
    return [_file(name, paths[name], read[name], _placements(desk, name, master.gain_db)) for name in names]


def _file(stem: Stem | None, path: Path, read: list[Reading], placements: tuple[Placement, ...]) -> StemFile:
    samples = sum(reading.samples for reading in read)
    return StemFile(stem, path, samples, integrated(read), true_peak_db(read), mean(read), placements)


def _placements(desk: Desk, stem: Stem | None, gain_db: float) -> tuple[Placement, ...]:
    voices = desk.lanes.get(stem, ()) if stem is not None else ()
    lift = gain_db + decibels(desk.generated_gain)
    return tuple(
        Placement(voice.cue_id, voice.start, voice.samples, curves.add(voice.curve, (), lift)) for voice in voices
    )


def _deepest(master: Master) -> float:
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
        f"The {file.name} stem alone peaks at {file.true_peak_db:.1f} dBTP: its 24-bit file is clipped there."
        for file in (*result.stems, *result.groups)
        if file.true_peak_db > 0
    ]
    reached, wanted = result.bounce.integrated_lufs, target.integrated_lufs
    if reached is None or wanted is None or aim.lufs is None or abs(reached - wanted) <= _TOLERANCE_LU:
        return tuple(said)
    peaks = f"more would take over {levels.LIMIT_DB:.0f} dB off its peaks"
    why = aim.why if aim.why and reached > aim.lufs - _TOLERANCE_LU else peaks
    return (*said, f"The mix is at {reached:.1f} LUFS, not at {wanted:.0f}: {why}.")
