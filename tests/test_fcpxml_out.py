# SPDX-License-Identifier: AGPL-3.0-or-later
"""What Final Cut Pro is given: the published structure, times on the frame grid, and our clips in the user's own project."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import opentimelineio as otio
import pytest
from test_exporters import HIT_FRAMES, HIT_S, NAMES, is_ours, laid_on, meaning
from test_own_documents import holds_in_order
from timelines import nothing_here

from immersivaudio.engine import conform, dialects_out
from immersivaudio.engine.cue import Clip, Edit
from immersivaudio.engine.errors import RequestError
from immersivaudio.engine.exporters import fcpxml
from immersivaudio.engine.importers.exact import range_of, time_at
from immersivaudio.engine.importers.warnings import Grumbles

ANCHORS = "(asset-clip |spine |title )*"
CLIPS = "(asset-clip |title |gap |transition )*"
LATER = "(marker |keyword |chapter-marker )*(audio-channel-source )*(filter-video )*(filter-audio )*(metadata )?"
ORDER = {
    "fcpxml": "resources library ",
    "resources": "(asset |effect |format )*",
    "library": "event ",
    "event": "project ",
    "project": "sequence ",
    "sequence": "spine ",
    "spine": CLIPS,
    "gap": ANCHORS,
    "asset-clip": f"(note )?(timeMap )?(adjust-volume )?{ANCHORS}{LATER}",
    "title": f"(text )*(text-style-def )*{ANCHORS}",
    "transition": "(filter-video )?(filter-audio )?",
    "asset": "media-rep ",
    "adjust-volume": "(param )*",
    "param": "(fadeIn )?(fadeOut )?(keyframeAnimation )?",
    "keyframeAnimation": "(keyframe )*",
    "timeMap": "timept timept ",
    "text": "text-style ",
    "text-style-def": "text-style ",
}
"""Which children in which order, out of what the published document type allows: what is written here."""
NEEDED = {
    "asset": {"id", "start", "duration"},
    "format": {"id", "frameDuration"},
    "effect": {"id", "uid"},
    "media-rep": {"src"},
    "sequence": {"format", "duration", "tcStart", "tcFormat"},
    "asset-clip": {"ref", "offset", "start", "duration"},
    "title": {"ref", "offset", "duration"},
    "gap": {"offset", "duration"},
    "transition": {"offset", "duration"},
    "keyframe": {"time", "value"},
    "timept": {"time", "value"},
    "audio-channel-source": {"srcCh"},
}
TIMES = ("offset", "start", "duration", "time", "tcStart", "frameDuration")
RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001)]


def seconds(told: str) -> Fraction:
    match = re.fullmatch(r"(-?\d+)(?:/(\d+))?s", told)
    assert match, told
    value = Fraction(int(match[1]), int(match[2] or 1))
    assert value.denominator < 2**31 and abs(value.numerator) < 2**63
    return value


def check_structure(root: Element, rate: Fraction) -> None:
    """What Final Cut refuses a document for, and what it complains of: order, missing attributes, dangling references,
    times that are none, cuts between frames."""
    for element in root.iter():
        children = "".join(f"{child.tag} " for child in element)
        assert re.fullmatch(ORDER.get(element.tag, ""), children), (element.tag, children)
        assert NEEDED.get(element.tag, set()) <= set(element.attrib), element.tag
        for name in set(TIMES) & set(element.attrib):
            seconds(element.attrib[name])
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    refs = {element.get(name) for element in root.iter() for name in ("ref", "format") if element.get(name)}
    assert refs <= set(ids)
    for spine in root.iter("spine"):
        for item in spine:
            assert (seconds(item.attrib["duration"]) * rate).denominator == 1
            assert seconds(item.attrib["duration"]) > 0
            assert (seconds(item.attrib["offset"]) * rate).denominator == 1
        at = [item for item in spine if item.tag != "transition"]
        for one, two in itertools.pairwise(at):
            assert seconds(one.attrib["offset"]) + seconds(one.attrib["duration"]) == seconds(two.attrib["offset"])


def written(timeline: otio.schema.Timeline, edit: Edit, own: Path | None = None) -> tuple[str, Grumbles]:
    grumbles = Grumbles()
    text = dialects_out.document(laid_on(timeline, edit), edit, timeline, "finalcut", grumbles, own)
    assert text is not None
    return text, grumbles


def clip(name: str, url: str, start_s: Fraction, frames: int, rate: Fraction, speed: float = 1.0) -> otio.schema.Clip:
    media = otio.schema.ExternalReference(url, range_of(Fraction(0), Fraction(100), rate))
    made = otio.schema.Clip(name, media, range_of(start_s, frames / rate, rate))
    if speed != 1:
        made.effects.append(otio.schema.LinearTimeWarp(time_scalar=speed) if speed else otio.schema.FreezeFrame())
    return made


def odd_cut(rate: Fraction) -> tuple[otio.schema.Timeline, Edit]:
    """Retimes, a freeze, a nest, a dissolve, names that XML and URLs must quote, and an hour of start timecode."""
    dissolve = otio.schema.Transition("", "SMPTE_Dissolve", time_at(5 / rate, rate), time_at(4 / rate, rate))
    inner = otio.schema.Stack("nest & co", children=[otio.schema.Track("V", kind="Video")])
    inner[0].extend([clip("in", "/f/ünner.mov", 7 / rate, 20, rate), clip("ner", "/f/b.mov", 9 / rate, 30, rate)])
    inner.source_range = range_of(5 / rate, 40 / rate, rate)
    picture = otio.schema.Track(
        "V1", kind="Video", children=[clip('a <"&> b', "/f/日本 & #1.mov", 12 / rate, 50, rate)]
    )
    picture.append(dissolve)
    picture.extend(
        [
            clip(f"x{speed}", f"/f/{index}.mov", 30 / rate, 25, rate, speed)
            for index, speed in enumerate((2.5, -1.0, 0.0))
        ]
    )
    picture.append(inner)
    sound = otio.schema.Track("A1", kind="Audio", children=[clip("talk", "/f/talk.wav", Fraction(1, 3), 60, rate)])
    timeline = otio.schema.Timeline("cut", tracks=[picture, sound])
    timeline.global_start_time = time_at(round(3600 * rate) / rate, rate)
    return conform.from_json(timeline.to_json_string(), prober=nothing_here)


@pytest.mark.parametrize("name", NAMES)
def test_every_timeline_has_the_published_structure(name: str, shared: Path) -> None:
    timeline, edit = conform.read(shared / "media/timelines" / name, prober=nothing_here)
    text, _ = written(timeline, edit)
    check_structure(ElementTree.fromstring(text), edit.rate)


@pytest.mark.parametrize("rate", RATES)
def test_an_odd_cut_comes_back_exactly(rate: Fraction, tmp_path: Path) -> None:
    timeline, edit = odd_cut(rate)
    text, _ = written(timeline, edit)
    check_structure(ElementTree.fromstring(text), rate)
    path = tmp_path / "cut.fcpxml"
    path.write_text(text, "utf-8")
    again = conform.read(path, prober=nothing_here)[1]
    assert (again.rate, again.start_timecode_s) == (rate, edit.start_timecode_s)
    theirs = [one for one in again.clips if not is_ours(one)]

    def played(clips: list[Clip] | tuple[Clip, ...]) -> list[tuple[object, ...]]:
        return sorted((*meaning(one, rate), float(one.source.start_s)) for one in clips)

    for one, two in zip(played(edit.clips), played(theirs), strict=True):
        assert one[:-1] == two[:-1]
        assert one[-1] == pytest.approx(two[-1], abs=2e-6)


@pytest.mark.parametrize("rate", RATES)
def test_our_clips_play_their_stems_where_the_record_is(rate: Fraction, tmp_path: Path) -> None:
    """To the sample: the stem's own time is the record's, so source and record begin together."""
    timeline, edit = odd_cut(rate)
    path = tmp_path / "cut.fcpxml"
    path.write_text(written(timeline, edit)[0], "utf-8")
    ours = [one for one in conform.read(path, prober=nothing_here)[1].clips if is_ours(one)]
    assert len(ours) == 2
    assert all(one.source.start_s == one.record.start_s and one.speed == 1 for one in ours)
    hit = next(one for one in ours if "foley" in one.url)
    assert hit.record.start_s <= HIT_S < hit.record.start_s + 1 / rate
    assert hit.record.end_s >= HIT_S + HIT_FRAMES / rate


def test_levels_and_ducking_are_final_cuts_own() -> None:
    rate = Fraction(25)
    root = ElementTree.fromstring(written(*odd_cut(rate))[0])
    bed = next(one for one in root.iter("asset-clip") if one.get("audioRole", "").endswith("Ambience"))
    volume = bed.find("adjust-volume")
    assert volume is not None and volume.get("amount") == "3dB"
    start = seconds(bed.attrib["start"])
    assert start == 3600, "the timecode that the stem's Broadcast WAV tells"
    curve = [(seconds(key.attrib["time"]) - start, float(key.attrib["value"][:-2])) for key in volume.iter("keyframe")]
    assert curve[0] == (0, 3.0)
    assert (Fraction(1), 3.0) in curve and (Fraction(2), -6.0) in curve
    assert all(b > a for (a, _), (b, _) in itertools.pairwise(curve))


@pytest.mark.parametrize("drop", [True, False])
def test_drop_frame_is_told(drop: bool) -> None:
    timeline, edit = odd_cut(Fraction(30000, 1001))
    root = ElementTree.fromstring(written(timeline, replace(edit, drop_frame=drop))[0])
    assert next(root.iter("sequence")).get("tcFormat") == ("DF" if drop else "NDF")
    assert next(root.iter("format")).get("frameDuration") == "1001/30000s"


def test_what_final_cut_cannot_hold_is_said_or_refused() -> None:
    with pytest.raises(RequestError, match=r"Final Cut Pro has no 12\.5 frames"):
        fcpxml.check(Fraction(25, 2))
    rate = Fraction(25)
    loud = clip("loud", "/f/loud.wav", Fraction(0), 50, rate)
    loud.metadata["immersivaudio"] = {"gain_db": 20.0}
    given = otio.schema.Timeline("x", tracks=[otio.schema.Track("A1", kind="Audio", children=[loud])])
    text, grumbles = written(*conform.from_json(given.to_json_string(), prober=nothing_here))
    assert 'amount="12dB"' in text
    assert "Levels over 12 dB are held there: “loud”." in grumbles.sentences()


PROJECT = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="{version}"><resources>
<format id="r1" frameDuration="1001/24000s" width="1920" height="1080"/>
<asset id="r2" name="é" start="3600s" duration="100s" hasVideo="1" hasAudio="1" format="r1" src="file:///f/%C3%A9.mov"/>
<asset id="r3" name="slow" duration="100s" hasVideo="1" format="r9" src="slow.mov"/>
<format id="r9" frameDuration="1/25s"/>
<effect id="r4" name="Nobody &amp; Knows" uid="n"/></resources>
<library><event name="e"><project name="p"><sequence format="r1" duration="12012/1000s" tcStart="86486400/24000s"><spine>
<asset-clip ref="r2" offset="86486400/24000s" name="a" start="3600s" duration="6006/24000s"><note>mine</note>
<marker start="3600s" value="here"/><audio-channel-source srcCh="1, 2" role="dialogue.dialogue-1"/></asset-clip>
<asset-clip ref="r3" offset="86492406/24000s" start="2s" duration="120120/24000s"><conform-rate srcFrameRate="25"/>
<asset-clip ref="r2" lane="-4" offset="3s" start="3700s" duration="1s" audioRole="music.music-1"/></asset-clip>
<audition offset="86612526/24000s"><title ref="r4" duration="24024/24000s"/><title ref="r4" duration="24024/24000s"/></audition>
<gap offset="86636550/24000s" duration="138138/24000s"/>
</spine></sequence></project></event></library></fcpxml>
"""
OWN = [name for name in NAMES if name.endswith(".fcpxml")]


