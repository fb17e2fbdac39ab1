# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the environment, the engine and the files are."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bpy


class Preferences(bpy.types.AddonPreferences):
    """Drawn in Edit > Preferences > Add-ons."""

    bl_idname = __package__

    python: bpy.props.StringProperty(
        name="Environment",
        description="The environment that has immersivaudio: its folder, or the Python in it",
        subtype="FILE_PATH",
    )
    engine: bpy.props.StringProperty(
        name="Engine",
        description="auto starts an engine for this Blender; host:port speaks to one that runs",
        default="auto",
    )
    token: bpy.props.StringProperty(name="Token", description="What a remote engine asks for", subtype="PASSWORD")
    folder: bpy.props.StringProperty(
        name="Files",
        description="Where finished sound goes; empty means a folder immersivaudio beside the .blend file",
        subtype="DIR_PATH",
    )

    def draw(self, context):
        for name in ("python", "engine", "token", "folder"):
            self.layout.prop(self, name)
        self.layout.operator("immersivaudio.connect")


def of(context) -> Preferences:
    """The add-on's preferences."""
    return context.preferences.addons[__package__].preferences


def results_folder(context) -> Path:
    """Where finished sound goes: as set, else beside the saved file, else a folder of the extension's own."""
    chosen = of(context).folder.strip()
    if chosen:
        return Path(bpy.path.abspath(chosen)).resolve()
    if bpy.data.filepath:
        return Path(bpy.data.filepath).resolve().parent / "immersivaudio"
    try:
        return Path(bpy.utils.extension_path_user(__package__, path="results", create=True))
    except (AttributeError, ValueError):
        return Path(tempfile.gettempdir()) / "immersivaudio"


CLASSES = (Preferences,)
