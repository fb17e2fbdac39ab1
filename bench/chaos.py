# SPDX-License-Identifier: AGPL-3.0-or-later
"""Kill -9 of the worker and the server at a hundred random moments, with jobs running: what was lost, what came twice."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    from chaos import Chaos

    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Chaos(Path(folder), kills=kills, seed=int(began)).run()
    print(f"{report.kills} kills ({report.server_kills} of the server, {report.hit_running} while a job ran)", end=", ")
    print(f"{report.jobs} jobs, {report.events} events, {time.monotonic() - began:.0f} s")
    print(f"accepted jobs lost {len(report.lost)}, not succeeded {len(report.not_succeeded)}", end=", ")
    print(
        f"artefacts twice {len(report.twice)}, missing {len(report.missing)}, sequences with a gap {len(report.gaps)}"
    )
    bad = report.lost + report.not_succeeded + report.twice + report.missing + report.gaps
    if bad:
        sys.exit(f"not as it should be: {bad[:10]}")


if __name__ == "__main__":
    main()
