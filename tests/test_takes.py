# SPDX-License-Identifier: AGPL-3.0-or-later
"""Takes: no two alike, named as sound editors name them, and each leads back to itself by what it says."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import opentimelineio as otio
import pytest
from library_stage import blows, indexed, noise, wav
from mixing_stage import Stage, bed, chunks, hit

from immersivaudio.bridge import Client, spawn_engine
from immersivaudio.engine import alternatives, bwf, delivery, media, performing, plugins, sheets, takes, ucs
from immersivaudio.engine.audio import Block
from immersivaudio.engine.cue import Cue, CueSheet, Edit, Licence, Span, Stem, Take, samples_at
from immersivaudio.engine.errors import MediaError, UnavailableError
from immersivaudio.engine.request import DeliveryWish
from immersivaudio.engine.sounds import BY_ID, Motion
from immersivaudio.v1 import cue_sheet_pb2, job_pb2

NTSC = Fraction(24000, 1001)


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "immersivaudio", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | environment)


def user_notes(path: Path) -> dict[str, str]:
    root = ElementTree.fromstring(chunks(path)["iXML"])
    return {child.tag: child.text or "" for child in root.find("USER") or ()}


def sound_of(path: Path) -> Block:
    return np.concatenate(list(media.sound(path, None)), axis=1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def own_sounds(home: Path, tmp_path: Path) -> Path:
    """A library of one bed, one row of blows and one single blow."""
    folder = tmp_path / "sounds"
    wav(folder / "WATRWave_Surf On Shingle_FR_COAST.wav", noise(14, 1))
    wav(folder / "WOODImpt_Mallet On Plank_FR_SHED.wav", blows(3, (0.5, 1.25, 2.0), (700.0, 1100.0, 1600.0)))
    for number in (1, 2):
        wav(folder / f"Room/AMBRoom_Hall {number}_FR_HALL.wav", noise(13, 10 + number))
    wav(folder / "GLASImpt_One Tap_FR_BAR.wav", blows(1, (0.3,), (2500.0,)))
    indexed(folder)
    return folder


def cue(sound: str, start_s: Fraction | float = 1, seconds: float = 2, **more: Any) -> Cue:
    span = Span(Fraction(start_s), Fraction(seconds).limit_denominator(48_000))
    struck = BY_ID[sound].motion is not Motion.SUSTAINED
    sync = {"sync_s": (span.start_s + Fraction(1, 3),)} if struck else {}
    return Cue(f"{sound}@{float(start_s):.3f}", BY_ID[sound].stem, span, sound, **(sync | {"seed": 7} | more))


def performed(cues: tuple[Cue, ...], count: int, cache: Path) -> tuple[dict[str, tuple[Take, ...]], tuple[str, ...]]:
    players = performing.Performers.load()
    done = performing.perform(cues, players, cache, "commercial", lambda: False, lambda *_: None)
    run = performing.Run(players, cache, "commercial", lambda: False)
    return alternatives.perform(cues, done.takes, alternatives.Wish(count), run, lambda *_: None)


def samples(take: Take) -> Block:
    return np.array(bwf.read_wav(Path(take.path))[0]).T


@pytest.mark.parametrize("sound", ["wind", "impact.metal", "footstep.gravel", "passby.car", "music"])
def test_takes_of_a_cue_are_all_different_and_the_same_every_time(home: Path, tmp_path: Path, sound: str) -> None:
    one = cue(sound)
    found, said = performed((one,), 4, tmp_path / "a")
    again, _ = performed((one,), 4, tmp_path / "b")
    assert said == () and len(found[one.id]) == 4
    heard = [samples(take) for take in found[one.id]]
    assert len({part.tobytes() for part in heard}) == 4
    assert len({take.key for take in found[one.id]}) == 4
    for first, second in zip(found[one.id], again[one.id], strict=True):
        np.testing.assert_array_equal(samples(first), samples(second))


def test_more_takes_leave_the_earlier_ones_as_they_were(home: Path, tmp_path: Path) -> None:
    one = cue("impact.wood")
    few, many = (performed((one,), count, tmp_path)[0][one.id] for count in (2, 5))
    assert [take.key for take in many[:2]] == [take.key for take in few]


def test_where_a_library_has_one_recording_somebody_else_helps_out(own_sounds: Path, tmp_path: Path) -> None:
    one = cue("impact.glass")
    found, said = performed((one,), 3, tmp_path)
    assert found[one.id][0].performer == "library"
    assert len({samples(take).tobytes() for take in found[one.id]}) == len(found[one.id])
    assert {take.performer for take in found[one.id][1:]} == {"procedural"}
    assert len(found[one.id]) == 3 or "different takes were found" in said[0]


def test_only_the_cue_that_is_named_gets_more_takes(home: Path, tmp_path: Path) -> None:
    cues = (cue("impact.wood"), cue("wind"))
    players = performing.Performers.load()
    done = performing.perform(cues, players, tmp_path, "any", lambda: False, lambda *_: None)
    run = performing.Run(players, tmp_path, "any", lambda: False)
    wish = alternatives.Wish(2, (cues[0].id, "nobody"))
    found, said = alternatives.perform(cues, done.takes, wish, run, lambda *_: None)
    assert list(found) == [cues[0].id]
    assert said == ("No cue is called nobody; it has no takes.",)


@pytest.mark.parametrize("whole_frames", [True, False])
@pytest.mark.parametrize("sound", ["sea", "room", "impact.wood", "impact.metal", "wind", "music"])
def test_what_a_file_says_leads_to_the_same_bytes(
    own_sounds: Path, tmp_path: Path, sound: str, whole_frames: bool
) -> None:
    """Seed, params and performer are read out of the delivered file, and it is performed alone."""
    setting = takes.Setting(
        "scene one", NTSC, Fraction(3600), bits=24 if whole_frames else 32, whole_frames=whole_frames
    )
    one = cue(
        sound,
        Fraction(1001, 700),
        20 if sound == "room" else 2.5,
        prompt="a sound, as it is",
        params={"distance": 0.25} if sound == "wind" else {},
    )
    found, _ = performed((one,), 3, tmp_path / "cache")
    for number, take in enumerate(found[one.id], 1):
        recipe = takes.recipe(one, take, setting, number, 4)
        path = takes.write(Path(take.path), recipe, tmp_path / recipe.file_name)
        read = takes.read(path)
        assert read == recipe
        player = plugins.create("performers", read.performer)
        again = takes.again(read, player, tmp_path / "again.wav", lambda: False)
        assert again.read_bytes() == path.read_bytes()


def test_a_take_of_another_version_is_not_called_the_same(home: Path, tmp_path: Path) -> None:
    one = cue("wind")
    (take,) = performed((one,), 1, tmp_path)[0][one.id]
    recipe = takes.recipe(one, take, takes.Setting("x", Fraction(25)))
    other = replace(recipe, performer_version="0")
    with pytest.raises(UnavailableError, match="procedural 0"):
        takes.again(other, plugins.create("performers", "procedural"), tmp_path / "a.wav", lambda: False)
    assert not (tmp_path / "a.wav").exists()


def test_other_wavs_are_no_takes(home: Path, tmp_path: Path) -> None:
    plain = wav(tmp_path / "plain.wav", noise(0.1, 1))
    forged = wav(tmp_path / "forged.wav", noise(0.1, 1), IMMERSIVAUDIO='{"format":"immersivaudio.take/1","sheet":[]}')
    for path, said in ((plain, "does not say"), (forged, "cannot be understood")):
        with pytest.raises(MediaError, match=said):
            takes.read(path)
    done = call("perform", plain, "-o", tmp_path / "out.wav")
    assert done.returncode == 3 and "does not say" in done.stderr


def test_a_take_file_is_named_and_noted_as_sound_editors_do(own_sounds: Path, tmp_path: Path) -> None:
    one = cue("impact.wood", 2, prompt="hard blow on wood, one hit, dry")
    (take,) = performed((one,), 1, tmp_path)[0][one.id]
    recipe = takes.recipe(one, take, takes.Setting("Scene 1/A", NTSC, Fraction(3600)), 2, 3)
    path = takes.write(Path(take.path), recipe, tmp_path / recipe.file_name)
    assert path.name == "WOODImpt_Hard Blow On Wood_IMMR_Scene 1 A_C003T2.wav"
    name = ucs.parse(path.stem)
    assert name.category is not None and name.category.full == "WOOD-IMPACT"
    notes = user_notes(path)
    said = {
        key: notes[key] for key in ("CATID", "CATEGORY", "SUBCATEGORY", "FXNAME", "GENERATED", "PERFORMER", "LICENCE")
    }
    assert said == {
        "CATID": "WOODImpt", "CATEGORY": "WOOD", "SUBCATEGORY": "IMPACT", "FXNAME": "Hard Blow On Wood",
        "GENERATED": "TRUE", "PERFORMER": "library 2", "LICENCE": "CC-BY-4.0",
    }  # fmt: skip
    assert notes["SEED"] == "7" and notes["SOURCE"].endswith("WOODImpt_Mallet On Plank_FR_SHED.wav")
    description = chunks(path)["bext"][:256].rstrip(b"\0").decode()
    assert "Hard Blow On Wood" in description and "generated" in description


@pytest.mark.parametrize("rate", [Fraction(25), NTSC, Fraction(30000, 1001)])
def test_a_take_lies_on_whole_frames_and_its_attack_where_it_belongs(
    home: Path, tmp_path: Path, rate: Fraction
) -> None:
    one = cue("impact.metal", Fraction(1001, 777), 1)
    (take,) = performed((one,), 1, tmp_path)[0][one.id]
    start_s = Fraction(1001 * 3600, 1000)
    recipe = takes.recipe(one, take, takes.Setting("scene", rate, start_s))
    path = takes.write(Path(take.path), recipe, tmp_path / "take.wav")
    low, high = struct.unpack_from("<II", chunks(path)["bext"], 338)
    at, heard = (high << 32) + low - samples_at(start_s), sound_of(path)
    frame = at * rate / 48_000
    assert abs(frame - round(frame)) < Fraction(1, 1000), "it begins on a frame"
    assert abs(heard.shape[1] * rate / 48_000 - round(heard.shape[1] * rate / 48_000)) < Fraction(1, 1000)
    head = samples_at(one.span.start_s) - at
    assert not heard[:, :head].any()
    np.testing.assert_allclose(heard[:, head : head + take.samples], samples(take), atol=2**-22)


def test_a_delivery_holds_every_take_and_its_manifest_names_them(home: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, Fraction(10), Fraction(25))
    stage.cue(Stem.AMBIENCE, 0, bed(5.2), sound="wind", prompt="wind on a hill")
    struck = stage.cue(Stem.FOLEY, Fraction(4, 3), hit(), sound="impact.wood", sync_s=(Fraction(4, 3),))
    more = {struck.id: (stage.takes[struck.id], replace(stage.takes[struck.id], seed=99, key="other"))}
    out = tmp_path / "out"
    out.mkdir()
    edit = Edit("scene one", stage.rate, stage.duration_s)
    made = delivery.deliver(
        delivery.Delivery(
            edit, None, stage.sheet(), stage.takes, stage.mix(), DeliveryWish(("stems",)), None, out, more=more
        )
    )
    names = [one.name for one in made if one.kind == "take"]
    assert names == [f"WOODImpt_Blow On Wood_IMMR_scene one_C002T{number}.wav" for number in (1, 2)]
    assert {one.stem for one in made if one.kind == "take"} == {Stem.FOLEY}
    rows = json.loads((out / "scene one.manifest.json").read_text())["cues"]
    told = {row["cue"]: [(take["number"], take["file"], take["seed"]) for take in row.get("takes", ())] for row in rows}
    assert told[struck.id] == [(1, names[0], struck.seed), (2, names[1], 99)]
    assert all(told[row["cue"]] == [] for row in rows if row["cue"] != struck.id)


@pytest.mark.parametrize("dialect", ["generic", "resolve"])
def test_clips_know_their_takes_and_can_be_switched_to_them(home: Path, tmp_path: Path, dialect: str) -> None:
    stage = Stage(tmp_path, Fraction(10), NTSC)
    stage.cue(Stem.AMBIENCE, 0, bed(5.2), sound="wind")
    struck = stage.cue(Stem.FOLEY, Fraction(4, 3), hit(), sound="impact.wood", sync_s=(Fraction(4, 3),))
    other = replace(stage.takes[struck.id], seed=99, key="other")
    more = {struck.id: (stage.takes[struck.id], other)}
    out = tmp_path / "out"
    out.mkdir()
    edit = Edit("scene one", NTSC, stage.duration_s, Fraction(1001 * 3600, 1000))
    wish = DeliveryWish(("otio",), dialect=dialect)
    made = delivery.deliver(
        delivery.Delivery(
            edit, None, stage.sheet(), stage.takes, stage.mix(), wish, None, out, more=more, final_folder=Path("/final")
        )
    )
    laid = otio.adapters.read_from_file(str(next(one.path for one in made if one.kind == "otio")))
    (clip,) = (one for one in laid.find_clips() if one.metadata.get("immersivaudio", {}).get("cue") == struck.id)
    assert [row["seed"] for row in clip.metadata["immersivaudio"]["takes"]] == [struck.seed, 99]
    assert clip.media_reference.target_url.endswith("scene one.foley.wav"), "what plays is the stem"
    references = clip.media_references()
    if dialect != "generic":
        assert list(references) == [clip.active_media_reference_key]
        return
    for number in (1, 2):
        reference = references[f"take {number}"]
        name = f"WOODImpt_Blow On Wood_IMMR_scene one_C002T{number}.wav"
        assert reference.target_url == f"/final/takes/{name}"
        available, shown = reference.available_range, clip.source_range
        assert available.start_time <= shown.start_time
        assert shown.end_time_exclusive() <= available.end_time_exclusive()
        clip.active_media_reference_key = f"take {number}"
        assert clip.trimmed_range() == clip.source_range
        low, high = struct.unpack_from("<II", chunks(out / name)["bext"], 338)
        begun = reference.available_range.start_time.value
        assert (high << 32) + low == samples_at(Fraction(begun) / NTSC), "its timecode is what the reference says"


def test_stems_carry_a_category_too(home: Path, tmp_path: Path) -> None:
    stage = Stage(tmp_path, Fraction(4), Fraction(25))
    stage.cue(Stem.AMBIENCE, 0, bed(4), sound="wind")
    out = tmp_path / "out"
    out.mkdir()
    edit = Edit("scene one", stage.rate, stage.duration_s)
    job = delivery.Delivery(edit, None, stage.sheet(), stage.takes, stage.mix(), DeliveryWish(("stems",)), None, out)
    made = delivery.deliver(job)
    notes = user_notes(next(one.path for one in made if one.stem is Stem.AMBIENCE))
    assert (notes["CATID"], notes["CATEGORYFULL"], notes["SHOW"]) == ("AMBMisc", "AMBIENCE-MISC", "scene one")


def test_score_takes_and_perform_one_of_them_again(own_sounds: Path, tmp_path: Path, ball: Path) -> None:
    """As a user does it, each step a process of its own, the second with nothing but the file and the library."""
    sheet = CueSheet("ball", Fraction(25), Fraction(5), (cue("sea", 0, 5), cue("impact.metal", 1, 1)))
    (tmp_path / "cues.json").write_text(sheets.to_json(sheet))
    score = ("score", ball, "--cues", tmp_path / "cues.json", "-o", tmp_path / "out.mp4", "-q")
    done = call(*score, "--takes", 2)
    assert done.returncode == 0, done.stderr
    beside = tmp_path / "out.mp4.files"
    rows = json.loads((beside / "ball.manifest.json").read_text())["cues"]
    named = {take["file"] for row in rows for take in row["takes"]}
    assert all(len(row["takes"]) == 2 for row in rows)
    assert {path.name for path in (beside / "takes").iterdir()} == named
    for name in sorted(named)[::2]:
        target = tmp_path / "again.wav"
        again = call("perform", beside / "takes" / name, "-o", target, "--overwrite")
        assert again.returncode == 0, again.stderr
        assert target.read_bytes() == (beside / "takes" / name).read_bytes()
    (beside / "takes/mine.wav").write_text("not ours")
    assert call(*score, "--overwrite").returncode == 0
    assert [path.name for path in (beside / "takes").iterdir()] == ["mine.wav"], "takes of the earlier call are gone"


def test_perform_a_sheet_mixes_again_and_its_takes_lead_back(own_sounds: Path, tmp_path: Path) -> None:
    cues = (cue("sea", 0, 4), cue("impact.wood", 1, 1))
    sheet = CueSheet("scene", Fraction(25), Fraction(4), cues)
    (tmp_path / "cues.json").write_text(sheets.to_json(sheet))
    done = call("perform", tmp_path / "cues.json", "-o", tmp_path / "takes", "--takes", 2)
    assert done.returncode == 0, done.stderr
    found = sorted(path.name for path in (tmp_path / "takes").glob("*.wav"))
    assert [name.split("_")[0] for name in found] == ["WATRWave"] * 2 + ["WOODImpt"] * 2
    mixed = call("mix", tmp_path / "cues.json", tmp_path / "takes", "-o", tmp_path / "stems")
    assert mixed.returncode == 0, mixed.stderr
    assert (tmp_path / "stems/bounce.wav").is_file()


def test_an_engine_uses_the_libraries_of_its_own_home(own_sounds: Path, home: Path, tmp_path: Path) -> None:
    elsewhere = os.environ | {"IMMERSIVAUDIO_HOME": str(tmp_path / "elsewhere")}
    command = [sys.executable, "-m", "immersivaudio", "serve", "--address", "127.0.0.1:0", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=elsewhere) as engine:
        assert engine.stdout is not None
        try:
            address = json.loads(engine.stdout.readline())["address"]
            with Client(address) as client:
                installed = {model.model_id: model.installed for model in client.models()}
        finally:
            engine.terminate()
    assert installed["library"]


def test_library_commands_from_adding_to_removing(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my sounds"
    wav(folder / "WATRWave_Surf On Shingle_FR_COAST.wav", noise(9, 1))
    (folder / "broken.wav").write_bytes(b"RIFF")
    added = call("library", "add", folder, "--licence", "CC-BY-4.0", "--attribution", "me", "--listen")
    assert added.returncode == 0, added.stderr
    assert "2 files, 2 read" in added.stdout and "broken.wav" in added.stderr
    listed = call("library", "list").stdout
    assert "my sounds" in listed and "CC-BY-4.0" in listed
    assert "Surf On Shingle" in call("library", "search", "shingle").stdout
    assert "CatID WATRWave" in call("library", "search", "sea").stdout
    performed = call("perform", "sea", "-o", tmp_path / "sea.wav", "--library", "my sounds")
    assert performed.returncode == 0, performed.stderr
    assert user_notes(tmp_path / "sea.wav")["PERFORMER"] == "library 2"
    assert call("library", "remove", "my sounds").returncode == 0
    assert call("library", "remove", "my sounds").returncode == 3
    assert (folder / "WATRWave_Surf On Shingle_FR_COAST.wav").is_file()
    assert call("library", "search", "sea").stdout == ""


def test_a_running_engine_gives_takes_out_of_its_library(home: Path, own_sounds: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "immersivaudio.engine.server", "--home", str(tmp_path / "engine"), "--until-eof"]
    spec = job_pb2.JobSpec()
    spec.effect.effect_id = "sfx"
    spec.effect.params["sound"].text = "impact.wood"
    spec.effect.params["duration_s"].number = 1.0
    spec.effect.params["library"].text = "mine"
    spec.source.name = "sting"
    spec.delivery.outputs.append("stems")
    spec.delivery.takes = 3
    with (
        spawn_engine(command, log=tmp_path / "log", environment=dict(os.environ)) as engine,
        Client(engine.address) as client,
    ):
        job = client.create_job(spec, "one")
        for _ in client.watch(job.job_id):
            pass
        result = client.get(job.job_id).result
        named = [one for one in result.artefacts if one.kind == "take"]
        assert [one.name[-6:] for one in named] == ["T1.wav", "T2.wav", "T3.wav"]
        assert {one.stem for one in named} == {cue_sheet_pb2.STEM_FOLEY}
        client.download(named[1].digest, tmp_path / "take.wav")
        spec.delivery.takes = 21
        with pytest.raises(Exception, match="takes"):
            client.create_job(spec, "two")
    assert user_notes(tmp_path / "take.wav")["PERFORMER"] == "library 2"
    recipe = takes.read(tmp_path / "take.wav")
    again = takes.again(recipe, plugins.create("performers", "library"), tmp_path / "again.wav", lambda: False)
    assert again.read_bytes() == (tmp_path / "take.wav").read_bytes()
    assert recipe.licence == Licence("CC-BY-4.0", True, "Field Recordist", recipe.licence.source)
