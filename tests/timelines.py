# SPDX-License-Identifier: AGPL-3.0-or-later
"""Timelines for the tests: what stands in for media that nobody here has."""

from __future__ import annotations

from pathlib import Path

from immersivaudio.engine.errors import MediaError
from immersivaudio.engine.media import Probe


def nothing_here(path: Path) -> Probe:
    """The media of these timelines are on their editors' machines."""
    raise MediaError(f"{path.name} is missing.")
