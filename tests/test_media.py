# SPDX-License-Identifier: AGPL-3.0-or-later
"""Probing, decoding and muxing, with the real ffmpeg, on good files and on bad ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import manifest

from immersivaudio.engine import media
from immersivaudio.engine.bwf import WavWriter
from immersivaudio.engine.cue import Span
from immersivaudio.engine.errors import CancelledError, MediaError, OutputError, RequestError
from immersivaudio.engine.watchers import FrameWish

CLIPS = [entry for entry in manifest()["video"] if "corrupt" not in entry["tags"]]


def clicks(path: Path, at_s: tuple[float, ...], seconds: float, channels: int = 2) -> Path:
    """A float WAV that is silent but for one full sample at each of ``at_s``."""
    sound = np.zeros((channels, round(seconds * 48_000)), np.float32)
    for moment in at_s:
        sound[:, round(moment * 48_000)] = 0.9
    with WavWriter(path, channels) as writer:
        writer.write(sound)
    return path


@pytest.mark.parametrize("entry", CLIPS, ids=[Path(entry["file"]).name for entry in CLIPS])
def test_real_clips_are_what_the_manifest_says(entry: dict, shared: Path) -> None:
    found = media.probe(shared / "media" / entry["file"])
    turned = abs(entry.get("rotation", 0)) % 180 == 90
    size = (entry["height"], entry["width"]) if turned else (entry["width"], entry["height"])
    assert (found.video[0].width, found.video[0].height) == size
    assert found.video[0].rate == Fraction(entry["fps_fraction"])
    assert float(found.duration_s) == pytest.approx(entry["duration"], abs=0.13)
    assert bool(found.audio) == entry["has_audio"]
    if found.audio:
        assert (found.audio[0].rate_hz, found.audio[0].channels) == (entry["audio_rate"], entry["audio_channels"])


@pytest.mark.parametrize("entry", CLIPS, ids=[Path(entry["file"]).name for entry in CLIPS])
def test_every_frame_of_real_clips_comes_once_and_in_order(entry: dict, shared: Path) -> None:
    path = shared / "media" / entry["file"]
    found = media.probe(path)
    times = [frame.time_s for frame in media.frames(path, None, FrameWish(32))]
    assert times == sorted(set(times))
    assert times[0] == 0
    assert len(times) == pytest.approx(float(found.duration_s * found.video[0].rate), abs=2)


def test_frames_of_a_range_are_the_same_frames(ball: Path) -> None:
    whole = {frame.time_s: frame.rgb for frame in media.frames(ball, None, FrameWish(64))}
    part = list(media.frames(ball, Span(Fraction(2), Fraction(1)), FrameWish(64)))
    assert [frame.time_s for frame in part] == [Fraction(50 + i, 25) for i in range(25)]
    assert all(np.array_equal(frame.rgb, whole[frame.time_s]) for frame in part)


def test_a_rate_wish_keeps_true_timestamps(ball: Path) -> None:
    times = [frame.time_s for frame in media.frames(ball, None, FrameWish(32, 12.5))]
    assert times[:3] == [0, Fraction(2, 25), Fraction(4, 25)]


def test_rotation_is_applied(shared: Path) -> None:
    frame = next(iter(media.frames(shared / "media/video/ultra-short-portrait.mov", None, FrameWish(90))))
    assert frame.rgb.shape == (160, 90, 3)


def test_seeking_into_a_lying_table_of_key_frames_gives_the_true_picture(shared: Path) -> None:
    path = shared / "media/video/bird-cockatoo-seek-trap.mp4"
    whole = {f.time_s: f.rgb.astype(int) for f in media.frames(path, None, FrameWish(64))}
    for frame in media.frames(path, Span(Fraction(6), Fraction(1)), FrameWish(64)):
        assert np.abs(frame.rgb - whole[frame.time_s]).mean() < 1


def test_sound_is_exact_to_the_sample(tmp_path: Path) -> None:
    path = clicks(tmp_path / "clicks.wav", (0.5, 1.25), 2.0)
    sound = np.concatenate(list(media.sound(path, Span(Fraction(1, 4), Fraction(3, 2)))), axis=1)
    assert sound.shape == (2, 72_000)
    assert np.flatnonzero(sound[0]).tolist() == [12_000, 48_000]


def test_channels_in_the_order_of_films_are_counted_again_and_again(tmp_path: Path) -> None:
    order = "pan=FL+FC+FR+SL+SR+LFE|" + "|".join(f"c{channel}={channel / 10}*c0" for channel in range(6))
    tone = ("-f", "lavfi", "-i", "sine=d=1:r=48000", "-af", order, "-c:a", "pcm_s24le")
    for number in range(3):
        path = tmp_path / f"{number}.mov"
        ffmpeg(*tone, path)
        assert media.probe(path).audio[0].channels == 6
    left, right = np.concatenate(list(media.sound(path, None, pick=(2, 4))), axis=1)
    assert right.max() == pytest.approx(2 * left.max(), rel=0.01)


def test_sound_beyond_the_end_is_silence_of_the_right_length(tmp_path: Path) -> None:
    path = clicks(tmp_path / "clicks.wav", (0.5,), 1.0)
    sound = np.concatenate(list(media.sound(path, Span(Fraction(0), Fraction(3)))), axis=1)
    assert sound.shape == (2, 144_000)
    assert not sound[:, 48_000:].any()


def test_muxing_copies_the_picture_and_keeps_sync(ball: Path, tmp_path: Path) -> None:
    wav = clicks(tmp_path / "mix.wav", (1.0, 3.0), 5.0)
    out = tmp_path / "out.mkv"
    media.mux(ball, wav, out, audio_codec="flac")
    before = [frame.rgb for frame in media.frames(ball, None, FrameWish(64))]
    after = [frame.rgb for frame in media.frames(out, None, FrameWish(64))]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    sound = np.concatenate(list(media.sound(out, None)), axis=1)
    assert np.flatnonzero(np.abs(sound[0]) > 0.5).tolist() == [48_000, 144_000]


def noisy(seconds: float, changed_at_s: float = -1.0) -> np.ndarray:
    """Noise with a blow every half second; from ``changed_at_s`` on for a tenth of a second it is another noise."""
    chance = np.random.default_rng(3)
    samples = chance.standard_normal((2, round(seconds * 48_000))).astype(np.float32) * 0.05
    for at in range(0, samples.shape[1] - 4800, 24_000):
        samples[:, at : at + 4800] *= 8 * np.exp(-np.arange(4800) / 800, dtype=np.float32)
    if changed_at_s >= 0:
        samples[:, round(changed_at_s * 48_000) :][:, :4800] = 0.1 * chance.standard_normal((2, 4800))
    return samples


def encoded(samples: np.ndarray, out: Path, cache: Path | None) -> np.ndarray:
    with WavWriter(out.with_suffix(".wav")) as writer:
        writer.write(samples)
    media.encode_aac(out.with_suffix(".wav"), out, cache, lambda: False)
    return np.concatenate(list(media.sound(out, None)), axis=1)


def test_sound_encoded_in_pieces_is_in_place_and_has_no_seams(tmp_path: Path) -> None:
    samples = noisy(25)
    heard = encoded(samples, tmp_path / "pieces.m4a", None)
    assert heard.shape == samples.shape
    wrong = np.square(heard - samples).mean(axis=0)
    seams = [piece * 480 * 1024 for piece in (1, 2)]
    at_seams = np.mean([wrong[seam - 2048 : seam + 2048].mean() for seam in seams])
    assert wrong.mean() < 0.1 * np.square(samples).mean()
    assert at_seams < 2 * wrong.mean()


def test_a_change_is_encoded_where_it_is_and_equals_a_cold_run_to_the_bit(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    encoded(noisy(45), tmp_path / "before.m4a", cache)
    known = {path for path in cache.rglob("*") if path.is_file()}
    encoded(noisy(45, changed_at_s=25.0), tmp_path / "warm.m4a", cache)
    encoded(noisy(45, changed_at_s=25.0), tmp_path / "cold.m4a", None)
    assert (tmp_path / "warm.m4a").read_bytes() == (tmp_path / "cold.m4a").read_bytes()
    assert len(known) == 5
    assert len({path for path in cache.rglob("*") if path.is_file()} - known) == 1


def test_sound_that_is_encoded_already_is_laid_as_it_is(ball: Path, tmp_path: Path) -> None:
    wav = clicks(tmp_path / "mix.wav", (1.0, 3.0), 5.0)
    media.encode_aac(wav, tmp_path / "mix.m4a", None, lambda: False)
    media.mux(ball, tmp_path / "mix.m4a", tmp_path / "out.mp4", audio_codec=media.AS_IT_IS)
    sound = np.concatenate(list(media.sound(tmp_path / "out.mp4", None)), axis=1)
    assert [int(np.argmax(np.abs(half))) for half in (sound[0, :96_000], sound[0, 96_000:])] == [48_000, 48_000]


@pytest.mark.parametrize("ending", sorted(media.VIDEO_CONTAINERS - {"webm", "mxf"}))
def test_every_container_takes_an_h264_picture(ball: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    media.mux(ball, clicks(tmp_path / "mix.wav", (1.0,), 5.0), out)
    made = media.probe(out)
    assert made.video[0].codec == "h264"
    assert float(made.duration_s) == pytest.approx(5.0, abs=0.1)


def test_a_container_that_refuses_leaves_nothing(ball: Path, tmp_path: Path) -> None:
    wav = clicks(tmp_path / "mix.wav", (1.0,), 5.0)
    with pytest.raises(MediaError, match="could not be written"):
        media.mux(ball, wav, tmp_path / "out.webm", audio_codec="aac")
    assert [path.name for path in tmp_path.iterdir()] == ["mix.wav"]
    with pytest.raises(RequestError, match="No container"):
        media.mux(ball, wav, tmp_path / "out.banana")


BAD = {
    "empty.mp4": (b"", "is empty"),
    "words.mp4": (b"just some words, no video at all\n" * 50, "cannot be read"),
    "list.m3u8": (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n", "playlist"),
    "disguised.mp4": (b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist"),
    "dash.mp4": (b"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>", "playlist"),
    "still.mp4": (b"\x89PNG\r\n\x1a\n" + bytes(64), "still image"),
    "noise.mkv": (np.random.default_rng(1).bytes(20_000), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    content, said = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError, match=said) as caught:
        media.probe(path)
    assert name in caught.value.message
    assert caught.value.hint


def test_a_concat_script_opens_nothing_else(ball: Path, tmp_path: Path) -> None:
    """ffmpeg's own concat script, also with a comment before its signature, must not lead to the other file."""
    path = tmp_path / "script.mp4"
    path.write_text(f"# a comment\nffconcat version 1.0\nfile '{ball}'\n")
    with pytest.raises(MediaError):
        media.probe(path)


