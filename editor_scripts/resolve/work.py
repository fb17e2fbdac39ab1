# SPDX-License-Identifier: AGPL-3.0-or-later
"""From a wish to clips: straight through, or spotting first; going on with what was begun; one cue once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import bins
from .bridge import sheet as sheets
from .bridge.host import HostError, Json, Lane, LinkError, Order, Receipt, performed, request_of, spotted
from .panel import CUES, SPOT, Wish
from .unfinished import Begun, Unfinished
from .windows import Stopped, Window

_RENDER = "render"


class Work:
    """One run of the menu entry. ``host`` is Resolve, ``link`` the way to the bridge."""

    def __init__(self, host: Any, link: Any, window: Window, unfinished: Unfinished) -> None:
        self._host, self._link, self._window, self.unfinished = host, link, window, unfinished
        self._warnings: list[str] = []
        self._sheet: Json | None = None
        self._goal = ""

    def begin(self, wish: Wish) -> str:
        """Send what ``wish`` says; what came of it.

        Raises:
            HostError: with a sentence for the person.
        """
        request = request_of(self._host, Order(self._folder, wish.scope, wish.effect, wish.params))
        return self._spot(request) if wish.way == SPOT else self._perform(request)

    def go_on(self, begun: Begun) -> str:
        """Follow a job that went on, or waits; or perform cues that were spotted before."""
        self._host.folder = Path(begun.folder)
        timeline, sheet, about = sheets.kept(self._host.folder)
        request = {**about, "timeline": timeline}
        if begun.goal == CUES:
            return self._change(request, sheet)
        self._goal = begun.goal
        try:
            job = str(self._link.ask("attach", {"engine_job": begun.engine_job})["job"])
        except LinkError:
            self.unfinished.forget()
            raise
        return self._spot(request, job) if begun.goal == SPOT else self._perform(request, job)

    def change_last(self, last: bins.Result) -> str:
        """Show the cues of a result; perform one again in its place, or all that were changed on new lanes."""
        timeline, sheet, about = sheets.kept(last.folder)
        edits = self._window.cues(sheets.rows(sheet), True)
        if edits is None:
            return "Nothing was changed."
        request = {**about, "timeline": timeline}
        if not edits.again:
            return self._perform({**request, "cue_sheet": sheets.edited(sheet, edits.cues)})
        words = edits.cues[edits.again][1]
        request["cue_sheet"] = sheets.again(sheet, edits.again, words)
        lanes = self._lanes(request)
        receipt = self._host.replace(lanes, edits.again, last)
        self.unfinished.forget()
        if receipt.complete:
            sheets.keep(last.folder, request, request["cue_sheet"])
        return self._said(receipt)

    @property
    def _folder(self) -> str:
        return str(self._host.folder)

    def _spot(self, request: Json, job: str = "") -> str:
        sheet = self._watched(spotted, job or self._sent(SPOT, request))
        sheets.keep(self._host.folder, request, sheet)
        return self._change(request, sheet)

    def _change(self, request: Json, sheet: Json) -> str:
        self.unfinished.remember(Begun(CUES, self._folder))
        edits = self._window.cues(sheets.rows(sheet), False)
        if edits is None:
            return f"Nothing was changed yet. The cues are kept in {self._folder}."
        return self._perform({**request, "cue_sheet": sheets.edited(sheet, edits.cues)})

    def _perform(self, request: Json, job: str = "") -> str:
        lanes = self._lanes(request, job)
        sheets.keep(self._host.folder, request, self._sheet or request.get("cue_sheet"))
        receipt = self._host.lay(lanes)
        self.unfinished.forget()
        return self._said(receipt)

    def _lanes(self, request: Json, job: str = "") -> Sequence[Lane]:
        return self._watched(performed, job or self._sent(_RENDER, request), self._folder)

    def _sent(self, goal: str, request: Json) -> str:
        """Hand a job in; what was sent is kept, so that the job can be gone on with."""
        try:
            sheets.keep(self._host.folder, request, request.get("cue_sheet"))
        except OSError as error:
            raise HostError(f"{self._folder} cannot be written: {error.strerror}. Free some space there.") from None
        self._goal = goal
        return str(self._link.ask(goal, request)["job"])

    def _watched(self, until_done: Any, job: str, *more: Any) -> Any:
        """Wait for a job. One that failed or was stopped is over; one whose bridge or engine is gone is not."""
        try:
            return until_done(self._link, job, *more, self._heard)
        except Stopped:
            self.unfinished.forget()
            raise
        except LinkError as error:
            if error.reason not in ("BRIDGE_GONE", "UNAVAILABLE", "DEADLINE_EXCEEDED"):
                self.unfinished.forget()
            raise

    def _heard(self, event: Json) -> None:
        told = event["params"]
        if event["method"] == "progress":
            self._window.show(str(told.get("message") or told.get("stage", "")), float(told.get("fraction", 0.0)))
        elif event["method"] == "warning":
            self._warnings.append(str(told["text"]))
        elif event["method"] == "cue_sheet":
            self._sheet = dict(told["cue_sheet"])
        elif event["method"] == "accepted":
            self.unfinished.remember(Begun(self._goal, self._folder, str(told["engine_job"])))

    def _said(self, receipt: Receipt) -> str:
        text = str(receipt).rstrip(".")
        return " ".join((f"{text[:1].upper()}{text[1:]}.", *self._warnings, f"The files lie in {self._folder}."))
