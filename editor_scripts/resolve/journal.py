# SPDX-License-Identifier: AGPL-3.0-or-later
"""What was said, on Resolve's console and in a file: where there is no window, nothing may happen unsaid."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

KEPT_BYTES = 1 << 20


class Journal:
    """Appends to ``path``, and begins anew when that has grown too large."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, text: str) -> str:
        """Print and write ``text``; returns it."""
        print(f"Immersivaudio: {text}", flush=True)
        self.write(text)
        return text

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            grown = self.path.exists() and self.path.stat().st_size > KEPT_BYTES
            with self.path.open("w" if grown else "a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
