# SPDX-License-Identifier: AGPL-3.0-or-later
"""``install resolve``: the entries for Resolve's Workspace > Scripts, and the script that they run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import platformdirs

from immersivaudio.cli.editor_scripts import editor_script, installing, removed, settings_folder, written

ENTRIES = {
    "Immersivaudio.py": "score",
    "Immersivaudio - Remove last result.py": "remove",
    "Immersivaudio - Cancel.py": "cancel",
}
PACKAGE = "immersivaudio_resolve"
_BRIDGE = ("host.py", "sheet.py", "stdio.py")
_NOT_COPIED = ("menu.py", "live_check.py")
_FREE = (
    "Without Studio, Resolve 21.1 and newer lists no Python scripts. There the way is: export the timeline as .otio, "
    "`immersivaudio score cut.otio -o cut_scored.otio`, import that."
)


@click.command("resolve")
@installing("Resolve's Fusion/Scripts/Utility folder, if elsewhere.")
def install_resolve(uninstall: bool, dry_run: bool, folder: Path | None) -> None:
    """Put Immersivaudio into DaVinci Resolve's menu Workspace > Scripts.

    The entries use the environment that this command runs in; install again when that has moved.
    """
    menu = folder or menu_folder(sys.platform, os.environ)
    library = menu.parent / PACKAGE if folder else Path(platformdirs.user_data_dir("immersivaudio", False)) / "resolve"
    for line in _uninstall(menu, library, dry_run) if uninstall else _install(menu, library, dry_run):
        click.echo(line)
    if not uninstall:
        click.echo("In Resolve: Workspace > Scripts > Immersivaudio. Restart Resolve if it is not listed.")
        click.echo(_FREE)


def menu_folder(platform: str, environment: Mapping[str, str]) -> Path:
    """Where Resolve looks for a user's scripts that show on every page."""
    base = settings_folder(platform, environment, ("XDG_DATA_HOME", ".local/share"))
    vendor = "Blackmagic Design/DaVinci Resolve"
    base /= {"darwin": vendor, "win32": f"{vendor}/Support"}.get(platform, "DaVinciResolve")
    return base / "Fusion/Scripts/Utility"


def _install(menu: Path, library: Path, dry_run: bool) -> Iterator[str]:
    files = {library / PACKAGE / name: text for name, text in _package().items()}
    stub = (_source() / "menu.py").read_text("utf-8")
    for name, action in ENTRIES.items():
        baked = {"@LIBRARY@": str(library), "@PYTHON@": sys.executable, "@ACTION@": action}
        files[menu / name] = _baked(stub, baked)
    if not dry_run:
        shutil.rmtree(library / PACKAGE, ignore_errors=True)
    yield from written({path: text.encode() for path, text in files.items()}, dry_run)


def _uninstall(menu: Path, library: Path, dry_run: bool) -> Iterator[str]:
    yield from removed((*(menu / name for name in ENTRIES), library), dry_run)


def _package() -> dict[str, str]:
    """Every file of the script by its name: its own, and the bridge's standard-library half, which has another name
    there."""
    own = [path for path in sorted(_source().glob("*.py")) if path.name not in _NOT_COPIED]
    files = {path.name: path.read_text("utf-8") for path in own}
    found = importlib.util.find_spec("immersivaudio.bridge")
    bridge = Path(str(found.origin)).parent if found else Path()
    files["bridge/__init__.py"] = "# SPDX-License-Identifier: Apache-2.0\n"
    for name in _BRIDGE:
        text = (bridge / name).read_text("utf-8")
        files[f"bridge/{name}"] = text.replace("from immersivaudio.bridge.", "from .")
    return files


def _source() -> Path:
    return editor_script("resolve", "menu.py")


def _baked(stub: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        stub = stub.replace(f'"{mark}"', repr(value))
    return stub
