# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composed music, heard by an analyser of its own: it knows nothing but the MIDI bytes, the declared form and samples."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
from _midi import Midi, beyond, met, parallels, parsed, slices, tempo_off, top_line

from immersivaudio.engine import composing, conform, media, pipeline
from immersivaudio.engine.composing import Score, Section
from immersivaudio.engine.composing.player import played
from immersivaudio.engine.cue import Cue, Span, Stem, samples_at
from immersivaudio.engine.errors import MediaError
from immersivaudio.engine.importers.relink import locate_media
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.music import create, score_of
from immersivaudio.engine.request import DeliveryWish, Outcome, ScoreRequest, Workspace

RATE = 48_000
TIMELINES = Path(__file__).parents[2] / "shared" / "media" / "timelines"


def read_back(score: Score, folder: Path) -> Midi:
    return parsed(score.to_midi(folder / "piece.mid").read_bytes())


def pieces() -> list[Score]:
    """Pieces of many lengths, tones and cuts."""
    made = []
    for seed in range(56):
        dice = random.Random(seed)
        length_s = dice.choice([6, 15, 30, 50, 80, 120]) * dice.uniform(0.8, 1.3)
        hits_s = sorted(dice.uniform(0, length_s) for _ in range(dice.choice([0, 0, 2, 4, 9, 20])))
        made.append(composing.compose(length_s, hits_s, dice.random(), dice.random(), seed))
    return made


PIECES = pieces()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Score, Midi]]:
    folder = tmp_path_factory.mktemp("music")
    return [(score, read_back(score, folder)) for score in PIECES]


def extent(midi: Midi, section: Section) -> tuple[int, int]:
    lines = [*midi.bar_lines(), midi.end]
    return lines[section.first_bar], lines[section.first_bar + section.bars]


def shapes(score: Score, section: Section) -> list[int]:
    return [bar.eighths for bar in score.bars[section.first_bar : section.first_bar + section.bars]]


def test_the_file_says_what_the_score_says(corpus: list[tuple[Score, Midi]]) -> None:
    for score, midi in corpus:
        assert len(midi.notes) == len(score.notes)
        lines = midi.bar_lines()
        assert len(lines) == len(score.bars)
        assert max(abs(midi.seconds(tick) - bar.start_s) for tick, bar in zip(lines, score.bars, strict=True)) < 0.002
        assert midi.seconds(midi.end) == pytest.approx(score.length_s, abs=0.002)
        assert [text for _, text in midi.markers] == [section.label for section in score.sections]


def test_every_form_is_chosen_for_some_piece() -> None:
    forms = {form for score in PIECES for form in score.form.split(", ")}
    assert forms >= {"period", "ternary", "rondo", "theme and variations", "through-composed"}


def test_sections_and_phrases_fill_the_piece_without_gap() -> None:
    for score in PIECES:
        phrases = [phrase for section in score.sections for phrase in section.phrases]
        assert [phrase.first_bar for phrase in phrases] == [
            sum(before.bars for before in phrases[:index]) for index in range(len(phrases))
        ]
        assert sum(phrase.bars for phrase in phrases) == len(score.bars)
        themes = [p for s in score.sections if s.label not in ("intro", "link", "coda") for p in s.phrases]
        assert all(1 <= phrase.measures <= 8 for phrase in themes)
        if len(themes) > 4:
            assert np.median([phrase.measures for phrase in themes]) in (2, 3, 4, 5, 6)


def test_the_labels_are_those_of_the_form() -> None:
    for score in PIECES:
        labels = [section.label for section in score.sections if section.label not in ("intro", "link", "coda")]
        match score.form:
            case "phrase":
                assert labels == ["A"] and max(len(section.phrases) for section in score.sections) == 1
            case "period":
                assert labels == ["A"] and max(len(section.phrases) for section in score.sections) >= 2
            case "ternary":
                assert labels == ["A", "B", "A'"]
            case "rondo":
                assert set(labels[::2]) == {"A"} and len(set(labels[1::2])) == len(labels) // 2
                assert len(labels) % 2 == 1 and len(labels) >= 5
            case "theme and variations":
                assert labels == ["T", *(f"V{n + 1}" for n in range(len(labels) - 1))] and len(labels) >= 3
            case "through-composed":
                assert len(set(labels)) == len(labels)


