# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the person is asked and told: Fusion's UIManager where this edition has it, else Resolve's console and a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .access import Build
from .bridge.host import HostError, Json, Scope
from .bridge.sheet import Row
from .journal import Journal
from .panel import CUES, SCORE, SPOT, Edits, Panel, Wish

STOPPED = "Cancelled. The timeline is as it was."


_SENT = {
    Scope.WHOLE: "the whole timeline",
    Scope.RANGE: "the marked range",
    Scope.SELECTION: "the extent of the selected clips",
}


class Stopped(HostError):
    """The person pressed Cancel."""


class Window(Protocol):
    """Asks once, shows progress, tells the end."""

    def ask(self, panel: Panel, ranged: bool, scored: bool) -> Wish | None:
        """What the person wants, or None for nothing. ``ranged``: in and out points are set; ``scored``: there is a
        result whose cues can be shown."""

    def goes_on(self, text: str, goal: str) -> bool:
        """Whether to go on with what ``text`` says was begun before; else it is forgotten. Raises Stopped for neither."""

    def cues(self, rows: Sequence[Row], scored: bool) -> Edits | None:
        """What the person makes of a cue sheet, or None for nothing (yet). ``scored``: it has been performed."""

    def show(self, text: str, fraction: float) -> None:
        """Say how far it is; ``fraction`` from 0 to 1."""

    def breathe(self) -> None:
        """Let the window live for a moment. Raises Stopped when Cancel was pressed."""

    def tell(self, text: str) -> None:
        """Say how it ended."""

    def close(self) -> None:
        """Take the window away; again is allowed."""


def window_for(resolve: Any, script: Mapping[str, Any], journal: Journal) -> Window:
    """The best way to talk that this build has. UIManager is not even touched where that raises a modal window."""
    if Build.of(resolve).has_windows and "bmd" in script:
        from .dialog import Dialog

        fusion = script.get("fusion") or resolve.Fusion()
        return Dialog(fusion.UIManager, script["bmd"], journal)
    return Console(journal)


class Console:
    """No window: wishes are in ``settings.json`` beside the journal, everything is said in text, and the menu's entry
    Cancel, which runs in a process of its own, leaves a file that is looked for."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._said = ""
        self._stop = _stop_file(journal)
        self._stop.unlink(missing_ok=True)

    def ask(self, panel: Panel, ranged: bool, scored: bool) -> Wish | None:
        wish = wish_from(self.settings, panel, ranged)
        if wish.way == CUES:
            return wish if scored else None
        self.journal.say(f"Sending {_SENT[wish.scope]} to {wish.effect}. Values can be set in {self.settings}.")
        return wish

    def goes_on(self, text: str, goal: str) -> bool:
        """There is nobody to ask: nothing is given up but a list of cues whose file somebody took away."""
        self.journal.say(text)
        return goal != CUES or self.sheet.exists()

    def cues(self, rows: Sequence[Row], scored: bool) -> Edits | None:
        """What is written in ``cues.json``; the cues are written there when it is not about these."""
        try:
            told = json.loads(self.sheet.read_text("utf-8"))
            edits = Edits({one["id"]: (bool(one["heard"]), str(one["words"])) for one in told["cues"]}, told["again"])
            if set(edits.cues) == {row.cue_id for row in rows} and edits.again in ("", *edits.cues):
                self.sheet.unlink()
                return edits
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.sheet.write_text(
            json.dumps({"again": "", "cues": [_told(row) for row in rows]}, indent=1), encoding="utf-8"
        )
        self.journal.say(
            f"{len(rows)} cues are in {self.sheet}. Set heard and words there"
            + (", or again to the id of the one to be performed again" if scored else "")
            + ", then start this entry once more. Without the file they are forgotten."
        )
        return None

    @property
    def sheet(self) -> Path:
        return self.journal.path.with_name("cues.json")

    @property
    def settings(self) -> Path:
        return self.journal.path.with_name("settings.json")

    def show(self, text: str, fraction: float) -> None:
        step = f"{text} {fraction // 0.1 * 10:.0f} %"
        if step != self._said:
            self._said = step
            self.journal.say(step)

    def breathe(self) -> None:
        if self._stop.exists():
            raise Stopped(STOPPED)

    def tell(self, text: str) -> None:
        self.journal.say(text)

    def close(self) -> None:
        self._stop.unlink(missing_ok=True)


def _told(row: Row) -> Json:
    at = f"{float(row.start_s):.2f} s"
    return {"id": row.cue_id, "at": at, "stem": row.stem, "sound": row.sound, "why": row.why,
            "heard": row.heard, "words": row.words}  # fmt: skip


def ask_to_stop(journal: Journal) -> str:
    """Ask the script that works in another process to stop; what to say of it."""
    _stop_file(journal).touch()
    return "Stopping what Immersivaudio is doing."


def _stop_file(journal: Journal) -> Path:
    return journal.path.with_name("stop")


def wish_from(path: Path, panel: Panel, ranged: bool) -> Wish:
    """What a settings file says: ``effect``, ``scope``, ``params`` and ``way``. What it leaves out has its default.

    Raises:
        HostError: it is no JSON, or names an effect or scope that is not there.
    """
    try:
        told = json.loads(path.read_text("utf-8")) if path.exists() else {}
        scope = Scope(told.get("scope", Scope.RANGE.value if ranged else Scope.WHOLE.value))
        effect = str(told.get("effect", panel.effects[0][0]))
        params = {**panel.defaults(effect), **told.get("params", {})}
        way = str(told.get("way", SCORE))
        if way not in (SCORE, SPOT, CUES):
            raise ValueError(f"{way} is no way: {SCORE}, {SPOT} or {CUES} are")
    except (ValueError, AttributeError, TypeError) as error:
        raise HostError(f"{path} cannot be used ({error}). Correct it, or delete it.") from None
    return Wish(scope, effect, params, way)
