# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was begun for a timeline and is not laid yet, in a file that outlives the script, the bridge and Resolve."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .access import Edit
from .panel import CUES


@dataclass(frozen=True)
class Begun:
    """A job of the engine (``goal`` spot or render), or a list of cues that was not performed yet (``goal`` cues).
    ``folder`` is where its files go, and where what was sent is kept."""

    goal: str
    folder: str
    engine_job: str = ""

    @property
    def text(self) -> str:
        what = "There are cues" if self.goal == CUES else "There is a job that went on, or waits,"
        return f"{what} of this timeline from {Path(self.folder).name}. Go on with it?"


class Unfinished:
    """One file a timeline, below ``store``."""

    def __init__(self, store: Path, edit: Edit) -> None:
        name = "".join(letter if letter.isalnum() else "-" for letter in str(edit.timeline.GetUniqueId()))
        self._path = store / f"{name}.json"

    def found(self) -> Begun | None:
        """What is not laid yet; None for nothing."""
        try:
            return Begun(**json.loads(self._path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def remember(self, begun: Begun) -> None:
        """Without this file the job is only harder to find again: nobody is kept from working by a full disk."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(asdict(begun)), encoding="utf-8")

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
