# SPDX-License-Identifier: AGPL-3.0-or-later
"""MLT's own player renders our Kdenlive documents: every sound where it must lie, every level as the mix had it."""

from __future__ import annotations

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import opentimelineio as otio
import pytest
from mixing_stage import Stage, bed, hit, level_db, noise, read, stem_of
from scipy.signal import correlate
from test_own_documents import SYNTHETIC, resaved

from immersivaudio.engine import conform, delivery
from immersivaudio.engine.cue import Edit, Stem, samples_at
from immersivaudio.engine.importers.exact import range_of
from immersivaudio.engine.mixing import MixResult
from immersivaudio.engine.request import DeliveryWish

MELT = shutil.which("melt")
# MLT 7.12 starts a WAV of the user's up to a packet late when it jumps into it; ours are in a container that it does not.
MLT_LATE = 1024
HITS_S = (Fraction(9, 7), Fraction(40, 11), Fraction(13, 2))
pytestmark = pytest.mark.skipif(MELT is None, reason="melt is not installed (Debian: apt-get install melt)")


def rendered(document: Path) -> np.ndarray:
    """What melt plays, ``[2, samples]`` at 48 kHz."""
    out = document.with_suffix(".render.wav")
    sound = ("vn=1", "acodec=pcm_f32le", "ar=48000", "ac=2")
    command = [str(MELT), str(document), "-consumer", f"avformat:{out}", *sound, "real_time=0", "terminate_on_pause=1"]
    home = {"HOME": str(document.parent), "LC_ALL": "C", "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, capture_output=True, timeout=120, env=home)
    assert out.is_file(), done.stderr.decode(errors="replace")[-500:]
    with av.open(str(out)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1).reshape(-1, 2).T


def staged(folder: Path, rate: Fraction) -> Stage:
    """A bed that ducks under speech from 3 s to 5 s, and hits off the frame grid, one of them under the speech."""
    stage = Stage(folder, round(8 * rate) / rate, rate)
    stage.cue(Stem.AMBIENCE, 0, bed(8.1))
    for moment in HITS_S:
        stage.cue(Stem.FOLEY, moment, hit(), sound="impact.wood", sync_s=(moment,))
    stage.says(3.0, 5.0)
    return stage


def delivered(
    stage: Stage, original: Path, timeline: otio.schema.Timeline | None, document: Path | None = None
) -> tuple[MixResult, Path]:
    mixed = stage.mix(original)
    folder = stage.folder / "out"
    folder.mkdir(exist_ok=True)
    edit = Edit("scene", stage.rate, stage.duration_s, Fraction(3600))
    if timeline is not None:
        edit = conform.conform(timeline, "scene")
    wish = DeliveryWish(outputs=("stems", "otio"), dialect="kdenlive")
    job = delivery.Delivery(
        edit, timeline, stage.sheet(), stage.takes, mixed, wish, None, folder, final_folder=folder, document=document
    )
    made = delivery.deliver(job)
    return mixed, next(one.path for one in made if one.kind == "timeline")


def lag(played: np.ndarray, wanted: np.ndarray) -> int:
    """How many samples later ``wanted`` is heard in ``played``."""
    return int(np.argmax(correlate(played, wanted, "full", "fft"))) - (len(wanted) - 1)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001)])
def test_melt_plays_each_hit_where_it_was_mixed(tmp_path: Path, rate: Fraction) -> None:
    stage = staged(tmp_path, rate)
    mixed, document = delivered(stage, stage.original(noise(8, 0.02)), None)
    played, foley = rendered(document)[0], read(stem_of(mixed, Stem.FOLEY).path)[0]
    assert abs(len(played) - len(foley)) <= 48_000 / rate
    for moment in HITS_S:
        here = slice(samples_at(moment) - 2400, samples_at(moment) + 9600)
        assert lag(played[here], foley[here]) == 0


def test_melt_ducks_as_the_mix_did(tmp_path: Path) -> None:
    stage = staged(tmp_path, Fraction(25))
    stage.cues = stage.cues[:1]
    mixed, document = delivered(stage, stage.original(noise(8, 0.02)), None)
    played, wanted = rendered(document), read(mixed.bounce.path)
    difference = played[:, : wanted.shape[1]] - wanted[:, : played.shape[1]]
    assert level_db(difference) < level_db(wanted) - 30
    assert lag(played[0, 48_000:144_000], wanted[0, 48_000:144_000]) == 0


def test_without_its_keyframes_the_bed_would_not_duck(tmp_path: Path) -> None:
    """The levels do the ducking: it is in no file."""
    stage = staged(tmp_path, Fraction(25))
    mixed, document = delivered(stage, stage.original(noise(8, 0.02)), None)
    speech, pause = slice(samples_at(3.5), samples_at(4.5)), slice(samples_at(0.2), samples_at(1.2))
    lane = media_samples(document.with_name("scene.ambience.mov"))
    assert level_db(lane[:, speech]) == pytest.approx(level_db(lane[:, pause]), abs=0.5)
    mixed_lane = read(stem_of(mixed, Stem.AMBIENCE).path)
    assert level_db(mixed_lane[:, speech]) == pytest.approx(level_db(mixed_lane[:, pause]) - 5, abs=0.5)


