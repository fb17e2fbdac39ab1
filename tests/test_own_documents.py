# SPDX-License-Identifier: AGPL-3.0-or-later
"""A document of an editor comes back as it was, with our lanes put in: every byte of the user's, in its order."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from test_exporters import HIT_S, is_ours, laid_on
from timelines import nothing_here

from immersivaudio.engine import conform, dialects_out
from immersivaudio.engine.cue import Clip, Edit
from immersivaudio.engine.importers.warnings import Grumbles

REAL = (
    ("kdenlive-19.12-example-25fps.kdenlive", "kdenlive"),
    ("kdenlive-mixes-markers-25fps.kdenlive", "kdenlive"),
    ("premiere-fcp7xml-disabled-25fps.xml", "premiere"),
)

KDENLIVE_23 = """<?xml version='1.0' encoding='utf-8'?>
<mlt LC_NUMERIC="C" producer="main_bin" version="7.22.0" root="/films">
 <profile frame_rate_num="30000" frame_rate_den="1001" width="1920" height="1080"/>
 <producer id="black" in="0" out="500"><property name="resource">black</property>
  <property name="mlt_service">color</property><property name="set.test_audio">0</property></producer>
 <chain id="chain0" out="299"><property name="resource">talk &amp; walk.mp4</property>
  <property name="length">300</property>
  <property name="mlt_service">avformat-novalidate</property><property name="kdenlive:id">4</property></chain>
 <playlist id="playlist0"><property name="kdenlive:audio_track">1</property>
  <entry producer="chain0" in="0" out="299"><property name="kdenlive:id">4</property>
   <filter id="f1"><property name="mlt_service">nobody.knows</property><property name="x">0=1;50=2</property></filter>
  </entry></playlist>
 <playlist id="playlist1"/>
 <tractor id="tractor0" in="0" out="299"><property name="kdenlive:audio_track">1</property>
  <property name="kdenlive:trackheight">67</property>
  <track hide="video" producer="playlist0"/><track hide="video" producer="playlist1"/></tractor>
 <tractor id="{0aa5}" in="0" out="299">
  <property name="kdenlive:uuid">{0aa5}</property><property name="kdenlive:sequenceproperties.groups">[{"a": 1}]</property>
  <track producer="black"/><track producer="tractor0"/>
  <transition id="t0"><property name="a_track">0</property><property name="b_track">1</property>
   <property name="mlt_service">mix</property><property name="sum">1</property>
   <property name="always_active">1</property></transition>
  <filter id="master"><property name="mlt_service">volume</property></filter>
 </tractor>
 <playlist id="main_bin"><property name="kdenlive:folder.-1.9">Rushes</property><property name="xml_retain">1</property>
  <entry producer="{0aa5}" in="0" out="0"/><entry producer="chain0" in="0" out="299"/></playlist>
 <tractor id="tractor1" in="0" out="299"><property name="kdenlive:projectTractor">1</property>
  <track producer="{0aa5}" in="0" out="299"/></tractor>
</mlt>
"""

SHOTCUT = """<?xml version="1.0" standalone="no"?>
<mlt LC_NUMERIC="C" version="7.24.0" title="Shotcut version 24" producer="main_bin">
  <profile frame_rate_num="24000" frame_rate_den="1001" width="1280" height="720"/>
  <playlist id="main_bin" title="x"><property name="xml_retain">1</property></playlist>
  <producer id="black" in="00:00:00.000" out="00:00:10.000"><property name="resource">0</property>
    <property name="mlt_service">color</property><property name="set.test_audio">0</property></producer>
  <playlist id="background"><entry producer="black" in="00:00:00.000" out="00:00:10.000"/></playlist>
  <chain id="chain0" out="00:00:09.960"><property name="resource">films/one.mp4</property><property name="length">240</property>
    <property name="mlt_service">avformat</property></chain>
  <playlist id="playlist0"><property name="shotcut:video">1</property>
    <entry producer="chain0" in="00:00:00.000" out="00:00:08.000"/></playlist>
  <tractor id="tractor0" title="x" in="00:00:00.000" out="00:00:10.000">
    <property name="shotcut">1</property><property name="shotcut:markers"><property name="0"/></property>
    <track producer="background"/><track producer="playlist0"/>
    <transition id="t0"><property name="a_track">0</property><property name="b_track">1</property>
      <property name="mlt_service">mix</property><property name="sum">1</property>
      <property name="always_active">1</property></transition>
  </tractor>
