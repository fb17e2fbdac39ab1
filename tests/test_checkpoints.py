# SPDX-License-Identifier: AGPL-3.0-or-later
"""Naming the weights of watchers and of the language model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from immersivaudio.engine.errors import NotFoundError
from immersivaudio.engine.models import checkpoints, pulling

ENGINE = Path(checkpoints.__file__).parents[1]


def test_whatever_takes_a_checkpoint_can_be_pulled_for() -> None:
    texts = [path.read_text() for path in (*(ENGINE / "watchers").glob("*.py"), ENGINE / "wording.py")]
    taken = {name for text in texts for name in re.findall(r'Checkpoint\(\s*(?:_NAME|"(\w+)")', text) if name}
    own = {
        m.group(1) for text in texts if "Checkpoint(\n    _NAME" in text and (m := re.search(r'_NAME = "(\w+)"', text))
    }
    assert taken | own == set(checkpoints.NAMES)
    for name in checkpoints.NAMES:
        assert pulling.wanted("owner/model@0123abc", name).performer == name
    with pytest.raises(NotFoundError, match="No weights are called"):
        pulling.wanted("owner/model", "nobody")


def test_the_guide_says_how_to_name_each() -> None:
    guide = (ENGINE.parents[2] / "docs/models.md").read_text()
    for name in checkpoints.NAMES:
        assert f"`IMMERSIVAUDIO_{name.upper()}`" in guide
