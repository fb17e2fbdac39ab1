# SPDX-License-Identifier: AGPL-3.0-or-later
"""Content-addressed bytes: media on the way in, artefacts on the way out.

A blob is found under its sha256 only once it is whole, verified, on disk (fsync) and renamed. An upload in pieces
lives in ``partial/`` until then; what broke off resumes there.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from immersivaudio.engine import housekeeping
from immersivaudio.engine.errors import NotFoundError, OutputError, RequestError

CHUNK_BYTES = 1 << 20
# What an upload must leave free on the disk: the job list and the work of running jobs live there too.
_RESERVE_BYTES = 64 << 20
# So long a client may take between an upload and its job, or between a job's end and the last download.
_RECENT_S = 3600.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_blob(path: Path) -> bool:
    """Whether ``path`` is named by what it holds: something uploaded, whose own name only its owner knows."""
    return _SHA256.fullmatch(path.name) is not None


class NoSpaceError(OutputError):
    """The engine's disk is full."""

    reason = "NO_SPACE"


class DigestError(RequestError):
    """The bytes are not those that were announced."""

    reason = "DIGEST_MISMATCH"


class OffsetError(RequestError):
    """A chunk does not belong where the upload stands."""

    reason = "WRONG_OFFSET"


class InUseError(RequestError):
    """Somebody else is uploading the same blob just now."""

    reason = "UPLOAD_IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Digest:
    """The name of some bytes.

    Raises:
        RequestError: ``sha256`` is not 64 lower-case hexadecimal digits, or the size is negative.
    """

    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256) or self.size_bytes < 0:
            raise RequestError("This is no digest.", "Give 64 lower-case hexadecimal digits and the size in bytes.")