def test_missing_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="was not found"):
        media.probe(tmp_path / "nothing.mp4")
    with pytest.raises(MediaError):
        media.probe(tmp_path)


def test_a_truncated_file_is_refused_or_read_as_far_as_it_goes(ball: Path, tmp_path: Path) -> None:
    whole = ball.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path = tmp_path / f"cut{share}.mp4"
        path.write_bytes(whole[: int(len(whole) * share)])
        try:
            assert sum(1 for _ in media.frames(path, None, FrameWish(32))) > 0
        except MediaError as error:
            assert path.name in error.message


def test_cancel_stops_the_decoder(ball: Path) -> None:
    with pytest.raises(CancelledError):
        list(media.frames(ball, None, FrameWish(32), lambda: True))


def test_drawing_refuses_a_folder_that_is_not_there(draw: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises((MediaError, OSError)):
        media.encode_pictures((np.zeros((64, 64, 3), np.uint8) for _ in range(3)), tmp_path / "no/x.mp4", Fraction(25))


def first_click(path: Path) -> float:
    """Seconds from the first frame that is shown to the click, by the file's own timestamps."""
    import av

    with av.open(str(path)) as container:
        shown = min(
            float(frame.pts * frame.time_base) for _, frame in zip(range(8), container.decode(video=0), strict=False)
        )
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.3)
            if len(loud):
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate - shown
    raise AssertionError("no click")


