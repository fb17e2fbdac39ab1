# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the results of a job go: decided before any work, never over a file that is there, and never half."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from immersivaudio.engine.cue import MUSIC_GROUPS, Stem
from immersivaudio.engine.errors import OutputError, RequestError
from immersivaudio.engine.request import DIALECTS, GENERIC

KINDS = ("video", "audio", "stems", "otio")
_VIDEO = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mxf", ".flv", ".3gp"))
_SOUND = frozenset((".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aiff"))
_TIMELINES = frozenset(ending for endings in DIALECTS.values() for ending in endings)
_CUES = ".cues.json"
_MANIFEST = ".manifest.json"
_TAKES = "takes"
_LANES = (*Stem, *(f"{Stem.MUSIC}-{group}" for group in MUSIC_GROUPS))


@dataclass(frozen=True, slots=True)
class Form:
    """What was asked beside the kind: a container, and whose terms the timeline is to be in; empty for what fits."""

    container: str = ""
    dialect: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of the engine and where it lands. ``main`` is the file (or, for stems, the folder) that was named;
    ``beside`` is the folder of everything else."""

    kind: str
    main: Path
    beside: Path
    container: str
    dialect: str = GENERIC
    overwrite: bool = False

    @property
    def timeline_kind(self) -> str:
        """The kind of the artefact that the dialect's editor opens."""
        return "otio" if DIALECTS[self.dialect][0] == ".otio" else "timeline"

    def wanted(self) -> list[str]:
        """The engine's outputs for this plan."""
        lanes = ["stems", "otio"] if self.kind in ("stems", "otio") else []
        return [*lanes, *([self.kind] if self.kind in ("video", "audio") else []), "report"]


def plan(source: Path, is_timeline: bool, out: Path | None, kind: str, overwrite: bool, form: Form = Form()) -> Plan:
    """Decide kind and places.

    Raises:
        OutputError: something is there already and ``overwrite`` is not set, or the folder cannot be written.
        RequestError: kind, container and ending contradict each other.
    """
    kind = kind or ("otio" if form.dialect and out is None else _kind_of(out, is_timeline))
    own = source if is_timeline and kind == "otio" and out is None else out
    container, dialect = form.container, form.dialect or _dialect_of(own)
    if kind == "video" and is_timeline:
        raise RequestError("A timeline has no single picture to put sound under.", "Use --output otio, stems or audio.")
    main = (out or _default(source, kind, container, dialect)).absolute()
    _agree(main, kind, container, dialect)
    beside = main if kind == "stems" else main.with_name(f"{main.name}.files")
    try:
        spare(source, main)
        for path in {main, beside}:
            free(path, overwrite)
    except OSError as error:
        raise OutputError(f"{main} cannot be written: {error.strerror}.", "Choose another --out.") from error
    if kind != "stems" and main.is_dir():
        raise OutputError(f"{main.name} is a folder.", "Choose another --out, or --output stems.")
    if beside.exists() and not beside.is_dir():
        raise OutputError(f"{beside.name} is there and no folder.", "Choose another --out.")
    if not main.parent.is_dir():
        raise OutputError(f"The folder {main.parent} does not exist.", "Create it, or choose another --out.")
    if not os.access(main.parent, os.W_OK):
        raise OutputError(f"The folder {main.parent} cannot be written.", "Choose another --out.")
    if kind == "video":
        _check_space(source, main.parent)
    container = main.suffix.lower().lstrip(".") if kind in ("video", "audio") else ""
    return Plan(kind, main, beside, container, dialect, overwrite)


def _check_space(source: Path, folder: Path) -> None:
    """The scored video is at least as large as the picture that is copied into it."""
    needed, room = source.stat().st_size, shutil.disk_usage(folder).free
    if room < needed:
        said = f"{folder} has room for {room / 1e6:.0f} MB, and the result needs {needed / 1e6:.0f} MB."
        raise OutputError(said, "Free some space, or choose a folder on another disk with --out.")


def _kind_of(out: Path | None, is_timeline: bool) -> str:
    ending = out.suffix.lower() if out is not None else ""
    for endings, kind in ((_VIDEO, "video"), (_SOUND, "audio"), (_TIMELINES, "otio")):
        if ending in endings:
            return kind
    if out is not None and (not ending or out.is_dir()):
        return "stems"
    if out is not None:
        raise RequestError(f"What {out.name} should be cannot be told from its ending.", "Say it with --output.")
    return "otio" if is_timeline else "video"


def _dialect_of(out: Path | None) -> str:
    """The editor that an ending belongs to; ``.otio`` and everything else is nobody's own."""
    ending = out.suffix.lower() if out is not None else ""
    return next((name for name, endings in DIALECTS.items() if ending in endings), GENERIC)


def _default(source: Path, kind: str, container: str, dialect: str) -> Path:
    if kind == "stems":
        return source.with_name(f"{source.stem}.scored")
    endings = {
        "video": source.suffix if source.suffix.lower() in _VIDEO else ".mkv",
        "audio": ".wav",
        "otio": next((end for end in DIALECTS[dialect] if end == source.suffix.lower()), DIALECTS[dialect][0]),
    }
    ending = f".{container.lstrip('.')}" if container and kind != "otio" else endings[kind]
    return source.with_name(f"{source.stem}.scored{ending}")


