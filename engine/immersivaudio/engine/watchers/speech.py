# SPDX-License-Identifier: AGPL-3.0-or-later
"""What language is spoken, how much is said and how it is meant: a speech recogniser of transformers (Whisper, Radford et
al. 2022, arXiv 2212.04356; Moonshine), and a classifier of the words where ``IMMERSIVAUDIO_SENTIMENT`` names one.

Sightings: ``spoken`` (``language``, ``words``; ``text`` only where ``IMMERSIVAUDIO_SPEECH_TEXT`` asks for it) and ``tone``
(``valence``, and ``energy`` where the classifier tells it, by ``words``). Nothing of it is ever spoken back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from immersivaudio.engine import moods
from immersivaudio.engine.cue import Edit, ParamValue, Sighting, Span
from immersivaudio.engine.models import store
from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.watchers import Samples
from immersivaudio.engine.watchers._spoken import RATE_HZ, Piece, pieces

_NAME = "speech"
_SPEECH = Checkpoint(
    _NAME, "recognising speech", "AutoModelForSpeechSeq2Seq", ("ForConditionalGeneration", "ForSpeechSeq2Seq")
)
_SENTIMENT = Checkpoint(
    "sentiment", "telling how words are meant", "AutoModelForSequenceClassification", ("ForSequenceClassification",)
)
_LONGEST_S, _MOST_TOKENS = 28.0, 200
_TEXT = "IMMERSIVAUDIO_SPEECH_TEXT"
_FASTEST = 6.0


class Speech:
    """The sound watcher."""

    name = _NAME
    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._ear: _Ear | None = None
        self._reader: _Reader | None = None

    @property
    def version(self) -> str:
        """Changes with the weights of both models, and with whether the text is kept."""
        named = (_SPEECH.version(), _SENTIMENT.version() if not _SENTIMENT.lacks() else "")
        return f"1-{'-'.join(named)}{'-text' if _keeps_text() else ''}"

    @property
    def device(self) -> str:
        """Where the weights are now; empty when they are on disk only."""
        return self._ear.loaded.device.name if self._ear is not None else ""

    @property
    def size_bytes(self) -> int:
        return _SPEECH.size_bytes()

    def available(self) -> str:
        return _SPEECH.lacks()

    def setup(self) -> None:
        """Load the recogniser and, where one is named, the classifier of words.

        Raises:
            UnavailableError: they are missing, refused or cannot be loaded.
        """
        if self._ear is None:
            self._ear = _Ear(_SPEECH.load())
            self._reader = _Reader(_SENTIMENT.load()) if store.wish("sentiment") else None

    def listen(self, edit: Edit, blocks: Iterable[Samples]) -> Sequence[Sighting]:
        """See :class:`immersivaudio.engine.watchers.SoundWatcher`."""
        if not edit.sound_clips():
            return ()
        self.setup()
        found: list[Sighting] = []
        for piece in pieces(blocks, _LONGEST_S):
            span = piece.span(edit)
            if span is not None:
                found += self._heard(piece, span)
        return found

    def _heard(self, piece: Piece, span: Span) -> list[Sighting]:
        assert self._ear is not None
        text, language = self._ear.hear(piece)
        words = len(text.split())
        sure = piece.confidence
        if words == 0 or words / max(0.5, float(span.duration_s)) > _FASTEST:
            # Nobody speaks so fast: recognisers invent words where they hear none.
            sure *= 0.5
        values: dict[str, ParamValue] = {"language": language, "words": float(words)}
        found = [Sighting(_NAME, "spoken", span, round(sure, 3), values=values | _kept(text))]
        if self._reader is not None and words:
            found.append(tone(_NAME, span, self._reader.mood(text), sure, "words"))
        return found


def _keeps_text() -> bool:
    return os.environ.get(_TEXT, "") not in ("", "0")


def _kept(text: str) -> dict[str, ParamValue]:
    return {"text": text} if _keeps_text() else {}


def tone(watcher: str, span: Span, mood: moods.Mood, sure: float, told_by: str) -> Sighting:
    """The ``tone`` sighting of a mood; ``told_by`` is ``words`` or ``voice``."""
    values: dict[str, ParamValue] = {"valence": round(mood.valence, 4), "by": told_by}
    if mood.energy is not None:
        values["energy"] = round(mood.energy, 4)
    return Sighting(watcher, "tone", span, round(min(0.9, sure * mood.weight), 3), values=values)


class _Ear:
    """The recogniser."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._processor = loaded.part("AutoProcessor")
        # Without the vocabulary every word would come out empty.
        loaded.part("AutoTokenizer")

    def hear(self, piece: Piece) -> tuple[str, str]:
        """The words and the language (ISO 639-1, empty where the model tells none)."""
        import torch

        inputs = self._processor(piece.wave, sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            given = self.loaded.on_device(inputs)
            tokens = self.loaded.model.generate(**given, do_sample=False, max_new_tokens=self._most())
            language = self._language(given)
        return str(self._processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip(), language

    def _most(self) -> int:
        """Half of what the decoder can hold, as with Whisper's own limits."""
        config = self.loaded.model.config
        longest: int = (
            getattr(config, "max_target_positions", None) or getattr(config, "max_position_embeddings", 0) or 448
        )
        return min(_MOST_TOKENS, longest // 2)

    def _language(self, given: dict[str, Any]) -> str:
        model = self.loaded.model
        if not getattr(model.generation_config, "is_multilingual", False) or "input_features" not in given:
            return ""
        token = model.detect_language(given["input_features"])[0]
        return str(self._processor.tokenizer.convert_ids_to_tokens(int(token))).strip("<|> ")


class _Reader:
    """The classifier of words."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded, self._tokenizer = loaded, loaded.part("AutoTokenizer")
        self._labels = [str(label) for _, label in sorted(loaded.model.config.id2label.items())]
        moods.readable(self._labels, "sentiment")

    def mood(self, text: str) -> moods.Mood:
        import torch

        longest = min(int(self._tokenizer.model_max_length), 512)
        tokens = self._tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        tokens.pop("token_type_ids", None)
        with torch.inference_mode():
            logits = self._loaded.model(**self._loaded.on_device(tokens)).logits[0].float()
        several = self._loaded.model.config.problem_type == "multi_label_classification"
        shares = (logits.sigmoid() if several else logits.softmax(-1)).tolist()
        return moods.mood(dict(zip(self._labels, shares, strict=True)))


def create() -> Speech:
    return Speech()
