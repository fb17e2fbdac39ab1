# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs in a Blender of its own: ``<python with bpy> blender_driver.py CASE ZIP FOLDER OPTIONS-JSON``.

Installs the extension from its zip (an empty name: it is installed), runs one case of :mod:`blender_cases` and prints what it found as a last line of
JSON. Never returns: Blender 4.5 hangs when it is left with classes registered.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import bpy


def install(archive: str) -> str:
    """Install and enable the extension; the name of its package. Without an archive it is there, and is enabled."""
    name = "bl_ext.user_default.immersivaudio"
    if archive:
        bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
    else:
        bpy.ops.preferences.addon_enable(module=name)
    if name not in bpy.context.preferences.addons:
        raise RuntimeError("the extension was not enabled")
    return name


def main() -> dict:
    sys.path.insert(0, str(Path(__file__).parent))
    import blender_cases

    case, archive, folder, options = sys.argv[1:5]
    package = install(archive)
    return getattr(blender_cases, case)(package, Path(folder), json.loads(options))


if __name__ == "__main__":
    try:
        found, status = main(), 0
    except BaseException:
        found, status = {"traceback": traceback.format_exc()}, 1
    print(json.dumps(found), flush=True)
    os._exit(status)
