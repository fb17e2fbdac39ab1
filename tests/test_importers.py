# SPDX-License-Identifier: AGPL-3.0-or-later
"""Foreign timelines as editors write them, small enough to check every number by hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from immersivaudio.engine import conform
from immersivaudio.engine.cue import Edit, Span
from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.media import AudioStream, Probe, VideoStream
from immersivaudio.engine.timecode import Timecode

LONG = Fraction(10_000)
Read = Callable[..., Edit]


def probe(path: Path) -> Probe:
    """Media that have everything: picture and two channels for hours."""
    video = VideoStream(0, "h264", 64, 36, Fraction(25), Fraction(0), LONG)
    return Probe(path, "mov", LONG, 9, (video,), (AudioStream(1, "aac", 48000, 2, Fraction(0), LONG),))


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(name: str, content: str, rate: Fraction | None = None) -> Edit:
        (tmp_path / name).write_bytes(content.encode())
        return conform.read(tmp_path / name, prober=probe, rate=rate)[1]

    return reading


def frames(span: Span, rate: Fraction | int) -> tuple[Fraction, Fraction]:
    return span.start_s * rate, span.duration_s * rate


# timecode ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rate", "count"),
    [
        ("01:00:00:00", Fraction(25), 90000),
        ("00:01:00;02", Fraction(30000, 1001), 1800),
        ("00:10:00;00", Fraction(30000, 1001), 17982),
        ("01:00:00;00", Fraction(60000, 1001), 215784),
        ("01:00:00:00", Fraction(24000, 1001), 86400),
    ],
)
def test_timecode_counts_frames(text: str, rate: Fraction, count: int) -> None:
    assert Timecode.parse(text).count(rate) == count


@pytest.mark.parametrize("text", ["", "1:2", "00:60:00:00", "aa:bb:cc:dd", "01:00:00:00:00"])
def test_what_is_no_timecode_is_refused(text: str) -> None:
    with pytest.raises(TimelineError):
        Timecode.parse(text)


# EDL -----------------------------------------------------------------------------------------------------------------


def test_edl_both_channels_and_windows_line_ends(read: Read) -> None:
    edl = "TITLE: x\r\n\r\n001  TAPE 1   B     C        01:00:00:00 01:00:02:24 10:00:00:00 10:00:02:24\r\n* FROM CLIP NAME: a.mov\r\n"
    edit = read("x.edl", edl)
    assert (edit.rate, edit.name, edit.start_timecode_s) == (25, "x", 36000)
    assert [(clip.kind, clip.channels, frames(clip.record, 25)) for clip in edit.clips] == [
        ("video", (), (0, 74)),
        ("audio", (0,), (0, 74)),
    ]


def test_edl_drop_frame_line_sets_29_97(read: Read) -> None:
    edl = "FCM: DROP FRAME\n001 A V C 00:00:00;00 00:00:10;00 01:00:00;00 01:00:10;00\n"
    edit = read("x.edl", edl)
    assert (edit.rate, edit.drop_frame) == (Fraction(30000, 1001), True)
    assert edit.duration_s == Fraction(300 * 1001, 30000)
    assert edit.start_timecode_s == Fraction(107892 * 1001, 30000)


def test_edl_rate_from_the_caller_or_a_comment_wins(read: Read) -> None:
    event = "001 A V C 00:00:00:00 00:00:10:00 01:00:00:00 01:00:10:00\n"
    assert read("x.edl", event, Fraction(24000, 1001)).rate == Fraction(24000, 1001)
    assert read("x.edl", "* FRAME RATE: 23.976\n" + event).rate == Fraction(24000, 1001)
    guessed = read("x.edl", event)
    assert guessed.rate == 24
    assert any("frame rate" in text for text in guessed.warnings)
    with pytest.raises(TimelineError):
        read("x.edl", event.replace("00:00:10:00", "00:00:10:29"), Fraction(24))


def test_edl_fades_from_and_to_black_lay_no_clip(read: Read) -> None:
    edl = (
        "001 BL V C 00:00:00:00 00:00:00:00 01:00:00:00 01:00:00:00\n"
        "001 AX V D 024 00:00:05:00 00:00:10:00 01:00:00:00 01:00:05:00\n* TO CLIP NAME: a.mov\n"
        "002 AX V C 00:00:10:00 00:00:10:00 01:00:05:00 01:00:05:00\n"
        "002 BL V D 024 00:00:00:00 00:00:02:23 01:00:05:00 01:00:07:23\n"
    )
    edit = read("x.edl", edl, Fraction(24))
    (clip,) = edit.clips
    assert (clip.name, frames(clip.record, 24), frames(clip.source, 24)) == ("a.mov", (0, 144), (120, 144))


def test_edl_reverse_speed_and_midnight(read: Read) -> None:
    edl = (
        "001 AX V C 00:00:10:00 00:00:12:00 23:59:59:00 00:00:01:00\nM2   AX   -25.0   00:00:10:00\n"
        "002 AX V C 00:00:20:00 00:00:24:00 00:00:01:00 00:00:03:00\nM2   AX   050.0   00:00:20:00\n"
    )
    first, second = read("x.edl", edl, Fraction(25)).clips
    assert (first.speed, frames(first.record, 25), frames(first.source, 25)) == (-1, (0, 50), (250, 50))
    assert (second.speed, frames(second.record, 25), frames(second.source, 25)) == (2, (50, 50), (500, 100))


def test_edl_patch_and_none_with_aud(read: Read) -> None:
    edl = (
        "001 AX A2 C 00:00:00:00 00:00:02:00 00:00:00:00 00:00:02:00\n* PATCH AX: FROM SOURCE 1 TO RECORD 2\n* FROM CLIP NAME: a.mov\n"
        "002 AX NONE C 00:00:02:00 00:00:04:00 00:00:02:00 00:00:04:00\nAUD  3    4\n* FROM CLIP NAME: a.mov\n"
    )
    edit = read("x.edl", edl, Fraction(25))
    assert [(clip.track, clip.channels) for clip in edit.clips] == [(0, (0,)), (1, (2,)), (2, (3,))]
    assert [clip.enabled for clip in edit.clips] == [True, False, False]


# Final Cut Pro X -----------------------------------------------------------------------------------------------------

HEAD = """<?xml version="1.0"?><!DOCTYPE fcpxml><fcpxml version="1.10"><resources>
<format id="r1" frameDuration="1/25s"/><format id="r3" frameDuration="1001/24000s"/>
<asset id="a" start="3600s" duration="100s" hasVideo="1" hasAudio="1" audioChannels="2" format="r1" src="file:///m/a.mov"/>
<asset id="s" start="0s" duration="100s" hasAudio="1" audioChannels="2"><media-rep kind="proxy-media" src="file:///m/p.wav"/>
<media-rep kind="original-media" src="file:///m/s.wav"/></asset>
<media id="m"><sequence format="r1" tcStart="10s"><spine><asset-clip ref="a" offset="10s" start="3600s" duration="8s"/></spine></sequence></media>
<media id="mc"><multicam format="r1" tcStart="5s"><mc-angle angleID="A"><asset-clip ref="a" offset="5s" start="3600s" duration="20s"/></mc-angle>
<mc-angle angleID="B"><gap offset="5s" duration="2s"/><asset-clip ref="s" offset="7s" start="0s" duration="20s"/></mc-angle></multicam></media>
</resources><library><event><project name="p"><sequence format="r1" tcStart="3600s" tcFormat="NDF"><spine>"""
TAIL = "</spine></sequence></project></event></library></fcpxml>"


def facts(edit: Edit, kind: str) -> list[tuple[str, tuple[Fraction, Fraction], Fraction, Fraction]]:
    chosen = sorted(
        (clip for clip in edit.clips if clip.kind == kind), key=lambda clip: (clip.record.start_s, clip.track)
    )
    return [
        (Path(clip.media or "").name, (clip.record.start_s, clip.record.duration_s), clip.source.start_s, clip.speed)
        for clip in chosen
    ]


def test_fcpx_connected_clips_hang_on_their_parents_clock(read: Read) -> None:
    spine = """<gap offset="3600s" start="3600s" duration="4s"><asset-clip ref="s" lane="-1" offset="3601s" start="7s" duration="2s"/></gap>
    <asset-clip ref="a" offset="3604s" start="3650s" duration="4s"><video ref="a" lane="1" offset="3651s" start="3620s" duration="1s"/></asset-clip>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (4, 4), 50, 1), ("a.mov", (5, 1), 20, 1)]
    assert facts(edit, "audio") == [("s.wav", (1, 2), 7, 1), ("a.mov", (4, 4), 50, 1)]
    assert [clip.source.start_s for clip in edit.picture] == [50, 20, 52]


