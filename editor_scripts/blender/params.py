# SPDX-License-Identifier: AGPL-3.0-or-later
"""Blender properties out of what the engine describes: a new effect or param appears with no new add-on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import bpy

from .bridge.effect import Effect, Param, ParamType, StringMode, Value

_LARGEST = 2**31 - 1
_SUBTYPES = {StringMode.FILE_PATH: "FILE_PATH", StringMode.DIRECTORY_PATH: "DIR_PATH"}
Changed = Callable[[str, str], None]
# Blender gives a class back only to whoever kept it.
_groups: dict[str, type] = {}


def group_name(effect_id: str) -> str:
    """The property of a scene that holds an effect's values."""
    return "immersivaudio_" + "".join(letter if letter.isalnum() else "_" for letter in effect_id)


def register(effect: Effect, changed: Changed) -> None:
    """Give every scene a property group with the params of ``effect``; ``changed(effect_id, name)`` follows edits."""
    unregister(effect.id)
    annotations = {param.name: prop for param in effect.params if (prop := _property(effect, param, changed))}
    name = group_name(effect.id)
    group = type("IMMERSIVAUDIO_PG_" + name, (bpy.types.PropertyGroup,), {"__annotations__": annotations})
    bpy.utils.register_class(group)
    setattr(bpy.types.Scene, name, bpy.props.PointerProperty(type=group))
    _groups[name] = group


def unregister(effect_id: str) -> None:
    """Take the group away again; values stay in the file and are found when it comes back."""
    name = group_name(effect_id)
    if name in _groups:
        delattr(bpy.types.Scene, name)
        bpy.utils.unregister_class(_groups.pop(name))


def values(scene, effect: Effect) -> dict[str, Value]:
    """What the params of ``effect`` are in this scene, by name."""
    group = getattr(scene, group_name(effect.id), None)
    named = [param for param in effect.params if param.has_value and hasattr(group, param.name)]
    return {param.name: _value(param, getattr(group, param.name)) for param in named}


def _value(param: Param, value: Value) -> Value:
    """A file picked in Blender may be told from the .blend's own folder (``//``): the engine knows whole paths only."""
    return bpy.path.abspath(value) if value and param.string_mode in _SUBTYPES else value


def assign(scene, effect: Effect, patch: Mapping[str, Value]) -> None:
    """Set values that the engine changed, without telling it again: equal values are left alone."""
    group = getattr(scene, group_name(effect.id), None)
    for name, value in patch.items():
        if hasattr(group, name) and getattr(group, name) != value:
            with contextlib.suppress(TypeError, ValueError):
                setattr(group, name, value)


def _property(effect: Effect, param: Param, changed: Changed):
    makers = {
        ParamType.DOUBLE: _double,
        ParamType.INTEGER: _integer,
        ParamType.BOOLEAN: _boolean,
        ParamType.STR_CHOICE: _choice,
        ParamType.STRING: _string,
    }
    if param.kind not in makers:
        return None
    common = {"name": param.label, "description": param.hint}
    if param.evaluate_on_change:
        common["update"] = lambda group, context: changed(effect.id, param.name)
    return makers[param.kind](param, common)


def _boolean(param: Param, common: dict):
    return bpy.props.BoolProperty(default=bool(param.default), **common)


def _double(param: Param, common: dict):
    limits = _limits(param, float)
    if param.digits is not None:
        limits["precision"] = max(0, min(6, param.digits))
    step = {"step": max(1, min(100, round(param.increment * 100)))} if param.increment else {}
    return bpy.props.FloatProperty(default=float(param.default), **limits, **step, **common)


def _integer(param: Param, common: dict):
    step = {"step": max(1, int(param.increment))} if param.increment else {}
    return bpy.props.IntProperty(default=int(param.default), **_limits(param, _small), **step, **common)


def _small(value: float) -> int:
    return max(-_LARGEST, min(_LARGEST, int(value)))


def _limits(param: Param, cast: Callable[[float], float]) -> dict:
    named = {"min": param.min, "max": param.max, "soft_min": param.display_min, "soft_max": param.display_max}
    return {name: cast(value) for name, value in named.items() if value is not None}


def _choice(param: Param, common: dict):
    items = [(choice.id, choice.label or choice.id, "") for choice in param.choices]
    if not items:
        return bpy.props.StringProperty(default=str(param.default), **common)
    ids = [identifier for identifier, _, _ in items]
    default = param.default if param.default in ids else ids[0]
    return bpy.props.EnumProperty(items=items, default=default, **common)


def _string(param: Param, common: dict):
    subtype = {"subtype": _SUBTYPES[param.string_mode]} if param.string_mode in _SUBTYPES else {}
    return bpy.props.StringProperty(default=str(param.default), **subtype, **common)


def draw(layout, scene, effect: Effect, patched: Mapping[str, Param], pressed: str) -> None:
    """The params of ``effect`` in its order, groups and pages as boxes; what is secret is left out.

    ``patched`` are params whose properties differ now; ``pressed`` is the operator that a button calls.
    """
    group = getattr(scene, group_name(effect.id), None)
    boxes = {"": layout}
    for described in effect.params:
        param = patched.get(described.name, described)
        parent = boxes.get(param.parent, layout)
        if param.secret or parent is None:
            boxes[param.name] = None
        elif param.kind in (ParamType.GROUP, ParamType.PAGE):
            boxes[param.name] = parent.box()
            boxes[param.name].label(text=param.label)
        else:
            _draw_one(parent.row(), group, param, pressed)


def _draw_one(row, group, param: Param, pressed: str) -> None:
    row.enabled = param.enabled
    if param.kind is ParamType.PUSH_BUTTON:
        row.operator(pressed, text=param.label).param = param.name
    elif param.string_mode is StringMode.LABEL:
        row.label(text=str(param.default) or param.label)
    elif param.has_value and hasattr(group, param.name):
        row.prop(group, param.name)
