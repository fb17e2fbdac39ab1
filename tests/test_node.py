# SPDX-License-Identifier: AGPL-3.0-or-later
"""The engine from outside Python: the examples in Node and in a shell, and the commands of docs/grpc.md, as they stand."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from cutting_link import CuttingLink
from serving import start

from immersivaudio.bridge import Client, Engine
from immersivaudio.v1 import media_pb2, media_pb2_grpc

ROOT = Path(__file__).parents[1]
TOKEN = "sesame"
PIPELINE = "immersivaudio.engine.pipeline:score"
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ERR_SOCKET_TIMEOUT", "ENOTCACHED")
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node example, copied with the protos beside it as in the project, and installed."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node is not here: node and npm are needed")
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "protos", folder / "protos")
    example = folder / "examples/node"
    shutil.copytree(ROOT / "examples/node", example, ignore=shutil.ignore_patterns("node_modules", "package-lock.json"))
    quick = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0")
    done = subprocess.run(["npm", "install", *quick], cwd=example, capture_output=True, text=True, check=False)
    if done.returncode and any(word in done.stderr for word in OFFLINE):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return example / "score.mjs"


@pytest.fixture(scope="module")
def shell() -> None:
    for needed in ("bash", "jq", "base64"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not here")
    if not shutil.which("buf", path=path()):
        pytest.skip("buf is not here: pip install buf-bin")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Engine]:
    with start(home, "--token", TOKEN, job=PIPELINE) as running:
        yield running


def path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="module")
def call(engine: Engine) -> Call:
    """Runs a program that finds the engine as a user's would: by its environment."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        told = {"PATH": path(), "IMMERSIVAUDIO_ENGINE": engine.address, "IMMERSIVAUDIO_TOKEN": TOKEN}
        told["IMMERSIVAUDIO_URL"] = f"http://{engine.address}"
        words = [str(one) for one in arguments]
        return subprocess.run(
            words, env=os.environ | told | more, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def padded(film: Path, made: Path, size: int) -> Path:
    """``film`` with ``size`` bytes of padding, as a box that every reader of MP4 passes over."""
    padding = random.Random(size).randbytes(size)
    made.write_bytes(film.read_bytes() + struct.pack(">I4s", size + 8, b"free") + padding)
    return made


def digests(folder: Path) -> dict[str, str]:
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir()}


def announced(engine: Engine, job_id: str) -> dict[str, str]:
    with Client(engine.address, token=TOKEN) as client:
        return {one.name: one.digest.sha256 for one in client.get(job_id).result.artefacts}


def job_of(said: str) -> str:
    return re.findall(r"^job (\w+)$", said, re.M)[0]