def test_fcpx_compound_clips_are_trimmed_and_retimed(read: Read) -> None:
    spine = """<ref-clip ref="m" offset="3600s" start="12s" duration="3s"/>
    <ref-clip ref="m" offset="3603s" start="20s" duration="4s"><timeMap><timept time="0s" value="0s"/><timept time="40s" value="20s"/></timeMap></ref-clip>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (0, 3), 2, 1), ("a.mov", (3, 4), 0, Fraction(1, 2))]
    assert edit.duration_s == 7


def test_fcpx_multicam_takes_the_chosen_angles(read: Read) -> None:
    spine = """<mc-clip ref="mc" offset="3600s" start="8s" duration="4s"><mc-source angleID="A" srcEnable="video"/>
    <mc-source angleID="B" srcEnable="audio"/></mc-clip>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (0, 4), 3, 1)]
    assert facts(edit, "audio") == [("s.wav", (0, 4), 1, 1)]


def test_fcpx_synchronised_clip_mutes_the_camera(read: Read) -> None:
    spine = """<sync-clip offset="3600s" start="1s" duration="4s"><spine><asset-clip ref="a" offset="0s" start="3600s" duration="9s">
    <asset-clip ref="s" lane="-1" offset="3600s" start="30s" duration="9s"/></asset-clip></spine>
    <sync-source sourceID="storyline"><audio-role-source role="dialogue" active="0"/></sync-source></sync-clip>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (0, 4), 1, 1)]
    assert ("s.wav", (0, 4), 31, 1) in facts(edit, "audio")


def test_fcpx_auditions_play_their_first_pick(read: Read) -> None:
    spine = """<audition offset="3600s"><asset-clip ref="a" offset="3600s" start="3610s" duration="2s"/><asset-clip ref="a" start="3690s" duration="9s"/></audition>
    <asset-clip ref="a" offset="3602s" start="3600s" duration="1s" enabled="0"/>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (0, 2), 10, 1), ("a.mov", (2, 1), 0, 1)]
    assert [clip.enabled for clip in edit.clips if clip.kind == "video"] == [True, False]


