# SPDX-License-Identifier: AGPL-3.0-or-later
"""``perform``: a named sound, the cues of a sheet, or a delivered take once more, as Broadcast WAVs that say what they
are. The folder of a sheet's takes (``takes.json`` lists them) is what ``mix`` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from immersivaudio.cli.outputs import free, spare, write_text
from immersivaudio.engine.errors import OutputError, RequestError

_MOST_TAKES = 20


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class _Wish:
    """The options of ``perform``."""

    out: Path
    seconds: float
    seed: int
    params: tuple[str, ...]
    takes: int
    library: str
    rights: str
    overwrite: bool


@click.command()
@click.argument("what")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A WAV for one sound, else a folder.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=5.0, show_default=True, help="How long, for one sound."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Another seed, another performance.")
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A knob of the sound; may be given again."
)
@click.option(
    "--takes", type=click.IntRange(1, _MOST_TAKES), default=1, show_default=True, help="Different takes of each cue."
)
@click.option("--library", default="", metavar="NAME", help="Only out of this sound library; off: out of none.")
@click.option("--rights", type=click.Choice(("commercial", "any")), default="commercial", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def perform(what: str, **options: Any) -> None:
    """Perform WHAT: a sound out of `immersivaudio sounds`, the cues of a sheet (.json), or a delivered take (.wav) again.

    Files in a folder are named as sound editors name them, CatID_FXName_CreatorID_SourceID.
    """
    wish = _Wish(**options)
    free(wish.out, wish.overwrite)
    if what.lower().endswith(".wav"):
        _again(Path(what), wish.out)
    elif what.endswith(".json"):
        _sheet(Path(what), wish)
    else:
        _sound(what, wish)


def _again(source: Path, out: Path) -> None:
    """A take out of what it says of itself."""
    from immersivaudio.engine import plugins, takes

    spare(source, out)
    recipe = takes.read(source)
    takes.again(recipe, plugins.create("performers", recipe.performer), out, _never)
    click.echo(f"{out}: {recipe.cue.sound} by {recipe.performer}, seed {recipe.cue.seed}")


def _sheet(path: Path, wish: _Wish) -> None:
    from immersivaudio.cli.score import _read_sheet
    from immersivaudio.engine import takes

    sheet = _read_sheet(path)
    rate, start_s = sheet.rate, sheet.start_timecode_s
    setting = takes.Setting(sheet.name, rate, start_s, bits=32, whole_frames=False)
    known = _to_folder(sheet.sounding(), setting, wish)
    click.echo(f"{len(sheet.sounding())} cues in {wish.out}, {known} of them known already")


def _sound(name: str, wish: _Wish) -> None:
    from immersivaudio.engine import takes

    cue = _cue(name, wish)
    setting = takes.Setting("NONE", Fraction(24), bits=32, whole_frames=False)
    if wish.takes > 1 or wish.out.is_dir() or not wish.out.suffix:
        _to_folder((cue,), setting, wish)
        click.echo(str(wish.out))
        return
    if wish.out.suffix.lower() != ".wav":
        raise RequestError(f"{wish.out.name} is no name for a WAV.", "Choose an --out that ends in .wav.")
    ((take, *_),) = _performed((cue,), wish)[0].values()
    takes.write(Path(take.path), takes.recipe(cue, take, setting), wish.out)


def _to_folder(cues: Sequence[Any], setting: Any, wish: _Wish) -> int:
    """Every take under its name, and ``takes.json``; how many cues were known already."""
    from immersivaudio.engine import takes

    found, known = _performed(cues, wish)
    _make(wish.out)
    rows: list[dict[str, Any]] = []
    for place, cue in enumerate(cues, 1):
        for number, take in enumerate(found[cue.id], 1):
            recipe = takes.recipe(cue, take, setting, number, place)
            takes.write(Path(take.path), recipe, wish.out / recipe.file_name)
            rows.append({**asdict(take), "path": recipe.file_name, "number": number})
    write_text(wish.out / "takes.json", json.dumps(rows, indent=1))
    return known


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.", "Choose another --out.") from error


def _performed(cues: Sequence[Any], wish: _Wish) -> tuple[dict[str, tuple[Any, ...]], int]:
    from immersivaudio.cli.engines import home
    from immersivaudio.engine import alternatives, performing

    said = {"library_seed": float(wish.seed), **({"library": wish.library} if wish.library else {})}
    cues = [replace(cue, params={**said, **cue.params}) for cue in cues]
    players, cache = performing.Performers.load(), home() / "cache"
    done = performing.perform(cues, players, cache, wish.rights, _never, lambda *_: None)
    warnings = done.warnings
    takes: dict[str, tuple[Any, ...]] = {cue_id: (take,) for cue_id, take in done.takes.items()}
    if wish.takes > 1:
        run = performing.Run(players, cache, wish.rights, _never)
        more, said_more = alternatives.perform(cues, done.takes, alternatives.Wish(wish.takes), run, lambda *_: None)
        takes, warnings = {**takes, **more}, (*warnings, *said_more)
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)
    return takes, done.reused


def _cue(name: str, wish: _Wish) -> Any:
    from immersivaudio.engine.cue import Cue, Span, tidy
    from immersivaudio.engine.sounds import BY_ID, Motion

    if name not in BY_ID:
        raise RequestError(f"No sound is called {name!r}.", "Choose one out of `immersivaudio sounds`.")
    knobs: dict[str, float | str] = {}
    for text in wish.params:
        key, _, value = text.partition("=")
        knob = BY_ID[name].knobs.get(key)
        if knob is None or not _is_within(value, knob.low, knob.high):
            ranges = (f"{known} from {one.low:g} to {one.high:g}" for known, one in BY_ID[name].knobs.items())
            raise RequestError(f"{text!r} is no knob of {name}.", f"Its knobs: {', '.join(ranges) or 'none'}.")
        knobs[key] = float(value)
    sync = (tidy(Fraction(1, 20)),) if BY_ID[name].motion is Motion.STRUCK else ()
    span = Span(Fraction(0), tidy(wish.seconds))
    return Cue("one", BY_ID[name].stem, span, name, sync_s=sync, params=knobs, seed=wish.seed)


def _is_within(text: str, low: float, high: float) -> bool:
    try:
        return low <= float(text) <= high
    except ValueError:
        return False
