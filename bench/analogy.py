# SPDX-License-Identifier: AGPL-3.0-or-later
"""By example: onsets of the foley that another clip's sound gives, beside spotting's own moments and the procedural stem.

    python bench/analogy.py

For each ``sync-*`` clip and each other one that has recorded sound as its example: F1 within 80 ms against the
manifest's contacts, of the cues that spotting wrote and of the foley stem that the job delivers. The aim is 0.9 of what
the cues have; it exits non-zero when a pair misses it. Then speed, and whether ten minutes of a texture repeat.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from _onsets import agree, null_f1
from sync import MEDIA, Truth, recorded, truths

from immersivaudio.engine import media, pipeline, plugins
from immersivaudio.engine.cue import SAMPLE_RATE_HZ, Cue, Example, Span, Stem
from immersivaudio.engine.performers import Brief
from immersivaudio.engine.request import DeliveryWish, ScoreRequest, Workspace

AIM = 0.9
TEXTURES = ("stream-of-water.webm", "night-rain-concert-crowd.mp4", "drone-coast-gopro-karma.mp4")
TEXTURE_S = 600


@dataclass(frozen=True, slots=True)
class Laid:
    """What a job gave: the moments of its foley cues, and the onsets of its foley stem."""

    moments_s: tuple[float, ...]
    onsets_s: tuple[float, ...]


def scored(path: Path, example: Path | None, cache: Path) -> Laid:
    """The whole way, with the sound that is there replaced."""
    with tempfile.TemporaryDirectory() as folder:
        request = ScoreRequest(
            media=path,
            effect="foley" if example is None else "analogy",
            example=None if example is None else Example(str(example)),
            delivery=DeliveryWish(outputs=("stems",), original="replace"),
        )
        done = pipeline.score(request, Workspace(cache, Path(folder)), lambda event: None, lambda: False)
        cues = [cue for cue in done.sheet.cues if cue.stem is Stem.FOLEY and (cue.example or example is None)]
        stems = [one.path for one in done.made if one.stem is Stem.FOLEY]
        return Laid(
            tuple(sorted({float(moment) for cue in cues for moment in cue.sync_s})),
            tuple(recorded(stems[0])) if stems else (),
        )


def said(what: str, found: Sequence[float], truth: Truth) -> str:
    result = agree(found, truth.contacts_s)
    chance = null_f1(found, truth.contacts_s, truth.duration_s)
    return (
        f"  {what:42s} {len(found):3d}/{len(truth.contacts_s):<3d} F1 {result.f1:.2f}  P {result.precision:.2f}  "
        f"R {result.recall:.2f}  lag {1000 * result.lag_s:+5.0f} ms  null {chance:.2f}"
    )


def sync(clips: Sequence[Truth]) -> list[float]:
    """F1 of each pair of clip and example, as a share of the cues' own."""
    shares = []
    with tempfile.TemporaryDirectory() as name:
        for truth in clips:
            print(truth.path.stem)
            plain = scored(truth.path, None, Path(name))
            print(said("spotting's own moments", plain.moments_s, truth))
            print(said("procedural foley stem", plain.onsets_s, truth))
            for other in clips:
                if other.path == truth.path or not other.has_sound:
                    continue
                laid = scored(truth.path, other.path, Path(name))
                print(said(f"by the example {other.path.stem}", laid.onsets_s, truth))
                own = agree(laid.moments_s, truth.contacts_s).f1
                shares.append(agree(laid.onsets_s, truth.contacts_s).f1 / own if own else 1.0)
    return shares


def texture(path: Path) -> str:
    """Ten minutes out of a few seconds: times real time of one core, and the strongest likeness to itself."""
    span = Span(Fraction(0), Fraction(TEXTURE_S))
    cue = Cue("bed", Stem.AMBIENCE, span, "rain", seed=1, example=Example(str(path)))
    performer = plugins.create("performers", "analogy")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    blocks = list(performer.perform(Brief(cue, TEXTURE_S * SAMPLE_RATE_HZ)))
    taken_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    mono = np.concatenate([block.mean(axis=0) for block in blocks])
    spectrum = np.fft.rfft(mono, 1 << (2 * len(mono) - 1).bit_length())
    likeness = np.fft.irfft(np.square(np.abs(spectrum)))[: len(mono)]
    late = np.abs(likeness[SAMPLE_RATE_HZ // 2 :]) / likeness[0]
    length_s = float(media.probe(path).duration_s)
    return (
        f"  {path.stem:32s} {length_s:5.1f} s -> {TEXTURE_S} s  {TEXTURE_S / max(taken_s, 1e-3):4.0f} x real time   "
        f"strongest autocorrelation from 0.5 s on {late.max():.3f} (a loop: near 1)"
    )


def main() -> None:
    clips = truths()
    if not clips:
        print("analogy: the shared test media are not beside the repository, nothing to measure")
        return
    shares = sync(clips)
    print("textures")
    for name in TEXTURES:
        print(texture(MEDIA / "video" / name))
    under = sum(share < AIM for share in shares)
    print(
        f"F1 of the laid events over that of the cues: median {statistics.median(shares):.2f}, least {min(shares):.2f}, "
        f"{len(shares) - under} of {len(shares)} pairs at {AIM} or more"
    )
    sys.exit(1 if under else 0)


if __name__ == "__main__":
    main()
