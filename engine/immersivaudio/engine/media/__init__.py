# SPDX-License-Identifier: AGPL-3.0-or-later
"""The only package that touches ffmpeg and PyAV: probe, frames, sound, mux; every decode in a child with limits."""

from immersivaudio.engine.media.ceiling import Encoded, decoded_peak_db, encode_under
from immersivaudio.engine.media.fitting import check_fit
from immersivaudio.engine.media.packets import encode_aac
from immersivaudio.engine.media.probing import probe
from immersivaudio.engine.media.process import ffmpeg_binary
from immersivaudio.engine.media.reading import frames, sound
from immersivaudio.engine.media.types import AudioStream, Probe, VideoStream
from immersivaudio.engine.media.writing import (
    AS_IT_IS,
    CODEC_OF_CONTAINER,
    ENCODERS,
    SOUND_CONTAINERS,
    VIDEO_CONTAINERS,
    encode_pictures,
    encode_sound,
    encoder_of,
    is_lossy,
    mux,
)

__all__ = [
    "AS_IT_IS",
    "CODEC_OF_CONTAINER",
    "ENCODERS",
    "SOUND_CONTAINERS",
    "VIDEO_CONTAINERS",
    "AudioStream",
    "Encoded",
    "Probe",
    "VideoStream",
    "check_fit",
    "decoded_peak_db",
    "encode_aac",
    "encode_pictures",
    "encode_sound",
    "encode_under",
    "encoder_of",
    "ffmpeg_binary",
    "frames",
    "is_lossy",
    "mux",
    "probe",
    "sound",
]
