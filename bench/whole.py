# SPDX-License-Identifier: AGPL-3.0-or-later
"""The whole job against decoding, analysis against PySceneDetect, one changed cue against all, memory against length.

    python bench/whole.py [--seconds 120]

Every figure is a ratio against a named peer or limit, taken in the same run on the same clip.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from immersivaudio.bridge.client import spawn_engine
from immersivaudio.engine import conform, media, sheets, watching
from immersivaudio.engine.cue import Cue, CueSheet, Span, Stem, tidy

SHARED = Path(__file__).parents[2] / "shared/media/video"
CLIPS = ("city-marathon-overhead.mp4", "sync-football-juggling.mp4", "highway-dashcam.mp4", "coffee-pour.mp4",
         "dog-and-woman-play.mp4", "drone-coast-gopro-karma.mp4")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=120)
    length = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = long_clip(folder / "long.mp4", length)
        print(f"clip: {length} s, 1920x1080 at 30, H.264, {clip.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores")
        decode = best(lambda: decoding(clip), 2)
        report("whole job / ffmpeg -f null -", score(clip, folder / "a.mp4", folder / "home"), decode, "at most 2")
        report(
            "analysis / PySceneDetect content",
            best(lambda: analysis(clip), 2),
            best(lambda: scenedetect(clip), 2),
            "at most 1",
        )
        report("analysis / ffmpeg -f null -", best(lambda: analysis(clip), 1), decode, "for the record")
        changed_cue(folder)
        memory(folder)
        startup()


def report(name: str, ours: float, peer: float, aim: str) -> None:
    print(f"{name:<44} {ours:8.2f} / {peer:7.2f}  = {ours / peer:6.3f}   (aim: {aim})", flush=True)


def best(measure: Callable[[], float], times: int) -> float:
    return min(measure() for _ in range(times))


def measured(work: Callable[[], float]) -> tuple[float, float]:
    """Wall and CPU seconds of ``work``, which runs children to their end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall_s = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(command: list[str], env: dict[str, str] | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **(env or {})})
    return time.perf_counter() - began


def long_clip(path: Path, seconds: int) -> Path:
    """Real footage blown up to 1080p and joined, or moving noise where there is none; with a real sound track."""
    sources = [SHARED / clip for clip in CLIPS if (SHARED / clip).is_file()]
    command = [media.ffmpeg_binary(), "-y", "-loglevel", "error"]
    shape = "fps=30,scale=1920:1080:force_original_aspect_ratio=increase,crop=1920:1080,setsar=1,format=yuv420p"
    if sources:
        for source in sources:
            command += ["-i", str(source)]
        chains = "".join(f"[{i}:v]{shape}[v{i}];" for i in range(len(sources)))
        joined = "".join(f"[v{i}]" for i in range(len(sources))) + f"concat=n={len(sources)}:v=1[v]"
        command += ["-filter_complex", chains + joined, "-map", "[v]"]
    else:
        command += ["-f", "lavfi", "-t", "20", "-i", "mandelbrot=s=1920x1080:r=30"]
    once = path.with_name("once.mp4")
    if not once.exists():
        subprocess.run([*command, "-c:v", "libx264", "-preset", "fast", "-crf", "20", str(once)], check=True)
    repeat = [media.ffmpeg_binary(), "-y", "-loglevel", "error", "-stream_loop", "-1", "-i", str(once)]
    subprocess.run([*repeat, "-t", str(seconds), "-c", "copy", str(path)], check=True)
    return path


def decoding(clip: Path) -> float:
    return timed([media.ffmpeg_binary(), "-loglevel", "error", "-i", str(clip), "-f", "null", "-"])


def scenedetect(clip: Path) -> float:
    script = "import sys; from scenedetect import detect, ContentDetector; detect(sys.argv[1], ContentDetector())"
    return timed([sys.executable, "-c", script, str(clip)])


def analysis(clip: Path) -> float:
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        edit = conform.single(media.probe(clip), "long")
        watching.watch(edit, None, watching.Watchers.load(), Path(cache), lambda: False, lambda *_: None)
        return time.perf_counter() - began


def score(clip: Path, out: Path, home: Path, *more: str) -> float:
    command = [sys.executable, "-m", "immersivaudio", "score", str(clip), "-o", str(out), "--overwrite", "-q", *more]
    return timed(command, {"IMMERSIVAUDIO_HOME": str(home)})


