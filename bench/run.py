# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every bench, one after the other: ``make bench``. One that fails is named, and the others still run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHES = {
    "sync": "foley onsets against what is seen and heard",
    "expect": "what the cue sheets name against what the clips should sound like",
    "weather": "what is spotted on drawn weather",
    "whole": "the whole job, analysis, one changed cue, memory, start-up",
    "perform": "performing against real time",
    "balance": "blows that are heard in the whole mix",
    "analogy": "sounds laid by example, against spotting's own onsets",
    "music": "forms, voices and bar lines on the cuts of real timelines",
    "recognise": "recognisability of every sound",
    "cochlear": "textures told apart by their cochlear statistics",
    "wire": "gRPC against a bare server",
    "chaos": "kills",
    "neural": "neural performers against the plain pipelines",
}


def main() -> None:
    missed = []
    for name, about in BENCHES.items():
        path = Path(__file__).with_name(f"{name}.py")
        if not path.is_file():
            continue
        print(f"\n=== {name}: {about}", flush=True)
        if subprocess.run([sys.executable, str(path)], check=False).returncode != 0:
            missed.append(name)
    print(f"\nbenches that failed or missed their aim: {', '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
