# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files as somebody else finds them: decoded by ffmpeg, laid out by OTIO, and told the truth about."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import opentimelineio as otio
import pytest
from mixing_stage import Stage, bed, hit, level_db, read, stem_of

from immersivaudio.engine import delivery, media, mixing, sheets
from immersivaudio.engine.cue import Clip, Edit, Licence, Silence, Span, Stem, samples_at
from immersivaudio.engine.errors import CancelledError, OutputError
from immersivaudio.engine.request import DeliveryWish, Made

RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(30)]
EVERYTHING = DeliveryWish(outputs=("stems", "otio", "audio", "report"))


def staged(folder: Path, rate: Fraction = Fraction(25), frames: int = 250) -> Stage:
    """Overlapping beds (a crossfade), hits off the frame grid, and a gap."""
    stage = Stage(folder, frames / rate, rate)
    stage.cue(Stem.AMBIENCE, 0, bed(5.2), fade_out_s=0.4, prompt="wind on a hill")
    stage.cue(Stem.AMBIENCE, Fraction(24, 5), bed(4, seed=2), fade_in_s=0.4, prompt="a brook")
    stage.cue(Stem.FOLEY, Fraction(4, 3), hit(), sound="impact.wood", sync_s=(Fraction(4, 3),))
    late = Fraction(13, 7)
    stage.cue(Stem.FOLEY, late, hit(seconds=2.0), sound="impact.metal", sync_s=(late,), why='the <cup> & "lid"')
    stage.cue(Stem.FOLEY, Fraction(5, 2), hit(seconds=0.2))
    return stage


def edit_of(stage: Stage, start_s: Fraction = Fraction(3600), **more: object) -> Edit:
    return Edit("scene one", stage.rate, stage.duration_s, start_s, **more)  # type: ignore[arg-type]


def user_timeline(rate: Fraction, frames: int) -> otio.schema.Timeline:
    """What an editor sends: names, markers, effects and metadata of its own that must come back as they were."""
    timeline = otio.schema.Timeline("scene one", global_start_time=otio.opentime.RationalTime(3600 * 25, float(rate)))
    timeline.metadata["Resolve_OTIO"] = {"Resolve OTIO Meta Version": "1.0"}
    whole = otio.opentime.TimeRange(
        otio.opentime.RationalTime(0, float(rate)), otio.opentime.RationalTime(frames, float(rate))
    )
    for kind in ("Video", "Audio"):
        track = otio.schema.Track(f"{kind} 1", kind=kind)
        clip = otio.schema.Clip("shot", otio.schema.ExternalReference("/media/a b.mov", whole), whole)
        clip.metadata["Resolve_OTIO"] = {"Link Group ID": 3, "Odd": 0.1}
        clip.markers.append(otio.schema.Marker(name="here", marked_range=whole))
        clip.effects.append(otio.schema.LinearTimeWarp(time_scalar=1.0))
        track.append(clip)
        timeline.tracks.append(track)
    return timeline


def deliver(
    stage: Stage, edit: Edit, wish: DeliveryWish = EVERYTHING, mixed: mixing.MixResult | None = None, **more: object
) -> dict[str, Made]:
    """Delivered files by kind, stems by name of the stem."""
    timeline, source = more.pop("timeline", None), more.pop("source", None)
    folder = stage.folder / "out"
    folder.mkdir(exist_ok=True)
    job = delivery.Delivery(
        edit, timeline, stage.sheet(), stage.takes, mixed or stage.mix(), wish, source, folder, **more
    )  # type: ignore[arg-type]
    made = delivery.deliver(job)
    return {str(one.stem or one.kind): one for one in made}


def ours(timeline: otio.schema.Timeline) -> list[otio.schema.Track]:
    return [track for track in timeline.tracks if "immersivaudio" in track.metadata]


