# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs apart from the engine: reads a path a line, answers with one line of JSON. Standard library and PyAV only.

A decoder that crashes, hangs or eats memory on a hostile file takes this process with it and nothing else.
"""

import ctypes
import json
import sys
from fractions import Fraction
from typing import Any

import av

Entry = dict[str, Any]

ATTACHED_PIC = 0x400
SCAN_BYTES = 256 * 1024 * 1024
SCAN_PACKETS = 600
# Containers whose clock may start anew, and what is no more than a gap in it: as ffmpeg holds it.
JUMPY = ("mpegts", "mpeg")
LONGEST_GAP_S, LONGEST_BACK_S = 10, 1
EMPTY: Entry = {"first": None, "last": None, "decoded": None, "jumps": False, "count": 0}


def main() -> None:
    av.logging.set_level(av.logging.PANIC)
    for line in sys.stdin:
        try:
            question = json.loads(line)
            answer = look(question["path"], question["containers"])
        except (av.FFmpegError, OSError, ValueError, IndexError, StopIteration) as error:
            answer = {"error": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def look(path: str, containers: str) -> Entry:
    options = {"protocol_whitelist": "file", "format_whitelist": containers}
    with av.open(path, options=options) as container:
        streams = [s for s in container.streams if s.type in ("video", "audio") and not attached(s)]
        videos = [s for s in streams if s.type == "video" and s.codec_context.width]
        audios = [s for s in streams if s.type == "audio" and s.codec_context.sample_rate]
        scan = scan_packets(path, options, [s.index for s in videos + audios])
        whole = container.duration / 1_000_000 if container.duration else 0
        return {
            "container": container.format.name,
            "duration": whole,
            "start": str(Fraction(container.start_time or 0, 1_000_000)),
            "timecode": timecode(container),
            "tags": tags(container),
            "cover": any(attached(s) for s in container.streams),
            "jumps": container.format.name in JUMPY and any(scan[s.index]["jumps"] for s in videos),
            "video": [dict(times(s, scan, whole), **video(s, first_frame(path, options, s))) for s in videos],
            "audio": [dict(audio(s), **times(s, scan, whole)) for s in audios],
        }


def attached(stream: Any) -> bool:
    return bool(int(stream.disposition) & ATTACHED_PIC)


def timecode(container: Any) -> str:
    tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    return str(next((tag["timecode"] for tag in tags if tag.get("timecode")), ""))


def tags(container: Any) -> dict[str, str]:
    """What the file says of itself in words (ID3, Vorbis comments, MP4 atoms), names in small letters."""
    said = [*(stream.metadata for stream in container.streams), container.metadata]
    rows = [(str(name).lower(), str(text)) for one in said for name, text in one.items()]
    return {name[:80]: text[:4000] for name, text in rows[:200]}


def scan_packets(path: str, options: dict[str, str], indices: list[int]) -> dict[int, Entry]:
    """Reads packets, of small files all of them: first and last timestamp that is shown, and whether frames are evenly
    spaced."""
    scan: dict[int, Entry] = {index: dict(EMPTY, gaps=set()) for index in indices}
    with av.open(path, options=options) as container:
        small = container.size <= SCAN_BYTES
        for packet in container.demux([container.streams[index] for index in indices]):
            if packet.pts is None or packet.is_discard:  # an edit list hides it: decoded, never shown
                continue
            note(scan[packet.stream_index], packet)
            if not small and all(s["count"] > SCAN_PACKETS for s in scan.values()):
                break
    for entry in scan.values():
        entry["whole"] = small
    return scan


def note(entry: Entry, packet: Any) -> None:
    end = packet.pts + (packet.duration or 0)
    entry["first"] = packet.pts if entry["first"] is None else min(entry["first"], packet.pts)
    entry["last"] = end if entry["last"] is None else max(entry["last"], end)
    entry["count"] += 1
    if packet.dts is not None:
        passed = 0 if entry["decoded"] is None else (packet.dts - entry["decoded"]) * packet.time_base
        entry["jumps"] |= not -LONGEST_BACK_S <= passed <= LONGEST_GAP_S
        entry["decoded"] = packet.dts
    if packet.duration and entry["count"] <= SCAN_PACKETS:
        entry["gaps"].add(packet.duration)


def times(stream: Any, scan: dict[int, Entry], whole: float) -> Entry:
    seen, base = scan[stream.index], stream.time_base
    start = Fraction(seen["first"] or 0) * base
    if seen["whole"] and seen["last"] is not None:
        duration = (seen["last"] - seen["first"]) * base
    elif stream.duration:
        duration = stream.duration * base
    else:
        duration = Fraction(whole).limit_denominator(1_000_000)
    gaps = sorted(seen["gaps"])
    uneven = len(gaps) > 1 and (gaps[-1] - gaps[0]) * base > Fraction(1, 400) and gaps[-1] > 1.02 * gaps[0]
    return {"start": str(start), "duration": str(duration), "count": seen["count"], "uneven": bool(uneven)}


def video(stream: Any, frame: Any) -> Entry:
    """What ``frame``, the first one, tells. AVI says in which order pictures are decoded, not when they are shown: ffmpeg
    shows the first one when it leaves the decoder."""
    turned = frame.rotation % 180 != 0
    width, height = frame.width, frame.height
    aspect = stream.sample_aspect_ratio
    if aspect and aspect > 0:
        width = max(1, round(width * float(aspect)))
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    told = {
        "index": stream.index,
        "codec": stream.codec_context.name,
        "width": height if turned else width,
        "height": width if turned else height,
        "rate": str(rate or 0),
        "rotation": frame.rotation,
        "default": bool(int(stream.disposition) & 1),
    }
    if stream.container.format.name == "avi" and frame.dts is not None:
        told["start"] = str(frame.dts * stream.time_base)
    return told


def first_frame(path: str, options: dict[str, str], stream: Any) -> Any:
    """Out of a container opened anew: seeking to the start fails where the clock begins before 0."""
    with av.open(path, options=options) as container:
        return next(container.decode(container.streams[stream.index]))


def audio(stream: Any) -> Entry:
    context = stream.codec_context
    return {
        "index": stream.index,
        "codec": context.name,
        "rate_hz": context.sample_rate,
        "channels": channels(context),
        "default": bool(int(stream.disposition) & 1),
    }


def channels(context: Any) -> int:
    """How many there are. PyAV's layout shares the codec's own list of channels where they come in an order of their
    own (L C R Ls Rs LFE, as films have it) and frees it once more, which ends the process: so it is never let go."""
    layout = context.layout
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return int(layout.nb_channels)


if __name__ == "__main__":
    main()
