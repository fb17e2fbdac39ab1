# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which files a request may name: canonical paths under the operator's roots, and nothing that a link leads out to."""

from __future__ import annotations

from pathlib import Path

from immersivaudio.engine.errors import AccessError, MediaError, RequestError

# Bundles that are folders: the only folders that may stand where a file is asked for.
_BUNDLES = (".otiod",)


def check(path: Path | str, roots: tuple[Path, ...] | None) -> Path:
    """``path`` with every link resolved, when it is a regular file (or a bundle) under one of ``roots``.

    ``roots`` None allows every place, an empty tuple none. Whether a file outside the roots exists is not told.

    Raises:
        RequestError: no absolute path. AccessError: outside the roots. MediaError: not there, or no regular file.
    """
    named = Path(path)
    if "\0" in str(path) or not named.is_absolute():
        raise RequestError("The path of a media file must be absolute.", "Give the whole path, from the root on.")
    real = _resolved(named)
    if roots is not None and not any(real.is_relative_to(root) for root in roots):
        raise AccessError(
            f"{named.name} lies outside the folders that this engine may read.",
            "Move it under an allowed folder, start the engine with --root FOLDER, or upload it.",
        )
    if not real.exists():
        raise MediaError(f"{named.name} is not there.", "Check the path, and that its drive is mounted.")
    if not (real.is_file() or (real.is_dir() and real.suffix.lower() in _BUNDLES)):
        raise MediaError(f"{named.name} is no regular file.", "Name a media or timeline file.")
    return real


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise MediaError(f"{path.name} cannot be reached.", "Check the links on its path.") from error
