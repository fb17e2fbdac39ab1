# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a model's sound to a take: windows joined, 48 kHz, two channels, reference level, attacks on their moments.

Any performer that generates sound uses this; it knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine import audio
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, samples_at
from immersivaudio.engine.errors import CancelledError, ResultError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import attacks
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion

Mono = NDArray[np.float32]
Wave = NDArray[np.float32]
SUSTAINED_LUFS = -26.0
STRUCK_PEAK_DB = -12.0
_BLOCK = SAMPLE_RATE_HZ
_TAIL_S = 2.5
_CONTEXT = 64
_SPREAD = 24 * 48
_WIDTH = 0.35
_FULL_SCALE = 0.999
_REACH = 60 * 48
_MOSTLY_KEPT = 0.2


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of native samples that is generated at once."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


def windows(wanted: int, longest: int, overlap: int, grain: int) -> list[Window]:
    """Cover ``wanted`` samples by windows of at most ``longest`` that overlap by ``overlap``; all multiples of
    ``grain``, so that a few lengths serve every cue."""
    found = [Window(0, min(longest, rounded_up(wanted, grain)))]
    while found[-1].end < wanted:
        start = found[-1].end - overlap
        found.append(Window(start, min(longest, rounded_up(max(wanted - start, 2 * overlap), grain))))
    return found


