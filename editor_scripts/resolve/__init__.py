# SPDX-License-Identifier: AGPL-3.0-or-later
"""Immersivaudio in DaVinci Resolve: a menu script that sends the edit and lays sound on new stereo lanes.

Runs in whatever Python Resolve has (3.9 and newer), standard library only; the bridge runs in an environment of its own.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .access import NoResolveError, find_resolve
from .bridge.host import HostError
from .journal import Journal
from .score import remove_last, score
from .windows import Window, ask_to_stop, window_for

__all__ = ["main"]


def main(script: Mapping[str, Any], python: str, action: str = "score") -> str:
    """Do what the menu entry says; what was said to the person at the end.

    ``script`` is the menu script's globals, in which Resolve puts ``resolve``, ``fusion`` and ``bmd``; ``python`` is the
    interpreter that has immersivaudio.
    """
    journal = Journal(Path(__file__).parent.parent / "immersivaudio.log")
    if action == "cancel":
        return journal.say(ask_to_stop(journal))
    try:
        resolve = find_resolve(script)
    except NoResolveError as error:
        return journal.say(str(error))
    window = window_for(resolve, script, journal)
    try:
        said = remove_last(resolve) if action == "remove" else score(resolve, python, window, journal)
    except HostError as error:
        said = str(error)
    except Exception as error:  # no traceback may reach the person; all of it is in the journal
        journal.write(traceback.format_exc())
        said = f"Immersivaudio broke ({type(error).__name__}: {error}). What happened is in {journal.path}."
    return _tell(window, said, journal)


def _tell(window: Window, said: str, journal: Journal) -> str:
    """A window that cannot be drawn must not swallow what there is to say."""
    try:
        window.close()
        window.tell(said)
    except Exception:
        journal.write(traceback.format_exc())
        journal.say(said)
    return said
