# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watch: one decode of each piece of picture feeds every picture watcher; the original sound feeds the others.

What was seen is kept by content (media, range, watchers and their versions), so a cut that only moved is not watched
again. A watcher that fails is named in a warning, and the others go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2

from immersivaudio.engine import guarding, media, original, plugins, records
from immersivaudio.engine.blobs import is_blob
from immersivaudio.engine.cue import Clip, Edit, Sighting, Span, content_key, tidy
from immersivaudio.engine.errors import CancelledError, EngineError
from immersivaudio.engine.tracks import backwards
from immersivaudio.engine.watchers import Frame, FrameWish, PictureSession, PictureWatcher, Samples, SoundWatcher

_LOG = logging.getLogger(__name__)
_EDGE_BYTES = 1024 * 1024
_USUAL = FrameWish(1, 30.0)
_DAMAGE_S = Fraction(1, 2)
Cancelled = Callable[[], bool]
Report = Callable[[float, str], None]
Found = tuple[list[Sighting], list[str]]


@dataclass
class Watchers:
    """The watchers of this process, loaded once, and what could not be loaded."""

    picture: list[PictureWatcher] = field(default_factory=list)
    sound: list[SoundWatcher] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, names: Iterable[str] | None = None) -> Watchers:
        """Every watcher that is installed and can run here; ``names`` limits the choice."""
        # One thread: what OpenCV adds up in another order differs in the last digit, and the decoder needs the cores.
        cv2.setNumThreads(1)
        found = cls()
        for name in plugins.names("watchers") if names is None else names:
            found._add(name)
        return found

    def _add(self, name: str) -> None:
        try:
            watcher = guarding.create(name)
            if watcher.available():
                return
            watcher.setup()
        except Exception as error:
            _LOG.exception("watcher %s", name)
            self.warnings.append(f"The watcher {name} could not start and was left out: {_said(error)}")
            return
        (self.picture if isinstance(watcher, PictureWatcher) else self.sound).append(watcher)

    def renew(self) -> None:
        """A new job: watchers that died in an earlier one may try again."""
        for watcher in (*self.picture, *self.sound):
            if isinstance(watcher, guarding.Guard):
                watcher.renew()


def _said(error: Exception) -> str:
    return error.message if isinstance(error, EngineError) else f"{type(error).__name__}."


@dataclass(frozen=True, slots=True)
class Seen:
    """What all watchers saw, on the record clock, in order of time, each with an id; and what went wrong."""

    sightings: tuple[Sighting, ...]
    warnings: tuple[str, ...]


def watch(
    edit: Edit, sound: Path | None, watchers: Watchers, cache: Path, cancelled: Cancelled, report: Report
) -> Seen:
    """Let every watcher see ``edit`` and hear ``sound`` (a laid original, or None).

    Raises:
        CancelledError: somebody stopped it.
    """
    looked = look(edit, watchers, cache, cancelled, report)
    report(0.9, "listening")
    return together(watchers, looked, listen(edit, sound, watchers, cache, cancelled))


def look(edit: Edit, watchers: Watchers, cache: Path, cancelled: Cancelled, report: Report) -> Found:
    """Let the picture watchers see ``edit``: sightings on the record clock, and what went wrong.

    Raises:
        CancelledError: somebody stopped it.
    """
    found: list[Sighting] = []
    warnings: list[str] = []
    whole = float(sum(clip.record.duration_s for clip in edit.picture)) or 1.0
    done = 0.0
    for clip in edit.picture:
        base, share = done / whole, float(clip.record.duration_s) / whole

        def inside(fraction: float, base: float = base, share: float = share) -> None:
            report(0.9 * (base + share * fraction), "watching")

        sightings, said = _look_cached(clip, watchers.picture, cache, cancelled, inside)
        found += [on_record(clip, sighting) for sighting in sightings]
        warnings += said
        done += float(clip.record.duration_s)
    return found, warnings


def together(watchers: Watchers, looked: Found, heard: Found) -> Seen:
    """What :func:`look` and :func:`listen` found."""
    warnings = dict.fromkeys([*watchers.warnings, *looked[1], *heard[1]])
    return Seen(_numbered([*looked[0], *heard[0]]), tuple(warnings))


def _numbered(sightings: Sequence[Sighting]) -> tuple[Sighting, ...]:
    ordered = sorted(sightings, key=lambda s: (s.span.start_s, s.watcher, s.label, s.span.duration_s))
    return tuple(replace(s, id=f"{s.watcher}-{index:04d}") for index, s in enumerate(ordered))


