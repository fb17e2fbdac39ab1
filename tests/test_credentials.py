# SPDX-License-Identifier: AGPL-3.0-or-later
"""Content credentials: what is delivered says, signed, that it was generated and by what; without a certificate nothing begins."""

from __future__ import annotations

import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from immersivaudio.engine import bwf, credentials, delivery, media
from immersivaudio.engine.cue import Span, Stem
from immersivaudio.engine.errors import OutputError, UnavailableError
from immersivaudio.engine.request import DeliveryWish, Made

c2pa = pytest.importorskip("c2pa", reason="the [credentials] extra is not installed")
x509 = pytest.importorskip("cryptography.x509")
CERTIFICATE, KEY = "IMMERSIVAUDIO_CREDENTIALS_CERTIFICATE", "IMMERSIVAUDIO_CREDENTIALS_KEY"
LICENCE = {"name": "CC-BY-NC-4.0", "commercial_use": False}
ROWS = {
    "engine": {"name": "immersivaudio", "version": "9.9"},
    "models": [{"performer": "musicgen", "licence": LICENCE}],
    "attribution": ["Made with MusicGen."],
    "licence": LICENCE,
    "cues": [
        {"cue": "a", "stem": "ambience", "performer": "procedural"},
        {"cue": "m", "stem": "music", "performer": "musicgen"},
    ],
}


def _name(name: str) -> object:
    parts = [
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name),
    ]
    return x509.Name(parts)


def _issued(subject: str, key: object, issuer: str, signing: object, authority: bool) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    now = datetime.datetime.now(datetime.UTC)
    use = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **use), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False)
    )
    if not authority:
        made = made.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return made.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate of an authority that is made here, and its key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = _issued("Post House", leaf, "Root", root, False) + _issued("Root", root, "Root", root, True)
    key = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for variable, content in ((CERTIFICATE, chain), (KEY, key)):
        (tmp_path / variable).write_bytes(content)
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


def heard(path: Path) -> np.ndarray:
    return np.concatenate(list(media.sound(path, Span(Fraction(0), Fraction(1, 5)))), axis=1)


def sound(folder: Path, name: str = "music.wav", stem: Stem | None = Stem.MUSIC, kind: str = "stem") -> Made:
    wave = (0.1 * np.random.default_rng(1).standard_normal((2, 9_600))).astype(np.float32)
    with bwf.WavWriter(
        folder / "source.wav", 2, bits=24, tags=bwf.Tags("Generated music", time_reference=48_000)
    ) as out:
        out.write(wave)
    if name.endswith(".wav"):
        (folder / "source.wav").rename(folder / name)
    else:
        media.encode_sound(folder / "source.wav", folder / name)
    return Made(name, kind, folder / name, stem)


@pytest.mark.parametrize("name", ["music.wav", "music.flac", "music.m4a", "music.mp3"])
def test_the_credential_reads_back_and_the_sound_is_the_same(certificate: Path, tmp_path: Path, name: str) -> None:
    made = sound(tmp_path, name)
    before = heard(made.path)
    credentials.sign([made], ROWS, pytest.fail)
    said = credentials.read(made.path)
    assert said["validation_state"] == "Valid"
    assert said["signature_info"]["issuer"] == "Post House"
    told = {one["label"]: one["data"] for one in said["assertions"]}
    (action,) = told["c2pa.actions.v2"]["actions"]
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert told["org.immersivaudio.provenance"]["attribution"] == ["Made with MusicGen."]
    np.testing.assert_array_equal(heard(made.path), before)


def chunk(path: Path, name: bytes) -> bytes:
    content = path.read_bytes()
    at = content.index(name)
    return content[at : at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")]


def test_a_signed_broadcast_wav_keeps_its_time_and_an_altered_one_is_seen(certificate: Path, tmp_path: Path) -> None:
    made = sound(tmp_path)
    bext = chunk(made.path, b"bext")
    credentials.sign([made], ROWS, pytest.fail)
    assert chunk(made.path, b"bext") == bext
    content = bytearray(made.path.read_bytes())
    content[content.index(b"data") + 1_000] ^= 1
    made.path.write_bytes(content)
    assert credentials.read(made.path)["validation_state"] == "Invalid"


def test_only_what_was_generated_is_signed_and_what_cannot_hold_it_is_said(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(b"film")
    recorded = sound(tmp_path, "dialogue.wav", Stem.DIALOGUE)
    said: list[str] = []
    credentials.sign([Made("film.mkv", "video", tmp_path / "film.mkv"), recorded], ROWS, said.append)
    assert credentials.read(recorded.path) == {}
    assert said == ["film.mkv cannot hold content credentials: choose wav, flac, mp3, m4a, mp4 or mov."]


@pytest.mark.parametrize(
    ("performers", "composed", "kind"),
    [
        (["procedural"], False, "algorithmicMedia"),
        (["procedural", "stable_audio"], False, "trainedAlgorithmicMedia"),
        (["procedural"], True, "compositeSynthetic"),
        (["audioldm2"], True, "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_it_says_whether_a_trained_model_made_it(performers: list[str], composed: bool, kind: str) -> None:
    assert credentials.source_type(performers, composed).rpartition("/")[2] == kind


def test_without_a_certificate_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CERTIFICATE, raising=False)
    with pytest.raises(UnavailableError, match="none is named"):
        delivery.check(DeliveryWish(credentials=True), None, Fraction(1), tmp_path)
    monkeypatch.setenv(CERTIFICATE, str(tmp_path / "nowhere.pem"))
    with pytest.raises(UnavailableError, match=r"nowhere\.pem cannot be read"):
        credentials.check()


def test_a_key_of_no_use_is_said_before_any_work(certificate: Path) -> None:
    (certificate / KEY).write_text("no key")
    with pytest.raises(UnavailableError, match="do not fit"):
        credentials.check()


def test_a_file_that_cannot_be_signed_stays_as_it_was(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "music.wav").write_bytes(b"no sound at all")
    with pytest.raises(OutputError, match="could not be signed"):
        credentials.sign([Made("music.wav", "stem", tmp_path / "music.wav", Stem.MUSIC)], ROWS, pytest.fail)
    assert (tmp_path / "music.wav").read_bytes() == b"no sound at all"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_a_whole_job_is_signed_and_its_picture_is_the_same(
    certificate: Path, ball: Path, tmp_path: Path, container: str
) -> None:
    from immersivaudio.cli.main import main

    out = tmp_path / f"out.{container}"
    main(["score", str(ball), "-o", str(out), "--credentials"])
    assert credentials.read(out)["validation_state"] == "Valid"
    assert pictures(out) == pictures(ball)


def pictures(path: Path) -> list[tuple[float, bytes]]:
    import av

    with av.open(str(path)) as container:
        return [(float(one.pts * one.time_base), bytes(one)) for one in container.demux(video=0) if one.size]
