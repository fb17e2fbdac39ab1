# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the index knows of a folder, of a file in it, and of how that file sounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.cue import Licence

NOT_STATED = "not stated (the user's own library)"


@dataclass(frozen=True, slots=True)
class Folder:
    """A library: a folder of sounds under a name, and what its owner says may be done with them."""

    id: int
    name: str
    path: Path
    licence: Licence


@dataclass(frozen=True, slots=True)
class Notes:
    """What a file's name and headers say. ``category`` and ``subcategory`` are words; 0 is a length that nobody knows."""

    fx_name: str
    cat_id: str = ""
    category: str = ""
    subcategory: str = ""
    description: str = ""
    creator_id: str = ""
    source_id: str = ""
    duration_s: float = 0.0
    channels: int = 0
    rate_hz: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a file sounds like, of its first ``HEARD_S`` seconds (see ``hearing.py``).

    ``lufs`` is integrated loudness, None for silence; ``onsets_ms`` are its attacks, ``levels_db`` one level a second.
    ``loudest_s`` is the middle of its loudest 400 ms.
    """

    lufs: float | None
    peak_db: float
    onsets_ms: tuple[int, ...] = ()
    levels_db: tuple[int, ...] = ()
    loudest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a library. ``path`` is below the folder's, with slashes. ``fault`` says why it cannot be used."""

    id: int
    folder: Folder
    path: str
    size_bytes: int
    mtime_ns: int
    notes: Notes
    fault: str = ""
    sha256: str = ""
    heard: Heard | None = None

    @property
    def file(self) -> Path:
        return self.folder.path / self.path
