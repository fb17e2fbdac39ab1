# SPDX-License-Identifier: Apache-2.0
"""The bridge as a child process of an editor: JSON-RPC calls in, gRPC out. ``bridge.stdio`` is the line between."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.message import Message

from immersivaudio.bridge import timeline
from immersivaudio.bridge.client import Client, result_of
from immersivaudio.bridge.effect import Effect
from immersivaudio.bridge.errors import (
    BridgeError,
    NotAllowedError,
    NotThereError,
    RefusedError,
    StoppedError,
    TransferError,
)
from immersivaudio.bridge.host import Json
from immersivaudio.bridge.own_engine import OwnEngine
from immersivaudio.bridge.process import sees_our_files
from immersivaudio.bridge.proxy import WIDTH, proxy_of
from immersivaudio.bridge.stdio import Answer, Answerer
from immersivaudio.v1 import cue_sheet_pb2, effect_pb2, job_pb2

AUTO = "auto"
_WANTED = ("stem", "otio", "manifest")
_TOLD_EVERY_S = 0.25
_PATIENCE_S = 3.0
GAIN_CURVES = "gain-curves"
"""What a host says in its handshake when it lays ``LaneClip.gain_curve``: ducking is then there, and in no file."""
_WITH_CURVES = "blender"


@dataclass
class Job:
    """A job of this editor. ``id`` is what the editor knows it by and the ``request_id`` that the engine is given."""

    id: str
    engine_job: str = ""
    stop: threading.Event = field(default_factory=threading.Event)


class Companion:
    """What the editor may call. Every call comes in a thread of its own, which goes on to follow a job that it began."""

    def __init__(self, engine: str, token: str, home: Path | None = None, ca: Path | None = None) -> None:
        self._address, self._token, self._home, self._ca = engine, token, home, ca
        self._lays_curves = False
        self._connecting = threading.Lock()
        self._making_proxy = threading.Lock()
        self._closing = threading.Event()
        self._client: Client | None = None
        self._own: OwnEngine | None = None
        self._jobs: dict[str, Job] = {}
        self._local = engine == AUTO or sees_our_files(engine)
        self.answerer = Answerer(self._methods(), *_pipes())

    def serve(self) -> None:
        """Answer until the editor says that it is enough, or is gone; an engine of our own ends with us."""
        try:
            self.answerer.serve()
        finally:
            self._closing.set()
            # ffmpeg would go on without us, and leave its half of a file.
            self._making_proxy.acquire(timeout=_PATIENCE_S)
            if self._client is not None:
                self._client.close()
            if self._own is not None:
                self._own.close()

    def _methods(self) -> dict[str, Any]:
        names = "handshake effects describe instance_changed spot render attach cancel result"
        return {name: getattr(self, name) for name in names.split()}

    def handshake(self, params: Json) -> Json:
        """``host`` (name, version, capabilities) in; what the engine is and can do out."""
        host = params.get("host", {})
        said = (str(host.get("name", "")), str(host.get("version", "")), _words(host))
        self._lays_curves = GAIN_CURVES in said[2]
        if self._address == AUTO:
            return _json(self._connected().handshake(*said))
        # A person waits: of an engine that is not there they soon hear so.
        with Client(self._address, self._token, self._ca, _PATIENCE_S) as client:
            return _json(client.handshake(*said))

    def effects(self, params: Json) -> list[Json]:
        """Every effect of a ``context``, or all."""
        return [_json(effect) for effect in self._connected().effects(_context(params))]

    def describe(self, params: Json) -> Json:
        """The params of ``effect`` in a ``context``."""
        return _json(self._connected().describe(str(params["effect"]), _context(params)))

    def instance_changed(self, params: Json) -> Json:
        """What else changes because the param ``changed`` of ``effect`` did."""
        changed = str(params["changed"])
        return _json(self._connected().instance_changed(self._instance(params), changed, _context(params)))

    def spot(self, params: Json) -> Answer:
        """Watch and spot ``timeline``; the cue sheet comes as a notification."""
        return self._start(params, job_pb2.GOAL_SPOT)

    def render(self, params: Json) -> Answer:
        """Score ``timeline``, by ``cue_sheet`` when there is one."""
        return self._start(params, job_pb2.GOAL_DELIVER)

    def attach(self, params: Json) -> Answer:
        """Follow a job that the engine knows as ``engine_job``: one of an editor that was closed meanwhile."""
        job = self._new_job()
        job.engine_job = str(params["engine_job"])
        self._connected().get(job.engine_job)
        return Answer({"job": job.id}, lambda: self._follow(job, None))

    def cancel(self, params: Json) -> Json:
        """Stop ``job``; ``failed`` with the reason ``CANCELLED`` says when it has stopped."""
        job = self._job(params)
        job.stop.set()
        if job.engine_job:
            self._connected().cancel(job.engine_job)
        return {}

    def result(self, params: Json) -> Json:
        """Fetch what ``job`` made into ``folder``: its lanes, its cue sheet, its warnings."""
        job, folder = self._job(params), Path(str(params["folder"]))
        client = self._connected()
        result = result_of(client.get(job.engine_job))
        files = _fetch(client, result.artefacts, folder)
        edited = next((path for path in files.values() if path.endswith(".otio")), None)
        if edited is None:
            raise NotThereError("The job gave no timeline.", "Render again.")
        lanes = timeline.lanes(timeline.read(Path(edited).read_text("utf-8")), files)
        return {
            "lanes": [lane.to_json() for lane in lanes],
            "cue_sheet": _json(result.cue_sheet),
            "warnings": list(result.warnings),
            "files": files,
        }

    def _start(self, params: Json, goal: job_pb2.Goal) -> Answer:
        job = self._new_job()
        return Answer({"job": job.id}, lambda: self._follow(job, (params, goal)))

    def _new_job(self) -> Job:
        job = Job(str(uuid.uuid4()))
        self._jobs[job.id] = job
        return job

    def _follow(self, job: Job, order: tuple[Json, job_pb2.Goal] | None) -> None:
        """Send the order, when there is one, and tell the editor what becomes of it."""
        client = self._connected()
        try:
            if order is not None:
                job.engine_job = self._create(job, *order)
            self._tell("accepted", job, engine_job=job.engine_job)
            if job.stop.is_set():
                client.cancel(job.engine_job)
            for event in client.watch(job.engine_job):
                self._pass_on(job, event)
            result_of(client.get(job.engine_job))
            self._tell("done", job)
        except BridgeError as error:
            self._tell("failed", job, reason=_reason(error), message=error.message, hint=error.hint)
        except Exception as error:  # the editor must hear of everything that ends a job
            self._tell("failed", job, reason="BRIDGE_FAILED", message=f"The bridge failed: {error}.", hint="")

    def _create(self, job: Job, params: Json, goal: job_pb2.Goal) -> str:
        """Hand the job in by the files' paths where the engine may read them, else by their bytes: those of proxies for
        an engine on another machine."""
        client = self._connected()
        spec = self._spec(params, goal)
        media = timeline.media(timeline.read(spec.source.timeline_json))
        try:
            if not self._local:
                raise NotAllowedError("Another machine cannot read our files.", reason="PATH_NOT_ALLOWED")
            for url, path in media.items():
                spec.source.media_by_url[url].path = str(path)
            return client.create_job(spec, job.id).job_id
        except NotAllowedError as error:
            if error.reason != "PATH_NOT_ALLOWED":
                raise
        spec.source.ClearField("media_by_url")
        width = 0 if self._local else client.proxy_width(spec.effect) or WIDTH
        for number, (url, path) in enumerate(media.items()):
            share = (number, len(media))
            sent = self._proxy_of(job, path, width, share) if width else path
            digest = client.upload(sent, _Meter(self, job, f"Uploading {path.name}", share))
            spec.source.media_by_url[url].blob.CopyFrom(digest)
        for example in _examples(spec):
            path = Path(example.media.path)
            example.media.blob.CopyFrom(client.upload(path, _Meter(self, job, f"Uploading {path.name}", (0, 1))))
        return client.create_job(spec, job.id).job_id

    def _proxy_of(self, job: Job, path: Path, width: int, share: tuple[int, int]) -> Path:
        meter = _Meter(self, job, f"Making a small copy of {path.name}", share)
        with self._making_proxy:
            return proxy_of(path, width=width, told=lambda fraction: meter(round(1000 * fraction), 1000))

    def _spec(self, params: Json, goal: job_pb2.Goal) -> job_pb2.JobSpec:
        spec = job_pb2.JobSpec(goal=goal, effect=self._instance(params))
        given = params["timeline"]
        spec.source.timeline_json = given if isinstance(given, str) else json.dumps(given)
        spec.source.name = str(params.get("name", ""))
        if params.get("cue_sheet"):
            _parsed(params["cue_sheet"], spec.cue_sheet)
        if params.get("delivery"):
            _parsed(params["delivery"], spec.delivery)
        if goal == job_pb2.GOAL_DELIVER:
            spec.delivery.outputs[:] = ["stems", "otio"]
            if self._lays_curves and not spec.delivery.dialect:
                spec.delivery.dialect = _WITH_CURVES
        _name_example(spec)
        return spec

    def _instance(self, params: Json) -> effect_pb2.EffectInstance:
        """An effect with its values: as protobuf's JSON has them, or plain, which its description then types."""
        effect_id, values = str(params.get("effect", "soundtrack")), dict(params.get("params", {}))
        if any(not isinstance(value, dict) for value in values.values()):
            values = Effect.from_json(self.describe({"effect": effect_id})).instance(values)["params"]
        instance = effect_pb2.EffectInstance()
        _parsed({"effect_id": effect_id, "params": values}, instance)
        return instance

    def _pass_on(self, job: Job, event: job_pb2.JobEvent) -> None:
        kind = event.WhichOneof("event")
        if kind == "progress":
            progress = _json(event.progress)
            self._tell("progress", job, fraction=progress.pop("job_fraction"), **progress)
        elif kind == "warning":
            self._tell("warning", job, text=event.warning)
        elif kind == "cue_sheet":
            self._tell("cue_sheet", job, cue_sheet=_json(event.cue_sheet))

    def _tell(self, method: str, job: Job, **told: Any) -> None:
        self.answerer.notify(method, {"job": job.id, **told})

    def tell_sending(self, job: Job, message: str, fraction: float) -> None:
        """Say how far sending is."""
        self._tell("progress", job, stage="upload", stage_fraction=fraction, fraction=0.0, message=message)

    def refuse_stopped(self, job: Job) -> None:
        """Go on with ``job`` only as long as somebody wants it.

        Raises:
            StoppedError: somebody cancelled it, or the editor has closed.
        """
        if job.stop.is_set() or self._closing.is_set():
            raise StoppedError("The job was stopped.", reason="CANCELLED")

    def _job(self, params: Json) -> Job:
        try:
            return self._jobs[str(params["job"])]
        except KeyError:
            raise NotThereError("The bridge knows no such job.", "Render again.") from None

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                address = self._address
                if address == AUTO:
                    self._own = OwnEngine(self._home)
                    address, self._token = self._own.address, self._own.token
                self._client = Client(address, self._token, None if self._own is not None else self._ca)
            return self._client


