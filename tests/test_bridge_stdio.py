# SPDX-License-Identifier: AGPL-3.0-or-later
"""The bridge as an editor meets it: a child process and a line of JSON-RPC, with a real engine behind it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serving

from immersivaudio.bridge.host import LinkError
from immersivaudio.bridge.process import Engine
from immersivaudio.bridge.stdio import Link

BRIDGE = [sys.executable, "-m", "immersivaudio.bridge.stdio"]
EMPTY = {
    "OTIO_SCHEMA": "Timeline.1",
    "name": "cut",
    "metadata": {},
    "tracks": {"OTIO_SCHEMA": "Stack.1", "children": []},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with serving.start(tmp_path_factory.mktemp("engine"), "--token", "open sesame") as engine:
        yield engine


@pytest.fixture
def link(engine: Engine) -> Iterator[Link]:
    link = Link([*BRIDGE, "--engine", engine.address], {"IMMERSIVAUDIO_TOKEN": "open sesame"})
    yield link
    link.close()


def order(steering: str = "", **more: Any) -> dict[str, Any]:
    return {"timeline": EMPTY, "effect": "soundtrack", "params": {"description": steering}, "name": steering, **more}


def events_of(link: Link, job: str) -> list[tuple[str, dict[str, Any]]]:
    """Everything that is said of a job, to its end."""
    heard = []
    while not heard or heard[-1][0] not in ("done", "failed"):
        event = link.next_event(60.0)
        assert event is not None, heard
        if event["params"]["job"] == job:
            heard.append((event["method"], event["params"]))
    return heard


def test_a_host_learns_what_the_engine_can_do(link: Link) -> None:
    told = link.ask("handshake", {"host": {"name": "test", "version": "1", "capabilities": ["undo"]}})
    assert told["protocol"] == "v1"
    assert "blobs" in told["capabilities"]
    effects = [effect["effect_id"] for effect in link.ask("effects", {})]
    assert "soundtrack" in effects
    assert [one["effect_id"] for one in link.ask("effects", {"context": "CONTEXT_GENERATOR"})] == ["sfx"]
    params = {param["name"]: param for param in link.ask("describe", {"effect": "soundtrack"})["params"]}
    assert params["density"]["type"] == "PARAM_TYPE_DOUBLE"
    assert params["density"]["display_max"] == 1.0


def test_a_changed_value_changes_the_panel(link: Link) -> None:
    asked = {"effect": "soundtrack", "params": {"original": "replace"}, "changed": "original"}
    patch = link.ask("instance_changed", asked)
    assert patch["values"] == {"mix": {"number": 1.0}}
    assert [(param["name"], param["enabled"]) for param in patch["params"]] == [("mix", False)]


def test_a_job_is_followed_to_its_end(link: Link, tmp_path: Path) -> None:
    job = link.ask("render", order("steps=3 files=2"))["job"]
    heard = events_of(link, job)
    names = [name for name, _ in heard]
    assert names[0] == "accepted"
    assert names[-1] == "done"
    assert {"warning", "cue_sheet", "progress"} <= set(names)
    progress = [told for name, told in heard if name == "progress"]
    assert {told["stage"] for told in progress} == {"perform"}
    assert progress[0]["message"] == "step 1"
    assert progress[0]["fraction"] == pytest.approx(1 / 3)
    with pytest.raises(LinkError, match="gave no timeline"):
        link.ask("result", {"job": job, "folder": str(tmp_path)})


def test_a_job_stops_when_it_is_told(link: Link) -> None:
    job = link.ask("render", order("steps=100000 pause=0.01"))["job"]
    while (event := link.next_event(60.0)) is not None and event["method"] != "progress":
        pass
    link.ask("cancel", {"job": job})
    name, told = events_of(link, job)[-1]
    assert (name, told["reason"]) == ("failed", "CANCELLED")


def test_a_job_is_found_again_by_an_editor_that_was_closed(engine: Engine) -> None:
    environment = {"IMMERSIVAUDIO_TOKEN": "open sesame"}
    first = Link([*BRIDGE, "--engine", engine.address], environment)
    job = first.ask("render", order("steps=60 pause=0.02 again=1"))["job"]
    accepted = first.next_event(60.0)
    assert accepted is not None
    assert accepted["method"] == "accepted"
    first.close()
    second = Link([*BRIDGE, "--engine", engine.address], environment)
    try:
        found = second.ask("attach", {"engine_job": accepted["params"]["engine_job"]})["job"]
        assert found != job
        assert events_of(second, found)[-1][0] == "done"
    finally:
        second.close()


def test_what_fails_in_the_engine_is_said_in_its_words(link: Link) -> None:
    job = link.ask("render", order("wrong=media"))["job"]
    name, told = events_of(link, job)[-1]
    assert name == "failed"
    assert (told["reason"], told["message"], told["hint"]) == (
        "MEDIA_UNREADABLE",
        "clip.mp4 is corrupt.",
        "Export it again.",
    )


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("dance", {}, "has no dance"),
        ("cancel", {"job": "x"}, "no such job"),
        ("describe", {"effect": "nothing"}, "No effect"),
        ("effects", {"context": "CONTEXT_KITCHEN"}, "is no context"),
        ("describe", {}, "KeyError"),
    ],
)
def test_nonsense_is_answered(link: Link, method: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(LinkError, match=said):
        link.ask(method, params)
    assert link.alive


def test_what_is_no_timeline_fails_with_a_sentence(link: Link) -> None:
    job = link.ask("render", order() | {"timeline": "{}"})["job"]
    name, told = events_of(link, job)[-1]
    assert name == "failed"
    assert "OpenTimelineIO" in told["message"]


def test_lines_that_are_no_calls_are_refused_and_survived(engine: Engine) -> None:
    environment = os.environ | {"IMMERSIVAUDIO_TOKEN": "open sesame"}
    lines = b'\nnot json\n[1]\n{"id": 3}\n{"jsonrpc": "2.0", "id": 4, "method": "effects", "params": {}}\n'
    command = [*BRIDGE, "--engine", engine.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.stdin.close()
        assert process.wait(30) == 0
    assert [answer["error"]["code"] for answer in answers[:3]] == [-32600] * 3
    assert answers[3]["id"] == 4
    assert answers[3]["result"]


def test_a_wrong_token_is_said(engine: Engine) -> None:
    link = Link([*BRIDGE, "--engine", engine.address], {"IMMERSIVAUDIO_TOKEN": "guess"})
    try:
        with pytest.raises(LinkError, match="token"):
            link.ask("handshake", {"host": {}})
    finally:
        link.close()


def test_an_environment_without_us_is_said() -> None:
    with pytest.raises(LinkError, match="could not be started") as caught:
        Link(["/nowhere/python"])
    assert caught.value.reason == "BRIDGE_NOT_STARTED"
    link = Link([sys.executable, "-c", "import sys; sys.exit('No module named immersivaudio')"])
    with pytest.raises(LinkError, match="No module named immersivaudio"):
        link.ask("handshake", {"host": {}})
    assert not link.alive
    with pytest.raises(LinkError, match="has ended"):
        link.ask("effects", {})
    link.close()


def test_two_editors_have_an_engine_each_that_ends_with_them(tmp_path: Path) -> None:
    links = [Link([*BRIDGE, "--engine", "auto", "--home", str(tmp_path)]) for _ in range(2)]
    for link in links:
        assert "paths" in link.ask("handshake", {"host": {"name": "test"}})["capabilities"]
    assert {path.name for path in (tmp_path / "editors").iterdir()} == {"1", "2"}
    engines = _engines(links)
    assert len(engines) == 2
    links[0].close()
    os.kill(links[1]._process.pid, signal.SIGKILL)
    links[1].close()
    for pid in engines:
        _await_end(pid)


def _engines(links: list[Link]) -> list[int]:
    return [pid for link in links for pid in serving.children(link._process.pid)]


def _await_end(pid: int) -> None:
    """Returns once the process is gone; the test's own time limit is the patience."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(handle):
        assert select.select([handle], [], [], 30)[0], f"process {pid} lives on"
