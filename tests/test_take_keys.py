# SPDX-License-Identifier: AGPL-3.0-or-later
"""A kept take is found again exactly while all that made it is the same, also who performed the guide that it follows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from immersivaudio.engine import performing, plugins
from immersivaudio.engine.cue import Cue, Span, Stem
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.performers import Performer
from immersivaudio.engine.performers.music import Music
from immersivaudio.engine.performers.procedural import Procedural

NIGHT = Cue("c", Stem.AMBIENCE, Span(Fraction(0), Fraction(2)), "night", seed=1)
KNOCKS = replace(NIGHT, sound="impact.wood", stem=Stem.FOLEY, sync_s=(Fraction(1),))
PASSING = replace(NIGHT, sound="passby.car", stem=Stem.EFFECTS, sync_s=(Fraction(1),))
PIECE = replace(NIGHT, sound="music", stem=Stem.MUSIC)
FREE = replace(NIGHT, sound="a dragon", prompt="a dragon", params={"guide": 0.5})
LATENT = ("audioldm2", "stable_audio", "stable_audio_3")
COMPOSED = ("musicgen", "musicgen_melody", "ace_step")


def told(cue: Cue, **params: float) -> Cue:
    return replace(cue, params=params)


def becomes_another(cue: Cue, name: str, maker: type[Performer], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the take of ``cue`` by ``name`` is made anew when the guides' ``maker`` changes."""
    performer = plugins.create("performers", name)
    before = performing.take_key(cue, performer)
    assert performing.take_key(cue, performer) == before
    monkeypatch.setattr(maker, "version", f"{maker.version}, later")
    return performing.take_key(cue, performer) != before


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("cue", [KNOCKS, PASSING, told(NIGHT, guide=0.5)])
def test_what_follows_a_guide_is_made_anew_with_it(name: str, cue: Cue, monkeypatch: pytest.MonkeyPatch) -> None:
    assert becomes_another(cue, name, Procedural, monkeypatch)


@pytest.mark.parametrize("name", LATENT)
@pytest.mark.parametrize("cue", [NIGHT, told(KNOCKS, guide=0.0), told(PASSING, guide=0.0), PIECE, FREE])
def test_what_follows_none_is_kept(name: str, cue: Cue, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not becomes_another(cue, name, Procedural, monkeypatch)


@pytest.mark.parametrize("name", COMPOSED)
def test_music_after_the_piece_by_rule_is_made_anew_with_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert becomes_another(PIECE, name, Music, monkeypatch)
    monkeypatch.undo()
    assert not becomes_another(PIECE, name, Procedural, monkeypatch)


@pytest.mark.parametrize("name", LATENT)
def test_music_that_is_guided_is_made_anew_with_its_guide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert becomes_another(told(PIECE, guide=0.5), name, Music, monkeypatch)


def test_senseless_guides_are_refused_before_anything_is_made() -> None:
    with pytest.raises(RequestError, match="guide"):
        performing.take_key(told(KNOCKS, guide=7.0), plugins.create("performers", "audioldm2"))