def test_fcpx_speed_ramps_holds_and_reverse_become_pieces(read: Read) -> None:
    spine = """<asset-clip ref="a" offset="3600s" start="0s" duration="9s"><timeMap><timept time="0s" value="3610s"/><timept time="2s" value="3614s"/>
    <timept time="5s" value="3614s"/><timept time="9s" value="3610s"/></timeMap></asset-clip>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (0, 2), 10, 2), ("a.mov", (2, 3), 14, 0), ("a.mov", (5, 4), 10, -1)]
    assert any("speed ramp" in text for text in edit.warnings)


def test_fcpx_split_edits_channels_and_volume(read: Read) -> None:
    spine = """<asset-clip ref="a" offset="3600s" start="3610s" duration="4s" audioStart="3612s" audioDuration="5s">
    <audio-channel-source srcCh="2"/><adjust-volume amount="-9dB"/></asset-clip>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    (sound,) = [clip for clip in edit.clips if clip.kind == "audio"]
    assert (sound.record, sound.source.start_s) == (Span(Fraction(2), Fraction(5)), 12)
    assert (sound.channels, sound.gain_db) == ((1,), -9.0)


def test_fcpx_transitions_reach_over_their_cut(read: Read) -> None:
    spine = """<asset-clip ref="a" offset="3600s" start="3610s" duration="4s"/><transition offset="3603s" duration="2s"/>
    <asset-clip ref="a" offset="3604s" start="3650s" duration="4s"/>"""
    edit = read("x.fcpxml", HEAD + spine + TAIL)
    assert facts(edit, "video") == [("a.mov", (0, 5), 10, 1), ("a.mov", (3, 5), 49, 1)]
    assert [clip.record for clip in edit.picture] == [Span(Fraction(0), Fraction(4)), Span(Fraction(4), Fraction(4))]


