# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our neural performers against diffusers' plain pipelines called one request at a time: same random weights, seeds, steps,
precision, device and solver, in one run.

``python bench/neural.py [--model audioldm2] [--requests 1 4 8 16] [--rounds 3] [--device cuda:0]`` with the [models] extra;
the device is the best that is here, or IMMERSIVAUDIO_DEVICE; a CPU is one thread. Both sides share one copy of the weights
in one precision (the denoiser in the device's, what decodes in float32), and end with the sound in the CPU's memory. All N
requests (2 to 10 s of sound, drawn once) come at the same moment; a latency is the time from then to a request's own end.
``ratio`` is plain time over ours: above 1 we are faster. Stable Audio Open's plain pipeline denoises 47.55 s whatever is
asked. CPU seconds stand beside the wall's: they say the same on a machine that others use too. *cancel* is the time from a
cancel until the request is gone and the next may step; the plain pipeline's is that of a whole request. *together* is how
many requests shared a pass of the denoiser on average; ``--equal`` shows what it would be worth if all could.
"""

from __future__ import annotations

import argparse
import copy
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
class Bout:
    """How the two are compared: how many requests come at once, how often, ``equal`` or mixed lengths, beside which other."""

    counts: tuple[int, ...]
    rounds: int
    equal: bool
    peer: str

    def jobs(self, count: int) -> list[Job]:
        return jobs(count, self.equal)


@dataclass(frozen=True, slots=True)
class Load:
    """What one way took for N requests: latencies and the whole, wall seconds, and CPU seconds."""

    latencies: tuple[float, ...]
    wall_s: float
    cpu_s: float


def jobs(count: int, equal: bool = False) -> list[Job]:
    """Requests of 2 to 10 s; ``equal``: each as long as these are on average, so that all may share every pass."""
    lengths = np.random.default_rng(count).uniform(2, 10, count)
    if equal:
        lengths = np.full(count, lengths.mean())
    return [Job(f"sound number {index}", round(float(length), 2), index) for index, length in enumerate(lengths)]


class Plain:
    """diffusers' published pipeline, called as its users call it, around the weights that ``model`` holds: one copy of
    them in memory, and every part in the very precision of ours."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        parts = dict(model.pipe.components)
        self.pipe = type(model.pipe)(**{**parts, "scheduler": copy.deepcopy(parts["scheduler"])})
        self.pipe.set_progress_bar_config(disable=True)
        self._rate_hz = model.rate_hz

    def job(self, job: Job) -> Any:
        return self.jobs([job])

    def jobs(self, jobs: list[Job]) -> Any:
        """Several in one call, which is as long as the longest of them: ``[jobs, ..., n]`` of numpy. The device is done by
        then, for its latents are decoded in the decoder's own precision and brought here."""
        import torch

        with torch.inference_mode():
            latents = self._latents(jobs).to(self.pipe.vae.dtype)
            longest = round(max(job.seconds for job in jobs) * self._rate_hz)
            return self._decoded(latents)[..., :longest].cpu().numpy()

    def _latents(self, jobs: list[Job]) -> Any:
        import torch

        generators = [torch.Generator().manual_seed(job.seed) for job in jobs]
        told: dict[str, Any] = {"num_inference_steps": STEPS[self.name], "generator": generators}
        told["output_type"] = "latent"
        prompts, seconds = [job.prompt for job in jobs], max(job.seconds for job in jobs)
        if self.name == "stable_audio_3":
            # Its stochastic solver takes one generator for all.
            return self.pipe(prompts, seconds, **{**told, "generator": generators[0]}).audios
        told |= {"negative_prompt": ["speech, music"] * len(jobs)}
        if self.name == "audioldm2":
            return self.pipe(prompts, audio_length_in_s=seconds, guidance_scale=3.5, **told).audios
        return self.pipe(prompts, seconds, guidance_scale=7.0, **told).audios

    def _decoded(self, latents: Any) -> Any:
        if self.name == "audioldm2":
            mel = self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor).sample
            return self.pipe.mel_spectrogram_to_waveform(mel)
        return self.pipe.vae.decode(latents).sample


def one_thread_on_the_cpu() -> str:
    """The name of the device that is measured; where that is the CPU, one thread of it."""
    import torch

    from immersivaudio.engine.models import devices

    name = devices.choose().name
    if name == "cpu":
        torch.set_num_threads(1)
    return name


def held(name: str, folder: Path) -> tuple[Any, Any]:
    """The performer of the weights in ``folder``, and the model that it holds on the device."""
    from immersivaudio.engine import plugins

    os.environ[f"IMMERSIVAUDIO_{name.upper()}"] = str(folder)
    performer = plugins.create("performers", name)
    performer.setup()
    return performer, performer._holding.model(name)


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


