# SPDX-License-Identifier: AGPL-3.0-or-later
"""The front door, and the only gRPC file of this side: listens, guards, and turns engine errors into statuses."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import inspect
import ipaddress
import itertools
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from immersivaudio.engine import blobs, dispatch, errors, housekeeping, jobs, model_list, services
from immersivaudio.engine.executor import LocalExecutor, RemoteError
from immersivaudio.engine.housekeeping import Limits
from immersivaudio.engine.supervise import LocalConfig
from immersivaudio.engine.wire_checks import FieldsError
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

DOMAIN = "immersivaudio"
_RETRY_S = 5
_GRACE_S = 2.0
_HOUSE_S = 3600.0
_MAX_CALLS = 1000
log = logging.getLogger("immersivaudio.server")

# The one table: engine error -> status. The most special class that matches is taken.
_CODES: dict[type[errors.EngineError], grpc.StatusCode] = {
    jobs.QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    jobs.RequestIdError: grpc.StatusCode.ALREADY_EXISTS,
    blobs.NoSpaceError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    blobs.DigestError: grpc.StatusCode.INVALID_ARGUMENT,
    blobs.OffsetError: grpc.StatusCode.OUT_OF_RANGE,
    blobs.InUseError: grpc.StatusCode.ABORTED,
    dispatch.StoppingError: grpc.StatusCode.UNAVAILABLE,
    model_list.NothingToLoadError: grpc.StatusCode.UNIMPLEMENTED,
    errors.RequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.CueSheetError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.TimelineError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.MediaError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnavailableError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AccessError: grpc.StatusCode.PERMISSION_DENIED,
    errors.CancelledError: grpc.StatusCode.CANCELLED,
    errors.EngineError: grpc.StatusCode.INTERNAL,
}
_BY_REASON = {kind.reason: code for kind, code in reversed(_CODES.items())}
_RETRIED = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED})


class TokenError(errors.AccessError):
    """The call carries no token, or a wrong one."""

    reason = "TOKEN_MISSING"


def print_ready(address: str) -> None:
    """The ready line: one JSON object on stdout, for whoever started this process."""
    print(json.dumps({"address": address}), flush=True)


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """How to serve. ``address`` is ``host:port`` (port 0: any free one) or ``unix:/path``; ``home`` holds all state.

    ``roots`` are the folders whose media may be named by path. ``tls_cert`` and ``tls_key`` (PEM files) turn TLS on.
    ``cache`` (``home/cache`` when not given) may be shared by several engines: what lies there is named by content.
    ``limits`` say how much is kept (see ``housekeeping``). ``until_eof`` stops the server when its stdin ends: an engine of somebody's own never outlives him.
    """

    home: Path
    address: str = "127.0.0.1:0"
    roots: tuple[Path, ...] = ()
    cache: Path | None = None
    token: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ready: Callable[[str], None] = print_ready
    workers: int = 1
    max_queue: int = 1000
    job_function: str = "immersivaudio.engine.pipeline:score"
    until_eof: bool = False
    limits: Limits = field(default_factory=Limits)


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or SIGINT; running jobs then wait on disk for the next start.

    Raises:
        RequestError: a public address without TLS and token. OutputError: the folder or address cannot be used.
    """
    _check_address(config)
    asyncio.run(_serve(config))


async def _serve(config: ServeConfig) -> None:
    home = config.home.resolve()
    roots = tuple(root.resolve() for root in config.roots)
    store = jobs.JobStore(home / "jobs.sqlite3")
    cache = (config.cache or home / "cache").resolve()
    executor = LocalExecutor(LocalConfig(home, cache, roots, config.workers, config.job_function))
    dispatcher = dispatch.Dispatcher(store, executor, config.workers, config.max_queue)
    desk = services.Desk(cache, roots, dispatcher, executor, blobs.BlobStore(home / "blobs"))
    server, checker = await build(desk, config.token)
    address = _listen(server, config)
    stop = asyncio.Event()
    _stop_on_signals(stop, config.until_eof)
    await dispatcher.start()
    await executor.start()
    await server.start()
    config.ready(address)
    keeping = asyncio.create_task(_keep_house(desk, config.limits))
    await stop.wait()
    keeping.cancel()
    await checker.enter_graceful_shutdown()
    await dispatcher.close()
    await server.stop(_GRACE_S)


