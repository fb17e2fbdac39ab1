# SPDX-License-Identifier: AGPL-3.0-or-later
"""How fast the procedural performer is on one core: each sound and a full five-cue mix, in multiples of real time.

    python bench/perform.py [--seconds 30] [--sound rain]

The named limit is 30 times real time for the mix; each sound is printed as a ratio against it. CPU time, one thread.
Exits with 1 when the mix is slower than the limit.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import sys
import time
from collections.abc import Sequence
from fractions import Fraction

# Loaded when it is first used, which is no part of the first sound's performance.
import scipy.signal  # noqa: F401

from immersivaudio.engine.cue import Cue, Span
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.performers.procedural import create
from immersivaudio.engine.sounds import BY_ID, VOCABULARY, Motion
from immersivaudio.engine.synthesis import catalog

LIMIT = 30.0
MIX = ("sea", "wind", "footstep.gravel", "cloth", "engine")


def spent_s(name: str, seconds: int) -> tuple[float, float]:
    """CPU seconds for the whole, and the longest wall time of one block."""
    sound = BY_ID[name]
    sync = tuple(Fraction(k) for k in range(seconds)) if sound.motion is Motion.STRUCK else ()
    cue = Cue("bench", sound.stem, Span(Fraction(0), Fraction(seconds)), name, sync_s=sync, seed=1)
    longest, start, last = 0.0, time.process_time(), time.perf_counter()
    for _ in create().perform(Brief(cue, seconds * 48_000)):
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    return time.process_time() - start, longest


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--sound", action="append", default=[])
    wish = parser.parse_args(arguments)
    for sound in VOCABULARY:
        if catalog.known(sound.id) and (not wish.sound or sound.id in wish.sound):
            spent, _ = spent_s(sound.id, wish.seconds)
            print(
                f"{sound.id:18s} {wish.seconds / spent:7.0f} x real time  {wish.seconds / spent / LIMIT:6.1f} x limit"
            )
    # The better of two turns a cue: what else the machine does can only make it slower.
    mixed = wish.seconds / sum(min(spent_s(name, wish.seconds)[0] for _ in range(2)) for name in MIX)
    print(
        f"perform: five cues at once ({', '.join(MIX)}) {mixed:.0f} x real time, {mixed / LIMIT:.2f} x limit ({LIMIT:.0f})"
    )
    return 0 if mixed >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
