# SPDX-License-Identifier: AGPL-3.0-or-later
"""The recorded sound as a witness: which attack belongs to which visible contact, and how far sound and picture are
apart."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from immersivaudio.engine.cue import Sighting
from immersivaudio.engine.looks import View, number

# People accept sound from about 45 ms early to 140 ms late as belonging to what they see (see ITU-R BT.1359).
_EARLY_S, _LATE_S = -0.040, 0.140
_SEARCH_S = (-0.15, 0.25)
_NEAR_S, _WINDOW_S = 0.050, 0.100
_STRONG, _USUAL_LAG_S, _MASKED_FROM = 0.2, 0.03, 0.5
_LEAST_MATCHES, _CONSISTENT = 3, 0.6


@dataclass(frozen=True, slots=True)
class Testimony:
    """``partner`` gives the attack of an impact by its place in ``impacts``; ``lag_s`` is the constant lag of the sound
    behind the picture, None where there is none; ``consistent`` means that most attacks belong to visible contacts, so
    a contact without an attack is doubtful and ``alone`` (attacks without a contact) are probably contacts too.
    ``unheard`` are the impacts near which nothing at all begins, in a recording that is worth keeping. ``deaf`` are
    those where there is no recording, which so says nothing about them."""

    impacts: tuple[Sighting, ...]
    partner: dict[int, Sighting]
    lag_s: float | None
    consistent: bool
    alone: tuple[Sighting, ...]
    unheard: frozenset[int]
    deaf: frozenset[int] = frozenset()


def hear(view: View) -> Testimony:
    """Match the visible impacts of an edit with its recorded attacks; attacks of speech and music say nothing."""
    impacts = view.all("impact")
    onsets = [
        onset for onset in view.all("onset") if number(onset.values, "strength") >= _STRONG and _clear(view, onset)
    ]
    seen_s, heard_s = [float(row.span.start_s) for row in impacts], [float(row.span.start_s) for row in onsets]
    lag = lag_s(seen_s, heard_s)
    low, high = (_EARLY_S, _LATE_S) if lag is None else (lag - _WINDOW_S, lag + _WINDOW_S)
    usual = _USUAL_LAG_S if lag is None else lag
    partner: dict[int, Sighting] = {}
    taken: set[int] = set()
    for _, i, j in sorted((abs(gap - usual), i, j) for gap, i, j in _pairs(seen_s, heard_s, low, high)):
        if i not in partner and j not in taken:
            partner[i] = onsets[j]
            taken.add(j)
    consistent = len(taken) >= max(_LEAST_MATCHES, _CONSISTENT * len(onsets))
    alone = tuple(onset for j, onset in enumerate(onsets) if j not in taken)
    deaf = frozenset(i for i, row in enumerate(impacts) if _mute(view, row) and i not in partner)
    return Testimony(impacts, partner, lag, consistent, alone, _unheard(view, seen_s) - deaf, deaf)


def _mute(view: View, impact: Sighting) -> bool:
    return any(view.covers(label, impact.span.start_s, 0.0) for label in ("silence", "dropout"))


def _unheard(view: View, seen_s: Sequence[float]) -> frozenset[int]:
    kept = any(row.values.get("verdict") in ("good", "dialogue", "music") for row in view.all("level"))
    if not kept:
        return frozenset()
    heard_s = [float(row.span.start_s) for row in view.all("onset")]
    near = {index for _, index, _ in _pairs(seen_s, heard_s, _EARLY_S, _LATE_S)}
    return frozenset(range(len(seen_s))) - near


def lag_s(seen_s: Sequence[float], heard_s: Sequence[float]) -> float | None:
    """The constant lag of the recorded sound behind the picture, in seconds, where most attacks agree on one. Both
    sequences are moments in order."""
    gaps = sorted(gap for gap, _, _ in _pairs(seen_s, heard_s, *_SEARCH_S))
    fewer = min(len(seen_s), len(heard_s))
    if fewer < _LEAST_MATCHES or not gaps:
        return None
    near = max((_around(gaps, gap) for gap in gaps), key=lambda group: (len(group), -abs(statistics.median(group))))
    return statistics.median(near) if len(near) >= max(_LEAST_MATCHES, _CONSISTENT * fewer) else None


def _around(gaps: Sequence[float], middle: float) -> Sequence[float]:
    return gaps[bisect.bisect_left(gaps, middle - _NEAR_S) : bisect.bisect_right(gaps, middle + _NEAR_S)]


def _pairs(
    seen_s: Sequence[float], heard_s: Sequence[float], low: float, high: float
) -> Iterator[tuple[float, int, int]]:
    """(how much later it is heard than seen, index seen, index heard) of every pair from ``low`` to ``high``."""
    for index, seen in enumerate(seen_s):
        for other in range(bisect.bisect_left(heard_s, seen + low), bisect.bisect_right(heard_s, seen + high)):
            yield heard_s[other] - seen, index, other


def _clear(view: View, onset: Sighting) -> bool:
    return not any(view.covers(label, onset.span.start_s, _MASKED_FROM) for label in ("speech", "music"))
