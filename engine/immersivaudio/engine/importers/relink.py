# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding a timeline's media again: what a person calls relinking."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PureWindowsPath

import opentimelineio as otio

from immersivaudio.engine import importers, media
from immersivaudio.engine.importers.sources import Library, path_names
from immersivaudio.engine.importers.warnings import Grumbles

_FILES_AT_MOST = 200_000


def locate_media(timeline: Path, folders: Iterable[Path], *, everything: bool = False) -> dict[str, Path]:
    """Where each ``target_url`` of a timeline file lies: at its own place, else under ``folders`` by file name.

    Only those that were found elsewhere come back, unless ``everything`` is wanted (to send all of them away).

    Raises:
        TimelineError: the timeline cannot be understood.
    """
    imported = importers.read(timeline, Grumbles())
    library = Library(imported.folder, {}, media.probe, Grumbles(), imported.inside_only)
    shelf = _shelf(folders)
    found: dict[str, Path] = {}
    for url in _urls(imported.timeline):
        own = next((path for path in library.candidates(url) if path.is_file()), None)
        other = None if own else _by_name(url, shelf)
        if path := (own if everything else None) or other:
            found[url] = path.absolute()
    return found


def _urls(timeline: otio.schema.Timeline) -> Iterator[str]:
    seen = set()
    for clip in timeline.find_clips():
        for reference in clip.media_references().values():
            url = getattr(reference, "target_url", "")
            if url and url not in seen:
                seen.add(url)
                yield url


def _shelf(folders: Iterable[Path]) -> dict[str, Path]:
    """Every file under ``folders`` by its name in small letters; the first of a name counts."""
    shelf: dict[str, Path] = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                shelf.setdefault(name.lower(), Path(place, name))
            if len(shelf) > _FILES_AT_MOST:
                return shelf
    return shelf


def _by_name(url: str, shelf: dict[str, Path]) -> Path | None:
    names = (PureWindowsPath(name).name.lower() for name in path_names(url))
    return next((shelf[name] for name in names if name in shelf), None)
