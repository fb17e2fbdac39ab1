# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where every sound comes from: the provenance that travels with a delivery, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from immersivaudio.engine.cue import Cue, CueSheet, Edit, Example, Licence, Take
from immersivaudio.engine.errors import CancelledError
from immersivaudio.engine.media import Encoded
from immersivaudio.engine.mixing import MixResult, StemFile

FORMAT = "immersivaudio.manifest/1"
_CHUNK_BYTES = 1 << 22


def manifest(
    edit: Edit, sheet: CueSheet, takes: Mapping[str, Take], mixed: MixResult, cancelled: Callable[[], bool]
) -> dict[str, Any]:
    """Plain data: the inputs' digests, every cue's performer, version, seed, take and licence, every performer with its
    licence, the text to paste, the strictest licence of all, and the loudness that was measured.
    """
    heard = [(cue, takes[cue.id]) for cue in sheet.sounding() if cue.id in takes]
    return {
        "format": FORMAT,
        "engine": {"name": "immersivaudio", "version": version("immersivaudio")},
        "name": sheet.name,
        "generated": True,
        "duration_s": float(edit.duration_s),
        "rate": str(edit.rate),
        "start_timecode_s": float(edit.start_timecode_s),
        "inputs": _inputs(edit, cancelled),
        "licence": _licence_row(strictest(take.licence for _, take in heard)),
        "models": _models(take for _, take in heard),
        "attribution": attribution(take.licence for _, take in heard),
        "loudness": _loudness(mixed),
        "cues": [_cue_row(cue, take) for cue, take in heard],
        "silences": [
            {"start_s": float(one.span.start_s), "duration_s": float(one.span.duration_s), "why": one.why}
            for one in sheet.silences
        ],
        "warnings": list(dict.fromkeys((*edit.warnings, *sheet.warnings, *mixed.warnings))),
    }


def add_takes(rows: dict[str, Any], takes: Mapping[str, Sequence[tuple[Take, str]]]) -> None:
    """Tell of every cue that has more than one take which there are, and in which file each lies."""
    for row in rows["cues"]:
        if found := takes.get(row["cue"]):
            row["takes"] = [_take_row(take, number, file) for number, (take, file) in enumerate(found, 1)]


def add_encoded(rows: dict[str, Any], encoded: Mapping[str, Encoded]) -> None:
    """Tell of every file of a lossy codec by how much it was lowered for that, and where it peaks once decoded."""
    rows["loudness"]["encoded"] = {
        name: {"gain_db": round(one.gain_db, 2), "true_peak_db": round(one.true_peak_db, 2)}
        for name, one in encoded.items()
    }


def _take_row(take: Take, number: int, file: str) -> dict[str, Any]:
    return {
        "number": number,
        "file": file,
        "performer": take.performer,
        "seed": take.seed,
        "take": take.key,
        "params": dict(take.pins),
        "licence": _licence_row(take.licence),
        "notes": list(take.notes),
    }


def strictest(licences: Iterable[Licence]) -> Licence | None:
    """The licence that binds the whole: no commercial use before a territory or a condition, share-alike before what is
    not, attribution before none; None without any."""
    ranked = sorted(set(licences), key=_freedom)
    return ranked[0] if ranked else None


def _freedom(licence: Licence) -> tuple[bool, bool, bool, bool, bool, str]:
    alike = "-SA" in licence.name.upper()
    return (
        licence.commercial_use,
        not licence.territory,
        not licence.condition,
        not alike,
        not licence.attribution,
        licence.name,
    )


def attribution(licences: Iterable[Licence]) -> str:
    """The text to paste where the result is published: each line once; empty where nobody asks to be named."""
    return "\n".join(sorted({licence.attribution for licence in licences if licence.attribution}))


