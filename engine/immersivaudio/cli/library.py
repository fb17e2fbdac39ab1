# SPDX-License-Identifier: AGPL-3.0-or-later
"""``library``: folders of the user's own sounds, indexed once, out of which cues are performed."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from immersivaudio.engine.errors import RequestError

_FAULTS_SHOWN = 10
_NO_COMMERCE = re.compile(r"(?i)\b(nc|non-?commercial)\b")


@click.group()
def library() -> None:
    """Index folders of your own sounds; cues that they fit are then performed from them.

    Names by the Universal Category System (CatID_FXName_CreatorID_SourceID), BWF and iXML notes and ID3 tags are read.
    Nothing is copied or changed; the index lies in the engine's home.
    """


@library.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--name", default="", help="What to call it; the folder's name when not given.")
@click.option("--licence", default="", help="What may be done with these sounds, e.g. CC-BY-4.0; kept in every take.")
@click.option("--attribution", default="", help="The line to paste in the credits.")
@click.option("--non-commercial", is_flag=True, help="Only performed under --rights any.")
@click.option(
    "--listen", is_flag=True, help="Hear every file now; otherwise a file is heard when a cue first asks for it."
)
def add(folder: Path, name: str, licence: str, attribution: str, non_commercial: bool, listen: bool) -> None:
    """Index FOLDER, or bring its index up to date: only what is new or has changed is read."""
    from immersivaudio.engine.cue import Licence
    from immersivaudio.engine.library.index import Index
    from immersivaudio.engine.library.records import NOT_STATED

    real = folder.resolve()
    with Index(write=True) as index:
        known = next((one for one in index.folders() if one.path == real), None)
        stated = known.licence if known and not (licence or attribution or non_commercial) else None
        commercial = not (non_commercial or _NO_COMMERCE.search(licence))
        terms = stated or Licence(licence or NOT_STATED, commercial, attribution)
        called = name or (known.name if known else _free_name(index, real))
        if any(one.name == called and one.path != real for one in index.folders()):
            raise RequestError(f"Another library is called {called!r}.", "Choose another --name.")
        _walk(index, index.put_folder(called, real, terms))
        if listen:
            _listen(index, called)


def _free_name(index: Any, folder: Path) -> str:
    taken = {one.name for one in index.folders()}
    plain = folder.name or "sounds"
    return next(
        name for name in (plain, *(f"{plain} {number}" for number in range(2, len(taken) + 3))) if name not in taken
    )


@library.command()
@click.argument("name", default="")
@click.option("--listen", is_flag=True, help="Hear every file now.")
def update(name: str, listen: bool) -> None:
    """Bring the index of the library NAME (of all, without one) up to date."""
    from immersivaudio.engine.library.index import Index

    with Index(write=True) as index:
        for folder in (index.folder(name),) if name else index.folders():
            _walk(index, folder)
            if listen:
                _listen(index, folder.name)


@library.command()
@click.argument("name", default="")
def listen(name: str) -> None:
    """Hear every file of the library NAME (of all) that was not heard yet; may be stopped and gone on with."""
    from immersivaudio.engine.library.index import Index

    with Index(write=True) as index:
        _listen(index, index.folder(name).name if name else "")


@library.command("list")
def list_() -> None:
    """List the libraries, how many files each has, and what may be done with them."""
    from rich.console import Console
    from rich.table import Table

    from immersivaudio.engine.library.index import Index, place

    table = Table("library", "files", "heard", "faulty", "licence", "folder", box=None)
    if place().is_file():
        with Index() as index:
            for folder in index.folders():
                counts = (index.count(f"folder=? AND {what}", (folder.id,)) for what in ("1", "heard<>''", "fault<>''"))
                terms = folder.licence.name + ("" if folder.licence.commercial_use else ", not commercially")
                table.add_row(folder.name, *map(str, counts), terms, str(folder.path))
    Console().print(
        table if table.row_count else "No library is indexed: immersivaudio library add FOLDER", markup=False
    )


@library.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def search(words: tuple[str, ...], limit: int) -> None:
    """Find files that say all of WORDS, or that fit a sound of the vocabulary ("impact.wood")."""
    from immersivaudio.engine.library import matching
    from immersivaudio.engine.library.index import Index
    from immersivaudio.engine.sounds import BY_ID

    with Index() as index:
        if len(words) == 1 and words[0] in BY_ID:
            for match in matching.find(index, _any_cue(words[0]))[:limit]:
                click.echo(f"{match.score:.2f}  {_line(match.entry)}  ({match.why})")
            return
        for entry in matching.search(index, " ".join(words), limit):
            click.echo(_line(entry))


def _any_cue(sound: str) -> Any:
    from fractions import Fraction

    from immersivaudio.engine.cue import Cue, Span
    from immersivaudio.engine.sounds import BY_ID

    return Cue("any", BY_ID[sound].stem, Span(Fraction(0), Fraction(1)), sound, sync_s=(Fraction(0),))


def _line(entry: Any) -> str:
    notes = entry.notes
    return f"{entry.folder.name}: {entry.path}  {notes.duration_s:.1f} s, {notes.channels} ch, {notes.rate_hz} Hz"


@library.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget the library NAME; its files stay where they are."""
    from immersivaudio.engine.library.index import Index

    with Index(write=True) as index:
        index.drop_folder(index.folder(name))
    click.echo(f"{name} is forgotten; its files were not touched")


def named(wish: str, *, local: bool) -> str:
    """The library that ``--library`` means, by the name that the engine knows: a folder is indexed, or its index brought
    up to date, first.

    Raises:
        RequestError: a folder, for an engine on another machine.
    """
    folder = Path(wish).expanduser()
    if wish == "off" or not folder.is_dir():
        return wish
    if not local:
        raise RequestError(
            "The engine on another machine does not see that folder.",
            "Run `immersivaudio library add` there and give the library's name.",
        )
    from immersivaudio.engine.cue import Licence
    from immersivaudio.engine.library import walking
    from immersivaudio.engine.library.index import Index
    from immersivaudio.engine.library.records import NOT_STATED

    real = folder.resolve()
    with Index(write=True) as index, _stoppable() as stopped:
        known = next((one for one in index.folders() if one.path == real), None)
        found = known or index.put_folder(_free_name(index, real), real, Licence(NOT_STATED, True))
        walking.walk(index, found, stopped, lambda *_: None)
        return found.name


def _walk(index: Any, folder: Any) -> None:
    from immersivaudio.engine.library import walking

    with _stoppable() as stopped, _bar() as show:
        found = walking.walk(index, folder, stopped, lambda done, of: show("reading", done, of))
    click.echo(f"{folder.name}: {found.files} files, {found.read} read, {found.gone} gone")
    for path, why in found.faults[:_FAULTS_SHOWN]:
        click.echo(f"note: {path}: {why}", err=True)
    if len(found.faults) > _FAULTS_SHOWN:
        click.echo(f"note: and {len(found.faults) - _FAULTS_SHOWN} more cannot be used", err=True)


def _listen(index: Any, name: str) -> None:
    from immersivaudio.engine.library import hearing

    with _stoppable() as stopped, _bar() as show:
        heard, faulty = hearing.hear_all(index, name, stopped, lambda done, of: show("hearing", done, of))
    click.echo(f"{heard} files heard, {faulty} of them faulty")


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether somebody pressed Ctrl-C; what was done by then is kept."""
    pressed: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    except ValueError:  # not the main thread: nobody presses keys there
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from immersivaudio.cli.progress import Bar

    with Bar(quiet=False) as bar:
        yield lambda stage, done, of: bar.show(stage, done / max(1, of), f"{done} of {of}")
