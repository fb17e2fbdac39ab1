# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the picture looks like, shot by shot, and which shots are one place."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from immersivaudio.engine.cue import Edit, ParamValue, Sighting, Span
from immersivaudio.engine.places import AIR, KINDS, OPEN, SETTINGS, WORDS, Setting, named

_SEEN_SHARE = 0.1
_GRAIN_S = 1e-6
_CLEAR = 0.35
_SHORT_S, _MUCH_LONGER = Fraction(3, 2), 4
_PATTERN = "it is a test pattern"
_ALIKE = 0.85
_CALM = {"static": 1.0, "pan": 0.5, "tilt": 0.5, "zoom": 0.5, "travel": 0.4, "shake": 0.35}
_SLIVER_S = Fraction(1, 20)
_DESCRIBED = 0.95
_OPEN_KINDS = ("sky", "sea", "water", "vegetation", "snow", "sand", "road", "city")
_SOME_OPEN, _CLEARLY_OPEN = 0.2, 0.05
_BACKING_SHARE, _LITTLE_BACKING = 0.8, 0.1
_BEHIND_ALL = {"sky": 0.55, "sand": 0.55, "road": 0.8, "outdoors": 0.3}


def number(values: Mapping[str, ParamValue], key: str, default: float = 0.0) -> float:
    """A sighting's value as a number; ``default`` where it is missing or a word."""
    value = values.get(key, default)
    return float(value) if isinstance(value, int | float) else default


@dataclass(frozen=True, slots=True)
class View:
    """The sightings of an edit by label, in order of time, cut to the record; quick to ask what is near a moment."""

    edit: Edit
    by_label: Mapping[str, tuple[Sighting, ...]]
    starts: Mapping[str, tuple[float, ...]]
    longest_s: Mapping[str, float]

    @classmethod
    def of(cls, edit: Edit, sightings: Iterable[Sighting]) -> View:
        groups: dict[str, list[Sighting]] = defaultdict(list)
        for sighting in sightings:
            inside = sighting.span.duration_s == 0 and Fraction(0) <= sighting.span.start_s < edit.duration_s
            if inside or sighting.span.overlap(edit.record) is not None:
                groups[sighting.label].append(sighting)
        rows = {
            label: tuple(sorted(rows, key=lambda row: (row.span.start_s, row.id))) for label, rows in groups.items()
        }
        starts = {label: tuple(float(row.span.start_s) for row in rows) for label, rows in rows.items()}
        longest = {label: max(float(row.span.duration_s) for row in rows) for label, rows in rows.items()}
        return cls(edit, rows, starts, longest)

    def all(self, label: str) -> tuple[Sighting, ...]:
        return self.by_label.get(label, ())

    def near(self, label: str, span: Span) -> list[Sighting]:
        """Sightings of ``label`` that touch ``span``."""
        starts = self.starts.get(label, ())
        first = bisect.bisect_left(starts, float(span.start_s) - self.longest_s.get(label, 0.0) - _GRAIN_S)
        last = bisect.bisect_right(starts, float(span.end_s) + _GRAIN_S)
        rows = self.all(label)[first:last]
        return [row for row in rows if row.span.start_s <= span.end_s and span.start_s <= row.span.end_s]

    def covers(self, label: str, moment_s: Fraction, least_confidence: float = 0.0) -> bool:
        """Whether some sighting of ``label`` lasts over ``moment_s``."""
        rows = self.near(label, Span(moment_s, Fraction(0)))
        return any(row.confidence >= least_confidence and row.span.contains(moment_s) for row in rows)

    def within(self, label: str, span: Span) -> list[tuple[Sighting, float]]:
        """Sightings of ``label`` that reach into ``span``, and the share of it (0 to 1) that each covers."""
        found = []
        for sighting in self.near(label, span):
            common = sighting.span.overlap(span)
            if common is not None:
                found.append((sighting, float(common.duration_s / span.duration_s)))
            elif sighting.span.duration_s == 0 and span.contains(sighting.span.start_s):
                found.append((sighting, 0.0))
        return found