def rounded_up(value: int, grain: int) -> int:
    """To whole grains, at least one."""
    return -(-max(value, 1) // grain) * grain


def join(parts: Sequence[Wave], spans: Sequence[Window], wanted: int) -> Wave:
    """The windows ``[channels, n]`` laid over one another at constant power: ``[channels, wanted]``."""
    joined = np.zeros((parts[0].shape[0], max(span.end for span in spans)), np.float32)
    for index, (part, span) in enumerate(zip(parts, spans, strict=True)):
        faded = part[:, : span.length].copy()
        if index and (overlap := spans[index - 1].end - span.start) > 0:
            old = joined[:, span.start : span.start + overlap]
            faded[:, :overlap] = audio.crossfade(old, faded[:, :overlap])
        joined[:, span.start : span.start + faded.shape[1]] = faded
    return joined[:, :wanted]


def is_struck(cue: Cue) -> bool:
    """Whether the cue is blows at given moments (else it is made as one stretch)."""
    sound = BY_ID.get(cue.sound)
    return bool(cue.sync_s) and (sound is None or sound.motion is Motion.STRUCK)


def is_finite(wave: Wave) -> bool:
    return bool(np.isfinite(wave).all())


def refuse_broken(wave: Wave, name: str) -> None:
    """Refuse what a model gave when it is no sound.

    Raises:
        ResultError: not finite, silent, or held at full scale for a hundredth of its time.
    """
    if not is_finite(wave):
        raise ResultError(f"{name} gave numbers that are no sound.")
    if float(np.abs(wave).max(initial=0.0)) < 1e-5:
        raise ResultError(f"{name} gave silence.")
    if float(np.mean(np.abs(wave) > _FULL_SCALE)) > 0.01:
        raise ResultError(f"{name} gave a clipped sound.")


def centred(wave: Wave, rate_hz: int) -> Wave:
    """Without what lies below 20 Hz: vocoders leave a constant offset. Zero phase, so that attacks stay in place."""
    high_pass = scipy.signal.butter(1, 20, "highpass", fs=rate_hz, output="sos")
    return np.asarray(scipy.signal.sosfiltfilt(high_pass, wave.astype(np.float64), axis=1), np.float32)


def sustained(wave: Wave, rate_hz: int, brief: Brief, ending_s: float = 0.0) -> Iterator[Block]:
    """Blocks of a sound that goes on, at -26 LUFS, ``brief.samples`` in all; ``wave`` is at least as long.

    ``ending_s``: it fades to nothing over its last seconds, the last sample being the first silent one.
    """
    gain = _level_gain(wave, rate_hz, brief)
    ending = min(round(ending_s * SAMPLE_RATE_HZ), brief.samples // 2)
    for start in range(0, brief.samples, _BLOCK):
        obey(brief)
        block = stereo(wave, rate_hz, start, min(_BLOCK, brief.samples - start)) * gain
        if ending:
            left = brief.samples - 1 - np.arange(start, start + block.shape[1])
            block *= np.sin(np.clip(left / ending, 0, 1) * (np.pi / 2)).astype(np.float32) ** 2
        yield block


def _level_gain(mono: Wave, rate_hz: int, brief: Brief) -> np.float32:
    """What brings the cue to -26 LUFS; a cue under two seconds is heard with what the model gave beyond it."""
    meter = LoudnessMeter()
    heard = max(brief.samples, min(2 * _BLOCK, mono.shape[1] * SAMPLE_RATE_HZ // rate_hz))
    for start in range(0, heard, _BLOCK):
        obey(brief)
        meter.push(stereo(mono, rate_hz, start, min(_BLOCK, heard - start)))
    # The meter does not hear below -70 LUFS, and a model's own level says nothing: bring its mean power up first.
    power = meter.mean_power()
    first_db = -23.0 - 10 * float(np.log10(power)) if power > 0 else 0.0
    loudness = meter.integrated(first_db)
    return np.float32(audio.amplitude(first_db + SUSTAINED_LUFS - loudness) if loudness is not None else 0.0)


def stereo(wave: Wave, rate_hz: int, start: int, count: int) -> Block:
    """``count`` samples at 48 kHz from ``start`` on, ``[2, count]``. Mono lies in the middle, a decorrelated copy of it
    at the sides with opposite sign, so that their sum is the model's own sound again."""
    up, down = SAMPLE_RATE_HZ // gcd(SAMPLE_RATE_HZ, rate_hz), rate_hz // gcd(SAMPLE_RATE_HZ, rate_hz)
    # The first sample read is a multiple of ``down`` so that every block resamples on the same grid.
    first = max(0, (start * down // up - _CONTEXT - _SPREAD) // down * down)
    last = (start + count) * down // up + _CONTEXT
    both = scipy.signal.resample_poly(wave[:, first:last].astype(np.float64), up, down, axis=1)
    if len(both) == 1:
        side = _spread(both[0]) * _WIDTH
        both = np.stack([both[0] + side, both[0] - side])
    offset = start - first * up // down
    both = both[:2, offset : offset + count]
    return np.pad(both, ((0, 0), (0, count - both.shape[1]))).astype(np.float32)


def _spread(middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """``middle`` through 24 ms of velvet noise: one +-1 every 2 ms at a chosen place, the same in every take."""
    random = np.random.default_rng(1)
    delays = np.arange(12) * (_SPREAD // 12) + random.integers(0, _SPREAD // 12, 12)
    side = np.zeros_like(middle)
    for delay, sign in zip(delays, random.choice([-1.0, 1.0], 12), strict=True):
        side[delay:] += sign * middle[: max(0, len(middle) - delay)]
    return np.asarray(side / np.sqrt(12))


def struck(wave: Wave, rate_hz: int, brief: Brief, following: bool = False) -> Iterator[Block]:
    """Blocks with an attack of ``wave`` at each sync point, to the sample, its peak at -12 dBFS at full strength.

    Several attacks take turns, so that a row of blows is no machine gun. ``following``: ``wave`` was made after a guide,
    so that each moment has its own attack near it; it is moved onto its sample.

    Raises:
        ResultError: there is no attack, or more than a fifth slipped away from their moments.
    """
    blows = _blows(wave, rate_hz)
    if not blows:
        raise ResultError("The model gave no attack to place.")
    moments = sorted(samples_at(sync_s - brief.cue.span.start_s) for sync_s in brief.cue.sync_s)
    chosen = (
        _nearest(blows, moments, brief.samples) if following else [blows[i % len(blows)] for i in range(len(moments))]
    )
    gain = np.float32(audio.amplitude(STRUCK_PEAK_DB) * _strength(brief.cue))
    for start in range(0, brief.samples, _BLOCK):
        obey(brief)
        block = np.zeros((2, min(_BLOCK, brief.samples - start)), np.float32)
        for moment, blow in zip(moments, chosen, strict=True):
            audio.lay(block, blow.wave, moment - blow.lead - start)
        yield block * gain


def _nearest(blows: Sequence[_Blow], moments: Sequence[int], samples: int) -> list[_Blow]:
    """For each moment the blow that lies nearest to it; who has none within 60 ms has slipped."""
    chosen = [min(blows, key=lambda blow: abs(blow.at - moment)) for moment in moments]
    slipped = sum(
        abs(blow.at - moment) > _REACH for blow, moment in zip(chosen, moments, strict=True) if 0 <= moment < samples
    )
    if slipped > _MOSTLY_KEPT * len(moments):
        raise ResultError(f"The model let {slipped} of {len(moments)} onsets slip away from the guide.")
    return chosen


def _strength(cue: Cue) -> float:
    value = cue.params.get("strength", 1.0)
    return 0.25 + 0.75 * min(1.0, max(0.0, value)) if isinstance(value, float | int) else 1.0


@dataclass(frozen=True, slots=True)
class _Blow:
    """``wave`` ``[channels, n]`` at 48 kHz with a peak of 1, its attack at ``lead``, which was ``at`` in the whole."""

    wave: Wave
    lead: int
    at: int


def _blows(wave: Wave, rate_hz: int) -> list[_Blow]:
    """Each strong attack at 48 kHz, cut before the next one."""
    up = SAMPLE_RATE_HZ // gcd(SAMPLE_RATE_HZ, rate_hz)
    whole = scipy.signal.resample_poly(wave.astype(np.float64), up, rate_hz * up // SAMPLE_RATE_HZ, axis=1).astype(
        np.float32
    )
    found = attacks.find(whole.mean(axis=0), SAMPLE_RATE_HZ)
    strong = [attack for attack in found if attack.peak >= 0.25 * found[0].peak]
    begins = sorted(attack.sample for attack in found)
    return [_cut(whole, attack.sample, begins) for attack in strong]


def _cut(whole: Wave, attack: int, begins: Sequence[int]) -> _Blow:
    rise, fall, length = 48, 30 * 48, whole.shape[1]
    after = next((begin for begin in begins if begin > attack), length + 10 * 48)
    start, end = max(0, attack - rise), min(length, after - 5 * 48, attack + round(_TAIL_S * SAMPLE_RATE_HZ))
    blow = whole[:, start : max(end, attack + rise)].copy()
    lead = attack - start
    blow[:, :lead] *= np.linspace(0, 1, lead, endpoint=False, dtype=np.float32)
    fall = min(fall, blow.shape[1] - lead)
    blow[:, blow.shape[1] - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return _Blow(blow / max(float(np.abs(blow).max(initial=0.0)), 1e-9), lead, attack)


def obey(brief: Brief) -> None:
    """Stop where the cue is cancelled."""
    if brief.cancelled():
        raise CancelledError("Cancelled.")
