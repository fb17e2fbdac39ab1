# SPDX-License-Identifier: AGPL-3.0-or-later
"""One space a place: what spotting says, what a person may write, and what is heard."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from immersivaudio.engine import sheets
from immersivaudio.engine.cue import Clip, Cue, Edit, ParamValue, Sighting, Span
from immersivaudio.engine.errors import CueSheetError
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.procedural import create
from immersivaudio.engine.sounds import BY_ID, SPACE, SPACES
from immersivaudio.engine.spotting import SpotOptions, spot
from immersivaudio.engine.synthesis import space

RATE = 48_000
_CLIP = Clip(
    "c", "take.mp4", "video", 0, "media/take.mp4", Span(Fraction(0), Fraction(12)), Span(Fraction(0), Fraction(12))
)
_EDIT = Edit("cut", Fraction(25), Fraction(12), clips=(_CLIP,), picture=(_CLIP,))


def _saw(label: str, start: float, end: float, **values: ParamValue) -> Sighting:
    return Sighting(
        "test", label, Span.between(Fraction(start), Fraction(end)), 0.9, values=values, id=f"{label}@{start}"
    )


def _seen(kind: str) -> list[Sighting]:
    blows = [_saw("impact", moment, moment, strength=0.6, size=0.02) for moment in (2.0, 3.5, 6.0)]
    return [_saw("place", 0, 12, kind=kind, share=0.8), *blows]


@pytest.mark.parametrize(("kind", "words", "wanted"), [("city", "", "street"), ("interior", "", "room"), ("interior", "a church", "hall")])  # fmt: skip
def test_every_cue_of_a_place_gets_its_space_and_words_overrule_the_eyes(kind: str, words: str, wanted: str) -> None:
    sheet = spot(_EDIT, _seen(kind), SpotOptions(description=words))
    spaced = [cue for cue in (*sheet.cues, *sheet.suggestions) if BY_ID[cue.sound].space]
    assert spaced
    assert {cue.params[SPACE] for cue in spaced} == {wanted}
    assert sheets.from_json(sheets.to_json(sheet)) == sheet


def test_a_space_that_nobody_knows_is_named_with_those_that_are() -> None:
    text = sheets.to_json(spot(_EDIT, _seen("interior"))).replace('"space": "room"', '"space": "rom"')
    with pytest.raises(CueSheetError, match="one of open, forest"):
        sheets.from_json(text)


def _heard(sound: str, where: str, **knobs: float) -> NDArray[np.float32]:
    cue = Cue("c", BY_ID[sound].stem, Span(Fraction(0), Fraction(4)), sound, seed=3, sync_s=(Fraction(1, 2),))
    cue = Cue("c", cue.stem, cue.span, sound, seed=3, sync_s=cue.sync_s, params={SPACE: where, **knobs})
    return np.concatenate(list(create().perform(Brief(cue, 4 * RATE))), axis=1)


def _late_db(wave: NDArray[np.float32], after_s: float) -> float:
    """The level from ``after_s`` after the blow on, against its first 50 ms."""
    power = np.square(wave).sum(axis=0)
    first = RATE // 2
    late = power[first + int(after_s * RATE) : first + int((after_s + 0.3) * RATE)].mean()
    return float(10 * np.log10(late / power[first : first + RATE // 20].mean() + 1e-20))


def test_spaces_ring_as_long_as_they_should() -> None:
    levels = {where: _late_db(_heard("impact.stone", where, distance=0.6), 0.3) for where in SPACES}
    assert levels["tunnel"] > levels["hall"] > levels["room"] + 6
    assert levels["hall"] > levels["street"] > levels["vehicle"]
    assert levels["vehicle"] < -60


@pytest.mark.parametrize("where", list(SPACES))
@pytest.mark.parametrize("sound", ["impact.wood", "impact.metal", "impact.soft", "door"])
def test_the_direct_sound_comes_first_and_hardest(sound: str, where: str) -> None:
    wave = np.abs(_heard(sound, where, distance=0.3, strength=1.0)).max(axis=0)
    assert not wave[: RATE // 2].any()
    assert int(np.argmax(wave)) - RATE // 2 <= 240


@pytest.mark.parametrize("where", list(SPACES))
def test_a_place_is_one_response_with_nothing_before_the_direct_sound(where: str) -> None:
    answer = space.response(where)
    assert np.allclose(np.sum(answer**2, axis=1), 1.0, atol=1e-6)
    assert not answer[:, :12].any() or np.abs(answer[:, :12]).max() < 0.05
    assert answer is space.response(where)
    shares = [space.SPACES[where].share(distance) for distance in (0.0, 0.5, 1.0)]
    assert shares == sorted(shares)


def test_a_stream_through_a_place_is_the_whole_convolved() -> None:
    wave = np.random.default_rng(1).standard_normal(5 * space.FRAME)
    hall = space.place("hall")
    parts = np.concatenate([hall.frame(wave[k : k + space.FRAME]) for k in range(0, len(wave), space.FRAME)], axis=1)
    whole = np.stack([signal.oaconvolve(wave, row)[: len(wave)] for row in space.response("hall")])
    assert np.allclose(parts, whole, atol=2e-4)
