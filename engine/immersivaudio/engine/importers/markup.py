# SPDX-License-Identifier: AGPL-3.0-or-later
"""XML in, without entities, external files or endless nesting."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from immersivaudio.engine.errors import TimelineError

_DEPTH_AT_MOST = 200
_ELEMENTS_AT_MOST = 3_000_000
_TIME = re.compile(r"\s*(-?\d+(?:\.\d+)?)(?:/(\d+))?\s*s?\s*")
_OPENING = re.compile(rb"""<[^\s/>]+(?:[^>"']|"[^"]*"|'[^']*')*>""")
_AGAIN = "Export the timeline again from the editor."


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes of an element: its start tag is ``[first, opened)``, its end tag ``[closing, end)``; an element that is
    written as one empty tag has no content, and the last three are equal."""

    first: int
    opened: int
    closing: int
    end: int

    @property
    def is_empty_tag(self) -> bool:
        return self.opened == self.end


def parse(path: Path) -> Element:
    """The root element of an XML file.

    Raises:
        TimelineError: not well-formed, declares entities, or is nested or large beyond reason.
    """
    return parsed(path.read_bytes(), path.name)


def parsed(data: bytes, name: str, spans: dict[Element, Extent] | None = None) -> Element:
    """The root element of a document called ``name``, as :func:`parse` reads it; ``spans`` learns where each element
    stands (in documents whose encoding holds ASCII as it is)."""
    builder, parser = TreeBuilder(), expat.ParserCreate()
    starts: list[int] = []
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(starts) >= _DEPTH_AT_MOST or count > _ELEMENTS_AT_MOST:
            raise TimelineError(f"{name} is nested too deep or too large.", "Export the timeline in parts.")
        starts.append(parser.CurrentByteIndex)
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        first, element = starts.pop(), builder.end(tag)
        if spans is not None:
            spans[element] = _extent(data, first, parser.CurrentByteIndex)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse(name)
    parser.ExternalEntityRefHandler = _refuse(name)
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise TimelineError(f"{name} is no valid XML: {error}.", _AGAIN) from error
    return builder.close()


def _extent(data: bytes, first: int, closing: int) -> Extent:
    opening = _OPENING.match(data, first)
    opened = opening.end() if opening else closing
    if data[opened - 2 : opened] == b"/>":
        return Extent(first, opened, opened, opened)
    return Extent(first, opened, closing, data.index(b">", closing) + 1)


def _refuse(name: str) -> Callable[..., int]:
    def refuse(*_declaration: object) -> int:
        raise TimelineError(f"{name} declares XML entities, which no editor does.", _AGAIN)

    return refuse


def text(element: Element | None, path: str, default: str = "") -> str:
    """The text at ``path`` under ``element``, stripped."""
    found = element.find(path) if element is not None else None
    return (found.text or "").strip() or default if found is not None else default


def fraction(value: str | None, default: Fraction | None = None) -> Fraction:
    """``"1001/30000s"``, ``"5s"`` or ``"2.5"`` exactly.

    Raises:
        TimelineError: it is no time, and there is no default for what is missing.
    """
    if value is None and default is not None:
        return default
    match = _TIME.fullmatch(value or "")
    if not match or (match[2] is not None and int(match[2]) == 0):
        raise TimelineError(f"{value!r} is no time.", _AGAIN)
    return Fraction(match[1]) / int(match[2] or 1)


def number(value: str, default: int | None = None) -> int:
    """A whole number.

    Raises:
        TimelineError: it is none, and there is no default.
    """
    try:
        return int(float(value))
    except (ValueError, OverflowError) as error:
        if default is not None:
            return default
        raise TimelineError(f"{value!r} is no number.", _AGAIN) from error
