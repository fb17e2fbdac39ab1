# SPDX-License-Identifier: AGPL-3.0-or-later
"""Takes as files: named as sound editors name them, and carrying in their notes all that leads to the same file again.

A take file holds the take at its reference level, before the mix. ``whole_frames`` ones begin and end on frames of the
edit, silent up to the take, so that an editor that places by frames places their attacks to the sample.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from immersivaudio.engine import __version__, bwf, riff, sheets, ucs
from immersivaudio.engine.audio import Block
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, CueSheet, Licence, Take, samples_at
from immersivaudio.engine.errors import CancelledError, CueSheetError, EngineError, MediaError, UnavailableError
from immersivaudio.engine.performers import Brief, Performer
from immersivaudio.engine.sounds import BY_ID

FORMAT = "immersivaudio.take/1"
FOLDER = "takes"
_DAY_SAMPLES = 24 * 3600 * SAMPLE_RATE_HZ
_BLOCK = SAMPLE_RATE_HZ * 4
_STEM_IDS = {"ambience": "AMBMisc", "foley": "FOLYMisc", "effects": "DSGNMisc", "music": "MUSCMisc"}


@dataclass(frozen=True, slots=True)
class Setting:
    """The edit that a take belongs to, and how its file is made: ``bits`` 24 (PCM) or 32 (float)."""

    name: str
    rate: Fraction
    start_timecode_s: Fraction = Fraction(0)
    drop_frame: bool = False
    bits: int = 24
    whole_frames: bool = True


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that leads to a take: the cue with the performer's own choices and the seed that was used, who performed it,
    and where its file belongs. ``number`` 1 is the take in the mix; ``place`` is the cue's in its sheet, from 1."""

    cue: Cue
    performer: str
    performer_version: str
    licence: Licence
    setting: Setting
    number: int = 1
    place: int = 1
    engine: str = __version__

    @property
    def file_name(self) -> str:
        """``WOODImpt_Hard Blow On Wood_IMMR_Scene one_C003T2.wav``."""
        sound = BY_ID.get(self.cue.sound)
        cat_id = sound.ucs if sound else "DSGNMisc"
        return f"{ucs.file_stem(cat_id, title(self.cue), self.setting.name, f'C{self.place:03d}T{self.number}')}.wav"


def recipe(cue: Cue, take: Take, setting: Setting, number: int = 1, place: int = 1) -> Recipe:
    """The recipe of ``take``, a take of ``cue``."""
    used = replace(cue, params={**cue.params, **take.pins}, seed=take.seed, performer=take.performer)
    return Recipe(used, take.performer, take.performer_version, take.licence, setting, number, place)


def title(cue: Cue) -> str:
    """What is heard, in few words, as a title: "Hard Blow On Wood"."""
    sound = BY_ID.get(cue.sound)
    words = (cue.prompt.split(",")[0] or (sound.label if sound else cue.sound)).split()
    return " ".join(word[:1].upper() + word[1:] for word in words)


def ucs_notes(cat_id: str, fx_name: str, show: str) -> dict[str, str]:
    """A file's category and name as databases of sounds look for them in iXML's USER part."""
    found = ucs.category(cat_id)
    return {
        "CATID": cat_id,
        "CATEGORY": found.category if found else "",
        "SUBCATEGORY": found.subcategory if found else "",
        "CATEGORYFULL": found.full if found else "",
        "FXNAME": fx_name,
        "TRACKTITLE": fx_name,
        "DESIGNER": "Immersivaudio",
        "MANUFACTURER": ucs.CREATOR,
        "SHOW": show,
        "EMBEDDER": f"immersivaudio {__version__}",
    }


def stem_notes(stem: str, show: str) -> dict[str, str]:
    """:func:`ucs_notes` of a whole stem; nothing for the original sound."""
    return ucs_notes(_STEM_IDS[stem], f"{stem.title()} Stem", show) if stem in _STEM_IDS else {}


def write(samples: Path, wanted: Recipe, path: Path) -> Path:
    """Write the take whose float32 WAV lies at ``samples`` as ``path``, with its notes.

    Raises:
        OutputError: it cannot be written. MediaError: ``samples`` is no take.
    """
    mapped, _ = bwf.read_wav(samples)
    head, tail = _margins(wanted, len(mapped))
    with bwf.WavWriter(path, bits=wanted.setting.bits, tags=_tags(wanted, head)) as writer:
        writer.write(np.zeros((2, head), np.float32))
        for first in range(0, len(mapped), _BLOCK):
            writer.write(np.asarray(mapped[first : first + _BLOCK].T, np.float32))
        writer.write(np.zeros((2, tail), np.float32))
    return path


def read(path: Path) -> Recipe:
    """The recipe that a take file carries.

    Raises:
        MediaError: it is no WAV file, or carries none.
    """
    try:
        text = riff.read(path).ixml.get("USER/IMMERSIVAUDIO", "")
        rows = json.loads(text) if text else {}
        if rows.get("format") != FORMAT:
            raise MediaError(f"{path.name} does not say how it was made.", "Give a take that Immersivaudio delivered.")
        return _from_rows(rows)
    except OSError as error:
        raise MediaError(f"{path.name} cannot be read: {error.strerror}.", "Check the path.") from error
    except (KeyError, TypeError, ValueError, AttributeError, CueSheetError) as error:
        raise MediaError(
            f"What {path.name} says of how it was made cannot be understood.", "It may be of another version."
        ) from error