def test_what_returns_is_the_same_and_what_contrasts_is_not(corpus: list[tuple[Score, Midi]]) -> None:
    same = other = 0
    for score, midi in corpus:
        if score.form != "rondo":
            continue
        first, *returns = [section for section in score.sections if section.label == "A"]
        theme = top_line(midi, *extent(midi, first))
        for section in returns:
            if shapes(score, section) == shapes(score, first):
                assert top_line(midi, *extent(midi, section)) == theme
                same += 1
        for section in score.sections:
            if section.label in "BCDE":
                assert top_line(midi, *extent(midi, section)) != theme
                other += 1
    assert same >= 8
    assert other >= 8


def on_strong_beats(midi: Midi, score: Score, section: Section) -> list[int]:
    """Pitch class of the top voice on each bar line of a section."""
    found = {tick: high % 12 for tick, _, high in slices(midi)}
    lines = midi.bar_lines()
    return [
        found[lines[bar]] for bar in range(section.first_bar, section.first_bar + section.bars) if lines[bar] in found
    ]


def test_varied_sections_keep_the_bones_of_the_theme(corpus: list[tuple[Score, Midi]]) -> None:
    kept, changed = [], 0
    for score, midi in corpus:
        themes = {s.label: s for s in score.sections}
        for section in score.sections:
            model = themes.get("A" if section.label == "A'" else "T" if section.label[0] == "V" else "")
            if model is None or shapes(score, model) != shapes(score, section):
                continue
            pairs = zip(on_strong_beats(midi, score, model), on_strong_beats(midi, score, section), strict=True)
            kept.append(np.mean([min((a - b) % 12, (b - a) % 12) <= 1 for a, b in pairs]))
            changed += top_line(midi, *extent(midi, model)) != top_line(midi, *extent(midi, section))
    assert len(kept) >= 10
    assert np.mean(kept) > 0.9
    assert changed > len(kept) / 3


def test_a_period_is_asked_and_answered(corpus: list[tuple[Score, Midi]]) -> None:
    seen = 0
    for score, midi in corpus:
        section = next((s for s in score.sections if s.label == "A"), None)
        if section is None or [phrase.cadence for phrase in section.phrases[:2]] != ["half", "authentic"]:
            continue
        ask, answer = section.phrases[:2]
        lines = midi.bar_lines()
        bass = {tick: low % 12 for tick, low, _ in slices(midi)}
        # The half cadence stands on the dominant: its root, or its third in the bass.
        assert (bass[lines[ask.first_bar + ask.bars - 1]] - score.tonic) % 12 in (7, 11, 2)
        if (
            ask.measures == answer.measures
            and ask.bars == answer.bars
            and score.bars[ask.first_bar].eighths == score.bars[answer.first_bar].eighths
        ):
            first = top_line(midi, lines[ask.first_bar], lines[ask.first_bar + 1])
            assert top_line(midi, lines[answer.first_bar], lines[answer.first_bar + 1]) == first
        seen += 1
    assert seen >= 5


def test_the_tempo_stays_within_eight_per_cent(corpus: list[tuple[Score, Midi]]) -> None:
    assert max(tempo_off(midi, score.wanted_bpm) for score, midi in corpus) <= 0.0801


def test_outer_voices_move_without_parallel_fifths_and_octaves(corpus: list[tuple[Score, Midi]]) -> None:
    assert sum(parallels(midi) for _, midi in corpus) == 0


def test_nobody_plays_beyond_the_instrument(corpus: list[tuple[Score, Midi]]) -> None:
    assert sum(beyond(midi) for _, midi in corpus) == 0


