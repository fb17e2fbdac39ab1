# SPDX-License-Identifier: AGPL-3.0-or-later
"""watch -> spot -> perform -> mix -> deliver: the main job, on plain Python objects. Knows no wire and no editor."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from immersivaudio.engine import (
    alternatives,
    delivery,
    grouping,
    guarded_wording,
    mixing,
    opening,
    original,
    performing,
    rewording,
    room,
    sounds,
    spotting,
    steady,
    watching,
    wording,
)
from immersivaudio.engine.cue import Cue, CueSheet, Edit, Sighting, Span, Take, samples_at, tidy
from immersivaudio.engine.errors import CancelledError, RequestError, ResultError
from immersivaudio.engine.examples import casting
from immersivaudio.engine.request import (
    Cancelled,
    DeliveryWish,
    Emit,
    Event,
    Goal,
    Made,
    Outcome,
    Progress,
    ScoreRequest,
    Spotted,
    Warned,
    Workspace,
)

__all__ = [
    "Cancelled",
    "DeliveryWish",
    "Emit",
    "Event",
    "Goal",
    "Made",
    "Outcome",
    "Progress",
    "ScoreRequest",
    "Spotted",
    "Warned",
    "Workspace",
    "score",
]


def score(request: ScoreRequest, workspace: Workspace, emit: Emit, cancelled: Cancelled) -> Outcome:
    """Do the whole job, or the part that ``request.goal`` asks for.

    Raises:
        EngineError: with a sentence for the person who asked; CancelledError when ``cancelled()`` became true.
    """
    job = _Job(request, workspace, emit, cancelled)
    request = job.request = rewording.obeyed(request, job.warn)
    edit, timeline = job.conform()
    media = steady.Steady.of(edit)
    if request.goal is Goal.DELIVER:
        delivery.check(request.delivery, request.media, edit.duration_s, workspace.scratch, edit.rate)
    given = request.sheet if request.goal is Goal.DELIVER else None
    with job.listening(edit) as ears:
        example = job.hear_example(given)
        sheet = given if given is not None else job.spot(edit, ears)
        heard = ears()
    media.check()
    sheet = job.by_example(job.fit(sheet, edit), example)
    emit(Spotted(sheet))
    if request.goal is Goal.SPOT:
        return Outcome(sheet, (), job.all_warnings())
    takes = job.perform(room.with_room(sheet) if job.keeps(heard) else sheet)
    mixed = job.mix(sheet, takes, heard)
    made = job.deliver(edit, timeline, sheet, takes, mixed)
    if "video" in request.delivery.outputs:
        media.check()
    return Outcome(sheet, made, job.all_warnings())


# The share of a job's time that each stage takes, roughly: only the progress bar rests on it.
_SHARES = {"conform": 0.02, "listen": 0.03, "watch": 0.5, "spot": 0.01, "perform": 0.28, "mix": 0.1, "deliver": 0.06}


_BLOWS_A_SECOND = 100


@dataclass(frozen=True, slots=True)
class Heard:
    """The original sound as laid on the record clock (None: there is none), what is heard in it, and what went wrong."""

    path: Path | None
    sightings: tuple[Sighting, ...]
    warnings: tuple[str, ...]


Ears = Callable[[], Heard]


@dataclass
class _Job:
    """One run of :func:`score`: its stages, each saying how far it is and what it could not honour."""

    request: ScoreRequest
    workspace: Workspace
    emit: Emit
    cancelled: Cancelled
    warnings: list[str] = field(default_factory=list)
    more: dict[str, tuple[Take, ...]] = field(default_factory=dict)
    parts: dict[str, dict[str, Take]] = field(default_factory=dict)

    @functools.cached_property
    def watchers(self) -> watching.Watchers:
        found = _watchers()
        found.renew()
        return found

    def warn(self, *texts: str) -> None:
        for text in texts:
            if text not in self.warnings:
                self.warnings.append(text)
                self.emit(Warned(text))

    def all_warnings(self) -> tuple[str, ...]:
        return tuple(self.warnings)

    def stage(self, name: str) -> Callable[[float, str], None]:
        """Begin a stage; the answer reports how far it is."""
        if self.cancelled():
            raise CancelledError("Cancelled.")
        names = list(_SHARES)
        before = sum(_SHARES[earlier] for earlier in names[: names.index(name)])

        def report(fraction: float, message: str = "") -> None:
            self.emit(Progress(name, fraction, before + _SHARES[name] * fraction, message))

        report(0.0, "")
        return report

    def conform(self) -> tuple[Edit, Any]:
        self.stage("conform")
        edit, timeline = opening.edit_of(self.request, self.workspace.scratch)
        self.warn(*edit.warnings)
        if self.request.sheet is None and not edit.picture and self.request.effect != "sfx":
            raise opening.nothing_to_see(edit)
        return edit, timeline

    @contextlib.contextmanager
    def listening(self, edit: Edit) -> Iterator[Ears]:
        """Lay the original sound and hear it while the picture is watched; what is yielded waits for the end of it."""
        self.stage("listen")
        if not edit.sound_clips():
            yield lambda: Heard(None, (), ())
            return
        left, watchers = threading.Event(), self.watchers
        path = self.workspace.scratch / "original.wav"

        def stopped() -> bool:
            return left.is_set() or self.cancelled()

        def listen() -> Heard:
            said = original.lay(edit, path, stopped)
            heard, more = watching.listen(edit, path, watchers, self.workspace.cache, stopped)
            return Heard(path, tuple(heard), (*said, *more))

        with ThreadPoolExecutor(1, "listen") as aside:
            hearing = aside.submit(listen)
            try:
                yield lambda: self._heard(hearing)
            finally:
                left.set()

    def _heard(self, hearing: Future[Heard]) -> Heard:
        """What was heard; said only now, so that warnings come in the order of the stages."""
        heard = hearing.result()
        self.warn(*heard.warnings)
        return heard

    def spot(self, edit: Edit, ears: Ears) -> CueSheet:
        if self.request.effect == "sfx":
            return _one_sound(self.request, edit)
        report = self.stage("watch")
        looked = watching.look(edit, self.watchers, self.workspace.cache, self.cancelled, report)
        report(0.9, "listening")
        heard = list(ears().sightings)
        if not edit.sound_clips():
            heard, _ = watching.listen(edit, None, self.watchers, self.workspace.cache, self.cancelled)
        seen = watching.together(self.watchers, looked, (heard, []))
        self.warn(*seen.warnings)
        self.stage("spot")
        return self.word(spotting.spot(edit, seen.sightings, _spot_options(self.request)), seen.sightings)

    def word(self, sheet: CueSheet, sightings: tuple[Sighting, ...]) -> CueSheet:
        """``sheet`` in the words of the operator's language model, where there is one."""
        writer, lack = _wording()
        if lack:
            self.warn(lack)
        sheet, failed = wording.worded(sheet, sightings, writer, self.cancelled)
        if failed:
            self.warn(f"The language model had no words that could be used for {failed} of {len(sheet.cues)} cues.")
        if isinstance(writer, guarded_wording.GuardedModel) and writer.lost:
            self.warn(f"The language model is gone: {writer.lost} The template words the cues.")
        return sheet

    def hear_example(self, given: CueSheet | None) -> casting.Tried | None:
        """The job's example, heard before anything is watched. A sheet that names examples of its own says it all."""
        named = self.request.example
        if named is None or (given is not None and any(cue.example for cue in given.cues)):
            return None
        alone = self.request.effect == "analogy" and given is None
        wish = casting.Wish(named, alone, str(self.request.params.get("rights", "commercial")))
        heard = casting.tried(wish, self.cancelled)
        self.warn(*heard.warnings)
        return heard

    def by_example(self, sheet: CueSheet, example: casting.Tried | None) -> CueSheet:
        """``sheet`` with the job's example on the cues that it fits, and every example's events chosen."""
        sheet = casting.cast(sheet, example) if example is not None else sheet
        return casting.with_events(sheet, self.cancelled)

    def fit(self, sheet: CueSheet, edit: Edit) -> CueSheet:
        """``sheet`` on the clock of ``edit``; a sheet for another length is said, and cut to this one."""
        self.warn(*sheet.warnings)
        _check_density(sheet)
        empty = {cue.id for cue in sheet.sounding() if samples_at(cue.span.duration_s) == 0}
        if empty:
            self.warn(f"Cues that last no time are left out: {', '.join(sorted(empty)[:5])}.")
            sheet = replace(sheet, cues=tuple(cue for cue in sheet.cues if cue.id not in empty))
        if sheet.duration_s == edit.duration_s:
            return sheet if sheet.rate else replace(sheet, rate=edit.rate)
        if abs(sheet.duration_s - edit.duration_s) > Fraction(1, 2):
            said = (
                f"The cue sheet is for {float(sheet.duration_s):.2f} s, the edit lasts {float(edit.duration_s):.2f} s"
            )
            self.warn(f"{said}; what lies outside the edit is left out.")
        inside = [_cut(cue, edit.record) for cue in sheet.cues]
        kept = tuple(cue for cue in inside if cue is not None)
        return replace(sheet, cues=kept, duration_s=edit.duration_s, rate=edit.rate)

    def keeps(self, heard: Heard) -> bool:
        """Whether the original sound is heard in the mix."""
        wish = self.request.delivery
        return heard.path is not None and wish.mix < 1 and _keeps(wish.original, heard.sightings)

    def perform(self, sheet: CueSheet) -> dict[str, Take]:
        report = self.stage("perform")
        cues = sheet.sounding()
        if not cues:
            raise ResultError(
                "The cue sheet holds nothing to be heard, so there is no sound to give back.",
                "Add a cue, unmute one, or describe the place with --describe.",
            )
        cues = _out_of(str(self.request.params.get("library", "")), cues, self.request.params.get("seed", 0))
        wish, rights = self.request.delivery, str(self.request.params.get("rights", "commercial"))

        def part(fraction: float, message: str = "") -> None:
            report(fraction / wish.takes, message)

        done = performing.perform(cues, _performers(), self.workspace.cache, rights, self.cancelled, part)
        self.warn(*done.warnings)
        run = performing.Run(_performers(), self.workspace.cache, rights, self.cancelled)
        if wish.music_stems:
            self.parts, said = grouping.perform(cues, done.takes, run)
            self.warn(*said)
        if wish.takes > 1:
            asked = alternatives.Wish(wish.takes, wish.takes_of)
            self.more, said = alternatives.perform(cues, done.takes, asked, run, report)
            self.warn(*said)
        return done.takes

    def mix(self, sheet: CueSheet, takes: dict[str, Take], heard: Heard) -> mixing.MixResult:
        report = self.stage("mix")
        wish = self.request.delivery
        options = mixing.MixOptions(wish.loudness, wish.mix, self.keeps(heard))
        folder = self.workspace.scratch / "mix"
        folder.mkdir(parents=True, exist_ok=True)
        booth = mixing.Booth(folder, self.workspace.cache, self.cancelled, lambda done: report(done, ""))
        mixed = mixing.mix(sheet, takes, heard.path, options, booth, self.parts)
        self.warn(*mixed.warnings)
        return mixed

    def deliver(
        self, edit: Edit, timeline: Any, sheet: CueSheet, takes: dict[str, Take], mixed: mixing.MixResult
    ) -> tuple[Made, ...]:
        self.stage("deliver")
        folder = self.workspace.scratch / "out"
        folder.mkdir(parents=True, exist_ok=True)
        job = delivery.Delivery(
            edit, timeline, sheet, takes, mixed, self.request.delivery, self.request.media, folder,
            cache=self.workspace.cache, more=self.more, cancelled=self.cancelled, warn=self.warn,
            document=self.request.timeline,
        )  # fmt: skip
        made = delivery.deliver(job)
        for one in made:
            self.emit(one)
        return made


