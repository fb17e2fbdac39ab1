# SPDX-License-Identifier: AGPL-3.0-or-later
"""Ambience: one continuous bed a place, held across its cuts, crossfaded where the place changes."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from immersivaudio.engine import moods
from immersivaudio.engine.cue import GainPoint, Sighting, Span
from immersivaudio.engine.drafting import Draft
from immersivaudio.engine.evidence import variety
from immersivaudio.engine.looks import Look, Scene, View, is_black, leans_outdoors
from immersivaudio.engine.places import AIR, FALLS_ON, OPEN, OVERLAYS, Layer
from immersivaudio.engine.scenery import BY_ID as SIGNS
from immersivaudio.engine.sounds import BY_ID
from immersivaudio.engine.things import HEARD_SOUNDS
from immersivaudio.engine.wishes import INSTEAD, beds_wished

_CROSSFADE_S = Fraction(1)
_HEAD_S, _TAIL_S = 0.25, 0.5
_BLACK_BRIDGE_S = Fraction(3, 2)
_CUT_RAMP_S = 0.06
_WIDE_KINDS = ("sky", "sea", "water", "vegetation", "snow", "sand", "city", "road")
_PERSPECTIVE_DB, _PERSPECTIVE_MOST_DB, _PERSPECTIVE_LEAST_DB = 5.0, 3.0, 0.7
_OVERLAY_FROM = 0.2
_HEARD_FROM, _MOST, _TWICE_SHARE = 0.35, Fraction(3, 5), 0.75


@dataclass(frozen=True, slots=True)
class Plan:
    """How much ambience is wanted: ``bar`` is the confidence from which a place is believed, ``sparse`` leaves second
    layers out, ``gain_db`` makes room beside a good original, ``because`` says so."""

    bar: float
    sparse: bool = False
    gain_db: float = 0.0
    because: str = ""
    description: str = ""
    heard: tuple[Sighting, ...] = ()
    view: View | None = None


@dataclass(frozen=True, slots=True)
class _Bed:
    """One sound in one scene."""

    scene: Scene
    layer: Layer
    confidence: float
    reason: str


def ambience(scenes: Sequence[Scene], plan: Plan) -> Iterator[Draft]:
    """Drafts of every bed, doubtful overlays among them (their confidence says so)."""
    visible = _bridged(scenes)
    by_sound: dict[str, list[_Bed]] = {}
    for scene in visible:
        for sound, bed in {bed.layer.sound: bed for bed in reversed(_beds(scene, plan))}.items():
            by_sound.setdefault(sound, []).append(bed)
    for beds in by_sound.values():
        for run in _held(beds):
            yield _draft(run, visible, plan)


def _held(beds: Sequence[_Bed]) -> Iterator[list[_Bed]]:
    """Beds of one sound, in order of time, in runs that go on without a break."""
    run: list[_Bed] = []
    for bed in beds:
        if run and not _joins(run[-1], bed):
            yield run
            run = []
        run.append(bed)
    yield run


def _bridged(scenes: Sequence[Scene]) -> list[Scene]:
    """The scenes in which something is seen; a moment of black between two of them does not stop the sound."""
    seen: list[Scene] = []
    for index, scene in enumerate(scenes):
        if not is_black(scene.look):
            seen.append(scene)
        elif seen and index + 1 < len(scenes) and scene.span.duration_s < _BLACK_BRIDGE_S:
            last = seen[-1]
            span = Span.between(last.span.start_s, scene.span.end_s)
            look = Look(
                span, last.look.presence, last.look.share, last.look.light, last.look.camera, last.look.sightings
            )
            seen[-1] = Scene(last.setting, last.confidence, look, last.shots, last.doubt)
    return seen


def _beds(scene: Scene, plan: Plan) -> list[_Bed]:
    setting = scene.setting if scene.confidence >= plan.bar else AIR
    if scene.setting is AIR and leans_outdoors(scene.look):
        setting = OPEN
    fitting = [layer for layer in setting.beds if _fits(layer, scene)]
    layers = [layer for layer in fitting if not (plan.sparse and layer.sparse)]
    if not layers:
        layers = [layer for layer in setting.beds if not layer.needs][:1] or list(AIR.beds)
    if plan.heard and all(already(layer.sound, scene.span, plan.heard) for layer in layers):
        layers += [layer for layer in fitting if layer.sparse]
    beds = [_Bed(scene, layer, max(scene.confidence, plan.bar), _reason(scene, plan.bar)) for layer in layers]
    if scene.setting not in (setting, AIR):
        beds.append(_Bed(scene, scene.setting.beds[0], scene.confidence, _reason(scene, 0.0)))
    beds = [_varied(bed, plan.view) for bed in beds] + _overlays(scene, plan)
    wished = beds_wished(plan.description) if "test pattern" not in scene.doubt or scene.setting is not AIR else ()
    displaced = {other for sound in wished for other in INSTEAD.get(sound, ())}
    beds = [bed for bed in beds if bed.layer.sound not in displaced]
    beds += [_Bed(scene, Layer(sound), 0.95, "your description asks for it") for sound in wished]
    return [_unless_heard(bed, plan) for bed in beds]


def _varied(bed: _Bed, view: View | None) -> _Bed:
    """A place's bed as it sounds where somebody sees more of the place than its kind: the sea in a harbour."""
    seen = variety(view, bed.scene.span, bed.layer.sound) if view is not None else None
    if seen is None:
        return bed
    sign = SIGNS[str(seen.values["kind"])]
    sound = sign.beds[bed.layer.sound]
    params = {knob: value for knob, value in bed.layer.params.items() if knob in BY_ID[sound].knobs}
    reason = f"{bed.reason}; {seen.watcher} sees {sign.phrase} ({seen.confidence:.2f})"
    return replace(bed, layer=replace(bed.layer, sound=sound, params=params), reason=reason)


