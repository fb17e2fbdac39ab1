# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes the golden timelines of each dialect. Run by hand, after reading what changed; no test ever writes them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_exporters import golden

from immersivaudio.engine.request import DIALECTS

for dialect in DIALECTS:
    name, text = golden(dialect)
    Path(__file__).with_name(name).write_text(text, "utf-8")
    print(name)
