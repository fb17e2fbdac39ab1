# SPDX-License-Identifier: AGPL-3.0-or-later
"""The four services of the wire: each method checks, delegates and translates; nothing more. Imports no gRPC.

Methods take a request and gRPC's context (not used) and raise engine errors; ``server.py`` turns those into statuses.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from immersivaudio.engine import __version__, access, cue, effects, housekeeping, jobs, wire, wire_checks
from immersivaudio.engine.blobs import CHUNK_BYTES, BlobStore, Digest, receive
from immersivaudio.engine.dispatch import Dispatcher
from immersivaudio.engine.errors import EngineError, NotFoundError, RequestError
from immersivaudio.engine.executor import Executor
from immersivaudio.v1 import effect_pb2, job_pb2, media_pb2, model_pb2

MAX_REQUEST_BYTES = 32 << 20
MAX_RESPONSE_BYTES = 128 << 20
_HANDLE_S = Fraction(1)
_MAX_DIGESTS = 10_000
_MODELS_WAIT_S = 10.0
# What no watcher of ours goes beyond: for a moment in which nobody can say what is installed.
_WIDEST = (640, 30.0)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the services delegate to."""

    cache: Path
    roots: tuple[Path, ...]
    dispatcher: Dispatcher
    executor: Executor
    blobs: BlobStore


def digests_in(spec: bytes) -> Iterator[str]:
    """The sha256 of every blob that a job's serialized spec names."""
    waiting: list[Message] = [job_pb2.JobSpec.FromString(spec)]
    while waiting:
        message = waiting.pop()
        if isinstance(message, media_pb2.Digest):
            yield message.sha256
        for _, value in message.ListFields():
            several = (
                value.values() if isinstance(value, Mapping) else value if isinstance(value, Sequence) else (value,)
            )
            waiting += [one for one in several if isinstance(one, Message)]


