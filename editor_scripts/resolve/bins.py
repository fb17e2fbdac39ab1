# SPDX-License-Identifier: AGPL-3.0-or-later
"""Bins of ours in the media pool: ``Immersivaudio/<timeline>/<date>``. What lies in them is our only record."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .access import Edit, can
from .bridge.host import HostError

ROOT = "Immersivaudio"
_KEY = "immersivaudio"


@dataclass(frozen=True)
class Result:
    """One result: its id, when it was made, the timeline it belongs to, its bin and what lies there."""

    id: str
    made: float
    timeline: str
    bin: Any
    items: tuple[Any, ...]
    lanes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its files lie, and what it was made from."""
        return Path(str(self.items[0].GetClipProperty("File Path"))).parent


def make(edit: Edit, date: str) -> Any:
    """A new bin, below bins that are found or made.

    Raises:
        HostError: Resolve made none.
    """
    folder = edit.pool.GetRootFolder()
    for name in (ROOT, edit.name.replace("/", "-")):
        folder = _child(folder, name) or edit.pool.AddSubFolder(folder, name)
    taken = {child.GetName() for child in folder.GetSubFolderList() or ()} if folder else set()
    made = edit.pool.AddSubFolder(folder, free_name(date, taken)) if folder else None
    if made is None:
        raise HostError("Resolve made no bin in the media pool. Unlock the project's bins, then try again.")
    return made


def free_name(name: str, taken: Collection[str]) -> str:
    """``name``, or ``name 2`` and so on where that is taken."""
    names = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
    return next(free for free in names if free not in taken)


def bring_in(edit: Edit, folder: Any, paths: Sequence[str]) -> dict[str, Any]:
    """Import files into ``folder``; the item of each, as found there afterwards. What is missing was refused."""
    edit.pool.SetCurrentFolder(folder)
    edit.pool.ImportMedia(list(paths))
    found = {str(item.GetClipProperty("File Path")): item for item in folder.GetClipList() or ()}
    return {path: found[path] for path in paths if path in found}


def label(item: Any, told: Mapping[str, Any]) -> None:
    """Write our record on an item of the pool: hidden from the user where this build can, else as its comment."""
    text = json.dumps(dict(told), ensure_ascii=False)
    if can(item, "SetThirdPartyMetadata"):
        item.SetThirdPartyMetadata(_KEY, text)
    else:
        item.SetMetadata("Comments", f"{_KEY} {text}")


def results(edit: Edit) -> list[Result]:
    """Every result of this timeline, oldest first."""
    timeline = edit.timeline.GetUniqueId()
    found = (result for folder in _ours(edit) for result in _result_in(folder))
    return sorted((result for result in found if result.timeline == timeline), key=lambda result: result.made)


def files(edit: Edit) -> list[str]:
    """Where every file of ours lies that this project knows."""
    items = (item for folder in _ours(edit) for item in folder.GetClipList() or () if _label_of(item))
    return [str(item.GetClipProperty("File Path")) for item in items]


def discard(edit: Edit, folder: Any, items: Sequence[Any]) -> None:
    """Take items out of a bin of ours, but none that another timeline plays, and bins away that are empty then."""
    unused = [item for item in items if str(item.GetClipProperty("Usage") or "0") == "0"]
    if unused:
        edit.pool.DeleteClips(unused)
    gone = {item.GetUniqueId() for item in unused}
    doomed = folder
    for above in (*_way_to(edit, doomed), None):
        rest = [item for item in doomed.GetClipList() or () if item.GetUniqueId() not in gone]
        if above is None or rest or doomed.GetSubFolderList():
            return
        edit.pool.DeleteFolders([doomed])
        doomed = above


def media_of(item: Any) -> Any:
    """Which item of the media pool a clip plays; None for none."""
    media = item.GetMediaPoolItem()
    return media.GetUniqueId() if media is not None else None


def _result_in(folder: Any) -> Iterator[Result]:
    labelled = [(item, _label_of(item)) for item in folder.GetClipList() or ()]
    ours = [(item, told) for item, told in labelled if told]
    if ours:
        told = ours[0][1]
        items, lanes = tuple(item for item, _ in ours), tuple(str(told["lane"]) for _, told in ours)
        yield Result(str(told["result"]), float(told["made"]), str(told["timeline"]), folder, items, lanes)


def _label_of(item: Any) -> dict[str, Any]:
    if can(item, "GetThirdPartyMetadata"):
        text = item.GetThirdPartyMetadata(_KEY)
    else:
        text = str(item.GetMetadata("Comments") or "").partition(f"{_KEY} ")[2]
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError):
        return {}


def _ours(edit: Edit) -> Iterable[Any]:
    top = _child(edit.pool.GetRootFolder(), ROOT)
    return [date for name in top.GetSubFolderList() or () for date in name.GetSubFolderList() or ()] if top else []


def _way_to(edit: Edit, folder: Any) -> tuple[Any, ...]:
    """The bins above one of ours, from the nearest to the media pool's root."""
    root = edit.pool.GetRootFolder()
    top = _child(root, ROOT)
    for name in top.GetSubFolderList() or ():
        if any(date.GetUniqueId() == folder.GetUniqueId() for date in name.GetSubFolderList() or ()):
            return name, top, root
    return ()


def _child(folder: Any, name: str) -> Any:
    return next((child for child in folder.GetSubFolderList() or () if child.GetName() == name), None)