def test_fcpx_bundle_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x.fcpxmld"
    folder.mkdir()
    (folder / "Info.fcpxml").write_text(HEAD + '<asset-clip ref="a" offset="3600s" duration="4s"/>' + TAIL)
    _timeline, edit = conform.read(folder, prober=probe)
    assert (edit.duration_s, edit.start_timecode_s, edit.clips[0].source.start_s) == (4, 3600, 0)


# Final Cut Pro 7 -----------------------------------------------------------------------------------------------------


def xmeml(video: str, audio: str = "", ntsc: str = "FALSE", base: int = 25) -> str:
    rate = f"<rate><timebase>{base}</timebase><ntsc>{ntsc}</ntsc></rate>"
    file = f'<file id="f"><name>a.mov</name><pathurl>file://localhost/m/a.mov</pathurl>{rate}<duration>9000</duration>'
    file += f"<timecode>{rate}<frame>{base * 3600}</frame></timecode></file>"
    video = video.replace("<file/>", file, 1).replace("<file/>", '<file id="f"/>')
    audio = audio.replace("<file/>", '<file id="f"/>')
    code = f"<timecode>{rate}<string>01:00:00:00</string><frame>{base * 3600}</frame><displayformat>NDF</displayformat></timecode>"
    media = f"<media><video>{video}</video><audio>{audio}</audio></media>"
    return f'<?xml version="1.0"?><!DOCTYPE xmeml><xmeml version="5"><sequence id="s"><name>s</name>{rate}{code}{media}</sequence></xmeml>'


def item(start: int, end: int, first: int, last: int, more: str = "") -> str:
    return (
        f"<clipitem><name>c</name><start>{start}</start><end>{end}</end><in>{first}</in><out>{last}</out>"
        f"<duration>9000</duration><file/>{more}</clipitem>"
    )


def warp(speed: str, reverse: str = "FALSE") -> str:
    values = {"speed": speed, "reverse": reverse, "variablespeed": "0"}
    parts = "".join(
        f"<parameter><parameterid>{key}</parameterid><value>{value}</value></parameter>"
        for key, value in values.items()
    )
    return f"<filter><effect><effectid>timeremap</effectid>{parts}</effect></filter>"


def test_fcp7_edges_under_transitions(read: Read) -> None:
    cut = "<transitionitem><start>40</start><end>60</end><alignment>center</alignment></transitionitem>"
    edit = read("x.xml", xmeml(f"<track>{item(0, -1, 100, 160)}{cut}{item(-1, 100, 500, 560)}</track>"))
    assert [(frames(clip.record, 25), frames(clip.source, 25)) for clip in edit.clips] == [
        ((0, 60), (100, 60)),
        ((40, 60), (500, 60)),
    ]
    assert [frames(clip.record, 25) for clip in edit.picture] == [(0, 50), (50, 50)]
    assert edit.start_timecode_s == 3600


def test_fcp7_cut_points_written_plainly_reach_under_the_transition(read: Read) -> None:
    cut = "<transitionitem><start>40</start><end>60</end></transitionitem>"
    edit = read("x.xml", xmeml(f"<track>{item(0, 50, 100, 150)}{cut}{item(50, 100, 510, 560)}</track>"))
    assert [(frames(clip.record, 25), frames(clip.source, 25)) for clip in edit.clips] == [
        ((0, 60), (100, 60)),
        ((40, 60), (500, 60)),
    ]


