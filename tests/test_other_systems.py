# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is different on Windows and macOS, as far as it can be asked for here: names of files, addresses, processes."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from immersivaudio.bridge import own_engine, process, timeline
from immersivaudio.bridge.stdio import no_window
from immersivaudio.cli import editor_scripts, install_blender, install_resolve

ON_DRIVE, ON_SHARE = PureWindowsPath(r"C:\Film\Take 1.mov"), PureWindowsPath(r"\\nas\rushes\Take 1.mov")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (r"C:\Film\Take 1.mov", ON_DRIVE),
        ("C:/Film/Take 1.mov", ON_DRIVE),
        ("/C:/Film/Take 1.mov", ON_DRIVE),
        ("file:///C:/Film/Take%201.mov", ON_DRIVE),
        ("file:///C%3A/Film/Take%201.mov", ON_DRIVE),
        ("file://localhost/C:/Film/Take 1.mov", ON_DRIVE),
        ("file://C:/Film/Take 1.mov", ON_DRIVE),
        ("file:C:/Film/Take 1.mov", ON_DRIVE),
        (r"\\nas\rushes\Take 1.mov", ON_SHARE),
        ("//nas/rushes/Take 1.mov", ON_SHARE),
        ("file://nas/rushes/Take%201.mov", ON_SHARE),
        ("file:////nas/rushes/Take%201.mov", ON_SHARE),
        ("file:///D:/%C3%84rger/%E6%98%A0%E7%94%BB.mov", PureWindowsPath("D:/Ärger/映画.mov")),
    ],
)
def test_windows_names_are_understood(url: str, path: PureWindowsPath) -> None:
    assert PureWindowsPath(timeline.names_of(url)[-1]) == path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/Volumes/Rushes/Take 1.mov", "/Volumes/Rushes/Take 1.mov"),
        ("file:///Volumes/Rushes/Take%201.mov", "/Volumes/Rushes/Take 1.mov"),
        ("file:/Volumes/Rushes/Take%201.mov", "/Volumes/Rushes/Take 1.mov"),
        ("file://localhost/Volumes/Rushes/Take%201.mov", "/Volumes/Rushes/Take 1.mov"),
        ("FILE:///Volumes/%C3%84rger.mov", "/Volumes/Ärger.mov"),
        ("Rushes/Take 1.mov", "Rushes/Take 1.mov"),
    ],
)
def test_macos_names_are_understood(url: str, path: str) -> None:
    assert PurePosixPath(timeline.names_of(url)[-1]) == PurePosixPath(path)


@pytest.mark.parametrize("url", ["https://x/y.mp4", "s3://bucket/x.mov", "smb://nas/rushes/x.mov"])
def test_what_is_no_file_has_no_name(url: str) -> None:
    assert timeline.names_of(url) == ()
    assert timeline.path_of(url) is None


def test_an_engine_of_our_own_listens_where_the_system_can() -> None:
    assert own_engine.address_in("/somewhere", "darwin") == "unix:/somewhere/engine.sock"
    address = own_engine.address_in("C:/Temp", "win32")
    assert address == "127.0.0.1:0"
    assert process.sees_our_files(address)
    assert own_engine.roots("linux") == ["/"]
    assert own_engine.roots("win32", {"C:\\", "F:\\"}.__contains__) == ["C:\\", "F:\\"]


def test_no_console_flashes_up_on_windows() -> None:
    assert no_window("win32") == {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0x08000000)}
    assert no_window("darwin") == no_window("linux") == {}


def test_settings_lie_where_each_system_has_them(tmp_path: Path) -> None:
    home = Path.home()
    for variables in ({}, {"APPDATA": ""}):
        assert editor_scripts.settings_folder("win32", variables, ("X", "y")) == home / "AppData/Roaming"
    assert editor_scripts.settings_folder("darwin", {"X": "/x"}, ("X", "y")) == home / "Library/Application Support"
    assert editor_scripts.settings_folder("linux", {"X": "/x"}, ("X", "y")) == Path("/x")
    (tmp_path / "Blender Foundation/Blender/4.5").mkdir(parents=True)
    found = install_blender.repositories_of("win32", {"APPDATA": str(tmp_path)})
    assert found == [tmp_path / "Blender Foundation/Blender/4.5/extensions/user_default"]
    menu = install_resolve.menu_folder("win32", {"APPDATA": str(tmp_path)})
    assert menu == tmp_path / "Blackmagic Design/DaVinci Resolve/Support/Fusion/Scripts/Utility"
