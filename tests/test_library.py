# SPDX-License-Identifier: AGPL-3.0-or-later
"""The user's own sounds: indexed as they lie, found by cue, cut to the sample, never taken for what they are not."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from library_stage import OWN, blows, encode, noise, wav
from scipy import signal

from immersivaudio.engine import bwf, media, performing, plugins, riff, sheets, ucs
from immersivaudio.engine.audio import Block, decibels
from immersivaudio.engine.cue import Cue, CueSheet, Licence, Span, Stem, Take, samples_at
from immersivaudio.engine.errors import (
    CancelledError,
    CueSheetError,
    EngineError,
    MediaError,
    NotFoundError,
    RequestError,
)
from immersivaudio.engine.library import hearing, matching, reading, walking
from immersivaudio.engine.library.index import Index, Seen
from immersivaudio.engine.library.records import NOT_STATED, Entry, Notes
from immersivaudio.engine.loudness import LoudnessMeter
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.sounds import BY_ID, VOCABULARY

START_S = Fraction(7, 3)
HITS_S, PITCHES_HZ = (0.5, 1.25, 2.0), (700.0, 1100.0, 1600.0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as somebody keeps it: UCS names and plain ones, rates and formats mixed, two broken files."""
    folder = tmp_path_factory.mktemp("sounds")
    for number in (1, 2, 3):
        wav(folder / f"Sea/WATRWave_Surf On Shingle 0{number}_FR_COAST.wav", noise(14, number, -30 - number))
        wav(folder / f"Wood/WOODImpt_Mallet On Plank 0{number}_FR_SHED.wav", blows(3, HITS_S, PITCHES_HZ, -10 - number))
    wav(folder / "Wood/DOORWood_Oak Door Shut_FR_HALL.wav", blows(2, (0.4,), (300.0,)), "heavy door slam, wooden")
    wav(folder / "Feet/FEETHmn_Boots Gravel Path_FR_WALK.wav", blows(3, HITS_S, PITCHES_HZ))
    wav(folder / "Feet/FEETHmn_Boots Marble Hall_FR_WALK.wav", blows(3, HITS_S, PITCHES_HZ))
    wav(folder / "odd/recording 7.wav", noise(9, 8), "Wind in the open", CATID="WIND", CATEGORY="WIND")
    mono = wav(folder / "x.wav", noise(11, 9, channels=1))
    encode(mono, folder / "meadow wind breeze.mp3", "-ar", "44100", "-metadata", "comment=cold morning")
    encode(mono, folder / "AMBForst_Pine Forest_FR_HILL.flac", "-ar", "96000", "-metadata", "description=quiet birds")
    mono.unlink()
    (folder / "broken.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk")
    (folder / "empty.flac").write_bytes(b"")
    (folder / "readme.txt").write_text("no sound")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def index(home: Path, recorded: Path) -> Iterator[Index]:
    """An index in a home of its own that holds ``recorded``."""
    with Index(write=True) as opened:
        walking.walk(opened, opened.put_folder("mine", recorded, OWN), lambda: False, lambda *_: None)
        yield opened


def cue(sound: str, seconds: float = 2, sync: tuple[float, ...] = (), seed: int = 0, **params: float | str) -> Cue:
    span = Span(START_S, Fraction(seconds).limit_denominator(48_000))
    moments = tuple(START_S + Fraction(moment).limit_denominator(48_000) for moment in sync)
    return Cue(f"{sound}-{seed}", BY_ID[sound].stem, span, sound, sync_s=moments, seed=seed, params=params)


def named(found: list[matching.Match]) -> list[str]:
    return [match.entry.file.stem for match in found]


def performed(one: Cue, cache: Path, rights: str = "commercial") -> tuple[Take, Block]:
    done = performing.perform((one,), performing.Performers.load(), cache, rights, lambda: False, lambda *_: None)
    take = done.takes[one.id]
    return take, np.array(bwf.read_wav(Path(take.path))[0]).T


