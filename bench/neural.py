# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our neural performers against diffusers' plain pipelines called one request at a time: same random weights, seeds, steps,
precision, device and solver, in one run.

``python bench/neural.py [--model audioldm2] [--requests 1 4 8 16] [--rounds 3]`` with the [models] extra. All N
requests (2 to 10 s of sound, drawn once) come at the same moment; a latency is the time from then to a request's own end.
``ratio`` is plain time over ours: above 1 we are faster. Stable Audio Open's plain pipeline denoises 47.55 s whatever is
asked. CPU seconds stand beside the wall's: they say the same on a machine that others use too. *cancel* is the time from a
cancel until the request is gone and the next may step; the plain pipeline's is that of a whole request.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parent)]
STEPS = {"audioldm2": 20, "stable_audio": 20, "stable_audio_3": 8}


@dataclass(frozen=True, slots=True)
class Job:
    """One request."""

    prompt: str
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one way took for N requests: latencies and the whole, wall seconds, and CPU seconds."""

    latencies: tuple[float, ...]
    wall_s: float
    cpu_s: float


def jobs(count: int) -> list[Job]:
    random = np.random.default_rng(count)
    return [Job(f"sound number {index}", round(float(random.uniform(2, 10)), 2), index) for index in range(count)]


def plain_pipeline(name: str, folder: Path, device: Any) -> Any:
    import torch
    from test_latent_performers import plain

    if name == "audioldm2":
        from immersivaudio.engine.models import store, weights
        from immersivaudio.engine.performers import audioldm2

        pipe = audioldm2._load(store.Place(folder, weights.described(folder, name)))
    else:
        pipe = plain(name, folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device.name, getattr(torch, device.dtype))


def plain_job(name: str, pipe: Any, job: Job) -> Any:
    return plain_jobs(name, pipe, [job])


def plain_jobs(name: str, pipe: Any, jobs: list[Job]) -> Any:
    """Several in one call, which is as long as the longest of them."""
    import torch

    generators = [torch.Generator().manual_seed(job.seed) for job in jobs]
    told: dict[str, Any] = {"num_inference_steps": STEPS[name], "generator": generators}
    prompts, seconds = [job.prompt for job in jobs], max(job.seconds for job in jobs)
    if name == "stable_audio_3":
        # Its stochastic solver takes one generator for all.
        return pipe(prompts, seconds, **{**told, "generator": generators[0]}).audios
    told |= {"negative_prompt": ["speech, music"] * len(jobs)}
    if name == "audioldm2":
        return pipe(prompts, audio_length_in_s=seconds, guidance_scale=3.5, **told).audios
    return pipe(prompts, seconds, guidance_scale=7.0, **told).audios


def our_job(performer: Any, model: Any, job: Job, cancelled: Callable[[], bool] = lambda: False, steps: int = 0) -> Any:
    from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
    from immersivaudio.engine.performers import Brief

    length = Fraction(job.seconds).limit_denominator(1000)
    params = {"steps": float(steps or STEPS[performer.name]), "negative_prompt": "speech, music"}
    cue = Cue("c", Stem.AMBIENCE, Span(Fraction(0), length), "crowd", job.prompt, params=params, seed=job.seed)
    return performer.generate(model, Brief(cue, samples_at(length), cancelled))


def one_by_one(work: Callable[[Job], Any], asked: list[Job]) -> Load:
    start, cpu = time.perf_counter(), time.process_time()
    ends = []
    for job in asked:
        work(job)
        ends.append(time.perf_counter() - start)
    return Load(tuple(ends), ends[-1], time.process_time() - cpu)


def together(work: Callable[[Job], Any], asked: list[Job]) -> Load:
    start, cpu = time.perf_counter(), time.process_time()

    def timed(job: Job) -> float:
        work(job)
        return time.perf_counter() - start

    with ThreadPoolExecutor(len(asked)) as pool:
        ends = list(pool.map(timed, asked))
    return Load(tuple(ends), max(ends), time.process_time() - cpu)


def cancel_to_free(performer: Any, model: Any) -> float:
    """Seconds from a cancel in the middle of a long request until it is gone."""
    from immersivaudio.engine.errors import CancelledError

    stop, begun = threading.Event(), model.batcher.passes
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(our_job, performer, model, Job("a long one", 10.0, 1), stop.is_set, 200)
        while model.batcher.passes < begun + 3 and not long.done():
            time.sleep(0.001)
        asked = time.perf_counter()
        stop.set()
        try:
            long.result()
        except CancelledError:
            return time.perf_counter() - asked
    raise AssertionError("the request ended before it could be cancelled")


def measure(name: str, folder: Path, counts: list[int], rounds: int, peer: str = "") -> None:
    from immersivaudio.engine import plugins
    from immersivaudio.engine.models import devices

    os.environ[f"IMMERSIVAUDIO_{name.upper()}"] = str(folder)
    performer = plugins.create("performers", name)
    performer.setup()
    device = devices.choose()
    model = performer._holding.model(name)
    with devices.quiet():
        pipe = plain_pipeline(name, folder, device)
    size = sum(
        part.numel() for part in (model.pipe.unet if name == "audioldm2" else model.pipe.transformer).parameters()
    )
    print(
        f"\n{name}: denoiser of {size / 1e6:.2f} M random weights, {STEPS[name]} steps, {device.dtype}, {device.name}"
    )
    print(
        f"{'N':>3} {'':8} {'jobs/min':>9} {'p50 s':>8} {'p95 s':>8} {'CPU s':>8} {'ratio jobs/min':>15} {'p95':>6} {'CPU':>6}"
    )
    for count in counts:
        _compare(lambda job: plain_job(name, pipe, job), lambda job: our_job(performer, model, job), count, rounds)
    whole = one_by_one(lambda job: plain_job(name, pipe, job), [Job("one", 10.0, 1)]).wall_s
    freed = sorted(cancel_to_free(performer, model) for _ in range(max(3, rounds)))
    print(
        f"cancel: ours {freed[len(freed) // 2] * 1000:.0f} ms (median), {freed[-1] * 1000:.0f} ms (worst); plain {whole * 1000:.0f} ms"
    )
    if peer == "litserve":
        _beside_litserve(name, folder, lambda job: our_job(performer, model, job), counts)
    performer.unload()


def _beside_litserve(name: str, folder: Path, ours: Callable[[Job], Any], counts: list[int]) -> None:
    """p95 of the same load; ours is asked in this process, LitServe over HTTP, which adds some milliseconds."""
    if importlib.util.find_spec("litserve") is None:
        print("LitServe: not installed here (pip install 'immersivaudio[bench]'): left out")
        return
    import _litserve

    with _litserve.holding(name, folder) as theirs:
        theirs(Job("warm", 2.0, 0))
        for count in counts:
            asked = jobs(count)
            turns = [(together(theirs, asked), together(ours, asked)) for _ in range(3)]
            p95 = [min(float(np.quantile(turn[side].latencies, 0.95)) for turn in turns) for side in (0, 1)]
            print(
                f"LitServe N={count}: p95 {p95[0]:.3f} s, ours {p95[1]:.3f} s: {p95[1] / p95[0]:.2f} of its (aim 0.7)"
            )


def _compare(plain: Callable[[Job], Any], ours: Callable[[Job], Any], count: int, rounds: int) -> None:
    asked = jobs(count)
    turns = [(one_by_one(plain, asked), together(ours, asked)) for _ in range(rounds + 1)][1:]
    best = [min((turn[side] for turn in turns), key=lambda load: load.cpu_s) for side in (0, 1)]
    for label, load in zip(("plain", "ours"), best, strict=True):
        p50, p95 = np.quantile(load.latencies, [0.5, 0.95])
        line = f"{count:3} {label:8} {60 * count / load.wall_s:9.1f} {p50:8.3f} {p95:8.3f} {load.cpu_s:8.2f}"
        if label == "ours":
            before = np.quantile(best[0].latencies, 0.95)
            line += f" {best[0].wall_s / load.wall_s:15.2f} {before / p95:6.2f} {best[0].cpu_s / load.cpu_s:6.2f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=STEPS, action="append", help="all of them when none is named")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 8], help="how many come at once")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--width", type=int, default=16, help="of the small denoisers")
    parser.add_argument(
        "--peer", choices=["litserve"], default="", help="also beside a server that holds the same model"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    import torch

    os.environ["IMMERSIVAUDIO_DEVICE"] = "cpu"
    torch.set_num_threads(1)
    for name in options.model or STEPS:
        with tempfile.TemporaryDirectory() as folder:
            place = import_module(f"tiny_{name}").save(Path(folder), width=options.width)
            measure(name, place, options.requests, options.rounds, options.peer)
    print(
        "\naims: N=1 at least 0.98; N=8 at least 2.5 times the jobs a minute, where one request does not fill the device"
    )


if __name__ == "__main__":
    main()
