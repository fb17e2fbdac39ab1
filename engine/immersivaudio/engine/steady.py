# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the media of a job are still the files that were watched: a result never lays sound under another picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.cue import Edit
from immersivaudio.engine.errors import MediaError
from immersivaudio.engine.watching import identity


@dataclass(frozen=True, slots=True)
class Steady:
    """Each file with what it was when the job began."""

    known: Mapping[Path, str]

    @classmethod
    def of(cls, edit: Edit) -> Steady:
        """Of all that is seen or heard of ``edit``."""
        paths = {Path(clip.media) for clip in (*edit.picture, *edit.sound_clips()) if clip.media}
        return cls({path: found for path in paths if (found := _found(path))})

    def check(self) -> None:
        """Raises: MediaError where a file is another one now, or gone."""
        for path, before in self.known.items():
            if (now := _found(path)) != before:
                what = "was changed" if now else "has gone"
                raise MediaError(
                    f"{path.name} {what} while it was worked on.",
                    "Leave it as it is until the job is done, and score it again.",
                )


def _found(path: Path) -> str:
    try:
        return identity(path)
    except OSError:
        return ""
