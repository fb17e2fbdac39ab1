# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: N802, N803 (the names are those of Resolve)
"""A stand-in for DaVinci Resolve: the part of its scripting API that the script uses, with the traps that people found.

Names and numbers of arguments are held against ``resolve_api.txt``. The traps, each where it bites: overlaps are dropped
without a word and the earlier item stays; end frames are exclusive; one fraction among frames refuses the whole batch;
``AddTrack`` makes mono; an audio ``trackIndex`` is checked against video tracks before 20.2.2; ``DeleteClips`` works on
the Edit page only; ``ImportMedia`` lands in the current bin; what calls return may be dead; ``hasattr`` is always true;
a Studio-only call on Free opens a modal window that every later call runs into; audio counts the *project's* frames.
What is on the user's screen (playhead, bin, selection) moves when a script works, as it does in Resolve.
"""

from __future__ import annotations

import itertools
import math
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio

_IDS = itertools.count(1)
_ALWAYS = ("GetProductName", "GetVersion", "GetVersionString")


def since(*version: int) -> Callable[[Any], Any]:
    """A method that builds before ``version`` lack."""

    def mark(method: Any) -> Any:
        method.since = version
        return method

    return mark


class Remote:
    """An object on the other side of Resolve's door: asking for a method that is not there gives None, no error."""

    def __init__(self, app: Resolve) -> None:
        self._app = app
        self._number = next(_IDS)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or not name[0].isupper():
            return object.__getattribute__(self, name)
        app = object.__getattribute__(self, "_app")
        method = getattr(type(self), name, None)
        if method is None or (callable(method) and app.version < getattr(method, "since", ())):
            return None
        if app.blocked and name not in _ALWAYS:
            return lambda *arguments: None
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> None:
        return None

    def __dir__(self) -> list[str]:
        names = [name for name in vars(type(self)) if name[0].isupper()]
        return [
            "GetUniqueId",
            *(name for name in names if self._app.version >= getattr(vars(type(self))[name], "since", ())),
        ]

    def GetUniqueId(self) -> str:
        return f"{type(self).__name__}-{self._number}"