def test_every_file_is_indexed_and_the_broken_ones_are_named(index: Index) -> None:
    folder = index.folder("mine")
    assert index.count("fault=''") == 12
    faults = {entry.path: entry.fault for entry in index.entries("fault<>''")}
    assert faults == {"broken.wav": "broken.wav is cut short or damaged.", "empty.flac": "empty.flac is empty."}
    again = walking.walk(index, folder, lambda: False, lambda *_: None)
    assert (again.read, again.gone) == (0, 0), "what has not changed is not read again"


def test_names_notes_and_tags_are_read(index: Index) -> None:
    notes = {entry.file.name: entry.notes for entry in index.entries()}
    surf = notes["WATRWave_Surf On Shingle 01_FR_COAST.wav"]
    assert (surf.cat_id, surf.category, surf.subcategory) == ("WATRWave", "WATER", "WAVE")
    assert (surf.fx_name, surf.creator_id, surf.source_id) == ("Surf On Shingle 01", "FR", "COAST")
    assert (surf.duration_s, surf.channels, surf.rate_hz) == (14.0, 2, 48_000)
    assert "heavy door slam" in notes["DOORWood_Oak Door Shut_FR_HALL.wav"].description
    assert notes["recording 7.wav"].cat_id == "WIND", "iXML says what the name does not"
    breeze = notes["meadow wind breeze.mp3"]
    assert (breeze.channels, breeze.rate_hz, breeze.description) == (1, 44_100, "cold morning")
    assert breeze.duration_s == pytest.approx(11, abs=0.1)
    assert "birds" in notes["AMBForst_Pine Forest_FR_HILL.flac"].description