def held(midi: Midi, tick: int) -> list[int]:
    """What the sustained strings and basses sound at a tick."""
    return [note.pitch for note in midi.notes if note.program in (49, 43) and note.start <= tick < note.end]


def test_leading_tones_go_home(corpus: list[tuple[Score, Midi]]) -> None:
    """When the dominant gives way to a chord with the tonic: always in the melody, nearly always within."""
    outer = inner = risen = 0
    for score, midi in corpus:
        leading = (score.tonic + 11) % 12
        chord = {(score.tonic + step) % 12 for step in (7, 11, 2)}
        for (tick, _, high), (after, _, high_after) in pairwise(slices(midi)):
            before, now = held(midi, tick), held(midi, after)
            classes = {pitch % 12 for pitch in before}
            if len(classes) < 2 or not classes <= chord or {pitch % 12 for pitch in now} <= chord:
                continue
            if high % 12 == leading:
                assert high_after == high + 1
                outer += 1
            tense = [pitch for pitch in before if pitch % 12 == leading]
            if score.tonic in {pitch % 12 for pitch in now}:
                inner += len(tense)
                risen += sum(pitch + 1 in (*now, high_after) for pitch in tense)
    assert outer > 20
    assert inner > 50
    assert risen > 0.85 * inner


def test_it_ends_on_the_tonic_at_the_last_moment(corpus: list[tuple[Score, Midi]]) -> None:
    for score, midi in corpus:
        last = [note for note in midi.notes if note.program >= 0 and note.end >= midi.end - 1]
        assert min(last, key=lambda note: note.pitch).pitch % 12 == score.tonic
        assert max(last, key=lambda note: note.pitch).pitch % 12 == score.tonic
        third = {(note.pitch - score.tonic) % 12 for note in last} & {3, 4}
        assert len(third) <= 1


def test_velocities_breathe(corpus: list[tuple[Score, Midi]]) -> None:
    for _, midi in corpus:
        if len(midi.notes) > 60:
            assert len({note.velocity for note in midi.notes}) >= 8


def unknown(path: Path) -> media.Probe:
    raise MediaError(f"{path} is not here.", "")


def cuts_of(path: Path) -> tuple[float, list[float]]:
    """Length and cuts of a timeline: where its clips of picture begin, near doubles once."""
    _, edit = conform.read(path, prober=unknown)
    starts = sorted({float(clip.record.start_s) for clip in edit.clips if clip.kind == "video" and clip.enabled})
    return float(edit.duration_s), [start for start in starts if start > 0]


@pytest.mark.skipif(not TIMELINES.is_dir(), reason="the shared timelines are not here")
@pytest.mark.parametrize(("energy", "warmth"), [(0.15, 0.8), (0.5, 0.5), (0.9, 0.2)])
def test_real_cuts_meet_bar_lines(energy: float, warmth: float, tmp_path: Path) -> None:
    found = asked = 0
    for path in sorted(TIMELINES.iterdir()):
        length_s, cuts = cuts_of(path)
        score = composing.compose(length_s, cuts, energy, warmth, seed=11)
        midi = read_back(score, tmp_path)
        found += met(midi, cuts)
        asked += len(cuts)
        assert tempo_off(midi, score.wanted_bpm) <= 0.0801
    assert asked > 100
    assert found / asked >= 0.9


COMMAND = [sys.executable, "-m", "immersivaudio"]


def colours(at_s: float) -> np.ndarray:
    """A stand-in for footage: colours and a stripe that drift, so that only the edit's own cuts jump."""
    turns = np.array([1 / 31, 1 / 17, 1 / 11]) * at_s
    picture = np.full((54, 96, 3), 128 + 100 * np.sin(2 * np.pi * turns), np.uint8)
    picture[:, int(3 * at_s) % 80 :][:, :16] = 240
    return picture


def made_by(kind: str, outcome: Outcome) -> Path:
    return next(one.path for one in outcome.made if one.kind == kind and one.stem in (None, Stem.MUSIC))


