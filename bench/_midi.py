# SPDX-License-Identifier: AGPL-3.0-or-later
"""An analyser of composed music that shares nothing with the composer: it knows MIDI bytes only.

Shared by ``tests/test_music.py`` and ``bench/music.py``.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# General MIDI program -> what the instrument of that name can play (Adler, The Study of Orchestration).
RANGES = {
    73: (60, 96),
    48: (55, 103),
    49: (36, 96),
    0: (21, 108),
    8: (60, 108),
    46: (24, 103),
    43: (28, 67),
    32: (28, 67),
}


@dataclass(frozen=True)
class Heard:
    """A note as the file has it, in ticks; program -1 is percussion."""

    start: int
    end: int
    pitch: int
    velocity: int
    program: int


@dataclass(frozen=True)
class Midi:
    """A file read back: notes, tempo changes (tick, microseconds a quarter), signatures (tick, eighths), markers."""

    division: int
    notes: tuple[Heard, ...]
    tempi: tuple[tuple[int, int], ...]
    signatures: tuple[tuple[int, int], ...]
    markers: tuple[tuple[int, str], ...]
    end: int

    def seconds(self, tick: float) -> float:
        total = 0.0
        for (at, micro), (until, _) in pairwise([*self.tempi, (self.end + 1, 0)]):
            if tick > at:
                total += (min(tick, until) - at) * micro / self.division / 1e6
        return total

    def bar_lines(self) -> list[int]:
        lines, at, eighth = [], 0, self.division // 2
        while at < self.end:
            lines.append(at)
            which = bisect_right([tick for tick, _ in self.signatures], at) - 1
            at += self.signatures[which][1] * eighth
        return lines


def number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def parsed(data: bytes) -> Midi:
    """A reader of Standard MIDI Files that shares nothing with the writer."""
    kind, size, form, tracks, division = struct.unpack(">4sIHHH", data[:14])
    assert (kind, size, form) == (b"MThd", 6, 1)
    at, notes, tempi, signatures, markers, end = 14, [], [], [], [], 0
    for _ in range(tracks):
        assert data[at : at + 4] == b"MTrk"
        stop = at + 8 + struct.unpack(">I", data[at + 4 : at + 8])[0]
        at, tick, program, sounding = at + 8, 0, -1, {}
        while at < stop:
            gap, at = number(data, at)
            tick, status = tick + gap, data[at]
            assert status & 0x80, "the writer uses no running status"
            if status == 0xFF:
                length, body = number(data, at + 2)
                content, what = data[body : body + length], data[at + 1]
                at = body + length
                if what == 0x51:
                    tempi.append((tick, int.from_bytes(content, "big")))
                elif what == 0x58:
                    signatures.append((tick, content[0] * 8 >> content[1]))
                elif what == 0x06:
                    markers.append((tick, content.decode()))
                elif what == 0x2F:
                    end = max(end, tick)
            elif status >> 4 == 0xC:
                program, at = data[at + 1], at + 2
            else:
                key = data[at + 1]
                if status >> 4 == 0x9 and data[at + 2]:
                    assert key not in sounding, "a note starts while the same note of the same instrument sounds"
                    sounding[key] = (tick, data[at + 2])
                else:
                    start, velocity = sounding.pop(key)
                    notes.append(Heard(start, tick, key, velocity, program))
                at += 3
        assert at == stop
        assert not sounding
    return Midi(division, tuple(notes), tuple(tempi), tuple(signatures), tuple(markers), end)


def slices(midi: Midi) -> list[tuple[int, int, int]]:
    """The outer voices: lowest and highest sounding pitch at every onset."""
    pitched = [note for note in midi.notes if note.program >= 0]
    out = []
    for tick in sorted({note.start for note in pitched}):
        sounding = [note.pitch for note in pitched if note.start <= tick < note.end]
        out.append((tick, min(sounding), max(sounding)))
    return out


def top_line(midi: Midi, start: int, end: int) -> list[tuple[int, int]]:
    """The highest voice between two ticks, repetitions left out: (ticks from the start, pitch)."""
    line: list[tuple[int, int]] = []
    for tick, _, high in slices(midi):
        if start <= tick < end and (not line or line[-1][1] != high):
            line.append((tick - start, high))
    return line


def parallels(midi: Midi) -> int:
    """Parallel fifths and octaves between the outer voices."""
    faults = 0
    for (_, low, high), (_, low_after, high_after) in pairwise(slices(midi)):
        interval = (high - low) % 12
        moved = low != low_after and high != high_after
        faults += moved and interval in (0, 7) and (high_after - low_after) % 12 == interval
    return faults


def beyond(midi: Midi) -> int:
    """Notes that their instrument cannot play."""
    return sum(
        not low <= note.pitch <= high for note in midi.notes for low, high in [RANGES.get(note.program, (35, 81))]
    )


def tempo_off(midi: Midi, wanted_bpm: float) -> float:
    """The largest deviation of the tempo from the wanted one, as a share of it."""
    return max(abs(6e7 / micro / wanted_bpm - 1) for _, micro in midi.tempi)


def met(midi: Midi, cuts_s: Sequence[float], tolerance_s: float = 0.020) -> int:
    """How many of ``cuts_s`` have a bar line within ``tolerance_s``."""
    lines = [midi.seconds(tick) for tick in midi.bar_lines()]
    return sum(min(abs(line - cut) for line in lines) <= tolerance_s for cut in cuts_s)
