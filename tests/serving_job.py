# SPDX-License-Identifier: AGPL-3.0-or-later
"""A small real job for the serving tests: counts, asks whether it was cancelled, writes files, keeps a cache.

The effect's ``description`` steers it: ``steps=20 pause=0.01 files=2``, and what should go wrong.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

from immersivaudio.engine.cue import CueSheet, Stem
from immersivaudio.engine.errors import CancelledError, MediaError
from immersivaudio.engine.request import (
    Cancelled,
    Emit,
    Made,
    Outcome,
    Progress,
    ScoreRequest,
    Spotted,
    Warned,
    Workspace,
)


def score(request: ScoreRequest, workspace: Workspace, emit: Emit, cancelled: Cancelled) -> Outcome:
    told = dict(word.split("=") for word in str(request.params["description"]).split())
    steps, pause = int(told.get("steps", 4)), float(told.get("pause", 0))
    _misbehave(told, workspace)
    sheet = request.sheet or CueSheet(name=request.name, rate=Fraction(25), duration_s=Fraction(steps))
    emit(Spotted(sheet))
    emit(Warned("This is a test."))
    done = workspace.cache / f"{request.name}.steps"
    done.parent.mkdir(parents=True, exist_ok=True)
    for step in range(len(done.read_bytes()) if done.exists() else 0, steps):
        if cancelled():
            raise CancelledError("The job was stopped.")
        time.sleep(pause)
        with done.open("ab") as file:
            file.write(b".")
        emit(Progress("perform", (step + 1) / steps, (step + 1) / steps, f"step {step + 1}"))
    made = tuple(_made(workspace, request.name, number) for number in range(int(told.get("files", 1))))
    for one in made:
        emit(one)
    return Outcome(sheet, made, ("This is a test.",))


def _made(workspace: Workspace, name: str, number: int) -> Made:
    path = workspace.scratch / f"{name}.{number}.wav"
    path.write_bytes(f"{name} {number}".encode() * 1000)
    return Made(path.name, "stem", path, Stem.FOLEY)


def _misbehave(told: dict[str, str], workspace: Workspace) -> None:
    wrong = told.get("wrong", "")
    print("a plug-in that talks on stdout")
    if wrong == "deaf":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (workspace.cache / "child.pid").write_text(str(child.pid))
        time.sleep(600)
    if wrong == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if wrong == "media":
        raise MediaError("clip.mp4 is corrupt.", "Export it again.")
    if wrong == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "/home/somebody/cache")
    if wrong == "bug":
        raise KeyError("a secret of the inside")
