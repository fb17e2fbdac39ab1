# SPDX-License-Identifier: AGPL-3.0-or-later
"""Taking the last result away: our clips, our lanes, our bin, and nothing else. Resolve has no undo for scripts."""

from __future__ import annotations

from typing import Any

from . import bins
from .access import Edit
from .bridge.host import HostError


def remove_last(edit: Edit) -> int:
    """Remove the newest result of this timeline; how many clips went. Its files stay on the disk.

    Raises:
        HostError: some of it lies on a locked track; nothing was removed.
    """
    results = bins.results(edit)
    if not results:
        return 0
    last = results[-1]
    ours = {item.GetUniqueId() for item in last.items}
    _refuse_locked(edit, ours)
    # Elsewhere DeleteClips answers False and deletes nothing.
    edit.resolve.OpenPage("edit")
    gone = sum(_clear(edit, track, ours, last) for track in range(_count(edit), 0, -1))
    bins.discard(edit, last.bin, last.items)
    return gone


def _clear(edit: Edit, track: int, ours: set[Any], result: bins.Result) -> int:
    """Delete our clips from a track, and the track when nothing is left of it and its name is ours."""
    timeline = edit.timeline
    before = timeline.GetItemListInTrack("audio", track) or ()
    items = [item for item in before if bins.media_of(item) in ours]
    if not items:
        return 0
    timeline.DeleteClips(items, False)
    rest = timeline.GetItemListInTrack("audio", track) or ()
    drop_if_empty(edit, track, result)
    return len(before) - len(rest)


def drop_if_empty(edit: Edit, track: int, result: bins.Result) -> None:
    """Delete a track on which nothing lies and whose name is ours."""
    timeline = edit.timeline
    rest = timeline.GetItemListInTrack("audio", track) or ()
    if not rest and str(timeline.GetTrackName("audio", track)).startswith(result.lanes):
        timeline.DeleteTrack("audio", track)


def _refuse_locked(edit: Edit, ours: set[Any]) -> None:
    timeline = edit.timeline
    for track in range(1, _count(edit) + 1):
        items = timeline.GetItemListInTrack("audio", track) or ()
        if timeline.GetIsTrackLocked("audio", track) and any(bins.media_of(item) in ours for item in items):
            name = timeline.GetTrackName("audio", track)
            raise HostError(f"{name} is locked. Unlock it, then remove the result.")


def _count(edit: Edit) -> int:
    return int(edit.timeline.GetTrackCount("audio"))