def decoded(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return np.concatenate(frames, axis=1).reshape(-1, 2).T / 2.0**31, dict(container.metadata)


def test_stems_are_the_mix_in_24_bits_with_the_time_of_day(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    mixed = stage.mix()
    made = deliver(stage, edit_of(stage, Fraction(3600)), mixed=mixed)
    for stem in (Stem.AMBIENCE, Stem.FOLEY):
        samples, metadata = decoded(made[stem].path)
        np.testing.assert_allclose(samples, read(stem_of(mixed, stem).path), atol=2**-22)
        assert int(metadata["time_reference"]) == 3600 * 48_000
        assert made[stem].name == f"scene one.{stem}.wav"
    np.testing.assert_allclose(decoded(made["mix"].path)[0], read(mixed.bounce.path), atol=2**-22)


@pytest.mark.parametrize("rate", RATES)
def test_the_users_tracks_come_back_as_they_were(tmp_path: Path, rate: Fraction) -> None:
    stage = staged(tmp_path, rate)
    timeline = user_timeline(rate, 250)
    before = timeline.to_json_string()
    made = deliver(stage, edit_of(stage), timeline=timeline)
    after = otio.adapters.read_from_file(str(made["otio"].path))
    assert timeline.to_json_string() == before, "the timeline that was given is not changed either"
    assert [track.name for track in after.tracks[2:]] == ["Immersivaudio Ambience", "Immersivaudio Foley"]
    del after.tracks[2:]
    assert after.to_json_string() == before


@pytest.mark.parametrize("rate", RATES)
def test_clips_tile_whole_frames_around_their_cues(tmp_path: Path, rate: Fraction) -> None:
    stage = staged(tmp_path, rate)
    made = deliver(stage, edit_of(stage, Fraction(1001 * 3600, 1000)), timeline=user_timeline(rate, 250))
    after = otio.adapters.read_from_file(str(made["otio"].path))
    first = round(Fraction(1001 * 3600, 1000) * rate)
    cues = {cue.id: cue for cue in stage.cues}
    for track in ours(after):
        reached = 0
        for child in track:
            size = child.source_range.duration
            assert size.rate == float(rate) and size.value == int(size.value) > 0
            if isinstance(child, otio.schema.Clip):
                assert child.source_range.start_time.value == first + reached, "a clip shows the stem where it lies"
                available = child.media_reference.available_range
                assert available.start_time.value == first and available.duration.value == 250
                assert reached + size.value <= available.duration.value
                told = child.metadata["immersivaudio"]
                cue = cues[told["cue"]]
                assert reached == math.floor(samples_at(cue.span.start_s) * rate / 48_000)
                start = samples_at(reached / rate)
                assert start + told["sample_offset"] == samples_at(cue.span.start_s)
            reached += int(size.value)
        assert reached <= 250


def test_every_sounding_frame_is_in_some_clip(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    after = otio.adapters.read_from_file(str(deliver(stage, edit_of(stage))["otio"].path))
    covered = {track.name: np.zeros(250, bool) for track in ours(after)}
    for track in ours(after):
        for clip in track.find_clips():
            begin = int(clip.range_in_parent().start_time.value)
            covered[track.name][begin : begin + int(clip.source_range.duration.value)] = True
    for cue in stage.cues:
        frames = slice(math.floor(cue.span.start_s * 25), math.ceil(cue.span.end_s * 25))
        assert covered[f"Immersivaudio {cue.stem.value.title()}"][frames].all(), cue.id
    assert not covered["Immersivaudio Foley"][:33].any()


def test_overlapping_cues_are_cut_and_named_together(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    after = otio.adapters.read_from_file(str(deliver(stage, edit_of(stage))["otio"].path))
    foley = next(track for track in ours(after) if track.metadata["immersivaudio"]["stem"] == "foley")
    told = [clip.metadata["immersivaudio"] for clip in foley.find_clips()]
    assert [(one["cue"], [other["cue"] for other in one["also"]]) for one in told] == [
        ("foley-2", []),
        ("foley-3", []),
        ("foley-4", ["foley-3"]),
    ]
    last = list(foley.find_clips())[-1]
    assert last.range_in_parent().end_time_exclusive().value == math.ceil(stage.cues[3].span.end_s * 25)


def test_a_clip_says_where_it_comes_from(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    final = tmp_path / "later"
    after = otio.adapters.read_from_file(str(deliver(stage, edit_of(stage), final_folder=final)["otio"].path))
    clip = next(clip for clip in after.find_clips() if clip.metadata["immersivaudio"].get("cue") == "foley-3")
    told = clip.metadata["immersivaudio"]
    wanted = {"performer": "procedural", "performer_version": "7", "seed": 3, "licence": "CC0-1.0", "generated": True}
    assert {key: told[key] for key in wanted} == wanted
    assert told["take"] == "key-foley-3" and told["why"] == 'the <cup> & "lid"' and told["sound"] == "impact.metal"
    assert told["gain_curve"]
    assert clip.media_reference.target_url == str(final / "scene one.foley.wav")
    track = next(track for track in ours(after) if track.name == "Immersivaudio Foley")
    assert track.metadata["Resolve_OTIO"] == {"Audio Type": "Stereo"}


def test_without_a_folder_lanes_name_their_files_alone(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    made = deliver(stage, edit_of(stage), timeline=user_timeline(Fraction(25), 250))
    after = otio.adapters.read_from_file(str(made["otio"].path))
    urls = {clip.media_reference.target_url for clip in after.find_clips()}
    assert urls == {"/media/a b.mov", made[Stem.AMBIENCE].name, made[Stem.FOLEY].name}


def test_a_lane_name_that_is_taken_is_not_taken_twice(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    timeline = user_timeline(Fraction(25), 250)
    timeline.tracks[1].name = "Immersivaudio Foley"
    after = otio.adapters.read_from_file(str(deliver(stage, edit_of(stage), timeline=timeline)["otio"].path))
    assert after.tracks[-1].name == "Immersivaudio Foley 2"


def test_lanes_of_a_trimmed_stack_begin_with_the_record(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    timeline = user_timeline(Fraction(25), 400)
    timeline.tracks.source_range = otio.opentime.TimeRange(
        otio.opentime.RationalTime(50, 25), otio.opentime.RationalTime(250, 25)
    )
    after = otio.adapters.read_from_file(str(deliver(stage, edit_of(stage), timeline=timeline)["otio"].path))
    first = next(iter(ours(after)[0].find_clips()))
    assert first.range_in_parent().start_time.value == 50


def test_a_single_clip_becomes_a_timeline_with_its_original_sound(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    mixed = stage.mix(stage.original(bed(10, 0.1, 8)))
    shot = Clip(
        "v1.1", "clip", "video", 0, "/media/clip.mp4", Span(Fraction(0), Fraction(10)), Span(Fraction(0), Fraction(10))
    )
    made = deliver(stage, edit_of(stage, clips=(shot,), picture=(shot,)), mixed=mixed)
    after = otio.adapters.read_from_file(str(made["otio"].path))
    assert [track.name for track in after.tracks[:2]] == ["Picture", "Original"]
    assert after.tracks[0][0].media_reference.target_url == "/media/clip.mp4"
    assert after.tracks[1][0].media_reference.target_url == made["dialogue"].name
    assert after.global_start_time == otio.opentime.RationalTime(90_000, 25)


def test_beside_the_users_own_sound_lanes_keep_the_balance_of_the_mix(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    original = stage.original(bed(10, 0.02, 8))
    mixed = stage.mix(original, loudness="ebu-r128")
    made = deliver(stage, edit_of(stage), mixed=mixed, timeline=user_timeline(Fraction(25), 250))
    assert abs(mixed.gain_db) > 0.5 and mixed.limited_db == 0 and "dialogue" not in made
    lanes = sum(decoded(made[stem].path)[0] for stem in (Stem.AMBIENCE, Stem.FOLEY))
    heard = (lanes + read(original)) * 10 ** (mixed.gain_db / 20)
    assert level_db(heard - read(mixed.bounce.path) + 1e-12) < -80


def test_the_manifest_tells_where_everything_is_from(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    bound = Licence("CC-BY-NC-4.0", commercial_use=False, attribution="somebody")
    stage.takes["foley-2"] = replace(stage.takes["foley-2"], licence=bound)
    source = tmp_path / "source.bin"
    source.write_bytes(b"picture")
    shot = Clip(
        "v1.1", "clip", "video", 0, str(source), Span(Fraction(0), Fraction(10)), Span(Fraction(0), Fraction(10))
    )
    mixed = stage.mix()
    made = deliver(stage, edit_of(stage, clips=(shot,), warnings=("a dissolve was cut",)), mixed=mixed)
    told = json.loads(made["manifest"].path.read_text())
    assert told["licence"]["name"] == "CC-BY-NC-4.0" and told["generated"] is True
    assert [row["cue"] for row in told["cues"]] == [cue.id for cue in stage.sheet().cues]
    digest = hashlib.sha256(b"picture").hexdigest()
    assert told["inputs"] == [{"name": "source.bin", "size_bytes": 7, "sha256": digest}]
    assert told["loudness"]["bounce"]["integrated_lufs"] == pytest.approx(mixed.bounce.integrated_lufs, abs=0.01)
    assert "a dissolve was cut" in told["warnings"]
    assert str(tmp_path) not in made["manifest"].path.read_text()


def test_the_cue_sheet_comes_back_equal(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    assert sheets.from_json(deliver(stage, edit_of(stage))["cues"].path.read_text()) == stage.sheet()


class _Page(HTMLParser):
    """Tags that were left open, and everything that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.fetched = list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [
            str(value) for key, value in attrs if key in ("src", "href") and not str(value).startswith("#")
        ]
        if tag not in ("meta", "br", "link", "img", "input", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    stage.says(1, 2)
    text = deliver(stage, edit_of(stage, warnings=("watch <out>",)))["report"].path.read_text()
    page = _Page()
    page.feed(text)
    assert page.open == [] and page.fetched == []
    assert "the &lt;cup&gt; &amp; &quot;lid&quot;" in text and "watch &lt;out&gt;" in text
    for cue in stage.cues:
        assert cue.id in text


@pytest.mark.parametrize("name", ["a/b", "what? #1 100%", "", "..", "x" * 300, "naïve 映画", 'a\x00"b'])
def test_names_are_safe_in_files_and_urls(name: str) -> None:
    safe = delivery.safe_name(name)
    assert safe and not set(safe) & set('/\\#?%:"\x00') and len(safe.encode()) <= 120 and safe.strip(".")


def test_an_encoded_mix(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    made = deliver(stage, edit_of(stage), DeliveryWish(outputs=("audio",), container="flac"))
    assert set(made) == {"mix", "cues", "manifest"} and made["mix"].name == "scene one.mix.flac"
    with av.open(str(made["mix"].path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == stage.total


def test_a_scored_video_keeps_its_picture(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    source = tmp_path / "clip.mp4"
    media.encode_pictures((np.full((64, 64, 3), number % 250, np.uint8) for number in range(250)), source, Fraction(25))
    made = deliver(stage, edit_of(stage), DeliveryWish(outputs=("video",)), source=source)
    assert made["video"].name == "scene one.scored.mp4"

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    assert packets(made["video"].path) == packets(source)
    assert not [path for path in (stage.folder / "out").iterdir() if "partial" in path.name]


def test_it_stops_when_asked_and_leaves_no_half_file(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    mixed = stage.mix()
    with pytest.raises(CancelledError):
        deliver(stage, edit_of(stage), mixed=mixed, cancelled=lambda: True)
    assert not list((stage.folder / "out").iterdir())


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    mixed = stage.mix()
    with pytest.raises(OutputError):
        delivery.deliver(
            delivery.Delivery(
                edit_of(stage), None, stage.sheet(), stage.takes, mixed, EVERYTHING, None, tmp_path / "gone"
            )
        )


def test_silences_are_told(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    sheet = replace(stage.sheet(), silences=(Silence(Span(Fraction(9), Fraction(1)), "the picture is black"),))
    folder = tmp_path / "out"
    folder.mkdir()
    job = delivery.Delivery(edit_of(stage), None, sheet, stage.takes, stage.mix(), EVERYTHING, None, folder)
    made = delivery.deliver(job)
    texts = [one.path.read_text() for one in made if one.kind in ("manifest", "report")]
    assert all("the picture is black" in text for text in texts)
