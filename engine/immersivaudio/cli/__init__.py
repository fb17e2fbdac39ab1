# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line: the composition root, the one place that sees both the engine and the bridge."""
