# SPDX-License-Identifier: AGPL-3.0-or-later
"""A mix becomes the files that somebody asked for: Broadcast WAV stems, a mix, a scored video, a timeline with lanes,
the cue sheet, the provenance and a page to look at. No file has its final name before it is whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio

from immersivaudio.engine import bwf, credentials, dialects_out, levels, media, notes_out, otio_out, report, sheets
from immersivaudio.engine import takes as take_files
from immersivaudio.engine.audio import amplitude
from immersivaudio.engine.cue import MUSIC_GROUPS, SAMPLE_RATE_HZ, CueSheet, Edit, Stem, Take, samples_at
from immersivaudio.engine.desk import BLOCK_SAMPLES
from immersivaudio.engine.errors import CancelledError, OutputError, RequestError
from immersivaudio.engine.importers.warnings import Grumbles
from immersivaudio.engine.manifest import add_encoded, add_takes, manifest, summary, to_text
from immersivaudio.engine.mixing import MixResult, StemFile
from immersivaudio.engine.request import DIALECTS, GENERIC, DeliveryWish, Made
from immersivaudio.engine.riding import Ride, rides

_HEADROOM_DB = -1.0
# MLT 7.12 starts a 24-bit WAV up to 14 ms late when it jumps into it, FLAC up to 57 ms early, and QuickTime to the sample.
_PLAYED_EXACTLY = {"kdenlive": ".mov"}
# Containers that say to the sample where encoded sound begins and ends, so that it can be encoded ahead of them.
_CUT_TO_THE_SAMPLE = (".mp4", ".m4v", ".mov")
# Takes, original, stems and bounce in 32 bits, stems again in 24: so much disk a second of the record asks for, about.
_BYTES_PER_S = 8 * 2 * 4 * SAMPLE_RATE_HZ
# A group's take, its stem in 32 bits and that in 24.
_GROUPS_BYTES_PER_S = len(MUSIC_GROUPS) * 3 * 2 * 4 * SAMPLE_RATE_HZ
_DAY_SAMPLES = 24 * 3600 * SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Delivery:
    """All that a delivery is made of, and how it is wanted.

    ``source`` is the video to lay the mix under, for a job on a single file; ``folder`` is where the files are made, and
    ``final_folder`` where they will be found: the lanes of the timeline lead there (without one they name their files
    alone, for whoever puts the files in their place to complete). ``more`` are all takes of a cue by its id, the one in
    the mix first; each becomes a file. What was encoded is kept in ``cache``. ``warn`` hears what a dialect could not say,
    one sentence each. ``document`` is the file that ``timeline`` was read from, where it was one.
    """

    edit: Edit
    timeline: otio.schema.Timeline | None
    sheet: CueSheet
    takes: Mapping[str, Take]
    mixed: MixResult
    wish: DeliveryWish
    source: Path | None
    folder: Path
    title: str = ""
    final_folder: Path | None = None
    cache: Path | None = None
    more: Mapping[str, Sequence[Take]] = field(default_factory=dict)
    cancelled: Callable[[], bool] = lambda: False
    warn: Callable[[str], None] = lambda sentence: None
    document: Path | None = None

    @property
    def name(self) -> str:
        """What every file's name begins with."""
        return safe_name(self.title or self.edit.name)

    @property
    def final(self) -> Path | None:
        return None if self.final_folder is None else self.final_folder.absolute()

    def path(self, ending: str) -> Path:
        return self.folder / f"{self.name}.{ending}"

    def wants(self, *outputs: str) -> bool:
        return bool(set(outputs) & set(self.wish.outputs))


def deliver(job: Delivery) -> tuple[Made, ...]:
    """Make what is asked for; the cue sheet and the manifest always.

    Raises:
        OutputError: it cannot be written, for want of space for example. MediaError: the container or codec does not
        fit. CancelledError: ``job.cancelled()`` became true.
    """
    with ThreadPoolExecutor(1, "video") as aside:
        # ffmpeg works in a process of its own: the rest is written meanwhile.
        video = aside.submit(_video, job, job.source) if job.wants("video") and job.source is not None else None
        made = tuple(_files(job, video))
        made = made if video is None else (video.result().made, *made)
    if job.wish.credentials:
        rows = manifest(job.edit, job.sheet, job.takes, job.mixed, job.cancelled)
        credentials.sign(made, rows, job.warn)
    return made


