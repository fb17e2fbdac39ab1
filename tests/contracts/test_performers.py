# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every performer must keep, whoever wrote it: found by file name, skipped with its own reason where it lacks something."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from immersivaudio.engine import plugins, sounds
from immersivaudio.engine.cue import Cue, Licence, Span, Stem
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.performers import Brief, Performer

NAMES = plugins.names("performers")
SAMPLES = 100_003


def _cue(sound: sounds.Sound, seed: int = 5) -> Cue:
    sync = (Fraction(1, 2),) if sound.motion is sounds.Motion.STRUCK else ()
    return Cue("cue", sound.stem, Span(Fraction(0), Fraction(SAMPLES, 48_000)), sound.id, sync_s=sync, seed=seed)


@pytest.fixture(params=NAMES)
def performer(request: pytest.FixtureRequest) -> Performer:
    made = plugins.create("performers", request.param)
    assert isinstance(made, Performer)
    if reason := made.available():
        pytest.skip(f"{request.param}: {reason}")
    made.setup()
    return made


def _fitting(performer: Performer) -> Cue:
    cues = [_cue(sound) for sound in sounds.VOCABULARY]
    best = max(cues, key=performer.fitness)
    if performer.fitness(best) <= 0:
        pytest.skip(f"{performer.name} performs no sound of the vocabulary without more being said")
    return best


@pytest.mark.parametrize("name", NAMES)
def test_says_who_it_is_without_loading_anything(name: str) -> None:
    made = plugins.create("performers", name)
    assert made.name == name
    assert made.version
    assert isinstance(made.available(), str)
    assert isinstance(made.licence(), Licence)
    assert all(0 <= made.fitness(_cue(sound)) <= 1 for sound in sounds.VOCABULARY)


def test_blocks_have_the_promised_shape_and_length(performer: Performer) -> None:
    blocks = list(performer.perform(Brief(_fitting(performer), SAMPLES)))
    assert all(block.dtype == np.float32 and block.shape[0] == 2 and 0 < block.shape[1] <= 48_000 for block in blocks)
    whole = np.concatenate(blocks, axis=1)
    assert whole.shape == (2, SAMPLES)
    assert np.all(np.isfinite(whole))
    assert 1e-4 < np.max(np.abs(whole)) < 1.0


def test_the_same_seed_gives_the_same_bytes(performer: Performer) -> None:
    cue = _fitting(performer)
    first, again = (np.concatenate(list(performer.perform(Brief(cue, SAMPLES))), axis=1) for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_cancel_is_obeyed(performer: Performer) -> None:
    with pytest.raises(CancelledError):
        list(performer.perform(Brief(_fitting(performer), SAMPLES, cancelled=lambda: True)))


@pytest.mark.parametrize("sound", sounds.VOCABULARY, ids=lambda sound: sound.id)
def test_every_sound_of_the_vocabulary_can_be_performed_here(sound: sounds.Sound) -> None:
    if sound.stem is Stem.MUSIC and "music" not in NAMES:
        pytest.skip("no performer of music is here yet")
    here = [made for made in (plugins.create("performers", name) for name in NAMES) if not made.available()]
    assert any(made.fitness(_cue(sound)) > 0 for made in here)