def _models(takes: Iterable[Take]) -> list[dict[str, Any]]:
    """Every performer and version that is heard, with what may be done with it, and in how many cues."""
    counted = Counter((take.performer, take.performer_version, take.licence) for take in takes)
    return [
        {"performer": performer, "version": version, "cues": cues, "licence": _licence_row(licence)}
        for (performer, version, licence), cues in sorted(
            counted.items(), key=lambda row: (row[0][0], row[0][1], row[0][2].name)
        )
    ]


def to_text(rows: Mapping[str, Any]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _inputs(edit: Edit, cancelled: Callable[[], bool]) -> list[dict[str, Any]]:
    paths = sorted({clip.media for clip in edit.clips if clip.media and clip.enabled})
    return [_input_row(Path(path), cancelled) for path in paths]


def _input_row(path: Path, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """The file's name (not its folder, which is nobody else's business), length and sha256; no sha256 where it is gone."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                if cancelled():
                    raise CancelledError("The delivery was stopped.")
                digest.update(chunk)
            return {"name": path.name, "size_bytes": file.tell(), "sha256": digest.hexdigest()}
    except OSError:
        return {"name": path.name, "size_bytes": 0, "sha256": ""}


def _licence_row(licence: Licence | None) -> dict[str, Any] | None:
    if licence is None:
        return None
    return {
        "name": licence.name,
        "commercial_use": licence.commercial_use,
        "attribution": licence.attribution,
        "source": licence.source,
        "territory": licence.territory,
        "condition": licence.condition,
    }


def _example_row(example: Example) -> dict[str, Any]:
    """The recording that a cue sounds like: its file's name and digest, and what its owner allows."""
    return {"name": example.name, "sha256": example.sha256, "licence": example.licence or "user's own"}


def _cue_row(cue: Cue, take: Take) -> dict[str, Any]:
    return {
        "cue": cue.id,
        "stem": cue.stem.value,
        "sound": cue.sound,
        "start_s": float(cue.span.start_s),
        "duration_s": float(cue.span.duration_s),
        "why": cue.why,
        "performer": take.performer,
        "performer_version": take.performer_version,
        "seed": take.seed,
        "params": {**cue.params, **take.pins},
        "take": take.key,
        "licence": _licence_row(take.licence),
        **({"example": _example_row(cue.example)} if cue.example is not None else {}),
        "notes": list(take.notes),
    }


def _loudness(mixed: MixResult) -> dict[str, Any]:
    return {
        "preset": mixed.options.loudness,
        "mix": mixed.options.mix,
        "original_kept": mixed.options.keep_original,
        "master_gain_db": round(mixed.gain_db, 3),
        "speech_trim_db": round(mixed.trim_db, 3),
        "limited_db": round(mixed.limited_db, 3),
        "bounce": _level_row(mixed.bounce),
        "stems": {file.name: _level_row(file) for file in mixed.lanes},
    }


def _level_row(file: StemFile) -> dict[str, Any]:
    lufs = file.integrated_lufs
    return {
        "integrated_lufs": None if lufs is None else round(lufs, 2),
        "true_peak_db": round(file.true_peak_db, 2),
        "silent": file.silent,
    }


def summary(cues: Sequence[Cue], takes: Mapping[str, Take]) -> dict[str, str]:
    """One stem's cues in the words of its iXML chunk."""
    heard = [(cue, takes[cue.id]) for cue in cues if cue.id in takes]
    licence = strictest(take.licence for _, take in heard)
    return {
        "GENERATED": "TRUE",
        "GENERATOR": f"immersivaudio {version('immersivaudio')}",
        "CUES": "; ".join(f"{cue.id}={cue.sound}@{float(cue.span.start_s):.3f}s" for cue, _ in heard),
        "PERFORMERS": ", ".join(sorted({f"{take.performer} {take.performer_version}" for _, take in heard})),
        "SEEDS": ", ".join(str(take.seed) for _, take in heard),
        "LICENCE": licence.name if licence else "",
        "ATTRIBUTION": attribution(take.licence for _, take in heard),
    }
