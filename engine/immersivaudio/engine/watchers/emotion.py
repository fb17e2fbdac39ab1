# SPDX-License-Identifier: AGPL-3.0-or-later
"""How somebody sounds who speaks: a classifier of the voice (wav2vec 2.0, HuBERT, WavLM, AST, whatever transformers'
``AutoModelForAudioClassification`` reads) whose classes are feelings. One ``tone`` sighting a spoken piece, by ``voice``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from immersivaudio.engine import moods
from immersivaudio.engine.cue import Edit, Sighting
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.watchers import Samples
from immersivaudio.engine.watchers._spoken import RATE_HZ, Piece, pieces
from immersivaudio.engine.watchers.speech import tone

_NAME = "emotion"
_EMOTION = Checkpoint(
    _NAME, "telling feelings from the voice", "AutoModelForAudioClassification",
    ("ForSequenceClassification", "ForAudioClassification"),
)  # fmt: skip
_LONGEST_S = 10.0


class Emotion:
    """The sound watcher."""

    name = _NAME
    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._loaded: Loaded | None = None

    @property
    def version(self) -> str:
        return f"1-{_EMOTION.version()}"

    @property
    def device(self) -> str:
        """Where the weights are now; empty when they are on disk only."""
        return self._loaded.device.name if self._loaded is not None else ""

    @property
    def size_bytes(self) -> int:
        return _EMOTION.size_bytes()

    def available(self) -> str:
        return _EMOTION.lacks()

    def setup(self) -> None:
        """Load the classifier.

        Raises:
            UnavailableError: it is missing, refused, cannot be loaded, or names no feelings.
        """
        if self._loaded is not None:
            return
        loaded = _EMOTION.load()
        self._prepare = loaded.part("AutoFeatureExtractor")
        self._labels = [str(label) for _, label in sorted(loaded.model.config.id2label.items())]
        moods.readable(self._labels, _NAME)
        if int(self._prepare.sampling_rate) != RATE_HZ:
            raise UnavailableError(
                f"The weights of {_NAME} are refused: they hear at {self._prepare.sampling_rate} Hz.",
                "Name a classifier of 16 kHz sound.",
            )
        self._loaded = loaded

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        """See :class:`immersivaudio.engine.watchers.SoundWatcher`."""
        if not edit.sound_clips():
            return ()
        self.setup()
        found = ((piece, piece.span(edit)) for piece in pieces(blocks, _LONGEST_S))
        return [tone(_NAME, span, self._mood(piece), piece.confidence, "voice") for piece, span in found if span]

    def _mood(self, piece: Piece) -> moods.Mood:
        import torch

        assert self._loaded is not None
        inputs = self._prepare(piece.wave, sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            logits = self._loaded.model(**self._loaded.on_device(inputs)).logits[0].float()
        return moods.mood(dict(zip(self._labels, logits.softmax(-1).tolist(), strict=True)))


def create() -> Emotion:
    return Emotion()
