# SPDX-License-Identifier: AGPL-3.0-or-later
"""Our lanes of an earlier score, in documents that keep no metadata of ours: known by the name of the lane together with
the names of the files on it, which are what every editor keeps when it saves."""

from __future__ import annotations

import re
from collections.abc import Iterable

from immersivaudio.engine.cue import GENERATED_STEMS, MUSIC_GROUPS

_STEMS = "|".join(GENERATED_STEMS)
_GROUPS = "|".join(MUSIC_GROUPS)
_NAME = re.compile(
    rf"Immersivaudio (?:{_STEMS})(?: (?:{_GROUPS}))?(?: \d+)?|immersivaudio\d*_playlist\d+", re.IGNORECASE
)
_FILE = re.compile(rf"(?:.*[/\\])?[^/\\]+\.(?:{_STEMS})(?:-(?:{_GROUPS}))?\.\w{{2,4}}", re.DOTALL)


def is_lane(name: str, files: Iterable[str]) -> bool:
    """Whether a lane is of our making: it is called like one, and all that lies on it plays files that are called like our
    stems. One on which somebody put a clip of his own is not, nor one that he gave a name of his own."""
    return is_lane_name(name) and all(_FILE.fullmatch(file) for file in files)


def is_lane_name(name: str) -> bool:
    """Whether a lane is called like one of ours."""
    return _NAME.fullmatch(name) is not None
