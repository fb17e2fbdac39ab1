# SPDX-License-Identifier: AGPL-3.0-or-later
"""LitServe (see _litserve_plain.py) in a process of its own, and how it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def holding(name: str, folder: Path, ready_s: float = 120.0) -> Iterator[Callable[[Any], Any]]:
    """LitServe in a process of its own; what is given sends a job and waits for its answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("_litserve_plain.py")), name, str(folder), str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True, **quiet)
    try:
        _wait(process, port, time.monotonic() + ready_s)
        yield lambda job: _ask(port, {"prompt": job.prompt, "seconds": job.seconds, "seed": job.seed})
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], port: int, until: float) -> None:
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit("LitServe ended before it was ready.")
        with contextlib.suppress(urllib.error.URLError, OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("LitServe was not ready in time.")


def _ask(port: int, told: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", json.dumps(told).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)
