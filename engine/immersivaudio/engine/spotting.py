# SPDX-License-Identifier: AGPL-3.0-or-later
"""Sightings -> cue sheet: what should be heard, where, and why. Plain rules, deterministic, nothing decoded here.

The rules live beside it: ``places`` (what a place sounds like, as data), ``looks`` (which shots are one place),
``beds`` (ambience), ``contacts`` (foley), ``passing`` (pass-bys, clothes), ``underscore`` (music), ``quiet`` (silence and
speech).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from immersivaudio.engine.activities import activities
from immersivaudio.engine.beds import Plan, already, ambience
from immersivaudio.engine.contacts import contacts
from immersivaudio.engine.cue import Cue, CueSheet, Edit, Sighting, Stem
from immersivaudio.engine.drafting import Draft, cue_of
from immersivaudio.engine.ensemble import weigh
from immersivaudio.engine.keeping import keep_edits
from immersivaudio.engine.looks import Scene, View, scenes
from immersivaudio.engine.movers import vehicles, vessels, walkers
from immersivaudio.engine.passing import as_described, missed_passbys, passbys, rustle
from immersivaudio.engine.quiet import SPEECH_FROM, silences, speech_spans
from immersivaudio.engine.sounds import BY_ID
from immersivaudio.engine.spaces import in_space
from immersivaudio.engine.underscore import underscore

_SURE_IN_SPEECH = 0.8
_WORTH_SUGGESTING = 0.2
_ROOM_FOR_ORIGINAL: dict[str, tuple[float, str]] = {
    "dialogue": (-4.0, "; lower and sparse, because the recording is dialogue"),
    "good": (-6.0, "; low, because the recorded sound is good and stays"),
    "music": (-6.0, "; low, because the recorded sound is music"),
}


@dataclass(frozen=True, slots=True)
class SpotOptions:
    """What the person wants. ``density`` 0 to 1: how much is added and how sure it must be. ``description``: words
    about the place, which override what is seen. ``keep``: an earlier sheet whose edits by hand survive."""

    seed: int = 0
    music: bool = False
    ambience: bool = True
    foley: bool = True
    effects: bool = True
    density: float = 0.5
    description: str = ""
    keep: CueSheet | None = None

    @property
    def bar(self) -> float:
        """The confidence from which a cue is performed; below it is a suggestion. 0.35 at the usual density."""
        return 0.5 - 0.3 * max(0.0, min(1.0, self.density))


_USUAL = SpotOptions()


def spot(edit: Edit, sightings: Iterable[Sighting], options: SpotOptions = _USUAL) -> CueSheet:
    """The cue sheet of ``edit``. Every span of ``sightings`` is on the record clock."""
    view = View.of(edit, weigh(edit, sightings))
    places = scenes(view, options.description)
    speech = speech_spans(view)
    drafts = [*_drafts(view, places, options)]
    drafts += _going_on(view, drafts, options)
    cues, suggestions = _judged(in_space(drafts, places, options.description), view, options)
    sheet = CueSheet(
        name=edit.name,
        rate=edit.rate,
        duration_s=edit.duration_s,
        cues=cues,
        silences=silences(view, places, cues, speech),
        speech=speech,
        suggestions=suggestions,
        warnings=_warnings(view, places, options),
        start_timecode_s=edit.start_timecode_s,
        drop_frame=edit.drop_frame,
    )
    return keep_edits(sheet, options.keep) if options.keep is not None else sheet


def verdict(view: View) -> str:
    """What the sound watcher says of the original: none, silent, good, bad, dialogue or music."""
    levels = view.all("level")
    return str(levels[0].values.get("verdict", "none")) if levels else "none"


def _drafts(view: View, places: Sequence[Scene], options: SpotOptions) -> Iterator[Draft]:
    heard = verdict(view)
    stays = view.all("heard") if heard in _ROOM_FOR_ORIGINAL else ()
    if options.ambience:
        gain_db, because = _ROOM_FOR_ORIGINAL.get(heard, (0.0, ""))
        sparse = options.density < 0.25 or heard in _ROOM_FOR_ORIGINAL
        yield from ambience(places, Plan(options.bar, sparse, gain_db, because, options.description, stays, view))
    unnamed = (*passbys(view, places), *missed_passbys(view, places))
    moving = [*as_described(unnamed, options.description), *vehicles(view, places)]
    blows = list(contacts(view, places, 0.3 - 0.3 * options.density, options.description))
    if options.effects:
        yield from (_unless_heard(draft, stays) for draft in moving)
    if options.foley:
        yield from blows
        taken = [draft.span for draft in (*moving, *blows) if draft.confidence >= options.bar]
        walks = [draft.span for draft in blows if draft.sound.startswith("footstep")]
        yield from vessels(view, places)
        steps = walkers(view, places, options.description, walks)
        yield from (_unless_recorded(_unless_heard(draft, stays), heard) for draft in steps)
        yield from rustle(view, places, taken, heard in _ROOM_FOR_ORIGINAL)
    if options.music:
        yield from underscore(view, places, heard)


def _going_on(view: View, drafts: Sequence[Draft], options: SpotOptions) -> list[Draft]:
    """What goes on as long as it is seen, of the stems that are wanted."""
    wanted = {Stem.AMBIENCE: options.ambience, Stem.FOLEY: options.foley, Stem.EFFECTS: options.effects}
    stays = view.all("heard") if verdict(view) in _ROOM_FOR_ORIGINAL else ()
    found = [draft for draft in activities(view, drafts) if wanted.get(BY_ID[draft.sound].stem, False)]
    return [_unless_heard(draft, stays) for draft in found]


def _unless_heard(draft: Draft, stays: Sequence[Sighting]) -> Draft:
    """A draft that the recording has already is only suggested."""
    known = already(draft.sound, draft.span, stays)
    if not known:
        return draft
    return replace(draft, confidence=draft.confidence * 0.3, why=f"{draft.why[:-1]}; but {known}.")


def _unless_recorded(draft: Draft, heard: str) -> Draft:
    """Steps that nobody saw one by one are doubted where the recording stays: it would have them."""
    if heard not in _ROOM_FOR_ORIGINAL:
        return draft
    return replace(draft, confidence=draft.confidence * 0.4, why=f"{draft.why[:-1]}; but the recording stays.")


def _judged(drafts: Iterable[Draft], view: View, options: SpotOptions) -> tuple[tuple[Cue, ...], tuple[Cue, ...]]:
    """Cues and suggestions, each in order of time."""
    cues: list[Cue] = []
    suggestions: list[Cue] = []
    for draft in drafts:
        cue = cue_of(draft, view.edit, options.seed)
        if cue is None:
            continue
        spoken = _in_speech(cue, view)
        if spoken:
            cue = replace(cue, why=f"{cue.why} It would start while somebody speaks, so it is only suggested.")
        if not spoken and cue.confidence >= options.bar:
            cues.append(cue)
        elif cue.confidence >= _WORTH_SUGGESTING:
            suggestions.append(cue)
    named = _unique([*_in_order(cues), *_in_order(suggestions)])
    return tuple(named[: len(cues)]), tuple(named[len(cues) :])


def _in_speech(cue: Cue, view: View) -> bool:
    if cue.stem not in (Stem.FOLEY, Stem.EFFECTS) or cue.confidence >= _SURE_IN_SPEECH:
        return False
    start = cue.sync_s[0] if cue.sync_s else cue.span.start_s
    return view.covers("speech", start, SPEECH_FROM)


def _in_order(cues: Iterable[Cue]) -> list[Cue]:
    return sorted(cues, key=lambda cue: (cue.span.start_s, cue.stem, cue.id))


def _unique(cues: Sequence[Cue]) -> list[Cue]:
    seen: dict[str, int] = {}
    named = []
    for cue in cues:
        seen[cue.id] = seen.get(cue.id, 0) + 1
        named.append(cue if seen[cue.id] == 1 else replace(cue, id=f"{cue.id}~{seen[cue.id]}"))
    return named


def _warnings(view: View, places: Sequence[Scene], options: SpotOptions) -> tuple[str, ...]:
    found = list(view.edit.warnings)
    doubts = [scene for scene in places if "does not go with" in scene.doubt]
    found += [f"{float(s.span.start_s):.2f} to {float(s.span.end_s):.2f} s: {s.doubt}." for s in doubts]
    if options.music and verdict(view) == "music":
        found.append("The recorded sound is already music, so new music is only suggested.")
    return tuple(found)
