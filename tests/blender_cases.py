# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the Blender tests do inside Blender. Each case takes the add-on's package, a folder and options; gives JSON."""

import importlib
import json
import time
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import bpy


def part(package: str, name: str):
    return importlib.import_module(f"{package}.{name}")


def edit(fps: int, base: float, first_frame: int = 1):
    """An empty edit at a rate."""
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    scene.frame_start = first_frame
    scene.sequence_editor_create()
    return scene


def strips(scene):
    editor = scene.sequence_editor
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def described(strip) -> dict:
    found = {
        "name": strip.name,
        "type": strip.type,
        "channel": strip.channel,
        "content": strip.frame_start,
        "start": strip.frame_final_start,
        "end": strip.frame_final_end,
        "mute": strip.mute,
        "select": strip.select,
    }
    if strip.type == "SOUND":
        found |= {"offset_s": getattr(strip, "sound_offset", None), "volume": strip.volume}
    return found


def register(package: str, folder: Path, options: dict) -> dict:
    """What is there once the extension is enabled, and that it goes without a trace."""
    scene = bpy.context.scene
    before = {
        "panel": hasattr(bpy.types, "IMMERSIVAUDIO_PT_score"),
        "operators": sorted(name for name in dir(bpy.ops.immersivaudio) if not name.startswith("_")),
        "state": hasattr(scene, "immersivaudio"),
        "preferences": bpy.context.preferences.addons[package].preferences.engine,
    }
    bpy.ops.preferences.addon_disable(module=package)
    return before | {"left": [hasattr(bpy.types, "IMMERSIVAUDIO_PT_score"), hasattr(scene, "immersivaudio")]}


def gathered(package: str, folder: Path, options: dict) -> dict:
    """Each edit of ``options``, in a scene of its own, as it is sent."""
    return {name: _gathered(package, one) for name, one in options.items()}


def _gathered(package: str, options: dict) -> dict:
    bpy.context.window.scene = bpy.data.scenes.new("Scene")
    scene = edit(options["fps"], options["base"])
    ours, inside = strips(scene), None
    for row in options["strips"]:
        owner = inside if row.get("inside") else ours
        strip = _strip(owner, row)
        if row["type"] == "meta":
            inside = strip.strips if hasattr(strip, "strips") else strip.sequences
        for name, value in row.get("set", {}).items():
            setattr(strip, name, value)
    for name, end in options.get("ends", {}).items():
        next(strip for strip in ours if strip.name == name).frame_final_end = end
    for number in options.get("muted_channels", ()):
        scene.sequence_editor.channels[number].mute = True
    for row in options.get("retimed", ()):
        _retime(scene, row["name"], row["percent"])
    for name, value in options.get("scene", {}).items():
        setattr(scene, name, value)
    gather = part(package, "gather")
    scope = part(package, "bridge.host").Scope(options.get("scope", "whole"))
    result = gather.gather(scene, scope)
    return {"timeline": result.timeline, "first": result.first_frame, "warnings": result.warnings}


