# SPDX-License-Identifier: AGPL-3.0-or-later
"""The operator's language model behind a guard, as watchers are: one that crashes, hangs or eats memory costs its words,
and the template's stay."""

from __future__ import annotations

from immersivaudio.engine.errors import EngineError
from immersivaudio.engine.guarded_child import GoneError, GuardedChild, Reply
from immersivaudio.engine.guarding import LOADS_IN, Limits, said_of
from immersivaudio.engine.wording import MODEL, Asked, Template, Wording, Words, checked, question

_MODULE = "immersivaudio.engine.wording_process"
# Weights stand in memory twice while they are read.
_WHILE_LOADING = 2


class GuardedModel:
    """The model in its process, which ends with this object. ``lost`` says why it is no more, empty while it is."""

    def __init__(self, limits: Limits) -> None:
        """Start and load it.

        Raises:
            EngineError: it cannot be loaded, or died over it.
        """
        self.lost = ""
        self._patience_s = limits.patience_s
        self._child = GuardedChild(_MODULE, (), limits.memory_bytes + _WHILE_LOADING * MODEL.size_bytes())
        self._ask({"do": "setup"}, LOADS_IN * limits.patience_s)

    @property
    def pid(self) -> int:
        return self._child.pid

    def words(self, asked: Asked) -> Words:
        """See :class:`immersivaudio.engine.wording.Wording`."""
        if self.lost:
            raise EngineError(self.lost)
        reply = self._ask({"do": "answer", "text": question(asked), "seed": asked.cue.seed}, self._patience_s)
        return checked(str(reply["text"]), asked.cue)

    def _ask(self, message: Reply, patience_s: float) -> Reply:
        try:
            reply = self._child.ask(message, patience_s)
        except GoneError as error:
            self.lost = said_of(error)
            raise EngineError(self.lost) from error
        if reply["is"] == "failed":
            raise EngineError(str(reply["message"]))
        return reply


def of_operator() -> tuple[Wording, str]:
    """The operator's language model or the template, and a sentence where the model cannot be used."""
    if not MODEL.named:
        return Template(), ""
    try:
        return GuardedModel(Limits.here()), ""
    except EngineError as error:
        return Template(), f"The language model was left out: {error.message} The template words the cues."
