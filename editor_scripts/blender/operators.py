# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a person can press. None of it waits: work goes to the bridge, results come in Session.poll."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import ClassVar

import bpy

from . import compat, cues, gather, lay, params, preferences, session
from .bridge import sheet as sheets
from .bridge.host import HostError, Scope

state = session.session


class _Operator(bpy.types.Operator):
    """Reports a HostError as the sentence that it is."""

    bl_options: ClassVar = {"REGISTER"}

    @classmethod
    def poll(cls, context):
        return compat.scene_of(context) is not None

    def execute(self, context):
        try:
            self.act(context, compat.scene_of(context))
        except HostError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class Connect(_Operator):
    """Start the bridge and ask the engine what it can do"""

    bl_idname = "immersivaudio.connect"
    bl_label = "Connect"

    def act(self, context, scene):
        state.connect(preferences.of(context))
        start_timer()


class _Send(_Operator):
    @classmethod
    def poll(cls, context):
        return state.connected and not state.busy and compat.scene_of(context) is not None


class _SendEdit(_Send):
    """Blender cannot register an operator that inherits from a registered one, so the two share this."""

    def act(self, context, scene):
        gathered = gather.gather(scene, Scope(scene.immersivaudio.scope))
        state.start(scene, self.goal, gathered, _request(scene), _new_folder(context))
        self.report({"INFO"}, f"Sent {gathered.summary}")


class Score(_SendEdit):
    """Watch, spot and perform: new lanes with sound, beside what is there"""

    bl_idname = "immersivaudio.score"
    bl_label = "Score"
    goal = "render"


class Spot(_SendEdit):
    """Only watch and spot: the cues are listed, to be muted and re-worded before anything is performed"""

    bl_idname = "immersivaudio.spot"
    bl_label = "Spot"
    goal = "spot"


class Perform(_Send):
    """Perform the cues of the list on the edit that was spotted"""

    bl_idname = "immersivaudio.perform"
    bl_label = "Perform Cues"

    def act(self, context, scene):
        if not scene.immersivaudio.sheet:
            raise HostError("Spot the edit first.")
        timeline, _, about = sheets.kept(Path(bpy.path.abspath(scene.immersivaudio.folder)))
        request = {**about, "timeline": timeline, "cue_sheet": cues.edited(scene)}
        origin = _origin(scene, scene.immersivaudio.first_frame, _new_folder(context))
        state.send(session.Task("render", scene.name, request, origin))


class RedoCue(_Send):
    """Perform the sound of the active strip again, in its place"""

    bl_idname = "immersivaudio.redo_cue"
    bl_label = "Perform Again"

    words: bpy.props.StringProperty(name="Words", description="What should be heard; empty keeps the words it has")

    def act(self, context, scene):
        strip = scene.sequence_editor.active_strip if scene.sequence_editor else None
        label = lay.label_of(strip) if strip else {}
        if not label:
            raise HostError("Choose a strip that Immersivaudio made.")
        timeline, sheet, about = sheets.kept(Path(bpy.path.abspath(label["folder"])))
        try:
            sheet = sheets.again(sheet, label["clip"]["cue"].get("cue", ""), self.words)
        except KeyError:
            raise HostError("That cue is not on its sheet any more. Score the edit again.") from None
        request = {**about, "timeline": timeline, "cue_sheet": sheet}
        origin = _origin(scene, label["first_frame"], _new_folder(context), label["result"])
        state.send(session.Task("render", scene.name, request, origin, redo=strip.name))


class Resume(_Send):
    """Follow the job that went on, or waits, since Blender was closed or lost its engine"""

    bl_idname = "immersivaudio.resume"
    bl_label = "Find Unfinished Job"

    def act(self, context, scene):
        if not scene.immersivaudio.pending:
            raise HostError("No job of this scene is unfinished.")
        state.send(session.pending(scene))


class Cancel(_Operator):
    """Stop the running job"""

    bl_idname = "immersivaudio.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context):
        return state.busy

    def act(self, context, scene):
        state.cancel()


class RemoveLast(_Operator):
    """Take the newest result off the edit; its files stay"""

    bl_idname = "immersivaudio.remove_last"
    bl_label = "Remove Last Result"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def act(self, context, scene):
        result = lay.last_result(scene)
        if not result:
            raise HostError("There is no result of Immersivaudio in this edit.")
        self.report({"INFO"}, f"Removed {lay.remove_result(scene, result)} strips")


class Press(_Operator):
    """A button that the engine described"""

    bl_idname = "immersivaudio.press"
    bl_label = "Press"

    param: bpy.props.StringProperty()

    def act(self, context, scene):
        state.changed(scene.immersivaudio.effect, self.param)


def _request(scene) -> dict:
    effect = state.effects.get(scene.immersivaudio.effect)
    if effect is None:
        raise HostError("Choose an effect.")
    instance = effect.instance(params.values(scene, effect))
    return {"effect": effect.id, "params": instance["params"]}


def _origin(scene, first_frame: int, folder: Path, result: str = "") -> lay.Origin:
    return lay.Origin(first_frame, compat.rate_of(scene), result or uuid.uuid4().hex, str(folder), time.time())


def _new_folder(context) -> Path:
    name = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    return preferences.results_folder(context) / name


def start_timer() -> None:
    """Follow the bridge from Blender's event loop."""
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.1, persistent=True)


def tick() -> float | None:
    """One look at the bridge; when to look again."""
    state.poll()
    if state.link is None:
        return None
    return 0.02 if state.laying is not None else 0.2


def leave_project(*_arguments) -> None:
    """Another file is opened: a job of this one has nowhere to go."""
    state.cancel()
    state.task = state.laying = None


CLASSES = (
    Connect,
    Score,
    Spot,
    Perform,
    RedoCue,
    Resume,
    Cancel,
    RemoveLast,
    Press,
)
