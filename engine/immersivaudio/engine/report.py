# SPDX-License-Identifier: AGPL-3.0-or-later
"""A page to look at: the lanes of a mix with every cue and why it is there, in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from immersivaudio.engine.cue import CueSheet, Edit, Take
from immersivaudio.engine.mixing import MixResult


def page(edit: Edit, sheet: CueSheet, takes: Mapping[str, Take], mixed: MixResult) -> str:
    """The whole page as HTML."""
    rows = "".join(
        f"<tr><td>{escape(cue.id)}</td><td>{escape(cue.sound)}</td><td>{escape(cue.why)}</td></tr>"
        for cue in sheet.sounding()
    )
    return f"<!doctype html><meta charset=utf-8><title>{escape(edit.name)}</title><table>{rows}</table>"