@functools.cache
def _watchers() -> watching.Watchers:
    return watching.Watchers.load()


@functools.cache
def _wording() -> tuple[wording.Wording, str]:
    return guarded_wording.of_operator()


@functools.cache
def _performers() -> performing.Performers:
    return performing.Performers.load()


def _check_density(sheet: CueSheet) -> None:
    """Raises: RequestError where a lane's blows come so fast that they are a tone and no blows any more."""
    blows: dict[str, list[Fraction]] = {}
    for cue in sheet.sounding():
        if cue.sound in sounds.BY_ID and sounds.BY_ID[cue.sound].motion is sounds.Motion.STRUCK:
            blows.setdefault(cue.stem.value, []).extend(cue.sync_s)
    for lane, moments in blows.items():
        moments.sort()
        ahead = zip(moments, moments[_BLOWS_A_SECOND:], strict=False)
        crowded = next((first for first, last in ahead if last - first < 1), None)
        if crowded is not None:
            raise RequestError(
                f"More than {_BLOWS_A_SECOND} blows a second are asked for in the {lane} lane, from {float(crowded):.2f} s on.",
                "Nobody hears them apart: leave some out, or use one going sound instead.",
            )


def _keeps(wish: str, heard: tuple[Sighting, ...]) -> bool:
    """Whether the original sound stays in the mix: as wished, else unless it is silent or bad."""
    if wish in ("keep", "replace"):
        return wish == "keep"
    verdicts = [sighting.values.get("verdict") for sighting in heard if sighting.label == "level"]
    return not any(verdict in ("none", "silent", "bad") for verdict in verdicts)


