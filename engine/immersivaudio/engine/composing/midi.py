# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Standard MIDI File out of a score (MIDI 1.0, RP-001): format 1, the tempo map on the first track."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from immersivaudio.engine.composing.score import INSTRUMENTS, Bar, Instrument, Note, Score
from immersivaudio.engine.synthesis.frame import Array

TICKS_A_QUARTER = 480
_EIGHTH = TICKS_A_QUARTER // 2
_DRUM_CHANNEL = 9
_MELODIC = tuple(channel for channel in range(16) if channel != _DRUM_CHANNEL)
# (tick, order among events of one tick, bytes): offs come before ons.
Event = tuple[int, int, bytes]


def written(score: Score) -> bytes:
    """The bytes of the file."""
    ticks = np.concatenate([[0], np.cumsum([bar.eighths * _EIGHTH for bar in score.bars])])
    times = np.array([*(bar.start_s for bar in score.bars), score.bars[-1].end_s])
    used = [made for name, made in INSTRUMENTS.items() if any(note.instrument == name for note in score.notes)]
    tracks = [_chunk(_conductor(score, ticks))]
    for channel, instrument in _channels(used):
        own = [note for note in score.notes if note.instrument == instrument.name]
        tracks.append(_chunk(_part(instrument, channel, own, ticks, times)))
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_A_QUARTER) + b"".join(tracks)


def _channels(used: list[Instrument]) -> Iterable[tuple[int, Instrument]]:
    free = iter(_MELODIC)
    return [(_DRUM_CHANNEL if made.drum else next(free), made) for made in used]


def _conductor(score: Score, ticks: Array) -> list[Event]:
    """Tempo and time signature of every bar; the rounding of a tempo to microseconds is made good in the next bar."""
    events: list[Event] = []
    clock_s, signature, tempo = 0.0, (0, 0), 0
    for bar, tick in zip(score.bars, ticks, strict=False):
        micro = min(max(1, round(1e6 * 2 * (bar.end_s - clock_s) / bar.eighths)), 0xFFFFFF)
        clock_s += micro * bar.eighths / 2e6
        if micro != tempo:
            events.append((int(tick), 1, b"\xff\x51\x03" + micro.to_bytes(3, "big")))
        if _signature(bar) != signature:
            upper, power = _signature(bar)
            events.append((int(tick), 0, bytes([0xFF, 0x58, 4, upper, power, 24, 8])))
        signature, tempo = _signature(bar), micro
    for section in score.sections:
        text = section.label.encode("ascii", "replace")
        events.append((int(ticks[section.first_bar]), 2, b"\xff\x06" + _varied(len(text)) + text))
    return [*events, (int(ticks[-1]), 9, b"\xff\x2f\x00")]


def _signature(bar: Bar) -> tuple[int, int]:
    """Upper number, and the lower one as a power of two."""
    return (bar.eighths // 2, 2) if bar.eighths % 2 == 0 else (bar.eighths, 3)


def _part(made: Instrument, channel: int, notes: list[Note], ticks: Array, times: Array) -> list[Event]:
    name = made.name.encode("ascii")
    events: list[Event] = [(0, 0, b"\xff\x03" + _varied(len(name)) + name)]
    if not made.drum:
        events.append((0, 0, bytes([0xC0 | channel, made.program])))
    starts = np.rint(np.interp([note.start_s for note in notes], times, ticks)).astype(int)
    ends = np.rint(np.interp([note.start_s + note.duration_s for note in notes], times, ticks)).astype(int)
    for note, start, end in zip(notes, starts, ends, strict=True):
        events.append((int(start), 2, bytes([0x90 | channel, note.pitch, note.velocity])))
        events.append((int(max(end, start + 1)), 1, bytes([0x80 | channel, note.pitch, 0])))
    return [*events, (int(max(ticks[-1], ends.max(initial=0))), 9, b"\xff\x2f\x00")]


def _chunk(events: list[Event]) -> bytes:
    ordered = sorted(events)
    ticks = [0, *(tick for tick, _, _ in ordered)]
    body = b"".join(_varied(b - a) + event[2] for (a, b), event in zip(pairwise(ticks), ordered, strict=True))
    return b"MTrk" + struct.pack(">I", len(body)) + body


def _varied(number: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the top bit says that more follow."""
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(0x80 | (number & 0x7F))
    return bytes(reversed(out))
