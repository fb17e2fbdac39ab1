# SPDX-License-Identifier: AGPL-3.0-or-later
"""Weights of watchers: single files that the operator names or puts into ``<home>/models``; nothing is fetched."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import store


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a watcher needs: the environment variable that names it (or the folder it lies in), what it is called
    in ``<home>/models``, and the library that runs it with the package that brings it."""

    variable: str
    pattern: str
    library: str
    package: str
    extra: str = "onnx"

    def lacks(self) -> str:
        """One sentence about what is missing, empty when nothing is. Loads nothing."""
        if importlib.util.find_spec(self.library) is None:
            return f"{self.package} is not installed: pip install 'immersivaudio[{self.extra}]'."
        if self.find() is None:
            named = os.environ.get(self.variable, "").strip()
            where = f"{named}, which {self.variable} names, is not there" if named else f"{self.variable} names no file"
            return f"The weights are missing: {where}, and no {self.pattern} lies in {store.home() / 'models'}."
        return ""

    def find(self) -> Path | None:
        """The file, or None; what is named but missing is not looked for elsewhere."""
        named = os.environ.get(self.variable, "").strip()
        place = Path(named).expanduser() if named else store.home() / "models"
        if place.is_dir():
            return next((file for file in sorted(place.glob(self.pattern)) if file.is_file()), None)
        return place if place.is_file() else None

    def digest(self) -> str:
        """The sha256 of the file, empty where there is none."""
        return digest_of(self.find())

    def checked(self) -> tuple[Path, str]:
        """The file and its sha256, held against a ``SHA256SUMS`` beside it where there is one.

        Raises:
            UnavailableError: it is missing, or another than the manifest says.
        """
        file = self.found()
        return file, verified(file)

    def found(self) -> Path:
        """The file.

        Raises:
            UnavailableError: it is missing.
        """
        file = self.find()
        if file is None:
            raise UnavailableError(self.lacks(), f"Set {self.variable} to the file.")
        return file


def digest_of(file: Path | None) -> str:
    """The sha256 of ``file``, read once for as long as its size and date stay; empty where it cannot be read."""
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return ""
    return _digest(file, status.st_size, status.st_mtime_ns) if file is not None and status is not None else ""


@functools.lru_cache(maxsize=16)
def _digest(file: Path, size: int, changed_ns: int) -> str:
    try:
        return store.sha256(file)
    except OSError:
        return ""


def vouched(file: Path, variable: str) -> str:
    """The sha256 of ``file``, which somebody must have vouched for: a ``SHA256SUMS`` beside it, or ``variable``.

    Raises:
        UnavailableError: nobody did, or it is another.
    """
    named = os.environ.get(variable, "").strip().lower()
    if not named and not file.with_name(store.MANIFEST).is_file():
        raise UnavailableError(
            f"The weights are refused: {file.name} is a pickle, which can run code, and nobody vouches for it.",
            f"Write its sha256 into {store.MANIFEST} beside it (sha256sum {file.name} > {store.MANIFEST}), or into {variable}.",
        )
    digest = verified(file) if not named else store.sha256(file)
    if named and digest != named:
        raise UnavailableError(
            f"The weights are refused: {file.name} is damaged: its sha256 is another.",
            f"Fetch it again, or mend {variable}.",
        )
    return digest


def verified(file: Path) -> str:
    """The sha256 of ``file``.

    Raises:
        UnavailableError: a ``SHA256SUMS`` beside it says otherwise, or does not know it.
    """
    digest = store.sha256(file)
    manifest = file.with_name(store.MANIFEST)
    if not manifest.is_file():
        return digest
    lines = (
        re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line) for line in manifest.read_text("utf-8").splitlines()
    )
    expected = {found.group(2): found.group(1) for found in lines if found}
    if expected.get(file.name) != digest:
        said = "is damaged: its sha256 is another" if file.name in expected else f"is not in {store.MANIFEST}"
        raise UnavailableError(
            f"The weights are refused: {file.name} {said}.", "Fetch that file again, or its manifest."
        )
    return digest
