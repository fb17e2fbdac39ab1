# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a container takes a picture and a codec, tried on a blink of them before any long work begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from immersivaudio.engine.bwf import WavWriter
from immersivaudio.engine.errors import MediaError, RequestError
from immersivaudio.engine.media.probing import probe
from immersivaudio.engine.media.process import run
from immersivaudio.engine.media.types import Probe
from immersivaudio.engine.media.writing import CODEC_OF_CONTAINER, encode_sound, encoder_of, mux_command

_BLINK_S = 0.2
# These pictures in these containers, with the codec that the container chooses, have been tried by everybody.
_USUAL, _USUAL_PICTURES = ("mp4", "m4v", "mov", "mkv"), ("h264", "hevc")


def check_fit(video: Path | None, ending: str, codec: str, folder: Path) -> None:
    """Refuse a container (``ending``) that does not take the picture of ``video`` (None: sound alone) or the codec.

    Raises:
        RequestError: it does not, or there is no such codec or container; the hint says what would fit.
    """
    encoder_of(Path(f"fit.{ending}"), codec)
    source = None if video is None else probe(video)
    if source is not None and not codec and ending in _USUAL and source.video[0].codec in _USUAL_PICTURES:
        return
    silence = folder / "fit.wav"
    with WavWriter(silence, durable=False) as writer:
        writer.write(np.zeros((2, 48_000), np.float32))
    try:
        if _fits(source, silence, ending, codec):
            return
        raise RequestError(_refusal(source, ending, codec), _advice(source, silence, ending, codec))
    finally:
        silence.unlink()


def _fits(source: Probe | None, silence: Path, ending: str, codec: str) -> bool:
    out = silence.with_name(f"fit.{ending}")
    try:
        if source is None:
            encode_sound(silence, out, audio_codec=codec)
        else:
            *command, last = mux_command(source, (silence, None), out, encoder_of(out, codec), False)
            run([*command, "-t", str(_BLINK_S), last])
    except MediaError:
        return False
    finally:
        out.unlink(missing_ok=True)
    return True


def _refusal(source: Probe | None, ending: str, codec: str) -> str:
    sound = f"sound as {codec or CODEC_OF_CONTAINER[ending]}"
    if source is None:
        return f"A .{ending} file does not take {sound}."
    return f"A .{ending} file does not take this picture ({source.video[0].codec}) with {sound}."


def _advice(source: Probe | None, silence: Path, ending: str, codec: str) -> str:
    """The least change that fits."""
    if codec and _fits(source, silence, ending, ""):
        return f"Leave --codec out: .{ending} is made with {CODEC_OF_CONTAINER[ending]}."
    others = ("mkv", "mov", "mp4") if source is not None else ("wav", "m4a", "flac", "ogg")
    for other in others:
        if _fits(source, silence, other, codec):
            return f"Choose another container: --container {other} takes it."
    return f"Choose --container {others[0]} and leave --codec out."
