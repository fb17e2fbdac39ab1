# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tone of a span: valence (-1 unpleasant to 1 pleasant) and energy (0 calm to 1 agitated), the two axes of Russell's
circumplex of affect (1980), out of what classifiers call feelings; and what tone does to music and ambience."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from immersivaudio.engine.cue import Sighting, Span
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.looks import View

# Where a feeling lies: valence, energy. None: the word says nothing of how agitated somebody is.
_FEELINGS: Mapping[str, tuple[float, float | None]] = {
    "positive": (0.8, None), "pos": (0.8, None), "negative": (-0.8, None), "neg": (-0.8, None), "neutral": (0.0, 0.35),
    "neu": (0.0, 0.35), "mixed": (0.0, None), "joy": (0.8, 0.7), "happy": (0.8, 0.7), "hap": (0.8, 0.7),
    "happiness": (0.8, 0.7), "excitement": (0.7, 0.9), "excited": (0.7, 0.9), "amusement": (0.7, 0.65), "love": (0.8, 0.45),
    "surprise": (0.2, 0.85), "surprised": (0.2, 0.85), "calm": (0.5, 0.1), "sadness": (-0.7, 0.2), "sad": (-0.7, 0.2),
    "grief": (-0.9, 0.3), "disappointment": (-0.6, 0.3), "anger": (-0.7, 0.9), "angry": (-0.7, 0.9), "ang": (-0.7, 0.9),
    "annoyance": (-0.5, 0.65), "fear": (-0.75, 0.85), "fearful": (-0.75, 0.85), "nervousness": (-0.4, 0.75),
    "disgust": (-0.6, 0.55), "disgusted": (-0.6, 0.55), "boredom": (-0.3, 0.1), "contempt": (-0.5, 0.5),
    "gratitude": (0.8, 0.4), "optimism": (0.6, 0.5), "pride": (0.6, 0.6), "relief": (0.5, 0.2), "remorse": (-0.6, 0.3),
}  # fmt: skip
_STARS = re.compile(r"([1-5]) stars?")
_LOUDER_DB, _MOST_SHARE, _WORTH = 3.0, 0.5, 0.2


@dataclass(frozen=True, slots=True)
class Mood:
    """``energy`` is None where nothing tells it; ``weight`` 0 to 1 says how much of the span it is told for, and how
    surely."""

    valence: float
    energy: float | None
    weight: float


def feeling(label: str) -> tuple[float, float | None] | None:
    """Valence and energy of what a classifier calls ``label``; None where the word is not known."""
    word = label.strip().lower()
    if stars := _STARS.fullmatch(word):
        return (int(stars.group(1)) - 3) * 0.4, None
    return _FEELINGS.get(word)


def readable(labels: Sequence[str], name: str) -> None:
    """Refuse a classifier most of whose classes are no feelings.

    Raises:
        UnavailableError: with what its classes are.
    """
    known = [label for label in labels if feeling(label) is not None]
    if len(known) < max(2, len(labels) / 2):
        raise UnavailableError(
            f"The weights of {name} are refused: their classes ({', '.join(labels[:5])}) name no feelings.",
            "Name a classifier whose classes are called positive and negative, or joy, anger, sadness and so on.",
        )


def mood(shares: Mapping[str, float]) -> Mood:
    """What the classes of one classifier, each with its share, say together."""
    told = [(share, found) for label, share in shares.items() if (found := feeling(label)) is not None]
    whole = sum(share for share, _ in told) or 1.0
    lively = [(share, energy) for share, (_, energy) in told if energy is not None]
    most = sum(share for share, _ in lively)
    energy = sum(share * energy for share, energy in lively) / most if most >= 0.3 * whole else None
    valence = sum(share * valence for share, (valence, _) in told) / whole
    return Mood(valence, energy, max((share for share, _ in told), default=0.0))


def over(tones: Sequence[Sighting], span: Span) -> Mood | None:
    """The mood of ``span`` by the ``tone`` sightings that reach into it; None where hardly anything tells it."""
    rows = [(row, common) for row in tones if (common := row.span.overlap(span)) is not None]
    weights = [float(common.duration_s) * row.confidence for row, common in rows]
    told = sum(weights) / float(span.duration_s or Fraction(1))
    if not rows or told < _WORTH * 0.25:
        return None
    valence = _mean([(weight, row.values.get("valence")) for weight, (row, _) in zip(weights, rows, strict=True)])
    energy = _mean([(weight, row.values.get("energy")) for weight, (row, _) in zip(weights, rows, strict=True)])
    return Mood(valence or 0.0, energy, min(1.0, told / _MOST_SHARE))


def told(view: View, span: Span) -> Mood | None:
    """The mood of ``span`` by what ``view`` holds."""
    return over([row for row, _ in view.within("tone", span)], span)


def _mean(rows: Sequence[tuple[float, object]]) -> float | None:
    told = [(weight, value) for weight, value in rows if isinstance(value, float | int) and weight > 0]
    whole = sum(weight for weight, _ in told)
    return sum(weight * value for weight, value in told) / whole if whole else None


def blended(usual: float, told: float | None, weight: float) -> float:
    """A number 0 to 1 drawn towards what is told, by half at most."""
    return usual if told is None else usual + _MOST_SHARE * weight * (min(1.0, max(0.0, told)) - usual)


def ambience_db(found: Mood | None) -> float:
    """How much louder the surroundings are where people are agitated, and softer where they are quiet: 1.5 dB at most."""
    if found is None or found.energy is None:
        return 0.0
    return round(_LOUDER_DB * (found.energy - 0.5) * found.weight, 1)


def words(found: Mood) -> str:
    """The mood as a person would say it, with its numbers."""
    bright = "bright" if found.valence > 0.25 else "dark" if found.valence < -0.25 else "even"
    if found.energy is None:
        return f"{bright} in tone (valence {found.valence:.2f})"
    lively = "agitated" if found.energy > 0.6 else "calm" if found.energy < 0.35 else "moderate"
    return f"{bright} and {lively} in tone (valence {found.valence:.2f}, energy {found.energy:.2f})"
