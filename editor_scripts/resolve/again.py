# SPDX-License-Identifier: AGPL-3.0-or-later
"""One cue performed again: its new clip in the place of the old one, on the lane where that lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace as changed
from typing import Any

from . import bins
from .access import Edit
from .bridge.host import HostError, Lane, Receipt
from .lay import AUDIO_ONLY, Delivery, Laying, label


def replace(edit: Edit, lanes: Sequence[Lane], cue_id: str, result: bins.Result) -> Receipt:
    """Take the clips that ``result`` has of a cue away and lay those of ``lanes`` there; the old ones come back where no
    new one could be placed. It stays one result, which goes as a whole.

    Raises:
        HostError: the old clip is gone or locked, or Resolve does not take the new file; nothing was changed.
    """
    track, old = _of(edit, cue_id, result)
    lane = next((_only(lane, cue_id) for lane in lanes if _only(lane, cue_id).clips), None)
    if lane is None:
        raise HostError("That cue is not heard now: it is muted, or nothing can perform it.")
    if edit.timeline.GetIsTrackLocked("audio", track):
        raise HostError(
            f"{edit.timeline.GetTrackName('audio', track)} is locked. Unlock it, then perform the cue again."
        )
    items = bins.bring_in(edit, result.bin, list(dict.fromkeys(clip.path for clip in lane.clips)))
    delivery = Delivery(result.id, result.made, "")
    label(edit, lane, items, delivery)
    laying = Laying(edit, lane, items, delivery)
    if not laying.spots:
        raise HostError(f"Resolve did not import {lane.clips[0].path}.")
    where = [(item.GetMediaPoolItem(), item.GetSourceStartFrame(), item.GetDuration(), item.GetStart()) for item in old]
    # Elsewhere DeleteClips answers False and deletes nothing.
    edit.resolve.OpenPage("edit")
    edit.timeline.DeleteClips(old, False)
    receipt = laying.onto(track)
    if not receipt.placed:
        edit.pool.AppendToTimeline([_order(track, *one) for one in where])
        return changed(receipt, problems=(*receipt.problems, "The old sound is back."))
    return receipt


def _of(edit: Edit, cue_id: str, result: bins.Result) -> tuple[int, list[Any]]:
    ours = {item.GetUniqueId() for item in result.items}
    for track in range(1, int(edit.timeline.GetTrackCount("audio")) + 1):
        items = edit.timeline.GetItemListInTrack("audio", track) or ()
        found = [item for item in items if bins.media_of(item) in ours and _cue(item) == cue_id]
        if found:
            return track, found
    raise HostError("The clip of that cue is not on the timeline any more. Score the edit again.")


def _cue(item: Any) -> str:
    """Which cue a clip is, as the marker says that we laid with it."""
    for marker in (item.GetMarkers() or {}).values():
        try:
            return str(json.loads(marker["customData"])["cue"])
        except (ValueError, KeyError, TypeError):
            continue
    return ""


def _only(lane: Lane, cue_id: str) -> Lane:
    return Lane(lane.name, lane.stem, tuple(clip for clip in lane.clips if clip.cue.get("cue") == cue_id))


def _order(track: int, media: Any, source: int, frames: int, record: int) -> dict[str, Any]:
    place = {"startFrame": int(source), "endFrame": int(source + frames), "recordFrame": int(record)}
    return {"mediaPoolItem": media, "mediaType": AUDIO_ONLY, "trackIndex": track, **place}
