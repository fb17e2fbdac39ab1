# SPDX-License-Identifier: AGPL-3.0-or-later
"""``serve`` and ``jobs``: the engine as a service for editors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--address", default="127.0.0.1:50505", show_default=True, help="Where to listen, or unix:/PATH.")
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="A folder whose media may be named by path; may be given again. Without it media must be uploaded.")  # fmt: skip
@click.option(
    "--home", type=click.Path(path_type=Path), help="Where jobs, caches, sound libraries and weights are kept."
)
@click.option("--token", default="", envvar="IMMERSIVAUDIO_TOKEN", help="Ask clients for this token.")
@click.option("--tls-cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Certificate (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Key (PEM).")
@click.option("--cache-gb", type=click.FloatRange(0), default=20.0, show_default=True, envvar="IMMERSIVAUDIO_CACHE_GB",
              help="How large the cache may grow (GiB); what was not used for longest goes first.")  # fmt: skip
@click.option("--blobs-gb", type=click.FloatRange(0), default=20.0, show_default=True,
              help="The same for uploads and results; what a waiting job needs stays.")  # fmt: skip
@click.option("--keep-jobs", type=click.IntRange(0), default=1000, show_default=True, help="Ended jobs to remember.")
@click.option("--keep-days", type=click.FloatRange(0), default=30.0, show_default=True, help="For how long.")
def serve(home: Path | None, **options: Any) -> None:
    """Run the engine for editors until it is stopped; prints the address it listens on.

    Listens on this machine only, unless it is given TLS and a token.
    """
    from immersivaudio.cli.engines import GIB
    from immersivaudio.cli.engines import home as usual_home
    from immersivaudio.engine import server
    from immersivaudio.engine.housekeeping import Limits

    cache, blobs = (round(options.pop(name) * GIB) for name in ("cache_gb", "blobs_gb"))
    if home is not None:
        # The workers' sound libraries and weights are looked for in the same home.
        os.environ["IMMERSIVAUDIO_HOME"] = str(home.absolute())
    limits = Limits(cache, blobs, options.pop("keep_jobs"), options.pop("keep_days"))
    server.serve(server.ServeConfig(home=home or usual_home(), limits=limits, **options))


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
