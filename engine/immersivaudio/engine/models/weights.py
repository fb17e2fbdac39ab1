# SPDX-License-Identifier: AGPL-3.0-or-later
"""Weights that are known, and what may be done with what they make.

A performer of another package declares its own :class:`Weights`; this list is only what the engine's own rest on.
``commercial_use`` is about the *outputs* delivered to a user. What is not known for sure is never commercial.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from immersivaudio.engine.cue import Licence

RECORD = "PULLED.json"


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of weights. ``hub_id`` is owner/name; ``revision`` a commit, empty where any is accepted.

    ``territory`` names where its licence does not hold, empty when it holds everywhere. ``parameters`` in billions.
    ``condition`` is what commercial use hangs on: until somebody accepted it (``immersivaudio models pull``), there is none.
    ``terms`` is where the licence can be read, ``token``: the hub asks for an account that
    accepted it there, too; ``agreed``: somebody accepted the condition here.
    """

    hub_id: str
    performer: str
    licence: str
    commercial_use: bool
    attribution: str
    revision: str = ""
    territory: str = ""
    parameters: float = 0.0
    condition: str = ""
    terms: str = ""
    token: bool = False
    agreed: bool = False

    @property
    def source(self) -> str:
        return f"https://huggingface.co/{self.hub_id}" if self.hub_id else ""

    def as_licence(self) -> Licence:
        free = self.commercial_use and (self.agreed or not self.condition)
        return Licence(self.licence, free, self.attribution, self.source, self.territory, self.condition)

    def accepted(self) -> Weights:
        """The same weights for somebody who agreed to what their commercial use hangs on; the condition stays said."""
        return replace(self, agreed=True)


_NC_SA = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
_NC = "https://creativecommons.org/licenses/by-nc/4.0/"
_STABILITY = "LicenseRef-Stability-AI-Community"
_STABILITY_TERMS = "https://stability.ai/license"
_STABILITY_IF = (
    "commercial use only for whoever earns less than 1 million US dollars a year, and is registered with Stability AI"
)
_GEMMA_IF = f"{_STABILITY_IF}; its text encoder also falls under the Gemma Terms of Use"
_AUDIOLDM2 = "Made with AudioLDM 2 (Haohe Liu et al., CVSSP, University of Surrey), CC BY-NC-SA 4.0."
_MUSICGEN = "Made with MusicGen (Jade Copet et al., Meta AI), weights CC BY-NC 4.0."
_STABLE = "Made with Stable Audio Open 1.0. Powered by Stability AI."
_STABLE_3 = "Made with Stable Audio 3. Powered by Stability AI."
_ACE = "Made with ACE-Step 1.5 (ACE Studio and StepFun), MIT."


def _audioldm2(name: str, parameters: float) -> Weights:
    return Weights(
        f"cvssp/{name}", "audioldm2", "CC-BY-NC-SA-4.0", False, _AUDIOLDM2, parameters=parameters, terms=_NC_SA
    )


def _musicgen(name: str, performer: str, parameters: float) -> Weights:
    return Weights(f"facebook/{name}", performer, "CC-BY-NC-4.0", False, _MUSICGEN, parameters=parameters, terms=_NC)


def _stability(name: str, performer: str, parameters: float) -> Weights:
    third = performer == "stable_audio_3"
    return Weights(
        f"stabilityai/{name}", performer, _STABILITY, True, _STABLE_3 if third else _STABLE, parameters=parameters,
        condition=_GEMMA_IF if third else _STABILITY_IF, terms=_STABILITY_TERMS, token=True,
    )  # fmt: skip


# The first of each performer is what it is best known by.
KNOWN: tuple[Weights, ...] = (
    _audioldm2("audioldm2", 1.1),
    _audioldm2("audioldm2-large", 1.5),
    _audioldm2("audioldm2-music", 1.1),
    _stability("stable-audio-open-1.0", "stable_audio", 1.2),
    _stability("stable-audio-3-medium", "stable_audio_3", 1.4),
    _stability("stable-audio-3-small-sfx", "stable_audio_3", 0.43),
    _stability("stable-audio-3-small-music", "stable_audio_3", 0.43),
    _musicgen("musicgen-small", "musicgen", 0.6),
    _musicgen("musicgen-medium", "musicgen", 2.0),
    _musicgen("musicgen-large", "musicgen", 3.3),
    _musicgen("musicgen-stereo-small", "musicgen", 0.6),
    _musicgen("musicgen-melody", "musicgen_melody", 1.5),
    Weights(
        "ACE-Step/acestep-v15-xl-turbo-diffusers",
        "ace_step",
        "MIT",
        True,
        _ACE,
        parameters=5.0,
        terms="https://opensource.org/license/mit",
    ),
)


def known(hub_id: str) -> Weights | None:
    return next((weights for weights in KNOWN if weights.hub_id == hub_id), None)


def described(folder: Path, performer: str, hub_id: str = "") -> Weights:
    """The weights in a folder: what was pulled into it is known, else licence by its model card and never commercial."""
    said = record(folder)
    if (entry := known(said.get("hub_id", ""))) is not None:
        entry = replace(entry, revision=said.get("revision", ""))
        return entry.accepted() if said.get("agreed") else entry
    return Weights(said.get("hub_id", hub_id), performer, _card_licence(folder) or "unknown", False, "")


def record(folder: Path) -> dict[str, Any]:
    """What :func:`write_record` wrote; empty where nothing was."""
    try:
        said = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) and isinstance(said.get("hub_id"), str) else {}


def write_record(folder: Path, weights: Weights, agreed: bool) -> None:
    """Say beside pulled weights what they are, and whether somebody agreed to what commercial use hangs on."""
    said = {"hub_id": weights.hub_id, "revision": weights.revision, "licence": weights.licence, "agreed": agreed}
    (folder / RECORD).write_text(json.dumps(said, indent=1), "utf-8")


def _card_licence(folder: Path) -> str:
    """The ``license:`` of a model card's front matter, else that there is a LICENSE file to read, else nothing."""
    card = folder / "README.md"
    if card.is_file():
        head = card.read_text("utf-8", "replace")[:20_000].split("\n---", 1)[0]
        if found := re.search(r"^license(?:_name)?:\s*['\"]?([\w.+-]+)", head, re.MULTILINE):
            return found.group(1)
    return "see its LICENSE file" if (folder / "LICENSE").is_file() else ""
