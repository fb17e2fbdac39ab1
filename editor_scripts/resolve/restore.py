# SPDX-License-Identifier: AGPL-3.0-or-later
"""The user's page, bin, playhead, marks and pool selection, put back whatever happens in between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .access import Edit, can

# The pages on which Resolve says where the playhead is.
_PAGES_WITH_PLAYHEAD = ("cut", "edit", "color", "fairlight", "deliver")


@dataclass(frozen=True)
class _Desk:
    """How the user left things."""

    page: Any
    timeline: Any
    bin: Any
    playhead: Any
    marks: Any
    chosen: tuple[Any, ...]


@contextlib.contextmanager
def as_it_was(edit: Edit) -> Iterator[None]:
    """Whatever is done inside, the user finds the desk as it was, with ``edit`` as the timeline inside."""
    desk = _look(edit)
    try:
        if not _same(desk.timeline, edit.timeline):
            edit.project.SetCurrentTimeline(edit.timeline)
        yield
    finally:
        _put_back(edit, desk)


def _look(edit: Edit) -> _Desk:
    now = edit.project.GetCurrentTimeline()
    page, pool = edit.resolve.GetCurrentPage(), edit.pool
    chosen = pool.GetSelectedClips() if can(pool, "GetSelectedClips") else None
    return _Desk(page, now, pool.GetCurrentFolder(), _playhead(now, page), _marks(edit.timeline), tuple(chosen or ()))


def _playhead(timeline: Any, page: Any) -> Any:
    return timeline.GetCurrentTimecode() if timeline is not None and page in _PAGES_WITH_PLAYHEAD else None


def _marks(timeline: Any) -> Any:
    return timeline.GetMarkInOut() if can(timeline, "GetMarkInOut") else None


def _put_back(edit: Edit, desk: _Desk) -> None:
    """Each thing by itself: when one cannot be put back, the others still are."""
    steps = (_put_page, _put_bin, _put_selection, _put_marks, _put_timeline)
    for step in steps:
        with contextlib.suppress(Exception):
            step(edit, desk)


def _put_page(edit: Edit, desk: _Desk) -> None:
    if desk.page and edit.resolve.GetCurrentPage() != desk.page:
        edit.resolve.OpenPage(desk.page)


def _put_bin(edit: Edit, desk: _Desk) -> None:
    if not _same(edit.pool.GetCurrentFolder(), desk.bin):
        edit.pool.SetCurrentFolder(desk.bin)


def _put_selection(edit: Edit, desk: _Desk) -> None:
    """Resolve can choose one clip only; several that were chosen stay so unless importing chose ours."""
    now = edit.pool.GetSelectedClips() if desk.chosen else ()
    if desk.chosen and [_id(clip) for clip in now or ()] != [_id(clip) for clip in desk.chosen]:
        edit.pool.SetSelectedClip(desk.chosen[0])


def _put_marks(edit: Edit, desk: _Desk) -> None:
    if desk.marks is None or _marks(edit.timeline) == desk.marks:
        return
    edit.timeline.ClearMarkInOut()
    for kind, mark in desk.marks.items():
        edit.timeline.SetMarkInOut(mark["in"], mark["out"], kind)


def _put_timeline(edit: Edit, desk: _Desk) -> None:
    if desk.timeline is not None and not _same(edit.project.GetCurrentTimeline(), desk.timeline):
        edit.project.SetCurrentTimeline(desk.timeline)
    if desk.playhead and desk.timeline.GetCurrentTimecode() != desk.playhead:
        desk.timeline.SetCurrentTimecode(desk.playhead)


def _same(one: Any, other: Any) -> bool:
    return (one is None and other is None) or (None not in (one, other) and _id(one) == _id(other))


def _id(thing: Any) -> Any:
    return thing.GetUniqueId()