class BlobStore:
    """A folder of blobs, shared by the server and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._partials = folder / "partial"
        self._partials.mkdir(parents=True, exist_ok=True)
        self._uploading: set[str] = set()

    def holds(self, digest: Digest) -> bool:
        """Whether the blob is whole and here."""
        try:
            return self._place(digest).stat().st_size == digest.size_bytes
        except FileNotFoundError:
            return False

    def path(self, digest: Digest) -> Path:
        """Where the blob lies, to be read only.

        Raises:
            NotFoundError: it is not here.
        """
        if not self.holds(digest):
            raise NotFoundError("The engine does not hold this blob.", "Upload it first.")
        housekeeping.use(self._place(digest))
        return self._place(digest)

    def committed(self, digest: Digest) -> tuple[int, bool]:
        """How many bytes of the blob are held, and whether that is all of it, verified."""
        if self.holds(digest):
            return digest.size_bytes, True
        partial = self._partial(digest)
        return (partial.stat().st_size if partial.exists() else 0), False

    def read(self, digest: Digest, offset: int = 0, limit: int = 0) -> Iterator[bytes]:
        """Chunks of at most 1 MiB from ``offset``, at most ``limit`` bytes (0: to the end).

        Raises:
            NotFoundError: it is not here. OffsetError: ``offset`` lies outside it.
        """
        path = self.path(digest)
        if not 0 <= offset <= digest.size_bytes or limit < 0:
            raise OffsetError("This range lies outside the blob.", f"Ask within its {digest.size_bytes} bytes.")
        end = min(digest.size_bytes, offset + limit) if limit else digest.size_bytes
        return _chunks(path, offset, end)

    def upload(self, digest: Digest, offset: int) -> Upload:
        """Begin or resume an upload at ``offset``, which must be what :meth:`committed` says.

        Raises:
            OffsetError, InUseError, NoSpaceError.
        """
        if digest.sha256 in self._uploading:
            raise InUseError("This blob is being uploaded by somebody else.", "Try again in a moment.")
        committed, _ = self.committed(digest)
        if offset != committed:
            raise OffsetError(f"This upload goes on at byte {committed}.", "Ask QueryWriteStatus where to resume.")
        room = shutil.disk_usage(self.folder).free - _RESERVE_BYTES
        if digest.size_bytes - committed > room:
            raise no_space()
        return Upload(digest, self._partial(digest), self._place(digest), self._uploading)

    def put(self, path: Path) -> Digest:
        """Take a finished file in, by a hard link where that is possible, else as a copy.

        Raises:
            NoSpaceError: the disk is full. NotFoundError: the file is not there.
        """
        try:
            with path.open("rb") as file:
                digest = Digest(hashlib.file_digest(file, "sha256").hexdigest(), file.tell())
                os.fsync(file.fileno())
            if not self.holds(digest):
                self._link(path, self._place(digest))
            housekeeping.use(self._place(digest))
        except FileNotFoundError as error:
            raise NotFoundError(f"{path.name} was announced and is not there.") from error
        except OSError as error:
            raise write_error(error) from error
        return digest

    def tidy(self, most_bytes: int, in_use: Container[str]) -> int:
        """Remove blobs that were not used for longest until ``most_bytes`` are held; how many bytes went.

        Those ``in_use`` (by sha256) stay, and so does what came or was asked for within the hour: a job may follow.
        """
        recent_s = time.time() - _RECENT_S
        return housekeeping.tidy([self.folder], most_bytes, recent_s, lambda path: path.name[:64] in in_use)

    def _link(self, path: Path, place: Path) -> None:
        partial = self._partials / f"{uuid.uuid4().hex}.link"
        try:
            try:
                os.link(path, partial)
            except OSError:
                _copy(path, partial)
            _publish(partial, place)
        finally:
            partial.unlink(missing_ok=True)

    def _place(self, digest: Digest) -> Path:
        return self.folder / digest.sha256[:2] / digest.sha256

    def _partial(self, digest: Digest) -> Path:
        return self._partials / f"{digest.sha256}.{digest.size_bytes}"


class Upload:
    """One upload, from its offset on. Leaving the context before the end keeps what came, to resume at."""

    def __init__(self, digest: Digest, partial: Path, place: Path, uploading: set[str]) -> None:
        self._digest, self._partial, self._place, self._uploading = digest, partial, place, uploading

    def __enter__(self) -> Upload:
        self._uploading.add(self._digest.sha256)
        try:
            self._file = self._partial.open("a+b", buffering=0)
            self._file.seek(0)
            # A resumed upload is hashed again from its first byte: what a crash left is not trusted.
            self._hash = hashlib.file_digest(self._file, "sha256")
            self.committed = self._file.tell()
        except OSError as error:
            self._uploading.discard(self._digest.sha256)
            raise write_error(error) from error
        return self

    def write(self, data: bytes) -> None:
        """Append a chunk.

        Raises:
            DigestError: more than was announced. NoSpaceError: the disk is full; what fitted is kept.
        """
        if self.committed + len(data) > self._digest.size_bytes:
            raise DigestError("More bytes came than were announced.", "Announce the size that the file really has.")
        try:
            _write_all(self._file.fileno(), data)
        except OSError as error:
            raise write_error(error) from error
        self._hash.update(data)
        self.committed += len(data)

    def finish(self) -> int:
        """Verify and publish the blob once it is whole; returns the committed length.

        Raises:
            DigestError: the bytes are others than announced; they are dropped.
        """
        if self.committed < self._digest.size_bytes:
            return self.committed
        if self._hash.hexdigest() != self._digest.sha256:
            self._partial.unlink(missing_ok=True)
            raise DigestError("The bytes that came do not match their digest.", "Upload the file again.")
        try:
            os.fsync(self._file.fileno())
            _publish(self._partial, self._place)
        except OSError as error:
            raise write_error(error) from error
        return self.committed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._uploading.discard(self._digest.sha256)


async def receive(store: BlobStore, digest: Digest, offset: int, chunks: AsyncIterator[bytes]) -> int:
    """Run an upload off the event loop, the disk one chunk behind the wire; returns the committed length."""
    if store.holds(digest):
        return digest.size_bytes
    with await asyncio.to_thread(store.upload, digest, offset) as upload:
        writing: asyncio.Future[None] | None = None
        try:
            async for chunk in chunks:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(asyncio.to_thread(upload.write, chunk))
        finally:
            # A client that went away must not close the file under the thread that writes to it.
            if writing is not None:
                await asyncio.shield(writing)
        return await asyncio.to_thread(upload.finish)


def _chunks(path: Path, offset: int, end: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while offset < end:
            data = file.read(min(CHUNK_BYTES, end - offset))
            if not data:
                return
            offset += len(data)
            yield data


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written, CHUNK_BYTES)
        written.flush()
        os.fsync(written.fileno())


def _publish(partial: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    partial.replace(place)
    # The rename itself must survive a power cut; a folder cannot be opened for that on Windows.
    if os.name == "posix":
        descriptor = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_error(error: OSError) -> OutputError:
    """What a person is told where the engine could not write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return no_space()
    return OutputError("The engine cannot write to its folder.", "Look into the engine's log.")


def no_space() -> NoSpaceError:
    """The complaint of a full disk."""
    return NoSpaceError("The engine's disk has no room for this.", "Free some space on it, then try again.")
