# SPDX-License-Identifier: AGPL-3.0-or-later
"""Seams between long chunks, closed by a model that fills gaps: what lies around a seam is kept, the seam is made anew.

For models that were trained to inpaint. Others blend the predictions of overlapping windows (``batching``), which a few
distilled steps leave dull where windows disagree. torch is imported inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from immersivaudio.engine.models.batching import Spans

Fill = Callable[[Any, Any, int], Any]
"""An ask to fill what ``known`` ``[1, channels, n]`` has where ``kept`` ``[1, 1, n]`` is 0, of the seam of that number."""
_RAMP = 8


def closed(chunks: Sequence[Any], spans: Spans, fill: Fill, run: Callable[[Sequence[Any]], Sequence[Any]]) -> Any:
    """Latents ``[1, channels, frames]`` out of ``chunks`` that lie at ``spans``: where two overlap, what ``run`` gives for
    ``fill``. As much is shown of either side as they overlap."""
    whole = _abutted(chunks, spans)
    gaps = [(after, before + spans.length) for before, after in itertools.pairwise(spans.starts)]
    shown = [(max(0, 2 * first - last), min(whole.shape[2], 2 * last - first)) for first, last in gaps]
    asks = []
    for number, ((first, last), (start, end)) in enumerate(zip(gaps, shown, strict=True)):
        kept = whole.new_ones((1, 1, end - start))
        kept[..., first - start : last - start] = 0
        asks.append(fill(whole[..., start:end], kept, number))
    closing = zip(run(asks), gaps, shown, itertools.pairwise(chunks), strict=True)
    for filled, (first, last), (start, _), (before, after) in closing:
        made, length = filled[..., first - start : last - start], last - first
        whole[..., first:last] = _eased(made, before[..., -length:], after[..., :length])
    return whole


def _abutted(chunks: Sequence[Any], spans: Spans) -> Any:
    """Each chunk up to the middle of what it shares with the next."""
    import torch

    middles = [(after + before + spans.length) // 2 for before, after in itertools.pairwise(spans.starts)]
    edges = [0, *middles, spans.starts[-1] + spans.length]
    parts = [
        chunk[..., begin - start : end - start]
        for chunk, start, (begin, end) in zip(chunks, spans.starts, itertools.pairwise(edges), strict=True)
    ]
    return torch.cat(parts, dim=2)


def _eased(made: Any, before: Any, after: Any) -> Any:
    """What was filled in, leaving the chunk ``before`` and meeting the one ``after`` over a few frames."""
    import torch

    frames = min(_RAMP, made.shape[2] // 2)
    rise = (torch.arange(frames, device=made.device) + 0.5) / frames
    eased = made.clone()
    eased[..., :frames] = before[..., :frames] * (1 - rise) + made[..., :frames] * rise
    fall = rise.flip(0)
    eased[..., -frames:] = after[..., -frames:] * (1 - fall) + made[..., -frames:] * fall
    return eased
