# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ears, on sounds that are made here and on recorded ones."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from immersivaudio.engine import media
from immersivaudio.engine.cue import Clip, Cue, Edit, Sighting, Span, Stem
from immersivaudio.engine.performers import Brief, procedural
from immersivaudio.engine.voice import STEP_S, spans_of
from immersivaudio.engine.watchers import SoundWatcher
from immersivaudio.engine.watchers.hearing import create

RATE = 48_000
SHARED = Path(__file__).parents[2] / "shared" / "media"


def edit_of(*spans: tuple[float, float], length_s: float) -> Edit:
    clips = tuple(
        Clip(f"a{i}", "take", "audio", 0, "take.wav", Span(Fraction(0), Fraction(end - start)), span(start, end))
        for i, (start, end) in enumerate(spans)
    )
    return Edit("cut", Fraction(25), Fraction(length_s), clips=clips)


def span(start: float, end: float) -> Span:
    return Span.between(Fraction(start), Fraction(end))


def heard(sound: np.ndarray, block: int = 33_333, edit: Edit | None = None) -> list[Sighting]:
    stereo = np.stack([sound, sound]).astype(np.float32) if sound.ndim == 1 else sound.astype(np.float32)
    edit = edit or edit_of((0, stereo.shape[1] / RATE), length_s=stereo.shape[1] / RATE)
    blocks = (stereo[:, at : at + block] for at in range(0, stereo.shape[1], block))
    return list(create().listen(edit, blocks))


def of(sightings: Sequence[Sighting], label: str) -> list[Sighting]:
    return [sighting for sighting in sightings if sighting.label == label]


def verdict(sightings: Sequence[Sighting]) -> str:
    (level,) = of(sightings, "level")
    return str(level.values["verdict"])


def times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


def noise(seconds: float, level: float = 0.1, seed: int = 1) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def clicks(at_s: Sequence[float], seconds: float, bed: float = 0.0005) -> np.ndarray:
    sound = noise(seconds, bed)
    for index, moment in enumerate(at_s):
        first = round(moment * RATE)
        tail = np.exp(-times(0.08) / 0.012) * noise(0.08, 0.3, seed=index + 5)
        sound[first : first + len(tail)] += tail[: len(sound) - first]
    return sound


def test_it_is_a_sound_watcher() -> None:
    watcher = create()
    assert isinstance(watcher, SoundWatcher)
    assert watcher.available() == ""


def test_no_sound_clip_gives_verdict_none() -> None:
    (level,) = create().listen(edit_of(length_s=3), iter(()))
    assert level.values["verdict"] == "none"
    assert level.span == span(0, 3)


def test_digital_silence_is_silent() -> None:
    sightings = heard(np.zeros(3 * RATE))
    assert verdict(sightings) == "silent"
    (silence,) = of(sightings, "silence")
    assert (silence.span.start_s, silence.span.end_s) == (0, 3)
    assert not of(sightings, "dropout")
    assert not of(sightings, "onset")


def test_silence_between_sounds_is_found_where_it_is() -> None:
    sound = np.concatenate([noise(2), np.zeros(3 * RATE) + noise(3, 1e-4), noise(2, seed=2)])
    (silence,) = of(heard(sound), "silence")
    assert float(silence.span.start_s) == pytest.approx(2.0, abs=0.02)
    assert float(silence.span.end_s) == pytest.approx(5.0, abs=0.02)


@pytest.mark.parametrize("block", [1000, 33_333, 480_000])
def test_attacks_are_timed_within_five_milliseconds(block: int) -> None:
    wanted = [0.5, 0.997, 1.75, 2.004, 3.3, 4.9]
    found = [float(onset.span.start_s) for onset in of(heard(clicks(wanted, 6.0), block), "onset")]
    assert found == pytest.approx(wanted, abs=0.005)


def test_a_stronger_attack_is_stronger() -> None:
    sound = clicks([1.0], 4.0)
    sound[2 * RATE :] += 0.1 * clicks([1.0], 2.0, 0.0)
    loud, soft = of(heard(sound), "onset")
    assert float(loud.values["strength"]) > 1.2 * float(soft.values["strength"])
    assert float(soft.span.start_s) == pytest.approx(3.0, abs=0.005)