def test_fcp7_ntsc_and_speed(read: Read) -> None:
    clips = (
        item(0, 30, 100, 130, warp("200")) + item(30, 60, 0, 30, warp("50", "TRUE")) + item(60, 90, 10, 40, warp("0"))
    )
    rate = Fraction(30000, 1001)
    edit = read("x.xml", xmeml(f"<track>{clips}</track>", ntsc="TRUE", base=30))
    assert edit.rate == rate
    assert [(clip.speed, frames(clip.source, rate)) for clip in edit.clips] == [
        (2, (200, 60)),
        (Fraction(-1, 2), ((9000 - 30) / 2, 15)),
        (0, (10, 0)),
    ]


def test_fcp7_nested_sequence_and_disabled_track(read: Read) -> None:
    rate = "<rate><timebase>25</timebase></rate>"
    nested = f'<sequence id="n"><name>n</name>{rate}<media><video><track>{item(0, 100, 7, 107)}</track></video></media></sequence>'
    outer = f"<clipitem><name>n</name><start>10</start><end>30</end><in>20</in><out>40</out>{nested}</clipitem>"
    edit = read("x.xml", xmeml(f"<track>{outer}</track><track><enabled>FALSE</enabled>{item(0, 5, 0, 5)}</track>"))
    assert [(frames(clip.record, 25), frames(clip.source, 25), clip.enabled) for clip in edit.clips] == [
        ((10, 20), (27, 20), True),
        ((0, 5), (0, 5), False),
    ]


def test_fcp7_channels_and_levels(read: Read) -> None:
    level = "<filter><effect><effectid>audiolevels</effectid><parameter><parameterid>level</parameterid><value>0.5</value></parameter></effect></filter>"
    lanes = "".join(
        f"<track>{item(0, 25, 0, 25, f'<sourcetrack><trackindex>{n}</trackindex></sourcetrack>' + level)}</track>"
        for n in (1, 2)
    )
    edit = read("x.xml", xmeml(f"<track>{item(0, 25, 0, 25)}</track>", lanes))
    assert [(clip.channels, round(clip.gain_db, 2)) for clip in edit.sound_clips()] == [((0,), -6.02), ((1,), -6.02)]


# MLT, Kdenlive, Shotcut ----------------------------------------------------------------------------------------------

PROFILE = '<mlt root="/m"><profile frame_rate_num="30000" frame_rate_den="1001"/>'


def producer(name: str, more: str = "", length: int = 1000, resource: str = "a.mov") -> str:
    return (
        f'<producer id="{name}" in="0" out="{length - 1}"><property name="length">{length}</property>'
        f'<property name="resource">{resource}</property>{more}</producer>'
    )


def test_mlt_in_and_out_count_the_last_frame(read: Read) -> None:
    edit = read(
        "x.mlt",
        PROFILE + producer("p") + '<playlist id="l"><blank length="10"/><entry producer="p" in="5" out="14"/>'
        '<entry producer="p" in="00:00:01.001" out="00:00:02.002"/></playlist>'
        '<tractor id="t"><track producer="l"/></tractor></mlt>',
    )
    rate = Fraction(30000, 1001)
    video = [clip for clip in edit.clips if clip.kind == "video"]
    assert [(frames(clip.record, rate), frames(clip.source, rate)) for clip in video] == [
        ((10, 10), (5, 10)),
        ((20, 31), (30, 31)),
    ]
    assert len(edit.sound_clips()) == 2