def ffmpeg(*arguments: object) -> None:
    subprocess.run([media.ffmpeg_binary(), "-loglevel", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def offset_films(ball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same film as a transport stream whose sound begins first, and cut between key frames by an edit list."""
    folder = tmp_path_factory.mktemp("offsets")
    noise = ("-f", "lavfi", "-i", "anoisesrc=d=5:a=0.05:r=48000")
    ffmpeg("-i", ball, *noise, "-c:v", "libx264", "-bf", "2", "-g", "250", "-c:a", "aac", folder / "whole.mp4")
    ffmpeg("-i", folder / "whole.mp4", "-c", "copy", folder / "stream.ts")
    ffmpeg("-ss", "1.3", "-i", folder / "whole.mp4", "-c", "copy", folder / "cut.mp4")
    ffmpeg(
        "-i",
        ball,
        "-itsoffset",
        "0.5",
        "-i",
        ball,
        *noise,
        "-map",
        "1:v",
        "-map",
        "2:a",
        "-c:v",
        "copy",
        folder / "late.mp4",
    )
    return folder


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts", ".mov"])
@pytest.mark.parametrize("name", ["whole.mp4", "stream.ts", "cut.mp4", "late.mp4"])
def test_muxed_sound_is_in_sync_with_the_first_frame(
    offset_films: Path, tmp_path: Path, name: str, ending: str
) -> None:
    if name == "cut.mp4" and ending in (".mkv", ".ts"):
        pytest.skip("has no edit lists")
    wav = clicks(tmp_path / "mix.wav", (1.0,), 3.0)
    media.mux(offset_films / name, wav, tmp_path / f"out{ending}")
    assert first_click(tmp_path / f"out{ending}") == pytest.approx(1.0, abs=0.003)


def test_a_picture_that_begins_late_begins_at_once_in_a_container_without_timestamps(
    offset_films: Path, tmp_path: Path
) -> None:
    media.mux(offset_films / "late.mp4", clicks(tmp_path / "mix.wav", (1.0,), 3.0), tmp_path / "out.avi")
    # A picture with B-frames is shown up to two frames late there, whatever its sound does.
    assert first_click(tmp_path / "out.avi") == pytest.approx(1.0, abs=0.09)


def test_a_container_without_edit_lists_is_refused_where_it_would_show_what_one_hides(
    offset_films: Path, tmp_path: Path
) -> None:
    wav = clicks(tmp_path / "mix.wav", (1.0,), 3.0)
    with pytest.raises(MediaError, match="hides pictures"):
        media.mux(offset_films / "cut.mp4", wav, tmp_path / "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["mix.wav"]


def test_what_an_edit_list_hides_is_not_counted(offset_films: Path) -> None:
    path = offset_films / "cut.mp4"
    times = [frame.time_s for frame in media.frames(path, None, FrameWish(32))]
    found = media.probe(path)
    assert times[0] == 0
    assert len(times) == found.duration_s * found.video[0].rate


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said(ball: Path, tmp_path: Path) -> None:
    wav = clicks(tmp_path / "mix.wav", (1.0,), 5.0)
    (tmp_path / ".out.partial.mkv").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="no space"):
        media.mux(ball, wav, tmp_path / "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["mix.wav"]


def vp8(ball: Path, folder: Path) -> Path:
    """A WebM that somebody named .mp4."""
    out = folder / "ball.mp4"
    ffmpeg("-i", ball, "-t", "1", "-c:v", "libvpx", "-deadline", "realtime", "-an", "-f", "webm", out)
    return out


def vp9(ball: Path, folder: Path) -> Path:
    out = folder / "ball.webm"
    ffmpeg("-i", ball, "-t", "1", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-an", out)
    return out


@pytest.mark.parametrize(
    ("film", "ending", "codec", "said", "advice"),
    [
        ("h264", "webm", "aac", "webm file does not take this picture .h264. with sound as aac", "--container mkv"),
        ("h264", "webm", "", "webm file does not take this picture", "--container mkv"),
        ("vp9", "webm", "aac", "sound as aac", "Leave --codec out: .webm is made with libopus"),
        ("h264", "mp4", "vorbis2", "No audio codec", "Choose one of"),
        ("vp8", "mp4", "", "mp4 file does not take this picture .vp8.", "--container mkv"),
        (None, "mp3", "flac", "mp3 file does not take sound as flac", "Leave --codec out"),
    ],
)
def test_a_misfit_is_refused_with_what_would_fit(
    film: str | None, ending: str, codec: str, said: str, advice: str, ball: Path, tmp_path: Path
) -> None:
    films = {"h264": lambda *_: ball, "vp8": vp8, "vp9": vp9}
    source = films[film](ball, tmp_path) if film else None
    before = set(tmp_path.iterdir())
    with pytest.raises(RequestError, match=said) as refused:
        media.check_fit(source, ending, codec, tmp_path)
    assert advice in refused.value.hint
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("ending", "codec"), [("mp4", ""), ("mov", "pcm"), ("mkv", "flac"), ("mp4", "aac")])
def test_what_fits_is_let_through(ending: str, codec: str, ball: Path, tmp_path: Path) -> None:
    media.check_fit(ball, ending, codec, tmp_path)


def test_a_cover_picture_is_no_video_and_it_is_said(ball: Path, tmp_path: Path) -> None:
    ffmpeg("-i", ball, "-frames:v", "1", tmp_path / "cover.png")
    out, cover = (
        tmp_path / "covered.mp4",
        ("-map", "0:v", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"),
    )
    ffmpeg("-i", ball, "-i", tmp_path / "cover.png", *cover, out)
    probe = media.probe(out)
    assert len(probe.video) == 1
    assert any("covered.mp4 holds a cover picture" in warning for warning in probe.warnings)


def test_a_transport_stream_whose_clock_wraps_is_in_sync(ball: Path, tmp_path: Path) -> None:
    """Its 33 bits last a good day: what is recorded across their end begins before 0."""
    ffmpeg("-i", ball, "-c", "copy", "-output_ts_offset", "95440", tmp_path / "night.ts")
    assert media.probe(tmp_path / "night.ts").video[0].start_s < 0
    assert [frame.time_s for frame in media.frames(tmp_path / "night.ts", None, FrameWish(32))][:2] == [
        0,
        Fraction(1, 25),
    ]
    media.mux(tmp_path / "night.ts", clicks(tmp_path / "mix.wav", (1.0,), 5.0), tmp_path / "out.ts")
    assert first_click(tmp_path / "out.ts") == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize("later_s", [0, 5000])
def test_recordings_joined_end_to_end_are_refused(later_s: int, ball: Path, tmp_path: Path) -> None:
    """Their clock jumps, back or on: what the second one shows would lie over the first, or hours behind it."""
    for name, offset_s in (("first", 0), ("second", later_s)):
        ffmpeg("-i", ball, "-c", "copy", "-output_ts_offset", offset_s, tmp_path / f"{name}.ts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "first.ts").read_bytes() + (tmp_path / "second.ts").read_bytes())
    with pytest.raises(MediaError, match=r"The clock of .* jumps") as refused:
        media.probe(joined)
    assert "-c copy" in refused.value.hint
    ffmpeg("-i", joined, "-c", "copy", tmp_path / "mended.mkv")
    assert media.probe(tmp_path / "mended.mkv").duration_s == pytest.approx(10, abs=0.2)
