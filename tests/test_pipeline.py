# SPDX-License-Identifier: AGPL-3.0-or-later
"""The main job on plain objects: watching, performing and the whole way, on films that the test draws."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import CONTACTS_S

from immersivaudio.engine import abreast, conform, delivery, media, original, performing, pipeline, watching
from immersivaudio.engine.bwf import WavWriter, read_wav
from immersivaudio.engine.cue import Clip, Cue, CueSheet, Edit, Licence, Sighting, Span, Stem
from immersivaudio.engine.errors import (
    CancelledError,
    MediaError,
    OutputError,
    RequestError,
    ResultError,
    UnavailableError,
)
from immersivaudio.engine.performers import Block, Brief
from immersivaudio.engine.request import DeliveryWish, Event, Goal, Made, Outcome, Progress, ScoreRequest, Workspace
from immersivaudio.engine.watchers import FrameWish

SECOND = Fraction(1)


def run(request: ScoreRequest, folder: Path, cache: Path | None = None) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    outcome = pipeline.score(request, Workspace(cache or folder / "cache", scratch), events.append, lambda: False)
    return outcome, events


class OddOne:
    """A watcher that counts, or fails where it is told to."""

    name, version, wish = "odd", "1", FrameWish(16)

    def __init__(self, fail: str = "") -> None:
        self.fail, self.frames = fail, 0

    def available(self) -> str:
        return ""

    def setup(self) -> None: ...

    def open(self, clip: Clip) -> OddOne:
        if self.fail == "open":
            raise RuntimeError("no")
        return self

    def see(self, frame: object) -> None:
        self.frames += 1
        if self.fail == "see" and self.frames == 3:
            raise RuntimeError("no")

    def finish(self) -> list[Sighting]:
        if self.fail == "finish":
            raise RuntimeError("no")
        return [Sighting("odd", "seen", Span(SECOND, SECOND), 1.0, values={"frames": float(self.frames)})]


def look(path: Path, watchers: list[OddOne], cache: Path, clip: Clip | None = None) -> watching.Seen:
    edit = conform.single(media.probe(path), "film")
    if clip is not None:
        edit = replace(edit, picture=(clip,))
    room = watching.Watchers(picture=list(watchers))
    return watching.watch(edit, None, room, cache, lambda: False, lambda *_: None)


@pytest.mark.logs_errors
@pytest.mark.parametrize("fail", ["open", "see", "finish"])
def test_a_watcher_that_fails_is_named_and_the_others_go_on(fail: str, ball: Path, tmp_path: Path) -> None:
    good = OddOne()
    bad = OddOne(fail)
    bad.name = "bad"  # type: ignore[misc]
    seen = look(ball, [bad, good], tmp_path)
    assert [sighting.label for sighting in seen.sightings] == ["seen"]
    assert len(seen.warnings) == 1
    assert "bad" in seen.warnings[0]


def test_one_decode_feeds_every_watcher_and_what_was_seen_is_kept(ball: Path, tmp_path: Path) -> None:
    first, second, again = OddOne(), OddOne(), OddOne()
    second.name = "second"  # type: ignore[misc]
    look(ball, [first, second], tmp_path)
    assert first.frames == second.frames == 125
    seen = look(ball, [again, second], tmp_path)
    assert again.frames == 0
    assert [sighting.values["frames"] for sighting in seen.sightings] == [125, 125]


def test_what_was_seen_counts_where_it_cannot_be_kept(ball: Path, tmp_path: Path) -> None:
    (tmp_path / "watch").write_text("in the way")
    assert look(ball, [OddOne()], tmp_path).sightings[0].values["frames"] == 125
    assert [path.name for path in tmp_path.iterdir()] == ["watch"]


@pytest.mark.parametrize(
    ("speed", "record", "expected"),
    [
        (Fraction(1), Span(Fraction(10), Fraction(4)), Span(Fraction(11), SECOND)),
        (Fraction(1, 2), Span(Fraction(10), Fraction(8)), Span(Fraction(12), Fraction(2))),
        (Fraction(-1), Span(Fraction(10), Fraction(4)), Span(Fraction(12), SECOND)),
        (Fraction(2), Span(Fraction(10), Fraction(2)), Span(Fraction(21, 2), Fraction(1, 2))),
        (Fraction(0), Span(Fraction(10), Fraction(3)), Span(Fraction(10), Fraction(3))),
    ],
)
def test_sightings_move_to_the_record_clock(
    speed: Fraction, record: Span, expected: Span, ball: Path, tmp_path: Path
) -> None:
    source = Span(Fraction(0), Fraction(4) if speed else Fraction(0))
    clip = Clip("c", "c", "video", 1, str(ball), source, record, speed, rate=Fraction(25))
    assert look(ball, [OddOne()], tmp_path, clip).sightings[0].span == expected


def test_the_original_is_laid_to_the_sample(tmp_path: Path) -> None:
    sound = np.zeros((2, 48_000), np.float32)
    sound[0, 1000], sound[1, 1000] = 0.5, 0.25
    source = tmp_path / "click.wav"
    with WavWriter(source) as writer:
        writer.write(sound)
    half = Span(Fraction(0), Fraction(1, 2))
    clips = (
        Clip("a", "a", "audio", 1, str(source), half, Span(Fraction(1), Fraction(1, 2))),
        Clip("b", "b", "audio", 2, str(source), half, Span(Fraction(12), Fraction(1, 2)), gain_db=-6.0206),
        Clip("c", "c", "audio", 3, str(source), half, Span(Fraction(14), Fraction(1, 2)), channels=(1,)),
        Clip("d", "d", "audio", 4, str(source), half, Span(Fraction(3), Fraction(1, 2)), enabled=False),
    )
    edit = replace(conform.single(media.probe(source), "x"), clips=clips, duration_s=Fraction(15))
    assert original.lay(edit, tmp_path / "out.wav", lambda: False) == ()
    laid, _ = read_wav(tmp_path / "out.wav")
    assert laid.shape == (15 * 48_000, 2)
    assert np.flatnonzero(laid[:, 0]).tolist() == [49_000, 577_000, 673_000]
    assert laid[577_000].tolist() == pytest.approx([0.25, 0.125], rel=1e-3)
    assert laid[673_000].tolist() == pytest.approx([0.25, 0.25], rel=1e-3)


def test_channels_are_counted_through_all_streams(tmp_path: Path) -> None:
    """Camera files with one mono stream a microphone: channel 1 is the second stream."""
    import subprocess

    source = tmp_path / "two.mov"
    tones = [part for hz in (300, 3000) for part in ("-f", "lavfi", "-i", f"sine={hz}:r=48000:d=1")]
    command = [
        media.ffmpeg_binary(),
        "-loglevel",
        "error",
        *tones,
        "-map",
        "0:a",
        "-map",
        "1:a",
        "-c:a",
        "pcm_s16le",
        str(source),
    ]
    subprocess.run(command, check=True)
    edit = conform.single(media.probe(source), "x")
    for channels, expected in (((0,), (300, 300)), ((1,), (3000, 3000)), ((0, 1), (300, 3000))):
        clip = replace(edit.clips[0], channels=channels)
        original.lay(replace(edit, clips=(clip,)), tmp_path / "out.wav", lambda: False)
        laid, _ = read_wav(tmp_path / "out.wav")
        assert tuple(int(np.abs(np.fft.rfft(laid[:48_000, side])).argmax()) for side in (0, 1)) == expected


class Player:
    """A performer that plays a tone, or misbehaves as told; it counts how often it is asked."""

    def __init__(self, name: str = "player", fitness: float = 0.5, commercial: bool = True, fault: str = "") -> None:
        self.name, self.version, self._fitness, self._commercial, self.fault = name, "1", fitness, commercial, fault
        self.asked = 0

    def licence(self) -> Licence:
        return Licence("CC0-1.0", self._commercial)

    def available(self) -> str:
        return ""

    def fitness(self, cue: Cue) -> float:
        return self._fitness

    def setup(self) -> None: ...

    def perform(self, brief: Brief) -> Iterator[Block]:
        self.asked += 1
        count = brief.samples - 1 if self.fault == "short" else brief.samples
        level = {"silent": 0.0, "broken": np.nan}.get(self.fault, 0.1)
        for start in range(0, count, 48_000):
            at = np.arange(start, min(start + 48_000, count))
            yield np.tile(level * np.sin(at * 0.0576), (2, 1)).astype(np.float32)


CUES = tuple(
    Cue(f"cue-{i}", Stem.AMBIENCE, Span(Fraction(i), Fraction(2)), "wind", seed=i, params={"intensity": 0.5})
    for i in range(4)
)


def play(
    players: list[Player], cache: Path, cues: tuple[Cue, ...] = CUES, rights: str = "commercial"
) -> performing.Performed:
    return performing.perform(cues, performing.Performers(list(players)), cache, rights, lambda: False, lambda *_: None)


def test_only_changed_cues_are_performed_again(tmp_path: Path) -> None:
    player = Player()
    play([player], tmp_path)
    moved = replace(CUES[0], span=Span(Fraction(7), Fraction(2)), gain_db=-3.0, pan=0.5, why="edited")
    changed = replace(CUES[1], params={"intensity": 0.6})
    done = play([player], tmp_path, (moved, changed, *CUES[2:]))
    assert player.asked == 5
    assert done.reused == 3
    assert done.takes["cue-1"].key != play([player], tmp_path).takes["cue-1"].key


class Together(Player):
    """A player that several may ask at once; it knows how many did."""

    side_by_side = True

    def __init__(self, meet: int = 1, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self._meeting, self.met = threading.Barrier(meet), 0

    def perform(self, brief: Brief) -> Iterator[Block]:
        with contextlib.suppress(threading.BrokenBarrierError):
            self._meeting.wait(timeout=20)
            self.met += 1
        yield from super().perform(brief)


@pytest.mark.skipif(abreast.hands() < 2, reason="one core performs one cue at a time")
def test_cues_are_performed_side_by_side_and_come_out_in_order(tmp_path: Path) -> None:
    player = Together(meet=2)
    done = play([player], tmp_path / "together")
    assert player.met == player.asked == 4, "they could only go on two at a time"
    alone = play([Player()], tmp_path / "alone")
    assert list(done.takes) == [cue.id for cue in CUES]
    assert [take.key for take in done.takes.values()] == [take.key for take in alone.takes.values()]
    assert done.reused == 0
    assert play([player], tmp_path / "together").reused == 4


def test_equal_cues_are_one_performance_also_side_by_side(tmp_path: Path) -> None:
    player = Together()
    twins = tuple(replace(CUES[0], id=f"twin-{number}") for number in range(6))
    done = play([player], tmp_path, twins)
    assert player.asked == 1
    assert {take.key for take in done.takes.values()} == {done.takes["twin-0"].key}
    assert done.reused == 5


def test_one_that_fails_side_by_side_is_replaced_as_ever(tmp_path: Path) -> None:
    done = play([Together(name="spoilt", fitness=0.9, fault="silent"), Player("sound", 0.1)], tmp_path)
    assert {take.performer for take in done.takes.values()} == {"sound"}
    assert "spoilt" in done.warnings[0]


@pytest.mark.parametrize("fault", ["short", "silent", "broken"])
def test_a_useless_take_is_never_taken(fault: str, tmp_path: Path) -> None:
    spoilt, sound = Player("spoilt", 0.9, fault=fault), Player("sound", 0.1)
    done = play([spoilt, sound], tmp_path)
    assert {take.performer for take in done.takes.values()} == {"sound"}
    assert "spoilt" in done.warnings[0]
    with pytest.raises(ResultError, match="Nobody could perform"):
        play([spoilt], tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


def test_rights_decide_who_may_perform(tmp_path: Path) -> None:
    free, closed = Player("free", 0.1), Player("closed", 0.9, commercial=False)
    assert play([free, closed], tmp_path).takes["cue-0"].performer == "free"
    assert play([free, closed], tmp_path, rights="any").takes["cue-0"].performer == "closed"
    with pytest.raises(UnavailableError, match="may perform"):
        play([closed], tmp_path)


def test_cancel_is_obeyed_inside_a_cue(tmp_path: Path) -> None:
    asked = itertools.count()
    long = (replace(CUES[0], span=Span(Fraction(0), Fraction(3600))),)
    players = performing.Performers([Player()])
    with pytest.raises(CancelledError):
        performing.perform(long, players, tmp_path, "any", lambda: next(asked) > 3, lambda *_: None)
    assert next(asked) < 10
    assert not list(tmp_path.rglob("*.wav"))


@pytest.fixture(scope="module")
def scored(ball: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, list[Event], Path]:
    folder = tmp_path_factory.mktemp("scored")
    wish = DeliveryWish(outputs=("video", "stems", "otio", "report"))
    outcome, events = run(ScoreRequest(media=ball, delivery=wish), folder)
    return outcome, events, folder


def test_a_silent_film_is_scored(scored: tuple[Outcome, list[Event], Path], ball: Path) -> None:
    outcome, events, _ = scored
    kinds = {made.kind for made in outcome.made}
    assert {"video", "stem", "otio", "cues", "manifest", "report"} <= kinds
    assert [event for event in events if isinstance(event, Made)] == list(outcome.made)
    video = next(made.path for made in outcome.made if made.kind == "video")
    assert media.probe(video).duration_s == media.probe(ball).duration_s
    loudest = max(float(np.abs(block).max()) for block in media.sound(video, None))
    assert 0.05 < loudest < 1.0


def test_the_ball_is_heard_where_it_touches_the_ground(scored: tuple[Outcome, list[Event], Path]) -> None:
    outcome, _, _ = scored
    hits = [float(s) for cue in outcome.sheet.cues if cue.sound.startswith(("impact", "footstep")) for s in cue.sync_s]
    found = [contact for contact in CONTACTS_S if any(abs(hit - contact) <= 0.04 for hit in hits)]
    assert len(found) >= 4
    assert len(hits) <= len(CONTACTS_S) + 1


def test_progress_only_grows(scored: tuple[Outcome, list[Event], Path]) -> None:
    _, events, _ = scored
    fractions = [event.job_fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    stages = [stage for stage, _ in itertools.groupby(event.stage for event in events if isinstance(event, Progress))]
    assert stages == ["conform", "listen", "watch", "spot", "perform", "mix", "deliver"]


class Meeting:
    """A watcher of the picture and one of the sound that each wait for the other to begin."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)