def check(
    wish: DeliveryWish, source: Path | None, duration_s: Fraction, folder: Path, rate: Fraction | None = None
) -> None:
    """Refuse before any work what could not be delivered after it; ``folder`` is on the disk that will be worked on, and
    ``rate`` the edit's.

    Raises:
        RequestError: there is no picture, the container takes not this one or not this codec, or the editor's file not this rate.
        OutputError: the disk has no room.
        UnavailableError: content credentials are wanted, and nothing here can sign them.
    """
    if wish.credentials:
        credentials.check()
    if "otio" in wish.outputs and rate is not None:
        dialects_out.check(rate, wish.dialect)
    if "video" in wish.outputs:
        if source is None or not media.probe(source).video:
            raise RequestError(
                "A video is wanted, but no picture was given.", "Ask for stems or audio, or give one video."
            )
        media.check_fit(source, _video_ending(wish, source), wish.audio_codec, folder)
    if "audio" in wish.outputs and (ending := _sound_ending(wish)) != "wav":
        media.check_fit(None, ending, wish.audio_codec, folder)
    needed = round(float(duration_s) * (_BYTES_PER_S + (_GROUPS_BYTES_PER_S if wish.music_stems else 0)))
    needed += source.stat().st_size if "video" in wish.outputs and source is not None else 0
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"The engine's disk has {free / 1e6:.0f} MB left, and this job needs about {needed / 1e6:.0f} MB.",
            "Free some space, or set IMMERSIVAUDIO_HOME to a folder on another disk.",
        )


def _video_ending(wish: DeliveryWish, source: Path) -> str:
    container = wish.container.lower().lstrip(".")
    ending = container if container in media.VIDEO_CONTAINERS else source.suffix.lower().lstrip(".")
    return ending if ending in media.VIDEO_CONTAINERS else "mkv"


def _sound_ending(wish: DeliveryWish) -> str:
    container = wish.container.lower().lstrip(".")
    return container if container in media.SOUND_CONTAINERS else "wav"


def safe_name(name: str) -> str:
    """``name`` as it may stand in a file name and in an editor's url: without separators and ``# ? %``."""
    cleaned = re.sub(r'[\x00-\x1f/\\:*?"<>|#%]+', "_", name).strip(" .")
    return cleaned.encode()[:120].decode(errors="ignore") or "untitled"


@dataclass(frozen=True, slots=True)
class _Sounding:
    """A file that is heard; ``encoded`` where its codec is lossy."""

    made: Made
    encoded: media.Encoded | None = None


def _files(job: Delivery, video: Future[_Sounding] | None) -> Iterator[Made]:
    mix: _Sounding | None = None
    named = _takes(job)
    if job.wants("stems", "otio"):
        gain_db = _lane_gain_db(job)
        ridden = {} if job.wish.dialect == GENERIC else rides(job.mixed, gain_db, job.cancelled)
        stems = _stems(job, gain_db, ridden)
        yield from stems.values()
        if job.wants("otio"):
            lanes = {
                name: _lane_file(job, made.path.name, ridden.get(made.stem or Stem.DIALOGUE))
                for name, made in stems.items()
            }
            yield from _timelines(job, lanes, {cue_id: [file for file, _ in found] for cue_id, found in named.items()})
    if job.wants("audio"):
        mix = _mix(job)
        yield mix.made
    yield _text(job, "cues", "cues.json", sheets.to_json(job.sheet))
    yield from notes_out.made(job.sheet, job.takes, job.name, job.folder)
    yield from (made for found in named.values() for _, made in found)
    rows = manifest(job.edit, job.sheet, job.takes, job.mixed, job.cancelled)
    add_takes(rows, {cue_id: [(file.take, made.name) for file, made in found] for cue_id, found in named.items()})
    heard = [one for one in (mix, None if video is None else video.result()) if one is not None]
    add_encoded(rows, {one.made.name: one.encoded for one in heard if one.encoded is not None})
    yield _text(job, "manifest", "manifest.json", to_text(rows))
    if job.wants("report"):
        yield _text(job, "report", "report.html", report.page(job.edit, job.sheet, job.takes, job.mixed))


