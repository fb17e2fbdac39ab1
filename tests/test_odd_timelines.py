# SPDX-License-Identifier: AGPL-3.0-or-later
"""Timelines out of a bag of everything that editors do and should not: each is conformed and comes back out of every
dialect meaning the same, or is refused in one sentence with something to try."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from test_exporters import HIT_FRAMES, HIT_S, is_ours, laid_on, meaning

from immersivaudio.engine import conform, dialects_out
from immersivaudio.engine.cue import Edit
from immersivaudio.engine.errors import EngineError, MediaError, RequestError
from immersivaudio.engine.exporters import fcpxml
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.media import AudioStream, Probe, VideoStream
from immersivaudio.engine.request import DIALECTS

RATES = (23.976, 24000 / 1001, 24, 25, 29.97, 30000 / 1001, 30, 50, 59.94, 60, 12.5, 48000)
URLS = (
    "/films/a b.mov",
    "file:///films/a%20b%23%25.mov",
    "file://localhost/C%3a/Größe/é.mp4",
    r"C:\films\shot 1.mov",
    r"\\server\share\b.mxf",
    "file://server/share/c.mov",
    "../rel/ä & <b>.mp4",
    "https://example.org/x.mp4",
    "100%.mov",
    "日本語.mov",
    "",
    "missing.mov",
    "silent.mov",
    "sound.wav",
)
NAMES = ("", "shot", 'a "b" & <c>', "日本語", "x" * 300, "tab\there", "bell\a", "\ud7ff")
ODD = (float("nan"), float("inf"), -5.0, 0.0, 0.5, 1e12)
SEEDS = 150


def probe(path: Path) -> Probe:
    """Media of every kind, by name."""
    if "missing" in path.name:
        raise MediaError("It is missing.")
    length = Fraction(400)
    video = () if path.suffix == ".wav" else (VideoStream(0, "h264", 64, 36, Fraction(25), Fraction(0), length),)
    audio = () if "silent" in path.name else (AudioStream(1, "aac", 48000, 2, Fraction(0), length),)
    return Probe(path, "mov", length, 9, video, audio, "01:00:00:00" if path.suffix == ".mxf" else "")


class Bag:
    """Draws timelines; ``oddness`` is how often a number is one that no editor should write."""

    def __init__(self, seed: int, oddness: float) -> None:
        self.random, self.oddness = random.Random(seed), oddness
        self.rate, self.kind = self.random.choice(RATES[:-1]), "Video"

    def timeline(self) -> otio.schema.Timeline:
        made = otio.schema.Timeline(self.random.choice(NAMES))
        draws = self.random.choice((1, 2, 3, 6))
        made.tracks.extend(self.track(0) for _ in range(draws))
        start = self.random.choice((None, 0, 3600, 86340, 86399.5))
        if start is not None:
            made.global_start_time = otio.opentime.RationalTime(round(start * self.rate), self.rate)
        if self.random.random() < 0.1:
            made.tracks.source_range = self.range()
        return made

    def track(self, depth: int) -> otio.schema.Track:
        self.kind = self.random.choice(("Video", "Audio")) if not depth else self.kind
        track = otio.schema.Track(self.random.choice(NAMES), kind=self.kind)
        track.enabled = self.random.random() > 0.1
        for _ in range(self.random.choice((0, 1, 2, 5, 9))):
            item = self.item(depth)
            if not isinstance(item, otio.schema.Transition) or not (
                len(track) and isinstance(track[-1], otio.schema.Transition)
            ):
                track.append(item)
        return track

    def item(self, depth: int) -> otio.core.Composable:
        drawn = self.random.random()
        if drawn < 0.15:
            return otio.schema.Gap(source_range=otio.opentime.TimeRange(self.time(0), self.time(self.length())))
        if drawn < 0.3:
            return otio.schema.Transition(
                "", "SMPTE_Dissolve", self.time(self.random.randrange(12)), self.time(self.random.randrange(12))
            )
        if drawn < 0.4 and depth < 3:
            stack = otio.schema.Stack(self.random.choice(NAMES), source_range=self.maybe_range())
            stack.extend(self.track(depth + 1) for _ in range(self.random.choice((1, 2))))
            return self.retimed(stack)
        return self.retimed(self.clip())

    def clip(self) -> otio.schema.Clip:
        clip = otio.schema.Clip(self.random.choice(NAMES), self.media(), self.maybe_range())
        clip.enabled = self.random.random() > 0.1
        if self.random.random() < 0.2:
            clip.markers.append(otio.schema.Marker("m", self.range()))
        if self.random.random() < 0.2:
            clip.metadata["Resolve_OTIO"] = {
                "Channels": [{"Source Channel ID": self.random.choice((0, 1, 7, -1, "x"))}]
            }
        return clip

    def media(self) -> otio.schema.MediaReference:
        drawn = self.random.random()
        if drawn < 0.1:
            return otio.schema.MissingReference()
        if drawn < 0.2:
            return otio.schema.GeneratorReference("bars", "SMPTEBars")
        if drawn < 0.25:
            return otio.schema.ImageSequenceReference("/films/", "f.", ".exr", 1, 1, self.rate, 4)
        available = otio.opentime.TimeRange(self.time(self.random.choice((0, 86400))), self.time(5000))
        foreign = "sound.wav" if self.kind == "Video" else "silent.mov"
        url = self.random.choice([url for url in URLS if url != foreign])
        return otio.schema.ExternalReference(url, self.random.choice((None, available)))

    def retimed(self, item: otio.core.Item) -> otio.core.Item:
        drawn = self.random.random()
        if drawn < 0.08:
            item.effects.append(otio.schema.FreezeFrame())
        elif drawn < 0.25:
            speed = self.random.choice((0.5, 2.0, -1.0, -0.25, 1 / 3, 1.001, 0.0, *(ODD if self.is_odd() else ())))
            item.effects.append(otio.schema.LinearTimeWarp(time_scalar=speed))
        return item

    def is_odd(self) -> bool:
        return self.random.random() < self.oddness

    def maybe_range(self) -> otio.opentime.TimeRange | None:
        return None if self.random.random() < 0.1 else self.range()

    def range(self) -> otio.opentime.TimeRange:
        rate = self.random.choice(RATES) if self.random.random() < 0.15 else self.rate
        start = self.random.choice((0, 12, 100, 86400, 86412))
        start = self.random.choice(ODD) if self.is_odd() else start
        frames = self.length() / self.rate * rate
        length = otio.opentime.RationalTime(round(frames) if math.isfinite(frames) else frames, rate)
        return otio.opentime.TimeRange(otio.opentime.RationalTime(start, rate), length)

    def length(self) -> float:
        return self.random.choice(ODD) if self.is_odd() else self.random.choice((0, 1, 2, 24, 25, 100, 240))

    def time(self, frames: float) -> otio.opentime.RationalTime:
        return otio.opentime.RationalTime(frames, self.rate)


def conformed(timeline: otio.schema.Timeline) -> tuple[otio.schema.Timeline, Edit] | None:
    """The edit; None for a timeline that was refused as it should be."""
    try:
        return conform.from_json(timeline.to_json_string(), prober=probe, folder=Path("/films"))
    except EngineError as error:
        assert error.message.endswith((".", "?"))
        assert error.hint
        assert "\n" not in error.message
        return None


def check(timeline: otio.schema.Timeline, folder: Path) -> bool:
    """Whether the timeline was taken; all that it must then hold to is asserted."""
    found = conformed(timeline)
    if found is None:
        return False
    given, edit = found
    assert all(0 <= clip.record.start_s < clip.record.end_s <= edit.duration_s for clip in edit.clips)
    if edit.duration_s < HIT_S + (HIT_FRAMES + 1) / edit.rate:
        return True
    laid = laid_on(given, edit)
    for dialect, (ending, *_) in DIALECTS.items():
        path = folder / f"cut{ending}"
        try:
            text = dialects_out.document(laid, edit, given, dialect, Grumbles())
        except RequestError:
            refused = {"premiere": edit.rate.denominator not in (1, 1001), "finalcut": edit.rate not in fcpxml.RATES}
            assert refused.get(dialect)
            continue
        spoken = dialects_out.spoken(laid, edit, dialect)
        path.write_text(spoken.to_json_string() if text is None else text, "utf-8")
        again = conform.read(path, prober=probe, rate=edit.rate)[1]
        ours = {(Path(clip.url).name, clip.record.start_s) for clip in again.clips if is_ours(clip)}
        hit = (HIT_S * edit.rate // 1) / edit.rate
        assert {("cut.ambience.wav", 0), ("cut.foley.wav", hit)} <= ours, dialect
        if text is not None:
            theirs = Counter(meaning(clip, edit.rate) for clip in again.clips if not is_ours(clip))
            wanted = Counter(meaning(clip, edit.rate) for clip in edit.clips if clip.kind == "video" or clip.url)
            assert theirs == wanted, dialect
    return True


@pytest.mark.parametrize("oddness", [0.0, 0.03])
def test_every_timeline_is_right_or_refused(oddness: float, tmp_path: Path) -> None:
    taken = 0
    for seed in range(SEEDS):
        try:
            taken += check(Bag(seed, oddness).timeline(), tmp_path)
        except Exception as error:
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
    assert taken > SEEDS / 3, "a bag of refusals tests nothing"
