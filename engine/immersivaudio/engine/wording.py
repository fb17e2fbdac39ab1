# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who words the cues for performers that read words: the template, or a language model that the operator names.

The model is told what was seen, the tone and the neighbouring cues, and must answer in a schema that is checked; where it
does not, the template's words stay. The same cue, seed and weights give the same words.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from immersivaudio.engine import moods
from immersivaudio.engine.cue import Cue, CueSheet, Sighting, Stem
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.models.checkpoints import Checkpoint, Loaded
from immersivaudio.engine.prompts import AVOID, WRITTEN, template
from immersivaudio.engine.sounds import BY_ID

_LOG = logging.getLogger(__name__)
MODEL = Checkpoint("llm", "wording cues", "AutoModelForCausalLM", ("ForCausalLM", "LMHeadModel"))
_MOST_TOKENS, _TEMPERATURE, _TOP_P = 120, 0.7, 0.9
_LEAST, _MOST, _MOST_AVOIDED = 8, 200, 8
_VOICES = re.compile(r"\b(speech|speak\w*|talk\w*|dialogue|narrat\w*|sing\w*|song|vocals?|lyrics)\b", re.IGNORECASE)
_MUSIC = re.compile(r"\b(music\w*|melod\w*|soundtrack|orchestra\w*|guitar|piano|beat|drum\w*)\b", re.IGNORECASE)
_PEOPLE = ("crowd",)
_SEEN = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A cue, what was seen where it sounds, the tone there in words, and the cues beside it."""

    cue: Cue
    seen: tuple[str, ...]
    tone: str
    beside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """``prompt`` says what should be heard; ``avoid`` what should not, besides what never should."""

    prompt: str
    avoid: tuple[str, ...] = ()


class Wording(Protocol):
    """Puts a cue into words."""

    def words(self, asked: Asked) -> Words:
        """The words for a cue, the same for the same seed.

        Raises:
            ValueError: none that can be used.
        """
        ...


class Template:
    """The words that follow from the cue itself."""

    def words(self, asked: Asked) -> Words:
        return Words(template(asked.cue))


class LanguageModel:
    """A chat model of transformers, named by ``IMMERSIVAUDIO_LLM``."""

    def __init__(self, loaded: Loaded) -> None:
        self._hold, self._tokenizer = loaded, loaded.part("AutoTokenizer")

    @classmethod
    def named(cls) -> LanguageModel | None:
        """The operator's, loaded; None where none is named.

        Raises:
            UnavailableError: it is named, but cannot be loaded.
        """
        return cls(MODEL.load()) if MODEL.named else None

    def words(self, asked: Asked) -> Words:
        return checked(self.answer(question(asked), asked.cue.seed), asked.cue)

    def answer(self, text: str, seed: int) -> str:
        """What the model says to ``text``; sampled, but alike for a seed."""
        import torch

        inputs = self._hold.on_device(self._tokenizer(self._framed(text), return_tensors="pt"))
        inputs.pop("token_type_ids", None)
        devices = [self._hold.device.name] if self._hold.device.name.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            torch.manual_seed(seed)
            tokens = self._hold.model.generate(
                **inputs, do_sample=True, temperature=_TEMPERATURE, top_p=_TOP_P, max_new_tokens=_MOST_TOKENS
            )
        return str(self._tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def _framed(self, text: str) -> str:
        if not getattr(self._tokenizer, "chat_template", None):
            return f"{text}\n"
        asked = [{"role": "user", "content": text}]
        return str(self._tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False))


def question(asked: Asked) -> str:
    """What the model is asked, and the schema of its answer."""
    cue = asked.cue
    sound = BY_ID[cue.sound].label if cue.sound in BY_ID else cue.sound
    lines = [
        "You write prompts for a text-to-audio model that makes the sound of a film.",
        f"Sound: {sound} ({cue.stem}, {float(cue.span.duration_s):.1f} s). Usual words: {cue.prompt or template(cue)}",
        f"On screen: {'; '.join(asked.seen) or 'nothing that has a name'}.",
        f"Tone: {asked.tone or 'not known'}. Sounds beside it: {'; '.join(asked.beside) or 'none'}.",
        "Write one prompt for this sound alone, concrete and short: source, material, distance, room. "
        + ("" if cue.stem is Stem.MUSIC else "No speech and no music."),
        'Answer with JSON only: {"prompt": "...", "avoid": ["...", "..."]}',
    ]
    return "\n".join(lines)


def checked(answer: str, cue: Cue) -> Words:
    """The words out of an answer.

    Raises:
        ValueError: it is no JSON of the schema, too long or short, or asks for what the stem must not have.
    """
    found = re.search(r"\{.*?\}", answer, re.DOTALL)
    said = json.loads(found.group()) if found else None
    if not isinstance(said, Mapping) or not set(said) <= {"prompt", "avoid"} or not isinstance(said.get("prompt"), str):
        raise ValueError("the answer is not of the schema")
    prompt = " ".join(said["prompt"].split())
    if not _LEAST <= len(prompt) <= _MOST or not re.search(r"[A-Za-z]{3,} [A-Za-z]", prompt):
        raise ValueError("the prompt is no sentence of a usual length")
    _refuse_strangers(prompt, cue)
    return Words(prompt, _avoided(said.get("avoid", [])))


def _refuse_strangers(prompt: str, cue: Cue) -> None:
    if cue.stem is Stem.MUSIC:
        if _VOICES.search(prompt):
            raise ValueError("the prompt asks for voices in music")
    elif _MUSIC.search(prompt) or (_VOICES.search(prompt) and cue.sound not in _PEOPLE):
        raise ValueError(f"the prompt asks for speech or music in {cue.stem}")


def _avoided(said: Any) -> tuple[str, ...]:
    if not isinstance(said, list) or len(said) > _MOST_AVOIDED:
        raise ValueError("what is to be avoided is no short list")
    words = [" ".join(word.split()) for word in said if isinstance(word, str)]
    if len(words) != len(said) or any("," in word or not 0 < len(word) <= 40 for word in words):
        raise ValueError("what is to be avoided is not named in single words")
    return tuple(words)


def worded(
    sheet: CueSheet, sightings: Sequence[Sighting], wording: Wording, cancelled: Callable[[], bool]
) -> tuple[CueSheet, int]:
    """``sheet`` with the prompts that nobody wrote by hand worded by ``wording``, and for how many the template stayed.

    Raises:
        CancelledError: ``cancelled()`` became true.
    """
    cues, failed = [], 0
    by_id = {row.id: row for row in sightings}
    for index, cue in enumerate(sheet.cues):
        if cancelled():
            raise CancelledError("Cancelled.")
        if cue.locked or cue.muted or cue.prompt != template(cue):
            cues.append(cue)
            continue
        try:
            words = wording.words(_asked(sheet, index, by_id, sightings))
            cues.append(_with_words(cue, words))
        except Exception as error:
            _LOG.info("no words for %s: %s", cue.id, error)
            cues.append(cue)
            failed += 1
    return replace(sheet, cues=tuple(cues)), failed


def _with_words(cue: Cue, words: Words) -> Cue:
    if words.prompt == cue.prompt and not words.avoid:
        return cue
    params = {**cue.params, WRITTEN: mark(words.prompt)}
    if words.avoid:
        params[AVOID] = ", ".join(words.avoid)
    return replace(cue, prompt=words.prompt, params=params)


def mark(prompt: str) -> str:
    """What a cue carries whose words a model wrote: a person who changes them leaves it behind."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


def _asked(sheet: CueSheet, index: int, by_id: Mapping[str, Sighting], sightings: Sequence[Sighting]) -> Asked:
    cue = sheet.cues[index]
    behind = [by_id[name] for name in cue.sightings if name in by_id]
    told = [row for row in sightings if row.label == "caption" and row.span.overlap(cue.span) is not None]
    seen = dict.fromkeys(text for row in (*told, *behind) if (text := _said(row)))
    tone = moods.over([row for row in sightings if row.label == "tone"], cue.span)
    beside = [
        f"{BY_ID[other.sound].label if other.sound in BY_ID else other.sound} ({other.stem})"
        for other in sheet.cues
        if other.id != cue.id and other.span.overlap(cue.span) is not None
    ]
    return Asked(cue, tuple(seen)[:_SEEN], moods.words(tone) if tone else "", tuple(dict.fromkeys(beside))[:_SEEN])


def _said(row: Sighting) -> str:
    """A sighting in words; what somebody says is never among them."""
    if row.label == "caption":
        return str(row.values.get("text", ""))
    kind = row.values.get("kind")
    return f"{row.label} {kind} ({row.confidence:.2f})" if isinstance(kind, str) and kind else ""