def on_record(clip: Clip, sighting: Sighting) -> Sighting:
    """``sighting`` of ``clip`` moved from the source clock to the record clock, cut to what the edit shows."""
    if clip.speed == 0:
        return replace(sighting, span=clip.record)
    ends = sorted((clip.record_at(sighting.span.start_s), clip.record_at(sighting.span.end_s)))
    start, end = (tidy(min(max(end, clip.record.start_s), clip.record.end_s)) for end in ends)
    values = backwards(sighting.values) if clip.speed < 0 else dict(sighting.values)
    if isinstance(closest := values.get("closest_s"), float):
        values["closest_s"] = float(clip.record_at(Fraction(closest)))
    return replace(sighting, span=Span(start, end - start), values=values)


def _look_cached(
    clip: Clip, watchers: Sequence[PictureWatcher], cache: Path, cancelled: Cancelled, report: Callable[[float], None]
) -> tuple[list[Sighting], list[str]]:
    path, span = Path(clip.media or ""), _watched_span(clip)
    versions = [(watcher.name, watcher.version) for watcher in watchers]
    key = content_key("look", identity(path), span, str(clip.speed == 0), versions)
    stored = cache / "watch" / f"{key}.json"
    if (known := _load(stored)) is not None:
        return known, []
    sightings, warnings = _look(replace(clip, source=span), watchers, cancelled, report)
    if not warnings:
        _store(stored, sightings)
    return sightings, warnings


def _watched_span(clip: Clip) -> Span:
    """The source range to look at: of a freeze frame, that frame."""
    return clip.source if clip.speed != 0 else Span(clip.source.start_s, 1 / (clip.rate or Fraction(25)))


def _look(
    clip: Clip, watchers: Sequence[PictureWatcher], cancelled: Cancelled, report: Callable[[float], None]
) -> tuple[list[Sighting], list[str]]:
    desk = _Desk(clip)
    for watcher in watchers:
        desk.invite(watcher)
    wish = _common([watcher.wish for watcher in watchers])
    length = float(clip.source.duration_s) or 1.0
    seen = media.frames(Path(clip.media or ""), clip.source, wish, cancelled, desk.note_damage)
    try:
        for count, frame in enumerate(seen):
            desk.show(frame)
            if count % 16 == 0:
                report(min(1.0, float(frame.time_s - clip.source.start_s) / length))
    except CancelledError:
        raise
    except EngineError as error:
        return [], [f"{clip.name} could not be watched: {error.message}"]
    return [_settled(sighting) for sighting in desk.finish()], desk.warnings


def _common(wishes: Sequence[FrameWish]) -> FrameWish:
    """One decode for all: every width that is wished, at the usual rate where nobody wants more."""
    widths = sorted({wish.width for wish in wishes} or {64}, reverse=True)
    return FrameWish(widths[0], _USUAL.rate_hz if all(map(_is_usual, wishes)) else 0.0, tuple(widths[1:]))


def _is_usual(wish: FrameWish) -> bool:
    return 0 < wish.rate_hz <= _USUAL.rate_hz


def _settled(sighting: Sighting) -> Sighting:
    """``sighting`` without the last digits, in which float sums differ with the place of a picture in memory, so that
    the same picture gives the same cues: times to 10 microseconds (half a sample), numbers to six digits."""
    start, end = (Fraction(round(moment * 100_000), 100_000) for moment in (sighting.span.start_s, sighting.span.end_s))
    values = {name: round(v, 6) if isinstance(v, float) else v for name, v in sighting.values.items()}
    return replace(sighting, span=Span.between(start, end), confidence=round(sighting.confidence, 6), values=values)


