# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a cue asks of a synthesis: its knobs, its space and its way."""

from __future__ import annotations

from immersivaudio.engine import ways
from immersivaudio.engine.cue import Cue
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.sounds import SPACE, SPACES, Motion, Sound
from immersivaudio.engine.synthesis.frame import RATE_HZ, Ask


def ask_of(brief: Brief, sound: Sound) -> Ask:
    """The cue's knobs within their ranges, defaults where it says nothing sensible."""
    knobs = {name: knob.of(brief.cue.params.get(name)) for name, knob in sound.knobs.items()}
    duration_s = brief.samples / RATE_HZ
    if sound.motion is Motion.MOVING and brief.cue.sync_s and not knobs["closest_s"]:
        knobs["closest_s"] = max(0.001, float(brief.cue.sync_s[0] - brief.cue.span.start_s))
    return Ask(knobs, brief.cue.seed, duration_s, _space(brief.cue, sound), ways.of(brief.cue))


def _space(cue: Cue, sound: Sound) -> str:
    """Where it is heard: what the cue says, or what is usual for the sound; empty for what is a place itself."""
    said = str(cue.params.get(SPACE, ""))
    return (said if said in SPACES else sound.space) if sound.space else ""
