# SPDX-License-Identifier: AGPL-3.0-or-later
"""``score`` and ``spot``: a job for an engine, watched to its end, its files put in place."""

from __future__ import annotations

import contextlib
import re
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from immersivaudio.cli import distant
from immersivaudio.cli.library import named as library_named
from immersivaudio.cli.outputs import KINDS, Form, Landing, Plan, free, plan, spare, write_text
from immersivaudio.engine.errors import AccessError, CancelledError, EngineError, RequestError
from immersivaudio.engine.request import DIALECTS

TIMELINES = frozenset(
    (".otio", ".otioz", ".otiod", ".edl", ".fcpxml", ".fcpxmld", ".xml", ".aaf", ".kdenlive", ".mlt", ".xges")
)
_PRESETS = ("youtube", "ebu-r128", "atsc-a85", "podcast", "none")
_DELIVERY = ("container", "codec", "loudness", "mix", "original", "takes", "takes_of", "credentials", "music_stems")


@dataclass(frozen=True, slots=True)
class Wish:
    """The options that ``score`` and ``spot`` share."""

    engine: str = ""
    token: str = ""
    ca: Path | None = None
    describe: str = ""
    density: float = 0.5
    seed: int = 0
    music: bool = False
    without: tuple[str, ...] = ()
    rights: str = "commercial"
    media: tuple[Path, ...] = ()
    quiet: bool = False
    example: Path | None = None
    example_licence: str = ""
    library: str = ""
    send: str = "auto"


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.option("--describe", default="", metavar="WORDS", help="What the place is, where the picture may mislead."),
        click.option("--density", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="How much foley."),
        click.option("--seed", type=click.IntRange(0), default=0, help="Another seed, another performance."),
        click.option("--music", is_flag=True, help="Ask for music too."),
        click.option("--without", multiple=True, type=click.Choice(("ambience", "foley", "effects")), help="Leave a lane out."),
        click.option("--rights", type=click.Choice(("commercial", "any")), default="commercial", show_default=True,
                     help="Whether models for non-commercial use may perform."),
        click.option("--media", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False),
                     help="A folder to look for a timeline's media in; may be given again."),
        click.option("--example", type=click.Path(path_type=Path),
                     help="A clip or sound to sound like: its blows on what is struck, or its going on as the place."),
        click.option("--example-licence", default="", metavar="WORDS",
                     help="What the example's owner allows, e.g. CC-BY-4.0; without it, it is your own."),
        click.option("--library", default="", metavar="FOLDER|NAME|off",
                     help="Your own sounds to perform from: a folder (indexed now), a library's name, or none of them."),
        click.option("--engine", default="", metavar="HOST:PORT", envvar="IMMERSIVAUDIO_ENGINE",
                     help="A running engine; without it one is started for this call."),
        click.option("--token", default="", envvar="IMMERSIVAUDIO_TOKEN", help="The running engine's token."),
        click.option("--ca", type=click.Path(path_type=Path, dir_okay=False), help="The certificate to trust (TLS)."),
        click.option("--send", type=click.Choice(distant.SENDING), default="auto", show_default=True,
                     help="What a running engine gets: on another machine small proxies, unless originals are wanted."),
        click.option("-q", "--quiet", is_flag=True, help="No progress, only the result and what to look at."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The file (for stems: the folder) to make.")
@click.option("--output", "kind", type=click.Choice(KINDS), help="What to make; told from --out when not given.")
@click.option(
    "--cues", type=click.Path(path_type=Path, dir_okay=False), help="Perform this cue sheet instead of spotting."
)
@click.option("--for", "dialect", type=click.Choice(tuple(DIALECTS)), default=None,
              help="The editor that is to open the timeline; told from --out when not given, else generic.")  # fmt: skip
@click.option("--container", default="", metavar="NAME", help="mp4, mov, mkv, webm, wav, flac ...")
@click.option("--codec", default="", metavar="NAME", help="aac, opus, flac, pcm ...: the sound's codec.")
@click.option("--loudness", type=click.Choice(_PRESETS), default="youtube", show_default=True, help="Delivery level.")
@click.option("--mix", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="0 only the original, 1 only the generated, 0.5 both at their own level.")  # fmt: skip
@click.option("--original", type=click.Choice(("auto", "keep", "replace")), default="auto", show_default=True,
              help="The sound that is there: auto replaces it when it is silent or bad.")  # fmt: skip
@click.option("--takes", type=click.IntRange(1, 20), default=1, show_default=True,
              help="Different takes of each cue; the first is in the mix, all lie in a folder takes.")  # fmt: skip
@click.option(
    "--credentials", is_flag=True, help="Sign what was made (C2PA): it says that it was generated, and by what."
)
@click.option("--music-stems", is_flag=True, help="Music as one stem and lane for each instrument group.")
@click.option("--takes-of", multiple=True, metavar="CUE", help="Only of this cue; may be given again.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@_shared
def score(source: Path, out: Path | None, kind: str | None, cues: Path | None, **rest: Any) -> None:
    """Give SOURCE, a video or a timeline, the sound that it lacks.

    A video gives a video beside it (its picture copied bit for bit), a timeline gives an .otio with one new audio
    track a stem. What was heard and why, the stems, the manifest of licences and a page to look at lie beside it, in a
    folder that ends in .files.
    """
    delivery = {name: rest.pop(name) for name in _DELIVERY}
    form = Form(delivery["container"], rest.pop("dialect") or "")
    goal = plan(_existing(source), _is_timeline(source), out, kind or "", rest.pop("overwrite"), form)
    wish = Wish(**rest)
    sheet = _read_sheet(cues) if cues is not None else None

    def order(session: _Session) -> Any:
        spec = session.spec(source, wish, sheet)
        _fill_delivery(spec, goal, delivery)
        if session.proxies and goal.kind == "video":
            distant.ask_for_sound(spec)
        return spec

    with _session(wish) as session:
        result = session.run(order)
        final = session.fetch(result, goal, source, delivery["codec"])
        _conclude(session, result, goal, final)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the sheet here (JSON).")
@click.option("--keep", type=click.Path(path_type=Path, dir_okay=False), help="A sheet whose locked cues stay.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@_shared
def spot(source: Path, out: Path | None, keep: Path | None, overwrite: bool, **rest: Any) -> None:
    """Write the cue sheet of SOURCE: what should be heard, when, and why. Edit it, then score with --cues."""
    from rich.console import Console

    from immersivaudio.engine import sheets, wire

    _existing(source)
    if out is not None:
        spare(source, out)
        free(out, overwrite)
    wish = Wish(**rest)
    with _session(wish) as session:
        kept = _read_sheet(keep) if keep is not None else None
        result = session.run(lambda session: session.spec(source, wish, kept, spot=True))
        sheet = wire.sheet_from_wire(result.cue_sheet)
    if out is None:
        Console().print(sheets.table(sheet))
        return
    write_text(out, sheets.to_json(sheet))
    session.bar.console.print(f"{len(sheet.cues)} cues in {out}", soft_wrap=True, markup=False)


def _existing(source: Path) -> Path:
    try:
        source.stat()
    except FileNotFoundError:
        address = re.match(r"[a-z]{2,}:/", str(source))
        hint = "Save it as a file first, and give the file's path." if address else "Check the path."
        raise RequestError(f"{source} was not found.", hint) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "such a name cannot be"
        raise RequestError(f"{source.name[:80]} cannot be read: {why}.", "Check the path.") from error
    if source.is_dir() and not _is_timeline(source):
        raise RequestError(f"{source} is a folder.", "Name one video file or timeline.")
    return source


def _is_timeline(source: Path) -> bool:
    return source.suffix.lower() in TIMELINES


def _read_sheet(path: Path) -> Any:
    from immersivaudio.engine import sheets

    try:
        return _beside(sheets.from_json(path.read_text("utf-8-sig")), path.absolute().parent)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{path.name} is no cue sheet: it is not text.", "Make one with `immersivaudio spot`."
        ) from error


def _beside(sheet: Any, folder: Path) -> Any:
    """``sheet`` with the examples that it names by a relative path looked for in its own folder."""
    return replace(sheet, cues=tuple(_example_in(cue, folder) for cue in sheet.cues))


def _example_in(cue: Any, folder: Path) -> Any:
    if cue.example is None or cue.example.uploaded:
        return cue
    return replace(cue, example=replace(cue.example, path=str(folder / cue.example.path)))


def _fill_delivery(spec: Any, goal: Plan, delivery: dict[str, Any]) -> None:
    spec.delivery.outputs.extend(goal.wanted())
    spec.delivery.container = goal.container
    spec.delivery.audio_codec = delivery["codec"]
    spec.delivery.loudness = delivery["loudness"]
    spec.delivery.mix = delivery["mix"]
    spec.delivery.original = delivery["original"]
    spec.delivery.dialect = goal.dialect
    spec.delivery.takes = delivery["takes"]
    spec.delivery.takes_of.extend(delivery["takes_of"])
    spec.delivery.credentials = delivery["credentials"]
    spec.delivery.music_stems = delivery["music_stems"]


@contextlib.contextmanager
def _session(wish: Wish) -> Iterator[_Session]:
    from immersivaudio.cli.engines import connect
    from immersivaudio.cli.progress import Bar

    with Bar(wish.quiet) as bar, connect(wish.engine, wish.token, wish.ca) as client:
        yield _Session(client, bar, distant.by_path(wish.engine, wish.send), distant.by_proxy(wish.engine, wish.send))


@dataclass
class _Session:
    """One job with one engine."""

    client: Any
    bar: Any
    local: bool
    proxies: bool = False

    def spec(self, source: Path, wish: Wish, sheet: Any = None, spot: bool = False) -> Any:
        from immersivaudio.engine import wire
        from immersivaudio.v1 import job_pb2

        spec = job_pb2.JobSpec(goal=job_pb2.GOAL_SPOT if spot else job_pb2.GOAL_DELIVER)
        spec.source.name = source.stem
        if not _is_timeline(source):
            self._refer(spec.source.media, source, seen=True)
        elif self.local:
            spec.source.timeline.path = str(source.resolve())
        else:
            spec.source.timeline_json = distant.as_otio(source)
        if _is_timeline(source):
            for url, path in _media_of(source, wish.media, everything=not self.local).items():
                self._refer(spec.source.media_by_url[url], path, seen=True)
        if sheet is not None:
            spec.cue_sheet.CopyFrom(wire.sheet_to_wire(sheet))
            self._refer_examples(spec.cue_sheet.cues)
        if wish.example is not None:
            self._refer(spec.example.media, _existing(wish.example))
            spec.example.name, spec.example.licence = wish.example.name, wish.example_licence
        spec.effect.effect_id = "soundtrack"
        _fill_params(spec.effect.params, wish)
        if wish.library:
            spec.effect.params["library"].text = library_named(wish.library, local=distant.is_local(wish.engine))
        return spec

    def _refer(self, place: Any, path: Path, *, seen: bool = False) -> None:
        """Name a file to the engine: by path on the same machine, else by its bytes, or those of a proxy where it is
        only ``seen``."""
        if self.local:
            place.path = str(path.resolve())
        else:
            sent = distant.proxy(self.client, path, self.bar.show) if seen and self.proxies else path
            self.bar.show("uploading", 0.0)
            place.blob.CopyFrom(self.client.upload(sent))

    def _refer_examples(self, cues: Any) -> None:
        """The examples that the cues of a sheet name; what was uploaded before is known by its digest."""
        for cue in cues:
            if cue.HasField("example") and cue.example.media.WhichOneof("location") == "path":
                self._refer(cue.example.media, _existing(Path(cue.example.media.path)))

    def run(self, order: Callable[[_Session], Any]) -> Any:
        """Create the job that ``order`` describes and watch it to its end; Ctrl-C cancels it."""
        job = self._create(order)
        with _interrupt_cancels(lambda: self.client.cancel(job.job_id)):
            for event in self.client.watch(job.job_id):
                self._show(event)
        return _result(self.client.get(job.job_id))

    def _create(self, order: Callable[[_Session], Any]) -> Any:
        from immersivaudio.bridge.errors import NotAllowedError

        try:
            return self.client.create_job(order(self), str(uuid.uuid4()))
        except NotAllowedError as error:
            if not self.local or error.reason != AccessError.reason:
                raise
        # A running engine that may not read the folder is sent the bytes instead.
        self.local = False
        return self.client.create_job(order(self), str(uuid.uuid4()))

    def _show(self, event: Any) -> None:
        kind = event.WhichOneof("event")
        if kind == "progress":
            self.bar.show(event.progress.stage, event.progress.job_fraction, event.progress.message)
        elif kind == "warning":
            self.bar.warn(event.warning)

    def fetch(self, result: Any, goal: Plan, source: Path, codec: str) -> dict[str, Path]:
        with Landing(goal, source) as landing:
            for made in result.artefacts:
                self._download(made, landing)
            names = [(made.name, made.kind) for made in result.artefacts]
            if self.proxies and goal.kind == "video":
                names = distant.under_picture(source, landing.folder, names, goal, codec)
            return landing.place(names)

    def _download(self, made: Any, landing: Landing) -> None:
        from immersivaudio.bridge.errors import TransferError

        try:
            self.client.download(made.digest, landing.folder / made.name)
        except TransferError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise landing.unwritten(landing.final(made.name, made.kind), error.__cause__) from error


def _result(job: Any) -> Any:
    from immersivaudio.v1 import job_pb2

    if job.state == job_pb2.JOB_STATE_SUCCEEDED:
        return job.result
    if job.state == job_pb2.JOB_STATE_CANCELLED:
        raise CancelledError("Cancelled; nothing was written.")
    raise _failure(job.error)


def _failure(error: Any) -> EngineError:
    return {kind.reason: kind for kind in _all_kinds(EngineError)}.get(error.reason, EngineError)(
        error.message, error.hint
    )


def _all_kinds(base: type[EngineError]) -> list[type[EngineError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _all_kinds(child))]


@contextlib.contextmanager
def _interrupt_cancels(cancel: Callable[[], object]) -> Iterator[None]:
    """The first Ctrl-C asks the engine to cancel and waits for it; the second one leaves at once."""

    def once(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        cancel()

    try:
        before = signal.signal(signal.SIGINT, once)
    except ValueError:  # not the main thread: nobody presses keys there
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _fill_params(params: Any, wish: Wish) -> None:
    for lane in ("ambience", "foley", "effects"):
        params[lane].flag = lane not in wish.without
    if wish.music:
        params["music"].flag = True
    params["description"].text = wish.describe
    params["density"].number = wish.density
    params["seed"].integer = wish.seed
    params["rights"].text = wish.rights


def _media_of(timeline: Path, folders: tuple[Path, ...], everything: bool) -> dict[str, Path]:
    """Where a timeline's media lies, by its url: what lies elsewhere than the url says, or (for a distant engine) all."""
    from immersivaudio.engine.importers.relink import locate_media

    return locate_media(timeline, folders, everything=everything) if folders or everything else {}


def _conclude(session: Any, result: Any, goal: Plan, final: dict[str, Path]) -> None:
    from rich.console import Console

    from immersivaudio.engine import sheets, wire

    sheet = wire.sheet_from_wire(result.cue_sheet)
    if not session.bar.console.quiet:
        session.bar.console.print(sheets.table(sheet))
    Console().print(str(goal.main), style="bold", soft_wrap=True, highlight=False, markup=False)
    others = sorted(path.name for path in final.values() if path != goal.main)
    if others and not session.bar.console.quiet:
        text = f"beside it in {goal.beside}: {', '.join(others)}"
        session.bar.console.print(text, soft_wrap=True, markup=False)
