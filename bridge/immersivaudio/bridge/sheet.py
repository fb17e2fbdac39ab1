# SPDX-License-Identifier: Apache-2.0
"""A cue sheet at an editor, as the wire's JSON has it: shown in rows, changed by a person, kept beside its result.
Standard library only: this runs inside editors."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from immersivaudio.bridge.host import HostError, Json

_FILES = ("timeline.otio", "cues.json", "job.json")


@dataclass(frozen=True)
class Row:
    """A cue as a person reads it; ``words`` say what should be heard, ``start_s`` counts from the first frame sent."""

    cue_id: str
    stem: str
    sound: str
    why: str
    start_s: Fraction
    words: str
    heard: bool


def rows(sheet: Mapping[str, Any]) -> list[Row]:
    """The cues of ``sheet`` in its order."""
    return [
        Row(
            cue_id=str(cue["cue_id"]),
            stem=str(cue.get("stem", "")).removeprefix("STEM_").title(),
            sound=str(cue.get("sound", "")),
            why=str(cue.get("why", "")),
            start_s=start_s(cue),
            words=str(cue.get("prompt", "")),
            heard=not cue.get("muted", False),
        )
        for cue in sheet.get("cues", ())
    ]


def edited(sheet: Mapping[str, Any], changes: Mapping[str, tuple[bool, str]]) -> Json:
    """``sheet`` with what a person changed: by a cue's id, whether it is heard and in which words."""
    made: Json = copy.deepcopy(dict(sheet))
    for cue in made.get("cues", ()):
        if cue["cue_id"] in changes:
            heard, cue["prompt"] = changes[cue["cue_id"]]
            cue["muted"] = not heard
    return made


def again(sheet: Mapping[str, Any], cue_id: str, words: str) -> Json:
    """``sheet`` with another seed, and other words when there are any, for one cue.

    Raises:
        KeyError: the sheet has no such cue.
    """
    made: Json = copy.deepcopy(dict(sheet))
    for cue in made.get("cues", ()):
        if cue["cue_id"] == cue_id:
            cue["seed"] = (int(cue.get("seed", 0)) + 1) % 2**31
            cue["prompt"] = words or cue.get("prompt", "")
            return made
    raise KeyError(cue_id)


def start_s(cue: Mapping[str, Any]) -> Fraction:
    """When a cue begins, in exact seconds from the first frame that was sent."""
    start = cue["record_range"]["start"]
    return Fraction(int(start.get("value", 0)) * int(start["rate_denominator"]), int(start["rate_numerator"]))


def keep(folder: Path, request: Mapping[str, Any], sheet: Mapping[str, Any] | None) -> None:
    """Write what a result came from beside it, so that one cue of it can be performed again."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {name: value for name, value in request.items() if name not in ("timeline", "cue_sheet")}
    for name, content in zip(_FILES, (request["timeline"], sheet or {}, about)):  # noqa: B905 (3.9 has no strict)
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


def kept(folder: Path) -> tuple[Json, Json, Json]:
    """Timeline, cue sheet and request of a result, as :func:`keep` wrote them.

    Raises:
        HostError: they are not there any more.
    """
    try:
        timeline, sheet, about = (json.loads((folder / name).read_text("utf-8")) for name in _FILES)
    except (OSError, ValueError):
        raise HostError(f"What this was made from is no longer in {folder}. Score the edit again.") from None
    return timeline, sheet, about
