# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sounding events of a recording: cut out from onset to decay, freed of the noise behind them, described."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter

from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Sighting
from immersivaudio.engine.models import attacks
from immersivaudio.engine.performers import Block

Floats = NDArray[np.float64]
_RISE = 96
_LONGEST_S, _SHORTEST_S = 2.5, 0.03
_BEFORE_NEXT_S, _FADE_S, _CUT_FADE_S = 0.008, 0.1, 0.12
_FALLEN_DB, _WHOLE_DB, _WEAKEST_DB = 45.0, 25.0, 30.0
# Something else begins where the level rises by this much, unless it stays this far under the peak, or comes so soon
# that it is heard as one with the attack.
_RISEN_DB, _FAINT_DB, _TOP_MS, _ONE_SOUND_MS = 8.0, 25.0, 150, 60
# How far around an onset its attack is looked for, and over how long it rises.
_SEARCH_MS, _RISING_MS = (20, 60), 8
_QUIET_SHARE, _OVER, _FLOOR = 0.2, 3.0, 10 ** (-30 / 20)
_WINDOW, _STEP = 1024, 256
_MS = SAMPLE_RATE_HZ // 1000
BANDS_HZ = np.geomspace(60.0, 16_000.0, 19)


@dataclass(frozen=True)
class Event:
    """``grain`` is float32 ``[2, n]`` with a peak of 1; its attack is sample ``lead`` of it, ``at_s`` in the recording.

    ``level_db`` is the peak it had, ``brightness`` the log2 of its centroid in hertz, ``decay_s`` until it is 20 dB
    down, ``bands`` the spectral envelope of its first 120 ms in dB, its mean 0. ``whole``: it died away by itself.
    """

    grain: Block
    lead: int
    at_s: float
    level_db: float
    brightness: float
    decay_s: float
    bands: tuple[float, ...]
    whole: bool


def events_of(samples: Block, onsets: Sequence[Sighting], stops: Sequence[int] = ()) -> tuple[Event, ...]:
    """The events that begin at ``onsets`` of ``samples`` (float32 ``[2, n]`` at 48 kHz), in order of time; what is far
    weaker than the strongest is left out. None goes on beyond one of ``stops`` (samples): there somebody speaks."""
    if not onsets:
        return ()
    noise = _noise(samples)
    mono = np.asarray(samples.mean(axis=0), np.float32)
    begins = [
        attacks.refined(mono, round(float(row.span.start_s) * 1000), SAMPLE_RATE_HZ).sample
        for row in onsets
        if float(row.span.start_s) * SAMPLE_RATE_HZ < len(mono) - 2 * _RISE
    ]
    found = list(_cut_all(samples, sorted(set(begins)), sorted({*begins, *stops, samples.shape[1]}), noise))
    strongest = max((event.level_db for event in found), default=0.0)
    return tuple(event for event in found if event.level_db >= strongest - _WEAKEST_DB)


def _cut_all(samples: Block, begins: Sequence[int], stops: Sequence[int], noise: Floats) -> Iterator[Event]:
    for begin in begins:
        following = stops[bisect_right(stops, begin)] - round(_BEFORE_NEXT_S * SAMPLE_RATE_HZ)
        last = min(begin + round(_LONGEST_S * SAMPLE_RATE_HZ), following)
        if last - begin >= _SHORTEST_S * SAMPLE_RATE_HZ and (event := _event(samples, begin, last, noise)):
            yield event


