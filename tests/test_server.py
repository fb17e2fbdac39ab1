# SPDX-License-Identifier: AGPL-3.0-or-later
"""The engine as a service, over the wire: a real server process, its worker, and the bridge's client."""

from __future__ import annotations

import hashlib
import math
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from serving import command, descendants, environment, spec, start

from immersivaudio.bridge import Client, Engine, spawn_engine
from immersivaudio.bridge import errors as bridge_errors
from immersivaudio.engine import plugins
from immersivaudio.engine import server as engine_server
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.watchers import PictureWatcher
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

SERVICES = [f"immersivaudio.v1.{name}Service" for name in ("Effect", "Job", "Media", "Model")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    (folder / "a.mp4").write_bytes(b"picture")
    return folder


@pytest.fixture(scope="module")
def engine(home: Path, roots: Path) -> Iterator[Engine]:
    with start(home, "--root", str(roots), "--max-queue", "5") as running:
        yield running


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with Client(engine.address) as connected:
        yield connected


@pytest.fixture
def channel(engine: Engine) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(engine.address) as opened:
        yield opened


def until(condition, patience_s: float = 20.0):
    """Wait for something that another process does."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
    return found


def test_a_job_from_end_to_end(client: Client, tmp_path: Path) -> None:
    job = client.create_job(spec("whole", "steps=5 pause=0.01 files=2"))
    events = list(client.watch(job.job_id))
    assert [event.sequence for event in events] == [*range(1, len(events) + 1)]
    states = [event.state for event in events if event.WhichOneof("event") == "state"]
    assert states == [job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_SUCCEEDED]
    kinds = {event.WhichOneof("event") for event in events}
    assert kinds == {"state", "progress", "warning", "artefact", "cue_sheet"}
    result = client.wait(job.job_id)
    assert [one.name for one in result.artefacts] == ["whole.0.wav", "whole.1.wav"]
    client.download(result.artefacts[1].digest, tmp_path / "got.wav")
    assert (tmp_path / "got.wav").read_bytes() == b"whole 1" * 1000
    assert list(tmp_path.iterdir()) == [tmp_path / "got.wav"]
    assert [event.sequence for event in client.watch(job.job_id, after=3)] == [*range(4, len(events) + 1)]


def test_nothing_of_a_job_is_left_behind(client: Client, home: Path) -> None:
    client.wait(client.create_job(spec("tidy")).job_id)
    until(lambda: not list((home / "jobs").iterdir()))


def test_the_same_request_is_one_job(client: Client) -> None:
    first = client.create_job(spec("once"), request_id="once")
    assert client.create_job(spec("once"), request_id="once").job_id == first.job_id
    with pytest.raises(bridge_errors.RefusedError) as refused:
        client.create_job(spec("twice"), request_id="once")
    assert refused.value.reason == "REQUEST_ID_REUSED"
    client.wait(first.job_id)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("media", "MEDIA_UNREADABLE"), ("full", "NO_SPACE"), ("bug", "ENGINE_BROKE")],
    ids=["foreseen", "full", "unforeseen"],
)
def test_a_job_that_fails_says_why(client: Client, home: Path, wrong: str, reason: str) -> None:
    job = client.create_job(spec("wrong", f"wrong={wrong}"))
    with pytest.raises(bridge_errors.JobFailedError) as failed:
        client.wait(job.job_id)
    assert failed.value.reason == reason and failed.value.hint
    assert not {"secret", "somebody"} & set(re.findall(r"\w+", str(client.get(job.job_id))))
    assert client.wait(client.create_job(spec("after")).job_id).artefacts
    assert wrong != "bug" or "a secret of the inside" in (home / "log" / "worker.log").read_text()


def test_cancel_is_obeyed_by_a_job_that_listens(client: Client) -> None:
    job = client.create_job(spec("polite", "steps=6000 pause=0.01"))
    until(lambda: client.get(job.job_id).progress > 0)
    assert client.cancel(job.job_id).state in (job_pb2.JOB_STATE_RUNNING, job_pb2.JOB_STATE_CANCELLED)
    with pytest.raises(bridge_errors.StoppedError):
        client.wait(job.job_id)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the process tree from /proc")
def test_cancel_is_obeyed_by_a_job_that_is_deaf(engine: Engine, client: Client, home: Path) -> None:
    job = client.create_job(spec("deaf", "wrong=deaf"))
    child = int(until(lambda: (home / "cache/child.pid").exists() and (home / "cache/child.pid").read_text()))
    began = time.monotonic()
    client.cancel(job.job_id)
    with pytest.raises(bridge_errors.StoppedError):
        client.wait(job.job_id)
    took = time.monotonic() - began
    until(lambda: child not in descendants([engine.process.pid]))
    until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())
    assert took < 10, "a deaf job sleeps for ten minutes"
    assert client.wait(client.create_job(spec("after a deaf one")).job_id).artefacts


def test_a_queued_job_is_cancelled_and_the_queue_is_bounded(client: Client) -> None:
    blocking = client.create_job(spec("blocking", "steps=6000 pause=0.01"))
    until(lambda: client.get(blocking.job_id).state == job_pb2.JOB_STATE_RUNNING)
    waiting = [client.create_job(spec(f"waiting {number}")).job_id for number in range(5)]
    with pytest.raises(bridge_errors.BusyError) as busy:
        client.create_job(spec("too many"))
    assert busy.value.reason == "QUEUE_FULL" and busy.value.retry_after_s > 0
    for job_id in waiting:
        assert client.cancel(job_id).state == job_pb2.JOB_STATE_CANCELLED
    client.cancel(blocking.job_id)
    with pytest.raises(bridge_errors.StoppedError):
        client.wait(blocking.job_id)


def test_dropping_a_watch_does_not_stop_the_job(client: Client) -> None:
    job = client.create_job(spec("dropped", "steps=30 pause=0.01"))
    watching = client.watch(job.job_id)
    next(watching)
    watching.close()
    assert client.wait(job.job_id).artefacts


def test_jobs_are_listed_in_pages(client: Client, channel: grpc.Channel) -> None:
    made = [client.create_job(spec(f"page {number}")).job_id for number in range(4)]
    stub = job_pb2_grpc.JobServiceStub(channel)
    first = stub.ListJobs(job_pb2.ListJobsRequest(page_size=3))
    second = stub.ListJobs(job_pb2.ListJobsRequest(page_size=3, page_token=first.next_page_token))
    seen = [job.job_id for job in (*first.jobs, *second.jobs)]
    assert seen[:4] == made[::-1] and len(set(seen)) == len(seen)
    assert [job.job_id for job in client.list_jobs()][:4] == made[::-1]
    for job_id in made:
        client.wait(job_id)


def test_errors_carry_their_details(channel: grpc.Channel) -> None:
    stub = job_pb2_grpc.JobServiceStub(channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.CreateJob(job_pb2.CreateJobRequest())
    status = rpc_status.from_call(refused.value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(bad)
    assert (info.domain, info.reason) == ("immersivaudio", "FIELDS_INVALID") and info.metadata["hint"]
    assert "request_id" in {violation.field for violation in bad.field_violations}
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_paths_outside_the_roots_are_refused(client: Client, roots: Path, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"picture")
    message = spec("path")
    message.source.media.path = str(tmp_path / "b.mp4")
    with pytest.raises(bridge_errors.NotAllowedError):
        client.create_job(message)
    message.source.media.path = str(roots / "gone.mp4")
    with pytest.raises(bridge_errors.RefusedError):
        client.create_job(message)
    message.source.media.path = str(roots / "a.mp4")
    assert client.wait(client.create_job(message).job_id).artefacts


def test_what_is_not_there(client: Client, tmp_path: Path) -> None:
    calls = [
        lambda: client.get("nobody"),
        lambda: client.cancel("nobody"),
        lambda: list(client.watch("nobody")),
        lambda: client.describe("nothing"),
        lambda: client.load_model("nothing"),
        lambda: client.download(media_pb2.Digest(sha256="a" * 64, size_bytes=5), tmp_path / "x"),
    ]
    for call in calls:
        with pytest.raises(bridge_errors.NotThereError):
            call()
    assert not list(tmp_path.iterdir())


def test_uploads_resume_and_are_not_sent_twice(client: Client, channel: grpc.Channel, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(3_500_000)
    (tmp_path / "clip.mov").write_bytes(data)
    digest = media_pb2.Digest(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    stub = media_pb2_grpc.MediaServiceStub(channel)
    part = [media_pb2.WriteBlobRequest(digest=digest, data=data[: 1 << 20])]
    assert stub.WriteBlob(iter(part)).committed_bytes == 1 << 20
    sent: list[int] = []
    assert client.upload(tmp_path / "clip.mov", lambda now, size: sent.append(now)) == digest
    assert sent[0] == 2 << 20 and sent[-1] == len(data)
    client.upload(tmp_path / "clip.mov", lambda now, size: pytest.fail("sent again"))
    client.download(digest, tmp_path / "back.mov")
    assert (tmp_path / "back.mov").read_bytes() == data
    chunks = list(stub.ReadBlob(media_pb2.ReadBlobRequest(digest=digest, offset_bytes=1_000_000, limit_bytes=7)))
    assert b"".join(chunk.data for chunk in chunks) == data[1_000_000:1_000_007]


def test_uploads_that_lie_are_refused(channel: grpc.Channel) -> None:
    stub = media_pb2_grpc.MediaServiceStub(channel)
    lie = media_pb2.Digest(sha256=hashlib.sha256(b"lie").hexdigest(), size_bytes=3)
    cases = [
        ([], grpc.StatusCode.INVALID_ARGUMENT),
        ([media_pb2.WriteBlobRequest(data=b"x")], grpc.StatusCode.INVALID_ARGUMENT),
        ([media_pb2.WriteBlobRequest(digest=lie, data=b"LIE")], grpc.StatusCode.INVALID_ARGUMENT),
        ([media_pb2.WriteBlobRequest(digest=lie, data=b"long lie")], grpc.StatusCode.INVALID_ARGUMENT),
        ([media_pb2.WriteBlobRequest(digest=lie, offset_bytes=2, data=b"e")], grpc.StatusCode.OUT_OF_RANGE),
        (
            [media_pb2.WriteBlobRequest(digest=media_pb2.Digest(sha256="b" * 64, size_bytes=1 << 60))],
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        ),
        (
            [
                media_pb2.WriteBlobRequest(
                    digest=media_pb2.Digest(sha256="c" * 64, size_bytes=2 << 20), data=bytes((1 << 20) + 1)
                )
            ],
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ]
    for requests, code in cases:
        with pytest.raises(grpc.RpcError) as refused:
            stub.WriteBlob(iter(requests))
        assert refused.value.code() is code
    assert stub.QueryWriteStatus(media_pb2.QueryWriteStatusRequest(digest=lie)).committed_bytes == 0


def test_an_uploaded_blob_can_be_scored(client: Client, tmp_path: Path) -> None:
    (tmp_path / "clip.mov").write_bytes(b"a proxy")
    message = spec("blob")
    message.source.media.blob.CopyFrom(client.upload(tmp_path / "clip.mov"))
    assert client.wait(client.create_job(message).job_id).artefacts


def test_effects_are_described(client: Client) -> None:
    assert "procedural" in client.handshake("a test").performers
    assert [effect.effect_id for effect in client.effects()] == ["soundtrack", "ambience", "foley", "analogy", "sfx"]
    assert [effect.effect_id for effect in client.effects(effect_pb2.CONTEXT_GENERATOR)] == ["sfx"]
    described = client.describe("soundtrack", effect_pb2.CONTEXT_GENERAL)
    assert {"ambience", "density", "loudness", "seed"} <= {param.name for param in described.params}
    assert [clip.name for clip in described.clips] == ["Source"]
    assert not client.describe("sfx").clips
    with pytest.raises(bridge_errors.RefusedError):
        client.describe("sfx", effect_pb2.CONTEXT_GENERAL)


def test_a_changed_value_changes_the_panel(client: Client) -> None:
    instance = effect_pb2.EffectInstance(effect_id="soundtrack")
    instance.params["original"].text = "replace"
    change = client.instance_changed(instance, "original", effect_pb2.CONTEXT_GENERAL)
    assert [(param.name, param.enabled) for param in change.params] == [("mix", False)]
    assert change.values["mix"].number == 1.0


def test_what_the_engine_must_see(client: Client) -> None:
    request = effect_pb2.GetFramesNeededRequest(instance=effect_pb2.EffectInstance(effect_id="soundtrack"))
    for time_ in (request.record_range.start, request.record_range.duration):
        time_.value, time_.rate_numerator, time_.rate_denominator = 10, 1, 1
    needed = client.frames_needed(request)
    assert (needed.record_range.start.value, needed.record_range.duration.value) == (9, 12)
    assert (needed.proxy_width, needed.proxy_rate_hz) == wished(client) and needed.needs_sound
    preferences = client.clip_preferences(request.instance)
    assert (preferences.sample_rate_hz, preferences.channels, preferences.bit_depth) == (48_000, 2, 24)


def wished(client: Client) -> tuple[int, float]:
    """What the widest and the keenest of the picture watchers that are installed here want."""
    watchers = [plugins.create("watchers", name) for name in client.handshake("a test").watchers]
    wishes = [watcher.wish for watcher in watchers if isinstance(watcher, PictureWatcher)]
    return max(wish.width for wish in wishes), max(wish.rate_hz for wish in wishes)


def test_identity_is_a_stored_take(client: Client, home: Path) -> None:
    key = hashlib.sha256(b"a take").hexdigest()
    assert not client.is_identity(key).identity
    takes = home / "cache" / "takes" / key[:2]
    takes.mkdir(parents=True, exist_ok=True)
    (takes / f"{key}.wav").write_bytes(b"sound")
    answer = client.is_identity(key)
    assert answer.identity and answer.take.sha256 == hashlib.sha256(b"sound").hexdigest()
    with pytest.raises(bridge_errors.RefusedError):
        client.is_identity("../" + key)


def test_models_are_listed_and_need_no_loading(client: Client) -> None:
    models = {model.model_id: model for model in client.models()}
    assert models["procedural"].installed and models["procedural"].kind == "performer"
    with pytest.raises(bridge_errors.UnsupportedError, match="needs no loading"):
        client.load_model("procedural")


def test_health_and_reflection(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", *SERVICES):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    assert set(SERVICES) <= {service.name for service in answer.list_services_response.service}


def raw(channel: grpc.Channel, service: str, method: str, stream_in: bool, payload: bytes):
    path = f"/{service}/{method}"
    if stream_in:
        return lambda: channel.stream_unary(path)(iter([payload]), timeout=30)
    return lambda: list(channel.unary_stream(path)(payload, timeout=30))


@pytest.mark.parametrize("seed", range(3))
def test_garbage_at_every_door(channel: grpc.Channel, client: Client, seed: int) -> None:
    chance = random.Random(seed)
    files = (effect_pb2_grpc, job_pb2_grpc, media_pb2_grpc, model_pb2_grpc)
    calls = 0
    for file in files:
        descriptor = sys.modules[file.__name__.removesuffix("_grpc")].DESCRIPTOR
        for service in descriptor.services_by_name.values():
            for method in service.methods:
                for size in (0, 1, 30, 3000):
                    payload = chance.randbytes(size)
                    call = raw(channel, service.full_name, method.name, method.client_streaming, payload)
                    try:
                        call()
                    except grpc.RpcError as error:
                        assert error.code() not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE)
                        assert error.code() is not grpc.StatusCode.INTERNAL, (method.name, payload)
                    calls += 1
    assert calls >= 60
    assert client.wait(client.create_job(spec(f"after garbage {seed}")).job_id).artefacts


def absurd(chance: random.Random, descriptor: Descriptor, depth: int = 0) -> Message:
    """A well-formed message full of what nobody would send."""
    message = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if chance.random() < 0.3 or depth > 4:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        values = [one_absurd(chance, field, depth) for _ in range(chance.choice([1, 3]) if field.is_repeated else 1)]
        if field.is_repeated:
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(values[0])
        else:
            setattr(message, field.name, values[0])
    return message


def one_absurd(chance: random.Random, field: FieldDescriptor, depth: int) -> object:
    if field.message_type is not None:
        return absurd(chance, field.message_type, depth + 1)
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING and field.type == field.TYPE_BYTES:
        return chance.randbytes(chance.choice([0, 5, 5000]))
    if kind == field.CPPTYPE_STRING:
        return chance.choice(
            ["", "\0", "../../etc/passwd", "/dev/zero", "a" * 64, "soundtrack", "%s{}", "é" * 3000, "{"]
        )
    if kind in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return chance.choice([math.nan, math.inf, -math.inf, 1e308, -1.0, 0.0, 0.5])
    if kind == field.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind in (field.CPPTYPE_ENUM, field.CPPTYPE_INT32):
        return chance.choice([0, 1, 2, -1, 2**31 - 1, -(2**31), 999])
    return chance.choice([0, 1, -1, 2**63 - 1, -(2**63), 25, 1 << 40])


@pytest.mark.parametrize("seed", range(8))
def test_absurd_messages_at_every_door(channel: grpc.Channel, client: Client, seed: int) -> None:
    chance = random.Random(seed)
    for file in (effect_pb2, job_pb2, media_pb2, model_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                payload = absurd(chance, method.input_type).SerializeToString()
                call = raw(channel, service.full_name, method.name, method.client_streaming, payload)
                try:
                    call()
                except grpc.RpcError as error:
                    sane = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED)
                    assert error.code() not in sane, (method.name, payload, error.details())
    assert client.wait(client.create_job(spec(f"after absurdity {seed}")).job_id).artefacts


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files by ulimit")
def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -f 8192; exec "$@"', "sh", *command(tmp_path / "home")]
    (tmp_path / "big.mov").write_bytes(random.Random(1).randbytes(6 << 20))
    (tmp_path / "small.mov").write_bytes(b"small")
    with spawn_engine(limited, environment=environment()) as engine, Client(engine.address) as client:
        with pytest.raises(bridge_errors.BusyError) as busy:
            client.upload(tmp_path / "big.mov")
        assert busy.value.reason == "NO_SPACE"
        client.upload(tmp_path / "small.mov")
        assert client.wait(client.create_job(spec("still here")).job_id).artefacts


def test_a_message_that_is_too_large_is_refused(channel: grpc.Channel, client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        job_pb2_grpc.JobServiceStub(channel).GetJob(job_pb2.GetJobRequest(job_id="x" * (33 << 20)))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.effects()


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with start(tmp_path, "--token", "open sesame") as engine:
        for token in ("", "open barley"):
            with Client(engine.address, token=token) as stranger:
                for call in (
                    stranger.effects,
                    lambda: list(stranger.watch("x")),
                    lambda: stranger.upload(Path(__file__)),
                ):
                    with pytest.raises(bridge_errors.NotAllowedError):
                        call()
        with grpc.insecure_channel(engine.address) as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        with Client(engine.address, token="open sesame") as friend:
            assert friend.wait(friend.create_job(spec("friend")).job_id).artefacts


def test_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    socket = tmp_path / "engine.sock"
    with start(tmp_path / "home", "--address", f"unix:{socket}") as engine, Client(engine.address) as client:
        assert client.effects()
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.168.1.5:7000", "example.org:80", "nonsense"])
def test_a_public_address_wants_tls_and_a_token(tmp_path: Path, address: str) -> None:
    with pytest.raises(RequestError):
        engine_server.serve(engine_server.ServeConfig(home=tmp_path, address=address, token="x"))
    assert not list(tmp_path.iterdir())


def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip("openssl is not here to make a certificate")
    options = ("--tls-cert", str(certificate), "--tls-key", str(key), "--token", "t", "--address", "0.0.0.0:0")
    with start(tmp_path / "home", *options) as engine:
        address = engine.address.replace("0.0.0.0", "127.0.0.1")
        with Client(address, token="t", ca=certificate) as client:
            assert client.effects()
        with Client(address, token="t", patience_s=0) as plain, pytest.raises(bridge_errors.EngineGoneError):
            plain.effects()


def test_a_second_engine_in_the_same_folder_says_so(engine: Engine, home: Path) -> None:
    with pytest.raises(bridge_errors.EngineGoneError, match="Another engine serves"):
        spawn_engine(command(home), environment=environment())


def test_an_address_that_is_taken_is_said(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(bridge_errors.EngineGoneError, match="Nothing can listen"):
        spawn_engine(command(tmp_path, "--address", engine.address), environment=environment())


def test_what_is_no_engine_did_not_start() -> None:
    with pytest.raises(bridge_errors.EngineGoneError, match="did not start"):
        spawn_engine([sys.executable, "-c", "print('hello')"])


def test_a_polite_stop_puts_jobs_back_and_watchers_come_back(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 's'}"
    first = start(tmp_path / "home", "--address", address)
    heard: list[job_pb2.JobEvent] = []
    with Client(address, patience_s=60) as client:
        job = client.create_job(spec("long", "steps=150 pause=0.01"))
        watching = threading.Thread(target=lambda: heard.extend(client.watch(job.job_id)))
        watching.start()
        until(lambda: client.get(job.job_id).progress > 0)
        first.close()
        assert first.process.returncode == 0
        with start(tmp_path / "home", "--address", address):
            watching.join()
            assert len(client.get(job.job_id).result.artefacts) == 1
    assert [event.sequence for event in heard] == [*range(1, len(heard) + 1)]
    states = [event.state for event in heard if event.WhichOneof("event") == "state"]
    queued, running = job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING
    assert states == [queued, running, queued, running, job_pb2.JOB_STATE_SUCCEEDED]


def test_an_engine_ends_with_its_owner(tmp_path: Path) -> None:
    engine = start(tmp_path)
    engine.process.stdin.close()
    assert engine.process.wait(30) == 0
    engine.close()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the process tree from /proc")
def test_a_killed_server_takes_its_worker_along(tmp_path: Path) -> None:
    engine = start(tmp_path)
    with Client(engine.address) as client:
        job = client.create_job(spec("deaf", "wrong=deaf"))
        until(lambda: (tmp_path / "cache/child.pid").exists() and (tmp_path / "cache/child.pid").read_text())
        family = descendants([engine.process.pid])
        assert len(family) == 2
        os.kill(engine.process.pid, signal.SIGKILL)
        engine.close()
    until(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists() and not zombie(pid)])
    with start(tmp_path) as again, Client(again.address) as client:
        assert client.get(job.job_id).state in (job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING)
        client.cancel(job.job_id)


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_job_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    with start(tmp_path) as engine, Client(engine.address) as client:
        job = client.create_job(spec("deadly", "wrong=dies"))
        with pytest.raises(bridge_errors.JobFailedError) as failed:
            client.wait(job.job_id)
        assert failed.value.reason == "WORKER_DIED"
        assert client.wait(client.create_job(spec("after")).job_id).artefacts


def test_the_server_loads_nothing_heavy() -> None:
    program = (
        "import sys, immersivaudio.engine.server\n"
        "print([name for name in ('numpy', 'scipy', 'cv2', 'av', 'torch', 'opentimelineio') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
