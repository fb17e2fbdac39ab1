# SPDX-License-Identifier: AGPL-3.0-or-later
"""Attacks: when something in a sound begins suddenly, to a few milliseconds, how strongly, how bright, how it rings."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter

from immersivaudio.engine.watchers._meters import RATE_HZ, Array, decibels

_MS = RATE_HZ // 1000
_CONTEXT = 600
_BANDS_HZ = ((40, 400), (400, 2000), (2000, 12000))
_RISE_MS, _BEFORE_MS = 12, 40
_LEAST_RISE_DB, _LEAST_LEVEL_DB = 7.0, -62.0
_APART_MS = 80
_BINS = 8192
_RINGS = slice(round(1500 * _BINS / RATE_HZ), round(12_000 * _BINS / RATE_HZ))
FULL_RISE_DB, STRENGTH_RANGE_DB = 24.0, 48.0


@dataclass(frozen=True, slots=True)
class Attack:
    """``at_s`` on the sound's clock; ``level_db`` its loudest 10 ms; ``rise_db`` over what was before it; ``ring_db`` how
    far partials that go on ringing stand out over what is between them."""

    at_s: float
    level_db: float
    rise_db: float
    sharpness: float
    centroid_hz: float
    decay_s: float
    ring_db: float


class Attacks:
    """Hears a sound second by second; a second is searched once the next has come, so no attack falls on a seam."""

    def __init__(self) -> None:
        self.found: list[Attack] = []
        self._states = [np.zeros((len(sections), 2)) for sections in _filters()]
        self._bands = np.zeros((len(_BANDS_HZ), 0))
        self._sound = np.zeros(0, np.float32)
        self._begin_ms = 0

    def hear(self, mono: Array) -> None:
        """Take one second ``[48000]``."""
        self._bands = np.concatenate([self._bands, self._energies(mono)], axis=1)
        self._sound = np.concatenate([self._sound, mono])
        if self._bands.shape[1] >= 1000 + 2 * _CONTEXT:
            self._search(self._bands.shape[1] - _CONTEXT)

    def finish(self) -> list[Attack]:
        self._search(self._bands.shape[1])
        return self.found

    def _energies(self, mono: Array) -> NDArray[np.float64]:
        rows = []
        for index, sections in enumerate(_filters()):
            band, self._states[index] = scipy.signal.sosfilt(sections, mono.astype(np.float64), zi=self._states[index])
            rows.append(np.square(band).reshape(-1, _MS).mean(axis=1))
        return np.array(rows)

    def _search(self, until_ms: int) -> None:
        """Find the attacks up to ``until_ms`` of the window, then drop what is behind, but for the context."""
        energies = self._bands
        rise = _rise_db(energies)
        last_ms = round(self.found[-1].at_s * 1000) - self._begin_ms if self.found else -_APART_MS
        first = _CONTEXT if self._begin_ms else 0
        for peak in _peaks(rise, _LEAST_RISE_DB):
            if not first <= peak < until_ms:
                continue
            at = _refined(energies, peak)
            attack = self._attack(at, float(rise[peak]))
            if at - last_ms >= _APART_MS and attack.level_db >= _LEAST_LEVEL_DB:
                self.found.append(attack)
                last_ms = at
        drop = max(0, until_ms - _CONTEXT)
        self._bands, self._sound = self._bands[:, drop:], self._sound[drop * _MS :]
        self._begin_ms += drop

    def _attack(self, at: int, rise_db: float) -> Attack:
        total = self._bands.sum(axis=0)
        after = total[at : at + 400]
        smooth = np.convolve(after, np.ones(5) / 5, "same")
        top = int(np.argmax(smooth[:60]))
        before = float(total[max(0, at - _BEFORE_MS) : max(1, at - 4)].mean()) if at > 4 else 0.0
        fallen = np.flatnonzero(smooth[top:] < max(0.01 * smooth[top], 1.6 * before))
        decay_ms = int(fallen[0]) if len(fallen) else len(smooth) - top
        return Attack(
            at_s=(self._begin_ms + at) / 1000,
            level_db=float(decibels(float(after[top : top + 10].mean()))),
            rise_db=rise_db,
            sharpness=1.0 / (1.0 + top / 12.0),
            centroid_hz=self._centroid_hz(at),
            decay_s=decay_ms / 1000,
            ring_db=self._ring_db(at),
        )

    def _centroid_hz(self, at: int) -> float:
        """Brightness of the 40 ms after the attack, less what was there before."""
        after = self._sound[at * _MS : (at + 40) * _MS]
        before = self._sound[max(0, at - 45) * _MS : max(0, at - 5) * _MS]
        power = np.square(np.abs(np.fft.rfft(after, 1920)))
        if len(before) == 1920:
            power = np.maximum(power - np.square(np.abs(np.fft.rfft(before, 1920))), 0.0)
        frequency = np.fft.rfftfreq(1920, 1 / RATE_HZ)
        return float((frequency * power).sum() / max(float(power.sum()), 1e-20))

    def _ring_db(self, at: int) -> float:
        """How far the strongest partials over 1.5 kHz stand out 30 to 115 ms after the attack, where they are new.

        What is struck tells its material by how slowly its partials die (Giordano and McAdams 2006): those of metal and
        glass last, those of wood, stone, plastic and cloth are gone by then.
        """
        after = _spectrum(self._sound[(at + 30) * _MS : (at + 115) * _MS])
        before = _spectrum(self._sound[max(0, at - 90) * _MS : max(0, at - 5) * _MS])
        levels = decibels(after)
        out = np.where(after > 4 * before, levels - median_filter(levels, 61), 0.0)
        return float(np.sort(out[_RINGS])[-6:].mean())


def _spectrum(sound: Array) -> NDArray[np.float64]:
    """Power in bins of 5.9 Hz; nothing where there is hardly any sound."""
    if len(sound) < 40 * _MS:
        return np.zeros(_BINS // 2 + 1)
    window = np.hanning(len(sound))
    return np.asarray(np.square(np.abs(np.fft.rfft(sound * window, _BINS))) / np.square(window).sum())


def _rise_db(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much each next 12 ms exceed the loudest of the 40 ms before, the mean of the bands that carry it."""
    sums = np.cumsum(np.pad(energies, ((0, 0), (1, 0))), axis=1)
    count = energies.shape[1]
    at = np.arange(count)
    ahead = np.minimum(at + _RISE_MS, count)
    behind = np.maximum(at - _BEFORE_MS, 0)
    after = (sums[:, ahead] - sums[:, at]) / np.maximum(ahead - at, 1)
    past = (sums[:, at] - sums[:, behind]) / np.maximum(at - behind, 1)
    floor = 10 ** (-75 / 10)
    gain = 10 * np.log10((after + floor) / (past + floor))
    weight = after / np.maximum(after.sum(axis=0), 1e-20)
    rise: NDArray[np.float64] = (gain * (0.5 * weight + 0.5 / len(energies))).sum(axis=0)
    rise[:3] = 0.0 if count > 3 else rise[:3]
    return rise


def _peaks(rise: NDArray[np.float64], least: float) -> list[int]:
    """Places where ``rise`` is the highest within 40 ms and at least ``least``."""
    high = maximum_filter1d(rise, size=2 * _APART_MS // 2 + 1)
    return [int(at) for at in np.flatnonzero((rise >= least) & (rise == high))]


def _refined(energies: NDArray[np.float64], peak: int) -> int:
    """The first millisecond from shortly before ``peak`` that carries a tenth of the attack's loudest one."""
    total = energies.sum(axis=0)
    start = max(0, peak - 6)
    near = total[start : peak + 30]
    before = float(np.median(total[max(0, peak - _BEFORE_MS) : max(1, start)]))
    enough = before + 0.1 * max(float(near.max()) - before, 0.0)
    return start + int(np.argmax(near >= enough))


@functools.cache
def _filters() -> list[Array]:
    return [np.asarray(scipy.signal.butter(2, band, "bandpass", fs=RATE_HZ, output="sos")) for band in _BANDS_HZ]