def test_mlt_warped_and_reversed_producers(read: Read) -> None:
    fast = producer("f", '<property name="mlt_service">timewarp</property>', 500, "2.0:a.mov")
    back = producer("b", '<property name="mlt_service">timewarp</property><property name="warp_speed">-1</property>'
                    '<property name="warp_resource">a.mov</property>')  # fmt: skip
    edit = read(
        "x.mlt",
        PROFILE
        + fast
        + back
        + '<playlist id="l"><entry producer="f" in="10" out="19"/><entry producer="b" in="0" out="9"/>'
        '</playlist><tractor id="t"><track hide="audio" producer="l"/></tractor></mlt>',
    )
    rate = Fraction(30000, 1001)
    assert [(clip.speed, frames(clip.source, rate)) for clip in edit.clips] == [(2, (20, 20)), (-1, (990, 10))]


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("timewarp", '<property name="warp_speed">0,5</property><property name="resource">0,5:/f/a.mov</property>'),
        ("timewarp", '<property name="resource">0,5:/f/a.mov</property>'),
        ("framebuffer", '<property name="resource">/f/a.mov?0,5</property>'),
    ],
)
def test_mlt_speeds_with_decimal_commas(read: Read, service: str, told: str) -> None:
    producer = f'<producer id="p"><property name="mlt_service">{service}</property>{told}</producer>'
    playlist = '<playlist id="l"><entry producer="p" in="10" out="59"/></playlist>'
    edit = read("x.mlt", f'<mlt LC_NUMERIC="de_DE.UTF-8">{producer}{playlist}</mlt>')
    assert {(clip.url, clip.speed, clip.source.duration_s) for clip in edit.clips} == {
        ("/f/a.mov", Fraction(1, 2), Fraction(1))
    }


def test_mlt_an_unreadable_speed_is_said(read: Read) -> None:
    producer = '<producer id="p"><property name="mlt_service">timewarp</property><property name="resource">/f/a.mov'
    edit = read(
        "x.mlt",
        f'<mlt>{producer}</property><property name="warp_speed">fast</property></producer>'
        '<playlist id="l"><entry producer="p" in="0" out="9"/></playlist></mlt>',
    )
    assert any("“fast” is no number" in warning for warning in edit.warnings)


def test_mlt_shotcut_mix_is_a_dissolve(read: Read) -> None:
    mix = (
        '<tractor id="x" in="0" out="9"><property name="shotcut:transition">lumaMix</property>'
        '<track producer="a" in="100" out="109"/><track producer="b" in="40" out="49"/></tractor>'
    )
    # Shotcut writes the overlap as cuts of the two producers inside the transition's tractor.
    mix = mix.replace('<track producer="a" in="100" out="109"/>', '<track producer="ma"/>')
    mix = mix.replace('<track producer="b" in="40" out="49"/>', '<track producer="mb"/>')
    parts = '<playlist id="ma"><entry producer="a" in="100" out="109"/></playlist><playlist id="mb"><entry producer="b" in="40" out="49"/></playlist>'
    lane = '<playlist id="l"><entry producer="a" in="0" out="99"/><entry producer="x" in="0" out="9"/><entry producer="b" in="50" out="99"/></playlist>'
    edit = read(
        "x.mlt",
        PROFILE
        + producer("a")
        + producer("b", resource="b.mov")
        + parts
        + mix
        + lane
        + '<tractor id="t"><track hide="audio" producer="l"/></tractor></mlt>',
    )
    rate = Fraction(30000, 1001)
    assert [(Path(clip.media or "").name, frames(clip.record, rate)) for clip in edit.picture] == [
        ("a.mov", (0, 100)), ("a.mov", (100, 5)), ("b.mov", (105, 5)), ("b.mov", (110, 50)),
    ]  # fmt: skip
    assert edit.duration_s == 160 / rate


def test_kdenlive_tracks_mutes_and_halves(read: Read) -> None:
    lane = '<property name="kdenlive:timeline_active">1</property>'
    sound = '<property name="kdenlive:audio_track">1</property>'
    doc = (
        PROFILE + '<playlist id="main_bin"><entry producer="p"/></playlist>' + producer("black_track", resource="black") + producer("p")
        + '<playlist id="l0"><entry producer="p" in="0" out="9"/></playlist><playlist id="l1"/>'
        + f'<tractor id="t0">{sound}{lane}<track hide="both" producer="l0"/><track hide="both" producer="l1"/></tractor>'
        + f'<tractor id="t1">{lane}<track hide="audio" producer="l0"/><track hide="audio" producer="l1"/></tractor>'
        + '<tractor id="main"><track producer="black_track"/><track producer="t0"/><track producer="t1"/></tractor></mlt>'
    )  # fmt: skip
    edit = read("x.kdenlive", doc)
    assert [(clip.kind, clip.enabled) for clip in edit.clips] == [("video", True), ("audio", False)]


