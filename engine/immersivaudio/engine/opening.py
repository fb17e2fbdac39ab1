# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a job is asked to score, as an edit: one file, a timeline, or nothing but a length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from immersivaudio.engine import access, conform, media
from immersivaudio.engine.blobs import is_blob
from immersivaudio.engine.cue import Edit
from immersivaudio.engine.errors import EngineError, MediaError, RequestError
from immersivaudio.engine.request import ScoreRequest


def edit_of(request: ScoreRequest, scratch: Path) -> tuple[Edit, Any]:
    """The edit, and the user's timeline (an OTIO one) where there is one.

    Raises:
        MediaError, TimelineError, AccessError: it cannot be read. RequestError: there is nothing to score.
    """
    if request.media is not None:
        return conform.single(_probed(request.media, request.name), request.name or request.media.stem), None
    if request.timeline is not None:
        timeline, edit = conform.read(request.timeline, request.media_by_url, _prober(request), scratch, scored=False)
        return (replace(edit, name=request.name) if request.name else edit), timeline
    if request.timeline_json:
        timeline, edit = conform.from_json(
            request.timeline_json, request.media_by_url, _prober(request), name=request.name, scored=False
        )
        return (replace(edit, name=request.name) if request.name else edit), timeline
    if request.effect == "sfx":
        seconds = Fraction(str(request.params.get("duration_s", 4.0)))
        return Edit(request.name or "sound", Fraction(24), seconds), None
    raise RequestError("Nothing was given to score.", "Give a video file or a timeline.")


def _probed(path: Path, name: str) -> media.Probe:
    """The media of a job; what is said of an uploaded file names it as its owner does."""
    try:
        return media.probe(path)
    except MediaError as error:
        said = error.message.replace(path.name, name) if name and is_blob(path) else error.message
        raise MediaError(said, error.hint) from error


def _prober(request: ScoreRequest) -> Callable[[Path], media.Probe]:
    """Probing that keeps a timeline's own paths inside the allowed roots."""
    named = set(request.media_by_url.values())
    return lambda path: media.probe(path if path in named else access.check(path, request.roots))


def nothing_to_see(edit: Edit) -> EngineError:
    """Why nothing of ``edit`` can be watched, and what to do about it."""
    if not edit.clips:
        return MediaError(
            f"{edit.name} holds nothing but gaps.",
            "Put a picture on the timeline, or write a cue sheet and use --cues.",
        )
    wanted = [clip for clip in edit.clips if clip.kind == "video" and clip.enabled]
    if not wanted and not any(clip.kind == "video" for clip in edit.clips):
        return MediaError(
            f"{edit.name} has sound but no picture, so there is nothing to watch.",
            "Give a video or a timeline with picture, or write a cue sheet and use --cues.",
        )
    lost = [clip.name for clip in wanted if clip.media is None]
    return MediaError(
        f"None of the {len(wanted)} picture clips of {edit.name} can be seen: their media was not found "
        f"(first: {lost[0] if lost else 'none is enabled'}).",
        "Say where the media lies with --media FOLDER, or relink the timeline and export it again.",
    )
