# SPDX-License-Identifier: AGPL-3.0-or-later
"""The cue sheet in the panel: what will be heard, when and why; a person mutes and re-words it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import bpy

from . import compat, lay

SCOPES = (
    ("selection", "Selected Strips", "The picture of the selected strips, with all that is heard meanwhile"),
    ("range", "Frame Range", "The preview range when there is one, else the scene's frame range"),
    ("whole", "Whole Edit", "From the first strip to the last"),
)
_effect_items: list[tuple[str, str, str]] = []


class CueRow(bpy.types.PropertyGroup):
    """A cue as a row of the list."""

    cue_id: bpy.props.StringProperty()
    stem: bpy.props.StringProperty()
    sound: bpy.props.StringProperty()
    why: bpy.props.StringProperty()
    start_frame: bpy.props.FloatProperty()
    prompt: bpy.props.StringProperty(name="Words", description="What should be heard")
    heard: bpy.props.BoolProperty(name="Heard", default=True)


def effect_items(self, context):
    """The effects for the menu. Blender needs the strings of a dynamic menu to stay alive, so they are kept here."""
    from .session import session

    _effect_items[:] = [(effect.id, effect.label, effect.description) for effect in session.effects.values()]
    return _effect_items or [("soundtrack", "Soundtrack", "")]


class SceneState(bpy.types.PropertyGroup):
    """What the add-on keeps with a scene."""

    scope: bpy.props.EnumProperty(name="Send", items=SCOPES, default="whole")
    effect: bpy.props.EnumProperty(name="Effect", items=effect_items)
    cues: bpy.props.CollectionProperty(type=CueRow)
    chosen: bpy.props.IntProperty()
    sheet: bpy.props.StringProperty()
    folder: bpy.props.StringProperty()
    pending: bpy.props.StringProperty()
    first_frame: bpy.props.IntProperty()


def show(scene, sheet: Mapping[str, Any], origin: lay.Origin) -> None:
    """Put a spotted sheet in the list."""
    state = scene.immersivaudio
    state.sheet, state.first_frame = json.dumps(sheet), origin.first_frame
    state.folder = compat.portable(origin.folder)
    state.cues.clear()
    for cue in sheet.get("cues", ()):
        row = state.cues.add()
        row.name = row.sound = cue.get("sound", "")
        row.cue_id = cue["cue_id"]
        row.stem = cue.get("stem", "").removeprefix("STEM_").title()
        row.why, row.prompt, row.heard = cue.get("why", ""), cue.get("prompt", ""), not cue.get("muted", False)
        row.start_frame = float(origin.first_frame + start_s(cue) * origin.rate)


def edited(scene) -> dict[str, Any]:
    """The sheet with what a person changed in the list."""
    sheet = json.loads(scene.immersivaudio.sheet)
    rows = {row.cue_id: row for row in scene.immersivaudio.cues}
    for cue in sheet.get("cues", ()):
        row = rows.get(cue["cue_id"])
        if row is not None:
            cue["muted"], cue["prompt"] = not row.heard, row.prompt
    return sheet


def again(sheet: Mapping[str, Any], cue_id: str, words: str) -> dict[str, Any]:
    """The sheet with another seed, and other words when there are any, for one cue.

    Raises:
        KeyError: the sheet has no such cue.
    """
    sheet = copy.deepcopy(dict(sheet))
    for cue in sheet.get("cues", ()):
        if cue["cue_id"] == cue_id:
            cue["seed"] = (int(cue.get("seed", 0)) + 1) % 2**31
            cue["prompt"] = words or cue.get("prompt", "")
            return sheet
    raise KeyError(cue_id)


def start_s(cue: Mapping[str, Any]) -> Fraction:
    """When a cue begins, in exact seconds from the first frame that was sent."""
    start = cue["record_range"]["start"]
    return Fraction(int(start.get("value", 0)) * int(start["rate_denominator"]), int(start["rate_numerator"]))


CLASSES = (CueRow, SceneState)
