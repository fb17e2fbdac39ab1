# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether blows are heard in the whole mix: with the room that the mix makes for them, beside the same mix without it.

    python bench/balance.py

For each film: how far the first 50 ms of every struck moment lie over the ambience (K-weighted; median and least), how many
of the cue sheet's struck moments are among the moments that stand out of the full mix (twice as many as there are blows), and
the mix's loudness and true peak. Exits with 1 where room makes a film worse, or a mix leaves its preset by 1 LU for it.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from _onsets import agree, standing_out

from immersivaudio.cli import demo
from immersivaudio.engine import media, mixing, performing, pipeline
from immersivaudio.engine.bwf import read_wav
from immersivaudio.engine.cue import CueSheet, Stem, samples_at
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.request import Goal, ScoreRequest, Workspace
from immersivaudio.engine.sounds import BY_ID, Motion

MEDIA = Path(__file__).parents[2] / "shared" / "media" / "video"
CLIPS = ("sync-football-juggling", "sync-blacksmith-hammer", "sync-drumstick-hits-bag")
_NEAR_S, _BLOW = 0.05, samples_at(0.05)
Block = np.ndarray


@dataclass(frozen=True, slots=True)
class Heard:
    """``over_db`` of every struck moment; ``found`` of them stand out of the mix."""

    over_db: tuple[float, ...]
    found: float
    lufs: float
    peak_db: float

    def __str__(self) -> str:
        least, median = min(self.over_db), statistics.median(self.over_db)
        return (
            f"over the beds {median:+5.1f} dB (least {least:+5.1f}), found {self.found:.2f}, "
            f"{self.lufs:.1f} LUFS, {self.peak_db:.1f} dBTP"
        )


def films(folder: Path) -> Iterator[tuple[str, Path]]:
    drawn = folder / "demo.mp4"
    media.encode_pictures(demo.film(), drawn, demo.RATE)
    yield "demo", drawn
    ball = folder / "ball.mp4"
    media.encode_pictures(itertools.islice(demo.film(), 150), ball, demo.RATE)
    yield "the ball alone", ball
    for name in CLIPS:
        if (path := MEDIA / f"{name}.mp4").is_file():
            yield name, path


def mixes(path: Path, folder: Path) -> Iterator[Heard]:
    """A film's mix without room for blows and with it, none of its own sound kept; heard before it is deleted."""
    workspace, request = Workspace(folder / "cache", folder), ScoreRequest(media=path, goal=Goal.SPOT)
    sheet = pipeline.score(request, workspace, lambda event: None, lambda: False).sheet
    performers = performing.Performers.load(["procedural"])
    done = performing.perform(
        sheet.sounding(), performers, workspace.cache, "commercial", lambda: False, lambda share, said: None
    )
    for room in (False, True):
        options = mixing.MixOptions(balance=room)
        yield heard(sheet, mixing.mix(sheet, done.takes, None, options, mixing.Booth(folder, workspace.cache)))


def struck_s(sheet: CueSheet) -> list[float]:
    cues = (cue for cue in sheet.sounding() if BY_ID[cue.sound].motion is Motion.STRUCK)
    return sorted(float(moment) for cue in cues for moment in cue.sync_s)


def heard(sheet: CueSheet, result: mixing.MixResult) -> Heard:
    stems = {file.stem: np.array(read_wav(file.path)[0].T) for file in result.stems}
    moments = struck_s(sheet)
    over = tuple(_over_db(stems, samples_at(Fraction(moment))) for moment in moments)
    bounce = np.array(read_wav(result.bounce.path)[0].T)
    found = standing_out(bounce.mean(0), 48_000, 2 * len(moments))
    return Heard(
        over, agree(found, moments, _NEAR_S).recall, result.bounce.integrated_lufs or -70.0, result.bounce.true_peak_db
    )


def _over_db(stems: Mapping[Stem | None, Block], at: int) -> float:
    blows = _power([stems[stem] for stem in (Stem.FOLEY, Stem.EFFECTS) if stem in stems], at)
    return (
        10 * float(np.log10(blows / max(_power([stems[Stem.AMBIENCE]], at), 1e-12))) if Stem.AMBIENCE in stems else 99.0
    )


def _power(lanes: Sequence[Block], at: int) -> float:
    lead = min(at, samples_at(0.1))
    around = (lane[:, at - lead : at + _BLOW] for lane in lanes)
    return max(1e-12, sum(float(LoudnessMeter.powers(part)[lead:].mean()) for part in around))


def main() -> int:
    worse = []
    with tempfile.TemporaryDirectory() as name:
        for film, path in films(Path(name)):
            before, after = mixes(path, Path(name))
            print(f"{film:26s} without  {before}\n{'':26s} with     {after}")
            quieter = after.lufs < before.lufs - 1 and after.lufs < -15
            if quieter or after.found < before.found or min(after.over_db) < min(before.over_db) - 0.5:
                worse.append(film)
    print(f"balance: {'no film is worse for it' if not worse else 'worse: ' + ', '.join(worse)}")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
