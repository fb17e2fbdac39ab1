# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finished timelines in the files of editors that read no OpenTimelineIO, one file a format: a module with
``write(sheet) -> str``, where ``sheet`` is the user's edit and our lanes as flat rows of clips (:mod:`rows`)."""
