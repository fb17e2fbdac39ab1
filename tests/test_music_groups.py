# SPDX-License-Identifier: AGPL-3.0-or-later
"""Music delivered by instrument group: files, lanes, levels, and what is performed again when a cue changes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest
from mixing_stage import Stage, bed, noise, read, stem_of, write

from immersivaudio.bridge import timeline
from immersivaudio.engine import composing, media, mixing, pipeline, riding, sheets
from immersivaudio.engine.cue import MUSIC_GROUPS, Cue, CueSheet, Span, Stem, Take
from immersivaudio.engine.request import DeliveryWish, Outcome, ScoreRequest, Workspace

TWO_CUES = CueSheet(
    "ball",
    Fraction(25),
    Fraction(5),
    tuple(
        Cue(f"m{n}", Stem.MUSIC, Span(Fraction(5 * n, 2), Fraction(5, 2)), "music", params={"energy": 0.8}, seed=n)
        for n in range(2)
    ),
)
# Every file has 24 bits. The two pieces stay under half of full scale, where a take's limiter begins to bend.
ROUNDING = (len(MUSIC_GROUPS) + 1) * 2.0**-23


def scored(ball: Path, cache: Path, scratch: Path, sheet: CueSheet = TWO_CUES, **wish: object) -> Outcome:
    scratch.mkdir()
    wished = DeliveryWish(**{"outputs": ("stems", "otio"), "music_stems": True, **wish})  # type: ignore[arg-type]
    request = ScoreRequest(media=ball, sheet=sheet, delivery=wished)
    return pipeline.score(request, Workspace(cache, scratch), lambda event: None, lambda: False)


def stems(outcome: Outcome) -> dict[str, np.ndarray]:
    """The music's files by the last part of their name."""
    found = [one for one in outcome.made if one.kind == "stem" and one.stem is Stem.MUSIC]
    waves = {one.name.split(".")[-2]: np.concatenate(list(media.sound(one.path, None)), axis=1) for one in found}
    assert len(waves) == len(found)
    return waves


