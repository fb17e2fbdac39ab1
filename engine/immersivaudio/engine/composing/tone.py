# SPDX-License-Identifier: AGPL-3.0-or-later
"""From energy and warmth to what musicians decide first: mode, key, tempo, meter, register, who plays."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from immersivaudio.engine.synthesis.frame import Rng, glide, lerp, stream

# From dark to bright, each with the share of warmth up to which it is the usual choice.
_MODES = (("minor", 0.36), ("dorian", 0.5), ("mixolydian", 0.62), ("major", 1.01))
_JITTER = 0.05


@dataclass(frozen=True, slots=True)
class Tone:
    """``energy`` and ``warmth`` 0 to 1. ``tonic`` pitch class; ``low`` to ``high`` the range of the melody (MIDI);
    ``meter`` the eighths of a usual bar; ``leads`` the instruments that carry melodies in turn."""

    energy: float
    warmth: float
    seed: int
    mode: str
    tonic: int
    bpm: float
    meter: int
    low: int
    high: int
    leads: tuple[str, ...]
    figure: str

    def rng(self, purpose: str) -> Rng:
        """Random numbers of its own for each purpose, so that a change in one part leaves the others as they are."""
        return stream(self.seed, zlib.crc32(purpose.encode()))


def tone_of(energy: float, warmth: float, seed: int) -> Tone:
    """What a piece of this energy and warmth is like; the seed decides where either choice is right."""
    rng = stream(seed, zlib.crc32(b"tone"))
    energy, warmth = min(max(energy, 0.0), 1.0), min(max(warmth, 0.0), 1.0)
    shade = warmth + rng.uniform(-_JITTER, _JITTER)
    mode = next(name for name, up_to in _MODES if shade < up_to or name == "major")
    high = round(lerp(79, 84, energy))
    return Tone(
        energy=energy,
        warmth=warmth,
        seed=seed,
        mode=mode,
        tonic=int(rng.integers(0, 12)),
        bpm=glide(62.0, 126.0, min(1.0, max(0.0, energy + rng.uniform(-_JITTER, _JITTER)))),
        meter=6 if rng.random() < lerp(0.45, 0.15, energy) else 8,
        low=64,
        high=high,
        leads=_leads(energy, warmth, rng),
        figure="harp" if energy < 0.75 and rng.random() < 0.4 else "piano",
    )


def _leads(energy: float, warmth: float, rng: Rng) -> tuple[str, ...]:
    """Two or three voices for the melody, the first one for the theme."""
    if energy < 0.45:
        first = ["piano", "flute"] if warmth >= 0.4 else ["piano", "celesta"]
    else:
        first = ["violins", "piano"]
    others = [name for name in ("violins", "flute", "piano", "celesta") if name not in first]
    rng.shuffle(first)
    return (*first, others[int(rng.integers(0, len(others)))])
