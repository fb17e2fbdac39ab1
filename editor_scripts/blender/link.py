# SPDX-License-Identifier: AGPL-3.0-or-later
"""Starting the bridge in the user's environment. Its threads never touch Blender: what they read waits in a queue."""

from __future__ import annotations

import ipaddress
import shutil
import sys
from pathlib import Path

import bpy

from .bridge.host import HostError
from .bridge.stdio import Link

AUTO = "auto"


def start(preferences) -> Link:
    """A bridge to the engine that the preferences name.

    Raises:
        HostError: no environment is set, Blender's online access is off for a remote engine, or it cannot be started.
    """
    engine = preferences.engine.strip() or AUTO
    if not is_local(engine) and not bpy.app.online_access:
        raise HostError(
            f"The engine {engine} is on another machine, and Blender may not go online. "
            "Allow it in Preferences > System > Network, or set the engine to auto."
        )
    command = [str(python_of(preferences.python)), "-m", "immersivaudio.bridge.stdio", "--engine", engine]
    environment = {"IMMERSIVAUDIO_TOKEN": preferences.token} if preferences.token else {}
    return Link(command, environment)


def is_local(engine: str) -> bool:
    """Whether an address never leaves this machine; such a one needs no online access."""
    host = engine.rpartition(":")[0] if engine.count(":") == 1 or engine.startswith("[") else engine
    host = host.strip("[]")
    if engine == AUTO or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def python_of(text: str) -> Path:
    """The Python of the environment that has immersivaudio: the program itself, its folder, or the environment's.

    Raises:
        HostError: there is none.
    """
    if not text.strip():
        text = _installed_from() or _on_the_path()
    place = Path(bpy.path.abspath(text.strip())).expanduser()
    inside = ("Scripts/python.exe", "python.exe") if sys.platform == "win32" else ("bin/python", "python")
    for candidate in (place, *(place / name for name in inside)):
        if candidate.is_file():
            return candidate
    raise HostError(f"There is no Python at {place}. Set it in the add-on's preferences.")


def _installed_from() -> str:
    """The environment out of which ``immersivaudio install blender`` put this extension here, while it is there."""
    note = Path(__file__).with_name("environment.txt")
    told = note.read_text("utf-8").strip() if note.is_file() else ""
    return told if told and Path(told).is_file() else ""


def _on_the_path() -> str:
    found = shutil.which("immersivaudio")
    if found is None:
        raise HostError("Set the Python of the environment that has immersivaudio in the add-on's preferences.")
    return str(Path(found).resolve().parent)