class EffectService:
    """What the engine can do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Handshake(self, request: effect_pb2.HandshakeRequest, context: Any) -> effect_pb2.HandshakeResponse:  # noqa: N802
        if request.protocols and "v1" not in request.protocols:
            raise RequestError("This engine speaks v1 only.", "Install a bridge of the same version as the engine.")
        models = await self._models()
        return effect_pb2.HandshakeResponse(
            engine_version=__version__,
            protocol="v1",
            capabilities=["blobs", "paths"] if self._desk.roots else ["blobs"],
            performers=[one["id"] for one in models if one["kind"] == "performer" and one["installed"]],
            watchers=[one["id"] for one in models if one["kind"] == "watcher" and one["installed"]],
            max_message_bytes=MAX_REQUEST_BYTES,
        )

    async def _models(self) -> list[dict[str, Any]]:
        try:
            return await asyncio.wait_for(self._desk.executor.models("models"), _MODELS_WAIT_S)
        except (TimeoutError, EngineError):
            # A handshake must work while a worker is being started again: nobody can perform just now.
            return []

    async def ListEffects(self, request: effect_pb2.ListEffectsRequest, context: Any) -> effect_pb2.ListEffectsResponse:  # noqa: N802
        listed = map(wire.effect_to_wire, effects.EFFECTS)
        wanted = [one for one in listed if request.context in (0, *one.contexts)]
        return effect_pb2.ListEffectsResponse(effects=wanted)

    async def DescribeEffect(  # noqa: N802
        self, request: effect_pb2.DescribeEffectRequest, context: Any
    ) -> effect_pb2.DescribeEffectResponse:
        effect = effects.find(request.effect_id)
        described = wire.effect_to_wire(effect)
        if request.context not in (0, *described.contexts):
            raise RequestError(f"{effect.label} is not used in this context.", "Ask ListEffects for the context.")
        takes_clips = effects.Use.GENERATOR not in effect.uses
        clips = [effect_pb2.ClipDescriptor(name="Source", label="Picture and its sound")] if takes_clips else []
        if effect.by_example:
            # Optional, because a panel that has no clip for it fills the param of the same name.
            clips.append(effect_pb2.ClipDescriptor(name="Example", label="What it sounds like", optional=True))
        return effect_pb2.DescribeEffectResponse(
            effect=described, params=map(wire.param_to_wire, effect.params), clips=clips
        )

    async def InstanceChanged(  # noqa: N802
        self, request: effect_pb2.InstanceChangedRequest, context: Any
    ) -> effect_pb2.InstanceChangedResponse:
        wire_checks.refuse(wire_checks.instance(request.instance))
        effect = effects.find(request.instance.effect_id)
        change = effects.changed(effect, wire.values_from_wire(request.instance), request.changed)
        values = {
            name: wire.value_to_wire(param.kind, value)
            for name, value in change.values.items()
            if (param := effect.param(name)) is not None
        }
        return effect_pb2.InstanceChangedResponse(
            params=map(wire.param_to_wire, change.params), values=values, message=change.message
        )

    async def GetFramesNeeded(  # noqa: N802
        self, request: effect_pb2.GetFramesNeededRequest, context: Any
    ) -> effect_pb2.GetFramesNeededResponse:
        wire_checks.refuse(wire_checks.instance(request.instance))
        wire_checks.refuse(wire_checks.time_range("record_range", request.record_range))
        effect = effects.find(request.instance.effect_id)
        if effects.Use.GENERATOR in effect.uses:
            return effect_pb2.GetFramesNeededResponse()
        span = wire.span_from_wire(request.record_range)
        seen = cue.Span.between(max(Fraction(0), span.start_s - _HANDLE_S), span.end_s + _HANDLE_S)
        width, rate_hz = _widest([one["wish"] for one in await self._models() if one["installed"] and one["wish"]])
        return effect_pb2.GetFramesNeededResponse(
            record_range=wire.span_to_wire(seen), proxy_width=width, proxy_rate_hz=rate_hz, needs_sound=True
        )

    async def GetClipPreferences(  # noqa: N802
        self, request: effect_pb2.GetClipPreferencesRequest, context: Any
    ) -> effect_pb2.GetClipPreferencesResponse:
        wire_checks.refuse(wire_checks.instance(request.instance))
        return effect_pb2.GetClipPreferencesResponse(sample_rate_hz=cue.SAMPLE_RATE_HZ, channels=2, bit_depth=24)

    async def IsIdentity(self, request: effect_pb2.IsIdentityRequest, context: Any) -> effect_pb2.IsIdentityResponse:  # noqa: N802
        key = Digest(request.take_key, 0).sha256
        take = housekeeping.kept(self._desk.cache, "takes", f"{key}.wav")
        if not take.is_file():
            return effect_pb2.IsIdentityResponse(identity=False)
        return effect_pb2.IsIdentityResponse(identity=True, take=await asyncio.to_thread(_digest_of, take))


def _widest(wishes: Sequence[Sequence[float]]) -> tuple[int, float]:
    """Width and frames a second (0: all of them) of a proxy that serves every watcher."""
    widths, rates = zip(*wishes or (_WIDEST,), strict=True)
    return int(max(widths)), 0.0 if 0 in rates else float(max(rates))


class JobService:
    """Durable work."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def CreateJob(self, request: job_pb2.CreateJobRequest, context: Any) -> job_pb2.CreateJobResponse:  # noqa: N802
        # A large sheet takes a while to look through: others are served meanwhile.
        await asyncio.to_thread(self._check, request)
        spec = request.spec.SerializeToString(deterministic=True)
        row = await self._desk.dispatcher.create(request.request_id, spec)
        return job_pb2.CreateJobResponse(job=_job(row))

    def _check(self, request: job_pb2.CreateJobRequest) -> None:
        wire_checks.refuse(wire_checks.job(request))
        source = request.spec.source
        named = [getattr(source, source.WhichOneof("source"))] if source.WhichOneof("source") else []
        for media in (*named, *source.media_by_url.values(), *_examples(request.spec)):
            if isinstance(media, media_pb2.MediaRef):
                self._find(media)

    def _find(self, media: media_pb2.MediaRef) -> Path:
        if media.WhichOneof("location") == "blob":
            return self._desk.blobs.path(_digest(media.blob))
        return access.check(media.path, self._desk.roots)

    async def GetJob(self, request: job_pb2.GetJobRequest, context: Any) -> job_pb2.GetJobResponse:  # noqa: N802
        return job_pb2.GetJobResponse(job=_job(await self._desk.dispatcher.get(request.job_id)))

    async def ListJobs(self, request: job_pb2.ListJobsRequest, context: Any) -> job_pb2.ListJobsResponse:  # noqa: N802
        size, token = request.page_size or 50, request.page_token
        if not 0 < size <= 1000 or (token and not (token.isdecimal() and len(token) < 16)):
            raise RequestError("This page cannot be given.", "Ask for 1 to 1000 jobs, with a token that was given.")
        rows = await self._desk.dispatcher.page(int(token or 0), size + 1)
        more = str(rows[size - 1].number) if len(rows) > size else ""
        return job_pb2.ListJobsResponse(jobs=map(_job, rows[:size]), next_page_token=more)

    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: Any) -> job_pb2.CancelJobResponse:  # noqa: N802
        return job_pb2.CancelJobResponse(job=_job(await self._desk.dispatcher.cancel(request.job_id)))

    async def WatchJob(self, request: job_pb2.WatchJobRequest, context: Any) -> AsyncIterator[job_pb2.WatchJobResponse]:  # noqa: N802
        if request.after_sequence < 0:
            raise RequestError("There is no event before the first.", "Watch from 0, or from a sequence number.")
        async for event in self._desk.dispatcher.watch(request.job_id, request.after_sequence):
            yield job_pb2.WatchJobResponse(event=event)