def _agree(main: Path, kind: str, container: str, dialect: str) -> None:
    endings = {"video": _VIDEO, "audio": _SOUND, "otio": frozenset(DIALECTS[dialect])}.get(kind)
    if endings is not None and main.suffix.lower() not in endings:
        raise RequestError(
            f"{main.name} is no name for {kind if kind != 'otio' else f'a timeline for {dialect}'}.",
            f"Choose an ending out of: {', '.join(sorted(endings))}.",
        )
    if container and kind in ("video", "audio") and main.suffix.lower().lstrip(".") != container.lower().lstrip("."):
        raise RequestError(f"--container {container} and {main.name} contradict each other.", "Leave one of them out.")


def free(path: Path, overwrite: bool) -> None:
    """Complain where something is there and may not be replaced.

    Raises:
        OutputError: it is there. OSError: it cannot even be looked at.
    """
    if path.exists() and not overwrite and not (path.is_dir() and not any(path.iterdir())):
        raise OutputError(f"{path.name} is there already and was kept.", "Add --overwrite, or choose another --out.")


def spare(source: Path, out: Path) -> None:
    """Complain where ``out`` is the file that was given, under any name: it is never replaced, whatever was asked.

    Raises:
        OutputError: it is. OSError: one of them cannot be looked at.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise OutputError(f"{out.name} is the source itself and was kept.", "Choose another --out.")


def hidden(path: Path) -> Path:
    """Where what will be ``path`` grows: beside it, unseen, and this process's own. Its name is never longer than a disk
    takes, as long as ``path`` itself may be."""
    return path.with_name(f".{os.fsdecode(os.fsencode(path.name)[:200])}.{os.getpid()}.partial")


def write_text(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    partial = hidden(path)
    try:
        partial.write_text(text, "utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(f"{path} could not be written: {error.strerror}.", "Choose another --out.") from error


class Landing:
    """Collects downloads in a hidden folder beside the goal and puts them in place all together at the end."""

    def __init__(self, goal: Plan, source: Path) -> None:
        self._goal, self._source = goal, source
        self.folder = hidden(goal.main)

    def __enter__(self) -> Landing:
        try:
            self.folder.mkdir()
        except OSError as error:
            raise OutputError(
                f"{self._goal.main.parent} cannot be written: {error.strerror}.", "Choose another --out."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, artefacts: Iterable[tuple[str, str]]) -> dict[str, Path]:
        """Move ``(name, kind)`` files to their places; gives the final path of each name.

        Raises:
            OutputError: they cannot be put there, or somebody else's result came there meanwhile.
        """
        for path in (self._goal.main, self._goal.beside):
            free(path, self._goal.overwrite)
        names = list(artefacts)
        final = {name: self.final(name, kind) for name, kind in names}
        try:
            for name, kind in names:
                if kind in ("otio", "timeline"):
                    # An engine elsewhere knows a video that it was sent by its name alone.
                    _point_at(self.folder / name, final, {self._source.stem: self._source.absolute()})
            self._swap(final)
        except OSError as error:
            raise self.unwritten(self._goal.main, error) from error
        return final

    def unwritten(self, path: Path, error: OSError) -> OutputError:
        """The complaint that ``path`` cannot be written, by the name that its user knows."""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "Free some space, or choose a folder on another disk with --out." if full else "Choose another --out."
        return OutputError(f"{path.name} cannot be written: {error.strerror}.", advice)

    def final(self, name: str, kind: str) -> Path:
        """Where the artefact ``name`` comes to lie."""
        goal = self._goal
        wanted = {"audio": "mix", "otio": goal.timeline_kind}.get(goal.kind, goal.kind)
        if kind == "take":
            return goal.beside / _TAKES / Path(name).name
        return goal.main if kind == wanted and goal.kind != "stems" else goal.beside / name

    def _swap(self, final: Mapping[str, Path]) -> None:
        """Put every file in its place, or, where one cannot be, none: what was there before comes back."""
        aside = self.folder / ".old"
        aside.mkdir()
        moved: list[tuple[Path, Path]] = []
        try:
            for folder in sorted({path.parent for path in final.values()} - {self._goal.main.parent}):
                folder.mkdir(exist_ok=True)
            for path in {*final.values(), *self._stale(final)}:
                if path.exists():
                    moved.append((aside / str(len(moved)), path))
                    path.replace(moved[-1][0])
            for name, path in final.items():
                moved.append((path, self.folder / name))
                (self.folder / name).replace(path)
        except OSError:
            for now, before in reversed(moved):
                if now.exists():
                    now.replace(before)
            for folder in (self._goal.beside / _TAKES, self._goal.beside):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise

    def _stale(self, final: Mapping[str, Path]) -> Iterator[Path]:
        """Lanes and takes of an earlier call on the same source, which this one did not make. Nothing else is ever
        removed."""
        for name in final:
            if name.endswith(_CUES):
                stem_names = itertools.product(_LANES, (".wav", ".mov"))
                yield from (self._goal.beside / f"{name.removesuffix(_CUES)}.{stem}{end}" for stem, end in stem_names)
            if name.endswith(_MANIFEST):
                yield from (self._goal.beside / _TAKES / file for file in _takes_of(self._goal.beside / name))


def _takes_of(manifest: Path) -> Iterator[str]:
    """The take files that an earlier call's manifest names."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        for cue in json.loads(manifest.read_text("utf-8"))["cues"]:
            yield from (Path(take["file"]).name for take in cue.get("takes", ()))


def _point_at(timeline: Path, ours: Mapping[str, Path], theirs: Mapping[str, Path]) -> None:
    """Write the final, absolute paths of files into a timeline that names them by file name."""
    from immersivaudio.engine.dialects_out import pointed

    told = ({name: str(path) for name, path in paths.items()} for paths in (ours, theirs))
    timeline.write_bytes(pointed(timeline.read_bytes().decode("utf-8"), *told).encode())