class _Desk:
    """The sessions that look at one clip; one that raises leaves the room and is named.

    Each sees the frames that it would see alone: of its own width, and as often as is usual unless it wants more.
    """

    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._sessions: dict[str, PictureSession] = {}
        self._wishes: dict[str, FrameWish] = {}
        self._thins: bool | None = None
        self._latest_s: float | None = None
        self.warnings: list[str] = []

    def invite(self, watcher: PictureWatcher) -> None:
        self._wishes[watcher.name] = watcher.wish
        self._guard(watcher.name, lambda: self._sessions.__setitem__(watcher.name, watcher.open(self._clip)))

    def show(self, frame: Frame) -> None:
        usual = self._comes_usually(float(frame.time_s))
        views: dict[int, Frame] = {}
        for name, session in list(self._sessions.items()):
            wish = self._wishes[name]
            if not usual and _is_usual(wish):
                continue
            if wish.width not in views:
                views[wish.width] = Frame(frame.time_s, frame.at(wish.width))
            try:
                session.see(views[wish.width])
            except Exception as error:
                self._dismiss(name, error)

    def _comes_usually(self, now_s: float) -> bool:
        """Whether a decode at the usual rate gives this frame as well."""
        if self._thins is None:
            rate = media.probe(Path(self._clip.media or "")).video[0].rate
            self._thins = _USUAL.thins(rate)
        if self._thins and self._latest_s is not None and now_s - self._latest_s < _USUAL.gap_s:
            return False
        self._latest_s = now_s
        return True

    def note_damage(self, lost_s: Fraction) -> None:
        """Pictures that nobody saw, but for the few before a recording's first key frame."""
        if lost_s >= _DAMAGE_S:
            self.warnings.append(
                f"{float(lost_s):.1f} s of the picture of {self._clip.name} cannot be decoded, so nothing was seen there; "
                "if a video player stumbles too, export it again."
            )

    def finish(self) -> list[Sighting]:
        found: list[Sighting] = []
        for name, session in list(self._sessions.items()):
            self._guard(name, partial(_gather, session, found))
        return found

    def _guard(self, name: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            self._dismiss(name, error)

    def _dismiss(self, name: str, error: Exception) -> None:
        self._sessions.pop(name, None)
        if isinstance(error, guarding.LeftOutError):
            self.warnings.append(f"The watcher {name} was left out: {error.message}")
            return
        _LOG.error("watcher %s failed", name, exc_info=error)
        self.warnings.append(f"The watcher {name} failed on {self._clip.name} and was left out: {_said(error)}")


def _gather(session: PictureSession, found: list[Sighting]) -> None:
    found.extend(session.finish())


def listen(edit: Edit, sound: Path | None, watchers: Watchers, cache: Path, cancelled: Cancelled) -> Found:
    """Let the sound watchers hear the laid original (None: the edit has no sound of its own)."""
    found: list[Sighting] = []
    warnings: list[str] = []
    for watcher in watchers.sound:
        if cancelled():
            raise CancelledError("Cancelled.")
        try:
            found += _listen_cached(edit, sound, watcher, cache, cancelled)
        except CancelledError:
            raise
        except guarding.LeftOutError as error:
            warnings.append(f"The watcher {watcher.name} was left out: {error.message}")
        except Exception as error:
            _LOG.error("watcher %s failed", watcher.name, exc_info=error)
            warnings.append(f"The watcher {watcher.name} failed on the original sound and was left out: {_said(error)}")
    return found, warnings


def _listen_cached(
    edit: Edit, sound: Path | None, watcher: SoundWatcher, cache: Path, cancelled: Cancelled
) -> list[Sighting]:
    clips = [
        (identity(Path(c.media or "")), c.source, c.record, c.speed, c.channels, c.gain_db) for c in edit.sound_clips()
    ]
    key = content_key("listen", clips, edit.duration_s, watcher.name, watcher.version)
    stored = cache / "watch" / f"{key}.json"
    if (known := _load(stored)) is not None:
        return known
    pieces = original.blocks(sound, watcher.sample_rate_hz) if sound is not None else iter(())
    heard = list(watcher.listen(edit, _until(pieces, cancelled)))
    _store(stored, heard)
    return heard


def _until(pieces: Iterable[Samples], cancelled: Cancelled) -> Iterator[Samples]:
    for piece in pieces:
        if cancelled():
            raise CancelledError("Cancelled.")
        yield piece


def identity(path: Path) -> str:
    """What a media file is, told from its size, its date and both its ends: cheap also for hours of footage."""
    if is_blob(path):  # whose date says when it was last used
        return path.name
    status = path.stat()
    digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    with path.open("rb") as file:
        digest.update(file.read(_EDGE_BYTES))
        file.seek(max(0, status.st_size - _EDGE_BYTES))
        digest.update(file.read(_EDGE_BYTES))
    return digest.hexdigest()


def _store(path: Path, sightings: Iterable[Sighting]) -> None:
    """Keep what was seen, where there is room: it can be seen again."""
    unnamed = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unnamed.write_text(json.dumps(records.of_sightings(sightings)))
        unnamed.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unnamed.unlink()


def _load(path: Path) -> list[Sighting] | None:
    try:
        return records.sightings(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
