# SPDX-License-Identifier: AGPL-3.0-or-later
"""Killing the worker and the server at random moments: no accepted job lost, nothing twice, sequences without gap."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import Chaos

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker through /proc")


@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_kill_9_loses_nothing(tmp_path: Path, kills: int) -> None:
    report = Chaos(tmp_path, kills=kills, seed=kills).run()
    assert report.kills == kills and report.hit_running > kills / 4
    assert report.lost == [] and report.not_succeeded == []
    assert report.twice == [] and report.missing == [] and report.gaps == []
    assert report.jobs >= 5
