# SPDX-License-Identifier: AGPL-3.0-or-later
"""What may be done with a mixed result, and whom it must name."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from immersivaudio.engine import manifest
from immersivaudio.engine.cue import Licence
from immersivaudio.engine.models import weights

FREE = Licence("CC0-1.0", True)
NAMED = Licence("CC-BY-4.0", True, "A. Recordist")
IF = Licence("Community", True, "Powered by X", condition="only small companies")
NOT_HERE = Licence("Regional", True, "Z", territory="the EU")
NC = Licence("CC-BY-NC-4.0", False, "Y")
NC_SA = Licence("CC-BY-NC-SA-4.0", False, "W")
STRICTER = (FREE, NAMED, IF, NOT_HERE, NC, NC_SA)


@pytest.mark.parametrize(("looser", "tighter"), list(itertools.combinations(STRICTER, 2)))
def test_a_mixed_result_carries_the_strictest(looser: Licence, tighter: Licence) -> None:
    for mixed in itertools.permutations((looser, tighter, FREE)):
        assert manifest.strictest(mixed) == tighter
    assert manifest.strictest([]) is None


def test_everybody_is_named_once() -> None:
    assert manifest.attribution([NC, FREE, IF, NC]) == "Powered by X\nY"
    assert manifest.attribution([FREE]) == ""


def test_a_condition_counts_only_once_it_was_accepted(tmp_path: Path) -> None:
    entry = next(one for one in weights.KNOWN if one.performer == "stable_audio")
    assert not entry.as_licence().commercial_use
    for agreed in (False, True):
        weights.write_record(tmp_path, entry, agreed)
        told = weights.described(tmp_path, "stable_audio").as_licence()
        assert told.commercial_use is agreed
        assert told.condition == entry.condition
        assert told.attribution == entry.attribution


def test_what_a_folder_says_of_itself_never_makes_it_commercial(tmp_path: Path) -> None:
    other = weights.Weights("somebody/else", "stable_audio", "MIT", True, "")
    weights.write_record(tmp_path, other, True)
    assert not weights.described(tmp_path, "stable_audio").as_licence().commercial_use
    (tmp_path / weights.RECORD).write_text("[]")
    assert weights.record(tmp_path) == {}


@pytest.mark.parametrize("entry", weights.KNOWN, ids=lambda one: one.hub_id)
def test_every_known_licence_is_whole(entry: weights.Weights) -> None:
    assert entry.licence and entry.attribution and entry.terms.startswith("https://")
    assert entry.commercial_use == ("NC" not in entry.licence)