def test_steady_noise_has_no_attacks() -> None:
    assert of(heard(noise(5.0)), "onset") == []


def test_a_clipped_sine_clips_and_a_loud_one_does_not() -> None:
    sine = np.sin(2 * np.pi * 220 * times(2))
    (clipping,) = of(heard(np.clip(3 * sine, -1, 1)), "clipping")
    assert float(clipping.span.duration_s) == pytest.approx(2.0, abs=0.05)
    assert of(heard(0.95 * sine), "clipping") == []


def test_sound_that_stops_inside_a_clip_is_a_dropout() -> None:
    sound = np.concatenate([noise(3), np.zeros(4 * RATE)])
    (dropout,) = of(heard(sound), "dropout")
    assert float(dropout.span.start_s) == pytest.approx(3.0, abs=0.02)
    assert float(dropout.span.end_s) == pytest.approx(7.0, abs=0.02)


def test_sound_that_stops_with_its_clip_is_no_dropout() -> None:
    sound = np.concatenate([noise(3), np.zeros(4 * RATE)])
    assert of(heard(sound, edit=edit_of((0, 3), length_s=7)), "dropout") == []


def test_a_rotor_is_noise_and_makes_the_original_bad() -> None:
    t = times(6)
    blades = sum(np.sin(2 * np.pi * 90 * k * t + k) / k**1.5 for k in range(1, 12))
    sightings = heard(0.3 * blades + noise(6, 0.01))
    assert {str(row.values["kind"]) for row in of(sightings, "noise")} == {"rotor"}
    assert verdict(sightings) == "bad"


def test_a_quiet_place_is_good() -> None:
    sightings = heard(noise(5.0, 0.01))
    assert verdict(sightings) == "good"
    assert not of(sightings, "speech")


def chords(seconds: float) -> np.ndarray:
    t = times(seconds)
    sound = np.zeros_like(t)
    for start in range(int(seconds)):
        notes = ((262, 330, 392), (294, 370, 440), (220, 277, 330), (247, 311, 370))[start % 4]
        part = (t >= start) & (t < start + 1)
        for note in notes:
            for harmonic in range(1, 5):
                sound[part] += np.sin(2 * np.pi * note * harmonic * t[part]) / harmonic**1.5
    return 0.05 * sound * (0.7 + 0.3 * np.cos(2 * np.pi * 2 * t))


def test_chords_are_music_and_not_speech() -> None:
    sightings = heard(chords(8))
    assert verdict(sightings) == "music"
    assert not [row for row in of(sightings, "speech") if row.confidence >= 0.5]


def test_modulated_noise_is_neither_speech_nor_music() -> None:
    t = times(6)
    sightings = heard(noise(6, 0.1) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * t)))
    assert not of(sightings, "speech")
    assert not of(sightings, "music")


def test_speech_holds_over_a_short_pause_and_ends_at_a_long_one() -> None:
    chances = np.array([0.0] * 20 + [0.9] * 30 + [0.1] * 4 + [0.9] * 30 + [0.1] * 20 + [0.9] * 3 + [0.0] * 5)
    ((start, end, confidence),) = spans_of(chances)
    assert start == pytest.approx(20 * STEP_S, abs=0.01)
    assert end == pytest.approx(84 * STEP_S, abs=0.01)
    assert confidence > 0.8


def test_rubbish_samples_are_heard_as_silence() -> None:
    assert verdict(heard(np.full(RATE, np.nan))) == "silent"
    assert verdict(heard(np.zeros((2, 0)), edit=edit_of((0, 1), length_s=1))) == "silent"


def test_opposite_channels_do_not_cancel() -> None:
    sound = clicks([1.0], 3.0)
    (onset,) = of(heard(np.stack([sound, -sound])), "onset")
    assert float(onset.span.start_s) == pytest.approx(1.0, abs=0.005)


