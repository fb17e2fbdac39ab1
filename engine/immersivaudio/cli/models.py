# SPDX-License-Identifier: AGPL-3.0-or-later
"""``models``: the weights that performers rest on. The licence is shown, and accepted, before a byte is fetched."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from immersivaudio.engine.errors import EngineError, RequestError

if TYPE_CHECKING:
    from immersivaudio.engine.models.pulling import Offer
    from immersivaudio.engine.models.weights import Weights


@click.group()
def models() -> None:
    """Fetch, list, check and remove the weights of neural performers."""


@models.command()
@click.argument("name")
@click.option("--for", "performer", default="", help="The performer that a hub id is for, where that is not known.")
@click.option("--revision", default="", help="A commit, tag or branch; it is pinned to its commit.")
@click.option("--accept-licence", default="", metavar="LICENCE", help="Its name, as a script says yes.")
def pull(name: str, performer: str, revision: str, accept_licence: str) -> None:
    """Fetch the weights of a performer (stable_audio, musicgen, ...) or a hub id (owner/name[@revision]).

    A broken pull goes on where it was. Safetensors only; every file is held against the hub's sums.
    """
    from immersivaudio.engine.models import pulling

    found = pulling.offer(pulling.wanted(name, performer, revision))
    for line in _terms(found):
        click.echo(line, err=True)
    _accept(found.weights, accept_licence)
    folder = _pulled(found)
    click.echo(str(folder))


def _terms(found: Offer) -> Iterator[str]:
    one = found.weights
    yield f"{one.hub_id} for {one.performer}, {found.size_bytes / 2**30:.2f} GiB, commit {one.revision}"
    yield f"  licence         {one.licence}" + (f", {one.terms}" if one.terms else "")
    allowed = "yes" if one.commercial_use else "no: it performs only with --rights any"
    yield f"  commercial use  {one.condition or allowed}"
    if one.territory:
        yield f"  not valid in    {one.territory}"
    if one.attribution:
        yield f"  to be named as  {one.attribution}"


def _accept(one: Weights, said: str) -> None:
    if said == one.licence:
        return
    if said:
        raise RequestError(f"The licence is {one.licence} and not {said}.", f"Say --accept-licence {one.licence}.")
    if not sys.stdin.isatty():
        raise RequestError("Nobody accepted the licence.", f"Say --accept-licence {one.licence} once you have read it.")
    click.confirm("Do you accept this licence?", abort=True, err=True)


def _pulled(found: Offer) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from immersivaudio.engine.models import pulling

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=found.size_bytes)
        return pulling.pull(found, True, lambda name, so_far, _: bar.update(task, description=name, completed=so_far))


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """List the known weights: licence, whether commercial use is allowed, and whether they are here."""
    rows = list(_rows())
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        here = f"here, {row['revision'][:12]}" if row["here"] else ""
        click.echo(
            f"{row['performer']:<16} {row['id']:<36} {row['commercial']:<12} {row['licence']:<36} {here}".rstrip()
        )


def _rows() -> Iterator[dict[str, Any]]:
    from immersivaudio.engine.models import pulling, weights

    here = {held.hub_id: (performer, held) for performer, _, held in pulling.pulled()}
    known = {one.hub_id: one for one in weights.KNOWN}
    for hub_id, one in {**known, **{hub_id: held for hub_id, (_, held) in here.items()}}.items():
        use = "conditional" if one.condition else "yes" if one.commercial_use else "no"
        yield {
            "performer": one.performer,
            "id": hub_id,
            "licence": one.licence,
            "commercial": use,
            "condition": one.condition,
            "attribution": one.attribution,
            "here": hub_id in here,
            "revision": one.revision,
        }


@models.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Hold what was pulled (of one performer, or all) against the sums it came with."""
    from immersivaudio.engine.models import pulling

    names = [name] if name else [performer for performer, _, _ in pulling.pulled()]
    worst: EngineError | None = None
    for performer in names:
        try:
            click.echo(f"{performer}: {pulling.verify(performer) / 2**20:.1f} MiB as they came")
        except EngineError as error:
            click.echo(f"{performer}: {error.message}")
            worst = error
    if worst is not None:
        raise worst


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Delete what was pulled for a performer; folders of your own are never touched."""
    from immersivaudio.engine.models import pulling

    if not yes:
        click.confirm(f"Delete {pulling.folder_of(name)}?", abort=True, err=True)
    click.echo(f"{pulling.remove(name) / 2**20:.1f} MiB freed")