def _takes(job: Delivery) -> dict[str, list[tuple[otio_out.TakeFile, Made]]]:
    """Every take of the cues that have more than one, as a file of its own: by cue, in order."""
    setting = take_files.Setting(job.edit.name, job.edit.rate, job.edit.start_timecode_s, job.edit.drop_frame)
    found: dict[str, list[tuple[otio_out.TakeFile, Made]]] = {}
    for place, cue in enumerate(job.sheet.sounding(), 1):
        for number, take in enumerate(job.more.get(cue.id, ()), 1):
            if job.cancelled():
                raise CancelledError("The delivery was stopped.")
            recipe = take_files.recipe(cue, take, setting, number, place)
            path = take_files.write(Path(take.path), recipe, job.folder / recipe.file_name)
            url = path.name if job.final is None else str(job.final / take_files.FOLDER / path.name)
            file = otio_out.TakeFile(url, take, number, *take_files.frames(recipe, take.samples))
            found.setdefault(cue.id, []).append((file, Made(path.name, "take", path, cue.stem)))
    return found


def _text(job: Delivery, kind: str, ending: str, text: str) -> Made:
    path = job.path(ending)
    _write_text(path, text)
    return Made(path.name, kind, path)


def _stems(job: Delivery, gain_db: float, ridden: Mapping[Stem, Ride]) -> dict[str, Made]:
    """A file for each lane, by its name."""
    wanted = [file for file in job.mixed.lanes if job.timeline is None or file.stem is not Stem.DIALOGUE]
    return {
        file.name: _stem(job, file, gain_db, ridden.get(file.stem or Stem.DIALOGUE))
        for file in wanted
        if file.placements or file.stem is Stem.DIALOGUE
    }


def _lane_gain_db(job: Delivery) -> float:
    """What the stems get on top of the mix.

    Beside tracks of the user's own that stay at their level, the lanes must too: the master gain is taken back, as far
    as full scale allows, so that lanes and original sound balanced as in the mix.
    """
    kept = any(file.stem is Stem.DIALOGUE and not file.silent for file in job.mixed.stems)
    if job.timeline is None or not kept:
        return 0.0
    peak_db = max((file.true_peak_db for file in job.mixed.lanes if file.placements), default=0.0)
    return min(-job.mixed.gain_db, max(0.0, _HEADROOM_DB - peak_db))


def _stem(job: Delivery, file: StemFile, gain_db: float, ride: Ride | None) -> Made:
    stem = file.stem or Stem.DIALOGUE
    path = job.path(f"{file.name}.wav")
    said = "Original sound as mixed" if stem is Stem.DIALOGUE else f"Generated {file.name.replace('-', ', ')}"
    placed = {place.cue_id for place in file.placements}
    cues = [cue for cue in job.sheet.sounding() if cue.id in placed]
    ixml = {"STEM": file.name, **({} if stem is Stem.DIALOGUE else summary(cues, job.takes))}
    ixml |= take_files.stem_notes(stem.value, job.edit.name)
    _wav24(job, file.path, path, _tags(job, f"{said} of {job.edit.name}", ixml), gain_db, ride)
    path = _for_player(job, path)
    return Made(path.name, "stem", path, stem)


def _for_player(job: Delivery, wav: Path) -> Path:
    """The same samples in the container that the dialect's editor plays exactly, where WAV is none."""
    ending = _PLAYED_EXACTLY.get(job.wish.dialect)
    if ending is None:
        return wav
    media.encode_sound(wav, wav.with_suffix(ending), audio_codec="pcm", cancelled=job.cancelled)
    wav.unlink()
    return wav.with_suffix(ending)


def _tags(job: Delivery, description: str, ixml: Mapping[str, str]) -> bwf.Tags:
    rate = job.edit.rate
    return bwf.Tags(
        description,
        time_reference=samples_at(job.edit.start_timecode_s) % _DAY_SAMPLES,
        ixml=ixml,
        timecode_rate=f"{rate.numerator}/{rate.denominator}",
        drop_frame=job.edit.drop_frame,
    )


