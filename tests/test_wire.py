# SPDX-License-Identifier: AGPL-3.0-or-later
"""The wire's messages and the engine's nouns: exact both ways, and what makes no sense is refused by its field."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from serving import spec

from immersivaudio.engine import access, effects, wire, wire_checks
from immersivaudio.engine.blobs import BlobStore
from immersivaudio.engine.cue import Cue, CueSheet, GainPoint, Silence, Span, SpeechSpan, Stem, tidy
from immersivaudio.engine.errors import AccessError, EngineError, MediaError, NotFoundError, RequestError
from immersivaudio.engine.orders import Reporter, Shelf, request_of
from immersivaudio.engine.request import Goal, Made, Outcome, Progress, Warned
from immersivaudio.engine.sounds import VOCABULARY
from immersivaudio.v1 import cue_sheet_pb2, effect_pb2, job_pb2, media_pb2, time_pb2

RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60000, 1001)]


def some_cue(chance: random.Random, number: int) -> Cue:
    sound = chance.choice(VOCABULARY)
    start = chance.choice([tidy(chance.uniform(0, 5000)), Fraction(chance.randrange(9999)) / chance.choice(RATES)])
    return Cue(
        id=f"cue-{number}",
        stem=sound.stem,
        span=Span(start, tidy(chance.uniform(0, 60))),
        sound=sound.id,
        prompt="Wind über Gras 风",
        why="seen",
        sightings=("s1", "s2"),
        sync_s=tuple(start + tidy(chance.random()) for _ in range(chance.randrange(4))),
        params={"strength": chance.random(), "surface": "oak"},
        gain_db=chance.uniform(-30, 6),
        gain_curve=(GainPoint(0.0, -6.0), GainPoint(chance.random(), 0.0)),
        pan=chance.uniform(-1, 1),
        fade_in_s=chance.random(),
        performer="procedural",
        seed=chance.randrange(2**62),
        confidence=chance.random(),
        locked=chance.random() < 0.5,
        muted=chance.random() < 0.5,
    )


def some_sheet(seed: int) -> CueSheet:
    chance = random.Random(seed)
    return CueSheet(
        name="a cut",
        rate=chance.choice(RATES),
        duration_s=Fraction(chance.randrange(1, 10**6)) / chance.choice(RATES),
        cues=tuple(some_cue(chance, number) for number in range(20)),
        silences=(Silence(Span(Fraction(1, 3), Fraction(2, 7)), "a held breath"),),
        speech=(SpeechSpan(Span(Fraction(1), Fraction(1, 48000)), 0.9),),
        suggestions=(some_cue(chance, 99),),
        warnings=("A transition was taken as a cut.",),
        start_timecode_s=Fraction(3600),
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_sheet_comes_back_equal(seed: int) -> None:
    sheet = some_sheet(seed)
    message = cue_sheet_pb2.CueSheet.FromString(wire.sheet_to_wire(sheet).SerializeToString())
    assert not list(wire_checks.sheet("sheet", message))
    assert wire.sheet_from_wire(message) == sheet


def test_a_sheet_that_says_no_frame_rate_comes_back_so() -> None:
    sheet = replace(some_sheet(1), rate=Fraction(0))
    message = wire.sheet_to_wire(sheet)
    assert not list(wire_checks.sheet("sheet", message))
    assert wire.sheet_from_wire(message) == sheet


def test_time_that_does_not_fit_is_kept_to_the_nanosecond() -> None:
    odd = Fraction(10**30 + 1, 10**30 - 7)
    assert wire.time_from_wire(wire.time_to_wire(odd)) == tidy(odd)
    frames = time_pb2.RationalTime(value=30, rate_numerator=24000, rate_denominator=1001)
    assert wire.time_from_wire(frames) == Fraction(30 * 1001, 24000)


def fields(request: job_pb2.CreateJobRequest) -> set[str]:
    return {violation.field for violation in wire_checks.job(request)}


def request_with(sheet: CueSheet | None = None) -> job_pb2.CreateJobRequest:
    request = job_pb2.CreateJobRequest(request_id="r", spec=spec("a"))
    if sheet is not None:
        request.spec.cue_sheet.CopyFrom(wire.sheet_to_wire(sheet))
    return request


def test_a_sound_request_has_nothing_to_refuse() -> None:
    assert fields(request_with(some_sheet(1))) == set()


CUE = "spec.cue_sheet.cues[0]"


@pytest.mark.parametrize(
    ("field", "path", "value"),
    [
        ("pan", f"{CUE}.pan", 1.5),
        ("pan", f"{CUE}.pan", math.nan),
        ("gain_db", f"{CUE}.gain_db", math.inf),
        ("fade_in_s", f"{CUE}.fade_in_s", -1.0),
        ("confidence", f"{CUE}.confidence", 2.0),
        ("stem", f"{CUE}.stem", 1),
        ("stem", f"{CUE}.stem", 77),
        ("sound", f"{CUE}.sound", "widn"),
        ("cue_id", f"{CUE}.cue_id", ""),
        ("cue_id", "spec.cue_sheet.cues[1].cue_id", "cue-1"),
        ("prompt", f"{CUE}.prompt", "x" * 5000),
    ],
)
def test_a_cue_that_makes_no_sense_is_named(field: str, path: str, value: object) -> None:
    request = request_with(some_sheet(1))
    setattr(request.spec.cue_sheet.cues[0], field, value)
    assert fields(request) == {path}


@pytest.mark.parametrize(
    ("value", "numerator", "denominator"),
    [(1, 0, 1), (1, 1, 0), (1, -25, 1), (-1, 25, 1), (2**62, 1, 1), (1, 1, 2**62), (1, -1, -1)],
)
def test_absurd_times_are_named(value: int, numerator: int, denominator: int) -> None:
    request = request_with(some_sheet(1))
    bad = time_pb2.RationalTime(value=value, rate_numerator=numerator, rate_denominator=denominator)
    request.spec.cue_sheet.cues[0].record_range.start.CopyFrom(bad)
    request.spec.cue_sheet.record_range.duration.CopyFrom(bad)
    assert fields(request) == {f"{CUE}.record_range.start", "spec.cue_sheet.record_range.duration"}


@pytest.mark.parametrize("rate", [Fraction(1, 2), Fraction(1001), Fraction(10**9)])
def test_absurd_frame_rates_are_named(rate: Fraction) -> None:
    request = request_with(some_sheet(1))
    request.spec.cue_sheet.frame_duration.CopyFrom(wire.time_to_wire(1 / rate))
    assert fields(request) == {"spec.cue_sheet.frame_duration"}


def test_too_many_cues() -> None:
    request = request_with(some_sheet(1))
    one = request.spec.cue_sheet.cues[0]
    request.spec.cue_sheet.cues.extend([one] * wire_checks.MAX_CUES)
    assert fields(request) == {"spec.cue_sheet.cues"}


def test_an_unknown_word_is_answered_with_the_near_one() -> None:
    request = request_with(some_sheet(1))
    request.spec.cue_sheet.cues[0].sound = "passby.cat"
    with pytest.raises(wire_checks.FieldsError, match=r"did you mean 'passby\.car'"):
        wire_checks.refuse(wire_checks.job(request))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("densty", effect_pb2.ParamValue(number=0.5)),
        ("density", effect_pb2.ParamValue(number=1.5)),
        ("density", effect_pb2.ParamValue(number=math.nan)),
        ("density", effect_pb2.ParamValue(text="much")),
        ("density", effect_pb2.ParamValue()),
        ("seed", effect_pb2.ParamValue(integer=-1)),
        ("loudness", effect_pb2.ParamValue(text="loud")),
        ("music", effect_pb2.ParamValue(integer=1)),
        ("description", effect_pb2.ParamValue(text="x" * 5000)),
    ],
)
def test_params_that_make_no_sense_are_named(name: str, value: effect_pb2.ParamValue) -> None:
    request = request_with()
    request.spec.effect.params[name].CopyFrom(value)
    assert fields(request) == {f"spec.effect.params[{name}]"}


def test_a_request_of_nothing_names_what_lacks() -> None:
    assert fields(job_pb2.CreateJobRequest()) == {"request_id", "spec.effect.effect_id", "spec.source"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("loudness", "loud"), ("original", "burn"), ("mix", 1.5), ("mix", math.nan), ("container", "../mp4")],
)
def test_deliveries_that_make_no_sense_are_named(field: str, value: object) -> None:
    request = request_with()
    setattr(request.spec.delivery, field, value)
    assert fields(request) == {f"spec.delivery.{field}"}


def test_an_unknown_output_is_named() -> None:
    request = request_with()
    request.spec.delivery.outputs.extend(["video", "hologram"])
    assert fields(request) == {"spec.delivery.outputs[1]"}


@pytest.mark.parametrize("effect", effects.EFFECTS, ids=lambda effect: effect.id)
def test_every_effect_accepts_its_own_defaults(effect: effects.Effect) -> None:
    instance = effect_pb2.EffectInstance(effect_id=effect.id)
    for param in effect.params:
        instance.params[param.name].CopyFrom(wire.value_to_wire(param.kind, param.default))
        described = wire.param_to_wire(param)
        assert described.label and described.hint and described.type
    assert not list(wire_checks.instance(instance))
    assert wire.values_from_wire(instance) == effect.values({})


def shelf(tmp_path: Path) -> Shelf:
    roots, scratch = tmp_path / "media", tmp_path / "scratch"
    roots.mkdir()
    scratch.mkdir()
    (roots / "a.mp4").write_bytes(b"picture")
    (tmp_path / "secret").write_bytes(b"secret")
    return Shelf((roots,), BlobStore(tmp_path / "blobs"), scratch)


def media_at(path: Path | str) -> media_pb2.MediaRef:
    return media_pb2.MediaRef(path=str(path))


def test_paths_stay_under_the_roots(tmp_path: Path) -> None:
    held = shelf(tmp_path)
    root = held.roots[0]
    assert held.find(media_at(root / "a.mp4")) == root / "a.mp4"
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    for path in (tmp_path / "secret", root / "../secret", root / "out", "/etc/passwd", "/nowhere", tmp_path / "media2"):
        with pytest.raises(AccessError):
            held.find(media_at(path))
    for path in (root, root / "gone.mp4", "/dev/null" if root == Path("/") else root / "gone"):
        with pytest.raises(MediaError):
            held.find(media_at(path))
    for path in ("a.mp4", "", "http://example.org/a.mp4"):
        with pytest.raises(RequestError):
            held.find(media_at(path))
    with pytest.raises(EngineError):
        held.find(media_at(root / "loop"))


def test_music_by_instruments_is_described_and_asked_for_either_way(tmp_path: Path) -> None:
    held, message = shelf(tmp_path), spec("clip")
    described = effects.find("soundtrack").param("music_stems")
    assert described is not None and not described.enabled
    for music in (True, False):
        change = effects.changed(effects.find("soundtrack"), {"music": music}, "music")
        assert [(param.name, param.enabled) for param in change.params] == [("music_stems", music)]
    assert not request_of(message, held).delivery.music_stems
    message.effect.params["music_stems"].flag = True
    assert request_of(message, held).delivery.music_stems
    del message.effect.params["music_stems"]
    message.delivery.music_stems = True
    assert request_of(message, held).delivery.music_stems


def test_no_roots_means_no_paths(tmp_path: Path) -> None:
    held = shelf(tmp_path)
    path = held.roots[0] / "a.mp4"
    with pytest.raises(AccessError):
        access.check(path, ())
    assert access.check(path, None) == path


def test_a_spec_becomes_a_request(tmp_path: Path) -> None:
    held = shelf(tmp_path)
    message = spec("clip", "at night")
    message.source.ClearField("timeline_json")
    message.source.media.path = str(held.roots[0] / "a.mp4")
    digest = held.blobs.put(held.roots[0] / "a.mp4")
    message.source.media_by_url["file:///x.mov"].blob.sha256 = digest.sha256
    message.source.media_by_url["file:///x.mov"].blob.size_bytes = digest.size_bytes
    message.goal = job_pb2.GOAL_SPOT
    message.effect.params["loudness"].text = "podcast"
    message.effect.params["mix"].number = 0.25
    made = request_of(message, held)
    assert made.media == held.roots[0] / "a.mp4"
    assert made.media_by_url["file:///x.mov"] == held.blobs.path(digest)
    assert made.params["description"] == "at night" and made.params["music"] is False
    assert (made.goal, made.delivery.loudness, made.delivery.mix) == (Goal.SPOT, "podcast", 0.25)
    message.delivery.loudness, message.delivery.mix = "none", 0.0
    made = request_of(message, held)
    assert (made.delivery.loudness, made.delivery.mix) == ("none", 0.0)
    assert made.roots is not None and held.roots[0] in made.roots


def test_an_uploaded_timeline_keeps_its_ending(tmp_path: Path) -> None:
    held = shelf(tmp_path)
    digest = held.blobs.put(tmp_path / "secret")
    message = spec("cut.FCPXML")
    message.source.timeline.blob.sha256, message.source.timeline.blob.size_bytes = digest.sha256, digest.size_bytes
    made = request_of(message, held)
    assert made.timeline is not None and made.timeline.suffix == ".fcpxml"
    assert made.timeline.read_bytes() == b"secret"


def test_a_blob_that_is_not_here(tmp_path: Path) -> None:
    message = spec("a")
    message.source.media.blob.sha256 = "a" * 64
    with pytest.raises(NotFoundError):
        request_of(message, shelf(tmp_path))


def test_progress_is_held_back_and_stages_are_not(tmp_path: Path) -> None:
    reporter = Reporter(BlobStore(tmp_path), per_second=0.001)
    said = [reporter.event(Progress("watch", step / 9, step / 90)) for step in range(10)]
    assert [event is not None for event in said] == [True] + [False] * 9
    spotted = reporter.event(Progress("spot", 0.0, 0.1))
    assert spotted is not None and spotted.progress.stage == "spot"
    assert reporter.event(Warned("Something.")) == job_pb2.JobEvent(warning="Something.")


def test_a_result_names_each_file_once(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    made = Made("a.wav", "stem", path, Stem.FOLEY)
    result = Reporter(BlobStore(tmp_path / "blobs")).result(Outcome(some_sheet(1), (made, made), ("A warning.",)))
    assert [(one.name, one.kind, one.stem) for one in result.artefacts] == [("a.wav", "stem", cue_sheet_pb2.STEM_FOLEY)]
    assert result.warnings == ["A warning."]
