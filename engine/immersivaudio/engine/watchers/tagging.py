# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is heard on the original sound: AudioSet's 521 classes by YAMNet. Needs its weights and class map.

One ``heard`` sighting a stretch and class: ``kind`` is AudioSet's name, ``score`` the network's highest smoothed score,
the confidence its mean over the stretch.
"""

from __future__ import annotations

import csv
import importlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immersivaudio.engine.cue import Edit, Sighting, Span, tidy
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import store
from immersivaudio.engine.watchers import Samples
from immersivaudio.engine.watchers._weights import Wanted, digest_of, verified

_NAME, _RATE_HZ, _WINDOW, _HOP = "tagging", 16_000, 15_600, 7_680
_WANTED = Wanted("IMMERSIVAUDIO_YAMNET", "*yamnet*.tflite", "ai_edge_litert", "ai-edge-litert")
_CLASSES, _CLASS_MAP = "IMMERSIVAUDIO_YAMNET_CLASSES", "yamnet_class_map.csv"
_QUIET = 10 ** (-66 / 20)
_ON, _OFF = 0.2, 0.1
_HOP_S, _WINDOW_S = _HOP / _RATE_HZ, _WINDOW / _RATE_HZ
Scores = NDArray[np.float16]


class Ear:
    """YAMNet on one thread: 0.975 s of 16 kHz mono in, the scores of 521 classes out."""

    def __init__(self, weights: Path, class_map: Path) -> None:
        runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
        try:
            self._net = runtime.Interpreter(model_path=str(weights), num_threads=1)
            self._net.allocate_tensors()
            self._in, self._out = self._net.get_input_details()[0], self._net.get_output_details()[0]
        except Exception as error:
            raise UnavailableError(f"{weights.name} cannot be read as a sound classifier.", _HINT) from error
        self.names = _names(class_map)
        shapes = [tuple(int(n) for n in end["shape"]) for end in (self._in, self._out)]
        if shapes != [(1, _WINDOW), (1, len(self.names))]:
            raise UnavailableError(f"{weights.name} is no YAMNet of {len(self.names)} classes.", _HINT)

    def scores(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[521]`` of ``wave`` ``[15600]``; nothing is heard in what is nearly silent."""
        if float(np.abs(wave).max(initial=0.0)) < _QUIET:
            return np.zeros(len(self.names), np.float32)
        self._net.set_tensor(self._in["index"], wave[None])
        self._net.invoke()
        return np.array(self._net.get_tensor(self._out["index"])[0], np.float32)


_HINT = "Name yamnet.tflite as Google publishes it, with yamnet_class_map.csv beside it."


def _names(class_map: Path) -> tuple[str, ...]:
    try:
        with class_map.open(encoding="utf-8", newline="") as file:
            return tuple(row["display_name"] for row in csv.DictReader(file))
    except (OSError, KeyError, ValueError) as error:
        raise UnavailableError(f"The class map {class_map.name} cannot be read.", _HINT) from error


def _windows(blocks: Iterable[Samples]) -> Iterator[NDArray[np.float32]]:
    """Half-overlapping windows of the mono sum; the last one is filled up with silence."""
    rest = np.zeros(0, np.float32)
    fresh = 0
    for block in blocks:
        rest = np.concatenate([rest, block.mean(axis=0, dtype=np.float32)])
        fresh += block.shape[1]
        while len(rest) >= _WINDOW:
            yield rest[:_WINDOW]
            rest, fresh = rest[_HOP:], len(rest) - _WINDOW
    if fresh > _HOP // 4:
        yield np.pad(rest, (0, max(0, _WINDOW - len(rest))))[:_WINDOW]


def stretches(scores: Scores, names: Sequence[str]) -> Iterator[tuple[str, float, float, float, float]]:
    """(class, start, end in seconds, mean, highest) where a class is heard: smoothed over three windows, it begins at
    0.2 and ends under 0.1."""
    padded = np.pad(scores.astype(np.float32), ((1, 1), (0, 0)), mode="edge")
    smooth = np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, np.float32)
    for index in np.flatnonzero((smooth >= _ON).any(axis=0)).tolist():
        row = smooth[:, index]
        for first, end in _runs(row):
            # A window speaks for its middle half.
            start_s = 0.0 if first == 0 else first * _HOP_S + _WINDOW_S / 4
            end_s = (end - 1) * _HOP_S + (_WINDOW_S if end == len(row) else 3 * _WINDOW_S / 4)
            yield names[index], start_s, end_s, float(row[first:end].mean()), float(row[first:end].max())


def _runs(row: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (row >= _OFF).astype(np.int8), [0]])))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if row[first:end].max() >= _ON:
            yield first, end


class _Tagging:
    name = _NAME
    sample_rate_hz = _RATE_HZ

    def __init__(self) -> None:
        self._ear: Ear | None = None
        self._digests: tuple[str, str] | None = None

    @property
    def version(self) -> str:
        """Names the weights and the class map; known without loading them."""
        digests = self._digests or (_WANTED.digest(), digest_of(self._class_map()))
        return f"1-{digests[0][:12]}-{digests[1][:6]}"

    def available(self) -> str:
        lacks = _WANTED.lacks()
        if lacks or self._class_map().is_file():
            return lacks
        return f"The class map is missing: {self._class_map()} is not there; {_CLASSES} can name it."

    def _class_map(self) -> Path:
        named = os.environ.get(_CLASSES, "").strip()
        weights = _WANTED.find()
        return Path(named).expanduser() if named else (weights or store.home() / _CLASS_MAP).with_name(_CLASS_MAP)

    def setup(self) -> None:
        """Load the network."""
        file, digest = _WANTED.checked()
        self._digests = digest, verified(self._class_map())
        self._ear = Ear(file, self._class_map())

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        """See :class:`immersivaudio.engine.watchers.SoundWatcher`."""
        if not edit.sound_clips():
            return ()
        scores, names = self.scores(blocks)
        found = (_heard(edit, *one) for one in stretches(scores, names)) if len(scores) else iter(())
        return sorted((s for s in found if s is not None), key=lambda s: (s.span.start_s, -s.confidence))

    def scores(self, blocks: Iterable[Samples]) -> tuple[Scores, tuple[str, ...]]:
        """``[windows, classes]`` of blocks ``[channels, n]`` at 16 kHz, and the classes' names; loads what it needs."""
        if self._ear is None:
            self.setup()
        assert self._ear is not None
        rows = [self._ear.scores(window).astype(np.float16) for window in _windows(blocks)]
        return np.stack(rows) if rows else np.zeros((0, len(self._ear.names)), np.float16), self._ear.names


def _heard(edit: Edit, kind: str, start_s: float, end_s: float, mean: float, most: float) -> Sighting | None:
    span = Span.between(tidy(start_s), tidy(end_s)).overlap(edit.record)
    if span is None:
        return None
    return Sighting(_NAME, "heard", span, round(mean, 3), values={"kind": kind, "score": round(most, 3)})


def create() -> _Tagging:
    return _Tagging()
