# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every sound of the vocabulary is reached by words, and words of films reach no absurd one."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from test_spotting import edit_of, impacts, place

from immersivaudio.engine.library.matching import parts
from immersivaudio.engine.places import WORDS as PLACES
from immersivaudio.engine.places import named
from immersivaudio.engine.sound_words import SOUND_WORDS
from immersivaudio.engine.sounds import BY_ID, VOCABULARY, Motion, Sound
from immersivaudio.engine.spotting import SpotOptions, spot
from immersivaudio.engine.wishes import beds_wished, blows_wished, ground_wished, passing_wished, sounds_named

_CASES = [pytest.param(sound, id=sound.id) for sound in VOCABULARY]


@pytest.mark.parametrize("sound", _CASES)
def test_each_sound_is_found_by_each_of_its_words_and_they_find_no_other(sound: Sound) -> None:
    assert SOUND_WORDS[sound.id]
    for word in SOUND_WORDS[sound.id]:
        assert sounds_named(f"A film with {word.capitalize()}, in the morning.") == (sound.id,), word


def test_the_table_names_the_vocabulary_and_nothing_twice() -> None:
    assert set(SOUND_WORDS) == set(BY_ID)
    assert max(Counter(word for words in SOUND_WORDS.values() for word in words).values()) == 1


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("a short film shot by night in China, the camera pans over the roofs", {"night"}),
        ("the key scene: he is on board, and we see only his body", set()),
        ("drone footage of rolling hills and a body of water", set()),
        ("time flies, a shot of the heart of the country", set()),
        ("a man types of different kinds, no explosion, without gunshots", set()),
        ("a broken window and a glass on the table", {"glass.break", "impact.glass", "impact.wood"}),
        ("onions in a frying pan", {"sizzle"}),
        ("steps on a wooden floor", {"footstep.wood"}),
        ("rain on a tin roof", {"rain.roof"}),
        ("a rock band", {"music"}),
    ],
)
def test_words_of_films_find_what_they_say(said: str, found: set[str]) -> None:
    assert set(sounds_named(said)) == found


def test_every_sound_but_music_is_laid_by_some_word() -> None:
    """As a bed, a blow, a step or what passes; or by a kind of place, which the same words name."""
    for sound in VOCABULARY:
        words = SOUND_WORDS[sound.id]
        laid = (
            {bed for word in words for bed in beds_wished(word)}
            | {blow for word in words for blow in blows_wished(word)}
            | {said for word in words for said in (ground_wished(word), passing_wished(word))}
        )
        by_place = sound.motion is Motion.SUSTAINED and any(named(word, PLACES) for word in words)
        unlaid = sound.id in ("music", "whoosh", "thunder.clap")
        assert sound.id in laid or by_place or unlaid, sound.id


@pytest.mark.parametrize(
    ("said", "sound"), [("a man chops wood", "chop"), ("children kick a ball", "kick"), ("he is typing", "typing")]
)
def test_what_is_done_again_and_again_is_heard_at_every_contact(said: str, sound: str) -> None:
    blows = [
        cue for cue in spot(edit_of(6), impacts([1.0, 2.1, 3.5]), SpotOptions(description=said)).cues if cue.sync_s
    ]
    assert [cue.sound for cue in blows] == [sound] * 3


def test_an_explosion_is_heard_once_at_the_strongest_contact() -> None:
    hits = [*impacts([1.0, 3.5], strength=0.5), *impacts([2.1], strength=0.9)]
    blows = [cue for cue in spot(edit_of(6), hits, SpotOptions(description="an explosion")).cues if cue.sync_s]
    assert {cue.sync_s[0]: cue.sound == "explosion" for cue in blows}[Fraction(21, 10)]
    assert sum(cue.sound == "explosion" for cue in blows) == 1


def test_rain_on_a_roof_is_not_rain_as_well() -> None:
    sheet = spot(edit_of(6), [place("interior", 0, 6, 1.0)], SpotOptions(description="rain on a tin roof"))
    assert {cue.sound for cue in sheet.cues if cue.sound.startswith("rain")} == {"rain.roof"}


@pytest.mark.parametrize("sound", _CASES)
def test_a_library_knows_what_it_is_called(sound: Sound) -> None:
    if "." not in sound.id:
        assert {word for word in SOUND_WORDS[sound.id] if " " not in word} <= set(parts(sound)[0])
