# SPDX-License-Identifier: AGPL-3.0-or-later
"""An MLT producer: its properties, the file behind it, and how fast it plays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element

from immersivaudio.engine.importers.exact import SPEED_GRAIN
from immersivaudio.engine.importers.lanes import Generated, Source
from immersivaudio.engine.importers.warnings import Grumbles

_DRAWN = {
    "color",
    "colour",
    "kdenlivetitle",
    "qtext",
    "pango",
    "noise",
    "tone",
    "count",
    "blank",
    "glaxnimate",
    "frei0r",
}
_STILL = {"qimage", "pixbuf"}
_WARPED = re.compile(r"(-?\d+(?:[.,]\d+)?):(.*)", re.DOTALL)
_SLOWED = re.compile(r"(.*)\?(-?\d+(?:[.,]\d+)?)(?:&.*)?", re.DOTALL)


def properties(service: Element) -> dict[str, str]:
    """A service's properties; older files write them as attributes, some as ``value``."""
    told = {key: value for key, value in service.attrib.items() if key in ("resource", "mlt_service", "length")}
    for item in service.findall("property"):
        told[item.get("name", "")] = (item.text if item.text is not None else item.get("value", "")).strip()
    told.update(_links(service))
    return told


def _links(service: Element) -> dict[str, str]:
    """A chain's time remapping, which is a link of it."""
    for link in service.findall("link"):
        inner = {item.get("name", ""): item.text or "" for item in link.findall("property")}
        if inner.get("mlt_service") == "timeremap":
            return {"remapped": inner.get("time_map") or inner.get("speed_map") or inner.get("map") or "1"}
    return {}


def media_of(told: Mapping[str, str], kind: str, folder: Path, base: str) -> Source | Generated | None:
    """The file (or drawn thing) that a producer plays; None for what cannot sound."""
    service = told.get("mlt_service", "").split(".")[0]
    if service in _DRAWN or (service in _STILL and kind == "Audio"):
        return None if kind == "Audio" else Generated(service)
    return Source(_located(_file(told), folder, base))


def _file(told: Mapping[str, str]) -> str:
    if told.get("warp_resource"):
        return told["warp_resource"]
    resource = told.get("resource", "")
    service = told.get("mlt_service", "")
    if service == "timewarp" and (match := _WARPED.fullmatch(resource)):
        return match[2]
    if service == "framebuffer" and (match := _SLOWED.fullmatch(resource)):
        return match[1]
    return resource.removeprefix("avformat:")


def _located(resource: str, folder: Path, base: str) -> str:
    """Relative names start from the document's ``root``, or from its folder once it was moved."""
    if not resource or resource.startswith("/") or PureWindowsPath(resource).is_absolute() or "://" in resource:
        return resource
    beside = folder / resource
    return resource if not base or beside.exists() else f"{base.rstrip('/')}/{resource}"


def speed_of(told: Mapping[str, str], name: str, grumbles: Grumbles) -> Fraction:
    """The producer's constant speed; time remapping has none. Kdenlive before 20.08 wrote decimals as its user's language
    has them, with a comma in many."""
    if "remapped" in told:
        grumbles.add("Time remapping cannot be followed; plays as shot: {clips}.", name)
        return Fraction(1)
    service, resource = told.get("mlt_service", ""), told.get("resource", "")
    stated = told.get("warp_speed", "")
    if not stated and service == "timewarp" and (match := _WARPED.fullmatch(resource)):
        stated = match[1]
    if not stated and service == "framebuffer" and (match := _SLOWED.fullmatch(resource)):
        stated = match[2]
    try:
        speed = Fraction(stated.replace(",", ".")).limit_denominator(SPEED_GRAIN) if stated else Fraction(1)
        return speed or Fraction(1)
    except ValueError:
        grumbles.add(f"The speed “{stated}” is no number; plays as shot: {{clips}}.", name)
        return Fraction(1)
