# SPDX-License-Identifier: AGPL-3.0-or-later
"""OTIO JSON in, also from a newer OpenTimelineIO than the installed one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers.flatten import CLIPS_AT_MOST
from immersivaudio.engine.importers.warnings import Grumbles

_CLIP = re.compile(r'"Clip\.\d')
_COMPILED = re.compile(r"\bN(\d\w+)E\b")
_REREAD_LINE = re.compile(r" ?\(?near line \d+\)?")
_LACKING = re.compile(r"^While reading object named ('.*') \(of type '(\w+)'\): (\w+)$")
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
    _admit(tree, grumbles)
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
    steps = np.isin(marks, _OPEN).astype(np.int8) - np.isin(marks, _CLOSE)
    deepest = int(steps.cumsum(dtype=np.int32).max(initial=0))
    if deepest > _DEPTH_AT_MOST:
        raise TimelineError(f"The timeline is nested {deepest} levels deep.", "Flatten some nests first.")


def _first_line(error: Exception) -> str:
    """What a reader complains of, in the names of the file: not in those that a C++ compiler gave to its types, nor by
    lines of the text that was put together for it."""
    text = str(error.args[0] if error.args else error).splitlines()
    if not text:
        return type(error).__name__
    line = _COMPILED.sub(lambda found: _innermost(found[1]), _REREAD_LINE.sub("", text[0]).rstrip("."))
    return _LACKING.sub(r"the \2 \1 lacks \3", line) or "its content is of another form"


def _innermost(mangled: str) -> str:
    """The last of names that stand behind their lengths: ``14opentimelineio4Clip`` is a Clip."""
    name = mangled
    while length := re.match(r"\d+", mangled):
        end = length.end() + int(length[0])
        name, mangled = mangled[length.end() : end], mangled[end:]
    return name


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


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _admit(tree: Any, grumbles: Grumbles) -> None:
    """Put, in place, a known schema where an editor's own one would make OpenTimelineIO refuse the whole file."""
    for node in _nodes(tree):
        for key in ("effects", "markers", "children"):
            if isinstance(node.get(key), list):
                stood = [_stand_in(key, item, str(node.get("name", "")), grumbles) for item in node[key]]
                node[key] = [item for item in stood if item is not None]
        if isinstance(node.get("media_references"), dict):
            told = node["media_references"]
            node["media_references"] = {
                key: _stand_in("media", item, str(node.get("name", "")), grumbles) for key, item in told.items()
            }


def _stand_in(place: str, item: Any, owner: str, grumbles: Grumbles) -> Any:
    """``item``, or what stands for it where its schema is unknown; None where nothing can."""
    schema = str(item.get("OTIO_SCHEMA", "")) if isinstance(item, dict) else ""
    if not schema or schema.partition(".")[0] in otio.core.type_version_map():
        return item
    grumbles.add(f"{schema} is of a kind unknown here and is passed over: {{clips}}.", owner)
    kept = {"name": item.get("name") or "", "metadata": {"unknown": {"schema": schema}}}
    if place == "effects":
        return {"OTIO_SCHEMA": "Effect.1", "effect_name": schema, **kept}
    if place == "media":
        return {"OTIO_SCHEMA": "MissingReference.1", **kept}
    lasting = place == "children" and isinstance(item.get("source_range"), dict)
    return {"OTIO_SCHEMA": "Gap.1", "source_range": item["source_range"], **kept} if lasting else None


def _lower(tree: Any) -> set[str]:
    """Rename, in place, every schema that is newer than the installed one; the names of what was renamed."""
    known = otio.core.type_version_map()
    newer: set[str] = set()
    for node in _nodes(tree):
        name, _, version = str(node.get("OTIO_SCHEMA", "")).partition(".")
        if name in known and version.isdigit() and int(version) > known[name]:
            newer.add(f"{name}.{version}")
            node["OTIO_SCHEMA"] = f"{name}.{known[name]}"
            if name == "Marker" and isinstance(node.get("color"), dict):
                node["color"] = str(node["color"].get("name") or "RED")
    return newer


def read(path: Path, grumbles: Grumbles) -> otio.schema.Timeline:
    """The timeline in an ``.otio`` file; see :func:`parse`."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TimelineError(f"{path.name} is no text, so no OpenTimelineIO file.", _AGAIN) from error
    return parse(text, grumbles)