def recorded(name: str) -> list[Sighting]:
    path = SHARED / "video" / name
    if not path.is_file():
        pytest.skip("the recorded clips are not beside this checkout")
    probe = media.probe(path)
    length = probe.duration_s
    edit = Edit(name, Fraction(25), length, clips=(_whole(path, length),))

    def blocks() -> Iterator[np.ndarray]:
        yield from media.sound(path, Span(Fraction(0), length))

    return list(create().listen(edit, blocks()))


def _whole(path: Path, length: Fraction) -> Clip:
    return Clip("a", path.name, "audio", 0, str(path), Span(Fraction(0), length), Span(Fraction(0), length))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("drone-coast-gopro-karma.mp4", {"bad"}),
        ("aircraft-flyby-audio-drops-out.mp4", {"bad"}),
        ("coffee-pour.mp4", {"silent"}),
        ("bird-cockatoo-seek-trap.mp4", {"silent"}),
        ("stream-of-water.webm", {"good"}),
        ("sync-drumstick-hits-bag.mp4", {"good"}),
        ("sync-blacksmith-hammer.mp4", {"good"}),
        ("speech-1940-office-bw.mp4", {"dialogue"}),
        ("narration-nasa-two-video-two-audio.mp4", {"dialogue"}),
        ("animation-big-buck-bunny-5.1.mp4", {"music", "good"}),
        ("night-rain-concert-crowd.mp4", {"music", "good"}),
    ],
)
def test_recorded_clips_get_the_right_verdict(name: str, wanted: set[str]) -> None:
    assert verdict(recorded(name)) in wanted


def test_recorded_speech_is_where_it_is() -> None:
    wanted = [(0.54, 1.60), (1.89, 3.84), (4.16, 5.50), (5.92, 7.52), (8.03, 8.45), (8.77, 9.95)]
    found = of(recorded("speech-webcam-night.mp4"), "speech")
    edges = [edge for row in found for edge in (float(row.span.start_s), float(row.span.end_s))]
    assert edges == pytest.approx([edge for pair in wanted for edge in pair], abs=0.2)


def test_recorded_music_and_silence_are_not_speech() -> None:
    for name in ("animation-big-buck-bunny-5.1.mp4", "night-rain-concert-crowd.mp4", "stream-of-water.webm"):
        assert not [row for row in of(recorded(name), "speech") if row.confidence >= 0.5], name


def test_the_recorded_dropout_is_found() -> None:
    (dropout,) = of(recorded("aircraft-flyby-audio-drops-out.mp4"), "dropout")
    assert float(dropout.span.start_s) == pytest.approx(5.0, abs=0.5)


def test_recorded_blows_are_timed() -> None:
    onsets = [float(row.span.start_s) for row in of(recorded("sync-drumstick-hits-bag.mp4"), "onset")]
    manifest = tomllib.loads((SHARED / "MANIFEST.toml").read_text())
    (clip,) = [row for row in manifest["video"] if row["file"].endswith("sync-drumstick-hits-bag.mp4")]
    assert all(min(abs(onset - event) for onset in onsets) <= 0.03 for event in clip["sync_events"])


@pytest.mark.parametrize(
    ("sound", "rings"),
    [("impact.metal", True), ("impact.glass", True), ("impact.wood", False), ("impact.soft", False),
     ("impact.stone", False), ("impact.plastic", False)],
)  # fmt: skip
def test_what_rings_on_is_told_from_what_does_not(sound: str, rings: bool) -> None:
    blows = (Fraction(1, 2), Fraction(3, 2), Fraction(5, 2))
    cue = Cue("blows", Stem.FOLEY, span(0, 4), sound, sync_s=blows, params={"strength": 0.7}, seed=5)
    wave = np.concatenate(list(procedural.create().perform(Brief(cue, 4 * 48_000))), axis=1)
    quiet = noise(4, 0.02 * float(np.abs(wave).max()))
    rows = [row for row in of(heard(wave + quiet), "onset") if any(abs(row.span.start_s - at) < 0.05 for at in blows)]
    assert len(rows) == 3
    assert all((float(row.values["ring_db"]) >= 16) == rings for row in rows), [row.values for row in rows]
