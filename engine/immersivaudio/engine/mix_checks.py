# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a mix must be before anybody gets it: as long as the record, sounding where asked, unclipped, without offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from immersivaudio.engine import bwf, levels
from immersivaudio.engine.cue import CueSheet, Stem, samples_at
from immersivaudio.engine.errors import ResultError

if TYPE_CHECKING:
    from immersivaudio.engine.mixing import MixResult, StemFile

_DC_LIMIT = 0.01
_PEAK_TOLERANCE_DB = 0.1


def check_result(sheet: CueSheet, result: MixResult) -> None:
    """Raises: ResultError when the mix is too short or long by a sample, silent where cues were asked for, clipped, or
    off centre. (Numbers that are no sound are refused while mixing.)
    """
    for file in (*result.stems, *result.groups, result.bounce):
        _check_length(file, samples_at(sheet.duration_s))
        _check_centre(file)
    _check_sounding(result)
    limit_db = levels.preset(result.options.loudness).peak_db
    if result.bounce.true_peak_db > limit_db + _PEAK_TOLERANCE_DB:
        raise ResultError(
            f"The mix peaks at {result.bounce.true_peak_db:.1f} dBTP, over its limit of {limit_db:.0f}.",
            "Lower the loudest cues, or choose a quieter loudness preset.",
        )


def _check_length(file: StemFile, wanted: int) -> None:
    held = len(bwf.read_wav(file.path)[0])
    if held != wanted:
        raise ResultError(f"{file.path.name} is {held} samples long, not {wanted}.", "Score again.")


def _check_centre(file: StemFile) -> None:
    if file.stem is not None and file.stem is not Stem.DIALOGUE and abs(file.dc) > _DC_LIMIT:
        raise ResultError(
            f"The {file.stem} stem has an offset of {file.dc:.3f} of full scale.", "Choose another performer for it."
        )


def _check_sounding(result: MixResult) -> None:
    asked = any(file.placements for file in result.stems) and result.options.mix > 0
    if asked and result.bounce.silent:
        raise ResultError("The mix is silent though cues were asked for.", "Raise the gain of the cues.")
