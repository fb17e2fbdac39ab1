# SPDX-License-Identifier: AGPL-3.0-or-later
"""Broadcast WAV as others read it: ffmpeg, Python's own reader of chunks, and our memory map."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from mixing_stage import chunks, noise

from immersivaudio.engine import bwf
from immersivaudio.engine.errors import MediaError, OutputError

FIVE_HOURS = 5 * 3600 * 48_000


def write(path: Path, samples: np.ndarray, **more: object) -> Path:
    with bwf.WavWriter(path, **more) as writer:  # type: ignore[arg-type]
        for first in range(0, samples.shape[1], 10_000):
            writer.write(samples[:, first : first + 10_000])
    return path


def decoded(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return np.concatenate(frames, axis=1), dict(container.metadata)


TAGS = bwf.Tags(
    "Generated foley & co <1>",
    time_reference=FIVE_HOURS,
    ixml={"STEM": "foley", "CUES": "a\x00 & <b>"},
    timecode_rate="30000/1001",
    drop_frame=True,
)


def test_ffmpeg_reads_every_sample_of_24_bits_and_the_time_reference(tmp_path: Path) -> None:
    samples = noise(1.2345, 0.2)
    path = write(tmp_path / "a.wav", samples, bits=24, tags=TAGS)
    read, metadata = decoded(path)
    assert read.size == samples.size
    scaled = read.reshape(-1, 2).T / 2.0**31
    np.testing.assert_allclose(scaled, samples, atol=2**-22)
    assert int(metadata["time_reference"]) == FIVE_HOURS
    assert metadata["encoded_by"] == "Immersivaudio"


def test_ixml_is_xml_and_says_the_same_time(tmp_path: Path) -> None:
    root = ElementTree.fromstring(chunks(write(tmp_path / "a.wav", noise(0.1), bits=24, tags=TAGS))["iXML"])
    assert root.findtext("USER/STEM") == "foley"
    assert root.findtext("USER/CUES") == "a & <b>"
    assert root.findtext("SPEED/TIMECODE_RATE") == "30000/1001"
    assert root.findtext("SPEED/TIMECODE_FLAG") == "DF"
    high, low = (int(root.findtext(f"SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_{half}") or "") for half in ("HI", "LO"))
    assert (high << 32) + low == FIVE_HOURS


def test_a_reference_over_32_bits_survives(tmp_path: Path) -> None:
    late = 24 * 3600 * 192_000 - 1
    body = chunks(write(tmp_path / "a.wav", noise(0.1), bits=24, tags=bwf.Tags(time_reference=late)))["bext"]
    assert len(body) == 602
    low, high, version = struct.unpack_from("<IIH", body, 338)
    assert ((high << 32) + low, version) == (late, 1)


def test_float_is_mapped_as_it_was_written(tmp_path: Path) -> None:
    samples = noise(0.7, 3.0)
    mapped, rate = bwf.read_wav(write(tmp_path / "a.wav", samples))
    assert rate == 48_000 and isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped.T, samples)


def test_24_bits_clip_at_full_scale_and_do_not_wrap(tmp_path: Path) -> None:
    read, _ = decoded(write(tmp_path / "a.wav", np.full((2, 100), 1.5, np.float32), bits=24))
    assert (read.reshape(-1) / 2.0**31 > 0.999).all()


@pytest.mark.parametrize("channels", [1, 2])
def test_odd_lengths_stay_riff(tmp_path: Path, channels: int) -> None:
    path = write(tmp_path / "a.wav", noise(0.01)[:channels, :333], channels=channels, bits=24)
    size = struct.unpack_from("<I", path.read_bytes(), 4)[0]
    assert size == path.stat().st_size - 8
    assert decoded(path)[0].size == 333 * channels


def test_an_empty_sound_is_a_file_of_no_samples(tmp_path: Path) -> None:
    mapped, _ = bwf.read_wav(write(tmp_path / "a.wav", np.zeros((2, 0), np.float32)))
    assert mapped.shape == (0, 2)


def test_leaving_by_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), bwf.WavWriter(tmp_path / "a.wav") as writer:
        writer.write(noise(0.1))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(0.1))
    before = path.read_bytes()
    with pytest.raises(RuntimeError), bwf.WavWriter(path) as writer:
        writer.write(noise(0.2))
        raise RuntimeError
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_space_left_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.wav could not be written: No space left"):
        full = bwf.WavWriter(tmp_path / "a.wav")
        (tmp_path / f".a.wav.{os.getpid()}.partial").symlink_to("/dev/full")
        with full as writer:
            writer.write(noise(2))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError), bwf.WavWriter(tmp_path / "gone" / "a.wav"):
        pass


@pytest.mark.parametrize("keep", [0, 11, 30, 60, 5000])
def test_a_file_cut_short_is_a_sentence(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "a.wav", noise(0.1))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MediaError):
        bwf.read_wav(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="32-bit float"):
        bwf.read_wav(write(tmp_path / "a.wav", noise(0.1), bits=24))
    (tmp_path / "b.wav").write_text("no wave at all")
    with pytest.raises(MediaError):
        bwf.read_wav(tmp_path / "b.wav")