def _unless_heard(bed: _Bed, plan: Plan) -> _Bed:
    """A bed that the recording has already is only suggested."""
    known = already(bed.layer.sound, bed.scene.span, plan.heard)
    if not known:
        return bed
    return replace(bed, confidence=min(bed.confidence, _TWICE_SHARE * plan.bar), reason=f"{bed.reason}; but {known}")


def already(sound: str, span: Span, heard: Sequence[Sighting]) -> str:
    """What says that the recording has ``sound`` for most of ``span``; empty where it has not."""
    names: dict[str, float] = {}
    covered = Fraction(0)
    for row in heard:
        kind, common = str(row.values.get("kind", "")), row.span.overlap(span)
        if common is not None and row.confidence >= _HEARD_FROM and sound in HEARD_SOUNDS.get(kind, ()):
            names[kind] = max(names.get(kind, 0.0), row.confidence)
            covered = max(covered, common.duration_s)
    if not names or covered < _MOST * span.duration_s:
        return ""
    said = ", ".join(f"{kind} {sure:.2f}" for kind, sure in sorted(names.items(), key=lambda item: -item[1])[:2])
    return f"the recording, which stays, has it already ({said})"


def _fits(layer: Layer, scene: Scene) -> bool:
    flying = scene.look.sees("aerial") >= 0.3 or (
        scene.look.camera.get("travel", 0.0) > 0.5 and scene.look.sees("sky") > 0.3
    )
    present = {kind for kind, value in scene.look.presence.items() if value >= 0.3} | ({"aerial"} if flying else set())
    return (not layer.needs or layer.needs in present) and not present & set(layer.unless)


def _fallen(layer: Layer, scene: Scene) -> Layer:
    return replace(layer, sound=FALLS_ON.get((layer.sound, scene.setting.id), layer.sound))


def _overlays(scene: Scene, plan: Plan) -> list[_Bed]:
    if scene.setting is AIR and "test pattern" in scene.doubt:
        return []
    return [
        _Bed(
            scene,
            _fallen(layer, scene),
            scene.look.sees(kind),
            f"{kind} is seen (confidence {scene.look.sees(kind):.2f})",
        )
        for kind, layer in OVERLAYS
        if scene.look.sees(kind) >= _OVERLAY_FROM
    ]


def _reason(scene: Scene, bar: float) -> str:
    if scene.setting is AIR or scene.confidence < bar:
        doubt = scene.doubt or f"{scene.setting.words} is only guessed (confidence {scene.confidence:.2f})"
        open_air = scene.setting is AIR and leans_outdoors(scene.look)
        return f"{doubt}, so only a plain quiet bed{' of open air' if open_air else ''}"
    seen = sorted(scene.look.presence.items(), key=lambda item: -item[1])
    kinds = ", ".join(f"{kind} {value:.2f}" for kind, value in seen[:3] if value >= 0.2)
    return f"{scene.setting.words} is seen ({kinds})" + (f"; {scene.doubt}" if scene.doubt else "")