def _event(samples: Block, begin: int, last: int, noise: Floats) -> Event | None:
    # A window's length before the onset, so that the spectral gate is settled where the grain begins.
    first = max(0, begin - _WINDOW)
    clean = _gated(samples[:, first:last], noise)
    attack = _attack(clean, begin - first)
    lead = min(attack, _RISE)
    grain = clean[:, attack - lead :]
    level = attacks.envelope(np.abs(grain).max(axis=0).astype(np.float32), SAMPLE_RATE_HZ)
    peak = float(level.max(initial=0.0))
    if peak <= 0 or len(level) < 1000 * _SHORTEST_S:
        return None
    length, whole = _end(attacks.envelope(_raised(grain), SAMPLE_RATE_HZ))
    grain = _faded(grain[:, : max(length, lead + _MS)], lead, whole)
    shape = _shape(grain[:, lead:])
    return Event(
        grain=(grain / max(float(np.abs(grain).max()), 1e-9)).astype(np.float32),
        lead=lead,
        at_s=(first + attack) / SAMPLE_RATE_HZ,
        level_db=20 * float(np.log10(peak)),
        brightness=_brightness(grain[:, lead:]),
        decay_s=_decay_s(level, peak),
        bands=tuple(float(band) for band in shape - shape.mean()),
        whole=whole,
    )


