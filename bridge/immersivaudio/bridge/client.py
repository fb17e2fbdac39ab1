# SPDX-License-Identifier: Apache-2.0
"""The only gRPC file of this side: a channel with deadlines, a watch that reconnects, uploads that resume."""

from __future__ import annotations

import hashlib
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

import grpc
from grpc_status import rpc_status

from immersivaudio.bridge.errors import (
    BridgeError,
    EngineGoneError,
    JobFailedError,
    NotThereError,
    TransferError,
    error_of,
)
from immersivaudio.bridge.process import Engine as Engine
from immersivaudio.bridge.process import spawn_engine as spawn_engine
from immersivaudio.v1 import (
    effect_pb2,
    effect_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    media_pb2,
    media_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
)

T = TypeVar("T")
CHUNK_BYTES = 1 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", 128 << 20),
    ("grpc.max_send_message_length", 32 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
)
# The generated stubs carry no types.
_EFFECTS: Any = effect_pb2_grpc.EffectServiceStub
_JOBS: Any = job_pb2_grpc.JobServiceStub
_MEDIA: Any = media_pb2_grpc.MediaServiceStub
_MODELS: Any = model_pb2_grpc.ModelServiceStub
_DEADLINE_S = 30.0
_UPLOADS_TRIED = 8


class Client:
    """A connection to an engine; use it as a context manager.

    ``address`` is ``host:port`` or ``unix:/path``. ``ca`` (a PEM file) turns TLS on and says whom to trust.
    A call that finds the engine away is tried again for ``patience_s`` seconds: every call here may be repeated safely.

    Raises:
        BridgeError: from every method; see ``bridge.errors``.
    """

    def __init__(self, address: str, token: str = "", ca: Path | None = None, patience_s: float = 15.0) -> None:
        self.address = address
        self._patience_s = patience_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if ca is None:
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(_read(ca))
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        self._effects = _EFFECTS(self._channel)
        self._jobs = _JOBS(self._channel)
        self._media = _MEDIA(self._channel)
        self._models = _MODELS(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def handshake(
        self, host_name: str, host_version: str = "", capabilities: Sequence[str] = ()
    ) -> effect_pb2.HandshakeResponse:
        """Say who calls, learn what the engine can do; the first call of every host."""
        request = effect_pb2.HandshakeRequest(
            host_name=host_name, host_version=host_version, protocols=["v1"], capabilities=capabilities
        )
        return self._unary(self._effects.Handshake, effect_pb2.HandshakeResponse, request)

    def effects(self, context: effect_pb2.Context = effect_pb2.CONTEXT_UNSPECIFIED) -> Sequence[effect_pb2.Effect]:
        """Every effect of a context, in the order to show them in."""
        return self._unary(
            self._effects.ListEffects, effect_pb2.ListEffectsResponse, effect_pb2.ListEffectsRequest(context=context)
        ).effects

    def describe(
        self, effect_id: str, context: effect_pb2.Context = effect_pb2.CONTEXT_UNSPECIFIED
    ) -> effect_pb2.DescribeEffectResponse:
        """An effect's params."""
        request = effect_pb2.DescribeEffectRequest(effect_id=effect_id, context=context)
        return self._unary(self._effects.DescribeEffect, effect_pb2.DescribeEffectResponse, request)

    def instance_changed(
        self, instance: effect_pb2.EffectInstance, changed: str, context: effect_pb2.Context
    ) -> effect_pb2.InstanceChangedResponse:
        """What else changes in the panel because the param ``changed`` did."""
        request = effect_pb2.InstanceChangedRequest(instance=instance, changed=changed, context=context)
        return self._unary(self._effects.InstanceChanged, effect_pb2.InstanceChangedResponse, request)

    def frames_needed(self, request: effect_pb2.GetFramesNeededRequest) -> effect_pb2.GetFramesNeededResponse:
        """Which range the engine must see, and how large."""
        return self._unary(self._effects.GetFramesNeeded, effect_pb2.GetFramesNeededResponse, request)

    def proxy_width(self, instance: effect_pb2.EffectInstance) -> int:
        """How wide a proxy must be to be as good to this engine as the original; 0 where it looks at nothing."""
        request = effect_pb2.GetFramesNeededRequest(instance=instance)
        for time_ in (request.record_range.start, request.record_range.duration):
            time_.rate_numerator = time_.rate_denominator = 1
        return self.frames_needed(request).proxy_width

    def clip_preferences(self, instance: effect_pb2.EffectInstance) -> effect_pb2.GetClipPreferencesResponse:
        """Sample rate and channels of what comes back."""
        request = effect_pb2.GetClipPreferencesRequest(instance=instance)
        return self._unary(self._effects.GetClipPreferences, effect_pb2.GetClipPreferencesResponse, request)

    def is_identity(self, take_key: str) -> effect_pb2.IsIdentityResponse:
        """Whether rendering would change nothing."""
        return self._unary(
            self._effects.IsIdentity, effect_pb2.IsIdentityResponse, effect_pb2.IsIdentityRequest(take_key=take_key)
        )

    def create_job(self, spec: job_pb2.JobSpec, request_id: str = "") -> job_pb2.Job:
        """Hand a job in; it is on the engine's disk when this returns. The same ``request_id`` twice is one job."""
        request = job_pb2.CreateJobRequest(request_id=request_id or str(uuid.uuid4()), spec=spec)
        return self._unary(self._jobs.CreateJob, job_pb2.CreateJobResponse, request).job

    def get(self, job_id: str) -> job_pb2.Job:
        """A job as it is now."""
        return self._unary(self._jobs.GetJob, job_pb2.GetJobResponse, job_pb2.GetJobRequest(job_id=job_id)).job

    def list_jobs(self) -> Iterator[job_pb2.Job]:
        """Every job, newest first, without spec and result."""
        token = ""
        while True:
            request = job_pb2.ListJobsRequest(page_size=200, page_token=token)
            page = self._unary(self._jobs.ListJobs, job_pb2.ListJobsResponse, request)
            yield from page.jobs
            token = page.next_page_token
            if not token:
                return

    def cancel(self, job_id: str) -> job_pb2.Job:
        """Stop a job; a running one ends within a second."""
        return self._unary(self._jobs.CancelJob, job_pb2.CancelJobResponse, job_pb2.CancelJobRequest(job_id=job_id)).job

    def watch(self, job_id: str, after: int = 0) -> Iterator[job_pb2.JobEvent]:
        """A job's events after a sequence number, until it has ended; goes on by itself when the engine was away."""
        patience = _Patience(self._patience_s)
        while True:
            request = job_pb2.WatchJobRequest(job_id=job_id, after_sequence=after)
            try:
                for response in self._jobs.WatchJob(request, metadata=self._metadata):
                    after = response.event.sequence
                    patience = _Patience(self._patience_s)
                    yield response.event
                return
            except grpc.RpcError as error:
                patience.wait(_translated(error))

    def wait(self, job_id: str, heard: Callable[[job_pb2.JobEvent], None] = lambda event: None) -> job_pb2.JobResult:
        """Follow a job to its end, telling each event; its result.

        Raises:
            JobFailedError: it failed. StoppedError: it was cancelled.
        """
        for event in self.watch(job_id):
            heard(event)
        return result_of(self.get(job_id))

    def upload(self, path: Path, told: Callable[[int, int], None] = lambda sent, size: None) -> media_pb2.Digest:
        """Bring a file to the engine, if it lacks it; a broken upload goes on where it broke.

        ``told`` hears the bytes sent and the size.
        """
        digest = digest_of(path)
        request = media_pb2.FindMissingBlobsRequest(digests=[digest])
        if not self._unary(self._media.FindMissingBlobs, media_pb2.FindMissingBlobsResponse, request).missing:
            return digest
        patience = _Patience(self._patience_s)
        for _ in range(_UPLOADS_TRIED):
            try:
                if self._upload_rest(path, digest, told):
                    return digest
            except grpc.RpcError as error:
                patience.wait(_translated(error), ("UPLOAD_IN_PROGRESS", "WRONG_OFFSET"))
        raise TransferError(f"{path.name} could not be uploaded.", "Check the connection, then try again.")

    def _upload_rest(self, path: Path, digest: media_pb2.Digest, told: Callable[[int, int], None]) -> bool:
        query = media_pb2.QueryWriteStatusRequest(digest=digest)
        status = self._unary(self._media.QueryWriteStatus, media_pb2.QueryWriteStatusResponse, query)
        if status.complete:
            return True
        requests = _requests(path, digest, status.committed_bytes, told)
        written = self._media.WriteBlob(requests, metadata=self._metadata)
        return bool(written.committed_bytes == digest.size_bytes)

    def download(self, digest: media_pb2.Digest, path: Path) -> None:
        """Fetch a blob to ``path``, which appears only once it is whole and verified."""
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        patience = _Patience(self._patience_s)
        checked = hashlib.sha256()
        try:
            with partial.open("wb") as file:
                while file.tell() < digest.size_bytes:
                    try:
                        self._read_rest(digest, file, checked)
                    except grpc.RpcError as error:
                        patience.wait(_translated(error))
                file.flush()
                os.fsync(file.fileno())
            if checked.hexdigest() != digest.sha256:
                raise TransferError(f"{path.name} arrived damaged.", "Fetch it again.")
            partial.replace(path)
        except OSError as error:
            if isinstance(error, BridgeError):
                raise
            raise TransferError(f"{path.name} cannot be written: {error.strerror}.", "Free some space.") from error
        finally:
            partial.unlink(missing_ok=True)

    def _read_rest(self, digest: media_pb2.Digest, file: Any, checked: Any) -> None:
        request = media_pb2.ReadBlobRequest(digest=digest, offset_bytes=file.tell())
        for response in self._media.ReadBlob(request, metadata=self._metadata):
            file.write(response.data)
            checked.update(response.data)

    def models(self) -> Sequence[model_pb2.Model]:
        """Every performer and watcher, installed or not."""
        return self._unary(self._models.ListModels, model_pb2.ListModelsResponse, model_pb2.ListModelsRequest()).models

    def load_model(self, model_id: str) -> model_pb2.Model:
        """Bring a model to its device; takes as long as it takes."""
        request = model_pb2.LoadModelRequest(model_id=model_id)
        return self._unary(self._models.LoadModel, model_pb2.LoadModelResponse, request, deadline_s=600.0).model

    def unload_model(self, model_id: str) -> model_pb2.Model:
        """Take a model off its device."""
        return self._unary(
            self._models.UnloadModel, model_pb2.UnloadModelResponse, model_pb2.UnloadModelRequest(model_id=model_id)
        ).model

    def _unary(self, call: Any, answer: type[T], request: Any, deadline_s: float = _DEADLINE_S) -> T:
        patience = _Patience(self._patience_s)
        while True:
            try:
                return cast(T, call(request, timeout=deadline_s, metadata=self._metadata))
            except grpc.RpcError as error:
                patience.wait(_translated(error))


class _Patience:
    """How long an engine that is away is waited for: exponential backoff with jitter, UNAVAILABLE only (AIP-194)."""

    def __init__(self, patience_s: float) -> None:
        self._until_s = time.monotonic() + patience_s
        self._pause_s = 0.05

    def wait(self, error: BridgeError, reasons: Sequence[str] = ()) -> None:
        """Pause before the next try, or raise ``error`` when it is of another kind or patience has run out."""
        away = isinstance(error, EngineGoneError) and error.reason != "DEADLINE_EXCEEDED"
        if not (away or error.reason in reasons) or time.monotonic() > self._until_s:
            raise error
        time.sleep(self._pause_s * random.uniform(0.5, 1.0))
        self._pause_s = min(1.0, self._pause_s * 2)


def result_of(job: job_pb2.Job) -> job_pb2.JobResult:
    """What a job gave.

    Raises:
        JobFailedError: it failed. StoppedError: it was cancelled. NotThereError: it has not ended.
    """
    if job.state == job_pb2.JOB_STATE_SUCCEEDED:
        return job.result
    if job.state == job_pb2.JOB_STATE_FAILED:
        raise JobFailedError(job.error.message, job.error.hint, reason=job.error.reason)
    if job.state == job_pb2.JOB_STATE_CANCELLED:
        raise error_of("CANCELLED", "The job was stopped.", None)
    raise NotThereError("The job has not ended yet.", "Watch it until it has.")


def digest_of(path: Path) -> media_pb2.Digest:
    """The name of a file's bytes."""
    try:
        with path.open("rb") as file:
            return media_pb2.Digest(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size_bytes=file.tell())
    except OSError as error:
        raise TransferError(f"{path.name} cannot be read: {error.strerror}.", "Check the path.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotThereError(f"{path.name} cannot be read: {error.strerror}.", "Check the path.") from error


def _requests(
    path: Path, digest: media_pb2.Digest, offset: int, told: Callable[[int, int], None]
) -> Iterator[media_pb2.WriteBlobRequest]:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        first = True
        while (data := file.read(CHUNK_BYTES)) or first:
            yield media_pb2.WriteBlobRequest(digest=digest if first else None, offset_bytes=offset, data=data)
            offset, first = offset + len(data), False
            told(offset, digest.size_bytes)


def _translated(error: grpc.RpcError) -> BridgeError:
    status = rpc_status.from_call(error)
    return error_of(error.code().name, error.details() or "", status)
