# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each module alone: ``watch``, ``mix``, ``deliver`` and ``sounds``, without an engine running; ``perform`` has a file
of its own.

Their files: a cue sheet (``immersivaudio spot -o``), a folder of takes (``perform``: float32 WAVs and ``takes.json``), a
folder of stems (``mix``: one WAV a lane and ``bounce.wav``).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from immersivaudio.cli.outputs import free, spare, write_text
from immersivaudio.engine.errors import MediaError, OutputError, RequestError


def _never() -> bool:
    return False


def _sheet(path: Path) -> Any:
    from immersivaudio.cli.score import _read_sheet

    return _read_sheet(path)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the sightings here (JSON).")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def watch(source: Path, out: Path | None, overwrite: bool) -> None:
    """Print what is seen and heard in SOURCE (a video or a timeline), one sighting a line."""
    from immersivaudio.engine import conform, media, original, watching

    if out is not None:
        spare(source, out)
        free(out, overwrite)
    edit = (
        conform.read(source)[1]
        if source.suffix.lower() in conform.TIMELINE_ENDINGS
        else conform.single(media.probe(source), source.stem)
    )
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "original.wav" if edit.sound_clips() else None
        if sound is not None:
            original.lay(edit, sound, _never)
        seen = watching.watch(edit, sound, watching.Watchers.load(), Path(folder), _never, lambda *_: None)
    for warning in (*edit.warnings, *seen.warnings):
        click.echo(f"note: {warning}", err=True)
    rows = [_row(sighting) for sighting in seen.sightings]
    if out is not None:
        write_text(out, json.dumps(rows, indent=1))
        return
    for row in rows:
        click.echo(
            f"{row['start_s']:9.3f} {row['duration_s']:8.3f}  {row['label']:<10} {row['confidence']:.2f}  {row['values']}"
        )


def _row(sighting: Any) -> dict[str, Any]:
    values = {k: round(v, 3) if isinstance(v, float) else v for k, v in sighting.values.items()}
    span = sighting.span
    return {
        "id": sighting.id, "label": sighting.label, "start_s": float(span.start_s), "duration_s": float(span.duration_s),
        "confidence": round(sighting.confidence, 3), "box": sighting.box, "values": values,
    }  # fmt: skip


@click.command()
@click.argument("sheet", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("takes", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The folder for stems and bounce.")
@click.option(
    "--original", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Sound to mix around (any file)."
)
@click.option(
    "--loudness", default="youtube", type=click.Choice(("youtube", "ebu-r128", "atsc-a85", "podcast", "none"))
)
@click.option(
    "--mix", "balance", type=click.FloatRange(0, 1), default=0.5, help="0 only the original, 1 only the generated."
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def mix(
    sheet: Path, takes: Path, out: Path, original: Path | None, loudness: str, balance: float, overwrite: bool
) -> None:
    """Mix the TAKES of a SHEET (a folder that `perform` made) to stems and a bounce, float32 WAV at 48 kHz."""
    from immersivaudio.engine import mixing

    free(out, overwrite)
    wanted = _sheet(sheet)
    held = _takes(takes)
    if not held.keys() & {cue.id for cue in wanted.sounding()}:
        raise RequestError(
            f"{takes} holds no take of a cue of {sheet}.", f"Make them with `perform {sheet} -o {takes}`."
        )
    out.mkdir(parents=True, exist_ok=True)
    laid = _laid(original, wanted.duration_s, out) if original is not None else None
    options = mixing.MixOptions(loudness, balance, laid is not None)
    result = mixing.mix(wanted, held, laid, options, mixing.Booth(out))
    for stem in (*result.stems, result.bounce):
        level = (
            "silent"
            if stem.integrated_lufs is None
            else f"{stem.integrated_lufs:.1f} LUFS, {stem.true_peak_db:.1f} dBTP"
        )
        click.echo(f"{stem.path}  {level}")
    for warning in result.warnings:
        click.echo(f"note: {warning}", err=True)


def _takes(folder: Path) -> dict[str, Any]:
    """The first take of every cue, as ``perform`` lists them."""
    from immersivaudio.engine.cue import Licence, Take

    try:
        rows = json.loads((folder / "takes.json").read_text("utf-8"))
        return {
            row["cue_id"]: Take(
                **{
                    **row,
                    "licence": Licence(**row["licence"]),
                    "path": str(folder / Path(row["path"]).name),
                    "notes": (),
                }
            )
            for row in rows
            if row.pop("number") == 1
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{folder} is no folder of takes.", "Make one with `immersivaudio perform`.") from error


def _laid(path: Path, duration_s: Fraction, folder: Path) -> Path:
    from immersivaudio.engine import conform, media, original

    edit = replace(conform.single(media.probe(path), path.stem), duration_s=duration_s)
    original.lay(edit, folder / "original.wav", _never)
    return folder / "original.wav"


@click.command()
@click.argument("picture", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("sound", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The video to make.")
@click.option("--codec", default="", help="The sound's codec: aac, opus, flac, pcm ...")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def deliver(picture: Path, sound: Path, out: Path, codec: str, overwrite: bool) -> None:
    """Lay SOUND (a finished mix) under PICTURE, which is copied bit for bit."""
    from immersivaudio.engine import media

    spare(picture, out)
    spare(sound, out)
    free(out, overwrite)
    if not out.absolute().parent.is_dir():
        raise OutputError(f"The folder {out.absolute().parent} does not exist.", "Create it, or choose another --out.")
    if not media.probe(sound).audio:
        raise MediaError(f"{sound.name} has no sound.", "Give a finished mix.")
    media.mux(picture, sound, out, audio_codec=codec)
    click.echo(str(out))


@click.command()
def sounds() -> None:
    """List every sound that a cue may ask for, its lane and its knobs."""
    from rich.console import Console
    from rich.table import Table

    from immersivaudio.engine.sounds import VOCABULARY

    table = Table("sound", "what", "lane", "knobs", box=None)
    for sound in VOCABULARY:
        table.add_row(sound.id, sound.label, sound.stem.value, ", ".join(sound.knobs))
    Console().print(table)
