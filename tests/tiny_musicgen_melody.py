# SPDX-License-Identifier: AGPL-3.0-or-later
"""See tiny_musicgen."""

from __future__ import annotations

import functools

import tiny_musicgen

save = functools.partial(tiny_musicgen.save, melody=True)
