# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real engine for the serving tests: the server process, its worker, SQLite and blobs, with a small job inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from immersivaudio.bridge import Engine, spawn_engine
from immersivaudio.v1 import job_pb2

JOB = "serving_job:score"


def command(home: Path, *options: str, job: str = JOB) -> list[str]:
    module = [sys.executable, "-m", "immersivaudio.engine.server", "--home", str(home)]
    return [*module, "--job-function", job, "--until-eof", *options]


def start(home: Path, *options: str, job: str = JOB) -> Engine:
    """Start an engine whose workers find the jobs of these tests."""
    home.mkdir(parents=True, exist_ok=True)
    return spawn_engine(command(home, *options, job=job), log=home / "server.log", environment=environment())


def start_weather(home: Path) -> Engine:
    """Start an engine that has one effect more than ours: hosts must show it."""
    script = str(Path(__file__).with_name("serving_weather.py"))
    return spawn_engine([sys.executable, script, "--home", str(home), "--until-eof"])


def environment() -> dict[str, str]:
    """This process's, with a way to the job function of these tests."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def plug_in(folder: Path, name: str, source: str) -> None:
    """Lay a package with a watcher ``name`` where a Python with ``folder`` on its path finds it."""
    (folder / f"{name}_watcher.py").write_text(source)
    info = folder / f"{name}_watcher-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-watcher\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[immersivaudio.watchers]\n{name} = {name}_watcher:create\n")


def spec(name: str, steering: str = "", sound: str = "") -> job_pb2.JobSpec:
    """A job without media for the small job function; ``name`` is also the key of its cache."""
    made = job_pb2.JobSpec()
    made.effect.effect_id = "soundtrack"
    made.effect.params["description"].text = steering
    made.source.timeline_json = "{}"
    made.source.name = name
    return made


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started (Linux only)."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for file in found for word in file.read_text().split()]


def descendants(pids: Iterable[int]) -> list[int]:
    below = [child for pid in pids for child in children(pid)]
    return below + descendants(below) if below else []
