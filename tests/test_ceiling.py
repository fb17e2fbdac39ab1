# SPDX-License-Identifier: AGPL-3.0-or-later
"""No codec lets a mix peak over what is promised: decoded by PyAV, oversampled by scipy."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from mixing_stage import Stage, read, write
from scipy import signal
from test_delivery import deliver, edit_of

from immersivaudio.engine.cue import Stem
from immersivaudio.engine.loudness import TruePeakMeter
from immersivaudio.engine.media import encode_aac, encode_pictures, encode_sound, encode_under, is_lossy
from immersivaudio.engine.media.ceiling import decoded_peak_db
from immersivaudio.engine.request import DeliveryWish

CEILING_DB = -1.0


def never() -> bool:
    return False


def dense(seconds: float, seed: int = 2) -> np.ndarray:
    """Clicks of either sign close together over noise, ``[2, n]``, its true peak at the ceiling: no codec keeps that."""
    chance = np.random.default_rng(seed)
    wave = np.sign(chance.standard_normal((2, round(seconds * 48_000)))) * (
        chance.random(round(seconds * 48_000)) < 0.3
    )
    wave = signal.lfilter(*signal.butter(2, 15_000, fs=48_000), wave).astype(np.float32)
    meter = TruePeakMeter()
    meter.push(wave)
    return wave * np.float32(10 ** ((CEILING_DB - meter.finish()) / 20))


def heard_peak_db(path: Path) -> float:
    with av.open(str(path)) as container:
        wave = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return 20 * float(np.log10(np.abs(signal.resample_poly(wave.astype(float), 8, 1, axis=1)).max()))


@pytest.mark.parametrize("name", ["m4a", "mp3", "ogg", "opus"])
def test_what_a_codec_adds_is_taken_back(name: str, tmp_path: Path) -> None:
    wav, out = write(tmp_path / "mix.wav", dense(2)), tmp_path / f"mix.{name}"

    def encode(source: Path) -> float:
        encode_sound(source, out)
        return decoded_peak_db(out, never)

    assert encode(wav) > CEILING_DB + 0.05, "this sound tests nothing"
    done = encode_under(CEILING_DB, wav, out, encode, never)
    assert done.gain_db < 0
    assert done.true_peak_db == pytest.approx(heard_peak_db(out), abs=0.1)
    assert heard_peak_db(out) <= CEILING_DB + 0.1
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "mix.wav"]


def test_what_stays_under_is_encoded_once_and_as_it_is(tmp_path: Path) -> None:
    wav, asked = write(tmp_path / "mix.wav", dense(1) / 2), list[Path]()

    def encode(source: Path) -> float:
        asked.append(source)
        return -3.0

    done = encode_under(CEILING_DB, wav, tmp_path / "mix.ogg", encode, never)
    assert (done.gain_db, asked) == (0.0, [wav])


def test_what_never_comes_under_is_tried_three_times_and_told(tmp_path: Path) -> None:
    wav, heard = write(tmp_path / "mix.wav", dense(0.2)), list[float]()

    def encode(source: Path) -> float:
        heard.append(float(np.abs(read(source)).max()))
        return 0.5

    done = encode_under(CEILING_DB, wav, tmp_path / "mix.ogg", encode, never)
    assert len(heard) == 3 and done.over(CEILING_DB)
    assert 20 * np.log10(heard[2] / heard[0]) == pytest.approx(done.gain_db, abs=1e-3)


def test_the_pieces_know_the_peak_of_the_whole_also_when_they_are_kept(tmp_path: Path) -> None:
    """The loudest place of the second sound lies on a seam."""
    cache = tmp_path / "cache"
    on_seam = dense(11, 5) * np.float32(0.5)
    seam = 480 * 1024
    on_seam[:, seam - 400 : seam + 400] *= 2
    for wave in (dense(11), on_seam):
        wav = write(tmp_path / "mix.wav", wave)
        fresh, kept = (encode_aac(wav, tmp_path / "mix.m4a", cache, never) for _ in range(2))
        assert fresh == kept == pytest.approx(heard_peak_db(tmp_path / "mix.m4a"), abs=0.1)


def test_no_codec_that_keeps_all_is_measured() -> None:
    assert [is_lossy(Path(f"x.{name}"), "") for name in ("wav", "flac", "avi", "mp4", "webm")] == [False] * 3 + [
        True
    ] * 2


@pytest.mark.parametrize(("container", "codec"), [("mp4", ""), ("mkv", ""), ("mkv", "mp3")])
def test_a_delivered_video_keeps_the_promise_and_says_how(container: str, codec: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, Fraction(2))
    stage.cue(Stem.EFFECTS, 0, dense(2))
    picture = tmp_path / "cut.mp4"
    encode_pictures((np.full((32, 32, 3), 4 * n, np.uint8) for n in range(50)), picture, Fraction(25))
    mixed = stage.mix(loudness="none")
    loud = write(tmp_path / "loud.wav", dense(2))
    mixed = replace(mixed, bounce=replace(mixed.bounce, path=loud, true_peak_db=CEILING_DB))
    wish = DeliveryWish(outputs=("video",), container=container, audio_codec=codec)
    made = deliver(stage, edit_of(stage), wish, mixed, source=picture, cache=tmp_path / "cache")
    told = json.loads(made["manifest"].path.read_text())["loudness"]["encoded"][made["video"].name]
    assert told["gain_db"] < 0
    assert told["true_peak_db"] == pytest.approx(heard_peak_db(made["video"].path), abs=0.1)
    assert heard_peak_db(made["video"].path) <= CEILING_DB + 0.1
