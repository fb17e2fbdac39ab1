# SPDX-License-Identifier: AGPL-3.0-or-later
"""Avid's AAF through the published adapter, whose numbers are right; what it leaves out is read with pyaaf2. Both run in a
child with limits."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers.dialects import OURS
from immersivaudio.engine.importers.exact import snap
from immersivaudio.engine.importers.warnings import Grumbles

_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PATIENCE_S = 300
_AGAIN = "Export the sequence again as AAF."


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The first composition of the file.

    Raises:
        TimelineError: no AAF, or one that the adapter cannot make sense of.
    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise TimelineError(f"{path.name} is no AAF file.", _AGAIN)
    told = _told(path)
    try:
        found = otio.adapters.read_from_string(told["found"], "otio_json")
        rate = snap(Fraction(told["rate"])) if told["rate"] else None
    except (ValueError, ZeroDivisionError, otio.exceptions.OTIOError) as error:
        raise TimelineError(f"{path.name} cannot be understood: {type(error).__name__}: {error}.", _AGAIN) from error
    if isinstance(found, otio.schema.SerializableCollection):
        timelines = [child for child in found if isinstance(child, otio.schema.Timeline)]
        if len(timelines) > 1:
            grumbles.add("The file holds several compositions; the first is taken: {clips}.", timelines[0].name)
        found = timelines[0] if timelines else None
    if not isinstance(found, otio.schema.Timeline):
        raise TimelineError(f"{path.name} holds no composition.", _AGAIN)
    if rate is not None:
        found.metadata[OURS] = {"rate": str(rate), "drop_frame": told["drop"]}
    return found


def _told(path: Path) -> dict[str, Any]:
    """What the child found; see :mod:`aaf_child`."""
    command = [sys.executable, "-m", f"{__package__}.aaf_child", str(path)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False)
        told: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise TimelineError(f"{path.name} is not read after {_PATIENCE_S} s.", _AGAIN) from error
    except ValueError as error:
        raise TimelineError(f"{path.name} is damaged: reading it takes too much memory.", _AGAIN) from error
    if "error" in told:
        raise TimelineError(f"{path.name} cannot be understood: {' '.join(told['error'].split())}.", _AGAIN)
    return told
