# SPDX-License-Identifier: AGPL-3.0-or-later
"""The edit as Resolve's own OpenTimelineIO export, cut to what was asked for, without the lanes that we laid before."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .access import Edit, can
from .bridge.host import HostError, Json, Scope


def gather(edit: Edit, scope: Scope, ours: Iterable[str] = ()) -> Json:
    """The timeline; zero on its record clock is its own first frame, whatever ``scope`` says.

    ``ours`` are the files of earlier results: tracks that play nothing else are left out.

    Raises:
        HostError: Resolve exports nothing, or there is no such range.
    """
    extent = None if scope is Scope.WHOLE else frames_of(edit, scope)
    timeline = _exported(edit)
    tracks = timeline["tracks"]["children"]
    timeline["tracks"]["children"] = [track for track in tracks if not _is_ours(track, tuple(ours))]
    if extent is not None:
        start, end = extent
        times = {"start_time": _time(start, edit), "duration": _time(end - start, edit)}
        timeline["tracks"]["source_range"] = {"OTIO_SCHEMA": "TimeRange.1", **times}
    return timeline


def frames_of(edit: Edit, scope: Scope) -> tuple[int, int]:
    """First frame, and the frame after the last, of a range or selection, from the timeline's first frame.

    Raises:
        HostError: nothing is marked or selected, or this build does not say.
    """
    if scope is Scope.SELECTION:
        return _selected(edit)
    marks = edit.timeline.GetMarkInOut() if can(edit.timeline, "GetMarkInOut") else {}
    mark = marks.get("video") or marks.get("audio") or {}
    length = int(edit.timeline.GetEndFrame()) - edit.first_frame
    start, end = _from_start(mark.get("in", 0), edit, length), _from_start(mark.get("out", length - 1), edit, length)
    if not mark or end < start:
        raise HostError("No in and out points are set. Mark the range with I and O, or choose the whole timeline.")
    return start, min(end + 1, length)


def has_range(edit: Edit) -> bool:
    """Whether the user marked a range."""
    try:
        frames_of(edit, Scope.RANGE)
    except HostError:
        return False
    return True


def _from_start(frame: Any, edit: Edit, length: int) -> int:
    """Marks count from the timeline's start; a build that counts from the timecode is understood as well."""
    return int(frame) - edit.first_frame if int(frame) > length and edit.first_frame else int(frame)


def _selected(edit: Edit) -> tuple[int, int]:
    if not can(edit.timeline, "GetSelectedClips"):
        raise HostError("This Resolve does not tell scripts what is selected (21.0.4 does). Mark a range with I and O.")
    items = edit.timeline.GetSelectedClips() or ()
    if not items:
        raise HostError("No clip is selected. Select the clips that lack sound, or choose the whole timeline.")
    start, end = min(item.GetStart() for item in items), max(item.GetEnd() for item in items)
    return int(start) - edit.first_frame, int(end) - edit.first_frame


def _exported(edit: Edit) -> Json:
    with tempfile.TemporaryDirectory(prefix="immersivaudio-") as folder:
        path = Path(folder) / "timeline.otio"
        done = edit.timeline.Export(str(path), edit.resolve.EXPORT_OTIO, edit.resolve.EXPORT_NONE)
        if not done or not path.exists():
            raise HostError(f"Resolve did not export {edit.name}. Open it on the Edit page, then try again.")
        return dict(json.loads(path.read_text("utf-8")))


def _is_ours(track: Mapping[str, Any], ours: tuple[str, ...]) -> bool:
    urls = list(_urls(track)) if track.get("kind") == "Audio" else []
    return bool(urls) and all(_names(url, ours) for url in urls)


def _urls(track: Mapping[str, Any]) -> Iterator[str]:
    for child in track.get("children", ()):
        references = child.get("media_references") or {"": child.get("media_reference")}
        for reference in references.values():
            if reference and "target_url" in reference:
                yield str(reference["target_url"])


def _names(url: str, files: tuple[str, ...]) -> bool:
    spelt = (url.replace("\\", "/"), unquote(url).replace("\\", "/"))
    return any(text.endswith(file.replace("\\", "/")) for text in spelt for file in files)


def _time(frames: int, edit: Edit) -> Json:
    return {"OTIO_SCHEMA": "RationalTime.1", "value": float(frames), "rate": float(edit.rate)}