@pytest.fixture(params=[*OWN, "1.8", "1.11"])
def project(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cut.fcpxml"
    if request.param in OWN:
        path.write_bytes((shared / "media/timelines" / request.param).read_bytes())
    else:
        path.write_text(PROJECT.format(version=request.param), "utf-8")
    return path


def opened(document: bytes) -> bytes:
    """A clip that something is connected to is no empty tag any more."""
    return document.replace(b"/>", b">")


def rescored(path: Path) -> tuple[Edit, str, Grumbles]:
    timeline, edit = conform.read(path, prober=nothing_here, scored=False)
    return edit, *written(timeline, edit, path)


def test_the_users_project_comes_back_whole_with_ours_beside(project: Path) -> None:
    given = project.read_bytes()
    edit, text, grumbles = rescored(project)
    assert not [said for said in grumbles.sentences() if "written anew" in said]
    assert holds_in_order(*(opened(data) for data in (text.encode(), given)))
    project.write_text(text, "utf-8")
    again = conform.read(project, prober=nothing_here)[1]
    assert (again.rate, again.duration_s, again.start_timecode_s) == (edit.rate, edit.duration_s, edit.start_timecode_s)
    plain = Counter((one.kind, one.name, one.record, one.source, one.speed, one.enabled) for one in edit.clips)
    theirs = [one for one in again.clips if not is_ours(one)]
    assert Counter((one.kind, one.name, one.record, one.source, one.speed, one.enabled) for one in theirs) == plain
    ours = {one.url.split(".")[1]: one for one in again.clips if is_ours(one) and one.kind == "audio"}
    assert ours["ambience"].record.start_s == 0
    assert ours["foley"].record.start_s == ours["foley"].source.start_s == (HIT_S * edit.rate // 1) / edit.rate


def test_a_second_score_replaces_the_first(project: Path) -> None:
    first = rescored(project)[1]
    project.write_text(first, "utf-8")
    edit, second, _ = rescored(project)
    assert not [one for one in edit.clips if is_ours(one) and one.kind == "audio"]
    assert second == first.replace("immersivaudio_", next(iter(re.findall(r"immersivaudio\d*_", second))))


def test_a_clip_whose_role_the_user_changed_is_theirs(tmp_path: Path) -> None:
    path = tmp_path / "cut.fcpxml"
    path.write_text(PROJECT.format(version="1.11"), "utf-8")
    path.write_text(rescored(path)[1].replace("effects.Immersivaudio Foley", "effects.keep"), "utf-8")
    edit, text, _ = rescored(path)
    assert [one.url for one in edit.clips if is_ours(one)] == ["cut.foley.wav"]
    assert text.count("effects.keep") == 1


def test_files_are_found_wherever_they_land_and_theirs_stay(tmp_path: Path) -> None:
    path = tmp_path / "cut.fcpxml"
    path.write_text(PROJECT.format(version="1.8").replace("slow.mov", "cut.foley.wav"), "utf-8")
    text = rescored(path)[1]
    pointed = dialects_out.pointed(text, {"cut.foley.wav": "/é/a & b/cut.foley.wav"})
    assert 'src="file:///%C3%A9/a%20%26%20b/cut.foley.wav"' in pointed
    assert pointed.count('src="cut.foley.wav"') == 1
    named = text.replace('"cut.foley.wav"', '"&#233;.foley.wav"')
    assert 'src="file:///f/%C3%A9.foley.wav"' in dialects_out.pointed(named, {"é.foley.wav": "/f/é.foley.wav"})


def test_the_sequence_inside_a_bundle_is_the_users_own(tmp_path: Path) -> None:
    bundle = tmp_path / "cut.fcpxmld"
    bundle.mkdir()
    (bundle / "Info.fcpxml").write_text(PROJECT.format(version="1.11"), "utf-8")
    given = (bundle / "Info.fcpxml").read_bytes()
    assert holds_in_order(opened(rescored(bundle)[1].encode()), opened(given))
