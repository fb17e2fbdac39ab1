# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sounds, takes and sheets for the tests of mixing and delivery: real float WAVs on disk, known to the sample."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from immersivaudio.engine import bwf, mixing
from immersivaudio.engine.cue import Cue, CueSheet, Licence, Span, SpeechSpan, Stem, Take, samples_at

FREE = Licence("CC0-1.0", commercial_use=True)


def noise(seconds: float, level: float = 0.05, seed: int = 0, stereo: bool = True) -> np.ndarray:
    """White noise ``[2, n]`` of rms ``level``."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((2 if stereo else 1, round(seconds * 48_000))) * level
    return np.broadcast_to(drawn, (2, drawn.shape[1])).astype(np.float32)


def bed(seconds: float, level: float = 0.05, seed: int = 0) -> np.ndarray:
    """Noise that is low-passed, as a wind is."""
    drawn = noise(seconds + 0.01, 1.0, seed).astype(np.float64)
    smooth = np.stack([np.convolve(channel, np.hanning(24), "same") for channel in drawn])[:, : round(seconds * 48_000)]
    return (smooth * (level / smooth.std())).astype(np.float32)


def hit(peak: float = 0.25, seconds: float = 0.4) -> np.ndarray:
    """A struck sound whose very first sample is its peak, the same in both channels."""
    fall = np.exp(-np.arange(round(seconds * 48_000)) / 2400)
    drawn = np.random.default_rng(5).uniform(-1, 1, len(fall)) * fall
    drawn[0] = 1.0
    return np.stack([drawn, drawn]).astype(np.float32) * np.float32(peak)


def write(path: Path, samples: np.ndarray) -> Path:
    with bwf.WavWriter(path, durable=False) as writer:
        for first in range(0, samples.shape[1], 1 << 18):
            writer.write(samples[:, first : first + (1 << 18)])
    return path


def read(path: Path) -> np.ndarray:
    """``[2, n]`` of a float WAV."""
    return np.array(bwf.read_wav(path)[0].T)


@dataclass
class Stage:
    """A sheet in the making, and its takes."""

    folder: Path
    duration_s: Fraction
    rate: Fraction = Fraction(25)
    cues: list[Cue] = field(default_factory=list)
    takes: dict[str, Take] = field(default_factory=dict)
    speech: list[SpeechSpan] = field(default_factory=list)

    def cue(self, stem: Stem, start_s: Fraction | float, samples: np.ndarray, **more: object) -> Cue:
        name = f"{stem}-{len(self.cues)}"
        seconds = Fraction(samples.shape[1], 48_000)
        fields = {"sound": "wind", "why": "seen in the picture", "seed": len(self.cues), **more}
        cue = Cue(name, stem, Span(Fraction(start_s), seconds), **fields)  # type: ignore[arg-type]
        path = write(self.folder / f"{name}.take.wav", samples)
        self.cues.append(cue)
        self.takes[name] = Take(name, f"key-{name}", str(path), samples.shape[1], "procedural", "7", cue.seed, FREE)
        return cue

    def says(self, start_s: float, end_s: float) -> None:
        self.speech.append(SpeechSpan(Span.between(Fraction(str(start_s)), Fraction(str(end_s)))))

    def sheet(self) -> CueSheet:
        ordered = tuple(sorted(self.cues, key=lambda cue: (cue.span.start_s, cue.id)))
        return CueSheet("scene", self.rate, self.duration_s, ordered, speech=tuple(self.speech))

    def original(self, samples: np.ndarray) -> Path:
        return write(self.folder / "original.wav", samples)

    def mix(self, original: Path | None = None, **options: object) -> mixing.MixResult:
        folder = self.folder / "mix"
        folder.mkdir(exist_ok=True)
        return mixing.mix(self.sheet(), self.takes, original, mixing.MixOptions(**options), mixing.Booth(folder))  # type: ignore[arg-type]

    @property
    def total(self) -> int:
        return samples_at(self.duration_s)


def stem_of(mixed: mixing.MixResult, stem: Stem) -> mixing.StemFile:
    return next(file for file in mixed.stems if file.stem is stem)


def chunks(path: Path) -> dict[str, bytes]:
    """The chunks of a WAV file by name."""
    data, found, at = path.read_bytes(), {}, 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        found[name.decode()] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def level_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))
