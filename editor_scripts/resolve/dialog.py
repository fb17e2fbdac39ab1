# SPDX-License-Identifier: AGPL-3.0-or-later
"""A window of Fusion's UIManager, drawn from what the engine describes.

The window is pumped by hand with ``StepLoop``: inside ``RunLoop`` a timer does not fire for Python in Resolve 21, and
Cancel would not be heard while a job runs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .bridge.host import HostError, Scope
from .bridge.sheet import Row
from .journal import Journal
from .panel import CHOICE, CUES, FLAG, NUMBER, SCORE, SPOT, TITLE, WHOLE, WORDS, Edits, Field, Panel, Patch, Wish
from .windows import STOPPED, Stopped

WINDOW = "Immersivaudio"
_SCOPES = ((Scope.WHOLE, "Whole timeline"), (Scope.RANGE, "In to out"), (Scope.SELECTION, "Selected clips"))
_CHANGED = "changed "
_EVENTS = {
    FLAG: "Clicked",
    CHOICE: "CurrentIndexChanged",
    NUMBER: "ValueChanged",
    WHOLE: "ValueChanged",
    WORDS: "TextChanged",
}
_PAUSE_S = 0.03
_ROWS = 12


class Dialog:
    """Asks in one window, shows progress with Cancel in another, tells the end in a third."""

    def __init__(self, ui: Any, bmd: Any, journal: Journal) -> None:
        self._ui, self._journal = ui, journal
        self._dispatcher = bmd.UIDispatcher(ui)
        self._window: Any = None
        self._pressed = ""
        self._buttons: list[str] = []

    def ask(self, panel: Panel, ranged: bool, scored: bool) -> Wish | None:
        effect, scope = panel.effects[0][0], Scope.RANGE if ranged else Scope.WHOLE
        while True:
            self._draw_question(panel, effect, scope, scored)
            pressed = self._wait()
            while pressed.startswith(_CHANGED):
                self._follow(panel, effect, pressed[len(_CHANGED) :])
                pressed = self._wait()
            values = self._values(panel, effect)
            scope = _SCOPES[int(self._items()["scope"].CurrentIndex)][0]
            chosen = panel.effects[int(self._items()["effect"].CurrentIndex)][0]
            self.close()
            if pressed != "effect":
                return Wish(scope, effect, values, pressed) if pressed in (SCORE, SPOT, CUES) else None
            effect = chosen

    def goes_on(self, text: str, goal: str) -> bool:
        buttons = [self._button("go_on", "Go On"), self._button("forget", "Forget It")]
        self._open([self._label(text), self._ui.HGroup({}, buttons)], (480, 140))
        pressed = self._wait()
        self.close()
        if pressed == "close":
            raise Stopped("Nothing was changed.")
        return pressed == "go_on"

    def cues(self, rows: Sequence[Row], scored: bool) -> Edits | None:
        """Some rows at a time: a window has no room for the cues of an hour."""
        told, first = {row.cue_id: (row.heard, row.words) for row in rows}, 0
        while True:
            shown = rows[first : first + _ROWS]
            self._draw_cues(shown, told, (first, len(rows)), scored)
            pressed, items = self._wait(), self._items()
            for number, row in enumerate(shown):
                told[row.cue_id] = (bool(items[f"heard_{number}"].Checked), str(items[f"words_{number}"].Text))
            self.close()
            if pressed in ("earlier", "later"):
                first = max(0, min(first + (_ROWS if pressed == "later" else -_ROWS), len(rows) - 1) // _ROWS * _ROWS)
            elif pressed.startswith("again_"):
                return Edits(told, shown[int(pressed[len("again_") :])].cue_id)
            else:
                return Edits(told) if pressed == "perform" else None

    def show(self, text: str, fraction: float) -> None:
        if self._window is None:
            self._open([self._label(text), self._button("cancel", "Cancel")], (420, 120))
        self._items()["said"].Text = f"{text}  {fraction:.0%}"
        self.breathe()

    def breathe(self) -> None:
        self._step()
        if self._pressed in ("cancel", "close"):
            raise Stopped(STOPPED)

    def tell(self, text: str) -> None:
        self._journal.say(text)
        self._open([self._label(text), self._button("close", "Close")], (480, 160))
        self._wait()
        self.close()

    def close(self) -> None:
        if self._window is not None:
            self._window.Hide()
            self._window = None

    def _follow(self, panel: Panel, effect: str, name: str) -> None:
        """Show what the engine says to a change of one value."""
        self._pressed = ""
        try:
            patch = panel.changed(effect, name, self._values(panel, effect))
        except HostError as error:
            patch = Patch((), {}, str(error))
        items, kinds = self._items(), {one.name: one for one in panel.fields(effect)}
        for one in patch.fields:
            if one.name in kinds:
                items[_id(one)].Enabled = one.enabled
        for name, value in patch.values.items():
            if name in kinds:
                _write(items[_id(kinds[name])], kinds[name], value)
        items["note"].Text = patch.message

    def _draw_cues(
        self, shown: Sequence[Row], told: Mapping[str, tuple[bool, str]], place: tuple[int, int], scored: bool
    ) -> None:
        rows = [self._label(f"Cues {place[0] + 1} to {place[0] + len(shown)} of {place[1]}")]
        for number, row in enumerate(shown):
            heard, words = told[row.cue_id]
            text = f"{float(row.start_s):.1f} s  {row.stem}  {row.sound}"
            box = {"ID": f"heard_{number}", "Text": text, "Checked": heard, "ToolTip": row.why, "Weight": 0.4}
            line = self._ui.LineEdit({"ID": f"words_{number}", "Text": words, "ToolTip": row.why})
            again = [self._button(f"again_{number}", "Again")] if scored else []
            rows.append(self._ui.HGroup({"Weight": 0}, [self._ui.CheckBox(box), line, *again]))
        turns = [self._button("earlier", "Earlier")] if place[0] else []
        turns += [self._button("later", "Later")] if place[0] + len(shown) < place[1] else []
        ends = [self._button("perform", "Perform"), self._button("cancel", "Cancel")]
        self._open([*rows, self._ui.HGroup({}, [*turns, *ends])], (760, 120 + 34 * len(shown)))

    def _draw_question(self, panel: Panel, effect: str, scope: Scope, scored: bool) -> None:
        fields = panel.fields(effect)
        rows = [self._row("Sound", self._ui.ComboBox({"ID": "effect"}))]
        rows.append(self._row("Send", self._ui.ComboBox({"ID": "scope"})))
        rows += [self._control(one) for one in fields]
        rows.append(self._ui.Label({"ID": "note", "Text": "", "WordWrap": True}))
        buttons = [self._button(SCORE, "Score"), self._button(SPOT, "Spot First")]
        buttons += [self._button(CUES, "Cues of the Last Result")] if scored else []
        rows.append(self._ui.HGroup({}, [*buttons, self._button("cancel", "Cancel")]))
        self._open(rows, (460, 172 + 32 * len(fields)))
        items = self._items()
        _fill(items["effect"], [label for _, label in panel.effects], [id for id, _ in panel.effects].index(effect))
        _fill(items["scope"], [label for _, label in _SCOPES], [one for one, _ in _SCOPES].index(scope))
        for one in fields:
            if one.kind == CHOICE:
                ids = [choice for choice, _ in one.choices]
                _fill(items[_id(one)], [label for _, label in one.choices], _index(ids, one.value))
            if one.watched:
                setattr(self._window.On[_id(one)], _EVENTS[one.kind], self._press(_CHANGED + one.name))
        self._window.On["effect"].CurrentIndexChanged = self._press("effect")

    def _control(self, one: Field) -> Any:
        told = {"ID": _id(one), "ToolTip": one.hint, "Enabled": one.enabled}
        limits = {"Minimum": one.least, "Maximum": one.most, "SingleStep": one.step, "Value": one.value}
        if one.kind == TITLE:
            return self._ui.Label({"Text": one.label})
        if one.kind == FLAG:
            return self._ui.CheckBox({**told, "Text": one.label, "Checked": bool(one.value)})
        if one.kind == NUMBER:
            return self._row(one.label, self._ui.DoubleSpinBox({**told, **limits, "Decimals": one.digits}))
        if one.kind == WHOLE:
            return self._row(one.label, self._ui.SpinBox({**told, **{name: int(n) for name, n in limits.items()}}))
        if one.kind == CHOICE:
            return self._row(one.label, self._ui.ComboBox(told))
        make = self._ui.TextEdit if one.lines > 1 else self._ui.LineEdit
        return self._row(one.label, make({**told, "PlainText" if one.lines > 1 else "Text": one.value or ""}))

    def _values(self, panel: Panel, effect: str) -> dict[str, Any]:
        items = self._items()
        return {one.name: _read(items[_id(one)], one) for one in panel.fields(effect) if one.kind != TITLE}

    def _row(self, label: str, control: Any) -> Any:
        return self._ui.HGroup({"Weight": 0}, [self._ui.Label({"Text": label, "Weight": 0.4}), control])

    def _label(self, text: str) -> Any:
        return self._ui.Label({"ID": "said", "Text": text, "WordWrap": True})

    def _button(self, name: str, text: str) -> Any:
        self._buttons.append(name)
        return self._ui.Button({"ID": name, "Text": text, "Weight": 0})

    def _open(self, rows: list[Any], size: tuple[int, int]) -> None:
        self.close()
        about = {"ID": WINDOW, "WindowTitle": "Immersivaudio", "Geometry": [200, 200, *size]}
        self._window = self._dispatcher.AddWindow(about, [self._ui.VGroup({}, rows)])
        self._pressed = ""
        self._window.On[WINDOW].Close = self._press("close")
        for name in self._buttons:
            self._window.On[name].Clicked = self._press(name)
        self._buttons = []
        self._window.Show()

    def _press(self, name: str) -> Any:
        def pressed(event: Any) -> None:
            self._pressed = name

        return pressed

    def _wait(self) -> str:
        while not self._pressed:
            self._step()
            time.sleep(_PAUSE_S)
        return self._pressed

    def _step(self) -> None:
        # An event without a handler raises KeyError out of StepLoop.
        with contextlib.suppress(KeyError):
            self._dispatcher.StepLoop(False)

    def _items(self) -> Any:
        return self._window.GetItems()


def _fill(combo: Any, labels: list[str], index: int) -> None:
    for label in labels:
        combo.AddItem(label)
    combo.CurrentIndex = index


def _id(one: Field) -> str:
    """A control's id, which no button's can be."""
    return f"param_{one.name}"


def _index(ids: list[str], value: Any) -> int:
    return ids.index(value) if value in ids else 0


def _read(item: Any, one: Field) -> Any:
    if one.kind == FLAG:
        return bool(item.Checked)
    if one.kind == CHOICE:
        return one.choices[int(item.CurrentIndex)][0]
    if one.kind == WORDS:
        return str(item.PlainText if one.lines > 1 else item.Text)
    return float(item.Value) if one.kind == NUMBER else int(item.Value)


def _write(item: Any, one: Field, value: Any) -> None:
    if one.kind == FLAG:
        item.Checked = bool(value)
    elif one.kind == CHOICE:
        item.CurrentIndex = _index([choice for choice, _ in one.choices], value)
    elif one.kind == WORDS:
        setattr(item, "PlainText" if one.lines > 1 else "Text", str(value))
    else:
        item.Value = value
