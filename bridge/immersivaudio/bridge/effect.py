# SPDX-License-Identifier: Apache-2.0
"""Effects and their params in OpenFX's words, as the engine describes them. Standard library only.

The JSON is protobuf's own mapping of ``effect.proto`` with the field names of the proto. A host draws what it finds
here and skips what it does not know, so a new effect or param needs no new host.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = float | int | bool | str


class Context(enum.StrEnum):
    """Where an effect is used: on clips, on a range with words, or on a whole timeline."""

    FILTER = "CONTEXT_FILTER"
    GENERATOR = "CONTEXT_GENERATOR"
    GENERAL = "CONTEXT_GENERAL"


class ParamType(enum.StrEnum):
    """Which control a param is. UNKNOWN is one that this version does not know: do not draw it."""

    DOUBLE = "PARAM_TYPE_DOUBLE"
    INTEGER = "PARAM_TYPE_INTEGER"
    BOOLEAN = "PARAM_TYPE_BOOLEAN"
    STR_CHOICE = "PARAM_TYPE_STR_CHOICE"
    STRING = "PARAM_TYPE_STRING"
    PUSH_BUTTON = "PARAM_TYPE_PUSH_BUTTON"
    GROUP = "PARAM_TYPE_GROUP"
    PAGE = "PARAM_TYPE_PAGE"
    UNKNOWN = "PARAM_TYPE_UNSPECIFIED"

    @classmethod
    def _missing_(cls, value: object) -> ParamType:
        return cls.UNKNOWN


class StringMode(enum.StrEnum):
    """How words are edited; what is not known is a single line."""

    SINGLE_LINE = "STRING_MODE_SINGLE_LINE"
    MULTI_LINE = "STRING_MODE_MULTI_LINE"
    FILE_PATH = "STRING_MODE_FILE_PATH"
    DIRECTORY_PATH = "STRING_MODE_DIRECTORY_PATH"
    LABEL = "STRING_MODE_LABEL"

    @classmethod
    def _missing_(cls, value: object) -> StringMode:
        return cls.SINGLE_LINE


_FIELD_OF = {
    ParamType.DOUBLE: "number",
    ParamType.INTEGER: "integer",
    ParamType.BOOLEAN: "flag",
    ParamType.STR_CHOICE: "text",
    ParamType.STRING: "text",
}
_EMPTY: dict[ParamType, Value] = {
    ParamType.DOUBLE: 0.0,
    ParamType.INTEGER: 0,
    ParamType.BOOLEAN: False,
    ParamType.STR_CHOICE: "",
    ParamType.STRING: "",
}


def value_from_json(data: Mapping[str, Any]) -> Value:
    """The plain value of a ``ParamValue``; int64 travels as a string in protobuf's JSON."""
    for field, cast in (("number", float), ("integer", int), ("flag", bool), ("text", str)):
        if field in data:
            return cast(data[field])
    return ""


def value_to_json(kind: ParamType, value: Value) -> dict[str, Any]:
    """``value`` as the ``ParamValue`` of a param of ``kind``.

    Raises:
        ValueError: a param of this kind has no value (a group, a page, a button).
    """
    if kind not in _FIELD_OF:
        raise ValueError(f"a {kind.name.lower()} has no value")
    cast = type(_EMPTY[kind])
    return {_FIELD_OF[kind]: cast(value)}


@dataclass(frozen=True)
class Choice:
    """One option: ``id`` travels and is stored, ``label`` is read."""

    id: str
    label: str


@dataclass(frozen=True)
class Param:
    """One control with OpenFX's properties; ``None`` where the engine sets no limit."""

    name: str
    kind: ParamType
    label: str = ""
    hint: str = ""
    parent: str = ""
    default: Value = ""
    min: float | None = None
    max: float | None = None
    display_min: float | None = None
    display_max: float | None = None
    increment: float | None = None
    digits: int | None = None
    choices: tuple[Choice, ...] = ()
    secret: bool = False
    enabled: bool = True
    string_mode: StringMode = StringMode.SINGLE_LINE
    evaluate_on_change: bool = False

    @property
    def has_value(self) -> bool:
        return self.kind in _FIELD_OF

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Param:
        kind = ParamType(str(data.get("type", "")))
        default = value_from_json(data["default_value"]) if data.get("default_value") else _EMPTY.get(kind, "")
        return cls(
            name=str(data["name"]),
            kind=kind,
            label=str(data.get("label", "")) or str(data["name"]),
            hint=str(data.get("hint", "")),
            parent=str(data.get("parent", "")),
            default=default,
            min=data.get("min"),
            max=data.get("max"),
            display_min=data.get("display_min"),
            display_max=data.get("display_max"),
            increment=data.get("increment"),
            digits=data.get("digits"),
            choices=tuple(Choice(str(c["choice_id"]), str(c.get("label", ""))) for c in data.get("choices", ())),
            secret=bool(data.get("secret", False)),
            enabled=bool(data.get("enabled", False)),
            string_mode=StringMode(str(data.get("string_mode", ""))),
            evaluate_on_change=bool(data.get("evaluate_on_change", False)),
        )


@dataclass(frozen=True)
class Effect:
    """One effect and, when it was described, its params in the order to draw them in."""

    id: str
    label: str
    group: str = ""
    description: str = ""
    contexts: tuple[str, ...] = ()
    params: tuple[Param, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Effect:
        """From an entry of ``effects`` or from the whole answer of ``describe``."""
        effect = data.get("effect", data)
        return cls(
            id=str(effect["effect_id"]),
            label=str(effect.get("label", "")) or str(effect["effect_id"]),
            group=str(effect.get("group", "")),
            description=str(effect.get("description", "")),
            contexts=tuple(effect.get("contexts", ())),
            params=tuple(Param.from_json(param) for param in data.get("params", ())),
        )

    def defaults(self) -> dict[str, Value]:
        """The values that params have until somebody changes them."""
        return {param.name: param.default for param in self.params if param.has_value}

    def instance(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """The ``EffectInstance`` that travels: every value of ``values`` that is a param of this effect."""
        kinds = {param.name: param.kind for param in self.params if param.has_value}
        params = {name: value_to_json(kinds[name], value) for name, value in values.items() if name in kinds}
        return {"effect_id": self.id, "params": params}
