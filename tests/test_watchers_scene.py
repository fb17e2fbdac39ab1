# SPDX-License-Identifier: AGPL-3.0-or-later
"""Watchers that put names to pictures: tiny checkpoints through the code that loads real ones, smoothing and evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_spotting import edit_of, impacts, place, saw, sounds, stem

from immersivaudio.engine import conform, media, places, plugins, scenery, watching
from immersivaudio.engine.cue import Sighting, Span, Stem
from immersivaudio.engine.errors import UnavailableError
from immersivaudio.engine.models import store
from immersivaudio.engine.scenery import GROUPS, NOTHING, SIGNS
from immersivaudio.engine.sounds import BY_ID as SOUNDS
from immersivaudio.engine.sounds import Motion
from immersivaudio.engine.spotting import spot
from immersivaudio.engine.watchers import PictureWatcher
from immersivaudio.engine.watchers._naming import Smoother

torch = pytest.importorskip("torch", reason="the [models] extra is not installed")
tf = pytest.importorskip("transformers", reason="the [models] extra is not installed")
import tiny_checkpoints as tiny  # noqa: E402

pytestmark = pytest.mark.models
ORDER = {sign.id: index for index, sign in enumerate(SIGNS)}
# ImageNet's way of naming, and classes that say nothing of sound.
LABELS = [
    "seashore, coast, seacoast, sea-coast",
    "beer glass",
    "steam locomotive",
    "n02999410 chain",
    "sock",
    "ice cream",
]


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PictureWatcher]:
    """``named("scene", make)``: the watcher with the weights that ``make(folder)`` writes."""
    monkeypatch.setenv("IMMERSIVAUDIO_DEVICE", "cpu")
    monkeypatch.delenv("IMMERSIVAUDIO_ONLINE", raising=False)

    def load(name: str, make: Callable[[Path], object]) -> PictureWatcher:
        make(tmp_path / name)
        monkeypatch.setenv(f"IMMERSIVAUDIO_{name.upper()}", str(tmp_path / name))
        return plugins.create("watchers", name)  # type: ignore[no-any-return]

    return load


def pictures() -> list[np.ndarray]:
    dice = np.random.default_rng(1)
    return [cv2.resize(dice.integers(0, 255, (6, 9, 3), dtype=np.uint8), (96, 54)) for _ in range(3)]


@pytest.fixture(scope="module")
def two_shots(draw: Callable[..., Path]) -> Path:
    """Three seconds of one picture, then three of quite another."""
    one, other = (cv2.resize(picture, (160, 90)) for picture in (pictures()[0], 255 - pictures()[0]))
    return draw(lambda at_s: one if at_s < 3 else other, 6.0, name="two-shots")


# the vocabulary


def test_the_vocabulary_speaks_of_sounds_and_places_that_there_are() -> None:
    assert len({sign.id for sign in SIGNS}) == len(SIGNS) >= 80
    for sign in SIGNS:
        assert sign.group in GROUPS
        assert set(sign.places) <= set(places.KINDS), sign.id
        assert all(0 < weight <= 0.95 for weight in sign.places.values())
        assert {sign.sound, sign.touched} - {""} <= set(SOUNDS), sign.id
        assert not sign.touched or SOUNDS[sign.touched].motion is Motion.STRUCK, sign.id
        assert not sign.sound or SOUNDS[sign.sound].motion is Motion.SUSTAINED, sign.id
        ways = {*sign.beds, *sign.beds.values()}
        assert {(SOUNDS[way].stem, SOUNDS[way].motion) for way in ways} <= {(Stem.AMBIENCE, Motion.SUSTAINED)}, sign.id
        settings = [setting for setting in places.SETTINGS if setting.main in sign.places]
        assert set(sign.beds) <= {layer.sound for setting in settings for layer in setting.beds}, sign.id
        assert sign.audioset
        assert sign.ucs
        assert set(scenery.named(sign.words[0])) & {sign.id} if sign.words else True, sign.id


def test_audioset_classes_are_those_of_the_class_map(shared: Path) -> None:
    known = (shared / "weights/yamnet_class_map.csv").read_text()
    missing = [sign.audioset for sign in SIGNS if sign.audioset not in known]
    assert not missing


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a parking lot with cars", {"carpark"}),
        ("steam locomotive", {"train"}),
        ("seashore, coast, seacoast, sea-coast", {"beach", "sea"}),
        ("A man is pouring beer into a beer glass on a wooden table.", {"pouring", "glass", "wood"}),
        ("drone footage of a coast", {"aerial", "beach"}),
        ("a drone over a field", {"drone", "meadow"}),
        ("ice cream", set()),
        ("sock", set()),
    ],
)
def test_words_name_signs(text: str, ids: set[str]) -> None:
    assert set(scenery.named(text)) == ids


# loading


@pytest.mark.parametrize("make", [tiny.clip, tiny.siglip])
def test_similarities_are_the_model_s_own(make: Callable[[Path], Path], named: Callable[..., PictureWatcher]) -> None:
    watcher = named("scene", make)
    assert watcher.available() == ""
    watcher.setup()
    folder = store.locate("scene", store.Weights("", "scene", "", False, "")).folder
    model, processor = (kind.from_pretrained(folder) for kind in (tf.AutoModel, tf.AutoProcessor))
    texts = [f"a photo of {sign.phrase}" for sign in SIGNS] + list(NOTHING)
    whole = "max_length" if make is tiny.siglip else True
    given = processor(text=texts, images=pictures(), return_tensors="pt", padding=whole, truncation=True)
    with torch.inference_mode():
        theirs = model.eval()(**given).logits_per_image.numpy()
    assert watcher.logits(pictures()).numpy() == pytest.approx(theirs, abs=2e-3)
    shares = watcher.scores(pictures())
    for group in GROUPS:
        members = [ORDER[sign.id] for sign in scenery.of_group(group)]
        assert (shares[:, members].sum(axis=1) < 1.00001).all()


@pytest.mark.parametrize("family", ["resnet", "convnext"])
def test_a_classifier_tells_what_its_classes_are_called(family: str, named: Callable[..., PictureWatcher]) -> None:
    watcher = named("images", lambda folder: tiny.classifier(folder, LABELS, family=family))
    watcher.setup()
    folder = store.locate("images", store.Weights("", "images", "", False, "")).folder
    model = tf.AutoModelForImageClassification.from_pretrained(folder).eval()
    given = tf.AutoImageProcessor.from_pretrained(folder)(images=pictures(), return_tensors="pt")
    with torch.inference_mode():
        shares = model(**given).logits.softmax(-1).numpy()
    scores = watcher.scores(pictures())
    assert scores[:, ORDER["beach"]] == pytest.approx(shares[:, 0], abs=1e-5)
    assert scores[:, ORDER["glass"]] == pytest.approx(shares[:, 1], abs=1e-5)
    assert scores[:, ORDER["metal"]] == pytest.approx(shares[:, 3], abs=1e-5)
    assert scores[:, ORDER["dog"]].max() == 0


def test_version_names_the_weights_without_loading_them(named: Callable[..., PictureWatcher]) -> None:
    watcher = named("scene", lambda folder: store.write_manifest(tiny.clip(folder)))
    first = watcher.version
    other = named("scene", lambda folder: store.write_manifest(tiny.clip(folder, seed=1)))
    assert watcher.device == ""
    assert first != other.version


def _pickled(folder: Path) -> None:
    tiny.clip(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _with_code(folder: Path) -> None:
    tiny.clip(folder)
    (folder / "modeling.py").write_text("print('run')")


def _damaged(folder: Path) -> None:
    store.write_manifest(tiny.clip(folder))
    (folder / "model.safetensors").write_bytes(b"\0" * 100)


def _cut_off(folder: Path) -> None:
    tiny.clip(folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:500])


def _not_json(folder: Path) -> None:
    tiny.clip(folder)
    (folder / "config.json").write_text("no")


def _without_tokenizer(folder: Path) -> None:
    tiny.clip(folder)
    for file in folder.glob("*token*"):
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_pickled, "pickle"), (_with_code, "program code"), (_damaged, "damaged"), (_cut_off, "cannot be loaded"),
        (_not_json, "config.json"), (_without_tokenizer, "there is none of tokenizer.json"),
        (lambda folder: tiny.classifier(folder, LABELS), "not made for"),
    ],
)  # fmt: skip
def test_weights_that_are_not_right_are_refused_in_a_sentence(
    spoil: Callable[[Path], object], said: str, named: Callable[..., PictureWatcher]
) -> None:
    with pytest.raises(UnavailableError, match=said):
        named("scene", spoil).setup()


@pytest.mark.parametrize("name", ["scene", "images"])
def test_without_weights_a_watcher_says_how_to_name_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMERSIVAUDIO_HOME", str(tmp_path))
    monkeypatch.delenv(f"IMMERSIVAUDIO_{name.upper()}", raising=False)
    assert f"IMMERSIVAUDIO_{name.upper()}" in plugins.create("watchers", name).available()
    monkeypatch.setenv(f"IMMERSIVAUDIO_{name.upper()}", "some/model@0123abc")
    assert "not on this machine" in plugins.create("watchers", name).available()
    tiny.clip(tmp_path / "models" / name)
    monkeypatch.delenv(f"IMMERSIVAUDIO_{name.upper()}")
    assert plugins.create("watchers", name).available() == ""


def test_names_change_with_the_picture_and_keep_to_the_cut(
    two_shots: Path, named: Callable[..., PictureWatcher], tmp_path: Path
) -> None:
    named("scene", lambda folder: tiny.clip(folder, sharp=9.0))
    edit = conform.single(media.probe(two_shots), "two shots")
    seen = watching.watch(
        edit, None, watching.Watchers.load(("scene",)), tmp_path / "cache", lambda: False, lambda *_: None
    )
    rows = [row for row in seen.sightings if row.label == "scene"]
    assert seen.warnings == ()
    assert {row.values["group"] for row in rows} <= set(GROUPS)
    first, then = sorted({row.span.start_s for row in rows})
    assert first == 0
    assert 3 <= then < 3.5
    assert all(row.span.end_s <= then or row.span.start_s >= then for row in rows)


def test_what_is_looked_at_now_and_then_begins_at_the_cut() -> None:
    seen = [saw("shot", 0, 5), saw("shot", 5, 10), sign("forest", 0, 5.36), sign("beach", 5.36, 10)]
    sheet = spot(edit_of(10), seen)
    (sea,) = [cue for cue in sheet.cues if cue.sound == "sea"]
    (forest,) = [cue for cue in sheet.cues if cue.sound == "forest"]
    assert "5.00 to 10.00 s" in sea.why
    assert "0.00 to 5.00 s" in forest.why


# smoothing


def smoothed(rows: Sequence[tuple[float, float]], cuts: Sequence[float] = ()) -> list[tuple[float, float]]:
    """Stretches of "beach" out of (second, score)."""
    smoother = Smoother()
    for at, score in rows:
        if at in cuts:
            smoother.cut(Fraction(at))
        scores = np.zeros(len(SIGNS), np.float32)
        scores[ORDER["beach"]] = score
        smoother.see(Fraction(at), scores)
    smoother.cut(Fraction(rows[-1][0]) + Fraction(1, 2))
    assert {index for index, _, _ in smoother.found} <= {ORDER["beach"]}
    return [(float(span.start_s), float(span.end_s)) for _, span, _ in smoother.found]


def test_a_name_that_flickers_is_one_stretch_or_none() -> None:
    flickering = [(i / 2, 0.9 if i % 2 else 0.5) for i in range(20)]
    assert smoothed(flickering) == [(0.0, 10.0)]
    assert smoothed([(i / 2, 0.5 if i == 7 else 0.02) for i in range(20)]) == []


def test_a_name_ends_where_it_is_no_longer_seen_and_at_a_cut() -> None:
    rows = [(i / 2, 0.8 if i < 10 else 0.0) for i in range(20)]
    ((start, end),) = smoothed(rows)
    assert start == 0
    assert 5 <= end <= 6.5
    assert smoothed(rows, cuts=(5.0,)) == [(0.0, 5.0)]


# what it tells


def sign(kind: str, start: float, end: float, sure: float = 0.7, watcher: str = "scene") -> Sighting:
    group = scenery.BY_ID[kind].group
    row = saw("scene", start, end, sure, kind=kind, group=group)
    return Sighting(watcher, "scene", row.span, sure, None, row.values, f"{watcher}-{kind}-{start}")


@pytest.mark.parametrize(
    ("kind", "sound"),
    [("beach", "sea"), ("river", "stream"), ("forest", "forest"), ("street", "city"), ("office", "room"),
     ("underwater", "underwater"), ("rain", "rain"), ("fire", "fire"), ("crowd", "crowd"), ("night_nature", "night")],
)  # fmt: skip
def test_a_scene_tells_the_place_and_what_is_heard_there(kind: str, sound: str) -> None:
    seen = [place("unknown", 0, 10, 0.6), sign(kind, 0, 10, 0.8)]
    if kind == "night_nature":
        seen.append(sign("forest", 0, 10, 0.8))
    assert sound in sounds(spot(edit_of(10), seen).cues)


def test_two_that_agree_are_believed_more_than_one() -> None:
    one = spot(edit_of(10), [sign("beach", 0, 10, 0.6)])
    two = spot(edit_of(10), [sign("beach", 0, 10, 0.6), sign("beach", 0, 10, 0.6, "images")])
    (alone,), (both,) = ([cue for cue in sheet.cues if cue.sound == "sea"] for sheet in (one, two))
    assert both.confidence > alone.confidence


def test_what_is_contradicted_is_said() -> None:
    sheet = spot(edit_of(10), [place("sea", 0, 10, 0.7), sign("office", 0, 10, 0.9)])
    assert any("does not go with" in warning for warning in sheet.warnings)


def test_materials_are_named_by_the_picture() -> None:
    blows = impacts([1.0, 2.0, 3.5])
    plain, told = (
        spot(edit_of(6), [place("interior", 0, 6), *blows, *more]) for more in ([], [sign("hammering", 0, 6)])
    )
    assert {cue.sound for cue in stem(plain, Stem.FOLEY)} == {"impact.wood"}
    assert {cue.sound for cue in stem(told, Stem.FOLEY)} == {"impact.metal"}
    assert "somebody hammering metal (0.70)" in stem(told, Stem.FOLEY)[0].why


@pytest.mark.parametrize(
    ("kind", "sound"), [("chopping", "chop"), ("typing", "typing"), ("football", "kick"), ("ballgame", "impact.soft")]
)
def test_what_somebody_does_names_the_blows(kind: str, sound: str) -> None:
    seen = [place("interior", 0, 6), *impacts([1.0, 2.0, 3.5])]
    assert sounds(stem(spot(edit_of(6), [*seen, sign(kind, 0, 6)]), Stem.FOLEY)) == {sound}
    assert sounds(stem(spot(edit_of(6), [*seen, sign(kind, 0, 6, 0.3)]), Stem.FOLEY)) == {"impact.wood"}


@pytest.mark.parametrize(
    ("kind", "plain", "own"),
    [("harbour", "sea", "sea.harbour"), ("sailing", "sea", "sea.boat"), ("waterfall", "stream", "waterfall")],
)
def test_a_place_that_is_known_closer_has_a_bed_of_its_own(kind: str, plain: str, own: str) -> None:
    there = [place("sea" if plain == "sea" else "water", 0, 10)]
    (told,) = [cue for cue in spot(edit_of(10), [*there, sign(kind, 0, 10, 0.8)]).cues if cue.sound == own]
    assert f"scene sees {scenery.BY_ID[kind].phrase}" in told.why
    assert set(told.params) <= set(SOUNDS[own].knobs)
    doubtful = sounds(spot(edit_of(10), [*there, sign(kind, 0, 10, 0.3)]).cues)
    assert plain in doubtful
    assert own not in doubtful


@pytest.mark.parametrize(
    ("kind", "sound"),
    [("drone", "drone"), ("train_inside", "train"), ("cooking", "sizzle"), ("construction", "machine")],
)
def test_an_activity_sounds_while_it_is_seen(kind: str, sound: str) -> None:
    (cue,) = [one for one in spot(edit_of(12), [place("unknown", 0, 12), sign(kind, 2, 9)]).cues if one.sound == sound]
    assert (cue.span.start_s, cue.span.end_s) == (2, 9)


def test_what_goes_on_is_heard_as_long_as_it_is_seen() -> None:
    sheet = spot(edit_of(20), [place("sky", 0, 20), sign("helicopter", 4, 9), sign("helicopter", 9.5, 12)])
    (rotor,) = [cue for cue in sheet.cues if cue.sound == "rotor"]
    assert (rotor.span.start_s, rotor.span.end_s) == (4, 12)
    assert "scene sees a helicopter" in rotor.why
    unsure = spot(edit_of(20), [place("sky", 0, 20), sign("helicopter", 4, 9, 0.28)])
    assert "rotor" in [cue.sound for cue in unsure.suggestions]


def test_what_the_recording_has_is_not_made_twice() -> None:
    heard = Sighting("tagging", "heard", Span(Fraction(0), Fraction(20)), 0.8, None, {"kind": "Helicopter"}, "h")
    level = saw("level", 0, 20, 1.0, verdict="good")
    sheet = spot(edit_of(20), [place("sky", 0, 20), sign("helicopter", 4, 12), heard, level])
    assert "rotor" not in [cue.sound for cue in sheet.cues]
