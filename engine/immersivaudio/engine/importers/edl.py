# SPDX-License-Identifier: AGPL-3.0-or-later
"""CMX 3600 edit decision lists, as Avid, Premiere, Resolve and others write them.

The record side is the truth: a clip lasts as long as it is recorded. The frame rate is said nowhere in the format, so
it is read off the frame numbers and the FCM line, unless the caller knows it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio

from immersivaudio.engine.errors import TimelineError
from immersivaudio.engine.importers import lanes
from immersivaudio.engine.importers.exact import snap
from immersivaudio.engine.importers.lanes import Budget, Piece, Source
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.timecode import Timecode, drops

_CODE = r"(\d{1,2}[:;.,]\d\d[:;.,]\d\d[:;.,]\d{2,3})"
_EVENT = re.compile(
    rf"^\s*(\d+\w?)\s+(.+?)\s+([A-Z0-9/]+)\s+(C|D|W\d*|K\s?[BO]?)\s+(\d+\s+)?{_CODE}\s+{_CODE}\s+{_CODE}\s+{_CODE}\s*$",
    re.IGNORECASE,
)
_SPEED = re.compile(rf"^\s*M2\s+(.+?)\s+(-?[\d.]+)\s+{_CODE}\s*$", re.IGNORECASE)
_RATE = re.compile(r"(?:fps|frame\s*rate|framerate|timebase)\s*[:=]\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_SOUND = re.compile(r"^AUD\s+([\d\s]+)$", re.IGNORECASE)
_COMMENT = re.compile(
    r"^\s*\*?\s*(FROM CLIP NAME|TO CLIP NAME|SOURCE FILE|MEDIA FILE|FROM FILE|TO FILE)\s*:\s*(.*?)\s*$", re.IGNORECASE
)
_PATCH = re.compile(r"PATCH .*FROM SOURCE (\d+) TO RECORD (\d+)", re.IGNORECASE)
_BLACK = {"BL", "BLACK", "BLK"}
_ZERO = Fraction(0)
_RATES_BY_TOP_FRAME = ((24, 24), (25, 25), (30, 30), (48, 48), (50, 50), (60, 60), (100, 100), (120, 120))


@dataclass(slots=True)
class _Event:
    number: str
    reel: str
    channels: list[str]
    wipe: bool
    overlap_frames: int
    source: tuple[Timecode, Timecode]
    record: tuple[Timecode, Timecode]
    drop: bool
    names: dict[str, str] = field(default_factory=dict)
    patches: dict[int, int] = field(default_factory=dict)
    speed: Fraction | None = None

    @property
    def black(self) -> bool:
        return self.reel.upper() in _BLACK


def read(path: Path, grumbles: Grumbles, rate: Fraction | None = None) -> otio.schema.Timeline:
    """The timeline of an EDL; ``rate`` overrules what its frame numbers suggest.

    Raises:
        TimelineError: it holds no event, or frame numbers that ``rate`` has not.
    """
    raw = path.read_bytes()
    if b"\0" in raw:
        raise TimelineError(f"{path.name} is no text, so no EDL.", "Export a CMX 3600 EDL.")
    lines = raw.decode("utf-8-sig", errors="replace").splitlines()
    title, events = _events(lines, grumbles)
    if not events:
        raise TimelineError(f"{path.name} holds no event that can be read.", "Export a CMX 3600 EDL.")
    rate = rate or _stated(lines) or _guessed(events, grumbles)
    return _Reader(events, rate, grumbles).timeline(title or path.stem)


def _events(lines: list[str], grumbles: Grumbles) -> tuple[str, list[_Event]]:
    title, drop, events, odd = "", False, [], 0
    budget = Budget()
    for line in lines:
        upper = line.strip().upper()
        if upper.startswith("TITLE:"):
            title = line.split(":", 1)[1].strip()
        elif upper.startswith("FCM:"):
            drop = "NON" not in upper and "DROP" in upper
        elif match := _EVENT.match(line):
            budget.spend()
            events.append(_event(match, drop))
        elif upper[:1].isdigit() and re.search(_CODE, line):
            odd += 1
        elif events:
            _annotate(events, line)
    if odd:
        grumbles.add(f"{odd} event lines of the EDL cannot be read and are left out.")
    return title, events


def _event(match: re.Match[str], drop: bool) -> _Event:
    codes = [Timecode.parse(match[group]) for group in range(6, 10)]
    kind = match[4].upper()
    overlap = int(match[5]) if match[5] and kind[0] in "DW" else 0
    drop = drop or codes[2].drop
    source, record = (codes[0], codes[1]), (codes[2], codes[3])
    return _Event(match[1], match[2].strip(), _channels(match[3]), kind[0] in "DW", overlap, source, record, drop)


def _channels(text: str) -> list[str]:
    """``AA/V`` is A1, A2 and V; ``B`` is A1 and V; ``NONE`` waits for an AUD line."""
    found: list[str] = []
    for token in text.upper().split("/"):
        if token == "B":
            found += ["V", "A1"]
        elif token in ("A", "AA", "AV", "VA", "AAV"):
            found += ["V"] * ("V" in token) + [f"A{channel + 1}" for channel in range(token.count("A"))]
        elif re.fullmatch(r"A\d+", token):
            found.append(f"A{int(token[1:])}")
        elif re.fullmatch(r"V\d*", token):
            found.append("V" if token in ("V", "V1") else token)
    return list(dict.fromkeys(found))


def _annotate(events: list[_Event], line: str) -> None:
    last = events[-1]
    if match := _SPEED.match(line):
        same = [event for event in events[-2:] if event.reel == match[1].strip() and event.number == last.number]
        target = next((event for event in reversed(same) if event.speed is None), last)
        target.speed = Fraction(match[2])
    elif match := _SOUND.match(line.strip()):
        last.channels += [f"A{int(channel)}" for channel in match[1].split() if f"A{int(channel)}" not in last.channels]
    elif match := _PATCH.search(line):
        last.patches[int(match[2])] = int(match[1])
    elif match := _COMMENT.match(line):
        last.names.setdefault(match[1].upper(), match[2])


def _stated(lines: list[str]) -> Fraction | None:
    for line in lines:
        if not line.lstrip().upper().startswith(("M2", "REM")) and (match := _RATE.search(line)):
            return snap(Fraction(match[1]))
    return None


def _guessed(events: list[_Event], grumbles: Grumbles) -> Fraction:
    top = max(code.frames for event in events for code in (*event.source, *event.record))
    nominal = next((rate for frames, rate in _RATES_BY_TOP_FRAME if top < frames), 0)
    if not nominal:
        raise TimelineError(f"The EDL counts up to frame {top} in a second.", "Export it again.")
    if any(event.drop for event in events):
        return Fraction(max(30, -(-nominal // 30) * 30) * 1000, 1001)
    if nominal == 25:
        return Fraction(25)
    exact = Fraction(nominal * 1000, 1001) if nominal in (30, 60) else Fraction(nominal)
    shown = f"{float(exact):.2f}".rstrip("0").rstrip(".")
    other = f"{float(nominal if exact != nominal else Fraction(nominal * 1000, 1001)):.2f}".rstrip("0").rstrip(".")
    grumbles.add(f"The EDL does not say its frame rate; its frame numbers suggest {shown} (it could be {other}).")
    return exact


class _Reader:
    def __init__(self, events: list[_Event], rate: Fraction, grumbles: Grumbles) -> None:
        self._events, self._rate, self._grumbles = events, rate, grumbles
        nominal = round(rate)
        if any(code.frames >= nominal for event in events for code in (*event.source, *event.record)):
            raise TimelineError(f"The EDL has frame numbers that {nominal} fps has not.", "Give its frame rate.")
        self._drop = any(event.drop for event in events) and drops(rate)
        starts = [self._at(event.record[0]) for event in events if self._span(event)]
        self._start_s = _earliest(starts, self._day_s)

    def timeline(self, name: str) -> otio.schema.Timeline:
        by_track: dict[str, list[_Event]] = defaultdict(list)
        for event in self._events:
            for channel in event.channels:
                by_track[channel].append(event)
        made: list[otio.schema.Track] = []
        for channel in sorted(by_track, key=lambda channel: (channel[0] != "V", int(channel[1:] or 1))):
            kind = "Video" if channel[0] == "V" else "Audio"
            made += lanes.tracks(channel, kind, self._pieces(channel, by_track[channel]), self._rate)
        return lanes.timeline(name, self._rate, self._start_s, made, self._drop)

    def _at(self, code: Timecode) -> Fraction:
        return code.at(self._rate, self._drop)

    def _span(self, event: _Event) -> Fraction:
        start, end = (self._at(code) for code in event.record)
        return end - start if end >= start else end + self._day_s - start

    @property
    def _day_s(self) -> Fraction:
        return Timecode(24, 0, 0, 0, False).at(self._rate, self._drop)

    def _pieces(self, channel: str, events: list[_Event]) -> Iterator[Piece]:
        """The events of one channel; the picture that a dissolve leaves plays on under it."""
        laid: list[Piece] = []
        for index, event in enumerate(events):
            duration = self._span(event)
            at = (self._at(event.record[0]) - self._start_s) % self._day_s
            overlap = min(Fraction(event.overlap_frames) / self._rate, duration) if event.wipe else _ZERO
            if overlap and laid:
                self._play_on(laid, at, overlap, events[index - 1], event)
            if duration and not event.black:
                laid.append(self._piece(channel, event, at, duration))
        yield from laid

    def _play_on(self, laid: list[Piece], at: Fraction, overlap: Fraction, before: _Event, event: _Event) -> None:
        """``before`` of the same number says what is dissolved from; black is nothing to play on."""
        if before.number == event.number and before.black:
            return
        last = laid[-1]
        if last.end_s == at:
            below = overlap * abs(last.speed) if last.speed < 0 else _ZERO
            laid[-1] = replace(last, duration_s=last.duration_s + overlap, source_s=last.source_s - below)

    def _piece(self, channel: str, event: _Event, at: Fraction, duration: Fraction) -> Piece:
        first, last = (self._at(code) for code in event.source)
        used = last - first
        speed = event.speed / round(self._rate) if event.speed is not None else Fraction(1)
        name = _name(event)
        if event.speed is None and used > 0 and abs(used - duration) > max(2 / self._rate, duration / 100):
            self._grumbles.add("Source and record length differ; plays as shot: {clips}.", name)
        source = last - duration * abs(speed) if speed < 0 and used > 0 else first
        facts = {}
        if channel[0] == "A":
            number = int(channel[1:] or 1)
            facts = {"channels": [event.patches.get(number, number) - 1]}
        return Piece(name, at, duration, Source(_file(event)), source, speed, facts=facts)


def _earliest(starts: list[Fraction], day_s: Fraction) -> Fraction:
    """The first record in; a list that runs over midnight starts on the evening before."""
    first = min(starts, default=_ZERO)
    evening = [start for start in starts if start - first > day_s / 2]
    return min(evening, default=first)


def _name(event: _Event) -> str:
    names = event.names
    to = names.get("TO CLIP NAME") if event.wipe else None
    return to or names.get("FROM CLIP NAME") or names.get("SOURCE FILE") or event.reel


def _file(event: _Event) -> str:
    """The file an event is from, as far as an EDL says it: a SOURCE FILE, else a clip name that looks like a file."""
    names = event.names
    told = [names.get(key, "") for key in ("TO FILE", "MEDIA FILE", "SOURCE FILE", "FROM FILE")]
    looks = [name for name in (*told, _name(event), event.reel) if re.search(r"\.\w{2,5}$", name)]
    return next((name for name in (*looks, *told) if name), "")