def _attack(clean: Block, near: int) -> int:
    """The sample at which the loud part begins, near a moment that was heard: where, with highs raised as the ear does,
    the level rises most steeply to at least half of what it reaches; what only rumbles or scrapes before is a lead-in."""
    raised = _raised(clean)
    first = max(0, near - _SEARCH_MS[0] * _MS) // _MS
    level = attacks.envelope(raised, SAMPLE_RATE_HZ)[first : (near // _MS) + _SEARCH_MS[1]]
    if len(level) < 2:
        return near
    ahead = maximum_filter1d(level, _RISING_MS, origin=-(_RISING_MS // 2))
    sums = np.cumsum(np.concatenate([np.zeros(1), level]))
    behind = np.array(
        [(sums[at] - sums[max(0, at - _RISING_MS)]) / max(1, min(at, _RISING_MS)) for at in range(len(level))]
    )
    steep = ahead / (behind + 0.02 * float(level.max()) + 1e-9)
    steep[ahead < 0.5 * level.max()] = 0.0
    steep[0] = 0.0 if first else steep[0]
    found = (first + int(steep.argmax())) * _MS
    part = raised[max(0, found - _MS) : found + (_RISING_MS + 1) * _MS]
    return _first(np.abs(clean).max(axis=0), max(0, found - _MS) + int(np.argmax(part >= 0.1 * part.max())))


def _first(loudest: Block, near: int) -> int:
    """The first sample within a millisecond of ``near`` that has a tenth of the attack's peak, where it begins there."""
    first = max(0, near - _MS)
    part = loudest[first : near + 10 * _MS]
    found = int(np.argmax(part >= 0.1 * part.max()))
    return first + found if 0 < found <= 2 * _MS else near


def _raised(clean: Block) -> NDArray[np.float32]:
    """The louder channel with its highs raised, as the ear does: rumble behind an event hides neither its attack nor its
    ring."""
    return np.abs(np.diff(clean, axis=1, prepend=clean[:, :1])).max(axis=0).astype(np.float32)


def _end(level: Floats) -> tuple[int, bool]:
    """Samples until it has died away or something else begins to rise, and whether it was nearly gone by then."""
    top = int(level[:_TOP_MS].argmax())
    smooth = np.convolve(level, np.ones(10) / 10, "same")[top:]
    fall = 20 * np.log10(np.maximum(smooth, 1e-9) / max(float(level[top]), 1e-9))
    lowest = np.minimum.accumulate(fall)
    gone = np.flatnonzero(lowest <= -_FALLEN_DB)
    risen = np.flatnonzero((fall - lowest >= _RISEN_DB) & (fall >= -_FAINT_DB))
    risen = risen[risen >= _ONE_SOUND_MS]
    end = int(gone[0]) + 30 if len(gone) else len(fall)
    if len(risen) and risen[0] < end:
        end = int(fall[: risen[0]].argmin()) + 1
    end = min(end, len(fall))
    return (top + end) * _MS, bool(lowest[end - 1] <= -_WHOLE_DB)


def _faded(grain: Block, lead: int, whole: bool) -> Block:
    """Ends at nothing: short where it has died away, longer where the next event cut it off."""
    faded = grain.astype(np.float32)
    if lead:
        faded[:, :lead] *= np.sin(np.linspace(0, np.pi / 2, lead, endpoint=False, dtype=np.float32)) ** 2
    wanted = round((_FADE_S if whole else _CUT_FADE_S) * SAMPLE_RATE_HZ)
    fall = min(wanted, (faded.shape[1] - lead) // 2)
    if fall > 1:
        faded[:, -fall:] *= np.cos(np.linspace(0, np.pi / 2, fall, dtype=np.float32)) ** 2
    return faded


def _noise(samples: Block) -> Floats:
    """The power spectrum ``[channels, bins, 1]`` of the recording's quietest fifth, taken for what is behind it all."""
    spectrum = _spectrum(samples)
    power = np.square(np.abs(spectrum))
    loudness = power.sum(axis=(0, 1))
    # Digital silence is no background: an encoder's padding, a drop-out.
    heard = loudness > max(1e-12, 1e-9 * float(loudness.max()))
    quiet = heard & (loudness <= np.quantile(loudness[heard], _QUIET_SHARE)) if heard.any() else heard
    if not quiet.any():
        return np.zeros((power.shape[0], power.shape[1], 1))
    return np.asarray(power[:, :, quiet].mean(axis=2, keepdims=True))


def _spectrum(samples: Block) -> NDArray[np.complexfloating]:
    padded = np.pad(samples, ((0, 0), (0, max(0, _WINDOW - samples.shape[1]))))
    return np.asarray(scipy.signal.stft(padded, nperseg=_WINDOW, noverlap=_WINDOW - _STEP)[2])


def _gated(part: Block, noise: Floats) -> Block:
    """``part`` less the noise behind it: a Wiener gain, smoothed over time and pitch so that no bins twitter, with a
    floor (Ephraim and Malah 1984 say why one is needed)."""
    if float(noise.max(initial=0.0)) < 1e-14:
        return part
    spectrum = _spectrum(part)
    power = uniform_filter(np.square(np.abs(spectrum)), (1, 3, 3), mode="nearest")
    gain = np.clip(1.0 - _OVER * noise / np.maximum(power, 1e-20), _FLOOR, 1.0)
    clean = scipy.signal.istft(spectrum * gain, nperseg=_WINDOW, noverlap=_WINDOW - _STEP)[1]
    short = max(0, part.shape[1] - clean.shape[1])
    return np.pad(clean[:, : part.shape[1]], ((0, 0), (0, short))).astype(np.float32)


def _shape(body: Block) -> Floats:
    """dB in bands of the first 120 ms."""
    size = round(0.12 * SAMPLE_RATE_HZ)
    power = np.square(np.abs(np.fft.rfft(body[:, :size], size, axis=1))).sum(axis=0)
    band = np.searchsorted(BANDS_HZ, np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)) - 1
    sums = np.array([power[band == index].sum() for index in range(len(BANDS_HZ) - 1)])
    return np.asarray(10 * np.log10(np.maximum(sums, float(sums.max(initial=0.0)) * 1e-6 + 1e-20)))


def _brightness(body: Block) -> float:
    size = round(0.06 * SAMPLE_RATE_HZ)
    power = np.square(np.abs(np.fft.rfft(body[:, :size], size, axis=1))).sum(axis=0)
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    return float(np.log2(max(20.0, float((frequency * power).sum() / max(float(power.sum()), 1e-20)))))


def _decay_s(level: Floats, peak: float) -> float:
    top = int(level[:_TOP_MS].argmax())
    under = np.flatnonzero(np.convolve(level, np.ones(10) / 10, "same")[top:] <= 0.1 * peak)
    return float(under[0] if len(under) else len(level) - top) / 1000
