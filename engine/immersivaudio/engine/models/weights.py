# SPDX-License-Identifier: AGPL-3.0-or-later
"""Weights that are known, and what may be done with what they make.

A performer of another package declares its own :class:`Weights`; this list is only what the engine's own rest on.
``commercial_use`` is about the *outputs* delivered to a user. What is not known for sure is never commercial.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.cue import Licence


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of weights. ``hub_id`` is owner/name; ``revision`` a commit, empty where any is accepted.

    ``territory`` names where its licence does not hold, empty when it holds everywhere. ``parameters`` in billions.
    """

    hub_id: str
    performer: str
    licence: str
    commercial_use: bool
    attribution: str
    revision: str = ""
    territory: str = ""
    parameters: float = 0.0

    @property
    def source(self) -> str:
        return f"https://huggingface.co/{self.hub_id}" if self.hub_id else ""

    def as_licence(self) -> Licence:
        return Licence(self.licence, self.commercial_use, self.attribution, self.source)


_AUDIOLDM2 = "Made with AudioLDM 2 (Haohe Liu et al., CVSSP, University of Surrey), CC BY-NC-SA 4.0."

KNOWN: tuple[Weights, ...] = (
    Weights("cvssp/audioldm2", "audioldm2", "CC-BY-NC-SA-4.0", False, _AUDIOLDM2, parameters=1.1),
    Weights("cvssp/audioldm2-large", "audioldm2", "CC-BY-NC-SA-4.0", False, _AUDIOLDM2, parameters=1.5),
    Weights("cvssp/audioldm2-music", "audioldm2", "CC-BY-NC-SA-4.0", False, _AUDIOLDM2, parameters=1.1),
)


def known(hub_id: str) -> Weights | None:
    return next((weights for weights in KNOWN if weights.hub_id == hub_id), None)


def described(folder: Path, performer: str, hub_id: str = "") -> Weights:
    """The weights in a folder that nobody vouches for: licence by its model card, never commercial."""
    return Weights(hub_id, performer, _card_licence(folder) or "unknown", False, "")


def _card_licence(folder: Path) -> str:
    """The ``license:`` of a model card's front matter, else that there is a LICENSE file to read, else nothing."""
    card = folder / "README.md"
    if card.is_file():
        head = card.read_text("utf-8", "replace")[:20_000].split("\n---", 1)[0]
        if found := re.search(r"^license(?:_name)?:\s*['\"]?([\w.+-]+)", head, re.MULTILINE):
            return found.group(1)
    return "see its LICENSE file" if (folder / "LICENSE").is_file() else ""