def test_node_scores_a_clip_over_a_link_that_breaks_twice(
    node: Path, engine: Engine, home: Path, ball: Path, tmp_path: Path
) -> None:
    """Cut while a chunk is on its way, and again while the job runs: nothing is lost, sent twice or told twice."""
    heavy = padded(ball, tmp_path / "ball.mp4", 8 << 20)
    size, cut_after = heavy.stat().st_size, 3 << 20
    partial = home / "blobs/partial" / f"{hashlib.sha256(heavy.read_bytes()).hexdigest()}.{size}"
    command = ["node", str(node), str(heavy), str(tmp_path / "out"), "--token", TOKEN, "--set", "density=0.8"]
    with CuttingLink(engine.address, cut_after, lambda: partial.exists() and partial.stat().st_size > 0) as link:
        lines = []
        with subprocess.Popen([*command, "--engine", link.address], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in map(str.strip, process.stdout):
                lines.append(line)
                if line == "JOB_STATE_RUNNING":
                    link.cut()
        assert process.returncode == 0, lines
    assert link.cuts == 2
    uploads = [int(one) for one in re.findall(rf"upload: from byte (\d+) of {size}", "\n".join(lines))]
    assert uploads[0] == 0 and 0 < uploads[-1] <= cut_after
    # A try that came too soon after the cut is turned away in its first chunk.
    assert link.sent_bytes < cut_after + size - uploads[-1] + (len(uploads) << 20)
    states = [line for line in lines if line.startswith("JOB_STATE")]
    assert states == ["JOB_STATE_QUEUED", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]
    got = digests(tmp_path / "out")
    assert got == announced(engine, job_of("\n".join(lines)))
    assert {"ball.foley.wav", "ball.otio", "ball.mix.wav"} <= set(got)


def test_node_asks_the_same_twice_and_damage_is_not_kept(
    node: Path, engine: Engine, home: Path, call: Call, ball: Path, tmp_path: Path
) -> None:
    again = ("node", node, ball, tmp_path / "out", "--request-id", "again", "--output", "stems")
    first = call(*again)
    assert first.returncode == 0, first.stderr
    foley = announced(engine, job_of(first.stdout))["ball.foley.wav"]
    blob = home / "blobs" / foley[:2] / foley
    blob.chmod(0o600)
    blob.write_bytes(bytes(blob.stat().st_size))
    (tmp_path / "out/ball.foley.wav").unlink()
    second = call(*again)
    assert job_of(second.stdout) == job_of(first.stdout) and "has it already" in second.stdout
    assert second.returncode == 1 and second.stderr.strip() == "ball.foley.wav arrived damaged. Fetch it again."
    assert not any("foley" in name for name in digests(tmp_path / "out"))


@pytest.mark.parametrize(
    ("words", "told", "said"),
    [
        (["--set", "density=3"], {}, "density]: must lie between 0 and 1. Correct the named fields"),
        (["--set", "densty=1"], {}, "did you mean 'density'"),
        (["--effect", "nothing"], {}, "No effect has this id. Choose one of: soundtrack"),
        (["--engine", "127.0.0.1:9"], {}, "The engine cannot be reached. Start one with: immersivaudio serve"),
        ([], {"IMMERSIVAUDIO_TOKEN": "wrong"}, "This engine wants a token. Pass the token"),
        (["--banana"], {}, "Unknown option '--banana'"),
    ],
)
def test_node_tells_what_is_wrong_in_a_line(
    words: list[str], told: dict[str, str], said: str, node: Path, call: Call, ball: Path, tmp_path: Path
) -> None:
    done = call("node", node, ball, tmp_path / "out", *words, **told)
    assert done.returncode == 1
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not any((tmp_path / "out").glob("*"))


def test_node_says_why_a_job_failed(node: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_bytes(b"no video " * 99)
    done = call("node", node, tmp_path / "words.mp4", tmp_path / "out")
    assert done.returncode == 1
    assert "cannot be read as video or sound" in done.stderr and "    at " not in done.stderr


@pytest.mark.usefixtures("shell")
def test_buf_curl_scores_a_clip_and_goes_on_with_its_upload(
    engine: Engine, call: Call, ball: Path, tmp_path: Path
) -> None:
    film = padded(ball, tmp_path / "buf.mp4", 3 << 20)
    begin_upload(engine, film)
    done = call("bash", ROOT / "examples/buf/score.sh", film, tmp_path / "out", REQUEST_ID="buf")
    assert done.returncode == 0, done.stderr
    assert f"upload: from byte {1 << 20} of {film.stat().st_size}" in done.stdout
    assert "JOB_STATE_SUCCEEDED" in done.stdout
    got = digests(tmp_path / "out")
    assert got == announced(engine, job_of(done.stdout)) and "buf.foley.wav" in got


def begin_upload(engine: Engine, film: Path) -> None:
    """The first chunk of ``film``, and no more."""
    digest = media_pb2.Digest(sha256=hashlib.sha256(film.read_bytes()).hexdigest(), size_bytes=film.stat().st_size)
    chunk = media_pb2.WriteBlobRequest(digest=digest, data=film.read_bytes()[: 1 << 20])
    with grpc.insecure_channel(engine.address) as channel:
        stub = media_pb2_grpc.MediaServiceStub(channel)
        written = stub.WriteBlob(iter([chunk]), metadata=(("authorization", f"Bearer {TOKEN}"),))
    assert written.committed_bytes == 1 << 20


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"IMMERSIVAUDIO_URL": "http://127.0.0.1:9"}, "No engine answers at http://127.0.0.1:9"),
        ({"IMMERSIVAUDIO_TOKEN": "wrong"}, "or it wants another token"),
    ],
)
def test_buf_curl_tells_what_is_wrong(told: dict[str, str], said: str, call: Call, ball: Path, tmp_path: Path) -> None:
    done = call("bash", ROOT / "examples/buf/score.sh", ball, tmp_path / "out", **told)
    assert done.returncode != 0
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("shell")
def test_the_commands_of_the_guide_work(call: Call, tmp_path: Path) -> None:
    guide = (ROOT / "docs/grpc.md").read_text()
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", guide, re.M | re.S))
    assert commands.count("call ") > 6
    done = call("bash", "-euo", "pipefail", "-c", f"cd '{tmp_path}'\n{commands}")
    assert done.returncode == 0, done.stderr
    for word in ("WriteBlob", "engineVersion", '"soundtrack"', '"density"', "JOB_STATE_SUCCEEDED", "artefacts"):
        assert word in done.stdout, word
    assert (tmp_path / "rain.wav").read_bytes()[:4] in (b"RIFF", b"RF64")


def test_both_examples_over_tls(node: Path, shell: None, call: Call, ball: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    words = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", names]
    files = ["-keyout", str(key), "-out", str(certificate)]
    if not shutil.which("openssl"):
        pytest.skip("openssl is not here to make a certificate")
    subprocess.run(["openssl", "req", "-x509", *words, *files], capture_output=True, check=True)
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key), "--token", TOKEN)
    with start(tmp_path / "home", *tls) as engine:
        # No effect of that id: far enough to have spoken, and soon over.
        ask = ("node", node, ball, tmp_path / "out", "--engine", engine.address, "--effect", "nothing")
        assert "No effect has this id." in call(*ask, "--ca", certificate).stderr
        assert "cannot be reached" in call(*ask).stderr
        told = {"IMMERSIVAUDIO_URL": f"https://{engine.address}", "IMMERSIVAUDIO_CA": str(certificate)}
        done = call("bash", ROOT / "examples/buf/score.sh", tmp_path / "no.mp4", tmp_path / "out", **told)
        assert "performs: " in done.stdout, done.stderr
        assert "no.mp4" in done.stderr
