# SPDX-License-Identifier: AGPL-3.0-or-later
"""Composed music by instrument group: each group of a cue performed alone, at the level that it has in the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from immersivaudio.engine import composing, performing
from immersivaudio.engine.cue import MUSIC_GROUPS, Cue, Stem, Take
from immersivaudio.engine.errors import ResultError
from immersivaudio.engine.performers import music


def perform(
    cues: Sequence[Cue], takes: Mapping[str, Take], run: performing.Run
) -> tuple[dict[str, dict[str, Take]], tuple[str, ...]]:
    """The takes of every composed cue by cue id and group; and which music stays whole, one sentence each.

    A group is a take like any other: kept by content, so that only those of a cue that changed are performed again.

    Raises:
        CancelledError: somebody stopped it. OutputError: the cache cannot be written.
    """
    composers = [performer for performer in run.performers.members if performer.name == music.Music.name]
    alone = replace(run, performers=performing.Performers(composers))
    found: dict[str, dict[str, Take]] = {}
    for cue in cues:
        groups = _groups(cue, takes[cue.id], alone) if takes[cue.id].performer == music.Music.name else {}
        if groups:
            found[cue.id] = groups
    whole = [cue for cue in cues if cue.stem is Stem.MUSIC and cue.id not in found]
    return found, tuple(
        f"{cue.id}: {takes[cue.id].performer} gives no instrument groups; its music stays one stem." for cue in whole
    )


def _groups(cue: Cue, take: Take, run: performing.Run) -> dict[str, Take]:
    """One take for each group that plays in ``take``; none where they would not be the groups of that very take."""
    heard = music.as_heard(cue, take)
    score = music.score_of(heard, take.samples)
    playing = {composing.INSTRUMENTS[note.instrument].group for note in score.notes}
    alone = [(group, replace(heard, params={**heard.params, music.GROUP: group})) for group in MUSIC_GROUPS]
    try:
        found = {group: performing.one(part, run)[0] for group, part in alone if group in playing}
    except ResultError:
        return {}
    return found if {part.seed for part in found.values()} == {take.seed} else {}
