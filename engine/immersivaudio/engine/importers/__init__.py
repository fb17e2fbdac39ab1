# SPDX-License-Identifier: AGPL-3.0-or-later
"""Timelines of every editor to OTIO, one file a format. An importer is a module with ``read(path, grumbles)``.

Our own readers exist where the published adapter loses or moves clips; times stay exact rationals all the way.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers.warnings import Grumbles

BYTES_AT_MOST = 256 * 2**20
_MODULES: Mapping[str, str] = MappingProxyType(
    {
        ".otio": "otio_json",
        ".otioz": "bundles",
        ".otiod": "bundles",
        ".edl": "edl",
        ".fcpxml": "fcpxml",
        ".fcpxmld": "fcpxml",
        ".xml": "xmeml",
        ".aaf": "aaf",
        ".kdenlive": "mlt",
        ".mlt": "mlt",
        ".xges": "xges",
    }
)
ENDINGS = frozenset(_MODULES)
_RATELESS = {".edl", ".mlt", ".kdenlive"}


@dataclass(frozen=True, slots=True)
class Imported:
    """A timeline, and the folder that its relative media names start from; ``inside_only`` for bundles, whose media
    must lie in that folder."""

    timeline: otio.schema.Timeline
    folder: Path
    inside_only: bool = False


def read(path: Path, grumbles: Grumbles, scratch: Path | None = None, rate: Fraction | None = None) -> Imported:
    """The timeline in ``path``, by its ending; ``rate`` for formats that do not say theirs.

    Raises:
        TimelineError: missing, empty, too large, of no known kind, or not understood.
    """
    ending = path.suffix.lower()
    if ending not in _MODULES:
        raise TimelineError(f"{path.name} is no timeline file.", f"Use one of: {', '.join(sorted(ENDINGS))}.")
    _check(path, ending)
    module = importlib.import_module(f"{__name__}.{_MODULES[ending]}")
    extra: dict[str, Any] = {"scratch": scratch} if ending == ".otioz" else {}
    if ending in _RATELESS:
        extra["rate"] = rate
    try:
        found = module.read(path, grumbles, **extra)
    except OSError as error:
        raise TimelineError(
            f"{path.name} cannot be read: {error.strerror}.", "Check the file and its rights."
        ) from error
    except RecursionError as error:
        raise TimelineError(f"{path.name} is nested too deep.", "Flatten some nests first.") from error
    return found if isinstance(found, Imported) else Imported(found, path.parent)


def _check(path: Path, ending: str) -> None:
    if not path.exists():
        raise TimelineError(f"The timeline {path} is missing.", "Check the path.")
    if path.is_dir():
        if ending not in (".otiod", ".fcpxmld"):
            raise TimelineError(f"{path.name} is a folder, no timeline file.", "Choose the file in it.")
        return
    size = path.stat().st_size
    if size == 0:
        raise TimelineError(f"{path.name} is empty.", "Export the timeline again.")
    if size > BYTES_AT_MOST and ending != ".otioz":
        raise TimelineError(f"{path.name} is larger than {BYTES_AT_MOST >> 20} MiB.", "Export the timeline in parts.")
