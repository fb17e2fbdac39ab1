# SPDX-License-Identifier: AGPL-3.0-or-later
"""Takes become stems and a bounce: placed to the sample, ducked under speech, brought to a loudness preset.

Block by block and in several passes, so that memory does not grow with the length: levels are found by listening
first, then every stem is written once with the one master gain (and, where peaks ask for it, the one limiter curve)
that all of them share. So the stems always add up to the bounce.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from immersivaudio.engine import bwf, curves, levels, limiter
from immersivaudio.engine.audio import Block, amplitude, decibels
from immersivaudio.engine.cue import GENERATED_STEMS, CueSheet, GainPoint, Stem, Take, samples_at
from immersivaudio.engine.desk import BLOCK_SAMPLES, Desk, summed
from immersivaudio.engine.errors import CancelledError, RequestError, ResultError
from immersivaudio.engine.loudness import LoudnessMeter, TruePeakMeter, largest
from immersivaudio.engine.mix_checks import check_result
from immersivaudio.engine.placing import place

_TOLERANCE_LU = 1.0
_CLOSE_LU = 0.1
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


class _Ear:
    """Loudness, true peak, mean and soundness of numbers, heard block by block."""

    def __init__(self) -> None:
        self._loudness, self._peak = LoudnessMeter(), TruePeakMeter()
        self._sum, self._samples = 0.0, 0

    def hear(self, block: Block) -> None:
        total = float(block.sum(dtype=np.float64))
        if not np.isfinite(total):
            raise ResultError("The mix holds numbers that are no sound.", "Score again; if it stays so, report it.")
        self._loudness.push(block)
        self._peak.push(block)
        self._sum, self._samples = self._sum + total, self._samples + block.size

    def lufs(self) -> float | None:
        return self._loudness.integrated()

    def finish(self) -> tuple[float | None, float, float]:
        """Integrated loudness in LUFS, true peak in dBTP, mean."""
        return self.lufs(), self._peak.finish(), self._sum / max(1, self._samples)


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
    folder: Path,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> MixResult:
    """Mix ``takes`` (by cue id) into stems and a bounce under ``folder``, all exactly as long as the record.

    ``original`` is a float32 stereo WAV at 48 kHz on the record clock, or None.

    Raises:
        RequestError: an option makes no sense. MediaError: a take cannot be read. OutputError: no space left.
        ResultError: the mix is silent, clipped, short or no sound. CancelledError: ``cancelled()`` became true.
    """
    target = levels.preset(options.loudness)
    if not 0 <= options.mix <= 1:
        raise RequestError(f"A mix of {options.mix} makes no sense.", "Choose a mix from 0 to 1.")
    if options.mix == 0 and (original is None or not options.keep_original):
        raise RequestError("A mix of 0 is only the original sound, and there is none.", "Choose a mix above 0.")
    desk = _desk(sheet, takes, original if options.keep_original else None, options, cancelled, progress)
    trim_db = _speech_trim_db(desk, sheet)
    desk = replace(desk, generated_gain=desk.generated_gain * amplitude(trim_db))
    master, aim = _master(desk, target)
    stems, bounce = _write(desk, master, folder)
    result = MixResult(stems, bounce, master.gain_db, options, trim_db, _deepest(master))
    result = replace(result, warnings=(*_lacking(sheet, takes), *_level_warnings(result, target, aim)))
    check_result(sheet, result)
    return result


def _desk(
    sheet: CueSheet,
    takes: Mapping[str, Take],
    original: Path | None,
    options: MixOptions,
    cancelled: Callable[[], bool],
    progress: Callable[[float], None],
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
        cancelled=cancelled,
        progress=progress,
    )


def _speech_trim_db(desk: Desk, sheet: CueSheet) -> float:
    """How much the generated lanes are lowered so that they lie under the speech, measured where somebody speaks."""
    if desk.original is None or desk.original_gain == 0 or not desk.lanes:
        return 0.0
    speech, generated = LoudnessMeter(), LoudnessMeter()
    for said in sheet.speech:
        begin, end = samples_at(said.span.start_s), min(desk.total, samples_at(said.span.end_s))
        for first in range(max(0, begin), end, BLOCK_SAMPLES):
            if desk.cancelled():
                raise CancelledError("The mix was stopped.")
            count = min(BLOCK_SAMPLES, end - first)
            blocks = desk.block(first, count)
            speech.push(blocks.pop(Stem.DIALOGUE, np.zeros((2, count), np.float32)))
            generated.push(summed(blocks, count))
    return levels.speech_trim_db(speech.integrated(), generated.integrated())


def _master(desk: Desk, target: levels.Preset) -> tuple[_Master, levels.Aim]:
    """The master gain and limiter for ``target``, and what they aim at."""
    ear, tops = _Ear(), dict.fromkeys(desk.stems, 0.0)
    for _, count, blocks in desk.blocks(0.0, 0.35):
        for stem, block in blocks.items():
            tops[stem] = max(tops[stem], largest(block))
        ear.hear(summed(blocks, count))
    lufs, peak_db, _ = ear.finish()
    # A stem may peak where another takes the sum back; its own file must not clip there.
    peak_db = max(peak_db, *(decibels(top) for top in tops.values()))
    aim = levels.aim(target, lufs, beds_only={stem for stem, top in tops.items() if top > _HEARD} <= {Stem.AMBIENCE})
    if peak_db + aim.gain_db <= target.peak_db:
        return _Master(aim.gain_db), aim
    return _limited(desk, target.peak_db, target.peak_db + levels.LIMIT_DB - peak_db, aim), aim


def _limited(desk: Desk, peak_db: float, most: float, aim: levels.Aim) -> _Master:
    """A gain of at most ``most`` and a limiter under ``peak_db``, found by trying and listening, that meet ``aim``."""
    gain = min(aim.gain_db, most)
    floor = amplitude(peak_db - max(gain, most) - limiter.MARGIN_DB)
    whole = limiter.HopPeaks(desk.total, floor)
    hops = {name: limiter.HopPeaks(desk.total, floor, peaks=whole.peaks) for name in desk.stems} | {None: whole}
    for _, count, blocks in desk.blocks(0.35, 0.45):
        heard: dict[Stem | None, Block] = {None: summed(blocks, count)}
        heard |= dict[Stem | None, Block](blocks.items())
        for name, hop in hops.items():
            hop.push(heard.get(name, np.zeros((2, count), np.float32)))
    for hop in hops.values():
        hop.finish()
    peaks = whole.peaks
    master = _Master(gain, limiter.ride(peaks, gain, peak_db))
    for _ in range(_ROUNDS if aim.lufs is not None else 0):
        lack = (aim.lufs or 0.0) - (_lufs(desk, master) or aim.lufs or 0.0)
        gain = min(most, master.gain_db + lack)
        if abs(gain - master.gain_db) <= _CLOSE_LU:
            break
        master = _Master(gain, limiter.ride(peaks, gain, peak_db))
    return master


def _lufs(desk: Desk, master: _Master) -> float | None:
    meter = LoudnessMeter()
    for first, count, blocks in desk.blocks():
        meter.push(summed(blocks, count) * master.amplitudes(first, count))
    return meter.integrated()


def _write(desk: Desk, master: _Master, folder: Path) -> tuple[tuple[StemFile, ...], StemFile]:
    """Every stem and the bounce, measured as they are written."""
    ears = {name: _Ear() for name in (*desk.stems, None)}
    paths = {name: folder / f"{name or 'bounce'}.wav" for name in ears}
    with ExitStack() as stack:
        writers = {name: stack.enter_context(bwf.WavWriter(path, durable=False)) for name, path in paths.items()}
        for first, count, blocks in desk.blocks(0.5, 1.0):
            level, silence = master.amplitudes(first, count), np.zeros((2, count), np.float32)
            levelled: dict[Stem | None, Block] = {stem: block * level for stem, block in blocks.items()}
            levelled[None] = sum(levelled.values(), silence)
            for name, ear in ears.items():
                block = levelled.get(name, silence)
                writers[name].write(block)
                ear.hear(block)
    files = {
        name: StemFile(name, paths[name], desk.total, *ear.finish(), _placements(desk, name, master.gain_db))
        for name, ear in ears.items()
    }
    return tuple(files[stem] for stem in desk.stems), files[None]


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