def _wav24(
    job: Delivery, source: Path, path: Path, tags: bwf.Tags, gain_db: float = 0.0, ride: Ride | None = None
) -> None:
    mapped, _ = bwf.read_wav(source)
    total, gain = len(mapped), np.float32(amplitude(gain_db))
    with bwf.WavWriter(path, bits=24, tags=tags) as writer:
        for first in range(0, total, BLOCK_SAMPLES):
            if job.cancelled():
                raise CancelledError("The delivery was stopped.")
            # Mapped anew for each block, or every page that was read would stay counted as our memory.
            block = bwf.read_wav(source)[0][first : first + BLOCK_SAMPLES]
            undone = 1.0 if ride is None else ride.undo(first, len(block))
            writer.write(np.asarray(block.T, np.float32) * gain * undone)


def _mix(job: Delivery) -> _Sounding:
    path = job.path(f"mix.{_sound_ending(job.wish)}")
    made = Made(path.name, "mix", path)
    if path.suffix == ".wav":
        ixml = {"STEM": "mix", **summary(job.sheet.sounding(), job.takes)}
        _wav24(job, job.mixed.bounce.path, path, _tags(job, f"Mix of {job.edit.name}", ixml))
        return _Sounding(made)

    def encode(wav: Path) -> None:
        media.encode_sound(wav, path, audio_codec=job.wish.audio_codec, cancelled=job.cancelled)

    return _Sounding(made, _measured(job, path, encode))


def _video(job: Delivery, source: Path) -> _Sounding:
    path, codec = job.path(f"scored.{_video_ending(job.wish, source)}"), job.wish.audio_codec
    made = Made(path.name, "video", path)
    if path.suffix in _CUT_TO_THE_SAMPLE and media.encoder_of(path, codec) == "aac":
        sound = job.mixed.bounce.path.with_suffix(".m4a")
        encoded = _under(job, sound, lambda wav: media.encode_aac(wav, sound, job.cache, job.cancelled))
        media.mux(source, sound, path, audio_codec=media.AS_IT_IS, cancelled=job.cancelled)
        return _Sounding(made, encoded)

    def encode(wav: Path) -> None:
        media.mux(source, wav, path, audio_codec=codec, cancelled=job.cancelled)

    return _Sounding(made, _measured(job, path, encode))


def _measured(job: Delivery, path: Path, encode: Callable[[Path], None]) -> media.Encoded | None:
    """Have ``encode`` make ``path`` of the mix; where its codec is lossy, decoded to see that it peaks no higher."""
    if not media.is_lossy(path, job.wish.audio_codec):
        encode(job.mixed.bounce.path)
        return None

    def peak_db(wav: Path) -> float:
        encode(wav)
        return media.decoded_peak_db(path, job.cancelled)

    return _under(job, path, peak_db)


def _under(job: Delivery, path: Path, encode: Callable[[Path], float]) -> media.Encoded:
    """Have ``encode`` make ``path`` of the mix, no louder than is promised once it is decoded."""
    ceiling_db = levels.preset(job.mixed.options.loudness).peak_db
    encoded = media.encode_under(ceiling_db, job.mixed.bounce.path, path, encode, job.cancelled)
    if encoded.over(ceiling_db):
        job.warn(f"{path.name} peaks at {encoded.true_peak_db:.1f} dBTP once decoded, over {ceiling_db:.0f}.")
    return encoded


def _lane_file(job: Delivery, name: str, ride: Ride | None) -> otio_out.LaneFile:
    return otio_out.LaneFile(name if job.final is None else str(job.final / name), ride)


def _timelines(
    job: Delivery, files: Mapping[str, otio_out.LaneFile], takes: Mapping[str, Sequence[otio_out.TakeFile]]
) -> Iterator[Made]:
    """The timeline as OpenTimelineIO and, for an editor that reads none, as its own document."""
    grumbles = Grumbles()
    laid = otio_out.add_lanes(job.timeline, job.edit, job.sheet, job.takes, job.mixed, files)
    otio_out.add_takes(laid, job.edit, takes, references=job.wish.dialect == GENERIC)
    spoken = dialects_out.spoken(laid, job.edit, job.wish.dialect)
    yield _text(job, "otio", "otio", otio.adapters.write_to_string(spoken, "otio_json"))
    document = dialects_out.document(laid, job.edit, job.timeline, job.wish.dialect, grumbles, job.document)
    if document is not None:
        yield _text(job, "timeline", DIALECTS[job.wish.dialect][0].lstrip("."), document)
    for sentence in grumbles.sentences():
        job.warn(sentence)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path.name} could not be written: {error.strerror or error}.",
            "Free some space or choose another folder with --out.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
