# SPDX-License-Identifier: AGPL-3.0-or-later
"""One cue performed again: its new clip in the place of the old one, on the lane where that lies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from . import bins
from .access import Edit
from .bridge.host import HostError, Json, Lane, Receipt
from .lay import AUDIO_ONLY, Delivery, Laying, label, together
from .remove import drop_if_empty


@dataclass(frozen=True)
class _Old:
    """Clips of a cue that are on the timeline, and their track."""

    track: int
    items: list[Any]


def replace(edit: Edit, lanes: Sequence[Lane], cue_id: str, result: bins.Result) -> Receipt:
    """Take the clips that ``result`` has of a cue away and lay those of ``lanes`` there; the old ones come back where no
    new one could be placed. It stays one result, which goes as a whole. Music in instrument groups is one performance:
    each group takes the place of its own, and one that played not yet gets a track.

    Raises:
        HostError: the old clip is gone or locked, or Resolve does not take the new file; nothing was changed.
    """
    old = _of(edit, cue_id, result)
    new = [only for lane in lanes if (only := lane.of_cue(cue_id)).clips]
    if not new:
        raise HostError("That cue is not heard now: it is muted, or nothing can perform it.")
    _refuse_locked(edit, old.values())
    layings = _layings(edit, new, result)
    where = [_order(one.track, item) for one in old.values() for item in one.items]
    # Elsewhere DeleteClips answers False and deletes nothing.
    edit.resolve.OpenPage("edit")
    edit.timeline.DeleteClips([item for one in old.values() for item in one.items], False)
    receipt = together([_laid(laying, old.get(laying.lane.group)) for laying in layings])
    if not receipt.placed:
        edit.pool.AppendToTimeline(where)
        return changed(receipt, problems=(*receipt.problems, "The old sound is back."))
    for track in sorted((one.track for one in old.values()), reverse=True):
        drop_if_empty(edit, track, result)
    return receipt


def _of(edit: Edit, cue_id: str, result: bins.Result) -> dict[str, _Old]:
    """The clips of a cue by the instrument group that they hold."""
    ours = {item.GetUniqueId() for item in result.items}
    found: dict[str, _Old] = {}
    for track in range(1, int(edit.timeline.GetTrackCount("audio")) + 1):
        here: dict[str, _Old] = {}
        for item in edit.timeline.GetItemListInTrack("audio", track) or ():
            told = _told(item) if bins.media_of(item) in ours else {}
            if told.get("cue") == cue_id:
                here.setdefault(str(told.get("group", "")), _Old(track, [])).items.append(item)
        found = {**here, **found}
    if not found:
        raise HostError("The clip of that cue is not on the timeline any more. Score the edit again.")
    return found


def _told(item: Any) -> Json:
    """What a clip is, as the marker says that we laid with it."""
    for marker in (item.GetMarkers() or {}).values():
        try:
            told = json.loads(marker["customData"])
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(told, dict) and "cue" in told:
            return told
    return {}


def _refuse_locked(edit: Edit, old: Iterable[_Old]) -> None:
    for one in old:
        if edit.timeline.GetIsTrackLocked("audio", one.track):
            name = edit.timeline.GetTrackName("audio", one.track)
            raise HostError(f"{name} is locked. Unlock it, then perform the cue again.")


def _layings(edit: Edit, lanes: Sequence[Lane], result: bins.Result) -> list[Laying]:
    """``lanes`` with their files in the media pool.

    Raises:
        HostError: Resolve took one of them not.
    """
    paths = list(dict.fromkeys(clip.path for lane in lanes for clip in lane.clips))
    items = bins.bring_in(edit, result.bin, paths)
    lost = next((path for path in paths if path not in items), None)
    if lost is not None:
        raise HostError(f"Resolve did not import {lost}.")
    delivery = Delivery(result.id, result.made, "")
    for lane in lanes:
        label(edit, lane, items, delivery)
    return [Laying(edit, lane, items, delivery) for lane in lanes]


def _laid(laying: Laying, old: _Old | None) -> Receipt:
    """Lay where the old clips were, or on a track of its own where there were none."""
    if old is not None:
        return laying.onto(old.track)
    try:
        return laying.lay()
    except HostError as error:
        return Receipt(0, laying.wanted, (str(error),))


def _order(track: int, item: Any) -> dict[str, Any]:
    """How ``item`` is laid on ``track`` once more."""
    source, frames = int(item.GetSourceStartFrame()), int(item.GetDuration())
    place = {"startFrame": source, "endFrame": source + frames, "recordFrame": int(item.GetStart())}
    return {"mediaPoolItem": item.GetMediaPoolItem(), "mediaType": AUDIO_ONLY, "trackIndex": track, **place}