def _name_example(spec: job_pb2.JobSpec) -> None:
    """A panel names the clip Example by its path, in a param: said as a clip, it can be sent by its bytes too."""
    words = {name: value.text for name, value in spec.effect.params.items() if name in ("example", "example_licence")}
    if path := words.get("example"):
        spec.example.media.path = path
        spec.example.name, spec.example.licence = Path(path).name, words.get("example_licence", "")


def _examples(spec: job_pb2.JobSpec) -> list[cue_sheet_pb2.Example]:
    """Every example that a job names by a path."""
    named = [spec.example, *(cue.example for cue in spec.cue_sheet.cues)]
    return [example for example in named if example.media.WhichOneof("location") == "path"]


class _Meter:
    """Tells the editor of what is sent a few times a second, and ends it when nobody wants it any more."""

    def __init__(self, companion: Companion, job: Job, message: str, share: tuple[int, int]) -> None:
        self._companion, self._job, self._message = companion, job, message
        self._share, self._told_s = share, 0.0

    def __call__(self, sent: int, size: int) -> None:
        self._companion.refuse_stopped(self._job)
        now = time.monotonic()
        if now - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now
            number, count = self._share
            self._companion.tell_sending(self._job, self._message, (number + sent / max(1, size)) / count)


def _fetch(client: Client, artefacts: Iterable[job_pb2.Artefact], folder: Path) -> dict[str, str]:
    """Download what a host needs into ``folder``; where each lies by its name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}."
        raise TransferError(said, "Choose another folder for the sound.") from error
    files = {}
    for made in artefacts:
        if made.kind in _WANTED and made.stem != cue_sheet_pb2.STEM_DIALOGUE:
            target = folder / Path(made.name).name
            if not target.exists():
                client.download(made.digest, target)
            files[made.name] = str(target.resolve())
    return files


def _json(message: Message) -> Json:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _context(params: Json) -> effect_pb2.Context:
    name = str(params.get("context", "CONTEXT_UNSPECIFIED"))
    if name not in effect_pb2.Context.DESCRIPTOR.values_by_name:
        raise RefusedError(f"{name} is no context.", "Update the editor script.")
    return cast(effect_pb2.Context, effect_pb2.Context.Value(name))


def _parsed(data: Mapping[str, Any], message: Message) -> None:
    """Fill ``message``; names that this version does not know are left out."""
    try:
        json_format.ParseDict(dict(data), message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise RefusedError(f"That is no {type(message).__name__}: {error}.", "Update the editor script.") from None


def _words(host: Mapping[str, Any]) -> list[str]:
    return [str(word) for word in host.get("capabilities", ())]


def _reason(error: BridgeError) -> str:
    return "CANCELLED" if isinstance(error, StoppedError) else error.reason


def _pipes() -> tuple[Any, Any]:
    """Our stdin and a private copy of our stdout: whatever prints from now on goes to stderr, not into the line."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin.buffer, out


def main(arguments: list[str]) -> int:
    """Serve the editor at the other end of stdin and stdout."""
    parser = argparse.ArgumentParser(prog="python -m immersivaudio.bridge.stdio", description=__doc__)
    parser.add_argument("--engine", default=AUTO, help="host:port of a running engine; auto starts one for this editor")
    parser.add_argument("--home", type=Path, help="where an engine of our own keeps its jobs and caches")
    parser.add_argument("--ca", type=Path, help="the certificate to trust (PEM): turns TLS on; or IMMERSIVAUDIO_CA")
    options = parser.parse_args(arguments)
    ca = options.ca or (Path(os.environ["IMMERSIVAUDIO_CA"]) if os.environ.get("IMMERSIVAUDIO_CA") else None)
    Companion(options.engine, os.environ.get("IMMERSIVAUDIO_TOKEN", ""), options.home, ca).serve()
    return 0
