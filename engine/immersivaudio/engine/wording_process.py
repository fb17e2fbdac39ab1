# SPDX-License-Identifier: AGPL-3.0-or-later
"""The operator's language model in a process of its own; :mod:`.guarded_wording` is the other end of its pipes.

In:  ``setup``, ``answer`` (text, seed)
Out: ``ready``, ``done`` (text), ``failed`` (message) in the field ``is``.
"""

from __future__ import annotations

from functools import partial
from typing import BinaryIO

from immersivaudio.engine import guarded_desk
from immersivaudio.engine.guarded_desk import Message
from immersivaudio.engine.wording import LanguageModel


class Writer(guarded_desk.Desk):
    """The model, loaded when it is asked to be."""

    def __init__(self, name: str, given: BinaryIO, told: BinaryIO) -> None:
        super().__init__(name, given, told)
        self._model: LanguageModel | None = None

    def do(self, message: Message, data: bytes) -> Message:
        if self._model is None:
            self._model = LanguageModel.named()
        if message["do"] == "setup":
            return {"is": "ready"}
        return {"is": "done", "text": self._model.answer(message["text"], message["seed"]) if self._model else ""}


if __name__ == "__main__":
    guarded_desk.serve(partial(Writer, "the language model"))
