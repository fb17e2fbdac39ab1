# SPDX-License-Identifier: AGPL-3.0-or-later
"""Delivery presets, and the one gain that brings a mix to them; docs/decisions/0003-levels.md says why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from immersivaudio.engine.errors import RequestError


@dataclass(frozen=True, slots=True)
class Preset:
    """``integrated_lufs`` None leaves the level alone. ``peak_db`` is the true peak never exceeded, in dBTP."""

    integrated_lufs: float | None
    peak_db: float


PRESETS: dict[str, Preset] = {
    "youtube": Preset(-14.0, -1.0),
    "ebu-r128": Preset(-23.0, -1.0),
    "atsc-a85": Preset(-24.0, -2.0),
    "podcast": Preset(-16.0, -1.0),
    "none": Preset(None, -1.0),
}

BED_LIFT_DB = 12.0
"""A mix of nothing but beds is raised by this much at most: a room tone stays a room tone."""

LIFT_DB = 20.0
"""Anything else is raised by this much at most: beyond it one would raise the floor of a faint original."""

LIMIT_DB = 6.0
"""How much of a peak the limiter may take away before it would be heard; the rest is left to a lower level."""

SPEECH_MARGIN_LU = 7.0
"""What is generated stays this far under the speech, after ducking."""

SPEECH_TRIM_DB = 24.0
"""How far everything generated is lowered for that, at most."""


FADER_DB = 0.1
"""Gains that are found by listening move in steps of this, so that a change in one place leaves all others alone."""


def preset(name: str) -> Preset:
    """Raises: RequestError for a name that is not in PRESETS."""
    if name not in PRESETS:
        raise RequestError(f"There is no loudness preset {name}.", f"Choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


@dataclass(frozen=True, slots=True)
class Aim:
    """The master gain to begin with, the loudness it aims at (None: none in particular), and why it is not the preset's
    (empty when it is)."""

    gain_db: float
    lufs: float | None = None
    why: str = ""


def aim(target: Preset, lufs: float | None, *, beds_only: bool) -> Aim:
    """What would bring a mix of ``lufs`` to ``target``, within the lifts above; nothing for silence."""
    if target.integrated_lufs is None or lufs is None:
        return Aim(0.0)
    gain_db, most_db = stepped(target.integrated_lufs - lufs), BED_LIFT_DB if beds_only else LIFT_DB
    if gain_db <= most_db:
        return Aim(gain_db, target.integrated_lufs)
    what = "nothing but beds is heard, and they" if beds_only else "it is so faint that it"
    return Aim(most_db, lufs + most_db, f"{what} would be raised by over {most_db:.0f} dB")


def stepped(gain_db: float, most_db: float = 200.0) -> float:
    """``gain_db`` on the fader's nearest step that is not above ``most_db``."""
    # The millionth keeps 20 dB the two hundredth step, whatever the last digit of a division is.
    steps = min(round(gain_db / FADER_DB), math.floor(most_db / FADER_DB + 1e-6))
    return round(steps * FADER_DB, 6)


def speech_trim_db(speech_lufs: float | None, generated_lufs: float | None) -> float:
    """How much (0 or less) everything generated is lowered so that it lies under the speech."""
    if speech_lufs is None or generated_lufs is None:
        return 0.0
    return max(-SPEECH_TRIM_DB, stepped(speech_lufs - SPEECH_MARGIN_LU - generated_lufs, 0.0))