def test_the_users_clips_play_from_where_they_did(tmp_path: Path) -> None:
    """Two cuts of a recording, through conform, our document and melt."""
    rate = Fraction(25)
    stage = staged(tmp_path, rate)
    original = stage.original(noise(8, 0.1, seed=3, stereo=False))
    track = otio.schema.Track("A1", kind="Audio")
    for first, frames in ((50, 100), (0, 100)):
        whole = range_of(Fraction(0), Fraction(8), rate)
        source = range_of(first / rate, frames / rate, rate)
        track.append(otio.schema.Clip("take", otio.schema.ExternalReference(str(original), whole), source))
    _, document = delivered(stage, original, otio.schema.Timeline("scene", tracks=[track]))
    played, sound = rendered(document)[0], read(original)[0]
    for at_s, from_s in ((1, 3), (7, 3)):
        here, there = samples_at(at_s), samples_at(from_s)
        assert 0 <= lag(played[here : here + 24_000], sound[there : there + 24_000]) <= MLT_LATE


@pytest.mark.parametrize("name", ["sequences.kdenlive", "shotcut.mlt", "plain.mlt", "two-tracks.mlt"])
def test_the_users_own_document_sounds_as_before_and_ours_beside_it(tmp_path: Path, name: str) -> None:
    stage = staged(tmp_path, Fraction(25))
    original = stage.original(noise(8, 0.1, seed=3, stereo=False))
    given = tmp_path / name
    given.write_text(own_document(name, original), "utf-8")
    timeline, _ = conform.read(given, rate=stage.rate)
    _, document = delivered(stage, original, timeline, given)
    before, after = rendered(given), rendered(document)
    ours = media_samples(document.with_name("scene.foley.mov"))
    here = slice(samples_at(HITS_S[0]) - 2400, samples_at(HITS_S[0]) + 9600)
    assert level_db(before[:, here]) > -40
    assert lag((after - before[:, : after.shape[1]])[0, here], ours[0, here]) == 0
    assert after.shape == before.shape


@pytest.mark.parametrize("name", ["sequences.kdenlive", "shotcut.mlt"])
def test_a_second_scoring_sounds_as_the_first(tmp_path: Path, name: str) -> None:
    stage = staged(tmp_path, Fraction(25))
    original = stage.original(noise(8, 0.1, seed=3, stereo=False))
    given = tmp_path / name
    given.write_text(own_document(name, original), "utf-8")
    _, document = delivered(stage, original, conform.read(given)[0], given)
    once = rendered(document)
    given.write_text(resaved(given, document.read_text("utf-8")), "utf-8")
    _, document = delivered(stage, original, conform.read(given, scored=False)[0], given)
    assert np.abs(rendered(document) - once).max() < 1e-5


def test_a_fade_at_one_edge_alone_is_heard_and_read_again(tmp_path: Path) -> None:
    """Two clips: a second's fade in begins the one, two seconds' fade out end the other."""
    rate = Fraction(25)
    stage = staged(tmp_path, rate)
    original = stage.original(noise(8, 0.1, seed=3, stereo=False))
    media = otio.schema.ExternalReference(str(original), range_of(Fraction(0), Fraction(8), rate))
    clips = [otio.schema.Clip("take", media.deepcopy(), range_of(Fraction(at), Fraction(4), rate)) for at in (0, 4)]
    clips[0].metadata["immersivaudio"], clips[1].metadata["immersivaudio"] = {"fade_in_s": "1"}, {"fade_out_s": "2"}
    track = otio.schema.Track("A1", kind="Audio", children=clips)
    _, document = delivered(stage, original, otio.schema.Timeline("scene", tracks=[track]))
    theirs = [clip for clip in conform.read(document)[1].clips if clip.url == str(original)]
    assert [(clip.fade_in_s, clip.fade_out_s) for clip in theirs] == [(1, 0), (0, 2)]
    plain = tmp_path / "plain.kdenlive"
    plain.write_text(
        re.sub(r"(?s)<filter [^>]*>(?:(?!</filter>).)*>fade(?:in|out)<.*?</filter>", "", document.read_text())
    )
    whole, played = rendered(plain)[0], rendered(document)[0]
    missing = np.concatenate([np.linspace(1, 0, 48_000), np.zeros(5 * 48_000), np.linspace(0, 1, 96_000)])
    wanted = read(original)[0] * missing
    assert level_db(whole - played - wanted) < level_db(wanted) - 20


def own_document(name: str, media: Path) -> str:
    """A document of :mod:`test_own_documents` at 25 fps whose every file is ``media``; one has two tracks that nobody
    mixes, of which MLT plays one."""
    files = r'(<property name="resource">)[^<]*\.(?:mp4|mov)<'
    text = re.sub(files, rf"\g<1>{media}<", SYNTHETIC.get(name, SYNTHETIC["plain.mlt"]))
    text = re.sub(r'frame_rate_num="\d+" frame_rate_den="\d+"', 'frame_rate_num="25" frame_rate_den="1"', text)
    if name == "two-tracks.mlt":
        second = '<playlist id="low"><entry producer="one" in="50" out="99"/></playlist>'
        tracks = '<tractor id="both"><track producer="low"/><track producer="all"/></tractor>'
        text = text.replace("</mlt>", f"{second}{tracks}</mlt>")
    return text


def media_samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1).reshape(-1, 2).T / 2.0**31