class Dead:
    """What a call returned, after Resolve has thrown it away."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Resolve(Remote):
    """The application. ``calls`` has every method that was called on a Studio-only door."""

    EXPORT_OTIO = "otio"
    EXPORT_NONE = "none"

    def __init__(self, version: tuple[int, ...], studio: bool, rate: str = "25", project_rate: str = "") -> None:
        self.version, self.studio = version, studio
        self.blocked = not studio and version >= (21, 1)
        self.page = "fairlight"
        super().__init__(self)
        self.manager = ProjectManager(self, Project(self, rate, project_rate or rate))
        self.fusion = Fusion(self)

    def GetProductName(self) -> str:
        return "DaVinci Resolve Studio" if self.studio else "DaVinci Resolve"

    def GetVersion(self) -> list[Any]:
        return [*self.version, *[0] * (3 - len(self.version)), 9, ""]

    def GetProjectManager(self) -> ProjectManager:
        return self.manager

    def GetCurrentPage(self) -> str:
        return self.page

    def OpenPage(self, pageName: str) -> bool:
        self.page = pageName
        return True

    def Fusion(self) -> Fusion:
        return self.fusion


class Fusion(Remote):
    """Its ``UIManager`` is for Studio since 19.1: on Free the mere look opens a modal window."""

    ui: Any = None

    @property
    def UIManager(self) -> Any:
        if not self._app.studio and self._app.version >= (19, 1):
            self._app.blocked = True
            return None
        return self.ui


class ProjectManager(Remote):
    def __init__(self, app: Resolve, project: Project) -> None:
        super().__init__(app)
        self.project: Project | None = project

    def GetCurrentProject(self) -> Project | None:
        return self.project


class Project(Remote):
    def __init__(self, app: Resolve, rate: str, project_rate: str) -> None:
        super().__init__(app)
        self.rate = project_rate
        self.pool = MediaPool(app, self)
        self.timelines = [Timeline(app, self, "Reel 1: night", rate)]
        self.current: Timeline | None = self.timelines[0]

    def GetMediaPool(self) -> MediaPool:
        return self.pool

    def GetCurrentTimeline(self) -> Timeline | None:
        return self.current

    def SetCurrentTimeline(self, timeline: Timeline) -> bool:
        self.current = timeline
        return True


class Folder(Remote):
    def __init__(self, app: Resolve, name: str) -> None:
        super().__init__(app)
        self.name, self.folders, self.clips = name, [], []  # type: ignore[var-annotated]

    def GetName(self) -> str:
        return self.name

    def GetClipList(self) -> list[MediaPoolItem]:
        return list(self.clips)

    def GetSubFolderList(self) -> list[Folder]:
        return list(self.folders)


class MediaPoolItem(Remote):
    def __init__(self, app: Resolve, path: Path, frames: int, rate: str) -> None:
        super().__init__(app)
        self.path, self.frames, self.rate = path, frames, rate
        self.metadata: dict[str, str] = {}
        self.hidden: dict[str, str] = {}

    def GetName(self) -> str:
        return self.path.name

    def GetClipProperty(self, propertyName: str | None = None) -> Any:
        used = sum(item.media is self for line in self._app.manager.project.timelines for item in line.items())
        told = {"File Path": str(self.path), "FPS": self.rate, "Frames": str(self.frames), "Usage": str(used)}
        return told if propertyName is None else told.get(propertyName, "")

    def SetMetadata(self, metadataType: Any, metadataValue: str | None = None) -> bool:
        self.metadata.update(metadataType if metadataValue is None else {metadataType: metadataValue})
        return True

    def GetMetadata(self, metadataType: str | None = None) -> Any:
        return self.metadata if metadataType is None else self.metadata.get(metadataType, "")

    @since(20, 0)
    def SetThirdPartyMetadata(self, metadataType: Any, metadataValue: str | None = None) -> bool:
        self.hidden.update(metadataType if metadataValue is None else {metadataType: metadataValue})
        return True

    @since(20, 0)
    def GetThirdPartyMetadata(self, metadataType: str | None = None) -> Any:
        return self.hidden if metadataType is None else self.hidden.get(metadataType, "")


class MediaPool(Remote):
    def __init__(self, app: Resolve, project: Project) -> None:
        super().__init__(app)
        self.project = project
        self.root = Folder(app, "Master")
        self.current = self.root
        self.chosen: list[MediaPoolItem] = []
        self.refused: set[str] = set()

    def GetRootFolder(self) -> Folder:
        return self.root

    def GetCurrentFolder(self) -> Folder:
        return self.current

    def SetCurrentFolder(self, folder: Folder) -> bool:
        self.current = folder
        return True

    def AddSubFolder(self, folder: Folder, name: str) -> Folder | None:
        if any(one.name == name for one in folder.folders):
            return None
        made = Folder(self._app, name)
        folder.folders.append(made)
        self.current = made
        return made

    def ImportMedia(self, items: list[Any]) -> list[Any] | None:
        made = []
        for path in map(Path, items):
            if path.is_file() and path.name not in self.refused:
                with wave.open(str(path)) as file:
                    length_s = Fraction(file.getnframes(), file.getframerate())
                frames = math.floor(length_s * exact(self.project.rate) + Fraction(1, 100))
                made.append(MediaPoolItem(self._app, path, frames, self.project.rate))
        self.current.clips += made
        self.chosen = list(made)
        return [Dead() for _ in made] or None

    def GetSelectedClips(self) -> list[MediaPoolItem]:
        return list(self.chosen)

    def SetSelectedClip(self, mediaPoolItem: MediaPoolItem) -> bool:
        self.chosen = [mediaPoolItem]
        return True

    def CreateEmptyTimeline(self, name: str) -> Timeline:
        made = Timeline(self._app, self.project, name, self.project.rate)
        made.tracks["video"].append(Track("", "Video 1"))
        made.tracks["audio"].append(Track("stereo", "Audio 1"))
        self.project.timelines.append(made)
        return made

    def DeleteTimelines(self, timeline: list[Timeline]) -> bool:
        self.project.timelines = [one for one in self.project.timelines if one not in timeline]
        return True

    def DeleteClips(self, clips: list[MediaPoolItem]) -> bool:
        for folder in walk(self.root):
            folder.clips = [clip for clip in folder.clips if clip not in clips]
        for line in self.project.timelines:
            line.drop([item for item in line.items() if item.media in clips])
        return True

    def DeleteFolders(self, subfolders: list[Folder]) -> bool:
        for folder in walk(self.root):
            folder.folders = [one for one in folder.folders if one not in subfolders]
        if self.current in subfolders:
            self.current = self.root
        return True

    def AppendToTimeline(self, clipInfo: list[dict[str, Any]]) -> list[Any] | None:
        line = self.project.current
        names = ("startFrame", "endFrame", "recordFrame")
        if line is None or any(not isinstance(info[name], int) for info in clipInfo for name in names):
            return None
        for info in clipInfo:
            line.append(info)
        return [Dead() for _ in clipInfo]


class Track:
    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name, self.locked = kind, name, False
        self.items: list[TimelineItem] = []


class Timeline(Remote):
    """``tracks`` by type; frames are absolute, from 01:00:00:00."""

    def __init__(self, app: Resolve, project: Project, name: str, rate: str) -> None:
        super().__init__(app)
        self.project, self.name, self.rate = project, name, rate
        self.first = 3600 * round(exact(rate))
        self.tracks: dict[str, list[Track]] = {"video": [], "audio": [], "subtitle": []}
        self.playhead = "01:00:01:00"
        self.marks: dict[str, dict[str, int]] = {}
        self.chosen: list[TimelineItem] = []
        self.markers: dict[int, dict[str, Any]] = {}
        self.fails_to_add = False
        self.flaky: set[int] = set()

    def items(self) -> list[TimelineItem]:
        return [item for tracks in self.tracks.values() for track in tracks for item in track.items]

    def drop(self, items: list[TimelineItem]) -> None:
        for tracks in self.tracks.values():
            for track in tracks:
                track.items = [item for item in track.items if item not in items]

    def append(self, info: dict[str, Any]) -> None:
        """What becomes of one order: often nothing, and never a word about it."""
        media, start, end, record = (info[name] for name in ("mediaPoolItem", "startFrame", "endFrame", "recordFrame"))
        kind = {1: "video", 2: "audio"}[info["mediaType"]]
        number = info["trackIndex"]
        known = len(self.tracks[kind])
        if kind == "audio" and self._app.version < (20, 2, 2):
            known = min(known, len(self.tracks["video"]))
        frames = math.floor((end - start) * exact(self.rate) / exact(media.rate))
        if not 1 <= number <= known or frames < 1 or start < 0 or end > media.frames:
            return
        track = self.tracks[kind][number - 1]
        overlaps = any(item.start < record + frames and record < item.start + item.frames for item in track.items)
        if overlaps or track.locked:
            return
        if record in self.flaky:
            self.flaky.discard(record)
            return
        track.items.append(TimelineItem(self._app, media, record, frames, start))
        self.playhead = "01:23:45:06"
        self.chosen = track.items[-1:]

    def GetName(self) -> str:
        return self.name

    def GetStartFrame(self) -> int:
        return self.first

    def GetEndFrame(self) -> int:
        return max((item.start + item.frames for item in self.items()), default=self.first)

    def GetSetting(self, settingName: str) -> str:
        return {"timelineFrameRate": self.rate}[settingName]

    def GetTrackCount(self, trackType: str) -> int:
        return len(self.tracks[trackType])

    def AddTrack(self, trackType: str, subTrackType: Any = None) -> bool:
        if self.fails_to_add:
            return False
        kind = (subTrackType or "mono") if trackType == "audio" else ""
        self.tracks[trackType].append(Track(kind, f"{trackType.title()} {len(self.tracks[trackType]) + 1}"))
        return True

    def DeleteTrack(self, trackType: str, trackIndex: int) -> bool:
        del self.tracks[trackType][trackIndex - 1]
        return True

    def GetTrackSubType(self, trackType: str, trackIndex: int) -> str:
        return self.tracks[trackType][trackIndex - 1].kind

    def GetTrackName(self, trackType: str, trackIndex: int) -> str:
        return self.tracks[trackType][trackIndex - 1].name

    def SetTrackName(self, trackType: str, trackIndex: int, name: str) -> bool:
        self.tracks[trackType][trackIndex - 1].name = name
        return True

    def GetIsTrackLocked(self, trackType: str, trackIndex: int) -> bool:
        return self.tracks[trackType][trackIndex - 1].locked

    def GetItemListInTrack(self, trackType: str, index: int) -> list[TimelineItem]:
        return list(self.tracks[trackType][index - 1].items)

    def DeleteClips(self, timelineItems: list[TimelineItem], Bool: bool = False) -> bool:
        if self._app.page != "edit":
            return False
        locked = [item for tracks in self.tracks.values() for track in tracks if track.locked for item in track.items]
        self.drop([item for item in timelineItems if item not in locked])
        self.playhead = "01:00:00:00"
        return True

    def GetCurrentTimecode(self) -> str:
        return self.playhead

    def SetCurrentTimecode(self, timecode: str) -> bool:
        self.playhead = timecode
        return True

    def GetMarkInOut(self) -> dict[str, dict[str, int]]:
        return {kind: dict(mark) for kind, mark in self.marks.items()}

    def SetMarkInOut(self, mark_in: int, mark_out: int, type: str = "all") -> bool:
        for kind in ("video", "audio") if type == "all" else (type,):
            self.marks[kind] = {"in": mark_in, "out": mark_out}
        return True

    def ClearMarkInOut(self, type: str = "all") -> bool:
        self.marks = {}
        return True

    @since(21, 0, 4)
    def GetSelectedClips(self) -> list[TimelineItem]:
        return list(self.chosen)

    def Export(self, fileName: str, exportType: Any, exportSubtype: Any) -> bool:
        if exportType != Resolve.EXPORT_OTIO:
            return False
        otio.adapters.write_to_file(self.as_otio(), fileName)
        return True

    def as_otio(self) -> otio.schema.Timeline:
        """In Resolve's own dialect: plain paths, gaps, start timecode, its metadata."""
        made = otio.schema.Timeline(self.name, global_start_time=self._time(self.first))
        made.metadata["Resolve_OTIO"] = {"Resolve OTIO Meta Version": "1.0"}
        for kind in ("Video", "Audio"):
            for track in self.tracks[kind.lower()]:
                written = otio.schema.Track(track.name, kind=kind)
                written.metadata["Resolve_OTIO"] = {"Locked": track.locked}
                at = self.first
                for item in sorted(track.items, key=lambda item: item.start):
                    if item.start > at:
                        written.append(otio.schema.Gap(source_range=self._range(0, item.start - at)))
                    written.append(self._clip(item))
                    at = item.start + item.frames
                made.tracks.append(written)
        return made

    def _clip(self, item: TimelineItem) -> otio.schema.Clip:
        rate = float(exact(item.media.rate))
        whole = otio.opentime.TimeRange(
            otio.opentime.RationalTime(0, rate), otio.opentime.RationalTime(item.media.frames, rate)
        )
        source = otio.opentime.TimeRange(otio.opentime.RationalTime(item.source, rate), self._time(item.frames))
        return otio.schema.Clip(
            item.GetName(), otio.schema.ExternalReference(str(item.media.path), whole), source_range=source
        )

    def _range(self, start: int, frames: int) -> otio.opentime.TimeRange:
        return otio.opentime.TimeRange(self._time(start), self._time(frames))

    def _time(self, frames: int) -> otio.opentime.RationalTime:
        return otio.opentime.RationalTime(frames, float(exact(self.rate)))


