# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our AudioLDM 2 performer against diffusers' plain pipeline: same random weights, seed, precision, device, solver.

``python bench/neural.py [--seconds 5] [--rounds 7] [--width 64]`` with the [models] extra. One request at a time
(N = 1), each with a prompt of its own, the two taking turns so that both meet the same machine. ``ratio`` is plain
time over ours, median of the rounds: 1 is alike, above 1 we are faster. *model* is what both do (prompt to 16 kHz
mono); *take* is ours whole, with 48 kHz stereo, level and blocks, still over the plain pipeline's 16 kHz mono.
CPU seconds stand beside the wall's: they say the same on a machine that others use too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
STEPS = 20


def plain_pipeline(folder: Path) -> Any:
    from diffusers import AudioLDM2Pipeline, DPMSolverMultistepScheduler
    from transformers import GPT2LMHeadModel

    language = GPT2LMHeadModel.from_pretrained(folder, subfolder="language_model")
    pipe = AudioLDM2Pipeline.from_pretrained(folder, language_model=language)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def plain_run(pipe: Any, prompt: str, seconds: float, seed: int) -> np.ndarray:
    import torch

    generator = torch.Generator().manual_seed(seed)
    told = {"prompt": prompt, "negative_prompt": "speech, music", "num_inference_steps": STEPS}
    return np.asarray(pipe(**told, audio_length_in_s=seconds, generator=generator).audios[0])


def our_brief(prompt: str, seconds: float, seed: int) -> Any:
    from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
    from immersivaudio.engine.performers import Brief

    length = Fraction(seconds).limit_denominator(1000)
    params = {"steps": float(STEPS), "negative_prompt": "speech, music"}
    cue = Cue("c", Stem.AMBIENCE, Span(Fraction(0), length), "crowd", prompt, params=params, seed=seed)
    return Brief(cue, samples_at(length))


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """((wall, CPU) seconds, result)."""
    start = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - start[0], time.process_time() - start[1]), result


def measure(folder: Path, seconds: float, rounds: int) -> None:
    from immersivaudio.engine import plugins
    from immersivaudio.engine.models import devices

    os.environ["IMMERSIVAUDIO_AUDIOLDM2"], os.environ["IMMERSIVAUDIO_DEVICE"] = str(folder), "cpu"
    ours = plugins.create("performers", "audioldm2")
    ours.setup()
    with devices.quiet():
        plain = plain_pipeline(folder)
    turns = [one_turn(ours, plain, seconds, turn) for turn in range(rounds + 1)]
    report(turns[1:], seconds)


def one_turn(ours: Any, plain: Any, seconds: float, turn: int) -> dict[str, tuple[float, float]]:
    bells, dogs = f"bells number {turn}", f"dogs number {turn}"
    plain_s, expected = timed(lambda: plain_run(plain, bells, seconds, turn))
    model_s, (mono, _) = timed(lambda: ours._sound(our_brief(bells, seconds, turn)))
    take_s, _ = timed(lambda: list(ours.perform(our_brief(dogs, seconds, turn))))
    assert np.allclose(mono, expected, atol=1e-5 * np.abs(expected).max()), "the two do not give the same sound"
    return {"plain": plain_s, "model": model_s, "take": take_s}


def report(turns: list[dict[str, tuple[float, float]]], seconds: float) -> None:
    print(f"AudioLDM 2, random weights, {seconds:g} s of sound, {STEPS} steps, float32, CPU, N = 1")
    for name in ("plain", "model", "take"):
        wall, work = (statistics.median(turn[name][clock] for turn in turns) for clock in (0, 1))
        ratios = [statistics.median(turn["plain"][c] / turn[name][c] for turn in turns) for c in (0, 1)]
        print(f"{name:6} wall {wall:6.3f} s, ratio {ratios[0]:4.2f}   CPU {work:6.3f} s, ratio {ratios[1]:4.2f}")
    print("aim: model at least 0.98")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.12, help="length of a request; a multiple of 1.28")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=64, help="channels of the U-Net's first block")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
    import tiny_audioldm2
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tiny_audioldm2.save(Path(folder), width=options.width)
        measure(Path(folder), options.seconds, options.rounds)


if __name__ == "__main__":
    main()
