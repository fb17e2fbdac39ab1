# SPDX-License-Identifier: AGPL-3.0-or-later
"""The sidebar of the sequencer, drawn from what the engine described, and the entries in its menus."""

from __future__ import annotations

import textwrap

import bpy

from . import compat, lay, params, session

state = session.session


class _Panel(bpy.types.Panel):
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Immersivaudio"

    @classmethod
    def poll(cls, context):
        return compat.scene_of(context) is not None


class ScorePanel(_Panel):
    """Connect, choose, send, follow."""

    bl_idname = "IMMERSIVAUDIO_PT_score"
    bl_label = "Immersivaudio"

    def draw(self, context):
        draw_score(self.layout, compat.scene_of(context))


class CueList(bpy.types.UIList):
    """A row: heard or not, lane, frame, words."""

    bl_idname = "IMMERSIVAUDIO_UL_cues"

    def draw_item(self, context, layout, data, item, icon, active_data, active_property):
        row = layout.row(align=True)
        row.prop(item, "heard", text="")
        row.label(text=f"{item.stem} {item.start_frame:.0f}")
        row.prop(item, "prompt", text="", emboss=False)


class CuePanel(_Panel):
    """The cue sheet."""

    bl_idname = "IMMERSIVAUDIO_PT_cues"
    bl_label = "Cues"
    bl_parent_id = "IMMERSIVAUDIO_PT_score"

    @classmethod
    def poll(cls, context):
        scene = compat.scene_of(context)
        return scene is not None and bool(scene.immersivaudio.sheet)

    def draw(self, context):
        draw_cues(self.layout, compat.scene_of(context))


class StripPanel(_Panel):
    """What the active strip is and why, when we made it."""

    bl_idname = "IMMERSIVAUDIO_PT_strip"
    bl_label = "This Sound"
    bl_parent_id = "IMMERSIVAUDIO_PT_score"

    @classmethod
    def poll(cls, context):
        return bool(_active_label(context))

    def draw(self, context):
        cue = _active_label(context)["clip"]["cue"]
        for name in ("sound", "prompt", "why", "performer", "licence"):
            if cue.get(name):
                _say(self.layout, f"{name.title()}: {cue[name]}")
        self.layout.operator("immersivaudio.redo_cue", icon="FILE_REFRESH")


def draw_score(layout, scene) -> None:
    """The panel's content."""
    if not state.connected:
        layout.operator("immersivaudio.connect", icon="LINKED")
    else:
        column = layout.column()
        column.enabled = not state.busy
        _draw_choices(column, scene)
    if state.busy:
        layout.progress(factor=state.fraction, text=state.message)
        layout.operator("immersivaudio.cancel", icon="CANCEL")
    elif scene.immersivaudio.pending:
        layout.operator("immersivaudio.resume", icon="RECOVER_LAST")
    if state.message and not state.busy:
        _say(layout, state.message, "ERROR" if state.failed else "INFO")
    for warning in state.warnings:
        _say(layout, warning, "ERROR")
    layout.operator("immersivaudio.remove_last", icon="TRASH")


def _draw_choices(column, scene) -> None:
    column.prop(scene.immersivaudio, "effect")
    column.prop(scene.immersivaudio, "scope")
    effect = state.effects.get(scene.immersivaudio.effect)
    if effect is not None:
        params.draw(column, scene, effect, state.patches.get(effect.id, {}), "immersivaudio.press")
    row = column.row(align=True)
    row.operator("immersivaudio.spot")
    row.operator("immersivaudio.score")


def draw_cues(layout, scene) -> None:
    """The cue list and the reason of the chosen cue."""
    kept = scene.immersivaudio
    layout.template_list("IMMERSIVAUDIO_UL_cues", "", kept, "cues", kept, "chosen")
    if 0 <= kept.chosen < len(kept.cues):
        _say(layout, kept.cues[kept.chosen].why)
    layout.operator("immersivaudio.perform", icon="PLAY_SOUND")


# The width of a letter of Blender's own font, and what margins and icon take away, both before the user's scale.
_LETTER_PX = 6.6
_MARGINS_PX = 70


def _say(layout, text: str, icon: str = "NONE") -> None:
    """A sentence over as many lines as the sidebar's width needs: Blender cuts the middle out of a label too long."""
    scale = bpy.context.preferences.system.ui_scale
    region = bpy.context.region
    width_px = region.width / scale if region else 300
    column = layout.column(align=True)
    column.scale_y = 0.8
    blank = "BLANK1" if icon != "NONE" else "NONE"
    for number, line in enumerate(textwrap.wrap(text, max(20, int((width_px - _MARGINS_PX) / _LETTER_PX)))):
        column.label(text=line, icon=blank if number else icon)


def _active_label(context) -> dict:
    scene = compat.scene_of(context)
    strip = scene.sequence_editor.active_strip if scene and scene.sequence_editor else None
    return lay.label_of(strip) if strip else {}


def menu(self, context) -> None:
    """The entries in Add, Strip and the context menu."""
    self.layout.separator()
    self.layout.operator("immersivaudio.score", text="Immersivaudio: Score")
    if _active_label(context):
        self.layout.operator("immersivaudio.redo_cue", text="Immersivaudio: Perform Again")


MENUS = ("SEQUENCER_MT_add", "SEQUENCER_MT_strip", "SEQUENCER_MT_context_menu")
CLASSES = (ScorePanel, CueList, CuePanel, StripPanel)
