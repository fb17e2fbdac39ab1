# SPDX-License-Identifier: AGPL-3.0-or-later
"""``serve`` and ``jobs``: the engine as a service for editors."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--address", default="127.0.0.1:50505", show_default=True, help="Where to listen, or unix:/PATH.")
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="A folder whose media may be named by path; may be given again. Without it media must be uploaded.")  # fmt: skip
@click.option("--home", type=click.Path(path_type=Path), help="Where jobs and caches are kept.")
@click.option("--token", default="", envvar="IMMERSIVAUDIO_TOKEN", help="Ask clients for this token.")
@click.option("--tls-cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Certificate (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Key (PEM).")
def serve(
    address: str, roots: tuple[Path, ...], home: Path | None, token: str, tls_cert: Path | None, tls_key: Path | None
) -> None:
    """Run the engine for editors until it is stopped; prints the address it listens on.

    Listens on this machine only, unless it is given TLS and a token.
    """
    from immersivaudio.cli.engines import home as usual_home
    from immersivaudio.engine import server

    config = server.ServeConfig(
        address=address, home=home or usual_home(), roots=roots, token=token, tls_cert=tls_cert, tls_key=tls_key
    )
    server.serve(config)


@click.command()
@click.option(
    "--engine", default="127.0.0.1:50505", show_default=True, envvar="IMMERSIVAUDIO_ENGINE", help="The engine to ask."
)
@click.option("--token", default="", envvar="IMMERSIVAUDIO_TOKEN", help="Its token.")
@click.option("--cancel", default="", metavar="JOB", help="Stop this job.")
def jobs(engine: str, token: str, cancel: str) -> None:
    """List the jobs of a running engine, newest first."""
    from rich.console import Console
    from rich.table import Table

    from immersivaudio.cli.engines import connect
    from immersivaudio.v1 import job_pb2

    with connect(engine, token) as client:
        if cancel:
            client.cancel(cancel)
        table = Table("job", "state", "made", "done", box=None)
        for job in client.list_jobs():
            state = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_").lower()
            table.add_row(
                job.job_id, state, job.create_time.ToDatetime().isoformat(" ", "seconds"), f"{job.progress:.0%}"
            )
        Console().print(table)
