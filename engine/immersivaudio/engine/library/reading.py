# SPDX-License-Identifier: AGPL-3.0-or-later
"""A sound file's name and headers -> :class:`Notes`. WAV headers are read here; all else is asked of ``media``, which
opens it in a child process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from immersivaudio.engine import media, riff, ucs
from immersivaudio.engine.errors import MediaError
from immersivaudio.engine.library.records import Notes

ENDINGS = frozenset(
    (".wav", ".wave", ".bwf", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".flac", ".mp3", ".m4a", ".ogg", ".oga", ".opus",
     ".caf", ".wv")
)  # fmt: skip
_WAVES = frozenset((".wav", ".wave", ".bwf", ".rf64"))
_LONGEST_TEXT = 2000
# Where databases of sounds put their words, the most telling first.
_IXML_WORDS = (
    "USER/DESCRIPTION", "NOTE", "BEXT/BWF_DESCRIPTION", "USER/KEYWORDS", "ASWG/notes", "USER/NOTES", "USER/TRACKTITLE",
)  # fmt: skip
_INFO_WORDS = ("INAM", "ICMT", "ISBJ", "IKEY", "IGNR")
_TAG_WORDS = ("title", "description", "comment", "keywords", "genre", "subject", "subtitle", "synopsis")


def read(path: Path, below: Path) -> Notes:
    """The notes of ``path``, a file under the folder ``below``: names of the folders between count as words too.

    Raises:
        MediaError: it is no sound, or damaged. OSError: it cannot be read.
    """
    told = _wave(path) if path.suffix.lower() in _WAVES else _other(path)
    name = ucs.parse(path.stem)
    found = name.category or ucs.category(told.cat_id)
    folders = " ".join(path.relative_to(below).parent.parts)
    return replace(
        told,
        fx_name=name.fx_name,
        cat_id=found.cat_id if found else "",
        category=found.category if found else told.category,
        subcategory=found.subcategory if found else told.subcategory,
        description=" ".join(part for part in (told.description, folders) if part)[:_LONGEST_TEXT],
        creator_id=name.creator_id or told.creator_id,
        source_id=name.source_id or told.source_id,
    )


def _wave(path: Path) -> Notes:
    notes = riff.read(path)
    if notes.frames is None or not notes.rate_hz or not notes.channels:
        return _other(path)
    if not notes.frames:
        raise MediaError(f"{path.name} holds no sound.", "Export or copy it again.")
    said = [notes.ixml.get(key, "") for key in _IXML_WORDS] + [notes.info.get(key, "") for key in _INFO_WORDS]
    if notes.has_id3 and not any((*said, notes.description)):
        said = _words(media.probe(path).tags)
    return Notes(
        "",
        notes.ixml.get("USER/CATID", ""),
        notes.ixml.get("USER/CATEGORY", ""),
        notes.ixml.get("USER/SUBCATEGORY", ""),
        _once([notes.description, *said]),
        notes.ixml.get("USER/DESIGNER", "") or notes.originator,
        notes.ixml.get("USER/LIBRARY", ""),
        notes.frames / notes.rate_hz,
        notes.channels,
        notes.rate_hz,
    )


def _other(path: Path) -> Notes:
    probe = media.probe(path)
    if not probe.audio:
        raise MediaError(f"{path.name} holds no sound.", "Put sound files into a library.")
    stream, tags = probe.audio[0], probe.tags
    return Notes(
        "",
        description=_once(_words(tags)),
        creator_id=tags.get("artist", ""),
        source_id=tags.get("album", ""),
        duration_s=float(probe.duration_s),
        channels=stream.channels,
        rate_hz=stream.rate_hz,
    )


def _words(tags: Mapping[str, str]) -> list[str]:
    return [tags.get(key, "") for key in _TAG_WORDS]


def _once(texts: list[str]) -> str:
    return " ".join(dict.fromkeys(text for text in texts if text))
