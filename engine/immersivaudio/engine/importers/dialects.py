# SPDX-License-Identifier: AGPL-3.0-or-later
"""What OpenTimelineIO has no word for, read out of the metadata that editors (and our own importers) write."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import opentimelineio as otio

OURS = "immersivaudio"
_NO = {"false", "0", "no", "off"}
_YES = {"true", "1", "yes", "on"}
_QUIETEST_DB, _LOUDEST_DB = -120.0, 40.0


def enabled(item: otio.core.Item) -> bool:
    """Whether ``item`` takes part: OTIO's own flag, or an ``enabled``/``muted`` that an editor put in its metadata."""
    if not item.enabled:
        return False
    for space in item.metadata.values():
        if isinstance(space, Mapping) and (_word(space, "enabled") in _NO or _word(space, "muted") in _YES):
            return False
    return True


def _word(space: Mapping[str, Any], key: str) -> str:
    for spelling in (key, key.capitalize()):
        if spelling in space:
            return str(space[spelling]).strip().lower()
    return ""


def ours(item: otio.core.SerializableObjectWithMetadata) -> Mapping[str, Any]:
    """Our own namespace in the metadata, empty where there is none."""
    space = item.metadata.get(OURS)
    return space if isinstance(space, Mapping) else {}


def channels(clip: otio.schema.Clip, stream_channels: tuple[int, ...]) -> tuple[int, ...]:
    """The source channels that ``clip`` uses, counted from 0 through all audio streams of the file; () is all.

    ``stream_channels`` is the channel count of each audio stream of the media.
    """
    found = [int(_number(channel, -1)) for channel in _listed(ours(clip).get("channels"))]
    for entry in _listed(_mapping(clip.metadata.get("Resolve_OTIO")).get("Channels")):
        stream, channel = (
            int(_number(_mapping(entry).get(key), 0)) for key in ("Source Track ID", "Source Channel ID")
        )
        found.append(sum(stream_channels[: max(stream, 0)]) + channel)
    everything = tuple(range(sum(stream_channels)))
    return () if tuple(found) == everything or any(one < 0 for one in found) else tuple(found)


def gain_db(clip: otio.schema.Clip) -> tuple[float, bool]:
    """The clip's static gain, and whether it also moves (keyframes, which are not followed)."""
    gain, moves = _number(ours(clip).get("gain_db"), 0.0), False
    for parameter in _volume_parameters(clip):
        if parameter.get("Parameter ID") == "volume":
            gain += _number(parameter.get("Parameter Value"), 0.0)
            moves = moves or len(_mapping(parameter.get("Key Frames"))) > 1
    return min(max(gain, _QUIETEST_DB), _LOUDEST_DB), moves or bool(ours(clip).get("gain_moves"))


def fades_s(clip: otio.schema.Clip, rate: Fraction) -> tuple[Fraction, Fraction]:
    """Fade-in and fade-out that the clip itself carries: Resolve's faders, in frames at ``rate``, or what our importers read."""
    frames = {"faderIn": 0.0, "faderOut": 0.0}
    for parameter in _volume_parameters(clip):
        if parameter.get("Parameter ID") in frames:
            frames[parameter["Parameter ID"]] = max(0.0, _number(parameter.get("Parameter Value"), 0.0))
    inward, outward = (Fraction(value) for value in frames.values())
    read_in, read_out = (fraction(ours(clip).get(key)) or Fraction(0) for key in ("fade_in_s", "fade_out_s"))
    return max(inward / rate, read_in), max(outward / rate, read_out)


def _volume_parameters(clip: otio.schema.Clip) -> Iterator[Mapping[str, Any]]:
    for effect in clip.effects:
        space = _mapping(effect.metadata.get("Resolve_OTIO"))
        if space.get("Effect Name") == "Fairlight Clip Volume and Fades" and space.get("Enabled", True):
            yield from (_mapping(parameter) for parameter in _listed(space.get("Parameters")))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default


def fraction(value: object) -> Fraction | None:
    """A rational that one of our importers kept as text, or None for anything else."""
    try:
        return Fraction(str(value)) if value is not None else None
    except (ValueError, ZeroDivisionError):
        return None