def takes_in(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*.wav") if "takes" in path.parts}


def lanes(timeline: otio.schema.Timeline) -> dict[str, otio.schema.Track]:
    return {track.name: track for track in timeline.tracks if track.name.startswith("Immersivaudio")}


def test_every_group_of_an_instrument_has_a_stem() -> None:
    assert {made.group for made in composing.INSTRUMENTS.values()} == set(MUSIC_GROUPS)


def test_groups_add_up_to_the_stem_played_whole(ball: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    whole = stems(scored(ball, cache, tmp_path / "whole", music_stems=False))
    grouped = scored(ball, cache, tmp_path / "grouped", outputs=("stems", "otio", "report"))
    parts = stems(grouped)
    assert list(whole) == ["music"]
    assert {"music-strings", "music-bass"} < set(parts) <= {f"music-{group}" for group in MUSIC_GROUPS}
    assert all(np.abs(wave).max() > 0.001 for wave in parts.values())
    assert np.abs(sum(parts.values()) - whole["music"]).max() < ROUNDING
    assert grouped.warnings == ()

    finished = otio.adapters.read_from_file(str(next(one.path for one in grouped.made if one.kind == "otio")))
    arrived = timeline.lanes(finished, {one.name: str(one.path) for one in grouped.made})
    assert {f"{lane.stem}-{lane.group}" for lane in arrived} == set(parts)
    laid = lanes(finished)
    assert set(laid) == {f"Immersivaudio {name.replace('-', ' ').title()}" for name in parts}
    strings = laid["Immersivaudio Music Strings"]
    assert strings.metadata["immersivaudio"]["group"] == "strings"
    assert [clip.metadata["immersivaudio"]["cue"] for clip in strings.find_clips()] == ["m0", "m1"]
    assert {Path(clip.media_reference.target_url).name for clip in strings.find_clips()} == {
        f"{ball.stem}.music-strings.wav"
    }
    rows = json.loads(next(one.path for one in grouped.made if one.kind == "manifest").read_text())
    assert set(parts) <= set(rows["loudness"]["stems"])
    page = next(one.path for one in grouped.made if one.kind == "report").read_text()
    drawn = re.findall(r'class="name"[^>]*>([^<]*)<', page)
    assert sorted(drawn) == sorted(name.removeprefix("music-").title() for name in parts)
    assert all(f"<td>{name.replace('-', ' ')}</td>" in page for name in parts)


def test_a_changed_cue_has_its_own_groups_performed_again_alone(ball: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = stems(scored(ball, cache, tmp_path / "one", loudness="none"))
    known = takes_in(cache)
    first, second = TWO_CUES.cues
    other = replace(TWO_CUES, cues=(first, replace(second, seed=99)))
    after = stems(scored(ball, cache, tmp_path / "two", other, loudness="none"))
    begun = round(second.span.start_s * 48_000)
    assert not np.array_equal(before["music-strings"][:, begun:], after["music-strings"][:, begun:])
    assert np.array_equal(before["music-strings"][:, :begun], after["music-strings"][:, :begun])
    fresh = takes_in(cache) - known
    assert 1 < len(fresh) <= 1 + len(MUSIC_GROUPS), "the whole of the changed cue and its groups, none of the other's"
    scored(ball, cache, tmp_path / "three", other, loudness="none")
    assert takes_in(cache) == known | fresh


@pytest.mark.parametrize(("dialect", "ending"), [("premiere", ".xml"), ("kdenlive", ".kdenlive")])
def test_an_editors_own_document_carries_the_groups(ball: Path, tmp_path: Path, dialect: str, ending: str) -> None:
    outcome = scored(ball, tmp_path / "cache", tmp_path / "job", outputs=("otio",), dialect=dialect)
    document = next(one.path for one in outcome.made if one.kind == "timeline")
    assert document.suffix == ending
    names = [one.name for one in outcome.made if one.kind == "stem" and one.stem is Stem.MUSIC]
    assert len(names) >= 3
    assert all(name in document.read_text("utf-8") for name in names)
    assert "Immersivaudio Music Strings" in document.read_text("utf-8")


def test_a_further_take_is_of_the_whole_and_no_reference_of_a_group(ball: Path, tmp_path: Path) -> None:
    outcome = scored(ball, tmp_path / "cache", tmp_path / "job", takes=2)
    laid = otio.adapters.read_from_file(str(next(one.path for one in outcome.made if one.kind == "otio")))
    clips = [clip for track in lanes(laid).values() for clip in track.find_clips()]
    assert all(len(clip.metadata["immersivaudio"]["takes"]) == 2 for clip in clips)
    assert all(len(clip.media_references()) == 1 for clip in clips)


def test_a_group_that_peaks_over_the_whole_is_ridden_below_full_scale(tmp_path: Path) -> None:
    """Two groups that nearly cancel each other: each is louder than their sum, and still no file may clip."""
    stage = Stage(tmp_path, Fraction(8))
    loud, left = noise(8, 0.12, seed=1), bed(8, 0.02)
    whole = stage.cue(Stem.MUSIC, 0, left)
    lone = stage.cue(Stem.MUSIC, 0, bed(8, 0.01, seed=3))
    stage.says(2, 4)
    parts = {whole.id: {"strings": part(stage, whole, loud, "a"), "bass": part(stage, whole, left - loud, "b")}}
    booth = mixing.Booth(tmp_path)
    voice = stage.original(noise(8, 0.1, seed=4))
    mixed = mixing.mix(stage.sheet(), stage.takes, voice, mixing.MixOptions(), booth, parts)
    waves = {file.name: read(file.path) for file in mixed.lanes}
    assert list(waves) == ["dialogue", "music-strings", "music-bass", "music"]
    assert [place.cue_id for place in mixed.lanes[-1].placements] == [lone.id]
    assert np.abs(sum(waves.values()) - read(mixed.bounce.path)).max() < 1e-5
    music = waves["music-strings"] + waves["music-bass"] + waves["music"]
    assert np.abs(music - read(stem_of(mixed, Stem.MUSIC).path)).max() < 1e-5

    gain_db = 9.0
    ride = riding.rides(mixed, gain_db)[Stem.MUSIC]
    written = max(np.abs(wave * ride.undo(0, wave.shape[1])).max() for name, wave in waves.items() if "music" in name)
    assert 0.7 < written * 10 ** (gain_db / 20) < 1.0


def part(stage: Stage, cue: Cue, samples: np.ndarray, name: str) -> Take:
    path = write(stage.folder / f"{name}.group.wav", samples)
    return replace(stage.takes[cue.id], key=name, path=str(path))


def test_score_music_stems_and_overwrite_them_with_one(ball: Path, tmp_path: Path) -> None:
    (tmp_path / "cues.json").write_text(sheets.to_json(TWO_CUES))
    command = [sys.executable, "-m", "immersivaudio", "score", ball, "--cues", tmp_path / "cues.json", "-q"]
    out = tmp_path / "out"
    subprocess.run([*map(str, command), "-o", str(out), "--music-stems"], check=True, timeout=300)
    assert len(list(out.glob("*.music-*.wav"))) >= 3
    assert not list(out.glob("*.music.wav"))
    subprocess.run([*map(str, command), "-o", str(out), "--overwrite"], check=True, timeout=300)
    assert [path.name for path in out.glob("*.music*.wav")] == [f"{ball.stem}.music.wav"]