def test_a_real_edit_gets_music_to_its_last_frame(draw: Callable[..., Path], shared: Path, tmp_path: Path) -> None:
    """A timeline of Final Cut Pro at 29.97, all its retimed pieces cut out of one stand-in film, the whole way."""
    film = draw(colours, 97.0, Fraction(30000, 1001), "stand-in")
    (tmp_path / "TestVideo.mp4").symlink_to(film)
    timeline = shared / "media/timelines/fcpx-29.97-drop-frame.fcpxml"
    told = ["score", timeline, "--media", tmp_path, "--music", "--output", "stems", "-o", tmp_path / "out", "--quiet"]
    lanes = [word for lane in ("ambience", "foley", "effects") for word in ("--without", lane)]
    subprocess.run([*COMMAND, *map(str, told), *lanes], check=True, timeout=300)

    found = locate_media(timeline, [tmp_path])
    _, edit = conform.read(timeline, found)
    cuts = [float(clip.record.start_s) for clip in edit.picture if clip.record.start_s > 0]
    midi = parsed(next((tmp_path / "out").glob("*.music.mid")).read_bytes())
    assert len(cuts) >= 11
    assert met(midi, cuts) >= 0.9 * len(cuts)
    assert midi.seconds(midi.end) == pytest.approx(float(edit.duration_s), abs=0.002)
    stem = next((tmp_path / "out").glob("*.music.wav"))
    assert media.probe(stem).duration_s == Fraction(samples_at(edit.duration_s), RATE)
    wave = np.concatenate(list(media.sound(stem, None)), axis=1)
    last_frame = wave[:, -samples_at(1 / edit.rate) :]
    assert np.sqrt(np.mean(last_frame**2)) > 10 ** (-12 / 20) * np.sqrt(np.mean(wave**2))


def test_speech_of_the_original_thins_the_music(shared: Path, tmp_path: Path) -> None:
    """Through the pipeline, on a real narration: kept, it is left room for; replaced, it is not."""
    clip = shared / "media/video/narration-nasa-two-video-two-audio.mp4"
    thin, full = (_scored_with_music(clip, tmp_path / original, original) for original in ("keep", "replace"))
    quiet = [(float(said.span.start_s), float(said.span.end_s)) for said in thin.sheet.speech]
    assert quiet
    inside = []
    for outcome in (thin, full):
        midi = parsed(made_by("midi", outcome).read_bytes())
        starts = [(midi.seconds(note.start), note.program) for note in midi.notes]
        inside.append([program for at, program in starts if any(start <= at < end for start, end in quiet)])
    assert set(inside[0]) <= {49, 43}
    assert len(inside[1]) > 2 * len(inside[0])


def _scored_with_music(clip: Path, folder: Path, original: str) -> Outcome:
    folder.mkdir()
    params = {"music": True, "ambience": False, "foley": False, "effects": False}
    request = ScoreRequest(media=clip, params=params, delivery=DeliveryWish(outputs=("stems",), original=original))
    return pipeline.score(request, Workspace(folder / "cache", folder), lambda event: None, lambda: False)


def test_even_cuts_all_meet_bar_lines() -> None:
    score = composing.compose(40.0, [7.3, 15.01, 22.2, 31.9], 0.5, 0.5, seed=3)
    for cut in score.hits_s:
        assert min(abs(bar.start_s - cut) for bar in score.bars) <= 0.020


@pytest.mark.parametrize("length_s", [0.02, 0.3, 0.9, 1.7, 3.3])
def test_the_shortest_cues_are_composed_too(length_s: float) -> None:
    score = composing.compose(length_s, [length_s / 2], 0.5, 0.5, seed=1)
    assert score.bars[-1].end_s == pytest.approx(length_s)
    assert score.notes
    assert all(note.start_s >= 0 and note.start_s + note.duration_s <= length_s + 1e-6 for note in score.notes)


