# SPDX-License-Identifier: AGPL-3.0-or-later
"""OTIO bundles: ``.otioz`` (a zip) and ``.otiod`` (a folder), both ``content.otio`` beside ``media/``."""

from __future__ import annotations

import atexit
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import BYTES_AT_MOST, Imported, otio_json
from immersivaudio.engine.importers.warnings import Grumbles

_CONTENT = "content.otio"
_FILES_AT_MOST = 50_000
_GROWTH_AT_MOST = 20
_AGAIN = "Export the bundle again."


def read(path: Path, grumbles: Grumbles, scratch: Path | None = None) -> Imported:
    """The timeline of a bundle; the media of a zip are unpacked into ``scratch``.

    Raises:
        TimelineError: no bundle, a name that leads out of it, or a zip that swells beyond reason.
    """
    folder = path if path.is_dir() else _unpacked(path, scratch)
    content = folder / _CONTENT
    if not content.is_file():
        raise TimelineError(f"{path.name} holds no {_CONTENT}, so it is no OTIO bundle.", _AGAIN)
    if content.stat().st_size > BYTES_AT_MOST:
        raise TimelineError(f"{path.name} is larger than {BYTES_AT_MOST >> 20} MiB.", "Export the timeline in parts.")
    timeline = otio_json.read(content, grumbles)
    for clip in timeline.find_clips():
        for reference in clip.media_references().values():
            _refuse_escape(getattr(reference, "target_url", ""), path)
    return Imported(timeline, folder, inside_only=True)


def _refuse_escape(name: str, bundle: Path) -> None:
    if ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise TimelineError(f"{bundle.name} names a file outside itself: {name}.", _AGAIN)


def _unpacked(path: Path, scratch: Path | None) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, path)
            return _extracted(archive, path, scratch)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise TimelineError(f"{path.name} is no readable zip: {error}.", _AGAIN) from error


def _check(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    if len(entries) > _FILES_AT_MOST:
        raise TimelineError(f"{path.name} holds more than {_FILES_AT_MOST} files.", _AGAIN)
    for entry in entries:
        _refuse_escape(entry.filename, path)
        if PurePosixPath(entry.filename).is_absolute() or stat.S_ISLNK(entry.external_attr >> 16):
            raise TimelineError(f"{path.name} names a file outside itself: {entry.filename}.", _AGAIN)
    grown = sum(entry.file_size for entry in entries)
    if grown > max(BYTES_AT_MOST, _GROWTH_AT_MOST * path.stat().st_size):
        raise TimelineError(f"{path.name} would swell to {grown >> 20} MiB.", _AGAIN)


def _extracted(archive: zipfile.ZipFile, path: Path, scratch: Path | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="otioz-", dir=scratch))
    if scratch is None:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    needed = sum(entry.file_size for entry in archive.infolist())
    if needed > shutil.disk_usage(folder).free:
        raise TimelineError(f"Unpacking {path.name} needs {needed >> 20} MiB.", "Free some space.")
    archive.extractall(folder)
    return folder
