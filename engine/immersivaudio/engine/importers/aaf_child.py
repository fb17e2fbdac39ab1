# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads one AAF in a process of its own: ``python -m immersivaudio.engine.importers.aaf_child FILE`` writes what was found
as JSON. The library believes every count in the file, and a wrong one costs hours and tens of gigabytes."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import Any

import opentimelineio as otio

_MEMORY_BYTES = 4 << 30


def main(path: str) -> None:
    """Write ``{"found", "rate", "drop"}``, or ``{"error"}``, to standard output."""
    _limit()
    logging.disable()
    try:
        # The library prints notes to itself.
        with contextlib.redirect_stdout(sys.stderr):
            found = otio.adapters.read_from_file(path, "AAF")
            rate, drop = _timecode(path)
            told: dict[str, Any] = {"found": found.to_json_string(), "rate": rate, "drop": drop}
    except Exception as error:
        told = {"error": ": ".join(filter(None, (type(error).__name__, str(error))))}
    sys.stdout.write(json.dumps(told))


def _timecode(path: str) -> tuple[str | None, bool]:
    """Rate and drop-frame flag of the first top-level composition's timecode track."""
    import aaf2

    with aaf2.open(path, "r") as file:
        for mob in file.content.toplevel():
            for slot in mob.slots:
                segment = slot.segment
                part = next(iter(segment.components), None) if hasattr(segment, "components") else segment
                if part is not None and type(part).__name__ == "Timecode":
                    return str(slot.edit_rate), bool(part["Drop"].value)
    return None, False


def _limit() -> None:
    """Windows knows no such limit; the clock alone holds there."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


if __name__ == "__main__":
    main(sys.argv[1])
