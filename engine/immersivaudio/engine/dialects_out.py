# SPDX-License-Identifier: AGPL-3.0-or-later
"""A finished timeline in an editor's own terms, where plain OpenTimelineIO has none: levels are no part of it.

Our clips carry gain that their file still lacks as an effect ``immersivaudio.gain``; stems that are mixed lack none, and
what their metadata tells of gain is in them already.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import opentimelineio as otio

from immersivaudio.engine import media, riding
from immersivaudio.engine.cue import Edit, Stem
from immersivaudio.engine.exporters import fcpxml, fcpxml_own, mlt, mlt_own, rows, xmeml, xmeml_own
from immersivaudio.engine.exporters.own import OwnDocument
from immersivaudio.engine.importers.sources import path_names
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.otio_out import GAIN, NAMESPACE
from immersivaudio.engine.request import DIALECTS

_DOCUMENTS: Mapping[str, Callable[[rows.Sheet], str]] = {
    "premiere": xmeml.write,
    "finalcut": fcpxml.write,
    "kdenlive": mlt.write,
}
_CHECKS: Mapping[str, Callable[[Fraction], None]] = {"premiere": xmeml.check, "finalcut": fcpxml.check}
_LOUDEST_DB: Mapping[str, float] = {"premiere": xmeml.LOUDEST_DB, "finalcut": fcpxml.LOUDEST_DB}
_APPENDED: Mapping[str, Callable[[OwnDocument, rows.Sheet], str | None]] = {
    "premiere": xmeml_own.append,
    "finalcut": fcpxml_own.append,
    "kdenlive": mlt_own.append,
}
# What was put into a document of the user's own: see OwnDocument.prefix.
_PUT_IN = re.compile(r'<(file|producer|asset) id="immersivaudio\d*_[^"]*"[^>]*(?:/>|(?<!/)>.*?</\1>)', re.DOTALL)
_LEAST_DB, _MOST_DB = -100.0, 30.0


def spoken(laid: otio.schema.Timeline, edit: Edit, dialect: str) -> otio.schema.Timeline:
    """``laid`` as OpenTimelineIO in the terms of ``dialect`` (a name out of ``request.DIALECTS``)."""
    if dialect not in ("resolve", "blender"):
        return laid
    result = for_fairlight(laid)
    if dialect == "resolve":
        result.name = f"{laid.name} scored"
        result.metadata.setdefault("Resolve_OTIO", {"Resolve OTIO Meta Version": "1.0"})
        _plain_paths(result, edit)
    return result


def check(rate: Fraction, dialect: str) -> None:
    """Refuse before any work what the file of ``dialect`` cannot hold.

    Raises:
        RequestError: an edit of ``rate`` frames a second.
    """
    if dialect in _CHECKS:
        _CHECKS[dialect](rate)


def document(
    laid: otio.schema.Timeline,
    edit: Edit,
    given: otio.schema.Timeline | None,
    dialect: str,
    grumbles: Grumbles,
    own: Path | None = None,
) -> str | None:
    """The file of an editor that reads no OpenTimelineIO; None for one that does. ``given`` is the user's timeline, and
    ``own`` the file that it was read from: one of the dialect's own comes back as it is, with our lanes put in (and those of an earlier
    score, which ``given`` has no more, taken out)."""
    if dialect not in _DOCUMENTS:
        return None
    if own is not None and own.is_dir():
        own = own / "Info.fcpxml"
    if own is not None and given is not None and own.suffix.lower() in DIALECTS[dialect]:
        read = OwnDocument.read(own)
        appended = _APPENDED[dialect](read, rows.lanes_of(edit, laid, given)) if read is not None else None
        if appended is not None:
            return appended
        grumbles.add(f"{own.name} has no place where tracks can be added, so it is written anew.")
    sheet = rows.sheet_of(edit, laid, given, media.probe, grumbles)
    rows.say_too_loud(sheet, _LOUDEST_DB.get(dialect, math.inf), grumbles)
    return _DOCUMENTS[dialect](sheet)


def pointed(text: str, ours: Mapping[str, str], theirs: Mapping[str, str] | None = None) -> str:
    """A finished timeline, of any format, whose media names are completed.

    Args:
        text: the timeline.
        ours: the places of the files that were made, by the names that it gives them. The user's own clips stay as they
            are, also where they name a file of theirs like one of ours.
        theirs: the places of the user's files that it knows by name alone; for any clip.
    """
    theirs = theirs or {}
    if text.lstrip().startswith("{"):
        tree = json.loads(text)
        # The original sound as mixed is the one file of ours that a clip without a cue plays.
        speech = {name: path for name, path in ours.items() if Path(name).stem.endswith(f".{Stem.DIALOGUE}")}
        _point(tree, {**theirs, **ours}, {**theirs, **speech})
        return json.dumps(tree, indent=2)
    if _PUT_IN.search(text):
        return _PUT_IN.sub(lambda found: _completed(found[0], ours), text)
    return _completed(text, {**theirs, **ours})


def _completed(text: str, paths: Mapping[str, str]) -> str:
    for name, path in paths.items():
        url = xmeml.url_of(path)
        # What is put into a document of the user's is ASCII with character references.
        for quoted in dict.fromkeys((escape(name), escape(name).encode("ascii", "xmlcharrefreplace").decode())):
            for place, told in (('<property name="resource">', path), ("<pathurl>", url)):
                text = text.replace(f"{place}{quoted}<", f"{place}{escape(told)}<")
            src = quoted.replace(chr(34), "&quot;")
            text = text.replace(f'src="{src}"', f'src="{escape(fcpxml.url_of(path))}"')
    return text


def _point(node: Any, paths: Mapping[str, str], by_hand: Mapping[str, str]) -> None:
    """Complete by ``paths``, in clips that are not of our making by ``by_hand`` alone."""
    if isinstance(node, list):
        for item in node:
            _point(item, paths, by_hand)
    elif isinstance(node, dict):
        if str(node.get("OTIO_SCHEMA", "")).startswith("Clip.") and not _is_generated(node):
            paths = by_hand
        if isinstance(node.get("target_url"), str):
            node["target_url"] = paths.get(node["target_url"], node["target_url"])
        for item in node.values():
            _point(item, paths, by_hand)


def _is_generated(clip: Mapping[str, Any]) -> bool:
    metadata = clip.get("metadata")
    told = metadata.get(NAMESPACE) if isinstance(metadata, dict) else None
    return isinstance(told, dict) and told.get("generated") is True


def _plain_paths(timeline: otio.schema.Timeline, edit: Edit) -> None:
    """Resolve takes neither relative names nor percent-encoded ones: plain absolute paths, wherever they are known."""
    found = {clip.url: clip.media for clip in edit.clips if clip.url and clip.media and "." in clip.media}
    for clip in timeline.find_clips():
        for reference in clip.media_references().values():
            url = getattr(reference, "target_url", "")
            if url and url not in found:
                found[url] = next(iter(path_names(url)), url)
            if url and not url.startswith("/"):
                reference.target_url = found[url]


def for_fairlight(timeline: otio.schema.Timeline) -> otio.schema.Timeline:
    """A copy whose clips have their gain as Fairlight's clip volume too: a level, and keyframes that run straight in
    decibels between whole frames, counted from the clip's first."""
    result = copy.deepcopy(timeline)
    for clip in result.find_clips():
        told = next((effect.metadata.get(NAMESPACE, {}) for effect in clip.effects if effect.effect_name == GAIN), None)
        if told is not None:
            clip.effects.append(_volume(clip.trimmed_range().duration, told))
    return result


def _volume(duration: otio.opentime.RationalTime, told: Mapping[str, Any]) -> otio.schema.Effect:
    gain_db = float(told.get("gain_db", 0.0))
    points = [(float(at_s), float(level_db)) for at_s, level_db in told.get("gain_curve", ())]
    keys = {
        str(frame): {"Value": _bounded(gain_db + level_db), "Variant Type": "Double"}
        for frame, level_db in riding.keyframes(points, duration.rate, round(duration.value))
    }
    value = keys["0"]["Value"] if keys else _bounded(gain_db)
    volume = {
        "Parameter ID": "volume",
        "Parameter Value": value,
        "Default Parameter Value": 0.0,
        "minValue": _LEAST_DB,
        "maxValue": _MOST_DB,
        "Variant Type": "Double",
        "Key Frames": keys,
    }
    about = {"Effect Name": "Fairlight Clip Volume and Fades", "Name": "Volume", "Type": 62, "Enabled": True}
    known = {"Resolve_OTIO": {**about, "Parameters": [volume]}}
    return otio.schema.Effect(effect_name="Resolve Effect", metadata=known)


def _bounded(level_db: float) -> float:
    return min(max(round(level_db, 4), _LEAST_DB), _MOST_DB)
