# SPDX-License-Identifier: AGPL-3.0-or-later
"""A page to look at: the lanes of a mix with every cue and why it is there, in one HTML file that fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from immersivaudio.engine import report_drawing
from immersivaudio.engine.cue import Cue, CueSheet, Edit, Licence, Take
from immersivaudio.engine.levels import preset
from immersivaudio.engine.manifest import strictest
from immersivaudio.engine.mixing import MixResult, StemFile
from immersivaudio.engine.report_drawing import clock
from immersivaudio.engine.report_style import STYLE


def page(edit: Edit, sheet: CueSheet, takes: Mapping[str, Take], mixed: MixResult) -> str:
    """The whole page: numbers, lanes, cues, silences, warnings and licences. Reads the mix's float files."""
    title = escape(edit.name)
    body = "".join(
        (
            f"<header><p class=brand>Immersivaudio</p><h1>{title}</h1><p class=sub>{_subtitle(edit, sheet)}</p></header>",
            _tiles(edit, mixed, takes),
            _warnings((*edit.warnings, *sheet.warnings, *mixed.warnings)),
            f"<section class=lanes>{report_drawing.lanes(sheet, mixed)}{_legend()}</section>",
            _cue_table(sheet, takes),
            _silence_table(sheet),
            _level_table(mixed),
            _licences(takes[cue.id] for cue in sheet.sounding() if cue.id in takes),
        )
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} – sound report</title>'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _subtitle(edit: Edit, sheet: CueSheet) -> str:
    rate = f"{float(edit.rate):.3f}".rstrip("0").rstrip(".")
    cues = len(sheet.sounding())
    return f"{clock(float(sheet.duration_s))} · {rate} frames a second · {cues} cue{'' if cues == 1 else 's'}"


def _original(edit: Edit, mixed: MixResult) -> str:
    if not edit.sound_clips():
        return "none"
    return "kept" if mixed.options.keep_original else "replaced"


def _tiles(edit: Edit, mixed: MixResult, takes: Mapping[str, Take]) -> str:
    target = preset(mixed.options.loudness)
    aim = f"{mixed.options.loudness}, aims at {target.integrated_lufs:.0f}" if target.integrated_lufs else "left alone"
    licence = strictest(take.licence for take in takes.values())
    rows = [
        ("Loudness", _lufs(mixed.bounce), aim),
        ("True peak", f"{mixed.bounce.true_peak_db:.1f} dBTP", f"never over {target.peak_db:.0f}"),
        ("Master gain", f"{mixed.gain_db:+.1f} dB", f"limiter {mixed.limited_db:.1f} dB at most"),
        ("Original", _original(edit, mixed), _trim(mixed)),
        ("Licence", licence.name if licence else "–", _commercial(licence)),
    ]
    tiles = "".join(
        f"<div class=tile><span>{name}</span><b>{escape(value)}</b><small>{escape(more)}</small></div>"
        for name, value, more in rows
    )
    return f"<section class=tiles>{tiles}</section>"


def _trim(mixed: MixResult) -> str:
    return f"new sound {mixed.trim_db:.1f} dB, to lie under speech" if mixed.trim_db else "levels as spotted"


def _commercial(licence: Licence | None) -> str:
    if licence is None:
        return "nothing was generated"
    return "commercial use allowed" if licence.commercial_use else "no commercial use"


def _lufs(file: StemFile) -> str:
    return "silent" if file.integrated_lufs is None else f"{file.integrated_lufs:.1f} LUFS"


def _warnings(texts: Iterable[str]) -> str:
    rows = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(texts))
    return f"<section class=warn><h2>To look at</h2><ul>{rows}</ul></section>" if rows else ""


def _legend() -> str:
    return (
        "<p class=legend>Height is level, from –60 dB to full scale. A bar is a cue, a short line a moment that is hit, "
        "a fine curve the gain under speech. Hold the pointer over a bar to read why it is there.</p>"
    )


def _cue_table(sheet: CueSheet, takes: Mapping[str, Take]) -> str:
    rows = "".join(_cue_row(cue, takes.get(cue.id)) for cue in sheet.sounding())
    head = "<tr><th>At</th><th>Lane</th><th>Sound</th><th>Why</th><th>Performed by</th><th class=num>Sure</th></tr>"
    return f"<section><h2>Cues</h2><div class=scroll><table>{head}{rows}</table></div></section>"


def _cue_row(cue: Cue, take: Take | None) -> str:
    until = clock(float(cue.span.end_s))
    by = "not performed" if take is None else f"{take.performer} {take.performer_version}, seed {take.seed}"
    return (
        f"<tr><td class=num>{clock(float(cue.span.start_s))}<small>to {until}</small></td>"
        f'<td><i class="dot {cue.stem.value}"></i>{cue.stem.value}</td>'
        f"<td>{escape(cue.prompt or cue.sound)}<small>{escape(cue.sound)} · {escape(cue.id)}</small></td>"
        f"<td>{escape(cue.why)}</td><td>{escape(by)}</td><td class=num>{cue.confidence:.0%}</td></tr>"
    )


def _silence_table(sheet: CueSheet) -> str:
    rows = "".join(
        f"<tr><td class=num>{clock(float(one.span.start_s))}<small>to {clock(float(one.span.end_s))}</small></td>"
        f"<td>{escape(one.why)}</td></tr>"
        for one in sheet.silences
    )
    return f"<section><h2>Silence on purpose</h2><table>{rows}</table></section>" if rows else ""


def _level_table(mixed: MixResult) -> str:
    rows = "".join(
        f"<tr><td>{'the mix' if file.stem is None else file.name.replace('-', ' ')}</td>"
        f"<td class=num>{_lufs(file)}</td><td class=num>{file.true_peak_db:.1f} dBTP</td></tr>"
        for file in (*mixed.lanes, mixed.bounce)
    )
    head = "<tr><th>Lane</th><th class=num>Loudness</th><th class=num>True peak</th></tr>"
    return f"<section><h2>Levels</h2><table>{head}{rows}</table></section>"


def _licences(takes: Iterable[Take]) -> str:
    rows = "".join(
        f"<li><b>{escape(licence.name)}</b> {escape(licence.attribution or licence.source)}</li>"
        for licence in sorted({take.licence for take in takes}, key=lambda licence: licence.name)
    )
    note = "Everything on the lanes above except the original was generated by machine."
    return f"<section class=foot><h2>Provenance</h2><ul>{rows}</ul><p>{note}</p></section>"