def rendered(package: str, folder: Path, options: dict) -> dict:
    """Each edit as :func:`gathered` has it, and which frame of the film Blender itself shows: told by eight bars."""
    found = {}
    for name, one in options.items():
        found[name] = _gathered(package, one)
        strip = next(iter(strips(bpy.context.scene)))
        first, last = strip.frame_final_start, strip.frame_final_end - 2
        found[name]["shown"] = {n: _shown(n, folder) for n in (first, first + 3, (first + last) // 2, last)}
    return found


def _shown(frame: int, folder: Path) -> int:
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 256, 64, 100
    scene.render.image_settings.file_format, scene.render.filepath = "PNG", str(folder / "frame.png")
    scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)
    picture = bpy.data.images.load(scene.render.filepath)
    row = picture.pixels[4 * 256 * 32 : 4 * 256 * 33]
    bpy.data.images.remove(picture)
    return sum(1 << bar for bar in range(8) if row[4 * (bar * 32 + 16)] > 0.5)


def _strip(owner, row: dict):
    common = {"name": row["name"], "channel": row["channel"], "frame_start": row["at"]}
    if row["type"] == "meta":
        return owner.new_meta(**common)
    return getattr(owner, f"new_{row['type']}")(filepath=row["path"], **common)


def _retime(scene, name: str, percent: float) -> None:
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    area = bpy.context.window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    region = next(region for region in area.regions if region.type == "WINDOW")
    for strip in strips(scene):
        strip.select = strip.name == name
    scene.sequence_editor.active_strip = next(strip for strip in strips(scene) if strip.name == name)
    with bpy.context.temp_override(window=bpy.context.window, area=area, region=region):
        bpy.ops.sequencer.retiming_segment_speed_set(speed=percent)


def laid(package: str, folder: Path, options: dict) -> dict:
    """Lanes laid over an edit, mixed down, taken away again."""
    scene = edit(options["fps"], options["base"])
    for row in options["strips"]:
        _strip(strips(scene), row)
    users = [described(strip) for strip in strips(scene)]
    lay, host = part(package, "lay"), part(package, "bridge.host")
    lanes = [host.Lane.from_json(lane) for lane in options["lanes"]]
    rate = Fraction(*options["rate"])
    receipt = lay.lay(scene, lanes, lay.Origin(options["first"], rate, "one", str(folder), time.time()))
    found = {
        "receipt": [receipt.placed, receipt.wanted, list(receipt.problems)],
        "ours": [_ours(scene, strip, lay) for strip in strips(scene) if "immersivaudio" in strip],
        "users": [described(strip) for strip in strips(scene) if "immersivaudio" not in strip] == users,
        "sounds": len(bpy.data.sounds),
        "curves": _curves(package, scene),
        "channels": {n: scene.sequence_editor.channels[n].name for n in range(1, 12)},
        "onsets_s": _mixdown(scene, folder / "mix.wav", options["last"]),
    }
    found["removed"] = lay.remove_result(scene, lay.last_result(scene))
    found["after"] = [described(strip) for strip in strips(scene)] == users
    found["channels_after"] = {n: scene.sequence_editor.channels[n].name for n in range(1, 12)}
    found["curves_after"] = _curves(package, scene)
    return found


def regrouped(package: str, folder: Path, options: dict) -> dict:
    """Music laid in instrument groups, its cue performed again from one strip, undone and redone, and all taken away."""
    scene = edit(25, 1.0)
    lay, host = part(package, "lay"), part(package, "bridge.host")
    first, again = ([host.Lane.from_json(lane) for lane in options[name]] for name in ("first", "again"))
    origin = lay.Origin(1, Fraction(25), "one", str(folder), time.time())
    bpy.ops.ed.undo_push(message="before")
    lay.lay(scene, first, origin)
    bpy.ops.ed.undo_push(message="laid")
    found = {"laid": _lanes_of(scene, lay)}
    strip = next(strip for strip in strips(scene) if strip.name == options["from"])
    receipt = lay.replace_cue(scene, strip, again, replace(origin, made=origin.made + 1))
    bpy.ops.ed.undo_push(message="again")
    found["receipt"] = [receipt.placed, receipt.wanted, list(receipt.problems)]
    found["new"] = _lanes_of(scene, lay)
    before = [described(strip) for strip in strips(scene)]
    found["undone"] = sorted(row["name"] for row in _undone())
    scene = bpy.context.scene
    found["redone"] = [described(strip) for strip in strips(scene)] == before
    found["removed"] = lay.remove_result(scene, "one")
    found["named"] = [c.name for c in scene.sequence_editor.channels if c.name.startswith("Immersivaudio")]
    return found


def _lanes_of(scene, lay) -> dict:
    channels = scene.sequence_editor.channels
    return {strip.name: [channels[strip.channel].name, lay.label_of(strip)["lane"]] for strip in strips(scene)}


def _ours(scene, strip, lay) -> dict:
    return described(strip) | {
        "colour": strip.color_tag,
        "waveform": strip.show_waveform,
        "cue": lay.label_of(strip)["clip"]["cue"],
    }


def _curves(package: str, scene) -> dict:
    curves = part(package, "compat").curves_of(scene) or ()
    return {c.data_path: [[k.co[0], k.co[1], k.interpolation] for k in c.keyframe_points] for c in curves}


def _mixdown(scene, path: Path, last: int) -> list[float]:
    """Blender's own mix of the edit: where it gets loud, in seconds from the scene's first frame."""
    import numpy as np

    scene.frame_end = last
    bpy.ops.sound.mixdown(filepath=str(path), container="WAV", codec="PCM", format="S16")
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    loud = np.abs(samples.reshape(-1, channels).astype(int)).max(axis=1) > 3000
    rising = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
    apart = rising[np.diff(rising, prepend=-rate) > rate // 20]
    return [float(at) / rate for at in apart]


class Layout:
    """Stands where Blender's layout stands and writes down what is drawn; there is no window to draw into."""

    def __init__(self, seen: list) -> None:
        self.seen = seen
        self.enabled = True

    def column(self, **options):
        return Layout(self.seen)

    row = box = column

    def prop(self, data, name, **options):
        if name not in data.bl_rna.properties:
            raise RuntimeError(f"{name} is no property")
        self.seen.append(["prop", name])

    def operator(self, name, **options):
        self.seen.append(["operator", name])
        return type("Button", (), {})()

    def label(self, **options):
        self.seen.append(["label", options.get("text", "")])

    def progress(self, **options):
        self.seen.append(["progress", options["text"]])

    def template_list(self, *arguments):
        self.seen.append(["list", arguments[3]])


def drawn(package: str) -> list:
    seen: list = []
    part(package, "panel").draw_score(Layout(seen), bpy.context.scene)
    return seen


def until(package: str, ready, patience_s: float = 120.0) -> None:
    """Do what Blender's timer does, until ``ready(session)``."""
    session = part(package, "session").session
    deadline = time.monotonic() + patience_s
    while not ready(session):
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing came: {session.message}")
        session.poll()
        time.sleep(0.01)


def connect(package: str, options: dict) -> None:
    preferences = bpy.context.preferences.addons[package].preferences
    preferences.python, preferences.engine = options["python"], options.get("engine", "auto")
    preferences.folder = options.get("folder", "")
    bpy.ops.immersivaudio.connect()
    until(package, lambda session: session.failed or session.connected)
    session = part(package, "session").session
    if session.failed:
        raise RuntimeError(session.message)


def finished(session) -> bool:
    return not session.busy


def scored(package: str, folder: Path, options: dict) -> dict:
    """A movie scored through the operators, one sound performed again, the result mixed down and taken away."""
    scene = edit(options["fps"], options["base"])
    _strip(strips(scene), {"type": "movie", "name": "film", "channel": 1, "at": options["at"], "path": options["path"]})
    users = [described(strip) for strip in strips(scene)]
    # Without a window Blender keeps no steps of undo until it is asked to.
    bpy.ops.ed.undo_push(message="before")
    found = {"before": drawn(package)}
    connect(package, options | {"folder": str(folder)})
    found["connected"] = drawn(package)
    session, lay = part(package, "session").session, part(package, "lay")
    state = scene.immersivaudio_soundtrack
    state.original = "replace"
    state.loudness = "none"
    bpy.ops.immersivaudio.score()
    found["busy"] = drawn(package)
    until(package, finished)
    found |= _outcome(package, scene, users)
    if found["receipt"] is None:
        return found
    found["laid"] = [described(strip) for strip in strips(scene)]
    found["undone"] = _undone()
    scene = bpy.context.scene
    found["redone"] = [described(strip) for strip in strips(scene)] == found.pop("laid")
    found["undone"] = found["undone"] == users
    found["sheet"] = _kept_sheet(lay, scene)
    found["onsets_s"] = _mixdown(scene, folder / "mix.wav", options["last"])
    found["channels"] = {n: scene.sequence_editor.channels[n].name for n in range(1, 8)}
    strip = next(strip for strip in strips(scene) if lay.label_of(strip).get("stem") == options["again"])
    others = [described(other) for other in strips(scene) if other != strip]
    old = lay.label_of(strip)["clip"]
    scene.sequence_editor.active_strip = strip
    bpy.ops.immersivaudio.redo_cue()
    until(package, finished)
    new = [lay.label_of(other)["clip"] for other in strips(scene) if described(other) not in others]
    found["again"] = {"message": session.message, "old": old, "new": new}
    found["removed"] = bpy.ops.immersivaudio.remove_last() == {"FINISHED"}
    found["after"] = [described(strip) for strip in strips(scene)] == users
    bpy.ops.preferences.addon_disable(module=package)
    return found


def composed(package: str, folder: Path, options: dict) -> dict:
    """Nothing but music, in its instrument groups; then its cue performed again from the strip of one group."""
    scene = edit(25, 1.0)
    _strip(strips(scene), {"type": "movie", "name": "film", "channel": 1, "at": 1, "path": options["path"]})
    users = [described(strip) for strip in strips(scene)]
    connect(package, options | {"folder": str(folder)})
    session, lay = part(package, "session").session, part(package, "lay")
    state = scene.immersivaudio_soundtrack
    for stem in ("ambience", "foley", "effects"):
        setattr(state, stem, False)
    state.music = True
    until(package, lambda session: ["prop", "music_stems"] in drawn(package))
    state.music_stems = True
    bpy.ops.immersivaudio.score()
    until(package, finished)
    found = _outcome(package, scene, users) | {"first": _played(scene, lay)}
    scene.sequence_editor.active_strip = next(
        strip for strip in strips(scene) if lay.label_of(strip).get("stem") == "music"
    )
    bpy.ops.immersivaudio.redo_cue()
    until(package, finished)
    return found | {"message": session.message, "again": _played(scene, lay)}


def _played(scene, lay) -> list:
    """Lane, cue, file and name of every strip of ours."""
    lanes = scene.sequence_editor.channels
    ours = [strip for strip in strips(scene) if "immersivaudio" in strip]
    return [[lanes[one.channel].name, lay.label_of(one)["clip"]["cue"], one.sound.filepath, one.name] for one in ours]


def _undone() -> list:
    """The strips after one step of undo; then redone. What was held of the scene before is worthless afterwards."""
    bpy.ops.ed.undo()
    left = [described(strip) for strip in strips(bpy.context.scene)]
    bpy.ops.ed.redo()
    return left


def installed(package: str, folder: Path, options: dict) -> dict:
    """Connected without a preference set: the extension knows the environment that put it there."""
    edit(25, 1.0)
    connect(package, {"python": ""})
    return {"effects": len(part(package, "session").session.effects)}


def _outcome(package: str, scene, users: list) -> dict:
    session, lay = part(package, "session").session, part(package, "lay")
    receipt = session.receipt
    return {
        "message": session.message,
        "warnings": session.warnings,
        "receipt": receipt and [receipt.placed, receipt.wanted, list(receipt.problems)],
        "ours": [
            _ours(scene, s, lay) | {"stem": lay.label_of(s)["stem"]} for s in strips(scene) if "immersivaudio" in s
        ],
        "users": [described(strip) for strip in strips(scene) if "immersivaudio" not in strip] == users,
    }


def _kept_sheet(lay, scene) -> dict:
    label = next(label for strip in strips(scene) if (label := lay.label_of(strip)))
    return json.loads((Path(label["folder"]) / "cues.json").read_text())


def spotted(package: str, folder: Path, options: dict) -> dict:
    """Spotted first; a cue muted, another re-worded, then performed; one job cancelled; the bridge killed."""
    scene = edit(25, 1.0)
    _strip(strips(scene), {"type": "movie", "name": "film", "channel": 1, "at": 1, "path": options["path"]})
    users = [described(strip) for strip in strips(scene)]
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "cut.blend"))
    connect(package, options)
    session, cues = part(package, "session").session, scene.immersivaudio.cues
    bpy.ops.immersivaudio.spot()
    until(package, finished)
    listed: list = []
    part(package, "panel").draw_cues(Layout(listed), scene)
    rows = [{"id": row.cue_id, "stem": row.stem, "frame": row.start_frame, "why": row.why} for row in cues]
    found = {"rows": rows, "said": session.message, "listed": listed, "strips_after_spotting": len(strips(scene))}
    foley = [row for row in cues if row.stem == "Foley"]
    foley[0].heard = False
    foley[1].prompt = "a door knocked once"
    found["changed"] = [foley[0].cue_id, foley[1].cue_id]
    bpy.ops.immersivaudio.perform()
    until(package, finished)
    found |= _outcome(package, scene, users)
    found["files"] = sorted({strip.sound.filepath for strip in strips(scene) if strip.type == "SOUND"})
    laid = len(strips(scene))
    # Another cut of the film, so that the engine has to watch again and there is something to cancel.
    strips(scene)["film"].frame_final_start += 1
    bpy.ops.immersivaudio.spot()
    until(package, lambda session: session.task is None or session.task.job)
    bpy.ops.immersivaudio.cancel()
    until(package, finished)
    found["cancelled"] = [session.failed, session.message, len(strips(scene)) == laid]
    bpy.ops.immersivaudio.score()
    until(package, lambda session: session.task is None or scene.immersivaudio.pending)
    session.link._process.kill()
    until(package, finished)
    found["killed"] = [session.failed, session.message, session.connected, len(strips(scene)) == laid]
    found["offered"] = drawn(package)
    connect(package, options)
    bpy.ops.immersivaudio.resume()
    until(package, finished)
    receipt = session.receipt
    found["resumed"] = [session.message, receipt and [receipt.placed, receipt.wanted, len(strips(scene)) - laid]]
    found["pending"] = scene.immersivaudio.pending
    return found


