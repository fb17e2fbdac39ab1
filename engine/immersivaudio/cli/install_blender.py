# SPDX-License-Identifier: AGPL-3.0-or-later
"""``install blender``: the extension, unpacked into the user's repository of every Blender that has settings here."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from immersivaudio.cli.editor_scripts import editor_script, installing, removed, settings_folder, written

NAME = "immersivaudio"
OLDEST = (4, 2)
_REPOSITORY = "user_default"


@click.command("blender")
@installing("A repository of extensions, .../extensions/user_default.")
def install_blender(uninstall: bool, dry_run: bool, folder: Path | None) -> None:
    """Put the extension into Blender (4.2 and newer): a panel in the sequencer's sidebar, and menu entries.

    The extension uses the environment that this command runs in; install again when that has moved.
    """
    from immersivaudio.engine.errors import RequestError

    repositories = [folder] if folder else repositories_of(sys.platform, os.environ)
    if not repositories:
        raise RequestError(
            "No settings of a Blender 4.2 or newer were found.",
            "Start Blender once and try again, or name its extensions folder with --folder.",
        )
    for repository in repositories:
        for line in _one(repository / NAME, uninstall, dry_run):
            click.echo(line)
    if not uninstall:
        click.echo("In Blender: Edit > Preferences > Add-ons, switch Immersivaudio on. Restart Blender if it is open.")


def repositories_of(platform: str, environment: Mapping[str, str]) -> list[Path]:
    """The user's own repository of extensions of every Blender 4.2 and newer that has settings on this machine."""
    if environment.get("BLENDER_USER_EXTENSIONS"):
        return [Path(environment["BLENDER_USER_EXTENSIONS"]) / _REPOSITORY]
    if environment.get("BLENDER_USER_RESOURCES"):
        return [Path(environment["BLENDER_USER_RESOURCES"]) / "extensions" / _REPOSITORY]
    base = _settings(platform, environment)
    versions = sorted(_version(path.name) for path in base.glob("*.*") if path.is_dir())
    return [base / f"{v[0]}.{v[1]}" / "extensions" / _REPOSITORY for v in versions if v >= OLDEST]


def _settings(platform: str, environment: Mapping[str, str]) -> Path:
    base = settings_folder(platform, environment, ("XDG_CONFIG_HOME", ".config"))
    return base / {"darwin": "Blender", "win32": "Blender Foundation/Blender"}.get(platform, "blender")


def _version(name: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)\.(\d+)", name)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _one(place: Path, uninstall: bool, dry_run: bool) -> Iterator[str]:
    if uninstall:
        yield from removed((place,), dry_run)
        return
    files = {place / name: data for name, data in _contents().items()}
    if not dry_run:
        shutil.rmtree(place, ignore_errors=True)
    list(written(files, dry_run))
    yield f"{'would write' if dry_run else 'wrote'} {len(files)} files to {place}"


def _contents() -> dict[str, bytes]:
    """The extension's files as its zip has them, and which environment it is to use."""
    spec = importlib.util.spec_from_file_location("build_extension", editor_script("blender", "build.py") / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    contents: dict[str, bytes] = build.contents()
    return contents | {"environment.txt": sys.executable.encode()}
