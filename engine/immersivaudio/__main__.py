# SPDX-License-Identifier: AGPL-3.0-or-later
"""``python -m immersivaudio``."""

from immersivaudio.cli.start import main

main()
