# SPDX-License-Identifier: AGPL-3.0-or-later
"""Builds the extension's zip and beside it the list that makes the folder a repository Blender can install from:
``python editor_scripts/blender/build.py [FOLDER]`` (``dist`` when not said)."""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BRIDGE = ("effect.py", "host.py", "sheet.py", "stdio.py")
LICENCES = {"LICENSE": ROOT / "LICENSE", "bridge/LICENSE": ROOT / "bridge" / "LICENSE"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def contents() -> dict[str, bytes]:
    """Every file of the extension by its name in the zip: the add-on, and the bridge's standard-library half."""
    own = [path for path in sorted(HERE.glob("*.py")) if path.name != "build.py"]
    files = {path.name: path.read_bytes() for path in (*own, HERE / "blender_manifest.toml")}
    source = _bridge()
    files["bridge/__init__.py"] = b"# SPDX-License-Identifier: Apache-2.0\n"
    files.update({f"bridge/{name}": _vendored((source / name).read_bytes()) for name in BRIDGE})
    files.update({name: path.read_bytes() for name, path in LICENCES.items()})
    return files


def _bridge() -> Path:
    """The bridge's package: in a checkout in its own folder, in an installed wheel beside this one."""
    checkout = ROOT / "bridge" / "immersivaudio" / "bridge"
    return checkout if checkout.is_dir() else ROOT / "bridge"


def _vendored(text: bytes) -> bytes:
    """A file of the bridge as it stands inside the extension, where it has another name."""
    return text.replace(b"from immersivaudio.bridge.", b"from .")


def build(folder: Path) -> Path:
    """Write ``immersivaudio-VERSION.zip`` into ``folder``: the same bytes for the same sources."""
    manifest = tomllib.loads((HERE / "blender_manifest.toml").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{manifest['id']}-{manifest['version']}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(contents().items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return target


def list_in_repository(archive: Path) -> None:
    """Write ``index.json`` beside ``archive``, as Blender's ``server-generate`` does."""
    manifest = tomllib.loads((HERE / "blender_manifest.toml").read_text())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    about = {"archive_url": f"./{archive.name}", "archive_size": archive.stat().st_size}
    entry = {**manifest, **about, "archive_hash": f"sha256:{digest}"}
    index = {"version": "v1", "blocklist": [], "data": [entry]}
    archive.with_name("index.json").write_text(json.dumps(index, indent=2))


if __name__ == "__main__":
    built = build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
    list_in_repository(built)
    print(built)