def _joins(before: _Bed, after: _Bed) -> bool:
    touching = before.scene.span.end_s == after.scene.span.start_s
    sure = (before.confidence < 0.35) == (after.confidence < 0.35)
    alike = abs(before.layer.params.get("distance", 0.3) - after.layer.params.get("distance", 0.3)) < 0.3
    return touching and sure and alike


def _draft(run: Sequence[_Bed], visible: Sequence[Scene], plan: Plan) -> Draft:
    span = Span.between(run[0].scene.span.start_s, run[-1].scene.span.end_s)
    lead = _overlap(run[0].scene, _neighbour(visible, run[0].scene, -1))
    trail = _overlap(run[-1].scene, _neighbour(visible, run[-1].scene, 1))
    start, end = span.start_s - lead / 2, span.end_s + trail / 2
    first = run[0].layer
    tone = moods.told(plan.view, span) if plan.view is not None else None
    short = float(span.duration_s) / 4
    return Draft(
        sound=first.sound,
        span=Span.between(start, end),
        why=_why(run, plan, tone),
        confidence=sum(bed.confidence * float(bed.scene.span.duration_s) for bed in run) / float(span.duration_s),
        sightings=tuple(name for bed in run for name in bed.scene.look.sightings),
        params=_params(run),
        gain_db=first.gain_db + plan.gain_db + moods.ambience_db(tone),
        gain_curve=_perspective(run, start),
        fade_in_s=float(lead) or min(_HEAD_S, short),
        fade_out_s=float(trail) or min(_TAIL_S, short),
    )


def _neighbour(visible: Sequence[Scene], scene: Scene, step: int) -> Scene | None:
    """The scene that touches ``scene`` before (-1) or after it (1); None where the picture begins, ends or is black."""
    index = bisect.bisect_left(visible, scene.span.start_s, key=lambda other: other.span.start_s) + step
    if not 0 <= index < len(visible):
        return None
    first, second = (visible[index], scene) if step < 0 else (scene, visible[index])
    return visible[index] if first.span.end_s == second.span.start_s else None


def _overlap(scene: Scene, neighbour: Scene | None) -> Fraction:
    if neighbour is None:
        return Fraction(0)
    return min(_CROSSFADE_S, scene.span.duration_s / 3, neighbour.span.duration_s / 3)


def _why(run: Sequence[_Bed], plan: Plan, tone: moods.Mood | None) -> str:
    cuts = sum(len(bed.scene.shots) for bed in run) - 1
    start, end = float(run[0].scene.span.start_s), float(run[-1].scene.span.end_s)
    held = f"; held across {cuts} cut{'s' * (cuts != 1)} of the same place" if cuts else ""
    reasons = "; ".join(dict.fromkeys(bed.reason for bed in run))
    label = BY_ID[run[0].layer.sound].label
    louder = moods.ambience_db(tone)
    spoken = f"; {louder:+.1f} dB, because what is said is {moods.words(tone)}" if tone is not None and louder else ""
    return f"{label}: {reasons}, {start:.2f} to {end:.2f} s{held}{plan.because}{spoken}."


def _params(run: Sequence[_Bed]) -> dict[str, float]:
    params = dict(run[0].layer.params)
    shares = run[0].scene.look.share
    if run[0].layer.sound == "sea" and "distance" in params:
        params["distance"] = params["distance"] + max(0.0, 0.3 - shares.get("sea", 0.3))
    return params


def _perspective(run: Sequence[_Bed], start_s: Fraction) -> tuple[GainPoint, ...]:
    """Wide shots a little louder, close ones softer; layers of other scenes at their own level."""
    looks = [(look, bed.layer.gain_db - run[0].layer.gain_db) for bed in run for look in bed.scene.shots]
    wide = [sum(look.share.get(kind, 0.0) for kind in _WIDE_KINDS) for look, _ in looks]
    middle = sum(wide) / len(wide)
    most = _PERSPECTIVE_MOST_DB
    gains = [
        round(offset + max(-most, min(most, _PERSPECTIVE_DB * (width - middle))), 1)
        for (_, offset), width in zip(looks, wide, strict=True)
    ]
    if max(gains) - min(gains) < _PERSPECTIVE_LEAST_DB:
        return ()
    points = [GainPoint(0.0, gains[0])]
    for (look, _), before, after in zip(looks[1:], gains, gains[1:], strict=False):
        cut = float(look.span.start_s - start_s)
        if before != after and cut > _CUT_RAMP_S:
            points += [GainPoint(round(cut - _CUT_RAMP_S, 4), before), GainPoint(round(cut + _CUT_RAMP_S, 4), after)]
    return tuple(points)
