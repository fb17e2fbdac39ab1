# SPDX-License-Identifier: AGPL-3.0-or-later
"""How the person is asked and told: Fusion's UIManager where this edition has it, else Resolve's console and a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from .access import Build
from .bridge.host import HostError, Scope
from .journal import Journal
from .panel import Panel, Wish

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

    def ask(self, panel: Panel, ranged: bool) -> Wish | None:
        """What the person wants, or None for nothing. ``ranged``: in and out points are set."""

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

    def ask(self, panel: Panel, ranged: bool) -> Wish | None:
        wish = wish_from(self.settings, panel, ranged)
        self.journal.say(f"Sending {_SENT[wish.scope]} to {wish.effect}. Values can be set in {self.settings}.")
        return wish

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


def ask_to_stop(journal: Journal) -> str:
    """Ask the script that works in another process to stop; what to say of it."""
    _stop_file(journal).touch()
    return "Stopping what Immersivaudio is doing."


def _stop_file(journal: Journal) -> Path:
    return journal.path.with_name("stop")


def wish_from(path: Path, panel: Panel, ranged: bool) -> Wish:
    """What a settings file says: ``effect``, ``scope`` and ``params``. What it leaves out has its default.

    Raises:
        HostError: it is no JSON, or names an effect or scope that is not there.
    """
    try:
        told = json.loads(path.read_text("utf-8")) if path.exists() else {}
        scope = Scope(told.get("scope", Scope.RANGE.value if ranged else Scope.WHOLE.value))
        effect = str(told.get("effect", panel.effects[0][0]))
        params = {**panel.defaults(effect), **told.get("params", {})}
    except (ValueError, AttributeError, TypeError) as error:
        raise HostError(f"{path} cannot be used ({error}). Correct it, or delete it.") from None
    return Wish(scope, effect, params)
