# SPDX-License-Identifier: AGPL-3.0-or-later
"""The kill test, shared by ``tests/test_chaos.py`` and ``bench/chaos.py``: random kill -9 of the worker and the server."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from serving import children, spec, start

from immersivaudio.bridge import Client, Engine
from immersivaudio.v1 import job_pb2

_FILES = 3
_PATIENCE_S = 90.0
_WATCHED = 3


@dataclass
class Report:
    """What came out; every list must be empty."""

    kills: int = 0
    server_kills: int = 0
    hit_running: int = 0
    jobs: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    not_succeeded: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


class Chaos:
    """Keeps jobs coming and kills the worker (two times of three) or the server, each at a random moment."""

    def __init__(self, folder: Path, kills: int, seed: int) -> None:
        self._home, self._chance, self._kills = folder / "home", random.Random(seed), kills
        self._address = f"unix:{folder / 's'}"
        self._report = Report()
        self._accepted: dict[str, str] = {}
        self._heard: dict[str, list[job_pb2.JobEvent]] = {}
        self._watchers: list[threading.Thread] = []

    def run(self) -> Report:
        engine = start(self._home, "--address", self._address)
        try:
            with Client(self._address, patience_s=_PATIENCE_S) as client:
                while self._report.kills < self._kills:
                    self._keep_busy(client)
                    engine = self._kill(engine, client)
                self._settle(client)
                self._judge(client)
        finally:
            engine.close()
        return self._report

    def _keep_busy(self, client: Client) -> None:
        """Two jobs unfinished at any time, and one more with every fourth kill, however slow the machine is.

        Some are watched all along, through every death.
        """
        open_jobs = [job for job in client.list_jobs() if job.state <= job_pb2.JOB_STATE_RUNNING]
        due = 1 + self._report.kills // 4 - len(self._accepted)
        for _ in range(max(2 - len(open_jobs), due)):
            name = f"chaos{len(self._accepted)}"
            message = spec(name, f"steps={self._chance.randrange(20, 120)} pause=0.01 files={_FILES}")
            job_id = client.create_job(message, request_id=name).job_id
            self._accepted[job_id] = name
            if len(self._watchers) < _WATCHED:
                self._watch(client, job_id)

    def _watch(self, client: Client, job_id: str) -> None:
        heard = self._heard[job_id] = []
        watcher = threading.Thread(target=lambda: heard.extend(client.watch(job_id)), daemon=True)
        self._watchers.append(watcher)
        watcher.start()

    def _kill(self, engine: Engine, client: Client) -> Engine:
        server = self._chance.random() < 1 / 3
        if not server or self._chance.random() < 0.5:
            self._await_work(client)
        time.sleep(self._chance.uniform(0, 0.4))
        running = [job for job in client.list_jobs() if job.state == job_pb2.JOB_STATE_RUNNING]
        victims = [engine.process.pid] if server else children(engine.process.pid)
        self._report.kills += bool(victims)
        self._report.hit_running += bool(victims and running)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        if not server:
            return engine
        self._report.server_kills += 1
        engine.close()
        return start(self._home, "--address", self._address)

    def _await_work(self, client: Client) -> None:
        """Until a worker is at a job: killing one that still imports proves little."""
        busy = [job.job_id for job in client.list_jobs() if job.state <= job_pb2.JOB_STATE_RUNNING]
        before = {job_id: client.get(job_id).progress for job_id in busy}
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            for job_id, progress in before.items():
                job = client.get(job_id)
                if job.progress != progress or job.state > job_pb2.JOB_STATE_RUNNING:
                    return
            time.sleep(0.02)

    def _settle(self, client: Client) -> None:
        """Let what is left come to its end; what never does is told by the judgement, not by a hang."""
        deadline = time.monotonic() + _PATIENCE_S
        while any(job.state <= job_pb2.JOB_STATE_RUNNING for job in client.list_jobs()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        for watcher in self._watchers:
            watcher.join(_PATIENCE_S)

    def _judge(self, client: Client) -> None:
        report = self._report
        report.jobs = len(self._accepted)
        stored = {job.job_id for job in client.list_jobs()}
        for job_id, name in self._accepted.items():
            if job_id not in stored or client.create_job(client.get(job_id).spec, request_id=name).job_id != job_id:
                report.lost.append(name)
                continue
            job = client.get(job_id)
            if job.state != job_pb2.JOB_STATE_SUCCEEDED:
                report.not_succeeded.append(f"{name}: {job.error.message}")
                continue
            self._judge_result(client, job, name)

    def _judge_result(self, client: Client, job: job_pb2.Job, name: str) -> None:
        report = self._report
        wanted = {f"{name}.{number}.wav" for number in range(_FILES)}
        events = list(client.watch(job.job_id))
        report.events += len(events)
        told = [event.artefact.name for event in events if event.WhichOneof("event") == "artefact"]
        for names in (told, [one.name for one in job.result.artefacts]):
            report.twice += [one for one, count in Counter(names).items() if count > 1]
            report.missing += sorted(wanted - set(names))
        for heard in (events, self._heard.get(job.job_id, events)):
            if [event.sequence for event in heard] != [*range(1, len(events) + 1)]:
                report.gaps.append(name)
        for artefact in job.result.artefacts:
            target = self._home / "got"
            client.download(artefact.digest, target)
            if target.read_bytes() != f"{name} {artefact.name.split('.')[1]}".encode() * 1000:
                report.missing.append(artefact.name)
