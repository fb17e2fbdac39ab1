# SPDX-License-Identifier: AGPL-3.0-or-later
"""The differences between Blender 4.2 and 5.2, each in one place.

Names of the strip times change in 5.2 (the old ones leave in 6.0), ``sequences`` became ``strips`` in 4.4, the
sequencer may show another scene than the window's from 5.0 on, and actions lost ``fcurves`` in 5.0.
"""

from __future__ import annotations

from fractions import Fraction

import bpy

from .bridge.host import exact_rate

HAS_SOUND_OFFSET = bpy.app.version >= (4, 4, 0)
USABLE_CHANNELS = 128


def portable(path: str) -> str:
    """``path`` as Blender keeps it: relative to the saved file where the user's preferences say so."""
    if not (bpy.data.filepath and bpy.context.preferences.filepaths.use_relative_paths):
        return path
    try:
        return bpy.path.relpath(path)
    except ValueError:  # another drive
        return path


def scene_of(context):
    """The scene whose edit is on screen."""
    return getattr(context.workspace, "sequencer_scene", None) or context.scene


def rate_of(scene) -> Fraction:
    """Exact frames a second."""
    return exact_rate(scene.render.fps, scene.render.fps_base)


def strips_of(owner):
    """The strips of an editor or of a meta strip, one level."""
    return owner.strips if hasattr(owner, "strips") else owner.sequences


def all_strips(scene):
    """Every strip of a scene's edit, those inside metas too; empty where there is no edit."""
    editor = scene.sequence_editor
    if editor is None:
        return ()
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def start_of(strip) -> int:
    """The first frame in which the strip is seen or heard."""
    return strip.left_handle if hasattr(strip, "left_handle") else strip.frame_final_start


def end_of(strip) -> int:
    """The first frame in which it is no longer."""
    return strip.right_handle if hasattr(strip, "right_handle") else strip.frame_final_end


def content_start_of(strip) -> Fraction:
    """The frame at which the first frame of its content lies, trimmed away or not."""
    return Fraction(strip.content_start if hasattr(strip, "content_start") else strip.frame_start)


def content_end_of(strip) -> Fraction:
    """The frame after its last frame of content, retimed, trimmed away or not."""
    offset = strip.right_handle_offset if hasattr(strip, "right_handle_offset") else strip.frame_offset_end
    return end_of(strip) + Fraction(offset)


def trimmed_frames_of(strip) -> int:
    """Frames of the media left out before the content starts."""
    if hasattr(strip, "content_trim_start"):
        return strip.content_trim_start
    return getattr(strip, "animation_offset_start", 0)


def trimmed_frames_at_end_of(strip) -> int:
    """Frames of the media left out after the content ends."""
    if hasattr(strip, "content_trim_end"):
        return strip.content_trim_end
    return getattr(strip, "animation_offset_end", 0)


def set_handles(strip, start: int, end: int) -> None:
    """Trim a strip to ``[start, end)``, in frames of the timeline."""
    modern = hasattr(strip, "left_handle")
    setattr(strip, "right_handle" if modern else "frame_final_end", end)
    setattr(strip, "left_handle" if modern else "frame_final_start", start)


def curves_of(scene):
    """The collection of the scene's animation curves, or None where nothing is animated."""
    animation = scene.animation_data
    action = animation.action if animation else None
    if action is None:
        return None
    if hasattr(action, "fcurves"):
        return action.fcurves
    for layer in action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(animation.action_slot)
            if bag is not None:
                return bag.fcurves
    return None
