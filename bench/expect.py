# SPDX-License-Identifier: AGPL-3.0-or-later
"""Expect: does the cue sheet of each real clip name what the manifest says should be heard, and nothing else?

    python bench/expect.py [--weights ../shared/weights] [--clip NAME ...] [--say]

Twice in one run: without models, and with YOLOX and YAMNet out of ``--weights`` where their runtimes are installed.
Precision: of the sounds of a sheet (each once a clip), those that the clip must or may have. Recall: of what it must
have, what is there. "twice" counts sounds laid over a kept recording that has them already; they are no errors here.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from _expected import TABLE, Expected

from immersivaudio.engine import conform, media, original, spotting, watching
from immersivaudio.engine.cue import CueSheet, Sighting

MEDIA = Path(__file__).parents[2] / "shared" / "media" / "video"
WEIGHTS = {"IMMERSIVAUDIO_YOLOX": "yolox_nano_coco_416.onnx", "IMMERSIVAUDIO_YAMNET": "yamnet_521.tflite"}
BASE = ("hearing", "motion", "place", "shots")
MODELS = ("objects", "tagging")


@dataclass(frozen=True, slots=True)
class Score:
    """One clip: sounds that are right, wrong, absurd (also wrong) and laid twice; rows of ``must`` met and missed."""

    clip: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    absurd: tuple[str, ...]
    twice: tuple[str, ...]
    met: int
    missed: tuple[str, ...]


def names(sound: str, pattern: str) -> bool:
    """Whether ``sound`` is one of the sounds or families in ``pattern``."""
    return any(fnmatch(sound, one) for one in pattern.split())


def score(expected: Expected, sounds: Iterable[str], kept: bool) -> Score:
    """Hold the sounds of a sheet against the table; ``kept``: the clip's own sound stays in the mix."""
    found = sorted(set(sounds))
    wanted = [*expected.must, *expected.recorded]
    allowed = " ".join([*wanted, expected.may])
    have = [any(names(sound, row) for sound in found) for row in wanted]
    met = [one or (kept and row in expected.recorded) for one, row in zip(have, wanted, strict=True)]
    return Score(
        expected.clip,
        tuple(sound for sound in found if names(sound, allowed)),
        tuple(sound for sound in found if not names(sound, allowed)),
        tuple(sound for sound in found if not names(sound, allowed) and names(sound, expected.never)),
        tuple(sound for sound in found if kept and names(sound, " ".join(expected.recorded))),
        sum(met),
        tuple(row for row, is_met in zip(wanted, met, strict=True) if not is_met),
    )


def sheet_of(path: Path, watchers: watching.Watchers, scratch: Path) -> tuple[CueSheet, bool, Sequence[Sighting]]:
    """The sheet of a clip as the engine would spot it, whether its own sound stays, and what was seen."""
    edit = conform.single(media.probe(path), path.stem)
    laid = None
    if edit.sound_clips():
        laid = scratch / f"{path.stem}.wav"
        original.lay(edit, laid, lambda: False)
    seen = watching.watch(edit, laid, watchers, scratch, lambda: False, lambda share, text: None)
    verdicts = [str(row.values.get("verdict")) for row in seen.sightings if row.label == "level"]
    kept = laid is not None and not any(verdict in ("none", "silent", "bad") for verdict in verdicts)
    return spotting.spot(edit, seen.sightings), kept, seen.sightings


def run(table: Sequence[Expected], watchers: watching.Watchers, *, say: bool) -> list[Score]:
    """Score every clip of ``table`` that is there."""
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        for expected in table:
            sheet, kept, _ = sheet_of(MEDIA / expected.clip, watchers, Path(folder))
            scores.append(score(expected, (cue.sound for cue in sheet.sounding()), kept))
            if say:
                print(row(scores[-1]))
    return scores


def row(one: Score) -> str:
    """One clip in one line."""
    parts = (("wrong", one.wrong), ("ABSURD", one.absurd), ("twice", one.twice), ("missed", one.missed))
    rest = "  ".join(f"{word}: {', '.join(what)}" for word, what in parts if what)
    return f"  {one.clip[:34]:34s} {', '.join(one.right) or '-':34s} {rest}"


def total(name: str, scores: Sequence[Score]) -> str:
    right, wrong = sum(len(one.right) for one in scores), sum(len(one.wrong) for one in scores)
    met, missed = sum(one.met for one in scores), sum(len(one.missed) for one in scores)
    absurd, twice = sum(len(one.absurd) for one in scores), sum(len(one.twice) for one in scores)
    return (
        f"{name:16s} precision {right / max(1, right + wrong):.2f} ({right} of {right + wrong})  "
        f"recall {met / max(1, met + missed):.2f} ({met} of {met + missed})  absurd {absurd}  twice {twice}"
    )


def loaded(names_: Sequence[str]) -> watching.Watchers:
    """The watchers of these names that can run here; says which cannot."""
    watchers = watching.Watchers.load(names_)
    there = {watcher.name for watcher in (*watchers.picture, *watchers.sound)}
    lacking = [name for name in names_ if name not in there]
    if lacking:
        print(f"expect: left out: {', '.join(lacking)} {' '.join(watchers.warnings)}")
    return watchers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=MEDIA.parents[1] / "weights")
    parser.add_argument("--clip", action="append", default=[], help="only clips whose name holds this")
    parser.add_argument("--say", action="store_true", help="a line for every clip")
    parser.add_argument("--only", choices=("base", "models"), help="one of the two runs")
    wish = parser.parse_args()
    table = [one for one in TABLE if (MEDIA / one.clip).is_file()]
    table = [one for one in table if not wish.clip or any(part in one.clip for part in wish.clip)]
    if not table:
        print("expect: the shared test media are not beside the repository, nothing to measure")
        return
    os.environ.update(
        {key: str(wish.weights / file) for key, file in WEIGHTS.items() if (wish.weights / file).is_file()}
    )
    if wish.only != "models":
        print(total("without models", run(table, loaded(BASE), say=wish.say)))
    if wish.only != "base":
        print(total("with models", run(table, loaded((*BASE, *MODELS)), say=wish.say)))


if __name__ == "__main__":
    main()
