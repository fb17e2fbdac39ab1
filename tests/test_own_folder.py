# SPDX-License-Identifier: AGPL-3.0-or-later
"""The folder that an engine of one's own listens in goes with it; what a killed process left goes with the next."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from immersivaudio.bridge.errors import EngineGoneError
from immersivaudio.bridge.own_folder import OwnFolder, clear_dead

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
LIVE = (
    "import os; from immersivaudio.bridge.own_folder import OwnFolder; own = OwnFolder(); print(own.path, flush=True); "
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(folder: Path) -> None:
    os.utime(folder, (1, 1))


def test_what_a_killed_process_left_is_removed_and_nothing_else(place: Path) -> None:
    told = {**os.environ, "TMPDIR": str(place)}
    left = subprocess.run([sys.executable, "-c", LIVE + "os._exit(9)"], env=told, capture_output=True, text=True)
    dead = Path(left.stdout.strip())
    unlocked = place / "immersivaudio-proxies-somebody"
    unlocked.mkdir()
    with OwnFolder() as alive:
        for folder in (dead, unlocked, alive):
            assert folder.is_dir()
            age(folder)
        clear_dead(place)
        assert (dead.exists(), unlocked.exists(), alive.exists()) == (False, True, True)
    assert not alive.exists()


def test_a_young_folder_is_left_alone(place: Path) -> None:
    young = place / "immersivaudio-young"
    young.mkdir()
    (young / ".in-use").touch()
    clear_dead(place)
    assert young.exists()


def test_no_place_for_temporary_files_is_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "nowhere"))
    with pytest.raises(EngineGoneError, match="temporary files"):
        OwnFolder()