def test_only_what_changed_is_read_again_and_what_is_gone_is_forgotten(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    kept = wav(folder / "WIND_a_FR_X.wav", noise(1, 1))
    changed = wav(folder / "WIND_b_FR_X.wav", noise(1, 2))
    gone = wav(folder / "WIND_c_FR_X.wav", noise(1, 3))
    with Index(write=True) as index:
        mine = index.put_folder("mine", folder, OWN)
        walking.walk(index, mine, lambda: False, lambda *_: None)
        before = {entry.path: hearing.heard(index, entry, lambda: False) for entry in index.entries()}
        wav(changed, noise(2, 4))
        gone.unlink()
        wav(folder / "deep/er/WIND_d_FR_X.wav", noise(1, 5))
        found = walking.walk(index, mine, lambda: False, lambda *_: None)
        assert (found.files, found.read, found.gone) == (3, 2, 1)
        after = {entry.path: entry for entry in index.entries()}
        assert after[kept.name] == before[kept.name], "what was heard of an unchanged file is kept"
        assert after[changed.name].heard is None and after[changed.name].notes.duration_s == 2
        assert matching.search(index, "c") == []


def test_a_walk_that_is_stopped_has_kept_what_it_read_and_goes_on(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    for number in range(10):
        wav(folder / f"WIND_w{number}_FR_X.wav", noise(0.1, number))
    with Index(write=True) as index:
        mine, asked = index.put_folder("mine", folder, OWN), iter(range(100))
        with pytest.raises(CancelledError, match="kept"):
            walking.walk(index, mine, lambda: next(asked) >= 4, lambda *_: None)
        assert index.count() == 4
        assert walking.walk(index, mine, lambda: False, lambda *_: None).read == 6


def test_a_library_whose_drive_is_away_is_not_forgotten(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    wav(folder / "WIND_a_FR_X.wav", noise(0.5, 1))
    with Index(write=True) as index:
        mine = index.put_folder("mine", folder, OWN)
        walking.walk(index, mine, lambda: False, lambda *_: None)
        folder.rename(tmp_path / "away")
        with pytest.raises(RequestError, match="is not there"):
            walking.walk(index, mine, lambda: False, lambda *_: None)
        assert index.count() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="such names cannot be elsewhere")
def test_a_name_that_is_no_text_is_named_and_left_out(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    wav(folder / "WIND_a_FR_X.wav", noise(0.5, 1))
    shutil.copy(folder / "WIND_a_FR_X.wav", folder / os.fsdecode(b"WIND_\xff_FR_X.wav"))
    with Index(write=True) as index:
        walked = walking.walk(index, index.put_folder("mine", folder, OWN), lambda: False, lambda *_: None)
        assert walked.faults == (("WIND_?_FR_X.wav", "Its name is not UTF-8: rename it."),)
        assert [entry.path for entry in index.entries()] == ["WIND_a_FR_X.wav"]


def test_links_are_not_followed(home: Path, tmp_path: Path) -> None:
    secret = wav(tmp_path / "elsewhere/WIND_secret_FR_X.wav", noise(0.5, 1))
    folder = tmp_path / "sounds"
    wav(folder / "WIND_a_FR_X.wav", noise(0.5, 1))
    (folder / "WIND_link_FR_X.wav").symlink_to(secret)
    (folder / "more").symlink_to(secret.parent)
    (folder / "round").symlink_to(folder)
    with Index(write=True) as index:
        mine = index.put_folder("mine", folder, OWN)
        walking.walk(index, mine, lambda: False, lambda *_: None)
        (entry,) = index.entries()
        assert entry.path == "WIND_a_FR_X.wav"
        # A file that turns into a link after it was indexed leads nowhere either.
        status = entry.file.stat()
        entry.file.unlink()
        entry.file.symlink_to(secret)
        os.utime(entry.file, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)
        with pytest.raises(MediaError):
            hearing.heard(index, entry, lambda: False)


def test_two_libraries_and_one_taken_away(index: Index, tmp_path: Path) -> None:
    other = tmp_path / "other"
    wav(other / "WATRWave_Lake Waves_ME_LAKE.wav", noise(12, 30))
    walking.walk(index, index.put_folder("other", other, OWN), lambda: False, lambda *_: None)
    assert [folder.name for folder in index.folders()] == ["mine", "other"]
    assert named(matching.find(index, cue("sea"), library="other")) == ["WATRWave_Lake Waves_ME_LAKE"]
    index.drop_folder(index.folder("other"))
    assert not any("Lake" in name for name in named(matching.find(index, cue("sea"))))
    assert other.exists()
    with pytest.raises(NotFoundError, match="other"):
        index.folder("other")


def test_an_index_that_is_damaged_is_a_sentence(home: Path) -> None:
    path = home / "library/index.sqlite3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(EngineError, match="cannot be used"), Index():
        pass
    assert "cannot be used" in plugins.create("performers", "library").available()


def test_what_bwf_wrote_is_read(tmp_path: Path) -> None:
    notes = riff.read(wav(tmp_path / "a.wav", noise(0.5, 1), "a wave", CATID="WATRWave", FXNAME="Surf <1> & 2"))
    assert (notes.rate_hz, notes.channels, notes.frames, notes.description) == (48_000, 2, 24_000, "a wave")
    assert notes.ixml["USER/FXNAME"] == "Surf <1> & 2" and notes.originator == "Recordist"


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE a [<!ENTITY x "' + b"y" * 10_000 + b'">]><BWFXML><NOTE>&x;&x;&x;</NOTE></BWFXML>',
        b"<a>" * 100_000,
        b"\xff\xfe<BWFXML",
        b"",
    ],
)
def test_hostile_ixml_is_no_words(xml: bytes) -> None:
    assert riff.leaves(xml) == {}


def test_headers_that_lie_are_held_against_the_file(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", noise(0.5, 1), "x")
    raw = path.read_bytes()
    at = raw.index(b"data")
    path.write_bytes(raw[: at + 4] + struct.pack("<I", 0xFFFFFFF0) + raw[at + 8 :])
    assert riff.read(path).frames == 24_000
    for cut in range(0, at, 37):
        path.write_bytes(raw[:cut])
        with pytest.raises(MediaError):
            riff.read(path)


@pytest.mark.parametrize(
    ("sound", "wanted"),
    [
        ("sea", {"WATRWave_Surf On Shingle 01_FR_COAST", "WATRWave_Surf On Shingle 02_FR_COAST",
                 "WATRWave_Surf On Shingle 03_FR_COAST"}),
        ("footstep.gravel", {"FEETHmn_Boots Gravel Path_FR_WALK"}),
        ("footstep.hard", {"FEETHmn_Boots Marble Hall_FR_WALK"}),
        ("wind", {"recording 7", "meadow wind breeze"}),
        ("forest", {"AMBForst_Pine Forest_FR_HILL"}),
        ("impact.metal", set()),
        ("rain", set()),
        ("footstep.grass", set()),
        ("underwater", set()),
    ],
)  # fmt: skip
def test_a_sound_finds_what_it_is_and_nothing_else(index: Index, sound: str, wanted: set[str]) -> None:
    assert set(named(matching.find(index, cue(sound, sync=(0.5,))))) == wanted


def test_every_sound_is_found_by_its_own_name_and_told_from_the_others(home: Path) -> None:
    """One file a sound of the vocabulary, under its label and CatID: each is the best, or as good as the best, for its own
    sound, and for nine sounds in ten nothing else is as good."""
    sounds = [sound for sound in VOCABULARY if sound.stem is not Stem.MUSIC]
    seen = []
    for sound in sounds:
        found = ucs.category(sound.ucs)
        assert found is not None
        notes = Notes(sound.label, sound.ucs, found.category, found.subcategory, duration_s=60.0)
        seen.append(Seen(sound.id, 1, 1, notes))
    with Index(write=True) as index:
        index.put_files(index.put_folder("mine", home, OWN), seen)
        best = {sound.id: matching.find(index, cue(sound.id, sync=(0.5,))) for sound in sounds}
    tops = {
        name: [one.entry.path for one in found if one.score >= found[0].score - 0.12] for name, found in best.items()
    }
    assert [name for name, top in tops.items() if name not in top] == []
    assert sum(len(top) == 1 for top in tops.values()) >= 0.9 * len(tops), tops


def test_what_fits_better_comes_first_and_says_why(index: Index) -> None:
    found = matching.find(
        index, replace(cue("impact.wood", sync=(0.5,)), prompt="hard mallet blow on wood, one hit, dry")
    )
    assert [match.entry.notes.cat_id for match in found] == ["WOODImpt"] * 3 + ["DOORWood"]
    assert found[0].why == "CatID WOODImpt; says mallet"
    assert found[0].score > found[-1].score


def test_what_is_too_short_does_not_fit(index: Index) -> None:
    assert named(matching.find(index, cue("wind", 10))) == ["meadow wind breeze"]
    assert matching.find(index, cue("wind", 12)) == []


def test_blows_lie_on_their_moments_to_the_sample(index: Index, tmp_path: Path) -> None:
    wanted = (0.3, 0.9, 1.51234, 2.0, 2.5)
    take, sound = performed(cue("impact.wood", 3, wanted, seed=5), tmp_path)
    assert take.performer == "library" and "Mallet" in str(take.pins["library_file"])
    for moment in wanted:
        at = samples_at(Fraction(moment).limit_denominator(48_000))
        # Each blow begins with its full peak at its very first sample.
        assert int(np.abs(sound[0, at - 200 : at + 200]).argmax()) == 200
    assert decibels(float(np.abs(sound).max())) == pytest.approx(-12, abs=0.5)
    assert not sound[:, : samples_at(0.29)].any()


def test_rows_of_blows_are_no_machine_gun(index: Index, tmp_path: Path) -> None:
    wanted = tuple(0.2 + 0.3 * number for number in range(9))
    _, sound = performed(cue("impact.wood", 3, wanted, seed=1), tmp_path)
    pitches = []
    for moment in wanted:
        at = samples_at(Fraction(moment).limit_denominator(48_000))
        spectrum = np.abs(np.fft.rfft(sound[0, at : at + 4800]))
        pitches.append(float(spectrum.argmax()) * 10)
    assert all(abs(one - other) > 100 for one, other in itertools.pairwise(pitches)), pitches
    assert len({round(pitch, -2) for pitch in pitches}) == 3


def test_a_bed_is_cut_with_handles_at_the_reference_level(index: Index, tmp_path: Path) -> None:
    take, sound = performed(cue("sea", 8, seed=3), tmp_path)
    begin = round(float(take.pins["library_in_s"]) * 48_000)
    whole = np.concatenate(list(media.sound(index.folder("mine").path / str(take.pins["library_file"]), None)), axis=1)
    assert 48_000 <= begin <= whole.shape[1] - sound.shape[1] - 48_000, "a second of handles at both ends"
    part = whole[:, begin : begin + sound.shape[1]]
    gain = float((sound * part).sum() / np.square(part).sum())
    np.testing.assert_allclose(sound, part * gain, atol=1e-5)
    meter = LoudnessMeter()
    meter.push(sound)
    assert meter.integrated() == pytest.approx(-26, abs=0.1)


@pytest.mark.parametrize("file", ["meadow wind breeze.mp3", "AMBForst_Pine Forest_FR_HILL.flac"])
def test_other_rates_and_mono_become_48_khz_stereo(index: Index, tmp_path: Path, file: str) -> None:
    sound = "forest" if "Forst" in file else "wind"
    take, heard = performed(cue(sound, 4, library_file=file), tmp_path)
    assert (take.performer, heard.shape) == ("library", (2, 192_000))
    np.testing.assert_array_equal(heard[0], heard[1])


def test_another_seed_takes_another_of_the_good_ones(index: Index, tmp_path: Path) -> None:
    cuts = {performed(cue("sea", 8, seed=seed), tmp_path)[0].pins["library_file"] for seed in range(8)}
    assert len(cuts) == 3


def test_a_new_file_leaves_most_choices_as_they_were(index: Index, tmp_path: Path, recorded: Path) -> None:
    performer = plugins.create("performers", "library")
    before = [performer.choose(cue("sea", 8, seed=seed), "any", lambda: False).pins for seed in range(12)]
    more = tmp_path / "more"
    wav(more / "WATRWave_Ocean Roar_FR_COAST.wav", noise(14, 40))
    walking.walk(index, index.put_folder("more", more, OWN), lambda: False, lambda *_: None)
    after = [performer.choose(cue("sea", 8, seed=seed), "any", lambda: False).pins for seed in range(12)]
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert 1 <= len(changed) <= 8
    assert all("Ocean Roar" in str(pins["library_file"]) for pins in changed)


def test_what_does_not_fit_is_performed_by_somebody_else(index: Index, tmp_path: Path) -> None:
    assert performed(cue("impact.metal", 1, (0.2,)), tmp_path)[0].performer == "procedural"
    assert performed(cue("sea", 60), tmp_path)[0].performer == "procedural", "nothing is looped or stretched"
    assert performed(cue("wind", 15), tmp_path)[0].performer == "procedural", "nor chained out of unlike recordings"
    assert performed(cue("sea", 5, library="off"), tmp_path)[0].performer == "procedural"


def test_a_bed_longer_than_any_recording_is_several_each_heard_once(index: Index, tmp_path: Path) -> None:
    take, sound = performed(cue("sea", 30, seed=2), tmp_path)
    names = [str(take.pins["library_file"]), *(path for path, _ in json.loads(str(take.pins["library_then"])))]
    assert take.performer == "library" and len(set(names)) == 3 and sound.shape == (2, 30 * 48_000)
    assert all(name in take.licence.source for name in names)
    folder, begins = index.folder("mine").path, []
    for number, name in enumerate(names):
        whole = np.concatenate(list(media.sound(folder / name, None)), axis=1)[0]
        found = signal.fftconvolve(sound[0], whole[::-1])
        at = int(np.abs(found).argmax())
        begins.append(at)
        away = np.delete(np.abs(found), slice(max(0, at - 4800), at + 4800))
        assert away.max() < 0.25 * abs(found[at]), f"recording {number} is heard at one place only"
    assert begins == sorted(begins)
    levels = [10 * np.log10(np.square(part).mean()) for part in np.split(sound, 30, axis=1)]
    assert max(levels) - min(levels) < 2.0, "no hole and no swell where they meet"
    steps = np.abs(np.diff(sound[0]))
    assert steps.max() < 6 * np.sort(steps)[-len(steps) // 100], "no click"
    again, _ = performed(cue("sea", 30, seed=9, **take.pins), tmp_path)
    assert again.pins == take.pins
    assert performed(cue("sea", 30, seed=7), tmp_path)[0].pins != take.pins


def test_a_file_that_is_not_what_its_name_says_is_passed_over(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    wav(folder / "WATRWave_Silent Surf_FR_X.wav", noise(9, 1) * 0)
    with Index(write=True) as index:
        walking.walk(index, index.put_folder("mine", folder, OWN), lambda: False, lambda *_: None)
    assert performed(cue("sea", 3), tmp_path)[0].performer == "procedural"


def test_the_licence_of_a_take_is_its_librarys(index: Index, tmp_path: Path) -> None:
    take, _ = performed(cue("sea", 5), tmp_path)
    assert (take.licence.name, take.licence.commercial_use, take.licence.attribution) == (
        "CC-BY-4.0", True, "Field Recordist",
    )  # fmt: skip
    assert take.licence.source == f"mine: {take.pins['library_file']}"
    folder = index.folder("mine")
    index.put_folder("mine", folder.path, Licence("CC-BY-NC-4.0", False))
    assert performed(cue("sea", 5), tmp_path)[0].performer == "procedural"
    take, _ = performed(cue("sea", 5), tmp_path, rights="any")
    assert (take.performer, take.licence.name) == ("library", "CC-BY-NC-4.0")


def test_a_recording_that_changed_since_is_not_taken_for_the_old_one(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    path = wav(folder / "WATRWave_Surf_FR_X.wav", noise(9, 1))
    with Index(write=True) as index:
        mine = index.put_folder("mine", folder, OWN)
        walking.walk(index, mine, lambda: False, lambda *_: None)
        take, _ = performed(cue("sea", 5), tmp_path)
        wav(path, noise(9, 2))
        walking.walk(index, mine, lambda: False, lambda *_: None)
    again, _ = performed(cue("sea", 5), tmp_path)
    assert again.performer == "library" and again.key != take.key
    pinned = cue("sea", 5, **{**take.pins, "library_in_s": 1.0})
    assert performed(pinned, tmp_path)[0].performer == "procedural"


def test_a_cut_that_is_named_is_found_where_it_was_moved(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    path = wav(folder / "WATRWave_Surf_FR_X.wav", noise(9, 1))
    with Index(write=True) as index:
        mine = index.put_folder("mine", folder, OWN)
        walking.walk(index, mine, lambda: False, lambda *_: None)
        take, before = performed(cue("sea", 5), tmp_path)
        path.rename(folder / "WATRWave_Another Name_FR_X.wav")
        walking.walk(index, mine, lambda: False, lambda *_: None)
        hearing.heard(index, index.entries()[0], lambda: False)
    _, after = performed(cue("sea", 5, **take.pins), tmp_path / "other cache")
    np.testing.assert_array_equal(before, after)


def test_a_thing_that_passes_is_closest_when_the_picture_says(home: Path, tmp_path: Path) -> None:
    swell = np.exp(-np.square(np.arange(12 * 48_000) / 48_000 - 7.0) / 2).astype(np.float32)
    right = 1 / (1 + np.exp(-4 * (np.arange(12 * 48_000) / 48_000 - 7.0))).astype(np.float32)
    samples = noise(12, 3, -12) * swell * np.stack([1 - right, right])
    folder = tmp_path / "sounds"
    wav(folder / "VEHCar_Sedan Passing By_FR_ROAD.wav", samples)
    with Index(write=True) as index:
        walking.walk(index, index.put_folder("mine", folder, OWN), lambda: False, lambda *_: None)
    take, heard = performed(cue("passby.car", 6, (2.0,), from_pan=1.0, to_pan=-1.0), tmp_path)
    assert take.performer == "library"
    power = signal.fftconvolve(np.square(heard).sum(axis=0), np.ones(19_200), "same")
    assert abs(int(power.argmax()) - 96_000) < 9_600
    before, after = np.square(heard[:, :90_000]).sum(axis=1), np.square(heard[:, 102_000:]).sum(axis=1)
    assert before[1] > 2 * before[0] and after[0] > 2 * after[1], "it comes from the side that is seen"


@pytest.mark.parametrize(("sound", "sync"), [("sea", ()), ("impact.wood", (0.5, 1.2))])
def test_it_keeps_what_every_performer_must(index: Index, sound: str, sync: tuple[float, ...]) -> None:
    """The contract of tests/contracts, which has no library to perform from."""
    performer, samples = plugins.create("performers", "library"), 100_003
    one = cue(sound, samples / 48_000, sync)
    blocks, again = (list(performer.perform(Brief(one, samples))) for _ in range(2))
    assert all(block.dtype == np.float32 and block.shape[0] == 2 and 0 < block.shape[1] <= 48_000 for block in blocks)
    whole = np.concatenate(blocks, axis=1)
    assert whole.shape == (2, samples) and 1e-4 < float(np.abs(whole).max()) < 1
    assert whole.tobytes() == np.concatenate(again, axis=1).tobytes()
    with pytest.raises(CancelledError):
        list(performer.perform(Brief(one, samples, lambda: True)))


def test_an_id3_chunk_says_what_the_rest_does_not(tmp_path: Path) -> None:
    title = b"\x03Rain on tin roof"
    frames = b"TIT2" + struct.pack(">I", len(title)) + b"\0\0" + title
    tag = b"ID3\x03\0\0" + bytes((0, 0, 0, len(frames))) + frames
    with bwf.WavWriter(tmp_path / "a 1.wav", bits=24) as writer:
        writer.write(noise(0.5, 1))
    raw = (tmp_path / "a 1.wav").read_bytes() + b"id3 " + struct.pack("<I", len(tag)) + tag + b"\0" * (len(tag) % 2)
    (tmp_path / "a 1.wav").write_bytes(raw[:4] + struct.pack("<I", len(raw) - 8) + raw[8:])
    assert reading.read(tmp_path / "a 1.wav", tmp_path).description == "Rain on tin roof"


def test_a_sheet_may_ask_for_a_certain_cut(index: Index, tmp_path: Path) -> None:
    sheet = CueSheet("scene", Fraction(25), Fraction(9), (cue("sea", 4),))
    rows = json.loads(sheets.to_json(sheet))
    rows["cues"][0]["params"] = {"library_file": "Sea/WATRWave_Surf On Shingle 02_FR_COAST.wav", "library_in_s": 2.5}
    take, _ = performed(sheets.from_json(json.dumps(rows)).cues[0], tmp_path)
    assert (take.pins["library_file"], take.pins["library_in_s"]) == tuple(rows["cues"][0]["params"].values())
    rows["cues"][0]["params"] = {"library_fil": "x"}
    with pytest.raises(CueSheetError, match="library_fil"):
        sheets.from_json(json.dumps(rows))


def test_the_engine_without_a_library_says_how_to_get_one(home: Path) -> None:
    performer = plugins.create("performers", "library")
    assert "immersivaudio library add" in performer.available()
    assert performer.fitness(cue("sea")) == 0
    assert performer.choose(cue("sea"), "any", lambda: False) is None


def test_a_library_that_comes_later_is_used_by_performers_that_run_already(
    home: Path, recorded: Path, tmp_path: Path
) -> None:
    players = performing.Performers.load()
    with Index(write=True) as index:
        walking.walk(index, index.put_folder("mine", recorded, OWN), lambda: False, lambda *_: None)
    one = cue("sea", 4)
    done = performing.perform((one,), players, tmp_path, "any", lambda: False, lambda *_: None)
    assert done.takes[one.id].performer == "library"


def test_cancel_is_obeyed_while_a_file_is_heard(index: Index) -> None:
    with pytest.raises(CancelledError):
        plugins.create("performers", "library").choose(cue("sea", 8), "any", lambda: True)


def test_a_fresh_home_has_no_trace_of_not_stated(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    wav(folder / "WATRWave_Surf_FR_X.wav", noise(9, 1))
    index.put_folder("plain", folder, Licence(NOT_STATED, True))
    assert index.folder("plain").licence.commercial_use
    shutil.rmtree(folder)
    entry = Entry(0, index.folder("plain"), "gone.wav", 1, 1, index.entries()[0].notes)
    with pytest.raises(MediaError, match="not there"):
        hearing.heard(index, entry, lambda: False)
