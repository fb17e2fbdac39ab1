# SPDX-License-Identifier: AGPL-3.0-or-later
"""From an OTIO clip to its media: which file, which streams, and where its source range lies on the media's clock."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote, urlsplit

import opentimelineio as otio

from immersivaudio.engine.cue import Clip, Span
from immersivaudio.engine.errors import AccessError, EngineError
from immersivaudio.engine.importers import dialects
from immersivaudio.engine.importers.events import Event
from immersivaudio.engine.importers.exact import seconds, snap
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.media import Probe
from immersivaudio.engine.timecode import Timecode

Prober = Callable[[Path], Probe]
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_MAC_DISK = "/Macintosh HD"
_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")


@dataclass(slots=True)
class Library:
    """Finds and probes each media file once."""

    folder: Path | None
    media_by_url: Mapping[str, Path]
    prober: Prober
    grumbles: Grumbles
    inside_only: bool = False
    _known: dict[str, Probe | str] = field(default_factory=dict)

    def probe(self, clip: otio.schema.Clip) -> Probe | None:
        """The media of ``clip``, or None with a warning that names clip and file."""
        reference = clip.media_reference
        if isinstance(reference, otio.schema.ExternalReference) and reference.target_url:
            found = self._lookup(reference.target_url)
            if isinstance(found, Probe):
                return found
            self.grumbles.add(f"{found} Used by {{clips}}.", clip.name)
        elif isinstance(reference, otio.schema.GeneratorReference):
            self.grumbles.add("Titles and generators have no media to look at: {clips}.", clip.name)
        elif isinstance(reference, otio.schema.ImageSequenceReference):
            self.grumbles.add("Image sequences are not read; export them as a movie: {clips}.", clip.name)
        else:
            self.grumbles.add("These clips name no media file (titles, or offline): {clips}.", clip.name)
        return None

    def length_s(self, clip: otio.schema.Clip) -> Fraction | None:
        """How long the media of ``clip`` is, where it can be read."""
        probe = self.probe(clip)
        return probe.duration_s if probe else None

    def channels(self, media: str) -> int:
        """How many sound channels a probed file has, over all its streams."""
        known = (probe for probe in self._known.values() if isinstance(probe, Probe) and str(probe.path) == media)
        return next((_channel_count(probe) for probe in known), 0)

    def _lookup(self, url: str) -> Probe | str:
        if url not in self._known:
            self._known[url] = self._search(url)
        return self._known[url]

    def _search(self, url: str) -> Probe | str:
        problem = f"The media file {url} is missing."
        for path in self.candidates(url):
            try:
                return self.prober(path)
            except AccessError as error:
                return f"The media file {url} may not be read: {error.message}"
            except EngineError as error:
                if _is_file(path):
                    problem = f"The media file {url} cannot be used: {error.message}"
            except (OSError, ValueError):
                continue
        return problem

    def candidates(self, url: str) -> Iterator[Path]:
        """Where the file may be: as given by the caller, as the timeline says, or beside the timeline."""
        if url in self.media_by_url:
            yield self.media_by_url[url]
            return
        tried = set()
        for name in path_names(url):
            path = Path(name)
            if not path.is_absolute():
                if self.folder is None:
                    continue
                path = self.folder / path
            if self.inside_only and not _is_inside(path, self.folder):
                continue
            if path not in tried:
                tried.add(path)
                yield path
        beside = self.folder / PureWindowsPath(path_names(url)[-1]).name if self.folder and path_names(url) else None
        if beside and beside not in tried and _is_file(beside):
            yield beside


def path_names(url: str) -> list[str]:
    """The file names that a ``target_url`` may mean, likeliest first; none for a network address."""
    if "\0" in url:
        return []
    if url.lower().startswith("file:"):
        split = urlsplit(url.replace("\\", "/").replace("#", "%23").replace("?", "%3F"))
        raw = split.path if split.netloc in ("", "localhost") else f"//{split.netloc}{split.path}"
        names = [unquote(raw), raw]
    elif _SCHEME.match(url) and not _DRIVE.match(url):
        return []
    else:
        names = [url, unquote(url)]
    names += [name.removeprefix(_MAC_DISK) for name in names if name.startswith(f"{_MAC_DISK}/")]
    return list(dict.fromkeys(name[1:] if _DRIVE.match(name) and name[0] == "/" else name for name in names if name))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_inside(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


@dataclass(frozen=True, slots=True)
class Placer:
    """Turns events into clips of the edit."""

    library: Library
    rate: Fraction

    def skips(self, event: Event) -> bool:
        """Whether ``event`` is the sound (or picture) of a file that turns out to have none, which nobody asked for."""
        if not dialects.ours(event.clip).get("optional"):
            return False
        probe = self.library.probe(event.clip)
        return probe is not None and not (probe.video if event.kind == "video" else probe.audio)

    def clip(self, event: Event, number: int) -> Clip:
        """``event`` as the ``number``-th clip of its track."""
        probe = self._usable(event)
        channels = _channels(event, probe)
        silent = bool(probe and channels and min(channels) >= _channel_count(probe))
        if silent:
            self.library.grumbles.add("Sound channels that the media has not are left out: {clips}.", event.clip.name)
        source = self._source(event, probe)
        gain, moves = dialects.gain_db(event.clip)
        if moves:
            self.library.grumbles.add(
                "Volume keyframes of the original sound are not followed: {clips}.", event.clip.name
            )
        fade_in, fade_out = dialects.fades_s(event.clip, self.rate) if event.kind == "audio" else (Fraction(0),) * 2
        return Clip(
            id=f"{event.kind[0]}{event.track + 1}.{number}",
            name=event.clip.name,
            kind=event.kind,
            track=event.track,
            media=str(probe.path) if probe else None,
            source=source,
            record=event.record,
            speed=event.speed,
            enabled=event.enabled and not silent,
            channels=tuple(one for one in channels if probe is None or silent or one < _channel_count(probe)),
            gain_db=gain,
            fade_in_s=max(event.fade_in_s, fade_in),
            fade_out_s=max(event.fade_out_s, fade_out),
            rate=snap(probe.video[0].rate) if probe and probe.video and event.kind == "video" else self.rate,
            url=getattr(event.clip.media_reference, "target_url", "") or "",
        )

    def _usable(self, event: Event) -> Probe | None:
        probe = self.library.probe(event.clip)
        if probe is None or (probe.video if event.kind == "video" else probe.audio):
            return probe
        what = "picture" if event.kind == "video" else "sound"
        self.library.grumbles.add(
            f"{probe.path.name} has no {what}, which these clips ask of it: {{clips}}.", event.clip.name
        )
        return None

    def _source(self, event: Event, probe: Probe | None) -> Span:
        """``event.source`` on the media's clock from its first frame."""
        origins = list(_origins(event.clip, probe))
        if probe is None:
            return replace(event.source, start_s=event.source.start_s - origins[0])
        slack = 1 / (snap(probe.video[0].rate) if probe.video else self.rate)
        shifted = [replace(event.source, start_s=event.source.start_s - origin) for origin in origins]
        fitting = [span for span in shifted if _fits(span, probe.duration_s, slack)]
        touching = [span for span in shifted if -slack <= span.start_s < probe.duration_s]
        best = (fitting or touching or shifted)[0]
        self._say(event, probe, best, told=shifted[0], slack=slack)
        return replace(best, start_s=max(best.start_s, Fraction(0))) if best.start_s >= -slack else best

    def _say(self, event: Event, probe: Probe, best: Span, *, told: Span, slack: Fraction) -> None:
        name, file = event.clip.name, probe.path.name
        if best != told and event.clip.media_reference.available_range is not None:
            self.library.grumbles.add(
                f"The ranges of {file} fit another start than the timeline says, which is used: {{clips}}.",
                name,
            )
        if not _fits(best, probe.duration_s, slack):
            self.library.grumbles.add(
                f"{file} lasts {float(probe.duration_s):.2f} s, less than these clips use of it: {{clips}}.", name
            )


