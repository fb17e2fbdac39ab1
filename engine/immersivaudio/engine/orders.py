# SPDX-License-Identifier: AGPL-3.0-or-later
"""A job's spec as the pipeline wants it, and what the pipeline says as the wire wants it. Read by workers only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from immersivaudio.engine import access, effects, wire
from immersivaudio.engine.blobs import BlobStore, Digest
from immersivaudio.engine.cue import CueSheet, Example
from immersivaudio.engine.errors import NotFoundError
from immersivaudio.engine.request import DeliveryWish, Event, Goal, Made, Outcome, Progress, ScoreRequest, Spotted
from immersivaudio.v1 import job_pb2, media_pb2


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a request's media may lie: the operator's roots and the uploaded blobs; ``scratch`` is the job's folder."""

    roots: tuple[Path, ...]
    blobs: BlobStore
    scratch: Path

    def find(self, media: media_pb2.MediaRef) -> Path:
        """The file that a client means.

        Raises:
            AccessError, MediaError, NotFoundError.
        """
        if media.WhichOneof("location") == "blob":
            return self.blobs.path(Digest(media.blob.sha256, media.blob.size_bytes))
        return access.check(media.path, self.roots)

    def named(self, media: media_pb2.MediaRef, name: str) -> Path:
        """Like :meth:`find`; a blob gets the ending of ``name``, by which importers know a timeline's format."""
        path = self.find(media)
        suffix = Path(name).suffix
        if media.WhichOneof("location") != "blob" or not suffix[1:].isalnum():
            return path
        link = self.scratch / f"timeline{suffix.lower()}"
        link.hardlink_to(path)
        return link

    def example(self, one: Example) -> Example:
        """An example with the place where it lies; read, it has its digest too.

        Raises:
            AccessError, MediaError, NotFoundError.
        """
        if one.uploaded:
            return replace(one, path=str(self.blobs.path(Digest(one.sha256, one.size_bytes))))
        return replace(one, path=str(access.check(one.path, self.roots)))

    def sheet(self, sheet: CueSheet) -> CueSheet:
        """``sheet`` with the place of every example that its cues name; see :meth:`example`."""
        cues = tuple(replace(cue, example=self.example(cue.example)) if cue.example else cue for cue in sheet.cues)
        return replace(sheet, cues=cues)


def request_of(spec: job_pb2.JobSpec, shelf: Shelf) -> ScoreRequest:
    """The pipeline's request for a checked spec.

    Raises:
        EngineError: media that is not there or not allowed.
    """
    effect = effects.find(spec.effect.effect_id)
    params = effect.values(wire.values_from_wire(spec.effect))
    source, which = spec.source, spec.source.WhichOneof("source")
    sheet = shelf.sheet(wire.sheet_from_wire(spec.cue_sheet)) if spec.HasField("cue_sheet") else None
    return ScoreRequest(
        media=shelf.find(source.media) if which == "media" else None,
        timeline=shelf.named(source.timeline, source.name) if which == "timeline" else None,
        timeline_json=source.timeline_json,
        media_by_url={url: shelf.find(media) for url, media in source.media_by_url.items()},
        name=source.name,
        effect=effect.id,
        params=params,
        goal=Goal.SPOT if spec.goal == job_pb2.GOAL_SPOT else Goal.DELIVER,
        sheet=sheet,
        delivery=_wish(spec.delivery, params),
        roots=(*shelf.roots, shelf.blobs.folder, shelf.scratch),
        example=_example(spec, params, shelf),
    )


def _example(spec: job_pb2.JobSpec, params: Mapping[str, effects.Value], shelf: Shelf) -> Example | None:
    """What the job is to sound like: as the spec says, else the path that a panel's param holds."""
    if spec.HasField("example"):
        return shelf.example(wire.example_from_wire(spec.example))
    path, licence = str(params.get("example", "")), str(params.get("example_licence", ""))
    return shelf.example(Example(path, Path(path).name, licence)) if path else None


def _wish(delivery: job_pb2.Delivery, params: Mapping[str, effects.Value]) -> DeliveryWish:
    """What the delivery says itself goes before the effect's params, and those before the defaults."""
    plain = DeliveryWish()
    mix = delivery.mix if delivery.HasField("mix") else float(params.get("mix", plain.mix))
    return DeliveryWish(
        outputs=tuple(delivery.outputs) or plain.outputs,
        container=delivery.container,
        audio_codec=delivery.audio_codec,
        loudness=delivery.loudness or str(params.get("loudness", plain.loudness)),
        mix=mix,
        original=delivery.original or str(params.get("original", plain.original)),
        dialect=delivery.dialect or plain.dialect,
        takes=delivery.takes or plain.takes,
        takes_of=tuple(delivery.takes_of),
        credentials=delivery.credentials,
        music_stems=delivery.music_stems or bool(params.get("music_stems", plain.music_stems)),
    )


class Reporter:
    """Turns what the pipeline says into events; holds progress back to a few a second, and reckons the time left."""

    def __init__(self, blobs: BlobStore, per_second: float = 5.0) -> None:
        self._blobs, self._interval_s = blobs, 1.0 / per_second
        self._began_s, self._last_s, self._stage = time.monotonic(), 0.0, ""

    def event(self, said: Event) -> job_pb2.JobEvent | None:
        """The event to send, or None for progress that came too soon after the last.

        Raises:
            OutputError: a file that was made cannot be taken into the blob store.
        """
        if isinstance(said, Progress):
            return self._progress(said)
        if isinstance(said, Made):
            return job_pb2.JobEvent(artefact=self.artefact(said))
        if isinstance(said, Spotted):
            return job_pb2.JobEvent(cue_sheet=wire.sheet_to_wire(said.sheet))
        return job_pb2.JobEvent(warning=said.text)

    def _progress(self, said: Progress) -> job_pb2.JobEvent | None:
        now = time.monotonic()
        if said.stage == self._stage and now - self._last_s < self._interval_s:
            return None
        self._last_s, self._stage = now, said.stage
        progress = job_pb2.Progress(
            stage=said.stage,
            stage_fraction=said.stage_fraction,
            job_fraction=said.job_fraction,
            message=said.message,
        )
        elapsed = now - self._began_s
        if said.job_fraction > 0.02 and elapsed > 1.0:
            progress.remaining_s = elapsed * (1.0 - said.job_fraction) / said.job_fraction
        return job_pb2.JobEvent(progress=progress)

    def artefact(self, made: Made) -> job_pb2.Artefact:
        """A file that was made, now in the blob store.

        Raises:
            OutputError: it cannot be taken in.
        """
        try:
            digest = self._blobs.put(made.path)
        except NotFoundError as error:
            raise NotFoundError(f"{made.name} was made and is gone.", error.hint) from error
        return job_pb2.Artefact(
            name=made.name,
            kind=made.kind,
            digest=media_pb2.Digest(sha256=digest.sha256, size_bytes=digest.size_bytes),
            stem=wire.stem_to_wire(made.stem),
        )

    def result(self, outcome: Outcome) -> job_pb2.JobResult:
        """The result: each name once, as it was made last."""
        artefacts = {made.name: self.artefact(made) for made in outcome.made}
        return job_pb2.JobResult(
            cue_sheet=wire.sheet_to_wire(outcome.sheet), artefacts=artefacts.values(), warnings=outcome.warnings
        )