async def _keep_house(desk: services.Desk, limits: Limits) -> None:
    """At the start and every hour: forget old jobs, and bring the cache and the blobs under their sizes."""
    while True:
        try:
            await desk.dispatcher.expire(limits)
            specs = await desk.dispatcher.unfinished()
            in_use = frozenset(itertools.chain.from_iterable(map(services.digests_in, specs)))
            gone = await asyncio.to_thread(desk.blobs.tidy, limits.blob_bytes, in_use)
            gone += await asyncio.to_thread(housekeeping.tidy_cache, desk.cache, limits.cache_bytes)
            if gone:
                log.info("%.1f MiB that were not used for longest are gone", gone / 2**20)
        except (errors.EngineError, OSError, sqlite3.Error):
            log.exception("tidying up failed")
        await asyncio.sleep(_HOUSE_S)


async def build(desk: services.Desk, token: str) -> tuple[grpc.aio.Server, Any]:
    """The gRPC server with its services, and the health servicer."""
    server = grpc.aio.server(
        interceptors=[Gate(token)],
        maximum_concurrent_rpcs=_MAX_CALLS,
        options=[
            ("grpc.max_receive_message_length", services.MAX_REQUEST_BYTES),
            ("grpc.max_send_message_length", services.MAX_RESPONSE_BYTES),
            ("grpc.so_reuseport", 0),
        ],
    )
    add: Any = effect_pb2_grpc.add_EffectServiceServicer_to_server
    add(services.EffectService(desk), server)
    add = job_pb2_grpc.add_JobServiceServicer_to_server
    add(services.JobService(desk), server)
    add = media_pb2_grpc.add_MediaServiceServicer_to_server
    add(services.MediaService(desk), server)
    add = model_pb2_grpc.add_ModelServiceServicer_to_server
    add(services.ModelService(desk), server)
    files = (effect_pb2, job_pb2, media_pb2, model_pb2)
    names = [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    for name in names:
        await checker.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server, checker


class Gate(grpc.aio.ServerInterceptor):
    """Every call passes here: the token is asked for (health stays open), garbage refused, errors given a status."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}".encode() if token else b""

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        if not self._admits(details):
            # A stream handler answers without waiting for a first message that may never come.
            return grpc.stream_stream_rpc_method_handler(_turn_away)
        return _guarded(handler)

    def _admits(self, details: Any) -> bool:
        if not self._header or details.method.startswith(f"/{health.SERVICE_NAME}/"):
            return True
        given = dict(details.invocation_metadata).get("authorization", "")
        return hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._header)


async def _turn_away(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    await _abort(context, TokenError("This engine wants a token.", "Pass the token that the engine was started with."))
    yield b""


def _guarded(handler: Any) -> Any:
    """``handler`` with its requests parsed and its errors translated here instead of inside gRPC."""
    parse, write = _parser(handler.request_deserializer), handler.response_serializer
    method = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def one_one(raw: bytes, context: Any) -> Any:
        try:
            return await method(parse(raw), context)
        except Exception as error:
            return await _abort(context, error)

    async def one_many(raw: bytes, context: Any) -> AsyncIterator[Any]:
        try:
            async for response in method(parse(raw), context):
                yield response
        except Exception as error:
            await _abort(context, error)

    async def many_one(raws: AsyncIterator[bytes], context: Any) -> Any:
        try:
            return await method((parse(raw) async for raw in raws), context)
        except Exception as error:
            return await _abort(context, error)

    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(one_one, response_serializer=write)
    # Health's Watch writes through its context instead of yielding; it parses and fails by itself.
    if handler.unary_stream and inspect.isasyncgenfunction(method):
        return grpc.unary_stream_rpc_method_handler(one_many, response_serializer=write)
    if handler.stream_unary:
        return grpc.stream_unary_rpc_method_handler(many_one, response_serializer=write)
    return handler


def _parser(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError as error:
            raise errors.RequestError("This is no message of this call.", "Use the protos of this engine.") from error

    return parse


async def _abort(context: Any, error: Exception) -> None:
    """End the call with what a person may know of ``error``; what nobody foresaw goes to the log."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, errors.EngineError):
        log.error("a call broke", exc_info=error)
        error = errors.EngineError("Something in the engine broke.", "Look into the engine's log and report it.")
    status = status_of(error)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(_code(error), error.message, trailing_metadata=details)


def _code(error: errors.EngineError) -> grpc.StatusCode:
    if isinstance(error, RemoteError):
        return _BY_REASON.get(error.reason, grpc.StatusCode.INTERNAL)
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def status_of(error: errors.EngineError) -> status_pb2.Status:
    """``error`` as google.rpc.Status: ErrorInfo always, BadRequest and RetryInfo where they say something."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={"hint": error.hint})
    details: list[Any] = [info]
    if isinstance(error, FieldsError):
        fields = [{"field": one.field, "description": one.description} for one in error.violations]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    code = _code(error)
    if code in _RETRIED:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(_RETRY_S if code is grpc.StatusCode.RESOURCE_EXHAUSTED else 1)
        details.append(retry)
    status = status_pb2.Status(code=code.value[0], message=error.message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _check_address(config: ServeConfig) -> None:
    if (config.tls_cert is None) != (config.tls_key is None):
        raise errors.RequestError("TLS needs a certificate and its key.", "Give both.")
    if config.address.startswith("unix:") or (config.tls_cert and config.token):
        return
    host = config.address.rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise errors.RequestError(
            f"The address {config.address} can be reached from outside.",
            "Serve on 127.0.0.1, or give a certificate, a key and a token.",
        )


def _listen(server: grpc.aio.Server, config: ServeConfig) -> str:
    """Bind; the address to connect to."""
    try:
        if config.tls_cert and config.tls_key:
            pair = (config.tls_key.read_bytes(), config.tls_cert.read_bytes())
            port = server.add_secure_port(config.address, grpc.ssl_server_credentials([pair]))
        else:
            port = server.add_insecure_port(config.address)
    except (OSError, RuntimeError) as error:
        raise errors.OutputError(
            f"Nothing can listen on {config.address}.", "Choose another address; another engine may use this one."
        ) from error
    if config.address.startswith("unix:"):
        Path(config.address.removeprefix("unix:")).chmod(0o600)
        return config.address
    return f"{config.address.rpartition(':')[0]}:{port}"


def _stop_on_signals(stop: asyncio.Event, until_eof: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:
            # Windows' event loop knows no signals.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    if until_eof:
        threading.Thread(target=_await_eof, args=(loop, stop), daemon=True).start()


def _await_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not through sys.stdin: its lock, held by this thread, would break the interpreter's end.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


def main() -> None:
    """Entry point of ``python -m immersivaudio.engine.server``, for programs: a ready or an error line on stdout."""
    parser = argparse.ArgumentParser(description="Serve the engine; prints its address as one JSON line.")
    parser.add_argument("--home", type=Path, required=True, help="folder of all state")
    parser.add_argument(
        "--cache", type=Path, help="folder of what may be shared with other engines; in --home if not given"
    )
    parser.add_argument("--address", default="127.0.0.1:0", help="host:port or unix:/path")
    parser.add_argument("--root", type=Path, action="append", default=[], help="folder whose media may be read")
    parser.add_argument("--token", default="", help="what clients must show")
    parser.add_argument("--tls-cert", type=Path, help="certificate (PEM); with --tls-key turns TLS on")
    parser.add_argument("--tls-key", type=Path, help="key (PEM)")
    parser.add_argument("--workers", type=int, default=1, help="jobs at a time")
    parser.add_argument("--max-queue", type=int, default=1000, help="jobs that may wait")
    usual = Limits()
    parser.add_argument("--cache-bytes", type=int, default=usual.cache_bytes, help="how large the cache may grow")
    parser.add_argument("--blob-bytes", type=int, default=usual.blob_bytes, help="how large the blobs may grow")
    parser.add_argument("--keep-jobs", type=int, default=usual.jobs, help="how many ended jobs are remembered")
    parser.add_argument("--keep-days", type=float, default=usual.days, help="how long ended jobs are remembered")
    parser.add_argument("--job-function", default="immersivaudio.engine.pipeline:score", help=argparse.SUPPRESS)
    parser.add_argument("--until-eof", action="store_true", help="stop when stdin ends")
    options = vars(parser.parse_args())
    options["roots"] = tuple(options.pop("root"))
    kept = (options.pop(name) for name in ("cache_bytes", "blob_bytes", "keep_jobs", "keep_days"))
    options["limits"] = Limits(*kept)
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        serve(ServeConfig(**options))
    except errors.EngineError as error:
        told = {"reason": error.reason, "message": error.message, "hint": error.hint}
        print(json.dumps({"error": told}), flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
