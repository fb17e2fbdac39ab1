# SPDX-License-Identifier: AGPL-3.0-or-later
"""The two menu entries: score the edit, and take the last result away."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import again, bins, lay, remove
from .access import Edit, open_edit
from .bridge import sheet as sheets
from .bridge.host import HostError, Json, Lane, Receipt, Scope, greet
from .bridge.stdio import Link
from .gather import gather, has_range
from .journal import Journal
from .panel import CUES, GENERAL, Panel
from .restore import as_it_was
from .unfinished import Unfinished
from .windows import Window
from .work import Work

NAME = "DaVinci Resolve"
_PIPE_WAIT_S = 0.05


class ResolveHost:
    """Resolve as the bridge's :class:`Host`."""

    name = NAME

    def __init__(self, edit: Edit, folder: Path) -> None:
        self.edit, self.folder = edit, folder
        self.version = edit.build.text
        self.capabilities = ("lanes", *(("clip-gain",) if edit.build.sets_levels else ()))

    def gather(self, scope: Scope) -> Json:
        with as_it_was(self.edit):
            return gather(self.edit, scope, bins.files(self.edit))

    def lay(self, lanes: Sequence[Lane]) -> Receipt:
        if not self.edit.is_open():
            raise HostError(f"The project was closed meanwhile. The sound lies in {self.folder}.")
        delivery = lay.Delivery(uuid.uuid4().hex, time.time(), self.folder.name)
        with as_it_was(self.edit):
            receipt = lay.lay(self.edit, lanes, delivery)
        told = {"result": delivery.id, "receipt": str(receipt), "lanes": [lane.to_json() for lane in lanes]}
        (self.folder / "result.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
        return receipt

    def replace(self, lanes: Sequence[Lane], cue_id: str, result: bins.Result) -> Receipt:
        """Lay one cue of ``lanes`` in the place of what ``result`` has of it."""
        with as_it_was(self.edit):
            return again.replace(self.edit, lanes, cue_id, result)

    def remove_last(self) -> int:
        with as_it_was(self.edit):
            return remove.remove_last(self.edit)


class AttentiveLink:
    """The way to the bridge, looked at in short turns so that the window stays awake and Cancel is heard."""

    def __init__(self, link: Link, window: Window) -> None:
        self._link, self._window = link, window

    def ask(self, method: str, params: Json, timeout_s: float = 60.0) -> Any:
        return self._link.ask(method, params, timeout_s)

    def next_event(self, timeout_s: float) -> Any:
        until = time.monotonic() + timeout_s
        while True:
            self._window.breathe()
            event = self._link.next_event(_PIPE_WAIT_S)
            if event is not None or time.monotonic() >= until:
                return event


def score(resolve: Any, python: str, window: Window, journal: Journal) -> str:
    """Ask what to do, do it, and say what came of it. What was begun before and is not laid yet comes first.

    Raises:
        HostError: with a sentence for the person; the timeline is as it was then.
    """
    edit = open_edit(resolve)
    host = ResolveHost(edit, folder_for(edit))
    window.show("Starting the engine", 0.0)
    engine = os.environ.get("IMMERSIVAUDIO_ENGINE", "auto")
    link = Link([python, "-m", "immersivaudio.bridge.stdio", "--engine", engine])
    try:
        greet(host, link)
        work = Work(host, AttentiveLink(link, window), window, Unfinished(journal.path.parent / "jobs", edit))
        begun = work.unfinished.found()
        if begun is not None and window.goes_on(begun.text, begun.goal):
            return work.go_on(begun)
        work.unfinished.forget()
        last = last_result(edit)
        wish = window.ask(Panel(link, GENERAL), has_range(edit), last is not None)
        if wish is None:
            return "Nothing was changed."
        return work.change_last(last) if wish.way == CUES and last is not None else work.begin(wish)
    finally:
        link.close()


def last_result(edit: Edit) -> bins.Result | None:
    """The newest result of a timeline, when what it was made from is still there."""
    results = bins.results(edit)
    with contextlib.suppress(HostError):
        if results and sheets.kept(results[-1].folder)[1].get("cues"):
            return results[-1]
    return None


def remove_last(resolve: Any) -> str:
    """Take the last result of the open timeline away; says how many clips went.

    Raises:
        HostError: no timeline is open, or scripts are not allowed.
    """
    edit = open_edit(resolve)
    gone = ResolveHost(edit, Path()).remove_last()
    return f"Removed {gone} clips." if gone else f"There is no result of Immersivaudio on {edit.name}."


def folder_for(edit: Edit) -> Path:
    """Where files of this result go: beside the first media of the edit that may be written beside, else with the
    user's movies."""
    beside = next((place for place in _media_folders(edit) if os.access(place, os.W_OK)), _movies())
    # A path with any of these is cut or refused by one editor or another.
    name = "".join("-" if letter in '/\\:*?"<>|#%' else letter for letter in edit.name).strip(" .") or "timeline"
    return beside / "Immersivaudio" / name / time.strftime("%Y-%m-%d %H.%M.%S")


def _media_folders(edit: Edit) -> Any:
    for track in range(1, int(edit.timeline.GetTrackCount("video")) + 1):
        for item in edit.timeline.GetItemListInTrack("video", track) or ():
            media = item.GetMediaPoolItem()
            path = str(media.GetClipProperty("File Path") or "") if media is not None else ""
            if path and not any(letter in path for letter in "#%?") and Path(path).is_file():
                yield Path(path).parent


def _movies() -> Path:
    return Path.home() / ("Movies" if sys.platform == "darwin" else "Videos")
