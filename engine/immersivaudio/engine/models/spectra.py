# SPDX-License-Identifier: AGPL-3.0-or-later
"""Spectra as models read them. transformers is imported inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FFT, _HIGHEST_HZ, _FLOOR = 1024, 8_000.0, 1e-5


def log_mel(mono: NDArray[np.float32], rate_hz: int, hop: int, bins: int, frames: int) -> NDArray[np.float32]:
    """AudioLDM's mel spectrogram ``[frames, bins]``: log of magnitudes of 1024 samples every ``hop``, Slaney's filters up
    to 8 kHz, no less than 1e-5; silence beyond the sound's end."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    filters = mel_filter_bank(_FFT // 2 + 1, bins, 0.0, min(_HIGHEST_HZ, rate_hz / 2), rate_hz, "slaney", "slaney")
    padded = np.pad(mono.astype(np.float64), (0, max(0, frames * hop - len(mono)) + hop))
    found = spectrogram(
        padded,
        window_function(_FFT, "hann"),
        _FFT,
        hop,
        power=1.0,
        mel_filters=filters,
        mel_floor=_FLOOR,
        log_mel="log",
    )
    return np.ascontiguousarray(found.T[:frames], np.float32)
