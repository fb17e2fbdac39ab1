# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line with an engine on another machine: TLS and a token, proxies over a slow line that breaks twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import opentimelineio as otio
import pytest
from cutting_link import CuttingLink
from serving import start

from immersivaudio.bridge import proxy
from immersivaudio.bridge.process import Engine
from immersivaudio.bridge.stdio import Link

TOKEN = "between us"
pytestmark = [
    pytest.mark.skipif(proxy.ffmpeg() is None, reason="no ffmpeg to make proxies with"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with"),
]


@pytest.fixture(scope="module")
def noise(draw: Callable[..., Path]) -> Path:
    """Two seconds of noise, whose proxy is megabytes too."""
    rng = np.random.default_rng(2)
    return draw(lambda at_s: rng.integers(0, 255, (360, 640, 3), np.uint8), 4.0, name="remote")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "engine.crt", folder / "engine.key"
    about = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *about]
    subprocess.run([*command, "-out", str(made[0]), "-keyout", str(made[1])], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def engine(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    tls = ("--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]), "--token", TOKEN)
    home = tmp_path_factory.mktemp("engine")
    with start(home, *tls, "--address", "127.0.0.1:0", job="immersivaudio.engine.pipeline:score") as running:
        yield running


@pytest.fixture
def score(certificate: tuple[Path, Path], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: object, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "immersivaudio.cli.main",
            "score",
            *map(str, words),
            "--ca",
            str(certificate[0]),
        ]
        environment = os.environ | {"IMMERSIVAUDIO_TOKEN": token, "IMMERSIVAUDIO_HOME": str(tmp_path / "home")}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    return run


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_a_slow_line_that_breaks_twice_loses_nothing(
    engine: Engine, noise: Path, score: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    with CuttingLink(engine.address, 1_200_000, lambda: True, (2_000_000,), bytes_per_s=4_000_000) as link:
        done = score(noise, "-o", out, "--engine", link.address, "--send", "proxies")
        assert done.returncode == 0, done.stderr
        sent, cuts = link.sent_bytes, link.cuts
    small = next((tmp_path / "home/proxies").glob("*.proxy")).stat().st_size
    assert cuts == 2
    assert small < noise.stat().st_size / 2
    assert sent < small + 2.5e6, "each break costs the chunk that was under way, and no more"
    assert packets(out) == packets(noise), "the picture is the original's, bit for bit"
    with av.open(str(out)) as container:
        assert abs(float(container.streams.audio[0].duration * container.streams.audio[0].time_base) - 4.0) < 0.05
    again = score(noise, "-o", tmp_path / "again.otio", "--engine", engine.address, "--send", "proxies")
    assert again.returncode == 0, again.stderr
    timeline = otio.adapters.read_from_file(str(tmp_path / "again.otio"))
    assert timeline.tracks[0][0].media_reference.target_url == str(noise)


def test_a_wrong_token_is_one_sentence(
    engine: Engine, ball: Path, score: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = score(ball, "-o", tmp_path / "out.mp4", "--engine", engine.address, token="another")
    assert done.returncode != 0
    assert "token" in done.stderr.lower() and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out*"))


def test_a_bridge_speaks_tls_to_its_engine(
    engine: Engine, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_TOKEN", TOKEN)
    command = [sys.executable, "-m", "immersivaudio.bridge.stdio", "--engine", engine.address]
    link = Link([*command, "--ca", str(certificate[0])])
    try:
        assert link.ask("handshake", {"host": {"name": "test"}})["protocol"] == "v1"
        assert "soundtrack" in [effect["effect_id"] for effect in link.ask("effects", {})]
    finally:
        link.close()
