# SPDX-License-Identifier: AGPL-3.0-or-later
"""What could not be honoured, gathered so that a thousand like cases make one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

_NAMED = 4


@dataclass(slots=True)
class Grumbles:
    """Collects warnings; ``sentences`` tells each once, in the order of their first coming."""

    _by_text: dict[str, list[str]] = field(default_factory=dict)

    def add(self, sentence: str, clip: str | None = None) -> None:
        """Note ``sentence``; every ``{clips}`` in it becomes the names of the clips it came with."""
        names = self._by_text.setdefault(sentence, [])
        if clip is not None:
            names.append(clip or "(unnamed)")

    def sentences(self) -> tuple[str, ...]:
        return tuple(text.replace("{clips}", _list(names)) for text, names in self._by_text.items())


def _list(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    shown = ", ".join(f"“{name}”" for name in unique[:_NAMED])
    return f"{shown} and {len(unique) - _NAMED} more" if len(unique) > _NAMED else shown
