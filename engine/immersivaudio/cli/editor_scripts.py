# SPDX-License-Identifier: AGPL-3.0-or-later
"""The scripts that run inside editors: where this installation has them, and writing and taking away their files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from immersivaudio.engine.errors import UnavailableError


def editor_script(editor: str, file: str) -> Path:
    """The folder of an editor's script, in which ``file`` lies: in the wheel beside this package, in a checkout at its
    root.

    Raises:
        UnavailableError: it is in neither.
    """
    here = Path(__file__).resolve()
    for root in (here.parents[1], here.parents[3]):
        if (root / "editor_scripts" / editor / file).is_file():
            return root / "editor_scripts" / editor
    raise UnavailableError(
        f"The script for {editor.title()} is not in this installation.", "Install from a checkout or a wheel."
    )


def written(files: Mapping[Path, bytes], dry_run: bool) -> Iterator[str]:
    """Write ``files``, or only say so; a line for each."""
    for path, data in files.items():
        if not dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield f"{'would write' if dry_run else 'wrote'} {path}"


def removed(paths: Iterable[Path], dry_run: bool) -> Iterator[str]:
    """Take away files and folders, or only say so; a line for each that was there."""
    there = [path for path in paths if path.exists()]
    for path in there:
        if not dry_run:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield f"{'would remove' if dry_run else 'removed'} {path}"
    if not there:
        yield "nothing was installed there"
