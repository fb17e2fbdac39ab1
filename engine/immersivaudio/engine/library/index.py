# SPDX-License-Identifier: AGPL-3.0-or-later
"""The index: libraries, their files, and a full-text table of their words, in one SQLite file in the engine's home.

Written in short transactions, so that a walk or a hearing that is broken off has kept what it knew; read by workers
while somebody else writes.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from immersivaudio.engine.cue import Licence
from immersivaudio.engine.errors import EngineError, NotFoundError, OutputError
from immersivaudio.engine.library.records import Entry, Folder, Heard, Notes
from immersivaudio.engine.models.store import home

_SCHEMA = """
CREATE TABLE IF NOT EXISTS folder(
  id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, path TEXT UNIQUE NOT NULL, licence TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS file(
  id INTEGER PRIMARY KEY, folder INTEGER NOT NULL REFERENCES folder(id), path TEXT NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, cat_id TEXT NOT NULL, duration_s REAL NOT NULL, notes TEXT NOT NULL,
  fault TEXT NOT NULL, sha256 TEXT NOT NULL DEFAULT '', heard TEXT NOT NULL DEFAULT '', UNIQUE(folder, path));
CREATE TABLE IF NOT EXISTS change(one INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS by_category ON file(cat_id);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(name, category, description, tokenize='porter unicode61 remove_diacritics 2');
"""
_VERSION = 1
_COLUMNS = "file.id, folder, file.path, size, mtime_ns, notes, fault, sha256, heard"
_BUSY_S = 20.0


def place() -> Path:
    """Where the index lies; nothing need be there."""
    return home() / "library" / "index.sqlite3"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as a walk found it: notes, or why there are none."""

    path: str
    size_bytes: int
    mtime_ns: int
    notes: Notes
    fault: str = ""


class Index:
    """The open index. Use it as a context manager, in one thread.

    Raises:
        EngineError: it cannot be read. OutputError: it cannot be written.
    """

    def __init__(self, path: Path | None = None, *, write: bool = False) -> None:
        self.path, self._write = path or place(), write

    def __enter__(self) -> Index:
        with self._said():
            if self._write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            mode = "rwc" if self._write else "rw"
            self._db = sqlite3.connect(f"file:{self.path}?mode={mode}", uri=True, timeout=_BUSY_S, isolation_level=None)
            if self._write:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(f"{_SCHEMA} PRAGMA user_version={_VERSION};")
            self._folders = {folder.id: folder for folder in self.folders()}
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = OutputError if self._write else EngineError
            raise kind(
                f"The index of sound libraries at {self.path} cannot be used: {error}.",
                "Remove that file and add the libraries again.",
            ) from error

    @contextlib.contextmanager
    def _all_or_nothing(self, *, changes: bool = True) -> Iterator[None]:
        """One transaction; one that ``changes`` what can be found begins a new generation."""
        with self._said():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                if changes:
                    self._db.execute("INSERT INTO change VALUES (1)")
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def generation(self) -> int:
        """Another number after every change of what can be found."""
        with self._said():
            return int(self._db.execute("SELECT coalesce(max(rowid), 0) FROM change").fetchone()[0])

    def folders(self) -> tuple[Folder, ...]:
        """Every library, by name."""
        with self._said():
            rows = self._db.execute("SELECT id, name, path, licence FROM folder ORDER BY name").fetchall()
        return tuple(Folder(row[0], row[1], Path(row[2]), Licence(**json.loads(row[3]))) for row in rows)

    def folder(self, name: str) -> Folder:
        """The library of that name.

        Raises:
            NotFoundError: there is none.
        """
        for folder in self.folders():
            if folder.name == name:
                return folder
        known = ", ".join(folder.name for folder in self.folders()) or "none is there yet"
        raise NotFoundError(f"No library is called {name!r}.", f"Libraries: {known}.")

    def put_folder(self, name: str, path: Path, licence: Licence) -> Folder:
        """Make or change the library at ``path``."""
        with self._all_or_nothing():
            self._db.execute(
                "INSERT INTO folder(name, path, licence) VALUES (?, ?, ?) "
                "ON CONFLICT(path) DO UPDATE SET name=excluded.name, licence=excluded.licence",
                (name, str(path), json.dumps(asdict(licence))),
            )
        folder = self.folder(name)
        self._folders[folder.id] = folder
        return folder

    def drop_folder(self, folder: Folder) -> None:
        """Forget a library; its files stay where they are."""
        with self._all_or_nothing():
            self._db.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM file WHERE folder=?)", (folder.id,))
            self._db.execute("DELETE FROM file WHERE folder=?", (folder.id,))
            self._db.execute("DELETE FROM folder WHERE id=?", (folder.id,))

    def known(self, folder: Folder) -> dict[str, tuple[int, int]]:
        """Size and time of every file that is indexed, by path."""
        with self._said():
            rows = self._db.execute("SELECT path, size, mtime_ns FROM file WHERE folder=?", (folder.id,))
            return {path: (size, mtime_ns) for path, size, mtime_ns in rows}

    def put_files(self, folder: Folder, files: Iterable[Seen]) -> None:
        """Add files, or replace what was known of them, all together."""
        with self._all_or_nothing():
            for seen in files:
                self._drop(folder, [seen.path])
                notes = seen.notes
                row = (folder.id, seen.path, seen.size_bytes, seen.mtime_ns, notes.cat_id, notes.duration_s)
                cursor = self._db.execute(
                    "INSERT INTO file(folder, path, size, mtime_ns, cat_id, duration_s, notes, fault) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, json.dumps(asdict(notes)), seen.fault),
                )
                self._db.execute(
                    "INSERT INTO words(rowid, name, category, description) VALUES (?, ?, ?, ?)",
                    (cursor.lastrowid, notes.fx_name, f"{notes.category} {notes.subcategory}", notes.description),
                )

    def drop_files(self, folder: Folder, paths: Sequence[str]) -> None:
        """Forget files that are gone."""
        with self._all_or_nothing():
            self._drop(folder, paths)

    def _drop(self, folder: Folder, paths: Iterable[str]) -> None:
        for path in paths:
            row = self._db.execute("SELECT id FROM file WHERE folder=? AND path=?", (folder.id, path)).fetchone()
            if row is not None:
                self._db.execute("DELETE FROM words WHERE rowid=?", row)
                self._db.execute("DELETE FROM file WHERE id=?", row)

    def note_heard(self, entry: Entry, heard: Heard | None, fault: str = "") -> None:
        """Keep what was heard of a file, or why it could not be."""
        text = json.dumps(asdict(heard)) if heard is not None else ""
        with self._all_or_nothing(changes=False):
            self._db.execute("UPDATE file SET heard=?, fault=? WHERE id=?", (text, fault, entry.id))

    def note_sha256(self, entry: Entry, sha256: str) -> None:
        with self._all_or_nothing(changes=False):
            self._db.execute("UPDATE file SET sha256=? WHERE id=?", (sha256, entry.id))

    def entries(self, where: str = "1", values: Sequence[object] = (), limit: int = -1) -> list[Entry]:
        """Files by a condition on the table ``file``, in the order of their paths."""
        with self._said():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM file WHERE {where} ORDER BY folder, file.path LIMIT ?", (*values, limit)
            ).fetchall()
        return [self._entry(row) for row in rows]

    def again(self, entry: Entry) -> Entry:
        """The same file as the index knows it now."""
        found = self.entries("folder=? AND path=?", (entry.folder.id, entry.path), 1)
        return found[0] if found else entry

    def matching(self, query: str, limit: int = 400) -> list[Entry]:
        """Files whose words fit the FTS5 ``query``, the most telling first."""
        with self._said():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM words JOIN file ON file.id = words.rowid WHERE words MATCH ? AND fault = '' "
                "ORDER BY bm25(words, 4.0, 2.0, 1.0), file.path LIMIT ?",
                (query, limit),
            ).fetchall()
        return [self._entry(row) for row in rows]

    def count(self, where: str = "1", values: Sequence[object] = ()) -> int:
        with self._said():
            return int(self._db.execute(f"SELECT count(*) FROM file WHERE {where}", values).fetchone()[0])

    def _entry(self, row: Sequence[Any]) -> Entry:
        heard = json.loads(row[8]) if row[8] else None
        if heard is not None:
            heard = Heard(**{**heard, "onsets_ms": tuple(heard["onsets_ms"]), "levels_db": tuple(heard["levels_db"])})
        notes = Notes(**json.loads(row[5]))
        return Entry(row[0], self._folders[row[1]], row[2], row[3], row[4], notes, row[6], row[7], heard)
