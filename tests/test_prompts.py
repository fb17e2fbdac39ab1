# SPDX-License-Identifier: AGPL-3.0-or-later
"""The template's words: plain English for every sound, however its knobs stand."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import pytest

from immersivaudio.engine import sounds
from immersivaudio.engine.cue import Cue, ParamValue, Span, Stem
from immersivaudio.engine.phrases import PHRASES
from immersivaudio.engine.prompts import AVOID, negative, template
from immersivaudio.engine.sounds import BY_ID, Motion

ALL = [sound.id for sound in sounds.VOCABULARY]
# Words that may come twice in a phrase, and those that make a model speak or sing.
_SMALL = {"a", "of", "the", "on", "in", "and", "with", "to", "by"}
_VOICES = {"speech", "voice", "voices", "talking", "saying", "vocals", "song"}


def cue_of(sound: str, moments: tuple[float, ...] = (), **params: ParamValue) -> Cue:
    sync = tuple(Fraction(moment).limit_denominator(1000) for moment in moments)
    return Cue("a", BY_ID[sound].stem, Span(Fraction(0), Fraction(30)), sound, sync_s=sync, params=params)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def standing(sound: str) -> list[Cue]:
    """The sound with its knobs low, as they are, and high, once and several times."""
    rows: list[dict[str, ParamValue]] = [{}]
    for share in (0.0, 1.0):
        rows.append({knob: k.low + share * (k.high - k.low) for knob, k in BY_ID[sound].knobs.items()})
    moments = [(), (1.0,), (1.0, 1.5), tuple(1 + 0.5 * k for k in range(8)), tuple(1 + 0.31 * k * k for k in range(5))]
    counts = moments if BY_ID[sound].motion is Motion.STRUCK else [()]
    return [cue_of(sound, hits, **row) for row, hits in itertools.product(rows, counts)]


def test_every_sound_but_music_has_its_words() -> None:
    assert set(PHRASES) == set(ALL) - {"music"}
    assert {phrase.knob for phrase in PHRASES.values()} <= {"intensity", "strength", "speed"}
    assert all(phrase.knob in BY_ID[sound].knobs for sound, phrase in PHRASES.items())


@pytest.mark.parametrize("sound", ALL)
def test_words_are_few_and_plain(sound: str) -> None:
    for cue in standing(sound):
        said = template(cue)
        assert said == template(cue)
        assert re.fullmatch(r"[a-z]+( [a-z]+)*(, [a-z]+( [a-z]+)*)*", said), said
        assert 1 <= len(words(said)) <= 24
        telling = [word for word in words(said) if word not in _SMALL]
        assert len(telling) == len(set(telling)), said
        assert not {*telling} & _VOICES, said


@pytest.mark.parametrize("sound", ALL)
def test_what_is_asked_for_is_not_forbidden(sound: str) -> None:
    for cue in standing(sound):
        assert not {*words(template(cue))} & {*words(negative(cue))} - {"loud", "events"}, template(cue)


@pytest.mark.parametrize("sound", sorted(set(PHRASES) - {"crowd", "forest"}))
def test_voices_and_music_are_kept_out(sound: str) -> None:
    assert {"speech", "talking", "singing", "music"} <= {*negative(cue_of(sound)).split(", ")}
    assert negative(cue_of(sound, **{AVOID: "birds"})).endswith(", birds")


@pytest.mark.parametrize("sound", ALL)
def test_the_ruling_knob_is_heard_in_the_words(sound: str) -> None:
    knob = PHRASES[sound].knob if sound in PHRASES else "energy"
    assert len({template(cue_of(sound, **{knob: value})).split(",")[0] for value in (0.0, 0.5, 1.0)}) == 3


@pytest.mark.parametrize(
    ("cue", "said"),
    [
        (cue_of("impact.wood", (1.0,), strength=0.9, distance=0.1), "hard blow on wood, close up, a single hit, dry"),
        (cue_of("impact.metal", (1.0, 2.0, 3.01, 4.0)), "blows on metal, four hits, evenly spaced, dry"),
        (cue_of("footstep.snow", (1.0, 1.6, 2.2, 2.8, 3.4)), "footsteps in snow, five steps, walking, dry"),
        (cue_of("footstep.gravel", (1.0, 1.3, 1.6, 1.9), strength=0.2), "soft footsteps on gravel, four steps, running, dry"),
        (cue_of("door", (2.0,), strength=0.9), "door slamming shut, once, dry"),
        (cue_of("typing", tuple(range(20))), "typing on a keyboard, many keystrokes, evenly spaced, dry"),
        (cue_of("rain", intensity=0.9, distance=0.8), "heavy downpour, in the distance, continuous, natural"),
        (cue_of("rain", distance=0.3), "rain falling, continuous, natural"),
        (cue_of("passby.car", from_pan=-0.9, to_pan=0.9, speed=0.9), "fast car passing by, from the left to the right"),
        (cue_of("passby.train", closest_m=40.0), "train passing by, coming closer and going away, at a distance"),
        (cue_of("music", energy=0.1, warmth=0.1), "calm sombre instrumental music"),
    ],
)  # fmt: skip
def test_a_cue_reads_as_an_editor_would_ask(cue: Cue, said: str) -> None:
    assert template(cue) == said


def test_a_sound_of_somebody_elses_performer_is_named_as_it_is() -> None:
    assert template(Cue("a", Stem.EFFECTS, Span(Fraction(0), Fraction(4)), "laser sword")) == "laser sword"