class MediaService:
    """Content-addressed bytes."""

    def __init__(self, desk: Desk) -> None:
        self._blobs = desk.blobs

    async def FindMissingBlobs(  # noqa: N802
        self, request: media_pb2.FindMissingBlobsRequest, context: Any
    ) -> media_pb2.FindMissingBlobsResponse:
        if len(request.digests) > _MAX_DIGESTS:
            raise RequestError(f"{len(request.digests)} digests are too many.", f"Ask for {_MAX_DIGESTS} at once.")
        missing = await asyncio.to_thread(
            lambda: [one for one in request.digests if not self._blobs.holds(_digest(one))]
        )
        return media_pb2.FindMissingBlobsResponse(missing=missing)

    async def WriteBlob(  # noqa: N802
        self, requests: AsyncIterator[media_pb2.WriteBlobRequest], context: Any
    ) -> media_pb2.WriteBlobResponse:
        first = await anext(aiter(requests), None)
        if first is None:
            raise RequestError("An upload without a first chunk.", "Send the digest and the offset first.")
        chunks = _data(first, requests)
        committed = await receive(self._blobs, _digest(first.digest), first.offset_bytes, chunks)
        return media_pb2.WriteBlobResponse(committed_bytes=committed)

    async def QueryWriteStatus(  # noqa: N802
        self, request: media_pb2.QueryWriteStatusRequest, context: Any
    ) -> media_pb2.QueryWriteStatusResponse:
        committed, complete = await asyncio.to_thread(self._blobs.committed, _digest(request.digest))
        return media_pb2.QueryWriteStatusResponse(committed_bytes=committed, complete=complete)

    async def ReadBlob(  # noqa: N802
        self, request: media_pb2.ReadBlobRequest, context: Any
    ) -> AsyncIterator[media_pb2.ReadBlobResponse]:
        chunks = self._blobs.read(_digest(request.digest), request.offset_bytes, request.limit_bytes)
        while data := await asyncio.to_thread(next, chunks, b""):
            yield media_pb2.ReadBlobResponse(data=data)


class ModelService:
    """What performs and watches here."""

    def __init__(self, desk: Desk) -> None:
        self._executor = desk.executor

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Any) -> model_pb2.ListModelsResponse:  # noqa: N802
        models = sorted(await self._executor.models("models"), key=lambda told: str(told["id"]))
        return model_pb2.ListModelsResponse(models=map(_model, models))

    async def LoadModel(self, request: model_pb2.LoadModelRequest, context: Any) -> model_pb2.LoadModelResponse:  # noqa: N802
        return model_pb2.LoadModelResponse(model=_model((await self._executor.models("load", request.model_id))[0]))

    async def UnloadModel(  # noqa: N802
        self, request: model_pb2.UnloadModelRequest, context: Any
    ) -> model_pb2.UnloadModelResponse:
        return model_pb2.UnloadModelResponse(model=_model((await self._executor.models("unload", request.model_id))[0]))


async def _data(
    first: media_pb2.WriteBlobRequest, requests: AsyncIterator[media_pb2.WriteBlobRequest]
) -> AsyncIterator[bytes]:
    offset, chunk = first.offset_bytes, first
    while True:
        if len(chunk.data) > CHUNK_BYTES or chunk.offset_bytes not in (offset, 0):
            raise RequestError("A chunk is too large or out of order.", f"Send {CHUNK_BYTES} bytes at most, in order.")
        yield chunk.data
        offset += len(chunk.data)
        following = await anext(requests, None)
        if following is None:
            return
        chunk = following


def _examples(spec: job_pb2.JobSpec) -> Iterator[media_pb2.MediaRef]:
    if spec.HasField("example"):
        yield spec.example.media
    elif (named := spec.effect.params.get("example")) is not None and named.text:
        yield media_pb2.MediaRef(path=named.text)
    yield from (cue.example.media for cue in spec.cue_sheet.cues if cue.HasField("example"))


def _digest(message: media_pb2.Digest) -> Digest:
    return Digest(message.sha256, message.size_bytes)


def _digest_of(path: Path) -> media_pb2.Digest:
    try:
        with path.open("rb") as file:
            return media_pb2.Digest(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=file.tell())
    except OSError as error:
        raise NotFoundError("The stored take is gone.", "Render it again.") from error


def _job(row: jobs.JobRow) -> job_pb2.Job:
    job = job_pb2.Job(job_id=row.job_id, request_id=row.request_id, state=row.state, progress=row.progress)
    job.create_time.FromNanoseconds(row.created_ns)
    if row.ended_ns:
        job.end_time.FromNanoseconds(row.ended_ns)
    if row.spec:
        job.spec.ParseFromString(row.spec)
    if row.result:
        job.result.ParseFromString(row.result)
    if row.error:
        job.error.ParseFromString(row.error)
    return job


def _model(told: dict[str, Any]) -> model_pb2.Model:
    return model_pb2.Model(
        model_id=told["id"],
        kind=told["kind"],
        installed=told["installed"],
        loaded=bool(told["device"]),
        device=told["device"],
        licence=told["licence"],
        commercial_use=told["commercial"],
        size_bytes=told["size"],
        hint=told["hint"],
    )
