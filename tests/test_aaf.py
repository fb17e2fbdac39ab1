# SPDX-License-Identifier: AGPL-3.0-or-later
"""An AAF whose counts are wrong costs a sentence, neither the memory nor the hours that it asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from timelines import nothing_here

from immersivaudio.engine import conform
from immersivaudio.engine.errors import TimelineError

INDEX = re.compile(rb"[\x01-\x40]\0\0\0(?=.{4}\xff\xff\xff\xff..[\x10\x20])", re.DOTALL)
"""The count of a set's index: next key, last free key (none), the key's property and its size follow."""


def test_a_count_beyond_all_memory_is_refused(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "media/timelines/avid-29.97df-start-5h.aaf").read_bytes()
    places = [match.start() for match in INDEX.finditer(whole)]
    assert places
    data = bytearray(whole)
    for place in places:
        data[place : place + 4] = b"\xf0\xff\xff\x0f"
    path = tmp_path / "cut.aaf"
    path.write_bytes(data)
    resource = pytest.importorskip("resource", reason="Windows limits no memory")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TimelineError, match=r"^cut\.aaf cannot be understood"):
        conform.read(path, prober=nothing_here)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes, in this process"
