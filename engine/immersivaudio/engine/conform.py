# SPDX-License-Identifier: AGPL-3.0-or-later
"""A timeline in, flat clips on exact time out: nests, dissolves, retimes, freezes, mixed rates, start timecodes.

``read`` takes a file of any editor, ``conform`` an OTIO timeline in memory, ``from_json`` its text, ``single`` one
media file. What cannot be honoured becomes a sentence in ``Edit.warnings``; what makes no sense a TimelineError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio

from immersivaudio.engine import importers, media
from immersivaudio.engine.cue import Clip, Edit, Span
from immersivaudio.engine.errors import EngineError, TimelineError
from immersivaudio.engine.importers import dialects, otio_json
from immersivaudio.engine.importers.events import Event
from immersivaudio.engine.importers.exact import seconds
from immersivaudio.engine.importers.exact import snap as snap
from immersivaudio.engine.importers.flatten import Flattener
from immersivaudio.engine.importers.sources import Library, Placer, Prober, per_channel
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.timecode import Timecode

LONGEST_S = 24 * 3600
TIMELINE_ENDINGS = importers.ENDINGS
_RATE_WITHOUT_PICTURE = Fraction(25)
_FASTEST_PICTURE = 1000
_NOTHING: Mapping[str, Path] = {}


def read(
    path: Path,
    media_by_url: Mapping[str, Path] = _NOTHING,
    prober: Prober = media.probe,
    scratch: Path | None = None,
    rate: Fraction | None = None,
    scored: bool = True,
) -> tuple[otio.schema.Timeline, Edit]:
    """A timeline file by its ending. ``media_by_url`` says where media named by the timeline really lie; a bundle's
    media are unpacked into ``scratch`` (else into a folder that lives as long as this process). ``rate`` is the frame
    rate of formats that do not say it (EDL, MLT without a profile). ``scored`` False leaves out the lanes of an earlier
    score, for a new one to replace.

    Raises:
        TimelineError: it cannot be understood, or is absurd (over 24 hours, 50,000 clips, 256 MiB).
    """
    grumbles = Grumbles()
    imported = importers.read(path, grumbles, scratch, rate)
    if not scored:
        _forget_lanes(imported.timeline, grumbles)
    library = Library(imported.folder, media_by_url, prober, grumbles, imported.inside_only)
    return imported.timeline, _conformed(imported.timeline, imported.timeline.name or path.stem, library)


def _forget_lanes(timeline: otio.schema.Timeline, grumbles: Grumbles) -> None:
    """Take out the lanes of an earlier score, by their metadata: they are no original sound, and new ones replace them.
    One on which somebody put a clip of his own stays."""
    for track in [one for one in timeline.tracks if dialects.ours(one).get("generated") is True]:
        if all(dialects.ours(clip).get("generated") is True for clip in track.find_clips()):
            grumbles.add(f"The lane {track.name} is of an earlier score: it is left out, and the new lanes replace it.")
            timeline.tracks.remove(track)


def conform(
    timeline: otio.schema.Timeline,
    name: str,
    folder: Path | None = None,
    media_by_url: Mapping[str, Path] = _NOTHING,
    prober: Prober = media.probe,
) -> Edit:
    """An OTIO timeline that is already in memory; relative media names are looked for in ``folder``."""
    return _conformed(timeline, name, Library(folder, media_by_url, prober, Grumbles()))


def from_json(
    text: str,
    media_by_url: Mapping[str, Path] = _NOTHING,
    prober: Prober = media.probe,
    folder: Path | None = None,
    name: str = "",
    scored: bool = True,
) -> tuple[otio.schema.Timeline, Edit]:
    """OTIO JSON as it comes over the wire; see :func:`read`."""
    grumbles = Grumbles()
    timeline = otio_json.parse(text, grumbles)
    if not scored:
        _forget_lanes(timeline, grumbles)
    library = Library(folder, media_by_url, prober, grumbles)
    return timeline, _conformed(timeline, name or timeline.name or "timeline", library)


def single(probe: media.Probe, name: str) -> Edit:
    """One media file as an edit: its picture and its first sound; without a picture only the sound, at 25 fps.

    Raises:
        TimelineError: it lasts no time at all, or more than a day.
    """
    if not 0 < probe.duration_s <= LONGEST_S:
        raise TimelineError(f"{name} lasts {float(probe.duration_s):.0f} s.", "Choose media of up to 24 hours.")
    rate = snap(probe.video[0].rate) if probe.video else _RATE_WITHOUT_PICTURE
    kinds = (*(("video",) if probe.video else ()), *(("audio",) if probe.audio else ()))
    clips = tuple(_whole(probe, name, kind, rate) for kind in kinds)
    start, drop = media_start(probe, rate)
    picture = tuple(clip for clip in clips if clip.kind == "video")
    return Edit(name, rate, probe.duration_s, start, drop, clips, picture, probe.warnings)


def _whole(probe: media.Probe, name: str, kind: str, rate: Fraction) -> Clip:
    span = Span(Fraction(0), probe.duration_s)
    return Clip(f"{kind[0]}1.1", name, kind, 0, str(probe.path), span, span, rate=rate)


def media_start(probe: media.Probe, rate: Fraction) -> tuple[Fraction, bool]:
    """The timecode of a file's first frame in seconds, and whether it drops frames; 0 where it has none."""
    if not probe.start_timecode:
        return Fraction(0), False
    try:
        start = Timecode.parse(probe.start_timecode)
    except EngineError:
        return Fraction(0), False
    return start.at(rate), start.drop