def test_speech_leaves_only_held_strings() -> None:
    free = composing.compose(30.0, [], 0.6, 0.5, seed=4)
    quiet = composing.compose(30.0, [], 0.6, 0.5, seed=4, quiet_s=[(10.0, 20.0)])
    inside = {note.instrument for note in quiet.notes if 10 <= note.start_s < 20}
    assert inside
    assert inside <= {"strings", "low strings"}
    assert [n for n in free.notes if not 10 <= n.start_s < 20] == [n for n in quiet.notes if not 10 <= n.start_s < 20]


def cue_of(length_s: Fraction, seed: int = 7, energy: float = 0.5, sync_s: tuple[Fraction, ...] = ()) -> Cue:
    span = Span(Fraction(10), length_s)
    return Cue("m", Stem.MUSIC, span, "music", sync_s=sync_s, params={"energy": energy, "warmth": 0.6}, seed=seed)


def audio_of(cue: Cue) -> np.ndarray:
    samples = round(cue.span.duration_s * RATE)
    return np.concatenate(list(create().perform(Brief(cue, samples))), axis=1)


@pytest.mark.parametrize(("length_s", "energy"), [(Fraction(41, 3), 0.1), (Fraction(22), 0.5), (Fraction(20), 0.95)])
def test_sound_has_its_length_and_level_and_sounds_to_the_end(length_s: Fraction, energy: float) -> None:
    wave = audio_of(cue_of(length_s, energy=energy, sync_s=(Fraction(14), Fraction(17))))
    assert wave.shape == (2, round(length_s * RATE))
    assert pyloudnorm.Meter(RATE).integrated_loudness(wave.T) == pytest.approx(-26.0, abs=1.0)
    assert np.max(np.abs(wave)) < 0.9
    assert abs(float(wave.mean())) < 1e-3
    level = np.sqrt(np.mean(wave[:, -RATE // 4 :] ** 2))
    chord = np.sqrt(np.mean(wave[:, -RATE:] ** 2))
    assert level > chord * 10 ** (-6 / 20), "the last chord fades before the picture ends"
    assert level > np.sqrt(np.mean(wave**2)) * 10 ** (-9 / 20)
    assert np.max(np.abs(wave[:, -8:])) < 0.01, "it ends with a click"


def test_a_long_piece_keeps_the_level_found_in_excerpts() -> None:
    wave = audio_of(cue_of(Fraction(96), energy=0.15))
    assert pyloudnorm.Meter(RATE).integrated_loudness(wave.T) == pytest.approx(-26.0, abs=1.0)


def test_the_same_seed_is_the_same_music_and_another_is_not() -> None:
    first, again, other = (audio_of(cue_of(Fraction(6), seed=seed)) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] < 0.5
    assert (
        score_of(cue_of(Fraction(6), seed=7), 6 * RATE).notes != score_of(cue_of(Fraction(6), seed=8), 6 * RATE).notes
    )


def test_an_attack_is_heard_on_the_cut() -> None:
    cue = cue_of(Fraction(12), energy=0.6, sync_s=(Fraction(16),))
    wave = np.abs(audio_of(cue)).sum(axis=0)
    before, after = (float(np.sqrt(np.mean(wave[at : at + RATE // 8] ** 2))) for at in (RATE * 6 - RATE // 6, RATE * 6))
    assert after > 1.25 * before


def test_stems_by_group_add_up_to_the_whole() -> None:
    score = composing.compose(4.0, [2.0], 0.7, 0.5, seed=2)
    whole = np.concatenate([f for f in played(score, 4 * RATE) if f is not None], axis=1)
    groups = {made.group for made in composing.INSTRUMENTS.values()}
    parts = [np.concatenate([f for f in played(score, 4 * RATE, {g}) if f is not None], axis=1) for g in groups]
    assert np.max(np.abs(sum(parts) - whole)) < 1e-4


def test_only_music_is_performed() -> None:
    assert create().fitness(cue_of(Fraction(2))) > 0
    assert create().fitness(Cue("w", Stem.AMBIENCE, Span(Fraction(0), Fraction(2)), "wind")) == 0
