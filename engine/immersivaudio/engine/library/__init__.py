# SPDX-License-Identifier: AGPL-3.0-or-later
"""The user's own sounds: folders indexed once by name, notes and sound, then searched by cue."""
