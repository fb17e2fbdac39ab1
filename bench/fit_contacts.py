# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fit the weights of kinks (``watchers/_bounces.py``) and the second ones of braking (``_verdict.py``) on drawn films.

    python bench/fit_contacts.py [--seeds 3] [--folder FILMS]

Prints them beside those that the code holds, and how many contacts and others each believes on the films with even
seeds, which teach, and with odd seeds, which do not. Logistic regressions whose signs are held to what physics says.
No real footage is looked at. Four minutes where ``--folder`` keeps the films of an earlier run, else longer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _bodies import UNSTRUCK_BODIES
from _films import STRUCK, UNSTRUCK, film
from _strikers import STRUCK_BODIES, body_film
from contacts import encoded
from fit_impacts import Numbers, fit

from immersivaudio.engine import media
from immersivaudio.engine.watchers import FrameWish, _bounces, _verdict
from immersivaudio.engine.watchers._flow import WIDTH, Flow
from immersivaudio.engine.watchers._impacts import Contacts
from immersivaudio.engine.watchers._movers import Movers

KINK_SIGNS = (1, 1, 1, 1, -1, 1, 0, -1, -1, -1, 1)
BRAKE_SIGNS = (1, -1, 1, -1, 1, 1, 0)
WITHIN_S, BESIDE_S, HOPELESS, STIFF = 0.05, 0.12, -4.0, 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """What is weighed of a kink or a braking; the number of the contact that it may be, -1 for none."""

    features: tuple[float, ...]
    contact: int


def watched(path: Path) -> tuple[list[_bounces.Kink], list[_verdict.Contact]]:
    """Sudden kinks and possible brakings of a film."""
    flow, contacts, movers = Flow(), Contacts(), Movers()
    for frame in media.frames(path, None, FrameWish(WIDTH, 30.0)):
        step = flow.step(frame)
        if step is not None:
            contacts.see(step)
            movers.see(frame.at(WIDTH), step)
    contacts.flush()
    movers.flush()
    kinks = [kink for of_one in _bounces.kinks(movers.found) for kink in of_one if _bounces.is_sudden(kink)]
    return kinks, [one for one in contacts.found if one.kind == "brake" and _verdict.likeness(one) > HOPELESS]


def row(time_s: float, features: Sequence[float], true_s: Sequence[float]) -> Row | None:
    """Nothing where it is neither at a contact nor away from all."""
    off = [abs(time_s - true) for true in true_s] or [9.0]
    nearest = int(np.argmin(off))
    if WITHIN_S <= off[nearest] < BESIDE_S:
        return None
    return Row(tuple(features), nearest if off[nearest] < WITHIN_S else -1)


def material(seeds: Sequence[int], folder: Path) -> tuple[list[list[Row]], list[list[Row]]]:
    """Kinks and brakings, film by film."""
    kinks, brakings = [], []
    for name in (*STRUCK, *STRUCK_BODIES, *UNSTRUCK, *UNSTRUCK_BODIES):
        draw = body_film if name in {*STRUCK_BODIES, *UNSTRUCK_BODIES} else film
        for one in (draw(name, seed) for seed in seeds):
            turns, brakes = watched(encoded(one, folder))
            told = [row(kink.time_s, _bounces.features(kink), one.contacts_s) for kink in turns]
            kinks.append([each for each in told if each is not None])
            weighed = [(c.time_s, _verdict.surroundings(c, _verdict.likeness(c))) for c in brakes]
            told = [row(time_s, features, one.contacts_s) for time_s, features in weighed]
            brakings.append([each for each in told if each is not None])
    return kinks, brakings


def likeliest(films: Sequence[Sequence[Row]], weights: Numbers) -> tuple[Numbers, Numbers]:
    """Features and truth; of those at one contact only the likeliest, as nobody knows which of them "is" it."""
    rows: list[Row] = []
    for told in films:
        best: dict[int, Row] = {}
        for one in sorted(told, key=lambda one: float(np.dot(one.features, weights[:-1]))):
            best[one.contact] = one
        rows += [one for one in told if one.contact < 0 or one is best[one.contact]]
    return np.array([one.features for one in rows]), np.array([one.contact >= 0 for one in rows], float)


def fitted(films: Sequence[Sequence[Row]], signs: Sequence[int], held: Numbers) -> Numbers:
    weights = held
    for _ in range(5):
        x, y = likeliest(films, weights)
        weights = fit(x, y, np.ones(len(y)), signs, STIFF)
    return weights


def believed(films: Sequence[Sequence[Row]], weights: Numbers) -> str:
    x, y = likeliest(films, weights)
    sure = x @ weights[:-1] + weights[-1] > 0
    return f"{int((sure * y).sum())} of {int(y.sum())} contacts, {int((sure * (1 - y)).sum())} others"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many to learn from, and as many to look at")
    parser.add_argument("--folder", type=Path, help="keep the films here")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = wish.folder or Path(scratch)
        taught = material(range(0, 2 * wish.seeds, 2), folder)
        unseen = material(range(1, 2 * wish.seeds, 2), folder)
    asked = (("kink", KINK_SIGNS, _bounces._WEIGHTS), ("brake", BRAKE_SIGNS, _verdict._AROUND))
    for (name, signs, holds), films, others in zip(asked, taught, unseen, strict=True):
        held = np.array(holds)
        for what, weights in (("held", held), ("fitted", fitted(films, signs, held))):
            print(name, what, tuple(round(float(weight), 2) for weight in weights))
            print(f"  even seeds: {believed(films, weights)}; odd seeds: {believed(others, weights)}")


if __name__ == "__main__":
    main()
