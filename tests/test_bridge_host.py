# SPDX-License-Identifier: AGPL-3.0-or-later
"""The host of the guide, word for word, scores an edit from end to end; and what ``run`` does when things go wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
import serving

from immersivaudio.bridge import host
from immersivaudio.bridge.stdio import Link

GUIDE = Path(__file__).parents[1] / "docs/writing-an-editor-script.md"
RATE = Fraction(25)


def _edit(film: Path, path: Path) -> otio.schema.Timeline:
    whole = otio.opentime.TimeRange(otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(125, 25))
    clip = otio.schema.Clip("film", otio.schema.ExternalReference(str(film), whole), whole)
    timeline = otio.schema.Timeline("cut")
    timeline.tracks.append(otio.schema.Track("V1", kind=otio.schema.TrackKind.Video, children=[clip]))
    otio.adapters.write_to_file(timeline, str(path))
    return timeline


def test_the_guides_host_scores_an_edit_and_takes_it_back(ball: Path, tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert len(code) == 1
    script, edit = tmp_path / "otio_host.py", tmp_path / "cut.otio"
    script.write_text(code[0])
    before = _edit(ball, edit)
    folder = tmp_path / "sound"
    done = subprocess.run([sys.executable, script, edit, folder], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    placed, wanted = re.fullmatch(r"placed (\d+)/(\d+)", said[-1]).groups()  # type: ignore[union-attr]
    assert placed == wanted
    assert {line.split()[0] for line in said[:-1]} >= {"accepted", "progress", "cue_sheet", "done"}
    after = otio.adapters.read_from_file(str(edit))
    assert after.tracks[0].is_equivalent_to(before.tracks[0])
    ours = [track for track in after.tracks if "immersivaudio" in track.metadata]
    assert {track.metadata["immersivaudio"]["stem"] for track in ours} >= {"foley"}
    clips = [clip for track in ours for clip in track.find_clips()]
    assert len(clips) == int(placed)
    for clip in clips:
        assert Path(clip.media_reference.target_url).parent == folder
        # The stems begin with the edit: what is heard at a moment lies at that moment of the file.
        assert clip.range_in_parent().start_time == clip.source_range.start_time


class Recording:
    """A host that only writes down what it is asked."""

    name, version, capabilities = "recording", "1", ("undo",)

    def __init__(self) -> None:
        self.laid: list[Sequence[host.Lane]] = []

    def gather(self, scope: host.Scope) -> dict[str, Any]:
        return {
            "OTIO_SCHEMA": "Timeline.1",
            "name": "c",
            "metadata": {},
            "tracks": {"OTIO_SCHEMA": "Stack.1", "children": []},
        }

    def lay(self, lanes: Sequence[host.Lane]) -> host.Receipt:
        self.laid.append(lanes)
        return host.Receipt(0, 0)

    def remove_last(self) -> int:
        return 0


def test_a_failed_or_stopped_job_lays_nothing(tmp_path: Path) -> None:
    """What the person sees is the engine's sentence; when ``show`` is interrupted the engine stops too."""
    recording = Recording()
    with serving.start(tmp_path / "engine") as engine:
        link = Link([sys.executable, "-m", "immersivaudio.bridge.stdio", "--engine", engine.address])
        try:
            with pytest.raises(host.LinkError, match=r"clip.mp4 is corrupt. Export it again."):
                host.run(recording, link, _order("wrong=media", tmp_path))
            heard: list[dict[str, Any]] = []
            with pytest.raises(KeyboardInterrupt):
                host.run(recording, link, _order("steps=100000 pause=0.01", tmp_path), _interrupt_at_progress(heard))
            job = heard[0]["params"]["job"]
            while (event := link.next_event(60)) is not None and event["method"] != "failed":
                pass
            assert event is not None
            assert (event["params"]["job"], event["params"]["reason"]) == (job, "CANCELLED")
        finally:
            link.close()
    assert recording.laid == []


def _order(steering: str, folder: Path) -> host.Order:
    return host.Order(str(folder), params={"description": steering})


def _interrupt_at_progress(heard: list[dict[str, Any]]) -> Any:
    def show(event: dict[str, Any]) -> None:
        heard.append(event)
        if event["method"] == "progress":
            raise KeyboardInterrupt

    return show


def test_media_travel_as_bytes_where_the_engine_may_not_read_them(ball: Path, tmp_path: Path) -> None:
    """An engine without roots is like one on another machine: the film is uploaded, once."""
    edit = tmp_path / "cut.otio"
    _edit(ball, edit)
    timeline = json.loads(edit.read_text())
    with serving.start(tmp_path / "engine", job="immersivaudio.engine.pipeline:score") as engine:
        link = Link([sys.executable, "-m", "immersivaudio.bridge.stdio", "--engine", engine.address])
        try:
            link.ask("spot", {"timeline": timeline, "effect": "soundtrack", "params": {}})
            heard = []
            while not heard or heard[-1]["method"] not in ("done", "failed"):
                heard.append(link.next_event(120))
            assert heard[-1]["method"] == "done", heard[-1]
            sheet = next(event["params"]["cue_sheet"] for event in heard if event["method"] == "cue_sheet")
            assert [cue for cue in sheet["cues"] if cue["stem"] == "STEM_FOLEY"]
        finally:
            link.close()
    blobs = [path for path in (tmp_path / "engine/blobs").rglob("*") if path.is_file()]
    assert ball.stat().st_size in {path.stat().st_size for path in blobs}
