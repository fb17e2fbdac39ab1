# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fit the weights of ``watchers/_verdict.py`` on drawn scenes alone and print them. Takes some minutes.

    python bench/fit_impacts.py [SEEDS]

A logistic regression whose signs are held to what physics says (faster, more stopped, more downward is never less of a
contact). Of the possible contacts near a true one only the likeliest counts as true, chosen anew in each round, as
nobody knows which of them "is" the contact. No real footage is looked at, so that real footage stays a fair test.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction

import _pictures
import _scenes
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from immersivaudio.engine.watchers._flow import Flow
from immersivaudio.engine.watchers._impacts import Contact, Contacts
from immersivaudio.engine.watchers._verdict import features

SIGNS = (1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 0, 0, 0, 0)
Numbers = NDArray[np.float64]


def contacts_in(scene: _pictures.Scene, shot: _pictures.Shot, seed: int) -> list[Contact]:
    flow, contacts = Flow(), Contacts()
    for frame in _pictures.film(scene, shot, seed):
        step = flow.step(frame)
        if step is not None:
            contacts.see(step)
    contacts.flush()
    return contacts.found


def material(seeds: int) -> list[tuple[_pictures.Scene, list[Contact]]]:
    plain = (_pictures.ball, _pictures.hammer, _pictures.kicked, _pictures.pendulum, _pictures.tree, _pictures.hands)
    told = [(make(), _pictures.Shot(Fraction(rate)), 0) for make in plain for rate in (15, 24, 30, 60)]
    for seed in range(seeds):
        told += [(make(seed), _scenes.shot_of(seed * 13 + len(make.__name__)), seed) for make in _scenes.FAMILIES]
    for seed in range(seeds, 2 * seeds):
        told += [(make(seed), _scenes.shot_of(seed * 13 + 6), seed) for make in (_scenes.struck, _scenes.dropped)]
    return [(scene, contacts_in(scene, shot, seed)) for scene, shot, seed in told]


def fit(x: Numbers, y: Numbers, weight: Numbers, signs: Sequence[int] = SIGNS, stiff: float = 8.0) -> Numbers:
    """Logistic regression with signed weights, squares of them times ``stiff`` as its price; the bias comes last."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    rows = np.c_[(x - mean) / spread, np.ones(len(x))]

    def loss(b: Numbers) -> tuple[float, Numbers]:
        z = rows @ b
        slope = rows.T @ (weight * (1 / (1 + np.exp(-z)) - y))
        slope[:-1] += 2 * stiff * b[:-1]
        return float((weight * (np.logaddexp(0, z) - y * z)).sum() + stiff * (b[:-1] ** 2).sum()), slope

    bounds = [(0, None) if s > 0 else (None, 0) if s < 0 else (None, None) for s in signs] + [(None, None)]
    b = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.r_[b[:-1] / spread, b[-1] - (b[:-1] * mean / spread).sum()]


def train(scenes: list[tuple[_pictures.Scene, list[Contact]]], kind: str) -> Numbers:
    x, y, groups = [], [], {}
    for scene, found in scenes:
        for contact in (c for c in found if c.kind == kind):
            off = [abs(contact.time_s - true) for true in scene.contacts_s] or [9.0]
            if 0.06 <= min(off) < 0.15:
                continue
            if min(off) < 0.06:
                groups.setdefault((id(scene), int(np.argmin(off))), []).append(len(x))
            x.append(features(contact))
            y.append(min(off) < 0.06)
    rows, truth, keep = np.array(x), np.array(y, float), np.ones(len(x), bool)
    weights = np.zeros(rows.shape[1] + 1)
    for _ in range(4):
        weights = fit(rows[keep], truth[keep], np.where(truth, 8.0, 1.0)[keep])
        keep[:] = True
        for members in groups.values():
            best = max(members, key=lambda i: float(rows[i] @ weights[:-1]))
            keep[[i for i in members if i != best]] = False
    return weights


if __name__ == "__main__":
    scenes = material(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
    for kind in ("brake", "arrival"):
        print(kind, tuple(round(float(weight), 2) for weight in train(scenes, kind)))
