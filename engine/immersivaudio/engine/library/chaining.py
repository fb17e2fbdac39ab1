# SPDX-License-Identifier: AGPL-3.0-or-later
"""A bed that is longer than any recording: several recordings of one series, each heard once, one fading into the next.
So nothing comes twice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from immersivaudio.engine.audio import Block, crossfade
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue
from immersivaudio.engine.library.cutting import cut
from immersivaudio.engine.library.records import Entry
from immersivaudio.engine.performers import Brief

# Recordings shorter than this are not chained: the fades would be most of them.
SHORTEST_S = 12.0
_EDGE, _OVERLAP, _BLOCK = SAMPLE_RATE_HZ // 2, 2 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ
_MOST = 6


def series(entry: Entry) -> tuple[object, ...]:
    """What recordings that may follow each other share: library, folder, maker and source."""
    notes = entry.notes
    return entry.folder.id, entry.path.rpartition("/")[0], notes.creator_id, notes.source_id, notes.cat_id


def enough(entries: Sequence[Entry], cue: Cue) -> list[Entry]:
    """As many of ``entries``, in their order, as last for ``cue``; none where all of them do not, or one alone would."""
    wanted, length = float(cue.span.duration_s) * SAMPLE_RATE_HZ, float(_OVERLAP)
    for count, entry in enumerate(entries[:_MOST], 1):
        length += _usable(entry) - _OVERLAP
        if length >= wanted:
            return list(entries[:count]) if count > 1 else []
    return []


def chain(brief: Brief, entries: Sequence[Entry]) -> Iterator[Block]:
    """``brief.samples`` out of ``entries``, each at the reference level, two seconds of crossfade between them.

    Raises:
        MediaError: one cannot be decoded. ResultError: one is silent. CancelledError.
    """
    tail = np.zeros((2, 0), np.float32)
    for number, (entry, count) in enumerate(zip(entries, _counts(brief.samples, entries), strict=True), 1):
        kept = _OVERLAP if number < len(entries) else 0
        held, due = np.zeros((2, 0), np.float32), tail.shape[1]
        for block in _part(brief, entry, count):
            held = np.concatenate([held, block], axis=1)
            if due and held.shape[1] >= due:
                held = np.concatenate([crossfade(tail, held[:, :due]), held[:, due:]], axis=1)
                due = 0
            while not due and held.shape[1] - kept >= _BLOCK:
                yield held[:, :_BLOCK]
                held = held[:, _BLOCK:]
        tail = held[:, held.shape[1] - kept :]
        if held.shape[1] > kept:
            yield held[:, : held.shape[1] - kept]


def _part(brief: Brief, entry: Entry, count: int) -> Iterator[Block]:
    chance = random.Random(f"{brief.cue.seed} {entry.path}")
    begin = _EDGE + round(chance.random() * (_usable(entry) - count))
    return cut(replace(brief, samples=count), entry, begin / SAMPLE_RATE_HZ)


def _usable(entry: Entry) -> int:
    return int(entry.notes.duration_s * SAMPLE_RATE_HZ) - 2 * _EDGE


def _counts(samples: int, entries: Sequence[Entry]) -> list[int]:
    """How much of each is heard: the same share of all, so that none is a mere rest."""
    usable, wanted = [_usable(entry) for entry in entries], samples + (len(entries) - 1) * _OVERLAP
    counts = [length * wanted // sum(usable) for length in usable]
    counts[-1] += wanted - sum(counts)
    return counts