</mlt>
"""

PLAIN = """<mlt>\r
<producer id="one" in="0" out="249"><property name="resource">/films/one.mov</property></producer>\r
<playlist id="all"><entry producer="one" in="25" out="149"/></playlist>\r
</mlt>\r
"""

XMEML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE xmeml>
<xmeml version="4"><bin><name>Ünser &#8220;Bin&#8221;</name><children>
<sequence id="s1"><name>cut</name><duration>250</duration><rate><timebase>30</timebase><ntsc>TRUE</ntsc></rate>
<media><video><track><clipitem id="clipitem-1"><name>a</name><start>0</start><end>100</end><in>0</in><out>100</out>
<file id="file-1"><pathurl>file://localhost/C%3a/films/a%20b.mov</pathurl></file>
<filter><effect><effectid>Nobody Knows</effectid><parameter><value>7</value></parameter></effect></filter></clipitem>
<generatoritem><start>100</start><end>150</end><in>0</in><out>50</out><effect><name>Text</name></effect></generatoritem>
<clipitem id="n"><start>150</start><end>250</end><in>0</in><out>100</out><sequence id="s2"><name>nest</name>
<rate><timebase>30</timebase><ntsc>TRUE</ntsc></rate><media><video><track><clipitem id="i"><start>0</start>
<end>100</end><in>0</in><out>100</out><file id="file-2"><pathurl>file:///f/c.mov</pathurl></file></clipitem></track>
</video></media></sequence></clipitem></track></video>{audio}</media>
<marker><name>here</name><in>12</in><out>-1</out></marker></sequence></children></bin></xmeml>
"""
SYNTHETIC = {
    "sequences.kdenlive": KDENLIVE_23,
    "shotcut.mlt": SHOTCUT,
    "plain.mlt": PLAIN,
    "no-sound.xml": XMEML.format(audio=""),
    "empty-sound.xml": XMEML.format(audio="<audio/>"),
    "sound.xml": XMEML.format(
        audio="<audio><numOutputChannels>2</numOutputChannels><track><clipitem id='c'><start>0</start><end>50</end>"
        "<in>5</in><out>55</out><file id='file-1'/></clipitem><locked>TRUE</locked></track></audio>"
    ),
}
DIALECT_OF = {".kdenlive": "kdenlive", ".mlt": "kdenlive", ".xml": "premiere"}