def _fits(span: Span, duration_s: Fraction, slack: Fraction) -> bool:
    return span.start_s >= -slack and span.end_s <= duration_s + slack


def _origins(clip: otio.schema.Clip, probe: Probe | None) -> Iterator[Fraction]:
    """On the clip's clock, the moments that may be the media's first frame, likeliest first."""
    available = clip.media_reference.available_range if clip.media_reference else None
    if available is not None:
        yield seconds(available.start_time)
    if probe and probe.start_timecode:
        try:
            code = Timecode.parse(probe.start_timecode)
        except EngineError:
            code = None
        if code:
            if clip.source_range is not None:
                yield code.at(snap(clip.source_range.start_time.rate))
            if probe.video:
                yield code.at(snap(probe.video[0].rate))
    yield Fraction(0)


def _channel_count(probe: Probe) -> int:
    return sum(stream.channels for stream in probe.audio)


def per_channel(clips: list[Clip], library: Library) -> list[Clip]:
    """Like sound clips on several tracks that say no channel are one channel each, in the order of the tracks; those
    beyond the media's last channel are switched off."""
    groups: dict[object, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        if clip.kind == "audio" and clip.media and clip.enabled and not clip.channels:
            groups[clip.media, clip.record, clip.source, clip.speed].append(index)
    made = list(clips)
    for alike in groups.values():
        count = library.channels(clips[alike[0]].media or "")
        if len(alike) < 2 or len({clips[index].track for index in alike}) < len(alike):
            continue
        for channel, index in enumerate(alike):
            made[index] = replace(clips[index], channels=(min(channel, count - 1),), enabled=channel < count)
    return made


def _channels(event: Event, probe: Probe | None) -> tuple[int, ...]:
    if event.kind != "audio":
        return ()
    return dialects.channels(event.clip, tuple(stream.channels for stream in probe.audio) if probe else ())
