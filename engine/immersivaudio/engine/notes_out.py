# SPDX-License-Identifier: AGPL-3.0-or-later
"""The notes of composed music as a MIDI file beside its sound: the very score that is heard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from immersivaudio.engine.cue import CueSheet, Stem, Take
from immersivaudio.engine.errors import OutputError
from immersivaudio.engine.performers import music
from immersivaudio.engine.request import Made


def made(sheet: CueSheet, takes: Mapping[str, Take], name: str, folder: Path) -> Iterator[Made]:
    """One file in ``folder`` for each cue of ``sheet`` that was composed, the first one ``<name>.music.mid``.

    Raises:
        OutputError: it cannot be written.
    """
    composed = [cue for cue in sheet.sounding() if cue.id in takes and takes[cue.id].performer == music.Music.name]
    for number, cue in enumerate(composed, 1):
        take = takes[cue.id]
        path = folder / (f"{name}.music.mid" if number == 1 else f"{name}.music-{number}.mid")
        try:
            music.score_of(music.as_heard(cue, take), take.samples).to_midi(path)
        except OSError as error:
            raise OutputError(
                f"{path.name} could not be written: {error.strerror or error}.",
                "Free some space or choose another folder with --out.",
            ) from error
        yield Made(path.name, "midi", path, Stem.MUSIC)