def again(wanted: Recipe, performer: Performer, path: Path, cancelled: Callable[[], bool]) -> Path:
    """Perform a recipe once more, without judging it, and write it as ``path``: the same bytes as before.

    Raises:
        UnavailableError: this performer is another, or of another version. EngineError: it cannot be performed.
    """
    if (performer.name, performer.version) != (wanted.performer, wanted.performer_version):
        raise UnavailableError(
            f"The take was made by {wanted.performer} {wanted.performer_version}; here is {performer.name} "
            f"{performer.version}, which sounds different.",
            f"Install immersivaudio {wanted.engine}, or perform its sound anew.",
        )
    performer.setup()
    raw = path.with_name(f".{path.name}.take.wav")
    try:
        with bwf.WavWriter(raw, durable=False) as writer:
            for block in _performed(wanted.cue, performer, cancelled):
                writer.write(block)
        return write(raw, wanted, path)
    finally:
        raw.unlink(missing_ok=True)


def _performed(cue: Cue, performer: Performer, cancelled: Callable[[], bool]) -> Iterator[Block]:
    try:
        for block in performer.perform(Brief(cue, samples_at(cue.span.duration_s), cancelled)):
            if cancelled():
                raise CancelledError("Cancelled.")
            yield block
    except EngineError:
        raise
    except Exception as error:
        raise UnavailableError(f"{performer.name} failed ({type(error).__name__}).", "Run it with --debug.") from error


def frames(wanted: Recipe, samples: int) -> tuple[int, int]:
    """The frames of the record that a take of that many samples touches: the first, and the one after the last."""
    begin, rate = samples_at(wanted.cue.span.start_s), wanted.setting.rate
    first = math.floor(Fraction(begin, SAMPLE_RATE_HZ) * rate)
    return first, max(first + 1, math.ceil(Fraction(begin + samples, SAMPLE_RATE_HZ) * rate))


def _margins(wanted: Recipe, samples: int) -> tuple[int, int]:
    """Silent samples before and after the take, up to whole frames."""
    if not wanted.setting.whole_frames:
        return 0, 0
    begin, rate = samples_at(wanted.cue.span.start_s), wanted.setting.rate
    first, last = frames(wanted, samples)
    return begin - samples_at(first / rate), max(0, samples_at(last / rate) - begin - samples)


def _tags(wanted: Recipe, head: int) -> bwf.Tags:
    cue, setting = wanted.cue, wanted.setting
    sound = BY_ID.get(cue.sound)
    begin = samples_at(setting.start_timecode_s) + samples_at(cue.span.start_s) - head
    where = cue.id if setting.name == "NONE" else f"{cue.id}, {setting.name}"
    said = f"{title(cue)}, take {wanted.number} ({where}); generated by Immersivaudio"
    notes = {
        **ucs_notes(sound.ucs if sound else "DSGNMisc", title(cue), setting.name),
        "DESCRIPTION": said,
        "GENERATED": "TRUE",
        "GENERATOR": f"immersivaudio {wanted.engine}",
        "PERFORMER": f"{wanted.performer} {wanted.performer_version}",
        "SEED": str(cue.seed),
        "LICENCE": wanted.licence.name,
        "ATTRIBUTION": wanted.licence.attribution,
        "SOURCE": wanted.licence.source,
        "CUE": cue.id,
        "IMMERSIVAUDIO": json.dumps(_rows(wanted), ensure_ascii=False, separators=(",", ":")),
    }
    rate = f"{setting.rate.numerator}/{setting.rate.denominator}"
    return bwf.Tags(
        said,
        time_reference=begin % _DAY_SAMPLES,
        ixml=notes,
        timecode_rate=rate,
        drop_frame=setting.drop_frame,
    )


def _rows(wanted: Recipe) -> dict[str, Any]:
    cue, setting = wanted.cue, wanted.setting
    sheet = CueSheet(setting.name, setting.rate, cue.span.end_s, (cue,), start_timecode_s=setting.start_timecode_s)
    return {
        "format": FORMAT,
        "engine": wanted.engine,
        "performer": wanted.performer,
        "performer_version": wanted.performer_version,
        "number": wanted.number,
        "place": wanted.place,
        "licence": asdict(wanted.licence),
        "file": {"bits": setting.bits, "whole_frames": setting.whole_frames, "drop_frame": setting.drop_frame},
        "sheet": json.loads(sheets.to_json(sheet)),
    }


def _from_rows(rows: Mapping[str, Any]) -> Recipe:
    sheet = sheets.from_json(json.dumps(rows["sheet"]))
    file = rows["file"]
    setting = Setting(
        sheet.name, sheet.rate, sheet.start_timecode_s, file["drop_frame"], file["bits"], file["whole_frames"]
    )
    return Recipe(
        sheet.cues[0],
        rows["performer"],
        rows["performer_version"],
        Licence(**rows["licence"]),
        setting,
        rows["number"],
        rows["place"],
        rows["engine"],
    )
