# SPDX-License-Identifier: AGPL-3.0-or-later
"""The engine: watch, spot, perform, mix. A *model* author reads this side; an *editor* author reads ``immersivaudio.bridge``."""

__version__ = "0.1.0"