def _spot_options(request: ScoreRequest) -> spotting.SpotOptions:
    params = request.params
    return spotting.SpotOptions(
        seed=int(float(params.get("seed", 0))),
        music=bool(params.get("music", False)),
        ambience=bool(params.get("ambience", True)) and request.effect in ("soundtrack", "ambience", "analogy"),
        foley=bool(params.get("foley", True)) and request.effect in ("soundtrack", "foley", "analogy"),
        effects=bool(params.get("effects", True)) and request.effect in ("soundtrack", "foley"),
        density=float(params.get("density", 0.5)),
        description=str(params.get("description", "")),
        keep=request.sheet,
    )


def _one_sound(request: ScoreRequest, edit: Edit) -> CueSheet:
    """The sheet of the effect ``sfx``: one sound for a range, without picture."""
    name = str(request.params.get("sound", ""))
    if name not in sounds.BY_ID:
        raise RequestError(f"No sound is called {name!r}.", "Choose one out of `immersivaudio sounds`.")
    sound = sounds.BY_ID[name]
    span = Span(Fraction(0), edit.duration_s)
    sync = (tidy(Fraction(1, 20)),) if sound.motion is sounds.Motion.STRUCK else ()
    prompt = str(request.params.get("prompt", "")) or sound.label
    seed = int(float(request.params.get("seed", 0)))
    cue = Cue("sfx-1", sound.stem, span, name, prompt, "asked for by name", sync_s=sync, seed=seed)
    return CueSheet(edit.name, edit.rate, edit.duration_s, (cue,))


def _out_of(library: str, cues: Sequence[Cue], seed: float | str) -> tuple[Cue, ...]:
    """``cues`` as they are performed out of that library, or ``off``: out of none; what a cue says itself stays."""
    hints: dict[str, float | str] = {"library_seed": float(seed)} | ({"library": library} if library else {})
    return tuple(replace(cue, params={**hints, **cue.params}) for cue in cues)


def _cut(cue: Cue, record: Span) -> Cue | None:
    inside = cue.span.overlap(record)
    if inside is None:
        return None
    return replace(cue, span=inside, sync_s=tuple(sync_s for sync_s in cue.sync_s if inside.contains(sync_s)))
