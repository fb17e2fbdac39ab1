# SPDX-License-Identifier: AGPL-3.0-or-later
"""Avid's AAF through the published adapter, whose numbers are right; what it leaves out is read with pyaaf2."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers.dialects import OURS
from immersivaudio.engine.importers.exact import snap
from immersivaudio.engine.importers.warnings import Grumbles

_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_AGAIN = "Export the sequence again as AAF."


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The first composition of the file.

    Raises:
        TimelineError: no AAF, or one that the adapter cannot make sense of.
    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise TimelineError(f"{path.name} is no AAF file.", _AGAIN)
    try:
        with _quiet():
            found = otio.adapters.read_from_file(str(path), "AAF")
            rate, drop = _timecode(path)
    except Exception as error:
        raise TimelineError(f"{path.name} cannot be understood: {type(error).__name__}: {error}.", _AGAIN) from error
    if isinstance(found, otio.schema.SerializableCollection):
        timelines = [child for child in found if isinstance(child, otio.schema.Timeline)]
        if len(timelines) > 1:
            grumbles.add("The file holds several compositions; the first is taken: {clips}.", timelines[0].name)
        found = timelines[0] if timelines else None
    if not isinstance(found, otio.schema.Timeline):
        raise TimelineError(f"{path.name} holds no composition.", _AGAIN)
    if rate is not None:
        found.metadata[OURS] = {"rate": str(rate), "drop_frame": drop}
    return found


def _timecode(path: Path) -> tuple[Fraction | None, bool]:
    """Rate and drop-frame flag of the first top-level composition's timecode track."""
    import aaf2

    with aaf2.open(str(path), "r") as file:
        for mob in file.content.toplevel():
            for slot in mob.slots:
                segment = slot.segment
                part = next(iter(segment.components), None) if hasattr(segment, "components") else segment
                if part is not None and type(part).__name__ == "Timecode":
                    return snap(Fraction(slot.edit_rate)), bool(part["Drop"].value)
    return None, False


@contextmanager
def _quiet() -> Iterator[None]:
    """The adapter writes notes to itself into the root logger."""

    def silent(_record: logging.LogRecord) -> bool:
        return False

    root = logging.getLogger()
    root.addFilter(silent)
    try:
        yield
    finally:
        root.removeFilter(silent)
