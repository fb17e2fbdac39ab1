# SPDX-License-Identifier: AGPL-3.0-or-later
"""A cue that a person re-worded sounds like its new words also where nobody reads words: they name another sound.

Only words that a person wrote count, and only where the sound is still the one that spotting chose; who chooses the sound
himself is taken at his word, and the template's words follow him. Words that cannot be followed are said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from immersivaudio.engine.cue import HINTS, STEERING, Cue, CueSheet, ParamValue, Span, Stem
from immersivaudio.engine.drafting import ringing_s
from immersivaudio.engine.keeping import spotted_sound, unwritten
from immersivaudio.engine.library.matching import parts
from immersivaudio.engine.places import OVERLAYS, SETTINGS, WORDS, named
from immersivaudio.engine.prompts import WORDED, WRITTEN, is_templates, template
from immersivaudio.engine.request import ScoreRequest
from immersivaudio.engine.sounds import BY_ID, SPACE, VOCABULARY, Motion, Sound
from immersivaudio.engine.ways import PATH
from immersivaudio.engine.wishes import INSTEAD, sounds_named

_STEP, _IMPACT = "footstep.", "impact."
_FEET = frozenset(
    re.findall(r"\w+", "foot feet footstep footsteps step steps walk walks walking run runs boots shoes heels")
)


def obeyed(request: ScoreRequest, warn: Callable[[str], None]) -> ScoreRequest:
    """``request`` with the sounds that the words of its sheet name, where it has one."""
    if request.sheet is None:
        return request
    sheet, said = followed(request.sheet)
    for text in said:
        warn(text)
    return replace(request, sheet=sheet)


def followed(sheet: CueSheet) -> tuple[CueSheet, list[str]]:
    """``sheet`` with the sounds that its re-worded cues name, and a sentence for each whose words name none, or several."""
    cues, said = [], []
    for cue in sheet.cues:
        made, note = _followed(cue, sheet.duration_s)
        cues.append(made)
        said += [f"{cue.id}: {note}"] if note else []
    return replace(sheet, cues=tuple(cues)), said


def _followed(cue: Cue, end_s: Fraction) -> tuple[Cue, str]:
    first = spotted_sound(cue)
    if first is None or cue.example is not None or cue.stem is Stem.MUSIC or cue.sound not in BY_ID:
        return cue, ""
    if first != cue.sound:
        return replace(cue, prompt=template(cue)) if is_templates(cue.prompt, first) else cue, ""
    if unwritten(cue) or is_templates(cue.prompt, first) or not cue.prompt.strip():
        return cue, ""
    sound = BY_ID[cue.sound]
    found = meant(cue.prompt, sound)
    if found == (sound.id,):
        return cue, ""
    if len(found) == 1:
        return _as(cue, BY_ID[found[0]], end_s), ""
    return cue, _unclear(cue, sound, found)


def _unclear(cue: Cue, sound: Sound, found: Sequence[str]) -> str:
    words = cue.prompt if len(cue.prompt) <= 60 else f"{cue.prompt[:57]}..."
    if found:
        return f'"{words}" names {" and ".join(found)}; it stays {sound.label}: write the wanted one as its sound.'
    return (
        f'"{words}" names no {sound.motion.value} sound of the vocabulary; unless a model performs the words, it stays '
        f"{sound.label}."
    )


def meant(words: str, sound: Sound) -> tuple[str, ...]:
    """The sounds that ``words`` name for a cue that is ``sound``, of the same motion: ``(sound.id,)`` where they still mean
    it, one to follow, several that cannot be told apart, or none."""
    said = frozenset(re.findall(r"[a-z]+", words.lower()))
    called = sounds_named(words)
    nearer = any(one.startswith(f"{sound.id}.") for one in called)
    if sound.id in called or (_says(sound, words) and not nearer):
        return (sound.id,)
    other = [BY_ID[one] for one in called if BY_ID[one].motion is sound.motion and BY_ID[one].stem is not Stem.MUSIC]
    readings: Iterable[Callable[[], list[str]]] = (
        lambda: _struck(other, sound, said) if sound.motion is Motion.STRUCK else [one.id for one in other],
        lambda: _kin(sound, words, on_foot=bool(said & _FEET)),
        lambda: _of_place(words) if sound.stem is Stem.AMBIENCE else [],
    )
    found = next((one for reading in readings if (one := reading())), [])
    plainer = {plain for one in found for plain in INSTEAD.get(one, ())}
    return tuple(one for one in found if one not in plainer)


def _struck(other: Sequence[Sound], sound: Sound, said: frozenset[str]) -> list[str]:
    """Steps where feet are spoken of; else what happens before what things are made of: an axe on a plank chops."""
    on_foot = bool(said & _FEET) or sound.id.startswith(_STEP)
    steps = [one.id for one in other if one.id.startswith(_STEP)]
    blows = [one.id for one in other if not one.id.startswith(_STEP)]
    if on_foot and (steps or said & _FEET):
        return steps
    return [one for one in blows if not one.startswith(_IMPACT)] or blows


def _kin(sound: Sound, words: str, on_foot: bool) -> list[str]:
    """Sounds of the same family that the words say in all their parts: "heavy steps on tiles"."""
    family = _STEP if on_foot else f"{sound.id.partition('.')[0]}."
    kin = [one for one in VOCABULARY if one.id.startswith(family) and one.motion is sound.motion]
    return [one.id for one in kin if _says(one, words)]


def _says(sound: Sound, words: str) -> bool:
    """Whether ``words`` say every part of the sound's name, "blow" and "wood", of one or of many."""
    forms = [tuple(form for word in part for form in (word, f"{word}s")) for part in parts(sound)]
    return all(named(words, {sound.id: part}) for part in forms)


def _of_place(words: str) -> list[str]:
    """The bed of the kind of place that is named, for "a kitchen" or "a market"."""
    beds = {setting.main: setting.beds[0].sound for setting in SETTINGS if setting.beds}
    beds |= {kind: layer.sound for kind, layer in OVERLAYS}
    return list(dict.fromkeys(beds[kind] for kind in named(words, WORDS) if kind in beds))


def _as(cue: Cue, sound: Sound, end_s: Fraction) -> Cue:
    """``cue`` as ``sound``, as loud beside the usual level as it was; it lasts until the last blow has rung."""
    before = BY_ID[cue.sound]
    rung_s = min(end_s, max(cue.sync_s) + ringing_s(sound.id)) if cue.sync_s else cue.span.end_s
    return replace(
        cue,
        sound=sound.id,
        span=Span.between(cue.span.start_s, max(cue.span.end_s, rung_s)),
        params=_params(cue, sound),
        gain_db=round(cue.gain_db + sound.level_db - before.level_db, 1),
        why=f"{cue.why} Re-worded by a person: {sound.label} instead of {before.label}.".strip(),
    )


def _params(cue: Cue, sound: Sound) -> dict[str, ParamValue]:
    """The params that mean something to ``sound`` too."""
    always = {*HINTS, *STEERING, *WORDED} - {WRITTEN}
    always |= ({SPACE} if sound.space else set()) | ({PATH} if sound.motion is Motion.MOVING else set())
    kept = {key: value for key, value in cue.params.items() if key in always}
    return kept | {key: knob.of(cue.params[key]) for key, knob in sound.knobs.items() if key in cue.params}