def test_mlt_without_profile_takes_25_or_the_callers_rate(read: Read) -> None:
    doc = "<mlt>" + producer("p") + '<playlist id="l"><entry producer="p" in="0" out="49"/></playlist></mlt>'
    guessed = read("x.mlt", doc)
    assert guessed.duration_s == 2
    assert any("25" in text for text in guessed.warnings)
    assert read("x.mlt", doc, Fraction(50)).duration_s == 1


# Pitivi --------------------------------------------------------------------------------------------------------------


def test_pitivi_mutes_speeds_and_stacks(read: Read) -> None:
    clip = "<clip id='{id}' asset-id='file:///m/a.mov' type-name='GESUriClip' track-types='{kind}' start='{at}' duration='2000000000' inpoint='1000000000' properties='properties, {more};'>{inside}</clip>"
    upper = clip.format(
        id=0,
        kind=4,
        at=1_000_000_000,
        more="name=(string)up",
        inside="<effect asset-id='videorate' children-properties='properties, GstVideoRate::rate=(double)2;'/>",
    )
    lower = clip.format(id=1, kind=6, at=0, more="name=(string)low, mute=(boolean)true", inside="")
    doc = f"<ges version='0.7'><project><timeline metadatas='metadatas, framerate=(fraction)30000/1001;'><layer priority='0'>{upper}</layer><layer priority='1'>{lower}</layer></timeline></project></ges>"
    edit = read("x.xges", doc)
    assert edit.rate == Fraction(30000, 1001)
    assert [(clip.name, clip.kind, clip.enabled, clip.speed) for clip in edit.clips] == [
        ("low", "video", True, 1), ("up", "video", True, 2), ("low", "audio", False, 1),
    ]  # fmt: skip
    assert [clip.name for clip in edit.picture] == ["low", "up"]


# what must not hurt --------------------------------------------------------------------------------------------------


ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize("name", ["x.fcpxml", "x.xml", "x.mlt", "x.kdenlive", "x.xges"])
@pytest.mark.parametrize("content", [ENTITIES, EXTERNAL, "<a><b>", "<html/>", "<a>" * 300 + "</a>" * 300])
def test_hostile_and_broken_xml_is_refused(read: Read, name: str, content: str) -> None:
    with pytest.raises(TimelineError):
        read(name, content)


def test_compound_clips_that_hold_each_other_are_refused(read: Read) -> None:
    head = HEAD.replace(
        '<asset-clip ref="a" offset="10s" start="3600s" duration="8s"/>',
        '<ref-clip ref="m" offset="10s" duration="8s"/>',
    )
    with pytest.raises(TimelineError):
        read("x.fcpxml", head + '<ref-clip ref="m" offset="3600s" duration="4s"/>' + TAIL)


def test_compound_clips_that_swell_are_refused(read: Read) -> None:
    levels = "".join(
        f'<media id="n{n}"><sequence format="r1"><spine>'
        + f'<ref-clip ref="n{n + 1}" duration="1s"/>' * 12
        + "</spine></sequence></media>"
        for n in range(12)
    )
    last = '<media id="n12"><sequence format="r1"><spine><asset-clip ref="a" duration="1s"/></spine></sequence></media>'
    head = HEAD.replace("</resources>", levels + last + "</resources>")
    with pytest.raises(TimelineError, match="50000"):
        read("x.fcpxml", head + '<ref-clip ref="n0" offset="3600s" duration="4s"/>' + TAIL)


@pytest.mark.parametrize(
    "doc",
    [
        '<mlt><profile frame_rate_num="25"/><tractor id="a"><track producer="b"/></tractor><tractor id="b"><track producer="a"/></tractor></mlt>',
        '<mlt><profile frame_rate_num="25"/><playlist id="a"><entry producer="a"/></playlist></mlt>',
        '<mlt><profile frame_rate_num="0"/><playlist id="a"/></mlt>',
    ],
)
def test_mlt_cycles_and_zero_rates_are_refused(read: Read, doc: str) -> None:
    with pytest.raises(TimelineError):
        read("x.mlt", doc)
