# SPDX-License-Identifier: AGPL-3.0-or-later
"""By example: recordings that the tests make, whose events and noise are known to the sample."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pyloudnorm
import pytest
from conftest import CONTACTS_S
from scipy import signal

from immersivaudio.engine import alternatives, effects, gate, performing, pipeline, sheets, wire, wire_checks
from immersivaudio.engine.bwf import WavWriter
from immersivaudio.engine.cue import Cue, CueSheet, Example, Span, Stem, samples_at
from immersivaudio.engine.errors import (
    CancelledError,
    CueSheetError,
    EngineError,
    MediaError,
    ResultError,
    UnavailableError,
)
from immersivaudio.engine.examples import Kind, casting, identified, licence_of, study
from immersivaudio.engine.examples.matching import Wanted, matched
from immersivaudio.engine.examples.quilting import cloth_of, quilted
from immersivaudio.engine.examples.variation import change_of, varied
from immersivaudio.engine.keeping import touched
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.analogy import chosen as events_chosen
from immersivaudio.engine.performers.analogy import create
from immersivaudio.engine.request import DeliveryWish, Goal, Outcome, ScoreRequest, Workspace
from immersivaudio.engine.synthesis.frame import stream
from immersivaudio.v1 import job_pb2

RATE = 48_000
HITS_S = (0.5, 1.3, 2.2, 3.0, 4.1)
LOUD = (0.9, 0.3, 0.6, 0.15, 0.45)
Wave = np.ndarray


def never() -> bool:
    return False


def written(path: Path, wave: Wave) -> Path:
    with WavWriter(path) as writer:
        writer.write(np.asarray(wave, np.float32))
    return path


def hit(pitch_hz: float, loud: float, decay_s: float = 0.06) -> Wave:
    """A struck thing: three partials that begin at their loudest."""
    t = np.arange(round(8 * decay_s * RATE)) / RATE
    partials = sum(np.cos(2 * np.pi * pitch_hz * ratio * t) / (1 + n) for n, ratio in enumerate((1, 2.76, 5.4)))
    return loud / 2 * partials * np.exp(-t / decay_s)


def hits(noise_db: float = -70.0, seconds: float = 5.0, at_s: Sequence[float] = HITS_S) -> Wave:
    """Blows of known loudness and pitch, the louder the brighter, over steady noise, ``[2, n]``."""
    random = np.random.default_rng(7)
    wave = 10 ** (noise_db / 20) * random.standard_normal((2, round(seconds * RATE)))
    for at, loud in zip(at_s, itertools.cycle(LOUD)):
        blow = hit(500 + 1500 * loud, loud)
        first = round(at * RATE)
        wave[:, first : first + len(blow)] += blow[: wave.shape[1] - first]
    return wave


def rain(seconds: float = 4.0, seed: int = 3) -> Wave:
    """Something that goes on: coloured noise with fine drops, two channels of their own."""
    random = np.random.default_rng(seed)
    low, high = signal.butter(2, (300, 6000), "bandpass", fs=RATE)
    noise = signal.lfilter(low, high, random.standard_normal((2, round(seconds * RATE))), axis=1)
    return 0.05 * noise / noise.std()


@pytest.fixture
def blows(tmp_path: Path) -> Example:
    return Example(str(written(tmp_path / "blows.wav", hits())))


@pytest.fixture
def drizzle(tmp_path: Path) -> Example:
    return Example(str(written(tmp_path / "drizzle.wav", rain())))


def struck(example: Example | None, sync_s: Sequence[Fraction], **more: object) -> Cue:
    span = Span(Fraction(2), Fraction(6))
    cue = Cue("blow", Stem.FOLEY, span, "impact.wood", sync_s=tuple(2 + moment for moment in sync_s), seed=9)
    return replace(cue, example=example, **more)  # type: ignore[arg-type]


def bed(example: Example, seconds: Fraction = Fraction(20), seed: int = 9) -> Cue:
    return Cue("bed", Stem.AMBIENCE, Span(Fraction(0), seconds), "rain", seed=seed, example=example)


def performed(cue: Cue) -> Wave:
    return np.concatenate(list(create().perform(Brief(cue, samples_at(cue.span.duration_s)))), axis=1)


SYNC = tuple(Fraction(n, 7) + Fraction(1, 3) for n in range(0, 35, 4))


def test_events_are_found_to_the_sample_and_described(blows: Example) -> None:
    heard = study(blows, never)
    assert heard.kind is Kind.EVENTS
    assert [event.at_s for event in heard.events] == pytest.approx(HITS_S, abs=0.0005)
    order = np.argsort(LOUD)
    assert list(np.argsort([event.level_db for event in heard.events])) == list(order)
    assert list(np.argsort([event.brightness for event in heard.events])) == list(order)
    # Three partials that fall by e in 60 ms are 20 dB down after some 0.1 s.
    assert all(0.06 < event.decay_s < 0.2 and event.whole for event in heard.events)
    assert all(np.abs(event.grain).max() == pytest.approx(1.0) for event in heard.events)
    assert all(np.all(event.grain[:, -1] == pytest.approx(0.0, abs=1e-4)) for event in heard.events)


def test_a_recorders_offset_does_not_matter(tmp_path: Path) -> None:
    heard = study(Example(str(written(tmp_path / "offset.wav", hits() + 0.1))), never)
    assert heard.kind is Kind.EVENTS
    assert [event.at_s for event in heard.events] == pytest.approx(HITS_S, abs=0.0005)


def test_what_goes_on_is_a_texture(drizzle: Example) -> None:
    assert study(drizzle, never).kind is Kind.TEXTURE


def test_attacks_fall_on_the_sync_points_to_the_sample(blows: Example) -> None:
    cue = struck(blows, SYNC)
    wave = performed(cue)
    assert wave.shape == (2, samples_at(cue.span.duration_s))
    loudest = np.abs(wave).max(axis=0)
    for moment in SYNC:
        at = samples_at(moment)
        near = loudest[at - 400 : at + 480]
        first = int(np.flatnonzero(near >= 0.1 * near.max())[0]) - 400
        # A tuned event is band-limited: the jump with which these blows begin rings two samples ahead.
        assert abs(first) <= 2
        assert int(near.argmax()) - 400 <= 0.005 * RATE
    assert gate.check(wave, cue, wave.shape[1]) == ()


def test_a_tail_rings_over_the_next_blow(tmp_path: Path) -> None:
    """Two blows closer than the tail is long add up: the second does not cut the first off."""
    ringing = np.zeros((2, 4 * RATE)) + 1e-5 * np.random.default_rng(1).standard_normal((2, 4 * RATE))
    blow = hit(900, 0.8, decay_s=0.4)
    for at in (0.2, 2.1):
        ringing[:, round(at * RATE) :][:, : len(blow)] += blow[: 4 * RATE - round(at * RATE)]
    example = replace(Example(str(written(tmp_path / "ring.wav", ringing))), events=(0, 1))
    first, both = (performed(struck(example, sync_s)) for sync_s in ((Fraction(1),), (Fraction(1), Fraction(5, 4))))
    second = both - first
    at = samples_at(Fraction(5, 4))
    assert np.abs(second[:, : at - 100]).max() < 1e-6
    assert np.abs(first[:, at : at + RATE // 5]).max() > 0.2 * np.abs(first).max()


def test_never_the_same_event_twice_in_a_row_and_no_two_uses_alike(blows: Example) -> None:
    heard = study(blows, never)
    wanted = [Wanted(0.6, 0.4, "impact.wood", seed) for seed in range(60)]
    chosen = matched(wanted, heard.events)
    assert all(before != after for before, after in itertools.pairwise(chosen))
    assert len(set(chosen)) >= 3
    grains = [varied(heard.events[0], change_of(stream(seed, 1), alone=False)) for seed in range(8)]
    shortest = min(grain.shape[1] for grain, _ in grains)
    for (one, lead), (other, lead_other) in itertools.combinations(grains, 2):
        a, b = one[:, lead : shortest - 100], other[:, lead_other:][:, : shortest - 100 - lead]
        length = min(a.shape[1], b.shape[1])
        assert np.corrcoef(a[0, :length], b[0, :length])[0, 1] < 0.9999


def test_stronger_blows_take_louder_events(blows: Example) -> None:
    heard = study(blows, never)
    strengths = np.tile([0.1, 0.9, 0.5], 20)
    wanted = [Wanted(float(strength), 0.4, "impact.wood", seed) for seed, strength in enumerate(strengths)]
    levels = np.array([heard.events[which].level_db for which in matched(wanted, heard.events)])
    assert np.corrcoef(strengths, levels)[0, 1] > 0.7


def test_brighter_materials_take_brighter_events(blows: Example) -> None:
    heard = study(blows, never)
    kinds = ["impact.soft", "impact.metal"] * 20
    wanted = [Wanted(0.5, 0.4, kind, seed) for seed, kind in enumerate(kinds)]
    bright = np.array([heard.events[which].brightness for which in matched(wanted, heard.events)])
    assert bright[1::2].mean() > bright[::2].mean() + 0.2


def test_seen_strength_of_the_example_counts(blows: Example) -> None:
    heard = study(blows, never)
    seen = [0.1, 0.1, 0.95, 0.1, 0.1]
    chosen = matched(
        [Wanted(s, 0.4, "impact.wood", n) for n, s in enumerate((0.1, 0.95, 0.2, 0.9))], heard.events, seen
    )
    assert chosen[1] == chosen[3] == 2


def test_the_noise_behind_the_events_is_not_pumped(tmp_path: Path) -> None:
    """With every blow comes the noise of the recording, unless it is taken away: no step may be heard."""
    example = Example(str(written(tmp_path / "noisy.wav", hits(noise_db=-42.0))))
    heard = study(example, never)
    assert [event.at_s for event in heard.events if event.level_db > -12] == pytest.approx([0.5, 2.2, 4.1], abs=0.003)
    wave = performed(struck(replace(example, events=(0,)), (Fraction(1), Fraction(3))))
    level = 20 * np.log10(np.sqrt(np.mean(wave.reshape(2, -1, 480) ** 2, axis=(0, 2))) + 1e-9)
    peak = level.max()
    before, after = level[80:99], level[160:250]
    assert before.max() < peak - 80, "noise comes before the attack"
    assert after.max() < peak - 60, "noise stays when the blow has died away"
    falling = level[101:160]
    steps = falling[:-2] - falling[2:]
    assert steps[falling[:-2] > peak - 45].max() < 12, "the tail ends in a step"


def test_a_texture_has_its_length_and_level(drizzle: Example) -> None:
    for seconds in (Fraction(1, 3), Fraction(5), Fraction(61, 2)):
        assert performed(bed(drizzle, seconds)).shape == (2, samples_at(seconds))
    wave = performed(bed(drizzle))
    assert pyloudnorm.Meter(RATE).integrated_loudness(wave.T) == pytest.approx(-26.0, abs=0.7)
    assert gate.check(wave, bed(drizzle), wave.shape[1]) == ()


@pytest.mark.parametrize("seconds", [1.2, 4.0, 12.0])
def test_a_texture_is_never_heard_to_repeat(seconds: float, tmp_path: Path) -> None:
    example = Example(str(written(tmp_path / "rain.wav", rain(seconds))))
    mono = performed(bed(example, Fraction(60))).mean(axis=0)
    size = 1 << (2 * len(mono) - 1).bit_length()
    spectrum = np.fft.rfft(mono, size)
    likeness = np.fft.irfft(np.abs(spectrum) ** 2)[: len(mono)]
    assert np.abs(likeness[RATE // 10 :]).max() < 0.05 * likeness[0]
    # Heard a second at a time too: no second comes again within the next ten.
    for start in range(0, 40 * RATE, 7 * RATE):
        piece = mono[start : start + RATE]
        later = mono[start + RATE : start + 11 * RATE]
        alike = signal.correlate(later, piece, "valid", "fft")
        sums = np.concatenate([[0.0], np.cumsum(np.square(later, dtype=np.float64))])
        assert np.abs(alike / np.sqrt((sums[RATE:] - sums[:-RATE]) * np.sum(piece**2))).max() < 0.5


def test_no_place_comes_again_within_the_next_three_patches() -> None:
    """The places are read off a ramp that is sewn in the recording's stead."""
    wave = rain(20.0).astype(np.float32)
    ramp = np.tile(np.arange(wave.shape[1], dtype=np.float32) / RATE, (2, 1))
    again = 0
    for seed in range(4):
        patches = quilted(replace(cloth_of(wave, ((0, wave.shape[1]),)), samples=ramp), stream(seed))
        middles = [abs(patch[0, patch.shape[1] // 2]) for patch, _ in zip(patches, range(60), strict=False)]
        again += sum(
            abs(one - before) < 0.15 for at, one in enumerate(middles) for before in middles[max(0, at - 3) : at]
        )
    assert again <= 2


def test_a_lone_click_does_not_come_again(tmp_path: Path) -> None:
    wave = rain(6.0)
    wave[:, 2 * RATE : 2 * RATE + 40] += 0.6 * np.sign(np.sin(np.arange(40)))
    whole = performed(bed(Example(str(written(tmp_path / "click.wav", wave))), Fraction(30)))
    sharpest = np.abs(np.diff(whole.mean(axis=0), 2))
    assert sharpest.max() < 8 * np.percentile(sharpest, 90)


def test_a_blow_is_timed_where_it_lands_not_where_it_rumbles(tmp_path: Path) -> None:
    """A low swell leads into every blow, a quarter as loud: the attack is the blow."""
    wave = hits(noise_db=-75.0)
    for at in HITS_S:
        swell = 0.2 * np.sin(2 * np.pi * 60 * np.arange(RATE // 25) / RATE) * np.linspace(0, 1, RATE // 25)
        wave[:, round(at * RATE) - len(swell) : round(at * RATE)] += swell
    heard = study(Example(str(written(tmp_path / "swell.wav", wave))), never)
    loud = [event.at_s for event in heard.events if event.level_db > -11]
    assert loud == pytest.approx([0.5, 2.2, 4.1], abs=0.002)


def test_seams_do_not_stand_out(drizzle: Example) -> None:
    """Level and brightness from 20 ms to 20 ms change at the seams as they do in the recording itself."""
    heard = study(drizzle, never)
    pieces = quilted(cloth_of(heard.samples, heard.stretches), stream(5))
    wave = np.concatenate([next(pieces) for _ in range(40)], axis=1)

    def steps(samples: Wave) -> Wave:
        blocks = samples[:, : samples.shape[1] // 960 * 960].reshape(2, -1, 960)
        return np.abs(np.diff(10 * np.log10(np.mean(blocks**2, axis=(0, 2)))))

    assert np.percentile(steps(wave), 99.5) < 1.3 * np.percentile(steps(heard.samples), 99.5)
    assert np.abs(np.diff(wave)).max() < 1.3 * np.abs(np.diff(heard.samples)).max()


def test_a_mono_recording_becomes_wide_and_stays_itself_in_mono(tmp_path: Path) -> None:
    one = rain(3.0)[:1]
    example = Example(str(written(tmp_path / "mono.wav", np.concatenate([one, one]))))
    left, right = performed(bed(example))
    assert 0.5 < np.corrcoef(left, right)[0, 1] < 0.95


def test_the_same_seed_is_the_same_take_and_another_is_not(blows: Example, drizzle: Example) -> None:
    for cue in (struck(blows, SYNC), bed(drizzle, Fraction(3))):
        first, again, other = performed(cue), performed(cue), performed(replace(cue, seed=77))
        assert first.tobytes() == again.tobytes()
        assert first.tobytes() != other.tobytes()


def test_cancel_is_obeyed(blows: Example, drizzle: Example) -> None:
    for cue in (struck(blows, SYNC), bed(drizzle)):
        with pytest.raises(CancelledError):
            list(create().perform(Brief(cue, samples_at(cue.span.duration_s), cancelled=lambda: True)))


def silent(path: Path) -> Path:
    return written(path, np.zeros((2, RATE)))


def short(path: Path) -> Path:
    return written(path, hits()[:, :1000])


def broken(path: Path) -> Path:
    path.write_bytes(b"RIFF....WAVEfmt nonsense" * 40)
    return path


def missing(path: Path) -> Path:
    return path


@pytest.mark.parametrize("make", [silent, short, broken, missing])
def test_what_is_no_example_is_refused_in_a_sentence(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError) as refused:
        study(Example(str(make(tmp_path / "example.wav"))), never)
    assert refused.value.message.endswith(".")
    assert "example.wav" in refused.value.message
    assert str(tmp_path) not in refused.value.message


@pytest.mark.parametrize("name", ["speech-1940-office-bw.mp4", "speech-webcam-night.mp4"])
def test_speech_is_refused(name: str, shared: Path) -> None:
    with pytest.raises(ResultError, match="speech"):
        study(Example(str(shared / "media/video" / name)), never)


def test_a_picture_without_sound_is_refused(ball: Path) -> None:
    with pytest.raises(MediaError, match="no sound"):
        study(Example(str(ball)), never)


def test_a_texture_has_no_blows_to_give(drizzle: Example) -> None:
    with pytest.raises(ResultError, match="begins and dies away"):
        performed(struck(drizzle, SYNC))


def test_further_takes_take_other_events(blows: Example, tmp_path: Path) -> None:
    cue = struck(replace(blows, events=(1,)), (Fraction(1),))
    run = performing.Run(performing.Performers.load(["analogy"]), tmp_path, "commercial", never)
    first, _, _ = performing.one(cue, run)
    takes, _ = alternatives.perform([cue], {cue.id: first}, alternatives.Wish(4), run, lambda *_: None)
    assert len(takes[cue.id]) == 4
    assert [take.pins.get("example_events") for take in takes[cue.id]] == ["1", None, None, None]
    heard = study(blows, never)
    chosen = {events_chosen(heard, replace(cue, example=blows, seed=seed), 1)[0] for seed in range(20)}
    assert len(chosen) >= 2


def test_bytes_and_events_are_in_the_takes_key(blows: Example) -> None:
    cue, performer = struck(blows, SYNC), create()

    def key(example: Example) -> str:
        choice = performer.choose(replace(cue, example=example), "commercial", never)
        assert choice is not None
        return performing.take_key(choice.pinned(replace(cue, example=example)), performer)

    first = key(blows)
    assert key(replace(blows, sha256="0" * 64, licence="CC0-1.0")) == first, "what it says of itself does not matter"
    assert key(replace(blows, events=(1,))) != first
    written(Path(blows.path), hits(noise_db=-60.0))
    assert key(blows) != first


@pytest.mark.parametrize(
    ("said", "commercial", "attribution"),
    [
        ("", True, False), ("CC0-1.0", True, False), ("CC-BY-4.0", True, True), ("CC-BY-NC-4.0", False, True),
        ("non-commercial use only", False, False), ("bought from a library", True, False), ("Noncommercial", False, False),
    ],
)  # fmt: skip
def test_the_licence_is_what_its_owner_says(said: str, commercial: bool, attribution: bool) -> None:
    licence = licence_of(Example("/a/b.wav", "b.wav", said, "ab" * 32))
    assert licence.commercial_use is commercial
    assert bool(licence.attribution) is attribution
    assert "b.wav" in licence.source and "ab" * 32 in licence.source
    assert licence.name == (said or "user's own")


def test_what_may_not_be_sold_is_not_used_where_that_is_wanted(blows: Example) -> None:
    cue = struck(replace(blows, licence="CC-BY-NC-4.0"), SYNC)
    assert create().choose(cue, "any", never) is not None
    with pytest.raises(UnavailableError, match="commercially"):
        create().choose(cue, "commercial", never)
    with pytest.raises(UnavailableError):
        casting.tried(casting.Wish(cue.example or blows), never)


def sheet_of(*cues: Cue) -> CueSheet:
    return CueSheet("film", Fraction(25), Fraction(20), cues)


def blow_at(at: Fraction, sound: str = "impact.wood", **more: object) -> Cue:
    span = Span(at - Fraction(1, 20), Fraction(1))
    cue = Cue(f"fol-{float(at):.3f}", Stem.FOLEY, span, sound, sync_s=(at,), params={"strength": 0.5}, seed=4)
    return replace(cue, **more)  # type: ignore[arg-type]


def place(start: int, length: int, sound: str = "city", **more: object) -> Cue:
    cue = Cue(f"amb-{start}-{sound}", Stem.AMBIENCE, Span(Fraction(start), Fraction(length)), sound, why="Seen.")
    return replace(cue, **more)  # type: ignore[arg-type]


def test_events_go_to_what_is_struck(blows: Example) -> None:
    own = Example("/mine.wav")
    cues = [blow_at(Fraction(n)) for n in range(1, 5)]
    sheet = sheet_of(
        place(0, 20), *cues, blow_at(Fraction(6), "whoosh"), blow_at(Fraction(7), locked=True),
        blow_at(Fraction(8), example=own), blow_at(Fraction(9), "footstep.hard"),
    )  # fmt: skip
    done = casting.cast(sheet, casting.tried(casting.Wish(blows), never))
    given = [cue.id for cue in done.cues if cue.example and cue.example.name == "blows.wav"]
    assert given == [cue.id for cue in cues]
    assert all(cue.performer == "analogy" and "blows.wav" in cue.why for cue in done.cues if cue.id in given)
    alone = casting.cast(sheet, casting.tried(casting.Wish(blows, alone=True), never))
    assert [cue.id for cue in alone.cues] == [*given, "fol-8.000"]


def test_steps_take_an_example_that_walks_and_blows_one_that_does_not(tmp_path: Path, blows: Example) -> None:
    walking = Example(str(written(tmp_path / "walk.wav", hits(at_s=[0.3 + 0.55 * n for n in range(8)]))))
    sheet = sheet_of(blow_at(Fraction(2)), blow_at(Fraction(3), "footstep.hard"))
    for example, expected in ((walking, "footstep.hard"), (blows, "impact.wood")):
        done = casting.cast(sheet, casting.tried(casting.Wish(example), never))
        assert [cue.sound for cue in done.cues if cue.example] == [expected]


def test_a_texture_is_the_one_bed_of_each_place(drizzle: Example) -> None:
    sheet = sheet_of(place(0, 12), place(1, 5, "wind"), place(12, 8, "forest"), place(11, 3, "rain"))
    done = casting.cast(sheet, casting.tried(casting.Wish(drizzle), never))
    assert [cue.sound for cue in done.cues if cue.example] == ["city", "forest"]
    assert [cue.sound for cue in done.suggestions] == ["wind", "rain"]
    assert all("drizzle.wav" in cue.why for cue in done.suggestions)


def test_nothing_to_lay_it_on_is_said(blows: Example, drizzle: Example) -> None:
    for example, words in ((blows, "blow or step"), (drizzle, "place")):
        with pytest.raises(ResultError, match=words):
            casting.cast(sheet_of(), casting.tried(casting.Wish(example, alone=True), never))


def test_the_sheet_says_which_event_each_moment_takes_and_keeps_what_a_person_chose(blows: Example) -> None:
    cues = [blow_at(Fraction(n, 2), example=blows) for n in range(2, 12)]
    cues[4] = replace(cues[4], example=replace(blows, events=(3,)))
    done = casting.with_events(sheet_of(*cues), never)
    chosen = [cue.example.events for cue in done.cues if cue.example]
    assert all(len(events) == 1 for events in chosen)
    assert chosen[4] == (3,)
    fresh = [events for index, events in enumerate(chosen) if index != 4]
    assert all(before != after for before, after in itertools.pairwise(fresh[:4]))
    assert casting.with_events(done, never) == done
    assert all(cue.example and cue.example.sha256 == identified(blows).sha256 for cue in done.cues)


def test_an_example_travels_in_the_sheets_file_and_on_the_wire(blows: Example) -> None:
    here = replace(identified(blows), licence="CC-BY-4.0", events=(1, 2))
    away = Example("", "there.wav", "", "ab" * 32, 99, uploaded=True)
    sheet = sheet_of(blow_at(Fraction(2), example=here), blow_at(Fraction(3), example=away))
    assert sheets.from_json(sheets.to_json(sheet)).cues[0].example == here
    assert sheets.from_json(sheets.to_json(sheet)).cues[1].example == away
    sent = wire.sheet_from_wire(wire.sheet_to_wire(sheet)).cues
    assert sent[0].example == replace(here, size_bytes=0)
    assert sent[1].example == away


def test_a_person_writes_a_path_alone() -> None:
    rows = {"duration_s": 5, "cues": [{"sound": "impact.wood", "sync_s": [1.0], "example": "sounds/knock.wav"}]}
    cue = sheets.from_json(json.dumps(rows)).cues[0]
    assert cue.example == Example("sounds/knock.wav", "knock.wav")
    assert touched(cue)
    assert create().fitness(cue) > 0.9
    rows["cues"][0]["example"] = {"licence": "CC0-1.0"}  # type: ignore[index]
    with pytest.raises(CueSheetError, match=r"cues\[0\].example has no path"):
        sheets.from_json(json.dumps(rows))


def test_what_the_job_gave_is_not_taken_for_a_persons_edit(blows: Example) -> None:
    cue = blow_at(Fraction(2), id="fol-0002.000-impact.wood")
    assert touched(replace(cue, example=blows))
    assert touched(replace(cue, example=blows, performer="analogy")) == touched(cue)


def test_the_wire_is_checked() -> None:
    spec = job_pb2.JobSpec()
    spec.source.media.path = "/a.mp4"
    spec.effect.effect_id = "analogy"
    request = job_pb2.CreateJobRequest(request_id="1", spec=spec)
    assert [fault.field for fault in wire_checks.job(request)] == ["spec.example"]
    request.spec.effect.params["example"].text = "/b.wav"
    assert not list(wire_checks.job(request))
    request.spec.example.events.append(-1)
    assert {fault.field for fault in wire_checks.job(request)} == {"spec.example.media", "spec.example.events"}


def test_the_effect_is_described_with_its_clip() -> None:
    effect = effects.find("analogy")
    assert effect.by_example
    assert wire.param_to_wire(effect.params[0]).string_mode == 3, "a panel picks a file"


def scored(request: ScoreRequest, folder: Path) -> Outcome:
    return pipeline.score(request, Workspace(folder / "cache", folder), lambda event: None, never)


def test_a_film_sounds_like_the_example_on_every_contact(ball: Path, blows: Example, tmp_path: Path) -> None:
    wish = DeliveryWish(outputs=("stems",), loudness="none")
    outcome = scored(ScoreRequest(media=ball, effect="analogy", example=blows, delivery=wish), tmp_path)
    moments = [float(moment) for cue in outcome.sheet.cues for moment in cue.sync_s]
    assert all(min(abs(moment - contact) for moment in moments) < 0.03 for contact in CONTACTS_S)
    assert all(cue.example is not None for cue in outcome.sheet.cues)
    rows = json.loads(next(made.path for made in outcome.made if made.kind == "manifest").read_text())
    digest = hashlib.sha256(Path(blows.path).read_bytes()).hexdigest()
    assert rows["cues"][0]["example"] == {"name": "blows.wav", "sha256": digest, "licence": "user's own"}
    assert {row["performer"] for row in rows["cues"]} == {"analogy"}
    assert rows["licence"]["name"] == "user's own"


def test_a_broken_example_stops_the_job_before_it_is_watched(ball: Path, tmp_path: Path) -> None:
    silence = Example(str(silent(tmp_path / "s.wav")))
    with pytest.raises(EngineError, match="silent"):
        scored(ScoreRequest(media=ball, effect="analogy", example=silence, goal=Goal.SPOT), tmp_path)
    assert not (tmp_path / "cache" / "watch").exists()


def test_an_engine_that_may_not_read_the_folder_is_sent_the_example(ball: Path, blows: Example, tmp_path: Path) -> None:
    """Through the command line and through the bridge, as bytes; the sheet that comes back finds it by its digest."""
    from immersivaudio.bridge.client import spawn_engine
    from immersivaudio.bridge.stdio import Link

    server = [sys.executable, "-m", "immersivaudio.engine.server", "--address", "127.0.0.1:0"]
    command = [sys.executable, "-m", "immersivaudio", "score", str(ball), "--output", "stems", "-q"]
    with spawn_engine([*server, "--home", str(tmp_path / "home")]) as engine:
        call = functools.partial(subprocess.run, check=True, capture_output=True, timeout=300)
        at = ["--engine", engine.address]
        call([*command, *at, "--example", blows.path, "--without", "ambience", "-o", str(tmp_path / "first")])
        sheet = next((tmp_path / "first").glob("*.cues.json"))
        (example, *_) = [row["example"] for row in json.loads(sheet.read_text())["cues"] if "example" in row]
        assert (example["name"], "path" in example) == ("blows.wav", False)
        call([*command, *at, "--cues", str(sheet), "-o", str(tmp_path / "again")])
        one, other = (next((tmp_path / name).glob("*.foley.wav")).read_bytes() for name in ("first", "again"))
        assert one == other

        link = Link([sys.executable, "-m", "immersivaudio.bridge.stdio", "--engine", engine.address], {})
        order = {"timeline": _timeline_of(ball), "effect": "analogy", "params": {"example": blows.path}}
        job = link.ask("render", order)["job"]
        while (event := link.next_event(120.0)) is not None and event["method"] not in ("done", "failed"):
            pass
        assert event is not None and event["method"] == "done", event
        lanes = link.ask("result", {"job": job, "folder": str(tmp_path / "lanes")})["lanes"]
        assert [lane["stem"] for lane in lanes] == ["foley"]
        link.close()


def _timeline_of(film: Path) -> dict[str, object]:
    timeline, track = otio.schema.Timeline("cut"), otio.schema.Track(kind=otio.schema.TrackKind.Video)
    whole = otio.opentime.TimeRange(otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(125, 25))
    track.append(otio.schema.Clip("c", otio.schema.ExternalReference(str(film)), whole))
    timeline.tracks.append(track)
    return json.loads(timeline.to_json_string())


def test_an_example_lies_under_the_allowed_roots(blows: Example, tmp_path: Path) -> None:
    from immersivaudio.engine.blobs import BlobStore
    from immersivaudio.engine.errors import AccessError
    from immersivaudio.engine.orders import Shelf

    allowed = tmp_path / "allowed"
    allowed.mkdir()
    inside = Path(blows.path).rename(allowed / "in.wav")
    (allowed / "out.wav").symlink_to(written(tmp_path / "secret.wav", hits()))
    shelf = Shelf((allowed,), BlobStore(tmp_path / "blobs"), tmp_path)
    assert shelf.example(Example(str(inside))).path == str(inside)
    for path in (allowed / "out.wav", tmp_path / "secret.wav"):
        with pytest.raises(AccessError):
            shelf.sheet(sheet_of(blow_at(Fraction(2), example=Example(str(path)))))
