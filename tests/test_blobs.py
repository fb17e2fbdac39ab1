# SPDX-License-Identifier: AGPL-3.0-or-later
"""Blobs: whole or not there, resumed, verified, never outside their folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from immersivaudio.engine.blobs import BlobStore, Digest, DigestError, InUseError, NoSpaceError, OffsetError, receive
from immersivaudio.engine.errors import NotFoundError, RequestError

BYTES = bytes(range(256)) * 9000


def named(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest(), len(data))


def send(store: BlobStore, digest: Digest, offset: int, data: bytes) -> int:
    with store.upload(digest, offset) as upload:
        upload.write(data)
        return upload.finish()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_is_found_once_it_is_whole(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)
    assert send(store, digest, 0, BYTES[:1000]) == 1000
    assert not store.holds(digest)
    assert store.committed(digest) == (1000, False)
    assert send(store, digest, 1000, BYTES[1000:]) == len(BYTES)
    assert store.committed(digest) == (len(BYTES), True)
    assert store.path(digest).read_bytes() == BYTES
    assert len(files(tmp_path)) == 1


def test_an_upload_resumes_in_another_process(tmp_path: Path) -> None:
    digest = named(BYTES)
    send(BlobStore(tmp_path), digest, 0, BYTES[:5000])
    assert send(BlobStore(tmp_path), digest, 5000, BYTES[5000:]) == len(BYTES)
    assert b"".join(BlobStore(tmp_path).read(digest)) == BYTES


def test_wrong_bytes_are_dropped(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)
    with pytest.raises(DigestError):
        send(store, digest, 0, BYTES[:-1] + b"!")
    assert store.committed(digest) == (0, False)
    assert not files(tmp_path)


def test_a_damaged_partial_is_noticed(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)
    send(store, digest, 0, BYTES[:5000])
    (partial,) = files(tmp_path)
    partial.write_bytes(b"\0" * 5000)
    with pytest.raises(DigestError):
        send(store, digest, 5000, BYTES[5000:])


def test_more_than_announced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DigestError):
        send(BlobStore(tmp_path), named(BYTES), 0, BYTES + b"!")


@pytest.mark.parametrize("offset", [-1, 1, 5001, 10**18])
def test_a_wrong_offset_is_refused(tmp_path: Path, offset: int) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)
    send(store, digest, 0, BYTES[:5000])
    with pytest.raises(OffsetError):
        store.upload(digest, offset)


def test_one_upload_of_a_blob_at_a_time(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)
    with store.upload(digest, 0) as upload:
        upload.write(BYTES[:10])
        with pytest.raises(InUseError):
            store.upload(digest, 10)
    assert send(store, digest, 10, BYTES[10:]) == len(BYTES)


@pytest.mark.parametrize(
    "sha256", ["", "../../etc/passwd", "A" * 64, "g" * 64, "a" * 63, "a" * 65, "../" + "a" * 61, "a" * 63 + "\n"]
)
def test_no_digest_leads_out_of_the_folder(sha256: str) -> None:
    with pytest.raises(RequestError):
        Digest(sha256, 1)


def test_a_negative_size_is_no_digest() -> None:
    with pytest.raises(RequestError):
        Digest("a" * 64, -1)


def test_more_than_the_disk_holds_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError):
        BlobStore(tmp_path).upload(Digest("a" * 64, 1 << 60), 0)


def test_ranges(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)
    send(store, digest, 0, BYTES)
    assert b"".join(store.read(digest, 100, 50)) == BYTES[100:150]
    assert b"".join(store.read(digest, len(BYTES))) == b""
    assert max(map(len, store.read(digest))) <= 1 << 20
    for offset, limit in ((-1, 0), (len(BYTES) + 1, 0), (0, -5)):
        with pytest.raises(OffsetError):
            store.read(digest, offset, limit)
    with pytest.raises(NotFoundError):
        store.read(named(b"other"))


def test_the_empty_blob(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(b"")
    assert send(store, digest, 0, b"") == 0
    assert store.holds(digest)


def test_put_links_and_does_not_copy(tmp_path: Path) -> None:
    store, made = BlobStore(tmp_path / "blobs"), tmp_path / "a.wav"
    made.write_bytes(BYTES)
    digest = store.put(made)
    assert digest == named(BYTES)
    assert store.path(digest).samefile(made)
    assert store.put(made) == digest
    with pytest.raises(NotFoundError):
        store.put(tmp_path / "gone.wav")


async def test_receive_keeps_what_came_when_the_sender_breaks_off(tmp_path: Path) -> None:
    store, digest = BlobStore(tmp_path), named(BYTES)

    async def broken():
        yield BYTES[:3000]
        yield BYTES[3000:7000]
        raise ConnectionError

    async def rest():
        yield BYTES[7000:]

    with pytest.raises(ConnectionError):
        await receive(store, digest, 0, broken())
    assert store.committed(digest) == (7000, False)
    assert await receive(store, digest, 7000, rest()) == len(BYTES)
    assert await receive(store, digest, 0, rest()) == len(BYTES)
