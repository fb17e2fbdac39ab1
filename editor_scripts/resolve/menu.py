# SPDX-License-Identifier: AGPL-3.0-or-later
# What Resolve lists under Workspace > Scripts. `immersivaudio install resolve` writes it with the three values filled in.
# Old Pythons must still be able to read this file, so that they can say what they lack.
import sys

LIBRARY = "@LIBRARY@"
PYTHON = "@PYTHON@"
ACTION = "@ACTION@"

if sys.version_info < (3, 9):  # noqa: UP036
    print("Immersivaudio needs Python 3.9 or newer in Resolve; this is %s." % sys.version.split()[0])  # noqa: UP031
else:
    if LIBRARY not in sys.path:
        sys.path.insert(0, LIBRARY)
    from immersivaudio_resolve import main

    main(dict(globals()), PYTHON, ACTION)
