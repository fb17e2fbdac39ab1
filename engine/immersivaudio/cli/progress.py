# SPDX-License-Identifier: AGPL-3.0-or-later
"""Progress in the terminal: one bar with the stage and the time left; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

STAGES = {
    "conform": "reading the edit",
    "listen": "listening to the original",
    "watch": "watching",
    "spot": "spotting",
    "perform": "performing",
    "mix": "mixing",
    "deliver": "delivering",
}


class Bar:
    """Shows a job's progress on stderr, so that stdout stays clean for results."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        # What could not be honoured is said in any case: only progress is hidden.
        self._warnings = Console(stderr=True, highlight=False) if quiet else self.console
        self._began = time.monotonic()
        self._live = sys.stderr is not None and sys.stderr.isatty() and not quiet
        columns = (
            TextColumn("{task.description:<26}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=self.console, transient=True, disable=not self._live)
        self._task = self._bar.add_task("starting", total=1.0, left="")
        self._stage = ""

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, stage: str, fraction: float, message: str = "") -> None:
        text = STAGES.get(stage, stage)
        if message and stage == "perform":
            text = f"{text} {message}"
        if not self._live and stage != self._stage:
            self.console.print(f"{text} ...")
        self._stage = stage
        self._bar.update(self._task, completed=fraction, description=text[:40], left=self._left(fraction))

    def warn(self, text: str) -> None:
        self._warnings.print(f"[yellow]note:[/yellow] {escape(text)}", soft_wrap=True)

    def _left(self, fraction: float) -> str:
        spent = time.monotonic() - self._began
        if fraction < 0.05 or spent < 1:
            return ""
        left = round(spent * (1 - fraction) / fraction)
        return f"about {left // 60}:{left % 60:02d} left"
