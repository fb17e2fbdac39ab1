# SPDX-License-Identifier: AGPL-3.0-or-later
"""Immersivaudio in Blender's Video Sequencer: a panel in the sidebar, entries in its menus, lanes of sound."""

from __future__ import annotations

import bpy

from . import cues, operators, panel, preferences, session

_CLASSES = (*preferences.CLASSES, *cues.CLASSES, *operators.CLASSES, *panel.CLASSES)


def register() -> None:
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.immersivaudio = bpy.props.PointerProperty(type=cues.SceneState)
    for name in panel.MENUS:
        getattr(bpy.types, name).append(panel.menu)
    bpy.app.handlers.load_pre.append(operators.leave_project)


def unregister() -> None:
    session.session.close()
    if bpy.app.timers.is_registered(operators.tick):
        bpy.app.timers.unregister(operators.tick)
    bpy.app.handlers.load_pre.remove(operators.leave_project)
    for name in panel.MENUS:
        getattr(bpy.types, name).remove(panel.menu)
    del bpy.types.Scene.immersivaudio
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