def _conformed(timeline: otio.schema.Timeline, name: str, library: Library) -> Edit:
    events, duration_s = Flattener(library.length_s, library.grumbles).timeline(timeline)
    if duration_s <= 0:
        raise TimelineError(f"The timeline {name} is empty.", "Put at least one clip on it.")
    if duration_s > LONGEST_S:
        raise TimelineError(f"The timeline {name} lasts over 24 hours.", "Export it in parts.")
    rate = _rate(timeline, library.grumbles)
    start = timeline.global_start_time
    placed = _placed(events, Placer(library, rate))
    return Edit(
        name=name,
        rate=rate,
        duration_s=duration_s,
        start_timecode_s=seconds(start) if start is not None else Fraction(0),
        drop_frame=bool(dialects.ours(timeline).get("drop_frame", False)),
        clips=tuple(clip for _event, clip in placed),
        picture=_picture(placed),
        warnings=library.grumbles.sentences(),
    )


def _placed(events: list[Event], placer: Placer) -> list[tuple[Event, Clip]]:
    numbers: Counter[tuple[str, int]] = Counter()
    kept = [event for event in events if not placer.skips(event)]
    clips = []
    for event in kept:
        numbers[event.kind, event.track] += 1
        clips.append(placer.clip(event, numbers[event.kind, event.track]))
    return list(zip(kept, per_channel(clips, placer.library), strict=True))


def _rate(timeline: otio.schema.Timeline, grumbles: Grumbles) -> Fraction:
    """The edit's own rate: its importer's word, its start timecode's, else that of most items on its video tracks."""
    named = dialects.fraction(dialects.ours(timeline).get("rate"))
    if named and 0 < named <= _FASTEST_PICTURE:
        return snap(named)
    start = timeline.global_start_time
    if start is not None and start.value > 0 and 0 < start.rate <= _FASTEST_PICTURE:
        return snap(start.rate)
    for kind in (otio.schema.TrackKind.Video, otio.schema.TrackKind.Audio):
        votes = Counter(
            snap(item.source_range.duration.rate)
            for track in timeline.tracks
            if isinstance(track, otio.schema.Track) and track.kind == kind
            for item in track
            if isinstance(item, otio.core.Item) and item.source_range is not None
        )
        plausible = [rate for rate, _count in votes.most_common() if rate <= _FASTEST_PICTURE]
        if plausible:
            return plausible[0]
    grumbles.add(f"The timeline names no frame rate; {_RATE_WITHOUT_PICTURE} is taken.")
    return _RATE_WITHOUT_PICTURE


def _picture(placed: list[tuple[Event, Clip]]) -> tuple[Clip, ...]:
    """What is seen: the topmost enabled video clip with media at each moment, dissolves cut at their middle."""
    seen: list[Clip] = []
    covered: list[Span] = []
    for event, clip in reversed(placed):
        core = event.core.overlap(clip.record)
        if clip.kind != "video" or not clip.enabled or clip.media is None or core is None:
            continue
        seen += [clip.trimmed(part) for part in _uncovered(core, covered)]
        covered = _joined(covered, core)
    return tuple(sorted(seen, key=lambda clip: clip.record.start_s))


def _uncovered(span: Span, covered: list[Span]) -> list[Span]:
    parts, at = [], span.start_s
    for cover in covered:
        if cover.end_s <= at:
            continue
        if cover.start_s >= span.end_s:
            break
        if cover.start_s > at:
            parts.append(Span.between(at, cover.start_s))
        at = cover.end_s
    if at < span.end_s:
        parts.append(Span.between(at, span.end_s))
    return parts


def _joined(covered: list[Span], new: Span) -> list[Span]:
    """``covered`` (in order, apart) with ``new`` merged in."""
    start, end = new.start_s, new.end_s
    before = [span for span in covered if span.end_s < start]
    after = [span for span in covered if span.start_s > end]
    for span in covered[len(before) : len(covered) - len(after)]:
        start, end = min(start, span.start_s), max(end, span.end_s)
    return [*before, Span.between(start, end), *after]
