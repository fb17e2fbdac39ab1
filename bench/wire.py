# SPDX-License-Identifier: AGPL-3.0-or-later
"""The wire against a bare ``grpc.aio`` server of the same protos in the same run: unary latency, upload throughput.

The bare server answers GetJob from memory and writes uploads to a file, as ours must, but without hash, fsync, name,
token, checks or job store.

Then what travels to an engine on another machine: the analysis proxy of a 1080p clip against the camera original, which is
real footage (or a drawn picture where there is none) scaled to 1080p under grain, in two codecs that cameras record.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc

from immersivaudio.bridge import proxy, spawn_engine
from immersivaudio.v1 import job_pb2, job_pb2_grpc, media_pb2, media_pb2_grpc

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
CHUNK = 1 << 20
CALLS, ROUNDS, UPLOAD_MIB, UPLOADS = 50, 40, 128, 5
AIM_P50, AIM_UPLOAD, AIM_PROXY = 1.5, 0.7, 0.02
# What the watchers of the base install want, and what the object detectors do.
WIDTHS = (proxy.WIDTH, 416, 640)
FOOTAGE = Path(__file__).parents[2] / "shared/media/video/drone-coast-gopro-karma.mp4"
CAMERAS = {
    "ProRes 422": ("mov", "-c:v", "prores_ks", "-profile:v", "2", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s24le"),
    "H.264 100 Mbit/s": ("mp4", "-c:v", "libx264", "-b:v", "100M", "-minrate", "100M", "-maxrate", "100M", "-bufsize", "50M",
                         "-x264-params", "nal-hrd=cbr", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-c:a", "aac"),
    "H.264 50 Mbit/s": ("mp4", "-c:v", "libx264", "-b:v", "50M", "-minrate", "50M", "-maxrate", "50M", "-bufsize", "25M",
                        "-x264-params", "nal-hrd=cbr", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-c:a", "aac"),
}  # fmt: skip


async def bare(folder: Path) -> None:
    """Serve GetJob and WriteBlob with nothing around them."""

    class Jobs:
        async def GetJob(self, request: job_pb2.GetJobRequest, context: object) -> job_pb2.GetJobResponse:  # noqa: N802
            return job_pb2.GetJobResponse(job=job_pb2.Job(job_id=request.job_id, state=job_pb2.JOB_STATE_SUCCEEDED))

        CreateJob = ListJobs = CancelJob = WatchJob = GetJob

    class Media:
        async def WriteBlob(self, requests, context: object) -> media_pb2.WriteBlobResponse:  # noqa: N802
            with (folder / "bare").open("wb", buffering=0) as file:
                async for request in requests:
                    file.write(request.data)
                return media_pb2.WriteBlobResponse(committed_bytes=file.tell())

        FindMissingBlobs = QueryWriteStatus = ReadBlob = WriteBlob

    server = grpc.aio.server()
    job_pb2_grpc.add_JobServiceServicer_to_server(Jobs(), server)
    media_pb2_grpc.add_MediaServiceServicer_to_server(Media(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f'{{"address": "127.0.0.1:{port}"}}', flush=True)
    await server.wait_for_termination()


def unary_ms(channel: grpc.Channel, job_id: str) -> list[float]:
    call, request = job_pb2_grpc.JobServiceStub(channel).GetJob, job_pb2.GetJobRequest(job_id=job_id)
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call(request)
        took.append((time.perf_counter() - began) * 1000)
    return took


def upload_mib_s(channel: grpc.Channel, data: bytes) -> float:
    digest = media_pb2.Digest(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))

    def requests() -> Iterator[media_pb2.WriteBlobRequest]:
        for offset in range(0, len(data), CHUNK):
            first = digest if offset == 0 else None
            yield media_pb2.WriteBlobRequest(digest=first, offset_bytes=offset, data=data[offset : offset + CHUNK])

    began = time.perf_counter()
    written = media_pb2_grpc.MediaServiceStub(channel).WriteBlob(requests())
    assert written.committed_bytes == len(data)
    return len(data) / (1 << 20) / (time.perf_counter() - began)


def measure(ours: grpc.Channel, plain: grpc.Channel) -> None:
    """Both sides take turns, so that whatever else the machine does falls on both."""
    job_id = made_job(ours)
    unary_ms(ours, job_id), unary_ms(plain, job_id)
    latencies: dict[str, list[float]] = {"ours": [], "bare": []}
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        latencies["bare"] += unary_ms(plain, job_id)
        latencies["ours"] += unary_ms(ours, job_id)
    for _ in range(UPLOADS):
        data = os.urandom(UPLOAD_MIB << 20)
        rates["bare"].append(upload_mib_s(plain, data))
        rates["ours"].append(upload_mib_s(ours, data))
    report(
        "unary GetJob p50", "ms", *(statistics.median(latencies[side]) for side in ("ours", "bare")), AIM_P50, "most"
    )
    p99 = [statistics.quantiles(latencies[side], n=100)[98] for side in ("ours", "bare")]
    print(f"unary GetJob p99: {p99[0]:.2f} ms against {p99[1]:.2f} ms")
    report("upload", "MiB/s", *(statistics.median(rates[side]) for side in ("ours", "bare")), AIM_UPLOAD, "least")


def report(name: str, unit: str, ours: float, plain: float, aim: float, way: str) -> None:
    ratio = ours / plain
    met = ratio <= aim if way == "most" else ratio >= aim
    verdict = "reached" if met else "NOT reached"
    print(f"{name}: {ours:.2f} {unit} against {plain:.2f} {unit} bare: {ratio:.2f} (aim: at {way} {aim}, {verdict})")


def proxies(folder: Path) -> None:
    """Bytes that travel for three seconds of 1080p."""
    program = proxy.ffmpeg()
    if program is None:
        print("proxies: no ffmpeg to make them with")
        return
    drawn = ["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30000/1001", "-f", "lavfi", "-i", "sine"]
    source = ["-i", str(FOOTAGE)] if FOOTAGE.is_file() else drawn
    for name, (ending, *codec) in CAMERAS.items():
        original = folder / f"camera.{ending}"
        look = "scale=1920:1080:flags=lanczos,noise=alls=6:allf=t"
        subprocess.run(
            [program, "-v", "error", "-y", *source, "-t", "3", "-vf", look, *codec, str(original)], check=True
        )
        size = original.stat().st_size
        for width in WIDTHS:
            small = proxy.proxy_of(original, folder / "proxies", width).stat().st_size
            verdict = "reached" if small / size <= AIM_PROXY else "NOT reached"
            said = f"{small / 1e6:.2f} MB travel for {size / 1e6:.1f} MB of 1080p {name}"
            print(
                f"proxy for watchers of {width}: {said}: {small / size:.2%} (aim: at most {AIM_PROXY:.0%}, {verdict})"
            )


def made_job(channel: grpc.Channel) -> str:
    from serving import spec

    stub = job_pb2_grpc.JobServiceStub(channel)
    job_id = stub.CreateJob(job_pb2.CreateJobRequest(request_id="bench", spec=spec("bench"))).job.job_id
    list(stub.WatchJob(job_pb2.WatchJobRequest(job_id=job_id)))
    return str(job_id)


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "bare":
        asyncio.run(bare(Path(sys.argv[2])))
        return
    from serving import start

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = [sys.executable, __file__, "bare", str(folder)]
        plain = stack.enter_context(spawn_engine(command, environment=os.environ))
        ours = stack.enter_context(start(folder / "home"))
        channels = [stack.enter_context(grpc.insecure_channel(engine.address)) for engine in (ours, plain)]
        measure(*channels)
        proxies(folder)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