@dataclass(frozen=True, slots=True)
class Look:
    """A stretch of picture: how surely each kind of place is seen (0 to 1), what share of the frame it takes, light
    (0 to 1), which share of the time the camera moves how, and the sightings behind it."""

    span: Span
    presence: Mapping[str, float]
    share: Mapping[str, float]
    light: Mapping[str, float]
    camera: Mapping[str, float]
    sightings: tuple[str, ...]

    def sees(self, kind: str) -> float:
        return self.presence.get(kind, 0.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """Adjacent shots that are one place: its setting, how sure, and whether the looks contradict each other."""

    setting: Setting
    confidence: float
    look: Look
    shots: tuple[Look, ...]
    doubt: str = ""

    @property
    def span(self) -> Span:
        return self.look.span


def look_at(view: View, span: Span, description: str = "") -> Look:
    """Everything that is seen in ``span``; the kinds that ``description`` names count as seen."""
    presence: dict[str, float] = defaultdict(float)
    share: dict[str, float] = defaultdict(float)
    ids: list[str] = []
    for sighting, part in view.within("place", span):
        kind = str(sighting.values.get("kind", "unknown"))
        seen = number(sighting.values, "share", 1.0)
        presence[kind] += part * sighting.confidence * min(1.0, seen / _SEEN_SHARE)
        share[kind] += part * seen
        ids.append(sighting.id)
    for kind in named(description, WORDS):
        presence[kind] = max(_DESCRIBED, presence[kind])
    camera, seen_ids = _camera(view, span)
    capped = {kind: min(1.0, value) for kind, value in presence.items()}
    return Look(span, capped, dict(share), _light(view, span), camera, tuple(i for i in (*ids, *seen_ids) if i))


def _camera(view: View, span: Span) -> tuple[dict[str, float], list[str]]:
    shares: dict[str, float] = defaultdict(float)
    ids = []
    for sighting, part in view.within("camera", span):
        shares[str(sighting.values.get("kind", "static"))] += part * sighting.confidence
        ids.append(sighting.id)
    return dict(shares), ids


def _light(view: View, span: Span) -> dict[str, float]:
    rows = view.within("light", span)
    total = sum(part for _, part in rows)
    names = ("brightness", "contrast", "saturation", "warmth", "texture")
    if not total:
        return {}
    return {name: sum(number(row.values, name) * part for row, part in rows) / total for name in names}


def steadiness(view: View, span: Span) -> float:
    """How still the camera is over ``span``, 0 to 1; what seems to move under a moving camera may stand still."""
    rows = view.near("camera", span)
    lengths = [float(min(row.span.end_s, span.end_s) - max(row.span.start_s, span.start_s)) or 1e-3 for row in rows]
    if not rows:
        return 1.0
    calm = [_CALM.get(str(row.values.get("kind", "static")), 0.5) for row in rows]
    return sum(one * length for one, length in zip(calm, lengths, strict=True)) / sum(lengths)


def shots(view: View) -> list[Span]:
    """The shots of the picture on the record clock: in order, without overlap, nothing where nothing is seen."""
    cuts = sorted({sighting.span.start_s for sighting in view.all("shot")})
    found: list[Span] = []
    for clip in view.edit.picture:
        ends = [clip.record.start_s, *_inner(cuts, clip.record)]
        ends.append(clip.record.end_s)
        found += [Span.between(start, end) for start, end in itertools.pairwise(ends) if end > start]
    if not view.edit.picture and view.edit.duration_s > 0:
        found = [view.edit.record]
    return [span for span in (shot.overlap(view.edit.record) for shot in found) if span is not None]


def _inner(cuts: Sequence[Fraction], record: Span) -> Sequence[Fraction]:
    """The cuts inside a clip; one in its last moments is the clip's own end, seen through rounding."""
    first = bisect.bisect_right(cuts, record.start_s + _SLIVER_S)
    return cuts[first : bisect.bisect_left(cuts, record.end_s - _SLIVER_S)]


def scene_at(scenes: Sequence[Scene], moment_s: Fraction) -> Scene | None:
    """The scene that is seen at a moment; ``scenes`` are in order of time."""
    index = bisect.bisect_right(scenes, moment_s, key=lambda scene: scene.span.start_s) - 1
    return scenes[index] if index >= 0 and scenes[index].span.contains(moment_s) else None


def scenes(view: View, description: str = "") -> list[Scene]:
    """The places of the edit, in order: adjacent shots that look like one place are one scene."""
    groups: list[list[Look]] = []
    for span in shots(view):
        look = look_at(view, span, description)
        if groups and _same_place(groups[-1], look):
            groups[-1].append(look)
        else:
            groups.append([look])
    return [_scene(view, core, seen, description) for core, seen in _lapped(_absorb(groups))]


def _same_place(group: Sequence[Look], look: Look) -> bool:
    if group[-1].span.end_s != look.span.start_s or is_black(group[-1]) != is_black(look):
        return False
    if (group[-1].sees("night") >= _CLEAR) != (look.sees("night") >= _CLEAR):
        return False
    if is_black(look):
        return True
    setting, confidence, _ = classify(look)
    for other in group[-3:]:
        known, sure, _ = classify(other)
        if setting.id == known.id and (setting is not AIR or _closeness(other, look) > 0.5):
            return True
        if min(confidence, sure) < _CLEAR and _closeness(other, look) > _ALIKE:
            return True
    return False


def _absorb(groups: list[list[Look]]) -> list[list[Look]]:
    """A short doubtful shot between two stretches of one place is a detail of that place, not another place."""
    merged: list[list[Look]] = []
    for index, group in enumerate(groups):
        after = groups[index + 1] if index + 1 < len(groups) else None
        if merged and (_is_detail(group, merged[-1], after) or _same_place(merged[-1], group[0])):
            merged[-1].extend(group)
        else:
            merged.append(list(group))
    return merged


def _is_detail(group: Sequence[Look], before: Sequence[Look], after: Sequence[Look] | None) -> bool:
    if any(is_black(look) for look in (*group, before[-1])) or before[-1].span.end_s != group[0].span.start_s:
        return False
    length = group[-1].span.end_s - group[0].span.start_s
    setting, confidence, doubt = classify(group[0])
    unsure = confidence < _CLEAR or (setting is AIR and "test pattern" not in doubt)
    if after is None:
        return unsure and length < _SHORT_S
    returns = classify(before[-1])[0].id == classify(after[0])[0].id
    return unsure and (length < _SHORT_S or returns)


def _lapped(groups: Sequence[list[Look]]) -> list[tuple[list[Look], list[Look]]]:
    """The shots that tell each place, and those over which it sounds: a moment at an end of the edit is lapped over by
    the place beside it (a J cut or an L cut), for what is seen so shortly may well be a detail of it."""
    rows = [(group, group) for group in groups]
    if len(rows) > 1 and _laps(rows[1][0], rows[0][0]):
        rows[:2] = [(rows[1][0], [*rows[0][0], *rows[1][0]])]
    if len(rows) > 1 and _laps(rows[-2][0], rows[-1][0]):
        rows[-2:] = [(rows[-2][0], [*rows[-2][1], *rows[-1][0]])]
    return rows


def _laps(place: Sequence[Look], end: Sequence[Look]) -> bool:
    touching = place[0].span.start_s == end[-1].span.end_s or place[-1].span.end_s == end[0].span.start_s
    seen = not any(is_black(look) or classify(look)[2] == _PATTERN for look in (*end, *place))
    length, other = (group[-1].span.end_s - group[0].span.start_s for group in (end, place))
    return touching and seen and length < _SHORT_S and other >= _MUCH_LONGER * length


def _closeness(one: Look, other: Look) -> float:
    """1 for looks alike, 0 for nothing in common: overlap of light, colour and what is seen."""
    kinds = {kind for look in (one, other) for kind in look.presence}
    apart = [abs(one.sees(kind) - other.sees(kind)) for kind in kinds]
    lights = [
        abs(one.light.get(name, 0.5) - other.light.get(name, 0.5)) for name in ("brightness", "saturation", "warmth")
    ]
    return max(0.0, 1.0 - sum(apart) / max(1, len(kinds)) - sum(lights) / 3)


def _scene(view: View, core: Sequence[Look], seen: Sequence[Look], description: str) -> Scene:
    whole = look_at(view, Span.between(core[0].span.start_s, core[-1].span.end_s), description)
    setting, confidence, doubt = classify(whole)
    lasting = Span.between(seen[0].span.start_s, seen[-1].span.end_s)
    return Scene(setting, confidence, replace(whole, span=lasting), tuple(seen), doubt)


def is_black(look: Look) -> bool:
    """Nothing is seen: the place watcher says black, and nothing speaks against it."""
    return look.sees("black") >= 0.5 and look.sees("black") >= max(
        (look.sees(k) for k in KINDS if k != "black"), default=0.0
    )


def classify(look: Look) -> tuple[Setting, float, str]:
    """The setting that the look speaks for, how sure (0 to 1), and what speaks against it.

    A test pattern, nothing known, or two places that exclude each other give plain air.
    """
    if look.sees("testpattern") >= _CLEAR:
        return AIR, look.sees("testpattern"), _PATTERN
    travel = max(look.camera.get("travel", 0.0), 0.6 * look.camera.get("zoom", 0.0))
    presence = {**look.presence, "travel": travel}
    ranked = sorted(((_score(setting, presence), setting) for setting in SETTINGS), key=lambda pair: -pair[0])
    (score, best), doubt = ranked[0], ""
    backing = sum(max(0.0, weight) * presence.get(kind, 0.0) for kind, weight in best.support.items())
    confidence = min(0.95, look.sees(best.main) + _BACKING_SHARE * backing)
    if backing < _LITTLE_BACKING and look.sees(best.main) < 0.5:
        confidence *= best.lonely_share
    rival = max(best.rivals, key=look.sees, default="")
    if rival and look.sees(rival) > 0.8 * confidence > 0:
        doubt = f"{rival} is seen as well, which does not go with {best.words}"
        confidence *= 0.6
    outside = max(_OPEN_KINDS, key=look.sees)
    if best.indoor and not doubt and look.sees(outside) > 0.8 * confidence:
        doubt = f"{outside} is seen as well, which does not go with {best.words}, unless through a window"
    if best.main in _BEHIND_ALL and look.share.get("unknown", 0.0) > look.share.get(best.main, 0.0):
        doubt = doubt or f"most of the picture is not {best.main}"
        confidence *= 0.6
    elif look.sees("unknown") > look.sees(best.main):
        doubt = doubt or f"most of the picture could not be told, and only some of it looks like {best.words}"
        confidence *= 0.7
    if (score <= 0 or confidence < _CLEAR) and look.sees(OPEN.main) >= _CLEAR:
        return OPEN, look.sees(OPEN.main), doubt or "nothing tells more than that it is out of doors"
    if score <= 0 or confidence < 0.25:
        return AIR, max(look.sees("unknown"), 0.3), doubt or "nothing tells what place it is"
    return best, confidence, doubt


def leans_outdoors(look: Look) -> bool:
    """Whether what little is told of the place is found out of doors, where no place could be told."""
    outdoors = sum(look.sees(kind) for kind in _OPEN_KINDS)
    return outdoors >= _SOME_OPEN and outdoors - look.sees("interior") >= _CLEARLY_OPEN


def _score(setting: Setting, presence: Mapping[str, float]) -> float:
    main = presence.get(setting.main, 0.0)
    if main <= 0 or (setting.id == "drive" and presence["travel"] < 0.3):
        return 0.0
    backing = sum(weight * presence.get(kind, 0.0) for kind, weight in setting.support.items())
    against = sum(0.3 * presence.get(kind, 0.0) for kind in setting.rivals)
    # Sky and bare ground are behind everything: alone they make a place, beside anything else they do not.
    commonness = _BEHIND_ALL.get(setting.main, 1.0)
    return commonness * main + backing - against
