# SPDX-License-Identifier: AGPL-3.0-or-later
"""Recordings of somebody's own for the tests of libraries and takes: real files, known to the sample."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from scipy import signal

from immersivaudio.engine import bwf, media
from immersivaudio.engine.audio import Block
from immersivaudio.engine.cue import Licence
from immersivaudio.engine.library import walking
from immersivaudio.engine.library.index import Index

OWN = Licence("CC-BY-4.0", True, "Field Recordist")


def noise(seconds: float, seed: int, level_db: float = -30.0, channels: int = 2) -> Block:
    """Pink-ish noise, no two seeds alike."""
    white = np.random.default_rng(seed).standard_normal((channels, round(seconds * 48_000)))
    tilted = signal.lfilter([0.05], [1, -0.95], white)
    return (tilted * 10 ** (level_db / 20) / tilted.std()).astype(np.float32)


def blows(
    seconds: float, moments_s: tuple[float, ...], pitches_hz: tuple[float, ...], level_db: float = -20.0
) -> Block:
    """Silence with a struck tone at each moment, the first sample of each a full peak."""
    whole = np.zeros((2, round(seconds * 48_000)), np.float32)
    for moment_s, pitch_hz in zip(moments_s, pitches_hz, strict=True):
        at = round(moment_s * 48_000)
        time_s = np.arange(min(12_000, whole.shape[1] - at)) / 48_000
        whole[:, at : at + len(time_s)] += (
            10 ** (level_db / 20) * np.cos(2 * np.pi * pitch_hz * time_s) * np.exp(-time_s * 30)
        ).astype(np.float32)
    return whole


def wav(path: Path, samples: Block, description: str = "", **ixml: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = bwf.Tags(description, originator="Recordist", ixml=ixml)
    with bwf.WavWriter(path, samples.shape[0], bits=24, tags=tags) as writer:
        writer.write(samples)
    return path


def encode(source: Path, target: Path, *options: str) -> Path:
    command = [media.ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True)
    return target


def indexed(folder: Path, name: str = "mine") -> None:
    """Index ``folder`` in this process's engine home."""
    with Index(write=True) as index:
        walking.walk(index, index.put_folder(name, folder, OWN), lambda: False, lambda *_: None)