def measure(name: str, folder: Path, bout: Bout) -> None:
    _beside_plain(name, folder, bout)
    if bout.peer == "litserve":
        _beside_litserve(name, folder, bout)


def _beside_plain(name: str, folder: Path, bout: Bout) -> None:
    performer, model = held(name, folder)
    plain, device = Plain(name, model), model.device
    size = sum(part.numel() for part in getattr(model.pipe, model.net).parameters())
    print(
        f"\n{name}: denoiser of {size / 1e6:.2f} M random weights, {STEPS[name]} steps, on {device.name} in {device.dtype}, "
        f"{', '.join(model.exact)} in float32; both sides share the weights"
    )
    print(
        f"{'N':>3} {'':8} {'jobs/min':>9} {'p50 s':>8} {'p95 s':>8} {'CPU s':>8} {'ratio jobs/min':>15} {'p95':>6} {'CPU':>6} {'together':>9}"
    )
    for count in bout.counts:
        asked, before = bout.jobs(count), model.batcher.passes
        _compare(plain.job, lambda job: our_job(performer, model, job), asked, bout.rounds)
        passes = (model.batcher.passes - before) / (bout.rounds + 1)
        print(f" {count * STEPS[name] / passes:9.2f}")
    whole = one_by_one(plain.job, [Job("one", 10.0, 1)]).wall_s
    freed = sorted(cancel_to_free(performer, model) for _ in range(max(3, bout.rounds)))
    print(
        f"cancel: ours {freed[len(freed) // 2] * 1000:.0f} ms (median), {freed[-1] * 1000:.0f} ms (worst); plain {whole * 1000:.0f} ms"
    )
    performer.unload()


def _beside_litserve(name: str, folder: Path, bout: Bout) -> None:
    """p95 of the same load, one server after the other, so that the device holds one copy of the weights at a time; ours is
    asked in this process, LitServe over HTTP, which adds some milliseconds."""
    if importlib.util.find_spec("litserve") is None:
        print("LitServe: not installed here (pip install 'immersivaudio[bench]'): left out")
        return
    import _litserve

    with _litserve.holding(name, folder) as theirs:
        before = _p95s(theirs, bout)
    performer, model = held(name, folder)
    after = _p95s(lambda job: our_job(performer, model, job), bout)
    performer.unload()
    for count, their, our in zip(bout.counts, before, after, strict=True):
        print(f"LitServe N={count}: p95 {their:.3f} s, ours {our:.3f} s: {our / their:.2f} of its (aim 0.7)")


def _p95s(work: Callable[[Job], Any], bout: Bout) -> list[float]:
    """The best p95 latency of three turns for each number of requests, seconds."""
    work(Job("warm", 2.0, 0))
    return [
        min(float(np.quantile(together(work, bout.jobs(count)).latencies, 0.95)) for _ in range(3))
        for count in bout.counts
    ]


def _compare(plain: Callable[[Job], Any], ours: Callable[[Job], Any], asked: list[Job], rounds: int) -> None:
    turns = [(one_by_one(plain, asked), together(ours, asked)) for _ in range(rounds + 1)][1:]
    best = [min((turn[side] for turn in turns), key=lambda load: load.cpu_s) for side in (0, 1)]
    for label, load in zip(("plain", "ours"), best, strict=True):
        p50, p95 = np.quantile(load.latencies, [0.5, 0.95])
        line = f"{len(asked):3} {label:8} {60 * len(asked) / load.wall_s:9.1f} {p50:8.3f} {p95:8.3f} {load.cpu_s:8.2f}"
        if label == "ours":
            before = np.quantile(best[0].latencies, 0.95)
            line += f" {best[0].wall_s / load.wall_s:15.2f} {before / p95:6.2f} {best[0].cpu_s / load.cpu_s:6.2f}"
        print(line, end="\n" if label == "plain" else "", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=STEPS, action="append", help="all of them when none is named")
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 8], help="how many come at once")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--equal", action="store_true", help="requests of one length instead of 2 to 10 s")
    parser.add_argument("--width", type=int, default=16, help="of the small denoisers")
    parser.add_argument("--device", default="", help="cpu, cuda:0 or mps; the best that is here when none is named")
    parser.add_argument(
        "--peer", choices=["litserve"], default="", help="also beside a server that holds the same model"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.device:
        os.environ["IMMERSIVAUDIO_DEVICE"] = options.device
    one_thread_on_the_cpu()
    bout = Bout(tuple(options.requests), options.rounds, options.equal, options.peer)
    for name in options.model or STEPS:
        with tempfile.TemporaryDirectory() as folder:
            place = import_module(f"tiny_{name}").save(Path(folder), width=options.width)
            measure(name, place, bout)
    print(
        "\naims: N=1 at least 0.98; N=8 at least 2.5 times the jobs a minute, where one request does not fill the device"
    )


if __name__ == "__main__":
    main()
