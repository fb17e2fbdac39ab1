# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a model's mono sound to a take: windows joined, 48 kHz, two channels, reference level, attacks on their moments.

Any performer that generates sound uses this; it knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from immersivaudio.engine.audio import amplitude
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, samples_at
from immersivaudio.engine.errors import CancelledError, ResultError
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.models import attacks
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.sounds import BY_ID, Motion

Mono = NDArray[np.float32]
SUSTAINED_LUFS = -26.0
STRUCK_PEAK_DB = -12.0
_BLOCK = SAMPLE_RATE_HZ
_TAIL_S = 2.5
_CONTEXT = 64
_SPREAD = 24 * 48
_WIDTH = 0.35
_FULL_SCALE = 0.999


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
    found = [Window(0, min(longest, _up(wanted, grain)))]
    while found[-1].end < wanted:
        start = found[-1].end - overlap
        found.append(Window(start, min(longest, _up(max(wanted - start, 2 * overlap), grain))))
    return found


def _up(value: int, grain: int) -> int:
    return -(-max(value, 1) // grain) * grain


def join(parts: Sequence[Mono], spans: Sequence[Window], wanted: int) -> Mono:
    """The windows laid over one another at constant power: ``[wanted]``.

    In an overlap the two are alike by some correlation r (they share their noise); the gains cos and sin are divided
    by sqrt(1 + 2 r cos sin), the power that their sum would have (Fink, Holters and Zoelzer, DAFx 2016).
    """
    joined = np.zeros(max(span.end for span in spans), np.float32)
    for index, (part, span) in enumerate(zip(parts, spans, strict=True)):
        faded = part[: span.length].copy()
        if index and (overlap := spans[index - 1].end - span.start) > 0:
            old = joined[span.start : span.start + overlap]
            faded[:overlap] = _cross(old, faded[:overlap])
        joined[span.start : span.end] = faded
    return joined[:wanted]


def _cross(old: Mono, new: Mono) -> Mono:
    angle = (np.arange(len(old)) + 0.5) / len(old) * (np.pi / 2)
    power = float(np.sqrt(np.dot(old, old) * np.dot(new, new)))
    alike = max(0.0, float(np.dot(old, new)) / power) if power > 0 else 0.0
    scale = 1 / np.sqrt(1 + 2 * alike * np.cos(angle) * np.sin(angle))
    return ((np.cos(angle) * old + np.sin(angle) * new) * scale).astype(np.float32)


def is_struck(cue: Cue) -> bool:
    """Whether the cue is blows at given moments (else it is made as one stretch)."""
    sound = BY_ID.get(cue.sound)
    return bool(cue.sync_s) and (sound is None or sound.motion is Motion.STRUCK)


def refuse_broken(mono: Mono, name: str) -> None:
    """Refuse what a model gave when it is no sound.

    Raises:
        ResultError: not finite, silent, or held at full scale for a hundredth of its time.
    """
    if not np.isfinite(mono).all():
        raise ResultError(f"{name} gave numbers that are no sound.")
    if float(np.abs(mono).max(initial=0.0)) < 1e-5:
        raise ResultError(f"{name} gave silence.")
    if float(np.mean(np.abs(mono) > _FULL_SCALE)) > 0.01:
        raise ResultError(f"{name} gave a clipped sound.")


def centred(mono: Mono, rate_hz: int) -> Mono:
    """Without what lies below 20 Hz: vocoders leave a constant offset. Zero phase, so that attacks stay in place."""
    high_pass = signal.butter(1, 20, "highpass", fs=rate_hz, output="sos")
    return np.asarray(signal.sosfiltfilt(high_pass, mono.astype(np.float64)), np.float32)


def sustained(mono: Mono, rate_hz: int, brief: Brief) -> Iterator[Block]:
    """Blocks of a sound that goes on, at -26 LUFS, ``brief.samples`` in all; ``mono`` is at least as long."""
    gain = _level_gain(mono, rate_hz, brief)
    for start in range(0, brief.samples, _BLOCK):
        _obey(brief)
        yield _stereo(mono, rate_hz, start, min(_BLOCK, brief.samples - start)) * gain


def _level_gain(mono: Mono, rate_hz: int, brief: Brief) -> np.float32:
    """What brings the cue to -26 LUFS; a cue under two seconds is heard with what the model gave beyond it."""
    meter = LoudnessMeter()
    heard = max(brief.samples, min(2 * _BLOCK, len(mono) * SAMPLE_RATE_HZ // rate_hz))
    for start in range(0, heard, _BLOCK):
        _obey(brief)
        meter.push(_stereo(mono, rate_hz, start, min(_BLOCK, heard - start)))
    # The meter does not hear below -70 LUFS, and a model's own level says nothing: bring its mean power up first.
    power = meter.mean_power()
    first_db = -23.0 - 10 * float(np.log10(power)) if power > 0 else 0.0
    loudness = meter.integrated(first_db)
    return np.float32(amplitude(first_db + SUSTAINED_LUFS - loudness) if loudness is not None else 0.0)


def _stereo(mono: Mono, rate_hz: int, start: int, count: int) -> Block:
    """``count`` samples at 48 kHz from ``start`` on, ``[2, count]``: the sound in the middle, a decorrelated copy of it
    at the sides with opposite sign, so that mono is the model's own sound again."""
    up, down = SAMPLE_RATE_HZ // gcd(SAMPLE_RATE_HZ, rate_hz), rate_hz // gcd(SAMPLE_RATE_HZ, rate_hz)
    # The first sample read is a multiple of ``down`` so that every block resamples on the same grid.
    first = max(0, (start * down // up - _CONTEXT - _SPREAD) // down * down)
    last = (start + count) * down // up + _CONTEXT
    middle = signal.resample_poly(mono[first:last].astype(np.float64), up, down)
    side = _spread(middle) * _WIDTH
    offset = start - first * up // down
    both = np.stack([middle + side, middle - side])[:, offset : offset + count]
    return np.pad(both, ((0, 0), (0, count - both.shape[1]))).astype(np.float32)


def _spread(middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """``middle`` through 24 ms of velvet noise: one +-1 every 2 ms at a chosen place, the same in every take."""
    random = np.random.default_rng(1)
    delays = np.arange(12) * (_SPREAD // 12) + random.integers(0, _SPREAD // 12, 12)
    side = np.zeros_like(middle)
    for delay, sign in zip(delays, random.choice([-1.0, 1.0], 12), strict=True):
        side[delay:] += sign * middle[: max(0, len(middle) - delay)]
    return np.asarray(side / np.sqrt(12))


def struck(mono: Mono, rate_hz: int, brief: Brief) -> Iterator[Block]:
    """Blocks with an attack of ``mono`` at each sync point, to the sample, its peak at -12 dBFS at full strength.

    Several attacks in ``mono`` take turns, so that a row of blows is no machine gun.
    """
    blows = _blows(mono, rate_hz)
    if not blows:
        raise ResultError("The model gave no attack to place.")
    gain = np.float32(amplitude(STRUCK_PEAK_DB) * _strength(brief.cue))
    moments = sorted(samples_at(sync_s - brief.cue.span.start_s) for sync_s in brief.cue.sync_s)
    for start in range(0, brief.samples, _BLOCK):
        _obey(brief)
        block = np.zeros((2, min(_BLOCK, brief.samples - start)), np.float32)
        for index, moment in enumerate(moments):
            blow, attack = blows[index % len(blows)]
            _lay(block, blow, moment - attack - start)
        yield block * gain


def _strength(cue: Cue) -> float:
    value = cue.params.get("strength", 1.0)
    return 0.25 + 0.75 * min(1.0, max(0.0, value)) if isinstance(value, float | int) else 1.0


def _blows(mono: Mono, rate_hz: int) -> list[tuple[Mono, int]]:
    """Each strong attack of ``mono`` at 48 kHz with a peak of 1, cut before the next one, and where in it it begins."""
    up = SAMPLE_RATE_HZ // gcd(SAMPLE_RATE_HZ, rate_hz)
    whole = signal.resample_poly(mono.astype(np.float64), up, rate_hz * up // SAMPLE_RATE_HZ).astype(np.float32)
    found = attacks.find(whole, SAMPLE_RATE_HZ)
    strong = [attack for attack in found if attack.peak >= 0.25 * found[0].peak]
    begins = sorted(attack.sample for attack in found)
    return [_cut(whole, attack.sample, begins) for attack in strong]


def _cut(whole: Mono, attack: int, begins: Sequence[int]) -> tuple[Mono, int]:
    rise, fall = 48, 30 * 48
    after = next((begin for begin in begins if begin > attack), len(whole) + 10 * 48)
    start, end = max(0, attack - rise), min(len(whole), after - 5 * 48, attack + round(_TAIL_S * SAMPLE_RATE_HZ))
    blow = whole[start : max(end, attack + rise)].copy()
    lead = attack - start
    blow[:lead] *= np.linspace(0, 1, lead, endpoint=False, dtype=np.float32)
    fall = min(fall, len(blow) - lead)
    blow[len(blow) - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return blow / max(float(np.abs(blow).max(initial=0.0)), 1e-9), lead


def _lay(block: Block, blow: Mono, at: int) -> None:
    start, end = max(0, at), min(block.shape[1], at + len(blow))
    if end > start:
        block[:, start:end] += blow[start - at : end - at]


def _obey(brief: Brief) -> None:
    if brief.cancelled():
        raise CancelledError("Cancelled.")
