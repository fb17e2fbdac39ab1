# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: N802 (the names are those of Resolve)
"""A stand-in for Fusion's UIManager: windows of named elements, and a person who acts at every turn of the loop."""

from __future__ import annotations

import collections
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

ELEMENTS = [
    "Button",
    "CheckBox",
    "ColorPicker",
    "ComboBox",
    "DoubleSpinBox",
    "HGap",
    "HGroup",
    "Label",
    "LineEdit",
    "Slider",
    "SpinBox",
    "Stack",
    "TabBar",
    "TextEdit",
    "Timer",
    "Tree",
    "VGap",
    "VGroup",
]


class Element:
    """A control with its attributes; children for groups."""

    def __init__(self, kind: str, about: dict[str, Any], children: list[Element]) -> None:
        self.kind, self.children, self.labels = kind, children, []  # type: ignore[var-annotated]
        self.CurrentIndex = 0
        self.__dict__.update(about)

    def AddItem(self, text: str) -> None:
        self.labels.append(text)

    def every(self) -> list[Element]:
        return [self, *(one for child in self.children for one in child.every())]


class UI:
    """``ui.Label({...})``: only elements that exist can be made."""

    def __getattr__(self, kind: str) -> Callable[..., Element]:
        if kind not in ELEMENTS:
            raise AttributeError(f"UIManager has no {kind}")
        return lambda about=None, children=(): Element(kind, about or {}, list(children))


class Window:
    def __init__(self, about: dict[str, Any], children: list[Element]) -> None:
        self.about, self.shown = about, False
        self.On: Any = collections.defaultdict(SimpleNamespace)
        self._items = {one.ID: one for child in children for one in child.every() if hasattr(one, "ID")}

    def GetItems(self) -> dict[str, Element]:
        return self._items

    def Show(self) -> None:
        self.shown = True

    def Hide(self) -> None:
        self.shown = False

    def press(self, name: str) -> None:
        self.On[name].Clicked({"who": name})

    def choose(self, name: str, label: str) -> None:
        item = self._items[name]
        item.CurrentIndex = item.labels.index(label)
        getattr(self.On[name], "CurrentIndexChanged", lambda event: None)({"who": name})

    def change(self, name: str, event: str) -> None:
        """What Fusion calls when a person has changed a control that the script asked to hear of."""
        getattr(self.On[name], event)({"who": name})

    @property
    def said(self) -> str:
        return str(self._items["said"].Text) if "said" in self._items else ""


class Screen:
    """What ``bmd`` is to a script: the dispatcher's maker. ``person(window)`` is called at every turn."""

    def __init__(self, person: Callable[[Window], None]) -> None:
        self.person = person
        self.windows: list[Window] = []
        self.told: list[str] = []

    def UIDispatcher(self, ui: UI) -> Screen:
        return self

    def AddWindow(self, about: dict[str, Any], children: list[Element]) -> Window:
        self.windows.append(Window(about, children))
        return self.windows[-1]

    def StepLoop(self, block: bool) -> None:
        shown = [window for window in self.windows if window.shown]
        assert len(shown) <= 1, "two windows at once"
        for window in shown:
            if window.said and (not self.told or self.told[-1] != window.said):
                self.told.append(window.said)
            self.person(window)
        raise KeyError("On")
