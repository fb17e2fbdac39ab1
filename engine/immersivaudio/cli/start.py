# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the command begins: before anything else is imported, so that a Ctrl-C is understood from the start."""

from __future__ import annotations

import os
import signal
import sys

_INTERRUPTED, _PIPE_CLOSED, _TERMINATED = 130, 141, 143


def main() -> None:
    """Run the command line; see ``main.main`` for the exit codes."""
    # Asked to end, it leaves as it leaves on any other day: what is half made goes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        from immersivaudio.cli.main import main as command

        try:
            command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read has seen enough. What is still buffered goes nowhere, or Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_PIPE_CLOSED)
