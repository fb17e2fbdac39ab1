# SPDX-License-Identifier: AGPL-3.0-or-later
"""One add-on's conversation with its bridge: connect, send, follow, lay. Everything here runs on Blender's main thread;
:meth:`Session.poll` is called by a timer, and by hand where timers do not fire."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import compat, cues, lay, link, params
from .bridge import sheet as sheets
from .bridge.effect import Context, Effect, Param, value_from_json
from .bridge.host import HostError, Lane, LinkError, Receipt, failure
from .bridge.stdio import Link
from .gather import Gathered

CAPABILITIES = ("undo", "lanes", "gain-curves", *(("sub-frame",) if compat.HAS_SOUND_OFFSET else ()))
_STEP_S = 0.1


@dataclass(frozen=True)
class Task:
    """A job that was sent: what for, for which scene, and where its result belongs. ``redo`` names a strip;
    ``engine_job`` is set when the engine has it already."""

    goal: str
    scene: str
    request: Mapping[str, Any]
    origin: lay.Origin
    redo: str = ""
    job: str = ""
    engine_job: str = ""
    sheet: Mapping[str, Any] | None = None

    @property
    def folder(self) -> Path:
        return Path(self.origin.folder)


@dataclass
class Session:
    """What the panel shows and the operators use."""

    link: Link | None = None
    engine: dict = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)
    patches: dict[str, dict[str, Param]] = field(default_factory=dict)
    task: Task | None = None
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    failed: bool = False
    warnings: list[str] = field(default_factory=list)
    receipt: Receipt | None = None
    laying: lay.Laying | None = None

    @property
    def connected(self) -> bool:
        return self.link is not None and self.link.alive and 0 < len(self.order) == len(self.effects)

    @property
    def busy(self) -> bool:
        return self.task is not None

    def connect(self, preferences) -> None:
        """Start the bridge and ask what the engine can do; the answers arrive in later polls.

        Raises:
            HostError: the bridge cannot be started.
        """
        self.close()
        self._say("Connecting")
        self.link = link.start(preferences)
        host = {"name": "Blender", "version": bpy.app.version_string, "capabilities": list(CAPABILITIES)}
        self._call("handshake", {"host": host}, self._shaken)

    def close(self) -> None:
        """End the bridge, and an engine that it started."""
        for effect_id in self.effects:
            params.unregister(effect_id)
        if self.link is not None:
            self.link.close()
        self.link, self.order, self.effects, self.engine, self.task, self.laying = None, [], {}, {}, None, None

    def poll(self) -> None:
        """Take what has come from the bridge and act on it."""
        if self.link is None:
            return
        try:
            for event in self.link.poll():
                self._heard(event["method"], event["params"])
        except HostError as error:
            self._fail(str(error))
        self._go_on()
        if not self.link.alive and self.laying is None:
            self._lost()
        _redraw()

    def start(self, scene, goal: str, gathered: Gathered, request: Mapping[str, Any], folder: Path) -> None:
        """Send a timeline: ``goal`` is ``spot`` or ``render``; ``request`` is what is sent beside it."""
        origin = lay.Origin(gathered.first_frame, gathered.rate, uuid.uuid4().hex, str(folder), time.time())
        self.warnings = list(gathered.warnings)
        self.send(Task(goal, scene.name, {**request, "timeline": gathered.timeline}, origin))

    def send(self, task: Task) -> None:
        """Send a task.

        Raises:
            HostError: not connected, or another task is not done.
        """
        if not self.connected:
            raise HostError("Connect to the engine first.")
        if self.busy:
            raise HostError("A job is running. Wait for it, or cancel it.")
        self.task, self.receipt, self.fraction = task, None, 0.0
        if task.engine_job:
            self._say("Looking for the job")
            self._call("attach", {"engine_job": task.engine_job}, self._accepted)
        else:
            self._say("Sending")
            self._call(task.goal, dict(task.request), self._accepted)

    def cancel(self) -> None:
        """Ask the engine to stop; it says when it has."""
        if self.task is not None and self.task.job:
            self._call("cancel", {"job": self.task.job}, lambda result: None)
            self._say("Stopping")

    def changed(self, effect_id: str, name: str) -> None:
        """A person changed a param that others depend on."""
        effect = self.effects.get(effect_id)
        if effect is None or self.link is None:
            return
        instance = effect.instance(params.values(compat.scene_of(bpy.context), effect))
        asked = {"effect": effect_id, "params": instance["params"], "changed": name}
        self._call("instance_changed", asked, lambda patch: self._patch(effect, patch))

    def _patch(self, effect: Effect, patch: Mapping[str, Any]) -> None:
        changed = [Param.from_json(param) for param in patch.get("params", ())]
        self.patches.setdefault(effect.id, {}).update({param.name: param for param in changed})
        values = {name: value_from_json(value) for name, value in patch.get("values", {}).items()}
        params.assign(compat.scene_of(bpy.context), effect, values)
        if patch.get("message"):
            self._say(patch["message"])

    def _call(self, method: str, arguments: dict, then: Callable[[Any], None]) -> None:
        def answered(result: Any, error: LinkError | None) -> None:
            if error is not None:
                self._fail(str(error))
            else:
                then(result)

        self.link.call(method, arguments, answered)

    def _shaken(self, engine: dict) -> None:
        self.engine = engine
        self._call("effects", {"context": Context.GENERAL.value}, self._listed)

    def _listed(self, effects: list) -> None:
        self.order = [effect["effect_id"] for effect in effects]
        for effect in effects:
            self._call("describe", {"effect": effect["effect_id"]}, self._described)

    def _described(self, described: dict) -> None:
        effect = Effect.from_json(described)
        params.register(effect, self.changed)
        known = {**self.effects, effect.id: effect}
        # Descriptions come as they are ready; the engine's order is the one to show, and the first one is chosen.
        self.effects = {effect_id: known[effect_id] for effect_id in self.order if effect_id in known}
        self._say(f"Connected to engine {self.engine.get('engine_version', '')}")

    def _accepted(self, answer: dict) -> None:
        if self.task is not None:
            self.task = replace(self.task, job=str(answer["job"]))

    def _heard(self, method: str, told: Mapping[str, Any]) -> None:
        if self.task is None or told.get("job") != self.task.job:
            return
        if method == "progress":
            self.stage, self.fraction = str(told.get("stage", "")), float(told.get("fraction", 0.0))
            self._say(str(told.get("message") or self.stage))
        elif method == "warning":
            self.warnings.append(str(told["text"]))
        elif method == "cue_sheet":
            self.task = replace(self.task, sheet=told["cue_sheet"])
        elif method == "accepted":
            self._remember(str(told["engine_job"]))
        elif method == "failed":
            self._found().immersivaudio.pending = ""
            self._fail(str(failure(told)))
        elif method == "done":
            self._done()

    def _remember(self, engine_job: str) -> None:
        """Write down where the job is, so that it is found again when Blender or the bridge ends before it does."""
        if not self.task.redo:
            sheets.keep(self.task.folder, self.task.request, self.task.sheet)
            self._found().immersivaudio.pending = json.dumps(pending_of(self.task, engine_job))

    def _done(self) -> None:
        if self.task.goal == "spot":
            self._finish_spotting()
        else:
            self.task.folder.mkdir(parents=True, exist_ok=True)
            self._say("Fetching")
            self._call("result", {"job": self.task.job, "folder": self.task.origin.folder}, self._arrived)

    def _finish_spotting(self) -> None:
        task, scene = self.task, self._found()
        self.task, scene.immersivaudio.pending = None, ""
        sheets.keep(task.folder, task.request, task.sheet)
        cues.show(scene, task.sheet or {}, task.origin)
        self._say(f"{len(scene.immersivaudio.cues)} cues")
        bpy.ops.ed.undo_push(message="Immersivaudio: spot")

    def _arrived(self, result: dict) -> None:
        if self.task is None:
            return
        task, scene = self.task, self._found()
        task = replace(task, sheet=result.get("cue_sheet") or task.sheet)
        sheets.keep(task.folder, task.request, task.sheet)
        lanes = [Lane.from_json(lane) for lane in result["lanes"]]
        if task.redo:
            self._laid(task, _again(scene, task, lanes))
        else:
            self.task, self.fraction = task, 1.0
            self._say("Laying")
            self.laying = lay.laying(self._found, lanes, task.origin)

    def _go_on(self) -> None:
        """Lay some strips, for no longer than a person notices."""
        deadline = time.monotonic() + _STEP_S
        while self.laying is not None and time.monotonic() < deadline:
            task = self.task
            try:
                next(self.laying)
            except StopIteration as end:
                self.laying = None
                self._laid(task, end.value)
            except HostError as error:
                self.laying = None
                self._fail(str(error))

    def _laid(self, task: Task, receipt: Receipt) -> None:
        self._found().immersivaudio.pending = ""
        self.task, self.receipt = None, receipt
        self._say(str(receipt))
        self.failed = not receipt.complete
        bpy.ops.ed.undo_push(message=f"Immersivaudio: {task.goal}")

    def _found(self):
        scene = bpy.data.scenes.get(self.task.scene) if self.task else None
        if scene is None:
            raise HostError("The scene of that job is gone; its files are kept.")
        return scene

    def _lost(self) -> None:
        """The bridge is gone; when a call was waiting for it, that call has said why."""
        said = self.message if self.failed else "The bridge has ended. Connect again."
        self.close()
        self._fail(said)

    def _fail(self, message: str) -> None:
        self.task, self.laying, self.failed, self.message, self.fraction = None, None, True, message, 0.0

    def _say(self, message: str) -> None:
        self.message, self.failed = message, False


def pending_of(task: Task, engine_job: str) -> dict[str, Any]:
    """What a scene keeps of a job that is not done."""
    origin = {**task.origin.__dict__, "rate": [task.origin.rate.numerator, task.origin.rate.denominator]}
    return {"goal": task.goal, "engine_job": engine_job, "origin": origin}


def pending(scene) -> Task:
    """The job of this scene that was not done when Blender or the bridge ended.

    Raises:
        HostError: what it was made from is gone.
    """
    told = json.loads(scene.immersivaudio.pending)
    origin = lay.Origin(**{**told["origin"], "rate": Fraction(*told["origin"]["rate"])})
    timeline, sheet, about = sheets.kept(Path(origin.folder))
    request = {**about, "timeline": timeline}
    return Task(told["goal"], scene.name, request, origin, engine_job=told["engine_job"], sheet=sheet)


def _again(scene, task: Task, lanes: list[Lane]) -> Receipt:
    strip = next((strip for strip in compat.all_strips(scene) if strip.name == task.redo), None)
    if strip is None:
        raise HostError("The strip that was to be performed again is gone.")
    return lay.replace_cue(scene, strip, lanes, task.origin)


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


session = Session()
