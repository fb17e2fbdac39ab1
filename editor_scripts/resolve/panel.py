# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the engine describes, as the fields of a window: a new effect or param needs no change here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .bridge.host import Json, Scope
from .bridge.stdio import Link

GENERAL = "CONTEXT_GENERAL"
NUMBER, WHOLE, FLAG, CHOICE, WORDS, TITLE = "number", "whole", "flag", "choice", "words", "title"
SCORE, SPOT, CUES = "score", "spot", "cues"
_KINDS = {
    "PARAM_TYPE_DOUBLE": NUMBER,
    "PARAM_TYPE_INTEGER": WHOLE,
    "PARAM_TYPE_BOOLEAN": FLAG,
    "PARAM_TYPE_STR_CHOICE": CHOICE,
    "PARAM_TYPE_STRING": WORDS,
    "PARAM_TYPE_GROUP": TITLE,
}
_VALUES = {"number": float, "integer": int, "flag": bool, "text": str}
# Without limits of its own a number gets the widest that a spin box takes.
_WIDE = 1_000_000.0


@dataclass(frozen=True)
class Field:
    """One control: its kind, what it says, its value and its limits."""

    name: str
    kind: str
    label: str
    hint: str = ""
    value: Any = None
    least: float = -_WIDE
    most: float = _WIDE
    step: float = 0.1
    digits: int = 2
    choices: tuple[tuple[str, str], ...] = ()
    enabled: bool = True
    lines: int = 1
    watched: bool = False

    @classmethod
    def of(cls, param: Mapping[str, Any]) -> Field | None:
        """A field of a described param, or None for what is not shown and for kinds that this version does not know."""
        kind = _KINDS.get(str(param.get("type")))
        if kind is None or param.get("secret"):
            return None
        many = param.get("string_mode") == "STRING_MODE_MULTI_LINE"
        return cls(
            name=str(param["name"]),
            kind=kind,
            label=str(param.get("label") or param["name"]),
            hint=str(param.get("hint", "")),
            value=plain(param.get("default_value") or {}),
            least=float(param.get("min", -_WIDE)),
            most=float(param.get("max", _WIDE)),
            step=float(param.get("increment") or (1 if kind == WHOLE else 0.1)),
            digits=int(param.get("digits") or 2),
            choices=tuple((str(one["choice_id"]), str(one.get("label", ""))) for one in param.get("choices", ())),
            enabled=bool(param.get("enabled", True)),
            lines=3 if many else 1,
            watched=bool(param.get("evaluate_on_change", False)),
        )


@dataclass(frozen=True)
class Wish:
    """What the person chose."""

    scope: Scope
    effect: str
    params: Mapping[str, Any] = field(default_factory=dict)
    way: str = SCORE


@dataclass(frozen=True)
class Edits:
    """What the person made of a cue sheet: by a cue's id, whether it is heard and in which words. ``again`` is the id of
    the one cue to perform again; empty performs the whole sheet."""

    cues: Mapping[str, tuple[bool, str]]
    again: str = ""


@dataclass(frozen=True)
class Patch:
    """What else changes because a value did: fields as they are now, values, and a sentence."""

    fields: Sequence[Field]
    values: Mapping[str, Any]
    message: str = ""


class Panel:
    """The effects of a context, each described when it is first shown."""

    def __init__(self, link: Link, context: str) -> None:
        self._link, self._context = link, context
        self.effects = [
            (str(effect["effect_id"]), str(effect.get("label") or effect["effect_id"]))
            for effect in link.ask("effects", {"context": context})
        ]
        self._fields: dict[str, Sequence[Field]] = {}

    def fields(self, effect: str) -> Sequence[Field]:
        if effect not in self._fields:
            told: Json = self._link.ask("describe", {"effect": effect, "context": self._context})
            drawn = (Field.of(param) for param in told.get("params", ()))
            self._fields[effect] = [one for one in drawn if one is not None]
        return self._fields[effect]

    def changed(self, effect: str, name: str, values: Mapping[str, Any]) -> Patch:
        """What the engine says to a change of ``name``; ``values`` are all of them as they are now."""
        asked = {"effect": effect, "params": dict(values), "changed": name, "context": self._context}
        told = self._link.ask("instance_changed", asked)
        drawn = (Field.of(param) for param in told.get("params", ()))
        given = {key: plain(value) for key, value in told.get("values", {}).items()}
        return Patch([one for one in drawn if one is not None], given, str(told.get("message", "")))

    def defaults(self, effect: str) -> dict[str, Any]:
        return {one.name: one.value for one in self.fields(effect) if one.kind != TITLE}


def plain(value: Mapping[str, Any]) -> Any:
    """The plain value of a ``ParamValue``; int64 travels as a string in protobuf's JSON."""
    return next((cast(value[name]) for name, cast in _VALUES.items() if name in value), None)
