# SPDX-License-Identifier: AGPL-3.0-or-later
"""The cue sheet in the panel: what will be heard, when and why; a person mutes and re-words it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import bpy

from . import compat, lay
from .bridge import sheet as sheets

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
    for cue in sheets.rows(sheet):
        row = state.cues.add()
        row.name = row.sound = cue.sound
        row.cue_id, row.stem, row.why = cue.cue_id, cue.stem, cue.why
        row.prompt, row.heard = cue.words, cue.heard
        row.start_frame = float(origin.first_frame + cue.start_s * origin.rate)


def edited(scene) -> dict[str, Any]:
    """The sheet with what a person changed in the list."""
    rows = {row.cue_id: (row.heard, row.prompt) for row in scene.immersivaudio.cues}
    return sheets.edited(json.loads(scene.immersivaudio.sheet), rows)


CLASSES = (CueRow, SceneState)
