# SPDX-License-Identifier: AGPL-3.0-or-later
"""Room for speech that is composed, not only mixed: where somebody speaks in the original, music thins out.

The spans follow from the sheet each time it is performed, so that a person who edits its speech edits this too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from immersivaudio.engine.cue import Cue, CueSheet, SpeechSpan, Stem

QUIET = "quiet_s"
"""The param of a music cue as it is performed: spans from its start in which it leaves room, "10.000-18.500,21-23"."""
# As the mix ducks (see docs/decisions/0003): down before a word, held across pauses.
_BEFORE_S, _AFTER_S, _HELD_S = 0.3, 0.2, 0.7
_SURE_FROM = 0.3


def with_room(sheet: CueSheet) -> CueSheet:
    """``sheet`` for performing: its music knows where somebody speaks."""
    return replace(sheet, cues=tuple(_leaving(cue, sheet.speech) for cue in sheet.cues))


def quiet_s(cue: Cue) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds from the cue's start of each span in which it leaves room."""
    said = cue.params.get(QUIET, "")
    pairs = (span.partition("-") for span in str(said).split(",") if span) if isinstance(said, str) else ()
    return tuple((float(start), float(end)) for start, _, end in pairs)


def _leaving(cue: Cue, speech: Sequence[SpeechSpan]) -> Cue:
    if cue.stem is not Stem.MUSIC or not (spans := _phrases(cue, speech)):
        return cue
    return replace(cue, params={**cue.params, QUIET: ",".join(f"{start:.3f}-{end:.3f}" for start, end in spans)})


def _phrases(cue: Cue, speech: Sequence[SpeechSpan]) -> list[tuple[float, float]]:
    """Where somebody speaks while the cue sounds, pauses left out, in seconds from its start."""
    length_s, found = float(cue.span.duration_s), list[tuple[float, float]]()
    for said in sorted(speech, key=lambda said: said.span.start_s):
        start, end = (float(moment - cue.span.start_s) for moment in (said.span.start_s, said.span.end_s))
        start, end = max(0.0, start - _BEFORE_S), min(length_s, end + _AFTER_S)
        if said.confidence < _SURE_FROM or end <= start:
            continue
        if found and start - found[-1][1] < _HELD_S:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
