# SPDX-License-Identifier: AGPL-3.0-or-later
"""OTIO JSON in, also from a newer OpenTimelineIO than the installed one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers.flatten import CLIPS_AT_MOST
from immersivaudio.engine.importers.warnings import Grumbles

_CLIP = re.compile(r'"Clip\.\d')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_OPEN, _CLOSE = np.frombuffer(b"[{", np.uint8), np.frombuffer(b"]}", np.uint8)
_DEPTH_AT_MOST = 400
_AGAIN = "Export the timeline again as .otio."


def parse(text: str, grumbles: Grumbles) -> otio.schema.Timeline:
    """The timeline in ``text``; a bare track, stack or clip gets a timeline around it.

    What a newer OpenTimelineIO wrote is read as the newest known form. The text goes through Python's reader first: a
    key that stands twice, or brackets that nobody closes, crash the C++ one so that nobody could catch it.

    Raises:
        TimelineError: no JSON, no OTIO, too many clips, nested too deep.
    """
    if sum(1 for _ in _CLIP.finditer(text)) > CLIPS_AT_MOST:
        raise TimelineError(f"The timeline holds more than {CLIPS_AT_MOST} clips.", "Export the timeline in parts.")
    _refuse_depth(text)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TimelineError(f"This is no OpenTimelineIO file: {_first_line(error)}.", _AGAIN) from error
    newer = ", ".join(sorted(_lower(tree)))
    try:
        found = otio.adapters.read_from_string(json.dumps(tree), "otio_json")
    except (otio.exceptions.OTIOError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if newer:
            raise TimelineError(f"The timeline needs a newer OpenTimelineIO ({newer}).", _AGAIN) from error
        raise TimelineError(f"This is no OpenTimelineIO file: {_first_line(error)}.", _AGAIN) from error
    if newer:
        grumbles.add(f"Written by a newer OpenTimelineIO; read as the older form: {newer}.")
    return _timeline(found, grumbles)


def _refuse_depth(text: str) -> None:
    """Before any reader recurses into it."""
    marks = np.frombuffer(_STRING.sub("", text).encode(), np.uint8)
    steps = np.isin(marks, _OPEN).astype(np.int32) - np.isin(marks, _CLOSE)
    deepest = int(steps.cumsum().max(initial=0))
    if deepest > _DEPTH_AT_MOST:
        raise TimelineError(f"The timeline is nested {deepest} levels deep.", "Flatten some nests first.")


def _first_line(error: Exception) -> str:
    text = str(error.args[0] if error.args else error).splitlines()
    return text[0].rstrip(".") if text else type(error).__name__


def _timeline(found: object, grumbles: Grumbles) -> otio.schema.Timeline:
    if isinstance(found, otio.schema.Timeline):
        return found
    if isinstance(found, otio.schema.SerializableCollection):
        timelines = [child for child in found if isinstance(child, otio.schema.Timeline)]
        if len(timelines) > 1:
            grumbles.add("The file holds several timelines; the first is taken: {clips}.", timelines[0].name)
        if timelines:
            return timelines[0]
    if isinstance(found, otio.schema.Stack):
        return otio.schema.Timeline(found.name, tracks=[found.deepcopy()])
    if isinstance(found, otio.schema.Track):
        return otio.schema.Timeline(found.name, tracks=[found])
    if isinstance(found, otio.schema.Clip):
        return otio.schema.Timeline(found.name, tracks=[otio.schema.Track(children=[found])])
    raise TimelineError("This file holds no timeline.", _AGAIN)


def _lower(tree: Any) -> set[str]:
    """Rename, in place, every schema that is newer than the installed one; the names of what was renamed."""
    known = otio.core.type_version_map()
    newer: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            name, _, version = str(node.get("OTIO_SCHEMA", "")).partition(".")
            if name in known and version.isdigit() and int(version) > known[name]:
                newer.add(f"{name}.{version}")
                node["OTIO_SCHEMA"] = f"{name}.{known[name]}"
                if name == "Marker" and isinstance(node.get("color"), dict):
                    node["color"] = str(node["color"].get("name") or "RED")
            waiting += node.values()
    return newer


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The timeline in an ``.otio`` file; see :func:`parse`."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TimelineError(f"{path.name} is no text, so no OpenTimelineIO file.", _AGAIN) from error
    return parse(text, grumbles)
