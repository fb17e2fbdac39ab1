# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sync: how well impacts, recorded sound and foley meet the known contacts of the ``sync-*`` clips, beside chance.

    python bench/sync.py

F1, precision, recall within 80 ms one to one, and the median signed lag (positive: late). "null" is the same list of
moments shifted around the clip by 400 random offsets.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from _onsets import agree, null_f1, onsets

from immersivaudio.engine import media, pipeline, plugins
from immersivaudio.engine.cue import Clip, Span, Stem
from immersivaudio.engine.request import DeliveryWish, ScoreRequest, Workspace

MEDIA = Path(__file__).parents[2] / "shared" / "media"
RATE_HZ = 48_000


@dataclass(frozen=True, slots=True)
class Truth:
    """A clip and the moments at which something is struck in it."""

    path: Path
    contacts_s: tuple[float, ...]
    duration_s: float
    has_sound: bool


def truths() -> list[Truth]:
    """The ``sync-*`` clips of the manifest, none where the shared media are not there."""
    if not (MEDIA / "MANIFEST.toml").is_file():
        return []
    manifest = tomllib.loads((MEDIA / "MANIFEST.toml").read_text())
    clips = [video for video in manifest["video"] if Path(video["file"]).name.startswith("sync-")]
    return [
        Truth(
            MEDIA / clip["file"],
            tuple(float(moment) for moment in clip["sync_events"]),
            float(clip["duration"]),
            bool(clip["has_audio"]) and not clip.get("audio_is_silent", False),
        )
        for clip in clips
    ]


def impacts(path: Path, least: float = 0.5) -> list[float]:
    """What the motion watcher alone takes for impacts."""
    watcher = plugins.create("watchers", "motion")
    watcher.setup()
    span = Span(Fraction(0), media.probe(path).duration_s)
    session = watcher.open(Clip("bench", path.name, "video", 0, str(path), span, span))
    for frame in media.frames(path, None, watcher.wish):
        session.see(frame)
    found = (s for s in session.finish() if s.label == "impact" and s.confidence >= least)
    return sorted(float(sighting.span.start_s) for sighting in found)


def recorded(path: Path) -> list[float]:
    """Onsets of the clip's own sound."""
    blocks = list(media.sound(path, None, rate_hz=RATE_HZ, channels=2))
    return onsets(np.concatenate(blocks, axis=1).mean(0), RATE_HZ)


def foley(path: Path) -> list[float]:
    """Onsets of the foley stem that the whole way gives for a clip, as ``score --output stems`` delivers it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = ScoreRequest(media=path, delivery=DeliveryWish(outputs=("stems",)))
        made = pipeline.score(request, Workspace(folder / "cache", folder), lambda event: None, lambda: False).made
        stems = [one.path for one in made if one.stem is Stem.FOLEY]
        return recorded(stems[0]) if stems else []


def row(name: str, what: str, found: Sequence[float], truth: Truth) -> str:
    result = agree(found, truth.contacts_s)
    chance = null_f1(found, truth.contacts_s, truth.duration_s)
    return (
        f"{name:28s} {what:16s} {len(found):3d}/{len(truth.contacts_s):<3d} F1 {result.f1:.2f}  P {result.precision:.2f}  "
        f"R {result.recall:.2f}  lag {1000 * result.lag_s:+5.0f} ms  null {chance:.2f}"
    )


def main() -> None:
    clips = truths()
    if not clips:
        print("sync: the shared test media are not beside the repository, nothing to measure")
    for truth in clips:
        name = truth.path.stem
        print(row(name, "impacts alone", impacts(truth.path), truth))
        if truth.has_sound:
            print(row(name, "recorded sound", recorded(truth.path), truth))
        print(row(name, "foley stem", foley(truth.path), truth))


if __name__ == "__main__":
    main()