def refused(package: str, folder: Path, options: dict) -> dict:
    """Every way to fail that a person meets first, and the sentence it gives."""
    preferences = bpy.context.preferences.addons[package].preferences
    scene, said = edit(25, 1.0), {}

    def press(name: str, operator, **set_to) -> None:
        for key, value in set_to.items():
            setattr(preferences, key, value)
        try:
            operator()
            until(package, lambda session: session.failed or session.connected)
            said[name] = part(package, "session").session.message
        except RuntimeError as error:
            said[name] = str(error)

    connect_now = bpy.ops.immersivaudio.connect
    press("no python", connect_now, python=str(folder / "nothing"))
    press("another python", connect_now, python=options["plain_python"])
    press("offline", connect_now, python=options["python"], engine="engine.example:50505")
    press("no engine", connect_now, engine="127.0.0.1:9")
    press("nothing to remove", bpy.ops.immersivaudio.remove_last)
    gather, host = part(package, "gather"), part(package, "bridge.host")
    for scope in host.Scope:
        try:
            gather.gather(scene, scope)
        except host.HostError as error:
            said[f"empty {scope.value}"] = str(error)
    return said


def described_by_engine(package: str, folder: Path, options: dict) -> dict:
    """An effect that this add-on has never heard of."""
    scene = edit(25, 1.0)
    connect(package, options)
    session = part(package, "session").session
    scene.immersivaudio.effect = "weather"
    group = scene.immersivaudio_weather
    rna = {name: group.bl_rna.properties[name] for name in ("force", "drops", "storm", "kind", "words")}
    group.force = 2.0
    group.kind = "hail"
    until(package, lambda session: bool(session.patches))
    force = rna["force"]
    return {
        "effects": [item[0] for item in part(package, "cues").effect_items(None, None)],
        "drawn": drawn(package),
        "force": [force.hard_min, force.hard_max, force.soft_min, force.soft_max, force.default, force.description],
        "clamped": group.force,
        "kinds": [item.identifier for item in rna["kind"].enum_items],
        "drops": [rna["drops"].type, group.drops],
        "storm": [rna["storm"].type, group.storm],
        "patched": {name: param.enabled for name, param in session.patches["weather"].items()},
    }