class WaitingEye(OddOne):
    def __init__(self, meeting: Meeting) -> None:
        super().__init__()
        self._meeting = meeting

    def open(self, clip: Clip) -> OddOne:
        self._meeting.barrier.wait(timeout=20)
        return self


class WaitingEar:
    name, version, sample_rate_hz = "ear", "1", 48_000

    def __init__(self, meeting: Meeting) -> None:
        self._meeting, self.blocks = meeting, 0

    def available(self) -> str:
        return ""

    def setup(self) -> None: ...

    def listen(self, edit: Edit, blocks: Iterable[np.ndarray]) -> list[Sighting]:
        self._meeting.barrier.wait(timeout=20)
        self.blocks = sum(1 for _ in blocks)
        return [Sighting("ear", "level", edit.record, 1.0, values={"verdict": "good"})]


@pytest.fixture
def sounding(ball: Path, tmp_path: Path) -> Path:
    with WavWriter(tmp_path / "tone.wav") as writer:
        writer.write(np.full((2, 5 * 48_000), 0.05, np.float32) * np.sin(np.arange(5 * 48_000) / 50))
    media.mux(ball, tmp_path / "tone.wav", tmp_path / "sounding.mp4")
    return tmp_path / "sounding.mp4"


def test_the_original_is_heard_while_the_picture_is_watched(
    sounding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = Meeting()
    ear = WaitingEar(meeting)
    monkeypatch.setattr(pipeline, "_watchers", lambda: watching.Watchers([WaitingEye(meeting)], [ear]))
    outcome, _ = run(ScoreRequest(media=sounding, goal=Goal.SPOT), tmp_path)
    assert ear.blocks == 1
    assert not outcome.warnings, "neither broke the barrier"


def test_a_stop_is_heard_while_listening(sounding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class EndlessEar(WaitingEar):
        def listen(self, edit: Edit, blocks: Iterable[np.ndarray]) -> list[Sighting]:
            begun.set()
            return super().listen(edit, itertools.cycle(blocks))

    begun, meeting = threading.Event(), Meeting()
    endless = watching.Watchers([WaitingEye(meeting)], [EndlessEar(meeting)])
    monkeypatch.setattr(pipeline, "_watchers", lambda: endless)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(CancelledError):
        workspace = Workspace(tmp_path / "cache", tmp_path / "scratch")
        pipeline.score(ScoreRequest(media=sounding, goal=Goal.SPOT), workspace, lambda event: None, begun.is_set)


def test_the_same_again_is_the_same_to_the_byte(
    scored: tuple[Outcome, list[Event], Path], ball: Path, tmp_path: Path
) -> None:
    outcome, _, _ = scored
    again, _ = run(ScoreRequest(media=ball, delivery=DeliveryWish(outputs=("stems",))), tmp_path)
    assert again.sheet == outcome.sheet
    first = {made.name: made.path.read_bytes() for made in outcome.made if made.kind == "stem"}
    assert {made.name: made.path.read_bytes() for made in again.made if made.kind == "stem"} == first


def test_an_edited_sheet_needs_no_watching(
    scored: tuple[Outcome, list[Event], Path], ball: Path, tmp_path: Path
) -> None:
    outcome, _, folder = scored
    first = outcome.sheet.cues[0]
    sheet = replace(outcome.sheet, cues=(replace(first, gain_db=first.gain_db - 20), *outcome.sheet.cues[1:]))
    wish = DeliveryWish(outputs=("stems",))
    done, events = run(ScoreRequest(media=ball, sheet=sheet, delivery=wish), tmp_path, folder / "cache")
    assert "watch" not in {event.stage for event in events if isinstance(event, Progress)}
    assert done.sheet.cues[0].gain_db == first.gain_db - 20


def test_spotting_only_gives_no_files(ball: Path, tmp_path: Path) -> None:
    outcome, _ = run(ScoreRequest(media=ball, goal=Goal.SPOT), tmp_path)
    assert outcome.made == ()
    assert outcome.sheet.duration_s == 5


def test_a_sheet_with_nothing_to_hear_is_refused(
    scored: tuple[Outcome, list[Event], Path], ball: Path, tmp_path: Path
) -> None:
    mute = replace(scored[0].sheet, cues=tuple(replace(cue, muted=True) for cue in scored[0].sheet.cues))
    with pytest.raises(ResultError, match="nothing to be heard"):
        run(ScoreRequest(media=ball, sheet=mute), tmp_path)


def test_sound_without_picture_is_refused(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "only.wav") as writer:
        writer.write(np.full((2, 48_000), 0.1, np.float32))
    with pytest.raises(MediaError, match="no picture"):
        run(ScoreRequest(media=tmp_path / "only.wav"), tmp_path)


@pytest.mark.parametrize("stage", ["watch", "deliver"])
def test_a_film_that_becomes_another_one_meanwhile_is_refused(stage: str, ball: Path, tmp_path: Path) -> None:
    """Its picture would be delivered under the sound of the one that was watched."""
    film = tmp_path / "film.mp4"
    film.write_bytes(ball.read_bytes())

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == stage and event.stage_fraction == 0:
            film.write_bytes(ball.read_bytes() + bytes(8))

    request = ScoreRequest(media=film, delivery=DeliveryWish(outputs=("video",)))
    with pytest.raises(MediaError, match=r"film\.mp4 was changed"):
        pipeline.score(request, Workspace(tmp_path / "cache", tmp_path), emit, lambda: False)


def test_an_upload_is_the_same_whenever_it_was_last_used(tmp_path: Path) -> None:
    uploaded = tmp_path / ("0" * 64)
    uploaded.write_bytes(b"a film")
    before = watching.identity(uploaded)
    os.utime(uploaded, (1, 1))
    assert watching.identity(uploaded) == before


def test_one_sound_by_name(tmp_path: Path) -> None:
    request = ScoreRequest(
        effect="sfx", params={"sound": "impact.metal", "duration_s": 2.0}, delivery=DeliveryWish(outputs=("stems",))
    )
    outcome, _ = run(request, tmp_path)
    (stem,) = [made for made in outcome.made if made.kind == "stem"]
    assert stem.stem is Stem.FOLEY
    manifest = json.loads(next(made.path for made in outcome.made if made.kind == "manifest").read_text())
    assert "impact.metal" in json.dumps(manifest)


def test_a_cue_that_lasts_no_time_is_left_out_and_said(ball: Path, tmp_path: Path) -> None:
    empty = Cue("none", Stem.AMBIENCE, Span(SECOND, Fraction(0)), "rain")
    sheet = CueSheet("film", Fraction(25), media.probe(ball).duration_s, (empty,))
    with pytest.raises(ResultError, match="nothing to be heard"):
        run(ScoreRequest(media=ball, sheet=sheet), tmp_path)
    heard = replace(sheet, cues=(empty, Cue("rain", Stem.AMBIENCE, Span(Fraction(0), 2 * SECOND), "rain")))
    outcome, _ = run(ScoreRequest(media=ball, sheet=heard), tmp_path)
    assert any("last no time" in warning for warning in outcome.warnings)


@pytest.mark.parametrize(
    ("wish", "rate", "said"),
    [
        (DeliveryWish(outputs=("video",), container="webm", audio_codec="aac"), Fraction(25), "webm"),
        (DeliveryWish(outputs=("otio",), dialect="premiere"), Fraction(25, 2), "12.5 frames a second"),
    ],
)
def test_what_cannot_be_delivered_is_refused_before_it_is_watched(
    wish: DeliveryWish, rate: Fraction, said: str, draw: Callable[..., Path], tmp_path: Path
) -> None:
    film = draw(lambda at_s: np.full((64, 64, 3), 90, np.uint8), 1.0, rate, name=f"still at {float(rate)}")
    events: list[Event] = []
    (tmp_path / "scratch").mkdir()
    with pytest.raises(RequestError, match=said):
        workspace = Workspace(tmp_path / "cache", tmp_path / "scratch")
        pipeline.score(ScoreRequest(media=film, delivery=wish), workspace, events.append, lambda: False)
    assert {event.stage for event in events if isinstance(event, Progress)} == {"conform"}
    with pytest.raises(OutputError, match="needs about"):
        delivery.check(DeliveryWish(), None, Fraction(10**9), tmp_path)
    with WavWriter(tmp_path / "sound.wav", 1) as writer:
        writer.write(np.full((1, 4800), 0.1, np.float32))
    for source in (None, tmp_path / "sound.wav"):
        with pytest.raises(RequestError, match="no picture was given"):
            delivery.check(DeliveryWish(outputs=("video",)), source, SECOND, tmp_path)


@pytest.mark.parametrize("together", [True, False])
def test_blows_that_are_too_many_to_be_heard_apart_are_refused_before_they_are_performed(
    together: bool, ball: Path, tmp_path: Path
) -> None:
    moments = [1 + Fraction(number, 500) for number in range(2000)]
    span = Span(Fraction(0), Fraction(5))
    groups = [moments] if together else [[moment] for moment in moments]
    cues = tuple(
        Cue(f"hit-{number}", Stem.FOLEY, span, "impact.wood", sync_s=tuple(own)) for number, own in enumerate(groups)
    )
    sheet = CueSheet("film", Fraction(25), media.probe(ball).duration_s, cues)
    with pytest.raises(RequestError, match=r"More than 100 blows a second .* foley lane, from 1.00 s"):
        run(ScoreRequest(media=ball, sheet=sheet), tmp_path)
    assert not (tmp_path / "cache" / "takes").exists()
