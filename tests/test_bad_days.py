# SPDX-License-Identifier: AGPL-3.0-or-later
"""What goes wrong between an editor and its engine, each with the sentence that the person reads and what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import serving
from test_bridge_stdio import BRIDGE, EMPTY, events_of, order

from immersivaudio.bridge import Client
from immersivaudio.bridge.errors import UnsupportedError
from immersivaudio.bridge.host import LinkError
from immersivaudio.bridge.process import Engine
from immersivaudio.bridge.stdio import Link
from immersivaudio.cli.engines import own_engine
from immersivaudio.v1 import effect_pb2, effect_pb2_grpc

# A module, in a process that may write no file longer than so many bytes: a disk that is full.
_CRAMPED = (
    "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
    "sys.argv = ['it', *sys.argv[1:]]; runpy.run_module('{1}', run_name='__main__')"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with serving.start(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def finished(link: Link, **wish: Any) -> str:
    """A job of the small job function, done; its name at the bridge."""
    job = str(link.ask("render", {**order(**wish), **wish})["job"])
    assert events_of(link, job)[-1][0] == "done"
    return job


def test_no_space_where_the_editor_keeps_its_sound(engine: Engine, tmp_path: Path) -> None:
    cramped = Link(
        [sys.executable, "-c", _CRAMPED.format(1000, "immersivaudio.bridge.stdio"), "--engine", engine.address]
    )
    roomy = Link([*BRIDGE, "--engine", engine.address])
    try:
        job = finished(cramped, steering="again=1", name="space")
        with pytest.raises(LinkError, match=r"cannot be written.*space"):
            cramped.ask("result", {"job": job, "folder": str(tmp_path / "sound")})
        assert list((tmp_path / "sound").iterdir()) == []
        # Nothing is lost: the engine has it still, and it is fetched once there is room.
        with pytest.raises(LinkError, match="gave no timeline"):
            roomy.ask("result", {"job": finished(roomy, steering="again=2", name="space"), "folder": str(tmp_path)})
        assert (tmp_path / "space.0.wav").stat().st_size > 1000
    finally:
        cramped.close()
        roomy.close()


def test_no_space_for_a_result_is_told_by_the_name_that_was_asked_for(ball: Path, tmp_path: Path) -> None:
    with own_engine(tmp_path / "home") as engine:
        cramped = [sys.executable, "-c", _CRAMPED.format(1000, "immersivaudio")]
        asked = ["score", "-q", str(ball), "-o", str(tmp_path / "asked.mp4"), "--engine", engine.address]
        done = subprocess.run([*cramped, *asked], capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert "asked.mp4 cannot be written" in done.stderr
    assert "--out" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_folder_that_cannot_be_made(engine: Engine, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    link = Link([*BRIDGE, "--engine", engine.address])
    try:
        job = finished(link, steering="again=1", name="folder")
        with pytest.raises(LinkError, match="cannot be written") as caught:
            link.ask("result", {"job": job, "folder": str(in_the_way / "sound")})
        assert "Traceback" not in str(caught.value)
        with pytest.raises(LinkError, match="gave no timeline"):
            link.ask("result", {"job": job, "folder": str(tmp_path / "sound")})
        assert (tmp_path / "sound/folder.0.wav").is_file()
    finally:
        link.close()
    assert in_the_way.read_text() == "mine"


def test_a_bridge_of_another_protocol_is_told_what_to_install(engine: Engine) -> None:
    with grpc.insecure_channel(engine.address) as channel:
        stub = effect_pb2_grpc.EffectServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Handshake(effect_pb2.HandshakeRequest(host_name="of the future", protocols=["v9"]))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "v1 only" in caught.value.details()


def test_what_is_no_engine_of_ours_is_said() -> None:
    """Another gRPC server at that port, or an engine from before a service was added."""
    stranger = grpc.server(futures.ThreadPoolExecutor(1))
    port = stranger.add_insecure_port("127.0.0.1:0")
    stranger.start()
    try:
        with Client(f"127.0.0.1:{port}") as client, pytest.raises(UnsupportedError, match="another version") as caught:
            client.handshake("test")
        assert "Install" in caught.value.hint
    finally:
        stranger.stop(None)


def test_an_engine_that_dies_in_the_middle_is_named(tmp_path: Path) -> None:
    with serving.start(tmp_path / "home") as engine:
        link = Link([*BRIDGE, "--engine", engine.address])
        try:
            job = str(link.ask("render", order("steps=100000 pause=0.01"))["job"])
            assert link.next_event(30) is not None
            os.kill(engine.process.pid, signal.SIGKILL)
            method, told = events_of(link, job)[-1]
            assert method == "failed"
            assert "engine cannot be reached" in told["message"]
        finally:
            link.close()


def test_media_that_are_offline_are_named(tmp_path: Path) -> None:
    gone = {
        "OTIO_SCHEMA": "Clip.2",
        "name": "harbour",
        "source_range": _range(24),
        "media_references": {
            "DEFAULT_MEDIA": {
                "OTIO_SCHEMA": "ExternalReference.1",
                "target_url": "file:///nowhere/harbour.mov",
                "available_range": _range(24),
            }
        },
        "active_media_reference_key": "DEFAULT_MEDIA",
    }
    track = {"OTIO_SCHEMA": "Track.1", "kind": "Video", "children": [gone]}
    cut = {**EMPTY, "tracks": {"OTIO_SCHEMA": "Stack.1", "children": [track]}}
    link = Link([*BRIDGE, "--engine", "auto", "--home", str(tmp_path)])
    try:
        job = str(link.ask("render", {**order(), "timeline": cut})["job"])
        method, told = events_of(link, job)[-1]
        assert method == "failed"
        assert "harbour" in told["message"]
    finally:
        link.close()


def _range(frames: int) -> dict[str, Any]:
    time = {"OTIO_SCHEMA": "RationalTime.1", "rate": 24.0}
    return {
        "OTIO_SCHEMA": "TimeRange.1",
        "start_time": {**time, "value": 0.0},
        "duration": {**time, "value": float(frames)},
    }
