# SPDX-License-Identifier: Apache-2.0
"""OpenTimelineIO on the editor's side: which media a timeline needs, and a finished timeline as exact lanes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

import opentimelineio as otio

from immersivaudio.bridge.host import GainPoint, HostError, Json, Lane, LaneClip, exact_rate

OURS = "immersivaudio"
_DRIVE = re.compile(r"^/?[A-Za-z]:[\\/]")


def seconds(moment: otio.opentime.RationalTime) -> Fraction:
    """Exact seconds of an OTIO time: its float rate is snapped to the rational that it stands for."""
    return Fraction(moment.value).limit_denominator(1_000_000) / exact_rate(moment.rate)


def read(timeline_json: str) -> otio.schema.Timeline:
    """The timeline in ``timeline_json``.

    Raises:
        HostError: it is none.
    """
    try:
        timeline = otio.adapters.read_from_string(timeline_json, "otio_json")
    except Exception as error:
        raise HostError(f"That is no OpenTimelineIO timeline: {error}.") from None
    if not isinstance(timeline, otio.schema.Timeline):
        raise HostError(f"That is an OpenTimelineIO {type(timeline).__name__}. Send a timeline.")
    return timeline


def path_of(url: str) -> Path | None:
    """The file that a ``target_url`` names: a plain path, or a ``file:`` url, percent-encoded or not; else None."""
    found = [Path(name) for name in names_of(url)]
    return next((path for path in found if path.exists()), found[-1]) if found else None


def names_of(url: str) -> tuple[str, ...]:
    """The paths that a ``target_url`` may mean, as a system with drives and shares spells them too; the likeliest last.
    ``file://server/share/x`` is ``//server/share/x``."""
    if _DRIVE.match(url):
        return (url.lstrip("/"),)
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "file":
        return () if urlsplit(url).scheme else (url,)
    bare = rest.removeprefix("//")
    plain = rest if rest.startswith("//") and not bare.startswith("/") and not _DRIVE.match(bare) else bare
    if plain.lower().startswith("//localhost/"):
        plain = plain[len("//localhost") :]
    return tuple(text.lstrip("/") if _DRIVE.match(text) else text for text in (plain, unquote(plain)))


def media(timeline: otio.schema.Timeline) -> dict[str, Path]:
    """Every local file that the clips use, by its ``target_url``; what is not on this machine is left out."""
    found: dict[str, Path] = {}
    for clip in timeline.find_clips():
        for reference in clip.media_references().values():
            if isinstance(reference, otio.schema.ExternalReference) and reference.target_url not in found:
                path = path_of(reference.target_url)
                if path is not None and path.is_file():
                    found[reference.target_url] = path.resolve()
    return found


def lanes(timeline: otio.schema.Timeline, files: Mapping[str, str]) -> tuple[Lane, ...]:
    """The tracks that the engine added, as lanes. ``files`` says where each artefact now lies, by its name.

    Tracks of ours from an earlier result, whose files are not among ``files``, are the user's by now and left out.

    Raises:
        HostError: a clip needs a file that did not arrive.
    """
    return tuple(_lane(track, files) for track in timeline.tracks if _is_new(track, files))


def _is_new(track: otio.schema.Track, files: Mapping[str, str]) -> bool:
    if track.kind != otio.schema.TrackKind.Audio or not plain(track.metadata.get(OURS, {})).get("generated"):
        return False
    return any(_name_of(clip) in files for clip in track if isinstance(clip, otio.schema.Clip))


def _lane(track: otio.schema.Track, files: Mapping[str, str]) -> Lane:
    clips = [_clip(track, clip, files) for clip in track if isinstance(clip, otio.schema.Clip) and clip.enabled]
    return Lane(track.name, str(track.metadata[OURS].get("stem", "")), tuple(clips))


def _clip(track: otio.schema.Track, clip: otio.schema.Clip, files: Mapping[str, str]) -> LaneClip:
    used = clip.trimmed_range()
    available = clip.media_reference.available_range
    origin = seconds(available.start_time) if available else Fraction(0)
    gain_db, curve = _gain(clip)
    name = _name_of(clip)
    if name not in files:
        raise HostError(f"The result speaks of {name}, which did not arrive. Render again.")
    return LaneClip(
        name=clip.name,
        path=files[name],
        start_s=seconds(track.range_of_child(clip).start_time),
        duration_s=seconds(used.duration),
        source_offset_s=seconds(used.start_time) - origin,
        gain_db=gain_db,
        gain_curve=curve,
        cue=plain(clip.metadata.get(OURS, {})),
    )


def _gain(clip: otio.schema.Clip) -> tuple[float, tuple[GainPoint, ...]]:
    """Gain that the file still lacks: an effect ``immersivaudio.gain``. Gain in the clip's metadata is in it already."""
    for effect in clip.effects:
        if effect.effect_name == "immersivaudio.gain":
            told = plain(effect.metadata.get(OURS, {}))
            curve = tuple(GainPoint(float(at_s), float(gain_db)) for at_s, gain_db in told.get("gain_curve", ()))
            return float(told.get("gain_db", 0.0)), curve
    return 0.0, ()


def _name_of(clip: otio.schema.Clip) -> str:
    """The name of the artefact that a clip plays; empty for a clip without media."""
    url = getattr(clip.media_reference, "target_url", "") or ""
    path = path_of(url)
    return PurePath(path).name if path else ""


def plain(value: Any) -> Json:
    """OTIO's metadata as plain dicts and lists."""
    return dict(json.loads(otio.core.serialize_json_to_string(value)))
