# SPDX-License-Identifier: AGPL-3.0-or-later
"""The recorded sound as a witness: which attack belongs to which visible contact, and how far sound and picture are
apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from immersivaudio.engine.cue import Sighting
from immersivaudio.engine.looks import View, number

# People accept sound from about 45 ms early to 140 ms late as belonging to what they see (see ITU-R BT.1359).
_EARLY_S, _LATE_S = -0.040, 0.140
_SEARCH_S = (-0.15, 0.25)
_NEAR_S, _WINDOW_S = 0.050, 0.100
_STRONG = 0.2
_LEAST_MATCHES, _CONSISTENT = 3, 0.6


@dataclass(frozen=True, slots=True)
class Testimony:
    """``partner`` gives the attack of an impact by its place in ``impacts``; ``lag_s`` is the constant lag of the sound
    behind the picture, None where there is none; ``consistent`` means that most attacks belong to visible contacts, so
    a contact without an attack is doubtful and ``alone`` (attacks without a contact) are probably contacts too."""

    impacts: tuple[Sighting, ...]
    partner: dict[int, Sighting]
    lag_s: float | None
    consistent: bool
    alone: tuple[Sighting, ...]


def hear(view: View) -> Testimony:
    """Match the visible impacts of an edit with its recorded attacks; attacks of speech and music say nothing."""
    impacts = view.all("impact")
    onsets = [
        onset for onset in view.all("onset") if number(onset.values, "strength") >= _STRONG and _clear(view, onset)
    ]
    lag = lag_s(impacts, onsets)
    low, high = (_EARLY_S, _LATE_S) if lag is None else (lag - _WINDOW_S, lag + _WINDOW_S)
    partner: dict[int, Sighting] = {}
    taken: set[int] = set()
    pairs = sorted(
        (abs(gap - (lag if lag is not None else 0.03)), i, j)
        for i, impact in enumerate(impacts)
        for j, onset in enumerate(onsets)
        if low <= (gap := _gap_s(impact, onset)) <= high
    )
    for _, i, j in pairs:
        if i not in partner and j not in taken:
            partner[i] = onsets[j]
            taken.add(j)
    consistent = len(taken) >= max(_LEAST_MATCHES, _CONSISTENT * len(onsets))
    alone = tuple(onset for j, onset in enumerate(onsets) if j not in taken)
    return Testimony(impacts, partner, lag, consistent, alone)


def lag_s(impacts: Sequence[Sighting], onsets: Sequence[Sighting]) -> float | None:
    """The constant lag of the recorded sound behind the picture, in seconds, where most attacks agree on one."""
    gaps = [
        gap for impact in impacts for onset in onsets if _SEARCH_S[0] <= (gap := _gap_s(impact, onset)) <= _SEARCH_S[1]
    ]
    fewer = min(len(impacts), len(onsets))
    if fewer < _LEAST_MATCHES or not gaps:
        return None
    best = max(gaps, key=lambda gap: (sum(abs(other - gap) <= _NEAR_S for other in gaps), -abs(gap)))
    near = [gap for gap in gaps if abs(gap - best) <= _NEAR_S]
    return statistics.median(near) if len(near) >= max(_LEAST_MATCHES, _CONSISTENT * fewer) else None


def _gap_s(impact: Sighting, onset: Sighting) -> float:
    return float(onset.span.start_s - impact.span.start_s)


def _clear(view: View, onset: Sighting) -> bool:
    masks = (*view.all("speech"), *view.all("music"))
    return not any(row.confidence >= 0.5 and row.span.contains(onset.span.start_s) for row in masks)
