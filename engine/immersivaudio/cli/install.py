# SPDX-License-Identifier: AGPL-3.0-or-later
"""``install``: Immersivaudio into an editor, and out of it again."""

from __future__ import annotations

import click

from immersivaudio.cli.install_blender import install_blender
from immersivaudio.cli.install_resolve import install_resolve


@click.group()
def install() -> None:
    """Put Immersivaudio into an editor of this machine; the entries use the environment that this command runs in."""


install.add_command(install_resolve)
install.add_command(install_blender)
