# SPDX-License-Identifier: AGPL-3.0-or-later
"""The scripts that run inside editors: where this installation has them, and writing and taking away their files."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

from immersivaudio.engine.errors import OutputError, UnavailableError


def installing(folder: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What every ``install`` command takes, ``folder`` being the words for the one that may be named; a file that cannot
    be written is a sentence.

    Raises:
        OutputError: from the command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**options: object) -> None:
            try:
                command(**options)
            except OSError as error:
                raise OutputError(f"{error.filename} cannot be written: {error.strerror}.", "Give --folder.") from error

        options = (
            click.option("--uninstall", is_flag=True, help="Take away what was installed."),
            click.option("--dry-run", is_flag=True, help="Only say what would be done."),
            click.option("--folder", type=click.Path(path_type=Path), help=folder),
        )
        return functools.reduce(lambda dressed, option: option(dressed), reversed(options), run)

    return decorate


def settings_folder(platform: str, environment: Mapping[str, str], elsewhere: tuple[str, str]) -> Path:
    """Where programs keep what a user sets; ``elsewhere`` than on macOS and Windows, a variable and the folder below home
    where it is not set."""
    if platform == "darwin":
        return Path.home() / "Library/Application Support"
    variable, usual = ("APPDATA", "AppData/Roaming") if platform == "win32" else elsewhere
    return Path(environment.get(variable) or Path.home() / usual)


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