@pytest.fixture(params=[*(name for name, _ in REAL), *SYNTHETIC])
def document(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    if request.param in SYNTHETIC:
        path.write_text(SYNTHETIC[request.param], "utf-8", newline="")
    else:
        shutil.copyfile(shared / "media/timelines" / request.param, path)
    return path


def scored(path: Path) -> tuple[Edit, str, Grumbles]:
    """What the document meant, the document with our lanes, and what was said."""
    timeline, edit = conform.read(path, prober=nothing_here, scored=False)
    grumbles = Grumbles()
    laid = laid_on(timeline, edit)
    text = dialects_out.document(laid, edit, timeline, DIALECT_OF[path.suffix], grumbles, path)
    assert text is not None
    return edit, text, grumbles


def holds_in_order(text: bytes, given: bytes) -> bool:
    """Whether ``given`` is ``text`` with pieces taken out between its tags, or behind the name of its root."""
    at = 0
    for part in given.replace(b"<", b"\0<").replace(b"<mlt", b"<mlt\0").replace(b">", b">\0").split(b"\0"):
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def named(clip: Clip) -> Clip:
    """``clip`` with its file's name alone: relative names gain the folder that they always started from."""
    return replace(clip, url=Path(clip.url).name)


def test_the_users_document_comes_back_whole(document: Path) -> None:
    given = document.read_bytes()
    edit, text, grumbles = scored(document)
    assert not grumbles.sentences()
    assert holds_in_order(text.encode(), given.replace(b"<audio/>", b"<audio>"))
    document.write_text(text, "utf-8", newline="")
    again = conform.read(document, prober=nothing_here)[1]
    assert [named(clip) for clip in again.clips if not is_ours(clip)] == [named(clip) for clip in edit.clips]
    assert (again.rate, again.start_timecode_s, again.duration_s) == (
        edit.rate,
        edit.start_timecode_s,
        edit.duration_s,
    )


def test_our_lanes_lie_where_they_should(document: Path) -> None:
    edit, text, _ = scored(document)
    document.write_text(text, "utf-8", newline="")
    ours = [clip for clip in conform.read(document, prober=nothing_here)[1].clips if is_ours(clip)]
    places = {(clip.url.split(".")[1], clip.record.start_s, clip.source.start_s) for clip in ours}
    hit_s = (HIT_S * edit.rate // 1) / edit.rate
    assert {("ambience", Fraction(0), Fraction(0)), ("foley", hit_s, hit_s)} <= places
    assert all(clip.enabled and clip.kind == "audio" for clip in ours)


def test_a_scored_document_may_be_scored_again(document: Path) -> None:
    _, text, _ = scored(document)
    document.write_text(text, "utf-8", newline="")
    before = conform.read(document, prober=nothing_here)[1]
    _, twice, _ = scored(document)
    document.write_text(twice, "utf-8", newline="")
    after = conform.read(document, prober=nothing_here)[1]
    assert [replace(clip, id="") for clip in after.clips] == [replace(clip, id="") for clip in before.clips]
    assert not [clip for clip in conform.read(document, prober=nothing_here, scored=False)[1].clips if is_ours(clip)]
    assert scored(document)[1] == twice
    ids = [line.split('id="')[1].split('"')[0] for line in twice.splitlines() if 'id="immersivaudio' in line]
    assert "file" not in ids
    starts = [name for name in ids if "file-" not in name]
    assert len(starts) == len(set(starts)), "no id twice"


def resaved(path: Path, text: str) -> str:
    """``text`` as an editor saves it: with ids of its own, but for melt, whose documents have no other names."""
    return text if path.name == "plain.mlt" else text.replace("immersivaudio_", "saved-")


def test_lanes_are_known_again_after_an_editor_saved_them(document: Path) -> None:
    _, text, _ = scored(document)
    document.write_text(resaved(document, text), "utf-8", newline="")
    edit, twice, _ = scored(document)
    assert not [clip for clip in edit.clips if is_ours(clip)], "no original sound"
    assert any("earlier score" in sentence for sentence in edit.warnings)
    assert "saved-" not in twice, "nothing is left of them"
    assert twice.count("immersivaudio_") == text.count("immersivaudio_")


@pytest.mark.parametrize(
    ("name", "mine", "moved"),
    [
        ("sequences.kdenlive", '<blank length="14"', '<blank length="40"'),
        ("sequences.kdenlive", "0=3.000;", "0=-7.000;"),
        ("shotcut.mlt", '<blank length="11"', '<blank length="20"'),
        ("sound.xml", "<start>14</start>", "<start>9</start>"),
        ("sound.xml", "<value>1.41254</value>", "<value>0.5</value>"),
    ],
)
def test_what_was_changed_on_our_lanes_goes_with_them(name: str, mine: str, moved: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(SYNTHETIC[name], "utf-8", newline="")
    _, text, _ = scored(path)
    assert mine in text
    path.write_text(text.replace(mine, moved), "utf-8", newline="")
    assert scored(path)[1] == text


MAIN = {"sequences.kdenlive": '<tractor id="{0aa5}"', "shotcut.mlt": '<tractor id="tractor0"', "sound.xml": "<audio>"}
LATE = '<playlist id="late"><entry producer="chain0" in="9" out="19"/></playlist>'
LATE_ITEM = """<track><clipitem id="late"><start>60</start><end>70</end><in>9</in><out>19</out>
<file id="immersivaudio_file-2"/></clipitem></track>"""


def with_a_track_behind(name: str, text: str) -> str:
    """A scored document to which the user has added a sound track behind our lanes."""
    if name.endswith(".xml"):
        return text.replace("</audio></media>", f"{LATE_ITEM}</audio></media>")
    text = text.replace(MAIN[name], LATE + MAIN[name])
    behind = text.index("<transition", text.index(MAIN[name]))
    return f'{text[:behind]}<track producer="late" hide="video"/>{text[behind:]}'


def number_of_late(name: str, text: str) -> int:
    """Which track of all that is added one."""
    return text[text.index(MAIN[name]) : text.rindex('"late"')].count("<track")


@pytest.mark.parametrize("name", MAIN)
def test_a_track_of_the_users_behind_our_lanes_keeps_its_number(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(SYNTHETIC[name], "utf-8", newline="")
    given = with_a_track_behind(name, scored(path)[1])
    path.write_text(given, "utf-8", newline="")
    edit, text, _ = scored(path)
    assert text.count("<track") == given.count("<track")
    assert number_of_late(name, text) == number_of_late(name, given) > 2
    path.write_text(text, "utf-8", newline="")
    after = conform.read(path, prober=nothing_here)[1]
    lanes = [clip for clip in after.clips if is_ours(clip) and clip.source.start_s != Fraction(9) / edit.rate]
    assert len({(clip.url, clip.record) for clip in lanes}) == len(lanes) == 2
    assert [named(clip).url for clip in edit.clips] == [named(clip).url for clip in after.clips if clip not in lanes], (
        "what the user plays is told of still"
    )


@pytest.mark.parametrize("name", ["sequences.kdenlive", "sound.xml"])
def test_a_lane_with_a_clip_of_the_users_stays_and_so_does_one_with_his_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(SYNTHETIC[name], "utf-8", newline="")
    _, text, _ = scored(path)
    own = text.replace("Immersivaudio Foley", "my steps").replace("cut.ambience.wav", "cut.my rain.wav")
    path.write_text(own, "utf-8", newline="")
    edit, twice, _ = scored(path)
    assert len([clip for clip in edit.clips if is_ours(clip)]) == 2, "both are original sound"
    assert holds_in_order(twice.encode(), own.encode())


@pytest.mark.parametrize(
    ("name", "theirs", "mine"),
    [
        ("cut.kdenlive", "talk &amp; walk.mp4", '<property name="resource">cut.foley.wav<'),
        ("sound.xml", "file:///f/c.mov", "<pathurl>cut.foley.wav<"),
    ],
)
def test_a_file_of_the_users_that_is_called_like_ours_stays_theirs(
    name: str, theirs: str, mine: str, tmp_path: Path
) -> None:
    given = KDENLIVE_23 if name.endswith(".kdenlive") else SYNTHETIC[name]
    assert theirs in given
    path = tmp_path / name
    path.write_text(given.replace(theirs, "cut.foley.wav"), "utf-8")
    _, text, _ = scored(path)
    pointed = dialects_out.pointed(text, {"cut.foley.wav": "/out/cut.foley.wav"})
    assert text.count(mine) > pointed.count(mine) == 1
    assert pointed.count("/out/cut.foley.wav") == text.count(mine) - 1


def test_a_clip_of_the_users_that_names_a_file_like_ours_stays_theirs() -> None:
    clips = [otio.schema.Clip(name, otio.schema.ExternalReference("cut.foley.wav")) for name in ("theirs", "ours")]
    clips[1].metadata["immersivaudio"] = {"generated": True}
    timeline = otio.schema.Timeline("cut", tracks=[otio.schema.Track("A1", clips, kind="Audio")])
    text = dialects_out.pointed(timeline.to_json_string(), {"cut.foley.wav": "/out/cut.foley.wav"})
    after = otio.adapters.read_from_string(text, "otio_json")
    assert [clip.media_reference.target_url for clip in after.find_clips()] == ["cut.foley.wav", "/out/cut.foley.wav"]


def test_a_video_that_is_known_by_its_name_alone_is_found_again() -> None:
    clip = otio.schema.Clip("shot", otio.schema.ExternalReference("cut"))
    timeline = otio.schema.Timeline("cut", tracks=[otio.schema.Track("V1", [clip], kind="Video")])
    text = dialects_out.pointed(timeline.to_json_string(), {"cut.foley.wav": "/out/f.wav"}, {"cut": "/films/cut.mp4"})
    after = otio.adapters.read_from_string(text, "otio_json")
    assert [clip.media_reference.target_url for clip in after.find_clips()] == ["/films/cut.mp4"]


@pytest.mark.parametrize(
    "given",
    [
        KDENLIVE_23.replace('LC_NUMERIC="C"', 'LC_NUMERIC="de_DE.UTF-8"'),
        KDENLIVE_23.replace("Rushes", "Aufnähmen").replace("utf-8", "iso-8859-1"),
    ],
)
def test_what_cannot_take_tracks_is_written_anew_and_says_so(given: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.kdenlive"
    path.write_text(given, "iso-8859-1")
    _, text, grumbles = scored(path)
    assert "written anew" in " ".join(grumbles.sentences())
    path.write_text(text, "utf-8")
    assert [clip for clip in conform.read(path, prober=nothing_here)[1].clips if is_ours(clip)]


def test_relative_names_stay_and_mean_what_they_meant(tmp_path: Path) -> None:
    path = tmp_path / "shotcut.mlt"
    path.write_text(SHOTCUT, "utf-8")
    _, text, _ = scored(path)
    assert f'<mlt root="{tmp_path}" ' in text
    assert '<property name="resource">films/one.mp4</property>' in text
