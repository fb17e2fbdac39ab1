# SPDX-License-Identifier: AGPL-3.0-or-later
"""The user's own document with our elements put in: every byte of theirs stays, in its order.

What is put in is ASCII with character references, so it fits every encoding that holds ASCII as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from immersivaudio.engine.errors import EngineError
from immersivaudio.engine.importers.markup import Extent, parsed

_PREFIX = "immersivaudio"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass
class OwnDocument:
    """A document that was read, and what is to be put into it."""

    path: Path
    data: bytes
    root: Element
    extents: dict[Element, Extent]
    _added: list[tuple[int, int, bytes]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> OwnDocument | None:
        """The document at ``path``; None where it is no UTF-8 text or cannot be read."""
        extents: dict[Element, Extent] = {}
        try:
            data = path.read_bytes()
            data.decode("utf-8")
            root = parsed(data, path.name, extents)
        except (OSError, UnicodeDecodeError, EngineError):
            return None
        return cls(path, data, root, extents)

    def before(self, place: Element, made: Iterable[Element]) -> None:
        """Put ``made`` in front of ``place``."""
        at = self.extents[place].first
        self._added += [(at, at, _bytes(element).lstrip() + b"\n") for element in made]

    def after(self, place: Element, made: Iterable[Element]) -> None:
        """Put ``made`` behind ``place``."""
        self._add(self.extents[place].end, made)

    def into(self, parent: Element, made: Iterable[Element], beside: Callable[[Element], bool]) -> None:
        """Put ``made`` into ``parent``: behind its last child that is ``beside``, else at its very end."""
        neighbours = [child for child in parent if beside(child)]
        if neighbours:
            self.after(neighbours[-1], made)
            return
        extent = self.extents[parent]
        if not extent.is_empty_tag:
            self._add(extent.closing, made)
            return
        inner = b"".join(map(_bytes, made))
        self._added.append((extent.end - 2, extent.end, b">" + inner + f"</{parent.tag}>".encode()))

    def instead(self, old: Element, new: Element) -> None:
        """Put ``new`` in the place of ``old``."""
        extent = self.extents[old]
        self._added.append((extent.first, extent.end, _bytes(new).lstrip()))

    def repeat(self, place: Element, given: Element) -> None:
        """Put ``given``, which stands elsewhere, in the place of ``place`` too, to the byte."""
        extent, copied = self.extents[place], self.extents[given]
        self._added.append((extent.first, extent.end, self.data[copied.first : copied.end]))

    def without(self, gone: Iterable[Element]) -> OwnDocument:
        """The document with what was put in so far, and as if ``gone`` had never been put in.

        Raises:
            TimelineError: what is left is no document.
        """
        for first, end in _runs(self.data, sorted((self.extents[one].first, self.extents[one].end) for one in gone)):
            if self.data[first - 1 : first] == b"\n":
                first -= 1
            elif self.data[end : end + 1] == b"\n":
                end += 1
            self._added.append((first, end, b""))
        data, extents = self.text().encode(), dict[Element, Extent]()
        root = parsed(data, self.path.name, extents)
        return OwnDocument(self.path, data, root, extents)

    def attribute(self, element: Element, name: str, value: str) -> None:
        """Give ``element`` an attribute that it has not."""
        extent = self.extents[element]
        behind = extent.first + 1 + len(element.tag.encode())
        self._added.append((behind, behind, f" {name}={quoteattr(value)}".encode("ascii", "xmlcharrefreplace")))

    def prefix(self) -> str:
        """What the ids of our elements begin with: nothing in the document does."""
        names = (_PREFIX if not number else f"{_PREFIX}{number + 1}" for number in range(self.data.count(b"<") + 1))
        return next(name for name in names if f"{name}_".encode() not in self.data)

    def text(self) -> str:
        """The document with all that was put in."""
        at, parts = 0, []
        for first, end, added in sorted(self._added, key=lambda one: one[0]):
            parts += [self.data[at:first], added]
            at = end
        return b"".join((*parts, self.data[at:])).decode("utf-8")

    def _add(self, place: int, made: Iterable[Element]) -> None:
        self._added += [(place, place, _bytes(element)) for element in made]


def _runs(data: bytes, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """``spans``, in order: those that lie in another are left out, those that only a line's end parts are one."""
    runs: list[tuple[int, int]] = []
    for first, end in spans:
        if runs and first < runs[-1][1]:
            continue
        if runs and data[runs[-1][1] : first] in (b"", b"\n"):
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((first, end))
    return runs


def printed(element: Element) -> str:
    """An element as text, without the control characters that XML cannot hold."""
    ElementTree.indent(element, " ")
    element.tail = None
    return _UNPRINTABLE.sub("", ElementTree.tostring(element, "unicode"))


def _bytes(element: Element) -> bytes:
    return b"\n" + printed(element).encode("ascii", "xmlcharrefreplace")
