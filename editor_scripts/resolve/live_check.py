# SPDX-License-Identifier: AGPL-3.0-or-later
"""For a person with a real Resolve: does it behave as the script believes? On a timeline of its own, which goes again.

In Resolve, Workspace > Console, Py3: ``exec(open("/path/to/editor_scripts/resolve/live_check.py").read())``.
Everything is printed; send the whole of it along with a report.
"""

import os
import tempfile
import wave

NAME = "Immersivaudio check"


def silence(path, seconds=10):
    """A stereo WAV of 48 kHz."""
    with wave.open(path, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(bytes(4 * 48000 * seconds))


def order(media, track, start, frames, record):
    clip = {"mediaPoolItem": media, "startFrame": start, "endFrame": start + frames, "mediaType": 2}
    return [{**clip, "trackIndex": track, "recordFrame": record}]


def placed(timeline, track):
    items = timeline.GetItemListInTrack("audio", track) or []
    return [(item.GetStart() - timeline.GetStartFrame(), item.GetDuration()) for item in items]


def checks(app, project, timeline, media):
    """Pairs of a belief and what was seen."""
    pool, first = project.GetMediaPool(), timeline.GetStartFrame()
    track = timeline.GetTrackCount("audio") + 1
    timeline.AddTrack("audio", "stereo")
    yield "a stereo track is made at the end", timeline.GetTrackSubType("audio", track) == "stereo"
    for number in range(timeline.GetTrackCount("video"), track):
        timeline.AddTrack("video")
        yield "a video track was lent for index %d" % (number + 1), True  # noqa: UP031
    yield "audio counts the project's frames: FPS %s" % media.GetClipProperty("FPS"), True  # noqa: UP031
    pool.AppendToTimeline(order(media, track, 0, 24, first + 10))
    yield "endFrame is exclusive, recordFrame absolute", placed(timeline, track) == [(10, 24)]
    pool.AppendToTimeline(order(media, track, 0, 24, first + 20))
    yield "an overlap is dropped, the earlier clip stays", placed(timeline, track) == [(10, 24)]
    pool.AppendToTimeline(order(media, track, 24, 24, first + 34))
    yield "abutting clips lie side by side", placed(timeline, track) == [(10, 24), (34, 24)]
    item = timeline.GetItemListInTrack("audio", track)[1]
    yield "a clip takes a marker at its own first frame", bool(item.AddMarker(0, "Cyan", "name", "why", 1, "id"))
    yield "a clip takes a colour", bool(item.SetClipColor("Orange"))
    if "SetThirdPartyMetadata" in dir(media):
        media.SetThirdPartyMetadata("immersivaudio", "{}")
        yield "hidden metadata comes back", media.GetThirdPartyMetadata("immersivaudio") == "{}"
    if "SetMarkInOut" in dir(timeline):
        timeline.SetMarkInOut(12, 30)
        yield "marks count from the start: %s" % timeline.GetMarkInOut(), True  # noqa: UP031
    if "SetProperties" in dir(item):
        yield "a clip takes a level", bool(item.SetProperties({"AudioVolume": -6.0}))
    app.OpenPage("fairlight")
    deleted = timeline.DeleteClips([item], False)
    yield "clips are deleted on the Edit page only (here: %s)" % deleted, True  # noqa: UP031


def main(app):
    print("Immersivaudio check:", app.GetProductName(), app.GetVersion())
    project, page = app.GetProjectManager().GetCurrentProject(), app.GetCurrentPage()
    pool, before = project.GetMediaPool(), project.GetCurrentTimeline()
    timeline = pool.CreateEmptyTimeline(NAME)
    project.SetCurrentTimeline(timeline)
    path = os.path.join(tempfile.mkdtemp(), "immersivaudio_check.wav")  # noqa: PTH118
    silence(path)
    folder = pool.GetCurrentFolder()
    pool.ImportMedia([path])
    media = next(clip for clip in folder.GetClipList() if clip.GetClipProperty("File Path") == path)
    wrong = 0
    try:
        for belief, seen in checks(app, project, timeline, media):
            wrong += not seen
            print("  %s  %s" % ("yes" if seen else "NO ", belief))  # noqa: UP031
    finally:
        if before is not None:
            project.SetCurrentTimeline(before)
        pool.DeleteTimelines([timeline])
        pool.DeleteClips([media])
        app.OpenPage(page)
    print("  everything is as the script believes" if not wrong else "  please report the lines with NO")
    return wrong


if "resolve" in globals():
    main(globals()["resolve"])