def hundred_cues(seconds: int, rate: Fraction = Fraction(30)) -> CueSheet:
    """Four beds and ninety-six struck cues, evenly spread."""
    beds = [Cue(f"bed-{i}", Stem.AMBIENCE, Span(Fraction(0), Fraction(seconds)), sound, seed=i)
            for i, sound in enumerate(("wind", "sea", "city", "room"))]  # fmt: skip
    sounds = ("impact.wood", "impact.metal", "impact.soft", "footstep.hard")
    hits = [Cue(f"hit-{i:02d}", Stem.FOLEY, Span(tidy(Fraction(i * seconds, 97)), Fraction(9, 10)), sounds[i % 4],
                sync_s=(tidy(Fraction(i * seconds, 97) + Fraction(1, 20)),), seed=i) for i in range(96)]  # fmt: skip
    return CueSheet("hundred", rate, Fraction(seconds), tuple(sorted([*beds, *hits], key=lambda cue: cue.span.start_s)))


def changed_cue(folder: Path) -> None:
    """One cue of a hundred changed, against the whole job on the same clip with nothing known."""
    clip = long_clip(folder / "minute.mp4", 60)
    sheet = json.loads(sheets.to_json(hundred_cues(60)))
    cues = folder / "hundred.json"
    cues.write_text(json.dumps(sheet))
    whole = measured(lambda: score(clip, folder / "b.mp4", folder / "fresh"))
    score(clip, folder / "b.mp4", folder / "fresh", "--cues", str(cues))
    struck = next(cue for cue in sheet["cues"] if cue["sound"] == "impact.metal")

    def change(strength: float, *more: str) -> tuple[float, float]:
        struck["params"] = {**struck.get("params", {}), "strength": strength}
        cues.write_text(json.dumps(sheet))
        return measured(lambda: score(clip, folder / "b.mp4", folder / "fresh", "--cues", str(cues), *more))

    alone = change(0.9)
    with spawn_engine(own_engine(folder)) as engine:
        score(clip, folder / "b.mp4", folder / "fresh", "--cues", str(cues), "--engine", engine.address)
        running = change(0.8, "--engine", engine.address)
    report("one changed cue of 100 / the whole", alone[0], whole[0], "at most 0.05")
    report("  the same in CPU seconds", alone[1], whole[1], "for the record")
    # What a running engine burns is not this process's child until it ends: wall time alone.
    report("  the same with a running engine", running[0], whole[0], "at most 0.05")


def own_engine(folder: Path) -> list[str]:
    """A running engine as editors have one, on the cache of the calls before."""
    places = ["--home", str(folder / "engine"), "--cache", str(folder / "fresh/cache"), "--root", folder.anchor]
    return [sys.executable, "-m", "immersivaudio.engine.server", "--until-eof", *places]


_PEAK = """
import resource, sys, json
from pathlib import Path
from immersivaudio.engine import pipeline, sheets
from immersivaudio.engine.request import *
folder = Path(sys.argv[1]); (folder / 's').mkdir(parents=True)
sheet = sheets.from_json(Path(sys.argv[2]).read_text())
wish = DeliveryWish(outputs=('stems', 'otio'))
request = ScoreRequest(timeline=Path(sys.argv[3]), sheet=sheet, delivery=wish)
pipeline.score(request, Workspace(folder / 'c', folder / 's'), lambda event: None, lambda: False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(folder: Path) -> None:
    """Peak resident memory of the worker's job on a timeline of 30 minutes against one of 1 minute."""
    import opentimelineio as otio

    clip = long_clip(folder / "loop.mp4", 60)
    peaks = []
    for minutes in (1, 30):
        timeline = otio.schema.Timeline(f"m{minutes}")
        track = otio.schema.Track(kind=otio.schema.TrackKind.Video)
        whole = otio.opentime.TimeRange(otio.opentime.RationalTime(0, 30), otio.opentime.RationalTime(1800, 30))
        for _ in range(minutes):
            track.append(otio.schema.Clip("c", otio.schema.ExternalReference(str(clip), whole), whole))
        timeline.tracks.append(track)
        path = folder / f"m{minutes}.otio"
        otio.adapters.write_to_file(timeline, str(path))
        cues = folder / f"m{minutes}.json"
        cues.write_text(sheets.to_json(hundred_cues(60 * minutes)))
        command = [sys.executable, "-c", _PEAK, str(folder / f"w{minutes}"), str(cues), str(path)]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024)
    report("peak memory MiB, 30 min / 1 min timeline", peaks[1], peaks[0], "at most 1.2")


def startup() -> None:
    command = [sys.executable, "-m", "immersivaudio", "--help"]
    report("immersivaudio --help / 0.3 s", float(np.median([timed(command) for _ in range(7)])), 0.3, "at most 1")


if __name__ == "__main__":
    main()