class TimelineItem(Remote):
    def __init__(self, app: Resolve, media: MediaPoolItem, start: int, frames: int, source: int) -> None:
        super().__init__(app)
        self.media, self.start, self.frames, self.source = media, start, frames, source
        self.name, self.colour = media.path.name, ""
        self.markers: dict[int, dict[str, Any]] = {}
        self.properties: dict[str, float] = {}

    def GetName(self) -> str:
        return self.name

    @since(20, 2)
    def SetName(self, name: str) -> bool:
        self.name = name
        return True

    def GetStart(self, subframe_precision: bool = False) -> int:
        return self.start

    def GetEnd(self, subframe_precision: bool = False) -> int:
        return self.start + self.frames

    def GetDuration(self, subframe_precision: bool = False) -> int:
        return self.frames

    def GetSourceStartFrame(self) -> int:
        return self.source

    def GetMediaPoolItem(self) -> MediaPoolItem:
        return self.media

    def SetClipColor(self, colorName: str) -> bool:
        names = "Orange Apricot Yellow Lime Olive Green Teal Navy Blue Purple Violet Pink Tan Beige Brown Chocolate"
        if colorName not in names.split():
            return False
        self.colour = colorName
        return True

    def AddMarker(
        self, frameId: float, color: str, name: str, note: str, duration: float, customData: str = ""
    ) -> bool:
        if frameId in self.markers or not 0 <= frameId < self.frames:
            return False
        about = {"color": color, "name": name, "note": note, "duration": duration, "customData": customData}
        self.markers[int(frameId)] = about
        return True

    def GetMarkers(self) -> dict[int, dict[str, Any]]:
        return {frame: dict(about) for frame, about in self.markers.items()}

    @since(21, 1)
    def SetProperties(self, properties: dict[str, float]) -> bool:
        if not -100 <= properties.get("AudioVolume", 0) <= 30:
            return False
        self.properties.update(properties)
        return True


def walk(folder: Folder) -> list[Folder]:
    """A bin and every bin below it."""
    return [folder, *(below for one in folder.folders for below in walk(one))]


def exact(rate: str) -> Fraction:
    """Resolve says 23.976 and means 24000/1001."""
    number = float(rate)
    return Fraction(round(number)) if number == round(number) else Fraction(math.ceil(number) * 1000, 1001)
