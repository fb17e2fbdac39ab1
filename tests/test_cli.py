# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line as its user meets it: processes, exit codes, messages, files, and bad days."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest

from immersivaudio.cli import outputs
from immersivaudio.engine import media
from immersivaudio.engine.bwf import WavWriter
from immersivaudio.engine.errors import OutputError

COMMAND = [sys.executable, "-m", "immersivaudio"]


def call(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def scored(ball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    done = call("score", ball, "-o", folder / "out.mp4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "out.mp4")
    return folder


def test_score_gives_a_video_and_what_explains_it(scored: Path) -> None:
    beside = [f"out.mp4.files/ball.{what}" for what in ("cues.json", "manifest.json", "report.html")]
    assert files(scored) == ["out.mp4", *beside]


def test_what_is_there_is_kept(scored: Path, ball: Path) -> None:
    before = (scored / "out.mp4").read_bytes()
    done = call("score", ball, "-o", scored / "out.mp4")
    assert done.returncode == 4
    assert "kept" in done.stderr
    assert (scored / "out.mp4").read_bytes() == before
    assert call("score", ball, "-o", scored / "out.mp4", "--overwrite", "-q").returncode == 0


def test_what_came_there_meanwhile_is_kept(ball: Path, tmp_path: Path) -> None:
    """Two calls on one output: the second that ends does not replace what the first one made."""
    goal = outputs.plan(ball, False, tmp_path / "out.mp4", "", False)
    with pytest.raises(OutputError, match="kept"), outputs.Landing(goal, ball) as landing:
        (landing.folder / "mine.mp4").write_text("mine")
        (tmp_path / "out.mp4").write_text("theirs")
        landing.place([("mine.mp4", "video")])
    assert files(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "theirs"


def test_spot_edit_score(ball: Path, tmp_path: Path) -> None:
    """The way of working: spot, edit the sheet by hand, score the sheet."""
    assert call("spot", ball, "-o", tmp_path / "cues.json").returncode == 0
    sheet = json.loads((tmp_path / "cues.json").read_text())
    sheet["cues"].append({"sound": "impact.glass", "start_s": 2.0, "duration_s": 1.0, "sync_s": [2.05]})
    (tmp_path / "cues.json").write_text(json.dumps(sheet))
    done = call("score", ball, "--cues", tmp_path / "cues.json", "-o", tmp_path / "stems", "--output", "stems")
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "stems/ball.cues.json").read_text())
    assert "impact.glass" in [cue["sound"] for cue in kept["cues"]]
    assert "ball.foley.wav" in files(tmp_path / "stems")


def test_a_sheet_written_by_hand_is_performed(ball: Path, tmp_path: Path) -> None:
    """The least that a person may write, points of gain in no order, and a step."""
    rain = {"sound": "rain", "start_s": 0, "duration_s": 5, "gain_curve": [[3, 0], [2, 0], [3, -12], [0, -12]]}
    blow = {"sound": "impact.wood", "sync_s": [1.5]}
    (tmp_path / "cues.json").write_text(json.dumps({"duration_s": 5, "cues": [rain, blow]}))
    done = call("score", ball, "--cues", tmp_path / "cues.json", "-o", tmp_path / "stems", "--output", "stems")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "stems/ball.cues.json").read_text())["rate"] == 25
    heard = np.concatenate(list(media.sound(tmp_path / "stems/ball.ambience.wav", None)), axis=1)[0]
    levels_db = [20 * np.log10(heard[round(at_s * 48_000) :][:24_000].std()) for at_s in (0.0, 2.4, 3.2)]
    assert levels_db[1] > max(levels_db[0], levels_db[2]) + 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda sheet: sheet["cues"][0].update(gain_db="loud"), "gain_db"),
        (lambda sheet: sheet["cues"][0].update(sound="windd"), "wind"),
        (lambda sheet: sheet["cues"][0].update(start_s=-1), "start_s"),
        (lambda sheet: sheet["cues"][0].update(colour="red"), "colour"),
        (lambda sheet: sheet.update(cues={}), "cues"),
    ],
)
def test_a_wrong_sheet_is_told_by_its_place(change, said: str, scored: Path, ball: Path, tmp_path: Path) -> None:
    sheet = json.loads((scored / "out.mp4.files/ball.cues.json").read_text())
    change(sheet)
    (tmp_path / "cues.json").write_text(json.dumps(sheet))
    done = call("score", ball, "--cues", tmp_path / "cues.json", "-o", tmp_path / "out.mp4")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert files(tmp_path) == ["cues.json"]


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("empty.mp4", b"", 3, "is empty"),
        ("words.mp4", b"not a video " * 99, 3, "cannot be read"),
        ("list.mp4", b"#EXTM3U\n/etc/passwd\n", 3, "playlist"),
        ("broken.otio", b"{ not json", 3, "no OpenTimelineIO"),
        ("other.otio", b'{"OTIO_SCHEMA": "Banana.1"}', 3, ""),
        ("empty.otio", b"", 3, "empty"),
    ],
)
def test_bad_input_is_one_sentence_and_a_hint(name: str, content: bytes, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    done = call("score", tmp_path / name, "-q")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Try" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert files(tmp_path) == [name]


def test_missing_input_and_wrong_words(ball: Path, tmp_path: Path) -> None:
    assert "Save it as a file" in call("spot", "https://example.org/clip.mp4").stderr
    assert "was not found" in call("score", tmp_path / "nothing.mp4").stderr
    assert call("score", ball, "--loudness", "deafening").returncode == 2
    assert call("score", ball, "-o", tmp_path / "out.banana").returncode == 2
    assert call("score", ball, "-o", tmp_path / "no/such/folder/out.mp4").returncode == 4
    assert call("nonsense").returncode == 2
    assert files(tmp_path) == []


def test_no_engine_there(ball: Path, tmp_path: Path) -> None:
    done = call("score", ball, "-o", tmp_path / "out.mp4", "--engine", "127.0.0.1:9")
    assert done.returncode == 5
    assert "cannot be reached" in done.stderr


def test_a_running_engine_that_may_not_read_the_folder_is_sent_the_bytes(ball: Path, tmp_path: Path) -> None:
    from immersivaudio.bridge.client import spawn_engine

    timeline = otio.schema.Timeline("cut")
    track = otio.schema.Track(kind=otio.schema.TrackKind.Video)
    second = otio.opentime.TimeRange(otio.opentime.RationalTime(10, 25), otio.opentime.RationalTime(25, 25))
    track.append(otio.schema.Clip("c", otio.schema.ExternalReference(str(ball)), second))
    timeline.tracks.append(track)
    otio.adapters.write_to_file(timeline, str(tmp_path / "cut.otio"))
    server = [sys.executable, "-m", "immersivaudio.engine.server", "--address", "127.0.0.1:0"]
    with spawn_engine([*server, "--home", str(tmp_path / "home")]) as engine:
        for source, out in ((ball, "out.mp4"), (tmp_path / "cut.otio", "out.otio")):
            done = call("score", source, "-o", tmp_path / out, "--engine", engine.address)
            assert done.returncode == 0, done.stderr
            assert (tmp_path / out).is_file()


def test_ctrl_c_cancels_and_leaves_nothing(tmp_path: Path, draw) -> None:
    from conftest import ball_picture

    long = draw(lambda at_s: ball_picture(at_s, (0.8, 1.6), (320, 180)), 40.0, Fraction(50), name="long")
    command = [*COMMAND, "score", str(long), "-o", str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "watching" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert "Cancelled" in rest
    assert files(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(ball: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = call("score", ball, "-o", tmp_path / "out.mp4")
    tmp_path.chmod(0o700)
    assert done.returncode == 4


def test_each_module_alone(ball: Path, scored: Path, tmp_path: Path) -> None:
    seen = call("watch", ball)
    assert seen.returncode == 0, seen.stderr
    assert "shot" in seen.stdout
    sheet = scored / "out.mp4.files/ball.cues.json"
    assert call("perform", sheet, "-o", tmp_path / "takes").returncode == 0
    assert call("mix", sheet, tmp_path / "takes", "-o", tmp_path / "stems").returncode == 0
    bounce = next(path for path in (tmp_path / "stems").iterdir() if "bounce" in path.name or "mix" in path.name)
    done = call("deliver", ball, bounce, "-o", tmp_path / "video.mov")
    assert done.returncode == 0, done.stderr
    assert media.probe(tmp_path / "video.mov").audio


def test_one_sound_from_the_command_line(tmp_path: Path) -> None:
    done = call("perform", "impact.metal", "-o", tmp_path / "clang.wav", "--seconds", "2", "-p", "strength=1")
    assert done.returncode == 0, done.stderr
    sound = np.concatenate(list(media.sound(tmp_path / "clang.wav", None)), axis=1)
    assert sound.shape == (2, 96_000)
    assert 0.2 < np.abs(sound).max() < 0.3
    assert "knob" in call("perform", "wind", "-o", tmp_path / "x.wav", "-p", "banana=1").stderr
    assert "sounds" in call("perform", "banana", "-o", tmp_path / "x.wav").stderr


@pytest.mark.parametrize("kind", ["audio", "stems", "otio"])
def test_every_kind_of_output(kind: str, ball: Path, tmp_path: Path) -> None:
    out = tmp_path / {"audio": "out.flac", "stems": "out", "otio": "out.otio"}[kind]
    done = call("score", ball, "-o", out, "-q")
    assert done.returncode == 0, done.stderr
    assert out.exists()
    if kind == "otio":
        import opentimelineio as otio

        timeline = otio.adapters.read_from_file(str(out))
        urls = [clip.media_reference.target_url for track in timeline.audio_tracks() for clip in track.find_clips()]
        assert all(Path(url).is_file() for url in urls if "Immersivaudio" not in url)


def test_sound_without_picture(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "only.wav") as writer:
        writer.write(np.full((2, 48_000), 0.1, np.float32))
    done = call("score", tmp_path / "only.wav")
    assert done.returncode == 3
    assert "no picture" in done.stderr


def test_help_is_worth_reading() -> None:
    for command in (
        [],
        ["score"],
        ["spot"],
        ["watch"],
        ["perform"],
        ["mix"],
        ["deliver"],
        ["serve"],
        ["doctor"],
        ["sounds"],
    ):
        done = call(*command, "--help")
        assert done.returncode == 0
        assert len(done.stdout) > 150


def test_doctor_finds_the_main_job_fit() -> None:
    done = call("doctor")
    assert done.returncode == 0
    assert "procedural" in done.stdout
    assert "MISSING" not in done.stdout


def test_overwriting_never_takes_what_is_not_ours(ball: Path, tmp_path: Path) -> None:
    """A folder of the user's given as the folder for stems keeps all that was in it; the source is never replaced."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "ball.music.wav").write_text("a lane of an earlier call")
    done = call("score", ball, "-o", tmp_path, "--output", "stems", "--overwrite", "-q")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert "ball.cues.json" in files(tmp_path)
    assert "ball.music.wav" not in files(tmp_path)


@pytest.mark.parametrize("command", ["score", "spot", "deliver"])
def test_the_source_is_never_replaced(ball: Path, tmp_path: Path, command: str) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(ball.read_bytes())
    sound = [source] if command == "deliver" else []
    done = call(command, source, *sound, "-o", tmp_path / "../" / tmp_path.name / "film.mp4", "--overwrite")
    assert done.returncode == 4
    assert "source itself" in done.stderr
    assert source.read_bytes() == ball.read_bytes()
    assert files(tmp_path) == ["film.mp4"]


def test_names_beyond_what_a_disk_takes(ball: Path, tmp_path: Path) -> None:
    long = tmp_path / f"{'y' * 250}.mp4"
    long.write_bytes(ball.read_bytes())
    done = call("score", long)
    assert done.returncode == 4
    assert "too long" in done.stderr
    assert "broke" not in done.stderr
    done = call("spot", long, "-o", tmp_path / f"{'y' * 250}.json")
    assert done.returncode == 0, done.stderr
    done = call("score", tmp_path / f"{'y' * 300}.mp4")
    assert done.returncode == 2
    assert "broke" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="such names cannot be elsewhere")
def test_a_name_that_is_no_text_is_a_sentence(ball: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"film-\xff.mp4")
    odd.write_bytes(ball.read_bytes())
    done = call("score", odd)
    assert done.returncode == 2
    assert "film-?.mp4 is not UTF-8" in done.stderr
    assert list(tmp_path.iterdir()) == [odd]


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed")
def test_called_in_a_folder_that_is_gone(ball: Path, tmp_path: Path) -> None:
    command = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *COMMAND, "score", str(ball), "-o", str(tmp_path / "o.mp4")]
    (tmp_path / "gone").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "gone", check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (3, [])
    assert "called in is gone" in done.stderr


def test_brackets_in_a_name_are_no_markup(ball: Path, tmp_path: Path) -> None:
    done = call("score", ball, "-o", tmp_path / "[b]ig [link].mp4", "-q")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "[b]ig [link].mp4")


def test_a_folder_or_nothing_is_no_source(tmp_path: Path) -> None:
    for source in (tmp_path, ""):
        done = call("score", source)
        assert done.returncode == 2
        assert "is a folder" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="closes a file descriptor")
def test_without_a_stderr(ball: Path, tmp_path: Path) -> None:
    """As some schedulers start a program."""
    command = [*COMMAND, "spot", str(ball), "-o", str(tmp_path / "cues.json")]
    done = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *command], timeout=300)
    assert done.returncode == 0
    assert files(tmp_path) == ["cues.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="locks are held by flock")
def test_what_a_killed_call_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    from immersivaudio.cli.engines import own_engine

    with own_engine(tmp_path):
        (living,) = (tmp_path / "calls").iterdir()
        abandoned = tmp_path / "calls" / "abandoned"
        abandoned.mkdir()
        for name in (".in-use", "original.wav"):
            (abandoned / name).write_text("")
        with own_engine(tmp_path):
            assert living.is_dir()
            assert not abandoned.exists()
    assert list((tmp_path / "calls").iterdir()) == []


def test_a_closed_pipe_is_a_quiet_end() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "immersivaudio", "sounds"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode != 0


_INTERRUPTED_IMPORT = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from immersivaudio.cli.start import main
main()
"""


def test_ctrl_c_while_it_is_still_importing() -> None:
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED_IMPORT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


_TERMINATED_LANDING = """
import os, signal, sys
from pathlib import Path
from immersivaudio.cli import main, outputs, start
def score():
    source = Path(sys.argv[1])
    with outputs.Landing(outputs.plan(source, False, Path("out.mp4"), "", False), source) as landing:
        (landing.folder / "half.mp4").write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
main.main = score
start.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
def test_a_call_that_is_asked_to_end_leaves_nothing_half(ball: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _TERMINATED_LANDING, str(ball)], cwd=tmp_path, timeout=60, check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (143, [])


def test_quiet_still_says_what_could_not_be_honoured(scored: Path, ball: Path, tmp_path: Path) -> None:
    sheet = json.loads(next(scored.rglob("*.cues.json")).read_text())
    sheet["cues"].append({**sheet["cues"][0], "id": "nothing", "duration_s": 0})
    (tmp_path / "cues.json").write_text(json.dumps(sheet))
    done = call("score", ball, "-o", tmp_path / "out.mp4", "--cues", tmp_path / "cues.json", "-q")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "out.mp4")
    assert "note: Cues that last no time are left out: nothing" in done.stderr
    assert "performing" not in done.stderr


def test_every_timeline_that_can_be_imported_is_taken_for_one() -> None:
    from immersivaudio.cli.score import TIMELINES
    from immersivaudio.engine import importers

    assert importers.ENDINGS == TIMELINES


def test_what_broke_in_an_engine_of_the_call_can_still_be_read(tmp_path: Path, monkeypatch) -> None:
    from immersivaudio.cli import engines

    with engines.own_engine(tmp_path) as engine:
        assert engine.address
        (log,) = (tmp_path / "calls").glob("*/log/worker.log")
        log.write_text("ERROR a job broke\nTraceback (most recent call last):\nValueError: odd\n")
    assert "ValueError: odd" in (tmp_path / "log" / "worker.log").read_text()
    assert not list((tmp_path / "calls").iterdir())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("perform", "wind", "-p", "intensity=nan", "-o", "x.wav"), 2, "is no knob of wind"),
        (("perform", "wind", "-p", "intensity=99", "-o", "x.wav"), 2, "intensity from 0 to 1"),
        (("perform", "wind", "-o", "x.mp3"), 2, "is no name for a WAV"),
        (("mix", "sheet.json", "takes", "-o", "x"), 2, "is no folder of takes"),
        (("mix", "sheet.json", "none", "-o", "x"), 2, "holds no take of a cue"),
        (("mix", "film.mp4", "takes", "-o", "x"), 2, "is no cue sheet"),
        (("deliver", "film.mp4", "film.mp4", "-o", "x.mp4"), 3, "has no sound"),
        (("deliver", "film.mp4", "film.mp4", "-o", "away/x.mp4"), 4, "away does not exist"),
    ],
)
def test_a_module_alone_says_what_it_cannot_use(
    words: tuple[str, ...], code: int, said: str, ball: Path, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").write_bytes(ball.read_bytes())
    # Notepad begins a text with a byte order mark.
    cue = {"sound": "room", "start_s": 0, "duration_s": 1}
    (tmp_path / "sheet.json").write_text(json.dumps({"duration_s": 5, "cues": [cue]}), "utf-8-sig")
    for name, rows in (("takes", '[{"cue_id": "x"}]'), ("none", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "takes.json").write_text(rows)
    before = set(tmp_path.rglob("*"))
    done = call(*words, cwd=tmp_path)
    assert (done.returncode, set(tmp_path.rglob("*"))) == (code, before)
    assert said in done.stderr
